//! `organtwin audit`: the transcript of a study, out of a node and checked without any key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Subcommand};
use organtwin_protocol::fold::Fold;
use organtwin_protocol::study::Study;
use organtwin_protocol::transcript::{MAX_TRANSCRIPT_BYTES, Transcript};
use serde::Serialize;

use super::Common;
use super::failure::{Failure, read_file, write_new_file};
use super::output::{Output, bar, bytes, short};
use crate::audit::bundle::{self, BundleError, KEY, TRANSCRIPT};
use crate::audit::replay::{self, ReplayError, Replayed, Sources};
use crate::audit::{self, Audit, StatementRef};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Write a study's transcript into a file, or a bundle that can also be evaluated again
    Export(ExportArgs),
    /// Check a transcript with nothing but the file: no key, no node, no network
    Verify(VerifyArgs),
    /// Evaluate shards of a bundle again and compare their digests bit for bit
    Replay(ReplayArgs),
}

#[derive(Args)]
#[group(id = "target", required = true, multiple = false, args = ["output", "bundle"])]
pub(super) struct ExportArgs {
    #[command(flatten)]
    common: Common,
    /// The study's identifier or an unambiguous beginning of it
    study: String,
    /// The file to write the transcript to
    #[arg(long)]
    output: Option<PathBuf>,
    /// The directory to write a bundle to: the transcript with all twins and input vectors
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Put the public evaluation key into the bundle too: some 300 MB
    #[arg(long, requires = "bundle")]
    with_key: bool,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The transcript, or a bundle's directory
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(super) struct ReplayArgs {
    /// The bundle's directory, or a transcript
    file: PathBuf,
    /// Evaluate so many shards, chosen at random, instead of all
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// The directory with the twins and input vectors; the bundle's if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The public evaluation key; public.key beside the transcript if not given
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl AuditCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Export(args) => args.common.output,
            Self::Verify(args) => args.output,
            Self::Replay(args) => args.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Export(args) => export(&args),
            Self::Verify(args) => verify(&args),
            Self::Replay(args) => replay(&args),
        }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Damaged { .. } | BundleError::Unknown(_) => Self::Check(error.to_string()),
            BundleError::Io { .. } | BundleError::Missing { .. } => {
                Self::Environment(error.to_string())
            }
        }
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Bundle(error) => error.into(),
            ReplayError::Machine { .. } => Self::Environment(error.to_string()),
            _ => Self::Check(error.to_string()),
        }
    }
}

/// What an export wrote.
#[derive(Serialize)]
struct Exported<'a> {
    file: &'a Path,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<bundle::Size>,
}

fn export(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let transcript = args.common.client()?.transcript(&args.study)?;
    let (output, length) = (args.common.output, transcript.len() as u64);
    if let Some(file) = &args.output {
        write_new_file(file, &transcript)?;
        let view = Exported {
            file,
            bytes: length,
            bundle: None,
        };
        output.show("organtwin.exported/1", &view, || {
            format!(
                "wrote {} ({}); check it anywhere with `organtwin audit verify`",
                file.display(),
                bytes(length)
            )
        });
        return Ok(ExitCode::SUCCESS);
    }
    let target = args.bundle.as_deref().unwrap_or(Path::new("bundle"));
    let read = decoded(&transcript)?;
    let (_, fold) = audit::of_transcript(&read);
    let hospital = args.common.hospital();
    let key = args.with_key.then(|| key_of(&hospital.key(), &read, &fold));
    let key = key.transpose()?;
    let bar = bar(output);
    bar.set_message("twins and vectors");
    let progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let size = bundle::write(
        target,
        &transcript,
        &read,
        &fold,
        &hospital.blobs(),
        key.as_deref(),
        &progress,
    )?;
    bar.finish_and_clear();
    let all = size.transcript + size.blobs_bytes + size.key_bytes.unwrap_or(0);
    let key = match size.key_bytes {
        Some(key) => format!("the evaluation key {}", bytes(key)),
        None => "without the evaluation key: add it with --with-key".to_owned(),
    };
    let text = format!(
        "wrote {} ({}: transcript {}, {} twins and vectors {}, {key}); check it with `organtwin audit verify`, evaluate it again with `organtwin audit replay`",
        target.display(),
        bytes(all),
        bytes(size.transcript),
        size.blobs,
        bytes(size.blobs_bytes)
    );
    let view = Exported {
        file: target,
        bytes: all,
        bundle: Some(size),
    };
    output.show("organtwin.exported/1", &view, || text);
    Ok(ExitCode::SUCCESS)
}

