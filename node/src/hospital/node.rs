//! The loop: commands, the network's events and finished jobs come in one at a time; statements, messages and jobs go out.
//!
//! Everything that must survive lies in the store; what the loop holds besides is recomputed from it. After every
//! event that changed something, [`Node::advance`] asks the protocol what is to do now and does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use organtwin_protocol::codec;
use organtwin_protocol::digest::Digest;
use organtwin_protocol::duty::{self, Duty, LocalView};
use organtwin_protocol::fold::{Admitted, Fold, Refusal};
use organtwin_protocol::identity::Identity;
use organtwin_protocol::roster::Roster;
use organtwin_protocol::statement::{Batch, Body, SignedStatement, StatementError};
use organtwin_simulations::Engine;
use organtwin_threshold::{PartyId, SealingKey, SessionId};
use tokio::sync::{mpsc, watch};

use super::ceremony::Runner;
use super::command::Command;
use super::deposits::Deposits;
use super::error::{NodeError, StartError};
use super::intake::Intake;
use super::log::{self, Keeper};
use super::peers::Fetches;
use super::restored::Reclaim;
use super::studies::StudyRun;
use crate::config::{Config, HospitalDir};
use crate::jobs::keys::{self, KeyRing};
use crate::net::{Fault, NetEvent, Network, Verdict};
use crate::quiet::Quiet;
use crate::store::{Store, Tree};

/// How often the loop looks at the clock when nothing happens.
const TICK: Duration = Duration::from_millis(500);
/// How often feeds are compared with a connected peer's, in ticks.
const COMPARE_EVERY: u64 = 4;
/// How long the next rank waits before it takes over a shard.
const TAKEOVER_MS: u64 = 120_000;
/// Most statements that one call of [`Node::advance`] makes before the loop listens again.
const MAX_STATEMENTS_AT_ONCE: usize = 64;

/// What a finished job does in the loop.
pub(super) type Apply = Box<dyn FnOnce(&mut Node) -> Result<(), NodeError> + Send>;

/// One hospital's node. Lives in one task.
pub(super) struct Node {
    pub(super) me: PartyId,
    pub(super) dir: HospitalDir,
    pub(super) config: Config,
    pub(super) identity: Identity,
    pub(super) fold: Fold,
    pub(super) store: Store,
    pub(super) net: Network,
    pub(super) local: LocalView,
    pub(super) ceremony: Runner,
    pub(super) change: super::epoch::Runner,
    pub(super) sealing: Arc<SealingKey>,
    pub(super) key: Option<Arc<KeyRing>>,
    pub(super) engine: Option<Arc<Engine>>,
    pub(super) seconds_per_bootstrap: Option<f64>,
    pub(super) deposits: Deposits,
    pub(super) studies: BTreeMap<Digest, StudyRun>,
    pub(super) fetches: Fetches,
    /// The computation that has the machine's cores now, in words.
    pub(super) heavy: Option<String>,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) faults: Vec<String>,
    /// Set while a restored node does not know yet what it has said.
    pub(super) reclaim: Option<Reclaim>,
    pub(super) intake: Intake,
    quiet: Quiet,
    applies: mpsc::UnboundedSender<Apply>,
    pub(super) keeper: Keeper,
    /// Whether peers' statements wait for the disk. Their authors keep them too, so they need not be durable at once.
    unflushed: bool,
    dirty: bool,
    ticks: u64,
    /// Who may connect now.
    pub(super) admitted: Vec<(PartyId, libp2p::PeerId)>,
}

/// How something went that did not end the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survived {
    /// It is done.
    Done,
    /// The rules forbid it now.
    NotNow,
    /// It failed, and would fail again.
    GivenUp,
}

/// What a node is made of.
pub(super) struct Parts {
    pub(super) me: PartyId,
    pub(super) dir: HospitalDir,
    pub(super) config: Config,
    pub(super) identity: Identity,
    pub(super) roster: Roster,
    pub(super) store: Store,
    pub(super) net: Network,
    pub(super) runner: Runner,
    pub(super) sealing: Arc<SealingKey>,
}

