//! What the feeds must show of the key ceremony behind a certificate.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId, SessionId};

use super::{Report, short};
use crate::digest::Digest;
use crate::fold::Fold;
use crate::roster::Roster;
use crate::statement::{Body, PieceCommitment, PieceValues, StageName};

/// The statements of one session, by author.
#[derive(Default)]
struct Session<'a> {
    commitments: BTreeMap<PartyId, &'a [PieceCommitment]>,
    echoes: BTreeMap<PartyId, Digest>,
    roots: BTreeMap<(StageName, u16), BTreeMap<PartyId, Digest>>,
    opened: BTreeMap<StageName, BTreeMap<PartyId, Digest>>,
    self_tests: BTreeMap<PartyId, (Digest, &'a [PieceValues])>,
}

impl<'a> Session<'a> {
    fn of(fold: &'a Fold, wanted: SessionId) -> Self {
        let mut all = Self::default();
        for statement in fold.statements() {
            let author = statement.author();
            match statement.body() {
                Body::SeedCommitted {
                    session,
                    commitments,
                    ..
                } if *session == wanted => {
                    all.commitments.insert(author, commitments);
                }
                Body::SeedsHeld { session, echo, .. } if *session == wanted => {
                    all.echoes.insert(author, *echo);
                }
                Body::StageCommitted {
                    session,
                    stage,
                    roots,
                } if *session == wanted => {
                    for root in roots {
                        all.roots
                            .entry((*stage, root.group))
                            .or_default()
                            .insert(author, root.digest);
                    }
                }
                Body::StageOpened {
                    session,
                    stage,
                    digest,
                } if *session == wanted => {
                    all.opened
                        .entry(*stage)
                        .or_default()
                        .insert(author, *digest);
                }
                Body::SelfTest {
                    session,
                    squashed,
                    pieces,
                } if *session == wanted => {
                    all.self_tests.insert(author, (*squashed, pieces));
                }
                _ => {}
            }
        }
        all
    }
}

/// Checks every certificate that all parties signed, and that every study's is among them.
pub(super) fn check(fold: &Fold, report: &mut Report) {
    let mut certified = 0;
    for (digest, facts) in &fold.facts().certificates {
        if facts.signers.len() < fold.roster().parties() {
            continue;
        }
        certified += 1;
        let session = facts.certificate.session;
        let detail = format!(
            "key {} certified by all {} parties for t = {}, {:?} security",
            short(&facts.certificate.key),
            facts.signers.len(),
            facts.certificate.threshold,
            facts.certificate.security
        );
        report.check(format!("certificate {}", short(digest)), Ok(detail));
        report.check(
            format!("ceremony of certificate {}", short(digest)),
            steps(fold, session),
        );
    }
    if certified == 0 {
        report.check(
            "certificate",
            Err("expected a key certificate signed by all parties, got none".to_owned()),
        );
    }
}

/// Every step of a session: complete, and equal where parties must agree.
fn steps(fold: &Fold, session: SessionId) -> Result<String, String> {
    let roster = fold.roster();
    let said = Session::of(fold, session);
    for (party, commitments) in &said.commitments {
        let pieces = roster.committee().pieces_of(*party);
        if !commitments.iter().map(|c| c.piece).eq(pieces) {
            return Err(format!(
                "party {party} did not commit to exactly its pieces' seeds"
            ));
        }
    }
    all_said(roster, "seed commitments", said.commitments.keys())?;
    all_equal(roster, "echo of the seed commitments", &said.echoes)?;
    for stage in [StageName::Bits, StageName::Products, StageName::Rows] {
        all_equal(
            roster,
            "digest of an opened stage",
            said.opened.get(&stage).unwrap_or(&BTreeMap::new()),
        )?;
    }
    for ((stage, group), roots) in &said.roots {
        let values: BTreeSet<&Digest> = roots.values().collect();
        if values.len() != 1 {
            return Err(format!(
                "the members of group {group} state different vectors in stage {stage:?}"
            ));
        }
    }
    let squashed: BTreeMap<PartyId, Digest> = said
        .self_tests
        .iter()
        .map(|(p, (digest, _))| (*p, *digest))
        .collect();
    all_equal(roster, "self-test", &squashed)?;
    let mut values: BTreeMap<PieceId, BTreeSet<&PieceValues>> = BTreeMap::new();
    for piece in said
        .self_tests
        .values()
        .flat_map(|(_, pieces)| pieces.iter())
    {
        values.entry(piece.piece).or_default().insert(piece);
    }
    if let Some((piece, _)) = values.iter().find(|(_, values)| values.len() != 1) {
        return Err(format!(
            "the holders of the {piece} decrypted the self-test differently"
        ));
    }
    Ok(
        "seeds, bits, products, rows and self-test: stated by all, equal where they must be"
            .to_owned(),
    )
}

fn all_said<'a>(
    roster: &Roster,
    what: &str,
    parties: impl Iterator<Item = &'a PartyId>,
) -> Result<(), String> {
    let said: BTreeSet<&PartyId> = parties.collect();
    match roster.members().iter().find(|m| !said.contains(&m.party)) {
        Some(member) => Err(format!(
            "expected the {what} of all parties, party {}'s is missing",
            member.party
        )),
        None => Ok(()),
    }
}

fn all_equal(roster: &Roster, what: &str, said: &BTreeMap<PartyId, Digest>) -> Result<(), String> {
    all_said(roster, what, said.keys())?;
    let values: BTreeSet<&Digest> = said.values().collect();
    if values.len() == 1 {
        Ok(())
    } else {
        Err(format!(
            "expected one {what} of all parties, got {}",
            values.len()
        ))
    }
}
