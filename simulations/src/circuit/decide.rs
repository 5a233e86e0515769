//! Exact decisions on sums of a few bits, and the removal of low digits.

use super::{HALF, ONE};
use crate::machine::{Machine, MachineError, Site, Table};

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
    sign(machine, terms, shift, HALF, unit, site)
}

/// [sum of terms + shift lies in the first half turn] as 0 or `unit`; the sum keeps `margin` away from its edges.
pub(crate) fn sign<M: Machine>(
    machine: &M,
    terms: &[(&M::Wire, i64)],
    shift: u64,
    margin: u64,
    unit: u64,
    site: Site,
) -> Result<M::Wire, MachineError> {
    let centred = machine.combine(terms, shift.wrapping_sub(1 << 62));
    let signed = machine.lookup(&centred, &Table::sign(unit / 2, margin), site)?;
    Ok(machine.combine(&[(&signed, 1)], unit / 2))
}

/// Removes `bits` low bits, the lowest at 2^`low`, with two bootstraps. Returns the sum without them, and the bits
/// alone in a window below a padding bit.
pub(crate) fn remove_digit<M: Machine>(
    machine: &M,
    sum: &M::Wire,
    low: u32,
    bits: u32,
    site: Site,
) -> Result<(M::Wire, M::Wire), MachineError> {
    // A window of bits + 1 at the top of the torus; everything above it drops out.
    let unit = 1_u64 << (63 - bits);
    let window = machine.combine(&[(sum, 1_i64.wrapping_shl(63 - bits - low))], 0);
    let centred = machine.combine(&[(&window, 1)], (unit / 2).wrapping_sub(1 << 62));
    let top = machine.lookup(&centred, &Table::sign(1 << 62, unit / 2), site)?;
    // The top bit is 2^62 - top; subtract it.
    let digit = machine.combine(&[(&window, 1), (&top, 1)], (1_u64 << 62).wrapping_neg());
    let value = machine.lookup(&digit, &Table::lookup(bits, |value| value << low), site)?;
    Ok((machine.combine(&[(sum, 1), (&value, -1)], 0), digit))
}

/// Removes the lowest bit, at 2^`low`, with one bootstrap. Returns the sum without it, and the bit itself at each
/// of the given scales.
pub(crate) fn remove_bit<M: Machine>(
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
