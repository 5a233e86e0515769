//! From shards to the blocks that are opened: add by hospital, compare, gate every row, close what may not be seen.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    ONE, Schedule,
    decide::at_least,
    number::{Number, digits_for, each_left_out, sum},
    schedule::TotalPlan,
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
    /// A base-4 digit of a total, 0 if the row is closed.
    Total {
        row: usize,
        total: usize,
        place: usize,
    },
}

/// Which digits and gate bits lie in which block: the low and the high two bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) blocks: Vec<(Output, Option<Output>)>,
}

impl Layout {
    /// Lays out the rows of a schedule for so many twins.
    pub(crate) fn new(schedule: &Schedule, twins: u64) -> Self {
        let mut blocks = Vec::new();
        let mut left = Vec::new();
        for (row, plan) in schedule.rows.iter().enumerate() {
            let digits = digits_for(twins);
            let cells = (0..plan.cells.len())
                .flat_map(|cell| (0..digits).map(move |place| Output::Digit { row, cell, place }));
            let totals = plan.totals.iter().enumerate().flat_map(|(total, number)| {
                let most = schedule.totals.get(*number).map_or(0, |total| total.most);
                let digits = digits_for(most.saturating_mul(twins));
                (0..digits).map(move |place| Output::Total { row, total, place })
            });
            let mut all = cells.chain(totals);
            if let Some(first) = all.next() {
                blocks.push((first, Some(Output::Gate { row })));
            }
            left.extend(all);
        }
        blocks.extend(
            left.chunks(2)
                .filter_map(|pair| pair.first().map(|low| (*low, pair.get(1).copied()))),
        );
        Self { blocks }
    }
}

/// What the hospitals contribute: their number of twins, and for every shard the numbers of its quantities.
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
    let added: Vec<Added<M::Wire>> = (0..schedule.quantities.len())
        .into_par_iter()
        .map(|quantity| {
            if quantity < schedule.cells {
                add_cell(machine, k, hospitals, quantity)
            } else {
                let total = add_all(machine, schedule, hospitals, quantity)?;
                Ok((total, Vec::new()))
            }
        })
        .collect::<Result<_, _>>()?;
    let twins = hospitals.values().map(|hospital| hospital.twins).sum();
    let totals: Vec<Number<M::Wire>> = schedule
        .totals
        .par_iter()
        .enumerate()
        .map(|(number, total)| add_total(machine, total, &added, twins, number))
        .collect::<Result<_, _>>()?;
    let gates: Vec<Option<M::Wire>> = schedule
        .rows
        .par_iter()
        .enumerate()
        .map(|(row, plan)| {
            let passes: Option<Vec<M::Wire>> = plan
                .cells
                .iter()
                .filter_map(|cell| added.get(*cell))
                .flat_map(|(_, passes)| passes.iter().cloned())
                .collect();
            passes
                .map(|passes| all_of(machine, passes, row))
                .transpose()
        })
        .collect::<Result<_, _>>()?;
    let zero = || machine.combine(&[], 0);
    let digit = |row: usize, number: Option<&Number<M::Wire>>, place: usize, weight: u64| {
        let digit = number.and_then(|number| number.wires().nth(place));
        let (Some(Some(gate)), Some(digit)) = (gates.get(row), digit) else {
            return Ok(zero());
        };
        let both = machine.combine(&[(digit, 1), (gate, 1)], 0);
        // Below 4 the gate is closed.
        let open = Table::lookup(4, |x| x.saturating_sub(4).min(3) * weight);
        machine.lookup(&both, &open, Step::Close.at(row))
    };
    let half = |output: &Output, weight: u64| -> Result<M::Wire, MachineError> {
        match *output {
            // A gate is made at 4 ONE, which is its place in a block.
            Output::Gate { row } => Ok(gates.get(row).cloned().flatten().unwrap_or_else(zero)),
            Output::Digit {
                row,
                cell: index,
                place,
            } => {
                let plan = schedule.rows.get(row);
                let number = plan.and_then(|plan| plan.cells.get(index)).copied();
                let total = number
                    .and_then(|cell| added.get(cell))
                    .map(|(total, _)| total);
                digit(row, total, place, weight)
            }
            Output::Total { row, total, place } => {
                let plan = schedule.rows.get(row);
                let number = plan.and_then(|plan| plan.totals.get(total));
                let total = number.and_then(|number| totals.get(*number));
                digit(row, total, place, weight)
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

/// The sum over all hospitals, and for a cell whether it reaches k without each of them.
type Added<W> = (Number<W>, Vec<Option<W>>);

/// The sum of a quantity over all shards.
fn add_all<M: Machine>(
    machine: &M,
    schedule: &Schedule,
    hospitals: &BTreeMap<u8, Hospital<M::Wire>>,
    quantity: usize,
) -> Result<Number<M::Wire>, MachineError> {
    let twins: u64 = hospitals.values().map(|hospital| hospital.twins).sum();
    let most = schedule.quantities.get(quantity).map_or(0, |quantity| {
        quantity.largest(usize::try_from(twins).unwrap_or(usize::MAX))
    });
    let shards = hospitals
        .values()
        .flat_map(|hospital| &hospital.shards)
        .filter_map(|numbers| numbers.get(quantity).cloned())
        .collect();
    sum(machine, shards, most, Step::Carry.at(quantity))
}

/// A total from the sums of its quantities.
fn add_total<M: Machine>(
    machine: &M,
    total: &TotalPlan,
    added: &[Added<M::Wire>],
    twins: u64,
    number: usize,
) -> Result<Number<M::Wire>, MachineError> {
    let zero = machine.combine(&[], 0);
    let parts = total
        .parts
        .iter()
        .filter_map(|(quantity, place)| Some(added.get(*quantity)?.0.shifted(*place, &zero)))
        .collect();
    let most = total.most.saturating_mul(twins);
    sum(machine, parts, most, Step::Total.at(number))
}

/// The total of a cell, and whether it reaches k without each hospital.
fn add_cell<M: Machine>(
    machine: &M,
    k: u64,
    hospitals: &BTreeMap<u8, Hospital<M::Wire>>,
    cell: usize,
) -> Result<Added<M::Wire>, MachineError> {
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
