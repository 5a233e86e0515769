//! The key ceremony: what a party has to do next, as a pure function of the fold and of what it holds
//! (docs/spec/ceremony.md).
//!
//! Like [`crate::duty`], nothing here remembers. The party's secrets and the heavy objects lie with the
//! caller; [`step`] sees their digests only, in [`Local`]. A ceremony that crashes is aborted, since its
//! secrets are gone, and is started again under a new session (C9).

pub mod blame;
pub mod replay;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{Family, PartyId, PartySet, PieceId, SessionId};

use crate::certificate::Certificate;
use crate::codec::CodecError;
use crate::digest::{self, Digest, Domain};
use crate::evidence::Evidence;
use crate::fold::Fold;
use crate::roster::Roster;
use crate::statement::{Body, GroupDigest, PieceValues, StageName};

pub use session::{GivenUp, Published, Said, aborted, attempt_to_join, find};

/// The stages in their order.
pub const STAGES: [StageName; 3] = [StageName::Bits, StageName::Products, StageName::Rows];

/// What a party holds of a session besides the fold: digests of its secrets' consequences, never secrets.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// The session whose seed shares this process drew; another one's are lost.
    pub session: Option<SessionId>,
    /// This party's share of the mask seed: secret until every party has committed to its own.
    pub mask_share: Option<Digest>,
    /// Seed shares received that match their commitments.
    pub shares: BTreeSet<(PieceId, PartyId)>,
    /// Parties that confirmed this party's seed shares.
    pub confirmed: BTreeSet<PartyId>,
    /// Whether the computation has begun under the session's mask seed.
    pub begun: bool,
    /// The Merkle roots of this party's vectors, by stage, once computed.
    pub computed: BTreeMap<StageName, Vec<GroupDigest>>,
    /// The digest of what was opened, by stage, once it was absorbed.
    pub opened: BTreeMap<StageName, Digest>,
    /// The assembled key's digest and size in bytes.
    pub key: Option<(Digest, u64)>,
    /// This party's decryption of the self-test.
    pub self_test: Option<(Digest, Vec<PieceValues>)>,
    /// Whether the self-test's accepted values decrypted to what was encrypted.
    pub self_test_right: Option<bool>,
    /// What this party itself caught.
    pub caught: Vec<Evidence>,
    /// When the session last moved, by this party's clock, in milliseconds.
    pub moved_ms: u64,
    /// How long a silent party is waited for, in milliseconds.
    pub patience_ms: u64,
}

/// What to do next. One at a time: every step needs all parties' previous one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: this party has joined no ceremony, or its last one has ended.
    Idle,
    /// Wait for these parties.
    Wait {
        /// What for.
        phase: Phase,
        /// Who is missing.
        missing: Vec<PartyId>,
    },
    /// Draw one seed share per piece and the share of the mask seed, and state [`Body::SeedCommitted`] (C2).
    Commit {
        /// The session.
        session: SessionId,
    },
    /// Send these parties the seed shares of the pieces that both hold, and wait for theirs (C3).
    ExchangeShares {
        /// The session.
        session: SessionId,
        /// Who has not confirmed ours or not sent theirs.
        with: Vec<PartyId>,
    },
    /// State this.
    State(Body),
    /// Combine the seeds and begin the computation under the mask seed (C4).
    Begin {
        /// The session.
        session: SessionId,
        /// The public mask seed.
        mask_seed: Digest,
    },
    /// Compute the vectors of this party's groups (C5).
    Compute {
        /// The session.
        session: SessionId,
        /// The stage.
        stage: StageName,
    },
    /// Fetch the other groups' vectors, absorb all chunks in order and finish the stage (C6).
    Absorb {
        /// The session.
        session: SessionId,
        /// The stage.
        stage: StageName,
        /// The group vectors' Merkle roots, in family order.
        roots: Vec<Digest>,
    },
    /// Encrypt, bootstrap, squash and partially decrypt the self-test's values (C7).
    SelfTest {
        /// The session.
        session: SessionId,
    },
    /// Recombine these accepted values and compare them with the self-test's values (C7).
    CheckSelfTest {
        /// The session.
        session: SessionId,
        /// The values of every piece.
        values: BTreeMap<PieceId, Vec<u128>>,
    },
    /// The key is certified by all: keep the share, erase the rest (C8).
    Done {
        /// The certificate.
        certificate: Certificate,
    },
    /// A party gave the session up; erase its secrets.
    Aborted {
        /// The session.
        session: SessionId,
        /// Who gave it up.
        by: PartyId,
        /// Why.
        reason: String,
    },
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for all parties to join.
    Joining,
    /// Exchanging seed shares.
    Seeds,
    /// Computing, exchanging and opening the vectors of a stage.
    Stage(StageName),
    /// Testing the key.
    SelfTest,
    /// Collecting signatures under the certificate.
    Certifying,
}

