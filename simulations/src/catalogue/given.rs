//! What a user gives for a model: checked against the dictionary before anything is computed.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Default_, Input, InputKind, MOST_LISTED, Model, Parameter, Values};

/// One value as a file or a scenario writes it: perhaps one patient's, so it is never shown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A name among some.
    Text(String),
    /// Numbers.
    List(Vec<f64>),
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(not shown)")
    }
}

/// A patient and what is asked, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What is known about the patient, each in the unit of its key.
    pub inputs: Values,
    /// What the study chooses; all are there.
    pub parameters: Values,
}

/// A value that cannot be used: which, what came, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// A key that the model does not have.
    #[error("{model} has no input or parameter {key}: {hint}")]
    Unknown {
        /// The model.
        model: String,
        /// The key given.
        key: String,
        /// The nearest key, or all of them.
        hint: String,
    },
    /// A needed value is not there.
    #[error("{model} needs {key} ({what}): it is missing")]
    Missing {
        /// The model.
        model: String,
        /// The key.
        key: String,
        /// Its title, unit and range.
        what: String,
    },
    /// The same quantity in two units.
    #[error("{first} and {second} are the same quantity: give one of them")]
    Twice {
        /// The first key.
        first: String,
        /// The second key.
        second: String,
    },
    /// A value of another kind, or no finite number.
    #[error("{key} is {given}: expected {expected}")]
    Kind {
        /// The key.
        key: String,
        /// What was given.
        given: String,
        /// What was expected.
        expected: String,
    },
    /// A value that cannot be, or that the model does not take.
    #[error("{key} is {given} {unit}, outside {range}: check the value and its unit")]
    OutOfRange {
        /// The key.
        key: String,
        /// What was given.
        given: String,
        /// The unit.
        unit: String,
        /// The range.
        range: String,
    },
}

/// Checks everything that a user gives for one model.
///
/// # Errors
/// The first key that is unknown, missing, of the wrong kind or out of range.
pub fn check(model: &Model, given: &BTreeMap<String, Given>) -> Result<Checked, InputError> {
    refuse_unknown(model, given)?;
    let mut inputs = Values::default();
    for input in model.inputs {
        match read_input(input, given)? {
            Some(value) => inputs.set(input.key, value),
            None if model.optional.contains(&input.key) => {}
            None => {
                return Err(InputError::Missing {
                    model: model.id.to_owned(),
                    key: input.key.to_owned(),
                    what: describe(input),
                });
            }
        }
    }
    Ok(Checked {
        inputs,
        parameters: parameters(model, given)?,
    })
}

/// The parameters of a model, those not given at their defaults; other keys are not looked at.
///
/// # Errors
/// A parameter that is missing, of the wrong kind or out of range.
pub fn parameters(model: &Model, given: &BTreeMap<String, Given>) -> Result<Values, InputError> {
    let mut values = Values::default();
    for parameter in model.parameters {
        let key = parameter.key;
        match (given.get(key), &parameter.default) {
            (None, Default_::Number(default)) => values.set(key, *default),
            (None, Default_::List(default)) => values.set_list(key, default.to_vec()),
            (None, Default_::Required) => {
                return Err(InputError::Missing {
                    model: model.id.to_owned(),
                    key: key.to_owned(),
                    what: format!(
                        "{}, {} to {} {}",
                        parameter.title, parameter.lo, parameter.hi, parameter.unit
                    ),
                });
            }
            (Some(value), Default_::List(_)) => {
                values.set_list(key, read_list(parameter, value)?);
            }
            (Some(value), _) => values.set(key, read_number(parameter, value)?),
        }
    }
    Ok(values)
}

/// Refuses keys that are neither inputs nor parameters.
pub(crate) fn refuse_unknown(
    model: &Model,
    given: &BTreeMap<String, Given>,
) -> Result<(), InputError> {
    let known = known_keys(model);
    match given.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(InputError::Unknown {
            model: model.id.to_owned(),
            key: key.clone(),
            hint: hint(key, &known),
        }),
    }
}

/// Every key that a model takes.
fn known_keys(model: &Model) -> Vec<&'static str> {
    let inputs = model.inputs.iter().flat_map(|input| {
        std::iter::once(input.key).chain(input.aliases.iter().map(|alias| alias.key))
    });
    inputs
        .chain(model.parameters.iter().map(|parameter| parameter.key))
        .collect()
}

