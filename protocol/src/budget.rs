//! The opening budget of a consortium's key, computed from its roster alone.

use organtwin_threshold::budget::STATISTICAL_BITS;
use organtwin_threshold::{NoiseConstants, OpeningBudget, ParameterSet};

use crate::fold::Fold;
use crate::roster::Roster;

/// The roster names parameters that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameters {0:?} are unknown or insecure: expected a parameter set of this program")]
pub struct UnknownParameters(pub String);

/// The parameter set that a roster names.
///
/// # Errors
/// [`UnknownParameters`] for any id that this build does not accept.
pub fn parameters(roster: &Roster) -> Result<ParameterSet, UnknownParameters> {
    let id = roster.parameters();
    ParameterSet::by_id(id).ok_or_else(|| UnknownParameters(id.to_owned()))
}

/// How many blocks may be opened over the life of a key: all parties and auditors compute the same (R8).
///
/// # Errors
/// [`UnknownParameters`] for any id that this build does not accept.
pub fn opening_limit(roster: &Roster) -> Result<u64, UnknownParameters> {
    let committee = roster.committee();
    let noise = NoiseConstants::of(committee, &parameters(roster)?);
    Ok(OpeningBudget::new(committee, &noise, STATISTICAL_BITS).limit())
}

/// How many blocks may be opened over the life of a key, whatever epochs it goes through (R8).
///
/// The ciphertexts' noise is that of the ceremony's committee; the flooding is that of each epoch's. The least
/// of the epochs' limits holds for all of them together: a bound that no way of dividing the openings exceeds.
///
/// # Errors
/// [`UnknownParameters`] for any id that this build does not accept.
pub fn limit(fold: &Fold) -> Result<u64, UnknownParameters> {
    let noise = NoiseConstants::of(fold.founding().committee(), &parameters(fold.founding())?);
    let limits = fold.line().iter().filter_map(|(epoch, _)| {
        let committee = fold.roster_at(*epoch)?.committee();
        Some(OpeningBudget::new(committee, &noise, STATISTICAL_BITS).limit())
    });
    Ok(limits.min().unwrap_or(opening_limit(fold.founding())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::raw_roster;

    #[test]
    fn a_committee_of_four_may_open_2_to_the_15_blocks() {
        let mut raw = raw_roster(4, 1);
        assert!(opening_limit(&raw.clone().try_into().unwrap()).is_err());
        raw.parameters = ParameterSet::production().unwrap().id().to_owned();
        let limit = opening_limit(&raw.try_into().unwrap()).unwrap();
        assert!((1 << 14..1 << 17).contains(&limit), "{limit}");
    }
}
