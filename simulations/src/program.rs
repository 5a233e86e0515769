//! Programs: what a study computes on every twin, as data that can be hashed, printed and checked.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Digest, StudySpec,
    encode::nearest,
    model::{self, Direction, Model},
    schema::{Axis, Scale, Schema, UNIT},
};

/// The operations this program knows; later versions add to them.
pub const KNOWN_OPS: [&str; 4] = ["position", "sum", "at-least", "valid"];

/// The number of a node within its program.
pub type NodeId = u32;

/// One table of a sum: an integer for every node of an axis, interpolated between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOn {
    /// The axis.
    pub axis: String,
    /// The table's value at every node of the axis.
    pub values: Vec<i64>,
}

/// One operation. A score is an integer or missing; a bit is 0 or 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Score: the position of a value on its axis, in 1/16 of a node distance.
    Position {
        /// The axis.
        axis: String,
    },
    /// Score: the sum of tables, in 1/16 of their unit; missing if any of the axes is.
    Sum {
        /// The tables, one per axis.
        tables: Vec<TableOn>,
    },
    /// Bit: the score is not missing and at least the threshold.
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
}

/// One cell of a row: the number of twins for which one bit is set and a narrower one is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The cell's name, such as `400 to 600`.
    pub label: String,
    /// The bit that is set.
    pub inside: NodeId,
    /// The bit that is not set, and never is without `inside`; nothing excludes nothing.
    pub outside: Option<NodeId>,
}

/// Which table of the result a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// The outcome of one arm, divided at the study's cuts.
    Arm,
    /// The finer division of the outcome at one arm.
    Histogram,
}

/// One row of the result: a partition of the twins with a valid score, opened whole or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Which table it belongs to.
    pub kind: RowKind,
    /// The daily dose in mg.
    pub dose: f64,
    /// The edges between the cells in the outcome's unit, ascending.
    pub edges: Vec<f64>,
    /// The cells, ascending in the outcome.
    pub cells: Vec<Cell>,
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
    #[error("the program has version {0}, this build reads version 1")]
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
    /// A cell refers to what does not exist or is no difference of nested bits.
    #[error("row {row}, cell {cell}: {what}")]
    Cell {
        /// The row's number, from 0.
        row: usize,
        /// The cell's number, from 0.
        cell: usize,
        /// What is wrong.
        what: String,
    },
}

const MOST_ARMS: usize = 32;
const MOST_EDGES: usize = 64;
const MOST_NODES: usize = 4096;

impl Program {
    /// Makes a program from its parts.
    ///
    /// # Errors
    /// A node or cell that refers to what does not exist or has another type.
    pub fn new(
        schema: &Schema,
        k: u32,
        nodes: Vec<Op>,
        rows: Vec<Row>,
    ) -> Result<Self, ProgramError> {
        let program = Self {
            version: 1,
            schema: schema.digest(),
            model: "custom".to_owned(),
            outcome: "score".to_owned(),
            unit: "1".to_owned(),
            k,
            nodes,
            rows,
        };
        program.check(schema)?;
        Ok(program)
    }

