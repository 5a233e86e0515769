//! The fold: the consortium's state as an order-independent function of the statements said.
//!
//! A statement is admitted or refused by its author's own feed alone (docs/spec/statements.md, F1-F6);
//! what statements of several authors mean together is asked of the fold by [`crate::study`] and others.

mod chain;
mod facts;
mod rules;

use std::collections::BTreeMap;

use organtwin_threshold::PartyId;

pub(crate) use chain::joined;
pub use facts::{
    AggregateClaim, Approval, BatchFacts, CertificateFacts, ChangeApproval, ChangeFacts, Deposit,
    Facts, PartialFacts, Proposal, Rejection, ReleaseFacts, ShardClaim, StudyFacts,
};
pub use rules::{RuleBroken, own_groups};

use self::chain::Chain;
use crate::digest::{self, Digest};
use crate::evidence::Equivocation;
use crate::feed::FeedHead;
use crate::identity::StatementKey;
use crate::roster::Roster;
use crate::statement::{
    Body, STATEMENT_VERSION, SignedStatement, Statement, StatementError, VerifiedStatement,
};

/// How far ahead of its feed a statement may arrive and be kept until the gap is filled.
pub const MAX_PENDING: u64 = 256;

/// What became of a statement that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// The author's feed grew by these statements, this one and those that waited for it.
    Extended(Vec<Digest>),
    /// The statement waits until the feed reaches it.
    Pending,
    /// The statement was known.
    Known,
}

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Form, roster or signature is wrong.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The statement is too far ahead to be kept.
    #[error(
        "party {author}: expected a statement near number {expected}, got {got}: fetch the feed first"
    )]
    OutOfSequence {
        /// The author.
        author: PartyId,
        /// The number that the feed needs next.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// The author signed another statement under the same number; the feed ends there.
    #[error("party {author} signed two statements under number {seq}: its feed ends there")]
    Equivocation {
        /// The author.
        author: PartyId,
        /// The number.
        seq: u64,
        /// The proof.
        proof: Box<Equivocation>,
    },
    /// The statement does not follow the author's previous one; the feed ends there.
    #[error(
        "party {author}: statement {seq} does not name the hash of statement {seq} - 1: its feed ends there"
    )]
    BrokenChain {
        /// The author.
        author: PartyId,
        /// The number.
        seq: u64,
    },
    /// The statement contradicts the author's own feed; the feed ends there.
    #[error("party {author}: statement {seq} breaks a rule: {rule}")]
    RuleBroken {
        /// The author.
        author: PartyId,
        /// The number.
        seq: u64,
        /// Which rule.
        rule: RuleBroken,
    },
    /// The author's feed ended before this statement.
    #[error("party {author}'s feed ended at number {end}: statement {got} counts for nothing")]
    FeedEnded {
        /// The author.
        author: PartyId,
        /// Where the feed ended.
        end: u64,
        /// The number that came.
        got: u64,
    },
}

impl Refusal {
    /// Whether the same statement may be admitted once others have arrived: nobody is at fault.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::OutOfSequence { .. } | Self::Statement(StatementError::UnknownEpoch { .. })
        )
    }
}

/// Statements under one number: one, or the two of smallest hash when the author signed several.
type Candidates = BTreeMap<Digest, VerifiedStatement>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Feed {
    chain: Vec<VerifiedStatement>,
    pending: BTreeMap<u64, Candidates>,
    /// The statements that ended the feed, all under number `chain.len()`.
    end: Candidates,
}

impl Feed {
    fn next_seq(&self) -> u64 {
        self.chain.len() as u64
    }

    fn at(&self, seq: u64) -> Option<&VerifiedStatement> {
        usize::try_from(seq)
            .ok()
            .and_then(|index| self.chain.get(index))
    }

    fn last_hash(&self) -> Digest {
        self.chain
            .last()
            .map_or(digest::ZERO, VerifiedStatement::hash)
    }

    fn last_time(&self) -> u64 {
        self.chain.last().map_or(0, |s| s.statement().time_ms)
    }

