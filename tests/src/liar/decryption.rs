//! Deviations in the opening of a result.

use organtwin_protocol::statement::Body;

use super::{Utterance, shifted};

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Releases wrong values of all its pieces.
    AllPieces,
    /// Of its first piece only.
    OnePiece,
    /// Of the first block of its first piece only.
    OneBlock,
    /// Releases nothing.
    Absent,
    /// Releases another result than it recombined.
    Result,
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Decryption(lie)
    }
}

impl Lie {
    /// What is said instead of `body`.
    pub(super) fn utter(self, mut body: Body) -> Utterance {
        match (self, &mut body) {
            (Self::AllPieces, Body::PartialDecryption { pieces, .. }) => {
                *pieces = pieces.iter().map(|own| shifted(own, |_| true)).collect();
            }
            (Self::OnePiece, Body::PartialDecryption { pieces, .. }) => {
                if let Some(first) = pieces.first_mut() {
                    *first = shifted(first, |_| true);
                }
            }
            (
                Self::OneBlock,
                Body::PartialDecryption {
                    pieces,
                    first_block: 0,
                    ..
                },
            ) => {
                if let Some(first) = pieces.first_mut() {
                    *first = shifted(first, |block| block == 0);
                }
            }
            (Self::Absent, Body::PartialDecryption { .. }) => return Utterance::Say(Vec::new()),
            (Self::Result, Body::ResultReleased { values, .. }) => {
                if let Some(first) = values.0.first_mut() {
                    *first ^= 1;
                }
            }
            _ => {}
        }
        Utterance::one(body)
    }
}
