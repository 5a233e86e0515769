//! What is wrong with a study or a program, in words.

use thiserror::Error;

use super::NodeId;

/// A study that cannot be compiled: what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpecError {
    /// No such model.
    #[error("unknown model {given}: the models are {known}")]
    UnknownModel {
        /// The name given.
        given: String,
        /// The names that exist.
        known: String,
    },
    /// A dose outside the model's range.
    #[error("arm {dose} mg/day is outside the range of {model}: {lo} to {hi} mg/day")]
    ArmOutOfRange {
        /// The dose given.
        dose: f64,
        /// The model.
        model: String,
        /// The smallest dose.
        lo: f64,
        /// The largest dose.
        hi: f64,
    },
    /// A list that has to ascend does not, or holds what is no positive number.
    #[error("{list} must be positive numbers in ascending order without repeats: got {given:?}")]
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
    /// The schema lacks the model's axis.
    #[error("{model} reads the axis {axis}, which the schema {schema} does not have")]
    NoSuchAxis {
        /// The model.
        model: String,
        /// The axis.
        axis: String,
        /// The schema.
        schema: String,
    },
}

/// A program that cannot be read or does not hold together.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ProgramError {
    /// Not a program's canonical bytes.
    #[error("not a program in canonical form: {0}")]
    Malformed(String),
    /// Another version of the format.
    #[error("the program has version {0}, this build reads version 2")]
    Version(u16),
    /// An operation that this build does not know.
    #[error(
        "node {node} uses the operation `{op}`, which this build does not know (it knows {known}): update it"
    )]
    UnknownOp {
        /// The node's number.
        node: usize,
        /// The operation.
        op: String,
        /// The operations this build knows.
        known: String,
    },
    /// It was made for another schema.
    #[error("the program was made for another schema than {0}")]
    OtherSchema(String),
    /// A node refers to what does not exist or has another type.
    #[error("node {node}: {what}")]
    Node {
        /// The node's number.
        node: NodeId,
        /// What is wrong.
        what: String,
    },
    /// A row without cells, or a cell or total that refers to what does not exist or has another type.
    #[error("row {row}, {part}: {what}")]
    Row {
        /// The row's number, from 0.
        row: usize,
        /// The cell or total, or the row as a whole.
        part: String,
        /// What is wrong.
        what: String,
    },
}
