//! Crafted deposits between virtual parties: each is refused with its depositor named, and none shows anything.

use std::collections::BTreeSet;

use organtwin_protocol::admission::{self, Admission};
use organtwin_protocol::digest::Digest;
use organtwin_protocol::fold::{Deposit, RuleBroken};
use organtwin_protocol::statement::{Batch, Body};
use organtwin_protocol::study;
use organtwin_protocol::twin::{TwinEntry, TwinId};
use organtwin_tests::consortium::{Consortium, kidney, party};
use organtwin_tests::liar::deposits::Lie;
use organtwin_tests::party::Craft;
use organtwin_threshold::{AdmissionValue, PartyId};

/// Twins of each hospital.
const EACH: usize = 3;

/// A consortium with a key whose party 2 crafts its deposits, after everyone did what there is to do.
fn deposited(n: u8, t: u8, seed: u64, craft: Option<Craft>) -> Consortium {
    let mut consortium = Consortium::new(n, t, seed);
    assert!(consortium.make_key());
    consortium.get(2).craft = craft;
    consortium.deposit(EACH);
    consortium
}

fn deposits_of(consortium: &Consortium, number: u8) -> Vec<Deposit> {
    let fold = &consortium.parties[&party(1)].fold;
    let all = fold.facts().deposits.values();
    all.filter(|deposit| deposit.twin.depositor == party(number))
        .cloned()
        .collect()
}

/// How many twins of a party have each verdict, by every party's fold alike.
fn verdicts(consortium: &Consortium, number: u8) -> (usize, usize, usize) {
    let counts: BTreeSet<(usize, usize, usize)> = consortium
        .parties
        .values()
        .map(|member| {
            let all = member.fold.facts().deposits.values();
            let of = all.filter(|deposit| deposit.twin.depositor == party(number));
            of.fold((0, 0, 0), |(a, r, d), deposit| {
                match admission::tally(&member.fold, deposit).verdict {
                    Admission::Admitted => (a + 1, r, d),
                    Admission::Refused => (a, r + 1, d),
                    Admission::Disputed(_) => (a, r, d + 1),
                    Admission::Waiting(_) => (a, r, d),
                }
            })
        })
        .collect();
    assert_eq!(counts.len(), 1, "the parties differ");
    counts.into_iter().next().unwrap()
}

fn accused(consortium: &Consortium) -> BTreeSet<Vec<PartyId>> {
    let all = consortium.parties[&party(1)].accusations();
    all.into_iter()
        .map(|(_, evidence)| evidence.accused())
        .collect()
}

/// The slot of the first node of the axis that the patients have a value on, and where its value lies.
fn known_axis(weights: &[i128]) -> (usize, usize, usize) {
    let place = kidney().place("crcl_goti_ml_min").unwrap();
    let node = (place.first..place.missing())
        .find(|slot| weights[*slot] != 0)
        .unwrap();
    (place.first, node, place.missing())
}

/// The slot of the first node of a plane; the patients have no value on it.
fn plane() -> (usize, usize, usize) {
    let schema = kidney();
    let plane = schema
        .planes()
        .iter()
        .find(|plane| plane.first.fraction_bits() > 0 && plane.second.fraction_bits() > 0)
        .unwrap();
    let place = schema.place(&plane.name).unwrap();
    (
        place.first,
        place.missing(),
        usize::from(plane.second.nodes),
    )
}

fn categories() -> (usize, usize) {
    let schema = kidney();
    let axis = schema
        .axes()
        .iter()
        .find(|axis| schema.is_categorical(&axis.name) && axis.nodes > 1)
        .unwrap();
    let place = schema.place(&axis.name).unwrap();
    (place.first, place.missing())
}

