//! Scheduling: from a program to the distinct decisions and cells, each computed once.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    program::{NodeId, Op, Program, TableOn},
    schema::{INPUT_DELTA_LOG, Place, Schema, UNIT},
};

/// The widest sum that is decided exactly.
pub(crate) const WIDEST_SUM: u32 = 12;
/// The narrowest: below, the sum is decided as if it had five bits.
const NARROWEST_SUM: u32 = 5;

/// A program that cannot be scheduled on the twins of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// A node or cell that the program's own check lets through only when the schema differs.
    #[error("the program does not belong to the schema {schema}: {what}")]
    Mismatch {
        /// The schema.
        schema: String,
        /// What does not fit.
        what: String,
    },
    /// An operation that has no circuit.
    #[error("node n{node} has no circuit: {what}")]
    NoCircuit {
        /// The node.
        node: NodeId,
        /// What cannot be computed.
        what: String,
    },
    /// A sum with too many values.
    #[error("sum n{node} needs {bits} bits, at most {most} can be decided exactly: use coarser tables", most = WIDEST_SUM)]
    SumTooWide {
        /// The node.
        node: NodeId,
        /// The bits that it needs.
        bits: u32,
    },
}

/// A cell: how often one bit is set, less how often a narrower one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CellPlan {
    pub(crate) inside: usize,
    pub(crate) outside: Option<usize>,
}

/// A sum over several axes and the cuts on it.
#[derive(Clone, Debug)]
pub(crate) struct SumTask {
    pub(crate) node: NodeId,
    /// Slots and integer factors; any missing axis makes the sum negative, otherwise it is at least 0.
    pub(crate) factors: Vec<(usize, i64)>,
    /// The sum fits this many bits with its sign.
    pub(crate) bits: u32,
    /// Bits and their thresholds, 0 to the largest sum.
    pub(crate) cuts: Vec<(usize, i64)>,
}

/// Something to compute on every twin; its bits are numbered in [`Schedule::bits`].
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// The bit is never set.
    Never { bit: usize },
    /// The bit is set unless the axis is missing.
    Valid { bit: usize, missing: usize },
    /// The bit is set if the weights of the slots sum to the threshold, 1 to 16.
    Step {
        bit: usize,
        node: NodeId,
        first: usize,
        end: usize,
        threshold: u32,
    },
    /// Several bits from one sum.
    Sum(SumTask),
}

/// The distinct decisions, the distinct cells, and the rows by their cells.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) tasks: Vec<Task>,
    pub(crate) cells: Vec<CellPlan>,
    pub(crate) rows: Vec<Vec<usize>>,
}

/// What a score can be: its values when present.
struct Score {
    last: i64,
    offset: i64,
}

impl Schedule {
    pub(crate) fn new(program: &Program, schema: &Schema) -> Result<Self, ScheduleError> {
        let mismatch = |what: String| ScheduleError::Mismatch {
            schema: schema.id().to_owned(),
            what,
        };
        let mut bits: BTreeMap<(NodeId, i64), usize> = BTreeMap::new();
        let mut cells: Vec<CellPlan> = Vec::new();
        let mut rows = Vec::new();
        for row in program.rows() {
            let mut numbers = Vec::new();
            for cell in &row.cells {
                let mut number = |id: NodeId| -> Result<usize, ScheduleError> {
                    let (score, threshold) = bit_of(program, id)?;
                    let range = score_range(program, schema, score).map_err(mismatch)?;
                    let threshold = threshold.saturating_sub(range.offset);
                    let key = (score, threshold.clamp(0, range.last.saturating_add(1)));
                    let next = bits.len();
                    Ok(*bits.entry(key).or_insert(next))
                };
                let (inside, outside) = match program.op(cell.bit) {
                    Some(Op::Without { bit, without }) => (*bit, Some(*without)),
                    _ => (cell.bit, None),
                };
                let inside = number(inside)?;
                let outside = outside.map(&mut number).transpose()?;
                let cell = CellPlan { inside, outside };
                let index = cells
                    .iter()
                    .position(|known| *known == cell)
                    .unwrap_or_else(|| {
                        cells.push(cell);
                        cells.len() - 1
                    });
                numbers.push(index);
            }
            rows.push(numbers);
        }
        let tasks = tasks(program, schema, &bits)?;
        Ok(Self { tasks, cells, rows })
    }
}

/// The score of a bit and its threshold; the smallest integer stands for "not missing".
fn bit_of(program: &Program, id: NodeId) -> Result<(NodeId, i64), ScheduleError> {
    match program.op(id) {
        Some(Op::AtLeast { score, threshold }) => Ok((*score, *threshold)),
        Some(Op::Valid { score }) => Ok((*score, i64::MIN)),
        other => Err(ScheduleError::NoCircuit {
            node: id,
            what: other.map_or_else(String::new, ToString::to_string),
        }),
    }
}

