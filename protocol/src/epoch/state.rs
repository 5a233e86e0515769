//! What a party has to do next in a change of the sharing (docs/spec/statements.md, N6 to N9).

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId, SessionId};

use super::{PieceDigest, check};
use crate::ceremony::Said;
use crate::certificate::Certificate;
use crate::codec::CodecError;
use crate::digest::{self, Digest};
use crate::evidence::Evidence;
use crate::fold::{ChangeFacts, Fold, joined};
use crate::statement::{Body, PieceValues};

/// What a party holds of a change besides the fold: digests of its secrets' consequences, never secrets.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// The session whose seed shares this process drew; another one's are lost.
    pub session: Option<SessionId>,
    /// Seed shares received that match their commitments.
    pub shares: BTreeSet<(PieceId, PartyId)>,
    /// Parties that confirmed this party's seed shares.
    pub confirmed: BTreeSet<PartyId>,
    /// What this party offers of its old pieces, ascending, and for which session, once computed.
    pub offer: Option<(SessionId, Vec<PieceDigest>)>,
    /// The session of which a parcel of every old piece was received.
    pub collected: Option<SessionId>,
    /// The session whose new share is sealed on this party's disk; survives a restart.
    pub sealed: Option<SessionId>,
    /// This party's decryption of the self-test.
    pub self_test: Option<(Digest, Vec<PieceValues>)>,
    /// Whether the self-test's accepted values decrypted to what was encrypted.
    pub self_test_right: Option<bool>,
    /// What this party caught that leaves no way on: a seed share that does not match its commitment.
    pub caught: Vec<Evidence>,
    /// Parcels that did not match what was accepted; another holder was asked.
    pub wrong_parcels: Vec<Evidence>,
    /// When the change last moved, by this party's clock, in milliseconds.
    pub moved_ms: u64,
    /// How long a silent party is waited for, in milliseconds.
    pub patience_ms: u64,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: this party has approved no change.
    Idle,
    /// Wait for these parties.
    Wait {
        /// What for.
        phase: Phase,
        /// Who is missing.
        missing: Vec<PartyId>,
    },
    /// Draw one seed share per new piece and state [`Body::SeedCommitted`] without a mask.
    Commit {
        /// The session.
        session: SessionId,
    },
    /// Send these parties the seed shares of the new pieces that both hold, and wait for theirs.
    ExchangeShares {
        /// The session.
        session: SessionId,
        /// Who has not confirmed ours or not sent theirs.
        with: Vec<PartyId>,
    },
    /// Cut the old pieces for the new members and put their digests into [`Local::offer`].
    Offer {
        /// The session.
        session: SessionId,
    },
    /// State this.
    State(Body),
    /// Fetch a parcel of every old piece from one of these holders, checked against the accepted digest.
    Collect {
        /// The session.
        session: SessionId,
        /// The accepted digest of every old piece, and who states it.
        accepted: BTreeMap<PieceId, (Digest, Vec<PartyId>)>,
    },
    /// Add the parcels up under the new seeds, seal the new share on the disk and mark it in [`Local::sealed`].
    Combine {
        /// The session.
        session: SessionId,
    },
    /// Encrypt known values under the public key, squash and decrypt them partially with the new share.
    SelfTest {
        /// The session.
        session: SessionId,
    },
    /// Recombine these accepted values in the new committee and compare them with the known ones.
    CheckSelfTest {
        /// The session.
        session: SessionId,
        /// The values of every new piece.
        values: BTreeMap<PieceId, Vec<u128>>,
    },
    /// All new members certified: use the new share, erase the old one and the old live seeds.
    Done {
        /// The certificate.
        certificate: Certificate,
    },
    /// The change was given up. A sealed new share stays until a later epoch is certified if this party signed
    /// its certificate, and is erased otherwise.
    Aborted {
        /// The epoch that was not reached.
        epoch: u32,
        /// The session.
        session: SessionId,
        /// Who gave it up first, by number.
        by: PartyId,
        /// Why.
        reason: String,
    },
}

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for approvals.
    Agreeing,
    /// Exchanging the new seed shares.
    Seeds,
    /// Waiting for the old holders' digests.
    Offers,
    /// Testing the new shares.
    SelfTest,
    /// Collecting signatures under the certificate.
    Certifying,
}

