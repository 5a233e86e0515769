//! Feature files: one patient a row, a column per quantity, as a hospital's own data base exports them.
//!
//! The header of a CSV file (or the keys of an NDJSON file) names the quantities: keys of the dictionary of inputs, in any unit that
//! it accepts, or axes of the twin. The column `patient` is the hospital's own identifier. An empty field, or null, is missing.
//! Nothing that identifies a patient is kept in what this module returns.

mod columns;
mod lines;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use organtwin_simulations::Features;
use organtwin_simulations::catalogue::Values;
use organtwin_simulations::twin::Twin;

use self::columns::{Column, column, read};
use self::lines::{Format, Line, Lines};
use crate::fhir::{
    Finding, FindingCode, Ingest, Limits, LineProblem, Outcome, PatientReport, Pseudonyms,
    ReadError,
};

/// The column of the hospital's own identifier.
const PATIENT: &str = "patient";
/// The most columns of a file.
const MOST_COLUMNS: usize = 512;
/// The longest identifier, in bytes.
const LONGEST_PATIENT: usize = 256;

/// An accepted row: what is known about a patient.
pub(crate) struct Known {
    /// Index into [`Ingest::patients`].
    pub index: usize,
    /// The hospital's pseudonym for the patient.
    pub pseudonym: String,
    /// Quantities of the dictionary.
    pub inputs: Values,
    /// Axes that were given as they are.
    pub axes: Features,
}

/// The feature files among some paths: files that end with `.csv`, NDJSON files that hold no FHIR resources, and those of folders.
///
/// `None` if there are none, so that the paths are those of a FHIR export.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Option<Vec<PathBuf>>, ReadError> {
    let mut files = Vec::new();
    let mut others = 0;
    for path in paths {
        for file in listed(path)? {
            match Format::of(&file) {
                Some(Format::Csv) => files.push(file),
                Some(Format::Ndjson) if !lines::is_fhir(&file)? => files.push(file),
                _ => others += 1,
            }
        }
    }
    match (files.is_empty(), others) {
        (true, _) => Ok(None),
        (false, 0) => Ok(Some(files)),
        (false, _) => Err(ReadError::Mixed),
    }
}

