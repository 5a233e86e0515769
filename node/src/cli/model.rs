//! `organtwin model`: the clinical models, what each needs, and its answers for one patient.

mod answers;
mod input;
mod markdown;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use organtwin_simulations::catalogue::{self, Model, given};
use organtwin_simulations::eval;
use serde::Serialize;

use super::failure::Failure;
use super::output::{Output, say, table};
use answers::Answers;
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

/// The evaluators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    /// The textbook formula
    Reference,
    /// The exact integers that the ciphertexts hold, in the clear
    Clear,
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
        Backend::Reference => Answers::new(model, args.backend, eval::reference(model, &checked)),
        Backend::Clear => {
            let answers = eval::clear(model, &checked).map_err(bug)?;
            Answers::new(model, args.backend, answers)
        }
    };
    args.output
        .show("organtwin.answers/1", &answers, || answers.text());
    Ok(ExitCode::SUCCESS)
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
