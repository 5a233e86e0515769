//! Reading NDJSON files, bounded, one resource a line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::codes::Feature;
use super::time::{Moment, moment};
use super::wire;

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";

/// What a read may cost at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one line.
    pub line_bytes: usize,
    /// Patients of one ingest.
    pub patients: usize,
    /// Relevant observations of one ingest.
    pub observations: usize,
    /// Malformed lines that are listed; more are counted.
    pub listed_problems: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: 1 << 20,
            patients: 100_000,
            observations: 5_000_000,
            listed_problems: 100,
        }
    }
}

/// Why a set of files was not read. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("{path}: {source}; give NDJSON files, or folders that hold them")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// A folder holds nothing to read.
    #[error(
        "{path} holds no .ndjson or .csv file; a FHIR bulk export has one file per resource type"
    )]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A feature file has a column that means nothing, or lacks the one that it needs.
    #[error("{path}: {what}")]
    Column {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: String,
    },
    /// Feature files and FHIR files in one ingest.
    #[error("feature files and FHIR files cannot be ingested together: give one kind at a time")]
    Mixed,
    /// A bound was passed.
    #[error("more than {limit} {what}; split the export and ingest its parts one after the other")]
    TooMany {
        /// What is too many.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// A line that is no resource. Its content is not repeated, since it may identify a patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineProblem {
    /// Number of the file in the order given, from 1.
    pub file: usize,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Why an observation cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unusable {
    Status(String),
    NoUnit,
    WrongUnit(String),
    NoValue,
    NoDate,
    Impossible(f64),
    Ambiguous,
}

/// A usable measurement in its feature's own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub at: Moment,
    pub value: f64,
    /// The value is a bound that the true one lies beyond.
    pub censored: bool,
}

/// What one observation says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub feature: Feature,
    /// Digest of the resource id, to find the same resource given twice.
    pub identity: Option<[u8; 32]>,
    pub content: Result<Measured, Unusable>,
}

/// One patient as read.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub gender: Option<String>,
    pub birth_date: Option<String>,
    /// The patient's resource came more than once.
    pub repeated: bool,
    /// ... and not with the same content.
    pub contradictory: bool,
    pub readings: Vec<Reading>,
}

/// Everything relevant of a set of bulk files. Holds patient identifiers: not Debug, never serialized.
#[derive(Default)]
pub struct Bulk {
    pub(super) patients: BTreeMap<String, Record>,
    /// Patient ids in the order of first appearance.
    pub(super) order: Vec<String>,
    /// Lines that are no resource.
    pub problems: Vec<LineProblem>,
    /// Number of such lines, listed or not.
    pub problem_count: usize,
    /// Resources of other types, skipped.
    pub skipped_resources: usize,
    /// Relevant observations whose patient is in none of the files.
    pub orphans: usize,
}

impl Bulk {
    /// Reads files, and the .ndjson files of folders, in the order given.
    pub fn read(paths: &[PathBuf], limits: &Limits) -> Result<Self, ReadError> {
        let mut bulk = Self::default();
        let mut observations = Vec::new();
        for (index, path) in expand(paths)?.iter().enumerate() {
            let file = File::open(path).map_err(|source| ReadError::Io {
                path: path.clone(),
                source,
            })?;
            bulk.read_lines(index + 1, BufReader::new(file), limits, &mut observations)
                .map_err(|error| error.at(path))?;
        }
        bulk.assign(observations);
        Ok(bulk)
    }

    /// Reads one stream, as a file.
    pub fn read_from(stream: impl Read, limits: &Limits) -> Result<Self, ReadError> {
        let mut bulk = Self::default();
        let mut observations = Vec::new();
        bulk.read_lines(1, BufReader::new(stream), limits, &mut observations)
            .map_err(|error| error.at(Path::new("(stream)")))?;
        bulk.assign(observations);
        Ok(bulk)
    }

