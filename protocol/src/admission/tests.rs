use super::*;
use crate::duty::{self, Duty, LocalView};
use crate::fold::{Refusal, RuleBroken};
use crate::scene::{Scene, check_value, party};
use crate::statement::{Body, TwinCheck};
use crate::study::{self, Ineligible};
use crate::twin::TwinId;

/// A consortium in which party `hospital` deposited one twin that everyone received and nobody checked.
fn deposited(n: u8, t: u8, hospital: u8) -> Scene {
    let mut scene = Scene::new(n, t);
    scene.ceremony();
    scene.request_batch(party(hospital));
    scene.deposit_unchecked(party(hospital), 1);
    scene
}

fn the_twin(scene: &Scene) -> Deposit {
    scene.fold.facts().deposits.values().next().unwrap().clone()
}

fn verdict(scene: &Scene) -> Admission {
    tally(&scene.fold, &the_twin(scene)).verdict
}

fn value(word: u8) -> AdmissionValue {
    AdmissionValue::from_bytes(&[word; VALUE_BYTES])
}

/// What a party states, with `change` made to the value of a group at a place among those it states.
fn say(scene: &mut Scene, number: u8, change: Option<(usize, AdmissionValue)>) {
    let twin = the_twin(scene);
    let honest = scene.check(
        party(number),
        twin.statement,
        &[twin.twin.id],
        twin.twin.depositor,
    );
    let Body::TwinsChecked { deposit, mut twins } = honest else {
        panic!("a check");
    };
    if let Some((place, wrong)) = change {
        let mut values = unpack(twins[0].values.as_slice()).unwrap();
        values[place] = values[place].plus(wrong);
        twins[0].values = pack(&values).into();
    }
    scene
        .say(party(number), Body::TwinsChecked { deposit, twins })
        .unwrap();
}

fn accused(scene: &Scene) -> Vec<Vec<PartyId>> {
    let evidence = tally(&scene.fold, &the_twin(scene)).evidence;
    evidence.iter().map(Evidence::accused).collect()
}

fn own_accusations(scene: &Scene, number: u8) -> Vec<Vec<PartyId>> {
    let duties = duty::duties(&scene.fold, party(number), scene.now, &LocalView::default());
    let accused = duties.iter().filter_map(|duty| match duty {
        Duty::Accuse(evidence) => Some(evidence.accused()),
        _ => None,
    });
    accused.collect()
}

#[test]
fn a_twin_is_admitted_when_all_have_checked_it_and_the_values_sum_to_zero() {
    for (n, t) in [(3, 1), (4, 1), (7, 2)] {
        let mut scene = deposited(n, t, 1);
        for number in 1..=n {
            assert!(
                matches!(verdict(&scene), Admission::Waiting(_)),
                "{n} {number}"
            );
            say(&mut scene, number, None);
        }
        assert_eq!(verdict(&scene), Admission::Admitted, "{n}");
        assert_eq!(accused(&scene), [[]; 0]);
    }
}

#[test]
fn a_sum_that_is_not_zero_names_the_depositor_whatever_it_says_itself() {
    for depositor_agrees in [true, false] {
        let mut scene = deposited(4, 1, 1);
        // The group {2,3}, the fourth of the family, opens one more than the others make up for.
        say(&mut scene, 2, Some((1, value(1))));
        say(&mut scene, 3, Some((1, value(1))));
        say(&mut scene, 4, None);
        say(&mut scene, 1, depositor_agrees.then_some((3, value(1))));
        assert_eq!(verdict(&scene), Admission::Refused);
        assert!(accused(&scene).iter().all(|parties| *parties == [party(1)]));
        assert!(own_accusations(&scene, 3).contains(&vec![party(1)]));
        // One accusation is enough, and the twin is in no study.
        let heads = scene.fold.heads();
        assert_eq!(
            study::eligible_twins(&scene.fold, &heads, &scene.schema()),
            []
        );
    }
}

#[test]
fn the_depositor_decides_between_two_others_and_the_liar_is_named() {
    let mut scene = deposited(4, 1, 1);
    say(&mut scene, 2, None);
    say(&mut scene, 3, Some((1, value(1))));
    say(&mut scene, 4, None);
    assert_eq!(verdict(&scene), Admission::Waiting(vec![party(1)]));
    say(&mut scene, 1, None);
    assert_eq!(verdict(&scene), Admission::Admitted);
    assert_eq!(accused(&scene), [[party(3)]]);
}

