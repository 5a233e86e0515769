//! The encrypted evaluator against the clear one: random programs at small insecure parameters, and the vancomycin
//! study at the real ones.

mod common;
#[path = "../src/circuit/tests/programs.rs"]
mod programs;

use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use organtwin_simulations::{
    Axis, EvaluateError, Features, HistogramSpec, NoiseModel, Plan, PlanContext, PlanError, Plane,
    Program, Scale, Schema, ShardOutput, StudyResult, StudySpec, Weights, clear, encode,
    evaluate_shard, finish,
    machine::MachineError,
    measure::{OwnKey, vancomycin_study},
    one, plan,
    program::{self, BitTerm, Cell, Op, Row, RowKind, TableOn, Total, TotalOf},
};
use proptest::prelude::*;
use tfhe::shortint::ClassicPBSParameters;

use common::{REAL, TINY};

static KEY: LazyLock<OwnKey> = LazyLock::new(|| OwnKey::generate(TINY).unwrap());

type Twins = BTreeMap<u8, Vec<Weights>>;

fn context(parameters: &ClassicPBSParameters, twins: &Twins) -> PlanContext {
    PlanContext {
        hospitals: twins
            .iter()
            .map(|(hospital, own)| (*hospital, own.len()))
            .collect(),
        parties: 4,
        threshold: 1,
        noise: NoiseModel::new(parameters, 1, 1),
        seconds_per_bootstrap: 0.02,
        cores: 2,
    }
}

fn counted_shards(
    key: &OwnKey,
    plan: &Plan,
    twins: &Twins,
) -> (BTreeMap<u8, Vec<ShardOutput>>, u64) {
    let cancel = AtomicBool::new(false);
    let mut bootstraps = 0;
    let outputs = twins
        .iter()
        .map(|(hospital, own)| {
            let outputs = own
                .chunks(31)
                .map(|shard| {
                    let reported = AtomicU64::new(0);
                    let progress = |done| {
                        reported.fetch_max(done, Ordering::Relaxed);
                    };
                    let shard: Vec<_> = shard.iter().map(|twin| key.encrypt_twin(twin)).collect();
                    let output =
                        evaluate_shard(key.engine(), plan, &shard, &progress, &cancel).unwrap();
                    bootstraps += reported.into_inner();
                    // Through the wire form, as a peer would get it.
                    let copy = ShardOutput::from_bytes(&output.to_bytes(), plan).unwrap();
                    assert!(copy == output && copy.digest() == output.digest());
                    copy
                })
                .collect();
            (*hospital, outputs)
        })
        .collect();
    (outputs, bootstraps)
}

fn shards(key: &OwnKey, plan: &Plan, twins: &Twins) -> BTreeMap<u8, Vec<ShardOutput>> {
    counted_shards(key, plan, twins).0
}

fn run(key: &OwnKey, plan: &Plan, twins: &Twins) -> Vec<u8> {
    let cancel = AtomicBool::new(false);
    let shards = shards(key, plan, twins);
    let aggregate = finish(key.engine(), plan, &shards, &|_| {}, &cancel).unwrap();
    key.open(&aggregate.blocks)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn encrypted_equals_clear_on_random_programs(
        program in programs::program(),
        hospitals in proptest::collection::vec(proptest::collection::vec(programs::twin(), 0..7), 2..5),
    ) {
        let twins: Twins = (1..).zip(hospitals).collect();
        if let Ok(plan) = plan(&program, &programs::schema(), &context(&TINY, &twins)) {
            let (shards, bootstraps) = counted_shards(&KEY, &plan, &twins);
            prop_assert_eq!(bootstraps, plan.forecast().bootstraps_evaluate);
            let reported = AtomicU64::new(0);
            let progress = |done| { reported.fetch_max(done, Ordering::Relaxed); };
            let cancel = AtomicBool::new(false);
            let aggregate = finish(KEY.engine(), &plan, &shards, &progress, &cancel).unwrap();
            prop_assert_eq!(reported.into_inner(), plan.forecast().bootstraps_finish);
            let opened = KEY.open(&aggregate.blocks);
            prop_assert_eq!(&opened, &clear::run(&plan, &twins));
            prop_assert!(StudyResult::decode(&plan, &opened).is_ok());
        }
    }

    #[test]
    fn every_bit_of_a_random_program_is_the_same_on_one_twin(
        program in programs::program(),
        twin in programs::twin(),
    ) {
        let (schema, cancel) = (programs::schema(), AtomicBool::new(false));
        let slots = KEY.encrypt_twin(&twin);
        let expected = clear::nodes(&program, &schema, &twin);
        if let Ok(bits) = one::evaluate(KEY.engine(), &program, &schema, &slots, &|_| {}, &cancel) {
            for (node, bit) in bits {
                let opened = KEY.open(std::slice::from_ref(&bit));
                prop_assert_eq!(opened, vec![u8::from(expected.is_set(node))], "n{}", node);
            }
        }
        for node in 0..program.nodes().len() as u32 {
            let linear = one::linear(KEY.engine(), &program, &schema, node, &slots);
            if let (Ok(score), Some(value)) = (linear, expected.score(node)) {
                let phase = KEY.decrypt(&score.ciphertext).wrapping_add(1 << (score.delta_log - 1));
                prop_assert_eq!(phase.cast_signed() >> score.delta_log, value, "n{}", node);
            }
        }
    }
}

