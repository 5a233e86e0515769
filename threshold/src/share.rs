//! One party's share of the joint key.

use std::collections::BTreeMap;

use crate::committee::Committee;
use crate::digest::Digest;
use crate::open::PieceSeeds;
use crate::params::ParameterSet;
use crate::party::{PartyId, PieceId};
use crate::secret::Secret;

/// The pieces and live seeds that one party holds; never printed, cloned or serialized except sealed.
pub struct KeyShare {
    pub(crate) params: ParameterSet,
    pub(crate) committee: Committee,
    pub(crate) me: PartyId,
    pub(crate) epoch: u32,
    pub(crate) key: Digest,
    pub(crate) glwe: BTreeMap<PieceId, Secret<Vec<u64>>>,
    pub(crate) squashing: BTreeMap<PieceId, Secret<Vec<u128>>>,
    pub(crate) live: PieceSeeds,
}

impl KeyShare {
    /// Returns the parameters of the key.
    #[must_use]
    pub const fn params(&self) -> &ParameterSet {
        &self.params
    }

    /// Returns the committee that shares the key.
    #[must_use]
    pub const fn committee(&self) -> &Committee {
        &self.committee
    }

    /// Returns the party whose share this is.
    #[must_use]
    pub const fn me(&self) -> PartyId {
        self.me
    }

    /// Returns the epoch; a fresh key has epoch 0.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Returns the digest of the public key that the share belongs to.
    #[must_use]
    pub const fn key(&self) -> Digest {
        self.key
    }

    /// Lends a piece of the GLWE key modulo `2^64`, one value per key bit.
    #[must_use]
    pub fn glwe_piece(&self, piece: PieceId) -> Option<&[u64]> {
        self.glwe.get(&piece).map(|piece| piece.expose().as_slice())
    }

    /// Lends a piece of the squashing key modulo `2^128`, one value per key bit.
    #[must_use]
    pub fn squashing_piece(&self, piece: PieceId) -> Option<&[u128]> {
        self.squashing
            .get(&piece)
            .map(|piece| piece.expose().as_slice())
    }

    /// Lends the live seeds.
    #[must_use]
    pub const fn live_seeds(&self) -> &PieceSeeds {
        &self.live
    }
}
