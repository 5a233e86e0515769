//! Parameter sets: tfhe's own values, under a name that goes on the wire.

use tfhe::core_crypto::prelude::{DynamicDistribution, UnsignedInteger};
use tfhe::shortint::ClassicPBSParameters;
use tfhe::shortint::parameters::noise_squashing::{
    NoiseSquashingClassicParameters, NoiseSquashingParameters,
};
use tfhe::shortint::parameters::v1_8::{
    V1_8_NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
    V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
};

/// The parameters of one joint key: evaluation, keyswitching and noise squashing.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ParameterSet {
    id: &'static str,
    compute: ClassicPBSParameters,
    squashing: NoiseSquashingClassicParameters,
}

/// A parameter set that is not known, or not usable for a joint key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParameterError {
    /// The set uses something that the joint key does not support.
    #[error("parameter set {0} is not usable for a joint key: {1}")]
    Unsupported(&'static str, &'static str),
}

const PRODUCTION: &str = "2_2-ks-pbs-tuniform-2m128/1_8";
#[cfg(feature = "insecure-test-parameters")]
const TOY: &str = "insecure-toy/1";

impl ParameterSet {
    /// Returns the parameters for real keys: 2-bit messages, 2-bit carries, 128 bits of security.
    ///
    /// # Errors
    /// Fails if tfhe's constants have a shape that the ceremony does not know.
    pub fn production() -> Result<Self, ParameterError> {
        Self::checked(
            PRODUCTION,
            V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
            V1_8_NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
        )
    }

    /// Returns parameters that protect nothing and make a ceremony take milliseconds.
    ///
    /// # Errors
    /// As [`ParameterSet::production`].
    #[cfg(feature = "insecure-test-parameters")]
    pub fn toy() -> Result<Self, ParameterError> {
        use tfhe::core_crypto::prelude::{GlweDimension, LweDimension, PolynomialSize};

        let mut compute = V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;
        compute.lwe_dimension = LweDimension(32);
        compute.polynomial_size = PolynomialSize(512);
        compute.lwe_noise_distribution = DynamicDistribution::new_t_uniform(38);
        compute.glwe_noise_distribution = DynamicDistribution::new_t_uniform(4);
        let NoiseSquashingParameters::Classic(mut squashing) =
            V1_8_NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128
        else {
            return Err(ParameterError::Unsupported(TOY, "squashing is not classic"));
        };
        squashing.glwe_dimension = GlweDimension(1);
        squashing.polynomial_size = PolynomialSize(512);
        Self::checked(TOY, compute, NoiseSquashingParameters::Classic(squashing))
    }

    /// Returns the set that `id` names; test sets only where they are compiled in.
    #[must_use]
    pub fn by_id(id: &str) -> Option<Self> {
        match id {
            PRODUCTION => Self::production().ok(),
            #[cfg(feature = "insecure-test-parameters")]
            TOY => Self::toy().ok(),
            _ => None,
        }
    }

    fn checked(
        id: &'static str,
        compute: ClassicPBSParameters,
        squashing: NoiseSquashingParameters,
    ) -> Result<Self, ParameterError> {
        let unsupported = |why| Err(ParameterError::Unsupported(id, why));
        let NoiseSquashingParameters::Classic(squashing) = squashing else {
            return unsupported("the squashing key is not a classic one");
        };
        let set = Self {
            id,
            compute,
            squashing,
        };
        if compute.glwe_dimension.0 != 1 {
            return unsupported("input masks need a GLWE dimension of 1");
        }
        if !compute.lwe_dimension.0.is_multiple_of(2) {
            return unsupported("masks are regenerated in blocks of two elements");
        }
        if set.noise_bits().is_none() {
            return unsupported("a noise distribution is not TUniform");
        }
        if !compute.ciphertext_modulus.is_native_modulus()
            || !squashing.ciphertext_modulus.is_native_modulus()
        {
            return unsupported("a modulus is not native");
        }
        Ok(set)
    }

    /// Returns the name that rosters and certificates carry.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// Tells whether the parameters protect anything: false for test sets.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.id == PRODUCTION
    }

    /// Returns the parameters of evaluation.
    #[must_use]
    pub const fn compute(&self) -> &ClassicPBSParameters {
        &self.compute
    }

    /// Returns the parameters of noise squashing.
    #[must_use]
    pub const fn squashing(&self) -> &NoiseSquashingClassicParameters {
        &self.squashing
    }

    /// Returns the squashing parameters in tfhe's own enumeration.
    #[must_use]
    pub const fn squashing_parameters(&self) -> NoiseSquashingParameters {
        NoiseSquashingParameters::Classic(self.squashing)
    }

    /// Returns the number of bits of the small LWE key.
    #[must_use]
    pub const fn lwe_size(&self) -> usize {
        self.compute.lwe_dimension.0
    }

    /// Returns the number of bits of the GLWE key, which is also the big LWE key.
    #[must_use]
    pub const fn glwe_size(&self) -> usize {
        self.compute.glwe_dimension.0 * self.compute.polynomial_size.0
    }

    /// Returns the degree of the evaluation ring.
    #[must_use]
    pub const fn polynomial_size(&self) -> usize {
        self.compute.polynomial_size.0
    }

    /// Returns the number of bits of the squashing key: the dimension of a squashed block.
    #[must_use]
    pub const fn squashing_size(&self) -> usize {
        self.squashing.glwe_dimension.0 * self.squashing.polynomial_size.0
    }

    /// Returns the TUniform exponents, if all three distributions are TUniform.
    #[must_use]
    pub fn noise_bits(&self) -> Option<NoiseBits> {
        Some(NoiseBits {
            lwe: t_uniform_bits(self.compute.lwe_noise_distribution)?,
            glwe: t_uniform_bits(self.compute.glwe_noise_distribution)?,
            squashing: t_uniform_bits(self.squashing.glwe_noise_distribution)?,
        })
    }
}

/// The exponents `b` of the noise distributions: TUniform on `[-2^b, 2^b]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoiseBits {
    /// Of the key-switching key.
    pub lwe: u32,
    /// Of the bootstrapping key and the compact public key.
    pub glwe: u32,
    /// Of the squashing key.
    pub squashing: u32,
}

fn t_uniform_bits<T: UnsignedInteger>(distribution: DynamicDistribution<T>) -> Option<u32> {
    match distribution {
        DynamicDistribution::TUniform(t_uniform) => Some(t_uniform.bound_log2()),
        DynamicDistribution::Gaussian(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_production_set_is_found_by_its_name() {
        let set = ParameterSet::production().unwrap();
        assert_eq!(ParameterSet::by_id(set.id()), Some(set));
        assert_eq!(
            (set.lwe_size(), set.glwe_size(), set.squashing_size()),
            (918, 2048, 4096)
        );
        assert_eq!(
            set.noise_bits(),
            Some(NoiseBits {
                lwe: 45,
                glwe: 17,
                squashing: 30
            })
        );
        assert_eq!(ParameterSet::by_id("2_2"), None);
    }
}
