//! What a party may say after what it has said: bounds of one statement and rules of one feed (F5).

mod epoch;
mod session;

use organtwin_threshold::{Committee, Family, PartyId};

use super::facts::{Facts, StudyFacts};
use crate::admission;
use crate::digest::Digest;
use crate::feed::FeedHead;
use crate::manifest::{
    MANIFEST_VERSION, MAX_BLOCKS, MAX_CELLS, MAX_ROWS, MAX_SCENARIO_BYTES, MAX_TEXT_BYTES, Manifest,
};
use crate::roster::Roster;
use crate::statement::{
    Batch, Body, GroupDigest, MAX_REASON_BYTES, PieceValues, Statement, TwinCheck,
};
use crate::twin::{
    MAX_ORGAN_BYTES, MAX_POLYNOMIALS, MAX_TWINS_PER_STATEMENT, MAX_TWINS_PER_STUDY,
    SLOTS_PER_POLYNOMIAL, TwinEntry, TwinId,
};

/// The most batches that a hospital may have asked for without depositing with them.
pub(super) const MAX_UNUSED_BATCHES: usize = 64;
/// The most groups, commitments or pieces that a statement lists.
pub(super) const MAX_LISTED: usize = 1024;

/// The rule that a statement breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleBroken {
    /// The author's clock ran backwards within its feed.
    #[error("expected a time not before the previous statement's")]
    TimeRunsBackwards,
    /// The author names an earlier epoch than in its previous statement.
    #[error("expected an epoch not before the previous statement's")]
    EpochRunsBackwards,
    /// A statement about a change of the sharing that its author may not make.
    #[error("the change of the sharing: {0}")]
    Epoch(&'static str),
    /// A list is empty, too long, unsorted or repeats itself.
    #[error("expected 1 to {limit} strictly ascending {what}")]
    List {
        /// What is listed.
        what: &'static str,
        /// The most entries allowed.
        limit: usize,
    },
    /// A text is too long or holds control characters.
    #[error("expected at most {limit} printable bytes for {what}")]
    Text {
        /// Which text.
        what: &'static str,
        /// The most bytes allowed.
        limit: usize,
    },
    /// The author already said it, or the opposite.
    #[error("the author already stated {0}")]
    Already(&'static str),
    /// The author says something that another party must say.
    #[error("expected party {expected} to say this")]
    NotYours {
        /// Who may say it.
        expected: PartyId,
    },
    /// The batch is malformed, unknown, or numbered out of order.
    #[error("batch {}: {why}", .batch.number)]
    Batch {
        /// The batch.
        batch: Batch,
        /// What is wrong.
        why: &'static str,
    },
    /// A deposit uses slots outside its batch or slots that another twin uses.
    #[error("twin {twin}: slots {first_slot}..+{slots} {why}")]
    Slots {
        /// The twin.
        twin: TwinId,
        /// Its first slot.
        first_slot: u32,
        /// How many it uses.
        slots: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// The twin is not one that the author deposited and has not withdrawn.
    #[error("twin {0} is not the author's, or was withdrawn")]
    UnknownTwin(TwinId),
    /// A check of a twin does not have one value for each group of its author.
    #[error(
        "the check of twin {0} does not have one value of 32 bytes for each of the author's groups"
    )]
    Check(TwinId),
    /// A manifest is wrong whatever others say.
    #[error("the manifest {0}")]
    Manifest(&'static str),
    /// A certificate does not fit the roster.
    #[error("the certificate's {0} is not the roster's")]
    Certificate(&'static str),
    /// The author never stated the aggregate that it decrypts or releases.
    #[error(
        "the author did not derive this aggregate itself: expected its own statement of the same squashed digest before"
    )]
    NotDerived,
    /// The author rejected the study.
    #[error("the author rejected this study")]
    Rejected,
    /// A partial decryption is not of the author's pieces, or not of the study's blocks.
    #[error("the partial decryption {0}")]
    Partial(&'static str),
    /// Seed shares of a session that must not be published, or not by this author, or not these.
    #[error("seed shares are published only {0}")]
    Published(&'static str),
    /// The author published its seed shares of the session that it certifies.
    #[error("the author published its seed shares of this session: nobody may use its key")]
    Burnt,
    /// A statement about a study that the author did not propose.
    #[error("the author did not propose this study")]
    NotProposed,
}

type Checked = Result<(), RuleBroken>;

fn holds(condition: bool, rule: RuleBroken) -> Checked {
    if condition { Ok(()) } else { Err(rule) }
}

/// Checks a statement against its author's own earlier statements; other feeds play no part.
///
/// `roster` is that of the statement's epoch.
pub(super) fn check(
    founding: &Roster,
    roster: &Roster,
    facts: &Facts,
    statement: &Statement,
) -> Checked {
    let author = statement.author;
    if let Some(change) = epoch::own_change(facts, author, &statement.body) {
        return epoch::step(facts, change, statement);
    }
    match &statement.body {
        Body::RosterSigned {} => holds(
            !facts.roster_signed.contains_key(&author),
            RuleBroken::Already("the roster"),
        ),
        body @ (Body::CeremonyJoined { .. }
        | Body::SeedCommitted { .. }
        | Body::SeedsHeld { .. }
        | Body::StageCommitted { .. }
        | Body::StageOpened { .. }
        | Body::SelfTest { .. }
        | Body::CeremonyAborted { .. }
        | Body::SeedsPublished { .. }) => session::check(founding, facts, author, body),
        Body::EpochApproved { change } => epoch::approved(facts, statement, change),
        Body::EpochOffered { .. } | Body::EpochAborted { .. } => {
            Err(RuleBroken::Epoch("expected the author's approval before"))
        }
        Body::KeyCertified { certificate } => {
            let fits = [
                (certificate.epoch == 0, "epoch"),
                (certificate.previous == crate::digest::ZERO, "predecessor"),
                (certificate.roster == founding.digest(), "digest"),
                (
                    certificate.parameters == founding.parameters(),
                    "parameter set",
                ),
                (
                    usize::from(certificate.parties) == founding.parties(),
                    "number of parties",
                ),
                (
                    usize::from(certificate.threshold) == founding.threshold(),
                    "threshold",
                ),
                (
                    certificate.security == founding.committee().security(),
                    "security",
                ),
            ];
            fits.into_iter()
                .try_for_each(|(fits, what)| holds(fits, RuleBroken::Certificate(what)))?;
            session::certifiable(facts, author, certificate.session)
        }
        Body::BatchRequested { batch } => batch_requested(facts, author, statement.epoch, batch),
        Body::BatchPrepared { batch, vectors } => {
            batch_form(batch)?;
            of_epoch(batch, statement.epoch)?;
            let mine = own_groups(roster, author);
            holds(
                vectors.iter().map(|v: &GroupDigest| v.group).eq(mine),
                RuleBroken::Batch {
                    batch: *batch,
                    why: "the vectors are not those of the author's groups",
                },
            )?;
            let prepared = facts
                .batches
                .get(batch)
                .is_some_and(|b| b.prepared.contains_key(&author));
            holds(!prepared, RuleBroken::Already("this batch"))
        }
        Body::TwinsDeposited {
            organ,
            batch,
            twins,
            ..
        } => {
            text(organ, "the organ", MAX_ORGAN_BYTES)?;
            holds(
                batch.hospital == author,
                RuleBroken::NotYours {
                    expected: batch.hospital,
                },
            )?;
            of_epoch(batch, statement.epoch)?;
            let requested = facts.batches.get(batch).is_some_and(|b| b.requested);
            holds(
                requested,
                RuleBroken::Batch {
                    batch: *batch,
                    why: "was not asked for",
                },
            )?;
            ascending(twins.iter().map(|t| t.id), "twins", MAX_TWINS_PER_STATEMENT)?;
            deposited(facts, author, batch, twins)
        }
        Body::TwinsReceived { twins } => {
            ascending(twins.iter(), "twins", MAX_TWINS_PER_STATEMENT)?;
            let again = twins.iter().any(|t| {
                facts
                    .receipts
                    .get(t)
                    .is_some_and(|r| r.contains_key(&author))
            });
            holds(!again, RuleBroken::Already("one of these twins"))
        }
        Body::TwinsChecked { deposit, twins } => checked(roster, facts, author, deposit, twins),
        Body::TwinWithdrawn { id } => {
            let key = (author, *id);
            holds(
                facts.deposits.contains_key(&key) && !facts.withdrawals.contains_key(&key),
                RuleBroken::UnknownTwin(*id),
            )
        }
        Body::StudyProposed { manifest } => {
            holds(
                manifest.proposer == author,
                RuleBroken::NotYours {
                    expected: manifest.proposer,
                },
            )?;
            manifest_form(roster, manifest, statement.time_ms)?;
            let id = manifest
                .digest()
                .map_err(|_| RuleBroken::Manifest("has no encoding"))?;
            holds(
                study(facts, &id).is_none_or(|s| s.proposal.is_none()),
                RuleBroken::Already("this study"),
            )
        }
        Body::StudyApproved { manifest } => {
            let said = study(facts, manifest);
            holds(
                said.is_none_or(|s| !s.rejections.contains_key(&author)),
                RuleBroken::Rejected,
            )?;
            holds(
                said.is_none_or(|s| !s.approvals.contains_key(&author)),
                RuleBroken::Already("its approval"),
            )
        }
        Body::StudyRejected { manifest, reason } => {
            text(reason, "the reason", MAX_REASON_BYTES)?;
            holds(
                study(facts, manifest).is_none_or(|s| !s.rejections.contains_key(&author)),
                RuleBroken::Already("its rejection"),
            )
        }
        Body::ShardEvaluated {
            manifest, shard, ..
        } => {
            let said = study(facts, manifest)
                .and_then(|s| s.shards.get(shard))
                .is_some_and(|c| c.contains_key(&author));
            holds(!said, RuleBroken::Already("this shard"))
        }
        Body::AggregateDerived {
            manifest, blocks, ..
        } => {
            holds(
                (1..=MAX_BLOCKS).contains(blocks),
                RuleBroken::Partial("has no block or too many"),
            )?;
            let said = study(facts, manifest).and_then(|s| s.aggregates.get(&author));
            holds(
                said.is_none_or(|said| said.epoch < statement.epoch),
                RuleBroken::Already("this aggregate"),
            )
        }
        Body::PartialDecryption {
            manifest,
            squashed,
            first_block,
            approvals,
            feeds,
            pieces,
        } => {
            let count = own_pieces(roster.committee(), author, pieces)?;
            ascending(approvals.iter(), "approvals", roster.parties())?;
            holds(
                approvals.len() > roster.threshold(),
                RuleBroken::Partial("relies on fewer than t+1 approvals"),
            )?;
            heads(feeds)?;
            partial(facts, statement, manifest, squashed, *first_block, count)
        }
        Body::ResultReleased {
            manifest,
            feeds,
            values,
            ..
        } => {
            heads(feeds)?;
            let values = values.as_slice();
            let sized = !values.is_empty()
                && values.len() <= MAX_BLOCKS as usize
                && values.iter().all(|v| *v < 16);
            holds(
                sized,
                RuleBroken::Partial("yields no value, too many, or values of more than 4 bits"),
            )?;
            holds(
                study(facts, manifest).is_none_or(|s| !s.releases.contains_key(&author)),
                RuleBroken::Already("this result"),
            )
        }
        Body::StudyClosed { manifest, reason } => {
            text(reason, "the reason", MAX_REASON_BYTES)?;
            let said = study(facts, manifest);
            let mine = said
                .and_then(|s| s.proposal.as_ref())
                .is_some_and(|p| p.manifest.proposer == author);
            holds(mine, RuleBroken::NotProposed)?;
            holds(
                said.is_none_or(|s| s.closed.is_none()),
                RuleBroken::Already("that this study is closed"),
            )
        }
        Body::Accusation { evidence } => holds(
            !facts.accusations.contains(&(author, evidence.clone())),
            RuleBroken::Already("this accusation"),
        ),
    }
}

fn study<'a>(facts: &'a Facts, id: &Digest) -> Option<&'a StudyFacts> {
    facts.studies.get(id)
}

