//! Programs as text.

use std::fmt;

use super::{BitTerm, NodeId, Op, Program, Row, RowKind, Total, TotalOf};

impl Program {
    /// A row in one line: what is counted, where, and the names of its cells and totals.
    pub(super) fn endpoint(&self, row: &Row) -> String {
        let kind = match row.kind {
            RowKind::Arm => "count",
            RowKind::Histogram => "histogram",
            RowKind::CrossTable => "cross table",
            RowKind::Mean => "mean",
        };
        let labels = row.cells.iter().map(|cell| cell.label.as_str());
        let totals = row.totals.iter().map(|total| total.label.as_str());
        let labels: Vec<&str> = labels.chain(totals).collect();
        let (outcome, unit, label) = (&self.outcome, &self.unit, &row.label);
        format!(
            "{kind} of {outcome} ({unit}) at {label}: {}",
            labels.join(" | ")
        )
    }
}

fn list(bits: &[NodeId], word: &str) -> String {
    let names: Vec<String> = bits.iter().map(|bit| format!("n{bit}")).collect();
    names.join(&format!(" {word} "))
}

fn weighted(terms: &[BitTerm]) -> String {
    let terms: Vec<String> = terms
        .iter()
        .map(|term| format!("{} n{}", term.weight, term.bit))
        .collect();
    terms.join(" + ")
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { axis } => write!(f, "position of {axis}"),
            Self::Sum { tables, terms } => {
                f.write_str("sum of")?;
                if !tables.is_empty() {
                    let axes: Vec<&str> = tables.iter().map(|t| t.axis.as_str()).collect();
                    write!(f, " tables on {}", axes.join(", "))?;
                }
                if !terms.is_empty() {
                    let joined = if tables.is_empty() { "" } else { " and" };
                    write!(f, "{joined} {}", weighted(terms))?;
                }
                Ok(())
            }
            Self::AtLeast { score, threshold } => write!(f, "n{score} >= {threshold}"),
            Self::Valid { score } => write!(f, "n{score} is present"),
            Self::Not { bit } => write!(f, "not n{bit}"),
            Self::Without { bit, without } => write!(f, "n{bit} without n{without}"),
            Self::And { bits } => f.write_str(&list(bits, "and")),
            Self::Or { bits } => f.write_str(&list(bits, "or")),
            Self::Select {
                condition,
                then,
                otherwise,
            } => write!(f, "if n{condition} then n{then} else n{otherwise}"),
            Self::Digit {
                score,
                shift,
                place,
            } => write!(f, "bit {place} of n{score} above its least, over 2^{shift}"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "program of {} for {} in {}, k = {}",
            self.model, self.outcome, self.unit, self.k
        )?;
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        for (id, op) in self.nodes.iter().enumerate() {
            writeln!(f, "  n{id} = {op}")?;
        }
        for row in &self.rows {
            writeln!(f, "  row {}", self.endpoint(row))?;
            for cell in &row.cells {
                writeln!(f, "    {}: count n{}", cell.label, cell.bit)?;
            }
            for Total {
                label,
                power,
                about,
                unit,
                what,
            } in &row.totals
            {
                let what = match what {
                    TotalOf::Bits { terms } => weighted(terms),
                    TotalOf::Table { table } => format!("table on {}", table.axis),
                };
                writeln!(
                    f,
                    "    {label}, (x - {about})^{power}: {unit} * sum of {what}"
                )?;
            }
        }
        Ok(())
    }
}
