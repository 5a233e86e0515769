//! Runs schedules of faults: many, one seed, or one schedule as a failure printed it.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use organtwin_tests::schedules::many::{Tally, many};
use organtwin_tests::schedules::{self, Schedule, shrink};

const USAGE: &str = "schedules [--count N] [--seed FIRST] | --replay SCHEDULE | --print SEED
  --count N           how many schedules to run, from seed FIRST on (10000 and 0 if not given; 1 if only --seed is)
  --replay SCHEDULE   run one schedule as a failure printed it
  --print SEED        print the schedule that a seed names";

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.next()?;
    Some(arguments.next().unwrap_or_default())
}

fn number(name: &str) -> Result<Option<u64>, String> {
    argument(name)
        .map(|text| {
            text.parse()
                .map_err(|_| format!("{name}: expected a number, got '{text}'\n{USAGE}"))
        })
        .transpose()
}

#[expect(clippy::print_stderr, reason = "progress is for people")]
fn progress(tally: &Tally, count: u64) {
    let left = (count - tally.runs.min(count)) as f64 / tally.per_second().max(1e-9);
    let mut out = std::io::stderr();
    let end = if out.is_terminal() { '\r' } else { '\n' };
    eprint!(
        "{} of {count} schedules, {:.0} a second, {:.0} s left, {} restarts, {} studies opened   {end}",
        tally.runs,
        tally.per_second(),
        left,
        tally.restarts,
        tally.opened
    );
    let _ = out.flush();
}

fn failed(schedule: &Schedule) -> String {
    shrink::report(schedule, None, schedules::run)
}

fn run() -> Result<String, String> {
    let known = ["--count", "--seed", "--replay", "--print"];
    if let Some(unknown) = std::env::args()
        .skip(1)
        .step_by(2)
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(format!("unknown argument '{unknown}'\n{USAGE}"));
    }
    if let Some(text) = argument("--replay") {
        let schedule = Schedule::parse(&text).map_err(|error| format!("--replay: {error}"))?;
        let outcome = schedules::run(&schedule, None);
        return if outcome.breaches.is_empty() {
            Ok(format!("{outcome:?}"))
        } else {
            Err(failed(&schedule))
        };
    }
    if let Some(seed) = number("--print")? {
        return Ok(Schedule::generate(seed).line());
    }
    let (seed, count) = (number("--seed")?, number("--count")?);
    let count = count.unwrap_or(if seed.is_some() { 1 } else { 10_000 });
    let quiet = count < 100;
    let tally = many(seed.unwrap_or(0), count, None, schedules::run, |tally| {
        if !quiet {
            progress(tally, count);
        }
    });
    if let Some((_, schedule, _)) = &tally.failed {
        return Err(failed(schedule));
    }
    Ok(format!(
        "{} schedules in {:.1} s ({:.0} a second): {} with a key, {} studies opened, {} restarts, {} statements, {} events; every invariant held",
        tally.runs,
        tally.took.as_secs_f64(),
        tally.per_second(),
        tally.keys,
        tally.opened,
        tally.restarts,
        tally.statements,
        tally.events
    ))
}

#[expect(clippy::print_stderr, reason = "a command tells its failure there")]
fn main() -> ExitCode {
    match run() {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
