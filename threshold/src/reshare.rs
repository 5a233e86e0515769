//! Resharing: the holders of one epoch give the same key to the committee of the next one, without anyone
//! ever holding it (docs/spec/resharing.md).
//!
//! Every holder of an old piece derives the same values from the seed of that piece, so a new member can
//! check what one of them sends against what t+1 of them signed.

mod collector;
mod offer;
#[cfg(test)]
#[cfg(feature = "insecure-test-parameters")]
mod tests;

use std::collections::BTreeMap;

use crate::committee::{Committee, Security};
use crate::decrypt::{Agreed, AgreementError, Rule};
use crate::digest::{Digest, SessionId};
use crate::params::ParameterSet;
use crate::party::{PartyId, PartySet, PieceId};
use crate::prf::{Label, PrfStream, Seed};

pub use collector::Collector;
pub use offer::Offer;

/// Bytes of a hash, and of a kappa.
const WORD: usize = 32;

/// One change of the sharing: from which committee to which, under which name.
///
/// Everything that is derived is bound to all of it, so nothing of one change means anything in another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resharing {
    /// The committee that shares the key now.
    pub from: Committee,
    /// The committee that will share it.
    pub to: Committee,
    /// The session, fresh for every attempt.
    pub session: SessionId,
    /// The new epoch, greater than the old one.
    pub epoch: u32,
    /// Old parties that nobody waits for: the one that leaves, the one that lost its share.
    pub excused: PartySet,
}

/// Why a resharing cannot go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReshareError {
    /// The party does not take part on this side.
    #[error("party {0} is not a member of the {1} committee")]
    NotAMember(PartyId, &'static str),
    /// The share is not one of the committee that is to reshare.
    #[error(
        "the key share is of the parties {share}, the change starts from {change}: take part with the share of the certified epoch"
    )]
    OtherCommittee {
        /// Parties that hold the share's key.
        share: PartySet,
        /// Parties of the change's old committee.
        change: PartySet,
    },
    /// The new epoch is not after the share's.
    #[error("the key share is of epoch {share}, a change to epoch {change} would go back")]
    Epoch {
        /// Epoch of the share.
        share: u32,
        /// Epoch of the change.
        change: u32,
    },
    /// The share lacks a piece that its party holds.
    #[error("the key share lacks the {0}: it is damaged")]
    Damaged(PieceId),
    /// A set that is no piece of the old committee.
    #[error("the old committee has no {0}")]
    UnknownPiece(PieceId),
    /// No digest was accepted for an old piece.
    #[error("no digest is accepted for the {0}: wait for its holders")]
    NotAccepted(PieceId),
    /// A parcel has another length than its piece and recipient ask for.
    #[error("the parcel of the {piece} has {got} bytes, expected {expected}: ask another holder")]
    Length {
        /// The old piece.
        piece: PieceId,
        /// Bytes expected.
        expected: usize,
        /// Bytes received.
        got: usize,
    },
    /// A parcel is not what t+1 holders signed.
    #[error(
        "the parcel of the {0} does not match the digest that its holders signed: ask another holder"
    )]
    Mismatch(PieceId),
    /// Parcels are missing.
    #[error("{} old pieces are still missing, the {} first: fetch their parcels", .0.len(), .0.first().map_or_else(String::new, ToString::to_string))]
    Incomplete(Vec<PieceId>),
    /// The new seeds are not exactly those of the party's new pieces.
    #[error("the new seed of the {0} is missing or not this party's")]
    Seeds(PieceId),
}

impl Resharing {
    /// Returns the new piece that takes the remainder of every old one (resharing.md E4).
    #[must_use]
    pub fn first(&self) -> Option<PieceId> {
        self.to.pieces().first().copied()
    }

    /// Starts a label about old piece `old` (resharing.md E3).
    fn label(&self, domain: &str, old: PieceId) -> Label {
        Label::new(domain)
            .session(&self.session)
            .uint(self.epoch)
            .parties(self.from.parties())
            .uint(self.from.t())
            .parties(self.to.parties())
            .uint(self.to.t())
            .piece(old)
    }

    /// Derives kappa from the live seed of the old piece (resharing.md E4).
    fn kappa(&self, seed: &Seed, old: PieceId, new: PieceId) -> Seed {
        seed.derive(&self.label("organtwin/reshare", old).piece(new))
    }

    fn hash_kappa(&self, old: PieceId, new: PieceId, kappa: &Seed) -> Digest {
        self.label("organtwin/reshare-kappa", old)
            .piece(new)
            .bytes(kappa.expose())
            .hash()
    }

    fn hash_vector(&self, old: PieceId, vector: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.label("organtwin/reshare-vector", old).encode());
        hasher.update(vector);
        Digest::new(*hasher.finalize().as_bytes())
    }

    /// Digests the hashes of all new pieces, in order (resharing.md E5).
    fn digest<'a>(&self, old: PieceId, hashes: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        let label = self.label("organtwin/reshare-offer", old);
        hashes.into_iter().fold(label, Label::bytes).hash()
    }

    /// Returns the bytes of a parcel for `recipient`: public hashes, kappas, and the vector for who holds
    /// the first new piece (resharing.md E6).
    #[must_use]
    pub fn parcel_bytes(&self, params: &ParameterSet, recipient: PartyId) -> usize {
        let kappas = self.to.pieces_of(recipient).count();
        let holds_first = self
            .first()
            .is_some_and(|first| first.is_held_by(recipient));
        let (kappas, vector) = if holds_first {
            (kappas.saturating_sub(1), vector_bytes(params))
        } else {
            (kappas, 0)
        };
        (self.to.pieces().len() + kappas) * WORD + vector
    }

    /// Applies the agreement rule to the digests that old parties stated for `old` (resharing.md E7).
    ///
    /// Active committees accept what t+1 holders stated. Passive ones have no majority, so all holders but
    /// the excused must state the same.
    ///
    /// # Errors
    /// [`AgreementError`] while too few holders state the same; it names who is missing or who disagrees.
    pub fn accept<'a>(
        &self,
        old: PieceId,
        stated: &'a BTreeMap<PartyId, Digest>,
    ) -> Result<Agreed<'a, Digest>, AgreementError> {
        let security = self.from.security();
        let holders = self.from.holders(old);
        let rule = match security {
            Security::Active => Rule {
                security,
                holders,
                needed: usize::from(self.from.t()) + 1,
            },
            Security::Passive => {
                let holders = holders.difference(self.excused);
                Rule {
                    security,
                    holders,
                    needed: holders.len().max(1),
                }
            }
        };
        rule.apply(old, stated)
    }
}

/// Bytes of the vector of the first new piece: the GLWE key's words, then the squashing key's.
fn vector_bytes(params: &ParameterSet) -> usize {
    8 * params.glwe_size() + 16 * params.squashing_size()
}

/// The two streams that a kappa expands to (resharing.md E4).
fn expand(kappa: &Seed) -> (PrfStream, PrfStream) {
    (
        kappa.stream(&Label::new("organtwin/reshare-glwe")),
        kappa.stream(&Label::new("organtwin/reshare-squashing")),
    )
}
