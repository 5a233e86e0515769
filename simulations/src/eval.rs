//! One model on one patient: the textbook formula, the exact integers, and ciphertexts under a key of one's own.

mod compiled;
mod info;

use std::{collections::BTreeMap, fmt, sync::atomic::AtomicBool};

use serde::Serialize;
use thiserror::Error;

use crate::{
    EncodeError, Weights,
    catalogue::{Checked, Model, Output, OutputKind, Values},
    clear,
    compile::CompileError,
    encode,
    measure::OwnKey,
    one::{self, OneError},
    program::{NodeId, Op, ProgramError},
    schema::UNIT,
};
pub use compiled::Compiled;
use compiled::Kind;
pub(crate) use info::quantile;
pub use info::{InputInfo, ModelInfo, OutputInfo, ParameterInfo, describe};

/// What a model is evaluated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The textbook formula in floating point.
    Reference,
    /// The exact integers on the twin's weights.
    Clear,
    /// Ciphertexts.
    Encrypted,
}

/// The value of an answer: one patient's, never shown by Debug.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AnswerValue {
    /// A number in the output's unit.
    Number {
        /// The number.
        value: f64,
    },
    /// Whole points.
    Points {
        /// The points.
        value: i64,
    },
    /// One of some categories or options.
    Category {
        /// Its place, from 0.
        index: usize,
        /// Its name.
        label: String,
    },
    /// Yes or no.
    Flag {
        /// Yes.
        value: bool,
    },
    /// The patient lacks an input, or the model does not hold for the patient.
    Missing,
}

impl fmt::Debug for AnswerValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerValue(not shown)")
    }
}

/// One output of a model for one patient; Debug shows only which.
#[derive(Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The output.
    pub key: String,
    /// Its unit.
    pub unit: String,
    /// What it is, for people.
    pub title: String,
    /// Its value.
    #[serde(flatten)]
    pub value: AnswerValue,
    /// The decimals to show of a number.
    pub decimals: u8,
    /// Of a choice: which options are excluded, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Of a choice: the largest reported margin by which it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, not shown)", self.key)
    }
}

