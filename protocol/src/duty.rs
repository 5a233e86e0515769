//! Duties: what a party has to do next, recomputed from the fold and what it holds (R10).
//!
//! Nothing here remembers: after a crash the same call gives what is still to do.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId};

use crate::admission;
use crate::digest::Digest;
use crate::epoch;
use crate::evidence::Evidence;
use crate::fold::Fold;
use crate::shard;
use crate::statement::{Batch, Body, MAX_STATEMENT_BYTES, PieceValues};
use crate::study::{self, Study};
use crate::tally;
use crate::twin::{MAX_TWINS_PER_STATEMENT, TwinId, TwinList};

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlobKind {
    /// One group's vector of an input batch.
    BatchVector,
    /// An encrypted twin.
    Twin,
    /// The list of a study's twins.
    TwinList,
    /// The output of a shard.
    Shard,
}

/// Something that a party has to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Compute the vectors of one's groups, keep them as blobs and state [`Body::BatchPrepared`].
    PrepareBatch(Batch),
    /// Send the batch's subseeds of one's pieces to its hospital over the private channel.
    SendSubseed(Batch),
    /// Combine the accepted vectors to the batch's bodies and mark it in [`LocalView::batches`].
    CombineBatch {
        /// The batch.
        batch: Batch,
        /// The blob of every group's vector, in family order.
        vectors: Vec<Digest>,
    },
    /// Fetch a blob by its digest.
    FetchBlob {
        /// The blob's digest.
        digest: Digest,
        /// What it is.
        kind: BlobKind,
        /// Who says that it holds it.
        holders: Vec<PartyId>,
    },
    /// State [`Body::TwinsReceived`] for twins that are held.
    AcknowledgeTwins(Vec<Digest>),
    /// Check deposited twins on one's shares and state [`Body::TwinsChecked`].
    CheckTwins {
        /// The batch whose slots they use.
        batch: Batch,
        /// The hash of the statement that deposits them.
        deposit: Digest,
        /// The twins, ascending; as many as one statement carries.
        twins: Vec<TwinId>,
    },
    /// Evaluate a shard, keep its output as a blob and state [`Body::ShardEvaluated`].
    EvaluateShard {
        /// The study.
        manifest: Digest,
        /// The shard.
        shard: u32,
    },
    /// Combine the confirmed shards, squash, keep the squashed bytes and state [`Body::AggregateDerived`].
    Combine {
        /// The study.
        manifest: Digest,
        /// The output of every shard, in order.
        shards: Vec<Digest>,
    },
    /// Decrypt some blocks partially and state [`release_body`].
    Release {
        /// The study.
        manifest: Digest,
        /// The squashed bytes, derived by oneself.
        squashed: Digest,
        /// The first block.
        first_block: u32,
        /// How many blocks.
        blocks: u32,
    },
    /// Recombine the accepted values and state [`Body::ResultReleased`].
    Recombine {
        /// The study.
        manifest: Digest,
        /// The squashed bytes.
        squashed: Digest,
    },
    /// State [`Body::Accusation`].
    Accuse(Evidence),
}

/// What a party holds and does besides the fold. The node keeps it; nothing in it decides what is opened
/// except `squashed`, which only the party's own derivation may fill.
#[derive(Debug, Clone, Default)]
pub struct LocalView {
    /// The blobs held.
    pub blobs: BTreeSet<Digest>,
    /// The decoded twin lists held, by blob digest.
    pub twin_lists: BTreeMap<Digest, TwinList>,
    /// Twins whose bytes are not of their schema's slots: nobody can check them, so they are never admitted.
    pub unfit: BTreeSet<Digest>,
    /// The batches whose subseeds one knows as their hospital, so that one can state the values of all groups.
    pub own_subseeds: BTreeSet<Batch>,
    /// The batches whose bodies are combined.
    pub batches: BTreeSet<Batch>,
    /// The batches whose hospital confirmed one's subseeds.
    pub subseeds_sent: BTreeSet<Batch>,
    /// The digest of the squashed bytes that the party derived itself and holds, by study.
    pub squashed: BTreeMap<Digest, Digest>,
    /// Duties under way; they are not asked again.
    pub running: BTreeSet<Duty>,
    /// Blobs being fetched; they are not asked again.
    pub fetching: BTreeSet<Digest>,
    /// When, by the party's own clock, a study last progressed (approved, or a shard stated), in milliseconds.
    pub progress_ms: BTreeMap<Digest, u64>,
    /// How long the next rank waits before it takes a shard over, in milliseconds.
    pub takeover_ms: u64,
    /// How many blocks may be opened over the life of a key.
    pub opening_limit: u64,
}

