//! The encrypted evaluator against the clear one: random programs at small insecure parameters, and the vancomycin
//! study at the real ones.

use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use organtwin_simulations::{
    Axis, EvaluateError, Features, HistogramSpec, NoiseModel, Plan, PlanContext, Program, Scale,
    Schema, ShardOutput, StudyResult, StudySpec, Weights, clear, encode, evaluate_shard, finish,
    machine::MachineError,
    measure::{OwnKey, vancomycin_study},
    plan,
    program::{Cell, Op, Row, RowKind, TableOn},
};
use proptest::prelude::*;
use tfhe::{
    core_crypto::prelude::{
        DecompositionBaseLog, DecompositionLevelCount, DynamicDistribution, LweDimension,
        PolynomialSize,
    },
    shortint::{
        ClassicPBSParameters, parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
    },
};

const REAL: ClassicPBSParameters = V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;

/// Insecure: a key of 64 bits. Noise and windows are like the real ones.
const TINY: ClassicPBSParameters = ClassicPBSParameters {
    lwe_dimension: LweDimension(64),
    polynomial_size: PolynomialSize(512),
    lwe_noise_distribution: DynamicDistribution::new_t_uniform(45),
    glwe_noise_distribution: DynamicDistribution::new_t_uniform(17),
    pbs_base_log: DecompositionBaseLog(23),
    pbs_level: DecompositionLevelCount(1),
    ks_base_log: DecompositionBaseLog(4),
    ks_level: DecompositionLevelCount(4),
    ..REAL
};

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

fn shards(key: &OwnKey, plan: &Plan, twins: &Twins) -> BTreeMap<u8, Vec<ShardOutput>> {
    let cancel = AtomicBool::new(false);
    twins
        .iter()
        .map(|(hospital, own)| {
            let outputs = own
                .chunks(31)
                .map(|shard| {
                    let shard: Vec<_> = shard.iter().map(|twin| key.encrypt_twin(twin)).collect();
                    let output =
                        evaluate_shard(key.engine(), plan, &shard, &|_| {}, &cancel).unwrap();
                    // Through the wire form, as a peer would get it.
                    let copy = ShardOutput::from_bytes(&output.to_bytes(), plan).unwrap();
                    assert!(copy == output && copy.digest() == output.digest());
                    copy
                })
                .collect();
            (*hospital, outputs)
        })
        .collect()
}

fn run(key: &OwnKey, plan: &Plan, twins: &Twins) -> Vec<u8> {
    let cancel = AtomicBool::new(false);
    let shards = shards(key, plan, twins);
    let aggregate = finish(key.engine(), plan, &shards, &|_| {}, &cancel).unwrap();
    key.open(&aggregate.blocks)
}

fn small_schema() -> Schema {
    Schema::new(
        "small/1",
        vec![
            Axis {
                nodes: 6,
                ..Axis::continuous("a", "1", Scale::Linear, 0.0, 1.0)
            },
            Axis {
                nodes: 4,
                ..Axis::continuous("b", "1", Scale::Linear, 0.0, 1.0)
            },
            Axis::categorical("c", 3),
        ],
        Vec::new(),
    )
}

fn small_twin(a: Option<f64>, b: Option<f64>, c: Option<f64>) -> Weights {
    let features = [("a", a), ("b", b), ("c", c)].map(|(name, value)| (name.to_owned(), value));
    encode(&small_schema(), &Features::from(features)).unwrap()
}

fn twin() -> impl Strategy<Value = Weights> {
    let maybe = |values: BoxedStrategy<f64>| proptest::option::weighted(0.9, values);
    let unit = || (0.0..=1.0).boxed();
    (
        maybe(unit()),
        maybe(unit()),
        maybe((0..3).prop_map(f64::from).boxed()),
    )
        .prop_map(|(a, b, c)| small_twin(a, b, c))
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

fn program() -> impl Strategy<Value = Program> {
    let tables = (1..=8_i64).prop_flat_map(|wide| {
        let values = move |nodes| proptest::collection::vec(0..=wide, nodes);
        (values(6), values(4), values(3))
    });
    let cuts = |range: std::ops::Range<i64>, most| {
        proptest::collection::btree_set(range, 0..most)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>())
    };
    (
        tables,
        cuts(1..80, 3),
        cuts(1..300, 4),
        1..4_u32,
        any::<bool>(),
    )
        .prop_map(|((a, b, c), positions, sums, k, third)| {
            let table = |axis: &str, values| TableOn {
                axis: axis.to_owned(),
                values,
                missing: None,
            };
            let mut tables = vec![table("a", a), table("b", b)];
            if third {
                tables.push(table("c", c));
            }
            let mut nodes = vec![
                Op::Position {
                    axis: "a".to_owned(),
                },
                Op::Sum {
                    tables,
                    terms: Vec::new(),
                },
            ];
            let rows = vec![
                divide(&mut nodes, 0, &positions),
                divide(&mut nodes, 1, &sums),
            ];
            Program::new(&small_schema(), k, nodes, rows).unwrap()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn encrypted_equals_clear_on_random_programs(
        program in program(),
        hospitals in proptest::collection::vec(proptest::collection::vec(twin(), 0..9), 2..6),
    ) {
        let twins: Twins = (1..).zip(hospitals).collect();
        if let Ok(plan) = plan(&program, &small_schema(), &context(&TINY, &twins)) {
            prop_assert_eq!(run(&KEY, &plan, &twins), clear::run(&plan, &twins));
        }
    }
}

/// Two cells on the axis a, cut in the middle.
fn halves(k: u32) -> Program {
    let mut nodes = vec![Op::Position {
        axis: "a".to_owned(),
    }];
    let row = divide(&mut nodes, 0, &[40]);
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
