use proptest::prelude::*;

use super::*;
use crate::scene::{BLOCKS, EXPIRES, Scene, blob, party, piece_values, squashed_bytes};
use crate::statement::Body;

fn has(duties: &[Duty], matching: fn(&Duty) -> bool) -> bool {
    duties.iter().any(matching)
}

fn releases(duties: &[Duty]) -> bool {
    has(duties, |d| matches!(d, Duty::Release { .. }))
}

fn approved() -> (Scene, Digest) {
    let mut scene = Scene::with_twins(4, 1, 2);
    let id = scene.propose(3);
    for number in 1..=3 {
        scene.approve(id, number);
    }
    (scene, id)
}

fn opening() -> (Scene, Digest) {
    let (mut scene, id) = approved();
    scene.evaluate(id);
    scene.derive(id, &[1, 2, 3, 4]);
    (scene, id)
}

#[test]
fn batches_and_twins_are_prepared_fetched_and_acknowledged_and_then_left_alone() {
    let mut scene = Scene::new(4, 1);
    scene.ceremony();
    let batch = scene.batch(party(1));
    scene.say(party(1), Body::BatchRequested { batch }).unwrap();
    let empty = LocalView::default();
    let ask = |scene: &Scene, number, view: &LocalView| {
        duties(&scene.fold, party(number), scene.now, view)
    };
    assert_eq!(
        ask(&scene, 2, &empty),
        [Duty::PrepareBatch(batch), Duty::SendSubseed(batch)]
    );
    assert_eq!(ask(&scene, 1, &empty), [Duty::PrepareBatch(batch)]);
    let running = LocalView {
        running: [Duty::PrepareBatch(batch)].into(),
        ..LocalView::default()
    };
    assert_eq!(ask(&scene, 1, &running), []);
    let roster = scene.fold.roster().clone();
    scene.all_say(|p| Body::BatchPrepared {
        batch,
        vectors: crate::scene::vectors(&roster, p),
    });
    assert!(ask(&scene, 1, &empty).iter().all(|d| matches!(
        d,
        Duty::FetchBlob {
            kind: BlobKind::BatchVector,
            ..
        }
    )));
    let mut view = LocalView {
        subseeds_sent: [batch].into(),
        ..LocalView::default()
    };
    view.blobs
        .extend((0..64).map(|group| crate::scene::vector(group).digest));
    assert!(matches!(
        ask(&scene, 2, &view)[..],
        [Duty::CombineBatch { .. }]
    ));
    view.batches.insert(batch);
    assert_eq!(ask(&scene, 2, &view), []);

    let entry = scene.entry(party(1), 0);
    let deposit = Body::TwinsDeposited {
        schema: scene.schema(),
        organ: "kidney".into(),
        batch,
        twins: vec![entry.clone()],
    };
    scene.say(party(1), deposit).unwrap();
    let fetch = Duty::FetchBlob {
        digest: entry.digest,
        kind: BlobKind::Twin,
        holders: vec![party(1)],
    };
    assert_eq!(ask(&scene, 2, &view), [fetch]);
    view.fetching.insert(entry.digest);
    assert_eq!(ask(&scene, 2, &view), []);
    view.blobs.insert(entry.digest);
    let check =
        |duty: &Duty| matches!(duty, Duty::CheckTwins { twins, .. } if *twins == [entry.id]);
    let asked = ask(&scene, 2, &view);
    assert_eq!(asked[0], Duty::AcknowledgeTwins(vec![entry.digest]));
    assert!(asked.len() == 2 && check(&asked[1]), "{asked:?}");
    scene
        .say(
            party(2),
            Body::TwinsReceived {
                twins: vec![entry.digest],
            },
        )
        .unwrap();
    let asked = ask(&scene, 2, &view);
    assert!(asked.len() == 1 && check(&asked[0]), "{asked:?}");
    let deposit = scene.fold.facts().deposits[&(party(1), entry.id)].statement;
    scene.all_check(deposit, &[entry.id], party(1));
    assert_eq!(ask(&scene, 2, &view), []);
}