proptest! {
    /// Who holds which patient changes nothing but the gates.
    #[test]
    fn open_rows_do_not_depend_on_who_holds_the_patients(
        program in programs::program(),
        twins in proptest::collection::vec((programs::twin(), 1..4_u8, 1..6_u8), 8..60),
    ) {
        let results: Vec<StudyResult> = [0, 1]
            .iter()
            .filter_map(|split| {
                let mut hospitals = Twins::new();
                for (twin, first, second) in &twins {
                    let hospital = if *split == 0 { *first } else { *second };
                    hospitals.entry(hospital).or_default().push(twin.clone());
                }
                let plan = plan(&program, &programs::schema(), &context(&REAL, &hospitals));
                if let Err(PlanError::TooRisky { .. }) = plan {
                    assert!(programs::adds_bits(&program));
                }
                let plan = plan.ok()?;
                Some(StudyResult::decode(&plan, &clear::run(&plan, &hospitals)).unwrap())
            })
            .collect();
        if let [one, other] = results.as_slice() {
            for (a, b) in one.rows.iter().zip(&other.rows) {
                prop_assert!(a.suppressed || b.suppressed || a == b);
            }
        }
    }
}

fn small_schema() -> Schema {
    programs::schema()
}

fn small_twin(a: Option<f64>, b: Option<f64>, c: Option<f64>) -> Weights {
    let features = [("a", a), ("b", b), ("c", c)].map(|(name, value)| (name.to_owned(), value));
    encode(&small_schema(), &Features::from(features)).unwrap()
}

fn divide(nodes: &mut Vec<Op>, score: u32, thresholds: &[i64]) -> Row {
    let mut bits = vec![nodes.len() as u32];
    nodes.push(Op::Valid { score });
    for threshold in thresholds {
        bits.push(nodes.len() as u32);
        nodes.push(Op::AtLeast {
            score,
            threshold: *threshold,
        });
    }
    let cells = bits
        .iter()
        .enumerate()
        .map(|(index, bit)| {
            let mut cell = *bit;
            if let Some(without) = bits.get(index + 1) {
                cell = nodes.len() as u32;
                nodes.push(Op::Without {
                    bit: *bit,
                    without: *without,
                });
            }
            Cell {
                label: index.to_string(),
                bit: cell,
            }
        })
        .collect();
    Row {
        kind: RowKind::Arm,
        label: String::new(),
        arm: None,
        edges: Vec::new(),
        cells,
        totals: Vec::new(),
    }
}

/// Two cells on the axis a, cut in the middle.
fn halves(k: u32) -> Program {
    let mut nodes = vec![Op::Position {
        axis: "a".to_owned(),
    }];
    let row = divide(&mut nodes, 0, &[248]);
    Program::new(&small_schema(), k, nodes, vec![row]).unwrap()
}

