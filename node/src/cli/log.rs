//! `organtwin log`: checkpoints and proofs of what a node accepted, made by the node and checked by anyone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use organtwin_protocol::digest::Digest;
use organtwin_protocol::log::checkpoint::{self, Checkpoint};
use organtwin_protocol::log::note::NoteError;
use organtwin_protocol::log::proof::{Consistency, Inclusion, MAX_PROOF_BYTES};
use organtwin_protocol::roster::{MAX_ROSTER_BYTES, Roster};
use serde::Serialize;

use super::Common;
use super::failure::{Failure, read_file, write_new_file};
use super::output::{Output, lines};

#[derive(Subcommand)]
pub(super) enum LogCommand {
    /// Show how far the node's log reaches and who cosigned it; write its checkpoint
    Checkpoint(CheckpointArgs),
    /// Prove that a statement is in the node's log, or that the log extends an earlier checkpoint
    Prove(ProveArgs),
    /// Check a checkpoint or a proof with nothing but the roster
    Verify(VerifyArgs),
}

#[derive(Args)]
pub(super) struct CheckpointArgs {
    #[command(flatten)]
    common: Common,
    /// The file to write the checkpoint to
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Args)]
#[group(id = "what", required = true, multiple = false, args = ["statement", "since"])]
pub(super) struct ProveArgs {
    #[command(flatten)]
    common: Common,
    /// The party and the number of a statement in its feed, such as 2/17
    #[arg(long, value_name = "PARTY/NUMBER")]
    statement: Option<String>,
    /// The size of an earlier checkpoint
    #[arg(long, value_name = "SIZE")]
    since: Option<u64>,
    /// The file to write
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The checkpoint or proof
    file: PathBuf,
    /// The consortium's roster
    #[arg(long)]
    roster: PathBuf,
    /// The hash of the statement that a proof is about
    #[arg(long, value_name = "HASH")]
    statement: Option<String>,
    /// The earlier checkpoint that a proof begins with
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl LogCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Checkpoint(args) => args.common.output,
            Self::Prove(args) => args.common.output,
            Self::Verify(args) => args.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Checkpoint(args) => show(&args),
            Self::Prove(args) => prove(&args),
            Self::Verify(args) => verify(&args),
        }
    }
}

fn show(args: &CheckpointArgs) -> Result<ExitCode, Failure> {
    let view = args.common.client()?.log()?;
    if let Some(path) = &args.output {
        write_new_file(path, view.checkpoint.as_bytes())?;
    }
    let parties = |sizes: &std::collections::BTreeMap<u8, u64>| {
        let all = sizes
            .iter()
            .map(|(party, size)| format!("party {party}: {size}"));
        let all: Vec<String> = all.collect();
        if all.is_empty() {
            "nobody yet".to_owned()
        } else {
            all.join(", ")
        }
    };
    args.common.output.show("organtwin.log/1", &view, || {
        let text = lines(vec![
            ("log", view.origin.clone()),
            ("entries", view.size.to_string()),
            ("root", view.root.clone()),
            ("cosigned by", parties(&view.cosigned)),
            ("cosigned for", parties(&view.witnessed)),
            ("key", view.key.clone()),
        ]);
        format!("{text}\n{}", view.checkpoint)
    });
    Ok(ExitCode::SUCCESS)
}

fn prove(args: &ProveArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let view = match (&args.statement, args.since) {
        (Some(statement), _) => {
            let place = statement.split_once('/');
            let place = place.and_then(|(party, number)| {
                Some((party.parse::<u8>().ok()?, number.parse::<u64>().ok()?))
            });
            let (party, number) = place.ok_or_else(|| {
                Failure::Usage(format!(
                    "--statement {statement}: expected a party and a number, such as 2/17"
                ))
            })?;
            client.prove_statement(party, number)?
        }
        (None, since) => client.prove_extension(since.unwrap_or(0))?,
    };
    if let Some(path) = &args.output {
        write_new_file(path, view.proof.as_bytes())?;
    }
    args.common.output.show("organtwin.log-proof/1", &view, || {
        let statement = view.statement.as_ref();
        let statement = statement.map(|hash| format!("statement {hash}\n\n"));
        format!("{}{}", statement.unwrap_or_default(), view.proof)
    });
    Ok(ExitCode::SUCCESS)
}

