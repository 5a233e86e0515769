//! The report of an ingest, patient by patient, and the pseudonyms in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::bulk::{Bulk, LineProblem};
use super::codes::Feature;
use super::patient::{Policy, Source, judge};

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingCode {
    /// A feature that the twin needs is not there.
    FeatureMissing,
    /// A quantity has no UCUM code.
    UnitMissing,
    /// A quantity's UCUM code is not accepted for its feature.
    UnitWrong,
    /// A value that no living adult has.
    ValueImpossible,
    /// An observation without a value.
    ValueMissing,
    /// A preliminary, cancelled or wrong entry.
    StatusRefused,
    /// An observation without a usable date.
    DateMissing,
    /// Codes of one observation that contradict each other.
    AmbiguousCode,
    /// A resource given more than once.
    Duplicate,
    /// A value below or above what was measurable.
    Censored,
    /// Several values of one time.
    SeveralAtOnce,
    /// A value far from the reference date.
    Gap,
    /// A value outside the study's window.
    OutsideWindow,
    /// A value beyond the end of its axis, stored at the end.
    AxisEnd,
    /// The reported filtration rate contradicts the computed one.
    CrossCheck,
    /// Neither female nor male.
    SexUnknown,
    /// No readable birth date.
    BirthDateMissing,
    /// A birth date without its day.
    BirthDateCoarse,
    /// A child, or an impossible age.
    AgeOutOfRange,
    /// The patient's twin is deposited already.
    AlreadyDeposited,
}

/// One remark about one patient. Holds no name, no identifier and no date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The kind.
    pub code: FindingCode,
    /// The feature concerned, if it is one.
    pub feature: Option<String>,
    /// What was expected and what came.
    pub detail: String,
}

impl Finding {
    /// A finding about a patient, or about a feature by name.
    pub fn new(code: FindingCode, feature: Option<&str>, detail: impl Into<String>) -> Self {
        Self {
            code,
            feature: feature.map(str::to_owned),
            detail: detail.into(),
        }
    }

    pub(super) fn of(code: FindingCode, feature: Feature, detail: impl Into<String>) -> Self {
        Self::new(code, Some(feature.name()), detail)
    }
}

/// What became of a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A twin can be made.
    Accepted,
    /// No twin is made.
    Refused,
}

/// One patient's line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientReport {
    /// Position of the patient in the files, from 1.
    pub row: usize,
    /// The hospital's pseudonym for the patient.
    pub pseudonym: String,
    /// What became of the patient.
    pub outcome: Outcome,
    /// Why the patient was refused.
    pub reasons: Vec<Finding>,
    /// What was left out or deserves a look.
    pub warnings: Vec<Finding>,
    /// Optional features that the twin will say are missing.
    pub absent: Vec<String>,
}

/// The whole ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingest {
    /// `organtwin.ingest/1`.
    pub schema: String,
    /// Patients accepted.
    pub accepted: usize,
    /// Patients refused.
    pub refused: usize,
    /// Lines that are no resource; their content is not repeated.
    pub malformed_lines: usize,
    /// The first of them.
    pub line_problems: Vec<LineProblem>,
    /// Observations of patients who are in none of the files.
    pub orphan_observations: usize,
    /// Resources of types that are not used.
    pub skipped_resources: usize,
    /// Every patient in the order of the files.
    pub patients: Vec<PatientReport>,
}

/// Makes pseudonyms that only this hospital can link to its patients: a keyed hash of the resource id.
pub struct Pseudonyms(Zeroizing<[u8; 32]>);

impl Pseudonyms {
    /// Pseudonyms under the hospital's own key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    pub(crate) fn of(&self, patient: &str) -> String {
        let hash = blake3::keyed_hash(&self.0, patient.as_bytes());
        hex::encode(
            hash.as_bytes()
                .iter()
                .take(10)
                .copied()
                .collect::<Vec<u8>>(),
        )
    }
}

