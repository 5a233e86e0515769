//! How wide a sum is, and which of the exact ways to decide on it costs least.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    build::mismatch,
    extract::{groups, groups_with_bits},
    lin::{Lin, Twin},
    schedule::{Schedule, ScheduleError, Task},
    sum::{NARROWEST_SUM, SumTask, WIDEST_SUM},
};
use crate::{
    machine::{Machine, MachineError, Site, Table},
    program::{BitTerm, NodeId, Op, Program, TableOn},
    schema::{INPUT_DELTA_LOG, Schema, UNIT, UNIT_BITS},
};

/// The tables and bits of a sum in its own unit: 1/16, or 1 if all weights are whole.
pub(crate) struct Shape<'p> {
    tables: &'p [TableOn],
    /// 1 or 16 in sixteenths.
    pub(crate) unit: i64,
    pub(crate) lowest: i64,
    /// The largest value above the lowest, in units.
    pub(crate) largest: i64,
}

impl<'p> Shape<'p> {
    pub(crate) fn of(schema: &Schema, tables: &'p [TableOn], terms: &[BitTerm]) -> Self {
        let whole = tables
            .iter()
            .all(|table| schema.is_categorical(&table.axis));
        let (unit, weight) = if whole { (16, 1) } else { (1, i64::from(UNIT)) };
        let tables_range = |table: &TableOn| table.range();
        let lowest = tables.iter().map(|t| tables_range(t).lowest).sum::<i64>()
            + terms.iter().map(|t| t.weight.min(0)).sum::<i64>();
        let highest = tables.iter().map(|t| tables_range(t).highest).sum::<i64>()
            + terms.iter().map(|t| t.weight.max(0)).sum::<i64>();
        Self {
            tables,
            unit,
            lowest: lowest * weight,
            largest: (highest - lowest) * weight,
        }
    }

    /// What a weighted bit adds, in units.
    pub(crate) fn weight(&self, term: &BitTerm) -> i64 {
        term.weight * i64::from(UNIT) / self.unit
    }

    /// What a table spans, in units.
    fn span(&self, table: &TableOn) -> i64 {
        let range = table.range();
        (range.highest - range.lowest) * i64::from(UNIT) / self.unit
    }

    /// The tables above their lowest entries at 2^(64 - bits) per unit.
    pub(crate) fn tables(&self, schema: &Schema, bits: u32) -> Result<Lin, ScheduleError> {
        let mut sum = Lin::default();
        for table in self.tables {
            let place = schema
                .place(&table.axis)
                .ok_or_else(|| mismatch(schema, format!("no axis or plane {}", table.axis)))?;
            let low = table.range().lowest;
            let entries = table
                .values
                .iter()
                .copied()
                .map(Some)
                .chain([table.missing]);
            for (index, value) in entries.enumerate() {
                if let Some(value) = value.filter(|value| *value != low) {
                    let factor = (value - low) * slot_factor(self.unit, bits);
                    sum.slots.push((place.first + index, factor));
                }
            }
        }
        Ok(sum)
    }

    /// How far below 0 each missing axis takes the sum, so that nothing makes up for it.
    pub(crate) fn penalties(&self, reads: &BTreeSet<String>) -> Vec<(String, i64)> {
        reads
            .iter()
            .map(|axis| {
                let own = self.tables.iter().find(|table| table.axis == *axis);
                let own = own.map_or(0, |table| self.span(table));
                // A missing slot has weight 16, so it takes whole units of the tables.
                let unit = i64::from(UNIT) / self.unit;
                let whole = (self.largest - own).div_euclid(unit) + 1;
                (axis.clone(), whole * unit)
            })
            .collect()
    }

    /// The bits of a sum with penalties: less any threshold it keeps its sign.
    pub(crate) fn bits_with_penalties(&self, penalties: &[(String, i64)]) -> u32 {
        let deepest: i64 = penalties.iter().map(|(_, penalty)| penalty).sum();
        (NARROWEST_SUM..=62)
            .find(|bits| {
                let half = 1_i64 << (bits - 1);
                self.largest < half && self.largest + deepest <= half
            })
            .unwrap_or(63)
    }

    /// The bits of a sum that is never negative; with `valid`, decisions need a little room on top.
    pub(crate) fn bits_plain(&self, valid: bool, first: Option<u32>, cuts: bool) -> u32 {
        (NARROWEST_SUM..=62)
            .find(|bits| {
                let groups = match first {
                    Some(first) => groups_with_bits(bits - 1, first, cuts),
                    None => groups(bits - 1),
                };
                let low: u32 = groups.iter().map(|group| group.bits()).sum();
                let tight = valid && !groups.is_empty() && *bits <= WIDEST_SUM;
                self.largest < 1 << (bits - 1) && (!tight || self.largest >> low <= 14)
            })
            .unwrap_or(63)
    }
}

