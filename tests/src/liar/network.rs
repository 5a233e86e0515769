//! Deviations towards peers that ask for something.

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Sends other bytes than the digest names.
    OtherBlob,
    /// Says that it has nothing.
    NoBlob,
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Network(lie)
    }
}