    fn read_lines(
        &mut self,
        file: usize,
        mut reader: impl BufRead,
        limits: &Limits,
        observations: &mut Vec<(String, Reading)>,
    ) -> Result<(), LineError> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let bound = limits.line_bytes as u64 + 1;
            let read = reader.by_ref().take(bound).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            if line.len() > limits.line_bytes && !line.ends_with(b"\n") {
                skip_line(&mut reader)?;
                self.problem(
                    limits,
                    file,
                    number,
                    format!("longer than {} bytes", limits.line_bytes),
                );
                continue;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if let Err(problem) = self.resource(&line, observations) {
                self.problem(limits, file, number, problem);
            }
            if self.order.len() > limits.patients {
                return Err(LineError::TooMany {
                    what: "patients",
                    limit: limits.patients,
                });
            }
            if observations.len() > limits.observations {
                return Err(LineError::TooMany {
                    what: "observations",
                    limit: limits.observations,
                });
            }
        }
        Ok(())
    }

    fn problem(&mut self, limits: &Limits, file: usize, line: usize, problem: String) {
        self.problem_count += 1;
        if self.problems.len() < limits.listed_problems {
            self.problems.push(LineProblem {
                file,
                line,
                problem,
            });
        }
    }

    fn resource(
        &mut self,
        line: &[u8],
        observations: &mut Vec<(String, Reading)>,
    ) -> Result<(), String> {
        let kind: wire::Kind = parse(line, "a FHIR resource")?;
        match kind.resource_type.as_str() {
            "Patient" => {
                self.patient(parse(line, "a Patient")?);
                Ok(())
            }
            "Observation" => {
                if let Some(reading) = reading(&parse(line, "an Observation")?)? {
                    observations.push(reading);
                }
                Ok(())
            }
            "Bundle" => Err(
                "a Bundle; bulk data has one resource a line, in a file per resource type".into(),
            ),
            _ => {
                self.skipped_resources += 1;
                Ok(())
            }
        }
    }

    fn patient(&mut self, patient: wire::Patient) {
        match self.patients.get_mut(&patient.id) {
            Some(known) => {
                known.repeated = true;
                known.contradictory |=
                    known.gender != patient.gender || known.birth_date != patient.birth_date;
            }
            None => {
                let record = Record {
                    gender: patient.gender,
                    birth_date: patient.birth_date,
                    ..Record::default()
                };
                self.order.push(patient.id.clone());
                self.patients.insert(patient.id, record);
            }
        }
    }

    fn assign(&mut self, observations: Vec<(String, Reading)>) {
        for (patient, reading) in observations {
            match self.patients.get_mut(&patient) {
                Some(record) => record.readings.push(reading),
                None => self.orphans += 1,
            }
        }
    }
}

/// A failure inside one file, before the file's name is known.
enum LineError {
    Io(std::io::Error),
    TooMany { what: &'static str, limit: usize },
}

impl From<std::io::Error> for LineError {
    fn from(source: std::io::Error) -> Self {
        Self::Io(source)
    }
}

impl LineError {
    fn at(self, path: &Path) -> ReadError {
        match self {
            Self::Io(source) => ReadError::Io {
                path: path.to_path_buf(),
                source,
            },
            Self::TooMany { what, limit } => ReadError::TooMany { what, limit },
        }
    }
}

fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ReadError> {
    let mut files = Vec::new();
    for path in paths {
        let io = |source| ReadError::Io {
            path: path.clone(),
            source,
        };
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?.path();
            if entry
                .extension()
                .is_some_and(|extension| extension == "ndjson")
            {
                found.push(entry);
            }
        }
        if found.is_empty() {
            return Err(ReadError::Empty { path: path.clone() });
        }
        // Patient.ndjson need not come first; the order only has to be the same on every machine.
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn skip_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                reader.consume(end + 1);
                return Ok(());
            }
            None => {
                let all = buffer.len();
                reader.consume(all);
            }
        }
    }
}

