//! From a study to its rows: what is divided, by what, and for whom.

use super::{Comparison, Filter, SpecError};
use crate::{
    additive::AdditiveModel,
    catalogue::{self, InputKind, Model, Output, OutputKind, Values},
    compile::{Builder, CompileError},
    formula::{Additive, Formula, Term},
    program::NodeId,
    schema::{Scale, Schema},
};

/// Something that a study divides twins by.
pub(crate) enum Subject<'m> {
    /// A feature of the twin.
    Axis(String),
    /// An output of a model at some parameters.
    Output {
        /// The model.
        model: &'m Model,
        /// The output.
        output: &'m Output,
        /// The parameters.
        parameters: Values,
    },
    /// A model that was fitted elsewhere.
    Additive(&'m AdditiveModel),
}

/// A division of the twins into cells that exclude each other.
pub(super) struct Partition {
    /// The edges between the cells, where they are numbers.
    pub(super) edges: Vec<f64>,
    /// The names of the cells.
    pub(super) labels: Vec<String>,
    /// The bits of the cells.
    pub(super) cells: Vec<NodeId>,
}

impl Subject<'_> {
    /// How it is named.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Axis(axis) => axis.clone(),
            Self::Output { output, .. } => output.key.to_owned(),
            Self::Additive(model) => model.output.clone(),
        }
    }

    /// The number behind it, if it is one: the sum, and the cuts and names that it has of its own.
    fn number(&self, schema: &Schema) -> Result<Number, SpecError> {
        let mismatch = |what, why: &str| SpecError::DoesNotApply {
            what,
            subject: self.name(),
            why: why.to_owned(),
        };
        match self {
            Self::Axis(name) => {
                let axis = schema
                    .axis(name)
                    .ok_or_else(|| mismatch("an axis", "the twin does not have it"))?;
                let additive = Additive::sum(vec![Term::axis(name, |value| value)]);
                let own = (axis.scale == Scale::Categorical).then(|| {
                    let cuts = (1..axis.nodes).map(f64::from).collect();
                    (cuts, category_names(name, usize::from(axis.nodes)))
                });
                Ok(Number { additive, own })
            }
            Self::Additive(model) => Ok(Number {
                additive: model.additive(schema)?,
                own: None,
            }),
            Self::Output {
                model,
                output,
                parameters,
            } => {
                let (of, own) = match &output.kind {
                    OutputKind::Category { of, cuts, labels } => {
                        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
                        (*of, Some((cuts.to_vec(), labels)))
                    }
                    _ => (output.key, None),
                };
                match (model.formula)(of, parameters) {
                    Some(Formula::Number(additive)) => Ok(Number { additive, own }),
                    _ => Err(mismatch("a number", "it is none")),
                }
            }
        }
    }

    /// The names of its own categories; none of a number.
    pub(crate) fn names(&self, schema: &Schema) -> Vec<String> {
        if let Self::Output { output, .. } = self {
            match &output.kind {
                OutputKind::Flag => return vec!["no".to_owned(), "yes".to_owned()],
                OutputKind::Choice { labels } => {
                    return labels.iter().map(|label| (*label).to_owned()).collect();
                }
                _ => {}
            }
        }
        let number = self.number(schema).ok();
        number
            .and_then(|number| number.own)
            .map(|(_, names)| names)
            .unwrap_or_default()
    }

    fn formula(&self) -> Option<Formula> {
        match self {
            Self::Axis(_) | Self::Additive(_) => None,
            Self::Output {
                model,
                output,
                parameters,
            } => (model.formula)(output.key, parameters),
        }
    }

    /// The number itself, for means.
    pub(super) fn additive(&self, schema: &Schema) -> Result<Additive, SpecError> {
        let number = self.number(schema)?;
        match number.own {
            Some(_) => Err(SpecError::DoesNotApply {
                what: "a mean",
                subject: self.name(),
                why: "categories have none: leave `mean` out".to_owned(),
            }),
            None => Ok(number.additive),
        }
    }

    /// The cells at some cuts; categories, flags and choices have their own and take none.
    pub(super) fn partition(
        &self,
        builder: &mut Builder<'_>,
        cuts: &[f64],
    ) -> Result<Partition, SpecError> {
        let failed = |error: CompileError| SpecError::Compile {
            model: self.name(),
            error,
        };
        let no_cuts = || SpecError::DoesNotApply {
            what: "cuts",
            subject: self.name(),
            why: "it has its own cells: leave the cuts out".to_owned(),
        };
        match self.formula() {
            Some(Formula::Flag(condition)) => {
                if !cuts.is_empty() {
                    return Err(no_cuts());
                }
                let yes = builder.condition(&condition).map_err(failed)?;
                let no = builder.not(yes);
                return Ok(Partition {
                    edges: Vec::new(),
                    labels: vec!["no".to_owned(), "yes".to_owned()],
                    cells: vec![no, yes],
                });
            }
            Some(Formula::Choice(choice)) => {
                if !cuts.is_empty() {
                    return Err(no_cuts());
                }
                let bits = builder.choice(&choice).map_err(failed)?;
                let labels = choice.options.iter().map(|option| option.label.clone());
                let nothing = bits.nothing.map(|_| "none of them".to_owned());
                return Ok(Partition {
                    edges: Vec::new(),
                    labels: labels.chain(nothing).collect(),
                    cells: bits.chosen.into_iter().chain(bits.nothing).collect(),
                });
            }
            Some(Formula::Number(_)) | None => {}
        }
        let Number { additive, own } = self.number(builder.schema())?;
        let (edges, labels) = match own {
            Some(_) if !cuts.is_empty() => return Err(no_cuts()),
            Some((edges, labels)) => (edges, labels),
            None if cuts.is_empty() => {
                return Err(SpecError::DoesNotApply {
                    what: "a division",
                    subject: self.name(),
                    why: "it is a number: give at least one cut".to_owned(),
                });
            }
            None => (
                cuts.to_vec(),
                (0..=cuts.len()).map(|i| label(cuts, i)).collect(),
            ),
        };
        let bits = builder.at_least(&additive, &edges).map_err(failed)?;
        let cells = (0..=bits.len())
            .filter_map(|index| {
                let low = index.checked_sub(1).and_then(|i| bits.get(i)).copied();
                let high = bits.get(index).copied();
                match (low, high) {
                    (None, Some(high)) => Some(builder.not(high)),
                    (Some(low), Some(high)) => Some(builder.minus(low, high)),
                    (Some(low), None) => Some(low),
                    (None, None) => None,
                }
            })
            .collect();
        Ok(Partition {
            edges,
            labels,
            cells,
        })
    }
}

