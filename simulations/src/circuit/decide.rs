//! Decisions on one twin, and the count of a shard.
//!
//! Every decision is exact. On one axis, a threshold is a step table: its sum of weights lies in 0..=16, and one
//! bootstrap on a window of five bits without padding decides it. On several axes the sum has up to 12 bits, and
//! low digits are removed until five are left; thresholds on the same sum share the removal.

use rayon::prelude::*;

use super::{
    ONE, ONE_LOG, SHARD_BLOCKS,
    schedule::{CellPlan, Schedule, SumTask, Task},
};
use crate::{
    machine::{Machine, MachineError, Site, Step, Table},
    schema::INPUT_DELTA_LOG,
};

/// Half a [`ONE`]: the distance of a decision from both of its edges.
const HALF: u64 = ONE / 2;

/// A bit with its number in the schedule.
type Bits<M> = Vec<(usize, <M as Machine>::Wire)>;

/// Computes every bit of the schedule on one twin, as 0 or [`ONE`], in the order of their numbers.
pub(crate) fn twin_bits<M: Machine>(
    machine: &M,
    schedule: &Schedule,
    slots: &[M::Wire],
) -> Result<Vec<M::Wire>, MachineError> {
    let parts: Vec<Bits<M>> = schedule
        .tasks
        .par_iter()
        .map(|task| run_task(machine, task, slots))
        .collect::<Result<_, _>>()?;
    let mut bits: Bits<M> = parts.into_iter().flatten().collect();
    bits.sort_by_key(|(bit, _)| *bit);
    Ok(bits.into_iter().map(|(_, wire)| wire).collect())
}

fn run_task<M: Machine>(
    machine: &M,
    task: &Task,
    slots: &[M::Wire],
) -> Result<Bits<M>, MachineError> {
    match task {
        Task::Never { bit } => Ok(vec![(*bit, machine.combine(&[], 0))]),
        Task::Valid { bit, missing } => {
            // `missing` is 0 or 16, so 16 - missing is 0 or 1 at 1/16 of ONE.
            let terms: Vec<_> = slots
                .get(*missing)
                .map(|slot| (slot, -SIXTEENTH))
                .into_iter()
                .collect();
            Ok(vec![(*bit, machine.combine(&terms, ONE))])
        }
        Task::Step {
            bit,
            node,
            first,
            end,
            threshold,
        } => {
            let terms: Vec<_> = slots
                .get(*first..*end)
                .unwrap_or_default()
                .iter()
                .map(|slot| (slot, WHOLE))
                .collect();
            let site = Step::Decide.at(*node as usize);
            Ok(vec![(
                *bit,
                at_least(machine, &terms, i64::from(*threshold), ONE, site)?,
            )])
        }
        Task::Sum(sum) => sum_bits(machine, sum, slots),
    }
}

/// From a weight of 1 at the input's scale to ONE.
const WHOLE: i64 = 1 << (ONE_LOG - INPUT_DELTA_LOG);
/// From a weight of 16 at the input's scale to ONE.
const SIXTEENTH: i64 = WHOLE / 16;

/// [sum of terms >= threshold] as 0 or `unit`: one bootstrap. The sum counts in ONEs and lies within 16 of the
/// threshold: at least threshold - 16, at most threshold + 15.
pub(crate) fn at_least<M: Machine>(
    machine: &M,
    terms: &[(&M::Wire, i64)],
    threshold: i64,
    unit: u64,
    site: Site,
) -> Result<M::Wire, MachineError> {
    let shift = HALF.wrapping_sub(ONE.wrapping_mul(threshold.cast_unsigned()));
    sign(machine, terms, shift, unit, site)
}

/// [sum of terms + shift lies in the first half turn] as 0 or `unit`; the sum keeps HALF away from its edges.
fn sign<M: Machine>(
    machine: &M,
    terms: &[(&M::Wire, i64)],
    shift: u64,
    unit: u64,
    site: Site,
) -> Result<M::Wire, MachineError> {
    let centred = machine.combine(terms, shift.wrapping_sub(1 << 62));
    let signed = machine.lookup(&centred, &Table::sign(unit / 2, HALF), site)?;
    Ok(machine.combine(&[(&signed, 1)], unit / 2))
}

/// Removes `bits` low bits, the lowest at 2^`low`, with two bootstraps. Returns the sum without them, and the bits
/// alone in a window below a padding bit.
fn remove_digit<M: Machine>(
    machine: &M,
    sum: &M::Wire,
    low: u32,
    bits: u32,
    site: Site,
) -> Result<(M::Wire, M::Wire), MachineError> {
    // A window of bits + 1 at the top of the torus; everything above it drops out.
    let unit = 1_u64 << (63 - bits);
    let window = machine.combine(&[(sum, 1 << (63 - bits - low))], 0);
    let centred = machine.combine(&[(&window, 1)], (unit / 2).wrapping_sub(1 << 62));
    let top = machine.lookup(&centred, &Table::sign(1 << 62, unit / 2), site)?;
    // The top bit is 2^62 - top; subtract it.
    let digit = machine.combine(&[(&window, 1), (&top, 1)], (1_u64 << 62).wrapping_neg());
    let value = machine.lookup(&digit, &Table::lookup(bits, |value| value << low), site)?;
    Ok((machine.combine(&[(sum, 1), (&value, -1)], 0), digit))
}

