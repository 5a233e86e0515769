//! The reference evaluator: the textbook formula on patients' inputs, in floating point, with nothing rounded or suppressed.

use serde::{Deserialize, Serialize};

use crate::{
    SpecError, StudySpec,
    catalogue::{OutputKind, Values},
    program::{Program, RowKind},
    study::{Comparison, Filter, Subject},
    twin::Twin,
};

/// One row of a study by the textbook formula.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceRow {
    /// Which table it belongs to.
    pub kind: RowKind,
    /// The row's name.
    pub label: String,
    /// The number of patients per cell.
    pub counts: Vec<u64>,
    /// The mean of a row of means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The standard deviation of a row of means, over all patients of the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

/// Evaluates a study on patients' inputs; a patient for whom something is missing is in no cell of that row.
///
/// # Errors
/// A study that could not be compiled either.
pub fn evaluate<'p>(
    spec: &StudySpec,
    patients: impl IntoIterator<Item = &'p Values>,
) -> Result<Vec<ReferenceRow>, SpecError> {
    let study = Study::new(spec)?;
    let mut rows: Vec<ReferenceRow> = study
        .program
        .rows()
        .iter()
        .map(|row| ReferenceRow {
            kind: row.kind,
            label: row.label.clone(),
            counts: vec![0; row.cells.len()],
            mean: None,
            deviation: None,
        })
        .collect();
    let mut moments = vec![(0.0, 0.0); rows.len()];
    for inputs in patients {
        for (index, row) in rows.iter_mut().enumerate() {
            let Some((cell, number)) = study.place(index, inputs) else {
                continue;
            };
            if let Some(count) = row.counts.get_mut(cell) {
                *count += 1;
            }
            if let (RowKind::Mean, Some(value), Some((sum, squares))) =
                (row.kind, number, moments.get_mut(index))
            {
                *sum += value;
                *squares += value * value;
            }
        }
    }
    for (row, (sum, squares)) in rows.iter_mut().zip(moments) {
        let twins = row.counts.first().copied().unwrap_or(0);
        if row.kind == RowKind::Mean && twins > 0 {
            let mean = sum / float(twins);
            row.mean = Some(mean);
            row.deviation = Some(libm::sqrt((squares / float(twins) - mean * mean).max(0.0)));
        }
    }
    Ok(rows)
}

/// A study ready to be asked for single patients.
pub(crate) struct Study<'s> {
    spec: &'s StudySpec,
    pub(crate) program: Program,
    twin: Option<Twin>,
    filters: Vec<(Subject<'s>, &'s Filter)>,
    rows: Vec<Place<'s>>,
}

/// What decides on the cell of a row.
struct Place<'s> {
    subject: Subject<'s>,
    edges: Vec<f64>,
    by: Option<(Subject<'s>, Vec<f64>, usize)>,
    mean: bool,
}

impl<'s> Study<'s> {
    pub(crate) fn new(spec: &'s StudySpec) -> Result<Self, SpecError> {
        let schema = spec.schema()?;
        let program = spec.compile_for(&schema)?;
        let filters = spec
            .filter
            .iter()
            .map(|filter| Ok((spec.subject(&schema, &filter.key)?, filter)))
            .collect::<Result<_, SpecError>>()?;
        let rows = program
            .rows()
            .iter()
            .map(|row| {
                let by = match (&spec.cross, row.kind) {
                    (Some(cross), RowKind::CrossTable) => {
                        let subject = spec.subject(&schema, &cross.by)?;
                        let names = subject.names(&schema).len();
                        let columns = if names == 0 {
                            cross.cuts.len() + 1
                        } else {
                            names
                        };
                        Some((subject, cross.cuts.clone(), columns))
                    }
                    _ => None,
                };
                Ok(Place {
                    subject: spec.studied(row.arm)?,
                    edges: row.edges.clone(),
                    by,
                    mean: row.kind == RowKind::Mean,
                })
            })
            .collect::<Result<_, SpecError>>()?;
        Ok(Self {
            spec,
            program,
            twin: Twin::of_organ(spec.organ()?),
            filters,
            rows,
        })
    }

    /// The cell of a row in which a patient is, and the value behind it.
    pub(crate) fn place(&self, row: usize, inputs: &Values) -> Option<(usize, Option<f64>)> {
        let place = self.rows.get(row)?;
        for (subject, filter) in &self.filters {
            if !self.holds(subject, filter, inputs)? {
                return None;
            }
        }
        let value = self.value(&place.subject, inputs)?;
        if place.mean {
            return Some((0, Some(value)));
        }
        let own = cell(&place.subject, value, &place.edges);
        match &place.by {
            None => Some((own, Some(value))),
            Some((subject, cuts, columns)) => {
                let other = self.value(subject, inputs)?;
                Some((own * columns + cell(subject, other, cuts), Some(value)))
            }
        }
    }

    fn holds(&self, subject: &Subject<'_>, filter: &Filter, inputs: &Values) -> Option<bool> {
        let value = self.value(subject, inputs)?;
        let number = || filter.value.parse::<f64>().ok();
        match filter.comparison {
            Comparison::AtLeast => Some(value >= number()?),
            Comparison::Below => Some(value < number()?),
            Comparison::Is | Comparison::IsNot => {
                let names = subject.names(&self.spec.schema().ok()?);
                let wanted = names.iter().position(|name| *name == filter.value)?;
                let equal = cell(subject, value, &[]) == wanted;
                Some(equal == (filter.comparison == Comparison::Is))
            }
        }
    }

    fn value(&self, subject: &Subject<'_>, inputs: &Values) -> Option<f64> {
        match subject {
            Subject::Axis(axis) => {
                let features = self.twin.as_ref()?.features(inputs);
                features.get(axis).copied().flatten()
            }
            Subject::Additive(model) => model.reference(&self.twin.as_ref()?.features(inputs)),
            Subject::Output {
                model,
                output,
                parameters,
            } => model
                .textbook(inputs, parameters)
                .get(output.key)
                .filter(|value| value.is_finite()),
        }
    }
}

/// The cell of a value: its category, or the number of edges that it reaches.
fn cell(subject: &Subject<'_>, value: f64, edges: &[f64]) -> usize {
    let whole = match subject {
        Subject::Axis(_) => edges.is_empty(),
        Subject::Additive(_) => false,
        Subject::Output { output, .. } => {
            !matches!(output.kind, OutputKind::Number { .. } | OutputKind::Points)
        }
    };
    if whole {
        return (0..256).find(|index| small(*index) == value).unwrap_or(256);
    }
    edges.iter().take_while(|edge| value >= **edge).count()
}

#[expect(clippy::cast_precision_loss, reason = "categories are few")]
fn small(index: usize) -> f64 {
    index as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
