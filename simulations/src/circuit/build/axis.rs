//! Decisions on one axis: free on categories, one bootstrap per step elsewhere.

use std::collections::BTreeSet;

use super::{Builder, Key, Lin, ONE, Output, ScheduleError, Task, sixteenth};
use crate::{
    machine::Step,
    program::{NodeId, TableOn},
    schema::UNIT,
};

impl Builder<'_> {
    /// The weights of all categories that reach the threshold.
    pub(super) fn categories(
        &self,
        table: &TableOn,
        threshold: i64,
        scale: u64,
    ) -> Result<Lin, ScheduleError> {
        let place = self.place(&table.axis)?;
        let entries = table
            .values
            .iter()
            .copied()
            .map(Some)
            .chain([table.missing]);
        let reached = entries
            .enumerate()
            .filter(|(_, value)| value.is_some_and(|v| v * i64::from(UNIT) >= threshold));
        Ok(Lin {
            slots: reached
                .map(|(index, _)| (place.first + index, sixteenth(scale)))
                .collect(),
            ..Lin::default()
        })
    }

    /// The stretches of an axis on which a table reaches the threshold, by the steps at their ends.
    pub(super) fn steps(
        &mut self,
        score: NodeId,
        table: &TableOn,
        threshold: i64,
        scale: u64,
    ) -> Result<Lin, ScheduleError> {
        let unit = i64::from(UNIT);
        let reached: Vec<bool> = table
            .values
            .iter()
            .enumerate()
            .flat_map(|(node, value)| {
                let next = table.values.get(node + 1).copied();
                let fractions = if next.is_some() { 0..unit } else { 0..1 };
                let next = next.unwrap_or(*value);
                fractions.map(move |f| value * (unit - f) + next * f >= threshold)
            })
            .collect();
        let mut sum = Lin::default();
        let mut before = false;
        for (position, now) in (0..).zip(reached) {
            if now != before {
                let step = match position {
                    0 => self.valid(&BTreeSet::from([table.axis.clone()]), scale)?,
                    _ => self.step(score, &table.axis, position, scale),
                };
                sum.add(&step, if now { 1 } else { -1 });
            }
            before = now;
        }
        if table.missing.is_some_and(|value| value * unit >= threshold) {
            let axis = [&table.axis];
            sum.add(&self.missing(axis, scale)?, 1);
        }
        Ok(sum)
    }

    /// [position >= threshold] on a continuous axis, 1 to its last: one bootstrap.
    pub(super) fn step(&mut self, score: NodeId, axis: &str, threshold: i64, scale: u64) -> Lin {
        let (atom, new) = self.atom(Key::Step(axis.to_owned(), threshold), scale);
        if let (true, Some(place)) = (new, self.schema.place(axis)) {
            // The nodes above the one before the threshold get weight 1, the others 0.
            let below = usize::try_from(threshold - 1).unwrap_or(0);
            let unit = UNIT as usize;
            let nodes = place.first + below / unit + 1..place.first + place.nodes;
            let reach = u64::try_from(below % unit + 1).unwrap_or(1);
            let input = Lin {
                slots: nodes.map(|slot| (slot, sixteenth(ONE) * 16)).collect(),
                atoms: Vec::new(),
                constant: ONE.wrapping_mul(reach).wrapping_neg(),
            };
            self.tasks.push(Task::Window {
                input,
                output: Output { scale, atom },
                site: Step::Decide.at(score as usize),
            });
        }
        Lin::atom(atom)
    }
}
