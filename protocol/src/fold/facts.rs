//! What admitted statements say, indexed by what they speak about. Maps only grow.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId, SessionId};

use crate::admission::{self, Checked};
use crate::certificate::Certificate;
use crate::digest::Digest;
use crate::epoch::{EpochChange, PieceDigest};
use crate::evidence::Evidence;
use crate::feed::FeedHead;
use crate::manifest::Manifest;
use crate::roster::Roster;
use crate::statement::{Batch, Body, GroupDigest, PieceValues, StageName, VerifiedStatement};
use crate::twin::{TwinId, TwinRef};

/// A certificate and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The certificate.
    pub certificate: Certificate,
    /// The hash of each signer's statement.
    pub signers: BTreeMap<PartyId, Digest>,
}

/// An approval of a change of the sharing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeApproval {
    /// The hash of the statement.
    pub hash: Digest,
    /// The epoch that the statement names, which tells under which key it is signed.
    pub epoch: u32,
}

/// What is said of a change of the sharing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFacts {
    /// The change.
    pub change: EpochChange,
    /// Its new roster.
    pub roster: Roster,
    /// Its session.
    pub session: SessionId,
    /// Who approved it.
    pub approvals: BTreeMap<PartyId, ChangeApproval>,
    /// What old holders offer, with the hash of the statement.
    pub offers: BTreeMap<PartyId, (Digest, Vec<PieceDigest>)>,
    /// Who gave it up, and why.
    pub aborted: BTreeMap<PartyId, String>,
}

/// What is known of an input batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchFacts {
    /// Whether its hospital asked for it.
    pub requested: bool,
    /// What each party computed, with the hash of its statement.
    pub prepared: BTreeMap<PartyId, (Digest, Vec<GroupDigest>)>,
}

/// A deposited twin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// The twin.
    pub twin: TwinRef,
    /// Its schema.
    pub schema: Digest,
    /// Its organ.
    pub organ: String,
    /// The batch whose slots it uses.
    pub batch: Batch,
    /// Its first slot.
    pub first_slot: u32,
    /// How many slots it uses.
    pub slots: u32,
    /// The hash of the statement that deposits it.
    pub statement: Digest,
    /// The number of the deposit in the depositor's feed.
    pub seq: u64,
}

/// A proposal of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The study.
    pub manifest: Manifest,
    /// The hash of the statement.
    pub hash: Digest,
    /// Its number in the proposer's feed.
    pub seq: u64,
    /// The proposer's clock.
    pub time_ms: u64,
}

/// An approval of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// The hash of the statement.
    pub hash: Digest,
    /// Its number in the author's feed.
    pub seq: u64,
    /// The author's clock.
    pub time_ms: u64,
}

/// A rejection of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: String,
    /// The number of the statement in the author's feed.
    pub seq: u64,
}

/// What a party says of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardClaim {
    /// The digest of the inputs.
    pub inputs: Digest,
    /// The digest of the output.
    pub output: Digest,
    /// The hash of the statement.
    pub hash: Digest,
}

/// What a party says of the aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggregateClaim {
    /// The digest of the aggregate.
    pub aggregate: Digest,
    /// The digest of all squashed bytes.
    pub squashed: Digest,
    /// How many blocks.
    pub blocks: u32,
    /// The epoch in which it was last said.
    pub epoch: u32,
    /// The hash of the statement.
    pub hash: Digest,
    /// Its number in the author's feed.
    pub seq: u64,
}

/// A partial decryption of some blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialFacts {
    /// The digest of all squashed bytes.
    pub squashed: Digest,
    /// The first block.
    pub first_block: u32,
    /// How many blocks.
    pub blocks: u32,
    /// The approvals it relies on.
    pub approvals: Vec<Digest>,
    /// The feed heads its author knew.
    pub feeds: Vec<FeedHead>,
    /// The values.
    pub pieces: Vec<PieceValues>,
    /// The epoch of the shares that made it.
    pub epoch: u32,
    /// The hash of the statement.
    pub hash: Digest,
    /// Its number in the author's feed.
    pub seq: u64,
    /// The author's clock.
    pub time_ms: u64,
}

/// A recombined result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// The digest of all squashed bytes.
    pub squashed: Digest,
    /// The feed heads its author knew.
    pub feeds: Vec<FeedHead>,
    /// One byte per opened block.
    pub values: Vec<u8>,
    /// The hash of the statement.
    pub hash: Digest,
    /// The author's clock.
    pub time_ms: u64,
}

