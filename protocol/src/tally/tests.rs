use super::*;
use crate::scene::{BLOCKS, Scene, blob, party, piece_values, squashed_bytes};
use crate::shard;
use crate::statement::{Body, GroupDigest};

fn approved(n: u8, t: u8, quorum: u8) -> (Scene, Digest) {
    let mut scene = Scene::with_twins(n, t, 2);
    let id = scene.propose(quorum);
    for number in 1..=quorum {
        scene.approve(id, number);
    }
    (scene, id)
}

fn accused(evidence: &[Evidence]) -> Vec<PartyId> {
    evidence.iter().flat_map(Evidence::accused).collect()
}

#[test]
fn a_shard_counts_with_t_plus_1_equal_digests_and_the_minority_is_named() {
    let (mut scene, id) = approved(4, 1, 3);
    let first = shard::shards(&id, &scene.list()).remove(0);
    let say = |scene: &mut Scene, number: u8, inputs: Digest, output: &str| {
        let body = Body::ShardEvaluated {
            manifest: id,
            shard: first.index,
            inputs,
            output: blob(output),
        };
        scene.say(party(number), body).unwrap();
    };
    let tally = |scene: &Scene| {
        shard(
            scene.fold.roster(),
            scene.fold.facts().study(&id).unwrap(),
            &first,
        )
    };
    say(&mut scene, 1, first.inputs, "right");
    say(&mut scene, 2, first.inputs, "wrong");
    say(&mut scene, 3, blob("other inputs"), "right");
    assert_eq!(tally(&scene).confirmed, None);
    assert_eq!((tally(&scene).claims, tally(&scene).equal), (3, 1));
    say(&mut scene, 4, first.inputs, "right");
    assert_eq!(tally(&scene).confirmed, Some(blob("right")));
    assert_eq!(tally(&scene).agreeing, [party(1), party(4)]);
    let mut named = accused(&tally(&scene).minority);
    named.sort();
    assert_eq!(named, [party(2), party(3)]);
}

#[test]
fn two_equal_claims_about_wrong_inputs_confirm_nothing() {
    let (mut scene, id) = approved(4, 1, 3);
    let first = shard::shards(&id, &scene.list()).remove(0);
    for number in [1, 2] {
        let body = Body::ShardEvaluated {
            manifest: id,
            shard: 0,
            inputs: blob("other"),
            output: blob("o"),
        };
        scene.say(party(number), body).unwrap();
    }
    let tally = shard(
        scene.fold.roster(),
        scene.fold.facts().study(&id).unwrap(),
        &first,
    );
    assert_eq!((tally.confirmed, tally.equal), (None, 0));
}

#[test]
fn an_aggregate_with_other_blocks_than_the_program_opens_is_not_agreed() {
    let (mut scene, id) = approved(4, 1, 3);
    for number in [1, 2] {
        let body = Body::AggregateDerived {
            manifest: id,
            aggregate: blob("a"),
            squashed: blob("s"),
            blocks: BLOCKS + 1,
        };
        scene.say(party(number), body).unwrap();
    }
    assert_eq!(Study::find(&scene.fold, &id).unwrap().aggregate(), None);
}

fn opening(n: u8, t: u8) -> (Scene, Digest) {
    let quorum = 2 * t + 1;
    let (mut scene, id) = approved(n, t, quorum);
    scene.evaluate(id);
    let all: Vec<u8> = (1..=n).collect();
    scene.derive(id, &all);
    (scene, id)
}

fn pieces_of(scene: &Scene, id: Digest) -> PieceTally {
    Study::find(&scene.fold, &id)
        .unwrap()
        .pieces(&scene.list())
        .unwrap()
}

#[test]
fn a_piece_counts_with_t_plus_1_equal_values_and_a_wrong_share_names_its_party() {
    let (mut scene, id) = opening(4, 1);
    let wrong = |piece, first, count| {
        piece_values(piece, first, count)
            .iter()
            .map(|v| v ^ 1)
            .collect()
    };
    scene.release(id, 2, wrong);
    scene.release(id, 1, piece_values);
    assert!(!pieces_of(&scene, id).complete);
    scene.release(id, 3, piece_values);
    scene.release(id, 4, piece_values);
    let tally = pieces_of(&scene, id);
    assert!(tally.complete);
    for (piece, values) in &tally.accepted {
        assert_eq!(*values, piece_values(*piece, 0, BLOCKS));
    }
    assert!(!tally.evidence.is_empty());
    assert!(accused(&tally.evidence).iter().all(|p| *p == party(2)));
}

