//! This node's log of what it accepted: kept in step with the feeds, cosigned by the peers, and cosigning theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use organtwin_protocol::codec;
use organtwin_protocol::digest::Digest;
use organtwin_protocol::feed::FeedHead;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::log::checkpoint::Checkpoint;
use organtwin_protocol::log::note::{self, SignatureKind};
use organtwin_protocol::log::proof::{Consistency, Inclusion, MAX_PROOF_BYTES};
use organtwin_protocol::log::witness::{Declined, Rewritten, Seen, Witness};
use organtwin_protocol::log::{Entry, Log, TreeHead};
use organtwin_protocol::statement::SignedStatement;
use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};

use super::error::NodeError;
use super::node::{Node, cut_before, ends_of, now_ms};
use crate::net::codec::MAX_STATEMENT;
use crate::net::{Request, Response};
use crate::store::{Store, Tree};

/// How often peers are asked to cosign what is new, in ticks.
const ASK_EVERY: u64 = 8;
/// The least time between two cosignatures for one peer.
const PACE: Duration = Duration::from_millis(400);
/// The key of this node's own last checkpoint among what is known of logs; parties count from 1.
const OWN: [u8; 1] = [0];

/// The log, and what this node knows of its peers' logs.
#[derive(Default)]
pub(super) struct Keeper {
    pub(super) log: Log,
    witness: Witness,
    /// Up to which size each peer has cosigned this log.
    cosigned: BTreeMap<PartyId, u64>,
    asking: BTreeSet<PartyId>,
    /// The newest checkpoint, with the cosignatures that came for it.
    newest: Option<Checkpoint>,
    /// The newest checkpoint that at least t others have cosigned.
    confirmed: Option<Checkpoint>,
    answered: BTreeMap<PartyId, Instant>,
}

/// What the node shows of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// The log's name.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root over them, hexadecimal.
    pub root: String,
    /// The size up to which each other party has cosigned it, as far as this process knows.
    pub cosigned: BTreeMap<u8, u64>,
    /// The size of each other party's log that this node has cosigned.
    pub witnessed: BTreeMap<u8, u64>,
    /// The newest checkpoint that t others or more have cosigned, else the newest one.
    pub checkpoint: String,
    /// This party's key as other implementations of the formats read it.
    pub key: String,
}

/// A proof from the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// The hash of the statement, for a proof of inclusion.
    pub statement: Option<String>,
    /// The proof file.
    pub proof: String,
}

fn bug(error: impl std::fmt::Display) -> NodeError {
    NodeError::Bug(format!("the log: {error}"))
}

/// Reads the log and fills the fold with what it holds, in the order of acceptance. What feeds and log do not both
/// hold after a crash was never shown to anyone: it is cut off or added.
pub(super) fn restore(store: &Store, fold: &mut Fold) -> Result<Keeper, NodeError> {
    let mut keeper = Keeper::default();
    let mut cut = Vec::new();
    for (key, entry) in store.all::<Entry>(Tree::Log)? {
        let there = cut.is_empty()
            && match &entry {
                Entry::Fork(proof) => {
                    let _ = fold.admit(proof.first.clone());
                    let _ = fold.admit(proof.second.clone());
                    true
                }
                Entry::Statement(head) => read(store, fold, head)?,
            };
        if there {
            keeper.log.push(entry);
        } else {
            cut.push(key);
        }
    }
    for key in cut {
        store.remove(Tree::Log, &key)?;
    }
    beyond(store, fold, &keeper.log)?;
    for entry in keeper.log.news(fold) {
        keep(store, &mut keeper.log, entry)?;
    }
    let mut seen = BTreeMap::new();
    for party in fold.parties() {
        if let Some(known) = store.get::<Seen>(Tree::Logs, &[party.get()])? {
            seen.insert(party, known);
        }
    }
    keeper.witness = Witness::remembering(seen);
    let own: Option<String> = store.get(Tree::Logs, &OWN)?;
    keeper.confirmed = own.and_then(|text| Checkpoint::decode(&text).ok());
    Ok(keeper)
}