/// What `me` has to do next in the last change that it approved. Pure.
///
/// # Errors
/// [`CodecError`] only if something has no encoding, which is a bug.
pub fn step(fold: &Fold, me: PartyId, now_ms: u64, local: &Local) -> Result<Step, CodecError> {
    let changes = fold.facts().changes_of(me);
    let Some(change) = changes.max_by_key(|change| change.change.epoch) else {
        return Ok(Step::Idle);
    };
    let said = Said::of(fold, change.session);
    let view = View {
        fold,
        me,
        change,
        said: &said,
        local,
        member: change.roster.member(me).is_some(),
    };
    if view.member && !joined(change, me) {
        // The number's former key approved; the party itself has not yet.
        return Ok(Step::Idle);
    }
    // N9: a certificate that all new members signed stands, whatever anyone says of the change afterwards.
    if let Some(certificate) = view.standing() {
        return Ok(Step::Done { certificate });
    }
    if let Some((by, reason)) = view.given_up() {
        if !change.aborted.contains_key(&me) {
            return Ok(view.abort(&format!("party {by} gave it up"), None));
        }
        return Ok(Step::Aborted {
            epoch: change.change.epoch,
            session: change.session,
            by,
            reason,
        });
    }
    let step = view.next()?;
    Ok(view.lose_patience(step, now_ms))
}

/// Whether a party may be given the parcels of a change: it is one of the new members, and all of them agreed.
pub fn may_collect(fold: &Fold, session: &SessionId, party: PartyId) -> bool {
    fold.facts().change(session).is_some_and(|change| {
        fold.is_agreed(change) && change.roster.member(party).is_some() && change.aborted.is_empty()
    })
}

struct View<'a> {
    fold: &'a Fold,
    me: PartyId,
    change: &'a ChangeFacts,
    said: &'a Said,
    local: &'a Local,
    /// Whether this party is a new member.
    member: bool,
}

