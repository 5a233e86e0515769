//! The stages of a ceremony.

use crate::committee::Family;

/// The openings of the ceremony, in order.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Random bits: key bits and bits of exact noise.
    Bits,
    /// Products of key bits.
    Products,
    /// Rows of public key material.
    Rows,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 3] = [Self::Bits, Self::Products, Self::Rows];

    /// Returns the kind of groups that open the stage.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Bits | Self::Products => Family::Quad,
            Self::Rows => Family::Lin,
        }
    }
}