/// Admits what the feeds hold and the log does not: what a crash kept out of it.
fn beyond(store: &Store, fold: &mut Fold, log: &Log) -> Result<(), NodeError> {
    let all: Vec<PartyId> = (1..=PartyId::MAX).filter_map(PartyId::new).collect();
    // A newcomer's statements can be checked only after those that made it a member, in whatever feed these are.
    loop {
        let (mut moved, mut waits) = (false, false);
        for party in &all {
            let held = (fold.feed(*party).len() as u64).max(log.held(*party));
            for seq in held..store.feed_len(party.get())? {
                let Some(bytes) = store.statement(party.get(), seq)? else {
                    break;
                };
                match fold.admit(decoded(*party, seq, &bytes)?) {
                    Ok(_) => moved = true,
                    // A feed that ended, and what was cut off before, stay where they are.
                    Err(refusal) => {
                        waits |= refusal.may_pass();
                        break;
                    }
                }
            }
        }
        if !waits || !moved {
            break;
        }
    }
    for party in all {
        // Refused here as they were when they came: the feed ends where it did.
        for end in ends_of(store, party)? {
            drop(fold.admit(end));
        }
    }
    Ok(())
}

fn decoded(party: PartyId, seq: u64, bytes: &[u8]) -> Result<SignedStatement, NodeError> {
    codec::decode(bytes, MAX_STATEMENT).map_err(|error| {
        NodeError::Bug(format!(
            "statement {seq} of party {party} in the store: {error}"
        ))
    })
}

/// The statement of an entry, in its feed or among those that were cut off.
pub(super) fn found(store: &Store, head: &FeedHead) -> Result<Option<SignedStatement>, NodeError> {
    if let Some(bytes) = store.statement(head.party.get(), head.seq)? {
        let signed = decoded(head.party, head.seq, &bytes)?;
        if signed.hash() == head.hash {
            return Ok(Some(signed));
        }
    }
    let cut: Option<SignedStatement> = store.get(Tree::Voided, head.hash.as_bytes())?;
    Ok(cut.filter(|signed| signed.hash() == head.hash))
}

/// Whether the statement of an entry is there; the fold takes it in.
fn read(store: &Store, fold: &mut Fold, head: &FeedHead) -> Result<bool, NodeError> {
    let Some(signed) = found(store, head)? else {
        return Ok(false);
    };
    match fold.admit(signed) {
        Ok(_) => Ok(true),
        Err(refusal) => Err(NodeError::Bug(format!(
            "statement {} of party {} in the store: {refusal}",
            head.seq, head.party
        ))),
    }
}

/// Writes and adds one entry. Durable with the statement that it is about.
fn keep(store: &Store, log: &mut Log, entry: Entry) -> Result<(), NodeError> {
    let index = log.tree().head().size;
    store.put(Tree::Log, &index.to_be_bytes(), &entry)?;
    log.push(entry);
    Ok(())
}

impl Node {
    /// Logs a statement of one's own, before it is made durable.
    pub(super) fn log_own(&mut self, head: FeedHead) -> Result<(), NodeError> {
        keep(&self.store, &mut self.keeper.log, Entry::Statement(head))
    }

    /// Removes from a feed in the store what a change of its party's keys cut off. The log holds it still, so it is kept.
    pub(super) fn drop_cut_statements(&mut self, party: PartyId) -> Result<(), NodeError> {
        let kept = self.fold.feed(party).len() as u64;
        let length = self.keeper.log.held(party);
        if length <= kept || !cut_before(&self.fold, party, kept) {
            return Ok(());
        }
        for seq in kept..self.store.feed_len(party.get())? {
            if let Some(bytes) = self.store.statement(party.get(), seq)? {
                let signed = decoded(party, seq, &bytes)?;
                self.store
                    .put(Tree::Voided, signed.hash().as_bytes(), &signed)?;
            }
        }
        Ok(self.store.truncate(party.get(), kept)?)
    }

    /// Writes what the fold accepted since: statements into their feeds, everything into the log.
    pub(super) fn persist_feeds(&mut self) -> Result<(), NodeError> {
        let parties: Vec<PartyId> = self.fold.parties().collect();
        for party in parties {
            self.drop_cut_statements(party)?;
        }
        for entry in self.keeper.log.news(&self.fold) {
            if let Entry::Statement(head) = &entry {
                let index = usize::try_from(head.seq).unwrap_or(usize::MAX);
                let Some(statement) = self.fold.feed(head.party).get(index) else {
                    continue;
                };
                let bytes = codec::encode(statement.signed()).map_err(bug)?;
                self.store.append(head.party.get(), head.seq, &bytes)?;
                self.intake.taken(head.party, bytes.len());
            }
            keep(&self.store, &mut self.keeper.log, entry)?;
        }
        Ok(())
    }

    fn consortium(&self) -> Digest {
        self.fold.founding().digest()
    }

