//! How the holders of a piece agree on its seed: each contributes, commits, then reveals to the others.

use crate::digest::{Digest, SessionId};
use crate::party::{PartyId, PieceId};
use crate::prf::{Label, Seed};
use crate::secret::Secret;

/// One holder's contribution to the seed of one piece.
pub struct SeedShare(Secret<[u8; 32]>);

impl SeedShare {
    /// Takes 32 uniform bytes as a contribution.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Lends the bytes, for sending them to the other holders.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// Commits `party` to its contribution to the seed of `piece`.
///
/// The contribution has 256 bits of entropy, so the hash hides it.
#[must_use]
pub fn seed_commitment(
    session: &SessionId,
    piece: PieceId,
    party: PartyId,
    share: &SeedShare,
) -> Digest {
    Label::new("organtwin/seed-commitment")
        .session(session)
        .piece(piece)
        .party(party)
        .bytes(share.expose())
        .hash()
}

/// Combines all holders' contributions into the seed of `piece`, whatever order they come in.
#[must_use]
pub fn combine_seed(session: &SessionId, piece: PieceId, shares: &[(PartyId, &SeedShare)]) -> Seed {
    let mut shares = shares.to_vec();
    shares.sort_unstable_by_key(|(party, _)| *party);
    let label = shares.iter().fold(
        Label::new("organtwin/seed").session(session).piece(piece),
        |label, (party, share)| label.party(*party).bytes(share.expose()),
    );
    Seed::new(*label.hash().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::party::PartySet;

    #[test]
    fn the_seed_depends_on_every_contribution_and_not_on_their_order() {
        let session = SessionId::new([1; 32]);
        let piece = PieceId::without(PartySet::from_bits(1));
        let [p2, p3] = [2, 3].map(|p| PartyId::new(p).unwrap());
        let (a, b, c) = (
            SeedShare::new([1; 32]),
            SeedShare::new([2; 32]),
            SeedShare::new([3; 32]),
        );
        let seed = combine_seed(&session, piece, &[(p2, &a), (p3, &b)]);
        assert_eq!(
            seed.expose(),
            combine_seed(&session, piece, &[(p3, &b), (p2, &a)]).expose()
        );
        assert_ne!(
            seed.expose(),
            combine_seed(&session, piece, &[(p2, &a), (p3, &c)]).expose()
        );
        assert_ne!(
            seed_commitment(&session, piece, p2, &a),
            seed_commitment(&session, piece, p3, &a)
        );
    }
}
