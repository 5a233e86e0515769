//! Executes the steps that `organtwin_protocol::epoch` names: gives the shares of one epoch to the next.
//!
//! What must not be lost lies on the disk before it is relied upon: the new share before its self-test is stated.
//! Everything before that is given up when the node is started again, and the old share goes on.

mod operator;
mod parcels;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use organtwin_protocol::ceremony::Said;
use organtwin_protocol::digest::{self, Digest};
use organtwin_protocol::epoch::{self, Local, PieceDigest, Step};
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::fold::ChangeFacts;
use organtwin_protocol::statement::{Body, PieceCommitment, PieceValues};
use organtwin_threshold::open::PieceSeeds;
use organtwin_threshold::seeds::{SeedShare, combine_seed, seed_commitment};
use organtwin_threshold::{
    Collector, KeyShare, Offer, ParameterSet, PartyId, PieceId, Resharing, SessionId,
    SquashedBlocks, recombine,
};

use super::error::NodeError;
use super::node::{Node, now_ms};
use super::peers::{PieceSecret, Private};
use crate::jobs::keys;
use crate::net::Response;

pub(super) use parcels::part_of;

/// How long a party that states nothing is waited for.
const PATIENCE_MS: u64 = 300_000;
/// How long who has left may still connect.
const PARTING_MS: u64 = 60_000;
/// How long a peer that could not take seed shares yet is left alone.
const RESEND: std::time::Duration = std::time::Duration::from_millis(300);

/// What a computing thread shares with the loop; empty while another thread has it.
type Shared<T> = Arc<Mutex<Option<T>>>;

/// This node's side of the change that is under way.
pub(super) struct Runner {
    /// What the protocol is told about it.
    pub(super) local: Local,
    secrets: Option<Secrets>,
    offer: Option<Arc<Offer>>,
    /// Whether the offer is being computed.
    offering: bool,
    /// The self-test's ciphertexts and what they hold.
    test: Option<(SessionId, Arc<SquashedBlocks>, Vec<u8>)>,
    /// The session whose sealed share was looked for on the disk.
    looked_for: Option<SessionId>,
    /// The step that is being executed, so that it is not begun twice.
    busy: Option<Step>,
    started_ms: Option<u64>,
    ended_ms: Option<u64>,
    fault: Option<String>,
    /// The newest epoch, and since when this process knows of it.
    entered: (u32, u64),
}

/// What must not outlive its session.
struct Secrets {
    id: SessionId,
    own: BTreeMap<PieceId, SeedShare>,
    others: BTreeMap<(PieceId, PartyId), SeedShare>,
    sending: BTreeSet<PartyId>,
    collector: Shared<Collector>,
}

impl Runner {
    /// No change yet.
    pub(super) fn new() -> Self {
        Self {
            local: Local {
                patience_ms: PATIENCE_MS,
                moved_ms: now_ms(),
                ..Local::default()
            },
            secrets: None,
            offer: None,
            offering: false,
            test: None,
            looked_for: None,
            busy: None,
            started_ms: None,
            ended_ms: None,
            fault: None,
            entered: (0, now_ms()),
        }
    }

    /// Whether this is the session of the change under way here.
    pub(super) fn is(&self, session: &SessionId) -> bool {
        self.secrets.as_ref().is_some_and(|own| own.id == *session)
    }

    /// Wipes what must not outlive the session.
    fn end(&mut self) {
        *self = Self {
            started_ms: self.started_ms,
            ended_ms: self.ended_ms.or_else(|| Some(now_ms())),
            looked_for: self.looked_for,
            entered: self.entered,
            ..Self::new()
        };
    }
}

/// Whether a step is the one under way. Later offers only add holders to what is being collected.
fn goes_on(busy: &Step, step: &Step) -> bool {
    match (busy, step) {
        (Step::Collect { session, .. }, Step::Collect { session: again, .. }) => session == again,
        _ => busy == step,
    }
}

