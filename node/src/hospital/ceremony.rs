//! Executes the steps that `organtwin_protocol::ceremony` names: draws the secrets, computes, sends, absorbs.

mod blame;
mod exchange;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use organtwin_protocol::ceremony::{self, Local, Phase, Step};
use organtwin_protocol::digest::Digest;
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::statement::{Body, GroupDigest, PieceCommitment, PieceValues, StageName};
use organtwin_threshold::keygen::{KeyCeremony, Stage};
use organtwin_threshold::open::PieceSeeds;
use organtwin_threshold::seeds::{SeedShare, combine_seed, seed_commitment};
use organtwin_threshold::{
    KeyShare, ParameterSet, PartyId, PieceId, PublicKey, SessionId, SquashedBlocks, recombine,
};

use super::error::NodeError;
use super::node::{Node, now_ms};
use super::peers::{PieceSecret, Private};
use super::spool::Spool;
use super::view::CeremonyStatus;
use crate::jobs::keys;
use crate::net::Response;

/// How long a party that states nothing is waited for: a stage's vectors may cross a slow line meanwhile.
const PATIENCE_MS: u64 = 900_000;

/// How long a peer that could not take seed shares yet is left alone.
const RESEND: std::time::Duration = std::time::Duration::from_millis(300);

/// What a computing thread shares with the loop; empty while another thread has it.
type Shared<T> = Arc<Mutex<Option<T>>>;

/// This node's side of the ceremony that is under way.
pub(super) struct Runner {
    /// What the protocol is told about it.
    pub(super) local: Local,
    params: ParameterSet,
    dir: PathBuf,
    session: Option<Secrets>,
    /// The step that is being executed, so that it is not begun twice.
    busy: Option<Step>,
    progress: Arc<Progress>,
    started_ms: Option<u64>,
    ended_ms: Option<u64>,
    bytes_forecast: u64,
    fault: Option<String>,
    /// What is held and known of sessions that were given up.
    blame: blame::Blame,
}

/// What must not outlive its session.
struct Secrets {
    id: SessionId,
    spool: Spool,
    own: BTreeMap<PieceId, SeedShare>,
    others: BTreeMap<(PieceId, PartyId), SeedShare>,
    keygen: Shared<KeyCeremony>,
    assembled: Shared<(PublicKey, KeyShare)>,
    squashed: Option<Arc<SquashedBlocks>>,
    expected: Vec<u8>,
    sending: BTreeSet<PartyId>,
}

/// How far the present stage is.
#[derive(Default)]
pub(super) struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    sent: AtomicU64,
}

impl Runner {
    /// No ceremony yet. `dir` is where a session's vectors are kept while it lasts.
    pub(super) fn new(params: ParameterSet, dir: PathBuf, bytes_forecast: u64) -> Self {
        Self {
            local: Local {
                patience_ms: PATIENCE_MS,
                moved_ms: now_ms(),
                ..Local::default()
            },
            params,
            dir,
            session: None,
            busy: None,
            progress: Arc::default(),
            started_ms: None,
            ended_ms: None,
            bytes_forecast,
            fault: None,
            blame: blame::Blame::default(),
        }
    }

    /// Where a session's vectors are, if it is this node's present one.
    pub(super) fn spool(&self, session: &SessionId) -> Option<Spool> {
        self.session
            .as_ref()
            .filter(|secrets| secrets.id == *session)
            .map(|secrets| secrets.spool.clone())
    }

    /// Where progress and bytes are counted.
    pub(super) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    fn end(&mut self) {
        if let Some(secrets) = self.session.take() {
            secrets.spool.erase();
        }
        self.busy = None;
        self.ended_ms.get_or_insert_with(now_ms);
        self.local = Local {
            patience_ms: PATIENCE_MS,
            moved_ms: now_ms(),
            ..Local::default()
        };
    }
}

