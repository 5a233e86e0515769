//! Everything that is decided on one sum.
//!
//! A threshold alone is decided on the sum less the threshold. Several thresholds share the digits of the sum, and the
//! comparison of the low digits as well: the top digit looks up the low digits of *the* threshold that lies in its
//! bucket, so one comparison serves all thresholds in different buckets.

use rayon::prelude::*;

use super::{
    ONE, ONE_LOG,
    decide::{at_least, remove_bit, remove_digit, sign},
    extract::{Cutting, DigitOut, Digits, Group, extract, groups, groups_with_bits, look_up},
    lin::{Atom, Lin, Twin},
};
use crate::{
    machine::{Machine, MachineError, Step, Table},
    program::NodeId,
};

/// A bit at a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) scale: u64,
    pub(crate) atom: Atom,
}

/// A threshold, 1 to the largest sum, and where its bit is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) threshold: i64,
    pub(crate) outputs: Vec<Output>,
}

/// A sum and what is decided on it.
#[derive(Clone, Debug)]
pub(crate) struct SumTask {
    pub(crate) node: NodeId,
    /// The sum, 0 to `largest`, at 2^(64 - bits) per unit. Without `valid` it is negative if anything is missing.
    pub(crate) sum: Lin,
    pub(crate) bits: u32,
    pub(crate) largest: i64,
    /// Whether nothing is missing, in ONEs; then a sum with something missing is any value of the range.
    pub(crate) valid: Option<Lin>,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) digits: Vec<DigitOut>,
    /// Whether the digits are shared, or every threshold is decided by itself.
    pub(crate) shared: bool,
}

/// The narrowest window: a sum of fewer bits is decided as if it had these.
pub(crate) const NARROWEST_SUM: u32 = 5;
/// The widest sum that is decided exactly.
pub(crate) const WIDEST_SUM: u32 = 14;
/// The most thresholds that are counted up and told apart again.
const MOST_COUNTED: usize = 7;

type Bits<M> = Vec<(Atom, <M as Machine>::Wire)>;

impl SumTask {
    /// The digits that are cut off.
    fn groups(&self) -> Vec<Group> {
        match self.digits.iter().map(|digit| digit.place).min() {
            Some(first) => groups_with_bits(self.bits - 1, first, !self.cuts.is_empty()),
            None => groups(self.bits - 1),
        }
    }

    /// Computes the atoms.
    pub(crate) fn run<M: Machine>(
        &self,
        machine: &M,
        twin: &Twin<'_, M::Wire>,
    ) -> Result<Bits<M>, MachineError> {
        let site = Step::Decide.at(self.node as usize);
        let sum = self.sum.wire(machine, twin, site)?;
        let valid = self
            .valid
            .as_ref()
            .map(|valid| valid.wire(machine, twin, site))
            .transpose()?;
        let groups = self.groups();
        if !self.shared {
            let each: Vec<Bits<M>> = self
                .cuts
                .par_iter()
                .map(|cut| self.alone(machine, &sum, valid.as_ref(), &groups, cut))
                .collect::<Result<_, _>>()?;
            return Ok(each.into_iter().flatten().collect());
        }
        let low: u32 = groups.iter().map(|group| group.bits()).sum();
        let cutting = Cutting {
            bits: self.bits,
            groups: &groups,
            top: self.largest >> low,
            digits: !self.cuts.is_empty(),
        };
        let extracting = Step::Extract.at(self.node as usize);
        let (digits, mut bits) = extract(machine, &sum, &cutting, &self.digits, extracting)?;
        let layers = layers(&self.cuts, low);
        let each: Vec<Bits<M>> = layers
            .par_iter()
            .map(|cuts| {
                let layer = Layer {
                    task: self,
                    cuts,
                    low,
                };
                layer.run(machine, &digits, valid.as_ref())
            })
            .collect::<Result<_, _>>()?;
        bits.extend(each.into_iter().flatten());
        Ok(bits)
    }

