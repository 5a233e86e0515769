//! The committee: n parties, at most t of them corrupt, and the pieces that they hold.

use serde::Serialize;

use crate::party::{PartyId, PartySet, PieceId};

/// Against which cheaters a committee is secure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// n >= 3t+1: against parties that deviate, with abort and blame.
    Active,
    /// 2t+1 <= n <= 3t: only against parties that follow the protocol.
    Passive,
}

/// Whether a passive committee is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passive {
    /// It is an error.
    Refuse,
    /// It is accepted.
    Allow,
}

/// Which family of groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// For linear forms.
    Lin,
    /// For quadratic forms.
    Quad,
    /// For linear forms under a live key.
    Live,
}

/// n and t do not make a committee.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected t >= 1 and n >= 3t+1 (or n >= 2t+1 with passive security allowed), got n = {n}, t = {t}")]
pub struct CommitteeError {
    n: u8,
    t: u8,
}

/// n parties, at most t of them corrupt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Committee {
    n: u8,
    t: u8,
    live: Vec<PartySet>,
}

impl Committee {
    /// Checks n and t.
    ///
    /// # Errors
    /// [`CommitteeError`] when they do not make a committee.
    pub fn new(n: u8, t: u8, passive: Passive) -> Result<Self, CommitteeError> {
        let (n16, t16) = (u16::from(n), u16::from(t));
        let active = n16 > 3 * t16;
        if t == 0 || n > PartyId::MAX || n16 < 2 * t16 + 1 || !(active || passive == Passive::Allow) {
            return Err(CommitteeError { n, t });
        }
        let size = usize::from(if active { 2 * t + 1 } else { t + 1 });
        let live = PartySet::subsets(n, size);
        Ok(Self { n, t, live })
    }

    /// Returns n.
    #[must_use]
    pub const fn n(&self) -> u8 {
        self.n
    }

    /// Returns t.
    #[must_use]
    pub const fn t(&self) -> u8 {
        self.t
    }

    /// Tells against which cheaters the committee is secure.
    #[must_use]
    pub const fn security(&self) -> Security {
        if self.n > 3 * self.t { Security::Active } else { Security::Passive }
    }

    /// Lists all pieces in lexicographic order.
    #[must_use]
    pub fn pieces(&self) -> Vec<PieceId> {
        PartySet::subsets(self.n, usize::from(self.t)).into_iter().map(PieceId::without).collect()
    }

    /// Lists the pieces that a party holds, in order.
    pub fn pieces_of(&self, party: PartyId) -> impl Iterator<Item = PieceId> {
        self.pieces().into_iter().filter(move |piece| piece.is_held_by(party))
    }

    /// Returns the holders of a piece.
    #[must_use]
    pub fn holders(&self, piece: PieceId) -> PartySet {
        PartySet::first(self.n).difference(piece.absent())
    }

    /// Returns a family of groups.
    #[must_use]
    pub fn family(&self, _family: Family) -> &[PartySet] {
        &self.live
    }
}
