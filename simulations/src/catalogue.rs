//! The clinical catalogue: what each model computes, from which inputs, within which range, and from which source.
//!
//! One file per model: the reference in floating point, the formula for the program, and the worked example. Nothing here is
//! medical advice: every output is decision support for research.

pub mod check;
pub mod class;
pub mod given;
pub mod heart;
pub mod input;
pub mod kidney;
pub mod liver;
#[cfg(test)]
pub(crate) mod on_grid;
pub mod output;
pub mod pharmacodynamics;
pub mod pharmacokinetics;
pub mod surgery;
pub mod values;

use crate::formula::Formula;
pub use given::{Checked, Given, InputError};
pub use input::{Alias, Input, InputKind};
pub use values::Values;

/// How well the numbers of a model are confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Two independent implementations agree on random patients.
    TwoImplementations,
    /// Coefficients read in an independent transcription, and computed once.
    OneTranscription,
    /// Recalled from the literature.
    ToBeConfirmed,
}

impl Evidence {
    /// The mark that results carry.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::TwoImplementations => "two independent implementations agree",
            Self::OneTranscription => "coefficients from one independent transcription",
            Self::ToBeConfirmed => "to be confirmed against the paper",
        }
    }
}

/// One clinical model.
#[derive(Debug)]
pub struct Model {
    /// The name by which it is asked for, such as `ckd-epi-2021`.
    pub id: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The twin that it reads: `kidney`, `liver` or `heart`.
    pub organ: &'static str,
    /// The papers, and what of them is used.
    pub source: &'static str,
    /// How well its numbers are confirmed.
    pub evidence: Evidence,
    /// For whom it holds.
    pub population: &'static str,
    /// What a hospital knows about a patient.
    pub inputs: &'static [&'static Input],
    /// Keys among the inputs that may be absent; the reference then finds them absent, too.
    pub optional: &'static [&'static str],
    /// What a study chooses: doses, times, steps.
    pub parameters: &'static [Parameter],
    /// The parameter that the arms of a study vary, if any.
    pub arm: Option<&'static str>,
    /// What comes out; the first one is the default.
    pub outputs: &'static [Output],
    /// The textbook formula: from checked inputs and parameters to every output by its key. A category is its index, a flag 0
    /// or 1; an output that does not apply to the patient is absent.
    pub reference: fn(&Values, &Values) -> Values,
    /// How an output comes out of a twin at given parameters; `None` for categories, which are cuts on another output.
    pub formula: fn(&str, &Values) -> Option<Formula>,
    /// Worked examples, published or computed independently.
    pub examples: &'static [Example],
}

/// Something that a study chooses.
#[derive(Debug)]
pub struct Parameter {
    /// Its name with the unit in it.
    pub key: &'static str,
    /// The unit in UCUM, or `1`.
    pub unit: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The smallest value.
    pub lo: f64,
    /// The largest value.
    pub hi: f64,
    /// One number, or a list of them.
    pub default: Default_,
}

/// The value of a parameter that is not given.
#[derive(Debug)]
pub enum Default_ {
    /// It must be given, one number.
    Required,
    /// One number.
    Number(f64),
    /// A list of numbers, at most [`MOST_LISTED`].
    List(&'static [f64]),
}

/// The longest list of a parameter.
pub const MOST_LISTED: usize = 64;

/// Something that a model computes.
#[derive(Debug)]
pub struct Output {
    /// Its name.
    pub key: &'static str,
    /// The unit in UCUM, or `1`.
    pub unit: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// Its kind.
    pub kind: OutputKind,
}

/// What kind of output it is.
#[derive(Debug)]
pub enum OutputKind {
    /// A number.
    Number {
        /// The decimals that are shown.
        decimals: u8,
        /// How far the exact integers may be from the textbook formula.
        tolerance: Tolerance,
    },
    /// A whole number of points, computed exactly.
    Points,
    /// The category of another output: the number of cuts that it reaches.
    Category {
        /// The output that is cut.
        of: &'static str,
        /// The cuts, ascending, each belonging to the category above it.
        cuts: &'static [f64],
        /// The names of the categories, one more than cuts.
        labels: &'static [&'static str],
    },
    /// Yes or no.
    Flag,
    /// One of several options, by its index.
    Choice {
        /// The names of the options.
        labels: &'static [&'static str],
    },
}

/// An allowed distance from the textbook formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// In the output's unit.
    Absolute(f64),
    /// As a share of the value.
    Relative(f64),
}

/// One worked example.
#[derive(Debug)]
pub struct Example {
    /// Inputs and parameters by key, as a user writes them.
    pub given: &'static [(&'static str, f64)],
    /// Lists among the parameters.
    pub lists: &'static [(&'static str, &'static [f64])],
    /// Outputs by key and the tolerance of the comparison with the reference.
    pub expected: &'static [(&'static str, f64, f64)],
}

/// Every model of the catalogue.
#[must_use]
pub fn registry() -> Vec<&'static Model> {
    [
        kidney::MODELS,
        liver::MODELS,
        heart::MODELS,
        pharmacokinetics::MODELS,
        pharmacodynamics::MODELS,
        surgery::MODELS,
    ]
    .concat()
}

/// Finds a model by its name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Model> {
    registry().into_iter().find(|model| model.id == id)
}

impl Output {
    /// The number of its own cells; 0 if it is a number.
    #[must_use]
    pub fn cells(&self) -> usize {
        match self.kind {
            OutputKind::Number { .. } | OutputKind::Points => 0,
            OutputKind::Category { labels, .. } | OutputKind::Choice { labels } => labels.len(),
            OutputKind::Flag => 2,
        }
    }

    /// Whether it is divided by itself: a category, a flag or a choice.
    #[must_use]
    pub fn has_own_cells(&self) -> bool {
        matches!(
            self.kind,
            OutputKind::Category { .. } | OutputKind::Flag | OutputKind::Choice { .. }
        )
    }
}

impl Model {
    /// Every output by the textbook formula; none for a patient who lacks a needed input.
    #[must_use]
    pub fn textbook(&self, inputs: &Values, parameters: &Values) -> Values {
        let needed = |input: &&&Input| !self.optional.contains(&input.key);
        let mut needed = self.inputs.iter().filter(needed);
        if needed.any(|input| inputs.get(input.key).is_none()) {
            return Values::default();
        }
        (self.reference)(inputs, parameters)
    }

    /// Finds an output by its key.
    #[must_use]
    pub fn output(&self, key: &str) -> Option<&'static Output> {
        self.outputs.iter().find(|output| output.key == key)
    }
}
