//! A patient withdraws consent while a study is open.

use organtwin_protocol::statement::Body;
use organtwin_protocol::study::{NotOpened, Study};
use organtwin_protocol::verify::{self, Outcome};
use organtwin_tests::consortium::{Consortium, party};

#[test]
fn a_withdrawal_is_proven_by_the_transcript_and_voids_the_open_study() {
    let mut consortium = Consortium::new(4, 1, 61);
    assert!(consortium.make_key() && consortium.deposit(4));
    let open = consortium.propose(3);
    consortium.approve(open, &[1, 3]);
    let hospital = party(2);
    let deposits = consortium.parties[&hospital].fold.facts().deposits.keys();
    let (_, twin) = *deposits
        .into_iter()
        .find(|(of, _)| *of == hospital)
        .unwrap();
    let now = consortium.now_ms;
    consortium
        .get(2)
        .say(now, Body::TwinWithdrawn { id: twin })
        .unwrap();
    consortium.collect(hospital);
    assert!(consortium.run(20, |c| {
        let known = |p: &organtwin_tests::party::Party| {
            p.fold.facts().withdrawals.contains_key(&(hospital, twin))
        };
        c.parties.values().all(known)
    }));

    // The last approval comes too late, and nobody decrypts anything.
    consortium.approve(open, &[4]);
    assert!(!consortium.open(&open, &[]));
    assert_eq!(consortium.partial_decryptions(), 0);
    // Every party says why.
    for member in consortium.parties.values() {
        let study = Study::find(&member.fold, &open).unwrap();
        let list = member.view.twin_lists.get(&study.manifest.twins.blob);
        let why = study.not_opened(list, consortium.now_ms);
        let expected = NotOpened::Withdrawn {
            twin,
            depositor: hospital,
        };
        assert_eq!(why, Some(expected));
    }

    // A later study does not contain the twin, and is opened.
    let later = consortium.propose(3);
    let study = Study::find(&consortium.parties[&party(1)].fold, &later).unwrap();
    assert_eq!(study.manifest.twins.per_hospital[&hospital], 3);
    consortium.approve(later, &[1, 2, 3]);
    assert!(consortium.open(&later, &[]));

    for id in [open, later] {
        let member = &consortium.parties[&party(1)];
        let transcript = member.transcript(Some(id)).unwrap();
        let report = verify::verify_bytes(&transcript.encode().unwrap());
        assert!(report.passed(), "{:#?}", report.checks);
        let line = report
            .checks
            .iter()
            .find(|check| check.name == "withdrawals");
        assert!(
            line.unwrap().detail.contains("1 twins withdrawn"),
            "{line:?}"
        );
        let outcome = |wanted| {
            let study = report.studies.iter().find(|study| study.id == wanted);
            study.map(|study| study.outcome.clone())
        };
        if id == open {
            let void = outcome(open);
            assert!(
                matches!(&void, Some(Outcome::NotOpened(why)) if why.contains("withdrawn")),
                "{void:?}"
            );
        } else {
            assert!(matches!(outcome(later), Some(Outcome::Opened(_))));
        }
    }
}
