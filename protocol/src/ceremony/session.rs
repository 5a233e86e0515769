//! Sessions of the key ceremony: how joining makes one, and what was said in it.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, SessionId};

use super::{Digest, Domain, digest};
use crate::certificate::Certificate;
use crate::codec::CodecError;
use crate::evidence::Evidence;
use crate::fold::Fold;
use crate::statement::{
    Body, GroupDigest, PieceCommitment, PieceShare, PieceValues, StageName, VerifiedStatement,
};

/// Who joined an attempt, with which nonce.
pub(super) fn joiners(fold: &Fold, wanted: u32) -> BTreeMap<PartyId, Digest> {
    let joined = fold.facts().joined.get(&wanted);
    joined.cloned().unwrap_or_default()
}

/// The latest attempt that a party joined.
pub(super) fn joined(fold: &Fold, party: PartyId) -> Option<u32> {
    fold.facts().latest_attempt.get(&party).copied()
}

/// The attempt that a party joins when it consents to a ceremony now; `None` while its last one is under way.
///
/// It is the others' latest if that one is still open to this party, otherwise the next one.
pub fn attempt_to_join(fold: &Fold, me: PartyId) -> Option<u32> {
    let mine = joined(fold, me);
    if let Some(mine) = mine {
        let ended = find(fold, mine).is_some_and(|session| {
            let said = Said::of(fold, session);
            !said.aborted.is_empty() || said.certificate(fold).is_some()
        });
        if !ended {
            return None;
        }
    }
    let latest = fold
        .founding()
        .members()
        .iter()
        .filter_map(|member| joined(fold, member.party))
        .max()
        .unwrap_or(1);
    Some(if mine.is_some_and(|mine| mine >= latest) {
        latest.saturating_add(1)
    } else {
        latest.max(1)
    })
}

/// The session of an attempt, once all parties joined it (C1).
///
/// Its name hashes the roster, which names the parameters, and every party's nonce: no two sessions share labels.
pub fn find(fold: &Fold, attempt: u32) -> Option<SessionId> {
    let joined = joiners(fold, attempt);
    if joined.len() < fold.founding().parties() {
        return None;
    }
    let nonces: Vec<(PartyId, Digest)> = joined.into_iter().collect();
    let name = digest::of_value(
        Domain::Session,
        &(fold.founding().digest(), attempt, nonces),
    )
    .ok()?;
    Some(SessionId::new(*name.as_bytes()))
}

/// The sessions that some party gave up, in the order of their attempts.
pub fn aborted(fold: &Fold) -> Vec<SessionId> {
    let facts = fold.facts();
    let aborted: BTreeSet<SessionId> = facts
        .steps
        .iter()
        .filter(|(_, said)| said.aborted)
        .map(|((_, session), _)| *session)
        .collect();
    if aborted.is_empty() {
        return Vec::new();
    }
    let attempts = facts.joined.keys();
    attempts
        .filter_map(|attempt| find(fold, *attempt))
        .filter(|session| aborted.contains(session))
        .collect()
}

/// What was stated of a session, by author and number.
pub(super) fn statements(
    fold: &Fold,
    session: SessionId,
) -> impl Iterator<Item = &VerifiedStatement> {
    let places = fold.facts().sessions.get(&session).into_iter().flatten();
    places.filter_map(|(author, seq)| fold.feed(*author).get(usize::try_from(*seq).ok()?))
}

/// A party's seed commitments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The statement's hash.
    pub hash: Digest,
    /// One commitment per piece.
    pub commitments: Vec<PieceCommitment>,
    /// The commitment to its share of the mask seed.
    pub mask: Digest,
}

/// A party's word that it holds its seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The statement's hash.
    pub hash: Digest,
    /// Its share of the mask seed.
    pub mask_reveal: Digest,
    /// The digest of the commitments that it received.
    pub echo: Digest,
}

/// A party's commitment to its vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The statement's hash.
    pub hash: Digest,
    /// One root per group of the party.
    pub roots: Vec<GroupDigest>,
}

/// A party's decryption of the self-test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// The statement's hash.
    pub hash: Digest,
    /// The digest of the squashed bytes.
    pub squashed: Digest,
    /// The values of its pieces.
    pub pieces: Vec<PieceValues>,
}

/// A party's word that it gives the session up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The statement's hash.
    pub hash: Digest,
    /// Why.
    pub reason: String,
    /// What shows whose fault it is, if anything does.
    pub evidence: Option<Evidence>,
}

/// A party's published seed shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The statement's hash.
    pub hash: Digest,
    /// One share per piece.
    pub shares: Vec<PieceShare>,
    /// Its share of the mask seed.
    pub mask: Digest,
}