/// Twins below the cut and above it, per hospital.
fn twins_of(counts: &[(usize, usize)]) -> Twins {
    (1..)
        .zip(counts)
        .map(|(hospital, (below, above))| {
            let low = std::iter::repeat_n(small_twin(Some(0.1), None, None), *below);
            let high = std::iter::repeat_n(small_twin(Some(0.9), None, None), *above);
            (hospital, low.chain(high).collect())
        })
        .collect()
}

fn decode(k: u32, counts: &[(usize, usize)]) -> StudyResult {
    let twins = twins_of(counts);
    let plan = plan(&halves(k), &small_schema(), &context(&TINY, &twins)).unwrap();
    StudyResult::decode(&plan, &run(&KEY, &plan, &twins)).unwrap()
}

fn counts(result: &StudyResult) -> Option<Vec<u64>> {
    let cells = result.rows[0].cells.as_ref()?;
    Some(cells.iter().map(|cell| cell.count).collect())
}

#[test]
fn a_row_opens_exactly_from_k_on() {
    assert_eq!(
        counts(&decode(4, &[(2, 4), (2, 4), (2, 4)])),
        Some(vec![6, 12])
    );
    assert_eq!(counts(&decode(5, &[(2, 4), (2, 4), (2, 4)])), None);
}

#[test]
fn a_cell_that_one_hospital_pads_stays_closed() {
    // 14 twins in the cell, yet 4 without the first hospital's.
    assert_eq!(counts(&decode(5, &[(10, 4), (2, 4), (2, 4)])), None);
    assert_eq!(
        counts(&decode(4, &[(10, 4), (2, 4), (2, 4)])),
        Some(vec![14, 12])
    );
}

#[test]
fn a_closed_row_holds_nothing_but_zeros() {
    let twins = twins_of(&[(1, 9), (0, 9), (1, 9)]);
    let plan = plan(&halves(3), &small_schema(), &context(&TINY, &twins)).unwrap();
    assert!(run(&KEY, &plan, &twins).iter().all(|block| *block == 0));
}

#[test]
fn counts_of_several_shards_and_six_hospitals_add_up() {
    let result = decode(10, &[(20, 14), (31, 2), (0, 0), (33, 31), (5, 5), (1, 3)]);
    assert_eq!(counts(&result), Some(vec![90, 55]));
}

#[test]
fn the_planned_bootstraps_are_the_executed_ones() {
    let key = OwnKey::generate(TINY).unwrap();
    let twins = twins_of(&[(20, 14), (31, 2), (3, 9)]);
    let plan = plan(&halves(2), &small_schema(), &context(&TINY, &twins)).unwrap();
    let reported = AtomicU64::new(0);
    let cancel = AtomicBool::new(false);
    let shards = shards(&key, &plan, &twins);
    assert_eq!(
        key.engine().bootstraps(),
        plan.forecast().bootstraps_evaluate
    );
    let progress = |done| {
        reported.fetch_max(done, Ordering::Relaxed);
    };
    finish(key.engine(), &plan, &shards, &progress, &cancel).unwrap();
    assert_eq!(reported.into_inner(), plan.forecast().bootstraps_finish);
}

#[test]
fn the_same_shard_gives_the_same_bytes_twice() {
    let twins = twins_of(&[(3, 2), (2, 2)]);
    let plan = plan(&halves(1), &small_schema(), &context(&TINY, &twins)).unwrap();
    let shard: Vec<_> = twins[&1]
        .iter()
        .map(|twin| KEY.encrypt_twin(twin))
        .collect();
    let cancel = AtomicBool::new(false);
    let digest = || {
        evaluate_shard(KEY.engine(), &plan, &shard, &|_| {}, &cancel)
            .unwrap()
            .digest()
    };
    assert_eq!(digest(), digest());
}

