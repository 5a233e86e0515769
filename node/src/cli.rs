//! The command line: one subcommand per thing an operator does.
//!
//! Exit codes: 0 ok, 1 a check failed or the consortium refused, 2 wrong usage, 3 the environment. With `--json`
//! one object with a `schema` goes to standard output, also for errors.

mod audit;
mod backup;
mod bench;
mod ceremony;
mod doctor;
mod epoch;
mod failure;
mod hospital;
mod log;
mod model;
mod output;
mod params;
mod roster;
mod run;
mod study;
mod twin;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::api::Client;
use crate::config::HospitalDir;
use failure::Failure;
use output::Output;

/// Joint drug studies of several hospitals on encrypted organ twins, under a key that nobody holds.
#[derive(Parser)]
#[command(name = "organtwin", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A whole consortium of real node processes on this machine: ceremony, ingest, study, quorum, audit
    Demo(crate::demo::DemoArgs),
    /// Make a hospital's directory: configuration, keys, API token
    Init(hospital::InitArgs),
    /// Make, sign and show the consortium's roster
    #[command(subcommand)]
    Roster(roster::RosterCommand),
    /// Run the hospital's node until it is told to stop
    Run(run::RunArgs),
    /// Show the node at a glance
    Status(Common),
    /// Check the hospital's directory, machine and node
    Doctor(Common),
    /// Write a sealed backup of the hospital's directory; its node must be stopped
    Backup(backup::BackupArgs),
    /// Make a hospital's directory of a backup
    Restore(backup::RestoreArgs),
    /// Make the joint key
    #[command(subcommand)]
    Ceremony(ceremony::CeremonyCommand),
    /// Change who shares the key: refresh, a hospital joins, leaves, or comes back
    #[command(subcommand)]
    Epoch(epoch::EpochCommand),
    /// Patients in, encrypted twins out
    #[command(subcommand)]
    Twin(twin::TwinCommand),
    /// Plan, propose, decide and read studies
    #[command(subcommand)]
    Study(study::StudyCommand),
    /// The clinical models: list them, show what they need, evaluate one for one patient
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Export a study's transcript, check one without any key, evaluate its shards again
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The log of everything that a node accepted: checkpoints that peers cosign, and proofs
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Failure probability, noise, flooding and bytes of a committee, from their formulas
    Params(params::ParamsArgs),
    /// Measure this machine, and say how the other figures are measured
    Bench(bench::BenchArgs),
}

/// What every command that concerns one hospital takes.
#[derive(Args, Clone)]
struct Common {
    /// The hospital's directory
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl Common {
    fn hospital(&self) -> HospitalDir {
        HospitalDir::new(&self.dir)
    }

    fn client(&self) -> Result<Client, Failure> {
        Ok(Client::open(&self.hospital())?)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.command.output();
    match cli.command.run() {
        Ok(code) => code,
        Err(failure) => failure.report(output),
    }
}

impl Command {
    fn output(&self) -> Output {
        match self {
            Self::Demo(args) => Output { json: args.json },
            Self::Init(args) => args.common.output,
            Self::Roster(command) => command.output(),
            Self::Run(args) => args.common.output,
            Self::Status(common) | Self::Doctor(common) => common.output,
            Self::Backup(args) => args.common.output,
            Self::Restore(args) => args.common.output,
            Self::Ceremony(command) => command.output(),
            Self::Epoch(command) => command.output(),
            Self::Twin(command) => command.output(),
            Self::Study(command) => command.output(),
            Self::Model(command) => command.output(),
            Self::Audit(command) => command.output(),
            Self::Log(command) => command.output(),
            Self::Params(args) => args.output,
            Self::Bench(args) => args.output,
        }
    }

    fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Demo(args) => crate::demo::run(&args).map_err(|error| {
                match error.downcast::<crate::demo::ScenarioError>() {
                    Ok(scenario) => Failure::Usage(scenario.to_string()),
                    Err(other) => Failure::Environment(format!("{other:#}")),
                }
            }),
            Self::Init(args) => hospital::init(&args),
            Self::Roster(command) => command.run(),
            Self::Run(args) => run::run(&args),
            Self::Status(common) => hospital::status(&common),
            Self::Doctor(common) => doctor::run(&common),
            Self::Backup(args) => backup::backup(&args),
            Self::Restore(args) => backup::restore(&args),
            Self::Ceremony(command) => command.run(),
            Self::Epoch(command) => command.run(),
            Self::Twin(command) => command.run(),
            Self::Study(command) => command.run(),
            Self::Model(command) => command.run(),
            Self::Audit(command) => command.run(),
            Self::Log(command) => command.run(),
            Self::Params(args) => params::run(&args),
            Self::Bench(args) => bench::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
