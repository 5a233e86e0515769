//! Deposits and studies between virtual parties, evaluated on ciphertext and compared with the clear.

use organtwin_protocol::digest::Digest;
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::statement::Body;
use organtwin_protocol::study::Study;
use organtwin_protocol::verify;
use organtwin_tests::consortium::{Consortium, party};
use organtwin_tests::liar::{Lie, decryption, deposits, evaluation};
use organtwin_threshold::PartyId;

/// A consortium with a key and twins, ready for a study; perhaps with a liar.
fn ready(n: u8, t: u8, seed: u64, lie: Option<(u8, Lie)>) -> Consortium {
    let mut consortium = Consortium::new(n, t, seed);
    if let Some((number, lie)) = lie {
        consortium = consortium.with_liar(number, lie);
    }
    assert!(consortium.make_key(), "{:?}", consortium.get(1).aborts());
    assert!(consortium.deposit(4), "the twins did not arrive");
    consortium
}

fn everyone_got(consortium: &Consortium, id: &Digest, except: &[u8]) -> bool {
    let clear = consortium.in_the_clear(id);
    let honest = consortium
        .results(id)
        .into_iter()
        .filter(|(p, _)| !except.contains(&p.get()));
    honest
        .into_iter()
        .all(|(_, values)| values.as_ref() == Some(&clear))
}

/// Accusations by honest parties that the fold of party 1 knows.
fn accused(consortium: &mut Consortium, liar: u8) -> Vec<Vec<PartyId>> {
    consortium.run(5, |_| false);
    let all = consortium.get(1).accusations();
    all.into_iter()
        .filter(|(author, _)| author.get() != liar)
        .map(|(_, evidence)| evidence.accused())
        .collect()
}

#[test]
fn an_opened_study_equals_the_clear_and_its_transcript_passes_the_audit() {
    for seed in [21, 22] {
        let mut consortium = ready(4, 1, seed, None);
        let id = consortium.propose(3);
        consortium.approve(id, &[1, 2, 3]);
        assert!(consortium.open(&id, &[]), "seed {seed}");
        assert!(everyone_got(&consortium, &id, &[]), "seed {seed}");
        assert!(accused(&mut consortium, 0).is_empty());
        let bytes = {
            let party = &consortium.parties[&party(1)];
            party.transcript(Some(id)).unwrap().encode().unwrap()
        };
        let report = verify::verify_bytes(&bytes);
        assert!(
            report.passed(),
            "{:#?}",
            report
                .checks
                .iter()
                .filter(|c| !c.passed)
                .collect::<Vec<_>>()
        );
        let opened = report
            .studies
            .iter()
            .find(|s| s.id == id)
            .map(|s| &s.outcome);
        assert_eq!(
            opened,
            Some(&verify::Outcome::Opened(consortium.in_the_clear(&id)))
        );
    }
}

#[test]
fn a_passive_committee_of_three_opens_the_same_values_with_all_alive() {
    let mut consortium = ready(3, 1, 23, None);
    let id = consortium.propose(3);
    consortium.approve(id, &[1, 2, 3]);
    assert!(consortium.open(&id, &[]));
    assert!(everyone_got(&consortium, &id, &[]));
}

#[test]
fn one_liar_of_four_is_named_alone_and_the_result_is_right() {
    for lie in [
        deposits::Lie::BatchVector.into(),
        deposits::Lie::Subseed.into(),
        evaluation::Lie::Shard.into(),
        evaluation::Lie::Aggregate.into(),
        decryption::Lie::AllPieces.into(),
    ] {
        let mut consortium = ready(4, 1, 24, Some((2, lie)));
        let id = consortium.propose(3);
        consortium.approve(id, &[1, 3, 4]);
        assert!(consortium.open(&id, &[2]), "{lie:?}");
        assert!(everyone_got(&consortium, &id, &[2]), "{lie:?}");
        let named = accused(&mut consortium, 2);
        // A subseed is private: the hospital outvotes it, and no statement shows it.
        assert_eq!(
            named.is_empty(),
            lie == Lie::from(deposits::Lie::Subseed),
            "{lie:?}"
        );
        assert!(
            named.iter().all(|parties| *parties == [party(2)]),
            "{lie:?}: {named:?}"
        );
    }
}

