//! Importing additive models from the JSON files of the tools that fit them.
//!
//! | file | made by |
//! |---|---|
//! | explainable boosting machine | `to_json` of InterpretML 0.7 (`"version": "1.0"`), binary classification or regression |
//! | boosted stumps | `save_model("*.json")` of XGBoost, or `dump_model()` of LightGBM, trees of one split |
//! | `organtwin.regression/1` | linear, logistic, log-linear and Cox regressions, by name and coefficient |
//! | `organtwin.gam/1` | generalized additive models, as values at knots, on steps, or per category |
//! | [`AdditiveModel`] | this program |
//!
//! The features of a file are the axes of the twin, in the axes' units, or are mapped to them by name. Categories are named by
//! the labels of the dictionary of inputs or by their numbers.

mod ebm;
mod regression;
mod stumps;

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use super::{AdditiveError, AdditiveModel};
use crate::{
    catalogue::{InputKind, input},
    schema::{Axis, Scale, Schema},
};

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: usize = 4 << 20;
/// The most characters of a file's own words in an error.
const QUOTED: usize = 64;

/// What a file's model becomes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// The model's name.
    pub name: &'t str,
    /// What it gives, for people.
    pub output: &'t str,
    /// The twin that it reads.
    pub schema: &'t Schema,
    /// The axes of features that are called otherwise in the file.
    pub names: &'t BTreeMap<String, String>,
}

