//! From bodies and mask seed to tfhe's own keys.

use rayon::prelude::*;
use tfhe::core_crypto::prelude::{
    Fourier128LweBootstrapKeyOwned, LweBootstrapKeyOwned, LweCiphertextOwned, LweDimension,
    SeededLweBootstrapKeyOwned, SeededLweKeyswitchKeyOwned,
    convert_standard_lwe_bootstrap_key_to_fourier_128,
};
use tfhe::shortint::atomic_pattern::compressed::{
    CompressedAtomicPatternServerKey, CompressedStandardAtomicPatternServerKey,
};
use tfhe::shortint::ciphertext::MaxDegree;
use tfhe::shortint::noise_squashing::atomic_pattern::AtomicPatternNoiseSquashingKey;
use tfhe::shortint::noise_squashing::atomic_pattern::standard::StandardAtomicPatternNoiseSquashingKey;
use tfhe::shortint::noise_squashing::{NoiseSquashingKey, Shortint128BootstrappingKey};
use tfhe::shortint::server_key::{
    CompressedModulusSwitchConfiguration, ModulusSwitchConfiguration,
    ShortintCompressedBootstrappingKey,
};
use tfhe::shortint::{CompressedServerKey, ServerKey};

use super::{PublicKey, PublicKeyError};
use crate::keygen::Ggsw;
use crate::mask::{Component, MaskStream};
use crate::prf::{Label, Seed};
use crate::ring::Ring;

impl PublicKey {
    /// Assembles tfhe's key for evaluation.
    ///
    /// # Errors
    /// Fails if tfhe refuses the parts.
    pub fn evaluation_key(&self) -> Result<ServerKey, PublicKeyError> {
        let params = self.info.params.compute();
        let mask_seed = &self.info.mask_seed;
        let keyswitch = SeededLweKeyswitchKeyOwned::from_container(
            self.bodies.keyswitch.clone(),
            params.ks_base_log,
            params.ks_level,
            params.lwe_dimension.to_lwe_size(),
            Component::Keyswitch.compression_seed(mask_seed),
            params.ciphertext_modulus,
        );
        let bootstrap = SeededLweBootstrapKeyOwned::from_container(
            self.bodies.bootstrap.clone(),
            params.glwe_dimension.to_glwe_size(),
            params.polynomial_size,
            params.pbs_base_log,
            params.pbs_level,
            Component::Bootstrap.compression_seed(mask_seed),
            params.ciphertext_modulus,
        );
        let bootstrap = ShortintCompressedBootstrappingKey::Classic {
            bsk: bootstrap,
            modulus_switch_noise_reduction_key:
                CompressedModulusSwitchConfiguration::CenteredMeanNoiseReduction,
        };
        let key = CompressedServerKey::from_raw_parts(
            CompressedAtomicPatternServerKey::Standard(
                CompressedStandardAtomicPatternServerKey::from_raw_parts(
                    keyswitch,
                    bootstrap,
                    params.encryption_key_choice.into(),
                ),
            ),
            params.message_modulus,
            params.carry_modulus,
            MaxDegree::from_msg_carry_modulus(params.message_modulus, params.carry_modulus),
            params.max_noise_level,
        );
        Ok(key.decompress())
    }

    /// Assembles tfhe's key for noise squashing (about 0.8 GB with real parameters).
    ///
    /// The GGSW ciphertexts are expanded one by one, so that nothing but the result takes memory.
    ///
    /// # Errors
    /// Fails if tfhe refuses the parts.
    pub fn noise_squashing_key(&self) -> Result<NoiseSquashingKey, PublicKeyError> {
        let params = self.info.params.squashing();
        let ggsw = Ggsw::squashing(&self.info.params);
        let masks = MaskStream::new(Component::Squashing.seed(&self.info.mask_seed));
        let glwe_size = params.glwe_dimension.to_glwe_size();
        // A polynomial has half as many Fourier coefficients, each split into four floats.
        let per_ggsw = ggsw.rows() * (ggsw.masks + 1) * ggsw.polynomial / 2;
        let mut bootstrap = Fourier128LweBootstrapKeyOwned::new(
            self.info.params.compute().lwe_dimension,
            glwe_size,
            params.polynomial_size,
            params.decomp_base_log,
            params.decomp_level_count,
        );
        let (re0, re1, im0, im1) = bootstrap.as_mut_view().data();
        re0.par_chunks_exact_mut(per_ggsw)
            .zip(re1.par_chunks_exact_mut(per_ggsw))
            .zip(im0.par_chunks_exact_mut(per_ggsw))
            .zip(im1.par_chunks_exact_mut(per_ggsw))
            .zip(self.bodies.squashing.par_chunks_exact(ggsw.elements()))
            .enumerate()
            .for_each(|(bit, ((((re0, re1), im0), im1), bodies))| {
                let rows = expand(&masks, bit, &ggsw, bodies);
                let standard = LweBootstrapKeyOwned::from_container(
                    rows,
                    glwe_size,
                    params.polynomial_size,
                    params.decomp_base_log,
                    params.decomp_level_count,
                    params.ciphertext_modulus,
                );
                let mut fourier = Fourier128LweBootstrapKeyOwned::new(
                    LweDimension(1),
                    glwe_size,
                    params.polynomial_size,
                    params.decomp_base_log,
                    params.decomp_level_count,
                );
                convert_standard_lwe_bootstrap_key_to_fourier_128(&standard, &mut fourier);
                let (from_re0, from_re1, from_im0, from_im1) = fourier.data();
                re0.copy_from_slice(&from_re0);
                re1.copy_from_slice(&from_re1);
                im0.copy_from_slice(&from_im0);
                im1.copy_from_slice(&from_im1);
            });
        Ok(NoiseSquashingKey::from_raw_parts(
            AtomicPatternNoiseSquashingKey::Standard(
                StandardAtomicPatternNoiseSquashingKey::from_raw_parts(
                    Shortint128BootstrappingKey::Classic {
                        bsk: bootstrap,
                        modulus_switch_noise_reduction_key:
                            ModulusSwitchConfiguration::CenteredMeanNoiseReduction,
                    },
                ),
            ),
            params.message_modulus,
            params.carry_modulus,
            params.ciphertext_modulus,
        ))
    }

