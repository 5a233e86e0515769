//! Executes the steps of the key ceremony.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use organtwin_protocol::ceremony::replay::{Finding, Replay};
use organtwin_protocol::ceremony::{self, Step, blame};
use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::statement::{
    Body, GroupDigest, PieceCommitment, PieceShare, PieceValues, StageName,
};
use organtwin_simulations::Engine;
use organtwin_threshold::{
    KeyCeremony, PartyId, PieceId, PieceSeeds, SeedShare, SessionId, Stage, combine_seed,
    recombine, seed_commitment,
};

use crate::network::{Ask, Message};
use crate::party::{Kept, Key, Party, Session};

fn of(stage: StageName) -> Stage {
    match stage {
        StageName::Bits => Stage::Bits,
        StageName::Products => Stage::Products,
        StageName::Rows => Stage::Rows,
    }
}

/// What a replay shows. It is a function of the statements, so that it is computed once for all parties.
#[must_use]
pub fn replayed(fold: &Fold, session: SessionId) -> Option<Vec<Finding>> {
    static KNOWN: Mutex<BTreeMap<Digest, Vec<Finding>>> = Mutex::new(BTreeMap::new());
    let replay = Replay::of(fold, session).ok()?;
    let places = fold.facts().sessions.get(&session)?.iter();
    let hashes = places.flat_map(|(author, seq)| {
        let seq = usize::try_from(*seq).expect("a short feed");
        *fold.feed(*author)[seq].hash().as_bytes()
    });
    let name = of_blob(&hashes.collect::<Vec<u8>>());
    if let Some(known) = KNOWN.lock().expect("no thread panics with it").get(&name) {
        return Some(known.clone());
    }
    let findings = replay
        .run(&|_, _| true)
        .expect("a replay of what this machine computed");
    let mut known = KNOWN.lock().expect("no thread panics with it");
    known.insert(name, findings.clone());
    Some(findings)
}

