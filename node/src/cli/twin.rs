//! `organtwin twin`: patients in, encrypted twins out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Common;
use super::failure::Failure;
use super::output::{Output, bytes, table};
use crate::api::{DepositRequest, TwinInput};
use crate::fhir::{Feature, Finding, FindingCode, Ingest, Outcome, Policy, Pseudonyms};
use crate::hospital::TwinsView;
use crate::{private_file, twins};

/// In the identity folder: makes the pseudonyms of this hospital's patients.
pub(super) const PSEUDONYM_KEY: &str = "pseudonym.key";

#[derive(Subcommand)]
pub(super) enum TwinCommand {
    /// Read feature files (CSV, NDJSON) or FHIR R4 bulk files and deposit encrypted twins
    Ingest(IngestArgs),
    /// List the twins that this node knows of
    List(Common),
    /// Withdraw a twin: studies proposed from now on may not contain it
    Withdraw(WithdrawArgs),
}

#[derive(Args)]
pub(super) struct IngestArgs {
    #[command(flatten)]
    common: Common,
    /// The organ whose twins are made: kidney, liver or heart
    #[arg(long, value_name = "ORGAN", default_value = "kidney")]
    organ: String,
    /// Take only the first N patients that are accepted
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Count a feature as missing beyond so many days from the newest creatinine, as in weight_kg=30
    #[arg(long = "window", value_name = "FEATURE=DAYS", value_parser = window)]
    windows: Vec<(Feature, u32)>,
    /// Report only: nothing is encrypted or deposited, and no node is needed
    #[arg(long)]
    dry_run: bool,
    /// Print every warning, not only their number
    #[arg(long)]
    verbose: bool,
    /// Feature files with a column `patient`, or Patient.ndjson and Observation.ndjson, or folders that hold them
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Args)]
pub(super) struct WithdrawArgs {
    #[command(flatten)]
    common: Common,
    /// The twin's public identifier, or the hospital's pseudonym for the patient (all twins of the patient then)
    #[arg(required_unless_present = "patient", conflicts_with = "patient")]
    twin: Option<String>,
    /// The patient's identifier in the hospital's own files: all twins of the patient. It does not leave this process
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
}

fn window(text: &str) -> Result<(Feature, u32), String> {
    let (name, days) = text.split_once('=').ok_or("expected FEATURE=DAYS")?;
    let feature = Feature::by_name(name).ok_or_else(|| {
        let names: Vec<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
        format!("unknown feature; expected one of {}", names.join(", "))
    })?;
    Ok((
        feature,
        days.parse()
            .map_err(|_| "expected a whole number of days")?,
    ))
}

/// What `twin ingest` did.
#[derive(Serialize)]
struct IngestView {
    deposited: usize,
    bytes_per_twin: u64,
    warnings: usize,
    warnings_by_code: BTreeMap<FindingCode, usize>,
    #[serde(flatten)]
    ingest: Ingest,
}

impl TwinCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Ingest(args) => args.common.output,
            Self::List(common) => common.output,
            Self::Withdraw(args) => args.common.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Ingest(args) => ingest(&args),
            Self::List(common) => {
                let twins = common.client()?.twins()?;
                common
                    .output
                    .show("organtwin.twins/1", &twins, || list_text(&twins));
                Ok(ExitCode::SUCCESS)
            }
            Self::Withdraw(args) => withdraw(&args),
        }
    }
}

fn withdraw(args: &WithdrawArgs) -> Result<ExitCode, Failure> {
    let name = match (&args.twin, &args.patient) {
        (Some(twin), _) => twin.clone(),
        (None, Some(patient)) => {
            let key = args.common.hospital().identity().join(PSEUDONYM_KEY);
            Pseudonyms::new(*private_file::load(&key)?).of(patient)
        }
        (None, None) => return Err(Failure::Usage("name a twin or a patient".into())),
    };
    let report = args.common.client()?.withdraw(&name)?;
    args.common
        .output
        .show("organtwin.withdrawn/2", &report, || {
            let mut text = String::new();
            for twin in &report.twins {
                text += &format!("withdrawn: twin {} ({})\n", twin.id, twin.organ);
            }
            text += "no later study contains it";
            for study in &report.voided {
                text += &format!("\nvoid: study {study}, which listed it and was not opened");
            }
            text
        });
    Ok(ExitCode::SUCCESS)
}