    /// Encrypts a 4-bit value at delta `2^59` under the compact public key, for self-tests.
    ///
    /// Everyone who knows `seed` knows the plaintext.
    ///
    /// # Errors
    /// Fails if tfhe refuses the compact public key.
    pub fn encrypt_small(
        &self,
        value: u8,
        seed: [u8; 32],
    ) -> Result<LweCiphertextOwned<u64>, PublicKeyError> {
        let params = &self.info.params;
        let size = params.glwe_size();
        let noise = params
            .noise_bits()
            .ok_or(PublicKeyError::Assembly("noise is not TUniform"))?;
        let ring = Ring::new(size).ok_or(PublicKeyError::Assembly("no transform of this size"))?;
        let mut stream = Seed::new(seed).stream(&Label::new("organtwin/compact-encryption"));
        let mut random = vec![0u8; size];
        stream.fill(&mut random);
        // r: uniform bits; the mask is a times r reversed, the body <b, r>, each with fresh noise.
        let bits: Vec<u64> = random.iter().map(|byte| u64::from(byte & 1)).collect();
        let reversed: Vec<u128> = bits.iter().rev().map(|bit| u128::from(*bit)).collect();
        let mut mask = vec![0u64; size];
        MaskStream::new(Component::Compact.seed(&self.info.mask_seed)).fill(0, &mut mask);
        let mask: Vec<u128> = mask.into_iter().map(u128::from).collect();
        let (mut left, mut right) = (vec![0; ring.transform_len()], vec![0; ring.transform_len()]);
        let mut sum = vec![0; ring.transform_len()];
        ring.forward(&mask, &mut left);
        ring.forward(&reversed, &mut right);
        ring.add_product(&mut sum, &left, &right);
        let mut out = vec![0u128; size];
        ring.inverse(&mut sum, &mut out);
        let body = self
            .bodies
            .compact
            .iter()
            .zip(&bits)
            .fold(u64::from(value & 15) << 59, |sum, (b, r)| {
                sum.wrapping_add(b.wrapping_mul(*r))
            });
        out.push(u128::from(body));
        let mut noise_stream = Seed::new(seed).stream(&Label::new("organtwin/compact-noise"));
        crate::keygen::TUniform::new(noise.glwe).add(&mut noise_stream, 0, &mut out);
        let ciphertext = out.into_iter().map(crate::keygen::low64).collect();
        Ok(LweCiphertextOwned::from_container(
            ciphertext,
            params.compute().ciphertext_modulus,
        ))
    }
}

/// Writes out one GGSW ciphertext: every row's masks, then its body.
fn expand(stream: &MaskStream, bit: usize, ggsw: &Ggsw, bodies: &[u128]) -> Vec<u128> {
    let masks = ggsw.masks * ggsw.polynomial;
    let mut rows = vec![0u128; ggsw.rows() * (masks + ggsw.polynomial)];
    for (row, (out, body)) in rows
        .chunks_exact_mut(masks + ggsw.polynomial)
        .zip(bodies.chunks_exact(ggsw.polynomial))
        .enumerate()
    {
        let (mask, out) = out.split_at_mut(masks);
        stream.fill((bit * ggsw.rows() + row) * masks, mask);
        out.copy_from_slice(body);
    }
    rows
}