/// serde_json's own message may quote the line, so only its kind and column are kept.
fn parse<'a, T: Deserialize<'a>>(line: &'a [u8], what: &str) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Eof => "the line ends too early",
            serde_json::error::Category::Data => "an element is missing or of the wrong type",
            _ => "not JSON",
        };
        format!("expected {what}: {kind} (column {})", error.column())
    })
}

/// The patient's id and the reading, if the observation is of a feature that is used.
fn reading(observation: &wire::Observation) -> Result<Option<(String, Reading)>, String> {
    let mut features: Vec<Feature> = (observation.code.coding.iter())
        .filter(|coding| coding.system.as_deref() == Some(LOINC))
        .filter_map(|coding| Feature::by_loinc(coding.code.as_deref()?))
        .collect();
    features.dedup();
    let Some(&feature) = features.first() else {
        return Ok(None);
    };
    let subject = observation
        .subject
        .as_ref()
        .and_then(|subject| subject.reference.as_deref());
    let patient = subject
        .and_then(patient_id)
        .ok_or("an Observation without a patient as its subject")?;
    let identity = observation
        .id
        .as_ref()
        .map(|id| blake3::hash(id.as_bytes()).into());
    let content = if features.len() > 1 {
        Err(Unusable::Ambiguous)
    } else {
        measured(feature, observation)
    };
    Ok(Some((
        patient.to_owned(),
        Reading {
            feature,
            identity,
            content,
        },
    )))
}

/// `Patient/ID`, `urn:uuid:ID` or an address that ends with `/Patient/ID`, with or without a version.
fn patient_id(reference: &str) -> Option<&str> {
    if let Some(id) = reference.strip_prefix("urn:uuid:") {
        return Some(id);
    }
    let (before, after) = reference.rsplit_once("Patient/")?;
    let id = after.split('/').next()?;
    ((before.is_empty() || before.ends_with('/')) && !id.is_empty()).then_some(id)
}

fn measured(feature: Feature, observation: &wire::Observation) -> Result<Measured, Unusable> {
    match observation.status.as_deref() {
        Some("final" | "amended" | "corrected") => {}
        other => return Err(Unusable::Status(known_status(other).to_owned())),
    }
    let quantity = match (&observation.value_quantity, &observation.data_absent_reason) {
        (Some(quantity), None) => quantity,
        _ => return Err(Unusable::NoValue),
    };
    let given = quantity
        .value
        .filter(|value| value.is_finite())
        .ok_or(Unusable::NoValue)?;
    let code = match (quantity.system.as_deref(), quantity.code.as_deref()) {
        (Some(UCUM), Some(code)) => code,
        _ => return Err(Unusable::NoUnit),
    };
    let unit = feature.units().iter().find(|unit| unit.code == code);
    let unit = unit.ok_or_else(|| Unusable::WrongUnit(printable(code)))?;
    let value = given * unit.factor;
    let (lowest, highest) = feature.plausible();
    if !(lowest..=highest).contains(&value) {
        return Err(Unusable::Impossible(value));
    }
    let end = observation
        .effective_period
        .as_ref()
        .and_then(|period| period.end.as_ref());
    let date = observation
        .effective_date_time
        .as_ref()
        .or(observation.effective_instant.as_ref())
        .or(end);
    let at = date.and_then(|date| moment(date)).ok_or(Unusable::NoDate)?;
    let censored = match quantity.comparator.as_deref() {
        None => false,
        Some("<" | "<=" | ">" | ">=") => true,
        Some(_) => return Err(Unusable::NoValue),
    };
    Ok(Measured {
        at,
        value,
        censored,
    })
}

/// Only words of the standard are repeated in a report.
fn known_status(status: Option<&str>) -> &'static str {
    match status {
        Some("registered") => "registered",
        Some("preliminary") => "preliminary",
        Some("cancelled") => "cancelled",
        Some("entered-in-error") => "entered-in-error",
        Some("unknown") => "unknown",
        Some(_) => "not of the standard",
        None => "missing",
    }
}

/// A unit code as a report may repeat it: short and without anything but what UCUM uses.
fn printable(code: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic();
    code.chars().filter(plain).take(20).collect()
}
