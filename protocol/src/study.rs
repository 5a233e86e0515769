//! Study rules: what the statements of all parties mean for one study (docs/spec/statements.md, R1-R10).
//!
//! Everything here is a pure function of the fold, the manifest's twin list and a time that is given.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::PartyId;

use crate::admission::{self, Admission};
use crate::codec::CodecError;
use crate::digest::Digest;
use crate::feed::FeedHead;
use crate::fold::{Approval, Deposit, Fold, Knowledge, StudyFacts};
use crate::manifest::{Manifest, TwinListFacts};
use crate::roster::Roster;
use crate::tally::{self, Agreed, PieceTally};
use crate::twin::{TwinId, TwinList, TwinRef};

/// Why a manifest cannot be approved, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// The key certificate is not one that all parties signed.
    #[error(
        "certificate {certificate}: expected the signatures of all {expected} parties, got {got}"
    )]
    Certificate {
        /// The certificate named.
        certificate: Digest,
        /// n.
        expected: usize,
        /// How many signed.
        got: usize,
    },
    /// A feed that the manifest refers to has not arrived up to that number.
    #[error("party {}'s feed has not arrived up to number {}: wait for it", .0.party, .0.seq)]
    NotYet(FeedHead),
    /// A feed that the manifest refers to holds another statement under that number.
    #[error("party {}'s statement {} is not the one that the manifest names", .0.party, .0.seq)]
    OtherFeed(FeedHead),
    /// The list's root, count, address or counts per hospital are not the manifest's.
    #[error("the twin list is not the one that the manifest names")]
    OtherList,
    /// A twin may not be in this study.
    #[error("twin {} of party {}: {why}", .twin.id, .twin.depositor)]
    Ineligible {
        /// The twin.
        twin: TwinRef,
        /// Why.
        why: Ineligible,
    },
    /// A value of the manifest has no encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl ManifestFault {
    /// Whether statements still to come can mend it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotYet(_) | Self::Certificate { .. })
    }
}

/// Why a twin may not be in a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Ineligible {
    /// It was not deposited as of the manifest's feed heads.
    #[error("it was not deposited as of the manifest's feed heads")]
    NotDeposited,
    /// Its digest is not the deposited one's.
    #[error("its digest is not the deposited twin's")]
    OtherDigest,
    /// Its schema is not the study's.
    #[error("its schema is not the study's")]
    OtherSchema,
    /// Too few parties had received it.
    #[error("expected {expected} parties to have received it, got {got}")]
    TooFewReceipts {
        /// How many must have received it.
        expected: usize,
        /// How many had.
        got: usize,
    },
    /// Its admission was not settled as of the manifest's feed heads.
    #[error("its admission was not settled when the study was proposed")]
    NotChecked,
    /// The check of its weights refused it.
    #[error("the check of its weights refused it: no encoder makes such a twin")]
    Refused,
    /// Two parties state different values of its check.
    #[error("parties {} and {} state different values of its check", .0[0], .0[1])]
    Disputed([PartyId; 2]),
    /// It was withdrawn as of the manifest's feed heads.
    #[error("it was withdrawn before the study was proposed")]
    Withdrawn,
}

/// Why a study will never be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// More than n-Q parties rejected it.
    #[error("rejected by {} parties", .0.len())]
    Rejected(Vec<PartyId>),
    /// The proposer gave it up.
    #[error("closed by its proposer: {0}")]
    Closed(String),
    /// One of its twins was withdrawn.
    #[error("twin {twin} of party {depositor} was withdrawn")]
    Withdrawn {
        /// The twin.
        twin: TwinId,
        /// Its depositor.
        depositor: PartyId,
    },
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its manifest is invalid.
    #[error("invalid manifest: {0}")]
    Invalid(#[from] ManifestFault),
    /// The opening budget of the key does not suffice.
    #[error(
        "expected {needed} blocks within the key's opening budget, got {left} left: a new key is needed"
    )]
    Budget {
        /// The blocks of the study.
        needed: u32,
        /// The blocks left.
        left: u64,
    },
}