/// Milliseconds since 1970 by this machine's clock.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Node {
    /// Reads what the store holds of all feeds.
    pub(super) fn new(parts: Parts) -> Result<(Self, mpsc::UnboundedReceiver<Apply>), NodeError> {
        let Parts {
            me,
            dir,
            config,
            identity,
            roster,
            store,
            net,
            runner,
            sealing,
        } = parts;
        let (applies, applied) = mpsc::unbounded_channel();
        let mut fold = Fold::new(roster);
        let keeper = log::restore(&store, &mut fold)?;
        let local = LocalView {
            takeover_ms: TAKEOVER_MS,
            blobs: blobs_held(&fold, &store),
            ..LocalView::default()
        };
        let reclaim = Reclaim::of(&store)?;
        let node = Self {
            me,
            dir,
            config,
            identity,
            fold,
            store,
            net,
            local,
            ceremony: runner,
            change: super::epoch::Runner::new(),
            admitted: Vec::new(),
            sealing,
            key: None,
            engine: None,
            seconds_per_bootstrap: None,
            deposits: Deposits::default(),
            studies: BTreeMap::new(),
            fetches: Fetches::default(),
            heavy: None,
            refused: BTreeMap::new(),
            faults: Vec::new(),
            reclaim,
            intake: Intake::default(),
            quiet: Quiet::default(),
            keeper,
            applies,
            unflushed: false,
            dirty: true,
            ticks: 0,
        };
        Ok((node, applied))
    }

    /// Runs until told to shut down. An error here is one that the node cannot survive.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut events: mpsc::Receiver<NetEvent>,
        mut applied: mpsc::UnboundedReceiver<Apply>,
        changes: watch::Sender<u64>,
    ) -> Result<(), NodeError> {
        self.resume_studies()?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None => break,
                    Some(Command::Shutdown(reply)) => {
                        self.stop()?;
                        let _ = reply.send(Ok(()));
                        return Ok(());
                    }
                    Some(command) => self.obey(command)?,
                },
                event = events.recv() => match event {
                    None => return Err(NodeError::Bug("the network ended".into())),
                    Some(event) => {
                        let heard = self.hear(event);
                        self.survive(heard)?;
                    }
                },
                Some(apply) = applied.recv() => {
                    let applied = apply(&mut self);
                    self.survive(applied)?;
                    self.dirty = true;
                }
                _ = tick.tick() => self.tick()?,
            }
            if std::mem::take(&mut self.dirty) {
                self.advance()?;
                changes.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
        self.stop()
    }

    /// Opens this node's share of the certified key, once there is one.
    pub(super) fn open_key(&mut self) -> Result<(), StartError> {
        let line = self.fold.line();
        let (Some((_, ceremony)), Some((epoch, newest))) = (line.first(), line.last()) else {
            return Ok(());
        };
        if self
            .key
            .as_ref()
            .is_some_and(|key| key.certificate == *newest)
        {
            return Ok(());
        }
        let facts = &self.fold.facts().certificates;
        let (Some(ceremony), Some(certified)) = (facts.get(ceremony), facts.get(newest)) else {
            return Ok(());
        };
        let (ceremony, epoch) = (ceremony.certificate.session, *epoch);
        let certificate = certified.certificate.clone();
        let session = certificate.session;
        // E14: what a change that starts from here has sealed may still become certified; all else is of no use.
        let newest = *newest;
        let changes = self.fold.facts().changes.values();
        let mut kept: BTreeSet<SessionId> = changes
            .filter(|change| change.change.from == newest)
            .map(|change| change.session)
            .collect();
        if self.fold.roster().member(self.me).is_none() {
            if self.key.take().is_some() {
                tracing::info!(epoch, "this hospital has left the consortium");
            }
            return self.erase_shares(&kept);
        }
        match keys::load(&self.dir, &certificate, ceremony, &self.sealing)? {
            Some(key) => {
                self.local.opening_limit = key.opening_limit();
                self.key = Some(Arc::new(key));
                tracing::info!(
                    epoch,
                    "the joint key is certified and this hospital's share of it is open"
                );
                kept.insert(session);
                self.erase_shares(&kept)?;
            }
            None => self.note_fault(
                "this node holds no share of the certified key: recover it, see docs/operations.md"
                    .into(),
            ),
        }
        Ok(())
    }

    fn erase_shares(&self, kept: &BTreeSet<SessionId>) -> Result<(), StartError> {
        let erased = keys::erase_shares(&self.dir, kept)
            .map_err(|source| StartError::io(self.dir.key(), source))?;
        if erased > 0 {
            tracing::info!(erased, "old shares of the key are erased");
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), NodeError> {
        for study in self.studies.values() {
            study.cancel();
        }
        self.net.shutdown();
        self.store.flush()?;
        Ok(())
    }

    fn tick(&mut self) -> Result<(), NodeError> {
        self.ticks = self.ticks.wrapping_add(1);
        self.dirty = true;
        // Not only when another blob is asked for: the one that nobody had may be the only one that is lacking.
        for blob in self.fetches.forgive() {
            self.local.fetching.remove(&blob);
        }
        if std::mem::take(&mut self.unflushed) {
            self.store.flush()?;
        }
        self.tick_log(self.ticks);
        if self.ticks.is_multiple_of(COMPARE_EVERY) {
            let connected: Vec<PartyId> = self.net.connected().into_iter().collect();
            let turn = usize::try_from(self.ticks / COMPARE_EVERY).unwrap_or(0);
            if let Some(peer) = turn
                .checked_rem(connected.len())
                .and_then(|turn| connected.get(turn))
            {
                self.compare_feeds(*peer);
            }
        }
        Ok(())
    }

    /// Notes that something changed that a duty may depend on.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    /// Does what is to do now.
    fn advance(&mut self) -> Result<(), NodeError> {
        self.admit_members();
        if self.reclaim.is_some() {
            return Ok(());
        }
        let ceremony = self.advance_ceremony();
        self.survive(ceremony)?;
        let blame = self.advance_blame();
        self.survive(blame)?;
        let change = self.advance_epoch();
        self.survive(change)?;
        self.open_key().map_err(|error| NodeError::Environment {
            what: error.to_string(),
            source: std::io::ErrorKind::InvalidData.into(),
            next: "then start the node again".into(),
        })?;
        for _ in 0..MAX_STATEMENTS_AT_ONCE {
            let before = self.fold.feed(self.me).len();
            for duty in duty::duties(&self.fold, self.me, now_ms(), &self.local) {
                let performed = self.perform(duty.clone());
                if self.survive(performed)? == Survived::GivenUp {
                    self.local.running.insert(duty);
                }
            }
            if self.fold.feed(self.me).len() == before {
                break;
            }
        }
        let deposits = self.advance_deposits();
        self.survive(deposits)?;
        self.watch_studies();
        Ok(())
    }

    /// Only a failing disk or memory ends the node: what a peer can cause must not.
    ///
    /// What the rules forbid by now is not done, since another statement came first. Any other failure is noted, and
    /// its duty is left alone until the next start.
    pub(super) fn survive(
        &mut self,
        outcome: Result<(), NodeError>,
    ) -> Result<Survived, NodeError> {
        match outcome {
            Ok(()) => Ok(Survived::Done),
            Err(fatal @ NodeError::Environment { .. }) => Err(fatal),
            Err(NodeError::Refused(why)) => {
                tracing::warn!(why, "not stated");
                Ok(Survived::NotNow)
            }
            Err(error) => {
                self.note_fault(format!("this node: {error}"));
                Ok(Survived::GivenUp)
            }
        }
    }

    fn perform(&mut self, duty: Duty) -> Result<(), NodeError> {
        match duty {
            Duty::PrepareBatch(batch) => self.prepare_batch(batch),
            Duty::SendSubseed(batch) => {
                self.send_subseeds(batch);
                Ok(())
            }
            Duty::CombineBatch { batch, vectors } => self.combine_batch(batch, &vectors),
            Duty::FetchBlob {
                digest,
                kind,
                holders,
            } => {
                self.fetch(digest, kind, holders);
                Ok(())
            }
            Duty::AcknowledgeTwins(twins) => self.acknowledge(&twins),
            Duty::CheckTwins {
                batch,
                deposit,
                twins,
            } => self.check_twins(batch, deposit, &twins),
            Duty::EvaluateShard { manifest, shard } => self.evaluate(manifest, shard),
            Duty::Combine { manifest, shards } => self.combine(manifest, &shards),
            Duty::Release { .. } => self.release(&duty),
            Duty::Recombine { manifest, squashed } => self.recombine(manifest, squashed),
            Duty::Accuse(evidence) => {
                let parties: Vec<String> =
                    evidence.accused().iter().map(ToString::to_string).collect();
                self.note_fault(format!(
                    "party {}: caught deviating, accused in the feed",
                    parties.join(", ")
                ));
                self.state(Body::Accusation { evidence }).map(drop)
            }
        }
    }

    /// Takes in a statement that came from `from`, and says whether others are to have it from here.
    pub(super) fn take_in(&mut self, from: PartyId, bytes: &[u8]) -> Result<Verdict, NodeError> {
        let signed: SignedStatement = match codec::decode(bytes, MAX_SIGNED_BYTES) {
            Ok(signed) => signed,
            Err(error) => {
                self.refuse("malformed statement", from, &error.to_string());
                return Ok(Verdict::Blame(Fault::MalformedStatement));
            }
        };
        if let Some(author) = self.intake.overdrawn(&signed) {
            self.note_fault(format!(
                "party {author}: says more than a member may; its statements are taken in slowly"
            ));
            return Ok(Verdict::Keep);
        }
        match self.fold.admit(signed) {
            Ok(Admitted::Known | Admitted::Pending) => Ok(Verdict::PassOn),
            Ok(Admitted::Extended(_)) => {
                self.persist_feeds()?;
                self.unflushed = true;
                self.note_progress();
                self.dirty = true;
                Ok(Verdict::PassOn)
            }
            // It can be checked once what made its author a member has arrived; the feeds are compared again soon.
            Err(refusal) if refusal.may_pass() => Ok(Verdict::Keep),
            Err(refusal) => {
                let (kind, verdict) = match &refusal {
                    Refusal::Equivocation { .. } => ("equivocation", Verdict::PassOn),
                    Refusal::Statement(StatementError::BadSignature { .. }) => {
                        ("bad statement", Verdict::Blame(Fault::BadSignature))
                    }
                    Refusal::Statement(StatementError::Codec(_)) => {
                        ("bad statement", Verdict::Blame(Fault::MalformedStatement))
                    }
                    Refusal::Statement(_) => ("bad statement", Verdict::Keep),
                    _ => ("statement out of order or against a rule", Verdict::Keep),
                };
                if let Refusal::Equivocation { author, seq, .. } = &refusal {
                    self.persist_feeds()?;
                    self.unflushed = true;
                    self.note_fault(format!(
                        "party {author}: signed two statements under number {seq}"
                    ));
                }
                self.refuse(kind, from, &refusal.to_string());
                if !matches!(refusal, Refusal::Statement(_)) {
                    self.persist_ends()?;
                }
                Ok(verdict)
            }
        }
    }

    /// Keeps what ended feeds: without it the node would take them to go on after a restart.
    fn persist_ends(&mut self) -> Result<(), NodeError> {
        let parties: Vec<PartyId> = self.fold.parties().collect();
        for party in parties {
            let end: Vec<SignedStatement> = self.fold.end(party).cloned().collect();
            if !end.is_empty() && end != ends_of(&self.store, party)? {
                self.store.put(Tree::Ends, &[party.get()], &end)?;
                self.unflushed = true;
                self.dirty = true;
            }
        }
        Ok(())
    }

    /// Counts and logs what is refused, by the peer's name; never its content.
    pub(super) fn refuse(&mut self, kind: &str, from: PartyId, why: &str) {
        *self.refused.entry(kind.to_owned()).or_insert(0) += 1;
        let line = format!("{kind} from {from}");
        if let Some(left_out) = self.quiet.speak(&line, tokio::time::Instant::now()) {
            tracing::warn!(peer = %from, why, left_out, "refused: {kind}");
        }
    }

    /// Notes a peer that was caught, once.
    pub(super) fn note_fault(&mut self, fault: String) {
        const MOST: usize = 100;
        if !self.faults.contains(&fault) && self.faults.len() < MOST {
            tracing::warn!("{fault}");
            self.faults.push(fault);
        }
    }

    /// Computes on a thread of its own and applies what comes out in the loop.
    pub(super) fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Node, T) -> Result<(), NodeError> + Send + 'static,
    ) {
        let applies = self.applies.clone();
        tokio::task::spawn_blocking(move || {
            let result = work();
            // The loop has ended when nobody listens: what was computed is computed again after the next start.
            let _ = applies.send(Box::new(move |node| then(node, result)));
        });
    }

    /// Waits in a task of its own and applies what comes out in the loop.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(&mut Node, T) -> Result<(), NodeError> + Send + 'static,
    ) {
        let applies = self.applies.clone();
        tokio::spawn(async move {
            let result = work.await;
            let _ = applies.send(Box::new(move |node| then(node, result)));
        });
    }

    /// A sender for jobs that report in between.
    pub(super) fn applies(&self) -> mpsc::UnboundedSender<Apply> {
        self.applies.clone()
    }

    pub(super) fn note_progress(&mut self) {
        let now = now_ms();
        self.ceremony.local.moved_ms = now;
        self.change.local.moved_ms = now;
        for (id, study) in &self.fold.facts().studies {
            let marks = (
                study.approvals.len(),
                study.shards.values().map(BTreeMap::len).sum::<usize>(),
            );
            let run = self.studies.entry(*id).or_default();
            if run.marks != marks {
                run.marks = marks;
                self.local.progress_ms.insert(*id, now);
            }
        }
    }

    /// The batches of this hospital in the fold.
    pub(super) fn own_batches(&self) -> Vec<Batch> {
        let batches = self.fold.facts().batches.iter();
        batches
            .filter(|(batch, facts)| batch.hospital == self.me && facts.requested)
            .map(|(batch, _)| *batch)
            .collect()
    }
}

