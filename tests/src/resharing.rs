//! Executes the steps of a change of the sharing.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_protocol::digest::{self, Digest};
use organtwin_protocol::epoch::{self, EpochChange, PieceDigest, Step, Wish, WishError};
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::fold::ChangeFacts;
use organtwin_protocol::statement::{Body, PieceCommitment, PieceValues};
use organtwin_threshold::{
    Collector, KeyShare, Label, Offer, PartyId, PieceId, PieceSeeds, Resharing, SeedShare,
    SessionId, SquashedBlocks, combine_seed, recombine, seed_commitment,
};

use crate::network::{Ask, Message};
use crate::party::{PATIENCE_MS, Party};

/// What a party holds of a change; only the sealed share survives a restart.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) local: epoch::Local,
    own: BTreeMap<PieceId, SeedShare>,
    others: BTreeMap<(PieceId, PartyId), SeedShare>,
    sent: BTreeSet<PartyId>,
    collector: Option<(SessionId, Collector)>,
    self_test: Option<(SquashedBlocks, Vec<u8>)>,
    /// The new share, as it lies on the disk.
    pub(crate) sealed: Option<(SessionId, KeyShare)>,
}

impl Change {
    /// What a restarted party has: its sealed share.
    pub(crate) fn of_disk(sealed: Option<(SessionId, KeyShare)>) -> Self {
        Self {
            local: epoch::Local {
                sealed: sealed.as_ref().map(|(session, _)| *session),
                patience_ms: PATIENCE_MS,
                ..epoch::Local::default()
            },
            sealed,
            ..Self::default()
        }
    }
}

impl Party {
    /// Proposes a change, or approves it if the very same was proposed.
    ///
    /// # Errors
    /// What stands against it.
    pub fn wish(&mut self, now_ms: u64, wish: &Wish) -> Result<EpochChange, WishError> {
        let change = epoch::prepare(&self.fold, self.me, wish)?;
        let body = Body::EpochApproved {
            change: Box::new(change.clone()),
        };
        self.say(now_ms, body)
            .expect("a prepared change may be approved");
        Ok(change)
    }

    fn change(&self, session: &SessionId) -> ChangeFacts {
        let change = self.fold.facts().change(session);
        change.expect("a step names a known change").clone()
    }

    fn resharing(&self, session: &SessionId) -> Resharing {
        epoch::resharing(&self.fold, &self.change(session)).expect("an agreed change")
    }

