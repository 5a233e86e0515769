//! What can go wrong in the computation of a ceremony.

use super::Stage;
use crate::party::{PartyId, PieceId};

/// Why a step of the ceremony cannot be computed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeygenError {
    /// The seeds are not those of the party's pieces.
    #[error(
        "the seed of the {0} is missing or not ours to hold: give exactly the seeds of our own pieces"
    )]
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
