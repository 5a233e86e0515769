use std::collections::BTreeSet;

use super::*;
use crate::committee::Passive;
use crate::dealt::{Dealt, deal};
use crate::inputs::InputPad;
use crate::params::ParameterSet;
use crate::party::PartyId;

const BATCH: BatchId = BatchId {
    epoch: 0,
    hospital: PartyId::new(2).unwrap(),
    number: 5,
    polynomials: 1,
};

const NODES: usize = 6;

fn committee(n: u8, t: u8) -> Committee {
    Committee::new(n, t, Passive::Allow).unwrap()
}

/// Shares of the same seeds whatever the key is.
fn dealt(n: u8, t: u8, key: u64) -> Dealt {
    let params = ParameterSet::production().unwrap();
    let bits = vec![key; 2048];
    let wide = vec![u128::from(key); 4096];
    deal(&committee(n, t), params, &bits, &wide, &Seed::new([n; 32])).unwrap()
}

fn subseeds(dealt: &Dealt) -> BTreeMap<PieceId, Secret<[u8; 32]>> {
    let pieces = dealt.info.committee.pieces().iter();
    pieces
        .map(|piece| {
            let mut given = dealt
                .shares
                .iter()
                .filter_map(|share| share.batch_subseed(&BATCH, *piece));
            (*piece, given.next().unwrap())
        })
        .collect()
}

/// Publishes weights of any size and sign under the pads of the batch.
fn publish(dealt: &Dealt, first_slot: u32, weights: &[i128]) -> Vec<u128> {
    let mut pad = InputPad::new(&dealt.info, BATCH, subseeds(dealt), first_slot).unwrap();
    let range = pad.reserve(weights.len()).unwrap();
    let pads = pad.encrypt(range, &vec![0; weights.len()]).unwrap();
    let values = pads.iter().zip(weights);
    values
        .map(|(pad, weight)| pad.wrapping_add(weight.cast_unsigned()))
        .collect()
}

fn deposited(first_slot: u32, published: &[u128], statement: u8) -> Deposited {
    let bytes: Vec<u8> = published
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    Deposited {
        batch: BATCH,
        first_slot,
        twin: Digest::new(*blake3::hash(&bytes).as_bytes()),
        statement: Digest::new([statement; 32]),
    }
}

/// What every group computes; its members must agree, and so must the hospital.
fn opened(
    dealt: &Dealt,
    rules: &Rules,
    deposited: &Deposited,
    published: &[u128],
) -> Vec<AdmissionValue> {
    let committee = &dealt.info.committee;
    let hospital = Checker::hospital(committee, BATCH, subseeds(dealt)).unwrap();
    let all = hospital.values(rules, deposited, published).unwrap();
    assert_eq!(all.len(), committee.family(Family::Quad).len());
    for share in &dealt.shares {
        let checker = Checker::member(share, BATCH).unwrap();
        let values = checker.values(rules, deposited, published).unwrap();
        assert_eq!(values.len(), checker.groups().len());
        for (group, value) in checker.groups().iter().zip(values) {
            assert_eq!(all[*group], value, "party {} group {group}", share.me());
        }
    }
    all
}

fn sum(values: &[AdmissionValue]) -> AdmissionValue {
    values
        .iter()
        .fold(AdmissionValue::default(), |sum, value| sum.plus(*value))
}

/// One continuous axis of six nodes, `missing` and four fraction bits.
fn axis() -> Rules {
    let bits = NODES + 1;
    let mut squares = Form {
        products: (0..=NODES).map(|slot| (slot, slot, 1)).collect(),
        linear: (0..4).map(|bit| (bits + bit, 32 << bit)).collect(),
        constant: -256,
    };
    for a in 0..4 {
        squares.products.push((bits + a, bits + a, -2 << (2 * a)));
        for b in a + 1..4 {
            squares.products.push((bits + a, bits + b, -4 << (a + b)));
        }
    }
    let sum = Form {
        products: Vec::new(),
        linear: (0..=NODES).map(|slot| (slot, 1)).collect(),
        constant: -16,
    };
    let bit = |bit: usize| Form {
        products: vec![(bit, bit, 1)],
        linear: vec![(bit, -1)],
        constant: 0,
    };
    let mut forms = vec![sum, squares];
    forms.extend((bits..bits + 4).map(bit));
    let apart = Apart {
        first: 0,
        count: NODES + 1,
        together: (1..NODES).map(|node| (node - 1, node)).collect(),
    };
    Rules::new(NODES + 5, vec![apart], forms).unwrap()
}

