//! Programs: what a study computes on every twin, as data that can be hashed, printed and checked.
//!
//! A program reads the encoded features of one twin. Its nodes are *scores* (integers or missing) and *bits* (0 or 1).
//! A score is missing if a feature that it reads is, unless its table states a value for that; a bit is missing if it
//! is computed from anything missing, and then counts as 0, also under `Not` and `Or`.

mod check;
mod display;
mod error;
mod implies;
mod reads;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use error::ProgramError;
pub(crate) use implies::Implications;
pub(crate) use reads::{Reads, range_of};

use crate::{Digest, schema::Schema};

/// The version of the format.
pub const VERSION: u16 = 2;

/// The operations this program knows; later versions add to them.
pub const KNOWN_OPS: [&str; 10] = [
    "position", "sum", "at-least", "valid", "not", "without", "and", "or", "select", "digit",
];

/// The number of a node within its program.
pub type NodeId = u32;

/// One table: an integer for every node of an axis or a plane, interpolated between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOn {
    /// The axis or plane.
    pub axis: String,
    /// The table's value at every node; those of a plane row by row, the first axis being the slower.
    pub values: Vec<i64>,
    /// The table's value for a twin without the feature; without one, whatever reads the table is missing then.
    pub missing: Option<i64>,
}

/// A bit with a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitTerm {
    /// The bit.
    pub bit: NodeId,
    /// What it adds if it is set, in units of the tables.
    pub weight: i64,
}

/// One operation. A score is an integer or missing; a bit is 0 or 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Score: the position of a value on its continuous axis, in 1/16 of a node distance.
    Position {
        /// The axis.
        axis: String,
    },
    /// Score: the sum of tables and weighted bits, in 1/16 of the tables' unit.
    Sum {
        /// The tables, at most one per axis or plane.
        tables: Vec<TableOn>,
        /// The bits, each adding 16 times its weight.
        terms: Vec<BitTerm>,
    },
    /// Bit: the score is at least the threshold.
    AtLeast {
        /// The score.
        score: NodeId,
        /// The threshold in the score's unit.
        threshold: i64,
    },
    /// Bit: the score is not missing.
    Valid {
        /// The score.
        score: NodeId,
    },
    /// Bit: the other one is neither set nor missing.
    Not {
        /// The bit.
        bit: NodeId,
    },
    /// Bit: the one is set and the other is not, which never is without it. Costs nothing.
    Without {
        /// The wider bit.
        bit: NodeId,
        /// The narrower bit; it implies the wider one and reads nothing that the wider one does not.
        without: NodeId,
    },
    /// Bit: all are set.
    And {
        /// The bits, 2 to 15.
        bits: Vec<NodeId>,
    },
    /// Bit: at least one is set and none is missing.
    Or {
        /// The bits, 2 to 15.
        bits: Vec<NodeId>,
    },
    /// Bit: `then` if the condition is set, `otherwise` if not.
    Select {
        /// The condition.
        condition: NodeId,
        /// The bit taken if it is set.
        then: NodeId,
        /// The bit taken if it is not.
        otherwise: NodeId,
    },
    /// Bit: bit number `place` of floor((score - lowest) / 2^shift), `lowest` being the least the score can be.
    Digit {
        /// The score.
        score: NodeId,
        /// How many low bits are cut off.
        shift: u32,
        /// Which of the others it is, from 0.
        place: u32,
    },
}

/// One cell of a row: the number of twins for which a bit is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The cell's name, such as `400 to 600`.
    pub label: String,
    /// The bit.
    pub bit: NodeId,
}

/// A sum over twins that opens with its row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// Its name, such as `sum` or `sum of squares`.
    pub label: String,
    /// 1 for a sum of values, 2 for a sum of squares.
    pub power: u8,
    /// What is taken off every value before.
    pub about: f64,
    /// What one is worth: the sum of (value - about)^power over the row's population, its first cell, is the
    /// opened integer times this.
    pub unit: f64,
    /// What is added up.
    pub what: TotalOf,
}

/// What a total adds up over the twins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TotalOf {
    /// Weighted bits.
    Bits {
        /// The bits with their positive weights.
        terms: Vec<BitTerm>,
    },
    /// One table over all twins that have the feature, in 1/16 of the table's unit: no decision per twin.
    Table {
        /// The table; its values are not negative and it states none for missing features.
        table: TableOn,
    },
}

/// What a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// The outcome of one arm, divided at the study's cuts.
    Arm,
    /// The finer division of the outcome at one arm.
    Histogram,
    /// Two divisions at once.
    CrossTable,
    /// Totals over a population, which is the first cell.
    Mean,
}

/// One row of the result, opened whole or not at all: only if every cell passes the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What it shows.
    pub kind: RowKind,
    /// Its name, such as `750 mg/day`.
    pub label: String,
    /// The arm, if it is of one.
    pub arm: Option<f64>,
    /// The edges between the cells in the outcome's unit, ascending.
    pub edges: Vec<f64>,
    /// The cells, ascending in the outcome; the first one of a row of means is the population.
    pub cells: Vec<Cell>,
    /// The totals.
    pub totals: Vec<Total>,
}

