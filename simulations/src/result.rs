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
    /// The arms, then the histogram.
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
        let mut rows: Vec<(u8, Vec<u64>)> = plan
            .program
            .rows()
            .iter()
            .map(|row| (0, vec![0; row.cells.len()]))
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
                    if let Some((gate, _)) = rows.get_mut(row) {
                        *gate = value;
                    }
                }
                Some(Output::Digit { row, cell, place }) => {
                    let count = rows
                        .get_mut(row)
                        .and_then(|(_, counts)| counts.get_mut(cell));
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
            .map(|(index, (gate, counts))| row_result(plan, index, gate, &counts))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            schema: "organtwin.result/1".to_owned(),
            model: plan.program.model().to_owned(),
            outcome: plan.program.outcome().to_owned(),
            unit: plan.program.unit().to_owned(),
            k: plan.program.k(),
            twins: plan.twins(),
            rows,
        })
    }
}

fn row_result(
    plan: &Plan,
    index: usize,
    gate: u8,
    counts: &[u64],
) -> Result<RowResult, DecodeError> {
    let row = plan
        .program
        .rows()
        .get(index)
        .ok_or(DecodeError::Gate(index))?;
    let labels: Vec<String> = row.cells.iter().map(|cell| cell.label.clone()).collect();
    let total: u64 = counts.iter().sum();
    let (cells, total) = match gate {
        0 if total == 0 => (None, None),
        1 => {
            let twins = u64::try_from(plan.twins()).unwrap_or(u64::MAX);
            let k = u64::from(plan.program.k());
            // The cells of one row need not exclude each other in a program of one's own making.
            if counts.iter().any(|count| *count < k || *count > twins) {
                return Err(DecodeError::Counts(index));
            }
            let cells = labels.iter().zip(counts).map(|(label, count)| CellResult {
                label: label.clone(),
                count: *count,
                share: float(*count) / float(total),
            });
            (Some(cells.collect()), Some(total))
        }
        _ => return Err(DecodeError::Gate(index)),
    };
    let suppressed = cells.is_none();
    Ok(RowResult {
        kind: row.kind,
        label: row.label.clone(),
        arm: row.arm,
        labels,
        suppressed,
        cells,
        total,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of twins stay far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}