/// A file that is no additive model of a twin.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ImportError {
    /// The file is too large.
    #[error("the model file has {got} bytes: at most {LARGEST_FILE} are read")]
    TooLarge {
        /// Its size.
        got: usize,
    },
    /// The file is no JSON, or not of the format that it seems to be.
    #[error("{format}, line {line} column {column}: {what}")]
    Json {
        /// The format.
        format: &'static str,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// No format that is known.
    #[error(
        "the file is none of: InterpretML EBM JSON, XGBoost model JSON, LightGBM dump, organtwin.regression/1, organtwin.gam/1, additive model"
    )]
    Format,
    /// Something that has no additive form here.
    #[error("{what}: expected {expected}")]
    Unsupported {
        /// What the file has.
        what: String,
        /// What can be imported.
        expected: &'static str,
    },
    /// Parts of the file that contradict each other.
    #[error("{part} of the model: expected {expected}, got {got}")]
    Inconsistent {
        /// Which part.
        part: String,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A category that the axis does not have.
    #[error("{axis} has no category {label}: it has {known}")]
    Category {
        /// The axis.
        axis: String,
        /// The label in the file.
        label: String,
        /// The labels that there are.
        known: String,
    },
    /// The model does not fit the twin.
    #[error(transparent)]
    Model(#[from] AdditiveError),
}

/// What tells the formats apart.
#[derive(Deserialize)]
struct Marks {
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    ebm: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    learner: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    tree_info: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    organ: Option<serde::de::IgnoredAny>,
}

/// Reads a model file of any known format and checks it against the twin.
///
/// # Errors
/// A file that is too large, of no known format, of a kind of model that is not additive, contradictory, or about features
/// that the twin does not have.
pub fn import(bytes: &[u8], target: &Target<'_>) -> Result<AdditiveModel, ImportError> {
    if bytes.len() > LARGEST_FILE {
        return Err(ImportError::TooLarge { got: bytes.len() });
    }
    let marks: Marks = parse(bytes, "model file")?;
    let model = match marks.format.as_deref() {
        Some("organtwin.regression/1") => regression::regression(bytes, target)?,
        Some("organtwin.gam/1") => regression::gam(bytes, target)?,
        Some(_) => return Err(ImportError::Format),
        None if marks.ebm.is_some() => ebm::ebm(bytes, target)?,
        None if marks.learner.is_some() => stumps::xgboost(bytes, target)?,
        None if marks.tree_info.is_some() => stumps::lightgbm(bytes, target)?,
        None if marks.organ.is_some() => parse(bytes, "additive model")?,
        None => return Err(ImportError::Format),
    };
    model.check(target.schema)?;
    Ok(model)
}

/// Reads JSON; the words of a file are not repeated at length.
fn parse<'b, T: Deserialize<'b>>(bytes: &'b [u8], format: &'static str) -> Result<T, ImportError> {
    serde_json::from_slice(bytes).map_err(|error| ImportError::Json {
        format,
        line: error.line(),
        column: error.column(),
        what: quoted(&error.to_string()),
    })
}

/// The beginning of a file's own words.
fn quoted(words: &str) -> String {
    let printable = words.chars().filter(|c| !c.is_control());
    printable.take(2 * QUOTED).collect()
}

/// Words or a number in an error.
struct Said(String);

impl From<&str> for Said {
    fn from(words: &str) -> Self {
        Self(words.to_owned())
    }
}

impl From<&String> for Said {
    fn from(words: &String) -> Self {
        Self(words.clone())
    }
}

impl From<String> for Said {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<usize> for Said {
    fn from(number: usize) -> Self {
        Self(number.to_string())
    }
}

impl From<f64> for Said {
    fn from(number: f64) -> Self {
        Self(number.to_string())
    }
}

fn unsupported(what: impl Into<String>, expected: &'static str) -> ImportError {
    ImportError::Unsupported {
        what: quoted(&what.into()),
        expected,
    }
}

fn inconsistent(
    part: impl Into<String>,
    expected: impl Into<Said>,
    got: impl Into<Said>,
) -> ImportError {
    ImportError::Inconsistent {
        part: quoted(&part.into()),
        expected: expected.into().0,
        got: quoted(&got.into().0),
    }
}

impl Target<'_> {
    /// A model without terms.
    fn model(&self, link: super::Linkage, intercept: f64) -> AdditiveModel {
        AdditiveModel {
            name: self.name.to_owned(),
            organ: self
                .schema
                .id()
                .split('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            output: self.output.to_owned(),
            link,
            intercept,
            terms: Vec::new(),
        }
    }

    /// The axis of a feature.
    fn axis(&self, feature: &str) -> Result<&Axis, ImportError> {
        let name = self.names.get(feature).map_or(feature, String::as_str);
        // An axis that only a plane has serves for pairs.
        let planes = self.schema.planes().iter();
        let of_planes = || {
            planes
                .flat_map(|plane| [&plane.first, &plane.second])
                .find(|axis| axis.name == name)
        };
        match self.schema.axis(name).or_else(of_planes) {
            Some(axis) => Ok(axis),
            None => Ok(super::checks::axis(self.schema, name)?),
        }
    }

    /// The summand of every category of an axis, from those that a file names; `other` serves those that it does not name.
    fn categories(
        &self,
        axis: &Axis,
        named: &[(String, f64)],
        other: Option<f64>,
    ) -> Result<Vec<f64>, ImportError> {
        let labels = labels(axis)?;
        let known = || {
            labels
                .iter()
                .map(|names| names.first().cloned().unwrap_or_default())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut values = vec![None; labels.len()];
        for (label, value) in named {
            let index = labels.iter().position(|names| {
                names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(label.trim()))
            });
            let slot = index.and_then(|index| values.get_mut(index));
            let Some(slot) = slot else {
                return Err(ImportError::Category {
                    axis: axis.name.clone(),
                    label: quoted(label),
                    known: known(),
                });
            };
            if slot.replace(*value).is_some() {
                return Err(inconsistent(
                    format!("category {label} on {}", axis.name),
                    "one value",
                    "two",
                ));
            }
        }
        let complete = values.into_iter().map(|value| value.or(other));
        complete.collect::<Option<Vec<f64>>>().ok_or_else(|| {
            inconsistent(
                &axis.name,
                format!("a value for each of {}", known()),
                named.len(),
            )
        })
    }
}

/// The names of every category of an axis: the dictionary's label, and its number.
fn labels(axis: &Axis) -> Result<Vec<Vec<String>>, ImportError> {
    if axis.scale != Scale::Categorical {
        return Err(AdditiveError::Kind {
            axis: axis.name.clone(),
            is: "a number",
            taken: "categories",
        }
        .into());
    }
    let kind = input::find(&axis.name).map(|input| &input.kind);
    let named = |index: usize| -> Vec<String> {
        let words: &[&str] = match (kind, index) {
            (Some(InputKind::Choice { labels }), _) => {
                labels.get(index..=index).unwrap_or_default()
            }
            (Some(InputKind::Flag), 0) => &["false", "no"],
            (Some(InputKind::Flag), 1) => &["true", "yes"],
            _ => &[],
        };
        let numbers = [format!("{index}"), format!("{index}.0")];
        words
            .iter()
            .map(|word| (*word).to_owned())
            .chain(numbers)
            .collect()
    };
    Ok((0..usize::from(axis.nodes)).map(named).collect())
}

#[cfg(test)]
mod tests;