#[test]
fn evaluation_refuses_wrong_shards_and_stops_when_asked() {
    let twins = twins_of(&[(3, 2), (2, 2)]);
    let plan = plan(&halves(1), &small_schema(), &context(&TINY, &twins)).unwrap();
    let go = AtomicBool::new(false);
    let engine = KEY.engine();
    let evaluate = |shard: &[Vec<_>], cancel| evaluate_shard(engine, &plan, shard, &|_| {}, cancel);
    assert_eq!(evaluate(&[], &go).err(), Some(EvaluateError::ShardSize(0)));
    let twin = KEY.encrypt_twin(&twins[&1][0]);
    let many = vec![twin.clone(); 32];
    assert_eq!(
        evaluate(&many, &go).err(),
        Some(EvaluateError::ShardSize(32))
    );
    let short = vec![twin[1..].to_vec()];
    assert!(matches!(
        evaluate(&short, &go),
        Err(EvaluateError::Slots { twin: 0, .. })
    ));
    let stop = AtomicBool::new(true);
    let cancelled = evaluate(&[twin], &stop).err();
    assert_eq!(
        cancelled,
        Some(EvaluateError::Machine(MachineError::Cancelled))
    );

    let mut outputs = shards(&KEY, &plan, &twins);
    let bytes = outputs[&1][0].to_bytes();
    assert!(ShardOutput::from_bytes(&bytes[..bytes.len() - 1], &plan).is_err());
    assert!(ShardOutput::from_bytes(&[&bytes[..], &[0]].concat(), &plan).is_err());
    assert!(ShardOutput::from_bytes(b"OTSHARD1", &plan).is_err());
    outputs.remove(&2);
    let missing = finish(engine, &plan, &outputs, &|_| {}, &go);
    assert!(matches!(
        missing,
        Err(EvaluateError::OtherShards { hospital: 2, .. })
    ));
}

/// Twins without one of the features, under everything that could count them by mistake.
#[test]
fn a_missing_feature_is_never_counted() {
    let table = |axis: &str, values: &[i64]| TableOn {
        axis: axis.to_owned(),
        values: values.to_vec(),
        missing: None,
    };
    let nodes = vec![
        Op::Sum {
            tables: vec![table("b", &[0, 1, 2, 3, 4]), table("c", &[0, 5, 9])],
            terms: Vec::new(),
        },
        Op::AtLeast {
            score: 0,
            threshold: 100,
        },
        Op::Not { bit: 1 },
        Op::Position {
            axis: "a".to_owned(),
        },
        Op::AtLeast {
            score: 3,
            threshold: 10,
        },
        Op::Or { bits: vec![2, 4] },
        Op::Select {
            condition: 1,
            then: 2,
            otherwise: 4,
        },
        Op::Digit {
            score: 0,
            shift: 4,
            place: 0,
        },
        Op::Not { bit: 7 },
        Op::Valid { score: 0 },
    ];
    let cells = [2, 5, 6, 7, 8, 9].map(|bit| Cell {
        label: bit.to_string(),
        bit,
    });
    let row = Row {
        kind: RowKind::CrossTable,
        label: String::new(),
        arm: None,
        edges: Vec::new(),
        cells: cells.to_vec(),
        totals: Vec::new(),
    };
    let program = Program::new(&small_schema(), 1, nodes, vec![row]).unwrap();
    let cancel = AtomicBool::new(false);
    for twin in [
        small_twin(Some(0.9), None, Some(2.0)),
        small_twin(Some(0.9), Some(1.0), None),
        small_twin(Some(0.9), None, None),
    ] {
        let slots = KEY.encrypt_twin(&twin);
        let bits = one::evaluate(
            KEY.engine(),
            &program,
            &small_schema(),
            &slots,
            &|_| {},
            &cancel,
        );
        for (node, bit) in bits.unwrap() {
            let set = KEY.open(&[bit]) == [1];
            assert_eq!(set, node == 4, "n{node}");
        }
    }
}