/// What was said in a session, by party; of what a party says twice the first counts.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Seed commitments.
    pub commitments: BTreeMap<PartyId, Committed>,
    /// Seeds held, mask shares revealed.
    pub held: BTreeMap<PartyId, Held>,
    /// Vectors' roots.
    pub roots: BTreeMap<StageName, BTreeMap<PartyId, Roots>>,
    /// The statement's hash and the digest of everything opened.
    pub opened: BTreeMap<StageName, BTreeMap<PartyId, (Digest, Digest)>>,
    /// Self-tests.
    pub self_tests: BTreeMap<PartyId, Tested>,
    /// The statement's hash and the certificate's digest.
    pub certified: BTreeMap<PartyId, (Digest, Digest)>,
    /// Who gave the session up, and why.
    pub aborted: BTreeMap<PartyId, GivenUp>,
    /// Who published its seed shares.
    pub published: BTreeMap<PartyId, Published>,
}

impl Said {
    /// Gathers what the feeds say about a session.
    pub fn of(fold: &Fold, wanted: SessionId) -> Self {
        let mut all = Self::default();
        for statement in statements(fold, wanted) {
            let (author, hash) = (statement.author(), statement.hash());
            match statement.body() {
                Body::SeedCommitted {
                    session,
                    commitments,
                    mask,
                } if *session == wanted => {
                    let said = Committed {
                        hash,
                        commitments: commitments.clone(),
                        mask: *mask,
                    };
                    all.commitments.entry(author).or_insert(said);
                }
                Body::SeedsHeld {
                    session,
                    mask_reveal,
                    echo,
                } if *session == wanted => {
                    all.held.entry(author).or_insert(Held {
                        hash,
                        mask_reveal: *mask_reveal,
                        echo: *echo,
                    });
                }
                Body::StageCommitted {
                    session,
                    stage,
                    roots,
                } if *session == wanted => {
                    let said = Roots {
                        hash,
                        roots: roots.clone(),
                    };
                    all.roots
                        .entry(*stage)
                        .or_default()
                        .entry(author)
                        .or_insert(said);
                }
                Body::StageOpened {
                    session,
                    stage,
                    digest,
                } if *session == wanted => {
                    all.opened
                        .entry(*stage)
                        .or_default()
                        .entry(author)
                        .or_insert((hash, *digest));
                }
                Body::SelfTest {
                    session,
                    squashed,
                    pieces,
                } if *session == wanted => {
                    let said = Tested {
                        hash,
                        squashed: *squashed,
                        pieces: pieces.clone(),
                    };
                    all.self_tests.entry(author).or_insert(said);
                }
                Body::KeyCertified { certificate } if certificate.session == wanted => {
                    if let Ok(digest) = certificate.digest() {
                        all.certified.entry(author).or_insert((hash, digest));
                    }
                }
                Body::CeremonyAborted {
                    session,
                    reason,
                    evidence,
                } if *session == wanted => {
                    all.aborted.entry(author).or_insert_with(|| GivenUp {
                        hash,
                        reason: reason.clone(),
                        evidence: evidence.clone(),
                    });
                }
                Body::SeedsPublished {
                    session,
                    shares,
                    mask,
                } if *session == wanted => {
                    all.published.entry(author).or_insert_with(|| Published {
                        hash,
                        shares: shares.clone(),
                        mask: *mask,
                    });
                }
                _ => {}
            }
        }
        all
    }

    /// What every party echoes: the hashes of all seed commitments.
    ///
    /// # Errors
    /// [`CodecError`] never in practice.
    pub fn echo(&self, session: SessionId) -> Result<Digest, CodecError> {
        let hashes: Vec<(PartyId, Digest)> = self
            .commitments
            .iter()
            .map(|(party, said)| (*party, said.hash))
            .collect();
        digest::of_value(Domain::CeremonyEcho, &("seed commitments", session, hashes))
    }

    /// The public mask seed, from all parties' shares.
    ///
    /// # Errors
    /// [`CodecError`] never in practice.
    pub fn mask_seed(&self, session: SessionId) -> Result<Digest, CodecError> {
        let shares: Vec<(PartyId, Digest)> = self
            .held
            .iter()
            .map(|(party, said)| (*party, said.mask_reveal))
            .collect();
        digest::of_value(Domain::CeremonyEcho, &("mask seed", session, shares))
    }

    /// The certificate, once every party signed the same one.
    pub fn certificate(&self, fold: &Fold) -> Option<Certificate> {
        let (_, digest) = self.certified.values().next()?;
        let facts = fold.facts().certificates.get(digest)?;
        let all = facts.signers.len() == fold.founding().parties();
        all.then(|| facts.certificate.clone())
    }
}
