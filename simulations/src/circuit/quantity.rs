//! What a shard adds up, and how its sums are cut into digits.

use rayon::prelude::*;

use super::{
    ONE,
    build::TOTAL_LOG,
    decide::{at_least, remove_digit},
    lin::Twin,
    number::{Number, digits_for},
    schedule::{Quantity, Schedule},
};
use crate::{
    SHARD_TWINS,
    machine::{Machine, MachineError, Site, Step, Table},
};

impl Quantity {
    /// The blocks of a shard's sum.
    pub(crate) fn blocks(&self) -> usize {
        match self {
            Self::Count(_) => 2,
            Self::Linear { .. } => digits_for(self.largest(SHARD_TWINS)),
        }
    }

    /// The most that some twins add up to.
    pub(crate) fn largest(&self, twins: usize) -> u64 {
        let twins = u64::try_from(twins).unwrap_or(u64::MAX);
        match self {
            Self::Count(_) => twins,
            Self::Linear { most, .. } => twins.saturating_mul(*most),
        }
    }

    /// The number in a shard's blocks.
    pub(crate) fn number<W: Clone>(&self, blocks: &[W], twins: usize) -> Number<W> {
        let shape: &[(u64, u32)] = match self {
            Self::Count(_) => &[(3, 1), (7, 2)],
            Self::Linear { .. } => &[(3, 1); 8],
        };
        Number::of_blocks(blocks, shape, self.largest(twins))
    }
}

/// What one twin adds to every quantity.
pub(crate) fn quantity_wires<M: Machine>(
    machine: &M,
    schedule: &Schedule,
    slots: &[M::Wire],
    atoms: &[Option<M::Wire>],
) -> Result<Vec<M::Wire>, MachineError> {
    let twin = Twin { slots, atoms };
    schedule
        .quantities
        .iter()
        .enumerate()
        .map(|(number, quantity)| {
            let (Quantity::Count(form) | Quantity::Linear { form, .. }) = quantity;
            form.wire(machine, &twin, Step::CutCount.at(number))
        })
        .collect()
}

/// Cuts the sums of a shard into the blocks of every quantity.
pub(crate) fn cut_quantities<M: Machine>(
    machine: &M,
    schedule: &Schedule,
    sums: &[M::Wire],
) -> Result<Vec<Vec<M::Wire>>, MachineError> {
    schedule
        .quantities
        .par_iter()
        .zip(sums)
        .enumerate()
        .map(|(number, (quantity, sum))| {
            let site = Step::CutCount.at(number);
            match quantity {
                Quantity::Count(_) => cut_count(machine, sum, site),
                Quantity::Linear { .. } => {
                    let mut blocks = cut_sum(machine, sum, site)?;
                    blocks.truncate(quantity.blocks());
                    Ok(blocks)
                }
            }
        })
        .collect()
}

fn low(value: u64) -> u64 {
    (value % 4) * ONE
}

fn high(value: u64) -> u64 {
    (value / 4) * ONE
}

/// Cuts a count, 0 to 31, into the count modulo 4, and the rest.
fn cut_count<M: Machine>(
    machine: &M,
    count: &M::Wire,
    site: Site,
) -> Result<Vec<M::Wire>, MachineError> {
    // The top bit at 4 ONE: four times that clears it from the count, and it is worth 4 in the upper block.
    let top = at_least(machine, &[(count, 1)], 16, 4 * ONE, site)?;
    let rest = machine.combine(&[(count, 1), (&top, -4)], 0);
    let first = machine.lookup(&rest, &Table::lookup(4, low), site)?;
    let second = machine.lookup(&rest, &Table::lookup(4, high), site)?;
    Ok(vec![first, machine.combine(&[(&second, 1), (&top, 1)], 0)])
}

/// Cuts a sum below 2^11 at 2^52 per unit into six digits in base 4.
fn cut_sum<M: Machine>(
    machine: &M,
    sum: &M::Wire,
    site: Site,
) -> Result<Vec<M::Wire>, MachineError> {
    let (rest, first) = remove_digit(machine, sum, TOTAL_LOG, 4, site)?;
    let (top, second) = remove_digit(machine, &rest, TOTAL_LOG + 4, 4, site)?;
    let mut blocks = Vec::new();
    for digit in [&first, &second] {
        blocks.push(machine.lookup(digit, &Table::lookup(4, low), site)?);
        blocks.push(machine.lookup(digit, &Table::lookup(4, high), site)?);
    }
    let both = [low, high].map(|part| (0..8).map(part).collect::<Vec<u64>>());
    blocks.extend(machine.bootstrap(&top, &Table::many(3, &both), site)?);
    Ok(blocks)
}
