//! Ten thousand schedules of faults with the model's arithmetic, and proof that every invariant can fail.

use organtwin_tests::schedules::machine::Planted;
use organtwin_tests::schedules::many::many;
use organtwin_tests::schedules::schedule::{Command, Fault, Moment, Wish};
use organtwin_tests::schedules::shrink::{kind, report, shrink};
use organtwin_tests::schedules::{self, Schedule};

/// Schedules of the ordinary run.
const COUNT: u64 = 10_000;

/// A number from the environment, if it is there.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

#[test]
fn every_invariant_holds_in_ten_thousand_schedules() {
    if let Ok(text) = std::env::var("ORGANTWIN_SCHEDULE") {
        let schedule = Schedule::parse(&text).expect("a schedule as a failure prints it");
        let outcome = schedules::run(&schedule, None);
        assert!(
            outcome.breaches.is_empty(),
            "{}",
            report(&schedule, None, schedules::run)
        );
        return;
    }
    let first = asked("ORGANTWIN_SCHEDULE_SEED");
    let count = asked("ORGANTWIN_SCHEDULES").unwrap_or(if first.is_some() { 1 } else { COUNT });
    let tally = many(first.unwrap_or(0), count, None, schedules::run, |_| {});
    if let Some((_, schedule, _)) = &tally.failed {
        panic!("{}", report(schedule, None, schedules::run));
    }
    assert_eq!(tally.runs, count);
    println!(
        "{count} schedules in {:.1} s, {:.0} a second: {} keys, {} studies opened, {} restarts",
        tally.took.as_secs_f64(),
        tally.per_second(),
        tally.keys,
        tally.opened,
        tally.restarts
    );
    if first.is_none() && count >= COUNT {
        // Schedules in which nothing happens would prove nothing.
        assert!(tally.keys > count / 2, "{} keys", tally.keys);
        assert!(tally.opened > count / 2, "{} studies opened", tally.opened);
        assert!(tally.restarts > count / 2, "{} restarts", tally.restarts);
    }
}

#[test]
fn a_schedule_gives_the_same_run_every_time_and_goes_through_its_text() {
    for seed in [3, 9, 14] {
        let schedule = Schedule::generate(seed);
        assert_eq!(Schedule::parse(&schedule.line()), Ok(schedule.clone()));
        assert_eq!(
            schedules::run(&schedule, None),
            schedules::run(&schedule, None)
        );
    }
    assert!(Schedule::parse("{}").is_err());
}

/// Runs schedules with a planted bug until an invariant of this kind is broken.
fn caught(planted: Planted, expected: &str) -> Schedule {
    let tally = many(0, 400, Some(planted), schedules::run, |_| {});
    let (_, schedule, outcome) = tally
        .failed
        .unwrap_or_else(|| panic!("{planted:?} was not noticed"));
    assert!(
        outcome
            .breaches
            .iter()
            .any(|breach| kind(breach) == expected),
        "{planted:?} broke something else: {:?}",
        outcome.breaches
    );
    schedule
}

#[test]
fn the_net_catches_a_second_key_of_one_epoch() {
    caught(Planted::SecondKey, "one key");
}

#[test]
fn the_net_catches_an_opening_without_quorum() {
    // Only a study that lacks approvals shows it: two approve where three are needed.
    let mut schedule = quiet(1);
    schedule
        .commands
        .retain(|c| !matches!(c.wish, Wish::Approve { .. }) || c.party < 4);
    let outcome = schedules::run(&schedule, Some(Planted::NoQuorum));
    assert!(
        outcome
            .breaches
            .iter()
            .any(|breach| kind(breach) == "opened without quorum"),
        "{:?}",
        outcome.breaches
    );
}

#[test]
fn the_net_catches_feeds_that_are_never_compared() {
    caught(Planted::NoComparison, "convergence");
}

#[test]
fn the_net_catches_an_export_that_leaves_something_out() {
    caught(Planted::ShortExport, "export");
}

/// A crash after which a node that speaks before it writes says something else under a number that others have heard.
///
/// Not every crash shows it: others may give the node its own statements back before it goes on.
fn crash_that_shows_speaking_first() -> (Schedule, Vec<String>) {
    let crashes = (0..28).map(|seq| crash(Moment::AfterTelling(seq)));
    let breaches =
        |schedule: &Schedule| schedules::run(schedule, Some(Planted::SpeakFirst)).breaches;
    let mut runs = crashes.map(|schedule| (breaches(&schedule), schedule));
    let (breaches, schedule) = runs
        .find(|(breaches, _)| !breaches.is_empty())
        .expect("not noticed");
    (schedule, breaches)
}

