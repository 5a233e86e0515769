//! What a study asks, as a scenario file writes it.

use serde::{Deserialize, Serialize};

/// A dose study: a model, its arms, and how the outcome is divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// The model's name in the registry, such as `vancomycin-goti-2018`.
    pub model: String,
    /// The daily doses in mg, ascending.
    pub arms: Vec<f64>,
    /// The cuts of the outcome in the model's unit (vancomycin: AUC24 in mg*h/L), ascending.
    pub cuts: Vec<f64>,
    /// A finer division of the outcome at one arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<HistogramSpec>,
    /// The smallest number of twins in a cell that may be opened, counted without any one hospital's.
    #[serde(default = "default_k")]
    pub k: u32,
}

/// The histogram of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistogramSpec {
    /// The daily dose in mg; one within the model's range, often one of the arms.
    pub arm: f64,
    /// The edges between the bins, ascending; the first and the last bin are open-ended.
    pub edges: Vec<f64>,
}

fn default_k() -> u32 {
    10
}