    fn alone<M: Machine>(
        &self,
        machine: &M,
        sum: &M::Wire,
        valid: Option<&M::Wire>,
        groups: &[Group],
        cut: &Cut,
    ) -> Result<Bits<M>, MachineError> {
        let (extract, decide) = (
            Step::Extract.at(self.node as usize),
            Step::Decide.at(self.node as usize),
        );
        let mut at = 64 - self.bits;
        let less = cut.threshold.cast_unsigned().wrapping_shl(at);
        let mut rest = machine.combine(&[(sum, 1)], less.wrapping_neg());
        for group in groups {
            match group {
                Group::Whole(bits) => {
                    rest = remove_digit(machine, &rest, at, *bits, extract)?.0;
                }
                Group::Bits(bits) => {
                    for bit in 0..*bits {
                        rest = remove_bit(machine, &rest, at + bit, &[], extract)?.0;
                    }
                }
            }
            at += group.bits();
        }
        debug_assert_eq!(at, ONE_LOG);
        let low = at - (64 - self.bits);
        let reach = ((self.largest - cut.threshold) >> low) + 1;
        let (folded, threshold) = fold(valid, reach);
        let terms: Vec<_> = std::iter::once((&rest, 1)).chain(folded).collect();
        cut.outputs
            .iter()
            .map(|output| {
                let wire = at_least(machine, &terms, threshold, output.scale, decide)?;
                Ok((output.atom, wire))
            })
            .collect()
    }
}

/// Adds to a decision that nothing is missing: `reach` is more than it could exceed its threshold by.
fn fold<W>(valid: Option<&W>, reach: i64) -> (Option<(&W, i64)>, i64) {
    match valid {
        Some(valid) => (Some((valid, reach)), reach),
        None => (None, 0),
    }
}

/// Thresholds divided so that no two of a layer lie in the same bucket of the top digit.
fn layers(cuts: &[Cut], low: u32) -> Vec<Vec<&Cut>> {
    let mut sorted: Vec<&Cut> = cuts.iter().collect();
    sorted.sort_by_key(|cut| cut.threshold);
    let mut layers: Vec<Vec<&Cut>> = Vec::new();
    for cut in sorted {
        let bucket = cut.threshold >> low;
        let free = layers.iter_mut().find(|layer| {
            layer
                .last()
                .is_none_or(|last| last.threshold >> low != bucket)
        });
        match free {
            Some(layer) => layer.push(cut),
            None => layers.push(vec![cut]),
        }
    }
    layers
}

/// The outcome of comparing low digits: certain, or a wire.
enum Carry<W> {
    Set,
    Wire(W),
}

/// Thresholds in different buckets of one sum.
struct Layer<'t> {
    task: &'t SumTask,
    cuts: &'t [&'t Cut],
    low: u32,
}

