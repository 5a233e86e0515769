//! The computation of the key ceremony, stage by stage.

use crate::committee::{Committee, Family};
use crate::digest::{Digest, SessionId};
use crate::open::PieceSeeds;
use crate::params::ParameterSet;
use crate::party::{PartyId, PartySet, PieceId};
use crate::public_key::PublicKey;
use crate::share::KeyShare;

/// The openings of the ceremony, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Random bits: key bits and bits of exact noise.
    Bits,
    /// Products of key bits.
    Products,
    /// Rows of public key material.
    Rows,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 3] = [Self::Bits, Self::Products, Self::Rows];

    /// Returns the kind of groups that open the stage.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Bits | Self::Products => Family::Quad,
            Self::Rows => Family::Lin,
        }
    }
}

/// Why a step of the ceremony cannot be computed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeygenError {
    /// The seeds are not those of the party's pieces.
    #[error("the seed of the {0} is missing or not ours to hold: give exactly the seeds of our own pieces")]
    Seeds(PieceId),
    /// The party is not in the committee.
    #[error("party {0} is not in the committee")]
    NotAMember(PartyId),
    /// Stages were called out of order.
    #[error("stage {asked:?} was asked for while stage {current:?} is open")]
    Order {
        /// The open stage; nothing after the last.
        current: Option<Stage>,
        /// The stage asked for.
        asked: Stage,
    },
    /// A chunk was absorbed out of order.
    #[error("chunk {got} of stage {stage:?} came, chunk {expected} was expected")]
    ChunkOrder {
        /// The open stage.
        stage: Stage,
        /// The next chunk.
        expected: u32,
        /// The chunk that came.
        got: u32,
    },
    /// The chunk does not exist.
    #[error("stage {stage:?} has {chunks} chunks; {got} does not exist")]
    NoChunk {
        /// The stage.
        stage: Stage,
        /// Chunks of the stage.
        chunks: u32,
        /// The chunk asked for.
        got: u32,
    },
    /// The group does not exist or the party is not in it.
    #[error("group {group} of stage {stage:?} is not one of ours")]
    Group {
        /// The stage.
        stage: Stage,
        /// The group asked for.
        group: usize,
    },
    /// A group vector has the wrong size.
    #[error("group {group}: a chunk of {expected} bytes was expected, {got} came")]
    Size {
        /// The group; the number of groups itself if vectors are missing.
        group: usize,
        /// Bytes expected.
        expected: usize,
        /// Bytes received.
        got: usize,
    },
    /// The opened values of the bit stage are not of the form `R^2+R`: some vector is wrong.
    #[error("opened value {position} of the bit stage is odd: a group vector is wrong")]
    OddSquare {
        /// Position of the bit.
        position: u64,
    },
    /// Our own computation is inconsistent.
    #[error("bug in the key ceremony: {0}")]
    Bug(&'static str),
}

/// One party's side of a key ceremony: holds secrets, driven stage by stage and chunk by chunk.
pub struct KeyCeremony {
    committee: Committee,
}

impl KeyCeremony {
    /// Starts the computation of `me` with the seeds of its pieces and the agreed public mask seed.
    ///
    /// # Errors
    /// Refuses seeds that are not exactly those of the party's pieces.
    pub fn new(
        committee: &Committee,
        params: ParameterSet,
        session: SessionId,
        me: PartyId,
        seeds: PieceSeeds,
        mask_seed: [u8; 32],
    ) -> Result<Self, KeygenError> {
        let _ = (params, session, me, seeds, mask_seed);
        Ok(Self { committee: committee.clone() })
    }

    /// Returns the number of chunks of every group vector of `stage`; known from the start.
    #[must_use]
    pub fn chunks(&self, stage: Stage) -> u32 {
        let _ = stage;
        0
    }

    /// Returns the size in bytes of a chunk of `stage`.
    ///
    /// # Errors
    /// Fails if the chunk does not exist.
    pub fn chunk_bytes(&self, stage: Stage, chunk: u32) -> Result<usize, KeygenError> {
        Err(KeygenError::NoChunk { stage, chunks: 0, got: chunk })
    }

    /// Returns the groups of `stage` in the order in which [`KeyCeremony::absorb`] takes their vectors.
    #[must_use]
    pub fn family(&self, stage: Stage) -> &[PartySet] {
        self.committee.family(stage.family())
    }

    /// Computes one chunk of the vector of one of the party's groups in the open stage.
    ///
    /// # Errors
    /// Fails if the stage is not open or the group is not the party's.
    pub fn group_chunk(&self, stage: Stage, group: usize, chunk: u32) -> Result<Vec<u8>, KeygenError> {
        let _ = (group, chunk);
        Err(KeygenError::Order { current: None, asked: stage })
    }

    /// Adds up the vectors of all groups for the next chunk of the open stage.
    ///
    /// # Errors
    /// Fails on wrong order or size, and if the opened values are not of the expected form.
    pub fn absorb(&mut self, stage: Stage, chunk: u32, vectors: &[Vec<u8>]) -> Result<(), KeygenError> {
        let _ = (chunk, vectors);
        Err(KeygenError::Order { current: None, asked: stage })
    }

    /// Closes the open stage and returns the digest of everything that it opened.
    ///
    /// # Errors
    /// Fails if chunks are missing.
    pub fn finish_stage(&mut self, stage: Stage) -> Result<Digest, KeygenError> {
        Err(KeygenError::Order { current: None, asked: stage })
    }

    /// Turns the finished ceremony into the public key and this party's share of the secret key.
    ///
    /// # Errors
    /// Fails if a stage is not finished.
    pub fn finish(self) -> Result<(PublicKey, KeyShare), KeygenError> {
        Err(KeygenError::Bug("not finished"))
    }
}
