//! Deviations in a change of the sharing.

use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::Body;

use super::{flipped, shifted};

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// States other digests of what it gives than the other holders.
    Offer,
    /// Sends other bytes than it stated the digest of.
    Parcels,
    /// Decrypts the new self-test to something else.
    SelfTest,
    /// Certifies another key.
    OtherKey,
    /// Never states what it gives.
    NoOffer,
    /// Gives the change up instead of certifying.
    GivesUp,
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Epochs(lie)
    }
}

impl Lie {
    /// What is said instead of `body`; nothing if it is swallowed.
    pub(super) fn say(self, mut body: Body) -> Option<Body> {
        match (self, &mut body) {
            (Self::Offer, Body::EpochOffered { pieces, .. }) => {
                for piece in pieces {
                    piece.digest = flipped(piece.digest);
                }
            }
            (Self::NoOffer, Body::EpochOffered { .. }) => return None,
            (Self::SelfTest, Body::SelfTest { pieces, .. }) => {
                for piece in pieces {
                    *piece = shifted(piece, |block| block == 0);
                }
            }
            (Self::OtherKey, Body::KeyCertified { certificate }) if certificate.epoch > 0 => {
                certificate.key = Digest::new([7; 32]);
            }
            (Self::GivesUp, Body::KeyCertified { certificate }) if certificate.epoch > 0 => {
                return Some(Body::EpochAborted {
                    session: certificate.session,
                    reason: "changed its mind".into(),
                    evidence: None,
                });
            }
            _ => {}
        }
        Some(body)
    }
}