    fn last_epoch(&self) -> u32 {
        self.chain.last().map_or(0, |s| s.statement().epoch)
    }

    fn ended(&self) -> bool {
        !self.end.is_empty()
    }
}

fn add_candidate(candidates: &mut Candidates, statement: VerifiedStatement) {
    candidates.insert(statement.hash(), statement);
    while candidates.len() > 2 {
        candidates.pop_last();
    }
}

fn equivocation(candidates: &Candidates) -> Option<Equivocation> {
    let mut two = candidates.values();
    let (first, second) = (two.next()?, two.next()?);
    Some(Equivocation::new(
        first.signed().clone(),
        second.signed().clone(),
    ))
}

/// The state of a consortium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    founding: Roster,
    feeds: BTreeMap<PartyId, Feed>,
    facts: Facts,
    chain: Chain,
}

impl Fold {
    /// A consortium in which nothing has been said.
    pub fn new(roster: Roster) -> Self {
        let feeds = roster
            .members()
            .iter()
            .map(|m| (m.party, Feed::default()))
            .collect();
        Self {
            chain: Chain::new(roster.clone()),
            founding: roster,
            feeds,
            facts: Facts::default(),
        }
    }

    /// The founding roster, which names the consortium and whose committee made the key.
    pub fn founding(&self) -> &Roster {
        &self.founding
    }

    /// The roster of the newest certified epoch.
    pub fn roster(&self) -> &Roster {
        self.roster_at(self.epoch()).unwrap_or(&self.founding)
    }

    /// The roster of an epoch, as soon as enough old members approved the change to it.
    pub fn roster_at(&self, epoch: u32) -> Option<&Roster> {
        self.chain.roster_at(epoch)
    }

    /// All rosters that there were, the founding one first.
    pub fn rosters(&self) -> impl Iterator<Item = &Roster> {
        self.chain.rosters()
    }

    /// Whether a party gave this statement key up for another one (N5).
    pub(crate) fn is_replaced(&self, party: PartyId, key: StatementKey) -> bool {
        self.chain.is_replaced(party, key)
    }

    /// The change that leads to an epoch, as soon as enough old members approved it.
    pub fn change_at(&self, epoch: u32) -> Option<&ChangeFacts> {
        self.facts.changes.get(self.chain.change_at(epoch)?)
    }

    /// The newest certified epoch; 0 before there is a key.
    pub fn epoch(&self) -> u32 {
        self.chain.epoch()
    }

    /// The certificates from a ceremony's to the newest one, with their epochs.
    pub fn line(&self) -> &[(u32, Digest)] {
        self.chain.line()
    }

    /// The newest certificate.
    pub fn certificate(&self) -> Option<&CertificateFacts> {
        let (_, digest) = self.line().last()?;
        self.facts.certificates.get(digest)
    }

    /// Whether a certificate stands: all members of its epoch signed it, apart from at most t whose feeds forked.
    pub fn is_certified(&self, certificate: &Digest) -> bool {
        self.chain.is_certified(certificate)
    }

    /// Whether all new members approved a change that enough old ones approved; its resharing may begin.
    pub fn is_agreed(&self, change: &ChangeFacts) -> bool {
        self.change_at(change.change.epoch) == Some(change)
            && chain::joined_by_all(change, &|party| self.has_forked(party))
    }

    /// The epoch that a party's next statement must name; nothing for strangers.
    pub fn speaks_in(&self, party: PartyId) -> Option<u32> {
        self.chain.speaks_in(party)
    }

    /// Verifies a statement as this fold would, without admitting it.
    ///
    /// # Errors
    /// [`StatementError`] names the first deviation.
    pub fn check(&self, signed: SignedStatement) -> Result<VerifiedStatement, StatementError> {
        signed.verify_by(self.founding.digest(), |statement| {
            self.chain.author(statement)
        })
    }