#[test]
fn every_crafted_deposit_is_refused_its_depositor_named_and_others_unaffected() {
    // The second twin of party 2 is crafted, the others are as they should be.
    let crafts: [(&str, Craft); 12] = [
        ("a weight too much", |twin, w| {
            let (_, node, _) = known_axis(w);
            w[node] += i128::from(twin == 1);
        }),
        ("1000 beside -984", |twin, w| {
            let (first, _, missing) = known_axis(w);
            if twin == 1 {
                w[first..missing].fill(0);
                (w[first], w[first + 1]) = (1000, -984);
            }
        }),
        ("half the torus", |twin, w| {
            let (_, node, _) = known_axis(w);
            w[node] += i128::from(twin == 1) << 20;
        }),
        ("no neighbours", |twin, w| {
            let (first, _, missing) = known_axis(w);
            if twin == 1 {
                w[first..missing].fill(0);
                (w[first], w[first + 5]) = (12, 4);
                w[missing + 1..missing + 5].copy_from_slice(&[0, 0, 1, 0]);
            }
        }),
        ("two categories", |twin, w| {
            let (first, missing) = categories();
            if twin == 1 {
                (w[first], w[first + 1], w[missing]) = (8, 8, 0);
            }
        }),
        ("wrong fraction bits", |twin, w| {
            let (_, _, missing) = known_axis(w);
            if twin == 1 {
                let bit = &mut w[missing + 1];
                *bit = 1 - *bit;
            }
        }),
        ("a fraction bit of 2", |twin, w| {
            let (_, _, missing) = known_axis(w);
            w[missing + 4] += 2 * i128::from(twin == 1);
        }),
        ("missing beside a weight", |twin, w| {
            let (_, _, missing) = known_axis(w);
            w[missing] += 16 * i128::from(twin == 1);
        }),
        ("nothing at all", |twin, w| {
            if twin == 1 {
                w.fill(0);
            }
        }),
        ("the antidiagonal of a plane", |twin, w| {
            let (first, missing, columns) = plane();
            if twin == 1 {
                (w[first + 1], w[first + columns], w[missing]) = (8, 8, 0);
                w[missing + 4] = 1;
                w[missing + 8] = 1;
            }
        }),
        ("a negative corner of a plane", |twin, w| {
            let (first, missing, columns) = plane();
            if twin == 1 {
                w[missing] = 0;
                (w[first], w[first + columns], w[first + columns + 1]) = (13, -2, 5);
                // The fractions 3 and 5 and their distance 2.
                w[missing + 1..missing + 13].copy_from_slice(&[1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0]);
            }
        }),
        ("another distance of fractions", |twin, w| {
            let (first, missing, columns) = plane();
            if twin == 1 {
                w[missing] = 0;
                (w[first], w[first + columns], w[first + columns + 1]) = (11, 3, 2);
                // The fractions are 5 and 2; their distance is 3, not 1.
                w[missing + 1..missing + 13].copy_from_slice(&[1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0]);
            }
        }),
    ];
    let mut consortium = deposited(4, 1, 71, None);
    assert_eq!(accused(&consortium), BTreeSet::new());
    for (name, craft) in crafts {
        // Later deposits of party 2 use fresh batches of the same consortium.
        consortium.deposit_again(2, EACH, Some(craft));
        let fold = &consortium.parties[&party(1)].fold;
        let newest = fold
            .facts()
            .deposits
            .values()
            .filter(|deposit| deposit.twin.depositor == party(2))
            .map(|deposit| deposit.batch.number)
            .max();
        let of_newest: Vec<Deposit> = deposits_of(&consortium, 2)
            .into_iter()
            .filter(|deposit| Some(deposit.batch.number) == newest)
            .collect();
        let refused: Vec<u32> = of_newest
            .iter()
            .filter(|deposit| admission::tally(fold, deposit).verdict == Admission::Refused)
            .map(|deposit| deposit.first_slot)
            .collect();
        let admitted = of_newest
            .iter()
            .filter(|deposit| admission::tally(fold, deposit).verdict == Admission::Admitted);
        assert_eq!(admitted.count(), EACH - 1, "{name}");
        assert_eq!(refused, [of_newest[0].slots], "{name}: the second twin");
    }
    for number in [1, 3, 4] {
        assert_eq!(verdicts(&consortium, number), (EACH, 0, 0));
    }
    assert_eq!(accused(&consortium), BTreeSet::from([vec![party(2)]]));
    // A refused twin is in no study, and studies of the others go on.
    let fold = &consortium.parties[&party(1)].fold;
    let schema = Digest::new(kidney().digest());
    let eligible = study::eligible_twins(fold, &fold.heads(), &schema);
    assert_eq!(eligible.len(), 4 * EACH + crafts.len() * (EACH - 1));
}

#[test]
fn a_study_after_a_refused_deposit_equals_the_clear_without_it() {
    let mut consortium = deposited(
        4,
        1,
        72,
        Some(|twin, w| {
            if twin == 1 {
                w.fill(0);
            }
        }),
    );
    assert_eq!(verdicts(&consortium, 2), (EACH - 1, 1, 0));
    consortium.patients.get_mut(&party(2)).unwrap().remove(1);
    let id = consortium.propose(3);
    consortium.approve(id, &[1, 3, 4]);
    assert!(consortium.open(&id, &[]));
    let clear = consortium.in_the_clear(&id);
    for values in consortium.results(&id).values() {
        assert_eq!(values.as_ref(), Some(&clear));
    }
    assert_eq!(accused(&consortium), BTreeSet::from([vec![party(2)]]));
}

