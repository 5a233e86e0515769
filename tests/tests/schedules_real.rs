//! Some schedules with real cryptography at toy parameters, through the same scheduler as the model's ten thousand.

use organtwin_tests::schedules::{self, Schedule};

/// Schedules of the ordinary run.
const COUNT: u64 = 24;

#[test]
fn every_invariant_holds_in_schedules_with_real_cryptography() {
    let asked = std::env::var("ORGANTWIN_REAL_SCHEDULES").ok();
    let count = asked.map_or(COUNT, |text| text.parse().expect("a number"));
    // Larger committees take seconds each.
    let mut seeds = (0..).filter(|seed| Schedule::generate(*seed).parties <= 4);
    let (mut keys, mut opened, mut restarts) = (0, 0, 0);
    for _ in 0..count {
        let seed = seeds.next().expect("seeds without end");
        let schedule = Schedule::generate(seed);
        let outcome = schedules::run_real(&schedule);
        assert_eq!(
            outcome.breaches,
            Vec::<String>::new(),
            "seed {seed}: {}",
            schedule.line()
        );
        keys += u64::from(outcome.key);
        opened += outcome.opened as u64;
        restarts += outcome.restarts;
    }
    println!("{count} schedules: {keys} keys, {opened} studies opened, {restarts} restarts");
    assert!(
        keys * 2 > count && opened * 4 > count,
        "{keys} keys, {opened} studies opened"
    );
}