impl Party {
    /// Takes the steps that are possible now.
    pub(crate) fn make_key(&mut self, now_ms: u64) {
        for (from, session, piece, secret) in std::mem::take(&mut self.early) {
            self.take_any_seed_share(from, session, piece, secret);
        }
        // A session has fewer steps than this; a liar whose statements are refused stops here.
        for _ in 0..64 {
            let step = ceremony::step(&self.fold, self.me, now_ms, &self.local)
                .expect("a certificate has an encoding");
            let goes_on = match step {
                Step::Idle | Step::Wait { .. } => false,
                Step::Aborted { session, .. } => {
                    self.give_up(session);
                    false
                }
                Step::State(body) => {
                    let said = self.fold.feed(self.me).len();
                    self.say(now_ms, body).expect("the own step is allowed");
                    self.fold.feed(self.me).len() > said
                }
                Step::Commit { session } => self.commit(now_ms, session),
                Step::ExchangeShares { session, with } => self.send_shares(session, &with),
                Step::Begin { session, mask_seed } => self.begin(session, mask_seed),
                Step::Compute { stage, .. } => self.compute(stage),
                Step::Absorb {
                    session,
                    stage,
                    roots,
                } => self.absorb(session, stage, &roots),
                Step::SelfTest { session } => self.self_test(session),
                Step::CheckSelfTest { values, .. } => self.check_self_test(&values),
                Step::Done { certificate } => {
                    if self.key.is_none()
                        && let Some((public, share)) = self.session.assembled.take()
                    {
                        let server = public.evaluation_key().expect("the key assembles");
                        self.key = Some(Key {
                            certificate,
                            public,
                            share: Some(share),
                            engine: Engine::new(Arc::new(server)).expect("a classic key"),
                        });
                        self.session = Session::default();
                    }
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Keeps what may have to be published of a session that was given up, and forgets the rest.
    fn give_up(&mut self, session: SessionId) {
        let ended = std::mem::take(&mut self.session);
        if let Some(mask) = self.local.mask_share.take()
            && self.local.session == Some(session)
        {
            self.blame.held = Some(session);
            self.kept = Some(Kept {
                session,
                own: ended.own,
                mask,
            });
        }
    }

    /// Publishes, replays and accuses after a session was given up.
    pub(crate) fn assign_blame(&mut self, now_ms: u64) {
        for _ in 0..64 {
            let said = self.fold.feed(self.me).len();
            let step = blame::step(&self.fold, self.me, &self.blame).expect("it has an encoding");
            match step {
                blame::Step::Rest => return,
                blame::Step::State(body) => {
                    self.say(now_ms, body).expect("the own step is allowed");
                }
                blame::Step::Publish { session } => {
                    let kept = self.kept.take().expect("shares that are held");
                    assert_eq!(kept.session, session);
                    self.blame.held = None;
                    let share = |(piece, share): (&PieceId, &SeedShare)| PieceShare {
                        piece: *piece,
                        share: Digest::new(*share.expose()),
                    };
                    let body = Body::SeedsPublished {
                        session,
                        shares: kept.own.iter().map(share).collect(),
                        mask: kept.mask,
                    };
                    self.say(now_ms, body).expect("the own step is allowed");
                    continue;
                }
                blame::Step::Replay { session } => {
                    let findings = replayed(&self.fold, session).expect("all have published");
                    self.blame.replayed.push((session, findings));
                    continue;
                }
            }
            if self.fold.feed(self.me).len() == said {
                return;
            }
        }
    }

    fn commit(&mut self, now_ms: u64, session: SessionId) -> bool {
        let pieces: Vec<PieceId> = self
            .fold
            .founding()
            .committee()
            .pieces_of(self.me)
            .collect();
        self.session = Session::default();
        for piece in pieces {
            self.session
                .own
                .insert(piece, SeedShare::new(self.dice.bytes()));
        }
        let mask_share = Digest::new(self.dice.bytes());
        self.local.session = Some(session);
        self.local.mask_share = Some(mask_share);
        let commitments = self
            .session
            .own
            .iter()
            .map(|(piece, share)| PieceCommitment {
                piece: *piece,
                commitment: seed_commitment(&session, *piece, self.me, share),
            });
        let body = Body::SeedCommitted {
            session,
            commitments: commitments.collect(),
            mask: ceremony::mask_commitment(session, self.me, &mask_share).expect("encodes"),
        };
        let said = self.fold.feed(self.me).len();
        self.say(now_ms, body).expect("committing is allowed");
        self.fold.feed(self.me).len() > said
    }

    fn send_shares(&mut self, session: SessionId, with: &[PartyId]) -> bool {
        for party in with {
            if !self.session.sent.insert(*party) {
                continue;
            }
            for (piece, share) in self
                .session
                .own
                .iter()
                .filter(|(piece, _)| piece.is_held_by(*party))
            {
                let secret = self.liar.seed_share(*party, *share.expose());
                self.out
                    .push((*party, Message::SeedShare(session, *piece, secret)));
            }
        }
        false
    }

    pub(crate) fn take_seed_share(
        &mut self,
        from: PartyId,
        session: SessionId,
        piece: PieceId,
        secret: [u8; 32],
    ) {
        let said = ceremony::Said::of(&self.fold, session);
        let committed = said.commitments.get(&from);
        if self.local.session != Some(session) || committed.is_none() {
            // The share overtook its commitment.
            self.early.push((from, session, piece, secret));
            return;
        }
        let share = SeedShare::new(secret);
        let commitment =
            committed.and_then(|said| said.commitments.iter().find(|c| c.piece == piece));
        if commitment.map(|c| c.commitment) != Some(seed_commitment(&session, piece, from, &share))
        {
            self.local.caught.push(Evidence::Claim {
                party: from,
                what: format!(
                    "sent a share of the seed of the {piece} that does not match its commitment"
                ),
            });
            return;
        }
        self.session.others.insert((piece, from), share);
        self.local.shares.insert((piece, from));
        let shared = |piece: &PieceId| piece.is_held_by(self.me) && piece.is_held_by(from);
        let all = self
            .fold
            .roster()
            .committee()
            .pieces_of(self.me)
            .filter(shared)
            .count();
        if self
            .local
            .shares
            .iter()
            .filter(|(_, party)| *party == from)
            .count()
            == all
        {
            self.out.push((from, Message::SeedSharesTaken(session)));
        }
    }

    fn begin(&mut self, session: SessionId, mask_seed: Digest) -> bool {
        let committee = self.fold.founding().committee().clone();
        let seeds = self.session.own.iter().map(|(piece, own)| {
            let others = self
                .session
                .others
                .iter()
                .filter(|((of, _), _)| of == piece);
            let mut shares: Vec<(PartyId, &SeedShare)> =
                others.map(|((_, party), share)| (*party, share)).collect();
            shares.push((self.me, own));
            (*piece, combine_seed(&session, *piece, &shares))
        });
        let seeds = PieceSeeds::new(&committee, self.me, seeds.collect()).expect("all own seeds");
        let keygen = KeyCeremony::new(
            &committee,
            self.params,
            session,
            self.me,
            seeds,
            *mask_seed.as_bytes(),
        );
        self.session.keygen = Some(keygen.expect("the ceremony begins"));
        self.local.begun = true;
        true
    }

    fn compute(&mut self, stage: StageName) -> bool {
        let family = ceremony::family(self.fold.founding(), stage);
        let keygen = self.session.keygen.as_ref().expect("begun");
        let mut roots = Vec::new();
        for (index, _) in family
            .iter()
            .enumerate()
            .filter(|(_, group)| group.contains(self.me))
        {
            let group = u16::try_from(index).expect("a small family");
            let chunks = (0..keygen.chunks(of(stage))).map(|chunk| {
                let bytes = keygen
                    .group_chunk(of(stage), index, chunk)
                    .expect("an own group");
                self.liar.vector(stage, bytes)
            });
            let chunks: Vec<Vec<u8>> = chunks.collect();
            let leaves: Vec<Digest> = chunks.iter().map(|bytes| of_blob(bytes)).collect();
            roots.push(GroupDigest {
                group,
                digest: ceremony::vector_root(&leaves),
            });
            self.session.vectors.insert((stage, group), chunks);
        }
        self.local.computed.insert(stage, roots);
        true
    }

    pub(crate) fn take_chunk(
        &mut self,
        from: PartyId,
        stage: StageName,
        group: u16,
        chunk: Option<u32>,
        bytes: Vec<u8>,
    ) {
        match chunk {
            None => {
                let leaves = bytes
                    .as_chunks::<32>()
                    .0
                    .iter()
                    .map(|leaf| Digest::new(*leaf))
                    .collect();
                self.session.leaves.insert((stage, group), leaves);
            }
            Some(chunk) => {
                let leaves = self.session.leaves.get(&(stage, group));
                let expected = leaves
                    .and_then(|leaves| leaves.get(chunk as usize))
                    .copied();
                if expected == Some(of_blob(&bytes)) {
                    self.session.chunks.insert((stage, group, chunk), bytes);
                } else {
                    // Another member is asked (C6); nothing that was signed shows what came.
                    self.caught.insert(from);
                }
            }
        }
    }

    fn absorb(&mut self, session: SessionId, stage: StageName, roots: &[Digest]) -> bool {
        let family = ceremony::family(self.fold.founding(), stage);
        let chunks = self
            .session
            .keygen
            .as_ref()
            .expect("begun")
            .chunks(of(stage));
        let mut complete = true;
        for ((group, members), root) in (0u16..).zip(&family).zip(roots) {
            if members.contains(self.me) {
                continue;
            }
            let holders: Vec<PartyId> = members.iter().collect();
            let leaves = self.session.leaves.get(&(stage, group));
            if leaves.is_none_or(|leaves| ceremony::vector_root(leaves) != *root) {
                complete = false;
                self.ask(
                    Ask::Chunk {
                        session,
                        stage,
                        group,
                        chunk: None,
                    },
                    &holders,
                );
                continue;
            }
            for chunk in 0..chunks {
                if self.session.chunks.contains_key(&(stage, group, chunk)) {
                    continue;
                }
                complete = false;
                let speaker =
                    ceremony::speaker(*members, chunk, self.me).expect("a group has members");
                let first = holders
                    .iter()
                    .position(|party| *party == speaker)
                    .unwrap_or(0);
                let mut order = holders.clone();
                order.rotate_left(first);
                self.ask(
                    Ask::Chunk {
                        session,
                        stage,
                        group,
                        chunk: Some(chunk),
                    },
                    &order,
                );
            }
        }
        if !complete {
            return false;
        }
        let keygen = self.session.keygen.as_mut().expect("begun");
        for chunk in 0..chunks {
            let vectors = (0u16..).zip(&family).map(|(group, members)| {
                if members.contains(self.me) {
                    self.session.vectors[&(stage, group)][chunk as usize].clone()
                } else {
                    self.session
                        .chunks
                        .remove(&(stage, group, chunk))
                        .expect("complete")
                }
            });
            let vectors: Vec<Vec<u8>> = vectors.collect();
            if keygen.absorb(of(stage), chunk, &vectors).is_err() {
                // All members agreed on a value that is not of the right form: more than t lie.
                self.local.caught.push(Evidence::Unsound { session });
                return true;
            }
        }
        let digest = keygen.finish_stage(of(stage)).expect("all chunks came");
        self.local.opened.insert(stage, digest);
        if stage == StageName::Rows {
            let keygen = self.session.keygen.take().expect("begun");
            let (public, share) = keygen.finish().expect("all stages are finished");
            self.local.key = Some((public.digest(), public.bytes()));
            self.session.assembled = Some((public, share));
        }
        true
    }

    fn self_test(&mut self, session: SessionId) -> bool {
        let (public, share) = self.session.assembled.as_ref().expect("assembled");
        let (squashed, values) = public
            .self_test(*session.as_bytes())
            .expect("the key works");
        let pieces = share
            .partial_decrypt(share.epoch(), &squashed)
            .expect("own blocks");
        let pieces = pieces
            .iter()
            .map(|(piece, values)| PieceValues::pack(*piece, values))
            .collect();
        self.local.self_test = Some((squashed.digest(), pieces));
        self.session.self_test = Some((squashed, values));
        true
    }

    fn check_self_test(&mut self, values: &BTreeMap<PieceId, Vec<u128>>) -> bool {
        let (squashed, expected) = self.session.self_test.as_ref().expect("tested");
        let opened = recombine(self.fold.founding().committee(), squashed, values);
        self.local.self_test_right = Some(opened.is_ok_and(|opened| opened == *expected));
        true
    }
}
