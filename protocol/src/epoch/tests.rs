//! Changes among parties that follow the steps with made-up secrets, and among some that do not.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId, SessionId};

use super::*;
use crate::evidence::Evidence;
use crate::fold::{Admitted, Fold, Refusal};
use crate::identity::Identity;
use crate::roster::Member;
use crate::scene::{Scene, blob, identity, party, piece_values};
use crate::statement::{
    Body, PieceCommitment, PieceValues, SignedStatement, Statement, StatementError,
};
use crate::study::Study;

/// The identity of a party after it came back.
fn renewed(party: PartyId) -> Identity {
    Identity::from_seed([party.get() + 100; 32])
}

fn newcomer(number: u8) -> Member {
    Member {
        party: party(number),
        name: format!("hospital {number}"),
        statement_key: identity(party(number)).public(),
        network_key: vec![number; 36].into(),
    }
}

fn recover(number: u8) -> Wish {
    WishKind::Recover {
        party: party(number),
        statement_key: renewed(party(number)).public(),
        network_key: vec![number + 100; 36].into(),
    }
    .into()
}

/// The parties' local state; who has new keys; who lies about its offer; who has stopped.
struct Play {
    scene: Scene,
    locals: BTreeMap<PartyId, Local>,
    renewed: BTreeSet<PartyId>,
    liar: Option<PartyId>,
    stopped: BTreeSet<PartyId>,
}

impl Play {
    fn new(n: u8, t: u8) -> Self {
        let mut scene = Scene::with_twins(n, t, 3);
        scene.now += 1000;
        Self {
            scene,
            locals: BTreeMap::new(),
            renewed: BTreeSet::new(),
            liar: None,
            stopped: BTreeSet::new(),
        }
    }

    fn identity(&self, party: PartyId) -> Identity {
        if self.renewed.contains(&party) {
            renewed(party)
        } else {
            identity(party)
        }
    }

    fn say(&mut self, author: PartyId, body: Body) -> Result<(), Refusal> {
        let epoch = self.scene.fold.speaks_in(author).unwrap_or(0);
        self.scene.now += 1;
        let statement = self
            .scene
            .fold
            .compose(author, epoch, self.scene.now, body)?;
        let signed = SignedStatement::sign(&statement, &self.identity(author)).unwrap();
        assert!(matches!(
            self.scene.fold.admit(signed)?,
            Admitted::Extended(_)
        ));
        Ok(())
    }

    fn approve(&mut self, wish: &Wish, numbers: &[u8]) -> EpochChange {
        let mut last = None;
        for number in numbers {
            let change = prepare(&self.scene.fold, party(*number), wish).unwrap();
            if let Some(last) = last.replace(change.clone()) {
                assert_eq!(last, change, "all approve the very same");
            }
            let body = Body::EpochApproved {
                change: Box::new(change),
            };
            self.say(party(*number), body).unwrap();
        }
        last.unwrap()
    }

    fn local(&mut self, party: PartyId) -> &mut Local {
        self.locals.entry(party).or_insert_with(|| Local {
            patience_ms: 60_000,
            ..Local::default()
        })
    }

    fn step(&mut self, me: PartyId) -> Step {
        let local = self.local(me).clone();
        step(&self.scene.fold, me, self.scene.now, &local).unwrap()
    }

