//! Every way to decide on one sum, over all sums of few bits and many of more.

use proptest::prelude::*;

use crate::{
    circuit::{Cut, Lin, ONE, SumOutput, SumTask, Twin, extract::DigitOut},
    machine::{Exact, Machine, MachineError, Site, Table},
};

fn task(bits: u32, largest: i64, thresholds: &[i64], valid: bool, shared: bool) -> SumTask {
    let cuts = thresholds.iter().enumerate().map(|(atom, threshold)| Cut {
        threshold: *threshold,
        outputs: vec![SumOutput { scale: ONE, atom }],
    });
    SumTask {
        node: 0,
        sum: Lin {
            slots: vec![(0, 1_i64.wrapping_shl(64 - bits))],
            ..Lin::default()
        },
        bits,
        largest,
        valid: valid.then(|| Lin {
            slots: vec![(1, 1)],
            ..Lin::default()
        }),
        cuts: cuts.collect(),
        digits: Vec::new(),
        shared,
    }
}

fn decide(task: &SumTask, value: i64, valid: bool) -> Vec<(usize, u64)> {
    let slots = [value.cast_unsigned(), u64::from(valid) * ONE];
    let twin = Twin {
        slots: &slots,
        atoms: &[],
    };
    task.run(&Exact, &twin).unwrap()
}

/// The largest sum of so many bits that a decision with validity takes.
fn largest(bits: u32, valid: bool) -> i64 {
    let all = (1_i64 << (bits - 1)) - 1;
    if valid && bits > 5 {
        all - (1 << (bits - 5))
    } else {
        all
    }
}

#[test]
fn every_sum_of_up_to_eight_bits_is_decided_at_every_threshold() {
    for bits in 5..=8 {
        for valid in [false, true] {
            let largest = largest(bits, valid);
            let all: Vec<i64> = (1..=largest).collect();
            for shared in [false, true] {
                let task = task(bits, largest, &all, valid, shared);
                for value in 0..=largest {
                    for present in [true, !valid] {
                        for (atom, wire) in decide(&task, value, present) {
                            let reached = present && value >= all[atom];
                            assert_eq!(wire, u64::from(reached) * ONE, "{bits} {value} {atom}");
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_schedule_of_a_sum_decides_exactly(
        bits in 5..=14_u32,
        value in any::<u16>(),
        thresholds in proptest::collection::btree_set(any::<u16>(), 1..12),
        valid in any::<bool>(),
        present in any::<bool>(),
        shared in any::<bool>(),
    ) {
        let largest = largest(bits, valid);
        let thresholds: Vec<i64> = thresholds.iter().map(|t| i64::from(*t) % largest + 1).collect();
        let value = i64::from(value) % (largest + 1);
        let task = task(bits, largest, &thresholds, valid, shared);
        let outputs = decide(&task, value, present || !valid);
        prop_assert_eq!(outputs.len(), thresholds.len());
        for (bit, wire) in outputs {
            let reached = (present || !valid) && value >= thresholds[bit];
            prop_assert_eq!(wire, u64::from(reached) * ONE, "{} >= {}", value, thresholds[bit]);
        }
    }

    /// Without a validity bit a sum that misses something is negative, and may lie as far below as its bits allow.
    #[test]
    fn a_negative_sum_reaches_no_threshold(
        bits in 5..=14_u32,
        below in any::<u16>(),
        threshold in any::<u16>(),
    ) {
        let half = 1_i64 << (bits - 1);
        let threshold = i64::from(threshold) % (half - 1) + 1;
        let below = -1 - i64::from(below) % (half - threshold);
        let task = task(bits, half - 1, &[threshold], false, false);
        prop_assert_eq!(decide(&task, below, true), vec![(0, 0)]);
    }

    #[test]
    fn every_digit_of_a_sum_is_delivered(
        bits in 5..=14_u32,
        value in any::<u16>(),
        places in proptest::collection::btree_set(0..13_u32, 1..8),
        threshold in proptest::option::of(any::<u16>()),
    ) {
        let largest = largest(bits, false);
        let value = i64::from(value) % (largest + 1);
        let thresholds: Vec<i64> = threshold.iter().map(|t| i64::from(*t) % largest + 1).collect();
        let mut task = task(bits, largest, &thresholds, false, true);
        let places: Vec<u32> = places.into_iter().filter(|place| *place < bits - 1).collect();
        task.digits = places
            .iter()
            .zip(1..)
            .map(|(place, atom)| DigitOut { place: *place, scale: ONE << (atom % 3), atom })
            .collect();
        let outputs = decide(&task, value, true);
        prop_assert_eq!(outputs.len(), places.len() + thresholds.len());
        for (atom, wire) in outputs {
            let expected = match atom {
                0 => u64::from(value >= thresholds[0]) * ONE,
                _ => u64::from(value >> places[atom - 1] & 1 == 1) * (ONE << (atom % 3)),
            };
            prop_assert_eq!(wire, expected);
        }
    }
}

/// Counts the bootstraps of a task.
fn cost(task: &SumTask) -> usize {
    struct Count(std::sync::atomic::AtomicUsize);
    impl Machine for Count {
        type Wire = u64;
        fn combine(&self, terms: &[(&u64, i64)], constant: u64) -> u64 {
            Exact.combine(terms, constant)
        }
        fn bootstrap(
            &self,
            input: &u64,
            table: &Table,
            site: Site,
        ) -> Result<Vec<u64>, MachineError> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Exact.bootstrap(input, table, site)
        }
    }
    let count = Count(0.into());
    let twin = Twin {
        slots: &[0, ONE],
        atoms: &[],
    };
    task.run(&count, &twin).unwrap();
    count.0.into_inner()
}

#[test]
fn a_single_decision_costs_at_most_five_bootstraps_up_to_twelve_bits() {
    let costs: Vec<usize> = (5..=14)
        .map(|bits| cost(&task(bits, largest(bits, false), &[1], false, false)))
        .collect();
    assert_eq!(costs, [1, 2, 3, 3, 3, 4, 5, 5, 6, 7]);
}

#[test]
fn five_thresholds_and_more_cost_at_most_three_bootstraps_each() {
    for bits in 8..=12 {
        for number in [5, 7, 10] {
            let largest = largest(bits, true);
            let thresholds: Vec<i64> = (1..=number).map(|i| i * largest / (number + 1)).collect();
            for valid in [false, true] {
                let cost = cost(&task(bits, largest, &thresholds, valid, true).cheaper());
                println!("{bits} bits, {number} thresholds, valid {valid}: {cost}");
                assert!(
                    cost <= 3 * usize::try_from(number).unwrap(),
                    "{bits} {number} {valid}: {cost}"
                );
            }
        }
    }
}
