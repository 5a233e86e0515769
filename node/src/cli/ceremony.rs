//! `organtwin ceremony`: the joint key.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Common;
use super::failure::Failure;
use super::output::{Output, bar, bytes, short};
use crate::api::Client;
use crate::hospital::CeremonyStatus;

const POLL: Duration = Duration::from_millis(400);

#[derive(Subcommand)]
pub(super) enum CeremonyCommand {
    /// Consent to a key ceremony; it begins when every member has
    Start(StartArgs),
    /// Show where the ceremony stands
    Status(Common),
}

#[derive(Args)]
pub(super) struct StartArgs {
    #[command(flatten)]
    common: Common,
    /// Wait until the key is certified or the ceremony has failed
    #[arg(long)]
    wait: bool,
}

impl CeremonyCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Start(args) => args.common.output,
            Self::Status(common) => common.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Start(args) => {
                let client = args.common.client()?;
                let mut status = client.start_ceremony()?;
                if args.wait {
                    status = wait(&client, args.common.output)?;
                }
                show(args.common.output, &status);
                Ok(if status.phase == "aborted" {
                    ExitCode::from(1)
                } else {
                    ExitCode::SUCCESS
                })
            }
            Self::Status(common) => {
                let status = common.client()?.ceremony()?;
                show(common.output, &status);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn wait(client: &Client, output: Output) -> Result<CeremonyStatus, Failure> {
    let bar = bar(output);
    loop {
        let status = client.ceremony()?;
        if matches!(status.phase.as_str(), "done" | "aborted") {
            bar.finish_and_clear();
            return Ok(status);
        }
        bar.set_message(status.phase.clone());
        bar.set_length(status.total);
        bar.set_position(status.done);
        std::thread::sleep(POLL);
    }
}

fn show(output: Output, status: &CeremonyStatus) {
    output.show("organtwin.ceremony/1", status, || text(status));
}

fn text(status: &CeremonyStatus) -> String {
    let mut text = match status.phase.as_str() {
        "none" => {
            "no ceremony yet; start one on every node with `organtwin ceremony start`".to_owned()
        }
        "done" => format!("the joint key is certified ({:.1} s)", status.seconds),
        "aborted" => format!("the ceremony was aborted after {:.1} s", status.seconds),
        phase => format!(
            "{phase}: {} of {} chunks, {:.1} s",
            status.done, status.total, status.seconds
        ),
    };
    if status.bytes_forecast > 0 {
        text += &format!(
            "\nsent      {} of {} forecast",
            bytes(status.bytes_sent),
            bytes(status.bytes_forecast)
        );
    }
    if let Some(certificate) = &status.certificate {
        text += &format!("\ncertificate {}", short(certificate));
    }
    if let Some(fault) = &status.fault {
        text += &format!("\n{fault}");
    }
    if let Some(replay) = &status.replay {
        text += &format!(
            "\nreplaying session {}: {} of {} chunks",
            short(&replay.session),
            replay.done,
            replay.total
        );
    }
    for verdict in &status.verdicts {
        text += &format!("\n{verdict}");
    }
    text
}
