//! Products of key bits by masked multiplication: `[xy] = r + open(xy - r)`.

use zeroize::Zeroizing;

use super::KeygenError;
use super::bits::read_elements;
use crate::open::{Group, PieceSeeds, Width};
use crate::party::PieceId;
use crate::prf::Label;

/// Pieces of a key: what a party knows of its bits.
pub(crate) trait Pieces {
    fn piece(&self, piece: PieceId) -> Option<&[u128]>;
}

/// Computes a group's unmasked share of `x_i y_j - r_ij` for some rows of the table; `minus` is the sum of
/// the group's pieces of `r` for these rows.
pub(crate) fn group_products(
    group: &Group,
    minus: &[u128],
    (left, right): (&impl Pieces, &impl Pieces),
    rows: std::ops::Range<usize>,
    row_length: usize,
) -> Result<Vec<u128>, KeygenError> {
    let mut values = vec![0u128; rows.len() * row_length];
    for (a, others) in group.quadratic() {
        let a = left.piece(*a).ok_or(KeygenError::Seeds(*a))?;
        let mut sum = Zeroizing::new(vec![0u128; row_length]);
        for b in others {
            let b = right.piece(*b).ok_or(KeygenError::Seeds(*b))?;
            for (sum, b) in sum.iter_mut().zip(b) {
                *sum = sum.wrapping_add(*b);
            }
        }
        let a = a.iter().skip(rows.start);
        for (row, x) in values.chunks_exact_mut(row_length).zip(a) {
            for (value, y) in row.iter_mut().zip(sum.iter()) {
                *value = value.wrapping_add(x.wrapping_mul(*y));
            }
        }
    }
    for (value, r) in values.iter_mut().zip(minus.iter()) {
        *value = value.wrapping_sub(*r);
    }
    Ok(values)
}

/// Adds the random pieces `r_A` of `pieces` from element `first` on.
pub(crate) fn add_random(
    seeds: &PieceSeeds,
    pieces: &[PieceId],
    width: Width,
    first: usize,
    values: &mut [u128],
) -> Result<(), KeygenError> {
    let mut buffer = Zeroizing::new(vec![0u128; values.len()]);
    for piece in pieces {
        let seed = seeds.get(*piece).ok_or(KeygenError::Seeds(*piece))?;
        read_elements(
            &mut seed.stream(&Label::new("organtwin/random")),
            width,
            first,
            &mut buffer,
        );
        for (value, r) in values.iter_mut().zip(buffer.iter()) {
            *value = value.wrapping_add(*r);
        }
    }
    Ok(())
}