/// What was checked.
#[derive(Debug, Serialize)]
struct Verified {
    passed: bool,
    kind: &'static str,
    party: u8,
    size: u64,
    root: String,
    cosigned: std::collections::BTreeMap<u8, u64>,
    detail: String,
}

fn text_file(path: &std::path::Path) -> Result<String, Failure> {
    let bytes = read_file(path, MAX_PROOF_BYTES as u64)?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::Check(format!("{}: expected text", path.display())))
}

fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let roster = read_file(&args.roster, MAX_ROSTER_BYTES as u64)?;
    let roster = Roster::decode(&roster)
        .map_err(|error| Failure::Usage(format!("{}: {error}", args.roster.display())))?;
    let file = text_file(&args.file)?;
    let statement = match &args.statement {
        None => None,
        Some(hash) => Some(digest(hash).ok_or_else(|| {
            Failure::Usage(format!(
                "--statement {hash}: expected 64 hexadecimal digits"
            ))
        })?),
    };
    let since = args.since.as_deref().map(text_file).transpose()?;
    let verified = checked(&roster, &file, statement, since.as_deref())
        .map_err(|error| Failure::Check(format!("FAIL  {}: {error}", args.file.display())))?;
    args.output.show("organtwin.log-verified/1", &verified, || {
        let cosigned = verified.cosigned.keys().map(ToString::to_string);
        let cosigned: Vec<String> = cosigned.collect();
        format!(
            "PASS  {}: {}\nparty {}'s log, {} entries, root {}, cosigned by {}",
            verified.kind,
            verified.detail,
            verified.party,
            verified.size,
            verified.root,
            if cosigned.is_empty() {
                "nobody".to_owned()
            } else {
                cosigned.join(", ")
            }
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn digest(hash: &str) -> Option<Digest> {
    let bytes: [u8; 32] = hex::decode(hash).ok()?.try_into().ok()?;
    Some(Digest::new(bytes))
}

/// A checkpoint whose every signature holds.
fn signed(roster: &Roster, checkpoint: &Checkpoint) -> Result<Verified, NoteError> {
    let consortium = roster.digest();
    let party = checkpoint
        .party(&consortium, roster)
        .ok_or(NoteError::NotACheckpoint("one of another consortium"))?;
    let keys = checkpoint::keys(roster);
    let cosigned = checkpoint.verify_all(&consortium, party, &keys)?;
    Ok(Verified {
        passed: true,
        kind: "checkpoint",
        party: party.get(),
        size: checkpoint.head().size,
        root: checkpoint.head().root.to_string(),
        cosigned: (cosigned.into_iter())
            .map(|(party, time)| (party.get(), time))
            .collect(),
        detail: "every signature holds".to_owned(),
    })
}

fn checked(
    roster: &Roster,
    file: &str,
    statement: Option<Digest>,
    since: Option<&str>,
) -> Result<Verified, String> {
    let text = |error: NoteError| error.to_string();
    if file.starts_with("c2sp.org/tlog-proof") {
        let proof = Inclusion::decode(file).map_err(text)?;
        let verified = signed(roster, &proof.checkpoint).map_err(text)?;
        let statement = statement.ok_or("name the statement's hash with --statement")?;
        let head = proof.checkpoint.head();
        head.includes(statement, proof.index, &proof.hashes)
            .map_err(|error| error.to_string())?;
        return Ok(Verified {
            kind: "inclusion",
            detail: format!("statement {statement} is entry {}", proof.index),
            ..verified
        });
    }
    if file.starts_with("old ") {
        let proof = Consistency::decode(file).map_err(text)?;
        let verified = signed(roster, &proof.checkpoint).map_err(text)?;
        let since = since.ok_or("give the earlier checkpoint with --since")?;
        let earlier = Checkpoint::decode(since).map_err(text)?;
        let before = signed(roster, &earlier).map_err(text)?;
        if before.party != verified.party || before.size != proof.old {
            return Err(format!(
                "expected the checkpoint of party {}'s log at {} entries, got party {}'s at {}",
                verified.party, proof.old, before.party, before.size
            ));
        }
        let head = proof.checkpoint.head();
        head.extends(&earlier.head(), &proof.hashes)
            .map_err(|error| error.to_string())?;
        return Ok(Verified {
            kind: "extension",
            detail: format!("the first {} entries are unchanged", proof.old),
            ..verified
        });
    }
    signed(roster, &Checkpoint::decode(file).map_err(text)?).map_err(text)
}