#[test]
fn a_wrong_partial_decryption_of_three_names_a_pair_and_nothing_is_opened() {
    let mut consortium = ready(3, 1, 25, Some((2, decryption::Lie::AllPieces.into())));
    let id = consortium.propose(3);
    consortium.approve(id, &[1, 2, 3]);
    assert!(!consortium.open(&id, &[2]));
    assert!(consortium.results(&id).values().all(Option::is_none));
    let named = accused(&mut consortium, 2);
    assert!(!named.is_empty());
    assert!(
        named
            .iter()
            .all(|parties| parties.contains(&party(2)) && parties.len() == 2),
        "{named:?}"
    );
}

#[test]
fn a_study_that_two_hospitals_reject_is_never_opened() {
    let mut consortium = ready(4, 1, 26, None);
    let id = consortium.propose(3);
    consortium.approve(id, &[1, 2]);
    consortium.reject(id, &[3, 4]);
    assert!(!consortium.open(&id, &[]));
    assert_eq!(consortium.partial_decryptions(), 0);
    assert!(consortium.results(&id).values().all(Option::is_none));
    assert!(
        Study::find(&consortium.get(1).fold, &id)
            .unwrap()
            .is_rejected()
    );
}

#[test]
fn without_a_quorum_nothing_is_opened() {
    let mut consortium = ready(4, 1, 27, None);
    let id = consortium.propose(3);
    consortium.approve(id, &[1, 2]);
    assert!(!consortium.open(&id, &[]));
    assert_eq!(consortium.partial_decryptions(), 0);
}

#[test]
fn a_hospital_killed_after_evaluation_is_not_needed_to_open() {
    let mut consortium = ready(4, 1, 28, None);
    let id = consortium.propose(3);
    consortium.approve(id, &[1, 2, 3]);
    let derived = |c: &Consortium| {
        Study::find(&c.parties[&party(1)].fold, &id)
            .unwrap()
            .aggregate()
            .is_some()
    };
    assert!(consortium.run(300, derived));
    let _disk = consortium.stop(4);
    assert!(consortium.open(&id, &[]));
    assert!(everyone_got(&consortium, &id, &[]));
}

#[test]
fn a_party_started_again_from_its_statements_goes_on() {
    let mut consortium = ready(4, 1, 29, None);
    let id = consortium.propose(4);
    consortium.approve(id, &[1, 2, 3]);
    let disk = consortium.stop(3);
    assert!(!consortium.run(10, |c| c.partial_decryptions() > 0));
    consortium.restart(3, disk);
    consortium.approve(id, &[4]);
    assert!(consortium.open(&id, &[]));
    assert!(everyone_got(&consortium, &id, &[]));
    // It said nothing twice: no number of its feed has two statements.
    assert_eq!(consortium.get(1).fold.equivocations().count(), 0);
    assert!(consortium.parties.values().all(|p| p.refused.is_empty()));
}

#[test]
fn an_aggregate_that_a_party_did_not_derive_is_never_decrypted() {
    let mut consortium = ready(4, 1, 30, Some((2, evaluation::Lie::Aggregate.into())));
    let id = consortium.propose(3);
    consortium.approve(id, &[1, 3, 4]);
    assert!(consortium.open(&id, &[2]));
    let witness = consortium.get(1);
    let right = witness.squashed_digest(&id).unwrap();
    let mut released = 0;
    for statement in witness.fold.statements() {
        if let Body::PartialDecryption { squashed, .. } = statement.body() {
            assert_eq!(*squashed, right);
            released += 1;
        }
    }
    assert!(released >= 3);
    let lie = witness
        .accusations()
        .into_iter()
        .any(|(_, e)| matches!(e, Evidence::Minority { party: p, .. } if p == party(2)));
    assert!(lie);
}
