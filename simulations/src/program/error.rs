//! What is wrong with a study or a program, in words.

use thiserror::Error;

use super::NodeId;

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
