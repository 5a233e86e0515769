//! Equations between slots, and their random combination (docs/spec/admission.md, 4 and 6).

use super::VALUES;
use crate::prf::{Label, Seed};

/// The most slots of a twin.
const MAX_SLOTS: usize = 1 << 16;
/// The most products, pairs, terms or forms in all.
const MAX_TERMS: usize = 1 << 20;

/// Consecutive slots of which any two have the product 0, unless the pair is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// The first slot.
    pub first: usize,
    /// How many slots.
    pub count: usize,
    /// The pairs that may both be nonzero, the lower slot first.
    pub together: Vec<(usize, usize)>,
}

/// A form that is 0: products with coefficients, single slots with coefficients, and a constant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// Two slots and the coefficient of their product.
    pub products: Vec<(usize, usize, i64)>,
    /// A slot and its coefficient.
    pub linear: Vec<(usize, i64)>,
    /// The constant.
    pub constant: i64,
}

/// Rules that name slots beyond the twin, or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A slot beyond the twin, or a pair in the wrong order.
    #[error(
        "the rules name slot {0}, which the twin does not have or which stands in the wrong place"
    )]
    Slot(usize),
    /// Too many slots or terms.
    #[error("a twin's rules have at most {MAX_SLOTS} slots and {MAX_TERMS} terms")]
    TooMany,
}

/// The equations of a schema: what all slots of an admitted twin fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    slots: usize,
    apart: Vec<Apart>,
    forms: Vec<Form>,
}

impl Rules {
    /// Checks that the equations are about a twin's slots.
    ///
    /// # Errors
    /// [`RulesError`] for slots beyond the twin, and above the limits.
    pub fn new(slots: usize, apart: Vec<Apart>, forms: Vec<Form>) -> Result<Self, RulesError> {
        let mut terms = apart.len() + forms.len();
        for block in &apart {
            terms = terms.saturating_add(block.together.len());
            let end = block.first.saturating_add(block.count);
            if end > slots {
                return Err(RulesError::Slot(end));
            }
            let inside = |(a, b): &(usize, usize)| *a >= block.first && a < b && *b < end;
            if let Some((_, b)) = block.together.iter().find(|pair| !inside(pair)) {
                return Err(RulesError::Slot(*b));
            }
        }
        for form in &forms {
            terms = terms
                .saturating_add(form.products.len())
                .saturating_add(form.linear.len());
            let named = form.products.iter().flat_map(|(a, b, _)| [a, b]);
            let named = named.chain(form.linear.iter().map(|(slot, _)| slot));
            if let Some(slot) = named.into_iter().find(|slot| **slot >= slots) {
                return Err(RulesError::Slot(*slot));
            }
        }
        if slots > MAX_SLOTS || terms > MAX_TERMS {
            return Err(RulesError::TooMany);
        }
        Ok(Self {
            slots,
            apart,
            forms,
        })
    }

    /// The number of slots of a twin.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// Draws the coefficients that `label` names: public, so a hash suffices (4.1).
    pub(super) fn coefficients(&self, label: &Label) -> Coefficients<'_> {
        let mut stream =
            Seed::new(*label.hash().as_bytes()).stream(&Label::new("organtwin/coefficients"));
        let mut draw = |count: usize| {
            let mut bytes = vec![0; count * 16];
            stream.fill(&mut bytes);
            let words = bytes.as_chunks::<16>().0.iter();
            words
                .map(|word| u128::from_le_bytes(*word))
                .collect::<Vec<_>>()
        };
        let combinations = std::array::from_fn(|_| Combination {
            forms: draw(self.forms.len()),
            apart: self
                .apart
                .iter()
                .map(|block| (draw(block.count), draw(block.count)))
                .collect(),
        });
        Coefficients {
            rules: self,
            combinations,
        }
    }
}

/// The coefficients of one opened value.
struct Combination {
    forms: Vec<u128>,
    /// For slots i < j of a block, the product has the coefficient r_i * s_j.
    apart: Vec<(Vec<u128>, Vec<u128>)>,
}

/// Random combinations of all equations of a twin.
pub(super) struct Coefficients<'a> {
    rules: &'a Rules,
    combinations: [Combination; VALUES],
}