/// What `me` has to do, in a sensible order. A pure function: the same fold, view and time give the same duties.
pub fn duties(fold: &Fold, me: PartyId, now_ms: u64, local: &LocalView) -> Vec<Duty> {
    let mut out = Duties {
        local,
        list: Vec::new(),
        asked: BTreeSet::new(),
    };
    if fold.roster().member(me).is_none() {
        return out.list;
    }
    batch_duties(fold, me, &mut out);
    twin_duties(fold, me, &mut out);
    check_duties(fold, me, &mut out);
    for study in Study::all(fold) {
        study_duties(&study, me, now_ms, &mut out);
    }
    for evidence in epoch::lying_offers(fold) {
        accuse(fold, me, evidence, &mut out);
    }
    for (party, seq, proof) in fold.equivocations() {
        accuse(fold, me, proof.evidence(party, seq), &mut out);
    }
    out.list
}

struct Duties<'a> {
    local: &'a LocalView,
    list: Vec<Duty>,
    asked: BTreeSet<Digest>,
}

impl Duties<'_> {
    fn push(&mut self, duty: Duty) {
        if !self.local.running.contains(&duty) {
            self.list.push(duty);
        }
    }

    /// Asks for a blob unless it is held or on its way; says whether it is held.
    fn need(&mut self, digest: Digest, kind: BlobKind, holders: Vec<PartyId>) -> bool {
        if self.local.blobs.contains(&digest) {
            return true;
        }
        if !self.local.fetching.contains(&digest) && self.asked.insert(digest) {
            self.list.push(Duty::FetchBlob {
                digest,
                kind,
                holders,
            });
        }
        false
    }
}

fn accuse(fold: &Fold, me: PartyId, evidence: Evidence, out: &mut Duties<'_>) {
    let said = fold.facts().accusations.iter();
    let said = said
        .filter(|(author, _)| *author == me)
        .map(|(_, known)| known);
    let asked = out.list.iter().filter_map(|duty| match duty {
        Duty::Accuse(known) => Some(known),
        _ => None,
    });
    let again = said.chain(asked).any(|known| of_one_deed(known, &evidence));
    if !again && !evidence.accused().contains(&me) {
        out.push(Duty::Accuse(evidence));
    }
}

/// Later statements enlarge a majority; one accusation per deviating statement is enough.
fn of_one_deed(known: &Evidence, evidence: &Evidence) -> bool {
    match (known, evidence) {
        (Evidence::Minority { statement: a, .. }, Evidence::Minority { statement: b, .. }) => {
            a == b
        }
        // One twin suffices for a deposit of many.
        (
            Evidence::Deposit {
                party: a,
                statement: first,
                ..
            },
            Evidence::Deposit {
                party: b,
                statement: second,
                ..
            },
        ) => (a, first) == (b, second),
        _ => known == evidence,
    }
}

fn batch_duties(fold: &Fold, me: PartyId, out: &mut Duties<'_>) {
    if fold.certificate().is_none() {
        return;
    }
    for (batch, facts) in fold
        .facts()
        .batches
        .iter()
        .filter(|(_, facts)| facts.requested)
    {
        // A batch that an epoch left unfinished is void; its finished ones stay usable (N10).
        let current = batch.epoch == fold.epoch();
        if current && !facts.prepared.contains_key(&me) {
            out.push(Duty::PrepareBatch(*batch));
        }
        if current && batch.hospital != me && !out.local.subseeds_sent.contains(batch) {
            out.push(Duty::SendSubseed(*batch));
        }
        let tally = tally::batch(fold, batch);
        for evidence in tally.evidence {
            accuse(fold, me, evidence, out);
        }
        if out.local.batches.contains(batch) {
            continue;
        }
        let mut held = true;
        for (digest, holders) in tally.accepted.values() {
            held &= out.need(*digest, BlobKind::BatchVector, holders.clone());
        }
        if tally.complete && held {
            let vectors = tally.accepted.values().map(|(digest, _)| *digest).collect();
            out.push(Duty::CombineBatch {
                batch: *batch,
                vectors,
            });
        }
    }
}

