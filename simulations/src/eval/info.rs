//! What a model is, costs and how exact it is.

use std::collections::BTreeMap;

use super::{AnswerValue, Compiled, EvalError, float, textbook};
use crate::catalogue::{
    self, Default_, Evidence, Given, InputKind, Model, OutputKind, Values, check::random_inputs_at,
    given,
};
use serde::Serialize;

/// Random patients on whom exactness is measured.
const SAMPLE: u64 = 1000;

/// An input, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputInfo {
    /// The key.
    pub key: String,
    /// The unit.
    pub unit: String,
    /// What it is.
    pub title: String,
    /// The range, or the names.
    pub range: String,
    /// The same quantity in other units: key and unit.
    pub also: Vec<(String, String)>,
    /// Whether it may be absent.
    pub optional: bool,
}

/// A parameter, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParameterInfo {
    /// The key.
    pub key: String,
    /// The unit.
    pub unit: String,
    /// What it is.
    pub title: String,
    /// The range.
    pub range: String,
    /// The default; a needed parameter has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Given>,
}

/// An output, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputInfo {
    /// The key.
    pub key: String,
    /// The unit.
    pub unit: String,
    /// What it is.
    pub title: String,
    /// `number`, `points`, `category`, `flag` or `choice`.
    pub kind: &'static str,
    /// The names of the categories or options, with the cuts between categories.
    pub labels: Vec<String>,
    /// The bootstraps for one patient; numbers and points are read without any.
    pub bootstraps: u64,
    /// Of a number: the largest distance from the textbook formula on random patients, in the unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// Of a number: the distance that 95 % of random patients keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// Of a category, flag or choice: the share of random patients that the grid puts on the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<f64>,
}

/// A model, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// The name.
    pub id: String,
    /// What it is.
    pub title: String,
    /// The twin that it reads.
    pub organ: String,
    /// The papers.
    pub source: String,
    /// How well its numbers are confirmed.
    pub evidence: String,
    /// Whether they are still to be confirmed against the paper.
    pub to_be_confirmed: bool,
    /// For whom it holds.
    pub population: String,
    /// What a hospital knows about a patient.
    pub inputs: Vec<InputInfo>,
    /// What a study chooses.
    pub parameters: Vec<ParameterInfo>,
    /// The parameter that arms vary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// What comes out.
    pub outputs: Vec<OutputInfo>,
    /// A worked example, as `model eval` takes it.
    pub example: BTreeMap<String, Given>,
}

/// Describes a model, with bootstraps and errors at the parameters of its first example.
///
/// # Errors
/// A bug of the catalogue.
pub fn describe(model: &Model) -> Result<ModelInfo, EvalError> {
    let example = example(model);
    let parameters = given::parameters(model, &example).unwrap_or_default();
    let accuracy = accuracy(model, &parameters)?;
    let mut outputs = Vec::new();
    for output in model.outputs {
        let (kind, labels) = match &output.kind {
            OutputKind::Number { .. } => ("number", Vec::new()),
            OutputKind::Points => ("points", Vec::new()),
            OutputKind::Flag => ("flag", Vec::new()),
            OutputKind::Choice { labels } => {
                ("choice", labels.iter().map(|l| (*l).to_owned()).collect())
            }
            OutputKind::Category { labels, cuts, .. } => {
                let named = labels.iter().enumerate().map(|(index, label)| {
                    match index.checked_sub(1).and_then(|i| cuts.get(i)) {
                        Some(cut) => format!("{label} (from {cut})"),
                        None => (*label).to_owned(),
                    }
                });
                ("category", named.collect())
            }
        };
        let errors = accuracy.get(output.key).cloned().unwrap_or_default();
        outputs.push(OutputInfo {
            key: output.key.to_owned(),
            unit: output.unit.to_owned(),
            title: output.title.to_owned(),
            kind,
            labels,
            bootstraps: Compiled::of_outputs(model, &parameters, &|key| key == output.key)?
                .bootstraps()?,
            worst: errors.distance(1.0),
            p95: errors.distance(0.95),
            disagreement: errors.disagreement(),
        });
    }
    Ok(ModelInfo {
        id: model.id.to_owned(),
        title: model.title.to_owned(),
        organ: model.organ.to_owned(),
        source: model.source.to_owned(),
        evidence: model.evidence.mark().to_owned(),
        to_be_confirmed: model.evidence == Evidence::ToBeConfirmed,
        population: model.population.to_owned(),
        inputs: model
            .inputs
            .iter()
            .map(|input| self::input(model, input))
            .collect(),
        parameters: model.parameters.iter().map(parameter).collect(),
        arm: model.arm.map(ToOwned::to_owned),
        outputs,
        example,
    })
}

