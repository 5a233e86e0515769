//! Encoding: from a patient's features to the integer weights of a twin.

use std::{collections::BTreeMap, fmt};

use thiserror::Error;

use crate::schema::{Axis, Plane, Scale, Schema, UNIT};

/// Feature values by name; the unit is part of the name, and an absent or `None` value is missing.
pub type Features = BTreeMap<String, Option<f64>>;

/// The integer weights of one twin, one per slot of its schema: one patient's data in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Weights(Vec<u32>);

impl Weights {
    /// The weights in slot order.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// Takes weights in slot order, for instance those read back from a store.
    #[must_use]
    pub fn from_vec(weights: Vec<u32>) -> Self {
        Self(weights)
    }

    /// The weight in a slot; 0 beyond the last.
    #[must_use]
    pub fn get(&self, slot: usize) -> u32 {
        self.0.get(slot).copied().unwrap_or(0)
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({} slots, not shown)", self.0.len())
    }
}

/// A feature that cannot be encoded.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EncodeError {
    /// The value lies outside its axis.
    #[error(
        "{axis} is {value} {unit}, outside {lo} to {hi}: check the value and its unit, or leave the feature out"
    )]
    OutOfRange {
        /// The axis.
        axis: String,
        /// The value given.
        value: f64,
        /// The axis' unit.
        unit: String,
        /// The smallest value.
        lo: f64,
        /// The largest value.
        hi: f64,
    },
    /// The value is no number.
    #[error("{axis} is not a finite number: check the source record")]
    NotFinite {
        /// The axis.
        axis: String,
    },
    /// A category that the axis does not have.
    #[error("{axis} is {value}, not one of the categories 0 to {last}")]
    NoSuchCategory {
        /// The axis.
        axis: String,
        /// The value given.
        value: f64,
        /// The last category.
        last: u32,
    },
    /// A feature that the schema does not have.
    #[error("the schema {schema} has no axis {feature}: its axes are {axes}")]
    UnknownFeature {
        /// The schema.
        schema: String,
        /// The feature given.
        feature: String,
        /// The axes that exist, separated by commas.
        axes: String,
    },
}

/// Encodes features as hat-function weights; a feature that is absent gets its `missing` node.
///
/// # Errors
/// A value outside its axis, not finite, no category, or of no axis of the schema.
pub fn encode(schema: &Schema, features: &Features) -> Result<Weights, EncodeError> {
    let known = |name: &str| {
        schema.axis(name).is_some()
            || schema
                .planes()
                .iter()
                .any(|p| p.first.name == name || p.second.name == name)
    };
    if let Some(feature) = features.keys().find(|name| !known(name)) {
        return Err(EncodeError::UnknownFeature {
            schema: schema.id().to_owned(),
            feature: feature.clone(),
            axes: schema
                .axes()
                .iter()
                .map(|a| a.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        });
    }
    let value = |axis: &Axis| features.get(&axis.name).copied().flatten();
    let mut weights = Vec::with_capacity(schema.slots());
    for axis in schema.axes() {
        encode_axis(axis, value(axis), &mut weights)?;
    }
    for plane in schema.planes() {
        encode_plane(
            plane,
            value(&plane.first),
            value(&plane.second),
            &mut weights,
        )?;
    }
    Ok(Weights(weights))
}

/// The position of a value on its axis, in whole 1/16 of a node distance.
///
/// # Errors
/// A value outside the axis, not finite, or no category.
pub fn position(axis: &Axis, value: f64) -> Result<u32, EncodeError> {
    if !value.is_finite() {
        return Err(EncodeError::NotFinite {
            axis: axis.name.clone(),
        });
    }
    if axis.scale == Scale::Categorical {
        let last = u32::from(axis.nodes.saturating_sub(1));
        return (0..=last)
            .find(|category| f64::from(*category) == value)
            .map(|category| category * UNIT)
            .ok_or_else(|| EncodeError::NoSuchCategory {
                axis: axis.name.clone(),
                value,
                last,
            });
    }
    if !(axis.lo..=axis.hi).contains(&value) {
        return Err(EncodeError::OutOfRange {
            axis: axis.name.clone(),
            value,
            unit: axis.unit.clone(),
            lo: axis.lo,
            hi: axis.hi,
        });
    }
    let last = axis.last_position();
    let position = nearest(axis.position(value)).clamp(0, i64::from(last));
    Ok(u32::try_from(position).unwrap_or(last))
}

/// The whole number nearest to a position; halves go up.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "positions and thresholds are far below 2^53"
)]
pub(crate) fn nearest(position: f64) -> i64 {
    libm::floor(position + 0.5) as i64
}

fn hats(axis: &Axis, position: u32) -> Vec<u32> {
    let node = position / UNIT;
    let fraction = position % UNIT;
    (0..u32::from(axis.nodes))
        .map(|n| {
            if n == node {
                UNIT - fraction
            } else if n == node + 1 {
                fraction
            } else {
                0
            }
        })
        .collect()
}

fn push_fraction(axis: &Axis, position: Option<u32>, weights: &mut Vec<u32>) {
    let fraction = position.unwrap_or(0) % UNIT;
    weights.extend((0..axis.fraction_bits()).map(|bit| (fraction >> bit) & 1));
}

fn encode_axis(axis: &Axis, value: Option<f64>, weights: &mut Vec<u32>) -> Result<(), EncodeError> {
    let at = value.map(|value| position(axis, value)).transpose()?;
    match at {
        Some(at) => {
            weights.extend(hats(axis, at));
            weights.push(0);
        }
        None => {
            weights.extend(std::iter::repeat_n(0, usize::from(axis.nodes)));
            weights.push(UNIT);
        }
    }
    push_fraction(axis, at, weights);
    Ok(())
}

fn encode_plane(
    plane: &Plane,
    first: Option<f64>,
    second: Option<f64>,
    weights: &mut Vec<u32>,
) -> Result<(), EncodeError> {
    let first = first
        .map(|value| position(&plane.first, value))
        .transpose()?;
    let second = second
        .map(|value| position(&plane.second, value))
        .transpose()?;
    let (Some(a), Some(b)) = (first, second) else {
        weights.extend(std::iter::repeat_n(0, plane.nodes()));
        weights.push(UNIT);
        weights.extend(std::iter::repeat_n(0, plane.fraction_bits()));
        return Ok(());
    };
    let corners = simplex(a % UNIT, b % UNIT);
    let (row, column) = (a / UNIT, b / UNIT);
    for first in 0..u32::from(plane.first.nodes) {
        for second in 0..u32::from(plane.second.nodes) {
            let corner = corners
                .iter()
                .find(|(down, right, _)| first == row + down && second == column + right);
            weights.push(corner.map_or(0, |(_, _, weight)| *weight));
        }
    }
    weights.push(0);
    push_fraction(&plane.first, Some(a), weights);
    push_fraction(&plane.second, Some(b), weights);
    if plane.first.fraction_bits() > 0 && plane.second.fraction_bits() > 0 {
        push_fraction(&plane.first, Some((a % UNIT).abs_diff(b % UNIT)), weights);
    }
    Ok(())
}

/// The weights of a point in a cell that is cut along its diagonal, by the offsets of the corners: the two ends of the
/// diagonal, and the corner on the point's side of it.
fn simplex(first: u32, second: u32) -> [(u32, u32, u32); 3] {
    let (most, least) = (first.max(second), first.min(second));
    let side = if first >= second { (1, 0) } else { (0, 1) };
    [
        (0, 0, UNIT - most),
        (side.0, side.1, most - least),
        (1, 1, least),
    ]
}