/// An evaluation that did not happen.
#[derive(Debug, Error)]
pub enum EvalError {
    /// The model reads a twin that does not exist: a bug of the catalogue.
    #[error("bug: there is no {0} twin")]
    NoTwin(String),
    /// The formula does not fit the twin: a bug of the catalogue.
    #[error("bug: {0}")]
    Compile(#[from] CompileError),
    /// The program does not hold together: a bug of the compiler.
    #[error("bug: {0}")]
    Program(#[from] ProgramError),
    /// A feature cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The program has no plan: a bug of the compiler.
    #[error("bug: {0}")]
    Plan(#[from] crate::PlanError),
    /// The evaluation on ciphertexts failed or was cancelled.
    #[error(transparent)]
    Evaluate(#[from] OneError),
}

/// Answers on ciphertexts, and what they cost.
#[derive(Debug)]
pub struct Encrypted {
    /// The answers.
    pub answers: Vec<Answer>,
    /// The bootstraps.
    pub bootstraps: u64,
}

/// What an evaluator finds on one twin.
trait Found {
    /// The integer of a score that is there.
    fn score(&self, node: NodeId) -> Option<i64>;
    /// A bit; nothing if an input of it is missing.
    fn bit(&self, node: NodeId) -> bool;
}

/// Evaluates the textbook formula.
#[must_use]
pub fn reference(model: &Model, checked: &Checked) -> Vec<Answer> {
    let values = model.textbook(&checked.inputs, &checked.parameters);
    model
        .outputs
        .iter()
        .map(|output| answer(output, textbook(output, &values)))
        .collect()
}

fn textbook(output: &Output, values: &Values) -> AnswerValue {
    let Some(value) = values.get(output.key).filter(|value| value.is_finite()) else {
        return AnswerValue::Missing;
    };
    match &output.kind {
        OutputKind::Number { .. } => AnswerValue::Number { value },
        OutputKind::Points => AnswerValue::Points {
            value: rounded(value),
        },
        OutputKind::Flag => AnswerValue::Flag {
            value: value == 1.0,
        },
        OutputKind::Category { labels, .. } | OutputKind::Choice { labels } => {
            let index = usize::try_from(rounded(value)).unwrap_or(usize::MAX);
            category(index, labels.get(index).copied())
        }
    }
}

fn category(index: usize, label: Option<&str>) -> AnswerValue {
    AnswerValue::Category {
        index,
        label: label.unwrap_or("none of them").to_owned(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "points are few")]
fn rounded(value: f64) -> i64 {
    libm::round(value) as i64
}

fn answer(output: &Output, value: AnswerValue) -> Answer {
    Answer {
        key: output.key.to_owned(),
        unit: output.unit.to_owned(),
        title: output.title.to_owned(),
        value,
        decimals: match output.kind {
            OutputKind::Number { decimals, .. } => decimals,
            _ => 0,
        },
        reasons: Vec::new(),
        margin: None,
    }
}

/// Evaluates the exact integers on the patient's weights.
///
/// # Errors
/// A feature that cannot be encoded, or a bug of the catalogue.
pub fn clear(model: &Model, checked: &Checked) -> Result<Vec<Answer>, EvalError> {
    let compiled = Compiled::new(model, &checked.parameters)?;
    compiled.clear(&checked.inputs)
}

impl Compiled {
    /// Evaluates the exact integers on a patient's weights.
    ///
    /// # Errors
    /// A feature that cannot be encoded.
    pub fn clear(&self, inputs: &Values) -> Result<Vec<Answer>, EvalError> {
        let weights = self.weights(inputs)?;
        Ok(self.answers(&clear::nodes(&self.program, &self.schema, &weights)))
    }

    /// Evaluates ciphertexts of a patient's weights under a key of one's own.
    ///
    /// # Errors
    /// A feature that cannot be encoded; cancelled.
    pub fn encrypted(
        &self,
        inputs: &Values,
        key: &OwnKey,
        progress: &(dyn Fn(u64) + Sync),
        cancel: &AtomicBool,
    ) -> Result<Encrypted, EvalError> {
        let (program, schema) = (&self.program, &self.schema);
        let slots = key.encrypt_twin(&self.weights(inputs)?);
        let before = key.engine().bootstraps();
        let bits = one::chosen(
            key.engine(),
            program,
            schema,
            &self.bits(),
            &slots,
            progress,
            cancel,
        )?;
        let set: BTreeMap<NodeId, bool> = bits
            .into_iter()
            .map(|(node, wire)| (node, key.open(&[wire]) == [1]))
            .collect();
        let mut scores = BTreeMap::new();
        for reading in self.readings() {
            let mut sum = 0;
            if let Some(tables) = reading.tables {
                let score = one::linear(key.engine(), program, schema, tables, &slots)?;
                let phase = key.decrypt(&score.ciphertext).cast_signed();
                sum += phase.wrapping_add(1 << (score.delta_log - 1)) >> score.delta_log;
            }
            if let Some(Op::Sum { terms, .. }) = program.op(reading.node) {
                let added = terms
                    .iter()
                    .filter(|term| set.get(&term.bit) == Some(&true));
                sum += added.map(|term| i64::from(UNIT) * term.weight).sum::<i64>();
            }
            scores.insert(reading.node, sum);
        }
        Ok(Encrypted {
            answers: self.answers(&Decrypted { set, scores }),
            bootstraps: key.engine().bootstraps() - before,
        })
    }

    fn weights(&self, inputs: &Values) -> Result<Weights, EvalError> {
        Ok(encode(&self.schema, &self.twin.features(inputs))?)
    }

    fn answers(&self, found: &dyn Found) -> Vec<Answer> {
        self.outputs
            .iter()
            .map(|(output, kind)| match kind {
                Kind::Number {
                    reading,
                    valid,
                    additive,
                } => {
                    let sum = found.score(reading.node).filter(|_| found.bit(*valid));
                    let value = sum.map(|sum| {
                        additive
                            .link
                            .forward(reading.offset + reading.unit * float(sum))
                    });
                    let value = match (value, &output.kind) {
                        (None, _) => AnswerValue::Missing,
                        (Some(value), OutputKind::Points) => AnswerValue::Points {
                            value: rounded(value),
                        },
                        (Some(value), _) => AnswerValue::Number { value },
                    };
                    answer(output, value)
                }
                Kind::Category { valid, bits } => {
                    let index = bits.iter().filter(|bit| found.bit(**bit)).count();
                    let labels = match output.kind {
                        OutputKind::Category { labels, .. } => labels,
                        _ => &[],
                    };
                    let value = if found.bit(*valid) {
                        category(index, labels.get(index).copied())
                    } else {
                        AnswerValue::Missing
                    };
                    answer(output, value)
                }
                Kind::Flag { yes, no } => {
                    let value = match (found.bit(*yes), found.bit(*no)) {
                        (true, _) => AnswerValue::Flag { value: true },
                        (false, true) => AnswerValue::Flag { value: false },
                        (false, false) => AnswerValue::Missing,
                    };
                    answer(output, value)
                }
                Kind::Choice {
                    bits,
                    labels,
                    margins,
                } => {
                    let index = bits.chosen.iter().position(|bit| found.bit(*bit));
                    let nothing = bits.nothing.is_some_and(|bit| found.bit(bit));
                    let value = match index {
                        Some(index) => category(index, labels.get(index).map(String::as_str)),
                        None if nothing => category(labels.len(), None),
                        None => AnswerValue::Missing,
                    };
                    let reasons = labels.iter().zip(&bits.reasons).flat_map(|(label, named)| {
                        named
                            .iter()
                            .filter(|(_, bit)| found.bit(*bit))
                            .map(move |(reason, _)| format!("not {label}: {reason}"))
                    });
                    let lead = margins
                        .iter()
                        .zip(&bits.margins)
                        .filter(|(_, bit)| found.bit(**bit))
                        .map(|(margin, _)| *margin)
                        .next_back();
                    Answer {
                        reasons: reasons.collect(),
                        margin: lead,
                        ..answer(output, value)
                    }
                }
            })
            .collect()
    }
}

impl Found for clear::Evaluated {
    fn score(&self, node: NodeId) -> Option<i64> {
        self.score(node)
    }

    fn bit(&self, node: NodeId) -> bool {
        self.is_set(node)
    }
}

struct Decrypted {
    set: BTreeMap<NodeId, bool>,
    scores: BTreeMap<NodeId, i64>,
}

impl Found for Decrypted {
    fn score(&self, node: NodeId) -> Option<i64> {
        self.scores.get(&node).copied()
    }

    fn bit(&self, node: NodeId) -> bool {
        self.set.get(&node).copied().unwrap_or(false)
    }
}

/// Evaluates ciphertexts under a key of one's own.
///
/// # Errors
/// A feature that cannot be encoded; cancelled; a bug of the catalogue.
pub fn encrypted(
    model: &Model,
    checked: &Checked,
    key: &OwnKey,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Result<Encrypted, EvalError> {
    let compiled = Compiled::new(model, &checked.parameters)?;
    compiled.encrypted(&checked.inputs, key, progress, cancel)
}

#[expect(clippy::cast_precision_loss, reason = "sums stay far below 2^53")]
fn float(sum: i64) -> f64 {
    sum as f64
}