/// What `me` has to do next in its latest ceremony. Pure.
///
/// # Errors
/// [`CodecError`] only if a certificate has no encoding, which is a bug.
pub fn step(fold: &Fold, me: PartyId, now_ms: u64, local: &Local) -> Result<Step, CodecError> {
    let Some(attempt) = session::joined(fold, me) else {
        return Ok(Step::Idle);
    };
    let roster = fold.founding();
    let Some(session) = find(fold, attempt) else {
        let joined = session::joiners(fold, attempt);
        return Ok(Step::Wait {
            phase: Phase::Joining,
            missing: missing(roster, |p| joined.contains_key(&p)),
        });
    };
    let said = Said::of(fold, session);
    // C8: a certificate that all parties signed stands, whatever anyone says of the session afterwards.
    if let Some(certificate) = said.certificate(fold) {
        return Ok(Step::Done { certificate });
    }
    // C8: nobody goes on to a second key. Whoever joined this session said so after its signature under the first
    // certificate, so all signatures are known here before this session's certificate could be signed.
    if let Some(certificate) = made(fold) {
        return Ok(Step::Done { certificate });
    }
    if let Some((by, given_up)) = said.aborted.first_key_value() {
        return Ok(Step::Aborted {
            session,
            by: *by,
            reason: given_up.reason.clone(),
        });
    }
    let view = View {
        fold,
        roster,
        me,
        session,
        said: &said,
        local,
    };
    let step = view.next()?;
    Ok(view.lose_patience(step, now_ms))
}

/// The certificate of the ceremony that made the consortium's key, once it stands.
fn made(fold: &Fold) -> Option<Certificate> {
    let (_, digest) = fold.line().first()?;
    let facts = fold.facts().certificates.get(digest)?;
    Some(facts.certificate.clone())
}

/// The member of a group that sends a chunk to a recipient: the load is shared (design of `open`, C6).
pub fn speaker(group: PartySet, chunk: u32, recipient: PartyId) -> Option<PartyId> {
    let members: Vec<PartyId> = group.iter().collect();
    let turn = usize::try_from(chunk)
        .ok()?
        .checked_add(recipient.index())?
        .checked_rem(members.len())?;
    members.get(turn).copied()
}

/// The family of groups of a stage's vectors.
pub fn family(roster: &Roster, stage: StageName) -> Vec<PartySet> {
    let family = match stage {
        StageName::Bits | StageName::Products => Family::Quad,
        StageName::Rows => Family::Lin,
    };
    roster.committee().family(family).to_vec()
}

/// The Merkle root that a member states for a group's vector: RFC 6962 over the chunks' blob digests.
pub fn vector_root(chunk_digests: &[Digest]) -> Digest {
    let leaves: Vec<&[u8]> = chunk_digests
        .iter()
        .map(|digest| digest.as_bytes().as_slice())
        .collect();
    digest::merkle_root(&leaves)
}

/// The commitment to a party's share of the mask seed.
///
/// # Errors
/// [`CodecError`] never in practice: the value has an encoding.
pub fn mask_commitment(
    session: SessionId,
    party: PartyId,
    share: &Digest,
) -> Result<Digest, CodecError> {
    digest::of_value(
        Domain::CeremonyEcho,
        &("mask commitment", session, party, share),
    )
}

struct View<'a> {
    fold: &'a Fold,
    roster: &'a Roster,
    me: PartyId,
    session: SessionId,
    said: &'a Said,
    local: &'a Local,
}

