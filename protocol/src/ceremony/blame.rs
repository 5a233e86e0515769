//! Whose fault the end of an aborted session was, as far as signed statements show it (docs/spec/ceremony.md,
//! W3 to W6).
//!
//! Like [`super::step`], nothing here remembers: [`step`] says what a party still has to do about the sessions that
//! were given up, and [`verdicts`] what anyone can conclude who has the feeds, with or without a replay.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, SeedShare, SessionId, seed_commitment};

use super::replay::{self, Finding};
use super::session::{Published, Said, aborted, statements};
use super::{family, mask_commitment};
use crate::codec::CodecError;
use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::fold::Fold;
use crate::roster::Roster;
use crate::statement::{Body, GroupDigest, PieceValues, StageName, VerifiedStatement};

/// A statement that breaks a rule of its session: its author lies, whatever the others did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The author.
    pub party: PartyId,
    /// The statement's hash.
    pub statement: Digest,
    /// What is wrong.
    pub what: String,
}

/// What can be concluded about an aborted session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The party deviated; its own signed statement shows it.
    Culprit {
        /// The party.
        party: PartyId,
        /// The statement's hash.
        statement: Digest,
        /// What it says and what was expected.
        what: String,
    },
    /// One of the two lies, and nothing that was signed shows which.
    Pair {
        /// The two parties.
        parties: [PartyId; 2],
        /// What they contradict each other in.
        what: String,
    },
    /// Without these parties' seed shares the session cannot be replayed. They are missing, no culprits.
    Missing {
        /// Who has not published.
        parties: Vec<PartyId>,
    },
}

/// Whether evidence holds, as far as the feeds show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The statements that it names show what it says.
    Holds,
    /// The statements that it names show that it is made up.
    False,
    /// The feeds do not show it: it speaks of what only its author saw, or of statements that are not there.
    Unproven,
}

/// What a party holds of aborted sessions besides the fold.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// The session whose seed shares of its own this party still holds.
    pub held: Option<SessionId>,
    /// What replays showed, by session.
    pub replayed: Vec<(SessionId, Vec<Finding>)>,
}

/// What to do next about aborted sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// State this.
    State(Body),
    /// State [`Body::SeedsPublished`] with the shares of this session, and erase them.
    Publish {
        /// The session.
        session: SessionId,
    },
    /// Replay the session with [`replay::Replay::of`] and note the findings in [`Local::replayed`].
    Replay {
        /// The session.
        session: SessionId,
    },
}

/// What `me` has to do next about the sessions that were given up. Pure.
///
/// # Errors
/// [`CodecError`] never in practice.
pub fn step(fold: &Fold, me: PartyId, local: &Local) -> Result<Step, CodecError> {
    for session in aborted(fold) {
        let said = Said::of(fold, session);
        if said.certificate(fold).is_some() {
            continue;
        }
        let of_others = |fault: &Fault| fault.party != me;
        for fault in faults(fold, session, &said)?.into_iter().filter(of_others) {
            let evidence = Evidence::CeremonyRule {
                party: fault.party,
                statement: fault.statement,
            };
            if !stated(fold, &said, me, &evidence) {
                return Ok(Step::State(Body::Accusation { evidence }));
            }
        }
        if !is_disputed(fold, session, &said) {
            continue;
        }
        // W4: never by a party that certified the session's key; F5 refuses it as well.
        let free = !said.certified.contains_key(&me) && said.commitments.contains_key(&me);
        if free && local.held == Some(session) && !said.published.contains_key(&me) {
            return Ok(if said.aborted.contains_key(&me) {
                Step::Publish { session }
            } else {
                Step::State(Body::CeremonyAborted {
                    session,
                    reason: "another party gave the session up with evidence".to_owned(),
                    evidence: None,
                })
            });
        }
        let Some((_, findings)) = local.replayed.iter().find(|(of, _)| *of == session) else {
            let named = fold.facts().accusations.iter().any(|(author, evidence)| {
                *author == me
                    && matches!(evidence, Evidence::Replay { session: of, .. } if *of == session)
            });
            if !named && replay::Replay::of(fold, session).is_ok() {
                return Ok(Step::Replay { session });
            }
            continue;
        };
        for finding in findings.iter().filter(|finding| finding.party != me) {
            let evidence = finding.evidence(session);
            if !stated(fold, &said, me, &evidence) {
                return Ok(Step::State(Body::Accusation { evidence }));
            }
        }
    }
    Ok(Step::Rest)
}

/// Whether `me` stated this evidence in its feed already.
fn stated(fold: &Fold, said: &Said, me: PartyId, evidence: &Evidence) -> bool {
    let given_up = said.aborted.get(&me);
    given_up.is_some_and(|given_up| given_up.evidence.as_ref() == Some(evidence))
        || fold.facts().accusations.contains(&(me, evidence.clone()))
}