    /// Compiles a study for the twins of a schema.
    ///
    /// # Errors
    /// An unknown model, an arm outside its range, lists that do not ascend, no cells, k of zero.
    pub fn compile(spec: &StudySpec, schema: &Schema) -> Result<Self, SpecError> {
        let model = check_spec(spec)?;
        let axis = schema
            .axis(model.axis)
            .ok_or_else(|| SpecError::NoSuchAxis {
                model: model.id.to_owned(),
                axis: model.axis.to_owned(),
                schema: schema.id().to_owned(),
            })?;
        let mut nodes = Nodes {
            list: vec![Op::Position {
                axis: axis.name.clone(),
            }],
        };
        let mut rows: Vec<Row> = spec
            .arms
            .iter()
            .map(|dose| nodes.row(RowKind::Arm, model, axis, *dose, &spec.cuts))
            .collect();
        if let Some(histogram) = &spec.histogram {
            rows.push(nodes.row(
                RowKind::Histogram,
                model,
                axis,
                histogram.arm,
                &histogram.edges,
            ));
        }
        Ok(Self {
            version: 1,
            schema: schema.digest(),
            model: model.id.to_owned(),
            outcome: model.outcome_name.to_owned(),
            unit: model.outcome_unit.to_owned(),
            k: spec.k,
            nodes: nodes.list,
            rows,
        })
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
        refuse_unknown_ops(&value)?;
        let program: Self = value.deserialized().map_err(|e| malformed(&e))?;
        if program.version != 1 {
            return Err(ProgramError::Version(program.version));
        }
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
        crate::digest_bytes("organtwin program 1", &self.to_bytes())
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

    /// What a manifest states about the program.
    #[must_use]
    pub fn facts(&self) -> ProgramFacts {
        ProgramFacts {
            model: self.model.clone(),
            endpoints: self.rows.iter().map(|row| self.endpoint(row)).collect(),
            k: self.k,
            gate: "row".to_owned(),
            cells: u32::try_from(self.rows.iter().map(|row| row.cells.len()).sum::<usize>())
                .unwrap_or(u32::MAX),
        }
    }

    fn endpoint(&self, row: &Row) -> String {
        let labels: Vec<&str> = row.cells.iter().map(|cell| cell.label.as_str()).collect();
        let kind = match row.kind {
            RowKind::Arm => "count",
            RowKind::Histogram => "histogram",
        };
        let (outcome, unit, dose) = (&self.outcome, &self.unit, row.dose);
        format!(
            "{kind} of {outcome} ({unit}) at {dose} mg/day: {}",
            labels.join(" | ")
        )
    }

    fn check(&self, schema: &Schema) -> Result<(), ProgramError> {
        if self.schema != schema.digest() {
            return Err(ProgramError::OtherSchema(schema.id().to_owned()));
        }
        if self.nodes.len() > MOST_NODES || self.k == 0 || self.rows.is_empty() {
            return Err(ProgramError::Malformed(format!(
                "{} nodes (at most {MOST_NODES}), {} rows and k = {} (at least 1 each)",
                self.nodes.len(),
                self.rows.len(),
                self.k
            )));
        }
        for (id, op) in (0..).zip(&self.nodes) {
            self.check_node(schema, id, op)
                .map_err(|what| ProgramError::Node { node: id, what })?;
        }
        for (row, cells) in self.rows.iter().map(|row| &row.cells).enumerate() {
            if cells.is_empty() {
                let what = "a row needs at least one cell".to_owned();
                return Err(ProgramError::Cell { row, cell: 0, what });
            }
            for (cell, content) in cells.iter().enumerate() {
                self.check_cell(content)
                    .map_err(|what| ProgramError::Cell { row, cell, what })?;
            }
        }
        Ok(())
    }

    fn check_node(&self, schema: &Schema, id: NodeId, op: &Op) -> Result<(), String> {
        let axis = |name: &str| {
            schema
                .axis(name)
                .ok_or_else(|| format!("the schema {} has no axis {name}", schema.id()))
        };
        match op {
            Op::Position { axis: name } => axis(name).and_then(|axis| match axis.scale {
                Scale::Linear | Scale::Log => Ok(()),
                Scale::Categorical => Err(format!("{name} is categorical and has no position")),
            }),
            Op::Sum { tables } => {
                if tables.is_empty() {
                    return Err("a sum needs at least one table".to_owned());
                }
                for (index, table) in tables.iter().enumerate() {
                    let nodes = usize::from(axis(&table.axis)?.nodes);
                    if table.values.len() != nodes {
                        let (axis, got) = (&table.axis, table.values.len());
                        return Err(format!("{axis} has {nodes} nodes, the table {got} values"));
                    }
                    if table
                        .values
                        .iter()
                        .any(|value| value.unsigned_abs() > 1 << 20)
                    {
                        return Err(format!("a value of {} is beyond 2^20", table.axis));
                    }
                    if tables
                        .iter()
                        .take(index)
                        .any(|other| other.axis == table.axis)
                    {
                        return Err(format!("{} has two tables: add them up", table.axis));
                    }
                }
                Ok(())
            }
            Op::AtLeast { score, threshold } => {
                if threshold.unsigned_abs() > 1 << 40 {
                    return Err("the threshold is beyond 2^40".to_owned());
                }
                self.score_before(*score, id)
            }
            Op::Valid { score } => self.score_before(*score, id),
        }
    }

    fn score_before(&self, score: NodeId, id: NodeId) -> Result<(), String> {
        match self.op(score) {
            Some(Op::Position { .. } | Op::Sum { .. }) if score < id => Ok(()),
            _ => Err(format!("node {score} is no score computed before it")),
        }
    }

    fn check_cell(&self, cell: &Cell) -> Result<(), String> {
        let (score, from) = self.bit(cell.inside)?;
        if let Some(outside) = cell.outside {
            let (other, upto) = self.bit(outside)?;
            if score != other || from > upto {
                return Err(format!(
                    "node {outside} is set without node {}: a cell lies between two bits of one score",
                    cell.inside
                ));
            }
        }
        Ok(())
    }

    /// The score of a bit and its threshold; the smallest integer stands for "not missing".
    pub(crate) fn bit(&self, id: NodeId) -> Result<(NodeId, i64), String> {
        match self.op(id) {
            Some(Op::AtLeast { score, threshold }) => Ok((*score, *threshold)),
            Some(Op::Valid { score }) => Ok((*score, i64::MIN)),
            _ => Err(format!("node {id} is no bit")),
        }
    }

    /// A node by its number.
    pub(crate) fn op(&self, id: NodeId) -> Option<&Op> {
        self.nodes.get(usize::try_from(id).ok()?)
    }
}

/// Names an operation that this build does not know before anything else is said about the bytes.
fn refuse_unknown_ops(program: &ciborium::Value) -> Result<(), ProgramError> {
    let field = |value: &ciborium::Value, name: &str| {
        value
            .as_map()?
            .iter()
            .find(|(key, _)| key.as_text() == Some(name))
            .map(|(_, v)| v.clone())
    };
    let nodes = field(program, "nodes").and_then(|nodes| nodes.into_array().ok());
    for (node, value) in nodes.into_iter().flatten().enumerate() {
        if let Some(op) = field(&value, "op").and_then(|op| op.into_text().ok())
            && !KNOWN_OPS.contains(&op.as_str())
        {
            return Err(ProgramError::UnknownOp {
                node,
                op,
                known: KNOWN_OPS.join(", "),
            });
        }
    }
    Ok(())
}

pub(crate) fn check_spec(spec: &StudySpec) -> Result<&'static Model, SpecError> {
    let model = model::find(&spec.model).ok_or_else(|| SpecError::UnknownModel {
        given: spec.model.clone(),
        known: model::registry()
            .iter()
            .map(|m| m.id)
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    ascending("arms", &spec.arms, MOST_ARMS)?;
    ascending("cuts", &spec.cuts, MOST_EDGES)?;
    let histogram = spec.histogram.as_ref();
    if let Some(histogram) = histogram {
        ascending("histogram edges", &histogram.edges, MOST_EDGES)?;
    }
    let (lo, hi) = model.doses;
    for dose in spec.arms.iter().copied().chain(histogram.map(|h| h.arm)) {
        if !(lo..=hi).contains(&dose) {
            return Err(SpecError::ArmOutOfRange {
                dose,
                model: model.id.to_owned(),
                lo,
                hi,
            });
        }
    }
    if spec.k == 0 {
        return Err(SpecError::KTooSmall(spec.k));
    }
    Ok(model)
}

fn ascending(list: &'static str, values: &[f64], most: usize) -> Result<(), SpecError> {
    if values.is_empty() {
        return Err(SpecError::Empty { list });
    }
    if values.len() > most {
        return Err(SpecError::TooMany {
            list,
            given: values.len(),
            most,
        });
    }
    let positive = values.iter().all(|value| value.is_finite() && *value > 0.0);
    if !positive || !values.is_sorted_by(|a, b| a < b) {
        return Err(SpecError::NotAscending {
            list,
            given: values.to_vec(),
        });
    }
    Ok(())
}

/// The smallest whole position that counts as "at or above" a value: its lower edge, half a step below, is the
/// one nearest to the value.
pub(crate) fn threshold_at(axis: &Axis, value: f64) -> i64 {
    let position = axis
        .position(value)
        .clamp(-1.0, f64::from(axis.last_position() + UNIT));
    nearest(position + 0.5)
}

/// The nodes so far; an operation that exists already is not added again.
struct Nodes {
    list: Vec<Op>,
}

impl Nodes {
    fn add(&mut self, op: Op) -> NodeId {
        let index = self
            .list
            .iter()
            .position(|known| *known == op)
            .unwrap_or_else(|| {
                self.list.push(op);
                self.list.len() - 1
            });
        NodeId::try_from(index).unwrap_or(NodeId::MAX)
    }

    fn row(&mut self, kind: RowKind, model: &Model, axis: &Axis, dose: f64, cuts: &[f64]) -> Row {
        let valid = self.add(Op::Valid { score: 0 });
        let bits: Vec<NodeId> = cuts
            .iter()
            .map(|cut| {
                let threshold = threshold_at(axis, (model.value_for)(dose, *cut));
                self.add(Op::AtLeast {
                    score: 0,
                    threshold,
                })
            })
            .collect();
        let cells = (0..=cuts.len())
            .map(|index| {
                let below = index.checked_sub(1).and_then(|i| bits.get(i)).copied();
                let above = bits.get(index).copied();
                let (inside, outside) = match model.direction {
                    Direction::Falling => (above.unwrap_or(valid), below),
                    Direction::Rising => (below.unwrap_or(valid), above),
                };
                Cell {
                    label: label(cuts, index),
                    inside,
                    outside,
                }
            })
            .collect();
        Row {
            kind,
            dose,
            edges: cuts.to_vec(),
            cells,
        }
    }
}

fn label(cuts: &[f64], index: usize) -> String {
    let low = index.checked_sub(1).and_then(|i| cuts.get(i));
    match (low, cuts.get(index)) {
        (None, Some(high)) => format!("below {high}"),
        (Some(low), Some(high)) => format!("{low} to {high}"),
        (Some(low), None) => format!("{low} and above"),
        (None, None) => "all".to_owned(),
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "program of {} for {} in {}, k = {}",
            self.model, self.outcome, self.unit, self.k
        )?;
        for (id, op) in self.nodes.iter().enumerate() {
            match op {
                Op::Position { axis } => writeln!(f, "  n{id} = position of {axis}")?,
                Op::Sum { tables } => {
                    let axes: Vec<&str> = tables.iter().map(|t| t.axis.as_str()).collect();
                    writeln!(f, "  n{id} = sum of tables on {}", axes.join(", "))?;
                }
                Op::AtLeast { score, threshold } => {
                    writeln!(f, "  n{id} = n{score} >= {threshold}")?;
                }
                Op::Valid { score } => writeln!(f, "  n{id} = n{score} is present")?,
            }
        }
        for row in &self.rows {
            writeln!(f, "  row {}", self.endpoint(row))?;
            for Cell {
                label,
                inside,
                outside,
            } in &row.cells
            {
                let without = outside
                    .map(|o| format!(" and not n{o}"))
                    .unwrap_or_default();
                writeln!(f, "    {label}: count n{inside}{without}")?;
            }
        }
        Ok(())
    }
}
