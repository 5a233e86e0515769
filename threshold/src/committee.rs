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
    n: u8,
    t: u8,
    security: Security,
}

/// `n` parties of which at most `t` are corrupt; any `t+1` can decrypt, `t` learn nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "RawCommittee", into = "RawCommittee")]
pub struct Committee {
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
        let pieces = PartySet::subsets(n, size)
            .into_iter()
            .map(PieceId::without)
            .collect();
        if let Some(row) = families::row(n, t) {
            return Ok(Self {
                n,
                t,
                security: Security::Active,
                pieces,
                lin: families::sets(row.lin),
                quad: families::sets(row.quad),
                live: families::sets(row.live),
            });
        }
        if passive == Passive::Refuse {
            return Err(CommitteeError::PassiveOnly { n, t });
        }
        // Nobody checks a group vector here, so one member is enough; t+1 single parties cover.
        let lin: Vec<PartySet> = PartySet::subsets(n, 1).into_iter().take(size + 1).collect();
        Ok(Self {
            n,
            t,
            security: Security::Passive,
            pieces,
            live: lin.clone(),
            lin,
            quad: PartySet::subsets(n, usize::from(n) - 2 * size),
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
        PartySet::first(self.n)
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
        let committee = Self::new(raw.n, raw.t, passive)?;
        if committee.security == raw.security {
            Ok(committee)
        } else {
            Err(CommitteeError::PassiveOnly { n: raw.n, t: raw.t })
        }
    }
}

impl From<Committee> for RawCommittee {
    fn from(committee: Committee) -> Self {
        Self {
            n: committee.n,
            t: committee.t,
            security: committee.security,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Committee> {
        let mut all = Vec::new();
        for n in 3..=12 {
            for t in 1..=(n - 1) / 2 {
                all.push(Committee::new(n, t, Passive::Allow).unwrap());
            }
        }
        all
    }

    #[test]
    fn any_t_plus_one_parties_hold_all_pieces_and_any_t_miss_one() {
        for committee in all() {
            let t = usize::from(committee.t());
            for coalition in PartySet::subsets(committee.n(), t + 1) {
                let missing = committee
                    .pieces()
                    .iter()
                    .filter(|piece| coalition.iter().all(|party| !piece.is_held_by(party)));
                assert_eq!(missing.count(), 0);
            }
            for coalition in PartySet::subsets(committee.n(), t) {
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
        let text = r#"{"n":3,"t":1,"security":"active"}"#;
        assert!(serde_json::from_str::<Committee>(text).is_err());
        let text = r#"{"n":4,"t":1,"security":"active"}"#;
        assert_eq!(serde_json::from_str::<Committee>(text).unwrap().n(), 4);
    }
}
