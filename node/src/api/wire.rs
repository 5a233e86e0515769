//! Bodies of requests and answers that are not a view of the node.

use serde::{Deserialize, Serialize};

use crate::hospital::{StudySpec, StudyView};
use organtwin_simulations::Features;

/// `PUT /v1/peers/{party}/address`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocateRequest {
    /// A multiaddress.
    pub address: String,
}

/// One patient to make a twin of. In the clear: it travels over loopback only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinInput {
    /// The hospital's own name for the patient, at most 64 bytes: a pseudonym, never an identifier of the source system.
    pub local_id: String,
    /// `kidney`, `liver` or `heart`; all twins of one deposit are of one organ.
    pub organ: String,
    /// Values by the names of the organ's axes; null or absent is missing.
    pub features: Features,
}

/// `POST /v1/twins`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositRequest {
    /// All are deposited or none.
    pub twins: Vec<TwinInput>,
}

/// `POST /v1/studies/plan`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Model, arms, cuts, histogram, k.
    pub study: StudySpec,
}

/// The answer to `POST /v1/studies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The study's identifier.
    pub study: String,
}

/// The answer to `GET /v1/studies`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Studies {
    /// Oldest first.
    pub studies: Vec<StudyView>,
}

/// `POST /v1/studies/{id}/rejection`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectRequest {
    /// Why, at most 200 bytes.
    pub reason: String,
}
