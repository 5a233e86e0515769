//! How far the exact integers of a study are from the textbook formula, before anybody's data are looked at.

use serde::{Deserialize, Serialize};

use super::{Question, SpecError, StudySpec};
use crate::{
    additive::{AdditiveModel, quantisation, random_patients, step_of},
    catalogue::check::random_inputs_at,
    clear, encode,
    eval::{AnswerValue, Compiled, quantile},
    program::RowKind,
    reference::Study,
    twin::Twin,
};

/// Random patients on whom exactness is measured.
const SAMPLE: u64 = 1000;

/// How exact one row is, on random patients within the model's ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowAccuracy {
    /// The row.
    pub row: String,
    /// The share of patients that the grid puts into another cell than the textbook formula.
    pub other_cell: f64,
    /// The largest distance of the output from the textbook formula, in its unit, if it is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// The distance that 95 % of the patients keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
}

/// Compares the exact integers of a study with the textbook formula on random patients.
///
/// # Errors
/// A study that cannot be compiled.
pub fn accuracy(spec: &StudySpec) -> Result<Vec<RowAccuracy>, SpecError> {
    let study = Study::new(spec)?;
    let (question, schema) = (spec.question()?, spec.schema()?);
    let (model, output) = match question {
        Question::Catalogue(model, output) => (model, output),
        Question::Additive(model) => return of_additive(spec, model, &study),
    };
    let Some(twin) = Twin::of_organ(model.organ) else {
        return Ok(Vec::new());
    };
    let usual = spec.parameters_at(spec.arms.first().copied())?;
    let patients: Vec<_> = (0..SAMPLE)
        .filter_map(|seed| {
            let inputs = random_inputs_at(model, &usual, seed);
            let weights = encode(&schema, &twin.features(&inputs)).ok()?;
            Some((inputs, weights))
        })
        .collect();
    let mut rows = Vec::new();
    for (index, row) in study.program.rows().iter().enumerate() {
        let (mut placed, mut other) = (0_u32, 0_u32);
        for (inputs, weights) in &patients {
            let Some((expected, _)) = study.place(index, inputs) else {
                continue;
            };
            let nodes = clear::nodes(&study.program, &schema, weights);
            placed += 1;
            let got = row.cells.iter().position(|cell| nodes.is_set(cell.bit));
            other += u32::from(got != Some(expected));
        }
        let mut distances = Vec::new();
        if row.kind != RowKind::CrossTable {
            let parameters = spec.parameters_at(row.arm)?;
            let compiled = Compiled::of_outputs(model, &parameters, &|key| key == output.key);
            if let Ok(compiled) = compiled {
                for (inputs, _) in &patients {
                    let exact = model.textbook(inputs, &parameters).get(output.key);
                    let answers = compiled.clear(inputs).unwrap_or_default();
                    if let (Some(exact), Some(AnswerValue::Number { value })) =
                        (exact, answers.first().map(|answer| answer.value.clone()))
                    {
                        distances.push((value - exact).abs());
                    }
                }
            }
        }
        rows.push(RowAccuracy {
            row: row.label.clone(),
            other_cell: f64::from(other) / f64::from(placed.max(1)),
            worst: quantile(&distances, 1.0),
            p95: quantile(&distances, 0.95),
        });
    }
    Ok(rows)
}

/// The same for a model of one's own, on patients spread evenly over the axes that it reads.
fn of_additive(
    spec: &StudySpec,
    model: &AdditiveModel,
    study: &Study<'_>,
) -> Result<Vec<RowAccuracy>, SpecError> {
    let schema = spec.schema()?;
    let mut patients = random_patients(model, &schema, 1, 1000);
    // A cross-table counts only patients who have its other feature as well; which category is all one.
    let by = spec.cross.as_ref().and_then(|cross| schema.axis(&cross.by));
    for patient in &mut patients {
        if let Some(axis) = by {
            patient.entry(axis.name.clone()).or_insert(Some(axis.lo));
        }
    }
    let grid = quantisation(model, &schema, 0.0, &patients)?;
    let mut rows = Vec::new();
    for row in study.program.rows() {
        let columns = row.cells.len() / (row.edges.len() + 1);
        let (mut placed, mut other) = (0_u32, 0_u32);
        for patient in &patients {
            let (Some(exact), Ok(weights)) = (model.reference(patient), encode(&schema, patient))
            else {
                continue;
            };
            let nodes = clear::nodes(&study.program, &schema, &weights);
            let got = row.cells.iter().position(|cell| nodes.is_set(cell.bit));
            if let (Some(got), true) = (got, columns > 0) {
                placed += 1;
                other += u32::from(got / columns != step_of(&row.edges, exact));
            }
        }
        rows.push(RowAccuracy {
            row: row.label.clone(),
            other_cell: f64::from(other) / f64::from(placed.max(1)),
            worst: Some(grid.worst),
            p95: Some(grid.p95),
        });
    }
    Ok(rows)
}
