//! Feeds: each party's own numbered chain of statements.

use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The last statement of a feed that somebody had seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedHead {
    /// Whose feed.
    pub party: PartyId,
    /// The number of the statement, counted from 0.
    pub seq: u64,
    /// The hash of the statement.
    pub hash: Digest,
}