fn score_range(program: &Program, schema: &Schema, score: NodeId) -> Result<Score, String> {
    match program.op(score) {
        Some(Op::Position { axis }) => {
            let axis = schema.axis(axis).ok_or_else(|| format!("no axis {axis}"))?;
            Ok(Score {
                last: i64::from(axis.last_position()),
                offset: 0,
            })
        }
        Some(Op::Sum { tables, .. }) => Ok(Score {
            last: tables
                .iter()
                .map(|t| (highest(t) - lowest(t)) * i64::from(UNIT))
                .sum(),
            offset: tables.iter().map(|t| lowest(t) * i64::from(UNIT)).sum(),
        }),
        _ => Err(format!("n{score} is no score")),
    }
}

fn lowest(table: &TableOn) -> i64 {
    table.values.iter().copied().min().unwrap_or(0)
}

fn highest(table: &TableOn) -> i64 {
    table.values.iter().copied().max().unwrap_or(0)
}

fn tasks(
    program: &Program,
    schema: &Schema,
    bits: &BTreeMap<(NodeId, i64), usize>,
) -> Result<Vec<Task>, ScheduleError> {
    let mismatch = |what: String| ScheduleError::Mismatch {
        schema: schema.id().to_owned(),
        what,
    };
    let place = |name: &str| {
        schema
            .place(name)
            .ok_or_else(|| mismatch(format!("no axis {name}")))
    };
    let mut tasks = Vec::new();
    let mut sums: BTreeMap<NodeId, Vec<(usize, i64)>> = BTreeMap::new();
    for ((score, threshold), bit) in bits {
        let (score, threshold, bit) = (*score, *threshold, *bit);
        if threshold > score_range(program, schema, score).map_err(mismatch)?.last {
            tasks.push(Task::Never { bit });
            continue;
        }
        match program.op(score) {
            Some(Op::Position { axis }) => tasks.push(step(place(axis)?, score, threshold, bit)),
            _ => sums.entry(score).or_default().push((bit, threshold)),
        }
    }
    for (node, cuts) in sums {
        if let Some(Op::Sum { tables, .. }) = program.op(node) {
            let places = tables
                .iter()
                .map(|table| place(&table.axis))
                .collect::<Result<Vec<_>, _>>()?;
            tasks.push(Task::Sum(sum_task(node, tables, &places, cuts)?));
        }
    }
    Ok(tasks)
}

/// [position >= threshold]: the nodes above the one before the threshold get weight 1, the others 0.
fn step(place: Place, node: NodeId, threshold: i64, bit: usize) -> Task {
    let Some(below) = usize::try_from(threshold)
        .ok()
        .and_then(|t| t.checked_sub(1))
    else {
        return Task::Valid {
            bit,
            missing: place.missing(),
        };
    };
    let unit = UNIT as usize;
    Task::Step {
        bit,
        node,
        first: place.first + below / unit + 1,
        end: place.first + place.nodes,
        threshold: u32::try_from(below % unit).unwrap_or(0) + 1,
    }
}

fn sum_task(
    node: NodeId,
    tables: &[TableOn],
    places: &[Place],
    cuts: Vec<(usize, i64)>,
) -> Result<SumTask, ScheduleError> {
    let total: i64 = tables
        .iter()
        .map(|table| highest(table) - lowest(table))
        .sum();
    let mut factors = Vec::new();
    let mut deepest = 0_i64;
    for (table, place) in tables.iter().zip(places) {
        let low = lowest(table);
        for (index, value) in table.values.iter().enumerate() {
            if *value != low {
                factors.push((place.first + index, value - low));
            }
        }
        // One missing axis outweighs all others at their highest.
        let missing = -(total - (highest(table) - low)) - 1;
        factors.push((place.missing(), missing));
        deepest += missing;
    }
    let unit = i64::from(UNIT);
    let bits = (NARROWEST_SUM..=40)
        .find(|bits| {
            // The sum less any threshold, 0 to the largest sum, keeps its sign.
            let half = 1_i64 << (bits - 1);
            total * unit < half && (total - deepest) * unit <= half
        })
        .unwrap_or(41);
    if bits > WIDEST_SUM {
        return Err(ScheduleError::SumTooWide { node, bits });
    }
    Ok(SumTask {
        node,
        factors,
        bits,
        cuts,
    })
}

impl SumTask {
    /// The factor from a weight at the input's scale to one unit of the sum at its own.
    pub(crate) fn scale(&self) -> i64 {
        1 << (64 - self.bits - INPUT_DELTA_LOG)
    }
}
