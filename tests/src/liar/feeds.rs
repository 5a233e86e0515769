//! Deviations in a feed, whatever is said in it. They begin with the feed's first step of a ceremony.

use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::statement::Body;
use organtwin_threshold::PartyId;

use super::Utterance;

/// How many statements a flood is.
pub const FLOOD: u32 = 300;

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Says every step of a ceremony twice.
    Twice,
    /// Says hundreds of other things before each of its seed commitments.
    Flood,
    /// Signs its seed commitments under a number far ahead of its feed.
    Ahead,
    /// Does not name the predecessor of its seed commitments.
    Unchained,
    /// Signs two statements under the number of its seed commitments.
    Fork,
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Feeds(lie)
    }
}

impl Lie {
    /// What is said instead of `body`.
    pub(super) fn utter(self, body: Body) -> Utterance {
        let Body::SeedCommitted { .. } = &body else {
            return Utterance::one(body);
        };
        match self {
            Self::Twice => Utterance::Say(vec![body.clone(), body]),
            Self::Flood => {
                let noise = |number| Body::Accusation {
                    evidence: Evidence::Claim {
                        party: PartyId::new(1).expect("a small number"),
                        what: format!("noise {number}"),
                    },
                };
                let mut bodies: Vec<Body> = (0..FLOOD).map(noise).collect();
                bodies.push(body);
                Utterance::Say(bodies)
            }
            Self::Ahead => Utterance::Ahead(body),
            Self::Unchained => Utterance::Unchained(body),
            Self::Fork => {
                let mut other = body.clone();
                if let Body::SeedCommitted { mask, .. } = &mut other {
                    *mask = super::flipped(*mask);
                }
                Utterance::Fork(body, other)
            }
        }
    }
}
