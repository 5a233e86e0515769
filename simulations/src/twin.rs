//! Organ twins: which features a hospital computes from a patient's inputs, in the clear and before encryption.

mod angiography;
pub mod heart;
pub mod kidney;
pub mod liver;
pub(crate) mod pharmacology;

use crate::{
    Features, Schema,
    catalogue::{Values, input},
    schema::{Axis, Plane, Scale},
};

/// One axis of a twin and how its value comes out of the inputs.
pub struct Feature {
    /// The axis.
    pub axis: Axis,
    /// The value, or nothing if an input is missing. A value beyond the axis is stored at its end.
    pub derive: fn(&Values) -> Option<f64>,
}

/// Two axes encoded together.
pub struct Pair {
    /// The plane's name.
    pub name: &'static str,
    /// The slower axis; its name must be unique in the twin and may be that of an axis with the same derivation.
    pub first: Feature,
    /// The faster axis.
    pub second: Feature,
}

/// One kind of twin.
pub struct Twin {
    /// The schema's name and version, such as `kidney/2`.
    pub id: &'static str,
    /// `kidney`, `liver` or `heart`.
    pub organ: &'static str,
    /// The axes.
    pub features: Vec<Feature>,
    /// The planes.
    pub planes: Vec<Pair>,
}

impl Twin {
    /// The kinds of twins.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![kidney::twin(), liver::twin(), heart::twin()]
    }

    /// The twin of an organ.
    #[must_use]
    pub fn of_organ(organ: &str) -> Option<Self> {
        Self::all().into_iter().find(|twin| twin.organ == organ)
    }

    /// The feature of an axis or of a plane's axis.
    #[must_use]
    pub fn feature(&self, axis: &str) -> Option<&Feature> {
        self.axes().find(|feature| feature.axis.name == axis)
    }

    /// The schema on which it is encoded.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let axes = self.features.iter().map(|f| f.axis.clone()).collect();
        let planes = self.planes.iter().map(|pair| Plane {
            name: pair.name.to_owned(),
            first: pair.first.axis.clone(),
            second: pair.second.axis.clone(),
        });
        Schema::new(self.id, axes, planes.collect())
    }

    /// The features of a patient; a computed value beyond its axis is stored at the axis' end.
    #[must_use]
    pub fn features(&self, inputs: &Values) -> Features {
        self.axes()
            .map(|feature| {
                let axis = &feature.axis;
                let value = feature.value(inputs);
                (
                    axis.name.clone(),
                    value.map(|value| value.clamp(axis.lo, axis.hi)),
                )
            })
            .collect()
    }

    /// The axes, those of planes behind the others.
    pub(crate) fn axes(&self) -> impl Iterator<Item = &Feature> {
        let pairs = self
            .planes
            .iter()
            .flat_map(|pair| [&pair.first, &pair.second]);
        self.features.iter().chain(pairs)
    }
}

impl Feature {
    /// An axis and its derivation.
    pub(crate) fn new(axis: Axis, derive: fn(&Values) -> Option<f64>) -> Self {
        Self { axis, derive }
    }

    /// The value before it is brought onto the axis.
    pub(crate) fn value(&self, inputs: &Values) -> Option<f64> {
        (self.derive)(inputs).filter(|value| value.is_finite())
    }
}

/// An axis with a given number of nodes.
pub(crate) fn grid(name: &str, unit: &str, scale: Scale, (lo, hi): (f64, f64), nodes: u16) -> Axis {
    Axis {
        nodes,
        ..Axis::continuous(name, unit, scale, lo, hi)
    }
}

/// Age in quarters of a year, so that whole years lie on the grid.
fn age() -> Feature {
    let axis = grid(input::AGE.key, "a", Scale::Linear, (18.0, 118.0), 26);
    Feature::new(axis, |v| v.get(input::AGE.key))
}

/// Sex.
fn sex() -> Feature {
    Feature::new(Axis::categorical(input::SEX.key, 2), |v| {
        v.get(input::SEX.key)
    })
}
