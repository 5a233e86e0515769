//! The circuit on the exact machine against the meaning of the program: thousands of random studies, no ciphertext.

mod programs;
mod sums;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Hospital, ONE, aggregate, cut_quantities, quantity_wires, twin_atoms};
use crate::{
    NoiseModel, Plan, PlanContext, PlanError, SHARD_TWINS, Weights, clear, machine::Exact,
    plan::plan, schema::INPUT_DELTA_LOG,
};

fn slots(twin: &Weights) -> Vec<u64> {
    twin.as_slice()
        .iter()
        .map(|weight| u64::from(*weight) << INPUT_DELTA_LOG)
        .collect()
}

/// What the encrypted evaluator does, on plaintexts of the torus.
fn run_exactly(plan: &Plan, hospitals: &BTreeMap<u8, Vec<Weights>>) -> Vec<u8> {
    let schedule = &plan.schedule;
    let hospitals = hospitals
        .iter()
        .map(|(hospital, twins)| {
            let shards = twins
                .chunks(SHARD_TWINS)
                .map(|shard| {
                    let mut sums = vec![0_u64; schedule.quantities.len()];
                    for twin in shard {
                        let slots = slots(twin);
                        let atoms = twin_atoms(&Exact, schedule, &slots).unwrap();
                        let wires = quantity_wires(&Exact, schedule, &slots, &atoms).unwrap();
                        for (sum, wire) in sums.iter_mut().zip(wires) {
                            *sum = sum.wrapping_add(wire);
                        }
                    }
                    let blocks = cut_quantities(&Exact, schedule, &sums).unwrap();
                    let size = SHARD_TWINS.min(twins.len());
                    let numbers = schedule.quantities.iter().zip(blocks);
                    numbers
                        .map(|(quantity, blocks)| quantity.number(&blocks, size))
                        .collect()
                })
                .collect();
            let twins = twins.len() as u64;
            (*hospital, Hospital { twins, shards })
        })
        .collect();
    let k = u64::from(plan.program.k());
    aggregate(&Exact, schedule, &plan.layout, k, &hospitals)
        .unwrap()
        .into_iter()
        .map(|block| {
            assert_eq!(block % ONE, 0);
            (block / ONE) as u8
        })
        .collect()
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

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 8, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_circuit_gives_the_meaning_of_random_programs(
        program in programs::program(),
        hospitals in proptest::collection::vec(proptest::collection::vec(programs::twin(), 0..75), 2..6),
    ) {
        let hospitals: BTreeMap<u8, Vec<Weights>> = (1..).zip(hospitals).collect();
        let sizes = hospitals.iter().map(|(h, twins)| (*h, twins.len())).collect();
        let plan = match plan(&program, &programs::schema(), &context(sizes)) {
            Ok(plan) => plan,
            Err(PlanError::NoTwins | PlanError::GateNeverPasses { .. } | PlanError::Schedule(_)) => return Ok(()),
            // Weighted bits are noisy where they are added to wide sums.
            Err(PlanError::TooRisky { .. }) if programs::adds_bits(&program) => return Ok(()),
            // So is a threshold on a table that zigzags across it; that must stay rare among these.
            Err(PlanError::TooRisky { .. }) => return Err(TestCaseError::reject("too risky")),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        prop_assert_eq!(run_exactly(&plan, &hospitals), clear::run(&plan, &hospitals));
    }
}
