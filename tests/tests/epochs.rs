//! Changes of the sharing between virtual parties: the key stays, twins and studies stay, and liars do no harm.

use std::collections::BTreeSet;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::epoch::{Wish, WishKind};
use organtwin_protocol::identity::Identity;
use organtwin_protocol::roster::Member;
use organtwin_protocol::verify;
use organtwin_tests::consortium::{Consortium, party};
use organtwin_tests::liar::{Liar, Lie, epochs};
use organtwin_tests::party::identity;
use organtwin_threshold::PartyId;

/// Parties with a key and twins; perhaps with a liar.
fn ready(n: u8, seed: u64, lie: Option<(u8, Lie)>) -> Consortium {
    let mut consortium = Consortium::new(n, 1, seed);
    if let Some((number, lie)) = lie {
        consortium = consortium.with_liar(number, lie);
    }
    assert!(consortium.make_key(), "{:?}", consortium.get(1).aborts());
    assert!(consortium.deposit(3), "the twins did not arrive");
    consortium
}

fn refresh() -> Wish {
    WishKind::Refresh.into()
}

fn add(number: u8) -> Wish {
    WishKind::Add(Member {
        party: party(number),
        name: format!("hospital {number}"),
        statement_key: identity(party(number)).public(),
        network_key: vec![number; 36].into(),
    })
    .into()
}

/// Every fold must show one line of certificates under one key, and the same line everywhere.
fn assert_one_line(consortium: &Consortium) {
    let mut lines = BTreeSet::new();
    for member in consortium.parties.values() {
        let fold = &member.fold;
        let certificates = &fold.facts().certificates;
        let standing = certificates
            .iter()
            .filter(|(digest, _)| fold.is_certified(digest));
        let standing: Vec<_> = standing.map(|(_, facts)| &facts.certificate).collect();
        let epochs: BTreeSet<u32> = standing.iter().map(|c| c.epoch).collect();
        let before: BTreeSet<Digest> = standing.iter().map(|c| c.previous).collect();
        let keys: BTreeSet<Digest> = standing.iter().map(|c| c.key).collect();
        assert_eq!(
            epochs.len(),
            standing.len(),
            "two certificates in one epoch"
        );
        assert_eq!(
            before.len(),
            standing.len(),
            "two successors of one certificate"
        );
        assert_eq!(keys.len(), 1, "two keys");
        lines.insert(fold.line().to_vec());
    }
    assert_eq!(lines.len(), 1, "the folds disagree");
}

