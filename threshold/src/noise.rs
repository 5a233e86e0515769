//! Noise of the parameters in use, from the library's formulas, and the failure probability that
//! follows (docs/spec/decryption.md 6).

use serde::Serialize;
use tfhe::core_crypto::prelude::DynamicDistribution;
use tfhe::shortint::ClassicPBSParameters;
use tfhe::shortint::parameters::noise_squashing::NoiseSquashingParameters;

/// Bits of a double's mantissa in the 64-bit FFT.
const MANTISSA_64: f64 = 53.0;

/// Effective bits of the double-double mantissa in the 128-bit FFT, on the cautious side.
const MANTISSA_128: f64 = 104.0;

/// Variances in units of the torus (1 is the whole modulus), with the key's noise terms counted.
///
/// The keyswitching key has one exact TUniform term per row, the bootstrapping keys one per group of
/// the linear family, an input slot one per live group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NoiseConstants {
    /// Noise terms in a row of the bootstrapping keys.
    pub key_terms: usize,
    /// Noise terms in a fresh input slot.
    pub input_terms: usize,
    /// What a keyswitch adds.
    pub keyswitch: f64,
    /// What the centred modulus switch adds.
    pub modulus_switch: f64,
    /// What a bootstrap's output has: noise level 1.
    pub bootstrap: f64,
    /// What a fresh input slot has.
    pub input: f64,
    /// What a squashed block has, in units of the 128-bit torus.
    pub squashed: f64,
}

/// Returns the standard deviation of a variance as a logarithm, in units of 2^-`modulus_log`.
#[must_use]
pub fn log2_deviation(variance: f64, modulus_log: u32) -> f64 {
    libm::log2(variance) / 2.0 + f64::from(modulus_log)
}

/// Returns log2 of the probability that a centred normal variable exceeds `bound` deviations.
#[must_use]
pub fn log2_tail(deviations: f64) -> f64 {
    let z = deviations / std::f64::consts::SQRT_2;
    if z < 20.0 {
        return libm::log2(libm::erfc(z));
    }
    // The leading term of erfc, where the function itself would underflow.
    -z * z / std::f64::consts::LN_2 - libm::log2(z * libm::sqrt(std::f64::consts::PI))
}

/// Variance of one noise sample in units of the torus.
fn sample_variance(distribution: TuniformLog, modulus_log: f64) -> f64 {
    let TuniformLog(log) = distribution;
    (libm::exp2(2.0 * (log - modulus_log)) + libm::exp2(-2.0 * modulus_log) / 2.0) / 3.0
}

/// The logarithm of a TUniform bound.
#[derive(Clone, Copy)]
struct TuniformLog(f64);

impl TuniformLog {
    fn of64(distribution: DynamicDistribution<u64>) -> Self {
        match distribution {
            DynamicDistribution::TUniform(tuniform) => Self(f64::from(tuniform.bound_log2())),
            // The variance of TUniform(b) is about 2^(2b) / 3.
            DynamicDistribution::Gaussian(gaussian) => Self(
                64.0 + libm::log2(3.0 * gaussian.standard_dev().0 * gaussian.standard_dev().0)
                    / 2.0,
            ),
        }
    }

    fn of128(distribution: DynamicDistribution<u128>) -> Self {
        match distribution {
            DynamicDistribution::TUniform(tuniform) => Self(f64::from(tuniform.bound_log2())),
            DynamicDistribution::Gaussian(gaussian) => Self(
                128.0
                    + libm::log2(3.0 * gaussian.standard_dev().0 * gaussian.standard_dev().0) / 2.0,
            ),
        }
    }
}

/// Sizes of a gadget decomposition and of the keys around it.
struct Gadget {
    base_log: f64,
    levels: f64,
}

/// Variance that a keyswitch adds.
fn keyswitch(input: f64, gadget: &Gadget, key: f64, modulus_log: f64) -> f64 {
    let base = libm::exp2(gadget.base_log);
    let unit = libm::exp2(-2.0 * modulus_log);
    gadget.levels * input * key * (base * base / 12.0 + 1.0 / 6.0)
        + input * (unit / 48.0 + libm::exp2(-2.0 * gadget.base_log * gadget.levels) / 24.0)
}

/// Variance that the centred modulus switch to 2N adds.
fn centred_switch(lwe: f64, polynomial: f64, modulus_log: f64) -> f64 {
    lwe * (libm::exp2(-2.0 * modulus_log) / 24.0 + 1.0 / (48.0 * 4.0 * polynomial * polynomial))
}

