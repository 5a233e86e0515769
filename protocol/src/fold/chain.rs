//! The chain of rosters and certificates, derived from what was admitted (docs/spec/statements.md, N2, N3, N9).

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::PartyId;

use super::facts::{CertificateFacts, ChangeFacts, Facts};
use crate::digest::{self, Digest};
use crate::epoch::ChangeKind;
use crate::feed::FeedHead;
use crate::identity::StatementKey;
use crate::roster::{Member, Roster};
use crate::statement::{Statement, StatementError};

/// Where the feed of a recovered party passes from its old key to the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    epoch: u32,
    head: FeedHead,
}

/// Rosters by epoch, and the certificates that stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// The founding roster, and that of every change which enough old members approved.
    rosters: BTreeMap<u32, Roster>,
    /// The changes behind the later rosters.
    changes: BTreeMap<u32, Digest>,
    certified: BTreeSet<Digest>,
    /// From a ceremony's certificate to the newest one.
    line: Vec<(u32, Digest)>,
    cuts: Vec<Cut>,
}

/// Whether all members did something, apart from at most t whose feeds forked.
pub(super) fn all_but_forked(
    roster: &Roster,
    did: impl Fn(PartyId) -> bool,
    forked: &dyn Fn(PartyId) -> bool,
) -> bool {
    let done = roster.numbers().filter(|party| did(*party)).count();
    done + roster.threshold() >= roster.parties()
        && roster.numbers().all(|party| did(party) || forked(party))
}

impl Chain {
    /// A consortium without a key.
    pub(super) fn new(founding: Roster) -> Self {
        Self {
            rosters: BTreeMap::from([(0, founding)]),
            changes: BTreeMap::new(),
            certified: BTreeSet::new(),
            line: Vec::new(),
            cuts: Vec::new(),
        }
    }

    /// Derives the chain.
    pub(super) fn of(founding: &Roster, facts: &Facts, forked: &dyn Fn(PartyId) -> bool) -> Self {
        let mut chain = Self::new(founding.clone());
        for (digest, certificate) in &facts.certificates {
            if certificate.certificate.epoch == 0 && signed(founding, certificate, forked) {
                chain.certified.insert(*digest);
            }
        }
        let mut by_epoch: BTreeMap<u32, Vec<(&Digest, &ChangeFacts)>> = BTreeMap::new();
        for (digest, change) in &facts.changes {
            let same = by_epoch.entry(change.change.epoch).or_default();
            same.push((digest, change));
        }
        for (epoch, changes) in by_epoch {
            let mut agreed = changes
                .into_iter()
                .filter(|(_, change)| chain.sponsored(facts, change, forked));
            // Two such changes need more than t parties that deviate; then neither counts.
            let (Some((digest, change)), None) = (agreed.next(), agreed.next()) else {
                continue;
            };
            chain.rosters.insert(epoch, change.roster.clone());
            chain.changes.insert(epoch, *digest);
            if let Some(head) = change.change.cut {
                chain.cuts.push(Cut { epoch, head });
            }
            let mut standing = facts.certificates.iter().filter(|(_, certificate)| {
                continues(facts, change, certificate) && signed(&change.roster, certificate, forked)
            });
            if let (Some((digest, _)), None) = (standing.next(), standing.next()) {
                chain.certified.insert(*digest);
            }
        }
        chain.line = chain.longest(facts);
        chain
    }

    /// N2: whether n-t old members approved a change that starts from a standing certificate.
    fn sponsored(
        &self,
        facts: &Facts,
        change: &ChangeFacts,
        forked: &dyn Fn(PartyId) -> bool,
    ) -> bool {
        let from = &change.change.from;
        let Some(certificate) = facts.certificates.get(from).map(|c| &c.certificate) else {
            return false;
        };
        let Some(old) = self.rosters.get(&certificate.epoch) else {
            return false;
        };
        if !self.certified.contains(from)
            || change.change.epoch <= certificate.epoch
            || !change.change.fits(old, &change.roster)
        {
            return false;
        }
        let excused = change.change.excused();
        let asked = old.numbers().filter(|party| Some(*party) != excused);
        let (approving, silent): (Vec<PartyId>, Vec<PartyId>) =
            asked.partition(|party| change.approvals.contains_key(party));
        let lost = silent.into_iter().filter(|party| forked(*party)).count();
        let (n, t) = (old.parties(), old.threshold());
        approving.len() + lost.min(t) >= n.saturating_sub(t)
            && approving.len() >= n.saturating_sub(2 * t).max(1)
    }

