//! The engine: bootstraps on ciphertexts, counted, with the keys of a tfhe server key.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tfhe::{
    core_crypto::prelude::{
        CiphertextModulus, FourierLweBootstrapKeyOwned, GlweCiphertext, LweCiphertext,
        LweCiphertextOwned, LweKeyswitchKeyOwned, LweSize, MonomialDegree, blind_rotate_assign,
        extract_lwe_sample_from_glwe_ciphertext, keyswitch_lwe_ciphertext,
        lwe_ciphertext_centered_binary_modulus_switch,
    },
    shortint::{
        ServerKey, atomic_pattern::AtomicPatternServerKey, server_key::ShortintBootstrappingKey,
    },
};
use thiserror::Error;

use crate::machine::{Machine, MachineError, Site, Table};

/// A server key that the engine cannot use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// Not the standard keyswitch-then-bootstrap pattern with a classic bootstrapping key.
    #[error(
        "the engine needs a standard server key with a classic bootstrapping key: got another kind"
    )]
    OtherKind,
}

/// Bootstraps ciphertexts under one key and counts them.
pub struct Engine {
    key: Arc<ServerKey>,
    count: AtomicU64,
}

impl Engine {
    /// Takes the evaluation key.
    ///
    /// # Errors
    /// A key of another kind than the standard pattern with a classic bootstrapping key.
    pub fn new(key: Arc<ServerKey>) -> Result<Self, EngineError> {
        keys(&key).ok_or(EngineError::OtherKind)?;
        Ok(Self {
            key,
            count: AtomicU64::new(0),
        })
    }

    /// The number of bootstraps so far.
    #[must_use]
    pub fn bootstraps(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The bytes of the evaluation key in memory.
    #[must_use]
    pub fn key_bytes(&self) -> u64 {
        let bytes = keys(&self.key).map_or(0, |(switching, bootstrapping)| {
            size_of_val(switching.as_ref()) + size_of_val(bootstrapping.as_view().data())
        });
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The number of words of a ciphertext that the engine takes and gives.
    #[must_use]
    pub fn lwe_size(&self) -> usize {
        keys(&self.key).map_or(0, |(ksk, _)| ksk.input_key_lwe_dimension().to_lwe_size().0)
    }

    /// Keyswitch, centred modulus switch, blind rotation, and one extraction per output.
    fn rotate(
        &self,
        input: &LweCiphertextOwned<u64>,
        table: &Table,
    ) -> Vec<LweCiphertextOwned<u64>> {
        let Some((keyswitching, bootstrapping)) = keys(&self.key) else {
            return Vec::new();
        };
        let modulus = CiphertextModulus::new_native();
        let mut small = LweCiphertext::new(
            0_u64,
            keyswitching.output_key_lwe_dimension().to_lwe_size(),
            modulus,
        );
        keyswitch_lwe_ciphertext(keyswitching, input, &mut small);
        let size = bootstrapping.polynomial_size();
        let switched = lwe_ciphertext_centered_binary_modulus_switch(
            small,
            size.to_blind_rotation_input_modulus_log(),
        );
        let mut accumulator = GlweCiphertext::new(0_u64, bootstrapping.glwe_size(), size, modulus);
        let width = size.0 / table.entries().len();
        for (degree, coefficient) in accumulator.get_mut_body().as_mut().iter_mut().enumerate() {
            *coefficient = table.entry((degree + width / 2) / width);
        }
        blind_rotate_assign(&switched, &mut accumulator, bootstrapping);
        self.count.fetch_add(1, Ordering::Relaxed);
        let out = bootstrapping.output_lwe_dimension().to_lwe_size();
        table
            .outputs()
            .iter()
            .map(|offset| {
                let mut sample = LweCiphertext::new(0_u64, out, modulus);
                let degree = MonomialDegree(width * offset);
                extract_lwe_sample_from_glwe_ciphertext(&accumulator, &mut sample, degree);
                sample
            })
            .collect()
    }
}

type Keys<'k> = (
    &'k LweKeyswitchKeyOwned<u64>,
    &'k FourierLweBootstrapKeyOwned,
);

fn keys(key: &ServerKey) -> Option<Keys<'_>> {
    match &key.atomic_pattern {
        AtomicPatternServerKey::Standard(standard) => match &standard.bootstrapping_key {
            ShortintBootstrappingKey::Classic { bsk, .. } => {
                Some((&standard.key_switching_key, bsk))
            }
            ShortintBootstrappingKey::MultiBit { .. } => None,
        },
        _ => None,
    }
}

/// One run on the engine: reports every bootstrap and stops when asked to.
pub(crate) struct Run<'r> {
    pub(crate) engine: &'r Engine,
    pub(crate) progress: &'r (dyn Fn(u64) + Sync),
    pub(crate) cancel: &'r AtomicBool,
    done: AtomicU64,
}

impl<'r> Run<'r> {
    pub(crate) fn new(
        engine: &'r Engine,
        progress: &'r (dyn Fn(u64) + Sync),
        cancel: &'r AtomicBool,
    ) -> Self {
        Self {
            engine,
            progress,
            cancel,
            done: AtomicU64::new(0),
        }
    }
}

/// A ciphertext without mask: a public constant.
pub(crate) fn trivial(lwe_size: usize, constant: u64) -> LweCiphertextOwned<u64> {
    let mut wire = LweCiphertext::new(0, LweSize(lwe_size), CiphertextModulus::new_native());
    *wire.get_mut_body().data = constant;
    wire
}

impl Machine for Run<'_> {
    type Wire = LweCiphertextOwned<u64>;

    fn combine(&self, terms: &[(&Self::Wire, i64)], constant: u64) -> Self::Wire {
        let mut sum = trivial(self.engine.lwe_size(), constant);
        for (wire, factor) in terms {
            let factor = factor.cast_unsigned();
            for (to, from) in sum.as_mut().iter_mut().zip(wire.as_ref()) {
                *to = to.wrapping_add(from.wrapping_mul(factor));
            }
        }
        sum
    }

    fn bootstrap(
        &self,
        input: &Self::Wire,
        table: &Table,
        _site: Site,
    ) -> Result<Vec<Self::Wire>, MachineError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(MachineError::Cancelled);
        }
        let outputs = self.engine.rotate(input, table);
        (self.progress)(self.done.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(outputs)
    }
}