fn text(text: &str, what: &'static str, limit: usize) -> Checked {
    let printable = text.chars().all(|c| !c.is_control() || c == '\n');
    holds(
        text.len() <= limit && printable,
        RuleBroken::Text { what, limit },
    )
}

fn ascending<T: Ord>(
    items: impl ExactSizeIterator<Item = T> + Clone,
    what: &'static str,
    limit: usize,
) -> Checked {
    let rule = RuleBroken::List { what, limit };
    holds((1..=limit).contains(&items.len()), rule.clone())?;
    holds(items.is_sorted_by(|a, b| a < b), rule)
}

/// Former members' feeds are named too.
fn heads(feeds: &[FeedHead]) -> Checked {
    let most = usize::from(PartyId::MAX);
    ascending(feeds.iter().map(|h| h.party), "feed heads", most)
}

/// The positions of the groups that a party prepares input masks with.
pub fn own_groups(roster: &Roster, party: PartyId) -> impl Iterator<Item = u16> {
    let family = roster.committee().family(Family::Live);
    (0u16..)
        .zip(family)
        .filter(move |(_, group)| group.contains(party))
        .map(|(index, _)| index)
}

/// The pieces are exactly the author's, with equally many values each; returns how many.
fn own_pieces(
    committee: &Committee,
    author: PartyId,
    pieces: &[PieceValues],
) -> Result<u32, RuleBroken> {
    let mine = committee.pieces_of(author);
    holds(
        pieces.iter().map(|p| p.piece).eq(mine),
        RuleBroken::Partial("is not of exactly the author's pieces"),
    )?;
    let length = pieces.first().map_or(0, |p| p.values.0.len());
    let whole = length > 0
        && length.is_multiple_of(16)
        && pieces.iter().all(|p| p.values.0.len() == length);
    holds(
        whole,
        RuleBroken::Partial("has no values, broken ones, or not equally many per piece"),
    )?;
    u32::try_from(length / 16).map_err(|_| RuleBroken::Partial("has too many values"))
}