/// Removes the lowest bit, at 2^`low`, with one bootstrap. Returns the sum without it, and the bit itself at each
/// of the given scales.
fn remove_bit<M: Machine>(
    machine: &M,
    sum: &M::Wire,
    low: u32,
    scales: &[u64],
    site: Site,
) -> Result<(M::Wire, Vec<M::Wire>), MachineError> {
    let top = machine.combine(&[(sum, 1_i64.wrapping_shl(63 - low))], 0);
    let halves: Vec<u64> = std::iter::once(1 << low)
        .chain(scales.iter().copied())
        .map(|scale| scale / 2)
        .collect();
    let mut signed = machine
        .bootstrap(&top, &Table::signs(&halves), site)?
        .into_iter();
    let first = signed.next().ok_or(MachineError::OutsideTable(site))?;
    let rest = machine.combine(
        &[(sum, 1), (&first, 1)],
        (1_u64 << (low - 1)).wrapping_neg(),
    );
    let bits = signed
        .zip(scales)
        .map(|(wire, scale)| machine.combine(&[(&wire, -1)], scale / 2))
        .collect();
    Ok((rest, bits))
}

/// The bootstraps that one threshold costs alone.
pub(crate) fn alone(bits: u32) -> usize {
    let mut left = bits.saturating_sub(5);
    let mut cost = 1;
    while left > 0 {
        let (digit, price) = if left > 2 { (left.min(4), 2) } else { (1, 1) };
        left -= digit;
        cost += price;
    }
    cost
}

/// The bootstraps of the shared removal, and the most that each threshold costs after it.
pub(crate) fn together(bits: u32) -> (usize, usize) {
    match bits {
        ..=5 => (0, 1),
        6 => (1, 1),
        7..=9 => (2, 2),
        10 => (3, 2),
        11 => (4, 3),
        _ => (5, 3),
    }
}

pub(crate) fn sum_bits<M: Machine>(
    machine: &M,
    task: &SumTask,
    slots: &[M::Wire],
) -> Result<Bits<M>, MachineError> {
    let scale = task.scale();
    let terms: Vec<_> = task
        .factors
        .iter()
        .filter_map(|(slot, factor)| Some((slots.get(*slot)?, factor * scale)))
        .collect();
    let sum = machine.combine(&terms, 0);
    let (shared, each) = together(task.bits);
    let cuts = task.cuts.len();
    if alone(task.bits) * cuts <= shared + each * cuts {
        return task
            .cuts
            .par_iter()
            .map(|(bit, threshold)| {
                let wire = decide_alone(machine, &sum, task.bits, *threshold, task.node)?;
                Ok((*bit, wire))
            })
            .collect();
    }
    let digits = Digits::remove(machine, &sum, task.bits, task.node)?;
    task.cuts
        .par_iter()
        .map(|(bit, threshold)| Ok((*bit, digits.decide(machine, *threshold)?)))
        .collect()
}

fn decide_alone<M: Machine>(
    machine: &M,
    sum: &M::Wire,
    bits: u32,
    threshold: i64,
    node: u32,
) -> Result<M::Wire, MachineError> {
    let mut low = 64 - bits;
    let constant = threshold.cast_unsigned().wrapping_shl(low).wrapping_neg();
    let mut rest = machine.combine(&[(sum, 1)], constant);
    while low < ONE_LOG {
        let left = ONE_LOG - low;
        let site = Step::Extract.at(node as usize);
        if left > 2 {
            let digit = left.min(4);
            rest = remove_digit(machine, &rest, low, digit, site)?.0;
            low += digit;
        } else {
            rest = remove_bit(machine, &rest, low, &[], site)?.0;
            low += 1;
        }
    }
    at_least(
        machine,
        &[(&rest, 1)],
        0,
        ONE,
        Step::Decide.at(node as usize),
    )
}

/// A sum with its low digits removed and kept, for any number of thresholds.
struct Digits<W> {
    node: u32,
    /// The lowest digit, of `low_bits` below a padding bit.
    low: Option<W>,
    low_bits: u32,
    /// The bit above it at ONE and at 4 ONE, if the lowest digit has four bits and this one belongs to it.
    fifth: Option<(W, W)>,
    /// The bits between, worth 1 and 2 in ONEs.
    middle: Vec<W>,
    /// What is left, in ONEs, signed.
    top: W,
}