    /// What the admitted statements say, indexed.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Admits a statement as it came from anywhere.
    ///
    /// # Errors
    /// [`Refusal`] says why it counts for nothing. A refusal as [`Refusal::Equivocation`],
    /// [`Refusal::BrokenChain`] or [`Refusal::RuleBroken`] also ends the author's feed.
    pub fn admit(&mut self, signed: SignedStatement) -> Result<Admitted, Refusal> {
        let statement = self.check(signed)?;
        self.admit_verified(statement)
    }

    /// Admits a statement whose form and signature were checked before under this consortium's roster.
    ///
    /// # Errors
    /// As [`Fold::admit`].
    pub fn admit_verified(&mut self, statement: VerifiedStatement) -> Result<Admitted, Refusal> {
        let got = statement.statement().roster;
        if got != self.founding.digest() {
            let expected = self.founding.digest();
            return Err(StatementError::WrongRoster { expected, got }.into());
        }
        let (author, seq, hash) = (statement.author(), statement.seq(), statement.hash());
        let feed = self.feeds.entry(author).or_default();
        let next = feed.next_seq();
        if seq < next {
            let Some(known) = feed.at(seq) else {
                return Ok(Admitted::Known);
            };
            if known.hash() == hash {
                return Ok(Admitted::Known);
            }
            // F4: the feed ends before a number that carries two statements.
            let known = known.clone();
            feed.chain
                .truncate(usize::try_from(seq).unwrap_or(usize::MAX));
            feed.pending.clear();
            feed.end = Candidates::from([(known.hash(), known)]);
            add_candidate(&mut feed.end, statement);
            let refusal = forked(author, seq, &feed.end);
            self.settle();
            return refusal;
        }
        if feed.ended() {
            if seq > next {
                return Err(Refusal::FeedEnded {
                    author,
                    end: next,
                    got: seq,
                });
            }
            if feed.end.contains_key(&hash) {
                return Ok(Admitted::Known);
            }
            add_candidate(&mut feed.end, statement);
            let refusal = forked(author, seq, &feed.end);
            self.settle();
            return refusal;
        }
        if seq - next > MAX_PENDING {
            return Err(Refusal::OutOfSequence {
                author,
                expected: next,
                got: seq,
            });
        }
        let waiting = feed.pending.entry(seq).or_default();
        if waiting.contains_key(&hash) {
            return Ok(Admitted::Known);
        }
        add_candidate(waiting, statement);
        if waiting.len() > 1 && seq > next {
            return forked(author, seq, waiting);
        }
        self.advance(author, seq > next)
    }

    /// Moves waiting statements into the feed while they fit.
    fn advance(&mut self, author: PartyId, only_waiting: bool) -> Result<Admitted, Refusal> {
        if only_waiting {
            return Ok(Admitted::Pending);
        }
        let mut extended = Vec::new();
        while let Some(feed) = self.feeds.get_mut(&author)
            && let Some(mut candidates) = feed.pending.remove(&feed.next_seq())
        {
            let seq = feed.next_seq();
            let verdict = match candidates.len() {
                1 => candidates.first_key_value().map_or(Ok(()), |(_, only)| {
                    judge(&self.founding, &self.chain, &self.facts, feed, only)
                }),
                _ => forked(author, seq, &candidates).map(|_| ()),
            };
            if let Err(refusal) = verdict {
                feed.pending.clear();
                feed.end = candidates;
                if matches!(refusal, Refusal::Equivocation { .. }) {
                    self.settle();
                }
                return if extended.is_empty() {
                    Err(refusal)
                } else {
                    Ok(Admitted::Extended(extended))
                };
            }
            if let Some((hash, statement)) = candidates.pop_first() {
                self.facts.apply(&statement);
                extended.push(hash);
                let moves = matches!(
                    statement.body(),
                    Body::EpochApproved { .. } | Body::KeyCertified { .. }
                );
                feed.chain.push(statement);
                if moves {
                    self.settle_chain();
                }
            }
        }
        Ok(Admitted::Extended(extended))
    }

    /// Indexes all feeds again, after one of them lost statements.
    fn rebuild(&mut self) {
        self.facts = Facts::default();
        for statement in self.feeds.values().flat_map(|feed| &feed.chain) {
            self.facts.apply(statement);
        }
    }