fn twin_duties(fold: &Fold, me: PartyId, out: &mut Duties<'_>) {
    let facts = fold.facts();
    let mut received = BTreeSet::new();
    for ((depositor, id), deposit) in &facts.deposits {
        let digest = deposit.twin.digest;
        let receipts = facts.receipts.get(&digest);
        if facts.withdrawals.contains_key(&(*depositor, *id)) {
            continue;
        }
        let holders = receipts
            .into_iter()
            .flat_map(|r| r.keys().copied())
            .filter(|p| *p != me && p != depositor);
        let holders = std::iter::once(*depositor).chain(holders).collect();
        let counts = deposit.batch.epoch == fold.epoch() || study::is_received(fold, deposit);
        if !counts {
            continue;
        }
        let stated = *depositor == me || receipts.is_some_and(|r| r.contains_key(&me));
        if out.need(digest, BlobKind::Twin, holders) && !stated {
            received.insert(digest);
        }
    }
    let received: Vec<Digest> = received.into_iter().collect();
    for some in received.chunks(MAX_TWINS_PER_STATEMENT) {
        out.push(Duty::AcknowledgeTwins(some.to_vec()));
    }
}

/// Checks of the twins that one deposit statement names, once all of them are held.
fn check_duties(fold: &Fold, me: PartyId, out: &mut Duties<'_>) {
    let (facts, roster) = (fold.facts(), fold.roster());
    let mut unchecked: BTreeMap<Digest, (Batch, Vec<TwinId>)> = BTreeMap::new();
    let mut incomplete = BTreeSet::new();
    for ((depositor, id), deposit) in &facts.deposits {
        if facts.withdrawals.contains_key(&(*depositor, *id))
            || out.local.unfit.contains(&deposit.twin.digest)
            || deposit.batch.epoch != fold.epoch()
            || roster.member(me).is_none()
        {
            continue;
        }
        let checks = facts.checks.get(&(deposit.statement, *id));
        if checks.is_some_and(|known| known.contains_key(&me)) {
            continue;
        }
        let held = out.local.blobs.contains(&deposit.twin.digest)
            && out.local.batches.contains(&deposit.batch);
        if !held {
            incomplete.insert(deposit.statement);
        }
        let (_, twins) = unchecked
            .entry(deposit.statement)
            .or_insert_with(|| (deposit.batch, Vec::new()));
        twins.push(*id);
    }
    for (deposit, (batch, twins)) in unchecked {
        if incomplete.contains(&deposit) {
            continue;
        }
        let all = batch.hospital == me && out.local.own_subseeds.contains(&batch);
        let groups = if all {
            admission::all_groups(roster)
        } else {
            admission::own_groups(roster, me).count()
        };
        for some in twins.chunks(admission::twins_per_statement(groups)) {
            out.push(Duty::CheckTwins {
                batch,
                deposit,
                twins: some.to_vec(),
            });
        }
    }
    for deposit in facts.deposits.values() {
        let checked = facts
            .checks
            .contains_key(&(deposit.statement, deposit.twin.id));
        if checked {
            for evidence in admission::tally(fold, deposit).evidence {
                accuse(fold, me, evidence, out);
            }
        }
    }
}