    /// The checkpoint of the log as it is now, with the cosignatures that have come.
    pub(super) fn newest(&mut self) -> Result<Checkpoint, NodeError> {
        let head = self.keeper.log.tree().head();
        match &self.keeper.newest {
            Some(known) if known.head() == head => Ok(known.clone()),
            _ => {
                let made = Checkpoint::sign(&self.consortium(), self.me, head, &self.identity);
                let made = made.map_err(bug)?;
                self.keeper.newest = Some(made.clone());
                Ok(made)
            }
        }
    }

    /// Whether t others have cosigned the log as it is now.
    pub(super) fn is_cosigned(&self) -> bool {
        let head = self.keeper.log.tree().head();
        let needed = self.fold.roster().threshold();
        let newest = self.keeper.newest.as_ref();
        newest.is_some_and(|newest| newest.head() == head && newest.cosignatures() >= needed)
    }

    /// Asks the connected peers to cosign, now and then.
    pub(super) fn tick_log(&mut self, ticks: u64) {
        if ticks.is_multiple_of(ASK_EVERY)
            && let Err(error) = self.ask_cosignatures()
        {
            self.note_fault(format!("this node: {error}"));
        }
    }

    /// Asks every connected peer that has not cosigned all of the log; one request per peer at a time.
    pub(super) fn ask_cosignatures(&mut self) -> Result<(), NodeError> {
        let size = self.keeper.log.tree().head().size;
        if size == 0 {
            return Ok(());
        }
        let checkpoint = self.newest()?;
        for peer in self.net.connected() {
            let old = self.keeper.cosigned.get(&peer).copied().unwrap_or(0);
            let has = checkpoint.has_cosignature_of(&self.consortium(), peer);
            if has || self.keeper.asking.contains(&peer) {
                continue;
            }
            let Some(hashes) = self.keeper.log.tree().consistency(old) else {
                continue;
            };
            let asked = Consistency {
                old,
                hashes,
                checkpoint: checkpoint.clone(),
            };
            let (net, request) = (self.net.clone(), asked.encode().into_bytes());
            self.keeper.asking.insert(peer);
            let asked = asked.checkpoint;
            self.wait(
                async move { net.request(peer, Request::Cosign { bytes: request }).await },
                move |node, answer| {
                    node.keeper.asking.remove(&peer);
                    match answer {
                        Ok(Response::Cosigned(line)) => node.take_cosignature(peer, asked, &line),
                        Ok(Response::OtherSize(size)) => {
                            node.other_size(peer, size);
                            Ok(())
                        }
                        Ok(Response::Refused) => {
                            node.note_fault(format!(
                                "party {peer}: does not cosign this node's log any more"
                            ));
                            Ok(())
                        }
                        _ => Ok(()),
                    }
                },
            );
        }
        Ok(())
    }

    fn take_cosignature(
        &mut self,
        peer: PartyId,
        mut asked: Checkpoint,
        line: &[u8],
    ) -> Result<(), NodeError> {
        let (consortium, roster) = (self.consortium(), self.fold.roster());
        let key = roster.member(peer).map(|member| member.statement_key);
        let (Ok(line), Some(key)) = (std::str::from_utf8(line), key) else {
            self.refuse("wrong kind of answer", peer, "a cosignature was asked for");
            return Ok(());
        };
        if let Err(error) = asked.add(&consortium, peer, &key, line) {
            self.refuse("bad cosignature", peer, &error.to_string());
            return Ok(());
        }
        let size = asked.head().size;
        self.keeper.cosigned.insert(peer, size);
        let needed = roster.threshold();
        // Others' lines for the same checkpoint may have come meanwhile.
        if let Some(newest) = &mut self.keeper.newest
            && newest.head() == asked.head()
            && newest.add(&consortium, peer, &key, line).is_ok()
        {
            asked = newest.clone();
        }
        let better = self.keeper.confirmed.as_ref();
        let better = better.is_none_or(|known| known.head().size <= size);
        if better && asked.cosignatures() >= needed {
            self.store.put(Tree::Logs, &OWN, &asked.encode())?;
            self.keeper.confirmed = Some(asked);
        }
        Ok(())
    }

    /// A peer counts from another size: after a restart of this process, or because this log was cut.
    fn other_size(&mut self, peer: PartyId, size: u64) {
        if size > self.keeper.log.tree().head().size {
            self.note_fault(format!(
                "this node: its log is shorter than the {size} entries that party {peer} cosigned; it was restored from an older copy"
            ));
        } else {
            self.keeper.cosigned.insert(peer, size);
        }
    }

