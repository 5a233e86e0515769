//! The reference evaluator: the textbook formula on features, in floating point, with nothing rounded or suppressed.

use serde::{Deserialize, Serialize};

use crate::{
    Features, SpecError, StudySpec,
    model::{self, Model},
    program::RowKind,
};

/// The counts of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceRow {
    /// Which table it belongs to.
    pub kind: RowKind,
    /// The daily dose in mg.
    pub dose: f64,
    /// The number of patients per cell, ascending in the outcome.
    pub counts: Vec<u64>,
}

/// Counts patients by the model's formula; a patient without the model's feature is in no cell.
///
/// # Errors
/// A study that could not be compiled either.
pub fn evaluate<'p>(
    spec: &StudySpec,
    patients: impl IntoIterator<Item = &'p Features>,
) -> Result<Vec<ReferenceRow>, SpecError> {
    let model = crate::program::check_spec(spec)?;
    let values: Vec<f64> = patients
        .into_iter()
        .filter_map(|features| features.get(model.axis).copied().flatten())
        .collect();
    let mut rows: Vec<ReferenceRow> = spec
        .arms
        .iter()
        .map(|dose| row(model, RowKind::Arm, *dose, &spec.cuts, &values))
        .collect();
    if let Some(histogram) = &spec.histogram {
        rows.push(row(
            model,
            RowKind::Histogram,
            histogram.arm,
            &histogram.edges,
            &values,
        ));
    }
    Ok(rows)
}

/// The outcome of a daily dose in mg for one patient, by the model's formula.
#[must_use]
pub fn outcome(model: &str, dose: f64, features: &Features) -> Option<f64> {
    let model = model::find(model)?;
    let value = features.get(model.axis).copied().flatten()?;
    Some((model.outcome)(dose, value))
}

fn row(model: &Model, kind: RowKind, dose: f64, edges: &[f64], values: &[f64]) -> ReferenceRow {
    let mut counts = vec![0; edges.len() + 1];
    for value in values {
        let outcome = (model.outcome)(dose, *value);
        let cell = edges.iter().take_while(|edge| outcome >= **edge).count();
        if let Some(count) = counts.get_mut(cell) {
            *count += 1;
        }
    }
    ReferenceRow { kind, dose, counts }
}
