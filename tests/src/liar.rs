//! Adversaries: parties with exactly one deviation each, as data, arranged like the protocol's modules.
//!
//! A liar otherwise follows the protocol. Some deviations need two: whoever does not publish its seeds must be in
//! a disputed session first.

pub mod ceremony;
pub mod decryption;
pub mod deposits;
pub mod epochs;
pub mod evaluation;
pub mod feeds;
pub mod network;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::statement::{Body, PieceValues, StageName};
use organtwin_threshold::PartyId;

/// The one thing that a lying party does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// In a key ceremony.
    Ceremony(ceremony::Lie),
    /// In a change of the sharing.
    Epochs(epochs::Lie),
    /// With input masks.
    Deposits(deposits::Lie),
    /// In the evaluation of a study.
    Evaluation(evaluation::Lie),
    /// In the opening of a result.
    Decryption(decryption::Lie),
    /// In its feed, whatever it says there.
    Feeds(feeds::Lie),
    /// Towards peers that ask it for something.
    Network(network::Lie),
}

/// What a party says instead of the truth.
#[derive(Debug)]
pub enum Utterance {
    /// These statements, in order.
    Say(Vec<Body>),
    /// Two statements under one number: the first to some parties, the second to the others.
    Fork(Body, Body),
    /// A statement that does not name its predecessor.
    Unchained(Body),
    /// A statement far ahead of the feed.
    Ahead(Body),
}

impl Utterance {
    /// Says this.
    #[must_use]
    pub fn one(body: Body) -> Self {
        Self::Say(vec![body])
    }
}

/// The deviations of one party; none for an honest one.
#[derive(Debug, Clone, Default)]
pub struct Liar {
    lies: Vec<Lie>,
    silent: bool,
    said: Vec<Body>,
}

impl Liar {
    /// Adds a deviation.
    pub fn learn(&mut self, lie: Lie) {
        self.lies.push(lie);
    }

    /// Whether it deviates at all.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        self.lies.is_empty()
    }

    /// Whether this is among its deviations.
    #[must_use]
    pub fn tells(&self, lie: impl Into<Lie>) -> bool {
        self.lies.contains(&lie.into())
    }

    /// What it says instead of `body`.
    pub fn utter(&mut self, fold: &Fold, body: Body) -> Utterance {
        if self.is_honest() {
            return Utterance::one(body);
        }
        if self.silent {
            return Utterance::Say(Vec::new());
        }
        self.said.push(body.clone());
        let mut bodies = vec![body];
        for lie in self.lies.clone() {
            let mut next = Vec::new();
            for body in bodies {
                let said = match lie {
                    Lie::Ceremony(lie) => lie.utter(fold, body, &self.said),
                    Lie::Evaluation(lie) => Utterance::one(lie.say(body)),
                    Lie::Epochs(lie) => Utterance::Say(lie.say(body).into_iter().collect()),
                    Lie::Decryption(lie) => lie.utter(body),
                    Lie::Feeds(lie) => lie.utter(body),
                    Lie::Deposits(lie) => Utterance::one(lie.say(body)),
                    Lie::Network(_) => Utterance::one(body),
                };
                match said {
                    Utterance::Say(bodies) => next.extend(bodies),
                    other => return other,
                }
            }
            bodies = next;
        }
        // A party that swallows a step of a ceremony has nothing sensible to say after it.
        self.silent = bodies.is_empty() && self.lies.iter().any(|lie| lie.silences());
        Utterance::Say(bodies)
    }

    /// The seed share that it sends to a party.
    #[must_use]
    pub fn seed_share(&self, to: PartyId, secret: [u8; 32]) -> [u8; 32] {
        let to_all = self.tells(ceremony::Lie::SeedShares);
        spoilt_if(to_all || self.tells(ceremony::Lie::SeedShareTo(to)), secret)
    }

    /// The subseed of a batch that it sends.
    #[must_use]
    pub fn subseed(&self, secret: [u8; 32]) -> [u8; 32] {
        spoilt_if(self.tells(deposits::Lie::Subseed), secret)
    }

    /// The chunk of a stage's vector that it computes.
    #[must_use]
    pub fn vector(&self, stage: StageName, bytes: Vec<u8>) -> Vec<u8> {
        wrong_if(self.tells(ceremony::Lie::Vector(stage)), bytes)
    }

    /// The chunk that it sends to whoever asks.
    #[must_use]
    pub fn chunk(&self, stage: StageName, bytes: Vec<u8>) -> Vec<u8> {
        wrong_if(self.tells(ceremony::Lie::Chunk(stage)), bytes)
    }

    /// The vector of an input batch that it computes.
    #[must_use]
    pub fn batch_vector(&self, bytes: Vec<u8>) -> Vec<u8> {
        wrong_if(self.tells(deposits::Lie::BatchVector), bytes)
    }

    /// The parcel of an old piece that it sends to a new member.
    #[must_use]
    pub fn parcel(&self, bytes: Vec<u8>) -> Vec<u8> {
        wrong_if(self.tells(epochs::Lie::Parcels), bytes)
    }

    /// The blob that it sends to whoever asks, if it answers.
    #[must_use]
    pub fn blob(&self, bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let bytes = bytes.filter(|_| !self.tells(network::Lie::NoBlob))?;
        Some(wrong_if(self.tells(network::Lie::OtherBlob), bytes))
    }
}

impl Lie {
    fn silences(self) -> bool {
        matches!(self, Self::Ceremony(lie) if lie.silences())
    }
}

fn spoilt_if(lying: bool, mut secret: [u8; 32]) -> [u8; 32] {
    if lying {
        secret[31] ^= 1;
    }
    secret
}

/// Spoils a vector or chunk by an even amount, which no check of its form can see.
fn wrong_if(lying: bool, mut bytes: Vec<u8>) -> Vec<u8> {
    if lying && let Some(byte) = bytes.first_mut() {
        *byte ^= 2;
    }
    bytes
}

pub(crate) fn flipped(digest: Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[0] ^= 1;
    Digest::new(bytes)
}

/// Adds the unit of an opened value to the values that `which` picks.
pub(crate) fn shifted(values: &PieceValues, which: impl Fn(usize) -> bool) -> PieceValues {
    let wrong: Vec<u128> = values
        .unpack()
        .expect("own values are whole")
        .into_iter()
        .enumerate()
        .map(|(block, value)| {
            if which(block) {
                value.wrapping_add(1 << 123)
            } else {
                value
            }
        })
        .collect();
    PieceValues::pack(values.piece, &wrong)
}
