//! Liars in the evaluation of a study and in the opening of its result: what comes out, and who is named.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::Body;
use organtwin_protocol::study::Study;
use organtwin_protocol::transcript::StudyStore;
use organtwin_protocol::{tally, verify};
use organtwin_tests::consortium::{Consortium, party};
use organtwin_tests::liar::{Lie, decryption, evaluation, network};
use organtwin_threshold::{PartyId, PieceId, SquashedBlocks, recombine};

fn ready(n: u8, t: u8, seed: u64, liars: &[(u8, Lie)]) -> Consortium {
    let mut consortium = Consortium::new(n, t, seed);
    for (number, lie) in liars {
        consortium = consortium.with_liar(*number, *lie);
    }
    assert!(consortium.make_key(), "{:?}", consortium.get(1).aborts());
    assert!(consortium.deposit(3), "the twins did not arrive");
    consortium
}

fn study(consortium: &mut Consortium, quorum: u8) -> Digest {
    let id = consortium.propose(quorum);
    let all: Vec<u8> = (1..=quorum).collect();
    consortium.approve(id, &all);
    id
}

/// Whom the statements of honest parties accuse, and whom an auditor names; the audit must pass.
fn named(consortium: &mut Consortium, id: &Digest, liars: &[u8]) -> BTreeSet<PartyId> {
    consortium.run(5, |_| false);
    let witness = consortium.get(1);
    let accusations = witness.accusations();
    let by_honest = accusations
        .iter()
        .filter(|(author, _)| !liars.contains(&author.get()));
    let named: BTreeSet<PartyId> = by_honest.flat_map(|(_, e)| e.accused()).collect();
    let transcript = witness.transcript(Some(*id)).unwrap();
    let report = verify::verify_bytes(&transcript.encode().unwrap());
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let details = report.checks.iter().map(|check| check.detail.as_str());
    let details = details.collect::<Vec<_>>().join("\n");
    for party in &named {
        assert!(
            details.contains(&format!("party {party}")),
            "{party} is not in:\n{details}"
        );
    }
    named
}

fn everyone_got_it(consortium: &Consortium, id: &Digest, liars: &[u8]) {
    let clear = consortium.in_the_clear(id);
    for (number, values) in consortium.results(id) {
        if !liars.contains(&number.get()) {
            assert_eq!(values.as_ref(), Some(&clear), "party {number}");
        }
    }
}

#[test]
fn one_liar_of_four_changes_no_result_and_is_named_alone() {
    let cases: [(Lie, bool); 9] = [
        (decryption::Lie::AllPieces.into(), true),
        (decryption::Lie::OnePiece.into(), true),
        (decryption::Lie::OneBlock.into(), true),
        (decryption::Lie::Absent.into(), false),
        (evaluation::Lie::Shard.into(), true),
        (evaluation::Lie::Inputs.into(), true),
        (evaluation::Lie::Aggregate.into(), true),
        (network::Lie::OtherBlob.into(), false),
        (network::Lie::NoBlob.into(), false),
    ];
    for (lie, caught) in cases {
        // It keeps nothing back of its own deposits: those would only be missing from the study.
        let mut consortium = ready(4, 1, 51, &[]);
        consortium.get(2).liar.learn(lie);
        let id = study(&mut consortium, 3);
        assert!(consortium.open(&id, &[2]), "{lie:?}");
        everyone_got_it(&consortium, &id, &[2]);
        let expected: BTreeSet<PartyId> = caught.then(|| party(2)).into_iter().collect();
        assert_eq!(named(&mut consortium, &id, &[2]), expected, "{lie:?}");
    }
}