    /// Derives the chain again; where it changes who an author is, the feeds are judged anew.
    fn settle_chain(&mut self) {
        let forked = |party: PartyId| self.has_forked(party);
        let chain = Chain::of(&self.founding, &self.facts, &forked);
        if std::mem::replace(&mut self.chain, chain) != self.chain {
            self.judge_authors();
        }
    }

    /// Derives everything again, after a feed lost statements or forked.
    fn settle(&mut self) {
        self.rebuild();
        self.settle_chain();
    }

    /// Drops the statements whose keys the chain does not bear out (N5), and takes in anew what waited behind them.
    fn judge_authors(&mut self) {
        let (mut again, mut dropped) = (Vec::new(), false);
        for feed in self.feeds.values_mut() {
            let known =
                |statement: &VerifiedStatement| self.chain.author(statement.statement()).is_ok();
            let sound = feed.chain.iter().take_while(|s| known(s)).count();
            let mut waiting = feed
                .end
                .values()
                .chain(feed.pending.values().flat_map(Candidates::values));
            if sound == feed.chain.len() && waiting.all(known) {
                continue;
            }
            dropped = true;
            again.extend(feed.chain.drain(sound..));
            again.extend(std::mem::take(&mut feed.end).into_values());
            let pending = std::mem::take(&mut feed.pending);
            again.extend(pending.into_values().flat_map(Candidates::into_values));
            again.retain(known);
        }
        if !dropped {
            return;
        }
        self.settle();
        for statement in again {
            // What is refused now would have been refused if it had come only now.
            let _ = self.admit_verified(statement);
        }
    }

    /// Writes the author's next statement and checks it before anyone signs it.
    ///
    /// # Errors
    /// The refusal that every other node would answer with.
    pub fn compose(
        &self,
        author: PartyId,
        epoch: u32,
        now_ms: u64,
        body: Body,
    ) -> Result<Statement, Refusal> {
        let nothing = Feed::default();
        let feed = self.feeds.get(&author).unwrap_or(&nothing);
        if feed.ended() {
            return Err(Refusal::FeedEnded {
                author,
                end: feed.next_seq(),
                got: feed.next_seq(),
            });
        }
        let statement = Statement {
            version: STATEMENT_VERSION,
            roster: self.founding.digest(),
            author,
            seq: feed.next_seq(),
            prev: feed.last_hash(),
            epoch,
            time_ms: now_ms.max(feed.last_time()),
            body,
        };
        self.chain.author(&statement)?;
        let seq = statement.seq;
        let broken = |rule| Refusal::RuleBroken { author, seq, rule };
        if epoch < feed.last_epoch() {
            return Err(broken(RuleBroken::EpochRunsBackwards));
        }
        let roster = self.chain.roster_at(epoch).unwrap_or(&self.founding);
        rules::check(&self.founding, roster, &self.facts, &statement).map_err(broken)?;
        Ok(statement)
    }

    /// The parties that have a feed, ascending.
    pub fn parties(&self) -> impl Iterator<Item = PartyId> {
        self.feeds.keys().copied()
    }

    /// The statements of a party's feed, in order.
    pub fn feed(&self, party: PartyId) -> &[VerifiedStatement] {
        self.feeds
            .get(&party)
            .map_or(&[], |feed| feed.chain.as_slice())
    }

    /// All statements, by author and number.
    pub fn statements(&self) -> impl Iterator<Item = &VerifiedStatement> {
        self.feeds.values().flat_map(|feed| &feed.chain)
    }

    /// The last statement of every feed that has one, ascending.
    pub fn heads(&self) -> Vec<FeedHead> {
        self.feeds
            .values()
            .filter_map(|feed| feed.chain.last())
            .map(VerifiedStatement::head)
            .collect()
    }

