//! Deviations in the evaluation of a study.

use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::Body;

use super::flipped;

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// States other outputs of shards than it computed.
    Shard,
    /// States that it evaluated other inputs.
    Inputs,
    /// States another aggregate than it derived.
    Aggregate,
    /// States that it derived squashed bytes that it crafted.
    Crafted(Digest),
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Evaluation(lie)
    }
}

impl Lie {
    /// What is said instead of `body`.
    pub(super) fn say(self, mut body: Body) -> Body {
        match (self, &mut body) {
            (Self::Shard, Body::ShardEvaluated { output, .. }) => *output = flipped(*output),
            (Self::Inputs, Body::ShardEvaluated { inputs, .. }) => *inputs = flipped(*inputs),
            (Self::Aggregate, Body::AggregateDerived { squashed, .. }) => {
                *squashed = flipped(*squashed);
            }
            (Self::Crafted(digest), Body::AggregateDerived { squashed, .. }) => *squashed = digest,
            _ => {}
        }
        body
    }
}
