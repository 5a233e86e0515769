//! Who shares the key, who holds which piece, and which groups open values.

use serde::{Deserialize, Serialize};

use crate::families;
use crate::party::{PartyId, PartySet, PieceId};

/// What the committee withstands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// `n >= 3t+1`: up to `t` parties may deviate; the others notice, abort and name.
    Active,
    /// `2t+1 <= n <= 3t`: up to `t` parties may pool what they know, but everyone follows the protocol.
    Passive,
}

/// Whether a committee that only withstands curious parties is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passive {
    /// Refuse it; the default.
    Refuse,
    /// Accept it, at the operator's explicit wish.
    Allow,
}

/// A kind of opening, with its own family of groups.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// Linear openings of the ceremony: every piece is held by all of some group.
    Lin,
    /// Quadratic openings: every two pieces are held by all of some group.
    Quad,
    /// Linear openings with a live key: groups of `2t+1`, so that `t+1` equal values win.
    Live,
}

/// Why a committee cannot be formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommitteeError {
    /// The number of parties is out of range.
    #[error("{0} parties: a committee has 3 to 12")]
    Size(u8),
    /// The threshold is zero.
    #[error("threshold 0: at least one party must be assumed corrupt")]
    NoThreshold,
    /// The threshold is too high for any opening.
    #[error("threshold {t} with {n} parties: n >= 2t+1 is required, so t is at most {}", (n - 1) / 2)]
    Threshold {
        /// Parties.
        n: u8,
        /// Corrupt parties.
        t: u8,
    },
    /// Only passive security is possible and it was not asked for.
    #[error(
        "threshold {t} with {n} parties withstands no cheater (n >= 3t+1 does); allow passive security explicitly"
    )]
    PassiveOnly {
        /// Parties.
        n: u8,
        /// Corrupt parties.
        t: u8,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommittee {
    parties: PartySet,
    t: u8,
    security: Security,
}

/// `n` parties of which at most `t` are corrupt; any `t+1` can decrypt, `t` learn nothing.
///
/// The parties keep their numbers for life, so the numbers of a later committee may have gaps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "RawCommittee", into = "RawCommittee")]
pub struct Committee {
    parties: PartySet,
    n: u8,
    t: u8,
    security: Security,
    pieces: Vec<PieceId>,
    lin: Vec<PartySet>,
    quad: Vec<PartySet>,
    live: Vec<PartySet>,
}

impl Committee {
    /// Forms the committee of parties `1..=n` with threshold `t`.
    ///
    /// # Errors
    /// Refuses sizes without a table and, unless allowed, committees with passive security only.
    pub fn new(n: u8, t: u8, passive: Passive) -> Result<Self, CommitteeError> {
        if n > PartyId::MAX {
            return Err(CommitteeError::Size(n));
        }
        Self::over(PartySet::first(n), t, passive)
    }

    /// Forms the committee of any `parties` with threshold `t`.
    ///
    /// The families are those of the parties `1..=n`, with each party in the place of its rank.
    ///
    /// # Errors
    /// Refuses sizes without a table and, unless allowed, committees with passive security only.
    pub fn over(parties: PartySet, t: u8, passive: Passive) -> Result<Self, CommitteeError> {
        let n = u8::try_from(parties.len()).unwrap_or(u8::MAX);
        if !(3..=12).contains(&n) {
            return Err(CommitteeError::Size(n));
        }
        if t == 0 {
            return Err(CommitteeError::NoThreshold);
        }
        if t > (n - 1) / 2 {
            return Err(CommitteeError::Threshold { n, t });
        }
        let size = usize::from(t);
        // Selecting by rank keeps the lexicographic order.
        let select = |sets: Vec<PartySet>| -> Vec<PartySet> {
            sets.into_iter().map(|set| parties.select(set)).collect()
        };
        let pieces = select(PartySet::subsets(n, size))
            .into_iter()
            .map(PieceId::without)
            .collect();
        if let Some(row) = families::row(n, t) {
            return Ok(Self {
                parties,
                n,
                t,
                security: Security::Active,
                pieces,
                lin: select(families::sets(row.lin)),
                quad: select(families::sets(row.quad)),
                live: select(families::sets(row.live)),
            });
        }
        if passive == Passive::Refuse {
            return Err(CommitteeError::PassiveOnly { n, t });
        }
        // Nobody checks a group vector here, so one member is enough; t+1 single parties cover.
        let mut lin = select(PartySet::subsets(n, 1));
        lin.truncate(size + 1);
        Ok(Self {
            parties,
            n,
            t,
            security: Security::Passive,
            pieces,
            live: lin.clone(),
            lin,
            quad: select(PartySet::subsets(n, usize::from(n) - 2 * size)),
        })
    }

    /// Returns the number of parties.
    #[must_use]
    pub const fn n(&self) -> u8 {
        self.n
    }

    /// Returns the number of parties that may be corrupt.
    #[must_use]
    pub const fn t(&self) -> u8 {
        self.t
    }

    /// Returns what the committee withstands.
    #[must_use]
    pub const fn security(&self) -> Security {
        self.security
    }

    /// Returns all parties.
    #[must_use]
    pub const fn parties(&self) -> PartySet {
        self.parties
    }

    /// Lists all pieces in lexicographic order of the sets that lack them.
    #[must_use]
    pub fn pieces(&self) -> &[PieceId] {
        &self.pieces
    }

    /// Lists the pieces that `party` holds.
    pub fn pieces_of(&self, party: PartyId) -> impl Iterator<Item = PieceId> + Clone + '_ {
        self.pieces
            .iter()
            .copied()
            .filter(move |piece| piece.is_held_by(party))
    }

    /// Returns the parties that hold `piece`.
    #[must_use]
    pub const fn holders(&self, piece: PieceId) -> PartySet {
        self.parties().difference(piece.absent())
    }

    /// Returns the groups of `family`, in the order in which terms are assigned.
    #[must_use]
    pub fn family(&self, family: Family) -> &[PartySet] {
        match family {
            Family::Lin => &self.lin,
            Family::Quad => &self.quad,
            Family::Live => &self.live,
        }
    }
}

