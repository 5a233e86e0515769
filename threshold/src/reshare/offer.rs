//! The old holder's side: what it states, and what it sends to one new member.

use std::collections::BTreeMap;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::{ReshareError, Resharing, WORD, expand, vector_bytes};
use crate::digest::Digest;
use crate::party::{PartyId, PieceId};
use crate::prf::Seed;
use crate::share::KeyShare;

/// What one old holder can give; its secrets are wiped when it is dropped.
///
/// Cannot be printed, cloned or serialized as a whole.
pub struct Offer {
    resharing: Resharing,
    pub(super) pieces: BTreeMap<PieceId, PieceOffer>,
}

/// One old piece cut for the new committee.
pub(super) struct PieceOffer {
    /// One per new piece, in order: of the kappa, or of the vector for the first.
    hashes: Vec<Digest>,
    /// Of all new pieces but the first.
    pub(super) kappas: BTreeMap<PieceId, Seed>,
    /// What the first new piece takes.
    pub(super) vector: Zeroizing<Vec<u8>>,
}

impl KeyShare {
    /// Cuts every piece that this party holds for the new committee (resharing.md E4, E5).
    ///
    /// All holders of a piece get the same bytes; computed anew after a restart they are the same again.
    ///
    /// # Errors
    /// [`ReshareError`] when the share is not of the old committee or not before the new epoch.
    pub fn reshare(&self, resharing: &Resharing) -> Result<Offer, ReshareError> {
        if self.committee != resharing.from {
            return Err(ReshareError::OtherCommittee {
                share: self.committee.parties(),
                change: resharing.from.parties(),
            });
        }
        if resharing.epoch <= self.epoch {
            return Err(ReshareError::Epoch {
                share: self.epoch,
                change: resharing.epoch,
            });
        }
        let held: Vec<PieceId> = self.committee.pieces_of(self.me).collect();
        let pieces = held
            .into_par_iter()
            .map(|old| Ok((old, self.cut(resharing, old)?)))
            .collect::<Result<_, ReshareError>>()?;
        Ok(Offer {
            resharing: resharing.clone(),
            pieces,
        })
    }

    fn cut(&self, resharing: &Resharing, old: PieceId) -> Result<PieceOffer, ReshareError> {
        let damaged = || ReshareError::Damaged(old);
        let seed = self.live.get(old).ok_or_else(damaged)?;
        let glwe = self.glwe_piece(old).ok_or_else(damaged)?;
        let squashing = self.squashing_piece(old).ok_or_else(damaged)?;
        let (glwe_size, squashing_size) = (self.params.glwe_size(), self.params.squashing_size());
        if glwe.len() != glwe_size || squashing.len() != squashing_size {
            return Err(damaged());
        }
        let mut glwe = Zeroizing::new(glwe.to_vec());
        let mut squashing = Zeroizing::new(squashing.to_vec());
        let first = resharing.first();
        let mut kappas = BTreeMap::new();
        for new in resharing.to.pieces().iter().copied() {
            if Some(new) == first {
                continue;
            }
            let kappa = resharing.kappa(seed, old, new);
            let (mut small, mut large) = expand(&kappa);
            for value in glwe.iter_mut() {
                *value = value.wrapping_sub(small.next_u64());
            }
            for value in squashing.iter_mut() {
                *value = value.wrapping_sub(large.next_u128());
            }
            kappas.insert(new, kappa);
        }
        let mut vector = Zeroizing::new(Vec::with_capacity(vector_bytes(&self.params)));
        for value in glwe.iter() {
            vector.extend_from_slice(&value.to_le_bytes());
        }
        for value in squashing.iter() {
            vector.extend_from_slice(&value.to_le_bytes());
        }
        let hashes = resharing
            .to
            .pieces()
            .iter()
            .map(|new| {
                kappas.get(new).map_or_else(
                    || resharing.hash_vector(old, &vector),
                    |kappa| resharing.hash_kappa(old, *new, kappa),
                )
            })
            .collect();
        Ok(PieceOffer {
            hashes,
            kappas,
            vector,
        })
    }
}

impl Offer {
    /// Returns the change that this is an offer for.
    #[must_use]
    pub const fn resharing(&self) -> &Resharing {
        &self.resharing
    }

    /// Lists the digest of every old piece that this party holds: what it signs (resharing.md E5).
    #[must_use]
    pub fn digests(&self) -> Vec<(PieceId, Digest)> {
        let digest = |(old, piece): (&PieceId, &PieceOffer)| {
            let hashes = piece.hashes.iter().map(|hash| hash.as_bytes().as_slice());
            (*old, self.resharing.digest(*old, hashes))
        };
        self.pieces.iter().map(digest).collect()
    }

    /// Returns the hash of what each new piece takes of `old`; nothing for a piece that is not held.
    #[must_use]
    pub fn hashes(&self, old: PieceId) -> Option<Vec<(PieceId, Digest)>> {
        let hashes = self.pieces.get(&old)?.hashes.iter().copied();
        Some(
            self.resharing
                .to
                .pieces()
                .iter()
                .copied()
                .zip(hashes)
                .collect(),
        )
    }

    /// Packs what `recipient` takes of `old`, to be sent to it only, over the encrypted channel; nothing for
    /// a piece that is not held or a party that is no new member (resharing.md E6).
    #[must_use]
    pub fn parcel(&self, old: PieceId, recipient: PartyId) -> Option<Zeroizing<Vec<u8>>> {
        let piece = self.pieces.get(&old)?;
        if !self.resharing.to.parties().contains(recipient) {
            return None;
        }
        let held = || self.resharing.to.pieces_of(recipient);
        let with_vector = self.resharing.first().filter(|p| p.is_held_by(recipient));
        let vector = with_vector.map_or(0, |_| piece.vector.len());
        let words = piece.hashes.len() + held().count();
        let mut parcel = Zeroizing::new(Vec::with_capacity(words * WORD + vector));
        for hash in &piece.hashes {
            parcel.extend_from_slice(hash.as_bytes());
        }
        for kappa in held().filter_map(|new| piece.kappas.get(&new)) {
            parcel.extend_from_slice(kappa.expose());
        }
        if with_vector.is_some() {
            parcel.extend_from_slice(&piece.vector);
        }
        Some(parcel)
    }
}
