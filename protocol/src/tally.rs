//! Tallies: which computed value counts when several parties state one (R6, R7, R9).
//!
//! t+1 equal statements settle a value, since one of their authors is honest. Where n <= 3t a majority
//! of honest holders is not guaranteed, and shares count only when all their holders agree.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{Family, PartyId, PieceId};

use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::feed::FeedHead;
use crate::fold::{Fold, Knowledge, PartialFacts, StudyFacts};
use crate::manifest::Manifest;
use crate::roster::Roster;
use crate::shard::Shard;
use crate::statement::Batch;
use crate::study::Study;
use crate::twin::TwinList;

/// A value said by parties, with the hash of each one's statement.
pub(crate) type Said<V> = BTreeMap<V, BTreeMap<PartyId, Digest>>;

pub(crate) fn collect<V: Ord>(claims: impl Iterator<Item = (V, PartyId, Digest)>) -> Said<V> {
    let mut said: Said<V> = BTreeMap::new();
    for (value, party, hash) in claims {
        said.entry(value).or_default().insert(party, hash);
    }
    said
}

/// The one value that at least `needed` parties state; none when two values reach it.
pub(crate) fn settled<V: Ord + Clone>(said: &Said<V>, needed: usize) -> Option<V> {
    let mut reaching = said.iter().filter(|(_, parties)| parties.len() >= needed);
    let first = reaching.next()?;
    reaching.next().is_none().then(|| first.0.clone())
}

/// Evidence against every party that states something else than the settled value.
pub(crate) fn minority<V: Ord>(said: &Said<V>, value: &V) -> Vec<Evidence> {
    let majority: Vec<Digest> = said
        .get(value)
        .into_iter()
        .flat_map(|p| p.values().copied())
        .collect();
    said.iter()
        .filter(|(other, _)| *other != value)
        .flat_map(|(_, parties)| parties)
        .map(|(party, statement)| Evidence::Minority {
            party: *party,
            statement: *statement,
            majority: majority.clone(),
        })
        .collect()
}

/// Evidence that two of the parties contradict each other.
pub(crate) fn pair<V: Ord>(said: &Said<V>) -> Option<Evidence> {
    let mut firsts = said
        .values()
        .filter_map(|parties| parties.first_key_value());
    let ((a, first), (b, second)) = (firsts.next()?, firsts.next()?);
    Some(Evidence::Pair {
        statements: [*first, *second],
        parties: [*a, *b],
    })
}

/// Evidence that somebody contradicts a value, with somebody who states it.
pub(crate) fn pair_with<V: Ord>(said: &Said<V>, value: &V) -> Option<Evidence> {
    let (a, first) = said.get(value)?.first_key_value()?;
    let mut others = said.iter().filter(|(other, _)| *other != value);
    let (b, second) = others.next()?.1.first_key_value()?;
    Some(Evidence::Pair {
        statements: [*first, *second],
        parties: [*a, *b],
    })
}

/// What is said of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardTally {
    /// The output that t+1 parties state, if one is.
    pub confirmed: Option<Digest>,
    /// Who states the confirmed output.
    pub agreeing: Vec<PartyId>,
    /// How many equal outputs there are at most.
    pub equal: usize,
    /// How many parties state any output.
    pub claims: usize,
    /// Evidence against those who state another output.
    pub minority: Vec<Evidence>,
}

/// Tallies a shard; statements about other inputs count as differing outputs.
pub fn shard(roster: &Roster, facts: &StudyFacts, shard: &Shard) -> ShardTally {
    let claims = facts.shards.get(&shard.index).into_iter().flatten();
    let claims = claims.filter(|(party, _)| roster.member(**party).is_some());
    let said = collect(
        claims
            .into_iter()
            .map(|(party, c)| ((c.inputs == shard.inputs, c.output), *party, c.hash)),
    );
    let right = said.iter().filter(|((inputs, _), _)| *inputs);
    let equal = right.map(|(_, parties)| parties.len()).max().unwrap_or(0);
    let value = settled(&said, roster.equal_needed()).filter(|(inputs, _)| *inputs);
    ShardTally {
        confirmed: value.map(|(_, output)| output),
        agreeing: value
            .and_then(|v| said.get(&v))
            .map(|p| p.keys().copied().collect())
            .unwrap_or_default(),
        equal,
        claims: said.values().map(BTreeMap::len).sum(),
        minority: value.map(|v| minority(&said, &v)).unwrap_or_default(),
    }
}