impl View<'_> {
    fn next(&self) -> Result<Step, CodecError> {
        if let Some(evidence) = self.local.caught.first() {
            return Ok(self.abort("a party deviated", Some(evidence.clone())));
        }
        if self.local.session != Some(self.session) {
            if self.said.certified.contains_key(&self.me) {
                // This party's share was on disk before it signed; nothing of the session is needed any more.
                return Ok(self.certify());
            }
            return Ok(if self.said.commitments.contains_key(&self.me) {
                // C9: the seed shares were in the memory of a process that is gone.
                self.abort("this node was started again during the ceremony", None)
            } else {
                Step::Commit {
                    session: self.session,
                }
            });
        }
        if let Some(step) = self.seeds()? {
            return Ok(step);
        }
        for stage in STAGES {
            if let Some(step) = self.stage(stage)? {
                return Ok(step);
            }
        }
        if let Some(step) = self.self_test() {
            return Ok(step);
        }
        Ok(self.certify())
    }

    /// C2 to C4: commitments, shares, mask seed.
    fn seeds(&self) -> Result<Option<Step>, CodecError> {
        if let Some(wait) = self.wait_for(Phase::Seeds, &self.said.commitments) {
            return Ok(Some(wait));
        }
        let committee = self.roster.committee();
        for (party, said) in &self.said.commitments {
            if !said
                .commitments
                .iter()
                .map(|c| c.piece)
                .eq(committee.pieces_of(*party))
            {
                return Ok(Some(self.blame(
                    *party,
                    said.hash,
                    "did not commit to exactly the seeds of its pieces",
                )));
            }
        }
        let echo = self.said.echo(self.session)?;
        if !self.said.held.contains_key(&self.me) {
            let lacking = missing(self.roster, |party| {
                let shared = committee
                    .pieces_of(self.me)
                    .filter(|p| committee.holders(*p).contains(party));
                let received = shared
                    .into_iter()
                    .all(|piece| self.local.shares.contains(&(piece, party)));
                party == self.me || (received && self.local.confirmed.contains(&party))
            });
            return Ok(Some(match self.local.mask_share {
                Some(mask_reveal) if lacking.is_empty() => Step::State(Body::SeedsHeld {
                    session: self.session,
                    mask_reveal,
                    echo,
                }),
                _ => Step::ExchangeShares {
                    session: self.session,
                    with: lacking,
                },
            }));
        }
        if let Some(wait) = self.wait_for(Phase::Seeds, &self.said.held) {
            return Ok(Some(wait));
        }
        for (party, said) in &self.said.held {
            let committed = self.said.commitments.get(party).map(|c| c.mask);
            if committed != Some(mask_commitment(self.session, *party, &said.mask_reveal)?) {
                return Ok(Some(self.blame(
                    *party,
                    said.hash,
                    "revealed another mask share than it had committed to",
                )));
            }
            if said.echo != echo && *party != self.me {
                // Either lies, or a third party committed differently to both: then it has forked its feed.
                let mine = self
                    .said
                    .held
                    .get(&self.me)
                    .map_or(said.hash, |own| own.hash);
                let pair = Evidence::Pair {
                    statements: [mine, said.hash],
                    parties: [self.me, *party],
                };
                let what = format!("party {party} echoed other seed commitments");
                return Ok(Some(self.abort(&what, Some(pair))));
            }
        }
        if !self.local.begun {
            return Ok(Some(Step::Begin {
                session: self.session,
                mask_seed: self.said.mask_seed(self.session)?,
            }));
        }
        Ok(None)
    }

    /// C5 and C6: the vectors of a stage, from their commitment to the digest of what was opened.
    fn stage(&self, stage: StageName) -> Result<Option<Step>, CodecError> {
        let session = self.session;
        let nobody = BTreeMap::new();
        let committed = self.said.roots.get(&stage).unwrap_or(&nobody);
        if !committed.contains_key(&self.me) {
            return Ok(Some(match self.local.computed.get(&stage) {
                Some(roots) => Step::State(Body::StageCommitted {
                    session,
                    stage,
                    roots: roots.clone(),
                }),
                None => Step::Compute { session, stage },
            }));
        }
        if let Some(wait) = self.wait_for(Phase::Stage(stage), committed) {
            return Ok(Some(wait));
        }
        for (party, said) in committed {
            if !blame::names_own_groups(self.roster, stage, *party, &said.roots) {
                let what = "did not commit to the vectors of exactly its groups";
                return Ok(Some(self.blame(*party, said.hash, what)));
            }
        }
        let mut roots = Vec::new();
        for (index, group) in (0u16..).zip(family(self.roster, stage)) {
            let stated = |party: PartyId| {
                let said = committed.get(&party)?;
                Some((
                    party,
                    said.hash,
                    said.roots.iter().find(|root| root.group == index)?.digest,
                ))
            };
            let said: Vec<_> = group.iter().filter_map(stated).collect();
            let Some((first, hash, root)) = said.first().copied() else {
                continue;
            };
            if let Some((other, other_hash, _)) = said.iter().find(|(_, _, other)| *other != root) {
                let pair = Evidence::Pair {
                    statements: [hash, *other_hash],
                    parties: [first, *other],
                };
                return Ok(Some(self.abort(
                    "two members of a group stated different vectors",
                    Some(pair),
                )));
            }
            roots.push(root);
        }
        let opened = self.said.opened.get(&stage);
        let mine = opened.and_then(|opened| opened.get(&self.me));
        let Some((_, digest)) = mine.copied() else {
            return Ok(Some(match self.local.opened.get(&stage) {
                Some(digest) => Step::State(Body::StageOpened {
                    session,
                    stage,
                    digest: *digest,
                }),
                None => Step::Absorb {
                    session,
                    stage,
                    roots,
                },
            }));
        };
        let nobody = BTreeMap::new();
        let opened = opened.unwrap_or(&nobody);
        if let Some(wait) = self.wait_for(Phase::Stage(stage), opened) {
            return Ok(Some(wait));
        }
        Ok(self.differs(opened, &digest, "opened a stage to another digest"))
    }

    /// C7: the assembled key decrypts what was encrypted under it.
    fn self_test(&self) -> Option<Step> {
        let Some((squashed, pieces)) = &self.local.self_test else {
            return Some(Step::SelfTest {
                session: self.session,
            });
        };
        if !self.said.self_tests.contains_key(&self.me) {
            return Some(Step::State(Body::SelfTest {
                session: self.session,
                squashed: *squashed,
                pieces: pieces.clone(),
            }));
        }
        if let Some(wait) = self.wait_for(Phase::SelfTest, &self.said.self_tests) {
            return Some(wait);
        }
        let squashed_by_all: BTreeMap<PartyId, (Digest, Digest)> = self
            .said
            .self_tests
            .iter()
            .map(|(party, said)| (*party, (said.hash, said.squashed)))
            .collect();
        if let Some(step) = self.differs(
            &squashed_by_all,
            squashed,
            "squashed the self-test to other bytes",
        ) {
            return Some(step);
        }
        let mut values = BTreeMap::new();
        for piece in self.roster.committee().pieces().iter() {
            let mut said: Vec<(PartyId, Digest, Option<Vec<u128>>)> = Vec::new();
            for party in self.roster.committee().holders(*piece).iter() {
                let Some(test) = self.said.self_tests.get(&party) else {
                    continue;
                };
                let own = test
                    .pieces
                    .iter()
                    .find(|values| values.piece == *piece)
                    .and_then(PieceValues::unpack);
                said.push((party, test.hash, own));
            }
            let Some((first, hash, value)) = said.first().cloned() else {
                continue;
            };
            if let Some((other, other_hash, _)) = said.iter().find(|(_, _, other)| *other != value)
            {
                let pair = Evidence::Pair {
                    statements: [hash, *other_hash],
                    parties: [first, *other],
                };
                return Some(self.abort(
                    "two holders of a piece decrypted the self-test differently",
                    Some(pair),
                ));
            }
            values.insert(*piece, value.unwrap_or_default());
        }
        match self.local.self_test_right {
            None => Some(Step::CheckSelfTest {
                session: self.session,
                values,
            }),
            Some(false) => {
                let unsound = Evidence::Unsound {
                    session: self.session,
                };
                let what = "the key does not decrypt what was encrypted under it";
                Some(self.abort(what, Some(unsound)))
            }
            Some(true) => None,
        }
    }

    /// C8: all sign the same certificate.
    fn certify(&self) -> Step {
        let signed = &self.said.certified;
        let Some(mine) = signed.get(&self.me) else {
            let (Some((key, bytes)), Ok(mask_seed)) =
                (self.local.key, self.said.mask_seed(self.session))
            else {
                return self.abort("bug: the key was tested before it was assembled", None);
            };
            let committee = self.roster.committee();
            return Step::State(Body::KeyCertified {
                certificate: Certificate {
                    session: self.session,
                    previous: digest::ZERO,
                    roster: self.roster.digest(),
                    parameters: self.roster.parameters().to_owned(),
                    epoch: 0,
                    parties: committee.n(),
                    threshold: committee.t(),
                    security: committee.security(),
                    mask_seed,
                    key,
                    bytes,
                },
            });
        };
        let absent = missing(self.roster, |party| signed.contains_key(&party));
        // t+1 equal certificates name a liar alone; before they are there, only a pair could be named.
        let equal = signed.values().filter(|(_, digest)| *digest == mine.1);
        if (absent.is_empty() || equal.count() >= self.roster.equal_needed())
            && let Some(step) = self.differs(signed, &mine.1, "certified another key")
        {
            return step;
        }
        Step::Wait {
            phase: Phase::Certifying,
            missing: absent,
        }
    }

    fn wait_for<T>(&self, phase: Phase, said: &BTreeMap<PartyId, T>) -> Option<Step> {
        let missing = missing(self.roster, |party| said.contains_key(&party));
        (!missing.is_empty()).then_some(Step::Wait { phase, missing })
    }

    /// Names who states another digest than this party's: one party against t+1, or a pair of which one lies.
    fn differs(
        &self,
        said: &BTreeMap<PartyId, (Digest, Digest)>,
        mine: &Digest,
        what: &str,
    ) -> Option<Step> {
        let (other, (statement, _)) = said.iter().find(|(_, (_, digest))| digest != mine)?;
        let agreeing: Vec<Digest> = said
            .values()
            .filter(|(_, digest)| digest == mine)
            .map(|(hash, _)| *hash)
            .collect();
        let own = said.get(&self.me).map_or(*statement, |(hash, _)| *hash);
        let evidence = if agreeing.len() >= self.roster.equal_needed() {
            Evidence::Minority {
                party: *other,
                statement: *statement,
                majority: agreeing,
            }
        } else {
            Evidence::Pair {
                statements: [own, *statement],
                parties: [self.me, *other],
            }
        };
        Some(self.abort(&format!("party {other} {what}"), Some(evidence)))
    }

    fn blame(&self, party: PartyId, statement: Digest, what: &str) -> Step {
        let evidence = Evidence::CeremonyRule { party, statement };
        self.abort(&format!("party {party} {what}"), Some(evidence))
    }

    fn abort(&self, reason: &str, evidence: Option<Evidence>) -> Step {
        Step::State(Body::CeremonyAborted {
            session: self.session,
            reason: reason.to_owned(),
            evidence,
        })
    }

    /// Silence names who is missing, never a culprit (C10).
    fn lose_patience(&self, step: Step, now_ms: u64) -> Step {
        let waited = now_ms.saturating_sub(self.local.moved_ms);
        let absent = match &step {
            Step::Wait { missing, .. } => missing,
            Step::ExchangeShares { with, .. } => with,
            _ => return step,
        };
        let live = self.local.session == Some(self.session);
        // F4: what a party says after its feed has ended counts for nothing; nobody need wait for it.
        if let Some(ended) = absent
            .iter()
            .find(|party| self.fold.ended(**party).is_some())
            && live
        {
            let proof = self.fold.equivocations().find(|(party, ..)| party == ended);
            let evidence = proof.map(|(party, seq, proof)| proof.evidence(party, seq));
            return self.abort(&format!("party {ended}'s feed ended"), evidence);
        }
        if !live || waited <= self.local.patience_ms || absent.is_empty() {
            return step;
        }
        let names: Vec<String> = absent.iter().map(ToString::to_string).collect();
        self.abort(
            &format!("silent for {} s: party {}", waited / 1000, names.join(", ")),
            None,
        )
    }
}

fn missing(roster: &Roster, there: impl Fn(PartyId) -> bool) -> Vec<PartyId> {
    roster
        .members()
        .iter()
        .map(|member| member.party)
        .filter(|party| !there(*party))
        .collect()
}
