//! `organtwin study`: from a question to a released result.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Common;
use super::failure::{Failure, read_file};
use super::output::{Output, bar, bytes, lines, say, short, table};
use crate::hospital::{Forecast, StudyRequest, StudyView};
use crate::models;

const MAX_STUDY_FILE: u64 = 64 * 1024;
const POLL: Duration = Duration::from_millis(400);

#[derive(Subcommand)]
pub(super) enum StudyCommand {
    /// Forecast a study file over the twins eligible now; nothing is stated
    Plan(FileArgs),
    /// Propose a study file to the consortium
    Propose(FileArgs),
    /// List all studies
    List(Common),
    /// Show one study
    Show(IdArgs),
    /// Approve a study
    Approve(IdArgs),
    /// Reject a study
    Reject(RejectArgs),
    /// Show the released result of a study
    Result(ResultArgs),
}

#[derive(Args)]
pub(super) struct FileArgs {
    #[command(flatten)]
    common: Common,
    /// The study: title, question, optional quorum and expires_ms, and the table [study]
    file: PathBuf,
}

#[derive(Args)]
pub(super) struct IdArgs {
    #[command(flatten)]
    common: Common,
    /// The study's identifier or an unambiguous beginning of it
    study: String,
}

#[derive(Args)]
pub(super) struct RejectArgs {
    #[command(flatten)]
    common: Common,
    /// The study's identifier or an unambiguous beginning of it
    study: String,
    /// Why, for the other hospitals
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub(super) struct ResultArgs {
    #[command(flatten)]
    common: Common,
    /// The study's identifier or an unambiguous beginning of it
    study: String,
    /// Wait until the result is released or the study has ended without one
    #[arg(long)]
    wait: bool,
}

/// Reads a study file and checks all that can be checked without a consortium.
pub(crate) fn read_study(path: &std::path::Path) -> Result<StudyRequest, Failure> {
    let bytes = read_file(path, MAX_STUDY_FILE)?;
    let wrong = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".into()))?;
    let mut table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let study = table.get_mut("study").and_then(toml::Value::as_table_mut);
    let request: StudyRequest = match study {
        Some(study) if study.contains_key("additive") => {
            let base = path.parent().unwrap_or(std::path::Path::new("."));
            models::resolve(study, models::beside(base)).map_err(wrong)?;
            table.try_into()
        }
        // Read from the text where that is possible: its errors name the line.
        _ => toml::from_str(&text),
    }
    .map_err(|error| wrong(error.to_string()))?;
    request
        .study
        .compile()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(request)
}

impl StudyCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Plan(args) | Self::Propose(args) => args.common.output,
            Self::List(common) => common.output,
            Self::Show(args) | Self::Approve(args) => args.common.output,
            Self::Reject(args) => args.common.output,
            Self::Result(args) => args.common.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Plan(args) => {
                let request = read_study(&args.file)?;
                let forecast = args.common.client()?.plan(request.study)?;
                args.common
                    .output
                    .show("organtwin.forecast/1", &forecast, || {
                        forecast_text(&forecast)
                    });
            }
            Self::Propose(args) => {
                let request = read_study(&args.file)?;
                let proposed = args.common.client()?.propose(&request)?;
                args.common.output.show("organtwin.proposed/1", &proposed, || {
                    format!("proposed as {}\nother hospitals approve it with `organtwin study approve {}`",
                        proposed.study, short(&proposed.study))
                });
            }
            Self::List(common) => {
                let studies = common.client()?.studies()?;
                common.output.show("organtwin.studies/1", &studies, || {
                    list_text(&studies.studies)
                });
            }
            Self::Show(args) => {
                let study = args.common.client()?.study(&args.study)?;
                args.common
                    .output
                    .show("organtwin.study/1", &study, || study_text(&study));
            }
            Self::Approve(args) => {
                let client = args.common.client()?;
                client.approve(&args.study)?;
                decided(&args.common, &client.study(&args.study)?, "approved");
            }
            Self::Reject(args) => {
                let client = args.common.client()?;
                client.reject(&args.study, &args.reason)?;
                decided(&args.common, &client.study(&args.study)?, "rejected");
            }
            Self::Result(args) => return result(&args),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn decided(common: &Common, study: &StudyView, word: &str) {
    common.output.show("organtwin.study/1", study, || {
        format!("{word}\n{}", study_text(study))
    });
}

fn result(args: &ResultArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let output = args.common.output;
    if args.wait {
        let bar = bar(output);
        loop {
            let study = client.study(&args.study)?;
            if study.has_result || matches!(study.phase.as_str(), "rejected" | "expired" | "void") {
                break;
            }
            bar.set_message(study.phase.replace('_', " "));
            bar.set_length(u64::from(study.shards_total));
            bar.set_position(u64::from(study.shards_done));
            std::thread::sleep(POLL);
        }
        bar.finish_and_clear();
    }
    let view = client.result(&args.study)?;
    if output.json {
        output.object("organtwin.result/1", &view);
    } else {
        say(view.text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn list_text(studies: &[StudyView]) -> String {
    if studies.is_empty() {
        return "no studies yet; propose one with `organtwin study propose FILE`".into();
    }
    let rows = studies.iter().map(|study| {
        let decided = format!("{} of {}", study.approvals.len(), study.quorum);
        vec![
            short(&study.id).to_owned(),
            study.phase.clone(),
            decided,
            study.twins.to_string(),
            study.title.clone(),
        ]
    });
    table(&["study", "phase", "approvals", "twins", "title"], rows)
}

fn study_text(study: &StudyView) -> String {
    let parties = |parties: &[u8]| {
        let names: Vec<String> = parties.iter().map(u8::to_string).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    let mut rows = vec![
        ("study", study.id.clone()),
        ("title", study.title.clone()),
        ("question", study.question.clone()),
        ("proposed by", format!("party {}", study.proposer)),
        ("phase", study.phase.replace('_', " ")),
        (
            "approved by",
            format!("{} (needs {})", parties(&study.approvals), study.quorum),
        ),
    ];
    for (party, reason) in &study.rejections {
        rows.push(("rejected by", format!("party {party}: {reason}")));
    }
    if let Some(reason) = &study.reason {
        rows.push(("because", reason.clone()));
    }
    rows.push((
        "twins",
        format!(
            "{} in {} hospitals",
            study.twins,
            study.twins_per_hospital.len()
        ),
    ));
    rows.push(("smallest cell", study.k.to_string()));
    rows.push((
        "shards",
        format!("{} of {}", study.shards_done, study.shards_total),
    ));
    if let Some(eta) = study.eta_seconds {
        rows.push(("still", format!("{eta:.0} s")));
    }
    lines(rows)
}

fn forecast_text(forecast: &Forecast) -> String {
    let mut text = lines(vec![
        (
            "twins",
            format!(
                "{} in {} hospitals",
                forecast.twins,
                forecast.twins_per_hospital.len()
            ),
        ),
        ("shards", forecast.shards.to_string()),
        (
            "bootstraps",
            format!(
                "{} a patient, {} by all nodes",
                forecast.bootstraps_per_patient, forecast.bootstraps_all_nodes
            ),
        ),
        (
            "failure",
            format!("2^{:.1} for the whole study", forecast.log2_failure),
        ),
        (
            "time",
            format!("about {:.0} s on this machine", forecast.seconds),
        ),
        (
            "sent",
            format!("{} to each peer", bytes(forecast.bytes_per_peer)),
        ),
        (
            "memory",
            format!("{} for the run", bytes(forecast.memory_bytes)),
        ),
        (
            "rounding",
            format!(
                "at most {:.3} {unit}, within {:.3} {unit} for 95 % of random patients",
                forecast.error,
                forecast.error_p95,
                unit = forecast.error_unit
            ),
        ),
        ("opened", format!("{} blocks", forecast.blocks)),
    ]);
    for note in &forecast.notes {
        text += &format!("{note}\n");
    }
    text
}