fn study_duties(study: &Study<'_>, me: PartyId, now_ms: u64, out: &mut Duties<'_>) {
    let stated = study.facts.releases.contains_key(&me);
    let agreed = study.aggregate();
    let released = agreed
        .as_ref()
        .is_some_and(|a| tally::complete_releasers(study, a).contains(&me));
    if stated && (released || study.facts.rejections.contains_key(&me)) {
        // What somebody claims to have derived after the opening is named all the same.
        for evidence in agreed.into_iter().flat_map(|agreed| agreed.minority) {
            accuse(study.fold(), me, evidence, out);
        }
        return;
    }
    let local = out.local;
    let blob = study.manifest.twins.blob;
    let list = local.twin_lists.get(&blob);
    let opened = list.and_then(|list| study.opening(list));
    if let Some(opening) = opened {
        let (agreed, tally) = (opening.agreed, opening.tally);
        for evidence in agreed.minority.into_iter().chain(tally.evidence) {
            accuse(study.fold(), me, evidence, out);
        }
        let earlier = opening.study.epoch != study.epoch;
        if tally.complete && !stated && local.squashed.get(&study.id) == Some(&agreed.squashed) {
            out.push(Duty::Recombine {
                manifest: study.id,
                squashed: agreed.squashed,
            });
        } else if tally.complete && earlier && stated {
            return;
        }
    }
    // What an earlier epoch opened is not evaluated again for those who came later.
    let here = study.opening_epochs().contains(&study.epoch);
    if !here && study.result().is_some() {
        return;
    }
    if study.not_opened(list, now_ms).is_some() {
        return;
    }
    let Some(list) = list else {
        out.need(blob, BlobKind::TwinList, vec![study.manifest.proposer]);
        return;
    };
    let valid = study::check_manifest(study.fold(), study.manifest, list).is_ok();
    if valid && study.is_approved() {
        evaluation_duties(study, list, me, now_ms, out);
        release_duties(study, list, me, now_ms, out);
    }
}

fn evaluation_duties(
    study: &Study<'_>,
    list: &TwinList,
    me: PartyId,
    now_ms: u64,
    out: &mut Duties<'_>,
) {
    let (fold, roster) = (study.fold(), study.roster());
    // A party that came back without its files derives again what it once stated.
    let said = study.facts.aggregates.get(&me);
    let held = out.local.squashed.contains_key(&study.id);
    let derived = said.is_some_and(|said| held || said.epoch >= study.epoch);
    let mut outputs = Vec::new();
    let mut all_held = true;
    for shard in shard::shards(&study.id, list) {
        let tally = tally::shard(roster, study.facts, &shard);
        for evidence in tally.minority.clone() {
            accuse(fold, me, evidence, out);
        }
        if let Some(output) = tally.confirmed {
            outputs.push(output);
            if !derived {
                all_held &= out.need(output, BlobKind::Shard, tally.agreeing);
            }
            continue;
        }
        all_held = false;
        let stated = study
            .facts
            .shards
            .get(&shard.index)
            .is_some_and(|claims| claims.contains_key(&me));
        let rank = shard::ranking(roster, &study.id, shard.index)
            .iter()
            .position(|p| *p == me);
        let Some(rank) = rank.filter(|_| !stated) else {
            continue;
        };
        // R6: ranks 0..=t at once; one more per differing statement; one more per wait without progress.
        let differing = tally.claims.saturating_sub(tally.equal);
        let since = out
            .local
            .progress_ms
            .get(&study.id)
            .map_or(0, |start| now_ms.saturating_sub(*start));
        let waited = usize::try_from(since.checked_div(out.local.takeover_ms).unwrap_or(0))
            .unwrap_or(usize::MAX);
        let allowed = roster
            .equal_needed()
            .saturating_add(differing)
            .saturating_add(waited);
        let inputs_held = shard.twins.iter().all(|t| {
            let deposit = fold.facts().deposits.get(&(t.depositor, t.id));
            out.local.blobs.contains(&t.digest)
                && deposit.is_some_and(|d| out.local.batches.contains(&d.batch))
        });
        if rank < allowed && inputs_held {
            out.push(Duty::EvaluateShard {
                manifest: study.id,
                shard: shard.index,
            });
        }
    }
    if all_held && !derived {
        out.push(Duty::Combine {
            manifest: study.id,
            shards: outputs,
        });
    }
}

