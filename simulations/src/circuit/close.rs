//! From shards to the blocks that are opened: add by hospital, compare, gate every row, close what may not be seen.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    ONE, Schedule,
    decide::at_least,
    number::{Number, digits_for, each_left_out, sum},
};
use crate::machine::{Machine, MachineError, Step, Table};

/// One half of a block that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// 1 if the row is open.
    Gate { row: usize },
    /// A base-4 digit of a cell, 0 if the row is closed.
    Digit {
        row: usize,
        cell: usize,
        place: usize,
    },
}

/// Which digits and gate bits lie in which block: the low and the high two bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) blocks: Vec<(Output, Option<Output>)>,
    pub(crate) digits: usize,
}

impl Layout {
    /// Lays out rows of cells whose counts are at most `twins`.
    pub(crate) fn new(rows: &[Vec<usize>], twins: u64) -> Self {
        let digits = digits_for(twins);
        let mut blocks = Vec::new();
        let mut left = Vec::new();
        for (row, cells) in rows.iter().enumerate() {
            let mut all = (0..cells.len())
                .flat_map(|cell| (0..digits).map(move |place| Output::Digit { row, cell, place }));
            if let Some(first) = all.next() {
                blocks.push((first, Some(Output::Gate { row })));
            }
            left.extend(all);
        }
        blocks.extend(
            left.chunks(2)
                .filter_map(|pair| pair.first().map(|low| (*low, pair.get(1).copied()))),
        );
        Self { blocks, digits }
    }
}

/// What the hospitals contribute: their number of twins, and for every shard the numbers of its cells.
pub(crate) struct Hospital<W> {
    pub(crate) twins: u64,
    pub(crate) shards: Vec<Vec<Number<W>>>,
}

/// Computes the blocks of the layout at `ONE` per unit, four bits each.
pub(crate) fn aggregate<M: Machine>(
    machine: &M,
    schedule: &Schedule,
    layout: &Layout,
    k: u64,
    hospitals: &BTreeMap<u8, Hospital<M::Wire>>,
) -> Result<Vec<M::Wire>, MachineError> {
    type Cell<W> = (Number<W>, Vec<Option<W>>);
    let cells: Vec<Cell<M::Wire>> = (0..schedule.cells.len())
        .into_par_iter()
        .map(|cell| add_cell(machine, k, hospitals, cell))
        .collect::<Result<_, _>>()?;
    let gates: Vec<Option<M::Wire>> = schedule
        .rows
        .par_iter()
        .enumerate()
        .map(|(row, numbers)| {
            let passes: Option<Vec<M::Wire>> = numbers
                .iter()
                .filter_map(|cell| cells.get(*cell))
                .flat_map(|(_, passes)| passes.iter().cloned())
                .collect();
            passes
                .map(|passes| all_of(machine, passes, row))
                .transpose()
        })
        .collect::<Result<_, _>>()?;
    let half = |output: &Output, weight: u64| -> Result<M::Wire, MachineError> {
        match *output {
            Output::Gate { row } => {
                // A gate is made at 4 ONE, which is its place in a block.
                let gate = gates.get(row).cloned().flatten();
                Ok(gate.unwrap_or_else(|| machine.combine(&[], 0)))
            }
            Output::Digit { row, cell, place } => {
                let number = schedule
                    .rows
                    .get(row)
                    .and_then(|cells| cells.get(cell))
                    .copied();
                let digit = number
                    .and_then(|number| cells.get(number))
                    .and_then(|(total, _)| total.wires().nth(place));
                let (Some(Some(gate)), Some(digit)) = (gates.get(row), digit) else {
                    return Ok(machine.combine(&[], 0));
                };
                let both = machine.combine(&[(digit, 1), (gate, 1)], 0);
                // Below 4 the gate is closed.
                let open = Table::lookup(4, |x| x.saturating_sub(4).min(3) * weight);
                machine.lookup(&both, &open, Step::Close.at(row))
            }
        }
    };
    layout
        .blocks
        .par_iter()
        .map(|(low, high)| {
            let low = half(low, ONE)?;
            let Some(high) = high else {
                return Ok(low);
            };
            let high = half(high, 4 * ONE)?;
            Ok(machine.combine(&[(&low, 1), (&high, 1)], 0))
        })
        .collect()
}

/// The total of a cell, and whether it reaches k without each hospital.
fn add_cell<M: Machine>(
    machine: &M,
    k: u64,
    hospitals: &BTreeMap<u8, Hospital<M::Wire>>,
    cell: usize,
) -> Result<(Number<M::Wire>, Vec<Option<M::Wire>>), MachineError> {
    let site = Step::Carry.at(cell);
    let counts: Vec<Number<M::Wire>> = hospitals
        .values()
        .map(|hospital| {
            let shards: Vec<Number<M::Wire>> = hospital
                .shards
                .iter()
                .filter_map(|cells| cells.get(cell).cloned())
                .collect();
            sum(machine, shards, hospital.twins, site)
        })
        .collect::<Result<_, _>>()?;
    let passes = each_left_out(machine, &counts, k, cell)?;
    let twins = hospitals.values().map(|hospital| hospital.twins).sum();
    Ok((sum(machine, counts, twins, site)?, passes))
}

/// [all bits are set] at 4 ONE.
fn all_of<M: Machine>(
    machine: &M,
    bits: Vec<M::Wire>,
    row: usize,
) -> Result<M::Wire, MachineError> {
    let site = Step::Gate.at(row);
    let mut left = bits;
    loop {
        let last = left.len() <= 15;
        let unit = if last { 4 * ONE } else { ONE };
        left = left
            .chunks(15)
            .map(|group| {
                let terms: Vec<_> = group.iter().map(|bit| (bit, 1)).collect();
                let all = i64::try_from(group.len()).unwrap_or(i64::MAX);
                at_least(machine, &terms, all, unit, site)
            })
            .collect::<Result<_, _>>()?;
        if last {
            return left.pop().ok_or(MachineError::Overflow(site));
        }
    }
}