/// What is said of a study.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StudyFacts {
    /// The proposal; statements about a study may arrive before it.
    pub proposal: Option<Proposal>,
    /// Who approved, rejecters included.
    pub approvals: BTreeMap<PartyId, Approval>,
    /// Who rejected.
    pub rejections: BTreeMap<PartyId, Rejection>,
    /// Why the proposer gave it up, if it did.
    pub closed: Option<String>,
    /// What is said of each shard.
    pub shards: BTreeMap<u32, BTreeMap<PartyId, ShardClaim>>,
    /// What is said of the aggregate.
    pub aggregates: BTreeMap<PartyId, AggregateClaim>,
    /// The partial decryptions.
    pub partials: BTreeMap<PartyId, Vec<PartialFacts>>,
    /// The recombined results.
    pub releases: BTreeMap<PartyId, ReleaseFacts>,
}

/// What a party said in a session of the key ceremony: each of it once (F5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionSteps {
    /// The epoch in which it committed to seed shares, and the pieces.
    pub committed: Option<(u32, Vec<PieceId>)>,
    /// Whether it holds all seeds.
    pub held: bool,
    /// The stages whose vectors it committed to.
    pub roots: BTreeSet<StageName>,
    /// The stages that it opened.
    pub opened: BTreeSet<StageName>,
    /// Whether it tested the key.
    pub tested: bool,
    /// Whether it gave the session up.
    pub aborted: bool,
    /// Whether it published its seed shares.
    pub published: bool,
}

/// The index over all admitted statements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Who signed the roster.
    pub roster_signed: BTreeMap<PartyId, Digest>,
    /// The certificates by digest.
    pub certificates: BTreeMap<Digest, CertificateFacts>,
    /// Who joined an attempt at the key ceremony, with which nonce.
    pub joined: BTreeMap<u32, BTreeMap<PartyId, Digest>>,
    /// The latest attempt that a party joined.
    pub latest_attempt: BTreeMap<PartyId, u32>,
    /// What a party said in a session.
    pub steps: BTreeMap<(PartyId, SessionId), SessionSteps>,
    /// Where what was said in a session stands: author and number.
    pub sessions: BTreeMap<SessionId, BTreeSet<(PartyId, u64)>>,
    /// The sessions that a party certified.
    pub certified: BTreeMap<(PartyId, SessionId), Digest>,
    /// The changes of the sharing by digest.
    pub changes: BTreeMap<Digest, ChangeFacts>,
    /// The changes by session.
    pub change_sessions: BTreeMap<SessionId, Digest>,
    /// The input batches.
    pub batches: BTreeMap<Batch, BatchFacts>,
    /// The slots that deposits use: first slot and first slot after, by batch.
    pub slots: BTreeMap<Batch, BTreeMap<u32, u32>>,
    /// The highest number of a batch that each hospital asked for.
    pub(super) newest_batch: BTreeMap<PartyId, u32>,
    /// The batches that were asked for and not deposited with.
    pub(super) unused_batches: BTreeSet<Batch>,
    /// The deposited twins.
    pub deposits: BTreeMap<(PartyId, TwinId), Deposit>,
    /// Who received a twin and with which number it said so, by the twin's digest.
    pub receipts: BTreeMap<Digest, BTreeMap<PartyId, u64>>,
    /// What the parties' checks of a twin gave, by the statement that deposits it and its name.
    pub checks: BTreeMap<(Digest, TwinId), BTreeMap<PartyId, Checked>>,
    /// With which number a depositor withdrew a twin.
    pub withdrawals: BTreeMap<(PartyId, TwinId), u64>,
    /// The studies by their manifest's digest.
    pub studies: BTreeMap<Digest, StudyFacts>,
    /// Who accused whom of what.
    pub accusations: BTreeSet<(PartyId, Evidence)>,
}

impl Facts {
    /// What is said of a study.
    pub fn study(&self, id: &Digest) -> Option<&StudyFacts> {
        self.studies.get(id)
    }

    /// The change whose session this is.
    pub fn change(&self, session: &SessionId) -> Option<&ChangeFacts> {
        self.changes.get(self.change_sessions.get(session)?)
    }

    /// The changes that a party approved.
    pub(crate) fn changes_of(&self, party: PartyId) -> impl Iterator<Item = &ChangeFacts> {
        let changes = self.changes.values();
        changes.filter(move |change| change.approvals.contains_key(&party))
    }

