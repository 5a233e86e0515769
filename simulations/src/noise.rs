//! Noise: the standard deviations that the planner reckons with, and what they make of a decision's margin.

use tfhe::{core_crypto::prelude::DynamicDistribution, shortint::ClassicPBSParameters};

/// The standard deviations on the torus of 2^64, from the parameters and the number of noise terms that a joint key
/// puts in each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseModel {
    /// Of one slot of a deposited twin.
    pub input: f64,
    /// Of the output of one bootstrap.
    pub bootstrap: f64,
    /// Added by keyswitch and modulus switch before the blind rotation.
    pub switch: f64,
}

/// log2 of the precision of the 64-bit FFT's mantissa.
const MANTISSA: f64 = 53.0;

impl NoiseModel {
    /// Computes the deviations: a bootstrapping key row carries `key_terms` noise samples, a deposited slot
    /// `input_terms`; the key-switching key carries exactly one (docs/spec on the key ceremony).
    ///
    /// The formulas are those of the library's noise model for blind rotation by FFT, keyswitch, and the centred
    /// binary modulus switch, with the variances of the actual noise distributions.
    #[must_use]
    pub fn new(parameters: &ClassicPBSParameters, key_terms: u32, input_terms: u32) -> Self {
        let float = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        let power = |exponent: f64| libm::exp2(exponent);
        let small = float(parameters.lwe_dimension.0);
        let glwe = float(parameters.glwe_dimension.0);
        let size = float(parameters.polynomial_size.0);
        let large = glwe * size;
        let q2 = power(128.0);

        let base = power(float(parameters.pbs_base_log.0));
        let levels = float(parameters.pbs_level.0);
        let key = variance(parameters.glwe_noise_distribution);
        let product = levels
            * size
            * (glwe + 1.0)
            * (base * base / 12.0 + 1.0 / 6.0)
            * key
            * f64::from(key_terms);
        let fourier = 0.00705
            * power(2.0 * (64.0 - MANTISSA))
            * base
            * base
            * libm::pow(levels, 1.018_27)
            * libm::pow(glwe, 1.220_03)
            * libm::pow(size, 2.220_03)
            * libm::pow(glwe + 1.0, 1.018_27);
        let dropped = q2 * libm::pow(base, -2.0 * levels) / 24.0;
        let rounding = large / 2.0 * (dropped + 1.0 / 48.0) + dropped;
        let bootstrap = small * (product + fourier + rounding);

        let ks_base = power(float(parameters.ks_base_log.0));
        let ks_levels = float(parameters.ks_level.0);
        let keyswitch = ks_levels
            * large
            * (ks_base * ks_base / 12.0 + 1.0 / 6.0)
            * variance(parameters.lwe_noise_distribution)
            + large * (q2 * libm::pow(ks_base, -2.0 * ks_levels) / 24.0 + 1.0 / 48.0);
        let modulus_switch = small * q2 / (48.0 * 4.0 * size * size);

        Self {
            input: libm::sqrt(key * f64::from(input_terms)),
            bootstrap: libm::sqrt(bootstrap),
            switch: libm::sqrt(keyswitch + modulus_switch),
        }
    }
}

/// The variance of a noise distribution on the torus of 2^64.
fn variance(distribution: DynamicDistribution<u64>) -> f64 {
    match distribution {
        DynamicDistribution::Gaussian(gaussian) => {
            let deviation = gaussian.std * libm::exp2(64.0);
            deviation * deviation
        }
        DynamicDistribution::TUniform(uniform) => {
            (libm::exp2(2.0 * f64::from(uniform.bound_log2()) + 1.0) + 1.0) / 6.0
        }
    }
}

/// log2 of the probability that a normal error of a variance leaves a margin on either side.
#[must_use]
pub(crate) fn log2_failure(margin: f64, variance: f64) -> f64 {
    let z = margin / libm::sqrt(variance);
    if z < 20.0 {
        return libm::log2(libm::erfc(z / std::f64::consts::SQRT_2));
    }
    // The tail, where erfc would underflow: exp(-z^2/2) / (z sqrt(pi/2)).
    -z * z / 2.0 * std::f64::consts::LOG2_E
        - libm::log2(z * libm::sqrt(std::f64::consts::FRAC_PI_2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfhe::shortint::parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as REAL;

    #[test]
    fn the_deviations_of_a_joint_key_are_those_of_the_design() {
        let noise = NoiseModel::new(&REAL, 2, 4);
        assert!(
            (libm::log2(noise.bootstrap) - 49.3).abs() < 0.15,
            "{noise:?}"
        );
        assert!((libm::log2(noise.switch) - 54.26).abs() < 0.02, "{noise:?}");
        assert!((libm::log2(noise.input) - 17.2).abs() < 0.05, "{noise:?}");
    }

    #[test]
    fn the_failure_formula_is_continuous_where_it_changes_to_the_tail() {
        let below = log2_failure(19.999, 1.0);
        let above = log2_failure(20.001, 1.0);
        assert!(above < below && below - above < 0.1, "{below} {above}");
    }

    #[test]
    fn a_five_bit_window_fails_below_two_to_the_minus_128() {
        let noise = NoiseModel::new(&REAL, 2, 4);
        let variance = noise.switch * noise.switch;
        assert!(log2_failure(libm::exp2(58.0), variance) < -128.0);
    }
}