impl Layer<'_> {
    fn run<M: Machine>(
        &self,
        machine: &M,
        digits: &Digits<M::Wire>,
        valid: Option<&M::Wire>,
    ) -> Result<Bits<M>, MachineError> {
        let outputs: usize = self.cuts.iter().map(|cut| cut.outputs.len()).sum();
        if self.counted(outputs, valid.is_some(), digits.low.len()) {
            return self.count(machine, digits, valid);
        }
        let site = Step::Decide.at(self.task.node as usize);
        let carry = self.compare(machine, digits, ONE, false)?;
        let largest = (self.task.largest >> self.low) + 1;
        let mut bits = Vec::with_capacity(outputs);
        for cut in self.cuts {
            let left = self.bucket(cut) + 1;
            let (folded, more) = fold(valid, largest - left + 1);
            let (carried, less) = match &carry {
                Carry::Set => (None, 1),
                Carry::Wire(wire) => (Some((wire, 1)), 0),
            };
            let terms: Vec<_> = std::iter::once((&digits.top, 1))
                .chain(carried)
                .chain(folded)
                .collect();
            for output in &cut.outputs {
                let wire = at_least(machine, &terms, left + more - less, output.scale, site)?;
                bits.push((output.atom, wire));
            }
        }
        Ok(bits)
    }

    /// Whether counting the reached thresholds and telling them apart is cheaper than a decision for each.
    fn counted(&self, outputs: usize, valid: bool, digits: usize) -> bool {
        let cuts = self.cuts.len();
        if cuts > MOST_COUNTED {
            return false;
        }
        let looked_up = if self.constant().is_some() { 0 } else { digits };
        counting(cuts, outputs, valid) + digits < outputs + looked_up
    }

    /// The low digits of the thresholds, if they are all the same.
    fn constant(&self) -> Option<i64> {
        let mask = (1 << self.low) - 1;
        let first = self.cuts.first()?.threshold & mask;
        let same = self.cuts.iter().all(|cut| cut.threshold & mask == first);
        same.then_some(first)
    }

    fn bucket(&self, cut: &Cut) -> i64 {
        cut.threshold >> self.low
    }

    /// [low digits >= those of the threshold in the bucket of the top digit] at a scale. Buckets without a threshold
    /// never reach if `strict`, and do as they please otherwise.
    fn compare<M: Machine>(
        &self,
        machine: &M,
        digits: &Digits<M::Wire>,
        scale: u64,
        strict: bool,
    ) -> Result<Carry<M::Wire>, MachineError> {
        let site = Step::Decide.at(self.task.node as usize);
        let constant = self.constant().filter(|_| !strict);
        let mut carry = Carry::Set;
        let mut place = 0;
        for (index, (digit, bits)) in digits.low.iter().enumerate() {
            let unit = 1_u64 << (63 - bits);
            let next = digits.low.get(index + 1);
            let scale = next.map_or(scale, |(_, bits)| 1 << (63 - bits));
            let here = place;
            let part = |value: i64| (value >> here) & ((1 << bits) - 1);
            // What no digit reaches: all that is above its range in the first place.
            let never = (1_i64 << bits) - i64::from(index > 0);
            let of = |bucket: u64| {
                self.cuts
                    .iter()
                    .find(|cut| self.bucket(cut).cast_unsigned() == bucket)
                    .map_or(never, |cut| part(cut.threshold))
            };
            place += bits;
            let mut shift = unit / 2;
            let looked_up;
            let mut terms = vec![(digit, 1)];
            match constant.map(part) {
                Some(0) if matches!(carry, Carry::Set) => continue,
                Some(part) => {
                    shift = shift.wrapping_sub(unit.wrapping_mul(part.cast_unsigned()));
                }
                None => {
                    let table = Table::lookup(4, |top| of(top).cast_unsigned().wrapping_mul(unit));
                    looked_up = machine.lookup(&digits.top, &table, site)?;
                    terms.push((&looked_up, -1));
                }
            }
            if let Carry::Wire(before) = &carry {
                terms.push((before, 1));
                shift = shift.wrapping_sub(unit);
            }
            carry = Carry::Wire(sign(machine, &terms, shift, unit / 2, scale, site)?);
        }
        Ok(carry)
    }

    /// Counts the thresholds that are reached, and looks every bit up in their number.
    fn count<M: Machine>(
        &self,
        machine: &M,
        digits: &Digits<M::Wire>,
        valid: Option<&M::Wire>,
    ) -> Result<Bits<M>, MachineError> {
        let site = Step::Decide.at(self.task.node as usize);
        let count_bits = bits_of(self.cuts.len());
        let mut index_bits = count_bits + u32::from(valid.is_some());
        let unit = 1_u64 << (63 - index_bits);
        let carry = self.compare(machine, digits, unit, true)?;
        let below = |top: u64| {
            let reached = self.cuts.iter().filter(|cut| {
                let bucket = self.bucket(cut).cast_unsigned();
                bucket < top || (bucket == top && matches!(carry, Carry::Set))
            });
            u64::try_from(reached.count()).unwrap_or(0)
        };
        let below = machine.lookup(
            &digits.top,
            &Table::lookup(4, |top| below(top) * unit),
            site,
        )?;
        // Whether all is present comes on top, worth more than any number.
        let present = valid.map(|valid| (valid, 1 << (62 - ONE_LOG)));
        let carried = match &carry {
            Carry::Set => None,
            Carry::Wire(wire) => Some((wire, 1)),
        };
        let terms: Vec<_> = std::iter::once((&below, 1))
            .chain(carried)
            .chain(present)
            .collect();
        let mut number = machine.combine(&terms, 0);
        let mut base = if valid.is_some() { 1 << count_bits } else { 0 };
        if index_bits > 3 {
            let wider = 1_u64 << (63 - count_bits);
            let present = Table::lookup(index_bits, |index| index.saturating_sub(base) * wider);
            number = machine.lookup(&number, &present, site)?;
            (index_bits, base) = (count_bits, 0);
        }
        let functions = (1..)
            .zip(self.cuts)
            .flat_map(|(order, cut): (u64, _)| {
                cut.outputs.iter().map(move |output| {
                    let reached = |index: u64| u64::from(index >= base + order) * output.scale;
                    (output.atom, (0..1 << index_bits).map(reached).collect())
                })
            })
            .collect();
        look_up(machine, &number, index_bits, functions, site)
    }
}

/// The bootstraps that count some thresholds and look their bits up, without the comparison before.
fn counting(cuts: usize, outputs: usize, valid: bool) -> usize {
    let mut bits = bits_of(cuts) + u32::from(valid);
    let mut cost = 1;
    if bits > 3 {
        (bits, cost) = (bits_of(cuts), 2);
    }
    cost + outputs.div_ceil(16 >> bits)
}

/// The bits of a number up to seven.
fn bits_of(number: usize) -> u32 {
    usize::BITS - number.leading_zeros()
}
