//! Random bits that nobody knows: open `R^2+R`, take the root, divide.

use zeroize::Zeroizing;

use super::KeygenError;
use crate::open::{Group, PieceSeeds, Width};
use crate::party::PieceId;
use crate::prf::{Label, PrfStream};

/// Fills `out` with elements `first..` of a piece's pseudo-random vector.
pub(crate) fn read_elements(stream: &mut PrfStream, width: Width, first: usize, out: &mut [u128]) {
    let mut bytes = Zeroizing::new(vec![0; out.len() * width.bytes()]);
    stream.seek(first as u64 * width.bytes() as u64);
    stream.fill(&mut bytes);
    for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(width.bytes())) {
        *out = Width::read(bytes);
    }
}

/// Reads elements `first..first+count` of the random piece that `seeds` determine.
pub(crate) fn random(
    seeds: &PieceSeeds,
    piece: PieceId,
    width: Width,
    first: usize,
    count: usize,
) -> Result<Zeroizing<Vec<u128>>, KeygenError> {
    let seed = seeds.get(piece).ok_or(KeygenError::Seeds(piece))?;
    let mut values = Zeroizing::new(vec![0; count]);
    read_elements(
        &mut seed.stream(&Label::new("organtwin/random")),
        width,
        first,
        &mut values,
    );
    Ok(values)
}

/// Computes a group's unmasked share of `R^2+R` for `count` elements of the pieces that `random` returns.
pub(crate) fn group_squares(
    group: &Group,
    count: usize,
    random: impl Fn(PieceId) -> Result<Zeroizing<Vec<u128>>, KeygenError>,
) -> Result<Vec<u128>, KeygenError> {
    let mut values = vec![0u128; count];
    for (left, right) in group.quadratic() {
        let a = random(*left)?;
        let mut sum = Zeroizing::new(vec![0u128; count]);
        for piece in right {
            for (sum, b) in sum.iter_mut().zip(random(*piece)?.iter()) {
                *sum = sum.wrapping_add(*b);
            }
        }
        for ((value, a), b) in values.iter_mut().zip(a.iter()).zip(sum.iter()) {
            *value = value.wrapping_add(a.wrapping_mul(*b));
        }
    }
    for piece in group.linear() {
        for (value, r) in values.iter_mut().zip(random(*piece)?.iter()) {
            *value = value.wrapping_add(*r);
        }
    }
    Ok(values)
}

/// Returns `1/x` modulo `2^128` for odd `x`.
#[must_use]
pub const fn inverse(x: u128) -> u128 {
    // x is its own inverse modulo 8; each step doubles the number of correct bits.
    let mut y = x;
    let mut step = 0;
    while step < 6 {
        y = y.wrapping_mul(2u128.wrapping_sub(x.wrapping_mul(y)));
        step += 1;
    }
    y
}

/// Returns the even root `X` of `X^2+X = w` modulo `2^128`, and `1/(2X+1)`; nothing if `w` is odd.
#[must_use]
pub const fn even_root(w: u128) -> Option<(u128, u128)> {
    if w & 1 == 1 {
        return None;
    }
    // Newton's iteration; 0 is the root modulo 2, and the derivative 2X+1 is a unit.
    let mut x = 0u128;
    let mut step = 0;
    while step < 7 {
        let error = x.wrapping_mul(x).wrapping_add(x).wrapping_sub(w);
        x = x.wrapping_sub(error.wrapping_mul(inverse(x.wrapping_mul(2).wrapping_add(1))));
        step += 1;
    }
    Some((x, inverse(x.wrapping_mul(2).wrapping_add(1))))
}

/// Turns a random piece into a piece of the bits whose squares opened with `roots` (`X` and `u`): `-uR`,
/// plus `uX` on the first piece.
pub(crate) fn bit_pieces(
    random: &mut [u128],
    is_first: bool,
    width: Width,
    roots: &[(u128, u128)],
) {
    for (value, (root, unit)) in random.iter_mut().zip(roots) {
        let minus = unit.wrapping_mul(*value).wrapping_neg();
        *value = width.truncate(if is_first {
            minus.wrapping_add(unit.wrapping_mul(*root))
        } else {
            minus
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_even_root_solves_its_equation_and_odd_values_have_none() {
        for r in [
            0u128,
            1,
            2,
            3,
            12_345,
            u128::MAX,
            1 << 127,
            0x0123_4567_89ab_cdef << 60,
        ] {
            let w = r.wrapping_mul(r).wrapping_add(r);
            let (x, u) = even_root(w).unwrap();
            assert_eq!(x & 1, 0);
            assert_eq!(x.wrapping_mul(x).wrapping_add(x), w);
            assert!(u.wrapping_mul(x.wrapping_sub(r)) <= 1);
        }
        assert_eq!(even_root(3), None);
    }
}