    /// Takes the steps that are possible now.
    pub(crate) fn change_epoch(&mut self, now_ms: u64) {
        for (from, session, piece, secret) in std::mem::take(&mut self.early) {
            self.take_any_seed_share(from, session, piece, secret);
        }
        for _ in 0..64 {
            let step = epoch::step(&self.fold, self.me, now_ms, &self.resharing.local)
                .expect("a change has an encoding");
            let goes_on = match step {
                Step::Idle | Step::Wait { .. } | Step::Aborted { .. } => false,
                Step::State(body) => {
                    let said = self.fold.feed(self.me).len();
                    self.say(now_ms, body).expect("the own step is allowed");
                    self.fold.feed(self.me).len() > said
                }
                Step::Commit { session } => self.commit_anew(now_ms, session),
                Step::ExchangeShares { session, with } => self.send_new_shares(session, &with),
                Step::Offer { session } => self.offer(session),
                Step::Collect { session, accepted } => self.fetch_parcels(session, &accepted),
                Step::Combine { session } => self.combine_share(session),
                Step::SelfTest { session } => self.test_share(session),
                Step::CheckSelfTest { session, values } => self.check_share(session, &values),
                Step::Done { certificate } => {
                    let sealed = self.resharing.sealed.take();
                    let fresh = sealed.filter(|(session, _)| *session == certificate.session);
                    if let Some((_, share)) = fresh {
                        if let Some(key) = &mut self.key {
                            key.share = Some(share);
                            key.certificate = certificate;
                        }
                        self.resharing = Change::of_disk(None);
                    } else if self.fold.roster().member(self.me).is_none()
                        && let Some(key) = &mut self.key
                    {
                        // The share of a party that left is erased.
                        key.share = None;
                    }
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    fn commit_anew(&mut self, now_ms: u64, session: SessionId) -> bool {
        let change = self.change(&session);
        let sealed = self.resharing.sealed.take();
        self.resharing = Change::of_disk(sealed);
        self.resharing.local.moved_ms = now_ms;
        self.resharing.local.session = Some(session);
        let pieces: Vec<PieceId> = change.roster.committee().pieces_of(self.me).collect();
        for piece in pieces {
            let share = SeedShare::new(self.dice.bytes());
            self.resharing.own.insert(piece, share);
        }
        let own = self.resharing.own.iter();
        let commitments = own.map(|(piece, share)| PieceCommitment {
            piece: *piece,
            commitment: seed_commitment(&session, *piece, self.me, share),
        });
        let body = Body::SeedCommitted {
            session,
            commitments: commitments.collect(),
            mask: digest::ZERO,
        };
        let said = self.fold.feed(self.me).len();
        self.say(now_ms, body).expect("committing is allowed");
        self.fold.feed(self.me).len() > said
    }

    fn send_new_shares(&mut self, session: SessionId, with: &[PartyId]) -> bool {
        for party in with {
            if !self.resharing.sent.insert(*party) {
                continue;
            }
            let own = self.resharing.own.iter();
            for (piece, share) in own.filter(|(piece, _)| piece.is_held_by(*party)) {
                let secret = self.liar.seed_share(*party, *share.expose());
                let message = Message::SeedShare(session, *piece, secret);
                self.out.push((*party, message));
            }
        }
        false
    }

    /// Sorts a seed share: of a change, or of a ceremony.
    pub(crate) fn take_any_seed_share(
        &mut self,
        from: PartyId,
        session: SessionId,
        piece: PieceId,
        secret: [u8; 32],
    ) {
        let Some(change) = self.fold.facts().change(&session) else {
            self.take_seed_share(from, session, piece, secret);
            return;
        };
        let held = change.roster.committee().pieces_of(self.me);
        let all = held.filter(|piece| piece.is_held_by(from)).count();
        let committed = organtwin_protocol::ceremony::Said::of(&self.fold, session)
            .commitments
            .get(&from)
            .map(|said| said.commitments.clone());
        let (Some(committed), true) = (committed, self.resharing.local.session == Some(session))
        else {
            if self.resharing.local.sealed != Some(session) {
                self.early.push((from, session, piece, secret));
            }
            return;
        };
        let share = SeedShare::new(secret);
        let commitment = committed.iter().find(|c| c.piece == piece);
        let expected = seed_commitment(&session, piece, from, &share);
        if commitment.map(|c| c.commitment) != Some(expected) {
            self.resharing.local.caught.push(Evidence::Claim {
                party: from,
                what: format!(
                    "sent a share of the seed of the {piece} that it had not committed to"
                ),
            });
            return;
        }
        self.resharing.others.insert((piece, from), share);
        self.resharing.local.shares.insert((piece, from));
        let got = self.resharing.local.shares.iter();
        if got.filter(|(_, party)| *party == from).count() == all {
            self.out.push((from, Message::SeedSharesTaken(session)));
        }
    }

    fn own_offer(&self, session: &SessionId) -> Option<Offer> {
        let share = self.key.as_ref()?.share.as_ref()?;
        share.reshare(&self.resharing(session)).ok()
    }

    fn offer(&mut self, session: SessionId) -> bool {
        let Some(offer) = self.own_offer(&session) else {
            return false;
        };
        let digests = offer.digests().into_iter();
        let pieces = digests.map(|(piece, digest)| PieceDigest { piece, digest });
        self.resharing.local.offer = Some((session, pieces.collect()));
        true
    }

    /// The parcel of an old piece for a new member that asks.
    pub(crate) fn parcel(
        &self,
        to: PartyId,
        session: &SessionId,
        piece: PieceId,
    ) -> Option<Vec<u8>> {
        if !epoch::may_collect(&self.fold, session, to) {
            return None;
        }
        let parcel = self.own_offer(session)?.parcel(piece, to)?;
        Some(self.liar.parcel(parcel.to_vec()))
    }

    fn fetch_parcels(
        &mut self,
        session: SessionId,
        accepted: &BTreeMap<PieceId, (Digest, Vec<PartyId>)>,
    ) -> bool {
        let Some(key) = &self.key else { return false };
        if self
            .resharing
            .collector
            .as_ref()
            .is_none_or(|(of, _)| *of != session)
        {
            let digests = accepted
                .iter()
                .map(|(piece, (digest, _))| (*piece, *digest));
            let mut collector = Collector::new(
                &self.resharing(&session),
                self.me,
                self.params,
                key.public.digest(),
                digests.collect(),
            )
            .expect("all pieces are accepted");
            if let Some(own) = self.own_offer(&session) {
                collector.take_own(&own);
            }
            self.resharing.collector = Some((session, collector));
        }
        let missing = self
            .resharing
            .collector
            .as_ref()
            .map(|(_, collector)| collector.missing())
            .unwrap_or_default();
        if missing.is_empty() {
            self.resharing.local.collected = Some(session);
            return true;
        }
        for piece in missing {
            let holders: Vec<PartyId> = accepted[&piece]
                .1
                .iter()
                .copied()
                .filter(|party| *party != self.me)
                .collect();
            self.ask(Ask::Parcel { session, piece }, &holders);
        }
        false
    }

    pub(crate) fn take_parcel(
        &mut self,
        from: PartyId,
        session: SessionId,
        piece: PieceId,
        bytes: &[u8],
    ) {
        let Some((of, collector)) = &mut self.resharing.collector else {
            return;
        };
        if *of == session && collector.take(piece, bytes).is_err() {
            let evidence = Evidence::Claim {
                party: from,
                what: format!("sent a parcel of the {piece} that does not match its digest"),
            };
            if !self.resharing.local.wrong_parcels.contains(&evidence) {
                self.resharing.local.wrong_parcels.push(evidence);
            }
        }
    }

    fn combine_share(&mut self, session: SessionId) -> bool {
        let committee = self.change(&session).roster.committee().clone();
        let own = std::mem::take(&mut self.resharing.own);
        let seeds = own.iter().map(|(piece, own)| {
            let others = self.resharing.others.iter();
            let others = others.filter(|((of, _), _)| of == piece);
            let mut shares: Vec<(PartyId, &SeedShare)> =
                others.map(|((_, party), share)| (*party, share)).collect();
            shares.push((self.me, own));
            (*piece, combine_seed(&session, *piece, &shares))
        });
        let seeds = PieceSeeds::new(&committee, self.me, seeds.collect()).expect("all own seeds");
        let (_, collector) = self.resharing.collector.take().expect("all parcels");
        let share = collector.combine(seeds).expect("all parcels and seeds");
        self.resharing.sealed = Some((session, share));
        self.resharing.local.sealed = Some(session);
        true
    }

    fn test_share(&mut self, session: SessionId) -> bool {
        let Some(key) = &self.key else { return false };
        let (squashed, expected) = self.known_values(&session);
        let (_, share) = self.resharing.sealed.as_ref().expect("sealed before");
        assert_eq!(share.key(), key.public.digest());
        let pieces = share
            .partial_decrypt(share.epoch(), &squashed)
            .expect("own blocks");
        let pieces = pieces
            .iter()
            .map(|(piece, values)| PieceValues::pack(*piece, values));
        self.resharing.local.self_test = Some((squashed.digest(), pieces.collect()));
        self.resharing.self_test = Some((squashed, expected));
        true
    }

    fn known_values(&self, session: &SessionId) -> (SquashedBlocks, Vec<u8>) {
        let public = &self.key.as_ref().expect("the public key").public;
        let seed = Label::new("organtwin/virtual self-test")
            .session(session)
            .digest(&public.digest())
            .hash();
        public.self_test(*seed.as_bytes()).expect("the key works")
    }

    fn check_share(&mut self, session: SessionId, values: &BTreeMap<PieceId, Vec<u128>>) -> bool {
        let (squashed, expected) = match self.resharing.self_test.take() {
            Some(tested) => tested,
            None => self.known_values(&session),
        };
        let committee = self.change(&session).roster.committee().clone();
        let opened = recombine(&committee, &squashed, values);
        self.resharing.local.self_test_right = Some(opened.is_ok_and(|opened| opened == expected));
        true
    }
}
