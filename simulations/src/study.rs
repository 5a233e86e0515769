//! What a study asks, as a scenario file writes it, and its program.

mod accuracy;
mod compile;
mod condition;
mod error;
mod question;
mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{additive::AdditiveModel, catalogue::Given};

pub use accuracy::{RowAccuracy, accuracy};
pub use condition::{Comparison, Filter};
pub use error::SpecError;
pub(crate) use question::Question;
pub(crate) use rows::Subject;

/// A study: a model, its arms, and what is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// The model's name in the catalogue, such as `vancomycin-goti-2018`; absent with a model of one's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// A model that was fitted elsewhere, instead of one of the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additive: Option<AdditiveModel>,
    /// The output that is studied; the model's first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The model's parameters by key: doses, times, steps. Those not named have their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Given>,
    /// Values of the model's arm parameter, ascending; none gives one row at the parameters as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<f64>,
    /// The cuts of the output in its unit (vancomycin: AUC24 in mg*h/L), ascending. Categories, flags and choices have
    /// their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<f64>,
    /// Who is in the study, decided under encryption: conditions such as `age_years >= 65` or `sex = male`, all of
    /// which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<Filter>,
    /// A finer division of the output at one arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<HistogramSpec>,
    /// The output's divisions against those of something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossSpec>,
    /// Whether mean and standard deviation of the output are opened for every arm.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mean: bool,
    /// The smallest number of twins in a cell that may be opened, counted without any one hospital's.
    #[serde(default = "default_k")]
    pub k: u32,
}

/// The histogram of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistogramSpec {
    /// The value of the arm parameter, often one of the arms; absent in a study without arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<f64>,
    /// The edges between the bins, ascending; the first and the last bin are open-ended.
    pub edges: Vec<f64>,
}

/// A cross-table: the divisions of the study's output against those of a feature or another output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossSpec {
    /// An axis of the twin, an output of the study's model, or `MODEL.OUTPUT` of another model on the same twin.
    pub by: String,
    /// The cuts of it; none for categories and flags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<f64>,
    /// The edges of the study's own output; its cuts if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f64>,
    /// The value of the arm parameter; the first arm if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<f64>,
}

fn default_k() -> u32 {
    10
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !value
}