/// Whether only the seeds of a session that was given up can show whose fault it was.
///
/// A party's silence, its restart or its forked feed is no reason to publish anything (C10).
pub fn is_disputed(fold: &Fold, session: SessionId, said: &Said) -> bool {
    let evidence = said.aborted.values().filter_map(|a| a.evidence.as_ref());
    evidence
        .filter(|evidence| match evidence {
            Evidence::Pair { .. }
            | Evidence::Minority { .. }
            | Evidence::Claim { .. }
            | Evidence::Unsound { .. } => true,
            Evidence::Equivocation { .. }
            | Evidence::StudyRule { .. }
            | Evidence::Deposit { .. }
            | Evidence::CeremonyRule { .. }
            | Evidence::Replay { .. } => false,
        })
        .any(|evidence| standing(fold, session, said, evidence) != Standing::False)
}

/// The parties that committed to seed shares of a disputed session and have not published them.
pub fn missing(fold: &Fold, session: SessionId) -> Vec<PartyId> {
    let said = Said::of(fold, session);
    if !is_disputed(fold, session, &said) {
        return Vec::new();
    }
    let silent = said
        .commitments
        .keys()
        .filter(|party| !said.published.contains_key(party));
    silent.copied().collect()
}

/// What anyone can conclude about an aborted session from the feeds, and from a replay if there was one.
///
/// # Errors
/// [`CodecError`] never in practice.
pub fn verdicts(
    fold: &Fold,
    session: SessionId,
    replayed: Option<&[Finding]>,
) -> Result<Vec<Verdict>, CodecError> {
    let said = Said::of(fold, session);
    let faults = faults(fold, session, &said)?;
    let mut named: BTreeSet<PartyId> = faults.iter().map(|fault| fault.party).collect();
    let mut verdicts: Vec<Verdict> = faults
        .into_iter()
        .map(|fault| Verdict::Culprit {
            party: fault.party,
            statement: fault.statement,
            what: fault.what,
        })
        .collect();
    for finding in replayed.unwrap_or_default() {
        named.insert(finding.party);
        verdicts.push(Verdict::Culprit {
            party: finding.party,
            statement: finding.statement,
            what: finding.to_string(),
        });
    }
    let forked: Vec<PartyId> = fold.equivocations().map(|(party, ..)| party).collect();
    named.extend(&forked);
    let mut pairs = BTreeSet::new();
    for (author, given_up) in &said.aborted {
        let Some(evidence) = &given_up.evidence else {
            continue;
        };
        let holds = standing(fold, session, &said, evidence);
        match evidence {
            Evidence::Minority {
                party, statement, ..
            } if holds == Standing::Holds && named.insert(*party) => {
                verdicts.push(Verdict::Culprit {
                    party: *party,
                    statement: *statement,
                    what: "stated something else than t+1 others".to_owned(),
                });
            }
            // Different echoes also follow from a party that committed twice.
            Evidence::Pair {
                statements: [one, _],
                ..
            } if !forked.is_empty() && said.held.values().any(|held| held.hash == *one) => {}
            Evidence::Pair { parties, .. } if holds == Standing::Holds => {
                pairs.insert((*parties, given_up.reason.clone()));
            }
            // W5: only the two of them know what was sent.
            Evidence::Claim { party, what } if party != author => {
                pairs.insert((
                    [*author, *party],
                    format!("party {author}: party {party} {what}"),
                ));
            }
            _ => {}
        }
    }
    for (parties, what) in pairs {
        if !parties.iter().any(|party| named.contains(party)) {
            verdicts.push(Verdict::Pair { parties, what });
        }
    }
    let parties = missing(fold, session);
    if !parties.is_empty() {
        verdicts.push(Verdict::Missing { parties });
    }
    Ok(verdicts)
}

/// The statements of a session that break a rule of the ceremony whatever others said.
///
/// A wrong echo is none: another party may have shown its author a second commitment (F4).
///
/// # Errors
/// [`CodecError`] never in practice.
pub fn faults(fold: &Fold, session: SessionId, said: &Said) -> Result<Vec<Fault>, CodecError> {
    let roster = fold.founding();
    let committee = roster.committee();
    let mut faults = Vec::new();
    let mut fault = |party: PartyId, statement: Digest, what: &str| {
        faults.push(Fault {
            party,
            statement,
            what: what.to_owned(),
        });
    };
    for (party, own) in &said.commitments {
        let pieces = own.commitments.iter().map(|c| c.piece);
        if !pieces.eq(committee.pieces_of(*party)) {
            let what = "did not commit to exactly the seeds of its pieces";
            fault(*party, own.hash, what);
        }
    }
    for (party, held) in &said.held {
        if let Some(own) = said.commitments.get(party)
            && own.mask != mask_commitment(session, *party, &held.mask_reveal)?
        {
            let what = "revealed another mask share than it had committed to";
            fault(*party, held.hash, what);
        }
    }
    for (stage, roots) in &said.roots {
        for (party, own) in roots {
            if !names_own_groups(roster, *stage, *party, &own.roots) {
                let what = "did not commit to the vectors of exactly its groups";
                fault(*party, own.hash, what);
            }
        }
    }
    for (party, published) in &said.published {
        if let Some(what) = false_publication(said, session, *party, published)? {
            fault(*party, published.hash, &what);
        }
    }
    for (party, given_up) in &said.aborted {
        let made_up = given_up
            .evidence
            .as_ref()
            .is_some_and(|evidence| standing(fold, session, said, evidence) == Standing::False);
        if made_up {
            let what = "gave the session up with evidence that the statements it names refute";
            fault(*party, given_up.hash, what);
        }
    }
    Ok(faults)
}