#[test]
fn a_depositor_cannot_decide_against_a_member_of_its_own_group_and_the_pair_is_named() {
    let mut scene = deposited(4, 1, 1);
    // The first group is {1,2}.
    say(&mut scene, 2, Some((0, value(1))));
    for number in [1, 3, 4] {
        say(&mut scene, number, None);
    }
    assert_eq!(verdict(&scene), Admission::Disputed([party(1), party(2)]));
    assert_eq!(accused(&scene), [[party(1), party(2)]]);
}

#[test]
fn a_depositor_that_lost_its_subseeds_leaves_a_pair_undecided() {
    let mut scene = deposited(4, 1, 1);
    let twin = the_twin(&scene);
    let roster = scene.fold.roster().clone();
    let own: Vec<_> = own_groups(&roster, party(1))
        .map(|group| check_value(&roster, group))
        .collect();
    let check = TwinCheck {
        id: twin.twin.id,
        values: pack(&own).into(),
    };
    scene
        .say(
            party(1),
            Body::TwinsChecked {
                deposit: twin.statement,
                twins: vec![check],
            },
        )
        .unwrap();
    say(&mut scene, 2, None);
    say(&mut scene, 3, None);
    assert_eq!(verdict(&scene), Admission::Waiting(vec![party(4)]));
    // Its groups are {1,4}, {2,4} and {3,4}.
    say(&mut scene, 4, Some((1, value(1))));
    assert_eq!(verdict(&scene), Admission::Disputed([party(2), party(4)]));
}

#[test]
fn two_liars_of_seven_cannot_have_a_crafted_twin_admitted() {
    // Party 1 deposits a twin whose first group opens one too much; parties 1 and 2 hide it in their statements.
    let mut scene = deposited(7, 2, 1);
    say(&mut scene, 1, None);
    say(&mut scene, 2, None);
    say(&mut scene, 3, Some((0, value(1))));
    for number in 4..=7 {
        say(&mut scene, number, None);
    }
    // The group is {1,2,3}: two equal values of three are fewer than t+1.
    assert_eq!(
        verdict(&scene),
        Admission::Disputed([party(1), party(3)]).min_pair(&scene)
    );
    // A depositor outside the group, with one liar in it: t+1 = 3 equal values are needed, and two honest ones differ.
    let mut scene = deposited(7, 2, 7);
    say(&mut scene, 7, None);
    say(&mut scene, 1, None);
    say(&mut scene, 2, Some((0, value(1))));
    say(&mut scene, 3, Some((0, value(1))));
    for number in 4..=6 {
        say(&mut scene, number, None);
    }
    assert!(matches!(verdict(&scene), Admission::Disputed(_)));
}

#[test]
fn of_three_all_must_agree_with_the_depositor() {
    let mut scene = deposited(3, 1, 1);
    say(&mut scene, 1, None);
    say(&mut scene, 2, Some((0, value(1))));
    say(&mut scene, 3, None);
    assert_eq!(
        verdict(&scene),
        Admission::Disputed([party(1), party(2)]).min_pair(&scene)
    );
}

impl Admission {
    /// The order in a pair is that of the values, not of the parties.
    fn min_pair(self, scene: &Scene) -> Self {
        match (self, verdict(scene)) {
            (Self::Disputed(mut expected), Self::Disputed(mut got)) => {
                expected.sort();
                let as_said = got;
                got.sort();
                assert_eq!(expected, got);
                Self::Disputed(as_said)
            }
            (other, _) => other,
        }
    }
}