#[test]
fn nothing_is_evaluated_before_the_quorum_stands() {
    let mut scene = Scene::with_twins(4, 1, 2);
    let id = scene.propose(3);
    scene.approve(id, 1);
    scene.approve(id, 2);
    assert!((1..=4).all(|number| scene.duties(id, number).is_empty()));
    scene.approve(id, 3);
    let evaluations = (1..=4).flat_map(|number| scene.duties(id, number));
    let evaluations = evaluations
        .filter(|d| matches!(d, Duty::EvaluateShard { .. }))
        .count();
    assert_eq!(evaluations, 2 * shard::shards(&id, &scene.list()).len());
}

#[test]
fn the_next_rank_takes_a_shard_over_after_a_wait_or_at_once_on_a_mismatch() {
    let (mut scene, id) = approved();
    let first = shard::shards(&id, &scene.list()).remove(0);
    let ranking = shard::ranking(scene.fold.roster(), &id, 0);
    let evaluate = Duty::EvaluateShard {
        manifest: id,
        shard: 0,
    };
    let asked = |scene: &Scene, later: u64| -> Vec<bool> {
        let ask = |p: &PartyId| {
            duties(&scene.fold, *p, scene.now + later, &scene.view(id)).contains(&evaluate)
        };
        ranking.iter().map(ask).collect()
    };
    assert_eq!(asked(&scene, 0), [true, true, false, false]);
    assert_eq!(asked(&scene, 1000), [true, true, true, false]);
    assert_eq!(asked(&scene, 2000), [true, true, true, true]);
    let say = |scene: &mut Scene, rank: usize, output| {
        let body = Body::ShardEvaluated {
            manifest: id,
            shard: 0,
            inputs: first.inputs,
            output: blob(output),
        };
        scene.say(ranking[rank], body).unwrap();
    };
    say(&mut scene, 0, "output 0");
    assert_eq!(asked(&scene, 0), [false, true, false, false]);
    say(&mut scene, 1, "lie");
    assert_eq!(asked(&scene, 0), [false, false, true, false]);
    say(&mut scene, 2, "output 0");
    assert_eq!(asked(&scene, 9000), [false; 4]);
    let accusations = duties(&scene.fold, ranking[3], scene.now, &scene.view(id));
    let names =
        |d: &Duty| matches!(d, Duty::Accuse(evidence) if evidence.accused() == [ranking[1]]);
    assert!(accusations.iter().any(names));
    let own = duties(&scene.fold, ranking[1], scene.now, &scene.view(id));
    assert!(!has(&own, |d| matches!(d, Duty::Accuse(_))));
}

#[test]
fn an_accusation_is_made_once() {
    let (mut scene, id) = opening();
    scene.release(id, 2, |piece, first, count| {
        piece_values(piece, first, count)
            .iter()
            .map(|v| v ^ 1)
            .collect()
    });
    scene.release(id, 1, piece_values);
    scene.release(id, 3, piece_values);
    while let Some(Duty::Accuse(evidence)) = scene
        .duties(id, 4)
        .into_iter()
        .find(|d| matches!(d, Duty::Accuse(_)))
    {
        scene.say(party(4), Body::Accusation { evidence }).unwrap();
    }
    let accusations = scene
        .fold
        .facts()
        .accusations
        .iter()
        .filter(|(author, _)| *author == party(4));
    assert_eq!(accusations.count(), 1);
    scene.release(id, 4, piece_values);
    assert!(!has(&scene.duties(id, 4), |d| matches!(d, Duty::Accuse(_))));
}

