//! Decisions: thresholds on positions, categories, planes and sums.

use super::{
    Builder, CompileError, LARGEST, LEVELS_10, LEVELS_12, LEVELS_14, MANY_CUTS, MOST_CROSSINGS,
    MOST_POINTS, NodeId, Op, TableOn,
    flat::{Flat, Part},
    whole,
};
use crate::schema::{Axis, Scale, UNIT};

impl<'s> Builder<'s> {
    /// The bits that say whether a flattened sum is at least each of some values.
    pub(crate) fn decide(
        &mut self,
        flat: &Flat<'_>,
        sums: &[f64],
    ) -> Result<Vec<NodeId>, CompileError> {
        if let Some((name, axis)) = self.only_axis(flat) {
            let (name, axis) = (name.to_owned(), axis.clone());
            return sums
                .iter()
                .map(|sum| self.on_axis(flat, &name, &axis, *sum))
                .collect();
        }
        if let Some(unit) = flat.whole_unit(self.most_points(flat)) {
            let node = self.sum(flat, unit);
            return Ok(self.cut(node, flat, unit, sums));
        }
        if let Some(plane) = flat.only_part() {
            let inner: Vec<f64> = sums.iter().map(|sum| sum - flat.constant).collect();
            if sums.len() >= MANY_CUTS {
                return Ok(self.near(plane, &inner));
            }
            return Ok(inner
                .iter()
                .flat_map(|sum| self.near(plane, &[*sum]))
                .collect());
        }
        if !flat.bits.is_empty() {
            let quantum = flat.quantum(LEVELS_10);
            let node = self.sum(flat, quantum);
            return Ok(self.cut(node, flat, quantum, sums));
        }
        let near = flat.around(sums);
        let quantum = near.quantum(LEVELS_14);
        let node = self.sum(&near, quantum);
        Ok(self.cut(node, &near, quantum, sums))
    }

    /// The most whole points of a sum that is decided exactly: more if it has only categories, whose weights have no
    /// fraction.
    fn most_points(&self, flat: &Flat<'_>) -> f64 {
        let whole = |part: &Part| self.schema.is_categorical(&part.name);
        if !flat.bits.is_empty() {
            LEVELS_10
        } else if flat.parts.iter().all(whole) {
            MOST_POINTS
        } else {
            LEVELS_14
        }
    }

    /// Decides on one plane with tables that are fine around the cuts, which are given without the constant.
    fn near(&mut self, plane: &Part, cuts: &[f64]) -> Vec<NodeId> {
        let (part, width) = plane.around(cuts);
        let clamped = Flat {
            parts: vec![part],
            ..Flat::default()
        };
        let unit = width / LEVELS_12;
        let node = self.sum(&clamped, unit);
        self.cut(node, &clamped, unit, cuts)
    }

    /// The continuous or categorical axis, if the sum reads nothing else.
    pub(super) fn only_axis<'f>(&self, flat: &'f Flat<'_>) -> Option<(&'f str, &'s Axis)> {
        let part = flat.only_part().filter(|part| part.missing.is_none())?;
        Some((part.name.as_str(), self.schema.axis(&part.name)?))
    }

    /// Decides on one axis: on its position, or on its category.
    fn on_axis(
        &mut self,
        flat: &Flat<'_>,
        name: &str,
        axis: &Axis,
        sum: f64,
    ) -> Result<NodeId, CompileError> {
        let reached = |value: f64| value >= sum - 1e-9 * sum.abs().max(1.0);
        if axis.scale == Scale::Categorical {
            let part = flat.only_part().ok_or(CompileError::Constant)?;
            let values: Vec<i64> = part
                .values
                .iter()
                .map(|value| i64::from(reached(flat.constant + value)))
                .collect();
            let score = self.add(Op::Sum {
                tables: vec![TableOn {
                    axis: name.to_owned(),
                    values,
                    missing: None,
                }],
                terms: Vec::new(),
            });
            return Ok(self.add(Op::AtLeast {
                score,
                threshold: i64::from(UNIT),
            }));
        }
        let truth: Vec<bool> = (0..=axis.last_position())
            .map(|position| {
                let value = axis.value_at(f64::from(position));
                reached(flat.at(value))
            })
            .collect();
        let score = self.add(Op::Position {
            axis: name.to_owned(),
        });
        let edges: Vec<i64> = (1..)
            .zip(truth.windows(2))
            .filter(|(_, pair)| pair.first() != pair.last())
            .map(|(position, _)| position)
            .collect();
        if edges.len() > MOST_CROSSINGS {
            let quantum = flat.quantum(LEVELS_10);
            let node = self.sum(flat, quantum);
            return Ok(self
                .cut(node, flat, quantum, &[sum])
                .first()
                .copied()
                .unwrap_or(node));
        }
        let starts_true = truth.first() == Some(&true);
        let bits: Vec<NodeId> = edges
            .iter()
            .map(|threshold| {
                self.add(Op::AtLeast {
                    score,
                    threshold: *threshold,
                })
            })
            .collect();
        if bits.is_empty() {
            return Ok(if starts_true {
                self.valid(score)
            } else {
                self.add(Op::AtLeast {
                    score,
                    threshold: i64::from(axis.last_position()) + 1,
                })
            });
        }
        // The intervals on which the sum is reached.
        let mut intervals = Vec::new();
        let mut rest = bits.as_slice();
        if starts_true && let Some((end, after)) = rest.split_first() {
            intervals.push(self.not(*end));
            rest = after;
        }
        for pair in rest.chunks(2) {
            match pair {
                [start, end] => intervals.push(self.add(Op::Without {
                    bit: *start,
                    without: *end,
                })),
                [start] => intervals.push(*start),
                _ => {}
            }
        }
        self.any(intervals).ok_or(CompileError::Constant)
    }

    /// Thresholds on a sum in a unit.
    pub(super) fn cut(
        &mut self,
        score: NodeId,
        flat: &Flat<'_>,
        unit: f64,
        sums: &[f64],
    ) -> Vec<NodeId> {
        let unit = if unit > 0.0 { unit } else { 1.0 };
        sums.iter()
            .map(|sum| {
                let sixteenths = (sum - flat.constant) / unit * f64::from(UNIT);
                let threshold = whole(libm::ceil((sixteenths - 1e-6).clamp(-LARGEST, LARGEST)));
                self.add(Op::AtLeast { score, threshold })
            })
            .collect()
    }
}
