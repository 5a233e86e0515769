//! Results: from opened blocks to counts per arm and cell.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Plan, circuit::Output, program::RowKind};

/// Opened blocks that are no result of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Another number of blocks than the plan's.
    #[error("{got} blocks were opened, the plan has {expected}")]
    Blocks {
        /// The number opened.
        got: usize,
        /// The number in the plan.
        expected: usize,
    },
    /// A block with more than four bits.
    #[error("block {0} holds more than four bits")]
    TooLarge(usize),
    /// A gate that is neither open nor closed, or a closed row with a digit.
    #[error("row {0} has an impossible gate, or is closed and yet holds a digit")]
    Gate(usize),
    /// A row with more twins than the study, or a cell below k in an open row.
    #[error("row {0} is open with counts that the study cannot give")]
    Counts(usize),
}

/// One cell of an open row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// The cell's name.
    pub label: String,
    /// The number of twins.
    pub count: u64,
    /// The share of the row's twins.
    pub share: f64,
}

/// One total of an open row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TotalResult {
    /// The total's name.
    pub label: String,
    /// The power of what is added: 1 for values, 2 for squares.
    pub power: u8,
    /// What was taken off every value before.
    pub about: f64,
    /// The sum of (value - about)^power over the population.
    pub sum: f64,
    /// The mean of the values, or of the squares, about what was taken off.
    pub mean: f64,
}

/// One row: open with its cells, or suppressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowResult {
    /// Which table it belongs to.
    pub kind: RowKind,
    /// Its name, such as `750 mg/day`.
    pub label: String,
    /// The arm, if it is of one.
    pub arm: Option<f64>,
    /// The names of the cells, ascending in the outcome.
    pub labels: Vec<String>,
    /// Whether a cell was too small, so that the row stays closed.
    pub suppressed: bool,
    /// The cells of an open row, ascending in the outcome.
    pub cells: Option<Vec<CellResult>>,
    /// The twins with a valid outcome in an open row.
    pub total: Option<u64>,
    /// The totals of an open row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<TotalResult>,
    /// The mean of the values, if the row has their sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Their standard deviation, if the row has the sum of their squares, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

/// The result of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyResult {
    /// `organtwin.result/1`.
    pub schema: String,
    /// The model.
    pub model: String,
    /// The outcome's name.
    pub outcome: String,
    /// The outcome's unit.
    pub unit: String,
    /// The smallest number of twins in an opened cell.
    pub k: u32,
    /// The number of twins in the study.
    pub twins: usize,
    /// Marks of the program, such as "to be confirmed against the paper".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The rows of the program.
    pub rows: Vec<RowResult>,
}

impl StudyResult {
    /// Reads the opened blocks of a plan, one value of four bits each.
    ///
    /// # Errors
    /// Blocks that the plan could not have given.
    pub fn decode(plan: &Plan, opened: &[u8]) -> Result<Self, DecodeError> {
        let expected = plan.layout.blocks.len();
        if opened.len() != expected {
            return Err(DecodeError::Blocks {
                got: opened.len(),
                expected,
            });
        }
        if let Some(index) = opened.iter().position(|value| *value > 15) {
            return Err(DecodeError::TooLarge(index));
        }
        let mut rows: Vec<Opened> = plan
            .program
            .rows()
            .iter()
            .map(|row| Opened {
                gate: 0,
                counts: vec![0; row.cells.len()],
                totals: vec![0; row.totals.len()],
            })
            .collect();
        let halves = plan
            .layout
            .blocks
            .iter()
            .zip(opened)
            .flat_map(|((low, high), value)| [(Some(*low), value & 3), (*high, value >> 2)]);
        for (output, value) in halves {
            match output {
                Some(Output::Gate { row }) => {
                    if let Some(row) = rows.get_mut(row) {
                        row.gate = value;
                    }
                }
                Some(Output::Total { row, total, place }) => {
                    let total = rows.get_mut(row).and_then(|row| row.totals.get_mut(total));
                    if let Some(total) = total {
                        *total += u64::from(value) << (2 * place);
                    }
                }
                Some(Output::Digit { row, cell, place }) => {
                    let count = rows.get_mut(row).and_then(|row| row.counts.get_mut(cell));
                    if let Some(count) = count {
                        *count += u64::from(value) << (2 * place);
                    }
                }
                None if value != 0 => return Err(DecodeError::TooLarge(expected - 1)),
                None => {}
            }
        }
        let rows = rows
            .into_iter()
            .enumerate()
            .map(|(index, opened)| row_result(plan, index, &opened))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            schema: "organtwin.result/1".to_owned(),
            model: plan.program.model().to_owned(),
            outcome: plan.program.outcome().to_owned(),
            unit: plan.program.unit().to_owned(),
            k: plan.program.k(),
            twins: plan.twins(),
            notes: plan.program.notes().to_vec(),
            rows,
        })
    }
}

