//! Studies that cannot be compiled: what is wrong, and what would be right.

use thiserror::Error;

use crate::{
    additive::AdditiveError, catalogue::InputError, compile::CompileError, program::ProgramError,
};

/// A study that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpecError {
    /// No such model.
    #[error("unknown model {given}: {hint}")]
    UnknownModel {
        /// The name given.
        given: String,
        /// The nearest name, or all of them.
        hint: String,
    },
    /// No such output.
    #[error("{model} has no output {given}: its outputs are {known}")]
    UnknownOutput {
        /// The model.
        model: String,
        /// The output given.
        given: String,
        /// The outputs that exist.
        known: String,
    },
    /// A parameter that is unknown, missing or out of range.
    #[error(transparent)]
    Parameter(#[from] InputError),
    /// A list that has to ascend does not, or holds what is no number.
    #[error("{list} must be numbers in ascending order without repeats: got {given:?}")]
    NotAscending {
        /// The list's name.
        list: &'static str,
        /// What was given.
        given: Vec<f64>,
    },
    /// A list that must not be empty is.
    #[error("{list} is empty: name at least one")]
    Empty {
        /// The list's name.
        list: &'static str,
    },
    /// Too many entries.
    #[error("{list} has {given} entries, at most {most} are allowed")]
    TooMany {
        /// The list's name.
        list: &'static str,
        /// How many were given.
        given: usize,
        /// How many are allowed.
        most: usize,
    },
    /// The smallest cell size is none.
    #[error("k is {0}: it must be at least 1, and 10 is usual")]
    KTooSmall(u32),
    /// Arms, cuts or a mean for something that has none.
    #[error("{what} of {subject}: {why}")]
    DoesNotApply {
        /// What was asked for.
        what: &'static str,
        /// Of what.
        subject: String,
        /// Why not, and what would do.
        why: String,
    },
    /// A filter or the other side of a cross-table that names nothing.
    #[error("{key} is neither an axis of the {organ} twin nor an output: {hint}")]
    UnknownSubject {
        /// The name given.
        key: String,
        /// The twin.
        organ: String,
        /// The nearest name, or all of them.
        hint: String,
    },
    /// A condition that cannot be read.
    #[error(
        "`{given}` is no condition: write KEY >= NUMBER, KEY < NUMBER, KEY = NAME or KEY != NAME"
    )]
    Condition {
        /// What was given.
        given: String,
    },
    /// A model of one's own that names no organ.
    #[error("{model} reads the {organ} twin, which does not exist: it is kidney, liver or heart")]
    NoTwin {
        /// The model.
        model: String,
        /// The twin.
        organ: String,
    },
    /// A model of one's own that cannot be used.
    #[error(transparent)]
    Additive(#[from] AdditiveError),
    /// A model that reads another twin than the study's.
    #[error(
        "{model} reads the {other} twin, the study reads the {organ} twin: a study has twins of one organ"
    )]
    OtherTwin {
        /// The model.
        model: String,
        /// Its twin.
        other: String,
        /// The study's twin.
        organ: String,
    },
    /// The formula does not fit the twins.
    #[error("{model}: {error}")]
    Compile {
        /// The model.
        model: String,
        /// What is wrong.
        error: CompileError,
    },
    /// The compiled program does not hold together.
    #[error(transparent)]
    Program(#[from] ProgramError),
}
