//! Executes the steps of the key ceremony with the model's arithmetic.

use std::collections::BTreeMap;

use organtwin_protocol::ceremony::{self, Local, Step};
use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::statement::{Body, GroupDigest, PieceCommitment, PieceValues, StageName};
use organtwin_threshold::{
    PartyId, PieceId, SeedShare, SessionId, SquashedBlocks, combine_seed, recombine,
    seed_commitment,
};

use super::{Ask, Hospital, Letter, PATIENCE_MS, TIMEOUT_MS, members};
use crate::schedules::arithmetic::{Keygen, PublicKey, Share};

/// The secrets and vectors of a session.
#[derive(Default)]
pub(super) struct Session {
    own: BTreeMap<PieceId, [u8; 32]>,
    others: BTreeMap<(PieceId, PartyId), [u8; 32]>,
    sending: BTreeMap<PartyId, u64>,
    keygen: Option<Keygen>,
    vectors: BTreeMap<(StageName, u16), Vec<u8>>,
    roots: BTreeMap<(StageName, u16), Digest>,
    assembled: Option<(PublicKey, Share)>,
    self_test: Option<(SquashedBlocks, Vec<u8>)>,
}

impl Hospital {
    /// Takes the steps that are possible now.
    pub(super) fn make_key(&mut self, now_ms: u64) {
        if self.settled {
            return;
        }
        for _ in 0..64 {
            if self.crashed {
                return;
            }
            let step = ceremony::step(&self.fold, self.me, now_ms, &self.local)
                .expect("a certificate has an encoding");
            let goes_on = match step {
                Step::Idle | Step::Wait { .. } => false,
                Step::Aborted { .. } => {
                    self.end_session(now_ms);
                    false
                }
                Step::State(body) => {
                    if let (Body::KeyCertified { certificate }, Some((public, share))) =
                        (&body, &self.session.assembled)
                    {
                        self.disk
                            .save_key(certificate.session, public.clone(), share.clone());
                    }
                    self.state(now_ms, body)
                }
                Step::Commit { session } => self.commit(now_ms, session),
                Step::ExchangeShares { session, with } => self.send_seeds(now_ms, session, &with),
                Step::Begin { session, mask_seed } => self.begin(session, mask_seed),
                Step::Compute { stage, .. } => self.compute(stage),
                Step::Absorb {
                    session,
                    stage,
                    roots,
                } => self.absorb(now_ms, session, stage, &roots),
                Step::SelfTest { .. } => self.self_test(),
                Step::CheckSelfTest { values, .. } => self.check_self_test(&values),
                Step::Done { .. } => {
                    self.end_session(now_ms);
                    self.settled = self.key.is_some();
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Forgets a session, as a node does when it has ended.
    pub(super) fn end_session(&mut self, now_ms: u64) {
        self.session = Session::default();
        self.local = Local {
            patience_ms: PATIENCE_MS,
            moved_ms: now_ms,
            ..Local::default()
        };
    }

    fn commit(&mut self, now_ms: u64, session: SessionId) -> bool {
        self.end_session(now_ms);
        let pieces: Vec<PieceId> = self.fold.roster().committee().pieces_of(self.me).collect();
        for piece in pieces {
            self.session.own.insert(piece, self.dice.bytes());
        }
        let mask_share = Digest::new(self.dice.bytes());
        self.local.session = Some(session);
        self.local.mask_share = Some(mask_share);
        let commit = |(piece, share): (&PieceId, &[u8; 32])| PieceCommitment {
            piece: *piece,
            commitment: seed_commitment(&session, *piece, self.me, &SeedShare::new(*share)),
        };
        let body = Body::SeedCommitted {
            session,
            commitments: self.session.own.iter().map(commit).collect(),
            mask: ceremony::mask_commitment(session, self.me, &mask_share).expect("encodes"),
        };
        self.state(now_ms, body)
    }

    fn send_seeds(&mut self, now_ms: u64, session: SessionId, with: &[PartyId]) -> bool {
        for party in with {
            let sent = self.session.sending.get(party).copied();
            if self.local.confirmed.contains(party)
                || sent.is_some_and(|sent| now_ms < sent + TIMEOUT_MS)
            {
                continue;
            }
            self.session.sending.insert(*party, now_ms);
            let own = self.session.own.iter();
            let shares = own
                .filter(|(piece, _)| piece.is_held_by(*party))
                .map(|(piece, share)| (*piece, self.seed_sent(*share)));
            let shares = shares.collect();
            self.send(*party, Letter::Seeds(session, shares));
        }
        false
    }

    pub(super) fn take_seeds(
        &mut self,
        from: PartyId,
        session: SessionId,
        shares: &[(PieceId, [u8; 32])],
    ) {
        let said = ceremony::Said::of(&self.fold, session);
        let (Some(committed), true) = (
            said.commitments.get(&from),
            self.local.session == Some(session),
        ) else {
            return;
        };
        for (piece, secret) in shares {
            let held_by_both = piece.is_held_by(self.me) && piece.is_held_by(from);
            let commitment = committed.commitments.iter().find(|c| c.piece == *piece);
            let expected = seed_commitment(&session, *piece, from, &SeedShare::new(*secret));
            if !held_by_both || commitment.map(|c| c.commitment) != Some(expected) {
                self.local.caught.push(Evidence::Claim {
                    party: from,
                    what: format!(
                        "sent a share of the seed of the {piece} that does not match its commitment"
                    ),
                });
                self.dirty = true;
                return;
            }
            self.local.shares.insert((*piece, from));
            self.session.others.insert((*piece, from), *secret);
        }
        self.send(from, Letter::SeedsTaken(session));
        self.dirty = true;
    }

    fn begin(&mut self, session: SessionId, mask_seed: Digest) -> bool {
        let committee = self.fold.roster().committee().clone();
        let seed = |(piece, own): (&PieceId, &[u8; 32])| {
            let others = self
                .session
                .others
                .iter()
                .filter(|((of, _), _)| of == piece);
            let mut shares: Vec<(PartyId, SeedShare)> = others
                .map(|((_, party), share)| (*party, SeedShare::new(*share)))
                .collect();
            shares.push((self.me, SeedShare::new(*own)));
            let shares: Vec<(PartyId, &SeedShare)> = shares
                .iter()
                .map(|(party, share)| (*party, share))
                .collect();
            (*piece, combine_seed(&session, *piece, &shares))
        };
        let seeds = self.session.own.iter().map(seed).collect();
        self.session.keygen = Some(Keygen::new(
            &committee,
            session,
            seeds,
            *mask_seed.as_bytes(),
        ));
        self.local.begun = true;
        true
    }

    fn compute(&mut self, stage: StageName) -> bool {
        let family = ceremony::family(self.fold.roster(), stage);
        let keygen = self.session.keygen.as_ref().expect("begun");
        let mut roots = Vec::new();
        for (group, members) in (0u16..).zip(&family) {
            if !members.contains(self.me) {
                continue;
            }
            let vector = self.vector_computed(stage, keygen.vector(stage, group.into()));
            roots.push(GroupDigest {
                group,
                digest: ceremony::vector_root(&[of_blob(&vector)]),
            });
            self.session.vectors.insert((stage, group), vector);
        }
        self.local.computed.insert(stage, roots);
        true
    }

    /// The own vector of a group, for a peer that asks.
    pub(super) fn vector(
        &self,
        session: &SessionId,
        stage: StageName,
        group: u16,
    ) -> Option<Vec<u8>> {
        let members = ceremony::family(self.fold.roster(), stage);
        let mine = members.get(usize::from(group))?.contains(self.me);
        if self.local.session != Some(*session) || !mine {
            return None;
        }
        self.session.vectors.get(&(stage, group)).cloned()
    }

    pub(super) fn take_vector(
        &mut self,
        _now_ms: u64,
        session: SessionId,
        stage: StageName,
        group: u16,
        bytes: &[u8],
    ) {
        let root = self.session.roots.get(&(stage, group));
        // Another member is asked for what does not match its signed root.
        if self.local.session == Some(session)
            && root == Some(&ceremony::vector_root(&[of_blob(bytes)]))
        {
            self.session.vectors.insert((stage, group), bytes.to_vec());
        }
    }

    fn absorb(
        &mut self,
        now_ms: u64,
        session: SessionId,
        stage: StageName,
        roots: &[Digest],
    ) -> bool {
        let family = ceremony::family(self.fold.roster(), stage);
        let mut vectors = Vec::new();
        for ((group, set), root) in (0u16..).zip(&family).zip(roots) {
            if let Some(vector) = self.session.vectors.get(&(stage, group)) {
                vectors.push(vector.clone());
                continue;
            }
            self.session.roots.insert((stage, group), *root);
            let speaker = ceremony::speaker(*set, 0, self.me).expect("a group has members");
            let mut holders = members(*set);
            let first = holders
                .iter()
                .position(|party| *party == speaker)
                .unwrap_or(0);
            holders.rotate_left(first);
            self.ask(now_ms, Ask::Vector(session, stage, group), &holders);
        }
        if vectors.len() < family.len() {
            return false;
        }
        let keygen = self.session.keygen.as_mut().expect("begun");
        let digest = keygen.open(stage, &vectors);
        self.local.opened.insert(stage, digest);
        if stage == StageName::Rows {
            let (public, share) = keygen.finish();
            self.local.key = Some((public.digest, 32));
            self.session.assembled = Some((public, share));
        }
        true
    }

    fn self_test(&mut self) -> bool {
        let (public, share) = self.session.assembled.as_ref().expect("assembled");
        let (squashed, expected) = public.self_test();
        let pieces = share.decrypt(&squashed);
        let pieces = pieces
            .iter()
            .map(|(piece, values)| PieceValues::pack(*piece, values))
            .collect();
        self.local.self_test = Some((squashed.digest(), pieces));
        self.session.self_test = Some((squashed, expected));
        true
    }

    fn check_self_test(&mut self, values: &BTreeMap<PieceId, Vec<u128>>) -> bool {
        let (squashed, expected) = self.session.self_test.as_ref().expect("tested");
        let opened = recombine(self.fold.roster().committee(), squashed, values);
        self.local.self_test_right = Some(opened.is_ok_and(|opened| opened == *expected));
        true
    }
}
