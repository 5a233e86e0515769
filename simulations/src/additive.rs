//! Additive models that were fitted elsewhere: a risk or a number as a sum of functions of one feature or two.
//!
//! Logistic and Cox regressions, generalized additive models, explainable boosting machines and boosted trees of one split
//! are all of this form, and a sum of functions of the axes costs no bootstrap on encrypted twins. An [`AdditiveModel`] is
//! plain data: it stands in a study, is hashed with it, and can be read by everyone who approves.

mod checks;
pub mod import;
mod quantisation;
mod shape;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Features, Schema,
    formula::{Additive, Formula, Link, Term},
};
pub use quantisation::{Quantisation, quantisation, random_patients};
pub use shape::step_of;

/// The most terms of a model.
pub const MOST_TERMS: usize = 64;
/// The most knots, cuts or values of one term.
pub const MOST_VALUES: usize = 1024;
/// The longest name of a model, in bytes.
pub const LONGEST_NAME: usize = 64;
/// The largest size of any number in a model.
pub const LARGEST: f64 = 1e9;

/// A model of sums, as a study carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdditiveModel {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The twin that it reads: `kidney`, `liver` or `heart`.
    pub organ: String,
    /// What it gives, for people.
    pub output: String,
    /// From the sum to the output.
    pub link: Linkage,
    /// Added once.
    pub intercept: f64,
    /// What is added.
    pub terms: Vec<AdditiveTerm>,
}

/// From the sum to the output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Linkage {
    /// The output is the sum.
    Identity {},
    /// The output is e to the sum.
    Exp {},
    /// The sum is the logit of the output, a probability.
    Logit {},
    /// The sum is the logarithm of a hazard ratio; the output is the probability of the event by a time.
    Cox {
        /// The probability to be free of the event by that time where the sum is 0.
        baseline_survival: f64,
        /// The time in years.
        years: f64,
    },
}

/// One summand. A twin without the feature has no score, unless the model states a value for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdditiveTerm {
    /// `coefficient * (value - centre)`.
    Linear {
        /// The axis.
        axis: String,
        /// Per unit of the axis.
        coefficient: f64,
        /// The value at which the summand is 0.
        #[serde(default)]
        centre: f64,
        /// The summand of a twin without the feature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<f64>,
    },
    /// Straight lines between knots, constant before the first and after the last.
    Line {
        /// The axis.
        axis: String,
        /// Values of the axis, ascending.
        knots: Vec<f64>,
        /// The summand at every knot.
        values: Vec<f64>,
        /// The summand of a twin without the feature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<f64>,
    },
    /// Constant between cuts; a cut belongs to the step above it.
    Steps {
        /// The axis.
        axis: String,
        /// Values of the axis, ascending.
        cuts: Vec<f64>,
        /// The summand on every step, one more than cuts.
        values: Vec<f64>,
        /// The summand of a twin without the feature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<f64>,
    },
    /// One summand per category.
    Categories {
        /// The categorical axis.
        axis: String,
        /// The summand of every category, in their order.
        values: Vec<f64>,
        /// The summand of a twin without the feature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<f64>,
    },
    /// Steps of two features together; the twin must have a plane of the two.
    Pair {
        /// The axis of the rows.
        first: String,
        /// The axis of the columns.
        second: String,
        /// Cuts of the first axis; of categories, the halves between their numbers.
        first_cuts: Vec<f64>,
        /// Cuts of the second axis.
        second_cuts: Vec<f64>,
        /// The summands row by row: one more row than the first cuts, one more column than the second.
        values: Vec<f64>,
        /// The summand of a twin without one of the features.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<f64>,
    },
}