impl Node {
    /// Lets everybody connect who is a member now or is about to become one.
    pub(super) fn admit_members(&mut self) {
        let mut members = BTreeMap::new();
        let coming = epoch::open(&self.fold);
        let coming = coming
            .into_iter()
            .filter(|change| self.fold.change_at(change.change.epoch) == Some(change))
            .map(|change| &change.roster);
        // Who left hears from the others that it has, so that it erases its share; then it is disconnected.
        let line = self.fold.line();
        let before = line.len().checked_sub(2).and_then(|index| line.get(index));
        let (epoch, since) = self.change.entered;
        if epoch != self.fold.epoch() {
            self.change.entered = (self.fold.epoch(), now_ms());
        }
        let parting = epoch != self.fold.epoch() || now_ms().saturating_sub(since) < PARTING_MS;
        let leaving = before
            .filter(|_| parting)
            .and_then(|(epoch, _)| self.fold.roster_at(*epoch));
        let rosters = leaving
            .into_iter()
            .chain([self.fold.roster()])
            .chain(coming);
        for roster in rosters {
            for member in roster.members() {
                if member.party != self.me
                    && let Some(peer) = crate::identity::peer_id(member)
                {
                    members.insert(member.party, peer);
                }
            }
        }
        let members: Vec<_> = members.into_iter().collect();
        if members == self.admitted {
            return;
        }
        self.net.set_members(members.clone());
        for (party, _) in &members {
            // An address that was noted before its party was a member is dialled from now on.
            if let Some(address) = self.config.peers.get(&party.to_string()) {
                let _ = self.net.dial(*party, address);
            }
        }
        self.admitted = members;
    }

    /// Executes what the change under way asks for now.
    pub(super) fn advance_epoch(&mut self) -> Result<(), NodeError> {
        // Every statement leads to the next step; a change has fewer than this.
        for _ in 0..16 {
            let step = epoch::step(&self.fold, self.me, now_ms(), &self.change.local)
                .map_err(|error| NodeError::Bug(format!("the change of epoch: {error}")))?;
            if self
                .change
                .busy
                .as_ref()
                .is_some_and(|busy| goes_on(busy, &step))
            {
                return Ok(());
            }
            if let Some(session) = session_of(&step)
                && self.find_sealed(session)
            {
                continue;
            }
            match step {
                Step::State(body) => self.state(body).map(drop)?,
                Step::Idle | Step::Wait { .. } => return Ok(()),
                Step::Done { certificate } => return self.epoch_done(certificate.session),
                Step::Aborted {
                    session,
                    by,
                    reason,
                    epoch,
                } => {
                    return self.epoch_aborted(
                        session,
                        format!("party {by} gave up the change to epoch {epoch}: {reason}"),
                    );
                }
                Step::Commit { session } => self.commit_seeds(session)?,
                Step::ExchangeShares { session, with } => {
                    return self.send_epoch_shares(session, &with);
                }
                Step::Offer { session } => {
                    self.change.busy = Some(Step::Offer { session });
                    return self.compute_offer(session);
                }
                step => {
                    self.change.busy = Some(step.clone());
                    return self.change_step(step);
                }
            }
        }
        Ok(())
    }

    fn change_step(&mut self, step: Step) -> Result<(), NodeError> {
        match step {
            Step::Collect { session, accepted } => self.collect(session, accepted),
            Step::Combine { session } => self.combine_share(session),
            Step::SelfTest { session } => self.test_share(session),
            Step::CheckSelfTest { session, values } => self.check_share(session, &values),
            other => Err(NodeError::Bug(format!("no computation: {other:?}"))),
        }
    }

    /// Looks once whether the new share is sealed here already: then a restart loses nothing.
    fn find_sealed(&mut self, session: SessionId) -> bool {
        if self.change.looked_for == Some(session) {
            return false;
        }
        self.change.looked_for = Some(session);
        self.change.started_ms.get_or_insert_with(now_ms);
        let found = keys::has_share(&self.dir, session);
        if found {
            self.change.local.sealed = Some(session);
        }
        found
    }

