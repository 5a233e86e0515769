//! What the feeds must show of the key ceremony behind a certificate.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId, SessionId};

use super::{Fault, Report, Verdict, short};
use crate::digest::Digest;
use crate::feed::FeedHead;
use crate::fold::Fold;
use crate::roster::Roster;
use crate::statement::{Body, PieceCommitment, PieceValues, StageName};

/// A value that parties state, with the statement of each.
type Stated<V> = BTreeMap<PartyId, (V, FeedHead)>;

/// The statements of one session, by author.
#[derive(Default)]
struct Session<'a> {
    commitments: Stated<&'a [PieceCommitment]>,
    echoes: Stated<Digest>,
    roots: BTreeMap<(StageName, u16), Stated<Digest>>,
    opened: BTreeMap<StageName, Stated<Digest>>,
    squashed: Stated<Digest>,
    self_tests: Stated<&'a [PieceValues]>,
}

impl<'a> Session<'a> {
    fn of(fold: &'a Fold, wanted: SessionId) -> Self {
        let mut all = Self::default();
        for statement in fold.statements() {
            let (author, head) = (statement.author(), statement.head());
            match statement.body() {
                Body::SeedCommitted {
                    session,
                    commitments,
                    ..
                } if *session == wanted => {
                    all.commitments.insert(author, (commitments, head));
                }
                Body::SeedsHeld { session, echo, .. } if *session == wanted => {
                    all.echoes.insert(author, (*echo, head));
                }
                Body::StageCommitted {
                    session,
                    stage,
                    roots,
                } if *session == wanted => {
                    for root in roots {
                        let of_group = all.roots.entry((*stage, root.group)).or_default();
                        of_group.insert(author, (root.digest, head));
                    }
                }
                Body::StageOpened {
                    session,
                    stage,
                    digest,
                } if *session == wanted => {
                    let of_stage = all.opened.entry(*stage).or_default();
                    of_stage.insert(author, (*digest, head));
                }
                Body::SelfTest {
                    session,
                    squashed,
                    pieces,
                } if *session == wanted => {
                    all.squashed.insert(author, (*squashed, head));
                    all.self_tests.insert(author, (pieces, head));
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
        if facts.certificate.epoch > 0 || facts.signers.len() < fold.founding().parties() {
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
        let what = "expected a key certificate signed by all parties, got none";
        report.check("certificate", Err(what.into()));
    }
}

/// Every step of a session: complete, and equal where parties must agree.
fn steps(fold: &Fold, session: SessionId) -> Verdict {
    let roster = fold.founding();
    let said = Session::of(fold, session);
    for (party, (commitments, head)) in &said.commitments {
        let pieces = roster.committee().pieces_of(*party);
        if !commitments.iter().map(|c| c.piece).eq(pieces) {
            let what = format!("party {party} did not commit to exactly its pieces' seeds");
            return Err(Fault::of(*head, what));
        }
    }
    all_said(roster, "seed commitments", said.commitments.keys())?;
    all_equal(roster, "echo of the seed commitments", &said.echoes)?;
    for stage in [StageName::Bits, StageName::Products, StageName::Rows] {
        let opened = said.opened.get(&stage);
        let what = format!("digest of the opened stage {stage:?}");
        all_equal(roster, &what, opened.unwrap_or(&BTreeMap::new()))?;
    }
    for ((stage, group), roots) in &said.roots {
        if let Some(head) = odd_one(roots) {
            let what =
                format!("the members of group {group} state different vectors in stage {stage:?}");
            return Err(Fault::of(head, what));
        }
    }
    all_equal(roster, "self-test", &said.squashed)?;
    let mut values: BTreeMap<PieceId, Stated<&PieceValues>> = BTreeMap::new();
    for (party, (pieces, head)) in &said.self_tests {
        for piece in *pieces {
            let of_piece = values.entry(piece.piece).or_default();
            of_piece.insert(*party, (piece, *head));
        }
    }
    for (piece, stated) in &values {
        if let Some(head) = odd_one(stated) {
            let what = format!("the holders of the {piece} decrypted the self-test differently");
            return Err(Fault::of(head, what));
        }
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
) -> Result<(), Fault> {
    let said: BTreeSet<&PartyId> = parties.collect();
    match roster.members().iter().find(|m| !said.contains(&m.party)) {
        Some(member) => Err(format!(
            "expected the {what} of all parties, party {}'s is missing",
            member.party
        )
        .into()),
        None => Ok(()),
    }
}

fn all_equal(roster: &Roster, what: &str, said: &Stated<Digest>) -> Result<(), Fault> {
    all_said(roster, what, said.keys())?;
    match odd_one(said) {
        None => Ok(()),
        Some(head) => Err(Fault::of(
            head,
            format!("expected one {what} of all parties, got different ones"),
        )),
    }
}

/// A statement of the value that the fewest parties state, where they state several.
fn odd_one<V: Ord>(said: &Stated<V>) -> Option<FeedHead> {
    let mut by_value: BTreeMap<&V, Vec<FeedHead>> = BTreeMap::new();
    for (value, head) in said.values() {
        by_value.entry(value).or_default().push(*head);
    }
    if by_value.len() < 2 {
        return None;
    }
    let fewest = by_value.into_values().min_by_key(Vec::len)?;
    fewest.first().copied()
}
