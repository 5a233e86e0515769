//! The circuit on the exact machine against the meaning of the program: thousands of random studies, no ciphertext.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    Hospital, Number, ONE, aggregate,
    decide::{alone, sum_bits, together},
    schedule::SumTask,
    twin_bits,
};
use crate::{
    Axis, NoiseModel, Plan, PlanContext, Program, SHARD_TWINS, Scale, Schema, Weights, clear,
    machine::Exact,
    plan::{cells, plan},
    program::{Cell, Op, Row, RowKind, TableOn},
    schema::INPUT_DELTA_LOG,
};

/// What the encrypted evaluator does, on plaintexts of the torus.
fn run_exactly(plan: &Plan, hospitals: &BTreeMap<u8, Vec<Weights>>) -> Vec<u8> {
    let hospitals = hospitals
        .iter()
        .map(|(hospital, twins)| {
            let shards = twins
                .chunks(SHARD_TWINS)
                .map(|shard| {
                    let mut counts = Vec::new();
                    for twin in shard {
                        let slots: Vec<u64> = twin
                            .as_slice()
                            .iter()
                            .map(|weight| u64::from(*weight) << INPUT_DELTA_LOG)
                            .collect();
                        let bits = twin_bits(&Exact, &plan.schedule, &slots).unwrap();
                        counts.resize(bits.len(), 0_u64);
                        for (count, bit) in counts.iter_mut().zip(bits) {
                            assert!(bit == 0 || bit == ONE, "a bit is {bit:x}");
                            *count = count.wrapping_add(bit);
                        }
                    }
                    let blocks = cells(&Exact, &plan.schedule, &counts).unwrap();
                    blocks
                        .into_iter()
                        .map(|[low, high]| Number::from_shard(low, high))
                        .collect()
                })
                .collect();
            (
                *hospital,
                Hospital {
                    twins: twins.len() as u64,
                    shards,
                },
            )
        })
        .collect();
    let k = u64::from(plan.program.k());
    aggregate(&Exact, &plan.schedule, &plan.layout, k, &hospitals)
        .unwrap()
        .into_iter()
        .map(|block| {
            assert_eq!(block % ONE, 0);
            (block / ONE) as u8
        })
        .collect()
}

fn schema() -> Schema {
    Schema::new(
        "test/1",
        vec![
            Axis::continuous("a", "1", Scale::Linear, 0.0, 1.0),
            Axis {
                nodes: 5,
                ..Axis::continuous("b", "1", Scale::Linear, 0.0, 1.0)
            },
            Axis::categorical("c", 3),
        ],
        Vec::new(),
    )
}

fn context(hospitals: BTreeMap<u8, usize>) -> PlanContext {
    PlanContext {
        hospitals,
        parties: 4,
        threshold: 1,
        noise: NoiseModel::new(
            &tfhe::shortint::parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
            2,
            4,
        ),
        seconds_per_bootstrap: 0.02,
        cores: 2,
    }
}

fn twin(schema: &Schema) -> impl Strategy<Value = Weights> + use<> {
    let schema = schema.clone();
    let present = |values: BoxedStrategy<f64>| proptest::option::weighted(0.85, values);
    (
        present((0.0..=1.0).boxed()),
        present((0.0..=1.0).boxed()),
        present((0..3).prop_map(f64::from).boxed()),
    )
        .prop_map(move |(a, b, c)| {
            let features =
                [("a", a), ("b", b), ("c", c)].map(|(name, value)| (name.to_owned(), value));
            crate::encode(&schema, &features.into()).unwrap()
        })
}

