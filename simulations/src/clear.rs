//! The clear evaluator: the exact integers on weights in the clear, with the same blocks as the encrypted one.
//!
//! It follows the meaning of a program, not the circuit: positions, sums, counts, and the rule of the gate.

use std::collections::BTreeMap;

use crate::{
    Plan, Weights,
    circuit::Output,
    program::{NodeId, Op, Program},
    schema::{Schema, UNIT},
};

/// The counts of the distinct cells over some twins of one hospital.
pub type Counts = Vec<u64>;

/// Counts the cells of a plan over twins in the clear.
#[must_use]
pub fn evaluate<'t>(plan: &Plan, twins: impl IntoIterator<Item = &'t Weights>) -> Counts {
    // A distinct cell stands for the first place in the rows where it occurs.
    let cells: Vec<_> = (0..plan.cells())
        .filter_map(|number| {
            plan.program
                .rows()
                .iter()
                .zip(&plan.schedule.rows)
                .find_map(|(row, numbers)| {
                    row.cells
                        .iter()
                        .zip(numbers)
                        .find(|(_, n)| **n == number)
                        .map(|(cell, _)| cell)
                })
        })
        .collect();
    let mut counts = vec![0; cells.len()];
    for twin in twins {
        let bits = bits(&plan.program, &plan.schema, twin);
        let set = |id: NodeId| bits.get(&id).copied().unwrap_or(false);
        for (count, cell) in counts.iter_mut().zip(&cells) {
            *count += u64::from(set(cell.inside) && !cell.outside.is_some_and(set));
        }
    }
    counts
}

/// Applies the gates to the hospitals' counts and lays the result out in blocks of four bits.
#[must_use]
pub fn finish(plan: &Plan, hospitals: &BTreeMap<u8, Counts>) -> Vec<u8> {
    let of = |counts: &Counts, cell: usize| counts.get(cell).copied().unwrap_or(0);
    let total = |cell: usize| {
        hospitals
            .values()
            .map(|counts| of(counts, cell))
            .sum::<u64>()
    };
    let k = u64::from(plan.program.k());
    // A hospital without twins in the study is part of the plan and is left out like any other.
    let passes = |cell: usize| {
        plan.hospitals.keys().all(|hospital| {
            total(cell) - hospitals.get(hospital).map_or(0, |counts| of(counts, cell)) >= k
        })
    };
    let open: Vec<bool> = plan
        .schedule
        .rows
        .iter()
        .map(|cells| cells.iter().all(|cell| passes(*cell)))
        .collect();
    let half = |output: &Output| -> u8 {
        match *output {
            Output::Gate { row } => u8::from(open.get(row).copied().unwrap_or(false)),
            Output::Digit { row, cell, place } => {
                let number = plan
                    .schedule
                    .rows
                    .get(row)
                    .and_then(|cells| cells.get(cell));
                let value = match number {
                    Some(number) if open.get(row) == Some(&true) => total(*number),
                    _ => 0,
                };
                u8::try_from((value >> (2 * place)) & 3).unwrap_or(0)
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

/// The bits of a program on one twin, by node.
fn bits(program: &Program, schema: &Schema, twin: &Weights) -> BTreeMap<NodeId, bool> {
    let scores: BTreeMap<NodeId, Option<i64>> = (0..)
        .zip(program.nodes())
        .filter_map(|(id, op)| match op {
            Op::Position { axis } => {
                // Node numbers times weights: 16 times the node plus the fraction.
                let nodes: Vec<i64> =
                    (0..schema.axis(axis).map_or(0, |axis| i64::from(axis.nodes))).collect();
                Some((id, interpolate(schema, axis, &nodes, twin)))
            }
            Op::Sum { tables } => Some((
                id,
                tables
                    .iter()
                    .map(|table| interpolate(schema, &table.axis, &table.values, twin))
                    .sum(),
            )),
            Op::AtLeast { .. } | Op::Valid { .. } => None,
        })
        .collect();
    let score = |id: &NodeId| scores.get(id).copied().flatten();
    (0..)
        .zip(program.nodes())
        .filter_map(|(id, op)| match op {
            Op::AtLeast {
                score: of,
                threshold,
            } => Some((id, score(of).is_some_and(|value| value >= *threshold))),
            Op::Valid { score: of } => Some((id, score(of).is_some())),
            Op::Position { .. } | Op::Sum { .. } => None,
        })
        .collect()
}

/// A table at the twin's value, in 1/16 of the table's unit; `None` if the value is missing.
#[must_use]
pub fn interpolate(schema: &Schema, axis: &str, values: &[i64], twin: &Weights) -> Option<i64> {
    let place = schema.place(axis)?;
    if twin.get(place.missing()) == UNIT {
        return None;
    }
    Some(
        values
            .iter()
            .enumerate()
            .map(|(node, value)| value * i64::from(twin.get(place.first + node)))
            .sum(),
    )
}