/// Sizes of a bootstrap.
struct Bootstrap {
    lwe: f64,
    glwe: f64,
    polynomial: f64,
    gadget: Gadget,
    /// Variance of a row of the key.
    key: f64,
    mantissa: f64,
    modulus_log: f64,
}

impl Bootstrap {
    /// Variance of the output: FFT rounding, key noise, decomposition.
    fn variance(&self) -> f64 {
        let Gadget { base_log, levels } = self.gadget;
        let base = libm::exp2(base_log);
        let unit = libm::exp2(-2.0 * self.modulus_log);
        let lost = (self.modulus_log - self.mantissa).max(0.0);
        let rounding = 0.00705
            * libm::exp2(2.0 * (lost + base_log - self.modulus_log))
            * libm::pow(levels, 1.01827)
            * libm::pow(self.glwe, 1.22003)
            * libm::pow(self.polynomial, 2.22003)
            * libm::pow(self.glwe + 1.0, 1.01827);
        let key = levels
            * self.polynomial
            * self.key
            * (base * base / 12.0 + 1.0 / 6.0)
            * (self.glwe + 1.0);
        let closeness = libm::exp2(-2.0 * base_log * levels) / 24.0;
        let decomposition =
            self.glwe * self.polynomial / 2.0 * (unit / 48.0 + closeness) + closeness - unit / 24.0;
        self.lwe * (rounding + key + decomposition)
    }
}

#[expect(clippy::cast_precision_loss, reason = "dimensions are far below 2^52")]
const fn real(value: usize) -> f64 {
    value as f64
}

impl NoiseConstants {
    /// Evaluates the formulas for keys with `key_terms` noise terms a row and inputs with
    /// `input_terms`.
    #[must_use]
    pub fn new(
        compute: &ClassicPBSParameters,
        squashing: &NoiseSquashingParameters,
        key_terms: usize,
        input_terms: usize,
    ) -> Self {
        let lwe = real(compute.lwe_dimension.0);
        let glwe = real(compute.glwe_dimension.0);
        let polynomial = real(compute.polynomial_size.0);
        let lwe_key = sample_variance(TuniformLog::of64(compute.lwe_noise_distribution), 64.0);
        let glwe_key = sample_variance(TuniformLog::of64(compute.glwe_noise_distribution), 64.0);
        let bootstrap = Bootstrap {
            lwe,
            glwe,
            polynomial,
            gadget: Gadget {
                base_log: real(compute.pbs_base_log.0),
                levels: real(compute.pbs_level.0),
            },
            key: real(key_terms) * glwe_key,
            mantissa: MANTISSA_64,
            modulus_log: 64.0,
        };
        let (base, levels, distribution) = match squashing {
            NoiseSquashingParameters::Classic(p) => (
                p.decomp_base_log,
                p.decomp_level_count,
                p.glwe_noise_distribution,
            ),
            NoiseSquashingParameters::MultiBit(p) => (
                p.decomp_base_log,
                p.decomp_level_count,
                p.glwe_noise_distribution,
            ),
        };
        let squashed = Bootstrap {
            lwe,
            glwe: real(squashing.glwe_dimension().0),
            polynomial: real(squashing.polynomial_size().0),
            gadget: Gadget {
                base_log: real(base.0),
                levels: real(levels.0),
            },
            key: real(key_terms) * sample_variance(TuniformLog::of128(distribution), 128.0),
            mantissa: MANTISSA_128,
            modulus_log: 128.0,
        };
        let switch = Gadget {
            base_log: real(compute.ks_base_log.0),
            levels: real(compute.ks_level.0),
        };
        Self {
            key_terms,
            input_terms,
            keyswitch: keyswitch(glwe * polynomial, &switch, lwe_key, 64.0),
            modulus_switch: centred_switch(lwe, polynomial, 64.0),
            bootstrap: bootstrap.variance(),
            input: real(input_terms) * glwe_key,
            squashed: squashed.variance(),
        }
    }

    /// Returns log2 of the probability that a bootstrap of a 4-bit block with padding fails, for an
    /// input that is `level` times a bootstrap's output.
    #[must_use]
    pub fn log2_failure(&self, level: u32) -> f64 {
        let scale = f64::from(level) * f64::from(level);
        let variance = scale * self.bootstrap + self.keyswitch + self.modulus_switch;
        // Half of delta 2^59 on a torus of 2^64.
        log2_tail(libm::exp2(-6.0) / libm::sqrt(variance))
    }