/// A program with one score on the axis a and one sum over several axes, and rows that divide each.
fn program() -> impl Strategy<Value = Program> {
    let wide = prop_oneof![Just(1_i64), Just(2), Just(4)];
    let tables = wide.prop_flat_map(|wide| {
        let value = -wide..=wide;
        (
            proptest::collection::vec(value.clone(), 32),
            proptest::collection::vec(value.clone(), 5),
            proptest::collection::vec(value, 3),
        )
    });
    let thresholds = |range: std::ops::Range<i64>| {
        proptest::collection::btree_set(range, 1..6).prop_map(|set| set.into_iter().collect())
    };
    (
        tables,
        thresholds(-5..520),
        thresholds(-400..400),
        1..12_u32,
        any::<bool>(),
    )
        .prop_map(
            |((a, b, c), positions, sums, k, third): (_, Vec<i64>, Vec<i64>, _, _)| {
                let table = |axis: &str, values: Vec<i64>| TableOn {
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
                let rows = [(0, positions), (1, sums)]
                    .map(|(score, thresholds)| divide(&mut nodes, score, &thresholds));
                Program::new(&schema(), k, nodes, rows.to_vec()).unwrap()
            },
        )
}

fn divide(nodes: &mut Vec<Op>, score: u32, thresholds: &[i64]) -> Row {
    let mut bits = vec![u32::try_from(nodes.len()).unwrap()];
    nodes.push(Op::Valid { score });
    for threshold in thresholds {
        bits.push(u32::try_from(nodes.len()).unwrap());
        nodes.push(Op::AtLeast {
            score,
            threshold: *threshold,
        });
    }
    let cells = (0..bits.len())
        .map(|index| {
            let mut bit = bits[index];
            if let Some(without) = bits.get(index + 1) {
                let without = *without;
                nodes.push(Op::Without { bit, without });
                bit = u32::try_from(nodes.len() - 1).unwrap();
            }
            Cell {
                label: index.to_string(),
                bit,
            }
        })
        .collect::<Vec<_>>();
    // A bit below the score's range is the same as being valid, so the order of the bits may repeat.
    Row {
        kind: RowKind::Arm,
        label: String::new(),
        arm: None,
        edges: Vec::new(),
        cells,
        totals: Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_circuit_gives_the_meaning_of_random_programs(
        program in program(),
        hospitals in proptest::collection::vec(proptest::collection::vec(twin(&schema()), 0..75), 2..8),
    ) {
        let hospitals: BTreeMap<u8, Vec<Weights>> = (1..).zip(hospitals).collect();
        let sizes = hospitals.iter().map(|(h, twins)| (*h, twins.len())).collect();
        let plan = match plan(&program, &schema(), &context(sizes)) {
            Ok(plan) => plan,
            Err(crate::PlanError::NoTwins | crate::PlanError::GateNeverPasses { .. }) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        prop_assert_eq!(run_exactly(&plan, &hospitals), clear::run(&plan, &hospitals));
    }

    #[test]
    fn every_schedule_of_a_sum_decides_exactly(
        bits in 5..=12_u32,
        value in any::<u16>(),
        thresholds in proptest::collection::vec(any::<u16>(), 1..8),
    ) {
        let half = 1_i64 << (bits - 1);
        let thresholds: Vec<i64> = thresholds.iter().map(|t| i64::from(*t) % half).collect();
        let largest = *thresholds.iter().max().unwrap();
        // Any value whose distance to every threshold fits the bits.
        let value = i64::from(value) % (2 * half - largest) - (half - largest);
        let task = SumTask {
            node: 0,
            factors: vec![(0, 1)],
            bits,
            cuts: thresholds.iter().copied().enumerate().collect(),
        };
        let slots = [value.cast_unsigned() << INPUT_DELTA_LOG];
        let outputs = sum_bits(&Exact, &task, &slots).unwrap();
        prop_assert_eq!(outputs.len(), thresholds.len());
        for (bit, wire) in outputs {
            prop_assert_eq!(wire == ONE, value >= thresholds[bit], "{} >= {}", value, thresholds[bit]);
        }
    }
}

#[test]
fn a_single_decision_costs_at_most_five_bootstraps_up_to_twelve_bits() {
    let costs: Vec<usize> = (5..=12).map(alone).collect();
    assert_eq!(costs, [1, 2, 3, 3, 3, 4, 5, 5]);
}

#[test]
fn five_thresholds_on_a_sum_of_ten_bits_cost_less_than_three_each() {
    let (shared, each) = together(10);
    assert!(shared + 5 * each <= 15);
}
