//! The last step before a key is certified: does it decrypt what was encrypted under it?

use tfhe::shortint::ciphertext::{Degree, NoiseLevel};
use tfhe::shortint::{AtomicPatternKind, Ciphertext, PBSOrder};

use super::{PublicKey, PublicKeyError};
use crate::prf::{Label, Seed};
use crate::squash::{SquashedBlocks, squash};

/// Values that a self-test encrypts.
const VALUES: usize = 4;

impl PublicKey {
    /// Encrypts values that everyone derives from `seed` under the compact public key, bootstraps and squashes them.
    ///
    /// Returns the squashed blocks, whose partial decryptions test all parts of the key at once, and the values.
    /// All parties compute the same bytes.
    ///
    /// # Errors
    /// Fails if tfhe refuses the parts or the squashing.
    pub fn self_test(&self, seed: [u8; 32]) -> Result<(SquashedBlocks, Vec<u8>), PublicKeyError> {
        let server = self.evaluation_key()?;
        let identity = server.generate_lookup_table(|value| value);
        let seed = Seed::new(seed);
        let mut values = vec![0u8; VALUES];
        seed.stream(&Label::new("organtwin/self-test-values"))
            .fill(&mut values);
        let values: Vec<u8> = values.into_iter().map(|value| value & 15).collect();
        let mut blocks = Vec::with_capacity(VALUES);
        for (position, value) in values.iter().enumerate() {
            let randomness = seed.derive(&Label::new("organtwin/self-test").index(position));
            let fresh = Ciphertext::new(
                self.encrypt_small(*value, *randomness.expose())?,
                Degree::new(15),
                NoiseLevel::NOMINAL,
                server.message_modulus,
                server.carry_modulus,
                AtomicPatternKind::Standard(PBSOrder::KeyswitchBootstrap),
            );
            blocks.push(server.apply_lookup_table(&fresh, &identity).ct);
        }
        let squashing = self.noise_squashing_key()?;
        let squashed = squash(&server, &squashing, &blocks, &|_| {}).map_err(|_| {
            PublicKeyError::Assembly("the squashing key does not fit the evaluation key")
        })?;
        Ok((squashed, values))
    }
}
