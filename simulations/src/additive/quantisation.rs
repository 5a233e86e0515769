//! How far the integers of a twin are from the model as it was fitted.

use serde::{Deserialize, Serialize};

use super::{AdditiveModel, AdditiveTerm, checks};
use crate::{
    Features, Schema,
    encode::position,
    schema::{Axis, Scale, UNIT},
};

/// The distance between the fitted model and the same model on the grids of a twin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantisation {
    /// The patients that have a score.
    pub patients: usize,
    /// The largest distance of the sum.
    pub worst_sum: f64,
    /// The distance of the sum that 95 % of the patients keep.
    pub p95_sum: f64,
    /// The largest distance of the output.
    pub worst: f64,
    /// The distance of the output that 95 % of the patients keep.
    pub p95: f64,
}

/// Measures the distance over patients; `unit` is what one whole of a table stands for, 0 for tables without rounding.
///
/// Patients without a score, or with a value beyond an axis, are left out.
///
/// # Errors
/// A model that does not pass [`AdditiveModel::check`].
pub fn quantisation<'f>(
    model: &AdditiveModel,
    schema: &Schema,
    unit: f64,
    patients: impl IntoIterator<Item = &'f Features>,
) -> Result<Quantisation, super::AdditiveError> {
    model.check(schema)?;
    let link = model.link.link();
    let mut sums = Vec::new();
    let mut outputs = Vec::new();
    for patient in patients {
        let Some((exact, stored)) = model
            .sum(patient)
            .zip(on_grid(model, schema, unit, patient))
        else {
            continue;
        };
        sums.push((exact - stored).abs());
        outputs.push((link.forward(exact) - link.forward(stored)).abs());
    }
    sums.sort_by(f64::total_cmp);
    outputs.sort_by(f64::total_cmp);
    let last = |sorted: &[f64]| sorted.last().copied().unwrap_or(0.0);
    let p95 = |sorted: &[f64]| {
        let index = (sorted.len() * 95).div_ceil(100).saturating_sub(1);
        sorted.get(index).copied().unwrap_or(0.0)
    };
    Ok(Quantisation {
        patients: sums.len(),
        worst_sum: last(&sums),
        p95_sum: p95(&sums),
        worst: last(&outputs),
        p95: p95(&outputs),
    })
}

/// The sum as a twin gives it: tables at the nodes, hat weights of whole sixteenths between them.
fn on_grid(model: &AdditiveModel, schema: &Schema, unit: f64, features: &Features) -> Option<f64> {
    let mut sum = model.intercept;
    for term in &model.terms {
        sum += match stored(term, schema, unit, features) {
            Some(summand) => summand,
            None => round(unit, term.missing()?),
        };
    }
    Some(sum)
}

fn stored(term: &AdditiveTerm, schema: &Schema, unit: f64, features: &Features) -> Option<f64> {
    let value = |axis: &str| features.get(axis).copied().flatten();
    match term.axes() {
        (name, None) => {
            let axis = schema.axis(name)?;
            let weights = weights(axis, value(name)?)?;
            let at = |node: u32| round(unit, term.at(axis.value_at(f64::from(node * UNIT)), 0.0));
            Some(weights.iter().map(|(node, share)| share * at(*node)).sum())
        }
        (first, Some(second)) => {
            let (plane, swapped) = checks::plane(schema, first, second).ok()?;
            let at = |a: u32, b: u32| {
                let a = plane.first.value_at(f64::from(a * UNIT));
                let b = plane.second.value_at(f64::from(b * UNIT));
                let (first, second) = if swapped { (b, a) } else { (a, b) };
                round(unit, term.at(first, second))
            };
            simplex(
                &plane.first,
                &plane.second,
                value(&plane.first.name)?,
                value(&plane.second.name)?,
                &at,
            )
        }
    }
}

/// The two nodes around a value and their shares.
fn weights(axis: &Axis, value: f64) -> Option<[(u32, f64); 2]> {
    let at = position(axis, value).ok()?;
    let (node, fraction) = (at / UNIT, at % UNIT);
    let share = f64::from(fraction) / f64::from(UNIT);
    let next = if fraction == 0 { node } else { node + 1 };
    Some([(node, 1.0 - share), (next, share)])
}

/// The value within a plane's cell: the triangle that the point lies in.
fn simplex(
    first: &Axis,
    second: &Axis,
    a: f64,
    b: f64,
    at: &dyn Fn(u32, u32) -> f64,
) -> Option<f64> {
    let (a, b) = (position(first, a).ok()?, position(second, b).ok()?);
    let split = |position: u32| {
        (
            position / UNIT,
            f64::from(position % UNIT) / f64::from(UNIT),
        )
    };
    let ((row, fx), (column, fy)) = (split(a), split(b));
    let next = |node: u32, fraction: f64| if fraction == 0.0 { node } else { node + 1 };
    let (below, right) = (next(row, fx), next(column, fy));
    let corner = at(row, column);
    let far = at(below, right);
    Some(if fx >= fy {
        (1.0 - fx) * corner + (fx - fy) * at(below, column) + fy * far
    } else {
        (1.0 - fy) * corner + (fy - fx) * at(row, right) + fx * far
    })
}

fn round(unit: f64, value: f64) -> f64 {
    if unit > 0.0 {
        libm::round(value / unit) * unit
    } else {
        value
    }
}

/// Patients spread evenly over the axes that a model reads, a share of the values missing; the same for the same seed.
#[must_use]
pub fn random_patients(
    model: &AdditiveModel,
    schema: &Schema,
    seed: u64,
    count: usize,
) -> Vec<Features> {
    let mut state = seed;
    let mut next = move || {
        // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut share = move || f64::from(u32::try_from(next() >> 32).unwrap_or(0)) / 4_294_967_296.0;
    let read: std::collections::BTreeSet<&str> = model
        .terms
        .iter()
        .flat_map(|term| {
            let (first, second) = term.axes();
            std::iter::once(first).chain(second)
        })
        .collect();
    (0..count)
        .map(|_| {
            read.iter()
                .filter_map(|name| schema.axis(name))
                .map(|axis| {
                    let place = share() * f64::from(axis.last_position());
                    let value = match axis.scale {
                        Scale::Categorical => libm::round(place / f64::from(UNIT)),
                        Scale::Linear | Scale::Log => axis.value_at(place).clamp(axis.lo, axis.hi),
                    };
                    let missing = share() < 0.1;
                    (axis.name.clone(), (!missing).then_some(value))
                })
                .collect()
        })
        .collect()
}