impl<W: Clone + Send + Sync> Digits<W> {
    fn remove<M: Machine<Wire = W>>(
        machine: &M,
        sum: &W,
        bits: u32,
        node: u32,
    ) -> Result<Self, MachineError> {
        let site = Step::Extract.at(node as usize);
        let mut low = 64 - bits;
        let mut top = sum.clone();
        let (mut digit, mut fifth, mut middle) = (None, None, Vec::new());
        let low_bits = match bits {
            ..=6 => 0,
            7..=9 => bits - 5,
            _ => 4,
        };
        if low_bits > 0 {
            let (rest, window) = remove_digit(machine, &top, low, low_bits, site)?;
            (top, digit) = (rest, Some(window));
            low += low_bits;
        }
        if bits >= 10 {
            let (rest, scales) = remove_bit(machine, &top, low, &[ONE, 4 * ONE], site)?;
            if let [one, four] = scales.as_slice() {
                fifth = Some((one.clone(), four.clone()));
            }
            top = rest;
            low += 1;
        }
        let mut weight = ONE;
        while low < ONE_LOG {
            let (rest, scales) = remove_bit(machine, &top, low, &[weight], site)?;
            middle.extend(scales);
            top = rest;
            weight *= 2;
            low += 1;
        }
        Ok(Self {
            node,
            low: digit,
            low_bits,
            fifth,
            middle,
            top,
        })
    }

    /// [sum >= threshold], threshold >= 0: the digits are compared from the low end, and each comparison carries
    /// into the next digit.
    fn decide<M: Machine<Wire = W>>(&self, machine: &M, threshold: i64) -> Result<W, MachineError> {
        let site = Step::Decide.at(self.node as usize);
        let low_bits = self.low_bits + u32::from(self.fifth.is_some());
        let (mut left, part) = (threshold >> low_bits, threshold & ((1 << low_bits) - 1));
        let mut carry = None;
        if part > 0 {
            carry = Some(self.low_at_least(machine, part, site)?);
            left += 1;
        }
        let middle = u32::try_from(self.middle.len()).unwrap_or(0);
        if middle > 0 {
            let (above, part) = (left >> middle, left & ((1 << middle) - 1));
            let terms: Vec<_> = self
                .middle
                .iter()
                .chain(&carry)
                .map(|wire| (wire, 1))
                .collect();
            let reached = match (part, &carry) {
                (0, None) => None,
                (0, Some(_)) => Some((1 << middle, above)),
                _ => Some((part, above + 1)),
            };
            left = reached.map_or(above, |(_, above)| above);
            // With one bit and no carry the bit is its own comparison.
            carry = match (reached, self.middle.as_slice(), &carry) {
                (None, ..) => None,
                (Some(_), [bit], None) => Some(bit.clone()),
                (Some((part, _)), ..) => Some(at_least(machine, &terms, part, ONE, site)?),
            };
        }
        let terms: Vec<_> = std::iter::once(&self.top)
            .chain(&carry)
            .map(|wire| (wire, 1))
            .collect();
        at_least(machine, &terms, left, ONE, site)
    }

    /// [low digit >= part] with the fifth bit above it, if there is one, moved so that one window decides.
    fn low_at_least<M: Machine<Wire = W>>(
        &self,
        machine: &M,
        part: i64,
        site: Site,
    ) -> Result<W, MachineError> {
        let Some(low) = &self.low else {
            return Err(MachineError::Overflow(site));
        };
        let Some((one, four)) = &self.fifth else {
            // The digit's unit is 2^(63 - low_bits): scale the comparison to it.
            let unit = 1_u64 << (63 - self.low_bits);
            let shift = (unit / 2).wrapping_sub(unit.wrapping_mul(part.cast_unsigned()));
            return sign(machine, &[(low, 1)], shift, ONE, site);
        };
        let (set, part) = (part >> 4, part & 15);
        if set == 1 && part == 0 {
            return Ok(one.clone());
        }
        // Wanted without the bit: reached as soon as it is set, so it adds exactly the threshold. Wanted with the
        // bit: without it the digit falls short, so its absence takes all that is left below.
        let (weight, threshold) = if set == 0 {
            (part, part)
        } else {
            (16 - part, 16)
        };
        at_least(
            machine,
            &[(low, 1), (one, weight % 4), (four, weight / 4)],
            threshold,
            ONE,
            site,
        )
    }
}

/// Cuts the count of a cell in a shard, 0 to 31, into its blocks: the count modulo 4, and the rest.
pub(crate) fn cut_count<M: Machine>(
    machine: &M,
    cell: usize,
    plan: CellPlan,
    counts: &[M::Wire],
) -> Result<[M::Wire; SHARD_BLOCKS], MachineError> {
    let site = Step::CutCount.at(cell);
    let terms: Vec<_> = counts
        .get(plan.inside)
        .map(|wire| (wire, 1))
        .into_iter()
        .chain(
            plan.outside
                .and_then(|outside| counts.get(outside))
                .map(|wire| (wire, -1)),
        )
        .collect();
    let count = machine.combine(&terms, 0);
    // The top bit at 4 ONE: four times that clears it from the count, and it is worth 4 in the upper block.
    let top = at_least(machine, &[(&count, 1)], 16, 4 * ONE, site)?;
    let rest = machine.combine(&[(&count, 1), (&top, -4)], 0);
    let low = machine.lookup(&rest, &Table::lookup(4, |value| (value % 4) * ONE), site)?;
    let high = machine.lookup(&rest, &Table::lookup(4, |value| (value / 4) * ONE), site)?;
    Ok([low, machine.combine(&[(&high, 1), (&top, 1)], 0)])
}