#[test]
fn every_operation_is_the_same_encrypted_and_clear_at_the_real_parameters() {
    let key = OwnKey::production().unwrap();
    let table = |axis: &str, values: Vec<i64>| TableOn {
        axis: axis.to_owned(),
        values,
        missing: None,
    };
    let sum = |wide: i64| Op::Sum {
        tables: vec![
            table("a", (0..32).map(|node| node * node * wide / 961).collect()),
            table("b", (0..5).map(|node| node * wide / 4).collect()),
            table("ab", (0..12).map(|node| node % 5 * wide / 4).collect()),
        ],
        terms: Vec::new(),
    };
    // Twelve, fourteen and eight bits.
    let mut nodes = vec![sum(37), sum(145), sum(2)];
    let mut bits = Vec::new();
    for (score, largest) in [(0, 1770), (1, 6900), (2, 96)] {
        for index in 1..=5 {
            bits.push(nodes.len() as u32);
            nodes.push(Op::AtLeast {
                score,
                threshold: largest * index / 6,
            });
        }
    }
    let population = nodes.len() as u32;
    nodes.push(Op::Or {
        bits: vec![bits[0], bits[12]],
    });
    let mut terms = Vec::new();
    for place in 0..5 {
        let digit = nodes.len() as u32;
        nodes.push(Op::Digit {
            score: 0,
            shift: 6,
            place,
        });
        terms.push(BitTerm {
            bit: digit + 1,
            weight: 1 << place,
        });
        nodes.push(Op::And {
            bits: vec![population, digit],
        });
    }
    let chosen = nodes.len() as u32;
    nodes.push(Op::Select {
        condition: bits[2],
        then: bits[8],
        otherwise: population,
    });
    let total = |what| Total {
        label: String::new(),
        power: 1,
        about: 0.0,
        unit: 1.0,
        what,
    };
    bits.extend([population, chosen]);
    let row = Row {
        kind: RowKind::CrossTable,
        label: String::new(),
        arm: None,
        edges: Vec::new(),
        cells: bits
            .iter()
            .map(|bit| Cell {
                label: bit.to_string(),
                bit: *bit,
            })
            .collect(),
        totals: vec![
            total(TotalOf::Bits { terms }),
            total(TotalOf::Table {
                table: table("a", (0..32).map(|node| 8 * node).collect()),
            }),
        ],
    };
    let population = Row {
        cells: vec![Cell {
            label: String::new(),
            bit: population,
        }],
        ..row.clone()
    };
    let program = Program::new(&small_schema(), 1, nodes, vec![row, population]).unwrap();
    let high = |at: f64| small_twin(Some(at), Some(at), None);
    let twins = Twins::from([
        (1, vec![high(1.0), high(0.55)]),
        (2, vec![high(0.97), small_twin(Some(0.4), None, None)]),
    ]);
    let plan = plan(&program, &small_schema(), &context(&REAL, &twins)).unwrap();
    println!("{:#?}", plan.forecast());
    let (opened, expected) = (run(&key, &plan, &twins), clear::run(&plan, &twins));
    assert_eq!(opened, expected);
    let result = StudyResult::decode(&plan, &opened).unwrap();
    assert!(!result.rows[1].suppressed && result.rows[1].totals[0].sum > 0.0);
}

#[test]
fn the_vancomycin_study_is_the_same_encrypted_and_clear_at_the_real_parameters() {
    let key = OwnKey::production().unwrap();
    let schema = Schema::of_organ("kidney").unwrap();
    let spec = StudySpec {
        arms: vec![1000.0, 2000.0],
        histogram: Some(HistogramSpec {
            arm: Some(1000.0),
            edges: vec![400.0],
        }),
        k: 2,
        ..vancomycin_study()
    };
    let program = spec.compile().unwrap();
    let crcl = |values: &[f64]| {
        values
            .iter()
            .map(|value| {
                let value = (*value > 0.0).then_some(*value);
                let features = [("crcl_goti_ml_min".to_owned(), value)];
                encode(&schema, &Features::from(features)).unwrap()
            })
            .collect::<Vec<_>>()
    };
    let twins = Twins::from([
        (1, crcl(&[15.0, 45.0, 90.0])),
        (2, crcl(&[20.0, 50.0, 100.0, 0.0])),
        (3, crcl(&[25.0, 40.0, 110.0, 30.0])),
    ]);
    let plan = plan(&program, &schema, &context(&REAL, &twins)).unwrap();
    let opened = run(&key, &plan, &twins);
    assert_eq!(opened, clear::run(&plan, &twins));
    let result = StudyResult::decode(&plan, &opened).unwrap();
    assert_eq!(counts(&result), Some(vec![3, 3, 4]));
    assert!(result.rows[1].suppressed, "nobody is below 400 at 2000 mg");
}
