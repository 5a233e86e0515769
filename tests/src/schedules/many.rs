//! Many schedules on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::machine::Planted;
use super::schedule::Schedule;
use super::world::Outcome;

/// What many schedules came to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Schedules run.
    pub runs: u64,
    /// Of these, with a certified key.
    pub keys: u64,
    /// Studies opened.
    pub opened: u64,
    /// Nodes started again.
    pub restarts: u64,
    /// Statements said.
    pub statements: u64,
    /// Events of virtual time.
    pub events: u64,
    /// The first failing schedule, by its number in the row.
    pub failed: Option<(u64, Schedule, Outcome)>,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    /// Schedules a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let runs = self.runs as f64;
        runs / self.took.as_secs_f64().max(1e-9)
    }

    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.keys += u64::from(outcome.key);
        self.opened += outcome.opened as u64;
        self.restarts += outcome.restarts;
        self.statements += outcome.statements as u64;
        self.events += outcome.events;
    }
}

/// Runs the schedules that `first`, `first + 1`, ... name, until `count` have run or one fails.
///
/// `progress` is called from one thread about once a second.
pub fn many(
    first: u64,
    count: u64,
    planted: Option<Planted>,
    run: impl Fn(&Schedule, Option<Planted>) -> Outcome + Sync,
    progress: impl Fn(&Tally) + Sync,
) -> Tally {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let tally = Mutex::new((Tally::default(), start));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let schedule = Schedule::generate(first.wrapping_add(number));
                    let outcome = run(&schedule, planted);
                    let mut guard = tally.lock().expect("no thread panics with the lock");
                    let (tally, last) = &mut *guard;
                    tally.add(&outcome);
                    tally.took = start.elapsed();
                    let earlier = tally
                        .failed
                        .as_ref()
                        .is_none_or(|(failed, ..)| number < *failed);
                    if !outcome.breaches.is_empty() && earlier {
                        tally.failed = Some((number, schedule, outcome));
                        stop.store(true, Ordering::Relaxed);
                    }
                    if last.elapsed() >= Duration::from_secs(1) {
                        *last = Instant::now();
                        progress(tally);
                    }
                }
            });
        }
    });
    let (mut tally, _) = tally
        .into_inner()
        .expect("no thread panicked with the lock");
    tally.took = start.elapsed();
    tally
}
