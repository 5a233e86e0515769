//! The clear evaluator: the exact integers on weights in the clear, with the same blocks as the encrypted one.
//!
//! It follows the meaning of a program, not the circuit: scores, bits, counts, totals, and the rule of the gate.

use std::collections::BTreeMap;

use crate::{
    Plan, Schema, Weights,
    circuit::Output,
    program::{Cell, NodeId, Op, Program, TableOn, Total, TotalOf, range_of},
    schema::UNIT,
};

/// The counts of the distinct cells over some twins of one hospital, and the sums of the distinct totals after them.
pub type Counts = Vec<u64>;

/// Counts the cells and adds up the totals of a plan over twins in the clear.
#[must_use]
pub fn evaluate<'t>(plan: &Plan, twins: impl IntoIterator<Item = &'t Weights>) -> Counts {
    // What is the same for the circuit stands for the first place in the rows where it occurs.
    let rows = || plan.program.rows().iter().zip(&plan.schedule.rows);
    let cells: Vec<&Cell> = (0..plan.schedule.cells)
        .filter_map(|number| {
            let mut all = rows().flat_map(|(row, plan)| row.cells.iter().zip(&plan.cells));
            all.find(|(_, n)| **n == number).map(|(cell, _)| cell)
        })
        .collect();
    let totals: Vec<&Total> = (0..plan.schedule.totals.len())
        .filter_map(|number| {
            let mut all = rows().flat_map(|(row, plan)| row.totals.iter().zip(&plan.totals));
            all.find(|(_, n)| **n == number).map(|(total, _)| total)
        })
        .collect();
    let mut counts = vec![0; cells.len() + totals.len()];
    for twin in twins {
        let nodes = nodes(&plan.program, &plan.schema, twin);
        let cells = cells.iter().map(|cell| u64::from(nodes.is_set(cell.bit)));
        let totals = totals.iter().map(|total| match &total.what {
            TotalOf::Bits { terms } => terms
                .iter()
                .filter(|term| nodes.is_set(term.bit))
                .map(|term| term.weight.unsigned_abs())
                .sum(),
            TotalOf::Table { table } => {
                let value = table_at(&plan.schema, table, twin).unwrap_or(0);
                value.max(0).unsigned_abs()
            }
        });
        for (count, more) in counts.iter_mut().zip(cells.chain(totals)) {
            *count += more;
        }
    }
    counts
}

/// Applies the gates to the hospitals' counts and lays the result out in blocks of four bits.
#[must_use]
pub fn finish(plan: &Plan, hospitals: &BTreeMap<u8, Counts>) -> Vec<u8> {
    let of = |counts: &Counts, number: usize| counts.get(number).copied().unwrap_or(0);
    let total = |number: usize| {
        hospitals
            .values()
            .map(|counts| of(counts, number))
            .sum::<u64>()
    };
    let k = u64::from(plan.program.k());
    // A hospital without twins in the study is part of the plan and is left out like any other.
    let passes = |cell: usize| {
        plan.hospitals.keys().all(|hospital| {
            total(cell) - hospitals.get(hospital).map_or(0, |counts| of(counts, cell)) >= k
        })
    };
    let rows = &plan.schedule.rows;
    let open: Vec<bool> = rows
        .iter()
        .map(|row| row.cells.iter().all(|cell| passes(*cell)))
        .collect();
    let digit = |row: usize, number: Option<usize>, place: usize| match number {
        Some(number) if open.get(row) == Some(&true) => {
            u8::try_from((total(number) >> (2 * place)) & 3).unwrap_or(0)
        }
        _ => 0,
    };
    let half = |output: &Output| -> u8 {
        match *output {
            Output::Gate { row } => u8::from(open.get(row).copied().unwrap_or(false)),
            Output::Digit { row, cell, place } => {
                let number = rows.get(row).and_then(|plan| plan.cells.get(cell));
                digit(row, number.copied(), place)
            }
            Output::Total {
                row,
                total: index,
                place,
            } => {
                let number = rows.get(row).and_then(|plan| plan.totals.get(index));
                digit(row, number.map(|n| plan.schedule.cells + n), place)
            }
        }
    };
    plan.layout
        .blocks
        .iter()
        .map(|(low, high)| half(low) + 4 * high.as_ref().map_or(0, half))
        .collect()
}

/// Evaluates every hospital's twins and finishes: the blocks that the consortium would open.
#[must_use]
pub fn run(plan: &Plan, hospitals: &BTreeMap<u8, Vec<Weights>>) -> Vec<u8> {
    let counts = hospitals
        .iter()
        .map(|(hospital, twins)| (*hospital, evaluate(plan, twins)))
        .collect();
    finish(plan, &counts)
}

/// What one node is on one twin; `None` if it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Score(Option<i64>),
    Bit(Option<bool>),
}