/// Where a study stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Statements name it, but its proposal has not arrived.
    Unknown,
    /// Approvals are missing.
    Proposed {
        /// Who approved.
        approvals: Vec<PartyId>,
        /// Q.
        quorum: usize,
    },
    /// The quorum stands; shards are being evaluated.
    Evaluating {
        /// Shards with t+1 equal digests; known once the twin list is.
        confirmed: usize,
        /// All shards.
        shards: usize,
    },
    /// All shards are confirmed; the aggregate is being derived or opened.
    Opening {
        /// Who derived the agreed aggregate; empty until t+1 agree.
        derived: Vec<PartyId>,
        /// Who released all its partial decryptions.
        released: Vec<PartyId>,
    },
    /// The result is out.
    Released {
        /// One byte per opened block.
        values: Vec<u8>,
    },
    /// It will never be opened.
    NotOpened(NotOpened),
}

/// A proposed study in a fold.
#[derive(Debug, Clone, Copy)]
pub struct Study<'a> {
    fold: &'a Fold,
    /// The epoch under whose roster it is read: the newest, unless another one was asked for.
    pub epoch: u32,
    roster: &'a Roster,
    /// The manifest's digest.
    pub id: Digest,
    /// The manifest.
    pub manifest: &'a Manifest,
    /// What is said of it.
    pub facts: &'a StudyFacts,
}

impl<'a> Study<'a> {
    /// Looks a proposed study up.
    pub fn find(fold: &'a Fold, id: &Digest) -> Option<Self> {
        let facts = fold.facts().study(id)?;
        Some(Self {
            fold,
            epoch: fold.epoch(),
            roster: fold.roster(),
            id: *id,
            manifest: &facts.proposal.as_ref()?.manifest,
            facts,
        })
    }

    /// All proposed studies, by digest.
    pub fn all(fold: &'a Fold) -> impl Iterator<Item = Self> {
        fold.facts()
            .studies
            .keys()
            .filter_map(move |id| Self::find(fold, id))
    }

    /// The study as the members of another epoch see it; nothing for an unknown epoch.
    #[must_use]
    pub fn under(self, epoch: u32) -> Option<Self> {
        let roster = self.fold.roster_at(epoch)?;
        Some(Self {
            epoch,
            roster,
            ..self
        })
    }

