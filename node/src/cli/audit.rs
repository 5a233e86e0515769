//! `organtwin audit`: the transcript of a study, out of a node and checked without any key.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use organtwin_protocol::transcript::MAX_TRANSCRIPT_BYTES;

use super::Common;
use super::failure::{Failure, read_file, write_new_file};
use super::output::{Output, bytes};
use crate::audit::{self, Audit, StatementRef};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Write a study's transcript into a file
    Export(ExportArgs),
    /// Check a transcript with nothing but the file: no key, no node, no network
    Verify(VerifyArgs),
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

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The transcript
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl AuditCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Export(args) => args.common.output,
            Self::Verify(args) => args.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Export(args) => export(&args),
            Self::Verify(args) => verify(&args),
        }
    }
}

fn export(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let transcript = args.common.client()?.transcript(&args.study)?;
    write_new_file(&args.output, &transcript)?;
    let view = serde_json::json!({ "file": args.output, "bytes": transcript.len() });
    args.common.output.show("organtwin.exported/1", &view, || {
        let size = bytes(transcript.len() as u64);
        format!(
            "wrote {} ({size}); check it anywhere with `organtwin audit verify`",
            args.output.display()
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let transcript = read_file(&args.file, MAX_TRANSCRIPT_BYTES as u64)?;
    let audit = audit::verify(&transcript);
    args.output
        .show("organtwin.audit/1", &audit, || text(&audit));
    Ok(if audit.passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn text(audit: &Audit) -> String {
    let mut text = String::new();
    for check in &audit.checks {
        let word = if check.passed { "PASS" } else { "FAIL" };
        text += &format!("{word}  {}: {}", check.name, check.detail);
        if let Some(StatementRef {
            party,
            number,
            hash,
        }) = &check.statement
        {
            text += &format!(" [party {party}, statement {number}, {hash}]");
        }
        text.push('\n');
    }
    for study in &audit.studies {
        text += &format!("\n{}\n{}\n", study.title, study.text);
    }
    let failed = audit.checks.iter().filter(|check| !check.passed).count();
    text + &if failed == 0 {
        format!("\nall {} checks passed", audit.checks.len())
    } else {
        format!(
            "\nthe audit FAILED: {failed} of {} checks",
            audit.checks.len()
        )
    }
}