#[test]
fn where_no_majority_is_guaranteed_all_holders_must_agree_and_a_pair_is_named() {
    let (mut scene, id) = opening(3, 1);
    scene.release(id, 1, piece_values);
    scene.release(id, 2, piece_values);
    assert_eq!(pieces_of(&scene, id).accepted.len(), 1);
    let mut honest = Scene {
        fold: scene.fold.clone(),
        ..scene.clone()
    };
    honest.release(id, 3, piece_values);
    assert!(pieces_of(&honest, id).complete);
    scene.release(id, 3, |piece, first, count| {
        piece_values(piece, first, count)
            .iter()
            .map(|v| v + 1)
            .collect()
    });
    let tally = pieces_of(&scene, id);
    assert!(!tally.complete);
    assert!(
        tally
            .evidence
            .iter()
            .all(|e| matches!(e, Evidence::Pair { parties, .. } if parties.contains(&party(3))))
    );
    assert_eq!(tally.evidence.len(), 2);
}

#[test]
fn an_input_batch_counts_with_t_plus_1_equal_vectors_and_names_the_liar() {
    let mut scene = Scene::new(4, 1);
    scene.ceremony();
    let mine = scene.batch(party(1));
    scene
        .say(party(1), Body::BatchRequested { batch: mine })
        .unwrap();
    let roster = scene.fold.roster().clone();
    for number in 1..=4 {
        let mut vectors = crate::scene::vectors(&roster, party(number));
        if number == 3 {
            vectors = vectors
                .iter()
                .map(|v| GroupDigest {
                    digest: blob("lie"),
                    ..*v
                })
                .collect();
        }
        scene
            .say(
                party(number),
                Body::BatchPrepared {
                    batch: mine,
                    vectors,
                },
            )
            .unwrap();
    }
    let tally = batch(&scene.fold, &mine);
    assert!(tally.complete);
    assert!(!tally.evidence.is_empty());
    assert!(accused(&tally.evidence).iter().all(|p| *p == party(3)));
}

/// A partial decryption by party 4 with one thing changed, in an opening where all is right.
#[test]
fn a_partial_decryption_that_breaks_a_rule_of_the_study_counts_for_nothing() {
    type Change = fn(&Scene, &mut Vec<Digest>, &mut Vec<FeedHead>);
    let changes: Vec<(&str, Change, PartialFault)> = vec![
        (
            "approvals made up",
            |_, a, _| a[0] = blob("made up"),
            PartialFault::NoQuorum,
        ),
        (
            "one approval too few",
            |_, a, _| {
                a.pop();
            },
            PartialFault::NoQuorum,
        ),
        (
            "approvals it had not seen",
            |s, _, f| f[1] = s.fold.feed(party(2))[3].head(),
            PartialFault::NoQuorum,
        ),
        (
            "derivations it had not seen",
            |_, _, f| f.truncate(0),
            PartialFault::NotAgreed,
        ),
        (
            "feed heads made up",
            |_, _, f| f[0].hash = blob("made up"),
            PartialFault::UnknownStatements,
        ),
    ];
    for (name, change, fault) in changes {
        let (mut scene, id) = opening(4, 1);
        let study = Study::find(&scene.fold, &id).unwrap();
        let mut approvals: Vec<Digest> = study.approvals().values().map(|a| a.hash).collect();
        let mut feeds = scene.fold.heads();
        change(&scene, &mut approvals, &mut feeds);
        if feeds.is_empty() {
            feeds = vec![scene.fold.feed(party(1))[0].head()];
        }
        approvals.sort();
        let committee = scene.fold.roster().committee().clone();
        let pieces = committee.pieces_of(party(4));
        let body = Body::PartialDecryption {
            manifest: id,
            squashed: crate::digest::of_blob(&squashed_bytes()),
            first_block: 0,
            approvals,
            feeds,
            pieces: pieces
                .map(|p| crate::statement::PieceValues::pack(p, &piece_values(p, 0, BLOCKS)))
                .collect(),
        };
        let hash = scene.say(party(4), body).unwrap();
        let tally = pieces_of(&scene, id);
        assert_eq!(tally.invalid, [(party(4), fault)], "{name}");
        // A head that is not in the feeds may be the other half of a fork.
        let provable = fault != PartialFault::UnknownStatements;
        let evidence = provable.then_some(Evidence::StudyRule {
            party: party(4),
            statement: hash,
        });
        assert_eq!(tally.evidence, Vec::from_iter(evidence), "{name}");
    }
}

