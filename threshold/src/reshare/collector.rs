//! The new member's side: checks what it receives against what was accepted, and adds it up.

use std::collections::BTreeMap;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::{Offer, ReshareError, Resharing, WORD, expand, vector_bytes};
use crate::digest::Digest;
use crate::open::PieceSeeds;
use crate::params::ParameterSet;
use crate::party::{PartyId, PieceId};
use crate::prf::{Label, Seed};
use crate::secret::Secret;
use crate::share::KeyShare;

/// What one new member has received so far; its secrets are wiped when it is dropped.
///
/// Cannot be printed, cloned or serialized.
pub struct Collector {
    resharing: Resharing,
    me: PartyId,
    params: ParameterSet,
    key: Digest,
    accepted: BTreeMap<PieceId, Digest>,
    parts: BTreeMap<PieceId, Part>,
}

/// What this party takes of one old piece.
struct Part {
    kappas: BTreeMap<PieceId, Seed>,
    /// For the first new piece, if this party holds it.
    vector: Option<Zeroizing<Vec<u8>>>,
}

impl Collector {
    /// Starts with the digest that was accepted for every old piece (resharing.md E7).
    ///
    /// `key` is the digest of the public key, which stays.
    ///
    /// # Errors
    /// [`ReshareError`] if `me` is no new member, or unless exactly the old pieces have digests.
    pub fn new(
        resharing: &Resharing,
        me: PartyId,
        params: ParameterSet,
        key: Digest,
        accepted: BTreeMap<PieceId, Digest>,
    ) -> Result<Self, ReshareError> {
        if !resharing.to.parties().contains(me) {
            return Err(ReshareError::NotAMember(me, "new"));
        }
        let old = resharing.from.pieces();
        if let Some(missing) = old.iter().find(|piece| !accepted.contains_key(piece)) {
            return Err(ReshareError::NotAccepted(*missing));
        }
        if let Some(unknown) = accepted.keys().find(|p| old.binary_search(p).is_err()) {
            return Err(ReshareError::UnknownPiece(*unknown));
        }
        Ok(Self {
            resharing: resharing.clone(),
            me,
            params,
            key,
            accepted,
            parts: BTreeMap::new(),
        })
    }

    /// Lists the old pieces of which nothing valid was taken yet.
    #[must_use]
    pub fn missing(&self) -> Vec<PieceId> {
        let pieces = self.resharing.from.pieces().iter().copied();
        pieces
            .filter(|piece| !self.parts.contains_key(piece))
            .collect()
    }

    /// Takes from this party's own offer what matches the accepted digests: nobody need be asked for it.
    pub fn take_own(&mut self, offer: &Offer) {
        for old in self.missing() {
            if let Some(parcel) = offer.parcel(old, self.me) {
                // What does not match is asked of another holder: this party's own share is wrong.
                let _ = self.take(old, &parcel);
            }
        }
    }

    /// Takes the parcel of an old piece, whoever sent it, if it is what was accepted (resharing.md E8).
    ///
    /// # Errors
    /// [`ReshareError::Length`] or [`ReshareError::Mismatch`]: the sender is at fault; ask another holder.
    pub fn take(&mut self, old: PieceId, parcel: &[u8]) -> Result<(), ReshareError> {
        let accepted = self
            .accepted
            .get(&old)
            .ok_or(ReshareError::UnknownPiece(old))?;
        let resharing = &self.resharing;
        let expected = resharing.parcel_bytes(&self.params, self.me);
        let pieces = resharing.to.pieces();
        let (hashes, mut rest) = parcel
            .split_at_checked(pieces.len() * WORD)
            .filter(|_| parcel.len() == expected)
            .ok_or(ReshareError::Length {
                piece: old,
                expected,
                got: parcel.len(),
            })?;
        let mismatch = || ReshareError::Mismatch(old);
        let (hashes, _) = hashes.as_chunks::<WORD>();
        let digest = resharing.digest(old, hashes.iter().map(<[u8; WORD]>::as_slice));
        if digest != *accepted {
            return Err(mismatch());
        }
        let first = resharing.first();
        let mut kappas = BTreeMap::new();
        let mut first_hash = None;
        for (new, hash) in pieces.iter().copied().zip(hashes) {
            if !new.is_held_by(self.me) {
                continue;
            }
            if Some(new) == first {
                first_hash = Some(Digest::new(*hash));
                continue;
            }
            let (kappa, after) = rest.split_first_chunk::<WORD>().ok_or_else(mismatch)?;
            let kappa = Seed::new(*kappa);
            if resharing.hash_kappa(old, new, &kappa).as_bytes() != hash {
                return Err(mismatch());
            }
            kappas.insert(new, kappa);
            rest = after;
        }
        let vector = match first_hash {
            Some(hash) if resharing.hash_vector(old, rest) == hash => {
                Some(Zeroizing::new(rest.to_vec()))
            }
            Some(_) => return Err(mismatch()),
            None => None,
        };
        self.parts.insert(old, Part { kappas, vector });
        Ok(())
    }

