//! Schemas: the axes on which an organ twin is written down, and where each of them lies in the twin's slots.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The sum of the hat weights of one axis, and the weight of its `missing` slot when the value is absent.
pub const UNIT: u32 = 16;
/// log2 of [`UNIT`]: a continuous value is placed to 1/16 of a node distance.
pub const UNIT_BITS: u32 = 4;
/// log2 of the torus scale at which a twin's weights are encrypted.
pub const INPUT_DELTA_LOG: u32 = 43;

/// How the values of an axis are spread over its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Nodes at equal distances of the value.
    Linear,
    /// Nodes at equal distances of the value's logarithm.
    Log,
    /// One node per category, numbered from 0.
    Categorical,
}

/// One axis of a twin: a quantity with its unit and the grid that it is encoded on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The feature's name, with its unit in it.
    pub name: String,
    /// The unit in UCUM, or `1`.
    pub unit: String,
    /// How the nodes are spread.
    pub scale: Scale,
    /// The value at the first node.
    pub lo: f64,
    /// The value at the last node.
    pub hi: f64,
    /// The number of nodes.
    pub nodes: u16,
}

impl Axis {
    /// Makes an axis with 32 nodes between two values.
    #[must_use]
    pub fn continuous(name: &str, unit: &str, scale: Scale, lo: f64, hi: f64) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            scale,
            lo,
            hi,
            nodes: 32,
        }
    }

    /// Makes a one-hot axis over categories numbered from 0.
    #[must_use]
    pub fn categorical(name: &str, categories: u16) -> Self {
        Self {
            name: name.to_owned(),
            unit: "1".to_owned(),
            scale: Scale::Categorical,
            lo: 0.0,
            hi: f64::from(categories.saturating_sub(1)),
            nodes: categories,
        }
    }

    /// The number of slots: nodes, `missing`, and the four fraction bits of a continuous axis.
    #[must_use]
    pub fn slots(&self) -> usize {
        usize::from(self.nodes) + 1 + self.fraction_bits()
    }

    /// The number of fraction bits that are deposited beside the weights.
    #[must_use]
    pub fn fraction_bits(&self) -> usize {
        match self.scale {
            Scale::Linear | Scale::Log => UNIT_BITS as usize,
            Scale::Categorical => 0,
        }
    }

    /// The largest position of a value on the axis, in 1/16 of a node distance.
    #[must_use]
    pub fn last_position(&self) -> u32 {
        u32::from(self.nodes.saturating_sub(1)) * UNIT
    }

    /// The real-valued position of a value, in 1/16 of a node distance; unchecked against the range.
    #[must_use]
    pub fn position(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear | Scale::Categorical => (value - self.lo) / (self.hi - self.lo),
            Scale::Log => libm::log(value / self.lo) / libm::log(self.hi / self.lo),
        };
        share * f64::from(self.last_position())
    }

    /// The value at a real-valued position: the inverse of [`Axis::position`].
    #[must_use]
    pub fn value_at(&self, position: f64) -> f64 {
        let share = position / f64::from(self.last_position());
        match self.scale {
            Scale::Linear | Scale::Categorical => self.lo + share * (self.hi - self.lo),
            Scale::Log => self.lo * libm::exp(share * libm::log(self.hi / self.lo)),
        }
    }
}

/// Two axes encoded together by the weights of a triangulation that sum to 16, for interactions that are no sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plane {
    /// The plane's name.
    pub name: String,
    /// The slower axis; its name is the feature that it reads.
    pub first: Axis,
    /// The faster axis.
    pub second: Axis,
}

impl Plane {
    /// The number of nodes: every pair of a node of the first and one of the second axis.
    #[must_use]
    pub fn nodes(&self) -> usize {
        usize::from(self.first.nodes) * usize::from(self.second.nodes)
    }

    /// The number of slots: nodes, `missing`, and the fraction bits.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.nodes() + 1 + self.fraction_bits()
    }

    /// The number of fraction bits that are deposited beside the weights: those of both axes, and if both are
    /// continuous those of the distance between the two fractions.
    #[must_use]
    pub fn fraction_bits(&self) -> usize {
        let (first, second) = (self.first.fraction_bits(), self.second.fraction_bits());
        first
            + second
            + if first > 0 && second > 0 {
                UNIT_BITS as usize
            } else {
                0
            }
    }
}

/// Where one axis or plane lies among the slots of a twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slot of the first node.
    pub first: usize,
    /// The number of nodes.
    pub nodes: usize,
}

impl Place {
    /// The slot whose weight is full when the value is absent.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.first + self.nodes
    }
}

/// The axes and planes of one kind of twin, in the order of their slots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    id: String,
    encoder: u16,
    axes: Vec<Axis>,
    planes: Vec<Plane>,
}

impl Schema {
    /// Makes a schema; slots follow the order of the axes, then that of the planes.
    #[must_use]
    pub fn new(id: &str, axes: Vec<Axis>, planes: Vec<Plane>) -> Self {
        Self {
            id: id.to_owned(),
            encoder: 2,
            axes,
            planes,
        }
    }

    /// The schema of an organ's twins: `kidney`, `liver` or `heart`.
    #[must_use]
    pub fn of_organ(organ: &str) -> Option<Self> {
        crate::twin::Twin::of_organ(organ).map(|twin| twin.schema())
    }

    /// Finds a schema that this program knows, such as `kidney/2`.
    #[must_use]
    pub fn by_id(id: &str) -> Option<Self> {
        let twin = crate::twin::Twin::all()
            .into_iter()
            .find(|twin| twin.id == id)?;
        Some(twin.schema())
    }

    /// The schema's name and version, such as `kidney/2`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The axes in the order of their slots.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The planes in the order of their slots, behind the axes.
    #[must_use]
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// Finds an axis by its name.
    #[must_use]
    pub fn axis(&self, name: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    /// Finds a plane by its name.
    #[must_use]
    pub fn plane(&self, name: &str) -> Option<&Plane> {
        self.planes.iter().find(|plane| plane.name == name)
    }

    /// Finds where an axis or plane lies among the slots.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Place> {
        let axes = self
            .axes
            .iter()
            .map(|axis| (&axis.name, usize::from(axis.nodes), axis.slots()));
        let planes = self
            .planes
            .iter()
            .map(|plane| (&plane.name, plane.nodes(), plane.slots()));
        let mut first = 0;
        for (known, nodes, slots) in axes.chain(planes) {
            if known == name {
                return Some(Place { first, nodes });
            }
            first += slots;
        }
        None
    }

    /// Whether the weights of an axis or plane are 0 or 16 for every twin.
    #[must_use]
    pub fn is_categorical(&self, name: &str) -> bool {
        let whole = |axis: &Axis| axis.scale == Scale::Categorical;
        match self.axis(name) {
            Some(axis) => whole(axis),
            None => self
                .plane(name)
                .is_some_and(|plane| whole(&plane.first) && whole(&plane.second)),
        }
    }

    /// The number of slots of a twin.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.axes.iter().map(Axis::slots).sum::<usize>()
            + self.planes.iter().map(Plane::slots).sum::<usize>()
    }

    /// The hash of everything that decides how a twin is encoded.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crate::digest_of("organtwin schema 1", self)
    }
}
