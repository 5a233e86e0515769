use super::*;
use crate::scene::{EXPIRES, Scene, blob, party, piece_values};
use crate::statement::Body;

/// What happens to a proposed study, one step after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    Approve(u8),
    Reject(u8),
    Close,
    /// Party 2 withdraws its first twin.
    Withdraw,
    Evaluate,
    Derive(u8),
    Release(u8),
    Publish(u8),
    /// The clock reaches the expiry.
    Expire,
}
use Step::*;

fn play(scene: &mut Scene, id: Digest, steps: &[Step]) {
    for step in steps {
        match *step {
            Approve(number) => drop(scene.approve(id, number)),
            Reject(number) => scene.reject(id, number),
            Close => drop(scene.say(
                party(1),
                Body::StudyClosed {
                    manifest: id,
                    reason: "enough".into(),
                },
            )),
            Withdraw => drop(scene.say(
                party(2),
                Body::TwinWithdrawn {
                    id: scene.entry(party(2), 0).id,
                },
            )),
            Evaluate => scene.evaluate(id),
            Derive(number) => scene.derive(id, &[number]),
            Release(number) => drop(scene.release(id, number, piece_values)),
            Publish(number) => scene.publish(id, number),
            Expire => scene.now = EXPIRES,
        }
    }
}

fn name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Unknown => "unknown",
        Phase::Proposed { .. } => "proposed",
        Phase::Evaluating { .. } => "evaluating",
        Phase::Opening { .. } => "opening",
        Phase::Released { .. } => "released",
        Phase::NotOpened(NotOpened::Rejected(_)) => "rejected",
        Phase::NotOpened(NotOpened::Closed(_)) => "closed",
        Phase::NotOpened(NotOpened::Withdrawn { .. }) => "withdrawn",
        Phase::NotOpened(NotOpened::Expired) => "expired",
        Phase::NotOpened(NotOpened::Invalid(_)) => "invalid",
        Phase::NotOpened(NotOpened::Budget { .. }) => "budget",
    }
}

#[test]
fn a_study_goes_through_its_phases_by_the_rules() {
    let approved = [Approve(1), Approve(2), Approve(3)];
    let opening = [
        Approve(1),
        Approve(2),
        Approve(3),
        Evaluate,
        Derive(1),
        Derive(2),
        Derive(3),
    ];
    let opened = [
        &opening[..],
        &[Release(1), Release(2), Release(3), Publish(1), Publish(2)],
    ]
    .concat();
    let with = |steps: &[Step], more: &[Step]| [steps, more].concat();
    let table: Vec<(Vec<Step>, &str)> = vec![
        (vec![], "proposed"),
        (vec![Approve(1), Approve(2)], "proposed"),
        (approved.to_vec(), "evaluating"),
        // One of four rejects: a quorum of three can still stand, but not with the rejecter.
        (vec![Reject(4)], "proposed"),
        (
            vec![Approve(1), Approve(2), Approve(3), Reject(3)],
            "proposed",
        ),
        (
            vec![Approve(1), Approve(2), Approve(3), Reject(3), Approve(4)],
            "evaluating",
        ),
        (with(&approved, &[Reject(4)]), "evaluating"),
        // Two rejections are more than n - Q = 1.
        (vec![Reject(3), Reject(4)], "rejected"),
        (with(&approved, &[Reject(3), Reject(4)]), "rejected"),
        (with(&approved, &[Close]), "closed"),
        (with(&approved, &[Withdraw]), "withdrawn"),
        (vec![Withdraw], "withdrawn"),
        (with(&approved, &[Expire]), "expired"),
        (with(&approved, &[Evaluate]), "opening"),
        (opening.to_vec(), "opening"),
        (with(&opening, &[Expire]), "expired"),
        // One result may be a lie; t+1 equal ones are not.
        (
            with(&opening, &[Release(1), Release(2), Release(3), Publish(4)]),
            "opening",
        ),
        (opened.clone(), "released"),
        // What is public stays public.
        (with(&opened, &[Withdraw]), "released"),
        (with(&opened, &[Expire]), "released"),
    ];
    for (steps, expected) in table {
        let mut scene = Scene::with_twins(4, 1, 2);
        let id = scene.propose(3);
        play(&mut scene, id, &steps);
        let study = Study::find(&scene.fold, &id).unwrap();
        let phase = study.phase(Some(&scene.list()), scene.now);
        assert_eq!(name(&phase), expected, "after {steps:?}: {phase:?}");
    }
}

#[test]
fn an_approval_after_the_expiry_does_not_count() {
    let mut scene = Scene::with_twins(4, 1, 1);
    let id = scene.propose(3);
    play(
        &mut scene,
        id,
        &[Approve(1), Approve(2), Expire, Approve(3)],
    );
    assert_eq!(Study::find(&scene.fold, &id).unwrap().approvals().len(), 2);
}

