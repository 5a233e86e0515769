//! Scenario files: a consortium, its patients, a study, what goes wrong, and what must come out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use organtwin_simulations::StudySpec;
use organtwin_threshold::{Committee, Passive};
use serde::{Deserialize, Serialize};

use crate::fhir::{Feature, Policy};
use crate::models;

/// The scenarios that the program carries, by name.
pub(super) const CARRIED: [(&str, &str); 6] = [
    (
        "vancomycin",
        include_str!("../../../scenarios/vancomycin.toml"),
    ),
    (
        "small-cohort",
        include_str!("../../../scenarios/small-cohort.toml"),
    ),
    (
        "hospital-killed",
        include_str!("../../../scenarios/hospital-killed.toml"),
    ),
    (
        "two-rejections",
        include_str!("../../../scenarios/two-rejections.toml"),
    ),
    (
        "three-hospitals",
        include_str!("../../../scenarios/three-hospitals.toml"),
    ),
    (
        "external-validation",
        include_str!("../../../scenarios/external-validation.toml"),
    ),
];

const MAX_SCENARIO: u64 = 64 * 1024;
const MAX_HOSPITALS: usize = 12;

/// A scenario as its file writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// `organtwin.scenario/1`.
    pub schema: String,
    /// Who takes part.
    pub consortium: Consortium,
    /// Whose data go in.
    pub cohort: Cohort,
    /// What is asked: the content of the study file that is proposed.
    pub study: StudySection,
    /// How the hospitals vote; those not named approve.
    #[serde(default)]
    pub votes: Votes,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
    /// What must come out.
    pub expect: Expect,
}

/// `[consortium]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Consortium {
    /// The consortium's name.
    pub name: String,
    /// The hospitals' names; their order numbers the parties from 1.
    pub hospitals: Vec<String>,
    /// Most hospitals that may be corrupt.
    pub threshold: u8,
    /// Accepts a committee that is only secure while everyone follows the protocol (n <= 3t).
    #[serde(default)]
    pub allow_passive: bool,
}

/// `[cohort]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cohort {
    /// `synthea` or `heart-disease` (carried by the program), or a directory with one folder `hospital-N` per hospital, of FHIR
    /// bulk files or feature files, relative to the scenario file.
    pub data: PathBuf,
    /// Most patients in all, the same share of every hospital.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Days before the newest creatinine within which a feature must have been measured to count; none by default.
    #[serde(default)]
    pub windows: BTreeMap<String, u32>,
}

/// `[study]`: what `organtwin study propose` reads as a file of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StudySection {
    /// Short title.
    pub title: String,
    /// The question in a sentence.
    pub question: String,
    /// Approvals needed; absent means 2t+1, at most n.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u8>,
    /// Model, arms, cuts, histogram, k.
    pub study: StudySpec,
}

/// `[votes]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Votes {
    /// Parties that reject.
    #[serde(default)]
    pub reject: Vec<u8>,
    /// What they say.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `[faults]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Faults {
    /// Parties whose process is killed once every shard has been evaluated.
    #[serde(default)]
    pub kill_after_evaluation: Vec<u8>,
}

/// How a study ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// The result was released.
    Opened,
    /// Nothing was opened.
    NotOpened,
}

/// `[expect]`: what the demo checks beyond what every demo must hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// How the study ends.
    pub outcome: Outcome,
    /// Twins in the study.
    #[serde(default)]
    pub twins: Option<u32>,
    /// Whether the opened numbers are those of the evaluation in the clear.
    #[serde(default)]
    pub equal_to_clear: Option<bool>,
    /// Rows that stay closed: an arm by its dose, or `histogram`. All others must be open.
    #[serde(default)]
    pub suppressed: Option<Vec<String>>,
    /// What the key certificate says: `active` or `passive`.
    #[serde(default)]
    pub security: Option<String>,
}