#[test]
fn the_net_catches_a_node_that_speaks_before_it_writes() {
    let (schedule, breaches) = crash_that_shows_speaking_first();
    for expected in ["equivocation", "lost"] {
        assert!(
            breaches.iter().any(|breach| kind(breach) == expected),
            "{breaches:?}"
        );
    }
    assert_eq!(
        schedules::run(&schedule, None).breaches,
        Vec::<String>::new()
    );
}

#[test]
fn the_net_catches_an_acknowledged_command_that_a_crash_undoes() {
    let mut schedule = quiet(1);
    let approval = schedule
        .commands
        .iter()
        .find(|c| matches!(c.wish, Wish::Approve { .. }) && c.party == 2);
    let at_ms = approval.expect("party 2 approves").at_ms;
    for later in [20, 60, 120, 200, 300, 400] {
        schedule.faults = vec![Fault::Crash {
            party: 2,
            at: Moment::Time(at_ms + later),
            down_ms: 500,
            kept: 0,
        }];
        let outcome = schedules::run(&schedule, Some(Planted::AcknowledgeFirst));
        if outcome.breaches.iter().any(|breach| kind(breach) == "lost") {
            assert_eq!(
                schedules::run(&schedule, None).breaches,
                Vec::<String>::new()
            );
            return;
        }
    }
    panic!("not noticed");
}

#[test]
fn the_net_catches_an_honest_party_that_is_named_for_being_slow() {
    caught(Planted::BlameSlow, "blame");
}

#[test]
fn the_net_catches_a_result_that_is_not_the_clear_one() {
    caught(Planted::MissingShard, "result");
}

/// Four hospitals, one study with Q = 3, no faults.
fn quiet(seed: u64) -> Schedule {
    let mut commands = Vec::new();
    for party in 1..=4 {
        let mut ask = |at_ms, wish| commands.push(Command { at_ms, party, wish });
        ask(100, Wish::Key);
        ask(5000, Wish::Deposit { twins: 2 });
        ask(15_000 + u64::from(party), Wish::Approve { study: 0 });
    }
    commands.push(Command {
        at_ms: 12_000,
        party: 1,
        wish: Wish::Propose {
            study: 0,
            quorum: 4,
            lifetime_ms: 3_600_000,
        },
    });
    Schedule {
        seed,
        parties: 4,
        threshold: 1,
        commands,
        faults: Vec::new(),
    }
}

fn crash(at: Moment) -> Schedule {
    let mut schedule = quiet(1);
    schedule.faults.push(Fault::Crash {
        party: 2,
        at,
        down_ms: 1000,
        kept: 0,
    });
    schedule
}

#[test]
fn a_quiet_consortium_opens_its_study() {
    let outcome = schedules::run(&quiet(1), None);
    assert_eq!(outcome.breaches, Vec::<String>::new());
    assert_eq!(
        (outcome.key, outcome.opened, outcome.restarts),
        (true, 1, 0)
    );
}

#[test]
fn a_node_that_crashes_at_any_statement_before_or_after_the_sync_loses_nothing_and_the_work_is_finished()
 {
    for seq in 0..28 {
        for moment in [
            Moment::BeforeSync(seq),
            Moment::AfterSync(seq),
            Moment::AfterTelling(seq),
        ] {
            let schedule = crash(moment);
            let outcome = schedules::run(&schedule, None);
            assert_eq!(
                outcome.breaches,
                Vec::<String>::new(),
                "{}",
                schedule.line()
            );
            assert_eq!(outcome.opened, 1, "{}", schedule.line());
        }
    }
}

#[test]
fn shrinking_leaves_what_matters_and_its_report_replays() {
    let (mut schedule, _) = crash_that_shows_speaking_first();
    for party in 3..=4 {
        schedule.faults.push(Fault::Crash {
            party,
            at: Moment::Time(30_000),
            down_ms: 100,
            kept: 0,
        });
    }
    let planted = Some(Planted::SpeakFirst);
    let (small, outcome) = shrink(&schedule, planted, schedules::run);
    assert_eq!(small.faults.len(), 1);
    assert!(small.commands.len() < schedule.commands.len());
    assert!(!outcome.breaches.is_empty());
    let text = report(&schedule, planted, schedules::run);
    let line = text
        .rsplit("--replay '")
        .next()
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap();
    assert_eq!(Schedule::parse(line), Ok(small));
}