fn ingest(args: &IngestArgs) -> Result<ExitCode, Failure> {
    let hospital = args.common.hospital();
    let pseudonym_key = hospital.identity().join(PSEUDONYM_KEY);
    let key = match args.dry_run {
        true => private_file::load(&pseudonym_key).unwrap_or_default(),
        false => private_file::load_or_create(&pseudonym_key)?,
    };
    let policy = Policy {
        windows: args.windows.iter().copied().collect(),
    };
    let pseudonyms = Pseudonyms::new(*key);
    let (mut ingest, mut prepared) =
        twins::prepare(&args.organ, &args.files, &policy, &pseudonyms, args.limit)?;

    let mut deposited = 0;
    let mut bytes_per_twin = 0;
    if !args.dry_run {
        let client = args.common.client()?;
        let own = client.twins()?.own;
        let known: BTreeSet<String> = own
            .into_iter()
            .filter(|twin| !twin.withdrawn && twin.organ == args.organ)
            .map(|twin| twin.local_id)
            .collect();
        prepared.retain(|twin| !known.contains(&twin.pseudonym));
        for index in 0..ingest.patients.len() {
            let patient = ingest.patients.get(index);
            if patient.is_some_and(|one| {
                one.outcome == Outcome::Accepted && known.contains(&one.pseudonym)
            }) {
                let detail =
                    "the patient's twin is deposited; withdraw it first to deposit a newer one";
                ingest.refuse(
                    index,
                    Finding::new(FindingCode::AlreadyDeposited, None, detail),
                );
            }
        }
        if !prepared.is_empty() {
            let twins = prepared.into_iter().map(|twin| TwinInput {
                local_id: twin.pseudonym,
                organ: args.organ.clone(),
                features: twin.features,
            });
            let report = client.deposit(&DepositRequest {
                twins: twins.collect(),
            })?;
            deposited = report.twins.len();
            bytes_per_twin = report.bytes_per_twin;
        }
    }
    let warnings_by_code = ingest.warning_counts();
    let warnings = warnings_by_code.values().sum();
    let view = IngestView {
        deposited,
        bytes_per_twin,
        warnings,
        warnings_by_code,
        ingest,
    };
    args.common
        .output
        .show("organtwin.ingest/1", &view, || text(&view, args));
    Ok(if view.ingest.accepted == 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn text(view: &IngestView, args: &IngestArgs) -> String {
    let ingest = &view.ingest;
    let mut text = String::new();
    let mut rows = Vec::new();
    for patient in &ingest.patients {
        let warnings = patient
            .warnings
            .iter()
            .filter(|_| args.verbose)
            .map(|finding| ("warning", finding));
        for (kind, finding) in patient
            .reasons
            .iter()
            .map(|finding| ("refused", finding))
            .chain(warnings)
        {
            let feature = finding.feature.clone().unwrap_or_default();
            rows.push(vec![
                patient.row.to_string(),
                patient.pseudonym.clone(),
                kind.into(),
                feature,
                finding.detail.clone(),
            ]);
        }
    }
    if !rows.is_empty() {
        text += &table(&["row", "pseudonym", "", "feature", "why"], rows);
        text += "\n";
    }
    for problem in &ingest.line_problems {
        text += &format!(
            "file {} line {}: {}\n",
            problem.file, problem.line, problem.problem
        );
    }
    text += &format!(
        "{} accepted, {} refused, {} warnings\n",
        ingest.accepted, ingest.refused, view.warnings
    );
    for (code, count) in &view.warnings_by_code {
        let name = serde_json::to_value(code)
            .ok()
            .and_then(|name| name.as_str().map(|name| name.replace('_', " ")));
        text += &format!("  {count:6} {}\n", name.unwrap_or_default());
    }
    if ingest.malformed_lines + ingest.orphan_observations > 0 {
        text += &format!(
            "{} lines were no resource, {} observations belong to no patient of these files\n",
            ingest.malformed_lines, ingest.orphan_observations
        );
    }
    match args.dry_run {
        true => text += "nothing was deposited (--dry-run)\n",
        false => {
            text += &format!(
                "{} twins deposited, {} each\n",
                view.deposited,
                bytes(view.bytes_per_twin)
            );
        }
    }
    text
}

fn list_text(twins: &TwinsView) -> String {
    let rows = twins.own.iter().map(|twin| {
        let held: Vec<String> = twin.received_by.iter().map(u8::to_string).collect();
        let admission = match &twin.reason {
            Some(reason) => format!("{}: {reason}", twin.admission),
            None => twin.admission.clone(),
        };
        let state = if twin.withdrawn {
            "withdrawn".to_owned()
        } else {
            admission
        };
        vec![
            twin.local_id.clone(),
            twin.id.clone(),
            twin.organ.clone(),
            held.join(", "),
            state,
        ]
    });
    let mut text = table(
        &["pseudonym", "twin", "organ", "received by", "admission"],
        rows,
    );
    text += "\n";
    for (party, count) in &twins.deposited {
        let eligible = twins.eligible.get(party).copied().unwrap_or(0);
        let refused = match twins.refused.get(party) {
            Some(refused) => format!(", {refused} refused"),
            None => String::new(),
        };
        text += &format!("party {party}: {count} deposited, {eligible} eligible{refused}\n");
    }
    text
}