/// The value 2 + 5/16.
const HONEST: [i128; NODES + 5] = [0, 0, 11, 5, 0, 0, 0, 1, 0, 1, 0];

fn changed(slots: &[(usize, i128)]) -> Vec<i128> {
    let mut weights = HONEST.to_vec();
    for (slot, weight) in slots {
        weights[*slot] = *weight;
    }
    weights
}

#[test]
fn the_groups_open_zero_for_an_honest_twin_and_only_for_one() {
    for (n, t) in [(3, 1), (4, 1), (5, 1), (7, 2)] {
        let dealt = dealt(n, t, 1);
        let rules = axis();
        let missing = [0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0];
        for weights in [HONEST, missing] {
            let published = publish(&dealt, 100, &weights);
            let values = opened(&dealt, &rules, &deposited(100, &published, 1), &published);
            assert!(sum(&values).is_zero(), "({n},{t})");
        }
    }
    let dealt = dealt(4, 1, 1);
    let deviations: [&[(usize, i128)]; 9] = [
        &[(3, 6)],
        &[(2, 1000), (3, -984)],
        &[(2, 12), (3, 4)],
        &[(3, 0), (4, 5)],
        &[(1, 5), (2, 6)],
        &[(2, 0), (6, 11)],
        &[(2, 0), (3, 0), (6, 16)],
        &[(7, 5), (9, 0)],
        &[(2, 11 + (1 << 63)), (3, 5 - (1 << 63))],
    ];
    for slots in deviations {
        let published = publish(&dealt, 0, &changed(slots));
        let values = opened(&dealt, &axis(), &deposited(0, &published, 1), &published);
        let sum = sum(&values);
        assert!(sum.0.iter().all(|value| *value != 0), "{slots:?}");
    }
}

#[test]
fn what_is_opened_is_the_combination_of_the_equations_and_the_weights_alone() {
    let rules = axis();
    let weights = changed(&[(0, -7), (4, 1 << 70), (6, 3), (10, 9)]);
    let clear: Vec<u128> = weights.iter().map(|w| w.cast_unsigned()).collect();
    for (n, t) in [(4, 1), (7, 2)] {
        let dealt = dealt(n, t, 1);
        let published = publish(&dealt, 0, &weights);
        let deposited = deposited(0, &published, 1);
        let opened = sum(&opened(&dealt, &rules, &deposited, &published));
        let coefficients = rules.coefficients(&deposited.label("organtwin/admission-coefficients"));
        let expected = [
            coefficients.constant(),
            coefficients.linear(&clear),
            coefficients.products(&clear, &clear),
        ];
        let expected = expected
            .into_iter()
            .fold(AdmissionValue::default(), |sum, terms| {
                sum.plus(AdmissionValue(terms))
            });
        assert_eq!(opened, expected, "({n},{t})");
    }
}

#[test]
fn the_same_twin_gives_the_same_bytes_and_every_other_deposit_other_masks() {
    let dealt = dealt(4, 1, 1);
    let rules = axis();
    let published = publish(&dealt, 0, &HONEST);
    let first = deposited(0, &published, 1);
    let values = opened(&dealt, &rules, &first, &published);
    assert_eq!(values, opened(&dealt, &rules, &first, &published));
    // Under another statement, digest or place even the values of single groups have nothing in common.
    let mut seen: BTreeSet<AdmissionValue> = values.into_iter().collect();
    let others = [
        deposited(0, &published, 2),
        Deposited {
            twin: Digest::new([9; 32]),
            ..first
        },
        deposited(1, &published, 1),
    ];
    for other in others {
        for value in opened(&dealt, &rules, &other, &published) {
            assert!(seen.insert(value));
        }
    }
}