impl TryFrom<RawCommittee> for Committee {
    type Error = CommitteeError;

    fn try_from(raw: RawCommittee) -> Result<Self, CommitteeError> {
        let passive = match raw.security {
            Security::Active => Passive::Refuse,
            Security::Passive => Passive::Allow,
        };
        let committee = Self::over(raw.parties, raw.t, passive)?;
        if committee.security == raw.security {
            Ok(committee)
        } else {
            Err(CommitteeError::PassiveOnly {
                n: committee.n,
                t: committee.t,
            })
        }
    }
}

impl From<Committee> for RawCommittee {
    fn from(committee: Committee) -> Self {
        Self {
            parties: committee.parties,
            t: committee.t,
            security: committee.security,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All committees, each over the parties from 1 and over parties with gaps up to 16.
    fn all() -> Vec<Committee> {
        let mut all = Vec::new();
        for n in 3..=12 {
            let spread = (0..n).map(|i| PartyId::new(16 - i - i * (16 - n) / n).unwrap());
            for t in 1..=(n - 1) / 2 {
                all.push(Committee::new(n, t, Passive::Allow).unwrap());
                all.push(Committee::over(spread.clone().collect(), t, Passive::Allow).unwrap());
            }
        }
        all
    }

    fn subsets(committee: &Committee, size: usize) -> Vec<PartySet> {
        PartySet::subsets(committee.n(), size)
            .into_iter()
            .map(|set| committee.parties().select(set))
            .collect()
    }

    #[test]
    fn a_committee_with_gaps_is_the_first_one_relabelled() {
        let parties: PartySet = [2, 3, 7, 11, 16]
            .into_iter()
            .filter_map(PartyId::new)
            .collect();
        let plain = Committee::new(5, 1, Passive::Refuse).unwrap();
        let gaps = Committee::over(parties, 1, Passive::Refuse).unwrap();
        assert_eq!((gaps.n(), gaps.parties()), (5, parties));
        assert!(gaps.pieces().is_sorted());
        for family in [Family::Lin, Family::Quad, Family::Live] {
            let relabelled = plain.family(family).iter().map(|set| parties.select(*set));
            assert!(gaps.family(family).iter().copied().eq(relabelled));
        }
        let text = serde_json::to_string(&gaps).unwrap();
        assert_eq!(serde_json::from_str::<Committee>(&text).unwrap(), gaps);
        assert_ne!(gaps, plain);
    }

    #[test]
    fn any_t_plus_one_parties_hold_all_pieces_and_any_t_miss_one() {
        for committee in all() {
            let t = usize::from(committee.t());
            for coalition in subsets(&committee, t + 1) {
                let missing = committee
                    .pieces()
                    .iter()
                    .filter(|piece| coalition.iter().all(|party| !piece.is_held_by(party)));
                assert_eq!(missing.count(), 0);
            }
            for coalition in subsets(&committee, t) {
                let missing = committee
                    .pieces()
                    .iter()
                    .filter(|piece| coalition.iter().all(|party| !piece.is_held_by(party)));
                assert_eq!(missing.count(), 1);
            }
        }
    }

    #[test]
    fn every_term_has_a_group_whose_members_all_hold_it() {
        for committee in all() {
            for a in committee.pieces() {
                for family in [Family::Lin, Family::Live] {
                    assert!(
                        committee
                            .family(family)
                            .iter()
                            .any(|g| a.is_held_by_all(*g))
                    );
                }
                for b in committee.pieces() {
                    assert!(
                        committee
                            .family(Family::Quad)
                            .iter()
                            .any(|g| a.is_held_by_all(*g) && b.is_held_by_all(*g))
                    );
                }
            }
        }
    }

    #[test]
    fn passive_committees_need_an_explicit_wish() {
        assert_eq!(
            Committee::new(3, 1, Passive::Refuse),
            Err(CommitteeError::PassiveOnly { n: 3, t: 1 })
        );
        let committee = Committee::new(3, 1, Passive::Allow).unwrap();
        assert_eq!(committee.security(), Security::Passive);
        assert_eq!(committee.family(Family::Lin).len(), 2);
        assert_eq!(
            Committee::new(4, 1, Passive::Allow).unwrap().security(),
            Security::Active
        );
    }

    #[test]
    fn impossible_committees_are_refused() {
        assert_eq!(
            Committee::new(2, 1, Passive::Allow),
            Err(CommitteeError::Size(2))
        );
        assert_eq!(
            Committee::new(13, 1, Passive::Allow),
            Err(CommitteeError::Size(13))
        );
        assert_eq!(
            Committee::new(4, 0, Passive::Allow),
            Err(CommitteeError::NoThreshold)
        );
        assert_eq!(
            Committee::new(4, 2, Passive::Allow),
            Err(CommitteeError::Threshold { n: 4, t: 2 })
        );
    }

    #[test]
    fn a_committee_on_the_wire_cannot_claim_more_security_than_it_has() {
        let text = r#"{"parties":7,"t":1,"security":"active"}"#;
        assert!(serde_json::from_str::<Committee>(text).is_err());
        let text = r#"{"parties":15,"t":1,"security":"active"}"#;
        assert_eq!(serde_json::from_str::<Committee>(text).unwrap().n(), 4);
    }
}