struct Number {
    additive: Additive,
    own: Option<(Vec<f64>, Vec<String>)>,
}

/// The name of the cell at an index between ascending cuts.
pub(super) fn label(cuts: &[f64], index: usize) -> String {
    let low = index.checked_sub(1).and_then(|i| cuts.get(i));
    match (low, cuts.get(index)) {
        (None, Some(high)) => format!("below {high}"),
        (Some(low), Some(high)) => format!("{low} to {high}"),
        (Some(low), None) => format!("{low} and above"),
        (None, None) => "all".to_owned(),
    }
}

/// The names of a categorical axis: those of the input with the same key, or numbers.
fn category_names(axis: &str, count: usize) -> Vec<String> {
    let names: Vec<String> = match catalogue::input::find(axis).map(|input| &input.kind) {
        Some(InputKind::Choice { labels }) => labels.iter().map(|l| (*l).to_owned()).collect(),
        Some(InputKind::Flag) => vec!["no".to_owned(), "yes".to_owned()],
        _ => Vec::new(),
    };
    if names.len() == count {
        names
    } else {
        (0..count).map(|index| index.to_string()).collect()
    }
}

/// The bit of one condition of a filter.
pub(super) fn filter_bit(
    builder: &mut Builder<'_>,
    subject: &Subject<'_>,
    filter: &Filter,
) -> Result<NodeId, SpecError> {
    let does_not_apply = |why: String| SpecError::DoesNotApply {
        what: "a condition",
        subject: subject.name(),
        why,
    };
    let negated = matches!(filter.comparison, Comparison::Below | Comparison::IsNot);
    let bit = match filter.comparison {
        Comparison::AtLeast | Comparison::Below => {
            let value = filter
                .value
                .parse::<f64>()
                .ok()
                .filter(|value| value.is_finite())
                .ok_or_else(|| does_not_apply(format!("`{}` is no number", filter.value)))?;
            let additive = subject.number(builder.schema())?.additive;
            let bits = builder.at_least(&additive, &[value]);
            let bits = bits.map_err(|error| SpecError::Compile {
                model: subject.name(),
                error,
            })?;
            bits.first().copied()
        }
        Comparison::Is | Comparison::IsNot => {
            let partition = subject
                .partition(builder, &[])
                .map_err(|error| match error {
                    SpecError::DoesNotApply { .. } => {
                        does_not_apply("it is a number: compare it with >= or <".to_owned())
                    }
                    other => other,
                })?;
            let place = partition
                .labels
                .iter()
                .position(|label| *label == filter.value)
                .ok_or_else(|| {
                    does_not_apply(format!(
                        "`{}` is none of its categories: they are {}",
                        filter.value,
                        partition.labels.join(", ")
                    ))
                })?;
            partition.cells.get(place).copied()
        }
    };
    let bit = bit.ok_or_else(|| does_not_apply("it has no cells".to_owned()))?;
    Ok(if negated { builder.not(bit) } else { bit })
}
