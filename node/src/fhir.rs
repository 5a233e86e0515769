//! FHIR R4 bulk data in, source features out.
//!
//! Reads NDJSON files of Patient and Observation resources, matches observations on system and code
//! (never on display text), converts by UCUM code, and says for every patient what was taken, what was
//! left out and why. Nothing that identifies a patient is kept in what this module returns.

mod bulk;
mod codes;
mod patient;
mod report;
mod time;
mod wire;

#[cfg(test)]
mod tests;

pub use bulk::{Bulk, Limits, LineProblem, ReadError};
pub use codes::{Feature, Unit};
pub use patient::{Policy, Source};
pub use report::{
    Candidate, Finding, FindingCode, Ingest, Outcome, PatientReport, Pseudonyms, assess,
};