/// Whether a change of this party's keys ended its old feed at or before this number.
pub(super) fn cut_before(fold: &Fold, party: PartyId, seq: u64) -> bool {
    let mut changes = fold.facts().changes.values();
    changes.any(|change| {
        change
            .change
            .cut
            .is_some_and(|cut| cut.party == party && seq > cut.seq)
    })
}

/// The longest encoding of a signed statement.
const MAX_SIGNED_BYTES: usize = crate::net::codec::MAX_STATEMENT;

/// What ended a party's feed, as the store keeps it.
pub(super) fn ends_of(store: &Store, party: PartyId) -> Result<Vec<SignedStatement>, NodeError> {
    Ok(store.get(Tree::Ends, &[party.get()])?.unwrap_or_default())
}

/// Which of the blobs that the feeds name are here already.
fn blobs_held(fold: &Fold, store: &Store) -> BTreeSet<Digest> {
    let facts = fold.facts();
    let twins = facts.deposits.values().map(|deposit| deposit.twin.digest);
    let lists = facts
        .studies
        .values()
        .filter_map(|study| Some(study.proposal.as_ref()?.manifest.twins.blob));
    let vectors = facts
        .batches
        .values()
        .flat_map(|batch| batch.prepared.values())
        .flat_map(|(_, vectors)| vectors);
    let shards = facts
        .studies
        .values()
        .flat_map(|study| study.shards.values())
        .flat_map(BTreeMap::values);
    twins
        .chain(lists)
        .chain(vectors.map(|vector| vector.digest))
        .chain(shards.map(|claim| claim.output))
        .filter(|digest| store.blobs().contains(digest.as_bytes()))
        .collect()
}
