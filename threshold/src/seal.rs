//! Sealing a key share at rest: argon2id or a key file, then XChaCha20-Poly1305.

use crate::secret::Secret;
use crate::share::KeyShare;

/// What a sealed share is locked with.
pub enum SealingKey {
    /// A passphrase, stretched with argon2id and a salt that the sealed bytes carry.
    Passphrase(Secret<String>),
    /// 32 uniform bytes from a key file.
    KeyFile(Secret<[u8; 32]>),
}

/// Why a share cannot be sealed or unsealed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// The bytes are not a sealed share of this version.
    #[error("not a sealed key share of this version: {0}")]
    Format(&'static str),
    /// The key is wrong or the bytes were changed.
    #[error("the passphrase or key file is wrong, or the sealed share was changed")]
    WrongKey,
    /// The sealed share is locked the other way.
    #[error("the share is sealed with {0}; unseal it with the same")]
    OtherKind(&'static str),
}

impl KeyShare {
    /// Seals the share; `nonce` must be fresh and uniform, it is also the salt of a passphrase.
    ///
    /// # Errors
    /// Fails if the passphrase cannot be stretched.
    pub fn seal(&self, key: &SealingKey, nonce: [u8; 24]) -> Result<Vec<u8>, SealError> {
        let _ = (key, nonce);
        Err(SealError::Format("not written yet"))
    }

    /// Unseals a share.
    ///
    /// # Errors
    /// Refuses a wrong key, changed bytes and other formats.
    pub fn unseal(bytes: &[u8], key: &SealingKey) -> Result<Self, SealError> {
        let _ = (bytes, key);
        Err(SealError::Format("not written yet"))
    }
}