/// The aggregate that t+1 parties derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The digest of the aggregate.
    pub aggregate: Digest,
    /// The digest of all squashed bytes.
    pub squashed: Digest,
    /// How many blocks are opened.
    pub blocks: u32,
    /// Who derived it.
    pub parties: Vec<PartyId>,
    /// Evidence against those who derived something else.
    pub minority: Vec<Evidence>,
}

/// Tallies the aggregate of a study.
pub fn aggregate(roster: &Roster, manifest: &Manifest, facts: &StudyFacts) -> Option<Agreed> {
    let said = collect(
        facts
            .aggregates
            .iter()
            .filter(|(party, _)| roster.member(**party).is_some())
            .map(|(p, c)| ((c.aggregate, c.squashed, c.blocks), *p, c.hash)),
    );
    let value = settled(&said, roster.equal_needed())
        .filter(|(_, _, blocks)| *blocks == manifest.facts.blocks)?;
    Some(Agreed {
        aggregate: value.0,
        squashed: value.1,
        blocks: value.2,
        parties: said.get(&value)?.keys().copied().collect(),
        minority: minority(&said, &value),
    })
}

/// What is said of an input batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchTally {
    /// The accepted vector of each group, with the members that state it.
    pub accepted: BTreeMap<u16, (Digest, Vec<PartyId>)>,
    /// Whether every group's vector is accepted.
    pub complete: bool,
    /// Evidence against those who state another vector, or pairs of which one lies.
    pub evidence: Vec<Evidence>,
}

/// Tallies an input batch: t+1 equal vectors count, or all members' where n <= 3t.
pub fn batch(fold: &Fold, batch: &Batch) -> BatchTally {
    let mut tally = BatchTally {
        accepted: BTreeMap::new(),
        complete: false,
        evidence: Vec::new(),
    };
    let Some(roster) = fold.roster_at(batch.epoch) else {
        return tally;
    };
    let family = roster.committee().family(Family::Live);
    let Some(facts) = fold.facts().batches.get(batch) else {
        return tally;
    };
    for (index, group) in (0u16..).zip(family) {
        let vectors = facts
            .prepared
            .iter()
            .filter_map(|(party, (hash, vectors))| {
                let vector = vectors.iter().find(|v| v.group == index)?;
                Some((vector.digest, *party, *hash))
            });
        let said = collect(vectors);
        let needed = if roster.needs_all() {
            group.len()
        } else {
            roster.equal_needed()
        };
        if let Some(value) = settled(&said, needed) {
            let parties = said
                .get(&value)
                .map(|p| p.keys().copied().collect())
                .unwrap_or_default();
            tally.accepted.insert(index, (value, parties));
            tally.evidence.extend(minority(&said, &value));
        } else if roster.needs_all() {
            tally.evidence.extend(pair(&said));
        }
    }
    tally.complete = tally.accepted.len() == family.len();
    tally
}

/// What is said of the pieces' partial decryptions of one aggregate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PieceTally {
    /// The accepted values of each piece, one per block.
    pub accepted: BTreeMap<PieceId, Vec<u128>>,
    /// Whether every piece is accepted.
    pub complete: bool,
    /// Evidence against parties whose values differ from the accepted ones, pairs of which one lies,
    /// and partial decryptions that break a rule.
    pub evidence: Vec<Evidence>,
    /// Parties with a partial decryption that breaks a rule of the study, and the rule.
    pub invalid: Vec<(PartyId, PartialFault)>,
}

