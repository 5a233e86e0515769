use organtwin_threshold::{PieceId, SessionId};

use super::*;
use crate::fold::Refusal;
use crate::scene::{Scene, blob, party};
use crate::statement::{PieceCommitment, PieceShare, StageName};

const SESSION: SessionId = SessionId::new([9; 32]);

fn pieces(scene: &Scene) -> Vec<PieceId> {
    let committee = scene.fold.founding().committee();
    committee.pieces_of(party(1)).collect()
}

fn committed(scene: &Scene) -> Body {
    let commitment = |piece: PieceId| PieceCommitment {
        piece,
        commitment: blob(&piece.to_string()),
    };
    Body::SeedCommitted {
        session: SESSION,
        commitments: pieces(scene).into_iter().map(commitment).collect(),
        mask: blob("mask"),
    }
}

fn published(pieces: &[PieceId]) -> Body {
    let share = |piece: &PieceId| PieceShare {
        piece: *piece,
        share: blob("share"),
    };
    Body::SeedsPublished {
        session: SESSION,
        shares: pieces.iter().map(share).collect(),
        mask: blob("mask"),
    }
}

fn given_up() -> Body {
    Body::CeremonyAborted {
        session: SESSION,
        reason: "a dispute".into(),
        evidence: None,
    }
}

fn certified(scene: &Scene) -> Body {
    let certificate = crate::certificate::Certificate {
        session: SESSION,
        ..scene.certificate()
    };
    Body::KeyCertified { certificate }
}

/// Says these as party 1; the last one's fate.
fn last(bodies: impl Fn(&Scene) -> Vec<Body>) -> Result<(), RuleBroken> {
    let mut scene = Scene::new(4, 1);
    let mut bodies = bodies(&scene);
    let last = bodies.pop().unwrap();
    for body in bodies {
        scene.say(party(1), body).unwrap();
    }
    match scene.say(party(1), last) {
        Ok(_) => Ok(()),
        Err(Refusal::RuleBroken { rule, .. }) => Err(rule),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn seed_shares_are_published_of_a_session_that_their_author_gave_up() {
    let all = |scene: &Scene| vec![committed(scene), given_up(), published(&pieces(scene))];
    assert_eq!(last(all), Ok(()));
}

#[test]
fn seed_shares_are_not_published_early_twice_in_part_or_of_nothing() {
    let cases: [(&str, fn(&Scene) -> Vec<Body>); 6] = [
        ("without a session", |s| vec![published(&pieces(s))]),
        ("without commitments", |s| {
            vec![given_up(), published(&pieces(s))]
        }),
        ("before it is given up", |s| {
            vec![committed(s), published(&pieces(s))]
        }),
        ("twice", |s| {
            let own = published(&pieces(s));
            vec![committed(s), given_up(), own.clone(), own]
        }),
        ("in part", |s| {
            vec![committed(s), given_up(), published(&pieces(s)[1..])]
        }),
        ("none", |s| vec![committed(s), given_up(), published(&[])]),
    ];
    for (name, bodies) in cases {
        assert!(last(bodies).is_err(), "{name}");
    }
}

#[test]
fn nobody_publishes_the_seeds_of_a_key_that_it_certified_nor_certifies_after_publishing() {
    let after = |s: &Scene| {
        vec![
            committed(s),
            certified(s),
            given_up(),
            published(&pieces(s)),
        ]
    };
    assert!(matches!(last(after), Err(RuleBroken::Published(_))));
    let before = |s: &Scene| {
        vec![
            committed(s),
            given_up(),
            published(&pieces(s)),
            certified(s),
        ]
    };
    assert_eq!(last(before), Err(RuleBroken::Burnt));
}

#[test]
fn every_step_of_a_session_is_said_once() {
    let stage = StageName::Bits;
    let steps: [fn(&Scene) -> Body; 5] = [
        committed,
        |_| Body::SeedsHeld {
            session: SESSION,
            mask_reveal: blob("m"),
            echo: blob("e"),
        },
        |_| Body::StageCommitted {
            session: SESSION,
            stage: StageName::Bits,
            roots: Vec::new(),
        },
        |_| Body::StageOpened {
            session: SESSION,
            stage: StageName::Bits,
            digest: blob("d"),
        },
        |_| given_up(),
    ];
    for step in steps {
        let again = last(|scene| vec![step(scene), step(scene)]);
        assert!(matches!(again, Err(RuleBroken::Already(_))), "{again:?}");
    }
    // Another stage is another step.
    let other = |_: &Scene| {
        [stage, StageName::Rows]
            .map(|stage| Body::StageOpened {
                session: SESSION,
                stage,
                digest: blob("d"),
            })
            .to_vec()
    };
    assert_eq!(last(other), Ok(()));
    let joined = |attempt| Body::CeremonyJoined {
        attempt,
        nonce: blob("n"),
    };
    assert_eq!(last(|_| vec![joined(1), joined(3)]), Ok(()));
    assert!(last(|_| vec![joined(3), joined(3)]).is_err());
    assert!(last(|_| vec![joined(3), joined(2)]).is_err());
}