#[test]
fn shards_are_combined_once_all_are_confirmed_and_held() {
    let (mut scene, id) = approved();
    assert!(!has(&scene.duties(id, 1), |d| matches!(
        d,
        Duty::Combine { .. }
    )));
    scene.evaluate(id);
    let count = shard::shards(&id, &scene.list()).len();
    assert!(
        matches!(&scene.duties(id, 4)[..], [Duty::Combine { shards, .. }] if shards.len() == count)
    );
    let mut view = scene.view(id);
    view.blobs.remove(&blob("output 0"));
    let fetched = duties(&scene.fold, party(4), scene.now, &view);
    assert!(
        matches!(&fetched[..], [Duty::FetchBlob { kind: BlobKind::Shard, holders, .. }] if holders.len() == 2)
    );
    scene.derive(id, &[4]);
    assert_eq!(scene.duties(id, 4), []);
}

/// In an opening where everything is right, one thing after the other is wrong: nobody releases.
#[test]
fn nobody_releases_when_a_single_condition_fails() {
    let (scene, id) = opening();
    assert!((1..=4).all(|number| releases(&scene.duties(id, number))));

    let with = |change: &dyn Fn(&mut Scene)| {
        let mut changed = Scene {
            fold: scene.fold.clone(),
            ..scene.clone()
        };
        change(&mut changed);
        changed
    };
    let closed = with(&|s| {
        drop(s.say(
            party(1),
            Body::StudyClosed {
                manifest: id,
                reason: "x".into(),
            },
        ));
    });
    let withdrawn = with(&|s| {
        drop(s.say(
            party(3),
            Body::TwinWithdrawn {
                id: s.entry(party(3), 1).id,
            },
        ));
    });
    let expired = with(&|s| s.now = EXPIRES);
    let rejected = with(&|s| (3..=4).for_each(|n| s.reject(id, n)));
    let short = with(&|s| s.reject(id, 2));
    for (name, scene) in [
        ("closed", closed),
        ("withdrawn", withdrawn),
        ("expired", expired),
        ("rejected", rejected),
        ("one approval short", short),
    ] {
        assert!(
            !(1..=4).any(|number| releases(&scene.duties(id, number))),
            "{name}"
        );
    }
    let one_rejects = with(&|s| s.reject(id, 4));
    let who: Vec<u8> = (1..=4)
        .filter(|number| releases(&one_rejects.duties(id, *number)))
        .collect();
    assert_eq!(who, [1, 2, 3], "all but the rejecter release");

    let views: [(&str, fn(&mut LocalView, Digest)); 4] = [
        ("squashed bytes not derived here", |v, _| v.squashed.clear()),
        ("other squashed bytes held", |v, id| {
            v.squashed.insert(id, blob("crafted"));
        }),
        ("no budget", |v, _| v.opening_limit = u64::from(BLOCKS) - 1),
        ("no twin list", |v, _| v.twin_lists.clear()),
    ];
    for (name, change) in views {
        let mut view = scene.view(id);
        change(&mut view, id);
        assert!(
            !releases(&duties(&scene.fold, party(1), scene.now, &view)),
            "{name}"
        );
    }
}

#[test]
fn an_aggregate_that_only_cheaters_derived_is_never_released() {
    let (mut scene, id) = approved();
    scene.evaluate(id);
    let crafted = Body::AggregateDerived {
        manifest: id,
        aggregate: blob("crafted"),
        squashed: blob("crafted"),
        blocks: BLOCKS,
    };
    scene.say(party(4), crafted).unwrap();
    scene.derive(id, &[1]);
    assert!(
        !releases(&scene.duties(id, 1)),
        "one party's derivation is not enough"
    );
    let mut view = scene.view(id);
    view.squashed.insert(id, blob("crafted"));
    assert!(!releases(&duties(&scene.fold, party(1), scene.now, &view)));
    scene.derive(id, &[2]);
    assert!(releases(&scene.duties(id, 1)));
    assert!(
        !releases(&scene.duties(id, 4)),
        "who derived something else has nothing to release"
    );
    assert!(!releases(&duties(&scene.fold, party(1), scene.now, &view)));
}