/// Whether roots are of exactly a party's groups of a stage.
pub(super) fn names_own_groups(
    roster: &Roster,
    stage: StageName,
    party: PartyId,
    roots: &[GroupDigest],
) -> bool {
    let own = (0u16..)
        .zip(family(roster, stage))
        .filter(|(_, group)| group.contains(party))
        .map(|(index, _)| index);
    own.eq(roots.iter().map(|root| root.group))
}

/// Why published shares are not those that their author committed to, if they are not.
fn false_publication(
    said: &Said,
    session: SessionId,
    party: PartyId,
    published: &Published,
) -> Result<Option<String>, CodecError> {
    let Some(own) = said.commitments.get(&party) else {
        return Ok(Some("published seed shares without commitments".to_owned()));
    };
    for (share, committed) in published.shares.iter().zip(&own.commitments) {
        let opened = seed_commitment(
            &session,
            share.piece,
            party,
            &SeedShare::new(*share.share.as_bytes()),
        );
        if opened != committed.commitment {
            let what = "published another share than it had committed to";
            return Ok(Some(format!("{what} for the seed of the {}", share.piece)));
        }
    }
    let mask = mask_commitment(session, party, &published.mask)?;
    Ok((mask != own.mask)
        .then(|| "published another mask share than it had committed to".to_owned()))
}

/// Whether the evidence with which a session was given up holds.
pub fn standing(fold: &Fold, session: SessionId, said: &Said, evidence: &Evidence) -> Standing {
    let find = |hash: &Digest| statements(fold, session).find(|s| s.hash() == *hash);
    match evidence {
        Evidence::Pair {
            statements,
            parties,
        } => {
            let [Some(a), Some(b)] = statements.each_ref().map(find) else {
                return Standing::Unproven;
            };
            let theirs = [a.author(), b.author()] == *parties && a.author() != b.author();
            verdict(theirs && contradict(a, b))
        }
        Evidence::Minority {
            party,
            statement,
            majority,
        } => {
            let others: Option<Vec<_>> = majority.iter().map(find).collect();
            let (Some(one), Some(others)) = (find(statement), others) else {
                return Standing::Unproven;
            };
            // Echoes differ also where a third party committed twice.
            if matches!(one.body(), Body::SeedsHeld { .. }) {
                return Standing::Unproven;
            }
            // One of t+1 is honest, and nobody who follows the protocol contradicts it.
            let authors: BTreeSet<PartyId> = others.iter().map(|s| s.author()).collect();
            let enough = authors.len() >= fold.founding().equal_needed()
                && !authors.contains(party)
                && one.author() == *party;
            verdict(enough && others.iter().all(|other| contradict(one, other)))
        }
        Evidence::CeremonyRule { party, statement } => {
            // Evidence about evidence would lead round in circles.
            let without = Said {
                aborted: BTreeMap::new(),
                ..said.clone()
            };
            match (find(statement), faults(fold, session, &without)) {
                (Some(_), Ok(faults)) => verdict(
                    faults
                        .iter()
                        .any(|f| f.party == *party && f.statement == *statement),
                ),
                _ => Standing::Unproven,
            }
        }
        Evidence::Equivocation { party, .. } if fold.has_forked(*party) => Standing::Holds,
        _ => Standing::Unproven,
    }
}

fn verdict(holds: bool) -> Standing {
    if holds {
        Standing::Holds
    } else {
        Standing::False
    }
}

/// Whether two parties that follow the protocol cannot both have said this in one session.
fn contradict(a: &VerifiedStatement, b: &VerifiedStatement) -> bool {
    match (a.body(), b.body()) {
        (Body::SeedsHeld { echo: a, .. }, Body::SeedsHeld { echo: b, .. }) => a != b,
        (
            Body::StageCommitted {
                stage, roots: a, ..
            },
            Body::StageCommitted {
                stage: same,
                roots: b,
                ..
            },
        ) => {
            let differ = |root: &GroupDigest| {
                b.iter()
                    .any(|other| other.group == root.group && other.digest != root.digest)
            };
            stage == same && a.iter().any(differ)
        }
        (
            Body::StageOpened {
                stage, digest: a, ..
            },
            Body::StageOpened {
                stage: same,
                digest: b,
                ..
            },
        ) => stage == same && a != b,
        (
            Body::SelfTest {
                squashed,
                pieces: a,
                ..
            },
            Body::SelfTest {
                squashed: other,
                pieces: b,
                ..
            },
        ) => {
            let differ = |values: &PieceValues| {
                b.iter()
                    .any(|other| other.piece == values.piece && other.values != values.values)
            };
            squashed != other || a.iter().any(differ)
        }
        (Body::KeyCertified { certificate: a }, Body::KeyCertified { certificate: b }) => a != b,
        _ => false,
    }
}
