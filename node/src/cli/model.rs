//! `organtwin model`: the clinical models, what each needs, and its answers for one patient.

mod answers;
mod input;
mod markdown;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::{Args, Subcommand, ValueEnum};
use organtwin_simulations::catalogue::{self, Checked, Model, given};
use organtwin_simulations::eval::{self, Answer};
use organtwin_simulations::measure::OwnKey;
use serde::Serialize;

use super::failure::Failure;
use super::output::{Output, bar, complain, say, table};
use answers::{Answers, Run};
use view::{Heading, Shown};

/// What every output of a model is, and is not.
pub(super) const NOTICE: &str = "decision support for research, not a medical device";

#[derive(Subcommand)]
pub(super) enum ModelCommand {
    /// List the models of the catalogue
    List(ListArgs),
    /// Show a model: inputs, parameters, outputs, source, cost and error, examples
    Show(ShowArgs),
    /// Evaluate a model for one patient on this machine
    Eval(EvalArgs),
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    output: Output,
    /// Only the models of one organ: kidney, liver or heart
    #[arg(long)]
    organ: Option<String>,
    /// Print the whole catalogue as the page docs/catalogue.md
    #[arg(long, conflicts_with_all = ["json", "organ"])]
    markdown: bool,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    output: Output,
    /// The model, as `organtwin model list` names it
    model: String,
}

#[derive(Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    output: Output,
    /// The model, as `organtwin model list` names it
    model: String,
    /// A JSON file with one flat object of inputs and parameters; - reads standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// How to compute it
    #[arg(long, value_enum, default_value_t = Backend::Reference)]
    backend: Backend,
}

/// The three evaluators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    /// The textbook formula
    Reference,
    /// The exact integers that the ciphertexts hold, in the clear
    Clear,
    /// Ciphertexts under a fresh key of this machine alone
    Encrypted,
}

impl ModelCommand {
    pub(super) fn output(&self) -> Output {
        match self {
            Self::List(args) => args.output,
            Self::Show(args) => args.output,
            Self::Eval(args) => args.output,
        }
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::List(args) => list(&args)?,
            Self::Show(args) => {
                let shown = Shown::new(find(&args.model)?).map_err(bug)?;
                args.output
                    .show("organtwin.model/1", &shown, || shown.text());
            }
            Self::Eval(args) => return evaluate(&args),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The model of that name, or which names there are.
fn find(id: &str) -> Result<&'static Model, Failure> {
    catalogue::find(id).ok_or_else(|| {
        let known: Vec<&str> = catalogue::registry().iter().map(|model| model.id).collect();
        let id: String = id.chars().take(64).collect();
        Failure::Usage(format!(
            "there is no model {id}: {}\n`organtwin model list` shows them all",
            given::hint(&id, &known)
        ))
    })
}

#[derive(Serialize)]
struct List {
    notice: &'static str,
    models: Vec<Heading>,
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    if args.markdown {
        say(markdown::catalogue().map_err(bug)?.trim_end());
        return Ok(());
    }
    let registry = catalogue::registry();
    if let Some(organ) = &args.organ {
        let mut organs: Vec<&str> = registry.iter().map(|model| model.organ).collect();
        organs.sort_unstable();
        organs.dedup();
        if !organs.contains(&organ.as_str()) {
            return Err(Failure::Usage(format!(
                "no model is of the organ {organ}: expected one of {}",
                organs.join(", ")
            )));
        }
    }
    let chosen = registry
        .into_iter()
        .filter(|model| args.organ.as_deref().is_none_or(|o| o == model.organ));
    let list = List {
        notice: NOTICE,
        models: chosen.map(Heading::of).collect(),
    };
    args.output.show("organtwin.models/1", &list, || {
        let rows = list.models.iter().map(|model| {
            vec![
                model.id.to_owned(),
                model.title.to_owned(),
                model.organ.to_owned(),
                model.evidence.to_owned(),
                model.short_source(),
            ]
        });
        format!(
            "{}\n{} models. `organtwin model show MODEL` says what one needs.\n{NOTICE}",
            table(&["model", "what", "organ", "evidence", "source"], rows),
            list.models.len()
        )
    });
    Ok(())
}

fn evaluate(args: &EvalArgs) -> Result<ExitCode, Failure> {
    let model = find(&args.model)?;
    let given = input::read(&args.input)?;
    let checked = given::check(model, &given).map_err(|error| Failure::Usage(error.to_string()))?;
    let answers = match args.backend {
        Backend::Reference => {
            Answers::new(model, args.backend, eval::reference(model, &checked), None)
        }
        Backend::Clear => {
            let answers = eval::clear(model, &checked).map_err(bug)?;
            Answers::new(model, args.backend, answers, None)
        }
        Backend::Encrypted => {
            let clear = eval::clear(model, &checked).map_err(bug)?;
            let (answers, run) = encrypted(args.output, model, &checked, &clear)?;
            Answers::new(model, args.backend, answers, Some(run))
        }
    };
    args.output
        .show("organtwin.answers/1", &answers, || answers.text());
    if answers.differs() {
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a key, encrypts the patient, evaluates, decrypts, and compares with the clear.
fn encrypted(
    output: Output,
    model: &Model,
    checked: &Checked,
    clear: &[Answer],
) -> Result<(Vec<Answer>, Run), Failure> {
    let note = |text: &str| {
        if !output.json {
            complain(text);
        }
    };
    note("making a fresh key of its own on this machine; no consortium is involved");
    let start = Instant::now();
    let key = OwnKey::production().map_err(bug)?;
    let key_seconds = start.elapsed().as_secs_f64();
    note("evaluating on ciphertexts");
    let bar = bar(output);
    bar.set_message("bootstraps");
    let info = eval::describe(model).map_err(bug)?;
    bar.set_length(info.outputs.iter().map(|output| output.bootstraps).sum());
    let start = Instant::now();
    let evaluated = eval::encrypted(
        model,
        checked,
        &key,
        &|done| {
            if bar.length().is_none_or(|length| length < done) {
                bar.set_length(done);
            }
            bar.set_position(done);
        },
        &AtomicBool::new(false),
    );
    bar.finish_and_clear();
    let evaluated = evaluated.map_err(bug)?;
    let run = Run {
        key: "made for this evaluation on this machine, and forgotten",
        key_seconds,
        bootstraps: evaluated.bootstraps,
        seconds: start.elapsed().as_secs_f64(),
        equals_clear: evaluated.answers == clear,
    };
    Ok((evaluated.answers, run))
}

/// A UCUM unit as people write it.
fn unit(ucum: &str) -> String {
    match ucum {
        "1" => String::new(),
        "a" => "years".to_owned(),
        other => other
            .replace("{1.73_m2}", "1.73 m2")
            .replace("10*", "10^")
            .replace("mm[Hg]", "mmHg"),
    }
}

fn bug(error: impl std::fmt::Display) -> Failure {
    Failure::Check(format!("the evaluation went wrong: {error}"))
}