impl View<'_> {
    fn standing(&self) -> Option<Certificate> {
        let facts = self.fold.facts();
        let all = self.said.certified.values().map(|(_, digest)| digest);
        let mut standing = all.filter(|digest| self.fold.is_certified(digest));
        let certificate = facts.certificates.get(standing.next()?)?;
        Some(certificate.certificate.clone())
    }

    /// A new member that gave the change up, or this party itself; or the change that overtook it.
    fn given_up(&self) -> Option<(PartyId, String)> {
        let counts =
            |party: PartyId| party == self.me || self.change.roster.member(party).is_some();
        let aborted = self.change.aborted.iter();
        if let Some((by, reason)) = aborted.into_iter().find(|(party, _)| counts(**party)) {
            return Some((*by, reason.clone()));
        }
        let mut certificates = self.fold.facts().certificates.iter();
        let overtaken = certificates.find(|(digest, other)| {
            other.certificate.previous == self.change.change.from && self.fold.is_certified(digest)
        });
        let (_, other) = overtaken?;
        let by = other.signers.keys().next().copied().unwrap_or(self.me);
        let reason = format!("epoch {} was certified instead", other.certificate.epoch);
        Some((by, reason))
    }

    fn next(&self) -> Result<Step, CodecError> {
        if !self.fold.is_agreed(self.change) {
            let missing = check::agreement(self.fold, self.change);
            let mut missing: Vec<PartyId> = missing.old.into_iter().chain(missing.new).collect();
            missing.sort_unstable();
            missing.dedup();
            return Ok(Step::Wait {
                phase: Phase::Agreeing,
                missing,
            });
        }
        if let Some(evidence) = self.local.caught.first() {
            return Ok(self.abort("a new member deviated", Some(evidence.clone())));
        }
        let accusations = &self.fold.facts().accusations;
        let mut wrong = self.local.wrong_parcels.iter();
        if let Some(evidence) = wrong.find(|e| !accusations.contains(&(self.me, (*e).clone()))) {
            let evidence = evidence.clone();
            return Ok(Step::State(Body::Accusation { evidence }));
        }
        if let Some(step) = self.seeds()? {
            return Ok(step);
        }
        if let Some(step) = self.offer() {
            return Ok(step);
        }
        if !self.member {
            return Ok(self.wait(Phase::Certifying, |party| {
                self.said.certified.contains_key(&party)
            }));
        }
        if let Some(step) = self.collect() {
            return Ok(step);
        }
        if let Some(step) = self.self_test() {
            return Ok(step);
        }
        self.certify()
    }

    /// Whether this party has its new share already, so that it needs nothing of the exchange any more.
    fn sealed(&self) -> bool {
        self.local.sealed == Some(self.change.session)
    }

    /// The new members' seeds, as in the ceremony but without a mask (C2 to C4).
    fn seeds(&self) -> Result<Option<Step>, CodecError> {
        let (session, committee) = (self.change.session, self.change.roster.committee());
        if self.sealed() {
            return Ok(None);
        }
        let ours = self.local.session == Some(session);
        let committed = self.said.commitments.contains_key(&self.me);
        if self.member && !ours {
            return Ok(Some(if committed {
                self.abort("this node was started again during the change", None)
            } else {
                Step::Commit { session }
            }));
        }
        let wait = self.wait_for_all(&self.said.commitments);
        if wait.is_some() {
            return Ok(wait);
        }
        let echo = self.said.echo(session)?;
        if self.member && !self.said.held.contains_key(&self.me) {
            let lacking = self.missing(|party| {
                let mut shared = committee
                    .pieces_of(self.me)
                    .filter(|p| committee.holders(*p).contains(party));
                let received = shared.all(|p| self.local.shares.contains(&(p, party)));
                party == self.me || (received && self.local.confirmed.contains(&party))
            });
            return Ok(Some(if lacking.is_empty() {
                Step::State(Body::SeedsHeld {
                    session,
                    mask_reveal: digest::ZERO,
                    echo,
                })
            } else {
                Step::ExchangeShares {
                    session,
                    with: lacking,
                }
            }));
        }
        let wait = self.wait_for_all(&self.said.held);
        if wait.is_some() {
            return Ok(wait);
        }
        let other = self.said.held.iter().find(|(_, said)| said.echo != echo);
        if let Some((party, _)) = other.filter(|_| self.member) {
            let evidence = Evidence::Claim {
                party: *party,
                what: "echoed other seed commitments than those received here".to_owned(),
            };
            return Ok(Some(
                self.abort(&format!("party {party} deviated"), Some(evidence)),
            ));
        }
        Ok(None)
    }

    /// Old holders state what they give, once the new members' seeds stand.
    fn offer(&self) -> Option<Step> {
        let session = self.change.session;
        let old = check::old_roster(self.fold, self.change)?;
        let lost = self.member && self.change.change.excused() == Some(self.me);
        if old.member(self.me).is_none() || lost || self.change.offers.contains_key(&self.me) {
            return None;
        }
        Some(match &self.local.offer {
            Some((of, pieces)) if *of == session => Step::State(Body::EpochOffered {
                session,
                pieces: pieces.clone(),
            }),
            _ => Step::Offer { session },
        })
    }

    fn collect(&self) -> Option<Step> {
        if self.sealed() {
            return None;
        }
        let session = self.change.session;
        let tally = check::offers(self.fold, self.change);
        if !tally.complete {
            if tally.pair.is_some() {
                return Some(self.abort("two old holders contradict each other", tally.pair));
            }
            if tally.missing.is_empty() {
                return Some(self.abort("the old holders left pieces out of their offers", None));
            }
            return Some(Step::Wait {
                phase: Phase::Offers,
                missing: tally.missing,
            });
        }
        Some(if self.local.collected == Some(session) {
            Step::Combine { session }
        } else {
            Step::Collect {
                session,
                accepted: tally.accepted,
            }
        })
    }

    /// N8: the new shares decrypt what was encrypted under the old key, before anyone certifies them.
    fn self_test(&self) -> Option<Step> {
        let session = self.change.session;
        let Some(mine) = self.said.self_tests.get(&self.me) else {
            return Some(match &self.local.self_test {
                None => Step::SelfTest { session },
                Some((squashed, pieces)) => Step::State(Body::SelfTest {
                    session,
                    squashed: *squashed,
                    pieces: pieces.clone(),
                }),
            });
        };
        let silent = self.missing(|party| self.said.self_tests.contains_key(&party));
        if !silent.is_empty() {
            return Some(Step::Wait {
                phase: Phase::SelfTest,
                missing: silent,
            });
        }
        let tests = &self.said.self_tests;
        let squashed = tests
            .iter()
            .map(|(party, said)| (said.squashed, *party, said.hash));
        if let Some(evidence) = self.disagree(squashed, &mine.squashed) {
            return Some(self.abort(
                "the self-test was squashed to different bytes",
                Some(evidence),
            ));
        }
        let mut values = BTreeMap::new();
        for piece in self.change.roster.committee().pieces() {
            let stated: Vec<(Vec<u128>, PartyId, Digest)> = tests
                .iter()
                .filter_map(|(party, said)| {
                    let own = said.pieces.iter().find(|values| values.piece == *piece)?;
                    Some((own.unpack()?, *party, said.hash))
                })
                .collect();
            let Some((first, ..)) = stated.first().cloned() else {
                continue;
            };
            if let Some(evidence) = self.disagree(stated.into_iter(), &first) {
                return Some(self.abort(
                    "the new holders of a piece decrypted the self-test differently",
                    Some(evidence),
                ));
            }
            values.insert(*piece, first);
        }
        match self.local.self_test_right {
            None => Some(Step::CheckSelfTest { session, values }),
            Some(false) => {
                Some(self.abort("the new shares do not decrypt what the key encrypted", None))
            }
            Some(true) => None,
        }
    }

    /// N9: all new members sign the next certificate of the same key.
    fn certify(&self) -> Result<Step, CodecError> {
        let Some((_, mine)) = self.said.certified.get(&self.me) else {
            let from = self.fold.facts().certificates.get(&self.change.change.from);
            return Ok(match from {
                Some(from) => Step::State(Body::KeyCertified {
                    certificate: self.certificate(&from.certificate),
                }),
                None => self.abort(
                    "bug: the certificate that the change starts from is gone",
                    None,
                ),
            });
        };
        let signed = self.said.certified.iter();
        let signed = signed.map(|(party, (hash, digest))| (*digest, *party, *hash));
        if let Some(evidence) = self.disagree(signed, mine) {
            return Ok(self.abort("another key was certified", Some(evidence)));
        }
        Ok(self.wait(Phase::Certifying, |party| {
            self.said.certified.contains_key(&party)
        }))
    }

    fn certificate(&self, previous: &Certificate) -> Certificate {
        let roster = &self.change.roster;
        let committee = roster.committee();
        Certificate {
            session: self.change.session,
            previous: self.change.change.from,
            roster: roster.digest(),
            epoch: self.change.change.epoch,
            parties: committee.n(),
            threshold: committee.t(),
            security: committee.security(),
            ..previous.clone()
        }
    }

    /// Evidence when values that must be equal are not: against one, if t+1 others agree, else against a pair.
    fn disagree<V: Ord + Clone>(
        &self,
        said: impl Iterator<Item = (V, PartyId, Digest)>,
        mine: &V,
    ) -> Option<Evidence> {
        let said = crate::tally::collect(said);
        if said.len() < 2 {
            return None;
        }
        let needed = self.change.roster.equal_needed();
        let settled = crate::tally::settled(&said, needed);
        let named = settled.map(|value| crate::tally::minority(&said, &value));
        named
            .and_then(|evidence| evidence.into_iter().next())
            .or_else(|| crate::tally::pair_with(&said, mine))
    }

    fn missing(&self, there: impl Fn(PartyId) -> bool) -> Vec<PartyId> {
        let parties = self.change.roster.numbers();
        parties.filter(|party| !there(*party)).collect()
    }

    fn wait(&self, phase: Phase, there: impl Fn(PartyId) -> bool) -> Step {
        Step::Wait {
            phase,
            missing: self.missing(there),
        }
    }

    fn wait_for_all<T>(&self, said: &BTreeMap<PartyId, T>) -> Option<Step> {
        let missing = self.missing(|party| said.contains_key(&party));
        (!missing.is_empty()).then_some(Step::Wait {
            phase: Phase::Seeds,
            missing,
        })
    }

    fn abort(&self, reason: &str, evidence: Option<Evidence>) -> Step {
        Step::State(Body::EpochAborted {
            session: self.change.session,
            reason: reason.to_owned(),
            evidence,
        })
    }

    /// Silence names who is missing, never a culprit. Operators may take their time to approve, and who has
    /// certified waits for the others' signatures.
    fn lose_patience(&self, step: Step, now_ms: u64) -> Step {
        let waited = now_ms.saturating_sub(self.local.moved_ms);
        let absent = match &step {
            Step::Wait {
                phase: Phase::Seeds | Phase::Offers | Phase::SelfTest,
                missing,
            } => missing,
            Step::ExchangeShares { with, .. } => with,
            _ => return step,
        };
        let live = self.sealed() || self.local.session == Some(self.change.session);
        if !self.member || !live || waited <= self.local.patience_ms || absent.is_empty() {
            return step;
        }
        let names: Vec<String> = absent.iter().map(ToString::to_string).collect();
        self.abort(
            &format!("silent for {} s: party {}", waited / 1000, names.join(", ")),
            None,
        )
    }
}