    /// Adds up the new pieces and takes the new seeds, which come from the new members only
    /// (resharing.md E9, E10).
    ///
    /// `seeds` are what the new members combined, not yet live ones.
    ///
    /// # Errors
    /// [`ReshareError::Incomplete`] while parcels are missing, [`ReshareError::Seeds`] for seeds that are not
    /// exactly those of this party's new pieces.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the raw seeds are consumed and wiped"
    )]
    pub fn combine(self, seeds: PieceSeeds) -> Result<KeyShare, ReshareError> {
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(ReshareError::Incomplete(missing));
        }
        let held: Vec<PieceId> = self.resharing.to.pieces_of(self.me).collect();
        if let Some(lacking) = held.iter().find(|piece| seeds.get(**piece).is_none()) {
            return Err(ReshareError::Seeds(*lacking));
        }
        if let Some((foreign, _)) = seeds.iter().find(|(piece, _)| !held.contains(piece)) {
            return Err(ReshareError::Seeds(foreign));
        }
        let sums: Vec<(PieceId, Sums)> = held
            .into_par_iter()
            .map(|new| (new, self.add_up(new)))
            .collect();
        let mut glwe = BTreeMap::new();
        let mut squashing = BTreeMap::new();
        for (new, sums) in sums {
            glwe.insert(new, sums.glwe);
            squashing.insert(new, sums.squashing);
        }
        let live = seeds.derive(&Label::new("organtwin/live").session(&self.resharing.session));
        Ok(KeyShare {
            params: self.params,
            committee: self.resharing.to,
            me: self.me,
            epoch: self.resharing.epoch,
            key: self.key,
            glwe,
            squashing,
            live,
        })
    }

    fn add_up(&self, new: PieceId) -> Sums {
        let (glwe_size, squashing_size) = (self.params.glwe_size(), self.params.squashing_size());
        let mut sums = Sums {
            glwe: Secret::new(vec![0; glwe_size]),
            squashing: Secret::new(vec![0; squashing_size]),
        };
        let glwe = sums.glwe.expose_mut();
        let squashing = sums.squashing.expose_mut();
        for part in self.parts.values() {
            if let Some(kappa) = part.kappas.get(&new) {
                let (mut small, mut large) = expand(kappa);
                for sum in glwe.iter_mut() {
                    *sum = sum.wrapping_add(small.next_u64());
                }
                for sum in squashing.iter_mut() {
                    *sum = sum.wrapping_add(large.next_u128());
                }
                continue;
            }
            let vector = part.vector.as_deref().map_or(&[][..], Vec::as_slice);
            debug_assert_eq!(vector.len(), vector_bytes(&self.params));
            let (small, large) = vector.split_at_checked(8 * glwe_size).unwrap_or((&[], &[]));
            let (small, _) = small.as_chunks::<8>();
            for (sum, value) in glwe.iter_mut().zip(small) {
                *sum = sum.wrapping_add(u64::from_le_bytes(*value));
            }
            let (large, _) = large.as_chunks::<16>();
            for (sum, value) in squashing.iter_mut().zip(large) {
                *sum = sum.wrapping_add(u128::from_le_bytes(*value));
            }
        }
        sums
    }
}

/// One new piece of both keys.
struct Sums {
    glwe: Secret<Vec<u64>>,
    squashing: Secret<Vec<u128>>,
}
