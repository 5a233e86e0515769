//! Results as text: a table, and a bar chart, in plain characters.

use std::fmt::Write as _;

use crate::{
    program::RowKind,
    result::{RowResult, StudyResult},
};

const BAR: usize = 40;

/// The arms as a table: one line per arm, count and share per cell. Cross-tables have too many cells for a line; see [`chart`].
#[must_use]
pub fn table(result: &StudyResult) -> String {
    let mut text = format!(
        "{} ({}), {} twins, cells below {} suppressed\n",
        result.outcome, result.unit, result.twins, result.k
    );
    for (kind, title) in [(RowKind::Arm, ""), (RowKind::Histogram, "\nhistogram\n")] {
        let rows: Vec<&RowResult> = result.rows.iter().filter(|row| row.kind == kind).collect();
        let Some(first) = rows.first() else {
            continue;
        };
        text.push_str(title);
        let width = first
            .labels
            .iter()
            .map(|label| label.chars().count())
            .max()
            .unwrap_or(0)
            .max(14);
        let _ = write!(text, "{:>16}", "");
        for label in &first.labels {
            let _ = write!(text, "  {label:>width$}");
        }
        text.push('\n');
        for row in rows {
            let _ = write!(text, "{:>16}", row.label);
            match &row.cells {
                Some(cells) => {
                    for cell in cells {
                        let entry = format!("{} ({:.1} %)", cell.count, cell.share * 100.0);
                        let _ = write!(text, "  {entry:>width$}");
                    }
                }
                None => text.push_str("  suppressed: a cell is too small"),
            }
            text.push('\n');
        }
    }
    means(result, &mut text);
    for note in &result.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// The rows of means: one line per arm.
fn means(result: &StudyResult, text: &mut String) {
    let rows = || result.rows.iter().filter(|row| row.kind == RowKind::Mean);
    if rows().next().is_some() {
        text.push_str("\nmean, standard deviation, twins\n");
    }
    for row in rows() {
        let number =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        let _ = match row.total {
            Some(twins) => writeln!(
                text,
                "{:>16}  {:>14}  {:>14}  {twins:>8}",
                row.label,
                number(row.mean),
                number(row.deviation)
            ),
            None => writeln!(text, "{:>16}  suppressed: too few twins", row.label),
        };
    }
}

/// The rows as bars: one block per row, one bar per cell, the longest for the row's largest share.
#[must_use]
pub fn chart(result: &StudyResult) -> String {
    let mut text = String::new();
    for row in &result.rows {
        let kind = match row.kind {
            RowKind::Arm => "arm",
            RowKind::Histogram => "histogram",
            RowKind::CrossTable => "cross table",
            RowKind::Mean => "mean",
        };
        let _ = writeln!(
            text,
            "{kind} {}, {} ({})",
            row.label, result.outcome, result.unit
        );
        let Some(cells) = &row.cells else {
            text.push_str("  suppressed: a cell is too small\n");
            continue;
        };
        let width = cells
            .iter()
            .map(|cell| cell.label.chars().count())
            .max()
            .unwrap_or(0);
        let largest = cells
            .iter()
            .map(|cell| cell.count)
            .max()
            .unwrap_or(0)
            .max(1);
        for cell in cells {
            let length = bar_length(cell.count, largest);
            let (label, bar, count) = (&cell.label, "#".repeat(length), cell.count);
            let _ = writeln!(
                text,
                "  {label:>width$} |{bar:<BAR$}| {count:>5} {:>5.1} %",
                cell.share * 100.0
            );
        }
    }
    text
}

/// The characters of a bar: at least one for any count above none.
fn bar_length(count: u64, largest: u64) -> usize {
    let scaled = (count * BAR as u64).div_ceil(largest);
    usize::try_from(scaled).unwrap_or(BAR).min(BAR)
}
