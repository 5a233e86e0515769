//! Epochs: how a consortium changes who shares its key, while the key stays (docs/spec/statements.md, N).
//!
//! A *change* leads from one certificate to the next: a refresh, or one member more, fewer, or with new keys.
//! Like the ceremony, [`step`] is a pure function of the fold and of what a party holds.

mod check;
mod state;
mod wish;

use organtwin_threshold::{PartyId, PartySet, Resharing, SessionId};
use serde::{Deserialize, Serialize};

use crate::codec::CodecError;
use crate::digest::{self, Digest, Domain};
use crate::feed::FeedHead;
use crate::fold::{ChangeFacts, Fold};
use crate::roster::{RawRoster, Roster};

pub(crate) use check::lying_offers;
pub use check::{Agreement, OfferTally, agreement, offers};
pub use state::{Local, Phase, Step, may_collect, step};
pub use wish::{Wish, WishError, WishKind, may_approve, open, prepare};

/// What a change does to the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// The same members get new shares.
    Refresh,
    /// A party joins.
    Added(PartyId),
    /// A party leaves.
    Removed(PartyId),
    /// A party that lost its share comes back under its number with new keys.
    Recovered(PartyId),
}

/// One change of the sharing of a key, as its parties approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochChange {
    /// The number of the new epoch; every attempt has its own, greater than all before.
    pub epoch: u32,
    /// The digest of the certificate that it starts from.
    pub from: Digest,
    /// What it does.
    pub kind: ChangeKind,
    /// The new members.
    pub roster: RawRoster,
    /// The last statement under the old key of a recovered party; nothing otherwise.
    pub cut: Option<FeedHead>,
}

/// The digest of what an old holder offers of one old piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceDigest {
    /// The old piece.
    pub piece: organtwin_threshold::PieceId,
    /// The digest over all new pieces.
    pub digest: Digest,
}

impl EpochChange {
    /// What identifies the change.
    ///
    /// # Errors
    /// [`CodecError`] when the change has no encoding.
    pub fn digest(&self) -> Result<Digest, CodecError> {
        digest::of_value(Domain::EpochChange, self)
    }

    /// The session of its resharing: epoch numbers are never used again, so no two share labels.
    ///
    /// # Errors
    /// [`CodecError`] when the change has no encoding.
    pub fn session(&self, consortium: Digest) -> Result<SessionId, CodecError> {
        let name = digest::of_value(
            Domain::Session,
            &("epoch change", consortium, self.digest()?),
        )?;
        Ok(SessionId::new(*name.as_bytes()))
    }

    /// The old member that nobody waits for: it leaves, or lost its share.
    pub fn excused(&self) -> Option<PartyId> {
        match self.kind {
            ChangeKind::Refresh | ChangeKind::Added(_) => None,
            ChangeKind::Removed(party) | ChangeKind::Recovered(party) => Some(party),
        }
    }

    /// Whether `new`, the roster of this change, is what its kind makes of `old`.
    pub fn fits(&self, old: &Roster, new: &Roster) -> bool {
        let (was, now) = (old.raw(), new.raw());
        let same = now.name == was.name
            && now.parameters == was.parameters
            && now.instruction_class == was.instruction_class;
        let others = |party: PartyId| {
            let but = |roster: &RawRoster| -> Vec<_> {
                let members = roster.members.iter().filter(|m| m.party != party);
                members.cloned().collect()
            };
            but(was) == but(now)
        };
        let cut = self.cut.map(|head| head.party);
        same && match self.kind {
            ChangeKind::Refresh => was.members == now.members && cut.is_none(),
            ChangeKind::Added(party) => {
                others(party)
                    && old.member(party).is_none()
                    && new.member(party).is_some()
                    && cut.is_none()
            }
            ChangeKind::Removed(party) => {
                others(party)
                    && old.member(party).is_some()
                    && new.member(party).is_none()
                    && cut.is_none()
            }
            ChangeKind::Recovered(party) => {
                let fresh = old
                    .member(party)
                    .zip(new.member(party))
                    .is_some_and(|(was, now)| {
                        was.statement_key != now.statement_key && was.network_key != now.network_key
                    });
                others(party) && fresh && cut == Some(party)
            }
        }
    }
}

/// The resharing of a change, once enough old members approved it.
pub fn resharing(fold: &Fold, facts: &ChangeFacts) -> Option<Resharing> {
    let from = fold.facts().certificates.get(&facts.change.from)?;
    let old = fold.roster_at(from.certificate.epoch)?;
    Some(Resharing {
        from: old.committee().clone(),
        to: facts.roster.committee().clone(),
        session: facts.session,
        epoch: facts.change.epoch,
        excused: facts.change.excused().into_iter().collect::<PartySet>(),
    })
}

#[cfg(test)]
mod tests;