#[test]
fn a_shard_that_two_parties_evaluate_differently_is_evaluated_once_more_and_the_liar_named() {
    for lie in [evaluation::Lie::Shard, evaluation::Lie::Inputs] {
        let mut consortium = ready(4, 1, 52, &[(3, lie.into())]);
        let id = study(&mut consortium, 3);
        assert!(consortium.open(&id, &[3]));
        let witness = &consortium.parties[&party(1)];
        let list = witness.twin_list(&id).unwrap();
        let facts = witness.fold.facts().study(&id).unwrap();
        let mut disputed = 0;
        for shard in organtwin_protocol::shard::shards(&id, &list) {
            let tally = tally::shard(witness.fold.roster(), facts, &shard);
            assert!(tally.agreeing.len() >= 2 && !tally.agreeing.contains(&party(3)));
            if tally.claims > tally.equal {
                disputed += 1;
                assert!(
                    tally.claims >= 3,
                    "nobody else evaluated the disputed shard"
                );
            }
        }
        assert!(disputed > 0, "the liar had no shard to evaluate");
    }
}

#[test]
fn a_liar_and_an_absent_party_of_four_open_nothing_and_it_is_said_who_is_missing() {
    let lies: [(u8, Lie); 2] = [
        (2, decryption::Lie::AllPieces.into()),
        (4, decryption::Lie::Absent.into()),
    ];
    let mut consortium = ready(4, 1, 53, &lies);
    let id = study(&mut consortium, 3);
    assert!(!consortium.open(&id, &[2]));
    assert!(consortium.results(&id).values().all(Option::is_none));
    let fold = &consortium.get(1).fold;
    let found = Study::find(fold, &id).unwrap();
    let agreed = found.aggregate().expect("an aggregate");
    assert_eq!(tally::awaited(&found, &agreed), [party(4)]);
    // Two values against one would name the liar; one against one names nobody.
    let accused = consortium.get(1).accusations();
    assert!(
        accused
            .iter()
            .all(|(_, e)| e.accused() != [party(1)] && e.accused() != [party(3)])
    );
}

#[test]
fn a_liar_and_an_absent_party_of_seven_change_nothing() {
    let lies: [(u8, Lie); 2] = [
        (2, decryption::Lie::OnePiece.into()),
        (6, decryption::Lie::Absent.into()),
    ];
    let mut consortium = ready(7, 2, 54, &lies);
    let id = study(&mut consortium, 5);
    assert!(consortium.open(&id, &[2, 6]));
    everyone_got_it(&consortium, &id, &[2, 6]);
    assert_eq!(
        named(&mut consortium, &id, &[2, 6]),
        BTreeSet::from([party(2)])
    );
}

#[test]
fn one_absent_party_of_three_keeps_the_result_closed_and_is_awaited() {
    let mut consortium = ready(3, 1, 55, &[(2, decryption::Lie::Absent.into())]);
    let id = study(&mut consortium, 3);
    assert!(!consortium.open(&id, &[2]));
    assert!(consortium.results(&id).values().all(Option::is_none));
    let fold = &consortium.get(1).fold;
    let found = Study::find(fold, &id).unwrap();
    let agreed = found.aggregate().expect("an aggregate");
    assert_eq!(tally::awaited(&found, &agreed), [party(2)]);
    assert!(consortium.get(1).accusations().is_empty());
}

#[test]
fn a_party_asked_again_gives_the_same_bytes_and_no_second_statement() {
    let mut consortium = ready(4, 1, 56, &[]);
    let id = study(&mut consortium, 3);
    assert!(consortium.open(&id, &[]));
    let released = |c: &Consortium, number: u8| -> Vec<Body> {
        let feed = c.parties[&party(1)].fold.feed(party(number)).iter();
        feed.map(|s| s.body().clone())
            .filter(|body| matches!(body, Body::PartialDecryption { .. }))
            .collect()
    };
    let before = released(&consortium, 3);
    assert!(!before.is_empty());
    let first = consortium.get(3).values_of(&id);
    // From its disk it derives nothing anew, and its values are the same.
    let disk = consortium.stop(3);
    consortium.restart(3, disk);
    assert_eq!(consortium.get(3).values_of(&id), first);
    consortium.run(10, |_| false);
    assert_eq!(released(&consortium, 3), before);
    // The statement of the same blocks once more is refused by everyone's rules, its own included.
    let now_ms = consortium.now_ms;
    assert!(consortium.get(3).say(now_ms, before[0].clone()).is_err());
}

