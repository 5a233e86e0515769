//! A whole session computed again from its published seeds (docs/spec/ceremony.md, W4).
//!
//! Whoever knows the seeds of all pieces can compute every group's vector: one object does the work of all
//! parties, with the memory of one.

use std::collections::BTreeMap;

use super::{KeyCeremony, KeyPieces, KeygenError, Side, Stage};
use crate::committee::Committee;
use crate::decrypt::{DecryptError, decrypt_piece};
use crate::digest::{Digest, SessionId};
use crate::open::PieceSeeds;
use crate::params::ParameterSet;
use crate::party::{PartySet, PieceId};
use crate::prf::Seed;
use crate::public_key::PublicKey;
use crate::squash::SquashedBlocks;

/// A session that is computed again, stage by stage.
pub struct Replay(KeyCeremony);

impl Replay {
    /// Begins with the seeds of all pieces and the session's public mask seed.
    ///
    /// # Errors
    /// [`KeygenError::Seeds`] unless the seeds are exactly those of the committee's pieces.
    pub fn new(
        committee: &Committee,
        params: ParameterSet,
        session: SessionId,
        seeds: BTreeMap<PieceId, Seed>,
        mask_seed: [u8; 32],
    ) -> Result<Self, KeygenError> {
        let seeds = PieceSeeds::of_all(committee, seeds).map_err(KeygenError::Seeds)?;
        KeyCeremony::begin(committee, params, session, Side::All, seeds, mask_seed).map(Self)
    }

    /// Returns the groups of `stage`, in the order in which their vectors are numbered.
    #[must_use]
    pub fn family(&self, stage: Stage) -> &[PartySet] {
        self.0.family(stage)
    }

    /// Counts the vector chunks of all groups of `stage`: the unit of [`Replay::stage`]'s work.
    #[must_use]
    pub fn work(&self, stage: Stage) -> u64 {
        u64::from(self.0.chunks(stage)) * self.family(stage).len() as u64
    }

    /// Computes every group's vector of the open stage, shows each chunk to `each` as (group, bytes), in the
    /// order of the chunks, and opens the stage.
    ///
    /// Returns the digest of all that was opened.
    ///
    /// # Errors
    /// [`KeygenError::Order`] unless the stage is the next one.
    pub fn stage(
        &mut self,
        stage: Stage,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<Digest, KeygenError> {
        let groups = self.family(stage).len();
        for chunk in 0..self.0.chunks(stage) {
            let mut vectors = Vec::with_capacity(groups);
            for group in 0..groups {
                let bytes = self.0.group_chunk(stage, group, chunk)?;
                each(group, &bytes);
                vectors.push(bytes);
            }
            self.0.absorb(stage, chunk, &vectors)?;
        }
        self.0.finish_stage(stage)
    }

    /// Puts the key together.
    ///
    /// # Errors
    /// [`KeygenError::Order`] if a stage is not finished.
    pub fn finish(self) -> Result<ReplayedKey, KeygenError> {
        let committee = self.0.committee.clone();
        let end = self.0.end()?;
        Ok(ReplayedKey {
            committee,
            public: end.public,
            squashing: end.squashing,
            live: end.live,
        })
    }
}

/// The key of an aborted session with all its pieces. It protects nothing.
pub struct ReplayedKey {
    committee: Committee,
    public: PublicKey,
    squashing: KeyPieces,
    live: PieceSeeds,
}

impl ReplayedKey {
    /// The public material.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The values of every piece for blocks that were squashed under this key.
    ///
    /// # Errors
    /// [`DecryptError`] as for a share.
    pub fn partial_decrypt(
        &self,
        blocks: &SquashedBlocks,
    ) -> Result<BTreeMap<PieceId, Vec<u128>>, DecryptError> {
        let pieces = self.squashing.0.iter();
        let values = pieces.map(|(piece, key)| {
            let seed = self.live.get(*piece).ok_or(DecryptError::NotHeld(*piece))?;
            let values = decrypt_piece(&self.committee, seed, key.expose(), 0, blocks)?;
            Ok((*piece, values))
        });
        values.collect()
    }
}
