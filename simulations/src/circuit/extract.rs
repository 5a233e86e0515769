//! A sum cut into digits from its low end, once for everything that is decided on it.
//!
//! Which windows are cut, and in which order, follows from noise: the first one may be wide, since a sum of weights
//! carries almost none; what is cut after it must lie well above the noise of the bootstraps before.

use super::{
    decide::{remove_bit, remove_digit},
    lin::Atom,
};
use crate::machine::{Machine, MachineError, Site, Table};

/// The value bits of the window that is left on top.
const TOP_BITS: u32 = 4;
/// The entries that one rotation looks up at once with a margin as wide as a decision's.
const ENTRIES: usize = 16;

/// A digit of a sum: cut out with two bootstraps, or bit by bit with one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Whole(u32),
    Bits(u32),
}

impl Group {
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::Whole(bits) | Self::Bits(bits) => bits,
        }
    }
}

/// A bit of the sum that is wanted at some scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DigitOut {
    pub(crate) place: u32,
    pub(crate) scale: u64,
    pub(crate) atom: Atom,
}

/// The digits to cut from the low end of a sum of `value_bits` bits until four are left.
pub(crate) fn groups(value_bits: u32) -> Vec<Group> {
    use Group::{Bits, Whole};
    match value_bits {
        ..=4 => vec![],
        5 => vec![Bits(1)],
        6 => vec![Bits(2)],
        7 => vec![Whole(3)],
        8 => vec![Whole(4)],
        9 => vec![Whole(4), Bits(1)],
        10 => vec![Whole(4), Bits(2)],
        11 => vec![Whole(4), Whole(3)],
        12 => vec![Whole(4), Whole(3), Bits(1)],
        _ => vec![Whole(4), Whole(2), Whole(3)],
    }
}

/// The same if single bits are wanted from a place on: above it every bit is cut by itself, where noise allows.
pub(crate) fn groups_with_bits(value_bits: u32, first: u32, also_cuts: bool) -> Vec<Group> {
    use Group::{Bits, Whole};
    let end = value_bits.saturating_sub(TOP_BITS);
    // A bit that is delivered at several scales in one rotation needs more room above the noise.
    let room = if also_cuts { 57 } else { 56 };
    let mut list = Vec::new();
    let mut place = 0;
    while place < end {
        let (left, unwanted) = (end - place, first.saturating_sub(place));
        let unit = 63 - value_bits + place;
        let widest = match (place, unit) {
            (0, _) => 4,
            (_, ..=54) => 2,
            (_, 55) => 3,
            _ => 4,
        };
        let least = if place == 0 { room - 1 } else { room };
        let group = if unwanted >= 3 {
            Whole(unwanted.min(widest).min(left))
        } else if unit >= least {
            let size = if unwanted > 0 { unwanted } else { 4 };
            Bits(size.min(left))
        } else if place == 0 {
            Whole((room - 1).saturating_sub(unit).clamp(2, 4).min(left))
        } else {
            Whole(2.min(left))
        };
        place += group.bits();
        list.push(group);
    }
    list
}

/// The digits of a sum.
pub(crate) struct Digits<W> {
    /// Each at 2^(63 - bits), with its bits.
    pub(crate) low: Vec<(W, u32)>,
    /// What is left, in ONEs: 0 to 15.
    pub(crate) top: W,
}

/// How a sum is cut.
pub(crate) struct Cutting<'g> {
    /// Its unit is 2^(64 - bits).
    pub(crate) bits: u32,
    /// The digits, from the low end.
    pub(crate) groups: &'g [Group],
    /// The largest value that is left on top.
    pub(crate) top: i64,
    /// Whether the digits that are cut bit by bit are read as digits, too.
    pub(crate) digits: bool,
}

/// Cuts a sum and delivers the wanted bits.
pub(crate) fn extract<M: Machine>(
    machine: &M,
    sum: &M::Wire,
    cutting: &Cutting<'_>,
    wanted: &[DigitOut],
    site: Site,
) -> Result<(Digits<M::Wire>, Vec<(Atom, M::Wire)>), MachineError> {
    let mut delivered = Vec::new();
    let mut low = Vec::new();
    let mut top = sum.clone();
    let mut at = 64 - cutting.bits;
    let mut place = 0;
    for group in cutting.groups {
        let size = group.bits();
        match group {
            Group::Whole(_) => {
                let (rest, digit) = remove_digit(machine, &top, at, size, site)?;
                top = rest;
                delivered.extend(deliver(machine, &digit, (place, size), wanted, site)?);
                low.push((digit, size));
            }
            Group::Bits(_) => {
                let mut parts = Vec::new();
                for bit in 0..size {
                    let outs = wanted.iter().filter(|out| out.place == place + bit);
                    let part = cutting.digits.then_some(1_u64 << (63 - size + bit));
                    let scales: Vec<u64> = part
                        .into_iter()
                        .chain(outs.clone().map(|out| out.scale))
                        .collect();
                    let (rest, wires) = remove_bit(machine, &top, at + bit, &scales, site)?;
                    top = rest;
                    let mut wires = wires.into_iter();
                    parts.extend(part.and_then(|_| wires.next()));
                    delivered.extend(outs.map(|out| out.atom).zip(wires));
                }
                let terms: Vec<_> = parts.iter().map(|part| (part, 1)).collect();
                low.push((machine.combine(&terms, 0), size));
            }
        }
        place += size;
        at += size;
    }
    let left = (64 - cutting.top.leading_zeros()).clamp(1, TOP_BITS);
    let window = machine.combine(&[(&top, 1_i64.wrapping_shl(TOP_BITS - left))], 0);
    delivered.extend(deliver(machine, &window, (place, left), wanted, site)?);
    Ok((Digits { low, top }, delivered))
}

/// The wanted bits of a digit at 2^(63 - bits) that begins at a place, as many in one rotation as it has room for.
fn deliver<M: Machine>(
    machine: &M,
    digit: &M::Wire,
    (place, bits): (u32, u32),
    wanted: &[DigitOut],
    site: Site,
) -> Result<Vec<(Atom, M::Wire)>, MachineError> {
    let functions = wanted
        .iter()
        .filter(|out| (place..place + bits).contains(&out.place))
        .map(|out| {
            let bit = |value: u64| (value >> (out.place - place)) & 1;
            let entries = (0..1_u64 << bits).map(|value| bit(value) * out.scale);
            (out.atom, entries.collect())
        })
        .collect();
    look_up(machine, digit, bits, functions, site)
}

/// Functions of one value of `bits` bits at 2^(63 - bits), as many in one rotation as it has room for.
pub(crate) fn look_up<M: Machine, K>(
    machine: &M,
    value: &M::Wire,
    bits: u32,
    functions: Vec<(K, Vec<u64>)>,
    site: Site,
) -> Result<Vec<(K, M::Wire)>, MachineError> {
    let room = (ENTRIES >> bits).max(1);
    let mut all = Vec::with_capacity(functions.len());
    let mut left = functions.into_iter().peekable();
    while left.peek().is_some() {
        let (keys, entries): (Vec<K>, Vec<Vec<u64>>) = left.by_ref().take(room).unzip();
        let wires = machine.bootstrap(value, &Table::many(bits, &entries), site)?;
        all.extend(keys.into_iter().zip(wires));
    }
    Ok(all)
}