    fn change_of(&self, session: SessionId) -> Result<&ChangeFacts, NodeError> {
        self.fold
            .facts()
            .change(&session)
            .ok_or_else(|| NodeError::Bug("a step of a change that nobody stated".into()))
    }

    fn secrets_of(&mut self, session: SessionId) -> Result<&mut Secrets, NodeError> {
        let secrets = self.change.secrets.as_mut();
        secrets
            .filter(|secrets| secrets.id == session)
            .ok_or_else(|| NodeError::Bug("a step of a change that has not begun".into()))
    }

    /// E1 to E3: what is reshared, from whom to whom.
    fn resharing(&self, session: SessionId) -> Result<Resharing, NodeError> {
        let change = self.change_of(session)?;
        let facts = self.fold.facts().certificates.get(&change.change.from);
        let old = facts.and_then(|facts| self.fold.roster_at(facts.certificate.epoch));
        let old = old.ok_or_else(|| NodeError::Bug("a change from an unknown epoch".into()))?;
        Ok(Resharing {
            from: old.committee().clone(),
            to: change.roster.committee().clone(),
            session,
            epoch: change.change.epoch,
            excused: change.change.excused().into_iter().collect(),
        })
    }

    fn epoch_done(&mut self, session: SessionId) -> Result<(), NodeError> {
        if self.change.secrets.is_some() || self.change.local.sealed == Some(session) {
            self.change.end();
        }
        self.change.offer = None;
        Ok(())
    }

    fn epoch_aborted(&mut self, session: SessionId, fault: String) -> Result<(), NodeError> {
        if self.change.fault.as_ref() == Some(&fault) {
            return Ok(());
        }
        tracing::warn!("the change was given up; {fault}");
        // What this party certified may still be certified by all.
        let signed = Said::of(&self.fold, session);
        if !signed.certified.contains_key(&self.me) {
            keys::erase_share(&self.dir, session)
                .map_err(|source| NodeError::from(crate::store::StoreError::Io(source)))?;
        }
        self.change.end();
        self.change.fault = Some(fault);
        Ok(())
    }

    /// E10: this party's contributions to the new seeds.
    fn commit_seeds(&mut self, session: SessionId) -> Result<(), NodeError> {
        let committee = self.change_of(session)?.roster.committee().clone();
        let own: BTreeMap<PieceId, SeedShare> = committee
            .pieces_of(self.me)
            .map(|piece| (piece, SeedShare::new(random())))
            .collect();
        let commitments = own
            .iter()
            .map(|(piece, share)| PieceCommitment {
                piece: *piece,
                commitment: seed_commitment(&session, *piece, self.me, share),
            })
            .collect();
        self.change.end();
        self.change.looked_for = Some(session);
        self.change.started_ms = Some(now_ms());
        self.change.ended_ms = None;
        self.change.secrets = Some(Secrets {
            id: session,
            own,
            others: BTreeMap::new(),
            sending: BTreeSet::new(),
            collector: Arc::default(),
        });
        self.change.local.session = Some(session);
        let mask = digest::ZERO;
        self.state(Body::SeedCommitted {
            session,
            commitments,
            mask,
        })
        .map(drop)
    }

    /// Takes a new member's contributions to new seeds, if they are those that it committed to.
    pub(super) fn take_epoch_shares(
        &mut self,
        from: PartyId,
        session: SessionId,
        shares: &[PieceSecret],
    ) -> Result<Response, NodeError> {
        let said = Said::of(&self.fold, session);
        let Some(committed) = said.commitments.get(&from) else {
            return Ok(Response::Unavailable);
        };
        for share in shares {
            let held_by_both = share.piece.is_held_by(self.me) && share.piece.is_held_by(from);
            let mut commitments = committed.commitments.iter();
            let commitment = commitments.rfind(|c| c.piece == share.piece);
            let candidate = SeedShare::new(share.secret);
            let stated = seed_commitment(&session, share.piece, from, &candidate);
            if !held_by_both || commitment.map(|c| c.commitment) != Some(stated) {
                let what = format!(
                    "sent a share of the new seed of the {} that does not match its commitment",
                    share.piece
                );
                self.note_fault(format!("party {from}: {what}"));
                self.change
                    .local
                    .caught
                    .push(Evidence::Claim { party: from, what });
                self.touch();
                return Ok(Response::Refused);
            }
            self.change.local.shares.insert((share.piece, from));
            let others = &mut self.secrets_of(session)?.others;
            others.insert((share.piece, from), candidate);
        }
        self.touch();
        Ok(Response::Taken)
    }

