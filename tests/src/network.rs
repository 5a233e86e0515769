//! A network in virtual time: every message takes a random delay from a seeded generator, so that messages
//! overtake each other and every run can be repeated.

use std::collections::BTreeMap;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::{Batch, SignedStatement, StageName};
use organtwin_threshold::{PartyId, PieceId, SessionId};

/// A seeded generator (splitmix64): tests only, no secret that matters comes from it.
pub struct Dice(u64);

impl Dice {
    /// Starts the sequence that `seed` names.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&self.roll().to_le_bytes());
        }
        bytes
    }
}

/// What can be asked of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// A blob by its digest.
    Blob(Digest),
    /// A chunk of a group's vector; the leaf hashes where `chunk` is `None`.
    Chunk {
        /// The session.
        session: SessionId,
        /// The stage.
        stage: StageName,
        /// The group.
        group: u16,
        /// Which chunk.
        chunk: Option<u32>,
    },
    /// What the new member takes of an old piece, privately.
    Parcel {
        /// The session of the change.
        session: SessionId,
        /// The old piece.
        piece: PieceId,
    },
}

/// A message between two parties.
#[derive(Debug, Clone)]
pub enum Message {
    /// A statement.
    Statement(SignedStatement),
    /// A seed share, privately.
    SeedShare(SessionId, PieceId, [u8; 32]),
    /// All seed shares of the session came.
    SeedSharesTaken(SessionId),
    /// A subseed of a batch, privately, to its hospital.
    Subseed(Batch, PieceId, [u8; 32]),
    /// The subseeds came.
    SubseedsTaken(Batch),
    /// A request.
    Ask(Ask),
    /// The answer, if the peer has one.
    Answer(Ask, Option<Vec<u8>>),
}

/// An envelope on its way.
#[derive(Debug)]
pub struct Envelope {
    /// Who sent it.
    pub from: PartyId,
    /// Who gets it.
    pub to: PartyId,
    /// What is in it.
    pub message: Message,
}

/// All messages under way.
pub struct Network {
    queue: BTreeMap<(u64, u64), Envelope>,
    sent: u64,
    dice: Dice,
    /// The longest delay in milliseconds.
    longest_ms: u64,
}

impl Network {
    /// A network whose delays follow from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            queue: BTreeMap::new(),
            sent: 0,
            dice: Dice::new(seed),
            longest_ms: 200,
        }
    }

    /// Sends a message; it arrives 1 to 200 ms later.
    pub fn send(&mut self, now_ms: u64, envelope: Envelope) {
        let arrival = now_ms + 1 + self.dice.roll() % self.longest_ms;
        self.sent += 1;
        self.queue.insert((arrival, self.sent), envelope);
    }

    /// Takes the message that arrives next, with its time.
    pub fn take_next(&mut self) -> Option<(u64, Envelope)> {
        let ((arrival, _), envelope) = self.queue.pop_first()?;
        Some((arrival, envelope))
    }
}
