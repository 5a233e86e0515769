//! The key ceremony between virtual parties: whole runs, and every deviation caught and named.

use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::statement::{Body, StageName};
use organtwin_tests::consortium::{Consortium, party};
use organtwin_tests::liar::ceremony;
use organtwin_threshold::Security;

#[test]
fn committees_make_one_key_in_whatever_order_messages_arrive() {
    for (n, t, seed) in [(4, 1, 1), (4, 1, 2), (4, 1, 3), (5, 1, 4), (7, 2, 5)] {
        let mut consortium = Consortium::new(n, t, seed);
        assert!(
            consortium.make_key(),
            "n={n} t={t} seed {seed}: {:?}",
            consortium.get(1).aborts()
        );
        let keys: Vec<_> = consortium
            .parties
            .values()
            .map(|p| p.key.as_ref().unwrap())
            .collect();
        assert!(
            keys.windows(2)
                .all(|pair| pair[0].certificate == pair[1].certificate)
        );
        assert!(
            keys.iter()
                .all(|key| key.public.digest() == key.certificate.key)
        );
        assert_eq!(keys[0].certificate.security, Security::Active);
        assert!(consortium.parties.values().all(|p| p.refused.is_empty()));
    }
}

#[test]
fn the_certificate_of_three_parties_says_that_it_is_passive() {
    let mut consortium = Consortium::new(3, 1, 6);
    assert!(consortium.make_key());
    let key = consortium.get(1).key.as_ref().unwrap();
    assert_eq!(key.certificate.security, Security::Passive);
}

#[test]
fn two_ceremonies_of_the_same_parties_make_different_keys() {
    let key = |seed| {
        let mut consortium = Consortium::new(4, 1, seed);
        assert!(consortium.make_key());
        consortium.get(1).key.as_ref().unwrap().certificate.clone()
    };
    let (one, two) = (key(1), key(2));
    assert_ne!(one.session, two.session);
    assert_ne!(one.key, two.key);
}

#[test]
fn silence_names_who_is_missing_and_accuses_nobody() {
    let mut consortium =
        Consortium::new(4, 1, 12).with_liar(3, ceremony::Lie::Stall(ceremony::Point::Commitments));
    assert!(!consortium.make_key());
    let aborts = consortium.get(1).aborts();
    assert!(
        aborts
            .iter()
            .any(|(_, reason)| reason.contains("silent") && reason.contains("party 3")),
        "{aborts:?}"
    );
    assert!(consortium.get(1).accusations().is_empty());
}

#[test]
fn a_party_that_was_started_again_gives_the_session_up_and_the_next_one_succeeds() {
    let mut consortium = Consortium::new(4, 1, 13);
    consortium.join();
    let committed = |c: &Consortium| {
        let stated = |s: &organtwin_protocol::statement::VerifiedStatement| {
            matches!(
                s.body(),
                Body::StageCommitted {
                    stage: StageName::Bits,
                    ..
                }
            )
        };
        c.parties
            .values()
            .all(|p| p.fold.feed(p.me).iter().any(stated))
    };
    assert!(consortium.run(50, committed));
    let disk = consortium.stop(4);
    consortium.restart(4, disk);
    assert!(consortium.run(100, |c| c.parties.values().all(|p| !p.aborts().is_empty())));
    assert!(
        consortium
            .get(1)
            .aborts()
            .iter()
            .any(|(by, reason)| *by == party(4) && reason.contains("started again"))
    );
    consortium.join();
    assert!(consortium.run(100, |c| c.parties.values().all(|p| p.key.is_some())));
    let first = consortium.get(1).key.as_ref().unwrap().certificate.clone();
    assert!(
        consortium
            .parties
            .values()
            .all(|p| p.key.as_ref().unwrap().certificate == first)
    );
}

#[test]
fn evidence_against_a_pair_names_statements_that_anyone_can_look_up() {
    let mut consortium =
        Consortium::new(4, 1, 11).with_liar(2, ceremony::Lie::Root(StageName::Bits));
    assert!(!consortium.make_key());
    let witness = consortium.get(1);
    let pairs = witness
        .accusations()
        .into_iter()
        .filter_map(|(_, evidence)| match evidence {
            Evidence::Pair {
                statements,
                parties,
            } => Some((statements, parties)),
            _ => None,
        });
    let pairs: Vec<_> = pairs.collect();
    assert!(!pairs.is_empty());
    for (statements, parties) in pairs {
        for (hash, author) in statements.iter().zip(parties) {
            let known = witness
                .fold
                .statements()
                .find(|s| s.hash() == *hash)
                .expect("in the feeds");
            assert_eq!(known.author(), author);
        }
    }
}