fn assert_audited(consortium: &mut Consortium, study: Option<Digest>) -> verify::Report {
    // What a statement refers to may still be on its way to the exporter.
    consortium.run(5, |_| false);
    let exporter = &consortium.parties[&party(1)];
    let transcript = exporter.transcript(study).unwrap();
    let report = verify::verify_bytes(&transcript.encode().unwrap());
    let failed: Vec<_> = report.checks.iter().filter(|c| !c.passed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    report
}

/// A study proposed, approved and opened by the current members, equal to the clear.
fn assert_study_opens(consortium: &mut Consortium, approving: &[u8], except: &[u8]) -> Digest {
    let id = consortium.propose(3);
    consortium.approve(id, approving);
    assert!(consortium.open(&id, except));
    let clear = consortium.in_the_clear(&id);
    for (number, values) in consortium.results(&id) {
        if !except.contains(&number.get()) {
            assert_eq!(values.as_ref(), Some(&clear), "party {number}");
        }
    }
    id
}

#[test]
fn refresh_add_remove_and_recover_keep_the_key_the_twins_and_a_pending_study() {
    let mut consortium = ready(4, 31, None);
    // Proposed before all changes, opened after them.
    let pending = consortium.propose(3);
    consortium.wish(&refresh(), &[1, 2, 3, 4]);
    assert!(consortium.enter(1, &[1, 2, 3, 4]));
    assert_one_line(&consortium);

    consortium.wish(&add(5), &[1, 2, 3, 4]);
    consortium.join_later(5);
    consortium.wish(&add(5), &[5]);
    assert!(consortium.enter(2, &[1, 2, 3, 4, 5]));
    assert_one_line(&consortium);

    let remove: Wish = WishKind::Remove(party(4)).into();
    consortium.wish(&remove, &[1, 2, 3, 5]);
    assert!(consortium.enter(3, &[1, 2, 3, 5]));
    assert!(consortium.run(20, |c| {
        c.parties[&party(4)]
            .key
            .as_ref()
            .is_some_and(|key| key.share.is_none())
    }));
    let _ = consortium.stop(4);
    assert_one_line(&consortium);

    // Party 3 loses its disk and comes back with other keys.
    let _ = consortium.stop(3);
    let keys = Identity::from_seed([103; 32]);
    let recover: Wish = WishKind::Recover {
        party: party(3),
        statement_key: keys.public(),
        network_key: vec![103; 36].into(),
    }
    .into();
    consortium.wish(&recover, &[1, 2, 5]);
    consortium.start_afresh(3, keys);
    consortium.wish(&recover, &[3]);
    assert!(consortium.enter(4, &[1, 2, 3, 5]));
    assert_one_line(&consortium);

    consortium.approve(pending, &[1, 3, 5]);
    assert!(consortium.open(&pending, &[]));
    let clear = consortium.in_the_clear(&pending);
    for (number, values) in consortium.results(&pending) {
        assert_eq!(values.as_ref(), Some(&clear), "party {number}");
    }
    let report = assert_audited(&mut consortium, Some(pending));
    for epoch in 1..=4 {
        for what in ["approvals", "offers", "seeds", "self-test", "certificate"] {
            let name = format!("epoch {epoch}: {what}");
            assert!(report.checks.iter().any(|c| c.name == name), "{name}");
        }
    }
}

/// Whom honest parties accuse.
fn accused(consortium: &mut Consortium, liar: u8) -> BTreeSet<u8> {
    consortium.run(5, |_| false);
    let all = consortium.get(1).accusations().into_iter();
    let honest = all.filter(|(author, _)| author.get() != liar);
    honest
        .flat_map(|(_, evidence)| evidence.accused())
        .map(PartyId::get)
        .collect()
}

#[test]
fn lying_old_holders_are_outvoted_and_named_and_the_key_still_works() {
    let mut named = BTreeSet::new();
    // Whether anyone asks the liar for a parcel depends on whose offers arrive first.
    let cases = [
        (41, epochs::Lie::Offer),
        (42, epochs::Lie::Parcels),
        (43, epochs::Lie::Parcels),
        (44, epochs::Lie::Parcels),
    ];
    for (seed, lie) in cases {
        let mut consortium = ready(4, seed, Some((2, lie.into())));
        consortium.wish(&refresh(), &[1, 2, 3, 4]);
        assert!(consortium.enter(1, &[1, 3, 4]), "{lie:?}");
        assert_one_line(&consortium);
        let accused = accused(&mut consortium, 2);
        assert!(
            accused.iter().all(|party| *party == 2),
            "{lie:?}: {accused:?}"
        );
        if accused.contains(&2) {
            named.insert(format!("{lie:?}"));
        }
        if seed < 43 {
            let id = assert_study_opens(&mut consortium, &[1, 3, 4], &[2]);
            assert_audited(&mut consortium, Some(id));
        }
    }
    assert_eq!(named.len(), 2, "{named:?}");
}

#[test]
fn a_member_that_goes_silent_is_named_as_missing_but_not_accused_and_the_retry_succeeds() {
    let mut consortium = ready(4, 45, None);
    consortium.get(2).liar.learn(epochs::Lie::NoOffer.into());
    consortium.wish(&refresh(), &[1, 2, 3, 4]);
    assert!(!consortium.enter(1, &[1]));
    assert_eq!(consortium.get(1).fold.epoch(), 0);
    let reasons: Vec<String> = consortium.get(1).give_ups();
    let silent = |why: &String| why.starts_with("silent") && why.ends_with("party 2");
    assert!(reasons.iter().any(silent), "{reasons:?}");
    assert!(
        accused(&mut consortium, 2).is_empty(),
        "silence proves nothing"
    );
    assert_one_line(&consortium);
    consortium.get(2).liar = Liar::default();
    consortium.run(5, |_| false);
    consortium.wish(&refresh(), &[1, 2, 3, 4]);
    assert!(consortium.enter(2, &[1, 2, 3, 4]));
    assert_one_line(&consortium);
}

#[test]
fn a_new_member_that_spoils_the_self_test_or_the_certificate_stops_the_change_and_is_named() {
    for (seed, lie) in [(51, epochs::Lie::SelfTest), (52, epochs::Lie::OtherKey)] {
        let mut consortium = ready(4, seed, None);
        consortium.get(3).liar.learn(lie.into());
        consortium.wish(&refresh(), &[1, 2, 3, 4]);
        assert!(!consortium.enter(1, &[1]), "{lie:?}");
        assert_one_line(&consortium);
        assert_eq!(consortium.get(1).fold.epoch(), 0, "{lie:?}");
        let accusations = consortium.get(1).given_up();
        // Whoever finds it first says so, even the liar's own honest part; the statements prove it.
        let named = accusations
            .iter()
            .any(|(_, evidence)| evidence.accused() == [party(3)]);
        assert!(named, "{lie:?}: {accusations:?}");
        // The old shares still open studies.
        let id = assert_study_opens(&mut consortium, &[1, 2, 4], &[3]);
        assert_audited(&mut consortium, Some(id));
    }
}

#[test]
fn a_new_member_that_gives_up_instead_of_certifying_leaves_the_old_epoch_and_the_next_attempt_works()
 {
    let lie = epochs::Lie::GivesUp;
    let mut consortium = ready(4, 61, Some((4, lie.into())));
    consortium.wish(&refresh(), &[1, 2, 3, 4]);
    assert!(!consortium.enter(1, &[1]));
    assert_one_line(&consortium);
    let remove: Wish = Wish {
        passive: Some(organtwin_protocol::roster::PassivePolicy::Allowed),
        ..WishKind::Remove(party(4)).into()
    };
    consortium.wish(&remove, &[1, 2, 3]);
    assert!(consortium.enter(2, &[1, 2, 3]));
    assert_one_line(&consortium);
    let id = assert_study_opens(&mut consortium, &[1, 2, 3], &[4]);
    assert_audited(&mut consortium, Some(id));
}

#[test]
fn a_party_that_leaves_may_be_gone_already() {
    let mut consortium = ready(5, 71, None);
    let _ = consortium.stop(5);
    let remove: Wish = WishKind::Remove(party(5)).into();
    consortium.wish(&remove, &[1, 2, 3, 4]);
    assert!(consortium.enter(1, &[1, 2, 3, 4]));
    assert_one_line(&consortium);
    let id = assert_study_opens(&mut consortium, &[1, 2, 4], &[]);
    assert_audited(&mut consortium, Some(id));
}

#[test]
fn a_crash_in_the_middle_ends_in_one_epoch_or_the_other_and_a_retry_succeeds() {
    // From before the first step to after the last one.
    for (seed, messages) in [(81, 3), (82, 40), (83, 90), (84, 140), (85, 190)] {
        let mut consortium = ready(4, seed, None);
        consortium.wish(&refresh(), &[1, 2, 3]);
        let now_ms = consortium.now_ms;
        consortium.get(4).wish(now_ms, &refresh()).unwrap();
        consortium.deliver(messages);
        let disk = consortium.stop(2);
        consortium.run(1, |_| false);
        consortium.restart(2, disk);
        let mut epoch = 1;
        if !consortium.enter(epoch, &[1, 2, 3, 4]) {
            assert_eq!(
                consortium.get(1).fold.epoch(),
                0,
                "after {messages} messages"
            );
            epoch = 2;
            consortium.wish(&refresh(), &[1, 2, 3, 4]);
            assert!(
                consortium.enter(epoch, &[1, 2, 3, 4]),
                "after {messages} messages"
            );
        }
        assert_one_line(&consortium);
        assert_audited(&mut consortium, None);
    }
}
