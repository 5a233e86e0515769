//! What `organtwin model eval` says.

use organtwin_simulations::catalogue::{Evidence, Model};
use organtwin_simulations::eval::{Answer, AnswerValue};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Backend, NOTICE, unit};
use crate::cli::output::{lines, table};

/// All answers of a model for one patient.
#[derive(Serialize)]
pub(super) struct Answers {
    model: &'static str,
    title: &'static str,
    backend: Backend,
    population: &'static str,
    source: &'static str,
    evidence: &'static str,
    to_be_confirmed: bool,
    notice: &'static str,
    answers: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<Run>,
}

/// How an evaluation on ciphertexts went.
#[derive(Serialize)]
pub(super) struct Run {
    pub(super) key: &'static str,
    pub(super) key_seconds: f64,
    pub(super) bootstraps: u64,
    pub(super) seconds: f64,
    pub(super) equals_clear: bool,
}

/// One answer.
#[derive(Serialize)]
struct Line {
    key: String,
    title: String,
    unit: String,
    /// A number, a flag, the label of a category, or nothing where the output does not apply.
    value: Value,
    /// The index of a category.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// The value as it is shown to people, with its unit.
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
}

impl Answers {
    pub(super) fn new(
        model: &Model,
        backend: Backend,
        answers: Vec<Answer>,
        encrypted: Option<Run>,
    ) -> Self {
        Self {
            model: model.id,
            title: model.title,
            backend,
            population: model.population,
            source: model.source,
            evidence: model.evidence.mark(),
            to_be_confirmed: model.evidence == Evidence::ToBeConfirmed,
            notice: NOTICE,
            answers: answers.into_iter().map(Line::new).collect(),
            encrypted,
        }
    }

    /// Whether ciphertexts disagree with the integers in the clear.
    pub(super) fn differs(&self) -> bool {
        self.encrypted.as_ref().is_some_and(|run| !run.equals_clear)
    }

    /// Everything for people.
    pub(super) fn text(&self) -> String {
        let how = match self.backend {
            Backend::Reference => "the textbook formula",
            Backend::Clear => "the exact integers, in the clear",
            Backend::Encrypted => "ciphertexts",
        };
        let rows = self
            .answers
            .iter()
            .map(|line| vec![line.title.clone(), line.text.clone(), line.key.clone()]);
        let mut text = format!(
            "{} ({}), by {how}\n{}\n",
            self.title,
            self.model,
            table(&["output", "value", "key"], rows)
        );
        for line in &self.answers {
            for reason in &line.reasons {
                text += &format!("{}: {reason}\n", line.key);
            }
            if let Some(margin) = line.margin {
                text += &format!("{}: {margin} ahead of the second best\n", line.key);
            }
        }
        let mut notes = vec![("holds for", self.population.to_owned())];
        if let Some(run) = &self.encrypted {
            notes.push(("key", run.key.to_owned()));
            notes.push((
                "cost",
                format!(
                    "{} bootstraps in {:.2} s, after {:.1} s for the key",
                    run.bootstraps, run.seconds, run.key_seconds
                ),
            ));
            let equal = if run.equals_clear {
                "equal, answer by answer"
            } else {
                "NOT EQUAL to the same integers in the clear: please report this"
            };
            notes.push(("against clear", equal.to_owned()));
        }
        notes.push(("evidence", self.evidence.to_owned()));
        text + &lines(notes) + NOTICE
    }
}

impl Line {
    fn new(answer: Answer) -> Self {
        let with_unit = |text: String| {
            format!("{text} {}", unit(&answer.unit))
                .trim_end()
                .to_owned()
        };
        let (value, index, text) = match answer.value {
            AnswerValue::Number { value: number } => {
                let decimals = usize::from(answer.decimals);
                (
                    json!(number),
                    None,
                    with_unit(format!("{number:.decimals$}")),
                )
            }
            AnswerValue::Points { value: points } => {
                (json!(points), None, with_unit(points.to_string()))
            }
            AnswerValue::Category { index, label } => (json!(label), Some(index), label),
            AnswerValue::Flag { value: flag } => {
                let word = if flag { "yes" } else { "no" };
                (json!(flag), None, word.to_owned())
            }
            AnswerValue::Missing => (
                Value::Null,
                None,
                "does not apply, or an input is missing".to_owned(),
            ),
        };
        Self {
            key: answer.key,
            title: answer.title,
            unit: answer.unit,
            value,
            index,
            text,
            reasons: answer.reasons,
            margin: answer.margin,
        }
    }
}