    /// Whether the fold contains the statement that a head names.
    pub fn knows(&self, head: &FeedHead) -> Knowledge {
        match self
            .feeds
            .get(&head.party)
            .map(|feed| (feed, feed.at(head.seq)))
        {
            Some((_, Some(statement))) if statement.hash() == head.hash => Knowledge::Known,
            Some((_, Some(_))) | None => Knowledge::Contradicted,
            Some((feed, None)) if feed.ended() => Knowledge::Contradicted,
            Some((_, None)) => Knowledge::NotYet,
        }
    }

    /// At most `limit` statements that a peer with the given heads lacks, each feed in order.
    ///
    /// Where the peer's head is not the statement that stands here under its number, the author forked its feed: the
    /// peer gets this half of the fork, and what ended a feed goes to everyone (F4).
    pub fn missing_from(&self, heads: &[FeedHead], limit: usize) -> Vec<&SignedStatement> {
        let known: BTreeMap<PartyId, &FeedHead> = heads.iter().map(|h| (h.party, h)).collect();
        let mut missing = Vec::new();
        for (party, feed) in &self.feeds {
            let from = known.get(party).map_or(0, |head| match feed.at(head.seq) {
                Some(other) if other.hash() != head.hash => head.seq,
                _ => head.seq.saturating_add(1),
            });
            let from = usize::try_from(from)
                .unwrap_or(usize::MAX)
                .min(feed.chain.len());
            missing.extend(
                feed.chain
                    .iter()
                    .skip(from)
                    .chain(feed.end.values())
                    .map(VerifiedStatement::signed),
            );
        }
        missing.truncate(limit);
        missing
    }

    /// The parties that signed two statements under one number, with the number and the proof.
    pub fn equivocations(&self) -> impl Iterator<Item = (PartyId, u64, Equivocation)> {
        self.feeds
            .iter()
            .filter_map(|(party, feed)| Some((*party, feed.next_seq(), equivocation(&feed.end)?)))
    }

    /// Whether a party signed two statements under one number.
    pub fn has_forked(&self, party: PartyId) -> bool {
        self.feeds
            .get(&party)
            .is_some_and(|feed| feed.end.len() > 1)
    }

    /// The statements that ended a party's feed: two under one number, or one that breaks a rule (F4).
    ///
    /// Whoever lacks them takes the feed to go on, so they are kept and passed on like the feed itself.
    pub fn end(&self, party: PartyId) -> impl Iterator<Item = &SignedStatement> {
        let end = self.feeds.get(&party).into_iter();
        end.flat_map(|feed| feed.end.values().map(VerifiedStatement::signed))
    }

    /// The number at which a party's feed ended, if it did.
    pub fn ended(&self, party: PartyId) -> Option<u64> {
        self.feeds
            .get(&party)
            .filter(|feed| feed.ended())
            .map(Feed::next_seq)
    }
}

/// Whether a fold contains a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// It does.
    Known,
    /// It may, once the feed has been fetched.
    NotYet,
    /// The feed holds another statement under that number, or ended before.
    Contradicted,
}

fn forked(author: PartyId, seq: u64, candidates: &Candidates) -> Result<Admitted, Refusal> {
    match equivocation(candidates) {
        Some(proof) => Err(Refusal::Equivocation {
            author,
            seq,
            proof: Box::new(proof),
        }),
        None => Ok(Admitted::Known),
    }
}

fn judge(
    founding: &Roster,
    chain: &Chain,
    facts: &Facts,
    feed: &Feed,
    statement: &VerifiedStatement,
) -> Result<(), Refusal> {
    let (author, seq) = (statement.author(), statement.seq());
    if statement.statement().prev != feed.last_hash() {
        return Err(Refusal::BrokenChain { author, seq });
    }
    let rule = |rule| Refusal::RuleBroken { author, seq, rule };
    if statement.statement().time_ms < feed.last_time() {
        return Err(rule(RuleBroken::TimeRunsBackwards));
    }
    let epoch = statement.statement().epoch;
    if epoch < feed.last_epoch() {
        return Err(rule(RuleBroken::EpochRunsBackwards));
    }
    let roster = chain.roster_at(epoch).unwrap_or(founding);
    rules::check(founding, roster, facts, statement.statement()).map_err(rule)
}

#[cfg(test)]
mod tests;