fn batch_form(batch: &Batch) -> Checked {
    let sized = (1..=MAX_POLYNOMIALS).contains(&batch.polynomials);
    holds(
        sized,
        RuleBroken::Batch {
            batch: *batch,
            why: "has no polynomial or too many",
        },
    )
}

/// Nobody prepares, or deposits with, a batch of an epoch that is over (N10).
fn of_epoch(batch: &Batch, epoch: u32) -> Checked {
    holds(
        batch.epoch == epoch,
        RuleBroken::Batch {
            batch: *batch,
            why: "is of another epoch than its statement",
        },
    )
}

fn batch_requested(facts: &Facts, author: PartyId, epoch: u32, batch: &Batch) -> Checked {
    let broken = |why| RuleBroken::Batch { batch: *batch, why };
    holds(
        batch.hospital == author,
        RuleBroken::NotYours {
            expected: batch.hospital,
        },
    )?;
    batch_form(batch)?;
    of_epoch(batch, epoch)?;
    let newest = facts.newest_batch.get(&author);
    holds(
        newest.is_none_or(|n| batch.number > *n),
        broken("needs a number above the hospital's earlier batches"),
    )?;
    let unused = facts.unused_batches.iter();
    let unused = unused.filter(|b| b.epoch == epoch && b.hospital == author);
    let unused = unused.count();
    holds(
        unused < MAX_UNUSED_BATCHES,
        broken("is one too many: deposit with the earlier ones first"),
    )
}

