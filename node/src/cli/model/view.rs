//! A model as an object and as text: what it needs, what it gives, how sure it is.

use organtwin_simulations::catalogue::{
    Default_, Evidence, Example, Input, InputKind, Model, Output, OutputKind, Parameter,
};
use organtwin_simulations::eval::{self, EvalError, ModelInfo};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{NOTICE, unit};
use crate::cli::output::{lines, table};

/// The longest source in a list.
const SHORT_SOURCE: usize = 44;

/// A model in one line.
#[derive(Serialize)]
pub(super) struct Heading {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) organ: &'static str,
    pub(super) evidence: &'static str,
    to_be_confirmed: bool,
    source: &'static str,
}

/// All about one model.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) heading: Heading,
    pub(super) population: &'static str,
    notice: &'static str,
    pub(super) inputs: Vec<ShownInput>,
    pub(super) parameters: Vec<ShownParameter>,
    /// The parameter that the arms of a study vary.
    pub(super) arm: Option<&'static str>,
    pub(super) outputs: Vec<ShownOutput>,
    pub(super) examples: Vec<ShownExample>,
}

/// What a user may give.
#[derive(Serialize)]
pub(super) struct ShownInput {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    labels: &'static [&'static str],
    pub(super) optional: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) aliases: Vec<ShownAlias>,
}

#[derive(Serialize)]
pub(super) struct ShownAlias {
    pub(super) key: &'static str,
    unit: &'static str,
    factor: f64,
}

#[derive(Serialize)]
pub(super) struct ShownParameter {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    range: [f64; 2],
    list: bool,
    required: bool,
    default: Value,
}

#[derive(Serialize)]
pub(super) struct ShownOutput {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cuts: &'static [f64],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    labels: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    decimals: Option<u8>,
    /// Bootstraps of this output for one twin.
    pub(super) bootstraps: Option<u64>,
    /// Of a number: the largest distance from the textbook formula on random patients, in the output's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    worst: Option<f64>,
    /// Of a number: the distance that 95 % of them keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
    /// Of a category, flag or choice: the share of random patients that come out differently.
    #[serde(skip_serializing_if = "Option::is_none")]
    disagreement: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct ShownExample {
    /// Ready for `model eval --input`.
    pub(super) given: Value,
    expected: Vec<Expected>,
}

#[derive(Serialize)]
struct Expected {
    output: &'static str,
    value: f64,
    tolerance: f64,
}

impl Heading {
    pub(super) fn of(model: &'static Model) -> Self {
        Self {
            id: model.id,
            title: model.title,
            organ: model.organ,
            evidence: model.evidence.mark(),
            to_be_confirmed: model.evidence == Evidence::ToBeConfirmed,
            source: model.source,
        }
    }

    /// The beginning of the source, to its first colon or semicolon.
    pub(super) fn short_source(&self) -> String {
        let first = self.source.split([':', ';']).next().unwrap_or_default();
        if first.chars().count() <= SHORT_SOURCE {
            return first.to_owned();
        }
        let cut: String = first.chars().take(SHORT_SOURCE - 3).collect();
        format!("{}...", cut.trim_end())
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }
}

impl Shown {
    /// Describes a model; its bootstraps and errors are computed now.
    pub(super) fn new(model: &'static Model) -> Result<Self, EvalError> {
        let info = eval::describe(model)?;
        Ok(Self {
            heading: Heading::of(model),
            population: model.population,
            notice: NOTICE,
            inputs: model
                .inputs
                .iter()
                .map(|input| ShownInput::new(input, model.optional.contains(&input.key)))
                .collect(),
            parameters: model.parameters.iter().map(ShownParameter::new).collect(),
            arm: model.arm,
            outputs: model
                .outputs
                .iter()
                .map(|output| ShownOutput::new(output, &info))
                .collect(),
            examples: model
                .examples
                .iter()
                .map(|example| ShownExample::new(model, example))
                .collect(),
        })
    }

