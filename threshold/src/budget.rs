//! How many blocks may be opened over the life of a public key (docs/spec/decryption.md 6).

use serde::Serialize;

use crate::committee::Committee;
use crate::decrypt::flooding_width;
use crate::noise::{NoiseConstants, log2_deviation};

/// Logarithm of the deviation of a squashed block's noise that the flooding is measured against.
pub const SQUASHED_DEVIATION_LOG: f64 = 64.8;

/// Statistical security that a key offers unless its roster asks for another.
pub const STATISTICAL_BITS: u32 = 45;

/// The lowest statistical security that a roster may ask for.
pub const LEAST_STATISTICAL_BITS: u32 = 40;

/// A request would open more blocks than the key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{opened} blocks were opened under this key and {wanted} more exceed its limit of {limit}: make a new key"
)]
pub struct BudgetError {
    /// Blocks opened so far.
    pub opened: u64,
    /// Blocks asked for.
    pub wanted: u64,
    /// Limit over the life of the public key.
    pub limit: u64,
}

/// The limit on opened blocks; it belongs to the public key, not to an epoch or a study.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OpeningBudget {
    bits: u32,
    limit: u64,
    log2_divergence: f64,
}

impl OpeningBudget {
    /// Computes the limit for `bits` of statistical security (decryption.md 6.3).
    #[must_use]
    pub fn new(committee: &Committee, noise: &NoiseConstants, bits: u32) -> Self {
        let log2_divergence = log2_divergence(committee, noise);
        // sqrt(q * chi2 / 2) <= 2^-bits
        let log2_limit = 1.0 - 2.0 * f64::from(bits) - log2_divergence;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded to 0..2^62 first"
        )]
        let limit = libm::floor(libm::exp2(log2_limit.clamp(-1.0, 62.0))) as u64;
        Self {
            bits,
            limit,
            log2_divergence,
        }
    }

    /// Returns the number of blocks that may be opened in all.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the statistical security that holds up to the limit.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// Returns the statistical security after `opened` blocks, in bits: -log2 sqrt(q * chi2 / 2).
    #[must_use]
    pub fn bits_after(&self, opened: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a logarithm is taken")]
        let log2_opened = libm::log2(opened.max(1) as f64);
        (1.0 - log2_opened - self.log2_divergence) / 2.0
    }

    /// Checks that `wanted` more blocks may be opened after `opened`.
    ///
    /// # Errors
    /// [`BudgetError`] when they exceed the limit.
    pub fn check(&self, opened: u64, wanted: u64) -> Result<(), BudgetError> {
        let within = opened
            .checked_add(wanted)
            .is_some_and(|sum| sum <= self.limit);
        within.then_some(()).ok_or(BudgetError {
            opened,
            wanted,
            limit: self.limit,
        })
    }
}

/// log2 of chi2 = 2 (sigma / W)^2 (ln(W / sigma) + 1) (decryption.md 6.2).
fn log2_divergence(committee: &Committee, noise: &NoiseConstants) -> f64 {
    let sigma = log2_deviation(noise.squashed, 128).max(SQUASHED_DEVIATION_LOG);
    #[expect(clippy::cast_precision_loss, reason = "a logarithm is taken")]
    let width = libm::log2(flooding_width(committee) as f64);
    let ratio = sigma - width;
    1.0 + 2.0 * ratio + libm::log2(1.0 - ratio * std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use tfhe::shortint::parameters::v1_8::{
        V1_8_NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as SQUASHING,
        V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as COMPUTE,
    };

    use super::*;
    use crate::committee::Passive;

    fn budget(n: u8, t: u8, terms: usize, bits: u32) -> OpeningBudget {
        let committee = Committee::new(n, t, Passive::Allow).unwrap();
        let noise = NoiseConstants::new(&COMPUTE, &SQUASHING, terms, 1);
        OpeningBudget::new(&committee, &noise, bits)
    }

    #[test]
    fn four_parties_reach_45_bits_for_2_to_the_15_and_40_bits_for_2_to_the_25() {
        let (strict, wide) = (budget(4, 1, 2, 45), budget(4, 1, 2, 40));
        assert!(
            (1 << 15..1 << 16).contains(&strict.limit()),
            "{}",
            strict.limit()
        );
        assert!(
            (1 << 25..1 << 26).contains(&wide.limit()),
            "{}",
            wide.limit()
        );
        assert!((strict.bits_after(1 << 15) - 45.05).abs() < 0.01);
        assert!((strict.bits_after(1 << 25) - 40.05).abs() < 0.01);
    }

    #[test]
    fn more_pieces_allow_fewer_openings() {
        assert!(budget(7, 2, 5, 40).limit() < budget(4, 1, 2, 40).limit());
        assert!(budget(12, 3, 5, 40).limit() > 1 << 10);
    }

    #[test]
    fn the_block_after_the_limit_is_refused() {
        let budget = budget(4, 1, 2, 45);
        let limit = budget.limit();
        assert_eq!(budget.check(limit - 4, 4), Ok(()));
        assert_eq!(
            budget.check(limit - 4, 5),
            Err(BudgetError {
                opened: limit - 4,
                wanted: 5,
                limit
            })
        );
        assert!(budget.check(u64::MAX, 1).is_err());
    }
}
