//! Executes what `organtwin_protocol::ceremony::blame` asks for after a session was given up: publishes this
//! party's seed shares, replays the session beside the loop, and states whose statement differs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use organtwin_protocol::ceremony::blame::{self, Step, Verdict};
use organtwin_protocol::ceremony::replay::{Finding, NotReplayable, Replay};
use organtwin_protocol::ceremony::{self, Said};
use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::{Body, PieceShare};
use organtwin_threshold::seeds::SeedShare;
use organtwin_threshold::{PartyId, PieceId, SessionId};

use super::Secrets;
use crate::hospital::error::NodeError;
use crate::hospital::node::Node;
use crate::hospital::view::ReplayView;

/// What this node still holds and knows of sessions that were given up.
#[derive(Default)]
pub(in crate::hospital) struct Blame {
    local: blame::Local,
    kept: Option<Kept>,
    running: Option<Running>,
    /// Why a session could not be replayed here.
    failed: BTreeMap<SessionId, String>,
}

/// The own seed shares of a session that was given up: in memory only, until they are published or useless.
struct Kept {
    session: SessionId,
    own: BTreeMap<PieceId, SeedShare>,
    mask: Digest,
}

struct Running {
    session: SessionId,
    done: Arc<AtomicU64>,
    total: Arc<AtomicU64>,
    cancelled: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Blame {
    /// Keeps what may have to be published of a session that was given up.
    pub(super) fn keep(&mut self, secrets: &mut Secrets, mask: Option<Digest>) {
        let own = std::mem::take(&mut secrets.own);
        if let Some(mask) = mask.filter(|_| !own.is_empty()) {
            self.local.held = Some(secrets.id);
            self.kept = Some(Kept {
                session: secrets.id,
                own,
                mask,
            });
        }
    }

    /// Forgets all secrets: a key is certified, and nothing of an earlier session is needed any more.
    pub(super) fn forget(&mut self) {
        self.local.held = None;
        self.kept = None;
    }

    /// How far a replay is that runs now.
    pub(super) fn progress(&self) -> Option<ReplayView> {
        let running = self.running.as_ref()?;
        Some(ReplayView {
            session: running.session.to_string(),
            done: running.done.load(Ordering::Relaxed),
            total: running.total.load(Ordering::Relaxed),
        })
    }

    fn findings(&self, session: SessionId) -> Option<&[Finding]> {
        let (_, findings) = self.local.replayed.iter().find(|(of, _)| *of == session)?;
        Some(findings)
    }
}

impl Node {
    /// Does what is to do about sessions that were given up.
    pub(in crate::hospital) fn advance_blame(&mut self) -> Result<(), NodeError> {
        // A session leads to fewer statements of one party than this.
        for _ in 0..32 {
            let step = blame::step(&self.fold, self.me, &self.ceremony.blame.local)
                .map_err(|error| NodeError::Bug(format!("an aborted ceremony: {error}")))?;
            match step {
                Step::Rest => return Ok(()),
                Step::State(body) => {
                    if let Body::Accusation { evidence } = &body {
                        for party in evidence.accused() {
                            self.note_fault(format!(
                                "party {party}: caught deviating in a ceremony, accused in the feed"
                            ));
                        }
                    }
                    self.state(body)?;
                }
                Step::Publish { session } => self.publish_seeds(session)?,
                Step::Replay { session } => {
                    if self.ceremony.blame.running.is_some() {
                        return Ok(());
                    }
                    return self.begin_replay(session);
                }
            }
        }
        Ok(())
    }

    /// W4: the shares are erased here whether the statement is made or not; they are never offered twice.
    fn publish_seeds(&mut self, session: SessionId) -> Result<(), NodeError> {
        self.ceremony.blame.local.held = None;
        let Some(kept) = self.ceremony.blame.kept.take() else {
            return Ok(());
        };
        if kept.session != session {
            return Ok(());
        }
        let share = |(piece, share): (&PieceId, &SeedShare)| PieceShare {
            piece: *piece,
            share: Digest::new(*share.expose()),
        };
        let body = Body::SeedsPublished {
            session,
            shares: kept.own.iter().map(share).collect(),
            mask: kept.mask,
        };
        tracing::info!(%session, "publishing the seed shares of an aborted ceremony");
        self.state(body).map(drop)
    }

    fn begin_replay(&mut self, session: SessionId) -> Result<(), NodeError> {
        let Ok(replay) = Replay::of(&self.fold, session) else {
            return Ok(());
        };
        let running = Running {
            session,
            done: Arc::default(),
            total: Arc::default(),
            cancelled: Arc::default(),
        };
        let (done, total) = (running.done.clone(), running.total.clone());
        let cancelled = running.cancelled.clone();
        self.ceremony.blame.running = Some(running);
        tracing::info!(%session, "replaying an aborted ceremony from its published seeds");
        self.compute(
            move || {
                replay.run(&|now, all| {
                    done.store(now, Ordering::Relaxed);
                    total.store(all, Ordering::Relaxed);
                    !cancelled.load(Ordering::Relaxed)
                })
            },
            move |node, outcome| {
                node.ceremony.blame.running = None;
                let findings = outcome.unwrap_or_else(|error| {
                    let blame = &mut node.ceremony.blame;
                    blame.failed.insert(session, error.to_string());
                    Vec::new()
                });
                node.ceremony.blame.local.replayed.push((session, findings));
                node.touch();
                Ok(())
            },
        );
        Ok(())
    }

    /// What this node concludes about every session that was given up, in words.
    pub(super) fn verdicts(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for session in ceremony::aborted(&self.fold) {
            if Said::of(&self.fold, session)
                .certificate(&self.fold)
                .is_some()
            {
                continue;
            }
            let findings = self.ceremony.blame.findings(session);
            let verdicts = blame::verdicts(&self.fold, session, findings).unwrap_or_default();
            let name: String = session.to_string().chars().take(12).collect();
            for verdict in verdicts {
                lines.push(format!("session {name}: {}", in_words(&verdict)));
            }
            if let Some(why) = self.ceremony.blame.failed.get(&session) {
                lines.push(format!("session {name}: not replayed here: {why}"));
                continue;
            }
            let unclear = findings.is_some_and(<[Finding]>::is_empty)
                && matches!(
                    Replay::of(&self.fold, session),
                    Ok(_) | Err(NotReplayable::Echoes)
                );
            if unclear {
                lines.push(format!(
                    "session {name}: replayed, every signed statement is right"
                ));
            }
        }
        lines
    }
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Culprit { party, what, .. } => format!("party {party} deviated: {what}"),
        Verdict::Pair { parties, what } => {
            format!("one of parties {} lies: {what}", list(parties))
        }
        Verdict::Missing { parties } => format!(
            "party {} has not published its seed shares: without them nobody can replay the session",
            list(parties)
        ),
    }
}

fn list(parties: &[PartyId]) -> String {
    let names: Vec<String> = parties.iter().map(ToString::to_string).collect();
    names.join(", ")
}