/// Which rule of the study a partial decryption breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PartialFault {
    /// It is of squashed bytes that t+1 parties did not derive.
    #[error("it is not of the aggregate that t+1 parties derived")]
    OtherAggregate,
    /// Its author cannot be shown to have known that t+1 parties derived the aggregate.
    #[error("its author did not know that t+1 parties had derived the aggregate")]
    NotAgreed,
    /// It does not name Q approvals of this study that count.
    #[error("it does not rely on Q valid approvals")]
    NoQuorum,
    /// It was made after the study's expiry.
    #[error("it was made after the study had expired")]
    Expired,
    /// Its author knew that the study was rejected.
    #[error("its author knew that too many had rejected")]
    Rejected,
    /// Its author knew that a twin had been withdrawn.
    #[error("its author knew that a twin had been withdrawn")]
    Withdrawn,
    /// It names statements that are not in the feeds.
    #[error("it names feed heads or approvals that are not in the feeds")]
    UnknownStatements,
    /// It names statements that have not arrived yet; it neither counts nor speaks against its author.
    #[error("it names statements that have not arrived yet")]
    NotYet,
}

/// Checks the rules of the study for one partial decryption, by what its author can be shown to have known.
///
/// # Errors
/// The first [`PartialFault`].
pub fn check_partial(
    study: &Study<'_>,
    list: &TwinList,
    agreed: &Agreed,
    author: PartyId,
    partial: &PartialFacts,
) -> Result<(), PartialFault> {
    let (fold, manifest, facts) = (study.fold(), study.manifest, study.facts);
    let roster = study.roster();
    if partial.squashed != agreed.squashed || !agreed.parties.contains(&author) {
        return Err(PartialFault::OtherAggregate);
    }
    if partial.time_ms >= manifest.expires_ms {
        return Err(PartialFault::Expired);
    }
    // R9: what a forked feed once said cannot be shown any more; that is not this author's fault.
    let cited = partial
        .feeds
        .iter()
        .filter(|head| !fold.has_forked(head.party));
    for head in cited {
        match fold.knows(head) {
            Knowledge::Known => {}
            Knowledge::NotYet => return Err(PartialFault::NotYet),
            Knowledge::Contradicted => return Err(PartialFault::UnknownStatements),
        }
    }
    let knew = |party: PartyId, seq: u64| knew(author, partial, party, seq);
    let derived = agreed
        .parties
        .iter()
        .filter_map(|p| Some((*p, facts.aggregates.get(p)?.seq)));
    let derived = derived.filter(|(party, seq)| knew(*party, *seq)).count();
    // R9: a party whose feed forked since may have been among those who derived it.
    let gone = |head: &FeedHead| {
        fold.has_forked(head.party)
            && !agreed.parties.contains(&head.party)
            && fold.knows(head) != Knowledge::Known
    };
    let excused = partial.feeds.iter().filter(|head| gone(head)).count();
    if derived + excused < roster.equal_needed() {
        return Err(PartialFault::NotAgreed);
    }
    let rejecters: Vec<PartyId> = facts
        .rejections
        .iter()
        .filter(|(p, r)| roster.member(**p).is_some() && knew(**p, r.seq))
        .map(|(p, _)| *p)
        .collect();
    if rejecters.len() > roster.parties().saturating_sub(study.quorum()) {
        return Err(PartialFault::Rejected);
    }
    let mut approvers = BTreeSet::new();
    let mut lost = 0;
    for hash in &partial.approvals {
        let Some((party, approval)) = facts.approvals.iter().find(|(_, a)| a.hash == *hash) else {
            lost += 1;
            continue;
        };
        let in_time = approval.time_ms < manifest.expires_ms;
        let member = roster.member(*party).is_some();
        if member && in_time && !rejecters.contains(party) && knew(*party, approval.seq) {
            approvers.insert(*party);
        } else {
            return Err(PartialFault::NoQuorum);
        }
    }
    let forked = roster
        .numbers()
        .filter(|p| fold.has_forked(*p) && !approvers.contains(p));
    if lost > forked.count() || approvers.len() + lost < study.quorum() {
        return Err(PartialFault::NoQuorum);
    }
    let withdrawals = &fold.facts().withdrawals;
    let withdrawn = list
        .twins()
        .iter()
        .filter_map(|t| Some((t.depositor, withdrawals.get(&(t.depositor, t.id))?)));
    if withdrawn.into_iter().any(|(party, seq)| knew(party, *seq)) {
        return Err(PartialFault::Withdrawn);
    }
    Ok(())
}

/// Whether the author of a partial decryption can be shown to have known a statement.
fn knew(author: PartyId, partial: &PartialFacts, party: PartyId, seq: u64) -> bool {
    let own = party == author && seq < partial.seq;
    own || partial
        .feeds
        .iter()
        .any(|head: &FeedHead| head.party == party && seq <= head.seq)
}