fn deposited(facts: &Facts, author: PartyId, batch: &Batch, twins: &[TwinEntry]) -> Checked {
    let end = u32::from(batch.polynomials) * SLOTS_PER_POLYNOMIAL;
    let mut used = facts.slots.get(batch).cloned().unwrap_or_default();
    for twin in twins {
        let broken = |why| RuleBroken::Slots {
            twin: twin.id,
            first_slot: twin.first_slot,
            slots: twin.slots,
            why,
        };
        holds(
            !facts.deposits.contains_key(&(author, twin.id)),
            RuleBroken::Already("a twin of this name"),
        )?;
        let last = twin
            .first_slot
            .checked_add(twin.slots)
            .filter(|last| twin.slots > 0 && *last <= end);
        let last = last.ok_or_else(|| broken("lie outside the batch"))?;
        // Intervals are disjoint, so only the last one that starts before this one's end can overlap it.
        let free = used
            .range(..last)
            .next_back()
            .is_none_or(|(_, after)| *after <= twin.first_slot);
        holds(free, broken("overlap another twin's"))?;
        used.insert(twin.first_slot, last);
    }
    Ok(())
}

/// Every twin once, with one value per group of the author; of its own deposit it may state all groups' values.
fn checked(
    roster: &Roster,
    facts: &Facts,
    author: PartyId,
    deposit: &Digest,
    twins: &[TwinCheck],
) -> Checked {
    ascending(twins.iter().map(|t| t.id), "twins", MAX_TWINS_PER_STATEMENT)?;
    let own = admission::own_groups(roster, author).count();
    let all = admission::all_groups(roster);
    for twin in twins {
        let mine = facts
            .deposits
            .get(&(author, twin.id))
            .is_some_and(|known| known.statement == *deposit);
        let groups = admission::unpack(twin.values.as_slice()).map(|values| values.len());
        holds(
            groups == Some(own) || (mine && groups == Some(all)),
            RuleBroken::Check(twin.id),
        )?;
        let again = facts
            .checks
            .get(&(*deposit, twin.id))
            .is_some_and(|known| known.contains_key(&author));
        holds(!again, RuleBroken::Already("its check of this twin"))?;
    }
    Ok(())
}