    /// Does one step; whether it may have changed something.
    fn act(&mut self, me: PartyId) -> bool {
        let step = self.step(me);
        let change = |play: &Self, session: &SessionId| {
            play.scene.fold.facts().change(session).unwrap().clone()
        };
        match step {
            Step::Idle | Step::Wait { .. } | Step::Done { .. } | Step::Aborted { .. } => false,
            Step::State(body) => {
                self.say(me, body).unwrap();
                true
            }
            Step::Commit { session } => {
                let committee = change(self, &session).roster.committee().clone();
                let commitments = committee.pieces_of(me).map(|piece| PieceCommitment {
                    piece,
                    commitment: blob(&format!("{piece} {me}")),
                });
                let commitments = commitments.collect();
                *self.local(me) = Local {
                    session: Some(session),
                    patience_ms: 60_000,
                    moved_ms: self.scene.now,
                    ..Local::default()
                };
                let body = Body::SeedCommitted {
                    session,
                    commitments,
                    mask: digest::ZERO,
                };
                self.say(me, body).unwrap();
                true
            }
            Step::ExchangeShares { session, with } => {
                let committee = change(self, &session).roster.committee().clone();
                let mut moved = false;
                for other in with {
                    if self.stopped.contains(&other) {
                        continue;
                    }
                    let local = self.local(me);
                    moved |= local.confirmed.insert(other);
                    for piece in committee.pieces_of(me).filter(|p| p.is_held_by(other)) {
                        moved |= local.shares.insert((piece, other));
                    }
                }
                moved
            }
            Step::Offer { session } => {
                let change = change(self, &session);
                let old = check::old_roster(&self.scene.fold, &change).unwrap();
                let lies = self.liar == Some(me);
                let pieces = old.committee().pieces_of(me).map(|piece| PieceDigest {
                    piece,
                    digest: blob(&format!("{piece} {} {lies}", change.change.epoch)),
                });
                let pieces = pieces.collect();
                self.local(me).offer = Some((session, pieces));
                true
            }
            Step::Collect { session, accepted } => {
                for (piece, (digest, parties)) in &accepted {
                    let epoch = change(self, &session).change.epoch;
                    assert_eq!(*digest, blob(&format!("{piece} {epoch} false")));
                    assert!(!parties.iter().any(|p| self.liar == Some(*p)));
                }
                self.local(me).collected = Some(session);
                true
            }
            Step::Combine { session } => {
                self.local(me).sealed = Some(session);
                true
            }
            Step::SelfTest { session } => {
                let committee = change(self, &session).roster.committee().clone();
                let pieces = committee
                    .pieces_of(me)
                    .map(|piece| PieceValues::pack(piece, &[1, 2]));
                let pieces = pieces.collect();
                self.local(me).self_test = Some((blob("squashed"), pieces));
                true
            }
            Step::CheckSelfTest { values, .. } => {
                let right = values.values().all(|values| *values == [1, 2]);
                self.local(me).self_test_right = Some(right);
                true
            }
        }
    }

