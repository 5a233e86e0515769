//! Schedules of faults: a consortium in virtual time under delay, loss, duplication, reordering, partition, crashes
//! that lose unsynced writes, and lying parties; and what must hold whatever happens.
//!
//! Faults are data ([`schedule::Schedule`]). The decisions are made by the real protocol: fold, ceremony steps, duties,
//! study rules, transcript and audit. The arithmetic is a fast model ([`arithmetic`]) so that tens of thousands of
//! schedules run in minutes; [`real`] drives the parties with real cryptography at toy parameters through the same
//! scheduler. `docs/testing.md` says how to replay a seed.

pub mod arithmetic;
pub mod disk;
pub mod hospital;
mod invariants;
pub mod machine;
pub mod many;
pub mod real;
pub mod schedule;
pub mod shrink;
pub mod wire;
pub mod world;

pub use hospital::Hospital;
pub use machine::Planted;
pub use schedule::Schedule;
pub use world::Outcome;

/// Runs a schedule with the model's arithmetic.
#[must_use]
pub fn run(schedule: &Schedule, planted: Option<Planted>) -> Outcome {
    world::World::<Hospital>::new(schedule, planted).run()
}

/// Runs a schedule with real cryptography at toy parameters; liars are the model's alone and are left out.
#[must_use]
pub fn run_real(schedule: &Schedule) -> Outcome {
    let mut schedule = schedule.clone();
    schedule
        .faults
        .retain(|fault| !matches!(fault, schedule::Fault::Lie { .. }));
    world::World::<real::Real>::new(&schedule, None).run()
}