    /// Returns the highest of the noise levels up to `limit` whose failure probability is at most
    /// 2^`log2_bound`; 0 if there is none.
    #[must_use]
    pub fn max_level(&self, log2_bound: f64, limit: u32) -> u32 {
        (1..=limit)
            .take_while(|level| self.log2_failure(*level) <= log2_bound)
            .count()
            .try_into()
            .unwrap_or(limit)
    }
}

#[cfg(test)]
mod tests {
    use tfhe::core_crypto::commons::noise_formulas::centered_mean_shifted_modulus_switch::centered_binary_shifted_modulus_switch_additive_variance;
    use tfhe::core_crypto::commons::noise_formulas::lwe_keyswitch::keyswitch_additive_variance_132_bits_security_tuniform;
    use tfhe::core_crypto::commons::noise_formulas::lwe_programmable_bootstrap::pbs_variance_132_bits_security_tuniform_fft_mul;
    use tfhe::shortint::parameters::v1_8::{
        V1_8_NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as SQUASHING,
        V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as COMPUTE,
    };

    use super::*;

    fn constants(terms: usize) -> NoiseConstants {
        NoiseConstants::new(&COMPUTE, &SQUASHING, terms, 4)
    }

    #[track_caller]
    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn one_noise_term_gives_the_variances_of_the_library() {
        let q = 2.0f64.powi(64);
        let pbs = pbs_variance_132_bits_security_tuniform_fft_mul(
            COMPUTE.lwe_dimension,
            COMPUTE.glwe_dimension,
            COMPUTE.polynomial_size,
            COMPUTE.pbs_base_log,
            COMPUTE.pbs_level,
            53.0,
            q,
        );
        near(constants(1).bootstrap / pbs.0, 1.0, 1e-6);
        let ks = keyswitch_additive_variance_132_bits_security_tuniform(
            COMPUTE.polynomial_size.to_equivalent_lwe(),
            COMPUTE.lwe_dimension,
            COMPUTE.ks_base_log,
            COMPUTE.ks_level,
            q,
            q,
        );
        near(constants(1).keyswitch / ks.0, 1.0, 1e-6);
        let ms = centered_binary_shifted_modulus_switch_additive_variance(
            COMPUTE.lwe_dimension,
            q,
            2.0 * 2048.0,
        );
        near(constants(1).modulus_switch / ms.0, 1.0, 1e-6);
    }

    trait Equivalent {
        fn to_equivalent_lwe(self) -> tfhe::core_crypto::prelude::LweDimension;
    }

    impl Equivalent for tfhe::core_crypto::prelude::PolynomialSize {
        fn to_equivalent_lwe(self) -> tfhe::core_crypto::prelude::LweDimension {
            tfhe::core_crypto::prelude::LweDimension(self.0)
        }
    }

    #[test]
    fn one_term_gives_the_failure_probability_that_the_parameters_state() {
        near(constants(1).log2_failure(5), COMPUTE.log2_p_fail, 0.01);
    }

    #[test]
    fn two_terms_and_an_exact_keyswitching_key_stay_below_2_to_the_minus_128() {
        near(constants(2).log2_failure(5), -128.75, 0.01);
        assert_eq!(constants(2).max_level(-128.0, 5), 5);
        // What it would be if the keyswitching key had two terms as well.
        let mut doubled = constants(2);
        doubled.keyswitch = 2.0 * doubled.keyswitch - 2048.0 * 2.0f64.powi(-32) / 24.0;
        near(doubled.log2_failure(5), -112.27, 0.01);
    }

    #[test]
    fn more_terms_lower_the_noise_level() {
        for terms in 3..=5 {
            assert_eq!(constants(terms).max_level(-128.0, 5), 4, "{terms} terms");
        }
        for terms in 6..=10 {
            assert_eq!(constants(terms).max_level(-128.0, 5), 3, "{terms} terms");
        }
    }

    #[test]
    fn deviations_are_those_of_the_planner() {
        let noise = constants(2);
        near(
            log2_deviation(noise.keyswitch + noise.modulus_switch, 64),
            54.26,
            0.01,
        );
        near(log2_deviation(noise.bootstrap, 64), 49.37, 0.01);
        near(log2_deviation(noise.squashed, 128), 64.75, 0.01);
        near(log2_deviation(noise.input, 64), 17.0 + 1.0 - 0.79, 0.01);
    }

    #[test]
    fn the_tail_is_continuous_where_its_formula_changes() {
        let z = 20.0 * std::f64::consts::SQRT_2;
        near(log2_tail(z - 1e-9), log2_tail(z + 1e-9), 0.01);
        near(log2_tail(1.0), 0.3173f64.log2(), 0.001);
    }
}