    /// Adds what one admitted statement says.
    pub(super) fn apply(&mut self, verified: &VerifiedStatement) {
        let (statement, hash) = (verified.statement(), verified.hash());
        let (author, seq, time_ms) = (statement.author, statement.seq, statement.time_ms);
        match &statement.body {
            Body::RosterSigned {} => {
                self.roster_signed.insert(author, hash);
            }
            Body::CeremonyJoined { attempt, nonce } => {
                self.joined
                    .entry(*attempt)
                    .or_default()
                    .entry(author)
                    .or_insert(*nonce);
                let latest = self.latest_attempt.entry(author).or_default();
                *latest = (*latest).max(*attempt);
            }
            // The ceremony's state machine reads what these say from the feeds.
            Body::SeedCommitted {
                session,
                commitments,
                ..
            } => {
                let pieces = commitments.iter().map(|c| c.piece).collect();
                self.step_mut(author, seq, *session).committed = Some((statement.epoch, pieces));
            }
            Body::SeedsHeld { session, .. } => self.step_mut(author, seq, *session).held = true,
            Body::StageCommitted { session, stage, .. } => {
                self.step_mut(author, seq, *session).roots.insert(*stage);
            }
            Body::StageOpened { session, stage, .. } => {
                self.step_mut(author, seq, *session).opened.insert(*stage);
            }
            Body::SelfTest { session, .. } => self.step_mut(author, seq, *session).tested = true,
            Body::CeremonyAborted { session, .. } => {
                self.step_mut(author, seq, *session).aborted = true;
            }
            Body::SeedsPublished { session, .. } => {
                self.step_mut(author, seq, *session).published = true;
            }
            Body::KeyCertified { certificate } => {
                self.step_mut(author, seq, certificate.session);
                if let Ok(digest) = certificate.digest() {
                    self.certified.insert((author, certificate.session), digest);
                    self.certificates
                        .entry(digest)
                        .or_insert_with(|| CertificateFacts {
                            certificate: certificate.clone(),
                            signers: BTreeMap::new(),
                        })
                        .signers
                        .insert(author, hash);
                }
            }
            Body::EpochApproved { change } => {
                if let Some(change) = self.change_mut(statement.roster, change) {
                    let epoch = statement.epoch;
                    let approval = ChangeApproval { hash, epoch };
                    change.approvals.insert(author, approval);
                }
            }
            Body::EpochOffered { session, pieces } => {
                if let Some(change) = self.change_of_session(session) {
                    change.offers.insert(author, (hash, pieces.clone()));
                }
            }
            Body::EpochAborted {
                session, reason, ..
            } => {
                if let Some(change) = self.change_of_session(session) {
                    change.aborted.insert(author, reason.clone());
                }
            }
            Body::BatchRequested { batch } => {
                self.batches.entry(*batch).or_default().requested = true;
                let newest = self.newest_batch.entry(author).or_default();
                *newest = batch.number.max(*newest);
                if !self.slots.contains_key(batch) {
                    self.unused_batches.insert(*batch);
                }
            }
            Body::BatchPrepared { batch, vectors } => {
                self.batches
                    .entry(*batch)
                    .or_default()
                    .prepared
                    .insert(author, (hash, vectors.clone()));
            }
            Body::TwinsDeposited {
                schema,
                organ,
                batch,
                twins,
            } => {
                self.unused_batches.remove(batch);
                for entry in twins {
                    self.slots.entry(*batch).or_default().insert(
                        entry.first_slot,
                        entry.first_slot.saturating_add(entry.slots),
                    );
                    let deposit = Deposit {
                        twin: TwinRef {
                            id: entry.id,
                            digest: entry.digest,
                            depositor: author,
                        },
                        schema: *schema,
                        organ: organ.clone(),
                        batch: *batch,
                        first_slot: entry.first_slot,
                        slots: entry.slots,
                        statement: hash,
                        seq,
                    };
                    self.deposits.insert((author, entry.id), deposit);
                }
            }
            Body::TwinsReceived { twins } => {
                for twin in twins {
                    self.receipts.entry(*twin).or_default().insert(author, seq);
                }
            }
            Body::TwinsChecked { deposit, twins } => {
                for twin in twins {
                    let checked = Checked {
                        values: admission::unpack(twin.values.as_slice()).unwrap_or_default(),
                        epoch: statement.epoch,
                        hash,
                        seq,
                    };
                    let known = self.checks.entry((*deposit, twin.id)).or_default();
                    known.insert(author, checked);
                }
            }
            Body::TwinWithdrawn { id } => {
                self.withdrawals.insert((author, *id), seq);
            }
            Body::StudyProposed { manifest } => {
                if let Ok(id) = manifest.digest() {
                    let manifest = (**manifest).clone();
                    self.study_mut(id).proposal = Some(Proposal {
                        manifest,
                        hash,
                        seq,
                        time_ms,
                    });
                }
            }
            Body::StudyApproved { manifest } => {
                self.study_mut(*manifest)
                    .approvals
                    .insert(author, Approval { hash, seq, time_ms });
            }
            Body::StudyRejected { manifest, reason } => {
                self.study_mut(*manifest).rejections.insert(
                    author,
                    Rejection {
                        reason: reason.clone(),
                        seq,
                    },
                );
            }
            Body::ShardEvaluated {
                manifest,
                shard,
                inputs,
                output,
            } => {
                let claim = ShardClaim {
                    inputs: *inputs,
                    output: *output,
                    hash,
                };
                self.study_mut(*manifest)
                    .shards
                    .entry(*shard)
                    .or_default()
                    .insert(author, claim);
            }
            Body::AggregateDerived {
                manifest,
                aggregate,
                squashed,
                blocks,
            } => {
                let claim = AggregateClaim {
                    aggregate: *aggregate,
                    squashed: *squashed,
                    blocks: *blocks,
                    epoch: statement.epoch,
                    hash,
                    seq,
                };
                // Said again in a later epoch, the first one counts as long as nothing else is said.
                let said = self.study_mut(*manifest).aggregates.entry(author);
                said.and_modify(|first| {
                    let same = (first.aggregate, first.squashed, first.blocks)
                        == (claim.aggregate, claim.squashed, claim.blocks);
                    *first = AggregateClaim {
                        epoch: claim.epoch,
                        ..if same { *first } else { claim }
                    };
                })
                .or_insert(claim);
            }
            Body::PartialDecryption {
                manifest,
                squashed,
                first_block,
                approvals,
                feeds,
                pieces,
            } => {
                let partial = PartialFacts {
                    squashed: *squashed,
                    first_block: *first_block,
                    blocks: pieces.first().map_or(0, |p| {
                        u32::try_from(p.values.0.len() / 16).unwrap_or(u32::MAX)
                    }),
                    approvals: approvals.clone(),
                    feeds: feeds.clone(),
                    pieces: pieces.clone(),
                    epoch: statement.epoch,
                    hash,
                    seq,
                    time_ms,
                };
                self.study_mut(*manifest)
                    .partials
                    .entry(author)
                    .or_default()
                    .push(partial);
            }
            Body::ResultReleased {
                manifest,
                squashed,
                feeds,
                values,
            } => {
                let release = ReleaseFacts {
                    squashed: *squashed,
                    feeds: feeds.clone(),
                    values: values.0.clone(),
                    hash,
                    time_ms,
                };
                self.study_mut(*manifest).releases.insert(author, release);
            }
            Body::StudyClosed { manifest, reason } => {
                self.study_mut(*manifest).closed = Some(reason.clone());
            }
            Body::Accusation { evidence } => {
                self.accusations.insert((author, evidence.clone()));
            }
        }
    }

    fn step_mut(&mut self, author: PartyId, seq: u64, session: SessionId) -> &mut SessionSteps {
        let place = (author, seq);
        self.sessions.entry(session).or_default().insert(place);
        self.steps.entry((author, session)).or_default()
    }

    /// The facts of a change; nothing when its roster or encoding is unsound.
    fn change_mut(&mut self, consortium: Digest, change: &EpochChange) -> Option<&mut ChangeFacts> {
        let digest = change.digest().ok()?;
        if !self.changes.contains_key(&digest) {
            let facts = ChangeFacts {
                change: change.clone(),
                roster: Roster::later(change.roster.clone()).ok()?,
                session: change.session(consortium).ok()?,
                approvals: BTreeMap::new(),
                offers: BTreeMap::new(),
                aborted: BTreeMap::new(),
            };
            self.change_sessions.insert(facts.session, digest);
            self.changes.insert(digest, facts);
        }
        self.changes.get_mut(&digest)
    }

    fn change_of_session(&mut self, session: &SessionId) -> Option<&mut ChangeFacts> {
        self.changes.get_mut(self.change_sessions.get(session)?)
    }

    fn study_mut(&mut self, id: Digest) -> &mut StudyFacts {
        self.studies.entry(id).or_default()
    }
}
