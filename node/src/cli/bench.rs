//! `organtwin bench`: what this machine reaches, and the commands that measure the rest.

mod audit;
mod statements;
mod view;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Args;
use organtwin_simulations::cohorts;
use organtwin_simulations::measure::{self, OwnKey};
use organtwin_simulations::naive::Naive;
use organtwin_simulations::{Features, Schema, encode};

use super::failure::Failure;
use super::output::{Output, bar, bytes, complain, table};
use crate::memory;
use view::{Against, Bench, Cohort, ELSEWHERE, LinearScore};

/// Bytes of one weight of a deposited twin: a number modulo 2^128.
const BYTES_PER_WEIGHT: u64 = 16;
/// The patient and dose of the comparison with the obvious program.
const COMPARED: (f64, u16) = (60.0, 1250);

#[derive(Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    pub(super) output: Output,
    /// Shards that the efficiency is measured on; each is 31 patients
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Patients of the cohorts that are run, separated by commas; at least 20 each
    #[arg(long, value_delimiter = ',', default_values_t = [50, 100, 200])]
    cohorts: Vec<usize>,
    /// Patients of the cohort that is only planned
    #[arg(long, default_value_t = 10_000)]
    plan: usize,
    /// Measure only how many signed statements are said durably in a second, on the disk of this directory
    #[arg(long, value_name = "DIR")]
    statements: Option<PathBuf>,
    /// Measure only how fast a transcript of so many statements is verified
    #[arg(long, value_name = "STATEMENTS")]
    audit: Option<u64>,
}

/// Says on standard error what is measured now; silent with `--json`.
struct Steps<'a> {
    output: Output,
    start: &'a Instant,
}

impl Steps<'_> {
    fn step(&self, text: &str) {
        if !self.output.json {
            let seconds = self.start.elapsed().as_secs_f64();
            complain(&format!("[{seconds:>4.0} s] {text}"));
        }
    }
}

pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    if let Some(few) = args.cohorts.iter().find(|patients| **patients < 20) {
        return Err(Failure::Usage(format!(
            "--cohorts {few}: a cohort needs at least 20 patients, so that cells can reach k"
        )));
    }
    if let Some(below) = &args.statements {
        return appended(args.output, below);
    }
    let start = Instant::now();
    if let Some(statements) = args.audit {
        let speed = audit::measured(statements, &|| start.elapsed().as_secs_f64())
            .map_err(|error| Failure::Check(format!("the measurement went wrong: {error}")))?;
        args.output.show("organtwin.bench-audit/1", &speed, || {
            format!(
                "{} statements and {} studies in {}: {} checks in {:.1} s, of which {:.1} s reading",
                speed.statements,
                speed.studies,
                bytes(speed.bytes),
                speed.checks,
                speed.seconds,
                speed.decode_seconds
            )
        });
        return Ok(ExitCode::SUCCESS);
    }
    let steps = Steps {
        output: args.output,
        start: &start,
    };
    steps.step("two minutes on two cores; nothing else should run meanwhile");
    let bench = measured(args, &steps, &|| start.elapsed().as_secs_f64())
        .map_err(|error| Failure::Check(format!("the measurement went wrong: {error}")))?;
    args.output
        .show("organtwin.bench/2", &bench, || bench.text());
    Ok(ExitCode::SUCCESS)
}

fn appended(output: Output, below: &Path) -> Result<ExitCode, Failure> {
    let rows = statements::run(below)
        .map_err(|error| Failure::Environment(format!("{}: {error}", below.display())))?;
    let view = serde_json::json!({ "statements": rows });
    output.show("organtwin.bench-of-statements/1", &view, || {
        let rows = rows.iter().map(|row| {
            vec![
                row.at_a_flush.to_string(),
                format!("{:.0}", row.per_second),
                if row.at_a_flush == 1 {
                    String::new()
                } else {
                    "1500".into()
                },
            ]
        });
        table(
            &["signed statements at a flush", "a second", "to reach"],
            rows,
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn measured(
    args: &BenchArgs,
    steps: &Steps<'_>,
    clock: &dyn Fn() -> f64,
) -> Result<Bench, Box<dyn std::error::Error>> {
    steps.step("making a key of one owner");
    let key = OwnKey::production()?;
    steps.step("exact decisions on sums");
    let mut decisions = Vec::new();
    for (bits, thresholds) in [
        (8, 1),
        (10, 1),
        (12, 1),
        (14, 1),
        (10, 5),
        (12, 5),
        (12, 10),
    ] {
        decisions.push(measure::decisions(&key, bits, thresholds, clock)?);
    }
    steps.step("a score that is a sum");
    let linear = measure::linear(&key, clock)?;
    steps.step("how busy the cores are");
    let efficiency = measure::efficiency(&key, args.shards, clock)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cohorts = cohorts(args, &key, steps, clock)?;
    steps.step("planning a large cohort");
    let large = cohorts::large_plan(
        &key,
        args.plan,
        efficiency.bootstrap_seconds,
        u16::try_from(cores).unwrap_or(u16::MAX),
        clock,
    )?;
    steps.step("the obvious program: making its key");
    let naive = Naive::new();
    let (crcl, dose) = COMPARED;
    let naive = naive.measure(crcl, dose, clock, &|what| {
        steps.step(&format!("the obvious program: {what}"));
    })?;
    let schema = measure::vancomycin_study().schema()?;
    Ok(Bench {
        cores,
        bootstrap_milliseconds: efficiency.bootstrap_seconds * 1e3,
        decisions,
        efficiency,
        twin_bytes: schema.slots() as u64 * BYTES_PER_WEIGHT,
        twin_weights: schema.slots(),
        linear_score: LinearScore {
            cost: linear,
            encode_microseconds: encoding(&schema)?,
        },
        against: Against::new(naive, cohorts.last().map(|cohort| &cohort.cost)),
        cohorts,
        large,
        elsewhere: ELSEWHERE.into(),
    })
}

/// Runs the study on growing cohorts, with a bar that knows how long it still takes.
fn cohorts(
    args: &BenchArgs,
    key: &OwnKey,
    steps: &Steps<'_>,
    clock: &dyn Fn() -> f64,
) -> Result<Vec<Cohort>, Box<dyn std::error::Error>> {
    let mut measured = Vec::new();
    for patients in &args.cohorts {
        steps.step(&format!("the vancomycin study on {patients} patients"));
        let bar = bar(args.output);
        if std::io::stderr().is_terminal() {
            bar.set_message("bootstraps");
        }
        let cost = cohorts::cohort(
            key,
            *patients,
            clock,
            &|done, total| {
                bar.set_length(total);
                bar.set_position(done);
            },
            &AtomicBool::new(false),
        );
        bar.finish_and_clear();
        measured.push(Cohort {
            cost: cost?,
            peak_mib: memory::peak_mib(None),
        });
    }
    Ok(measured)
}

/// Microseconds that a hospital needs to encode one patient.
fn encoding(schema: &Schema) -> Result<f64, organtwin_simulations::EncodeError> {
    let features: Features = [
        ("crcl_goti_ml_min".to_owned(), Some(80.0)),
        ("age_years".to_owned(), Some(61.0)),
    ]
    .into();
    let rounds = 1000;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(encode(schema, &features)?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds))
}
