//! The few elements of FHIR R4 resources that are read. Unknown elements are normal in FHIR and are skipped unread.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Kind {
    #[serde(rename = "resourceType")]
    pub resource_type: String,
}

#[derive(Deserialize)]
pub(super) struct Patient {
    pub id: String,
    pub gender: Option<String>,
    #[serde(rename = "birthDate")]
    pub birth_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Observation {
    pub id: Option<String>,
    pub status: Option<String>,
    pub code: CodeableConcept,
    pub subject: Option<Reference>,
    pub effective_date_time: Option<String>,
    pub effective_instant: Option<String>,
    pub effective_period: Option<Period>,
    pub value_quantity: Option<Quantity>,
    pub data_absent_reason: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct CodeableConcept {
    #[serde(default)]
    pub coding: Vec<Coding>,
}

#[derive(Deserialize)]
pub(super) struct Coding {
    pub system: Option<String>,
    pub code: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Reference {
    pub reference: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Period {
    pub end: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Quantity {
    pub value: Option<f64>,
    pub comparator: Option<String>,
    pub system: Option<String>,
    pub code: Option<String>,
}
