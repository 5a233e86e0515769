//! The public side: from opened bodies and published values to ciphertexts
//! (docs/spec/decryption.md 8.6, 10).

use std::collections::BTreeMap;

use tfhe::core_crypto::prelude::{
    CiphertextModulus, GlweCiphertextOwned, LweCiphertextOwned, LweSize, MonomialDegree,
    PolynomialSize, extract_lwe_sample_from_glwe_ciphertext,
};

use super::{BatchId, INPUT_DELTA_LOG, InputError, WORD};
use crate::committee::Family;
use crate::public_key::PublicKeyInfo;

/// The opened bodies of a batch: public, they make ciphertexts of what hospitals publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchBodies {
    batch: BatchId,
    mask_seed: [u8; 32],
    polynomial_size: usize,
    bodies: Vec<u64>,
}

impl BatchBodies {
    /// Adds the accepted vectors of all groups (decryption.md 8.6).
    ///
    /// # Errors
    /// [`InputError`] when a group's vector is missing, superfluous or of another length.
    pub fn combine(
        info: &PublicKeyInfo,
        batch: BatchId,
        vectors: &BTreeMap<usize, Vec<u8>>,
    ) -> Result<Self, InputError> {
        batch.check()?;
        let groups = info.committee.family(Family::Live).len();
        let usable = (0..groups)
            .filter(|group| vectors.contains_key(group))
            .count();
        if usable != groups || vectors.len() != groups {
            return Err(InputError::Incomplete {
                what: "group vectors",
                expected: groups,
                got: usable,
            });
        }
        let expected = batch.vector_bytes(info);
        let mut bodies = vec![0u64; batch.slots(info)];
        for (group, bytes) in vectors {
            if bytes.len() != expected {
                return Err(InputError::VectorLength {
                    group: *group,
                    expected,
                    got: bytes.len(),
                });
            }
            for (body, word) in bodies.iter_mut().zip(bytes.chunks_exact(WORD)) {
                let word = word
                    .first_chunk()
                    .map_or(0, |word| u64::from_le_bytes(*word));
                *body = body.wrapping_add(word);
            }
        }
        Ok(Self {
            batch,
            mask_seed: info.mask_seed,
            polynomial_size: info.params.polynomial_size(),
            bodies,
        })
    }

    /// Returns the batch.
    #[must_use]
    pub const fn batch(&self) -> BatchId {
        self.batch
    }

    /// Returns the number of slots.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.bodies.len()
    }

    /// Makes the ciphertexts of consecutive slots from the published values: mask and body of the
    /// slot plus delta * c (decryption.md 10).
    ///
    /// They are LWE ciphertexts under the GLWE key read as an LWE key, of weights at delta
    /// 2^[`INPUT_DELTA_LOG`]; one takes 16 KiB at the real parameters.
    ///
    /// # Errors
    /// [`InputError::OutOfRange`] for slots beyond the batch.
    pub fn ciphertexts(
        &self,
        first_slot: u32,
        values: &[u128],
    ) -> Result<Vec<LweCiphertextOwned<u64>>, InputError> {
        let first = first_slot as usize;
        let end = first.saturating_add(values.len());
        if end > self.bodies.len() {
            return Err(InputError::OutOfRange {
                first,
                end,
                slots: self.bodies.len(),
            });
        }
        let size = self.polynomial_size;
        let lwe_size = LweSize(size + 1);
        let mut outputs = Vec::with_capacity(values.len());
        let mut loaded: Option<(usize, GlweCiphertextOwned<u64>)> = None;
        for (slot, value) in (first..end).zip(values) {
            let polynomial = slot / size;
            let glwe = match loaded.take().filter(|(number, _)| *number == polynomial) {
                Some((_, glwe)) => glwe,
                None => self.glwe(polynomial),
            };
            let mut output =
                LweCiphertextOwned::new(0u64, lwe_size, CiphertextModulus::new_native());
            extract_lwe_sample_from_glwe_ciphertext(
                &glwe,
                &mut output,
                MonomialDegree(slot % size),
            );
            loaded = Some((polynomial, glwe));
            let body = output.get_mut_body().data;
            *body = body.wrapping_add(scaled(*value));
            outputs.push(output);
        }
        Ok(outputs)
    }

    fn glwe(&self, polynomial: usize) -> GlweCiphertextOwned<u64> {
        let size = self.polynomial_size;
        let mut words = self.batch.mask(&self.mask_seed, size, polynomial);
        words.extend(self.bodies.iter().skip(polynomial * size).take(size));
        GlweCiphertextOwned::from_container(
            words,
            PolynomialSize(size),
            CiphertextModulus::new_native(),
        )
    }
}

/// Returns delta * c mod 2^64.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only the value mod 2^64 matters after scaling"
)]
const fn scaled(value: u128) -> u64 {
    (value as u64) << INPUT_DELTA_LOG
}
