//! What the statements about a change amount to: who still has to approve it, what its old holders agree on.

use std::collections::BTreeMap;

use organtwin_threshold::{PartyId, PieceId, Security};

use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::fold::{ChangeFacts, Fold, joined};
use crate::roster::Roster;
use crate::tally;

/// Who has not approved a change (N2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Old members, as long as fewer than n-t approved.
    pub old: Vec<PartyId>,
    /// New members; those with new keys approve once enough old members did.
    pub new: Vec<PartyId>,
}

/// Who still has to approve a change.
pub fn agreement(fold: &Fold, change: &ChangeFacts) -> Agreement {
    let sponsored = fold.change_at(change.change.epoch) == Some(change);
    let excused = change.change.excused();
    let old = old_roster(fold, change)
        .into_iter()
        .flat_map(Roster::numbers);
    let silent = old.filter(|party| {
        !sponsored && Some(*party) != excused && !change.approvals.contains_key(party)
    });
    let new = change
        .roster
        .numbers()
        .filter(|party| !joined(change, *party));
    Agreement {
        old: silent.collect(),
        new: new.collect(),
    }
}

/// The roster that a change starts from.
pub(super) fn old_roster<'a>(fold: &'a Fold, change: &ChangeFacts) -> Option<&'a Roster> {
    let from = fold.facts().certificates.get(&change.change.from)?;
    fold.roster_at(from.certificate.epoch)
}

/// What the old holders offer (N7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfferTally {
    /// The accepted digest of each old piece, with the holders that state it.
    pub accepted: BTreeMap<PieceId, (Digest, Vec<PartyId>)>,
    /// Whether every old piece has one.
    pub complete: bool,
    /// Old members that are waited for and have offered nothing.
    pub missing: Vec<PartyId>,
    /// Evidence against those who offer something else than what was accepted.
    pub evidence: Vec<Evidence>,
    /// Two holders that contradict each other about a piece of which nothing can be accepted any more.
    pub pair: Option<Evidence>,
}

/// Tallies the offers: t+1 equal digests count, or those of all holders but the excused one where n <= 3t.
pub fn offers(fold: &Fold, change: &ChangeFacts) -> OfferTally {
    let mut tally = OfferTally::default();
    let Some(old) = old_roster(fold, change) else {
        return tally;
    };
    let (committee, excused) = (old.committee(), change.change.excused());
    tally.missing = old
        .numbers()
        .filter(|p| Some(*p) != excused && !change.offers.contains_key(p))
        .collect();
    for piece in committee.pieces() {
        let holders = committee.holders(*piece);
        let stated = change.offers.iter().filter_map(|(party, (hash, pieces))| {
            let said = pieces.iter().find(|said| said.piece == *piece)?;
            holders
                .contains(*party)
                .then_some((said.digest, *party, *hash))
        });
        let said = tally::collect(stated);
        let waited = || holders.iter().filter(|party| Some(*party) != excused);
        let needed = match committee.security() {
            Security::Active => old.equal_needed(),
            Security::Passive => waited().count().max(1),
        };
        if let Some(digest) = tally::settled(&said, needed) {
            let parties = said.get(&digest).into_iter().flatten();
            let parties = parties.map(|(party, _)| *party).collect();
            tally.accepted.insert(*piece, (digest, parties));
            tally.evidence.extend(tally::minority(&said, &digest));
        } else if waited().all(|party| change.offers.contains_key(&party)) {
            tally.pair = tally.pair.or_else(|| tally::pair(&said));
        }
    }
    tally.complete = tally.accepted.len() == committee.pieces().len();
    tally
}

/// Evidence against all old holders whose offers t+1 others contradict.
pub(crate) fn lying_offers(fold: &Fold) -> Vec<Evidence> {
    let changes = fold.facts().changes.values();
    let begun = changes.filter(|change| !change.offers.is_empty() && fold.is_agreed(change));
    begun
        .flat_map(|change| offers(fold, change).evidence)
        .collect()
}

/// The number of the statement with which a party signed a certificate.
pub(super) fn signed_at(fold: &Fold, certificate: &Digest, party: PartyId) -> Option<u64> {
    let hash = fold
        .facts()
        .certificates
        .get(certificate)?
        .signers
        .get(&party)?;
    let mut feed = fold.feed(party).iter();
    feed.find(|statement| statement.hash() == *hash)
        .map(|statement| statement.seq())
}
