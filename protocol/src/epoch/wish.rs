//! What an operator wants, as a change that can be approved.

use organtwin_threshold::PartyId;

use super::{ChangeKind, EpochChange, check};
use crate::codec::{ByteString, CodecError};
use crate::digest::Digest;
use crate::feed::FeedHead;
use crate::fold::{ChangeFacts, Fold, Knowledge};
use crate::identity::StatementKey;
use crate::roster::{Member, PassivePolicy, RawRoster, Roster, RosterError};

/// What an operator wants to happen to the sharing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WishKind {
    /// New shares for the same members.
    Refresh,
    /// One member more.
    Add(Member),
    /// One member fewer.
    Remove(PartyId),
    /// New keys, and a new share, for a member that lost its own.
    Recover {
        /// The member.
        party: PartyId,
        /// Its new statement key.
        statement_key: StatementKey,
        /// Its new network key.
        network_key: ByteString,
    },
}

/// A wish with the bound on corrupt parties that it sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What is to happen.
    pub kind: WishKind,
    /// The new t; the old one unless given.
    pub threshold: Option<u8>,
    /// Whether passive committees are accepted; as before unless given.
    pub passive: Option<PassivePolicy>,
}

impl From<WishKind> for Wish {
    fn from(kind: WishKind) -> Self {
        Self {
            kind,
            threshold: None,
            passive: None,
        }
    }
}

/// Why a change cannot be proposed or approved.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// There is no key to share anew.
    #[error("there is no certified key yet: hold the key ceremony first")]
    NoKey,
    /// Another change is under way.
    #[error("a change to epoch {0} is under way: let it finish, or give it up first")]
    UnderWay(u32),
    /// The party is not, or is already, a member.
    #[error("party {party} {what}")]
    Party {
        /// The party.
        party: PartyId,
        /// What stands against it.
        what: &'static str,
    },
    /// The change does not start from the newest certificate.
    #[error("the change starts from certificate {0}, which is not the newest one: propose it anew")]
    Outdated(Digest),
    /// The new roster is not what its kind makes of the current one.
    #[error("the new roster is not the current one with just this change")]
    Unfit,
    /// The new roster is unsound.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// Something has no encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// The changes from the newest certificate that are neither certified nor given up by one of their new members.
pub fn open(fold: &Fold) -> Vec<&ChangeFacts> {
    let Some((_, newest)) = fold.line().last() else {
        return Vec::new();
    };
    let changes = fold.facts().changes.values();
    let open = changes.filter(|change| {
        let given_up = |party: &PartyId| change.roster.member(*party).is_some();
        change.change.from == *newest && !change.aborted.keys().any(given_up)
    });
    open.collect()
}

/// The change that fulfils a wish: the very same that others proposed already, or a new one.
///
/// `me` states it as [`crate::statement::Body::EpochApproved`].
///
/// # Errors
/// [`WishError`] says what stands against it.
pub fn prepare(fold: &Fold, me: PartyId, wish: &Wish) -> Result<EpochChange, WishError> {
    let (_, from) = *fold.line().last().ok_or(WishError::NoKey)?;
    let (kind, roster) = wanted(fold, wish)?;
    let open = open(fold);
    let same = open.iter().map(|facts| &facts.change).find(|change| {
        change.kind == kind && change.roster == roster && may_approve(fold, change).is_ok()
    });
    if let Some(change) = same {
        return Ok(change.clone());
    }
    let mine = |change: &&&ChangeFacts| {
        let approved = change.approvals.contains_key(&me) && !change.aborted.contains_key(&me);
        approved || fold.change_at(change.change.epoch) == Some(**change)
    };
    if let Some(change) = open.iter().find(mine) {
        return Err(WishError::UnderWay(change.change.epoch));
    }
    let cut = match kind {
        ChangeKind::Recovered(party) => Some(last_head(fold, party).ok_or(WishError::Party {
            party,
            what: "has said nothing yet: there is nothing to recover",
        })?),
        _ => None,
    };
    // A single party cannot push the numbers up: only what more than t approved, or this party, counts.
    let t = fold.roster().threshold();
    let used = fold
        .facts()
        .changes
        .values()
        .filter(|change| change.approvals.len() > t || change.approvals.contains_key(&me));
    let highest = used.map(|change| change.change.epoch).max().unwrap_or(0);
    let change = EpochChange {
        epoch: highest.max(fold.epoch()).saturating_add(1),
        from,
        kind,
        roster,
        cut,
    };
    may_approve(fold, &change)?;
    Ok(change)
}

