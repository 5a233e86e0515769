//! `organtwin audit`: the transcript of a study, out of a node and checked without any key.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Common;
use super::failure::{Failure, write_new_file};
use super::output::{Output, bytes};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Write a study's transcript into a file
    Export(ExportArgs),
}

#[derive(Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    common: Common,
    /// The study's identifier or an unambiguous beginning of it
    study: String,
    /// The file to write
    #[arg(long)]
    output: PathBuf,
}

impl AuditCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Export(args) => args.common.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Export(args) => export(&args),
        }
    }
}

fn export(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let transcript = args.common.client()?.transcript(&args.study)?;
    write_new_file(&args.output, &transcript)?;
    let view = serde_json::json!({ "file": args.output, "bytes": transcript.len() });
    args.common.output.show("organtwin.exported/1", &view, || {
        let size = bytes(transcript.len() as u64);
        format!("wrote {} ({size}); check it anywhere with `organtwin audit verify`", args.output.display())
    });
    Ok(ExitCode::SUCCESS)
}