    /// The roster under which it is read.
    pub fn roster(&self) -> &'a Roster {
        self.roster
    }

    /// The epochs whose shares decrypted some of it partially.
    pub fn opening_epochs(&self) -> BTreeSet<u32> {
        let partials = self.facts.partials.values().flatten();
        partials.map(|partial| partial.epoch).collect()
    }

    /// What was decrypted of it: in the first epoch in which all pieces were accepted, or so far in its own.
    ///
    /// Partial decryptions of different epochs are of different sharings and are never put together (N11).
    pub fn opening(self, list: &TwinList) -> Option<Opening<'a>> {
        let whole = |study: Self| {
            let agreed = study.aggregate()?;
            let tally = tally::pieces(&study, list, &agreed);
            Some(Opening {
                study,
                agreed,
                tally,
            })
        };
        let epochs = self.opening_epochs().into_iter();
        epochs
            .filter_map(|epoch| whole(self.under(epoch)?))
            .find(|opening| opening.tally.complete)
            .or_else(|| whole(self))
    }

    /// The accepted partial decryptions of the agreed aggregate.
    pub fn pieces(self, list: &TwinList) -> Option<PieceTally> {
        Some(self.opening(list)?.tally)
    }

    /// Whether the shares of an earlier epoch opened it, so that nobody decrypts it again.
    pub fn was_opened(&self, list: &TwinList) -> bool {
        let earlier = |epoch: &u32| *epoch != self.epoch;
        self.opening_epochs().iter().any(earlier)
            && self
                .opening(list)
                .is_some_and(|o| o.study.epoch != self.epoch && o.tally.complete)
    }

    /// Q.
    pub fn quorum(&self) -> usize {
        usize::from(self.manifest.quorum)
    }

    /// The approvals that count: in time and not by a rejecter (R3).
    pub fn approvals(&self) -> BTreeMap<PartyId, Approval> {
        let counts = |party: &PartyId, approval: &Approval| {
            self.roster.member(*party).is_some()
                && approval.time_ms < self.manifest.expires_ms
                && !self.facts.rejections.contains_key(party)
        };
        self.facts
            .approvals
            .iter()
            .filter(|(p, a)| counts(p, a))
            .map(|(p, a)| (*p, *a))
            .collect()
    }

    /// Whether the quorum stands.
    pub fn is_approved(&self) -> bool {
        self.approvals().len() >= self.quorum()
    }

    /// Whether so many rejected that the quorum cannot stand (R4): more than n-Q.
    pub fn is_rejected(&self) -> bool {
        self.rejecters().len() > self.roster.parties().saturating_sub(self.quorum())
    }

    fn rejecters(&self) -> Vec<PartyId> {
        let said = self.facts.rejections.keys().copied();
        said.filter(|party| self.roster.member(*party).is_some())
            .collect()
    }

    /// The first listed twin that was withdrawn, if any (R5).
    pub fn withdrawn(&self, list: &TwinList) -> Option<TwinRef> {
        list.twins()
            .iter()
            .find(|t| {
                self.fold
                    .facts()
                    .withdrawals
                    .contains_key(&(t.depositor, t.id))
            })
            .copied()
    }

    /// Why the study will never be opened, as of the fold and the time; withdrawals need the twin list.
    pub fn not_opened(&self, list: Option<&TwinList>, now_ms: u64) -> Option<NotOpened> {
        if self.is_rejected() {
            return Some(NotOpened::Rejected(self.rejecters()));
        }
        if let Some(reason) = &self.facts.closed {
            return Some(NotOpened::Closed(reason.clone()));
        }
        if let Some(twin) = list.and_then(|list| self.withdrawn(list)) {
            return Some(NotOpened::Withdrawn {
                twin: twin.id,
                depositor: twin.depositor,
            });
        }
        if now_ms >= self.manifest.expires_ms {
            return Some(NotOpened::Expired);
        }
        match list.map(|list| check_manifest(self.fold, self.manifest, list)) {
            Some(Err(fault)) if !fault.may_pass() => Some(fault.into()),
            _ => None,
        }
    }

    /// The aggregate that t+1 parties derived, with the blocks that the program opens.
    pub fn aggregate(&self) -> Option<Agreed> {
        tally::aggregate(self.roster, self.manifest, self.facts)
    }

    /// The released values: those that t+1 parties state over the agreed squashed digest (R9).
    pub fn result(&self) -> Option<&'a [u8]> {
        let epochs = self.fold.line().iter().rev().map(|(epoch, _)| *epoch);
        epochs
            .filter_map(|epoch| self.under(epoch))
            .find_map(|study| study.result_of_epoch())
    }

    fn result_of_epoch(&self) -> Option<&'a [u8]> {
        let agreed = self.aggregate()?;
        let mut count: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (party, release) in &self.facts.releases {
            if release.squashed == agreed.squashed && self.roster.member(*party).is_some() {
                *count.entry(&release.values).or_default() += 1;
            }
        }
        let needed = self.roster.equal_needed();
        count
            .into_iter()
            .find(|(_, count)| *count >= needed)
            .map(|(values, _)| values)
    }

    /// The blocks that this study may still open under its key's budget of `limit` blocks (R8).
    pub fn budget_left(&self, limit: u64) -> u64 {
        limit.saturating_sub(opened_blocks(
            self.fold,
            &self.manifest.certificate,
            Some((&self.id, self.epoch)),
        ))
    }

    /// Where the study stands.
    pub fn phase(&self, list: Option<&TwinList>, now_ms: u64) -> Phase {
        if let Some(values) = self.result() {
            return Phase::Released {
                values: values.to_vec(),
            };
        }
        if let Some(why) = self.not_opened(list, now_ms) {
            return Phase::NotOpened(why);
        }
        let approvals = self.approvals();
        if approvals.len() < self.quorum() {
            return Phase::Proposed {
                approvals: approvals.into_keys().collect(),
                quorum: self.quorum(),
            };
        }
        let shards = list
            .map(|list| crate::shard::shards(&self.id, list))
            .unwrap_or_default();
        let confirmed = shards
            .iter()
            .filter(|s| tally::shard(self.roster, self.facts, s).confirmed.is_some())
            .count();
        if shards.is_empty() || confirmed < shards.len() {
            return Phase::Evaluating {
                confirmed,
                shards: shards.len(),
            };
        }
        let agreed = self.aggregate();
        let released = agreed
            .as_ref()
            .map(|a| tally::complete_releasers(self, a))
            .unwrap_or_default();
        Phase::Opening {
            derived: agreed.map(|a| a.parties).unwrap_or_default(),
            released,
        }
    }

    /// Why the key's opening budget of `limit` blocks forbids the study, if it does.
    pub fn over_budget(&self, limit: u64) -> Option<NotOpened> {
        let (needed, left) = (self.manifest.facts.blocks, self.budget_left(limit));
        (u64::from(needed) > left).then_some(NotOpened::Budget { needed, left })
    }

    /// The fold that the study is in.
    pub fn fold(&self) -> &'a Fold {
        self.fold
    }
}