    /// Everything for people.
    pub(super) fn text(&self) -> String {
        let heading = &self.heading;
        let mut text = format!("{} ({})\n", heading.title, heading.id);
        text += &lines(vec![
            ("organ", heading.organ.to_owned()),
            ("holds for", self.population.to_owned()),
            ("source", heading.source.to_owned()),
            ("evidence", heading.evidence.to_owned()),
        ]);
        let inputs = self.inputs.iter().map(|input| {
            let also: Vec<&str> = input.aliases.iter().map(|alias| alias.key).collect();
            vec![
                input.key.to_owned(),
                input.title.to_owned(),
                unit(input.unit),
                input.range(),
                also.join(", "),
            ]
        });
        text += &table(&["input", "what", "unit", "range", "or"], inputs);
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter().map(|parameter| {
                vec![
                    parameter.key.to_owned(),
                    parameter.title.to_owned(),
                    unit(parameter.unit),
                    parameter.range(),
                    parameter.default(),
                ]
            });
            let header = ["parameter", "what", "unit", "range", "default"];
            text += &format!("\n{}", table(&header, parameters));
        }
        let outputs = self.outputs.iter().map(|output| {
            vec![
                output.key.to_owned(),
                output.title.to_owned(),
                unit(output.unit),
                output.kind(),
                output.cost(),
                output.error(),
            ]
        });
        let header = [
            "output",
            "what",
            "unit",
            "kind",
            "bootstraps",
            "error: worst, 95 %",
        ];
        text += &format!("\n{}\n", table(&header, outputs));
        if let Some(arm) = self.arm {
            text += &format!("The arms of a study vary {arm}.\n");
        }
        if let Some(example) = self.examples.first() {
            text += &format!(
                "An input to start from:\n{}\norgantwin model eval {} --input FILE\n",
                example.given, heading.id
            );
        }
        text + NOTICE
    }
}

impl ShownInput {
    fn new(input: &'static Input, optional: bool) -> Self {
        let (kind, range, labels): (_, _, &[&str]) = match &input.kind {
            InputKind::Number { lo, hi } => ("number", Some([*lo, *hi]), &[]),
            InputKind::Flag => ("flag", None, &[]),
            InputKind::Choice { labels } => ("choice", None, labels),
        };
        let aliases = input.aliases.iter().map(|alias| ShownAlias {
            key: alias.key,
            unit: alias.unit,
            factor: alias.factor,
        });
        Self {
            key: input.key,
            title: input.title,
            unit: input.unit,
            kind,
            range,
            labels,
            optional,
            aliases: aliases.collect(),
        }
    }

    /// What may be given, in words.
    pub(super) fn range(&self) -> String {
        let range = match self.range {
            Some([lo, hi]) => format!("{lo} to {hi}"),
            None if self.labels.is_empty() => "true or false".to_owned(),
            None => self.labels.join(", "),
        };
        if self.optional {
            format!("{range}; may be left out")
        } else {
            range
        }
    }
}

impl ShownParameter {
    fn new(parameter: &'static Parameter) -> Self {
        let (list, required, default) = match &parameter.default {
            Default_::Required => (false, true, Value::Null),
            Default_::Number(number) => (false, false, json!(number)),
            Default_::List(numbers) => (true, false, json!(numbers)),
        };
        Self {
            key: parameter.key,
            title: parameter.title,
            unit: parameter.unit,
            range: [parameter.lo, parameter.hi],
            list,
            required,
            default,
        }
    }

    pub(super) fn range(&self) -> String {
        let [lo, hi] = self.range;
        let list = if self.list { "list, each " } else { "" };
        format!("{list}{lo} to {hi}")
    }

    pub(super) fn default(&self) -> String {
        if self.required {
            "must be given".to_owned()
        } else {
            plain(&self.default)
        }
    }
}