    /// Cosigns a peer's checkpoint if it extends what was cosigned before, which is on the disk before the peer gets it.
    pub(super) fn cosign(&mut self, from: PartyId, request: &[u8]) -> Result<Response, NodeError> {
        let last = self.keeper.answered.get(&from);
        if last.is_some_and(|last| last.elapsed() < PACE) {
            return Ok(Response::Unavailable);
        }
        self.keeper.answered.insert(from, Instant::now());
        let request = match std::str::from_utf8(request) {
            Ok(text) if text.len() <= MAX_PROOF_BYTES => text,
            _ => {
                self.refuse(
                    "malformed checkpoint",
                    from,
                    "it is no text of allowed length",
                );
                return Ok(Response::Refused);
            }
        };
        let (roster, consortium) = (self.fold.roster(), self.consortium());
        let me = (self.me, &self.identity);
        let judged =
            self.keeper
                .witness
                .cosign(roster, &consortium, me, from, now_ms() / 1000, request);
        match judged {
            Ok(cosigned) => {
                self.store.put(Tree::Logs, &[from.get()], &cosigned.seen)?;
                self.store.flush()?;
                self.keeper.witness.remember(from, cosigned.seen);
                Ok(Response::Cosigned(cosigned.line.into_bytes()))
            }
            Err(Declined::OtherSize(size)) => Ok(Response::OtherSize(size)),
            Err(Declined::Note(error)) => {
                self.refuse("malformed checkpoint", from, &error.to_string());
                Ok(Response::Refused)
            }
            Err(Declined::Rewritten(evidence)) => {
                self.keep_evidence(&evidence)?;
                Ok(Response::Refused)
            }
        }
    }

    /// Keeps both checkpoints of a rewritten log, the first time, and names its party.
    fn keep_evidence(&mut self, evidence: &Rewritten) -> Result<(), NodeError> {
        let key = [evidence.party.get(), 1];
        if self.store.get::<Rewritten>(Tree::Logs, &key)?.is_none() {
            self.store.put(Tree::Logs, &key, evidence)?;
            self.store.flush()?;
        }
        self.note_fault(format!(
            "party {}: its log does not extend what this node cosigned: it was rewritten",
            evidence.party
        ));
        Ok(())
    }

    /// What the node shows of its log.
    pub(super) fn log_view(&mut self) -> Result<LogView, NodeError> {
        let (consortium, TreeHead { size, root }) =
            (self.consortium(), self.keeper.log.tree().head());
        let newest = self.newest()?;
        let shown = self.keeper.confirmed.as_ref().unwrap_or(&newest);
        let origin = note::name(&consortium, self.me);
        let seen = |party: PartyId| {
            let seen = self.keeper.witness.seen(party)?;
            Some((party.get(), seen.head.size))
        };
        Ok(LogView {
            size,
            root: root.to_string(),
            cosigned: (self.keeper.cosigned.iter())
                .map(|(party, size)| (party.get(), *size))
                .collect(),
            witnessed: self.fold.parties().filter_map(seen).collect(),
            checkpoint: shown.encode(),
            key: note::verifier_key(&origin, SignatureKind::Log, &self.identity.public()),
            origin,
        })
    }

    /// A proof that a statement is in the log.
    pub(super) fn prove_statement(
        &mut self,
        party: u8,
        number: u64,
    ) -> Result<ProofView, NodeError> {
        let party = PartyId::new(party);
        let found = party.and_then(|party| self.keeper.log.find(party, number));
        let (index, hash) = found.ok_or_else(|| {
            NodeError::usage(
                format!("this log holds no statement {number} of that party"),
                "name a party and the number of a statement in its feed",
            )
        })?;
        let checkpoint = self.newest()?;
        let hashes = self.keeper.log.tree().inclusion(index);
        let hashes = hashes.ok_or_else(|| bug("an entry beyond the tree"))?;
        let proof = Inclusion {
            index,
            hashes,
            checkpoint,
        };
        Ok(ProofView {
            statement: Some(hash.to_string()),
            proof: proof.encode(),
        })
    }

    /// A proof that the log extends its first `size` entries.
    pub(super) fn prove_extension(&mut self, size: u64) -> Result<ProofView, NodeError> {
        let hashes = self.keeper.log.tree().consistency(size).ok_or_else(|| {
            NodeError::usage(
                format!("this log has fewer than {size} entries"),
                "name the size of an earlier checkpoint",
            )
        })?;
        let proof = Consistency {
            old: size,
            hashes,
            checkpoint: self.newest()?,
        };
        Ok(ProofView {
            statement: None,
            proof: proof.encode(),
        })
    }
}
