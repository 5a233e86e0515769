//! Whether a program holds together: types, references, sizes, nested bits.

use super::{
    BitTerm, Implications, KNOWN_OPS, NodeId, Op, Program, ProgramError, Reads, Row, TableOn,
    TotalOf, VERSION,
};
use crate::schema::{Scale, Schema};

const MOST_NODES: usize = 4096;
const MOST_ROWS: usize = 64;
const MOST_CELLS: usize = 256;
const MOST_TOTALS: usize = 64;
const MOST_TERMS: usize = 256;
const MOST_BITS: usize = 15;
const MOST_NOTES: usize = 32;
const LONGEST_TEXT: usize = 400;
const LARGEST_VALUE: u64 = 1 << 20;
const LARGEST_THRESHOLD: u64 = 1 << 40;
const MOST_SHIFT: u32 = 40;

/// Names a version or an operation that this build does not know before anything else is said about the bytes.
pub(super) fn refuse_unknown(program: &ciborium::Value) -> Result<(), ProgramError> {
    let field = |value: &ciborium::Value, name: &str| {
        value
            .as_map()?
            .iter()
            .find(|(key, _)| key.as_text() == Some(name))
            .map(|(_, v)| v.clone())
    };
    let version = field(program, "version").and_then(|version| version.into_integer().ok());
    if let Some(version) = version.and_then(|version| u16::try_from(version).ok())
        && version != VERSION
    {
        return Err(ProgramError::Version(version));
    }
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

impl Program {
    pub(super) fn check(&self, schema: &Schema) -> Result<(), ProgramError> {
        if self.schema != schema.digest() {
            return Err(ProgramError::OtherSchema(schema.id().to_owned()));
        }
        let (nodes, rows) = (self.nodes.len(), self.rows.len());
        if nodes > MOST_NODES || self.k == 0 || rows == 0 || rows > MOST_ROWS {
            return Err(ProgramError::Malformed(format!(
                "{nodes} nodes (at most {MOST_NODES}), {rows} rows (1 to {MOST_ROWS}) and k = {} (at least 1)",
                self.k
            )));
        }
        self.check_words()?;
        for (id, op) in (0..).zip(&self.nodes) {
            self.check_node(schema, id, op)
                .map_err(|what| ProgramError::Node { node: id, what })?;
        }
        self.check_nesting()?;
        for (row, content) in self.rows.iter().enumerate() {
            self.check_row(schema, content)
                .map_err(|(part, what)| ProgramError::Row { row, part, what })?;
        }
        Ok(())
    }

    fn check_words(&self) -> Result<(), ProgramError> {
        let rows = self.rows.iter().flat_map(|row| {
            std::iter::once(&row.label)
                .chain(row.cells.iter().map(|cell| &cell.label))
                .chain(row.totals.iter().map(|total| &total.label))
        });
        let words = [&self.model, &self.outcome, &self.unit];
        let mut all = words.into_iter().chain(&self.notes).chain(rows);
        if self.notes.len() > MOST_NOTES || all.any(|text| text.len() > LONGEST_TEXT) {
            return Err(ProgramError::Malformed(format!(
                "more than {MOST_NOTES} notes, or a name beyond {LONGEST_TEXT} bytes"
            )));
        }
        Ok(())
    }

    fn check_node(&self, schema: &Schema, id: NodeId, op: &Op) -> Result<(), String> {
        match op {
            Op::Position { axis: name } => match schema.axis(name).map(|axis| axis.scale) {
                Some(Scale::Linear | Scale::Log) => Ok(()),
                Some(Scale::Categorical) => {
                    Err(format!("{name} is categorical and has no position"))
                }
                None => Err(format!("the schema {} has no axis {name}", schema.id())),
            },
            Op::Sum { tables, terms } => {
                if tables.is_empty() && terms.is_empty() {
                    return Err("a sum needs at least one table or bit".to_owned());
                }
                for (index, table) in tables.iter().enumerate() {
                    check_table(schema, table)?;
                    let before = tables.iter().take(index);
                    if before.clone().any(|other| other.axis == table.axis) {
                        return Err(format!("{} has two tables: add them up", table.axis));
                    }
                }
                self.check_terms(terms, id)
            }
            Op::AtLeast { score, threshold } => {
                if threshold.unsigned_abs() > LARGEST_THRESHOLD {
                    return Err("the threshold is beyond 2^40".to_owned());
                }
                self.score_before(*score, id)
            }
            Op::Valid { score } => self.score_before(*score, id),
            Op::Digit {
                score,
                shift,
                place,
            } => {
                if *shift > MOST_SHIFT || *place > MOST_SHIFT {
                    return Err(format!("a shift or place is beyond {MOST_SHIFT}"));
                }
                self.score_before(*score, id)
            }
            Op::And { bits } | Op::Or { bits } => {
                if !(2..=MOST_BITS).contains(&bits.len()) {
                    return Err(format!(
                        "2 to {MOST_BITS} bits can be joined at once, not {}",
                        bits.len()
                    ));
                }
                self.bits_before(bits, id)
            }
            Op::Not { .. } | Op::Without { .. } | Op::Select { .. } => {
                self.bits_before(&op.inputs(), id)
            }
        }
    }

    fn check_terms(&self, terms: &[BitTerm], id: NodeId) -> Result<(), String> {
        if terms.len() > MOST_TERMS {
            return Err(format!("more than {MOST_TERMS} weighted bits"));
        }
        for (index, term) in terms.iter().enumerate() {
            if term.weight.unsigned_abs() > LARGEST_VALUE {
                return Err(format!("the weight of n{} is beyond 2^20", term.bit));
            }
            if terms.iter().take(index).any(|other| other.bit == term.bit) {
                return Err(format!("n{} has two weights: add them up", term.bit));
            }
        }
        let bits: Vec<NodeId> = terms.iter().map(|term| term.bit).collect();
        self.bits_before(&bits, id)
    }

    fn check_nesting(&self) -> Result<(), ProgramError> {
        let reads = Reads::of(&self.nodes);
        let mut known = Implications::new(&self.nodes, &reads);
        for (id, op) in (0..).zip(&self.nodes) {
            let Op::Without { bit, without } = op else {
                continue;
            };
            let what = if !known.implies(*without, *bit) {
                format!("n{without} may be set without n{bit}: use `and` with `not`")
            } else if !reads.covers(*bit, *without) {
                format!("n{without} may be missing when n{bit} is not: use `and` with `not`")
            } else {
                continue;
            };
            return Err(ProgramError::Node { node: id, what });
        }
        Ok(())
    }

    fn check_row(&self, schema: &Schema, row: &Row) -> Result<(), (String, String)> {
        let whole = |what: &str| ("the row".to_owned(), what.to_owned());
        if row.cells.is_empty() || row.cells.len() > MOST_CELLS || row.totals.len() > MOST_TOTALS {
            return Err(whole(&format!(
                "it needs 1 to {MOST_CELLS} cells and has at most {MOST_TOTALS} totals"
            )));
        }
        if !row
            .edges
            .iter()
            .chain(&row.arm)
            .all(|edge| edge.is_finite())
        {
            return Err(whole("an edge or the arm is no finite number"));
        }
        let nodes = NodeId::try_from(self.nodes.len()).unwrap_or(NodeId::MAX);
        for (index, cell) in row.cells.iter().enumerate() {
            self.bits_before(&[cell.bit], nodes)
                .map_err(|what| (format!("cell {index}"), what))?;
        }
        for (index, total) in row.totals.iter().enumerate() {
            let wrong = |what: String| (format!("total {index}"), what);
            let positive = total.unit.is_finite() && total.unit > 0.0;
            if !positive || !total.about.is_finite() || !matches!(total.power, 1 | 2) {
                return Err(wrong(
                    "its unit must be positive, its zero finite and its power 1 or 2".to_owned(),
                ));
            }
            match &total.what {
                TotalOf::Bits { terms } => {
                    self.check_terms(terms, nodes).map_err(wrong)?;
                    if terms.is_empty() || terms.iter().any(|term| term.weight <= 0) {
                        return Err(wrong("it needs bits with positive weights".to_owned()));
                    }
                }
                TotalOf::Table { table } => {
                    check_table(schema, table).map_err(wrong)?;
                    if table.missing.is_some() || table.values.iter().any(|value| *value < 0) {
                        let what =
                            "its table may hold no negative values and none for missing features";
                        return Err(wrong(what.to_owned()));
                    }
                }
            }
        }
        Ok(())
    }

    fn score_before(&self, score: NodeId, id: NodeId) -> Result<(), String> {
        match self.op(score) {
            Some(op) if op.is_score() && score < id => Ok(()),
            _ => Err(format!("node {score} is no score computed before it")),
        }
    }

    fn bits_before(&self, bits: &[NodeId], id: NodeId) -> Result<(), String> {
        match bits
            .iter()
            .find(|bit| **bit >= id || self.op(**bit).is_none_or(Op::is_score))
        {
            None => Ok(()),
            Some(bit) => Err(format!("node {bit} is no bit computed before it")),
        }
    }
}

fn check_table(schema: &Schema, table: &TableOn) -> Result<(), String> {
    let (axis, got) = (&table.axis, table.values.len());
    let nodes = schema
        .place(axis)
        .ok_or_else(|| format!("the schema {} has no axis or plane {axis}", schema.id()))?
        .nodes;
    if got != nodes {
        return Err(format!("{axis} has {nodes} nodes, the table {got} values"));
    }
    let mut entries = table.values.iter().chain(&table.missing);
    if entries.any(|value| value.unsigned_abs() > LARGEST_VALUE) {
        return Err(format!("a value of {axis} is beyond 2^20"));
    }
    Ok(())
}
