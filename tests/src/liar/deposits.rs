//! Deviations with input masks.

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Computes wrong vectors of input masks.
    BatchVector,
    /// Sends wrong subseeds to the hospitals.
    Subseed,
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Deposits(lie)
    }
}