/// What was opened of one row.
struct Opened {
    gate: u8,
    counts: Vec<u64>,
    totals: Vec<u64>,
}

fn row_result(plan: &Plan, index: usize, opened: &Opened) -> Result<RowResult, DecodeError> {
    let row = plan
        .program
        .rows()
        .get(index)
        .ok_or(DecodeError::Gate(index))?;
    let mut result = RowResult {
        kind: row.kind,
        label: row.label.clone(),
        arm: row.arm,
        labels: row.cells.iter().map(|cell| cell.label.clone()).collect(),
        suppressed: true,
        cells: None,
        total: None,
        totals: Vec::new(),
        mean: None,
        deviation: None,
    };
    let total: u64 = opened.counts.iter().sum();
    match opened.gate {
        0 if total == 0 && opened.totals.iter().all(|total| *total == 0) => return Ok(result),
        1 => {}
        _ => return Err(DecodeError::Gate(index)),
    }
    let twins = u64::try_from(plan.twins()).unwrap_or(u64::MAX);
    let k = u64::from(plan.program.k());
    let most = plan
        .totals_of_row(index)
        .map(|most| most.saturating_mul(twins));
    // The cells of one row need not exclude each other in a program of one's own making.
    let possible = opened
        .counts
        .iter()
        .all(|count| (k..=twins).contains(count))
        && opened
            .totals
            .iter()
            .zip(most)
            .all(|(total, most)| *total <= most);
    if !possible {
        return Err(DecodeError::Counts(index));
    }
    let cells = result.labels.iter().zip(&opened.counts);
    let cells = cells.map(|(label, count)| CellResult {
        label: label.clone(),
        count: *count,
        share: float(*count) / float(total),
    });
    let population = match row.kind {
        RowKind::Mean => opened.counts.first().copied().unwrap_or(0),
        RowKind::Arm | RowKind::Histogram | RowKind::CrossTable => total,
    };
    result.cells = Some(cells.collect());
    result.suppressed = false;
    result.total = Some(population);
    let totals = row.totals.iter().zip(&opened.totals);
    result.totals = totals
        .map(|(total, opened)| {
            let sum = float(*opened) * total.unit;
            TotalResult {
                label: total.label.clone(),
                power: total.power,
                about: total.about,
                sum,
                mean: sum / float(population) + if total.power == 1 { total.about } else { 0.0 },
            }
        })
        .collect();
    let first = result.totals.iter().find(|total| total.power == 1);
    result.mean = first.map(|total| total.mean);
    result.deviation = first.and_then(|first| {
        let same = |total: &&TotalResult| total.power == 2 && total.about == first.about;
        let squares = result.totals.iter().find(same)?;
        let about_mean = squares.sum - first.sum * first.sum / float(population);
        // Rounding of the squares can take a spread of nothing below zero.
        (population > 1).then(|| libm::sqrt(about_mean.max(0.0) / float(population - 1)))
    });
    Ok(result)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and totals stay far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}