impl Progress {
    /// Counts an answered chunk.
    pub(super) fn add_sent(&self, answer: &Response) {
        if let Response::Chunk(bytes) = answer {
            self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Node {
    /// Consents to a ceremony.
    pub(super) fn join_ceremony(&mut self) -> Result<CeremonyStatus, NodeError> {
        if self.key.is_some() {
            return Err(NodeError::Refused(
                "the joint key exists already; a new one would make every twin unreadable".into(),
            ));
        }
        if self.ceremony.bytes_forecast > self.config.ceremony.max_bytes_sent {
            return Err(NodeError::Refused(format!(
                "the ceremony would send {} MB, the limit in organtwin.toml is {} MB; raise [ceremony] max_bytes_sent",
                self.ceremony.bytes_forecast / 1_000_000,
                self.config.ceremony.max_bytes_sent / 1_000_000
            )));
        }
        if let Some(attempt) = ceremony::attempt_to_join(&self.fold, self.me) {
            self.ceremony.end();
            self.ceremony.started_ms = Some(now_ms());
            self.ceremony.ended_ms = None;
            self.ceremony.fault = None;
            self.ceremony.progress = Arc::default();
            self.state(Body::CeremonyJoined {
                attempt,
                nonce: Digest::new(random()),
            })?;
        }
        Ok(self.ceremony_status())
    }

    /// Executes what the ceremony asks for now.
    pub(super) fn advance_ceremony(&mut self) -> Result<(), NodeError> {
        // Every statement leads to the next step; a session has fewer than this.
        for _ in 0..32 {
            let step = ceremony::step(&self.fold, self.me, now_ms(), &self.ceremony.local)
                .map_err(|error| NodeError::Bug(format!("the ceremony: {error}")))?;
            if self.ceremony.busy.as_ref() == Some(&step) {
                return Ok(());
            }
            match step {
                Step::State(body) => self.state_step(body)?,
                Step::Idle | Step::Wait { .. } => return Ok(()),
                Step::Done { .. } => {
                    self.ceremony.blame.forget();
                    if self.ceremony.session.is_some() {
                        self.ceremony.end();
                    }
                    return Ok(());
                }
                Step::Aborted { by, reason, .. } => {
                    if self.ceremony.fault.is_none() {
                        let fault = format!("party {by} gave up: {reason}");
                        tracing::warn!("the ceremony was aborted; {fault}");
                        let mask = self.ceremony.local.mask_share.take();
                        if let Some(secrets) = &mut self.ceremony.session {
                            self.ceremony.blame.keep(secrets, mask);
                        }
                        self.ceremony.end();
                        self.ceremony.fault = Some(fault);
                    }
                    return Ok(());
                }
                Step::Commit { session } => self.commit(session)?,
                Step::ExchangeShares { session, with } => {
                    self.send_shares(session, &with)?;
                    return Ok(());
                }
                Step::Begin { session, mask_seed } => self.begin(session, mask_seed)?,
                step => {
                    self.ceremony.busy = Some(step.clone());
                    return self.compute_step(step);
                }
            }
        }
        Ok(())
    }

    fn state_step(&mut self, body: Body) -> Result<(), NodeError> {
        if let Body::KeyCertified { certificate } = &body {
            // The share is on the disk before anyone can rely on this party holding it.
            let assembled = self.secrets()?.assembled.clone();
            let assembled = assembled.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((key, share)) = assembled.as_ref() else {
                return Err(NodeError::Bug(
                    "a key is certified before it was assembled".into(),
                ));
            };
            keys::save(&self.dir, certificate.session, key, share, &self.sealing)?;
            drop(assembled);
            // W4: who certifies a key never publishes the seeds it came from.
            self.secrets()?.own.clear();
        }
        let certified = match &body {
            Body::KeyCertified { certificate } => Some(certificate.session),
            _ => None,
        };
        let said = self.state(body).map(drop);
        if let (Err(_), Some(session)) = (&said, certified) {
            // Given up meanwhile: nobody will ever need this share.
            keys::erase(&self.dir, session);
        }
        said
    }

    fn secrets(&mut self) -> Result<&mut Secrets, NodeError> {
        self.ceremony
            .session
            .as_mut()
            .ok_or_else(|| NodeError::Bug("a step of a session that has not begun".into()))
    }

    fn commit(&mut self, session: SessionId) -> Result<(), NodeError> {
        let pieces: Vec<PieceId> = self.fold.roster().committee().pieces_of(self.me).collect();
        let own: BTreeMap<PieceId, SeedShare> = pieces
            .into_iter()
            .map(|piece| (piece, SeedShare::new(random())))
            .collect();
        let mask_share = Digest::new(random());
        let mask = ceremony::mask_commitment(session, self.me, &mask_share)
            .map_err(|error| NodeError::Bug(error.to_string()))?;
        let commitments = own
            .iter()
            .map(|(piece, share)| PieceCommitment {
                piece: *piece,
                commitment: seed_commitment(&session, *piece, self.me, share),
            })
            .collect();
        let spool = Spool::begin(&self.ceremony.dir).map_err(crate::store::StoreError::Io)?;
        self.ceremony.session = Some(Secrets {
            id: session,
            spool,
            own,
            others: BTreeMap::new(),
            keygen: Arc::default(),
            assembled: Arc::default(),
            squashed: None,
            expected: Vec::new(),
            sending: BTreeSet::new(),
        });
        self.ceremony.local.session = Some(session);
        self.ceremony.local.mask_share = Some(mask_share);
        self.state(Body::SeedCommitted {
            session,
            commitments,
            mask,
        })
        .map(drop)
    }

    /// Takes a peer's contributions to seeds, if they are those that it committed to.
    pub(super) fn take_seed_shares(
        &mut self,
        from: PartyId,
        session: SessionId,
        shares: &[PieceSecret],
    ) -> Result<Response, NodeError> {
        if self.ceremony.local.session != Some(session) {
            return Ok(Response::Unavailable);
        }
        let said = ceremony::Said::of(&self.fold, session);
        let Some(committed) = said.commitments.get(&from) else {
            return Ok(Response::Unavailable);
        };
        for share in shares {
            let held_by_both = share.piece.is_held_by(self.me) && share.piece.is_held_by(from);
            let commitment = committed
                .commitments
                .iter()
                .find(|c| c.piece == share.piece)
                .map(|c| c.commitment);
            let candidate = SeedShare::new(share.secret);
            if !held_by_both
                || commitment != Some(seed_commitment(&session, share.piece, from, &candidate))
            {
                self.note_fault(format!(
                    "party {from}: sent a seed share that does not match its commitment"
                ));
                self.ceremony.local.caught.push(Evidence::Claim {
                    party: from,
                    what: format!(
                        "sent a share of the seed of the {} that does not match its commitment",
                        share.piece
                    ),
                });
                self.touch();
                return Ok(Response::Refused);
            }
            self.ceremony.local.shares.insert((share.piece, from));
            self.secrets()?
                .others
                .insert((share.piece, from), candidate);
        }
        self.touch();
        Ok(Response::Taken)
    }

    /// Sends each of these peers the contributions to the seeds of the pieces that both hold, until it confirms.
    fn send_shares(&mut self, session: SessionId, with: &[PartyId]) -> Result<(), NodeError> {
        let connected = self.net.connected();
        for party in with
            .iter()
            .copied()
            .filter(|party| connected.contains(party))
        {
            if self.ceremony.local.confirmed.contains(&party)
                || !self.secrets()?.sending.insert(party)
            {
                continue;
            }
            let own = self
                .secrets()?
                .own
                .iter()
                .filter(|(piece, _)| piece.is_held_by(party));
            let shares = own
                .map(|(piece, share)| PieceSecret {
                    piece: *piece,
                    secret: *share.expose(),
                })
                .collect();
            let request = Private::SeedShares { session, shares }.request()?;
            let net = self.net.clone();
            self.wait(
                async move {
                    let answer = net.request(party, request).await;
                    if !matches!(answer, Ok(Response::Taken)) {
                        tokio::time::sleep(RESEND).await;
                    }
                    answer
                },
                move |node, answer| {
                    if node.ceremony.local.session == Some(session) {
                        node.secrets()?.sending.remove(&party);
                        if matches!(answer, Ok(Response::Taken)) {
                            node.ceremony.local.confirmed.insert(party);
                        }
                    }
                    Ok(())
                },
            );
        }
        Ok(())
    }

    fn begin(&mut self, session: SessionId, mask_seed: Digest) -> Result<(), NodeError> {
        let (me, params) = (self.me, self.ceremony.params);
        let committee = self.fold.roster().committee().clone();
        let secrets = self.secrets()?;
        let seeds = secrets
            .own
            .iter()
            .map(|(piece, own)| {
                let others = secrets.others.iter().filter(|((of, _), _)| of == piece);
                let mut shares: Vec<(PartyId, &SeedShare)> =
                    others.map(|((_, party), share)| (*party, share)).collect();
                shares.push((me, own));
                (*piece, combine_seed(&session, *piece, &shares))
            })
            .collect();
        let seeds = PieceSeeds::new(&committee, me, seeds)
            .map_err(|piece| NodeError::Bug(format!("the seed of the {piece} was not combined")))?;
        let keygen = KeyCeremony::new(
            &committee,
            params,
            session,
            me,
            seeds,
            *mask_seed.as_bytes(),
        )
        .map_err(|error| NodeError::Bug(error.to_string()))?;
        secrets.keygen = Arc::new(Mutex::new(Some(keygen)));
        // The own shares are kept: they are published if the session is given up in a dispute (W4).
        secrets.others.clear();
        self.ceremony.local.begun = true;
        Ok(())
    }

    fn compute_step(&mut self, step: Step) -> Result<(), NodeError> {
        match step {
            Step::Compute { stage, .. } => self.compute_vectors(stage),
            Step::Absorb { stage, roots, .. } => self.absorb_stage(stage, roots),
            Step::SelfTest { session } => self.self_test(session),
            Step::CheckSelfTest { values, .. } => self.check_self_test(&values),
            other => Err(NodeError::Bug(format!("no computation: {other:?}"))),
        }
    }

    /// Applies the outcome of a step's computation, unless the session has ended meanwhile.
    fn finish_step<T>(
        &mut self,
        session: SessionId,
        outcome: Result<T, String>,
        then: impl FnOnce(&mut Local, T),
    ) -> Result<(), NodeError> {
        if self.ceremony.local.session != Some(session) {
            return Ok(());
        }
        self.ceremony.busy = None;
        self.ceremony.local.moved_ms = now_ms();
        match outcome {
            Ok(value) => {
                then(&mut self.ceremony.local, value);
                Ok(())
            }
            Err(reason) => {
                let reason = reason.chars().take(300).collect();
                self.state(Body::CeremonyAborted {
                    session,
                    reason,
                    evidence: None,
                })
                .map(drop)
            }
        }
    }

    fn compute_vectors(&mut self, stage: StageName) -> Result<(), NodeError> {
        let me = self.me;
        let family = ceremony::family(self.fold.roster(), stage);
        let progress = self.ceremony.progress.clone();
        let secrets = self.secrets()?;
        let (session, spool, keygen) = (secrets.id, secrets.spool.clone(), secrets.keygen.clone());
        self.compute(
            move || {
                let keygen = keygen.lock().unwrap_or_else(PoisonError::into_inner);
                let keygen = keygen.as_ref().ok_or("the computation has not begun")?;
                let mine: Vec<(u16, usize)> = (0u16..)
                    .zip(family.iter().enumerate())
                    .filter(|(_, (_, group))| group.contains(me))
                    .map(|(number, (index, _))| (number, index))
                    .collect();
                let chunks = keygen.chunks(of(stage));
                progress.done.store(0, Ordering::Relaxed);
                progress
                    .total
                    .store(u64::from(chunks) * mine.len() as u64, Ordering::Relaxed);
                mine.into_iter()
                    .map(|(number, index)| {
                        let leaves = spool
                            .write(stage, number, chunks, |chunk| {
                                progress.done.fetch_add(1, Ordering::Relaxed);
                                keygen
                                    .group_chunk(of(stage), index, chunk)
                                    .map_err(std::io::Error::other)
                            })
                            .map_err(|error| error.to_string())?;
                        Ok(GroupDigest {
                            group: number,
                            digest: ceremony::vector_root(&leaves),
                        })
                    })
                    .collect::<Result<Vec<GroupDigest>, String>>()
            },
            move |node, outcome| {
                node.finish_step(session, outcome, |local, roots| {
                    drop(local.computed.insert(stage, roots));
                })
            },
        );
        Ok(())
    }

    fn absorb_stage(&mut self, stage: StageName, roots: Vec<Digest>) -> Result<(), NodeError> {
        let me = self.me;
        let family = ceremony::family(self.fold.roster(), stage);
        let progress = self.ceremony.progress.clone();
        let net = self.net.clone();
        let secrets = self.secrets()?;
        let (session, spool, keygen) = (secrets.id, secrets.spool.clone(), secrets.keygen.clone());
        let assembled = secrets.assembled.clone();
        let plan = exchange::Exchange {
            me,
            net,
            session,
            stage,
            family,
            roots,
            spool,
            progress,
        };
        self.wait(
            async move {
                let report = plan.run(keygen.clone()).await?;
                // The last stage's rows are the key: assembling takes the ceremony's object apart.
                let finished = tokio::task::spawn_blocking(move || {
                    let mut slot = keygen.lock().unwrap_or_else(PoisonError::into_inner);
                    let digest = slot
                        .as_mut()
                        .ok_or("the computation has not begun")?
                        .finish_stage(of(stage))
                        .map_err(|error| error.to_string())?;
                    let mut key = None;
                    if stage == StageName::Rows
                        && let Some(keygen) = slot.take()
                    {
                        let (public, share) = keygen.finish().map_err(|error| error.to_string())?;
                        key = Some((public.digest(), public.bytes()));
                        *assembled.lock().unwrap_or_else(PoisonError::into_inner) =
                            Some((public, share));
                    }
                    Ok::<_, String>((digest, key))
                });
                let (digest, key) = finished.await.map_err(|error| error.to_string())??;
                Ok((digest, key, report))
            },
            move |node, outcome: Result<_, String>| {
                if let Ok((_, _, report)) = &outcome {
                    for (party, what) in report {
                        node.note_fault(format!("party {party}: {what}"));
                    }
                }
                node.finish_step(session, outcome, |local, (digest, key, _)| {
                    local.opened.insert(stage, digest);
                    if key.is_some() {
                        local.key = key;
                    }
                })
            },
        );
        Ok(())
    }

    fn self_test(&mut self, session: SessionId) -> Result<(), NodeError> {
        let assembled = self.secrets()?.assembled.clone();
        self.compute(
            move || {
                let assembled = assembled.lock().unwrap_or_else(PoisonError::into_inner);
                let (key, share) = assembled.as_ref().ok_or("the key is not assembled")?;
                let (squashed, expected) = key
                    .self_test(*session.as_bytes())
                    .map_err(|error| error.to_string())?;
                let pieces = share
                    .partial_decrypt(share.epoch(), &squashed)
                    .map_err(|error| error.to_string())?;
                Ok((squashed, expected, pieces))
            },
            move |node, outcome: Result<_, String>| {
                let outcome = match outcome {
                    Ok((squashed, expected, pieces))
                        if node.ceremony.local.session == Some(session) =>
                    {
                        let digest = squashed.digest();
                        let secrets = node.secrets()?;
                        secrets.squashed = Some(Arc::new(squashed));
                        secrets.expected = expected;
                        let pieces = pieces
                            .iter()
                            .map(|(piece, values)| PieceValues::pack(*piece, values))
                            .collect();
                        Ok((digest, pieces))
                    }
                    Ok(_) => return Ok(()),
                    Err(reason) => Err(reason),
                };
                node.finish_step(session, outcome, |local, test| local.self_test = Some(test))
            },
        );
        Ok(())
    }

    fn check_self_test(&mut self, values: &BTreeMap<PieceId, Vec<u128>>) -> Result<(), NodeError> {
        let committee = self.fold.roster().committee().clone();
        let secrets = self.secrets()?;
        let session = secrets.id;
        let right = secrets.squashed.as_ref().is_some_and(|squashed| {
            recombine(&committee, squashed, values).is_ok_and(|opened| opened == secrets.expected)
        });
        self.finish_step(session, Ok(right), |local, right| {
            local.self_test_right = Some(right);
        })
    }

    /// Where the ceremony stands.
    pub(super) fn ceremony_status(&self) -> CeremonyStatus {
        let runner = &self.ceremony;
        let attempt =
            self.fold
                .feed(self.me)
                .iter()
                .rev()
                .find_map(|statement| match statement.body() {
                    Body::CeremonyJoined { attempt, .. } => Some(*attempt),
                    _ => None,
                });
        let step = ceremony::step(&self.fold, self.me, now_ms(), &runner.local);
        let phase = match (&runner.fault, &step) {
            (Some(_), _) | (_, Ok(Step::Aborted { .. }) | Err(_)) => "aborted",
            (_, Ok(Step::Done { .. })) if self.key.is_some() => "done",
            (_, Ok(Step::Idle)) => "none",
            (
                _,
                Ok(Step::Wait {
                    phase: Phase::Joining,
                    ..
                }),
            ) => "joining",
            (_, Ok(Step::Compute { stage, .. } | Step::Absorb { stage, .. })) => name(*stage),
            (
                _,
                Ok(Step::Wait {
                    phase: Phase::Stage(stage),
                    ..
                }),
            ) => name(*stage),
            (
                _,
                Ok(
                    Step::Wait {
                        phase: Phase::SelfTest,
                        ..
                    }
                    | Step::SelfTest { .. }
                    | Step::CheckSelfTest { .. },
                ),
            ) => "self_test",
            (
                _,
                Ok(
                    Step::Wait {
                        phase: Phase::Certifying,
                        ..
                    }
                    | Step::Done { .. },
                ),
            ) => "certifying",
            (_, Ok(_)) => "seeds",
        };
        let elapsed = runner.started_ms.map_or(0, |started| {
            runner.ended_ms.unwrap_or_else(now_ms) - started
        });
        CeremonyStatus {
            phase: phase.to_owned(),
            session: attempt
                .and_then(|attempt| ceremony::find(&self.fold, attempt))
                .map(|id| id.to_string()),
            attempt: attempt.unwrap_or(0),
            done: runner.progress.done.load(Ordering::Relaxed),
            total: runner.progress.total.load(Ordering::Relaxed),
            seconds: std::time::Duration::from_millis(elapsed).as_secs_f64(),
            bytes_sent: runner.progress.sent.load(Ordering::Relaxed),
            bytes_forecast: runner.bytes_forecast,
            certificate: self.key.as_ref().map(|key| key.certificate.to_string()),
            fault: runner.fault.clone(),
            replay: runner.blame.progress(),
            verdicts: self.verdicts(),
        }
    }
}

fn of(stage: StageName) -> Stage {
    match stage {
        StageName::Bits => Stage::Bits,
        StageName::Products => Stage::Products,
        StageName::Rows => Stage::Rows,
    }
}

fn name(stage: StageName) -> &'static str {
    match stage {
        StageName::Bits => "bits",
        StageName::Products => "products",
        StageName::Rows => "rows",
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes);
    bytes
}