#[test]
fn a_release_continues_where_it_stopped_and_its_body_is_checked_again() {
    let (mut scene, id) = opening();
    let duty = scene
        .duties(id, 1)
        .into_iter()
        .find(|d| matches!(d, Duty::Release { .. }))
        .unwrap();
    let pieces = scene.fold.roster().committee().pieces_of(party(1));
    let values: Vec<_> = pieces
        .into_iter()
        .map(|p| (p, piece_values(p, 1, 2)))
        .collect();
    let part = Duty::Release {
        manifest: id,
        squashed: crate::digest::of_blob(&squashed_bytes()),
        first_block: 1,
        blocks: 2,
    };
    let view = scene.view(id);
    assert_eq!(
        release_body(&scene.fold, party(1), scene.now, &view, &duty, &values),
        None,
        "too few values"
    );
    assert_eq!(
        release_body(&scene.fold, party(1), EXPIRES, &view, &part, &values),
        None,
        "expired meanwhile"
    );
    let mut short = Scene {
        fold: scene.fold.clone(),
        ..scene.clone()
    };
    short.reject(id, 2);
    assert_eq!(
        release_body(&short.fold, party(1), short.now, &view, &part, &values),
        None,
        "an approval fell away meanwhile"
    );
    let body = release_body(&scene.fold, party(1), scene.now, &view, &part, &values).unwrap();
    scene.say(party(1), body).unwrap();
    let rest: Vec<(u32, u32)> = scene
        .duties(id, 1)
        .iter()
        .filter_map(|d| {
            if let Duty::Release {
                first_block,
                blocks,
                ..
            } = d
            {
                Some((*first_block, *blocks))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(rest, [(0, 1), (3, 2)]);
    scene.release(id, 1, piece_values);
    assert!(!releases(&scene.duties(id, 1)));
}

#[test]
fn a_result_is_recombined_by_everyone_who_derived_it_and_then_nothing_is_left_to_do() {
    let (mut scene, id) = opening();
    for number in 1..=3 {
        scene.release(id, number, piece_values);
    }
    for number in 1..=4 {
        assert!(has(&scene.duties(id, number), |d| matches!(
            d,
            Duty::Recombine { .. }
        )));
        scene.publish(id, number);
        scene.release(id, number, piece_values);
        assert_eq!(scene.duties(id, number), []);
    }
}

#[test]
fn the_largest_partial_decryption_fits_into_one_statement() {
    for (n, t) in [(3, 1), (4, 1), (7, 2), (9, 2), (10, 3)] {
        let scene = Scene::new(n, t);
        let committee = scene.fold.roster().committee();
        let pieces: Vec<PieceId> = committee.pieces_of(party(1)).collect();
        let blocks = blocks_per_statement(pieces.len());
        let body = Body::PartialDecryption {
            manifest: blob("m"),
            squashed: blob("s"),
            first_block: u32::MAX,
            approvals: vec![blob("a"); usize::from(n)],
            feeds: vec![
                crate::feed::FeedHead {
                    party: party(n),
                    seq: u64::MAX,
                    hash: blob("h")
                };
                usize::from(n)
            ],
            pieces: pieces
                .iter()
                .map(|p| PieceValues::pack(*p, &vec![u128::MAX; blocks as usize]))
                .collect(),
        };
        let statement = crate::statement::Statement {
            version: u16::MAX,
            roster: blob("r"),
            author: party(n),
            seq: u64::MAX,
            prev: blob("p"),
            epoch: u32::MAX,
            time_ms: u64::MAX,
            body,
        };
        let length = crate::codec::encode(&statement).unwrap().len();
        assert!(
            length <= MAX_STATEMENT_BYTES,
            "n = {n}: {length} bytes for {blocks} blocks"
        );
        assert!(blocks > 1);
    }
}

/// What may happen in a study, in any order.
#[derive(Debug, Clone)]
enum Event {
    Approve(u8),
    Reject(u8),
    Withdraw(u8),
    Close,
    Derive(u8),
    DeriveCrafted(u8),
    Evaluate,
    Release(u8),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 1..=4u8;
    prop_oneof![
        8 => who.clone().prop_map(Event::Approve),
        1 => who.clone().prop_map(Event::Reject),
        1 => who.clone().prop_map(Event::Withdraw),
        1 => Just(Event::Close),
        8 => who.clone().prop_map(Event::Derive),
        2 => who.clone().prop_map(Event::DeriveCrafted),
        2 => Just(Event::Evaluate),
        3 => who.prop_map(Event::Release),
        1 => prop_oneof![Just(10), Just(EXPIRES)].prop_map(Event::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is said in whatever order: who has a release to do has Q valid approvals for that very
    /// aggregate, counted here from the bare statements.
    #[test]
    fn no_history_makes_anyone_release_without_the_quorum(events in prop::collection::vec(event(), 1..40), crafted in any::<bool>()) {
        let mut scene = Scene::with_twins(4, 1, 1);
        let id = scene.propose(3);
        for event in events {
            match event {
                Event::Approve(n) => drop(scene.say(party(n), Body::StudyApproved { manifest: id })),
                Event::Reject(n) => drop(scene.say(party(n), Body::StudyRejected { manifest: id, reason: String::new() })),
                Event::Withdraw(n) => drop(scene.say(party(n), Body::TwinWithdrawn { id: scene.entry(party(n), 0).id })),
                Event::Close => drop(scene.say(party(1), Body::StudyClosed { manifest: id, reason: String::new() })),
                Event::Derive(n) => drop(scene.say(party(n), Body::AggregateDerived {
                    manifest: id, aggregate: blob("aggregate"), squashed: crate::digest::of_blob(&squashed_bytes()), blocks: BLOCKS })),
                Event::DeriveCrafted(n) => drop(scene.say(party(n), Body::AggregateDerived {
                    manifest: id, aggregate: blob("crafted"), squashed: blob("crafted"), blocks: BLOCKS })),
                Event::Evaluate => if Study::find(&scene.fold, &id).unwrap().facts.shards.is_empty() { scene.evaluate(id) },
                Event::Release(n) => drop(scene.release(id, n, piece_values)),
                Event::Wait(ms) => scene.now += ms,
            }
            for number in 1..=4 {
                let mut view = scene.view(id);
                if crafted {
                    view.squashed.insert(id, blob("crafted"));
                }
                for duty in duties(&scene.fold, party(number), scene.now, &view) {
                    let Duty::Release { squashed, .. } = duty else { continue };
                    let said: Vec<(PartyId, &Body, u64)> =
                        scene.fold.statements().map(|s| (s.author(), s.body(), s.statement().time_ms)).collect();
                    let rejected = |p: PartyId| said.iter().any(|(a, b, _)| *a == p && matches!(b, Body::StudyRejected { manifest, .. } if *manifest == id));
                    let approvals = said.iter().filter(|(a, b, time)| {
                        matches!(b, Body::StudyApproved { manifest } if *manifest == id) && !rejected(*a) && *time < EXPIRES
                    }).count();
                    let equal = said.iter().filter(|(_, b, _)| matches!(b, Body::AggregateDerived { squashed: s, .. } if *s == squashed)).count();
                    let own = said.iter().any(|(a, b, _)| *a == party(number) && matches!(b, Body::AggregateDerived { squashed: s, .. } if *s == squashed));
                    let voided = said.iter().any(|(_, b, _)| matches!(b, Body::TwinWithdrawn { .. } | Body::StudyClosed { .. }));
                    prop_assert!(approvals >= 3);
                    prop_assert!(equal >= 2 && own);
                    prop_assert!(!rejected(party(number)) && !voided && scene.now < EXPIRES);
                    prop_assert_eq!(squashed, view.squashed[&id]);
                }
            }
        }
    }
}
