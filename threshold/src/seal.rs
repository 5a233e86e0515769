//! Sealing a key share at rest: argon2id or a key file, then XChaCha20-Poly1305.

pub mod stream;

use std::collections::BTreeMap;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::committee::Committee;
use crate::digest::Digest;
use crate::open::PieceSeeds;
use crate::params::ParameterSet;
use crate::party::PartyId;
use crate::prf::Seed;
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
    /// The bytes are not sealed by this version.
    #[error("not sealed by this version: {0}")]
    Format(&'static str),
    /// The key is wrong or the bytes were changed.
    #[error("the passphrase or key file is wrong, or what is sealed was changed or cut")]
    WrongKey,
    /// It is locked the other way.
    #[error("it is sealed with {0}; unseal it with the same")]
    OtherKind(&'static str),
}

const MAGIC: &[u8; 16] = b"organtwin/sk/1\r\n";
const PASSPHRASE: u8 = 1;
const KEY_FILE: u8 = 2;
const NONCE: usize = 24;
const HEAD: usize = MAGIC.len() + 1 + NONCE;

/// 64 MiB, three passes: part of the format.
const ARGON2_MEMORY_KIB: u32 = 1 << 16;
const ARGON2_PASSES: u32 = 3;

impl SealingKey {
    const fn kind(&self) -> u8 {
        match self {
            Self::Passphrase(_) => PASSPHRASE,
            Self::KeyFile(_) => KEY_FILE,
        }
    }

    fn stretch(&self, nonce: &[u8; NONCE]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let mut key = Zeroizing::new([0; 32]);
        match self {
            Self::Passphrase(passphrase) => {
                let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, Some(32))
                    .map_err(|_| SealError::Format("argon2 refuses its parameters"))?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.expose().as_bytes(), nonce, key.as_mut())
                    .map_err(|_| SealError::Format("argon2 refuses the passphrase"))?;
            }
            Self::KeyFile(bytes) => key.copy_from_slice(bytes.expose()),
        }
        Ok(key)
    }

    fn cipher(&self, nonce: &[u8; NONCE]) -> Result<XChaCha20Poly1305, SealError> {
        let key = self.stretch(nonce)?;
        Ok(XChaCha20Poly1305::new(&(*key).into()))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHead {
    params: String,
    committee: Committee,
    me: PartyId,
    epoch: u32,
    key: Digest,
}

impl KeyShare {
    /// Seals the share; `nonce` must be fresh and uniform, it is also the salt of a passphrase.
    ///
    /// # Errors
    /// Fails if the passphrase cannot be stretched.
    pub fn seal(&self, key: &SealingKey, nonce: [u8; 24]) -> Result<Vec<u8>, SealError> {
        let cipher = key.cipher(&nonce)?;
        let mut sealed = Vec::with_capacity(HEAD);
        sealed.extend_from_slice(MAGIC);
        sealed.push(key.kind());
        sealed.extend_from_slice(&nonce);
        let payload = self.to_plain()?;
        let ciphertext = cipher
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: &payload,
                    aad: &sealed,
                },
            )
            .map_err(|_| SealError::Format("the share is too large"))?;
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Unseals a share.
    ///
    /// # Errors
    /// Refuses a wrong key, changed bytes and other formats.
    pub fn unseal(bytes: &[u8], key: &SealingKey) -> Result<Self, SealError> {
        let (head, ciphertext) = bytes
            .split_first_chunk::<HEAD>()
            .ok_or(SealError::Format("it is too short"))?;
        let (magic, rest) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(SealError::Format("it starts differently"));
        }
        let (kind, nonce) = rest
            .split_first()
            .ok_or(SealError::Format("it is too short"))?;
        match *kind {
            kind if kind == key.kind() => (),
            PASSPHRASE => return Err(SealError::OtherKind("a passphrase")),
            KEY_FILE => return Err(SealError::OtherKind("a key file")),
            _ => return Err(SealError::Format("the kind of key is unknown")),
        }
        let nonce: [u8; NONCE] = nonce
            .try_into()
            .map_err(|_| SealError::Format("it is too short"))?;
        let plain = key
            .cipher(&nonce)?
            .decrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: ciphertext,
                    aad: head,
                },
            )
            .map_err(|_| SealError::WrongKey)?;
        Self::from_plain(&Zeroizing::new(plain))
    }

    /// Head length, head, then piece by piece: live seed, GLWE piece, squashing piece.
    fn to_plain(&self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let mut head = Vec::new();
        let raw = RawHead {
            params: self.params.id().to_owned(),
            committee: self.committee.clone(),
            me: self.me,
            epoch: self.epoch,
            key: self.key,
        };
        ciborium::into_writer(&raw, &mut head)
            .map_err(|_| SealError::Format("the head cannot be written"))?;
        let length =
            u32::try_from(head.len()).map_err(|_| SealError::Format("the head is too long"))?;
        let per_piece = 32 + 8 * self.params.glwe_size() + 16 * self.params.squashing_size();
        let pieces = self.committee.pieces_of(self.me).count();
        let mut plain = Zeroizing::new(Vec::with_capacity(4 + head.len() + pieces * per_piece));
        plain.extend_from_slice(&length.to_le_bytes());
        plain.extend_from_slice(&head);
        for piece in self.committee.pieces_of(self.me) {
            let (Some(seed), Some(glwe), Some(squashing)) = (
                self.live.get(piece),
                self.glwe_piece(piece),
                self.squashing_piece(piece),
            ) else {
                return Err(SealError::Format("a piece is missing"));
            };
            plain.extend_from_slice(seed.expose());
            for value in glwe {
                plain.extend_from_slice(&value.to_le_bytes());
            }
            for value in squashing {
                plain.extend_from_slice(&value.to_le_bytes());
            }
        }
        Ok(plain)
    }

    fn from_plain(plain: &[u8]) -> Result<Self, SealError> {
        let short = || SealError::Format("it is too short");
        let (length, rest) = plain.split_first_chunk::<4>().ok_or_else(short)?;
        let (head, mut rest) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or_else(short)?;
        let head: RawHead = ciborium::from_reader(head)
            .map_err(|_| SealError::Format("the head is not readable"))?;
        let params = ParameterSet::by_id(&head.params)
            .ok_or(SealError::Format("the parameter set is unknown"))?;
        let mut glwe = BTreeMap::new();
        let mut squashing = BTreeMap::new();
        let mut live = BTreeMap::new();
        for piece in head.committee.pieces_of(head.me) {
            let (seed, after) = rest.split_first_chunk::<32>().ok_or_else(short)?;
            live.insert(piece, Seed::new(*seed));
            let (values, after) = after
                .split_at_checked(8 * params.glwe_size())
                .ok_or_else(short)?;
            let (values, _) = values.as_chunks::<8>();
            let values = values
                .iter()
                .map(|bytes| u64::from_le_bytes(*bytes))
                .collect();
            glwe.insert(piece, Secret::new(values));
            let (values, after) = after
                .split_at_checked(16 * params.squashing_size())
                .ok_or_else(short)?;
            let (values, _) = values.as_chunks::<16>();
            let values = values
                .iter()
                .map(|bytes| u128::from_le_bytes(*bytes))
                .collect();
            squashing.insert(piece, Secret::new(values));
            rest = after;
        }
        if !rest.is_empty() {
            return Err(SealError::Format("bytes follow the end"));
        }
        let live = PieceSeeds::new(&head.committee, head.me, live)
            .map_err(|_| SealError::Format("the seeds are not the party's"))?;
        Ok(Self {
            params,
            committee: head.committee,
            me: head.me,
            epoch: head.epoch,
            key: head.key,
            glwe,
            squashing,
            live,
        })
    }
}