/// How many key bits one crafted aggregate asks for.
const BITS: usize = 16;

/// Squashed bytes whose block i is the ciphertext (-2^123 * e_i, 0): it decrypts to the key bit s_i.
fn crafted(lwe_size: usize) -> Vec<u8> {
    let words = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let mut bytes = [words(BITS), words(lwe_size)].concat();
    for block in 0..BITS {
        for word in 0..lwe_size {
            let value = if word == block {
                (1u128 << 123).wrapping_neg()
            } else {
                0
            };
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

/// A party claims to have derived an aggregate that it crafted, and asks the others to open it.
#[test]
fn a_crafted_aggregate_would_open_to_key_bits_and_honest_parties_open_nothing_of_it() {
    // The liar states the crafted digest instead of the one that it derived.
    let params = organtwin_threshold::ParameterSet::toy().unwrap();
    let lwe_size = params.squashing_size() + 1;
    let bytes = crafted(lwe_size);
    let digest = SquashedBlocks::from_bytes(&bytes, lwe_size)
        .unwrap()
        .digest();
    let mut consortium = ready(4, 1, 57, &[(2, evaluation::Lie::Crafted(digest).into())]);
    let committee = consortium.roster.committee().clone();
    let id = study(&mut consortium, 3);
    assert!(consortium.open(&id, &[2]));
    everyone_got_it(&consortium, &id, &[2]);
    consortium.run(5, |_| false);

    // What opening it would have shown, with the record of its derivation forged in every share's hands.
    let forged = SquashedBlocks::restore(&bytes, lwe_size, digest).unwrap();
    let mut all: BTreeMap<PieceId, Vec<u128>> = BTreeMap::new();
    let mut key = vec![0u128; BITS];
    for member in consortium.parties.values() {
        let share = member.key.as_ref().unwrap().share.as_ref().unwrap();
        for (piece, values) in share.partial_decrypt(share.epoch(), &forged).unwrap() {
            if all.insert(piece, values).is_none() {
                let bits = share.squashing_piece(piece).unwrap();
                for (sum, bit) in key.iter_mut().zip(bits) {
                    *sum = sum.wrapping_add(*bit);
                }
            }
        }
    }
    let opened = recombine(&committee, &forged, &all).unwrap();
    let stolen: Vec<u128> = opened.iter().map(|value| u128::from(*value & 1)).collect();
    assert_eq!(
        stolen, key,
        "the crafted aggregate does not show what it should warn of"
    );
    assert!(key.contains(&0) && key.contains(&1));

    // What the liar has: its own pieces' values, and what the others said. No honest statement names its aggregate.
    let witness = consortium.get(1);
    let mut claimed = 0;
    for statement in witness.fold.statements() {
        match statement.body() {
            Body::PartialDecryption { squashed, .. } => assert_ne!(*squashed, digest),
            Body::AggregateDerived { squashed, .. } if *squashed == digest => claimed += 1,
            _ => {}
        }
    }
    assert_eq!(claimed, 1, "the liar's claim is there for all to see");
    let liar = &consortium.parties[&party(2)];
    let share = liar.key.as_ref().unwrap().share.as_ref().unwrap();
    let own: BTreeMap<PieceId, Vec<u128>> = share
        .partial_decrypt(share.epoch(), &forged)
        .unwrap()
        .into_iter()
        .collect();
    assert!(
        recombine(&committee, &forged, &own).is_err(),
        "t parties must not open anything"
    );
    // With a guess for what it lacks, a bit is as likely wrong as right: the flooding of the missing piece hides it.
    let honest = consortium.parties[&party(1)]
        .key
        .as_ref()
        .unwrap()
        .share
        .as_ref()
        .unwrap();
    let received = SquashedBlocks::from_bytes(&bytes, lwe_size).unwrap();
    assert!(
        honest.partial_decrypt(honest.epoch(), &received).is_err(),
        "bytes of a peer are never decrypted"
    );
    assert_eq!(
        named(&mut consortium, &id, &[2]),
        BTreeSet::from([party(2)])
    );
}