/// The known key that is nearest to one that is not known, or all of them.
#[must_use]
pub fn hint(key: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (distance(key, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= key.len().div_ceil(3));
    match nearest {
        Some((_, candidate)) => format!("did you mean {candidate}?"),
        None => format!("it takes {}", known.join(", ")),
    }
}

/// The edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, left) in a.chars().take(128).enumerate() {
        let mut next = vec![index + 1];
        for (column, right) in b.iter().enumerate() {
            let at =
                |list: &[usize], place: usize| list.get(place).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&row, column) + usize::from(left != *right);
            next.push(
                replaced
                    .min(at(&row, column + 1) + 1)
                    .min(at(&next, column) + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// The value of an input in its own unit, if it is given in any.
fn read_input(input: &Input, given: &BTreeMap<String, Given>) -> Result<Option<f64>, InputError> {
    let units = std::iter::once((input.key, input.unit, 1.0)).chain(
        input
            .aliases
            .iter()
            .map(|alias| (alias.key, alias.unit, alias.factor)),
    );
    let mut found: Option<(&str, f64)> = None;
    for (key, unit, factor) in units {
        let Some(value) = given.get(key) else {
            continue;
        };
        if let Some((first, _)) = found {
            return Err(InputError::Twice {
                first: first.to_owned(),
                second: key.to_owned(),
            });
        }
        found = Some((key, read_value(input, key, unit, factor, value)?));
    }
    Ok(found.map(|(_, value)| value))
}

fn read_value(
    input: &Input,
    key: &str,
    unit: &str,
    factor: f64,
    given: &Given,
) -> Result<f64, InputError> {
    let kind = |expected: String| InputError::Kind {
        key: key.to_owned(),
        given: shown(given),
        expected,
    };
    match &input.kind {
        InputKind::Number { lo, hi } => match given {
            Given::Number(number) if number.is_finite() => {
                let value = number * factor;
                if value < *lo || value > *hi {
                    let (lo, hi) = (tidy(lo / factor), tidy(hi / factor));
                    return Err(InputError::OutOfRange {
                        key: key.to_owned(),
                        given: number.to_string(),
                        unit: unit.to_owned(),
                        range: format!("{lo} to {hi}"),
                    });
                }
                Ok(value)
            }
            _ => Err(kind(format!("a number in {unit}"))),
        },
        InputKind::Flag => match given {
            Given::Flag(flag) => Ok(f64::from(u8::from(*flag))),
            Given::Number(number) if *number == 0.0 || *number == 1.0 => Ok(*number),
            _ => Err(kind("true or false".to_owned())),
        },
        InputKind::Choice { labels } => {
            let index = match given {
                Given::Text(text) => labels.iter().position(|label| label == text),
                Given::Number(number) => (0..labels.len()).find(|index| small(*index) == *number),
                Given::Flag(_) | Given::List(_) => None,
            };
            index
                .map(small)
                .ok_or_else(|| kind(format!("one of {}", labels.join(", "))))
        }
    }
}

fn read_number(parameter: &Parameter, given: &Given) -> Result<f64, InputError> {
    match given {
        Given::Number(number) if number.is_finite() => in_range(parameter, *number),
        _ => Err(InputError::Kind {
            key: parameter.key.to_owned(),
            given: shown(given),
            expected: format!("a number in {}", parameter.unit),
        }),
    }
}

fn read_list(parameter: &Parameter, given: &Given) -> Result<Vec<f64>, InputError> {
    let expected = || InputError::Kind {
        key: parameter.key.to_owned(),
        given: shown(given),
        expected: format!(
            "a list of at most {MOST_LISTED} numbers in {}",
            parameter.unit
        ),
    };
    let numbers = match given {
        Given::List(numbers) => numbers.clone(),
        Given::Number(number) => vec![*number],
        Given::Flag(_) | Given::Text(_) => return Err(expected()),
    };
    if numbers.len() > MOST_LISTED || numbers.iter().any(|number| !number.is_finite()) {
        return Err(expected());
    }
    numbers
        .into_iter()
        .map(|number| in_range(parameter, number))
        .collect()
}

fn in_range(parameter: &Parameter, number: f64) -> Result<f64, InputError> {
    if (parameter.lo..=parameter.hi).contains(&number) {
        return Ok(number);
    }
    Err(InputError::OutOfRange {
        key: parameter.key.to_owned(),
        given: number.to_string(),
        unit: parameter.unit.to_owned(),
        range: format!("{} to {}", parameter.lo, parameter.hi),
    })
}

/// Title, unit and range of an input.
#[must_use]
pub fn describe(input: &Input) -> String {
    match &input.kind {
        InputKind::Number { lo, hi } => format!("{}, {lo} to {hi} {}", input.title, input.unit),
        InputKind::Flag => format!("{}, true or false", input.title),
        InputKind::Choice { labels } => format!("{}, one of {}", input.title, labels.join(", ")),
    }
}

/// A value as an error shows it: what the user typed on this machine, shortened.
fn shown(given: &Given) -> String {
    match given {
        Given::Flag(flag) => flag.to_string(),
        Given::Number(number) => number.to_string(),
        Given::Text(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
        Given::List(list) => format!("a list of {} numbers", list.len()),
    }
}

/// Four significant digits.
fn tidy(value: f64) -> f64 {
    if value == 0.0 {
        return value;
    }
    let scale = libm::pow(10.0, 3.0 - libm::floor(libm::log10(value.abs())));
    libm::round(value * scale) / scale
}

#[expect(clippy::cast_precision_loss, reason = "categories are few")]
fn small(index: usize) -> f64 {
    index as f64
}