/// A small coefficient modulo 2^128.
const fn wide(coefficient: i64) -> u128 {
    (coefficient as i128).cast_unsigned()
}

fn at(values: &[u128], slot: usize) -> u128 {
    values.get(slot).copied().unwrap_or(0)
}

impl Coefficients<'_> {
    /// The combined constants.
    pub(super) fn constant(&self) -> [u128; VALUES] {
        self.fold(|form| wide(form.constant))
    }

    /// The combined linear terms of a share.
    pub(super) fn linear(&self, share: &[u128]) -> [u128; VALUES] {
        self.fold(|form| {
            form.linear.iter().fold(0u128, |sum, (slot, coefficient)| {
                sum.wrapping_add(at(share, *slot).wrapping_mul(wide(*coefficient)))
            })
        })
    }

    /// The combined products of two shares, the left factor first.
    pub(super) fn products(&self, left: &[u128], right: &[u128]) -> [u128; VALUES] {
        let mut values = self.fold(|form| {
            form.products
                .iter()
                .fold(0u128, |sum, (a, b, coefficient)| {
                    let product = at(left, *a).wrapping_mul(at(right, *b));
                    sum.wrapping_add(product.wrapping_mul(wide(*coefficient)))
                })
        });
        for (value, combination) in values.iter_mut().zip(&self.combinations) {
            for (block, (r, s)) in self.rules.apart.iter().zip(&combination.apart) {
                *value = value.wrapping_add(apart(block, r, s, left, right));
            }
        }
        values
    }

    fn fold(&self, of: impl Fn(&Form) -> u128) -> [u128; VALUES] {
        let mut values = [0u128; VALUES];
        for (index, form) in self.rules.forms.iter().enumerate() {
            let term = of(form);
            for (value, combination) in values.iter_mut().zip(&self.combinations) {
                let coefficient = at(&combination.forms, index);
                *value = value.wrapping_add(coefficient.wrapping_mul(term));
            }
        }
        values
    }
}

/// The sum of r_i s_j left_i right_j over the pairs i < j of a block that must not meet: the sum over all pairs by
/// running sums, less the listed ones.
fn apart(block: &Apart, r: &[u128], s: &[u128], left: &[u128], right: &[u128]) -> u128 {
    let slots = || block.first..block.first + block.count;
    let scaled = |values: &[u128], by: &[u128]| -> Vec<u128> {
        slots()
            .zip(by)
            .map(|(slot, by)| at(values, slot).wrapping_mul(*by))
            .collect()
    };
    let (left, right) = (scaled(left, r), scaled(right, s));
    let mut before = 0u128;
    let mut sum = 0u128;
    for (l, r) in left.iter().zip(&right) {
        sum = sum.wrapping_add(before.wrapping_mul(*r));
        before = before.wrapping_add(*l);
    }
    for (a, b) in &block.together {
        let product = at(&left, a - block.first).wrapping_mul(at(&right, b - block.first));
        sum = sum.wrapping_sub(product);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_sums_equal_the_double_loop_over_pairs_that_must_not_meet() {
        let block = Apart {
            first: 1,
            count: 6,
            together: vec![(1, 2), (3, 6), (4, 5)],
        };
        let rules = Rules::new(8, vec![block], vec![]).unwrap();
        let coefficients = rules.coefficients(&Label::new("test"));
        let mut stream = Seed::new([1; 32]).stream(&Label::new("values"));
        let mut draw = || {
            (0..rules.slots())
                .map(|_| stream.next_u128())
                .collect::<Vec<_>>()
        };
        let (left, right) = (draw(), draw());
        let block = &rules.apart[0];
        for combination in &coefficients.combinations {
            let (r, s) = &combination.apart[0];
            let mut expected = 0u128;
            for (i, r) in r.iter().enumerate() {
                for (j, s) in s.iter().enumerate().take(block.count).skip(i + 1) {
                    let slots = (block.first + i, block.first + j);
                    if !block.together.contains(&slots) {
                        let coefficient = r.wrapping_mul(*s);
                        let product = left[slots.0].wrapping_mul(right[slots.1]);
                        expected = expected.wrapping_add(coefficient.wrapping_mul(product));
                    }
                }
            }
            assert_eq!(apart(block, r, s, &left, &right), expected);
        }
    }
}
