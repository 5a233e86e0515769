//! The shapes of summands: at a real value, and as terms of a formula.

use super::{AdditiveError, AdditiveTerm, checks};
use crate::{Features, Schema, formula::Term};

/// The step that a value lies on: the number of cuts that it reaches.
#[must_use]
pub fn step_of(cuts: &[f64], value: f64) -> usize {
    cuts.partition_point(|cut| *cut <= value)
}

/// The value of straight lines between knots, constant beyond them.
fn line(knots: &[f64], values: &[f64], at: f64) -> f64 {
    let above = knots.partition_point(|knot| *knot <= at);
    let point = |index: usize| Some((*knots.get(index)?, *values.get(index)?));
    match (above.checked_sub(1).and_then(point), point(above)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
        (Some((_, only)), None) | (None, Some((_, only))) => only,
        (None, None) => f64::NAN,
    }
}

fn entry(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// The category that a value names: the nearest number.
fn category(value: f64, count: usize) -> usize {
    (0..count)
        .take_while(|index| halves(*index) <= value)
        .count()
        .saturating_sub(1)
}

/// The half below a category's number.
#[expect(clippy::cast_precision_loss, reason = "categories are few")]
pub(super) fn halves(category: usize) -> f64 {
    category as f64 - 0.5
}

impl AdditiveTerm {
    /// The axes that are read: one, or the two of a pair.
    #[must_use]
    pub fn axes(&self) -> (&str, Option<&str>) {
        match self {
            Self::Linear { axis, .. }
            | Self::Line { axis, .. }
            | Self::Steps { axis, .. }
            | Self::Categories { axis, .. } => (axis, None),
            Self::Pair { first, second, .. } => (first, Some(second)),
        }
    }

    /// The summand of a twin without the feature, if the model states one.
    #[must_use]
    pub fn missing(&self) -> Option<f64> {
        match self {
            Self::Linear { missing, .. }
            | Self::Line { missing, .. }
            | Self::Steps { missing, .. }
            | Self::Categories { missing, .. }
            | Self::Pair { missing, .. } => *missing,
        }
    }

    /// The summand at a value of the axis, or at values of the two axes.
    #[must_use]
    pub fn at(&self, first: f64, second: f64) -> f64 {
        match self {
            Self::Linear {
                coefficient,
                centre,
                ..
            } => coefficient * (first - centre),
            Self::Line { knots, values, .. } => line(knots, values, first),
            Self::Steps { cuts, values, .. } => entry(values, step_of(cuts, first)),
            Self::Categories { values, .. } => entry(values, category(first, values.len())),
            Self::Pair {
                first_cuts,
                second_cuts,
                values,
                ..
            } => {
                let (row, column) = (step_of(first_cuts, first), step_of(second_cuts, second));
                entry(values, row * (second_cuts.len() + 1) + column)
            }
        }
    }

    /// The summand of a patient, if there is one.
    pub(super) fn summand(&self, features: &Features) -> Option<f64> {
        let (first, second) = self.axes();
        let value = |axis: &str| features.get(axis).copied().flatten();
        let known = match second {
            None => value(first).map(|first| self.at(first, 0.0)),
            Some(second) => value(first)
                .zip(value(second))
                .map(|(first, second)| self.at(first, second)),
        };
        known.or(self.missing())
    }

    /// The summand as a term of a formula.
    pub(super) fn term(&self, schema: &Schema) -> Result<Term, AdditiveError> {
        let function = self.clone();
        let term = match self.axes() {
            (axis, None) => Term::axis(axis, move |value| function.at(value, 0.0)),
            (first, Some(second)) => {
                let (plane, swapped) = checks::plane(schema, first, second)?;
                Term::plane(&plane.name, move |a, b| {
                    let (first, second) = if swapped { (b, a) } else { (a, b) };
                    function.at(first, second)
                })
            }
        };
        Ok(match self.missing() {
            Some(summand) => term.or_missing(summand),
            None => term,
        })
    }
}