fn partial(
    facts: &Facts,
    statement: &Statement,
    id: &Digest,
    squashed: &Digest,
    first: u32,
    count: u32,
) -> Checked {
    let author = statement.author;
    let said = study(facts, id).ok_or(RuleBroken::NotDerived)?;
    holds(!said.rejections.contains_key(&author), RuleBroken::Rejected)?;
    let derived = said
        .aggregates
        .get(&author)
        .filter(|a| a.squashed == *squashed)
        .ok_or(RuleBroken::NotDerived)?;
    let end = first
        .checked_add(count)
        .filter(|end| *end <= derived.blocks);
    let end = end.ok_or(RuleBroken::Partial("goes beyond the aggregate's blocks"))?;
    let earlier = said.partials.get(&author).into_iter().flatten();
    let again = earlier
        .into_iter()
        .filter(|p| p.epoch == statement.epoch)
        .any(|p| p.first_block < end && first < p.first_block.saturating_add(p.blocks));
    holds(!again, RuleBroken::Already("some of these blocks"))
}

fn manifest_form(roster: &Roster, manifest: &Manifest, now_ms: u64) -> Checked {
    text(&manifest.title, "the title", MAX_TEXT_BYTES)?;
    text(&manifest.question, "the question", MAX_TEXT_BYTES)?;
    text(&manifest.facts.model, "the model", MAX_TEXT_BYTES)?;
    manifest
        .facts
        .rows
        .iter()
        .try_for_each(|row| text(&row.label, "a row's label", MAX_TEXT_BYTES))?;
    heads(&manifest.feeds)?;
    let facts = &manifest.facts;
    let quorum = usize::from(manifest.quorum);
    let cells = facts
        .rows
        .iter()
        .all(|row| (1..=MAX_CELLS).contains(&row.cells));
    let counted: u64 = manifest
        .twins
        .per_hospital
        .values()
        .map(|c| u64::from(*c))
        .sum();
    // Twins of hospitals that left stay usable; R2 looks every twin up.
    let hospitals = manifest.twins.per_hospital.values().all(|c| *c > 0);
    let rules = [
        (
            manifest.version == MANIFEST_VERSION,
            "has another version: use a matching program",
        ),
        (
            quorum > roster.threshold() && quorum <= roster.parties(),
            "has a quorum outside t+1..=n",
        ),
        (
            !facts.rows.is_empty() && facts.rows.len() <= MAX_ROWS && cells,
            "has no row or cell, or too many",
        ),
        (
            (1..=MAX_BLOCKS).contains(&facts.blocks),
            "opens no block or too many",
        ),
        (facts.k >= 1, "has no smallest count: k must be at least 1"),
        (
            manifest.scenario.0.len() <= MAX_SCENARIO_BYTES,
            "has a scenario that is too long",
        ),
        (
            counted == u64::from(manifest.twins.count) && hospitals,
            "counts its twins wrongly",
        ),
        (
            (1..=MAX_TWINS_PER_STUDY).contains(&(manifest.twins.count as usize)),
            "has no twin or too many",
        ),
        (
            manifest.epsilon_micro.is_none(),
            "spends a privacy budget, which this version cannot",
        ),
        (
            manifest.recipients.is_empty(),
            "restricts its recipients, which this version cannot",
        ),
        (
            manifest.expires_ms > now_ms,
            "is expired when it is proposed",
        ),
    ];
    rules
        .into_iter()
        .try_for_each(|(holding, why)| holds(holding, RuleBroken::Manifest(why)))
}