/// All nodes of a program on one twin.
#[derive(Clone, Debug)]
pub struct Evaluated(Vec<Value>);

impl Evaluated {
    /// A score; `None` if it is missing or the node is no score.
    #[must_use]
    pub fn score(&self, node: NodeId) -> Option<i64> {
        match self.value(node)? {
            Value::Score(score) => score,
            Value::Bit(_) => None,
        }
    }

    /// A bit; `None` if it is missing or the node is no bit.
    #[must_use]
    pub fn bit(&self, node: NodeId) -> Option<bool> {
        match self.value(node)? {
            Value::Bit(bit) => bit,
            Value::Score(_) => None,
        }
    }

    /// Whether a bit is set; a missing one is not.
    #[must_use]
    pub fn is_set(&self, node: NodeId) -> bool {
        self.bit(node) == Some(true)
    }

    fn value(&self, node: NodeId) -> Option<Value> {
        self.0.get(usize::try_from(node).ok()?).copied()
    }
}

/// A score on one twin; `None` if it is missing or the node is no score.
#[must_use]
pub fn score(program: &Program, node: NodeId, schema: &Schema, twin: &Weights) -> Option<i64> {
    nodes(program, schema, twin).score(node)
}

/// A bit on one twin; `None` if it is missing or the node is no bit.
#[must_use]
pub fn bit(program: &Program, node: NodeId, schema: &Schema, twin: &Weights) -> Option<bool> {
    nodes(program, schema, twin).bit(node)
}

/// Evaluates every node of a program on one twin.
#[must_use]
pub fn nodes(program: &Program, schema: &Schema, twin: &Weights) -> Evaluated {
    let mut all = Evaluated(Vec::with_capacity(program.nodes().len()));
    for (id, op) in (0..).zip(program.nodes()) {
        let value = node(program, schema, twin, &all, id, op);
        all.0.push(value);
    }
    all
}

fn node(
    program: &Program,
    schema: &Schema,
    twin: &Weights,
    before: &Evaluated,
    id: NodeId,
    op: &Op,
) -> Value {
    let many = |bits: &[NodeId]| -> Option<Vec<bool>> {
        bits.iter().map(|bit| before.bit(*bit)).collect()
    };
    match op {
        Op::Position { axis } => {
            // Node numbers times weights: 16 times the node plus the fraction.
            let values = (0..schema.axis(axis).map_or(0, |axis| i64::from(axis.nodes))).collect();
            let axis = axis.clone();
            let table = TableOn {
                axis,
                values,
                missing: None,
            };
            Value::Score(table_at(schema, &table, twin))
        }
        Op::Sum { tables, terms } => {
            let tables: Option<i64> = tables
                .iter()
                .map(|table| table_at(schema, table, twin))
                .sum();
            let bits: Option<i64> = terms
                .iter()
                .map(|term| {
                    let set = before.bit(term.bit)?;
                    Some(i64::from(set) * term.weight * i64::from(UNIT))
                })
                .sum();
            Value::Score(tables.zip(bits).map(|(tables, bits)| tables + bits))
        }
        Op::AtLeast { score, threshold } => {
            Value::Bit(before.score(*score).map(|score| score >= *threshold))
        }
        Op::Valid { score } => Value::Bit(before.score(*score).map(|_| true)),
        Op::Not { bit } => Value::Bit(before.bit(*bit).map(|bit| !bit)),
        Op::Without { bit, without } => {
            Value::Bit(many(&[*bit, *without]).map(|bits| bits == [true, false]))
        }
        Op::And { bits } => Value::Bit(many(bits).map(|bits| bits.into_iter().all(|bit| bit))),
        Op::Or { bits } => Value::Bit(many(bits).map(|bits| bits.into_iter().any(|bit| bit))),
        Op::Select {
            condition,
            then,
            otherwise,
        } => Value::Bit(
            many(&[*condition, *then, *otherwise])
                .map(|bits| matches!(bits.as_slice(), [true, true, _] | [false, _, true])),
        ),
        Op::Digit {
            score,
            shift,
            place,
        } => {
            debug_assert!(*score < id);
            let lowest = range_of(program, schema, *score).map_or(0, |range| range.lowest);
            let bit = |score: i64| (score - lowest) >> shift >> place & 1 == 1;
            Value::Bit(before.score(*score).map(bit))
        }
    }
}

/// A table at the twin's values, in 1/16 of the table's unit; `None` if a feature is missing and the table states no
/// value for that.
#[must_use]
pub fn table_at(schema: &Schema, table: &TableOn, twin: &Weights) -> Option<i64> {
    let place = schema.place(&table.axis)?;
    if twin.get(place.missing()) == UNIT {
        return table.missing.map(|value| value * i64::from(UNIT));
    }
    Some(
        table
            .values
            .iter()
            .enumerate()
            .map(|(node, value)| value * i64::from(twin.get(place.first + node)))
            .sum(),
    )
}