    /// Everybody who runs acts until nothing moves.
    fn settle(&mut self, parties: &[u8]) {
        loop {
            let mut moved = false;
            for number in parties {
                if !self.stopped.contains(&party(*number)) {
                    moved |= self.act(party(*number));
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// All of these approve, then the change runs to its end.
    fn change(&mut self, wish: &Wish, approving: &[u8], acting: &[u8]) -> u32 {
        let change = self.approve(wish, approving);
        self.settle(acting);
        for number in acting {
            assert!(
                matches!(self.step(party(*number)), Step::Done { .. }),
                "party {number}: {:?}",
                self.step(party(*number))
            );
        }
        assert_eq!(self.scene.fold.epoch(), change.epoch);
        change.epoch
    }

    fn members(&self) -> Vec<u8> {
        self.scene
            .fold
            .roster()
            .numbers()
            .map(PartyId::get)
            .collect()
    }

    /// What every order of arrival must come to, if what is refused is offered again.
    fn assert_same_in_any_order(&self) {
        let mut all = self.scene.statements();
        for seed in 0..12_u64 {
            let mut order: Vec<(u64, SignedStatement)> = all
                .drain(..)
                .map(|s| {
                    let hash = s.hash();
                    let mixed = seed
                        .wrapping_add(u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()));
                    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17), s)
                })
                .collect();
            order.sort_by_key(|(key, _)| *key);
            all = order.into_iter().map(|(_, s)| s).collect();
            let mut fold = Fold::new(self.scene.fold.founding().clone());
            let mut offered = all.clone();
            while !offered.is_empty() {
                let before = offered.len();
                offered.retain(|s| match fold.admit(s.clone()) {
                    Ok(_) => false,
                    Err(refusal) => {
                        assert!(refusal.may_pass(), "{refusal}");
                        true
                    }
                });
                assert!(offered.len() < before, "nothing moves");
            }
            assert_eq!(fold, self.scene.fold);
        }
    }
}

#[test]
fn all_four_kinds_of_change_follow_each_other_under_one_key() {
    let mut play = Play::new(4, 1);
    assert_eq!(
        play.change(&WishKind::Refresh.into(), &[1, 2, 3, 4], &[1, 2, 3, 4]),
        1
    );
    let add: Wish = WishKind::Add(newcomer(5)).into();
    assert_eq!(play.change(&add, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]), 2);
    assert_eq!(play.members(), [1, 2, 3, 4, 5]);
    let remove: Wish = WishKind::Remove(party(2)).into();
    assert_eq!(play.change(&remove, &[1, 3, 4, 5], &[1, 3, 4, 5]), 3);
    assert_eq!(play.members(), [1, 3, 4, 5]);
    // The lost party is the newest one: its number stays.
    let wish = recover(5);
    let change = play.approve(&wish, &[1, 3, 4]);
    play.renewed.insert(party(5));
    play.approve(&wish, &[5]);
    play.settle(&[1, 3, 4, 5]);
    assert_eq!(play.scene.fold.epoch(), change.epoch);
    let certificates: Vec<_> = play.scene.fold.line().to_vec();
    assert_eq!(certificates.len(), 5);
    let facts = &play.scene.fold.facts().certificates;
    let keys: BTreeSet<_> = facts.values().map(|c| c.certificate.key).collect();
    assert_eq!(keys.len(), 1);
    play.assert_same_in_any_order();
}