fn input(model: &Model, input: &catalogue::Input) -> InputInfo {
    InputInfo {
        key: input.key.to_owned(),
        unit: input.unit.to_owned(),
        title: input.title.to_owned(),
        range: match &input.kind {
            InputKind::Number { lo, hi } => format!("{lo} to {hi}"),
            InputKind::Flag => "true or false".to_owned(),
            InputKind::Choice { labels } => labels.join(", "),
        },
        also: input
            .aliases
            .iter()
            .map(|alias| (alias.key.to_owned(), alias.unit.to_owned()))
            .collect(),
        optional: model.optional.contains(&input.key),
    }
}

fn parameter(parameter: &catalogue::Parameter) -> ParameterInfo {
    ParameterInfo {
        key: parameter.key.to_owned(),
        unit: parameter.unit.to_owned(),
        title: parameter.title.to_owned(),
        range: format!("{} to {}", parameter.lo, parameter.hi),
        default: match parameter.default {
            Default_::Required => None,
            Default_::Number(number) => Some(Given::Number(number)),
            Default_::List(list) => Some(Given::List(list.to_vec())),
        },
    }
}

/// The first worked example as a user would write it.
fn example(model: &Model) -> BTreeMap<String, Given> {
    let Some(example) = model.examples.first() else {
        return BTreeMap::new();
    };
    let numbers = example.given.iter().map(|(key, value)| {
        let input = model.inputs.iter().find(|input| input.key == *key);
        let given = match input.map(|input| &input.kind) {
            Some(InputKind::Flag) => Given::Flag(*value == 1.0),
            Some(InputKind::Choice { labels }) => labels
                .iter()
                .zip(0_u32..)
                .find(|(_, index)| f64::from(*index) == *value)
                .map_or(Given::Number(*value), |(label, _)| {
                    Given::Text((*label).to_owned())
                }),
            _ => Given::Number(*value),
        };
        ((*key).to_owned(), given)
    });
    let lists = example
        .lists
        .iter()
        .map(|(key, list)| ((*key).to_owned(), Given::List(list.to_vec())));
    numbers.chain(lists).collect()
}

/// How far the exact integers were from the textbook formula.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors {
    /// Distances of numbers, in their unit.
    pub(crate) distances: Vec<f64>,
    /// The same relative to the textbook value.
    pub(crate) relative: Vec<f64>,
    /// Patients with a category, flag or choice, and those on the other side.
    pub(crate) decided: u32,
    pub(crate) differing: u32,
}

impl Errors {
    fn distance(&self, share: f64) -> Option<f64> {
        quantile(&self.distances, share)
    }

    fn disagreement(&self) -> Option<f64> {
        (self.decided > 0).then(|| f64::from(self.differing) / f64::from(self.decided))
    }
}

/// The value that a share of some values does not exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    (0..=last)
        .find(|index| ratio(*index, last) >= share)
        .and_then(|index| sorted.get(index).copied())
}

#[expect(clippy::cast_precision_loss, reason = "samples are small")]
fn ratio(index: usize, last: usize) -> f64 {
    if last == 0 {
        return 1.0;
    }
    index as f64 / last as f64
}

/// Compares the exact integers with the textbook formula on random patients.
pub(crate) fn accuracy(
    model: &Model,
    parameters: &Values,
) -> Result<BTreeMap<&'static str, Errors>, EvalError> {
    let compiled = Compiled::new(model, parameters)?;
    let mut errors: BTreeMap<&'static str, Errors> = BTreeMap::new();
    let example = given::check(model, &example(model)).map(|checked| checked.inputs);
    let patients = (0..SAMPLE).map(|seed| random_inputs_at(model, parameters, seed));
    for inputs in patients.chain(example) {
        let exact = model.textbook(&inputs, parameters);
        let answers = compiled.clear(&inputs)?;
        for (output, answer) in model.outputs.iter().zip(answers) {
            let errors = errors.entry(output.key).or_default();
            match (textbook(output, &exact), answer.value) {
                (AnswerValue::Number { value: expected }, AnswerValue::Number { value }) => {
                    errors.distances.push((value - expected).abs());
                    errors
                        .relative
                        .push((value - expected).abs() / expected.abs().max(1e-12));
                }
                (AnswerValue::Points { value: expected }, AnswerValue::Points { value }) => {
                    errors.distances.push(float(value - expected).abs());
                }
                (AnswerValue::Missing, AnswerValue::Missing) => {}
                (expected, got) => {
                    errors.decided += 1;
                    errors.differing += u32::from(expected != got);
                }
            }
        }
    }
    Ok(errors)
}