/// What was decrypted of a study, and under the roster of which epoch.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// The study, read in that epoch.
    pub study: Study<'a>,
    /// The aggregate that t+1 members derived.
    pub agreed: Agreed,
    /// The accepted values.
    pub tally: PieceTally,
}

/// The blocks opened so far under a certificate's key, `except` one study in one epoch: those of every aggregate
/// that t+1 parties derived and somebody decrypted partially. One honest party is among the t+1, so nobody can
/// inflate it. The key outlives its epochs, and what is decrypted again in a later one counts again (R8).
pub fn opened_blocks(fold: &Fold, certificate: &Digest, except: Option<(&Digest, u32)>) -> u64 {
    let certificates = &fold.facts().certificates;
    let key = |digest: &Digest| certificates.get(digest).map(|c| c.certificate.key);
    let wanted = key(certificate);
    let studies = Study::all(fold).filter(|s| {
        s.manifest.certificate == *certificate
            || (wanted.is_some() && key(&s.manifest.certificate) == wanted)
    });
    let mut blocks = 0_u64;
    for study in studies {
        for epoch in study.opening_epochs() {
            if except == Some((&study.id, epoch)) {
                continue;
            }
            let agreed = study.under(epoch).and_then(|study| study.aggregate());
            blocks = blocks.saturating_add(agreed.map_or(0, |a| u64::from(a.blocks)));
        }
    }
    blocks
}

/// Whether a certificate stands: all parties of its epoch signed it, apart from at most t whose feeds forked.
///
/// A party could otherwise destroy the joint key by forking its feed long after it signed.
pub fn is_certified(fold: &Fold, certificate: &Digest) -> bool {
    fold.is_certified(certificate)
}

/// Checks everything about a manifest that needs the statements of others and its twin list (R1, R2).
///
/// # Errors
/// [`ManifestFault`] says what is wrong, and whether waiting can help.
pub fn check_manifest(
    fold: &Fold,
    manifest: &Manifest,
    list: &TwinList,
) -> Result<(), ManifestFault> {
    if !is_certified(fold, &manifest.certificate) {
        let signed = fold.facts().certificates.get(&manifest.certificate);
        let roster = signed.and_then(|c| fold.roster_at(c.certificate.epoch));
        return Err(ManifestFault::Certificate {
            certificate: manifest.certificate,
            expected: roster.unwrap_or(fold.founding()).parties(),
            got: signed.map_or(0, |c| c.signers.len()),
        });
    }
    for head in &manifest.feeds {
        match fold.knows(head) {
            Knowledge::Known => {}
            Knowledge::NotYet => return Err(ManifestFault::NotYet(*head)),
            Knowledge::Contradicted => return Err(ManifestFault::OtherFeed(*head)),
        }
    }
    if TwinListFacts::of(list)? != manifest.twins {
        return Err(ManifestFault::OtherList);
    }
    let heads = heads_by_party(&manifest.feeds);
    for twin in list.twins() {
        eligible(fold, &heads, &manifest.schema, twin)
            .map_err(|why| ManifestFault::Ineligible { twin: *twin, why })?;
    }
    Ok(())
}