/// What a program is about, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The model.
    pub model: String,
    /// The outcome's name.
    pub outcome: String,
    /// The outcome's unit.
    pub unit: String,
    /// Marks that stand in every result, such as "to be confirmed against the paper".
    pub notes: Vec<String>,
}

impl Default for About {
    fn default() -> Self {
        Self {
            model: "custom".to_owned(),
            outcome: "score".to_owned(),
            unit: "1".to_owned(),
            notes: Vec::new(),
        }
    }
}

/// A typed program: nodes in order of evaluation, and the rows that are counted and opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    version: u16,
    schema: Digest,
    model: String,
    outcome: String,
    unit: String,
    k: u32,
    notes: Vec<String>,
    nodes: Vec<Op>,
    rows: Vec<Row>,
}

/// What a protocol may check about a program without running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFacts {
    /// The model.
    pub model: String,
    /// One line per row.
    pub endpoints: Vec<String>,
    /// The smallest number of twins in an opened cell, without any one hospital's.
    pub k: u32,
    /// What opens or stays closed as one: `row`.
    pub gate: String,
    /// The number of cells in all rows.
    pub cells: u32,
}

impl Program {
    /// Makes a program from its nodes and rows.
    ///
    /// # Errors
    /// A node, cell or total that refers to what does not exist or has another type.
    pub fn new(
        schema: &Schema,
        k: u32,
        nodes: Vec<Op>,
        rows: Vec<Row>,
    ) -> Result<Self, ProgramError> {
        Self::about(schema, About::default(), k, nodes, rows)
    }

    /// Makes a program from its parts.
    ///
    /// # Errors
    /// A node, cell or total that refers to what does not exist or has another type.
    pub fn about(
        schema: &Schema,
        about: About,
        k: u32,
        nodes: Vec<Op>,
        rows: Vec<Row>,
    ) -> Result<Self, ProgramError> {
        let program = Self {
            version: VERSION,
            schema: schema.digest(),
            model: about.model,
            outcome: about.outcome,
            unit: about.unit,
            k,
            notes: about.notes,
            nodes,
            rows,
        };
        program.check(schema)?;
        Ok(program)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::cbor(self)
    }

    /// Reads canonical bytes and checks them against the schema.
    ///
    /// # Errors
    /// Other bytes than the canonical ones, an unknown operation or version, a program that does not hold together.
    pub fn from_bytes(bytes: &[u8], schema: &Schema) -> Result<Self, ProgramError> {
        let malformed = |error: &dyn fmt::Display| ProgramError::Malformed(error.to_string());
        let value: ciborium::Value = ciborium::from_reader(bytes).map_err(|e| malformed(&e))?;
        check::refuse_unknown(&value)?;
        let program: Self = value.deserialized().map_err(|e| malformed(&e))?;
        if program.to_bytes() != bytes {
            return Err(ProgramError::Malformed(
                "its encoding is not the canonical one".to_owned(),
            ));
        }
        program.check(schema)?;
        Ok(program)
    }

    /// The hash of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crate::digest_bytes("organtwin program 2", &self.to_bytes())
    }

    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The outcome's name.
    #[must_use]
    pub fn outcome(&self) -> &str {
        &self.outcome
    }

    /// The outcome's unit.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The smallest number of twins in an opened cell, counted without any one hospital's.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.k
    }

    /// Marks that stand in every result.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The nodes in order of evaluation.
    #[must_use]
    pub fn nodes(&self) -> &[Op] {
        &self.nodes
    }

    /// The rows that are counted and opened.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// A node by its number.
    #[must_use]
    pub fn op(&self, id: NodeId) -> Option<&Op> {
        self.nodes.get(usize::try_from(id).ok()?)
    }

    /// What a manifest states about the program.
    #[must_use]
    pub fn facts(&self) -> ProgramFacts {
        let cells = self.rows.iter().map(|row| row.cells.len()).sum::<usize>();
        ProgramFacts {
            model: self.model.clone(),
            endpoints: self.rows.iter().map(|row| self.endpoint(row)).collect(),
            k: self.k,
            gate: "row".to_owned(),
            cells: u32::try_from(cells).unwrap_or(u32::MAX),
        }
    }
}

impl Op {
    /// Whether it is a score; otherwise it is a bit.
    #[must_use]
    pub fn is_score(&self) -> bool {
        matches!(self, Self::Position { .. } | Self::Sum { .. })
    }

    /// The nodes that it reads.
    #[must_use]
    pub fn inputs(&self) -> Vec<NodeId> {
        match self {
            Self::Position { .. } => Vec::new(),
            Self::Sum { terms, .. } => terms.iter().map(|term| term.bit).collect(),
            Self::AtLeast { score, .. } | Self::Valid { score } | Self::Digit { score, .. } => {
                vec![*score]
            }
            Self::Not { bit } => vec![*bit],
            Self::Without { bit, without } => vec![*bit, *without],
            Self::And { bits } | Self::Or { bits } => bits.clone(),
            Self::Select {
                condition,
                then,
                otherwise,
            } => vec![*condition, *then, *otherwise],
        }
    }
}