#[test]
fn a_manifest_with_a_twin_that_is_not_eligible_is_invalid() {
    let mut scene = Scene::with_twins(4, 1, 2);
    // A deposit that only two others received, while three parties must hold it.
    let early = scene.fold.heads();
    let digest = blob("late twin");
    let entry = crate::twin::TwinEntry {
        id: TwinId::from_bytes([0xee; 16]),
        digest,
        first_slot: 1000,
        slots: 10,
    };
    let body = |schema| Body::TwinsDeposited {
        schema,
        organ: "kidney".into(),
        batch: scene.batch(party(1)),
        twins: vec![entry.clone()],
    };
    let good = body(scene.schema());
    let statement = scene.say(party(1), good).unwrap();
    scene.all_check(statement, &[entry.id], party(1));
    scene
        .say(
            party(2),
            Body::TwinsReceived {
                twins: vec![digest],
            },
        )
        .unwrap();
    let two = scene.fold.heads();
    scene
        .say(
            party(3),
            Body::TwinsReceived {
                twins: vec![digest],
            },
        )
        .unwrap();
    let three = scene.fold.heads();
    assert_eq!(scene.eligible(), 9);
    scene
        .say(party(1), Body::TwinWithdrawn { id: entry.id })
        .unwrap();
    let withdrawn = scene.fold.heads();
    assert_eq!(scene.eligible(), 8);
    let list = scene.list();
    let check = |feeds: &[FeedHead], change: &dyn Fn(&mut Manifest), list: &TwinList| {
        let mut manifest = scene.manifest(3);
        manifest.feeds = feeds.to_vec();
        manifest.twins = TwinListFacts::of(list).unwrap();
        change(&mut manifest);
        check_manifest(&scene.fold, &manifest, list)
    };
    let why = |outcome: Result<(), ManifestFault>| match outcome {
        Err(ManifestFault::Ineligible { why, .. }) => why,
        other => panic!("expected an ineligible twin, got {other:?}"),
    };
    assert_eq!(check(&three, &|_| {}, &list), Ok(()));
    assert_eq!(why(check(&early, &|_| {}, &list)), Ineligible::NotDeposited);
    assert_eq!(
        why(check(&two, &|_| {}, &list)),
        Ineligible::TooFewReceipts {
            expected: 3,
            got: 2
        }
    );
    assert_eq!(
        why(check(&withdrawn, &|_| {}, &list)),
        Ineligible::Withdrawn
    );
    assert_eq!(
        why(check(&three, &|m| m.schema = blob("another"), &list)),
        Ineligible::OtherSchema
    );
    let mut twins = list.twins().to_vec();
    twins[0].digest = blob("exchanged");
    assert_eq!(
        why(check(&three, &|_| {}, &TwinList::sorted(twins).unwrap())),
        Ineligible::OtherDigest
    );
    let fewer = TwinList::sorted(list.twins()[1..].to_vec()).unwrap();
    assert_eq!(
        check(
            &three,
            &|m| m.twins = TwinListFacts::of(&list).unwrap(),
            &fewer
        ),
        Err(ManifestFault::OtherList)
    );
    let mut ahead = three.clone();
    ahead[0].seq += 100;
    assert!(check(&ahead, &|_| {}, &list).unwrap_err().may_pass());
    let mut other = three.clone();
    other[0].hash = blob("other");
    assert_eq!(
        check(&other, &|_| {}, &list),
        Err(ManifestFault::OtherFeed(other[0]))
    );
    let unsigned = check(&three, &|m| m.certificate = blob("crafted"), &list);
    assert!(matches!(
        unsigned,
        Err(ManifestFault::Certificate { got: 0, .. })
    ));
}

#[test]
fn where_no_majority_is_guaranteed_every_party_must_have_received_a_twin() {
    let mut scene = Scene::with_twins(3, 1, 1);
    let entry = scene.entry(party(1), 9);
    let body = Body::TwinsDeposited {
        schema: scene.schema(),
        organ: "kidney".into(),
        batch: scene.batch(party(1)),
        twins: vec![entry.clone()],
    };
    let statement = scene.say(party(1), body).unwrap();
    scene.all_check(statement, &[entry.id], party(1));
    scene
        .say(
            party(2),
            Body::TwinsReceived {
                twins: vec![entry.digest],
            },
        )
        .unwrap();
    assert_eq!(scene.eligible(), 3);
    scene
        .say(
            party(3),
            Body::TwinsReceived {
                twins: vec![entry.digest],
            },
        )
        .unwrap();
    assert_eq!(scene.eligible(), 4);
}

#[test]
fn opened_blocks_count_only_what_an_honest_party_can_have_decrypted() {
    let (scene, id) = Scene::whole();
    let certificate = scene.certificate().digest().unwrap();
    assert_eq!(opened_blocks(&scene.fold, &certificate, None), 5);
    assert_eq!(opened_blocks(&scene.fold, &certificate, Some((&id, 0))), 0);
    assert_eq!(opened_blocks(&scene.fold, &blob("another key"), None), 0);
    let mut scene = Scene::with_twins(4, 1, 1);
    let id = scene.propose(3);
    scene.derive(id, &[4]);
    // Party 4 alone claims an aggregate and decrypts it: the budget does not shrink.
    let body = Body::PartialDecryption {
        manifest: id,
        squashed: crate::digest::of_blob(&crate::scene::squashed_bytes()),
        first_block: 0,
        approvals: vec![blob("a"), blob("b"), blob("c")]
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        feeds: scene.fold.heads(),
        pieces: scene
            .fold
            .roster()
            .committee()
            .pieces_of(party(4))
            .map(|p| crate::statement::PieceValues::pack(p, &piece_values(p, 0, 5)))
            .collect(),
    };
    scene.say(party(4), body).unwrap();
    assert_eq!(opened_blocks(&scene.fold, &certificate, None), 0);
}