fn last_head(fold: &Fold, party: PartyId) -> Option<FeedHead> {
    fold.feed(party).last().map(|statement| statement.head())
}

/// The new roster.
fn wanted(fold: &Fold, wish: &Wish) -> Result<(ChangeKind, RawRoster), WishError> {
    let current = fold.roster();
    let mut raw = current.raw().clone();
    raw.threshold = wish.threshold.unwrap_or(raw.threshold);
    raw.passive = wish.passive.unwrap_or(raw.passive);
    let member = |party: PartyId| {
        let what = "is not a member";
        current
            .member(party)
            .ok_or(WishError::Party { party, what })
    };
    let kind = match &wish.kind {
        WishKind::Refresh => ChangeKind::Refresh,
        WishKind::Add(member) => {
            raw.members.push(member.clone());
            raw.members.sort_by_key(|member| member.party);
            ChangeKind::Added(member.party)
        }
        WishKind::Remove(party) => {
            member(*party)?;
            raw.members.retain(|member| member.party != *party);
            ChangeKind::Removed(*party)
        }
        WishKind::Recover {
            party,
            statement_key,
            network_key,
        } => {
            member(*party)?;
            for member in raw.members.iter_mut().filter(|m| m.party == *party) {
                member.statement_key = *statement_key;
                member.network_key = network_key.clone();
            }
            ChangeKind::Recovered(*party)
        }
    };
    Ok((kind, raw))
}

/// Whether an honest party may approve a change, as far as others' statements tell (N3).
///
/// # Errors
/// [`WishError`] says what stands against it.
pub fn may_approve(fold: &Fold, change: &EpochChange) -> Result<(), WishError> {
    let (_, newest) = fold.line().last().ok_or(WishError::NoKey)?;
    if change.from != *newest || change.epoch <= fold.epoch() {
        return Err(WishError::Outdated(change.from));
    }
    let roster = Roster::later(change.roster.clone())?;
    if !change.fits(fold.roster(), &roster) {
        return Err(WishError::Unfit);
    }
    for member in roster.members() {
        let (party, key) = (member.party, member.statement_key);
        if fold.is_replaced(party, key) {
            let what = "has a key that was given up: recover or remove it";
            return Err(WishError::Party { party, what });
        }
    }
    match change.kind {
        ChangeKind::Refresh | ChangeKind::Removed(_) => Ok(()),
        ChangeKind::Added(party) => {
            let known = roster.member(party).map(|m| m.statement_key);
            let other = fold
                .rosters()
                .filter_map(|roster| roster.member(party))
                .any(|member| Some(member.statement_key) != known);
            let what = "had this number with another key: numbers are never used again";
            if other {
                return Err(WishError::Party { party, what });
            }
            Ok(())
        }
        ChangeKind::Recovered(party) => {
            let refuse = |what| Err(WishError::Party { party, what });
            if fold.ended(party).is_some() {
                return refuse("has a feed that ended: remove it, and add it under a new number");
            }
            let Some(cut) = change.cut.filter(|cut| fold.knows(cut) == Knowledge::Known) else {
                return refuse("has a feed that is not here up to the change: wait for it");
            };
            // What it said for the certificate must stay said.
            let signed = check::signed_at(fold, newest, party);
            if signed.is_some_and(|seq| seq > cut.seq) {
                return refuse("would lose its signature under the certificate: propose it anew");
            }
            Ok(())
        }
    }
}