/// An accepted patient: the row of the report, the pseudonym and the source features.
#[derive(Clone)]
pub struct Candidate {
    /// Index into [`Ingest::patients`].
    pub index: usize,
    /// The hospital's pseudonym for the patient.
    pub pseudonym: String,
    /// The source features.
    pub source: Source,
}

/// Judges every patient of a bulk export.
///
/// With a `limit` only the first patients that are accepted are taken, and the report ends there.
pub fn assess(
    bulk: &Bulk,
    policy: &Policy,
    pseudonyms: &Pseudonyms,
    limit: Option<usize>,
) -> (Ingest, Vec<Candidate>) {
    let mut patients = Vec::new();
    let mut candidates = Vec::new();
    for (index, id) in bulk.order.iter().enumerate() {
        if limit.is_some_and(|limit| candidates.len() >= limit) {
            break;
        }
        let Some(record) = bulk.patients.get(id) else {
            continue;
        };
        let assessment = judge(record, policy);
        let pseudonym = pseudonyms.of(id);
        let mut report = PatientReport {
            row: index + 1,
            pseudonym: pseudonym.clone(),
            outcome: Outcome::Accepted,
            reasons: Vec::new(),
            warnings: assessment.warnings,
            absent: Vec::new(),
        };
        match assessment.source {
            Ok(source) => {
                let optional = Feature::ALL
                    .into_iter()
                    .filter(|feature| *feature != Feature::ReportedEgfr);
                let absent = optional.filter(|feature| !source.values.contains_key(feature));
                report.absent = absent.map(|feature| feature.name().to_owned()).collect();
                candidates.push(Candidate {
                    index: patients.len(),
                    pseudonym,
                    source,
                });
            }
            Err(reasons) => {
                report.outcome = Outcome::Refused;
                report.reasons = reasons;
            }
        }
        patients.push(report);
    }
    let mut ingest = Ingest {
        schema: "organtwin.ingest/1".into(),
        accepted: 0,
        refused: 0,
        malformed_lines: bulk.problem_count,
        line_problems: bulk.problems.clone(),
        orphan_observations: bulk.orphans,
        skipped_resources: bulk.skipped_resources,
        patients,
    };
    ingest.recount();
    (ingest, candidates)
}

impl Ingest {
    /// The report of files with one patient a row.
    pub(crate) fn of_rows(
        patients: Vec<PatientReport>,
        line_problems: Vec<LineProblem>,
        malformed_lines: usize,
    ) -> Self {
        let mut ingest = Self {
            schema: "organtwin.ingest/1".into(),
            accepted: 0,
            refused: 0,
            malformed_lines,
            line_problems,
            orphan_observations: 0,
            skipped_resources: 0,
            patients,
        };
        ingest.recount();
        ingest
    }

    /// Turns an accepted patient into a refused one.
    pub fn refuse(&mut self, index: usize, reason: Finding) {
        if let Some(patient) = self.patients.get_mut(index) {
            patient.outcome = Outcome::Refused;
            patient.reasons.push(reason);
        }
        self.recount();
    }

    /// Adds a warning to a patient.
    pub fn warn(&mut self, index: usize, warning: Finding) {
        if let Some(patient) = self.patients.get_mut(index) {
            patient.warnings.push(warning);
        }
    }

    fn recount(&mut self) {
        self.accepted = self
            .patients
            .iter()
            .filter(|patient| patient.outcome == Outcome::Accepted)
            .count();
        self.refused = self.patients.len() - self.accepted;
    }

    /// Number of warnings by kind, over all patients.
    pub fn warning_counts(&self) -> BTreeMap<FindingCode, usize> {
        let mut counts = BTreeMap::new();
        for warning in self.patients.iter().flat_map(|patient| &patient.warnings) {
            *counts.entry(warning.code).or_insert(0) += 1;
        }
        counts
    }
}