#[test]
fn a_lying_old_holder_is_outvoted_and_named() {
    let mut play = Play::new(4, 1);
    play.liar = Some(party(3));
    play.change(&WishKind::Refresh.into(), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let liars: Vec<_> = lying_offers(&play.scene.fold);
    assert!(!liars.is_empty());
    for evidence in liars {
        assert_eq!(evidence.accused(), [party(3)]);
    }
}

#[test]
fn a_leaving_party_need_neither_approve_nor_be_there() {
    let mut play = Play::new(5, 1);
    play.stopped.insert(party(5));
    let remove: Wish = WishKind::Remove(party(5)).into();
    play.change(&remove, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    assert_eq!(play.members(), [1, 2, 3, 4]);
}

#[test]
fn a_silent_new_member_ends_the_change_named_as_missing_and_the_next_attempt_succeeds() {
    let mut play = Play::new(4, 1);
    let wish: Wish = WishKind::Refresh.into();
    let change = play.approve(&wish, &[1, 2, 3, 4]);
    play.stopped.insert(party(4));
    play.settle(&[1, 2, 3, 4]);
    play.scene.now += 100_000;
    play.settle(&[1, 2, 3, 4]);
    assert!(matches!(
        play.step(party(1)),
        Step::Aborted { epoch: 1, .. }
    ));
    let facts = play.scene.fold.facts();
    let aborted = &facts.changes[&change.digest().unwrap()].aborted;
    assert!(
        aborted
            .values()
            .any(|why| why.contains("silent") && why.ends_with("party 4"))
    );
    assert!(facts.accusations.is_empty(), "silence proves nothing");
    // Nobody certifies what was given up; the silent party comes back, gives it up too, and all try again.
    play.stopped.clear();
    play.settle(&[1, 2, 3, 4]);
    assert_eq!(play.scene.fold.epoch(), 0);
    assert_eq!(play.change(&wish, &[1, 2, 3, 4], &[1, 2, 3, 4]), 2);
    play.assert_same_in_any_order();
}

#[test]
fn a_restart_before_the_share_is_sealed_gives_up_and_after_it_goes_on() {
    for sealed in [false, true] {
        let mut play = Play::new(4, 1);
        let wish: Wish = WishKind::Refresh.into();
        play.approve(&wish, &[1, 2, 3, 4]);
        let reached = |play: &mut Play| {
            let local = play.local(party(2));
            if sealed {
                local.sealed.is_some()
            } else {
                local.session.is_some()
            }
        };
        while !reached(&mut play) {
            for number in 1..=4 {
                play.act(party(number));
            }
        }
        let disk = play.local(party(2)).sealed;
        play.locals.insert(
            party(2),
            Local {
                sealed: disk,
                patience_ms: 60_000,
                ..Local::default()
            },
        );
        play.settle(&[1, 2, 3, 4]);
        assert_eq!(play.scene.fold.epoch(), u32::from(sealed));
        if !sealed {
            assert_eq!(play.change(&wish, &[1, 2, 3, 4], &[1, 2, 3, 4]), 2);
        }
    }
}

#[test]
fn only_one_change_from_a_certificate_is_approved_at_a_time() {
    let mut play = Play::new(4, 1);
    let change = play.approve(&WishKind::Refresh.into(), &[1]);
    let other = prepare(
        &play.scene.fold,
        party(1),
        &WishKind::Remove(party(4)).into(),
    );
    assert!(matches!(other, Err(WishError::UnderWay(1))));
    let later = EpochChange {
        epoch: 2,
        ..change.clone()
    };
    let approve = |change: &EpochChange| Body::EpochApproved {
        change: Box::new(change.clone()),
    };
    assert!(
        play.say(party(1), approve(&later)).is_err(),
        "the first is still open"
    );
    let session = change.session(play.scene.fold.founding().digest()).unwrap();
    let abort = Body::EpochAborted {
        session,
        reason: "not now".into(),
        evidence: None,
    };
    play.say(party(1), abort).unwrap();
    assert!(
        play.say(party(1), approve(&change)).is_err(),
        "numbers are used once"
    );
    play.say(party(1), approve(&later)).unwrap();
}

#[test]
fn nobody_certifies_a_change_after_giving_it_up() {
    let mut play = Play::new(4, 1);
    let change = play.approve(&WishKind::Refresh.into(), &[1, 2, 3, 4]);
    while !play
        .scene
        .fold
        .facts()
        .certificates
        .values()
        .any(|c| c.certificate.epoch == 1)
    {
        for number in [1, 2, 3] {
            play.act(party(number));
        }
        if !play
            .scene
            .fold
            .facts()
            .certificates
            .values()
            .any(|c| c.certificate.epoch == 1)
        {
            play.act(party(4));
        }
    }
    let session = change.session(play.scene.fold.founding().digest()).unwrap();
    let body = Body::EpochAborted {
        session,
        reason: "changed my mind".into(),
        evidence: None,
    };
    play.say(party(4), body).unwrap();
    let certificates = &play.scene.fold.facts().certificates;
    let certificate = certificates
        .values()
        .find(|c| c.certificate.epoch == 1)
        .unwrap();
    let body = Body::KeyCertified {
        certificate: certificate.certificate.clone(),
    };
    assert!(matches!(
        play.say(party(4), body),
        Err(Refusal::RuleBroken { .. })
    ));
    play.settle(&[1, 2, 3, 4]);
    assert_eq!(play.scene.fold.epoch(), 0);
    assert!(matches!(play.step(party(1)), Step::Aborted { .. }));
}

#[test]
fn statements_under_a_given_up_key_are_refused_and_fork_nothing() {
    let mut play = Play::new(4, 1);
    let wish = recover(4);
    let mut early = play.scene.fold.clone();
    let change = play.approve(&wish, &[1, 2, 3]);
    let cut = change.cut.unwrap();
    // The thief of the old key goes on in the old feed, before and after others learn of the change.
    let stolen = |fold: &Fold, seq: u64, prev: Digest| {
        let statement = Statement {
            version: 1,
            roster: fold.founding().digest(),
            author: party(4),
            seq,
            prev,
            epoch: 0,
            time_ms: 1 << 40,
            body: Body::BatchRequested {
                batch: crate::statement::Batch {
                    epoch: 0,
                    hospital: party(4),
                    number: 7,
                    polynomials: 1,
                },
            },
        };
        SignedStatement::sign(&statement, &identity(party(4))).unwrap()
    };
    let beyond = stolen(&play.scene.fold, cut.seq + 1, cut.hash);
    let refused = play.scene.fold.admit(beyond.clone());
    assert!(matches!(
        refused,
        Err(Refusal::Statement(StatementError::ReplacedKey { .. }))
    ));
    play.renewed.insert(party(4));
    play.approve(&wish, &[4]);
    play.settle(&[1, 2, 3, 4]);
    assert_eq!(play.scene.fold.epoch(), 1);
    assert!(!play.scene.fold.has_forked(party(4)));
    // Whoever heard the thief first comes to the same state.
    assert!(matches!(early.admit(beyond), Ok(Admitted::Extended(_))));
    let mut offered = play.scene.statements();
    while !offered.is_empty() {
        let before = offered.len();
        offered.retain(|s| {
            early
                .admit(s.clone())
                .is_err_and(|refusal| refusal.may_pass())
        });
        assert!(offered.len() < before);
    }
    assert_eq!(early, play.scene.fold);
    play.assert_same_in_any_order();
}

#[test]
fn a_newcomer_is_unknown_until_enough_old_members_approved_it() {
    let mut play = Play::new(4, 1);
    let wish: Wish = WishKind::Add(newcomer(5)).into();
    let change = play.approve(&wish, &[1, 2]);
    let body = Body::EpochApproved {
        change: Box::new(change),
    };
    assert_eq!(play.scene.fold.speaks_in(party(5)), None);
    assert!(matches!(
        play.say(party(5), body.clone()),
        Err(Refusal::Statement(StatementError::NotOnRoster(_)))
    ));
    play.approve(&wish, &[3]);
    assert_eq!(play.scene.fold.speaks_in(party(5)), Some(1));
    play.say(party(5), body).unwrap();
    let change = play.scene.fold.change_at(1).unwrap().clone();
    assert!(
        !play.scene.fold.is_agreed(&change),
        "party 4 is a new member too"
    );
}

#[test]
fn a_proposer_that_forks_its_feed_does_not_take_the_change_away() {
    let mut play = Play::new(4, 1);
    play.change(&WishKind::Refresh.into(), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let first = play.scene.fold.feed(party(1))[1].statement().clone();
    let fork = Statement {
        time_ms: first.time_ms + 1,
        ..first
    };
    let fork = SignedStatement::sign(&fork, &identity(party(1))).unwrap();
    assert!(play.scene.fold.admit(fork).is_err());
    assert_eq!(play.scene.fold.epoch(), 1);
    assert!(play.scene.fold.certificate().is_some());
}

#[test]
fn a_study_half_opened_before_a_change_is_released_again_after_it() {
    let mut play = Play::new(4, 1);
    let scene = &mut play.scene;
    let id = scene.propose(3);
    for number in 1..=3 {
        scene.approve(id, number);
    }
    scene.evaluate(id);
    scene.derive(id, &[1, 2, 3, 4]);
    assert_eq!(scene.release(id, 1, piece_values), 1);
    let list = scene.list();
    let (certificate, blocks) = (scene.certificate().digest().unwrap(), 5);
    play.change(&WishKind::Refresh.into(), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    // In the new epoch the values are others; with those of the old one they would not agree.
    let other = |piece: PieceId, first: u32, count: u32| -> Vec<u128> {
        piece_values(piece, first, count)
            .iter()
            .map(|v| v + 1)
            .collect()
    };
    for number in 1..=3 {
        assert_eq!(play.scene.release(id, number, other), 1);
    }
    let study = Study::find(&play.scene.fold, &id).unwrap();
    let opening = study.opening(&list).unwrap();
    assert_eq!((opening.study.epoch, opening.tally.complete), (1, true));
    assert!(
        opening.tally.evidence.is_empty(),
        "{:?}",
        opening.tally.evidence
    );
    assert_eq!(
        crate::study::opened_blocks(&play.scene.fold, &certificate, None),
        2 * blocks,
        "each epoch's openings count"
    );
}

#[test]
fn a_study_opened_before_a_change_is_not_opened_again() {
    let mut play = Play::new(4, 1);
    let scene = &mut play.scene;
    let id = scene.propose(3);
    for number in 1..=3 {
        scene.approve(id, number);
    }
    scene.evaluate(id);
    scene.derive(id, &[1, 2, 3, 4]);
    for number in 1..=3 {
        assert_eq!(scene.release(id, number, piece_values), 1);
    }
    play.change(&WishKind::Refresh.into(), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    for number in 1..=4 {
        assert_eq!(
            play.scene.release(id, number, piece_values),
            0,
            "party {number}"
        );
    }
    play.scene.publish(id, 1);
    play.scene.publish(id, 2);
    let study = Study::find(&play.scene.fold, &id).unwrap();
    assert!(study.result().is_some());
}

#[test]
fn an_auditor_finds_every_epoch_in_order_and_names_what_is_missing() {
    let mut play = Play::new(4, 1);
    let scene = &mut play.scene;
    let id = scene.propose(3);
    play.change(
        &WishKind::Add(newcomer(5)).into(),
        &[1, 2, 3, 4, 5],
        &[1, 2, 3, 4, 5],
    );
    let transcript = play.scene.transcript(id);
    let report = crate::verify::verify_with(&transcript, &crate::scene::MadeUp);
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    // The made-up ceremony of the scene has all that a ceremony's checks want.
    assert!(failed.is_empty(), "{failed:?}");
    for what in ["approvals", "offers", "seeds", "self-test", "certificate"] {
        let name = format!("epoch 1: {what}");
        assert!(report.checks.iter().any(|c| c.name == name), "{name}");
    }
    // Without an approval, the newcomer's statements are of nobody's epoch.
    let mut without = transcript.clone();
    let mut dropped = 0;
    without.statements.retain(|signed| {
        let statement: Statement = crate::codec::decode(signed.bytes.as_slice(), 1 << 16).unwrap();
        let approval = matches!(statement.body, Body::EpochApproved { .. });
        let gone = statement.author == party(1) && (approval || dropped > 0);
        dropped += usize::from(gone);
        !gone
    });
    without.heads.retain(|head| head.party != party(1));
    let report = crate::verify::verify_with(&without, &crate::scene::MadeUp);
    assert!(!report.passed());
}

#[test]
fn evidence_of_two_contradicting_holders_names_both_where_nobody_decides() {
    let mut play = Play::new(4, 1);
    let wish = recover(4);
    play.approve(&wish, &[1, 2, 3]);
    play.renewed.insert(party(4));
    play.approve(&wish, &[4]);
    play.liar = Some(party(3));
    play.settle(&[1, 2, 3, 4]);
    assert_eq!(play.scene.fold.epoch(), 0);
    let pair = play.scene.fold.statements().find_map(|s| match s.body() {
        Body::EpochAborted { evidence, .. } => evidence.clone(),
        _ => None,
    });
    let Some(Evidence::Pair { parties, .. }) = pair else {
        panic!("no pair: {pair:?}")
    };
    assert!(parties.contains(&party(3)));
}
