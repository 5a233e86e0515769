//! `organtwin epoch`: a changing consortium under one key.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Common;
use super::failure::{Failure, read_file};
use super::output::{Output, bar, short};
use crate::api::Client;
use crate::hospital::{EpochRequest, EpochStatus};
use crate::identity::Invitation;

const POLL: Duration = Duration::from_millis(400);
const MAX_FILE: u64 = 64 * 1024;

#[derive(Subcommand)]
pub(super) enum EpochCommand {
    /// New shares of the same key for the same members; the old ones are erased
    Refresh(ChangeArgs),
    /// A hospital joins
    Add(AddArgs),
    /// A hospital leaves
    Remove(RemoveArgs),
    /// A hospital that lost its share or its keys comes back with new ones
    Recover(RecoverArgs),
    /// Show where the last change stands
    Status(Common),
}

#[derive(Args)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    common: Common,
    /// t: how many members may be corrupt from now on; as before if not given
    #[arg(long)]
    threshold: Option<u8>,
    /// Accept n <= 3t: secure against passive cheaters only, and the certificate will say so
    #[arg(long)]
    allow_passive: bool,
    /// Wait until the new epoch is certified or the change was given up
    #[arg(long)]
    wait: bool,
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// The invitation of the hospital that joins
    #[arg(long, value_name = "FILE")]
    invitation: PathBuf,
    /// The number that it gets; the next one that nobody ever had if not given
    #[arg(long)]
    party: Option<u8>,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args)]
pub(super) struct RemoveArgs {
    /// The number of the hospital that leaves
    party: u8,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args)]
pub(super) struct RecoverArgs {
    /// The number of the hospital that comes back
    party: u8,
    /// Its new invitation
    #[arg(long, value_name = "FILE")]
    invitation: PathBuf,
    #[command(flatten)]
    change: ChangeArgs,
}

impl EpochCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Refresh(args) => args.common.output,
            Self::Add(args) => args.change.common.output,
            Self::Remove(args) => args.change.common.output,
            Self::Recover(args) => args.change.common.output,
            Self::Status(common) => common.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Refresh(args) => change(&args, "refresh", None, None),
            Self::Add(args) => {
                let invitation = invitation(&args.invitation)?;
                change(&args.change, "add", args.party, Some(invitation))
            }
            Self::Remove(args) => change(&args.change, "remove", Some(args.party), None),
            Self::Recover(args) => {
                let invitation = invitation(&args.invitation)?;
                change(&args.change, "recover", Some(args.party), Some(invitation))
            }
            Self::Status(common) => {
                let status = common.client()?.epoch()?;
                show(common.output, &status);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Reads an invitation file.
pub(super) fn invitation(path: &std::path::Path) -> Result<Invitation, Failure> {
    let bytes = read_file(path, MAX_FILE)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Usage(format!("{}: no invitation: {error}", path.display())))
}

fn change(
    args: &ChangeArgs,
    kind: &str,
    party: Option<u8>,
    invitation: Option<Invitation>,
) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let request = EpochRequest {
        kind: kind.to_owned(),
        party,
        invitation,
        threshold: args.threshold,
        allow_passive: args.allow_passive.then_some(true),
    };
    let mut status = client.change_epoch(&request)?;
    if args.wait {
        status = wait(&client, args.common.output)?;
    }
    show(args.common.output, &status);
    Ok(match status.phase.as_str() {
        "aborted" => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    })
}

fn wait(client: &Client, output: Output) -> Result<EpochStatus, Failure> {
    let bar = bar(output);
    loop {
        let status = client.epoch()?;
        if matches!(status.phase.as_str(), "done" | "aborted" | "none") {
            bar.finish_and_clear();
            return Ok(status);
        }
        bar.set_message(status.phase.clone());
        std::thread::sleep(POLL);
    }
}

fn show(output: Output, status: &EpochStatus) {
    output.show("organtwin.epoch/1", status, || text(status));
}

fn list(parties: &[u8]) -> String {
    let parties: Vec<String> = parties.iter().map(u8::to_string).collect();
    parties.join(", ")
}

fn text(status: &EpochStatus) -> String {
    let mut text = format!(
        "epoch {}: parties {}, t = {}",
        status.epoch,
        list(&status.members),
        status.threshold
    );
    if let Some(certificate) = &status.certificate {
        text += &format!("\ncertificate {}", short(certificate));
    }
    for change in &status.open {
        text += &format!(
            "\nopen: {}{} to epoch {} with parties {}, t = {}; approved by {}",
            change.kind,
            change
                .party
                .map_or_else(String::new, |party| format!(" of party {party}")),
            change.epoch,
            list(&change.members),
            change.threshold,
            list(&change.approved_by)
        );
    }
    text += &match status.phase.as_str() {
        "none" => String::new(),
        "done" => format!("\nthe last change is certified ({:.1} s)", status.seconds),
        "aborted" => "\nthe last change was given up; the epoch before goes on".to_owned(),
        phase => format!("\n{phase}, {:.1} s", status.seconds),
    };
    if !status.waiting_for.is_empty() {
        text += &format!("\nwaiting for party {}", list(&status.waiting_for));
    }
    if let Some(fault) = &status.fault {
        text += &format!("\n{fault}");
    }
    text
}