/// A file itself, or the CSV and NDJSON files of a folder, in the same order on every machine.
fn listed(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let io = |source| ReadError::Io {
        path: path.to_path_buf(),
        source,
    };
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?.path();
        if Format::of(&entry).is_some() {
            found.push(entry);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads feature files of one organ and judges every row.
pub(crate) fn assess(
    files: &[PathBuf],
    twin: &Twin,
    pseudonyms: &Pseudonyms,
    limit: Option<usize>,
) -> Result<(Ingest, Vec<Known>), ReadError> {
    let mut reading = Reading::new(twin, pseudonyms, limit, Limits::default());
    for (index, path) in files.iter().enumerate() {
        let file = File::open(path).map_err(|source| ReadError::Io {
            path: path.clone(),
            source,
        })?;
        let format = Format::of(path).unwrap_or(Format::Csv);
        reading.file(index + 1, format, BufReader::new(file), path)?;
    }
    Ok(reading.finish())
}

/// What has been read so far.
struct Reading<'r> {
    twin: &'r Twin,
    pseudonyms: &'r Pseudonyms,
    limit: Option<usize>,
    limits: Limits,
    patients: Vec<PatientReport>,
    known: Vec<Known>,
    seen: BTreeSet<String>,
    problems: Vec<LineProblem>,
    problem_count: usize,
}

impl<'r> Reading<'r> {
    fn new(
        twin: &'r Twin,
        pseudonyms: &'r Pseudonyms,
        limit: Option<usize>,
        limits: Limits,
    ) -> Self {
        Self {
            twin,
            pseudonyms,
            limit,
            limits,
            patients: Vec::new(),
            known: Vec::new(),
            seen: BTreeSet::new(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    fn full(&self) -> bool {
        self.limit.is_some_and(|limit| self.known.len() >= limit)
    }

    fn file(
        &mut self,
        number: usize,
        format: Format,
        stream: impl Read,
        path: &Path,
    ) -> Result<(), ReadError> {
        let io = |source| ReadError::Io {
            path: path.to_path_buf(),
            source,
        };
        let mut lines = Lines::new(BufReader::new(stream), format, self.limits.line_bytes);
        // The columns of a CSV file stand in its header; those of NDJSON are met line by line.
        let mut columns: BTreeMap<String, Column> = BTreeMap::new();
        while let Some((line, content)) = lines.next() {
            match content.map_err(io)? {
                Line::Header(names) => columns = header(&names, self.twin, path)?,
                Line::Problem(problem) => self.problem(number, line, problem),
                Line::Fields(fields) => {
                    if self.full() {
                        return Ok(());
                    }
                    if self.patients.len() >= self.limits.patients {
                        return Err(ReadError::TooMany {
                            what: "patients",
                            limit: self.limits.patients,
                        });
                    }
                    for name in fields.keys().filter(|name| *name != PATIENT) {
                        if !columns.contains_key(name) {
                            let known =
                                column(name, self.twin).map_err(|what| ReadError::Column {
                                    path: path.to_path_buf(),
                                    what,
                                })?;
                            columns.insert(name.clone(), known);
                        }
                    }
                    self.row(number, line, &fields, &columns);
                }
            }
        }
        Ok(())
    }

    fn problem(&mut self, file: usize, line: usize, problem: String) {
        self.problem_count += 1;
        if self.problems.len() < self.limits.listed_problems {
            self.problems.push(LineProblem {
                file,
                line,
                problem,
            });
        }
    }

    /// Judges one row.
    fn row(
        &mut self,
        file: usize,
        line: usize,
        fields: &BTreeMap<String, serde_json::Value>,
        columns: &BTreeMap<String, Column>,
    ) {
        let patient = match fields.get(PATIENT) {
            Some(serde_json::Value::String(text)) => text.trim().to_owned(),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        if patient.is_empty() || patient.len() > LONGEST_PATIENT {
            let problem = format!(
                "expected an identifier of 1 to {LONGEST_PATIENT} bytes in the column patient"
            );
            return self.problem(file, line, problem);
        }
        let pseudonym = self.pseudonyms.of(&patient);
        let mut report = PatientReport {
            row: self.patients.len() + 1,
            pseudonym: pseudonym.clone(),
            outcome: Outcome::Accepted,
            reasons: Vec::new(),
            warnings: Vec::new(),
            absent: Vec::new(),
        };
        if !self.seen.insert(patient) {
            report.reasons.push(Finding::new(
                FindingCode::Duplicate,
                None,
                "the patient has a row already; only the first one counts",
            ));
        }
        let mut inputs = Values::default();
        let mut axes = Features::new();
        let mut given: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in fields.iter().filter(|(name, _)| *name != PATIENT) {
            let Some(column) = columns.get(name) else {
                continue;
            };
            let key = column.key();
            match read(column, value) {
                Ok(None) => report.absent.push(key.to_owned()),
                Ok(Some(_)) if given.contains_key(key) => {
                    let detail = format!("{} and {name} are the same quantity", given[key]);
                    report
                        .reasons
                        .push(Finding::new(FindingCode::Duplicate, Some(key), detail));
                }
                Ok(Some(value)) => {
                    given.insert(key.to_owned(), name.clone());
                    match column {
                        Column::Input { input, .. } => inputs.set(input.key, value),
                        Column::Axis(axis) => drop(axes.insert(axis.name.clone(), Some(value))),
                    }
                }
                Err(detail) => {
                    report.reasons.push(Finding::new(
                        FindingCode::ValueImpossible,
                        Some(name),
                        detail,
                    ));
                }
            }
        }
        report.absent.retain(|key| !given.contains_key(key));
        if report.reasons.is_empty() {
            self.known.push(Known {
                index: self.patients.len(),
                pseudonym,
                inputs,
                axes,
            });
        } else {
            report.outcome = Outcome::Refused;
        }
        self.patients.push(report);
    }

    fn finish(self) -> (Ingest, Vec<Known>) {
        let ingest = Ingest::of_rows(self.patients, self.problems, self.problem_count);
        (ingest, self.known)
    }
}

/// The columns that a CSV header names.
fn header(
    names: &[String],
    twin: &Twin,
    path: &Path,
) -> Result<BTreeMap<String, Column>, ReadError> {
    let wrong = |what: String| ReadError::Column {
        path: path.to_path_buf(),
        what,
    };
    if names.len() > MOST_COLUMNS {
        return Err(wrong(format!(
            "expected at most {MOST_COLUMNS} columns, got {}",
            names.len()
        )));
    }
    if !names.iter().any(|name| name == PATIENT) {
        return Err(wrong(format!(
            "expected a column {PATIENT} with the hospital's own identifier"
        )));
    }
    let mut columns = BTreeMap::new();
    for name in names.iter().filter(|name| *name != PATIENT) {
        let known = column(name, twin).map_err(wrong)?;
        if columns.insert(name.clone(), known).is_some() {
            return Err(wrong(format!("the column {name} is there twice")));
        }
    }
    Ok(columns)
}