/// Tallies the partial decryptions of a study in the epoch in which it is read.
pub fn pieces(study: &Study<'_>, list: &TwinList, agreed: &Agreed) -> PieceTally {
    let roster = study.roster();
    let mut tally = PieceTally::default();
    let mut said: BTreeMap<PieceId, Said<Vec<u128>>> = BTreeMap::new();
    for (party, partials) in in_epoch(study) {
        let faults = partials
            .iter()
            .filter_map(|p| Some((check_partial(study, list, agreed, party, p).err()?, p.hash)));
        // NotYet orders last: it matters only where nothing worse is found.
        if let Some((fault, statement)) = faults.min() {
            if fault != PartialFault::NotYet {
                tally.invalid.push((party, fault));
                // R9: a head that is not in the feeds may be the other half of a fork that has not arrived here.
                if fault != PartialFault::UnknownStatements {
                    tally
                        .evidence
                        .push(Evidence::StudyRule { party, statement });
                }
            }
            continue;
        }
        let Some((hash, values)) = complete(&partials, agreed.blocks) else {
            continue;
        };
        for (piece, values) in values {
            said.entry(piece)
                .or_default()
                .entry(values)
                .or_default()
                .insert(party, hash);
        }
    }
    let pieces = roster.committee().pieces();
    for piece in pieces.iter() {
        let Some(said) = said.get(piece) else {
            continue;
        };
        let needed = if roster.needs_all() {
            roster.committee().holders(*piece).len()
        } else {
            roster.equal_needed()
        };
        if let Some(value) = settled(said, needed) {
            tally.evidence.extend(minority(said, &value));
            tally.accepted.insert(*piece, value);
        } else if roster.needs_all() {
            tally.evidence.extend(pair(said));
        }
    }
    tally.complete = tally.accepted.len() == pieces.len();
    tally
}

/// The parties that released all blocks of the agreed aggregate.
pub fn complete_releasers(study: &Study<'_>, agreed: &Agreed) -> Vec<PartyId> {
    in_epoch(study)
        .filter(|(_, p)| complete(p, agreed.blocks).is_some())
        .map(|(party, _)| party)
        .collect()
}

/// The partial decryptions of a study's epoch, by the members of its roster.
pub(crate) fn in_epoch<'a>(
    study: &Study<'a>,
) -> impl Iterator<Item = (PartyId, Vec<&'a PartialFacts>)> {
    let (epoch, roster) = (study.epoch, study.roster());
    study.facts.partials.iter().filter_map(move |(party, all)| {
        let partials: Vec<_> = all.iter().filter(|p| p.epoch == epoch).collect();
        (!partials.is_empty() && roster.member(*party).is_some()).then_some((*party, partials))
    })
}

/// Whose partial decryptions are still to come while an agreed aggregate is not opened: nobody's fault.
///
/// Whoever rejected the study does not release.
pub fn awaited(study: &Study<'_>, agreed: &Agreed) -> Vec<PartyId> {
    let released = complete_releasers(study, agreed);
    let members = study.roster().members().iter();
    members
        .map(|member| member.party)
        .filter(|party| !released.contains(party) && !study.facts.rejections.contains_key(party))
        .collect()
}

/// Joins a party's partial decryptions in order; `None` until they cover all blocks.
fn complete(
    partials: &[&PartialFacts],
    blocks: u32,
) -> Option<(Digest, BTreeMap<PieceId, Vec<u128>>)> {
    let mut ordered = partials.to_vec();
    ordered.sort_unstable_by_key(|p| p.first_block);
    let mut values: BTreeMap<PieceId, Vec<u128>> = BTreeMap::new();
    let mut next = 0;
    for partial in &ordered {
        if partial.first_block != next {
            return None;
        }
        next = next.checked_add(partial.blocks)?;
        for piece in &partial.pieces {
            values
                .entry(piece.piece)
                .or_default()
                .extend(piece.unpack()?);
        }
    }
    (next == blocks).then_some(())?;
    Some((ordered.first()?.hash, values))
}

#[cfg(test)]
mod tests;
