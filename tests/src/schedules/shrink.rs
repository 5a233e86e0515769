//! Shrinking: fewer faults and commands that still break an invariant of the same kind.

use super::machine::Planted;
use super::schedule::Schedule;
use super::world::Outcome;

/// The invariant that a breach is of: the words before its colon.
#[must_use]
pub fn kind(breach: &str) -> &str {
    breach.split(':').next().unwrap_or(breach)
}

/// Leaves out faults, then commands, one at a time, while a breach of the same kind remains.
#[must_use]
pub fn shrink(
    failing: &Schedule,
    planted: Option<Planted>,
    run: impl Fn(&Schedule, Option<Planted>) -> Outcome,
) -> (Schedule, Outcome) {
    let mut best = failing.clone();
    let mut outcome = run(&best, planted);
    let Some(wanted) = outcome
        .breaches
        .first()
        .map(|breach| kind(breach).to_owned())
    else {
        return (best, outcome);
    };
    let fails = |candidate: &Schedule| {
        let outcome = run(candidate, planted);
        let still = outcome.breaches.iter().any(|breach| kind(breach) == wanted);
        still.then_some(outcome)
    };
    loop {
        let mut smaller = false;
        for list in [0, 1] {
            let mut position = 0;
            while position
                < if list == 0 {
                    best.faults.len()
                } else {
                    best.commands.len()
                }
            {
                let mut candidate = best.clone();
                if list == 0 {
                    candidate.faults.remove(position);
                } else {
                    candidate.commands.remove(position);
                }
                if let Some(found) = fails(&candidate) {
                    (best, outcome, smaller) = (candidate, found, true);
                } else {
                    position += 1;
                }
            }
        }
        if !smaller {
            return (best, outcome);
        }
    }
}

/// What a failure prints: everything that is needed to see it again.
#[must_use]
pub fn report(
    failing: &Schedule,
    planted: Option<Planted>,
    run: impl Fn(&Schedule, Option<Planted>) -> Outcome,
) -> String {
    let first = run(failing, planted);
    let (small, outcome) = shrink(failing, planted, run);
    format!(
        "seed {} breaks an invariant:\n  {}\nwith {} faults and {} commands of {} and {} it still says:\n  {}\nreplay the seed:\n  cargo run --release -p organtwin-tests --bin schedules -- --seed {}\nreplay the smaller schedule:\n  cargo run --release -p organtwin-tests --bin schedules -- --replay '{}'",
        failing.seed,
        first.breaches.join("\n  "),
        small.faults.len(),
        small.commands.len(),
        failing.faults.len(),
        failing.commands.len(),
        outcome.breaches.join("\n  "),
        failing.seed,
        small.line(),
    )
}