/// From a slot's weight to one unit of a sum of `bits` bits.
pub(crate) fn slot_factor(unit: i64, bits: u32) -> i64 {
    let input = INPUT_DELTA_LOG + if unit == 1 { 0 } else { UNIT_BITS };
    1_i64
        .checked_shl((64_u32.saturating_sub(bits)).saturating_sub(input))
        .unwrap_or(0)
}

/// Takes the cheapest of some ways that fit, the first of equals.
pub(crate) fn cheapest(
    node: NodeId,
    ways: Vec<(SumTask, usize)>,
    narrowest: u32,
) -> Result<SumTask, ScheduleError> {
    ways.into_iter()
        .filter(|(task, _)| task.bits <= WIDEST_SUM)
        .map(|(task, extra)| (cost(&task) + extra, task))
        .min_by_key(|(cost, _)| *cost)
        .map(|(_, task)| task)
        .ok_or(ScheduleError::SumTooWide {
            node,
            bits: narrowest,
        })
}

impl SumTask {
    /// The same task, shared or not, whichever costs less.
    pub(crate) fn cheaper(self) -> Self {
        let other = Self {
            shared: !self.shared,
            ..self.clone()
        };
        if cost(&other) < cost(&self) {
            other
        } else {
            self
        }
    }
}

impl Schedule {
    /// The bootstraps on one twin.
    pub(crate) fn bootstraps(&self) -> usize {
        let counts = self.levels.iter().flatten().map(|task| match task {
            Task::Window { .. } | Task::Lookup { .. } => 1,
            Task::Sum(sum) => cost(sum),
        });
        counts.sum()
    }
}

/// The bootstraps of a task.
fn cost(task: &SumTask) -> usize {
    let counter = Counter::default();
    let slots = task
        .sum
        .slots
        .iter()
        .chain(task.valid.iter().flat_map(|v| &v.slots));
    let atoms = task
        .sum
        .atoms
        .iter()
        .chain(task.valid.iter().flat_map(|v| &v.atoms));
    let most = |list: &mut dyn Iterator<Item = &(usize, i64)>| list.map(|(i, _)| i + 1).max();
    let slots = vec![(); most(&mut slots.into_iter()).unwrap_or(0)];
    let atoms = vec![Some(()); most(&mut atoms.into_iter()).unwrap_or(0)];
    let twin = Twin {
        slots: &slots,
        atoms: &atoms,
    };
    match task.run(&counter, &twin) {
        Ok(_) => counter.0.into_inner(),
        Err(_) => usize::MAX / 2,
    }
}

/// The machine that only counts.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Machine for Counter {
    type Wire = ();

    fn combine(&self, _terms: &[(&(), i64)], _constant: u64) {}

    fn bootstrap(&self, _input: &(), table: &Table, _site: Site) -> Result<Vec<()>, MachineError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(vec![(); table.outputs().len()])
    }
}

/// A score of a program without bits in it as a linear form: the form, and log2 of the torus scale of one. What is
/// below zero wraps; a twin with something missing gives any value.
pub(crate) fn linear(
    program: &Program,
    schema: &Schema,
    node: NodeId,
) -> Result<Option<(Lin, u32)>, ScheduleError> {
    let position;
    let tables = match program.op(node) {
        Some(Op::Position { axis }) => {
            let nodes = schema.axis(axis).map_or(0, |axis| i64::from(axis.nodes));
            position = [TableOn {
                axis: axis.clone(),
                values: (0..nodes).collect(),
                missing: None,
            }];
            position.as_slice()
        }
        Some(Op::Sum { tables, terms }) if terms.is_empty() => tables.as_slice(),
        _ => return Ok(None),
    };
    let mut shape = Shape::of(schema, tables, &[]);
    // In sixteenths always, as a score is.
    (shape.lowest, shape.largest) = (shape.lowest * shape.unit, shape.largest * shape.unit);
    shape.unit = 1;
    let reach = shape.lowest.unsigned_abs() + shape.largest.unsigned_abs() + 1;
    let bits = (64 - reach.leading_zeros() + 1).max(NARROWEST_SUM);
    if bits > 64 - INPUT_DELTA_LOG {
        return Err(ScheduleError::SumTooWide { node, bits });
    }
    let mut form = shape.tables(schema, bits)?;
    form.constant = shape.lowest.cast_unsigned() << (64 - bits);
    Ok(Some((form, 64 - bits)))
}
