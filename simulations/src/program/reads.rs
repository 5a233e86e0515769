//! What a node reads, and which values a score can take.

use std::collections::BTreeSet;

use super::{NodeId, Op, Program, TableOn};
use crate::schema::{Schema, UNIT};

/// The axes and planes without which each node is missing.
#[derive(Clone, Debug)]
pub(crate) struct Reads(Vec<BTreeSet<String>>);

impl Reads {
    /// Those of all nodes; a node reads what the nodes before it read.
    pub(crate) fn of(nodes: &[Op]) -> Self {
        let mut all: Vec<BTreeSet<String>> = Vec::with_capacity(nodes.len());
        for op in nodes {
            let mut own: BTreeSet<String> = op
                .inputs()
                .into_iter()
                .filter_map(|id| all.get(usize::try_from(id).ok()?))
                .flatten()
                .cloned()
                .collect();
            match op {
                Op::Position { axis } => {
                    own.insert(axis.clone());
                }
                Op::Sum { tables, .. } => own.extend(
                    tables
                        .iter()
                        .filter(|table| table.missing.is_none())
                        .map(|table| table.axis.clone()),
                ),
                _ => {}
            }
            all.push(own);
        }
        Self(all)
    }

    /// What a node reads.
    pub(crate) fn node(&self, id: NodeId) -> &BTreeSet<String> {
        static NOTHING: BTreeSet<String> = BTreeSet::new();
        usize::try_from(id)
            .ok()
            .and_then(|index| self.0.get(index))
            .unwrap_or(&NOTHING)
    }

    /// Whether the first node is missing whenever the second is.
    pub(crate) fn covers(&self, wide: NodeId, narrow: NodeId) -> bool {
        self.node(narrow).is_subset(self.node(wide))
    }
}

/// The least and the greatest that a score can be by its tables and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) lowest: i64,
    pub(crate) highest: i64,
}

impl TableOn {
    /// The least and the greatest entry, with that for missing features.
    pub(crate) fn range(&self) -> Range {
        let entries = || self.values.iter().copied().chain(self.missing);
        Range {
            lowest: entries().min().unwrap_or(0),
            highest: entries().max().unwrap_or(0),
        }
    }
}

/// The range of a score; `None` for a bit.
pub(crate) fn range_of(program: &Program, schema: &Schema, score: NodeId) -> Option<Range> {
    let unit = i64::from(UNIT);
    match program.op(score)? {
        Op::Position { axis } => Some(Range {
            lowest: 0,
            highest: i64::from(schema.axis(axis)?.last_position()),
        }),
        Op::Sum { tables, terms } => {
            let ranges = || tables.iter().map(TableOn::range);
            let low = ranges().map(|r| r.lowest).sum::<i64>()
                + terms.iter().map(|t| t.weight.min(0)).sum::<i64>();
            let high = ranges().map(|r| r.highest).sum::<i64>()
                + terms.iter().map(|t| t.weight.max(0)).sum::<i64>();
            Some(Range {
                lowest: low * unit,
                highest: high * unit,
            })
        }
        _ => None,
    }
}
