//! The public key material that a ceremony produces, and its assembly into tfhe's keys.

use std::io::{self, Read, Write};

use tfhe::core_crypto::prelude::LweCiphertextOwned;
use tfhe::shortint::ServerKey;
use tfhe::shortint::noise_squashing::NoiseSquashingKey;

use crate::committee::Committee;
use crate::digest::{Digest, SessionId};
use crate::params::ParameterSet;

/// What everyone knows about a joint key without its bulk.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicKeyInfo {
    /// The parameters.
    pub params: ParameterSet,
    /// The committee that made the key.
    pub committee: Committee,
    /// The session of the ceremony.
    pub session: SessionId,
    /// The public seed of all masks.
    pub mask_seed: [u8; 32],
    /// The digest of the whole public key.
    pub digest: Digest,
}

/// Why public key bytes are refused.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeyError {
    /// Reading or writing failed.
    #[error("reading or writing the public key failed")]
    Io(#[from] io::Error),
    /// The bytes are not a public key of this version.
    #[error("not a public key of this version: {0}")]
    Format(&'static str),
    /// The parameter set is unknown.
    #[error("unknown parameter set {0:?}")]
    Parameters(String),
    /// tfhe does not accept the assembled key.
    #[error("tfhe does not accept the assembled key: {0}")]
    Assembly(String),
}

/// The public key: one mask seed and the bodies of all rows (about 300 MB with real parameters).
pub struct PublicKey {
    info: PublicKeyInfo,
}

impl PublicKey {
    /// Returns what everyone knows about the key.
    #[must_use]
    pub const fn info(&self) -> &PublicKeyInfo {
        &self.info
    }

    /// Returns the digest of the canonical bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.info.digest
    }

    /// Returns the length of the canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        0
    }

    /// Writes the canonical bytes.
    ///
    /// # Errors
    /// Fails if the writer does.
    pub fn write_to(&self, writer: impl Write) -> Result<(), PublicKeyError> {
        let _ = writer;
        Ok(())
    }

    /// Reads canonical bytes, checking every size against the parameters.
    ///
    /// # Errors
    /// Refuses unknown parameters, other versions, short input and trailing bytes.
    pub fn read_from(reader: impl Read) -> Result<Self, PublicKeyError> {
        let _ = reader;
        Err(PublicKeyError::Format("not written yet"))
    }

    /// Reads only the head of canonical bytes: what everyone knows, and the digest that they claim.
    ///
    /// # Errors
    /// As [`PublicKey::read_from`], except that the bodies are not looked at.
    pub fn read_info(reader: impl Read) -> Result<PublicKeyInfo, PublicKeyError> {
        let _ = reader;
        Err(PublicKeyError::Format("not written yet"))
    }

    /// Assembles tfhe's key for evaluation.
    ///
    /// # Errors
    /// Fails if tfhe refuses the parts.
    pub fn evaluation_key(&self) -> Result<ServerKey, PublicKeyError> {
        Err(PublicKeyError::Format("not written yet"))
    }

    /// Assembles tfhe's key for noise squashing.
    ///
    /// # Errors
    /// Fails if tfhe refuses the parts.
    pub fn noise_squashing_key(&self) -> Result<NoiseSquashingKey, PublicKeyError> {
        Err(PublicKeyError::Format("not written yet"))
    }

    /// Encrypts a 4-bit value at delta `2^59` under the compact public key, for self-tests.
    ///
    /// Everyone who knows `seed` knows the plaintext.
    ///
    /// # Errors
    /// Fails if tfhe refuses the compact public key.
    pub fn encrypt_small(&self, value: u8, seed: [u8; 32]) -> Result<LweCiphertextOwned<u64>, PublicKeyError> {
        let _ = (value, seed);
        Err(PublicKeyError::Format("not written yet"))
    }
}