    /// The path from a ceremony's certificate that reaches the newest epoch.
    ///
    /// Of two standing successors, which more than t deviating parties could make, the later one counts.
    fn longest(&self, facts: &Facts) -> Vec<(u32, Digest)> {
        let certificate = |digest: &Digest| facts.certificates.get(digest).map(|c| &c.certificate);
        let mut lines = Vec::new();
        for root in &self.certified {
            if certificate(root).is_none_or(|c| c.previous != digest::ZERO) {
                continue;
            }
            let mut line = vec![(0, *root)];
            while let Some((_, last)) = line.last().copied() {
                let next = self.certified.iter().filter_map(|digest| {
                    let c = certificate(digest)?;
                    (c.previous == last).then_some((c.epoch, *digest))
                });
                let Some(next) = next.max() else { break };
                line.push(next);
            }
            lines.push(line);
        }
        lines
            .into_iter()
            .max_by_key(|line| line.last().copied())
            .unwrap_or_default()
    }

    pub(super) fn roster_at(&self, epoch: u32) -> Option<&Roster> {
        self.rosters.get(&epoch)
    }

    pub(super) fn rosters(&self) -> impl Iterator<Item = &Roster> {
        self.rosters.values()
    }

    /// Whether a cut gave a party another key after it had this one.
    pub(super) fn is_replaced(&self, party: PartyId, key: StatementKey) -> bool {
        let key_at = |roster: &Roster| roster.member(party).map(|member| member.statement_key);
        let mut cuts = self.cuts.iter().filter(|cut| cut.head.party == party);
        cuts.any(|cut| {
            let mut before = self.rosters.range(..cut.epoch);
            let after = self.rosters.get(&cut.epoch).and_then(key_at);
            after != Some(key) && before.any(|(_, roster)| key_at(roster) == Some(key))
        })
    }

    pub(super) fn change_at(&self, epoch: u32) -> Option<&Digest> {
        self.changes.get(&epoch)
    }

    pub(super) fn is_certified(&self, certificate: &Digest) -> bool {
        self.certified.contains(certificate)
    }

    pub(super) fn line(&self) -> &[(u32, Digest)] {
        &self.line
    }

    /// The newest certified epoch; 0 before there is a key.
    pub(super) fn epoch(&self) -> u32 {
        self.line.last().map_or(0, |(epoch, _)| *epoch)
    }

    /// The epoch that a party's next statement names (N4).
    pub(super) fn speaks_in(&self, party: PartyId) -> Option<u32> {
        let recovered = self
            .cuts
            .iter()
            .filter(|cut| cut.head.party == party)
            .map(|cut| cut.epoch)
            .max()
            .unwrap_or(0);
        let current = self.epoch();
        let member = |epoch: u32| {
            let roster = self.rosters.get(&epoch);
            epoch >= recovered && roster.is_some_and(|r| r.member(party).is_some())
        };
        if member(current) {
            return Some(current);
        }
        let newest = self.rosters.keys().copied().filter(|epoch| member(*epoch));
        newest.max()
    }

    /// The author of a statement, by the epoch that it names (N4).
    pub(super) fn author(&self, statement: &Statement) -> Result<&Member, StatementError> {
        let (author, epoch, seq) = (statement.author, statement.epoch, statement.seq);
        let roster = self
            .rosters
            .get(&epoch)
            .ok_or(StatementError::UnknownEpoch { author, epoch })?;
        let member = roster
            .member(author)
            .ok_or(StatementError::NotOnRoster(author))?;
        let cut = self
            .cuts
            .iter()
            .filter(|cut| cut.head.party == author)
            .find(|cut| {
                (epoch < cut.epoch && seq > cut.head.seq)
                    || (epoch >= cut.epoch && seq <= cut.head.seq)
            });
        match cut {
            Some(cut) => Err(StatementError::ReplacedKey {
                author,
                seq,
                epoch: cut.epoch,
            }),
            None => Ok(member),
        }
    }
}

fn signed(
    roster: &Roster,
    certificate: &CertificateFacts,
    forked: &dyn Fn(PartyId) -> bool,
) -> bool {
    all_but_forked(
        roster,
        |party| certificate.signers.contains_key(&party),
        forked,
    )
}

/// N9: whether a certificate is one of this change, of the same key.
fn continues(facts: &Facts, change: &ChangeFacts, next: &CertificateFacts) -> bool {
    let next = &next.certificate;
    let before = facts.certificates.get(&change.change.from);
    before.is_some_and(|before| {
        let before = &before.certificate;
        next.epoch == change.change.epoch
            && next.session == change.session
            && next.previous == change.change.from
            && next.roster == change.roster.digest()
            && next.key == before.key
            && next.bytes == before.bytes
            && next.mask_seed == before.mask_seed
            && next.parameters == before.parameters
    })
}

/// Whether all new members approved a change, those that come with new keys under these keys (N2).
pub(super) fn joined_by_all(change: &ChangeFacts, forked: &dyn Fn(PartyId) -> bool) -> bool {
    all_but_forked(&change.roster, |party| joined(change, party), forked)
}

/// Whether a new member approved a change under the key that it has in the new roster.
pub(crate) fn joined(change: &ChangeFacts, party: PartyId) -> bool {
    let approval = change.approvals.get(&party);
    let renewed = change.change.kind == ChangeKind::Recovered(party);
    approval.is_some_and(|said| !renewed || said.epoch >= change.change.epoch)
}