/// The public key of the transcript's studies in the hospital's directory.
fn key_of(keys: &Path, transcript: &Transcript, fold: &Fold) -> Result<PathBuf, Failure> {
    let mut studies = Study::all(fold).filter(|s| transcript.files(&s.id).is_some());
    let certificates = &fold.facts().certificates;
    let certified = studies
        .next()
        .and_then(|s| certificates.get(&s.manifest.certificate));
    let session = certified.map(|facts| facts.certificate.session);
    let session =
        session.ok_or_else(|| Failure::Check("the study's key is not certified".to_owned()))?;
    Ok(keys.join(session.to_string()).join(KEY))
}

/// The file of a transcript that a user named, itself or in a bundle.
fn transcript_file(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join(TRANSCRIPT)
    } else {
        path.to_path_buf()
    }
}

fn decoded(bytes: &[u8]) -> Result<Transcript, Failure> {
    Transcript::decode(bytes).map_err(|error| Failure::Check(format!("no transcript: {error}")))
}

fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let transcript = read_file(&transcript_file(&args.file), MAX_TRANSCRIPT_BYTES as u64)?;
    let audit = audit::verify(&transcript);
    args.output
        .show("organtwin.audit/1", &audit, || text(&audit));
    Ok(verdict(audit.passed))
}

fn verdict(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// What a replay found.
#[derive(Serialize)]
struct Report {
    passed: bool,
    shards: Vec<Replayed>,
    seconds: f64,
}

fn replay(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let file = transcript_file(&args.file);
    let transcript = decoded(&read_file(&file, MAX_TRANSCRIPT_BYTES as u64)?)?;
    let (audit, fold) = audit::of_transcript(&transcript);
    if let Some(failed) = audit.checks.iter().find(|check| !check.passed) {
        return Err(Failure::Check(format!(
            "the transcript itself fails its audit, so nothing was evaluated: {}: {}",
            failed.name, failed.detail
        )));
    }
    let beside = file.parent().unwrap_or(Path::new("."));
    let data = args.data.clone().unwrap_or_else(|| beside.to_path_buf());
    let key = args.key.clone().unwrap_or_else(|| beside.join(KEY));
    let bar = bar(args.output);
    bar.set_message("bootstraps");
    let progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let sources = Sources {
        data: &data,
        key: &key,
        sample: args.sample.map(|count| count as usize),
    };
    let start = Instant::now();
    let shards = replay::replay(&transcript, &fold, &sources, &progress)?;
    bar.finish_and_clear();
    let report = Report {
        passed: shards.iter().all(|shard| shard.equal),
        shards,
        seconds: start.elapsed().as_secs_f64(),
    };
    args.output.show("organtwin.replay/1", &report, || {
        let lines = report.shards.iter().map(|shard| {
            let (word, found) = match shard.equal {
                true => ("PASS", "equal".to_owned()),
                false => ("FAIL", format!("here {}", shard.found)),
            };
            format!(
                "{word}  study {}, shard {} of {} twins: stated {}, {found}\n",
                short(&shard.study),
                shard.shard,
                shard.twins,
                shard.stated
            )
        });
        let lines: String = lines.collect();
        let equal = report.shards.iter().filter(|shard| shard.equal).count();
        format!(
            "{lines}\n{equal} of {} shards equal bit for bit, {:.0} s",
            report.shards.len(),
            report.seconds
        )
    });
    Ok(verdict(report.passed))
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