/// A depositor that adapts every deposit to all that was opened before sees nothing that depends on the key:
/// under two keys that have only the seeds in common, every byte is the same, and it could have computed it itself.
#[test]
fn an_adaptive_depositor_sees_the_same_whatever_the_key_is() {
    let rules = axis();
    let worlds = [dealt(4, 1, 0), dealt(4, 1, 1)];
    assert_ne!(
        worlds[0].shares[0].glwe_piece(*committee(4, 1).pieces().last().unwrap()),
        worlds[1].shares[0].glwe_piece(*committee(4, 1).pieces().last().unwrap())
    );
    let mut views = Vec::new();
    for world in &worlds {
        let mut seen: Vec<u8> = Vec::new();
        for round in 0..64u32 {
            // The next question depends on every answer so far.
            let mut question =
                Seed::new(*blake3::hash(&seen).as_bytes()).stream(&Label::new("ask"));
            let published: Vec<u128> = (0..rules.slots()).map(|_| question.next_u128()).collect();
            let deposited = deposited(round * 16, &published, 1);
            // `opened` asserts that the hospital computes every group's value without any key share.
            for value in opened(world, &rules, &deposited, &published) {
                seen.extend(value.to_bytes());
            }
        }
        views.push(seen);
    }
    assert_eq!(views[0], views[1]);
}

/// The pads of a piece that a coalition lacks change every value that it sees, but never their sum.
#[test]
fn a_coalition_sees_only_the_sum() {
    let dealt = dealt(7, 2, 1);
    let rules = axis();
    let committee = &dealt.info.committee;
    for missing in committee.pieces().iter().step_by(5) {
        let world = |salt: u8| {
            let mut seeds = subseeds(&dealt);
            if salt > 0 {
                seeds.insert(*missing, Secret::new([salt; 32]));
            }
            // The same published values: the weights behind them differ by what the coalition does not know.
            let published: Vec<u128> = (0..rules.slots() as u128).collect();
            let deposited = deposited(0, &published, 1);
            Checker::hospital(committee, BATCH, seeds)
                .unwrap()
                .values(&rules, &deposited, &published)
                .unwrap()
        };
        let (one, other) = (world(0), world(1));
        let family = committee.family(Family::Quad);
        for ((group, a), b) in family.iter().zip(&one).zip(&other) {
            assert_eq!(a != b, missing.is_held_by_all(*group));
        }
    }
}

#[test]
fn twins_of_another_batch_epoch_or_size_are_refused() {
    let dealt = dealt(4, 1, 1);
    let rules = axis();
    let checker = Checker::member(&dealt.shares[0], BATCH).unwrap();
    let published = publish(&dealt, 0, &HONEST);
    let good = deposited(0, &published, 1);
    let other = Deposited {
        batch: BatchId { number: 6, ..BATCH },
        ..good
    };
    assert_eq!(
        checker.values(&rules, &other, &published),
        Err(AdmissionError::Input(InputError::OtherBatch))
    );
    assert_eq!(
        checker.values(&rules, &good, &published[1..]),
        Err(AdmissionError::Slots {
            expected: 11,
            got: 10
        })
    );
    let late = BatchId { epoch: 1, ..BATCH };
    assert!(matches!(
        Checker::member(&dealt.shares[0], late),
        Err(AdmissionError::Input(InputError::Epoch { .. }))
    ));
    let mut few = subseeds(&dealt);
    few.pop_first();
    assert!(matches!(
        Checker::hospital(&dealt.info.committee, BATCH, few),
        Err(AdmissionError::Input(InputError::Incomplete {
            expected: 4,
            got: 3,
            ..
        }))
    ));
}

#[test]
fn rules_about_slots_that_a_twin_lacks_are_refused() {
    let apart = |first, count, together| Apart {
        first,
        count,
        together,
    };
    let product = |a, b| Form {
        products: vec![(a, b, 1)],
        ..Form::default()
    };
    assert!(Rules::new(4, vec![apart(0, 4, vec![(0, 3)])], vec![product(0, 3)]).is_ok());
    for rules in [
        Rules::new(4, vec![apart(1, 4, vec![])], vec![]),
        Rules::new(4, vec![apart(1, 2, vec![(0, 2)])], vec![]),
        Rules::new(4, vec![apart(0, 4, vec![(2, 2)])], vec![]),
        Rules::new(4, vec![apart(0, 3, vec![(2, 3)])], vec![]),
        Rules::new(4, vec![], vec![product(0, 4)]),
        Rules::new(
            4,
            vec![],
            vec![Form {
                linear: vec![(4, 1)],
                ..Form::default()
            }],
        ),
        Rules::new(1 << 20, vec![], vec![]),
    ] {
        assert!(rules.is_err());
    }
}