/// A model that cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum AdditiveError {
    /// A text that is too long or has other characters.
    #[error(
        "{what}: expected 1 to {LONGEST_NAME} characters, in names letters, digits, - _ and . only"
    )]
    Name {
        /// Which text.
        what: &'static str,
    },
    /// Too many terms, or none.
    #[error("expected 1 to {MOST_TERMS} terms, got {0}")]
    Terms(usize),
    /// A list that is too long.
    #[error("term {term} has {got} {what}: at most {MOST_VALUES} are taken")]
    TooMany {
        /// The term, from 1.
        term: usize,
        /// What is too many.
        what: &'static str,
        /// How many there are.
        got: usize,
    },
    /// A number that is infinite, no number, or out of all proportion.
    #[error("{what}: expected finite numbers up to {LARGEST:e} in size")]
    Number {
        /// Where it stands.
        what: String,
    },
    /// Knots or cuts that do not ascend.
    #[error("term {term}: its knots or cuts must ascend strictly")]
    Order {
        /// The term, from 1.
        term: usize,
    },
    /// A list that does not fit another one.
    #[error("term {term} on {axis}: expected {expected} values, got {got}")]
    Length {
        /// The term, from 1.
        term: usize,
        /// The axis.
        axis: String,
        /// The number expected.
        expected: usize,
        /// The number of values.
        got: usize,
    },
    /// A survival that is no probability between 0 and 1, or a time that is not positive.
    #[error("the baseline survival must lie between 0 and 1 and its time above 0 years")]
    Baseline,
    /// An organ without twins.
    #[error("no twin of organ {0}: expected kidney, liver or heart")]
    NoSuchOrgan(String),
    /// A feature that the twin does not have.
    #[error("the twin {schema} has no axis {axis}: it has {axes}")]
    NoSuchAxis {
        /// The schema.
        schema: String,
        /// The axis asked for.
        axis: String,
        /// Those that there are.
        axes: String,
    },
    /// Categories of a feature that has none, or the reverse.
    #[error("{axis} is {is}, the model takes it as {taken}")]
    Kind {
        /// The axis.
        axis: String,
        /// What it is.
        is: &'static str,
        /// What the model takes it for.
        taken: &'static str,
    },
    /// Two features that the twin does not hold together.
    #[error(
        "the twin {schema} has no plane of {first} and {second}: fit the model without this interaction, or on one of {planes}"
    )]
    NoPlane {
        /// The schema.
        schema: String,
        /// The first axis.
        first: String,
        /// The second axis.
        second: String,
        /// The planes that there are.
        planes: String,
    },
}

impl AdditiveModel {
    /// Checks that every number is sound and that the twin has every feature.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn check(&self, schema: &Schema) -> Result<(), AdditiveError> {
        checks::model(self, schema)
    }

    /// The sum of a patient by the file's own rule, in floating point.
    ///
    /// `None` if a feature is missing for which the model states no value.
    #[must_use]
    pub fn sum(&self, features: &Features) -> Option<f64> {
        self.terms.iter().try_fold(self.intercept, |sum, term| {
            Some(sum + term.summand(features)?)
        })
    }

    /// The output of a patient by the file's own rule, in floating point.
    #[must_use]
    pub fn reference(&self, features: &Features) -> Option<f64> {
        Some(self.link.link().forward(self.sum(features)?))
    }

    /// The formula of the model on a twin.
    ///
    /// # Errors
    /// A model that does not pass [`AdditiveModel::check`].
    pub fn formula(&self, schema: &Schema) -> Result<Formula, AdditiveError> {
        self.additive(schema).map(Formula::Number)
    }

    /// The same, as the sum itself.
    ///
    /// # Errors
    /// A model that does not pass [`AdditiveModel::check`].
    pub fn additive(&self, schema: &Schema) -> Result<Additive, AdditiveError> {
        self.check(schema)?;
        let terms = self
            .terms
            .iter()
            .map(|term| term.term(schema))
            .collect::<Result<Vec<Term>, _>>()?;
        Ok(Additive::linked(terms, self.link.link()).plus(self.intercept))
    }
}

impl Linkage {
    /// The link and its inverse.
    #[must_use]
    pub fn link(self) -> Link {
        match self {
            Self::Identity {} => Link::identity(),
            Self::Exp {} => Link::exp(),
            Self::Logit {} => Link::logistic(),
            Self::Cox {
                baseline_survival, ..
            } => {
                let hazard = -libm::log(baseline_survival);
                Link::new(
                    move |sum| -libm::expm1(-hazard * libm::exp(sum)),
                    move |risk| libm::log(-libm::log1p(-risk) / hazard),
                )
            }
        }
    }

    /// Whether the output is a probability.
    #[must_use]
    pub fn is_probability(self) -> bool {
        matches!(self, Self::Logit {} | Self::Cox { .. })
    }
}

#[cfg(test)]
mod tests;