#[test]
fn a_lying_member_is_named_and_twins_of_honest_depositors_outside_the_pair_are_admitted() {
    // Party 2 states a wrong value of its first group, {1,2}.
    let mut consortium = Consortium::new(4, 1, 73).with_liar(2, Lie::Check);
    assert!(consortium.make_key());
    consortium.deposit(EACH);
    assert_eq!(verdicts(&consortium, 3), (EACH, 0, 0));
    assert_eq!(verdicts(&consortium, 4), (EACH, 0, 0));
    // Where the depositor is in the pair nobody can decide.
    assert_eq!(verdicts(&consortium, 1), (0, 0, EACH));
    assert_eq!(verdicts(&consortium, 2), (0, 0, EACH));
    let honest = consortium.parties[&party(1)].accusations();
    let honest: BTreeSet<Vec<PartyId>> = honest
        .into_iter()
        .filter(|(author, _)| *author != party(2))
        .map(|(_, evidence)| evidence.accused())
        .collect();
    assert!(honest.contains(&vec![party(2)]));
    assert!(honest.iter().all(|parties| parties.contains(&party(2))));
}

#[test]
fn a_passive_committee_of_three_admits_and_refuses_by_the_word_of_all() {
    let consortium = deposited(
        3,
        1,
        74,
        Some(|twin, w| {
            let (_, node, _) = known_axis(w);
            w[node] += i128::from(twin == 0);
        }),
    );
    assert_eq!(verdicts(&consortium, 1), (EACH, 0, 0));
    assert_eq!(verdicts(&consortium, 2), (EACH - 1, 1, 0));
    assert_eq!(accused(&consortium), BTreeSet::from([vec![party(2)]]));
}

/// What an oracle shows: for every deposit the values that the others state, however the deposits adapt to them, are
/// those that the depositor computes itself from the subseeds of its own batch. So they show no bit of the key.
#[test]
fn the_admission_oracle_tells_a_depositor_only_what_it_knows() {
    let consortium = deposited(
        4,
        1,
        75,
        // Every twin asks something else: bits of the published values go into the weights.
        Some(|twin, w| {
            for (slot, weight) in w.iter_mut().enumerate() {
                *weight = (1 << (slot % 120)) - (twin as i128 * 7919) * slot as i128;
            }
        }),
    );
    assert_eq!(verdicts(&consortium, 2), (0, EACH, 0));
    let depositor = &consortium.parties[&party(2)];
    let roster = &consortium.roster;
    let mut answers = 0;
    for deposit in deposits_of(&consortium, 2) {
        // Only the depositor's subseeds enter here, no key piece and no live seed of another.
        let known: Vec<AdmissionValue> = depositor.check_values(&deposit).unwrap();
        assert_eq!(known.len(), admission::all_groups(roster));
        let stated = &depositor.fold.facts().checks[&(deposit.statement, deposit.twin.id)];
        for (author, checked) in stated.iter().filter(|(author, _)| **author != party(2)) {
            for (group, value) in admission::own_groups(roster, *author).zip(&checked.values) {
                assert_eq!(known[group], *value);
                answers += 1;
            }
        }
    }
    assert_eq!(answers, EACH * 9);
}

/// A deposit cannot choose the mask of a ciphertext: whatever is published, it decrypts to the published number plus
/// the pad, whichever key it is. So a crafted deposit recovers no bit, even from a decryption that nobody would make.
#[test]
fn a_crafted_deposit_is_an_encryption_of_what_its_depositor_knows() {
    let consortium = deposited(
        4,
        1,
        76,
        Some(|_, w| {
            for (slot, weight) in w.iter_mut().enumerate() {
                *weight = (slot as i128) << 100 | ((slot as i128 % 2) << 20);
            }
        }),
    );
    let deposit = deposits_of(&consortium, 2).remove(0);
    let share = |number: u8| {
        let key = consortium.parties[&party(number)].key.as_ref();
        key.unwrap().share.as_ref().unwrap()
    };
    let mut key = vec![0u64; share(1).params().glwe_size()];
    for piece in consortium.roster.committee().pieces() {
        let holder = (1..=4)
            .find(|number| piece.is_held_by(party(*number)))
            .unwrap();
        let bits = share(holder).glwe_piece(*piece).unwrap();
        key.iter_mut()
            .zip(bits)
            .for_each(|(sum, bit)| *sum = sum.wrapping_add(*bit));
    }
    assert!(key.iter().all(|bit| *bit <= 1) && key.contains(&0) && key.contains(&1));
    let (bodies, words) = consortium.parties[&party(1)].inputs(&deposit).unwrap();
    let ciphertexts = bodies.ciphertexts(deposit.first_slot, &words).unwrap();
    for (slot, ciphertext) in ciphertexts.iter().enumerate() {
        let words: &[u64] = ciphertext.as_ref();
        let (body, mask) = words.split_last().unwrap();
        let product = mask
            .iter()
            .zip(&key)
            .fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
        // The weight modulo 2^21 at 2^43, and noise.
        let known = ((slot as u64 % 2) << 20) << 43;
        let rest = body.wrapping_sub(product).wrapping_sub(known).cast_signed();
        assert!(rest.abs() < 1 << 40, "slot {slot}: {rest}");
    }
    assert_eq!(verdicts(&consortium, 2), (0, EACH, 0));
    assert_eq!(consortium.partial_decryptions(), 0);
}