impl Scenario {
    /// Reads a scenario by the name it is carried under, or from a file.
    ///
    /// Returns the directory against which its paths are meant.
    pub(super) fn read(name: Option<&str>) -> Result<(Self, PathBuf)> {
        let name = name.unwrap_or("vancomycin");
        if let Some((_, text)) = CARRIED.iter().find(|(carried, _)| *carried == name) {
            let scenario =
                Self::parse(text, carried_model).with_context(|| format!("scenario '{name}'"))?;
            return Ok((scenario, PathBuf::from(".")));
        }
        let path = Path::new(name);
        let names: Vec<&str> = CARRIED.iter().map(|(name, _)| *name).collect();
        let size = std::fs::metadata(path)
            .with_context(|| {
                format!(
                    "no scenario '{name}': give a file that exists or one of {}",
                    names.join(", ")
                )
            })?
            .len();
        ensure!(
            size <= MAX_SCENARIO,
            "{name}: a scenario is at most {MAX_SCENARIO} bytes, this file has {size}"
        );
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
        let base = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let scenario = Self::parse(&text, models::beside(base)).with_context(|| name.to_owned())?;
        Ok((scenario, base.to_owned()))
    }

    /// Parses and checks everything that can be checked before a process is started.
    pub(super) fn parse(
        text: &str,
        load: impl Fn(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self> {
        let mut table: toml::Table = text.parse()?;
        let study = table
            .get_mut("study")
            .and_then(|section| section.get_mut("study"))
            .and_then(toml::Value::as_table_mut);
        let names_a_file = match study {
            Some(study) if study.contains_key("additive") => {
                models::resolve(study, load).map_err(anyhow::Error::msg)?;
                true
            }
            _ => false,
        };
        // Read from the text where that is possible: its errors name the line.
        let scenario: Self = match names_a_file {
            true => table.try_into()?,
            false => toml::from_str(text)?,
        };
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<()> {
        let expected = "organtwin.scenario/1";
        ensure!(
            self.schema == expected,
            "schema: expected \"{expected}\", got \"{}\"",
            self.schema
        );
        let n = self.consortium.hospitals.len();
        ensure!(
            (3..=MAX_HOSPITALS).contains(&n),
            "consortium.hospitals: expected 3 to {MAX_HOSPITALS} names, got {n}"
        );
        let n = u8::try_from(n)?;
        let t = self.consortium.threshold;
        let passive = if self.consortium.allow_passive {
            Passive::Allow
        } else {
            Passive::Refuse
        };
        Committee::new(n, t, passive).context("consortium")?;
        if let Some(quorum) = self.study.quorum {
            ensure!(
                quorum > t && quorum <= n,
                "study.quorum: expected a number from t+1 = {} to n = {n}, got {quorum}",
                t + 1
            );
        }
        for (field, parties) in [
            ("votes.reject", &self.votes.reject),
            (
                "faults.kill_after_evaluation",
                &self.faults.kill_after_evaluation,
            ),
        ] {
            for party in parties {
                ensure!(
                    (1..=n).contains(party),
                    "{field}: expected parties from 1 to {n}, got {party}"
                );
            }
        }
        if self.cohort.limit == Some(0) {
            bail!("cohort.limit: expected at least 1, got 0; leave it out for all patients");
        }
        self.ingest_policy()?;
        self.study.study.compile().context("study.study")?;
        Ok(())
    }

    /// The approvals that open the study.
    pub(super) fn quorum(&self) -> u8 {
        let n = u8::try_from(self.consortium.hospitals.len()).unwrap_or(u8::MAX);
        self.study
            .quorum
            .unwrap_or((2 * self.consortium.threshold + 1).min(n))
    }

    /// How many hospitals must decrypt before a result can be accepted: 2t+1, or all where n <= 3t.
    pub(super) fn needed_to_open(&self) -> usize {
        let (n, t) = (
            self.consortium.hospitals.len(),
            usize::from(self.consortium.threshold),
        );
        if n > 3 * t { 2 * t + 1 } else { n }
    }

    /// The windows as ingest takes them.
    pub(super) fn ingest_policy(&self) -> Result<Policy> {
        let windows = self.cohort.windows.iter().map(|(name, days)| {
            let feature =
                Feature::by_name(name).with_context(|| format!("no feature is called '{name}'"))?;
            Ok((feature, *days))
        });
        Ok(Policy {
            windows: windows.collect::<Result<_>>().context("cohort.windows")?,
        })
    }

    /// Most patients taken from each hospital.
    pub(super) fn limit_per_hospital(&self) -> Option<usize> {
        self.cohort
            .limit
            .map(|limit| limit.div_ceil(self.consortium.hospitals.len()))
    }
}

/// The files of one hospital, at a place that the nodes can read.
pub(super) struct HospitalFiles(pub Vec<PathBuf>);

macro_rules! carried_data {
    ($($number:literal),*) => {
        [$((
            include_bytes!(concat!("../../../scenarios/data/synthea/hospital-", $number, "/Patient.ndjson")).as_slice(),
            include_bytes!(concat!("../../../scenarios/data/synthea/hospital-", $number, "/Observation.ndjson")).as_slice(),
        )),*]
    };
}

/// A model file that a carried scenario names.
fn carried_model(file: &str) -> Result<Vec<u8>, String> {
    let found = MODELS.iter().find(|(name, _)| *name == file);
    found
        .map(|(_, bytes)| bytes.to_vec())
        .ok_or_else(|| format!("{file}: the program does not carry it"))
}

const SYNTHEA: [(&[u8], &[u8]); 4] = carried_data!("1", "2", "3", "4");

macro_rules! carried_features {
    ($($number:literal),*) => {
        [$(include_bytes!(concat!("../../../scenarios/data/heart-disease/hospital-", $number, "/features.csv")).as_slice()),*]
    };
}

const HEART_DISEASE: [&[u8]; 4] = carried_features!("1", "2", "3", "4");

/// The model files that carried scenarios name.
const MODELS: [(&str, &[u8]); 1] = [(
    "data/heart-disease/model.json",
    include_bytes!("../../../scenarios/data/heart-disease/model.json"),
)];

/// The files of hospital `number` in a data set that the program carries.
fn carried_files(data: &Path, number: usize) -> Result<Option<Vec<(&'static str, &'static [u8])>>> {
    let files = |number: usize| match data.to_str() {
        Some("synthea") => SYNTHEA.get(number - 1).map(|(patients, observations)| {
            vec![
                ("Patient.ndjson", *patients),
                ("Observation.ndjson", *observations),
            ]
        }),
        Some("heart-disease") => HEART_DISEASE
            .get(number - 1)
            .map(|features| vec![("features.csv", *features)]),
        _ => None,
    };
    match (files(1), files(number)) {
        (None, _) => Ok(None),
        (_, Some(files)) => Ok(Some(files)),
        (Some(_), None) => bail!(
            "cohort.data: the carried data set has four hospitals, hospital {number} was asked for"
        ),
    }
}

/// Finds the files of hospital `number`; what the program carries is written below `work`.
pub(super) fn hospital_files(
    cohort: &Cohort,
    base: &Path,
    work: &Path,
    number: usize,
) -> Result<HospitalFiles> {
    let name = format!("hospital-{number}");
    if let Some(carried) = carried_files(&cohort.data, number)? {
        let dir = work.join("data").join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let mut files = Vec::new();
        for (name, bytes) in carried {
            let path = dir.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
            files.push(path);
        }
        return Ok(HospitalFiles(files));
    }
    let dir = base.join(&cohort.data).join(name);
    ensure!(
        dir.is_dir(),
        "cohort.data: expected the folder {}, which does not exist",
        dir.display()
    );
    Ok(HospitalFiles(vec![dir]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(from: &str, to: &str) -> String {
        let text = CARRIED[0].1;
        assert!(
            text.contains(from),
            "the default scenario no longer contains {from}"
        );
        text.replace(from, to)
    }

    #[test]
    fn every_carried_scenario_is_sound() {
        for (name, text) in CARRIED {
            Scenario::parse(text, carried_model)
                .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_one_clear_error() {
        for (from, to, word) in [
            ("quorum = 3", "quorum = 1", "study.quorum"),
            ("quorum = 3", "quorum = 5", "study.quorum"),
            ("quorum = 3", "quorom = 3", "quorom"),
            ("vancomycin-goti-2018", "aspirin", "aspirin"),
            ("2000.0]", "200000.0]", "200000"),
            ("threshold = 1", "threshold = 2", "consortium"),
            ("scenario/1", "scenario/9", "scenario/9"),
            (
                "[expect]",
                "[votes]\nreject = [7]\n[expect]",
                "votes.reject",
            ),
        ] {
            let error = format!(
                "{:#}",
                Scenario::parse(&with(from, to), carried_model).unwrap_err()
            );
            assert!(error.contains(word), "{from} -> {to}: {error}");
        }
    }
}