#[test]
fn who_decrypts_knowing_of_a_withdrawal_or_a_rejection_is_named() {
    for rejected in [false, true] {
        let (mut scene, id) = opening(4, 1);
        let approvals = {
            let mut hashes: Vec<Digest> = Study::find(&scene.fold, &id)
                .unwrap()
                .approvals()
                .values()
                .map(|a| a.hash)
                .collect();
            hashes.sort();
            hashes
        };
        if rejected {
            scene.reject(id, 2);
            scene.reject(id, 3);
        } else {
            scene
                .say(
                    party(2),
                    Body::TwinWithdrawn {
                        id: scene.entry(party(2), 0).id,
                    },
                )
                .unwrap();
        }
        let committee = scene.fold.roster().committee().clone();
        let pieces = committee.pieces_of(party(4));
        let body = Body::PartialDecryption {
            manifest: id,
            squashed: crate::digest::of_blob(&squashed_bytes()),
            first_block: 0,
            approvals,
            feeds: scene.fold.heads(),
            pieces: pieces
                .map(|p| crate::statement::PieceValues::pack(p, &piece_values(p, 0, BLOCKS)))
                .collect(),
        };
        scene.say(party(4), body).unwrap();
        let fault = if rejected {
            PartialFault::Rejected
        } else {
            PartialFault::Withdrawn
        };
        assert_eq!(pieces_of(&scene, id).invalid, [(party(4), fault)]);
    }
}

#[test]
fn a_partial_decryption_that_arrives_before_what_it_cites_waits_and_accuses_nobody() {
    let (mut scene, id) = opening(4, 1);
    let before = scene.fold.clone();
    scene.reject(id, 4);
    scene.release(id, 1, piece_values);
    let mut late = before;
    let statements: Vec<_> = scene
        .fold
        .feed(party(1))
        .iter()
        .map(|s| s.signed().clone())
        .collect();
    for signed in statements {
        late.admit(signed).unwrap();
    }
    let late = Scene {
        fold: late,
        ..scene.clone()
    };
    let tally = pieces_of(&late, id);
    assert_eq!(
        (tally.invalid, tally.evidence, tally.accepted.len()),
        (vec![], vec![], 0)
    );
}

#[test]
fn a_fork_after_the_fact_neither_kills_the_key_nor_accuses_those_who_relied_on_it() {
    let (mut scene, id) = opening(4, 1);
    for number in [1, 2, 4] {
        scene.release(id, number, piece_values);
    }
    // Party 3's approval is one of the three; it forks its feed below its certificate.
    let fork = crate::statement::Statement {
        body: Body::CeremonyJoined {
            attempt: 9,
            nonce: blob("fork"),
        },
        ..scene.fold.feed(party(3))[1].statement().clone()
    };
    let signed =
        crate::statement::SignedStatement::sign(&fork, &crate::scene::identity(party(3))).unwrap();
    assert!(scene.fold.admit(signed).is_err());
    assert!(crate::study::is_certified(
        &scene.fold,
        &scene.certificate().digest().unwrap()
    ));
    let study = Study::find(&scene.fold, &id).unwrap();
    assert_eq!(study.approvals().len(), 2);
    let list = TwinList::sorted(scene.list().twins().to_vec()).unwrap();
    let tally = study.pieces(&list).unwrap();
    assert_eq!(
        (tally.invalid.clone(), tally.evidence.clone()),
        (vec![], vec![])
    );
    assert!(tally.complete);
}