#[test]
fn a_slot_is_never_used_twice_not_even_after_a_restart() {
    let mut consortium = deposited(4, 1, 77, None);
    let known = deposits_of(&consortium, 2);
    let (batch, taken) = (known[0].batch, known[0].clone());
    let free = known.iter().map(|d| d.first_slot + d.slots).max().unwrap();
    let say = |consortium: &mut Consortium, batch: Batch, entry: TwinEntry| {
        let body = Body::TwinsDeposited {
            schema: taken.schema,
            organ: taken.organ.clone(),
            batch,
            twins: vec![entry],
        };
        let now_ms = consortium.now_ms;
        consortium.get(2).say(now_ms, body)
    };
    let entry = |id: u8, first_slot: u32, slots: u32| TwinEntry {
        id: TwinId::from_bytes([id; 16]),
        digest: taken.twin.digest,
        first_slot,
        slots,
    };
    let rule = |refused: Result<(), organtwin_protocol::fold::Refusal>| match refused {
        Err(organtwin_protocol::fold::Refusal::RuleBroken { rule, .. }) => rule,
        other => panic!("expected a broken rule, got {other:?}"),
    };
    // Overlap at either end, the same slots under another name, and the very same deposit again.
    for (first, slots) in [
        (taken.first_slot, taken.slots),
        (taken.first_slot + 1, 1),
        (free - 1, 2),
    ] {
        let refused = say(&mut consortium, batch, entry(9, first, slots));
        assert!(matches!(rule(refused), RuleBroken::Slots { .. }));
    }
    let again = TwinEntry {
        id: taken.twin.id,
        ..entry(0, free, 1)
    };
    let refused = say(&mut consortium, batch, again);
    assert!(matches!(rule(refused), RuleBroken::Already(_)));
    // A batch that was never asked for has no masks at all.
    let foreign = Batch { number: 9, ..batch };
    let refused = say(&mut consortium, foreign, entry(9, 0, 1));
    assert!(matches!(rule(refused), RuleBroken::Batch { .. }));

    // A party that stops between its deposit and its check states the same bytes when it is back.
    let before = consortium.get(3).check_values(&taken).unwrap();
    let disk = consortium.stop(3);
    consortium.restart(3, disk);
    assert_eq!(consortium.get(3).check_values(&taken), Some(before));
    assert!(consortium.run(30, |c| c.parties.values().all(|p| p.refused.is_empty())));
    assert_eq!(consortium.get(1).fold.equivocations().count(), 0);
}

/// A "twin" whose bytes are ciphertexts that its depositor made is never checked, acknowledged or computed on.
#[test]
fn a_ciphertext_that_did_not_come_through_input_masks_is_never_an_input() {
    let mut consortium = deposited(4, 1, 78, None);
    let known = deposits_of(&consortium, 2);
    let free = known.iter().map(|d| d.first_slot + d.slots).max().unwrap();
    let lwe_words = consortium
        .get(2)
        .key
        .as_ref()
        .unwrap()
        .share
        .as_ref()
        .unwrap()
        .params()
        .glwe_size()
        + 1;
    let now_ms = consortium.now_ms;
    let polynomial = consortium
        .get(2)
        .key
        .as_ref()
        .unwrap()
        .share
        .as_ref()
        .unwrap()
        .params()
        .polynomial_size();
    let slots = u32::from(known[0].batch.polynomials) * u32::try_from(polynomial).unwrap() - free;
    let forged = consortium.get(2).keep(vec![0x5a; lwe_words * 8]);
    let entry = TwinEntry {
        id: TwinId::from_bytes([9; 16]),
        digest: forged,
        first_slot: free,
        slots: slots.max(1),
    };
    let body = Body::TwinsDeposited {
        schema: known[0].schema,
        organ: "kidney".into(),
        batch: known[0].batch,
        twins: vec![entry],
    };
    // It may say so, if its batch has a slot left; nobody takes it for a twin.
    if consortium.get(2).say(now_ms, body).is_ok() {
        consortium.run(30, |_| false);
        assert_eq!(verdicts(&consortium, 2), (EACH, 0, 0));
        let fold = &consortium.get(1).fold;
        let schema = Digest::new(kidney().digest());
        let eligible = study::eligible_twins(fold, &fold.heads(), &schema);
        assert!(eligible.iter().all(|twin| twin.digest != forged));
        assert_eq!(eligible.len(), 4 * EACH);
    }
}