#[test]
fn a_check_is_stated_once_of_ascending_twins_with_the_authors_values_only() {
    let mut scene = deposited(4, 1, 1);
    let twin = the_twin(&scene);
    let check = |id: TwinId, groups: usize| TwinCheck {
        id,
        values: pack(&vec![value(0); groups]).into(),
    };
    let say = |scene: &mut Scene, number: u8, twins: Vec<TwinCheck>| {
        let deposit = twin.statement;
        scene.say(party(number), Body::TwinsChecked { deposit, twins })
    };
    let rule = |refused: Result<Digest, Refusal>| match refused {
        Err(Refusal::RuleBroken { rule, .. }) => rule,
        other => panic!("expected a broken rule, got {other:?}"),
    };
    let id = twin.twin.id;
    // A member has three groups; only the depositor may state all six, and only of its own deposit.
    for groups in [0, 2, 4, 6] {
        assert_eq!(
            rule(say(&mut scene, 2, vec![check(id, groups)])),
            RuleBroken::Check(id)
        );
    }
    let mut half = check(id, 3);
    half.values.0.pop();
    assert_eq!(rule(say(&mut scene, 2, vec![half])), RuleBroken::Check(id));
    let other = TwinId::from_bytes([1; 16]);
    assert_eq!(
        rule(say(&mut scene, 1, vec![check(other, 6)])),
        RuleBroken::Check(other)
    );
    for twins in [vec![], vec![check(id, 3), check(id, 3)]] {
        assert!(matches!(
            rule(say(&mut scene, 2, twins)),
            RuleBroken::List { .. }
        ));
    }
    assert!(say(&mut scene, 2, vec![check(id, 3)]).is_ok());
    assert!(matches!(
        rule(say(&mut scene, 2, vec![check(id, 3)])),
        RuleBroken::Already(_)
    ));
    assert!(say(&mut scene, 1, vec![check(id, 6)]).is_ok());
}

#[test]
fn only_what_was_known_at_the_manifests_heads_admits() {
    let mut scene = deposited(4, 1, 1);
    for number in 1..=3 {
        say(&mut scene, number, None);
    }
    let before = scene.fold.heads();
    say(&mut scene, 4, None);
    let after = scene.fold.heads();
    let eligible = |heads| study::eligible_twins(&scene.fold, heads, &scene.schema()).len();
    assert_eq!((eligible(&before), eligible(&after)), (0, 1));
}

#[test]
fn a_manifest_with_a_twin_that_was_not_admitted_is_invalid_and_the_audit_says_so() {
    let mut scene = Scene::with_twins(4, 1, 1);
    scene.request_next_batch(party(1));
    let before = scene.fold.facts().deposits.len();
    scene.deposit_unchecked_in_next(party(1));
    assert_eq!(scene.fold.facts().deposits.len(), before + 1);
    let manifest = scene.manifest(3);
    let fault = study::check_manifest(&scene.fold, &manifest, &scene.list()).unwrap_err();
    assert!(matches!(
        fault,
        study::ManifestFault::Ineligible {
            why: Ineligible::NotChecked,
            ..
        }
    ));
    let id = scene.propose(3);
    let transcript = scene.transcript(id);
    let report = crate::verify::verify_with(&transcript, &crate::scene::MadeUp);
    let line = |name: &str| {
        report
            .checks
            .iter()
            .find(|c| c.name.ends_with(name))
            .unwrap()
    };
    let failed = report
        .checks
        .iter()
        .find(|c| c.name.starts_with("study") && c.name.ends_with("admission"))
        .unwrap();
    assert!(!failed.passed && failed.statement.is_some(), "{failed:?}");
    assert!(
        line("admission").detail.contains("1 not settled"),
        "{:?}",
        line("admission")
    );
}

#[test]
fn twins_are_checked_once_all_of_their_deposit_and_its_batch_are_held() {
    let scene = deposited(4, 1, 1);
    let twin = the_twin(&scene);
    let asked = |number: u8, view: &LocalView| {
        let duties = duty::duties(&scene.fold, party(number), scene.now, view);
        duties
            .into_iter()
            .any(|duty| matches!(duty, Duty::CheckTwins { .. }))
    };
    let mut view = LocalView::default();
    assert!(!asked(2, &view));
    view.blobs.insert(twin.twin.digest);
    assert!(!asked(2, &view));
    view.batches.insert(twin.batch);
    assert!(asked(2, &view) && asked(1, &view));
    view.unfit.insert(twin.twin.digest);
    assert!(!asked(2, &view));
}

#[test]
fn a_statement_of_as_many_twins_as_allowed_fits() {
    use crate::statement::MAX_STATEMENT_BYTES;
    for groups in [1, 3, 6, 15, 35, 84, 210] {
        let count = twins_per_statement(groups);
        let twins = (0..count).map(|n| TwinCheck {
            id: TwinId::from_bytes((n as u128).to_be_bytes()),
            values: pack(&vec![value(255); groups]).into(),
        });
        let body = Body::TwinsChecked {
            deposit: crate::digest::ZERO,
            twins: twins.collect(),
        };
        let bytes = crate::codec::encode(&body).unwrap().len();
        assert!(bytes + 512 < MAX_STATEMENT_BYTES, "{groups}: {bytes}");
    }
    assert_eq!((twins_per_statement(3), twins_per_statement(6)), (208, 128));
}
