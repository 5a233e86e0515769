//! Parties, sets of parties, and the pieces that are named after the set which lacks them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One member of a committee, counted from 1; at most [`PartyId::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct PartyId(u8);

/// A party number outside `1..=16`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("party {0} does not exist: parties are numbered 1 to 16")]
pub struct PartyIdError(pub u8);

impl PartyId {
    /// The largest party number that the formats can hold.
    pub const MAX: u8 = 16;

    /// Returns party `number`, or nothing outside `1..=16`.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 1 && number <= Self::MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Returns the number, counted from 1.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns the number less one: the position in a list of the parties 1 to n.
    ///
    /// In a committee with gaps in its numbers use [`PartySet::rank`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    const fn bit(self) -> u16 {
        1 << (self.0 - 1)
    }
}

impl TryFrom<u8> for PartyId {
    type Error = PartyIdError;

    fn try_from(number: u8) -> Result<Self, PartyIdError> {
        Self::new(number).ok_or(PartyIdError(number))
    }
}

impl From<PartyId> for u8 {
    fn from(party: PartyId) -> u8 {
        party.0
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A set of parties; bit `i - 1` stands for party `i`.
///
/// Sets compare like their sorted lists of members, so `{1,4} < {2,3}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartySet(u16);

impl PartySet {
    /// The set without members.
    pub const EMPTY: Self = Self(0);

    /// Returns the set whose bit `i - 1` stands for party `i`.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Returns bit `i - 1` for party `i`.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Returns `{1, ..., n}`.
    #[must_use]
    pub const fn first(n: u8) -> Self {
        if n >= PartyId::MAX {
            Self(u16::MAX)
        } else {
            Self((1 << n) - 1)
        }
    }

    /// Tells whether `party` is a member.
    #[must_use]
    pub const fn contains(self, party: PartyId) -> bool {
        self.0 & party.bit() != 0
    }

    /// Tells whether the two sets share no member.
    #[must_use]
    pub const fn is_disjoint(self, other: Self) -> bool {
        self.0 & other.0 == 0
    }

    /// Tells whether every member of this set is in `other`.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the members of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the members of both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the members of this set that are not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns this set with `party` added.
    #[must_use]
    pub const fn with(self, party: PartyId) -> Self {
        Self(self.0 | party.bit())
    }

    /// Counts the members.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Tells whether there is no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Lists the members in ascending order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = PartyId> + Clone {
        (1..=PartyId::MAX)
            .map(PartyId)
            .filter(move |party| self.contains(*party))
    }

    /// Returns this set without `party`.
    #[must_use]
    pub const fn without(self, party: PartyId) -> Self {
        Self(self.0 & !party.bit())
    }

    /// Returns the position of `party` among the members in ascending order, counted from 0.
    #[must_use]
    pub fn rank(self, party: PartyId) -> Option<usize> {
        self.contains(party)
            .then(|| self.iter().take_while(|other| *other < party).count())
    }

    /// Returns the members whose ranks, counted from 1, are the numbers in `ranks`.
    ///
    /// So a set of the parties `1..=n` is carried over to `n` other parties, in order.
    #[must_use]
    pub fn select(self, ranks: Self) -> Self {
        let chosen = (1..=PartyId::MAX).zip(self.iter());
        chosen
            .filter(|(rank, _)| ranks.contains(PartyId(*rank)))
            .map(|(_, party)| party)
            .collect()
    }

    /// Lists all subsets of `{1, ..., n}` with `size` members, in lexicographic order.
    #[must_use]
    pub fn subsets(n: u8, size: usize) -> Vec<Self> {
        let all = Self::first(n);
        let mut sets: Vec<Self> = (0..=all.0)
            .map(Self)
            .filter(|set| set.len() == size)
            .collect();
        sets.sort_unstable();
        sets
    }
}

impl FromIterator<PartyId> for PartySet {
    fn from_iter<I: IntoIterator<Item = PartyId>>(parties: I) -> Self {
        parties.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl Ord for PartySet {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for PartySet {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PartySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, party) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            write!(f, "{party}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for PartySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A piece of a shared value, named after the `t` parties that do NOT hold it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PieceId(PartySet);

impl PieceId {
    /// Returns the piece that exactly the members of `absent` lack.
    #[must_use]
    pub const fn without(absent: PartySet) -> Self {
        Self(absent)
    }

    /// Returns the parties that lack the piece.
    #[must_use]
    pub const fn absent(self) -> PartySet {
        self.0
    }

    /// Tells whether `party` holds the piece.
    #[must_use]
    pub const fn is_held_by(self, party: PartyId) -> bool {
        !self.0.contains(party)
    }

    /// Tells whether every member of `group` holds the piece.
    #[must_use]
    pub const fn is_held_by_all(self, group: PartySet) -> bool {
        self.0.is_disjoint(group)
    }
}

impl fmt::Display for PieceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "piece without {}", self.0)
    }
}

impl fmt::Debug for PieceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(parties: &[u8]) -> PartySet {
        parties.iter().filter_map(|p| PartyId::new(*p)).collect()
    }

    #[test]
    fn subsets_come_in_lexicographic_order() {
        let pairs = PartySet::subsets(4, 2);
        let expected = [[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]];
        assert_eq!(pairs, expected.iter().map(|p| set(p)).collect::<Vec<_>>());
    }

    #[test]
    fn ranks_and_members_correspond() {
        let parties = set(&[2, 5, 9, 16]);
        for (rank, party) in parties.iter().enumerate() {
            assert_eq!(parties.rank(party), Some(rank));
        }
        assert_eq!(parties.rank(set(&[3]).iter().next().unwrap()), None);
        assert_eq!(parties.select(set(&[1, 3, 4])), set(&[2, 9, 16]));
        assert_eq!(PartySet::first(7).select(set(&[2, 7])), set(&[2, 7]));
    }

    #[test]
    fn party_numbers_outside_the_range_are_refused() {
        assert_eq!(PartyId::new(0), None);
        assert_eq!(PartyId::new(17), None);
        assert!(serde_json::from_str::<PartyId>("0").is_err());
        assert_eq!(serde_json::from_str::<PartyId>("3").ok(), PartyId::new(3));
    }

    #[test]
    fn sets_print_their_members() {
        assert_eq!(set(&[3, 1]).to_string(), "{1,3}");
        assert_eq!(PartySet::first(16).len(), 16);
    }
}
