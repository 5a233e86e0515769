//! Deviations with input masks and in the check of deposits.

use organtwin_protocol::statement::Body;

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Computes wrong vectors of input masks.
    BatchVector,
    /// Sends wrong subseeds to the hospitals.
    Subseed,
    /// States another value of the first of its groups that check deposits.
    Check,
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Deposits(lie)
    }
}

impl Lie {
    /// What is said instead of `body`.
    pub(super) fn say(self, mut body: Body) -> Body {
        if let (Self::Check, Body::TwinsChecked { twins, .. }) = (self, &mut body) {
            for twin in twins {
                if let Some(byte) = twin.values.0.first_mut() {
                    *byte ^= 1;
                }
            }
        }
        body
    }
}
