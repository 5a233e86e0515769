//! Parameters of the tests.

use tfhe::{
    core_crypto::prelude::{
        DecompositionBaseLog, DecompositionLevelCount, DynamicDistribution, LweDimension,
        PolynomialSize,
    },
    shortint::{
        ClassicPBSParameters, parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
    },
};

/// The parameters of every consortium.
pub(crate) const REAL: ClassicPBSParameters = V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;

/// Insecure: a key of 64 bits. Noise and windows are like the real ones.
pub(crate) const TINY: ClassicPBSParameters = ClassicPBSParameters {
    lwe_dimension: LweDimension(64),
    polynomial_size: PolynomialSize(512),
    lwe_noise_distribution: DynamicDistribution::new_t_uniform(45),
    glwe_noise_distribution: DynamicDistribution::new_t_uniform(17),
    pbs_base_log: DecompositionBaseLog(23),
    pbs_level: DecompositionLevelCount(1),
    ks_base_log: DecompositionBaseLog(4),
    ks_level: DecompositionLevelCount(4),
    ..REAL
};
