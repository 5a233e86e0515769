//! `organtwin bench`: what this machine reaches, and the commands that measure the rest.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use organtwin_simulations::measure::{self, DecisionCost, Efficiency, OwnKey};
use organtwin_simulations::{Features, Schema, encode};
use serde::Serialize;

use super::failure::Failure;
use super::output::{Output, bytes, complain, table};

/// Bytes of one weight of a deposited twin: a number modulo 2^128.
const BYTES_PER_WEIGHT: u64 = 16;

#[derive(Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    pub(super) output: Output,
    /// Shards that the efficiency is measured on; each is 31 patients
    #[arg(long, default_value_t = 1)]
    shards: usize,
}

#[derive(Serialize)]
struct Bench {
    cores: usize,
    bootstrap_milliseconds: f64,
    decisions: Vec<DecisionCost>,
    efficiency: Efficiency,
    twin_bytes: u64,
    twin_weights: usize,
    linear_score: LinearScore,
    /// What is measured elsewhere, and by which command.
    elsewhere: Vec<Elsewhere>,
}

#[derive(Serialize)]
struct LinearScore {
    bootstraps: u64,
    encode_microseconds: f64,
}

#[derive(Serialize)]
struct Elsewhere {
    what: &'static str,
    reach: &'static str,
    command: &'static str,
}

const ELSEWHERE: [Elsewhere; 5] = [
    Elsewhere {
        what: "ceremony of four nodes on this machine; bytes sent by a party; memory of a node",
        reach: "60 s; 0.5 GB; 3 GiB",
        command: "organtwin demo --scenario small-cohort --dir DIR --ceremony-only --json",
    },
    Elsewhere {
        what: "the whole study from nothing to an audited result; efficiency of four nodes",
        reach: "6 min; 90 %",
        command: "organtwin demo --json",
    },
    Elsewhere {
        what: "opening over loopback, a whole result and per 16-bit aggregate",
        reach: "10 ms per 16 bits",
        command: "organtwin demo --json (opening)",
    },
    Elsewhere {
        what: "squashing a block; partial decryption and recombination in one process",
        reach: "385 ms; 0.55 ms per 16 bits",
        command: "cargo bench -p organtwin-threshold",
    },
    Elsewhere {
        what: "bytes that a party sends in a ceremony of n, t",
        reach: "",
        command: "organtwin params --parties N --threshold T",
    },
];

pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    if !args.output.json {
        complain("making a key of one owner and measuring; this takes about a minute");
    }
    let bug = |error: String| Failure::Check(format!("the measurement went wrong: {error}"));
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64();
    let key = OwnKey::production().map_err(|error| bug(error.to_string()))?;
    let mut decisions = Vec::new();
    for (bits, thresholds) in [(8, 1), (10, 1), (12, 1), (10, 5), (12, 5), (12, 10)] {
        decisions.push(
            measure::decisions(&key, bits, thresholds, &clock)
                .map_err(|error| bug(error.to_string()))?,
        );
    }
    let efficiency =
        measure::efficiency(&key, args.shards, &clock).map_err(|error| bug(error.to_string()))?;
    let schema = Schema::kidney();
    let bench = Bench {
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        bootstrap_milliseconds: efficiency.bootstrap_seconds * 1e3,
        decisions,
        efficiency,
        twin_bytes: schema.slots() as u64 * BYTES_PER_WEIGHT,
        twin_weights: schema.slots(),
        linear_score: LinearScore {
            bootstraps: 0,
            encode_microseconds: encoding(&schema).map_err(bug)?,
        },
        elsewhere: ELSEWHERE.into(),
    };
    args.output
        .show("organtwin.bench/1", &bench, || text(&bench));
    Ok(ExitCode::SUCCESS)
}

/// Microseconds that a hospital needs to encode one patient.
fn encoding(schema: &Schema) -> Result<f64, String> {
    let features: Features = [
        ("crcl_goti_ml_min".to_owned(), Some(80.0)),
        ("age_years".to_owned(), Some(61.0)),
    ]
    .into();
    let rounds = 1000;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(encode(schema, &features).map_err(|error| error.to_string())?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds))
}

fn text(bench: &Bench) -> String {
    let mut rows = vec![
        vec![
            "one bootstrap, one core".into(),
            format!("{:.1} ms", bench.bootstrap_milliseconds),
            String::new(),
        ],
        vec![
            "evaluating shards in one process".into(),
            format!(
                "{:.1} % of {} cores",
                bench.efficiency.efficiency * 100.0,
                bench.efficiency.cores
            ),
            "95 %".into(),
        ],
    ];
    for cost in &bench.decisions {
        let reach = if cost.thresholds >= 5 { "3 each" } else { "5" };
        rows.push(vec![
            format!(
                "{} exact decisions on a sum of {} bits",
                cost.thresholds, cost.bits
            ),
            format!(
                "{} bootstraps, {:.2} each",
                cost.bootstraps, cost.per_threshold
            ),
            reach.into(),
        ]);
    }
    rows.push(vec![
        format!("an encrypted twin of {} weights", bench.twin_weights),
        bytes(bench.twin_bytes),
        "20 kB".into(),
    ]);
    rows.push(vec![
        "encoding a patient; then any function of one axis is a linear form".into(),
        format!(
            "{:.0} us, 0 bootstraps",
            bench.linear_score.encode_microseconds
        ),
        String::new(),
    ]);
    let elsewhere = bench.elsewhere.iter().map(|other| {
        vec![
            other.what.to_owned(),
            other.command.to_owned(),
            other.reach.to_owned(),
        ]
    });
    format!(
        "{}\n\n{}",
        table(&["measured by this command", "", "to reach"], rows),
        table(&["measured elsewhere", "by", "to reach"], elsewhere)
    )
}
