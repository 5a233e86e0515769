//! From a study's specification to a program, for models whose outcome at a dose is a monotone function of one axis.

use super::{Cell, NodeId, Op, Program, Row, RowKind, SpecError, VERSION};
use crate::{
    StudySpec,
    encode::nearest,
    model::{self, Direction, Model},
    schema::{Axis, Schema, UNIT},
};

const MOST_ARMS: usize = 32;
const MOST_EDGES: usize = 64;

impl Program {
    /// Compiles a study for the twins of a schema.
    ///
    /// # Errors
    /// An unknown model, an arm outside its range, lists that do not ascend, no cells, k of zero.
    pub fn compile(spec: &StudySpec, schema: &Schema) -> Result<Self, SpecError> {
        let model = check_spec(spec)?;
        let axis = schema
            .axis(model.axis)
            .ok_or_else(|| SpecError::NoSuchAxis {
                model: model.id.to_owned(),
                axis: model.axis.to_owned(),
                schema: schema.id().to_owned(),
            })?;
        let mut nodes = Nodes {
            list: vec![Op::Position {
                axis: axis.name.clone(),
            }],
        };
        let mut rows: Vec<Row> = spec
            .arms
            .iter()
            .map(|dose| nodes.row(RowKind::Arm, model, axis, *dose, &spec.cuts))
            .collect();
        if let Some(histogram) = &spec.histogram {
            rows.push(nodes.row(
                RowKind::Histogram,
                model,
                axis,
                histogram.arm,
                &histogram.edges,
            ));
        }
        Ok(Self {
            version: VERSION,
            schema: schema.digest(),
            model: model.id.to_owned(),
            outcome: model.outcome_name.to_owned(),
            unit: model.outcome_unit.to_owned(),
            k: spec.k,
            notes: Vec::new(),
            nodes: nodes.list,
            rows,
        })
    }
}

pub(crate) fn check_spec(spec: &StudySpec) -> Result<&'static Model, SpecError> {
    let model = model::find(&spec.model).ok_or_else(|| SpecError::UnknownModel {
        given: spec.model.clone(),
        known: model::registry()
            .iter()
            .map(|m| m.id)
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    ascending("arms", &spec.arms, MOST_ARMS)?;
    ascending("cuts", &spec.cuts, MOST_EDGES)?;
    let histogram = spec.histogram.as_ref();
    if let Some(histogram) = histogram {
        ascending("histogram edges", &histogram.edges, MOST_EDGES)?;
    }
    let (lo, hi) = model.doses;
    for dose in spec.arms.iter().copied().chain(histogram.map(|h| h.arm)) {
        if !(lo..=hi).contains(&dose) {
            return Err(SpecError::ArmOutOfRange {
                dose,
                model: model.id.to_owned(),
                lo,
                hi,
            });
        }
    }
    if spec.k == 0 {
        return Err(SpecError::KTooSmall(spec.k));
    }
    Ok(model)
}

fn ascending(list: &'static str, values: &[f64], most: usize) -> Result<(), SpecError> {
    if values.is_empty() {
        return Err(SpecError::Empty { list });
    }
    if values.len() > most {
        return Err(SpecError::TooMany {
            list,
            given: values.len(),
            most,
        });
    }
    let positive = values.iter().all(|value| value.is_finite() && *value > 0.0);
    if !positive || !values.is_sorted_by(|a, b| a < b) {
        return Err(SpecError::NotAscending {
            list,
            given: values.to_vec(),
        });
    }
    Ok(())
}

/// The smallest whole position that counts as "at or above" a value: its lower edge, half a step below, is the
/// one nearest to the value.
pub(crate) fn threshold_at(axis: &Axis, value: f64) -> i64 {
    let position = axis
        .position(value)
        .clamp(-1.0, f64::from(axis.last_position() + UNIT));
    nearest(position + 0.5)
}

/// The nodes so far; an operation that exists already is not added again.
struct Nodes {
    list: Vec<Op>,
}

impl Nodes {
    fn add(&mut self, op: Op) -> NodeId {
        let index = self
            .list
            .iter()
            .position(|known| *known == op)
            .unwrap_or_else(|| {
                self.list.push(op);
                self.list.len() - 1
            });
        NodeId::try_from(index).unwrap_or(NodeId::MAX)
    }

    fn row(&mut self, kind: RowKind, model: &Model, axis: &Axis, dose: f64, cuts: &[f64]) -> Row {
        let valid = self.add(Op::Valid { score: 0 });
        let bits: Vec<NodeId> = cuts
            .iter()
            .map(|cut| {
                let threshold = threshold_at(axis, (model.value_for)(dose, *cut));
                self.add(Op::AtLeast {
                    score: 0,
                    threshold,
                })
            })
            .collect();
        let cells = (0..=cuts.len())
            .map(|index| {
                let below = index.checked_sub(1).and_then(|i| bits.get(i)).copied();
                let above = bits.get(index).copied();
                let (inside, outside) = match model.direction {
                    Direction::Falling => (above.unwrap_or(valid), below),
                    Direction::Rising => (below.unwrap_or(valid), above),
                };
                let bit = outside.map_or(inside, |without| {
                    self.add(Op::Without {
                        bit: inside,
                        without,
                    })
                });
                Cell {
                    label: label(cuts, index),
                    bit,
                }
            })
            .collect();
        Row {
            kind,
            label: format!("{dose} mg/day"),
            arm: Some(dose),
            edges: cuts.to_vec(),
            cells,
            totals: Vec::new(),
        }
    }
}

fn label(cuts: &[f64], index: usize) -> String {
    let low = index.checked_sub(1).and_then(|i| cuts.get(i));
    match (low, cuts.get(index)) {
        (None, Some(high)) => format!("below {high}"),
        (Some(low), Some(high)) => format!("{low} to {high}"),
        (Some(low), None) => format!("{low} and above"),
        (None, None) => "all".to_owned(),
    }
}