/// The twins that a study with this schema, proposed on these heads, may contain (R2).
pub fn eligible_twins(fold: &Fold, feeds: &[FeedHead], schema: &Digest) -> Vec<TwinRef> {
    let heads = heads_by_party(feeds);
    let twins = fold.facts().deposits.values().map(|deposit| deposit.twin);
    // A withdrawal after the heads would void the study at once.
    twins
        .filter(|t| {
            eligible(fold, &heads, schema, t).is_ok()
                && !fold.facts().withdrawals.contains_key(&(t.depositor, t.id))
        })
        .collect()
}

/// Whether a twin was admitted as of the feed heads that a manifest names.
///
/// # Errors
/// [`Ineligible`] says what was missing, or why it is refused.
pub(crate) fn admitted_as_of(
    fold: &Fold,
    manifest: &Manifest,
    twin: &TwinRef,
) -> Result<(), Ineligible> {
    let heads = heads_by_party(&manifest.feeds);
    let known = |party: PartyId, seq: u64| heads.get(&party).is_some_and(|head| seq <= *head);
    let deposit = fold.facts().deposits.get(&(twin.depositor, twin.id));
    let deposit = deposit.ok_or(Ineligible::NotDeposited)?;
    admitted(fold, deposit, known)
}

fn admitted(
    fold: &Fold,
    deposit: &Deposit,
    known: impl Fn(PartyId, u64) -> bool,
) -> Result<(), Ineligible> {
    match admission::tally_known(fold, deposit, known).verdict {
        Admission::Admitted => Ok(()),
        Admission::Waiting(_) => Err(Ineligible::NotChecked),
        Admission::Refused => Err(Ineligible::Refused),
        Admission::Disputed(pair) => Err(Ineligible::Disputed(pair)),
    }
}

fn heads_by_party(feeds: &[FeedHead]) -> BTreeMap<PartyId, u64> {
    feeds.iter().map(|h| (h.party, h.seq)).collect()
}

fn eligible(
    fold: &Fold,
    heads: &BTreeMap<PartyId, u64>,
    schema: &Digest,
    twin: &TwinRef,
) -> Result<(), Ineligible> {
    let facts = fold.facts();
    let by_head = |party: PartyId, seq: u64| heads.get(&party).is_some_and(|head| seq <= *head);
    let key = (twin.depositor, twin.id);
    let deposit = facts
        .deposits
        .get(&key)
        .filter(|d| by_head(twin.depositor, d.seq))
        .ok_or(Ineligible::NotDeposited)?;
    if deposit.twin.digest != twin.digest {
        return Err(Ineligible::OtherDigest);
    }
    if deposit.schema != *schema {
        return Err(Ineligible::OtherSchema);
    }
    if facts
        .withdrawals
        .get(&key)
        .is_some_and(|seq| by_head(twin.depositor, *seq))
    {
        return Err(Ineligible::Withdrawn);
    }
    // The twin outlives the epoch of its batch, whose members received it; the depositor holds its own.
    let (expected, got) = receipts(fold, deposit, by_head);
    if got < expected {
        return Err(Ineligible::TooFewReceipts { expected, got });
    }
    admitted(fold, deposit, by_head)
}

/// How many members of a deposit's epoch must have received a twin, and how many had.
fn receipts(
    fold: &Fold,
    deposit: &Deposit,
    by_head: impl Fn(PartyId, u64) -> bool,
) -> (usize, usize) {
    let roster = fold
        .roster_at(deposit.batch.epoch)
        .unwrap_or(fold.founding());
    let depositor = deposit.twin.depositor;
    let said = fold.facts().receipts.get(&deposit.twin.digest);
    let others = said.into_iter().flatten().filter(|(party, seq)| {
        **party != depositor && roster.member(**party).is_some() && by_head(**party, **seq)
    });
    (roster.receipts_needed(), others.count() + 1)
}

/// Whether a party still states that it holds a deposit's twins: those of an epoch that is over are settled (N10).
pub fn is_received(fold: &Fold, deposit: &Deposit) -> bool {
    let (expected, got) = receipts(fold, deposit, |_, _| true);
    got >= expected
}

#[cfg(test)]
mod tests;
