//! Organ twins: which features a hospital computes from a patient's inputs, in the clear and before encryption.

pub mod kidney;

use crate::{
    Features, Schema,
    catalogue::Values,
    schema::{Axis, Plane},
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
        vec![kidney::twin()]
    }

    /// The twin of an organ.
    #[must_use]
    pub fn of_organ(organ: &str) -> Option<Self> {
        Self::all().into_iter().find(|twin| twin.organ == organ)
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
        let pairs = self
            .planes
            .iter()
            .flat_map(|pair| [&pair.first, &pair.second]);
        self.features
            .iter()
            .chain(pairs)
            .map(|feature| {
                let axis = &feature.axis;
                let value = (feature.derive)(inputs).filter(|value| value.is_finite());
                (
                    axis.name.clone(),
                    value.map(|value| value.clamp(axis.lo, axis.hi)),
                )
            })
            .collect()
    }
}