fn release_duties(
    study: &Study<'_>,
    list: &TwinList,
    me: PartyId,
    now_ms: u64,
    out: &mut Duties<'_>,
) {
    let Some(agreed) = may_release(study, list, me, now_ms, out.local) else {
        return;
    };
    let chunk = blocks_per_statement(study.roster().committee().pieces_of(me).count());
    let mine: Vec<_> = tally::in_epoch(study)
        .filter(|(party, _)| *party == me)
        .flat_map(|(_, partials)| partials)
        .collect();
    let mut first_block = 0;
    while first_block < agreed.blocks {
        let covering = mine.iter().find(|p| {
            p.first_block <= first_block && first_block < p.first_block.saturating_add(p.blocks)
        });
        if let Some(partial) = covering {
            first_block = partial.first_block.saturating_add(partial.blocks);
            continue;
        }
        let next_known = mine
            .iter()
            .map(|p| p.first_block)
            .filter(|f| *f > first_block)
            .min()
            .unwrap_or(agreed.blocks);
        let blocks = chunk.min(next_known.min(agreed.blocks) - first_block);
        out.push(Duty::Release {
            manifest: study.id,
            squashed: agreed.squashed,
            first_block,
            blocks,
        });
        first_block += blocks;
    }
}

/// The aggregate that `me` may decrypt partially, if every rule allows it (R7, R8).
///
/// All of these hold: the manifest is valid and neither rejected, closed, voided nor expired; at least Q
/// approvals stand and are valid; `me` did not reject; t+1 parties derived the same squashed digest, `me`
/// among them; `me` holds the very bytes that it derived itself; the key's opening budget suffices.
pub fn may_release(
    study: &Study<'_>,
    list: &TwinList,
    me: PartyId,
    now_ms: u64,
    local: &LocalView,
) -> Option<tally::Agreed> {
    let allowed = study::check_manifest(study.fold(), study.manifest, list).is_ok()
        && study.not_opened(Some(list), now_ms).is_none()
        && study.is_approved()
        && !study.facts.rejections.contains_key(&me)
        && study.roster().member(me).is_some()
        && !study.was_opened(list)
        && study.over_budget(local.opening_limit).is_none();
    let agreed = study.aggregate().filter(|_| allowed)?;
    let derived =
        study.facts.aggregates.get(&me).is_some_and(|own| {
            own.squashed == agreed.squashed && own.aggregate == agreed.aggregate
        });
    let held = local.squashed.get(&study.id) == Some(&agreed.squashed);
    (derived && held && agreed.parties.contains(&me)).then_some(agreed)
}

/// How many blocks one statement can carry for a party that holds `pieces` pieces; at least 1.
pub fn blocks_per_statement(pieces: usize) -> u32 {
    // Fixed fields, approvals and heads of 16 parties fit in 3 KiB; each piece has a header of its own.
    let room = MAX_STATEMENT_BYTES
        .saturating_sub(3 * 1024)
        .saturating_sub(40 * pieces);
    u32::try_from((room / (16 * pieces.max(1))).max(1)).unwrap_or(1)
}

/// Writes the partial decryption for a [`Duty::Release`], checking every rule again.
///
/// `values` are the party's own, of exactly the duty's blocks, one entry per piece in order.
/// Returns `None` when the rules do not allow it any more.
pub fn release_body(
    fold: &Fold,
    me: PartyId,
    now_ms: u64,
    local: &LocalView,
    duty: &Duty,
    values: &[(PieceId, Vec<u128>)],
) -> Option<Body> {
    let Duty::Release {
        manifest,
        squashed,
        first_block,
        blocks,
    } = duty
    else {
        return None;
    };
    let study = Study::find(fold, manifest)?;
    let list = local.twin_lists.get(&study.manifest.twins.blob)?;
    let agreed = may_release(&study, list, me, now_ms, local)?;
    let whole = values
        .iter()
        .all(|(_, v)| u32::try_from(v.len()) == Ok(*blocks));
    if agreed.squashed != *squashed || !whole {
        return None;
    }
    let mut approvals: Vec<Digest> = study.approvals().values().map(|a| a.hash).collect();
    approvals.sort_unstable();
    Some(Body::PartialDecryption {
        manifest: *manifest,
        squashed: *squashed,
        first_block: *first_block,
        approvals,
        feeds: fold.heads(),
        pieces: values
            .iter()
            .map(|(piece, values)| PieceValues::pack(*piece, values))
            .collect(),
    })
}

/// Writes the statement for a [`Duty::Recombine`] whose values were recombined.
pub fn result_body(fold: &Fold, manifest: Digest, squashed: Digest, values: Vec<u8>) -> Body {
    Body::ResultReleased {
        manifest,
        squashed,
        feeds: fold.heads(),
        values: values.into(),
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
