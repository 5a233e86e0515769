//! The key certificate: what all parties sign at the end of the key ceremony.

use organtwin_threshold::{Security, SessionId};
use serde::{Deserialize, Serialize};

use crate::codec::CodecError;
use crate::digest::{self, Digest, Domain};

/// The joint key, as all n parties certify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The session of the ceremony, or of the epoch change.
    pub session: SessionId,
    /// The certificate of the epoch before, under the same key; zero after a ceremony.
    pub previous: Digest,
    /// The roster of its epoch.
    pub roster: Digest,
    /// The id of the parameter set.
    pub parameters: String,
    /// The epoch of the shares; 0 after a ceremony.
    pub epoch: u32,
    /// n: how many parties hold shares.
    pub parties: u8,
    /// t: how many may be corrupt.
    pub threshold: u8,
    /// Against which cheaters the committee is secure.
    pub security: Security,
    /// The public seed of all masks.
    pub mask_seed: Digest,
    /// The digest of the public key material.
    pub key: Digest,
    /// The size of the public key material, in bytes.
    pub bytes: u64,
}

impl Certificate {
    /// What manifests name the key by.
    ///
    /// # Errors
    /// [`CodecError`] when the certificate has no encoding.
    pub fn digest(&self) -> Result<Digest, CodecError> {
        digest::of_value(Domain::Certificate, self)
    }
}