impl ShownOutput {
    fn new(output: &'static Output, info: &ModelInfo) -> Self {
        let known = info.outputs.iter().find(|known| known.key == output.key);
        let mut shown = Self {
            key: output.key,
            title: output.title,
            unit: output.unit,
            kind: "number",
            of: None,
            cuts: &[],
            labels: &[],
            decimals: None,
            bootstraps: known.map(|known| known.bootstraps),
            worst: known.and_then(|known| known.worst),
            p95: known.and_then(|known| known.p95),
            disagreement: known.and_then(|known| known.disagreement),
        };
        match &output.kind {
            OutputKind::Number { decimals, .. } => shown.decimals = Some(*decimals),
            OutputKind::Points => shown.kind = "points",
            OutputKind::Category { of, cuts, labels } => {
                (shown.kind, shown.of) = ("category", Some(*of));
                (shown.cuts, shown.labels) = (cuts, labels);
            }
            OutputKind::Flag => shown.kind = "flag",
            OutputKind::Choice { labels } => (shown.kind, shown.labels) = ("choice", labels),
        }
        shown
    }

    /// The kind in words.
    pub(super) fn kind(&self) -> String {
        match (self.kind, self.of) {
            ("category", Some(of)) => {
                let cuts: Vec<String> = self.cuts.iter().map(f64::to_string).collect();
                format!("{} by {of} at {}", self.labels.join(", "), cuts.join(", "))
            }
            ("choice", _) => format!("one of {}", self.labels.join(", ")),
            ("flag", _) => "yes or no".to_owned(),
            (kind, _) => kind.to_owned(),
        }
    }

    pub(super) fn cost(&self) -> String {
        self.bootstraps
            .map_or_else(String::new, |bootstraps| bootstraps.to_string())
    }

    /// The distance from the textbook formula in words.
    pub(super) fn error(&self) -> String {
        match (self.worst, self.p95, self.disagreement) {
            (Some(worst), Some(p95), _) if worst > 0.0 => {
                format!("{}, {}", tidy(worst), tidy(p95))
            }
            (.., Some(share)) if share > 0.0 => format!("{} % differ", tidy(share * 100.0)),
            _ => "exact".to_owned(),
        }
    }
}

impl ShownExample {
    fn new(model: &Model, example: &'static Example) -> Self {
        let numbers = example
            .given
            .iter()
            .map(|(key, number)| ((*key).to_owned(), written(model, key, *number)));
        let lists = example
            .lists
            .iter()
            .map(|(key, list)| ((*key).to_owned(), json!(list)));
        Self {
            given: Value::Object(numbers.chain(lists).collect::<Map<_, _>>()),
            expected: example
                .expected
                .iter()
                .map(|(output, value, tolerance)| Expected {
                    output,
                    value: *value,
                    tolerance: *tolerance,
                })
                .collect(),
        }
    }
}

/// A value as a user writes it: a flag as true or false, a category by its name, a whole number without a point.
fn written(model: &Model, key: &str, number: f64) -> Value {
    let input = model.inputs.iter().find(|input| input.key == key);
    match input.map(|input| &input.kind) {
        Some(InputKind::Flag) => json!(number == 1.0),
        Some(InputKind::Choice { labels }) => labels
            .iter()
            .zip(0_u32..)
            .find(|(_, index)| f64::from(*index) == number)
            .map_or_else(|| json!(number), |(label, _)| json!(label)),
        _ if number.fract() == 0.0 && number.abs() < 1e9 => json!(number as i64),
        _ => json!(number),
    }
}

/// A default without points where there is nothing behind them.
fn plain(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(plain).collect();
            format!("[{}]", list.join(", "))
        }
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN).to_string(),
        other => other.to_string(),
    }
}

/// Two significant digits.
fn tidy(value: f64) -> String {
    let magnitude = value.abs().log10().floor();
    if value == 0.0 || !magnitude.is_finite() {
        return value.to_string();
    }
    let decimals = (1.0 - magnitude).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}