    fn send_epoch_shares(&mut self, session: SessionId, with: &[PartyId]) -> Result<(), NodeError> {
        let connected = self.net.connected();
        for party in with.iter().copied() {
            if !connected.contains(&party)
                || self.change.local.confirmed.contains(&party)
                || !self.secrets_of(session)?.sending.insert(party)
            {
                continue;
            }
            let own = self.secrets_of(session)?.own.iter();
            let shares = own
                .filter(|(piece, _)| piece.is_held_by(party))
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
                    if node.change.is(&session) {
                        node.secrets_of(session)?.sending.remove(&party);
                        if matches!(answer, Ok(Response::Taken)) {
                            node.change.local.confirmed.insert(party);
                        }
                    }
                    Ok(())
                },
            );
        }
        Ok(())
    }

    /// E4, E5: cuts the old pieces. The same again after a restart.
    fn compute_offer(&mut self, session: SessionId) -> Result<(), NodeError> {
        let Some(key) = self.key.clone() else {
            return Err(NodeError::Bug("an old member without a share".into()));
        };
        if std::mem::replace(&mut self.change.offering, true) {
            return Ok(());
        }
        let resharing = self.resharing(session)?;
        self.compute(
            move || key.share().reshare(&resharing),
            move |node, offer| {
                node.change.offering = false;
                node.change.busy = None;
                let offer = offer.map_err(|error| NodeError::Bug(error.to_string()))?;
                let digests = offer.digests().into_iter();
                let digests = digests.map(|(piece, digest)| PieceDigest { piece, digest });
                node.change.local.offer = Some((session, digests.collect()));
                node.change.offer = Some(Arc::new(offer));
                Ok(())
            },
        );
        Ok(())
    }

    /// E9, E10: adds the parcels up, seals the new share and forgets what it was made of.
    fn combine_share(&mut self, session: SessionId) -> Result<(), NodeError> {
        let (me, resharing) = (self.me, self.resharing(session)?);
        let secrets = self.secrets_of(session)?;
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
        let seeds = PieceSeeds::new(&resharing.to, me, seeds)
            .map_err(|piece| NodeError::Bug(format!("the seed of the {piece} was not combined")))?;
        let collector = secrets.collector.clone();
        let (dir, sealing, public) = (
            self.dir.clone(),
            self.sealing.clone(),
            self.public_key_file()?,
        );
        let (key, net) = (self.certified_key()?, self.net.clone());
        let holders: Vec<PartyId> = resharing.from.parties().iter().collect();
        self.wait(
            async move {
                // A newcomer has no public key yet, and nothing can be tested without.
                parcels::fetch_public(&net, &holders, key, &public).await?;
                let sealed = tokio::task::spawn_blocking(move || {
                    let mut slot = collector.lock().unwrap_or_else(PoisonError::into_inner);
                    let collector = slot.take().ok_or("nothing was collected")?;
                    let share = collector
                        .combine(seeds)
                        .map_err(|error| error.to_string())?;
                    keys::save_share(&dir, session, &share, &sealing)
                        .map_err(|error| error.to_string())
                });
                sealed.await.map_err(|error| error.to_string())?
            },
            move |node, outcome| {
                node.finish_change(session, outcome, |runner, ()| {
                    runner.local.sealed = Some(session);
                    if let Some(secrets) = &mut runner.secrets {
                        secrets.own.clear();
                        secrets.others.clear();
                    }
                })
            },
        );
        Ok(())
    }

    fn public_key_file(&self) -> Result<PathBuf, NodeError> {
        let first = self.fold.line().first().map(|(_, digest)| *digest);
        let facts = first.and_then(|digest| self.fold.facts().certificates.get(&digest));
        let facts = facts.ok_or_else(|| NodeError::Bug("a change without a key".into()))?;
        Ok(keys::public_path(&self.dir, facts.certificate.session))
    }

    fn certified_key(&self) -> Result<Digest, NodeError> {
        let certificate = self.fold.certificate();
        let certificate = certificate.map(|facts| facts.certificate.key);
        certificate.ok_or_else(|| NodeError::Bug("a change without a key".into()))
    }

    fn parameters(&self) -> Result<ParameterSet, NodeError> {
        ParameterSet::by_id(self.fold.founding().parameters())
            .ok_or_else(|| NodeError::Bug("unknown parameters".into()))
    }

    /// E12: the new share decrypts what is encrypted under the old public key.
    fn test_share(&mut self, session: SessionId) -> Result<(), NodeError> {
        let (public, key) = (self.public_key_file()?, self.certified_key()?);
        let (dir, sealing) = (self.dir.clone(), self.sealing.clone());
        self.compute(
            move || {
                let text = |error: &dyn std::fmt::Display| error.to_string();
                let share: KeyShare = keys::load_share(&dir, session, &sealing)
                    .map_err(|error| text(&error))?
                    .ok_or("the sealed share is gone")?;
                let public = keys::read_public(&public, key).map_err(|error| text(&error))?;
                let (squashed, expected) = public
                    .self_test(*session.as_bytes())
                    .map_err(|error| text(&error))?;
                let pieces = share
                    .partial_decrypt(share.epoch(), &squashed)
                    .map_err(|error| text(&error))?;
                Ok((squashed, expected, pieces))
            },
            move |node, outcome: Result<_, String>| {
                node.finish_change(session, outcome, |runner, (squashed, expected, pieces)| {
                    let digest = squashed.digest();
                    let pieces = pieces
                        .iter()
                        .map(|(piece, values)| PieceValues::pack(*piece, values))
                        .collect();
                    runner.test = Some((session, Arc::new(squashed), expected));
                    runner.local.self_test = Some((digest, pieces));
                })
            },
        );
        Ok(())
    }

    fn check_share(
        &mut self,
        session: SessionId,
        values: &BTreeMap<PieceId, Vec<u128>>,
    ) -> Result<(), NodeError> {
        let committee = self.change_of(session)?.roster.committee().clone();
        let tested = self.change.test.as_ref().filter(|(id, ..)| *id == session);
        let Some((_, squashed, expected)) = tested else {
            // Started again after its self-test was stated: the same ciphertexts are made once more.
            return self.test_share(session);
        };
        let right = recombine(&committee, squashed, values).is_ok_and(|opened| opened == *expected);
        self.finish_change(session, Ok(right), |runner, right| {
            runner.local.self_test_right = Some(right);
        })
    }

    /// Applies the outcome of a step's computation, unless the change has ended meanwhile.
    fn finish_change<T>(
        &mut self,
        session: SessionId,
        outcome: Result<T, String>,
        then: impl FnOnce(&mut Runner, T),
    ) -> Result<(), NodeError> {
        if !self.change.is(&session) && self.change.local.sealed != Some(session) {
            return Ok(());
        }
        self.change.busy = None;
        self.change.local.moved_ms = now_ms();
        match outcome {
            Ok(value) => {
                then(&mut self.change, value);
                Ok(())
            }
            Err(reason) => {
                let reason = reason.chars().take(300).collect();
                let evidence = None;
                self.state(Body::EpochAborted {
                    session,
                    reason,
                    evidence,
                })
                .map(drop)
            }
        }
    }
}

/// The session of a step that a share on the disk would make superfluous.
fn session_of(step: &Step) -> Option<SessionId> {
    match step {
        Step::Commit { session }
        | Step::ExchangeShares { session, .. }
        | Step::Collect { session, .. }
        | Step::Combine { session }
        | Step::SelfTest { session } => Some(*session),
        Step::State(Body::EpochAborted { session, .. }) => Some(*session),
        _ => None,
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes);
    bytes
}
