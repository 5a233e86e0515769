//! What a column means, and its values.

use organtwin_simulations::catalogue::{Alias, Input, InputKind, input};
use organtwin_simulations::schema::{Axis, Scale};
use organtwin_simulations::twin::Twin;
use serde_json::Value;

/// The most characters of a file's own words in a message.
const QUOTED: usize = 40;

/// One column.
pub(super) enum Column {
    /// A quantity of the dictionary, perhaps in another of its units.
    Input {
        input: &'static Input,
        alias: Option<&'static Alias>,
    },
    /// An axis of the twin itself, in its own unit.
    Axis(Axis),
}

impl Column {
    /// The quantity, whatever its unit.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Input { input, .. } => input.key,
            Self::Axis(axis) => &axis.name,
        }
    }
}

/// Finds what a column name means.
pub(super) fn column(name: &str, twin: &Twin) -> Result<Column, String> {
    if let Some((input, alias)) = input::in_any_unit(name) {
        return Ok(Column::Input { input, alias });
    }
    let axis = |name: &str| twin.feature(name).map(|feature| feature.axis.clone());
    match axis(name) {
        Some(axis) => Ok(Column::Axis(axis)),
        None => Err(format!(
            "no quantity is called {}; expected keys of the dictionary with their unit, such as creatinine_mg_dl, or axes \
             of the {} twin",
            quoted(name),
            twin.organ
        )),
    }
}

/// Reads a value; nothing, an empty text or null is missing.
pub(super) fn read(column: &Column, value: &Value) -> Result<Option<f64>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Object(_) => return Err("expected one value".into()),
    };
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    match column {
        Column::Axis(axis) if axis.scale == Scale::Categorical => (0..axis.nodes)
            .map(f64::from)
            .find(|category| Some(*category) == number)
            .map(Some)
            .ok_or_else(|| {
                let last = axis.nodes.saturating_sub(1);
                format!("{}: expected a category from 0 to {last}", quoted(&text))
            }),
        Column::Axis(axis) => within(&text, number, axis.lo, axis.hi, &axis.unit).map(Some),
        Column::Input { input, alias } => match &input.kind {
            InputKind::Number { lo, hi } => {
                let (factor, unit) = alias.map_or((1.0, input.unit), |a| (a.factor, a.unit));
                within(&text, number, lo / factor, hi / factor, unit)
                    .map(|value| Some(value * factor))
            }
            InputKind::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(Some(1.0)),
                "false" | "no" | "0" => Ok(Some(0.0)),
                _ => Err(format!("{}: expected true or false", quoted(&text))),
            },
            InputKind::Choice { labels } => labels
                .iter()
                .position(|label| label.eq_ignore_ascii_case(&text))
                .and_then(|index| u16::try_from(index).ok())
                .map(|index| Some(f64::from(index)))
                .ok_or_else(|| format!("{}: expected one of {}", quoted(&text), labels.join(", "))),
        },
    }
}

fn within(text: &str, number: Option<f64>, lo: f64, hi: f64, unit: &str) -> Result<f64, String> {
    let number = number.ok_or_else(|| format!("{}: expected a number", quoted(text)))?;
    match (lo..=hi).contains(&number) {
        true => Ok(number),
        false => Err(format!(
            "{number} {unit} is impossible; expected {lo:.4} to {hi:.4}"
        )),
    }
}

fn quoted(text: &str) -> String {
    let short: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(QUOTED)
        .collect();
    format!("'{short}'")
}
