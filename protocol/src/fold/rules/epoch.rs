//! What a party may say of a change of the sharing after what it has said of it (N6).

use organtwin_threshold::PartyId;

use super::{Checked, MAX_LISTED, RuleBroken, ascending, holds, own_pieces, text};
use crate::certificate::Certificate;
use crate::digest;
use crate::epoch::{ChangeKind, EpochChange};
use crate::fold::facts::{ChangeFacts, Facts, SessionSteps};
use crate::roster::{MAX_ROSTER_BYTES, Roster};
use crate::statement::{Body, MAX_REASON_BYTES, Statement};

/// The change that a statement is a step of, if its author approved it.
pub(super) fn own_change<'a>(
    facts: &'a Facts,
    author: PartyId,
    body: &Body,
) -> Option<&'a ChangeFacts> {
    let session = match body {
        Body::SeedCommitted { session, .. }
        | Body::SeedsHeld { session, .. }
        | Body::StageCommitted { session, .. }
        | Body::StageOpened { session, .. }
        | Body::SelfTest { session, .. }
        | Body::CeremonyAborted { session, .. }
        | Body::SeedsPublished { session, .. }
        | Body::EpochOffered { session, .. }
        | Body::EpochAborted { session, .. } => session,
        Body::KeyCertified { certificate } => &certificate.session,
        _ => return None,
    };
    let change = facts.change(session)?;
    change.approvals.contains_key(&author).then_some(change)
}

/// One attempt after the other: a later one only after the earlier one from the same certificate was given up.
pub(super) fn approved(facts: &Facts, statement: &Statement, change: &EpochChange) -> Checked {
    let author = statement.author;
    holds(
        change.epoch > 0,
        RuleBroken::Epoch("expected a number above 0"),
    )?;
    let unsound = RuleBroken::Epoch("its roster is unsound");
    let roster = Roster::later(change.roster.clone()).map_err(|_| unsound.clone())?;
    let bytes = roster.encode().map_err(|_| unsound.clone())?.len();
    holds(bytes <= MAX_ROSTER_BYTES, unsound)?;
    let renewed = change.kind == ChangeKind::Recovered(author) && statement.epoch >= change.epoch;
    for earlier in facts.changes_of(author) {
        let before = earlier.approvals.get(&author).map_or(0, |said| said.epoch);
        // What was said under a key that is given up does not bind the new one.
        if renewed && before < earlier.change.epoch {
            continue;
        }
        holds(
            earlier.change != *change,
            RuleBroken::Already("its approval of this change"),
        )?;
        holds(
            earlier.change.epoch < change.epoch,
            RuleBroken::Epoch("expected a number above those of the author's earlier changes"),
        )?;
        holds(
            earlier.change.from != change.from || earlier.aborted.contains_key(&author),
            RuleBroken::Epoch("expected the author to give its earlier change up first"),
        )?;
    }
    Ok(())
}

/// A step of a change that the author approved.
pub(super) fn step(facts: &Facts, change: &ChangeFacts, statement: &Statement) -> Checked {
    let author = statement.author;
    let aborted = change.aborted.contains_key(&author);
    if let Body::EpochAborted { reason, .. } = &statement.body {
        text(reason, "the reason", MAX_REASON_BYTES)?;
        return holds(!aborted, RuleBroken::Already("that it gave this change up"));
    }
    holds(!aborted, RuleBroken::Epoch("the author gave it up"))?;
    if let Body::EpochOffered { pieces, .. } = &statement.body {
        ascending(pieces.iter().map(|p| p.piece), "pieces", MAX_LISTED)?;
        return holds(
            !change.offers.contains_key(&author),
            RuleBroken::Already("its offer"),
        );
    }
    let committee = change.roster.committee();
    let said = facts.steps.get(&(author, change.session));
    let once = |what, already: fn(&SessionSteps) -> bool| {
        holds(!said.is_some_and(already), RuleBroken::Already(what))
    };
    holds(
        change.roster.member(author).is_some(),
        RuleBroken::Epoch("the author is no new member"),
    )?;
    match &statement.body {
        Body::SeedCommitted {
            commitments, mask, ..
        } => {
            once("its seed commitments", |s| s.committed.is_some())?;
            holds(
                commitments
                    .iter()
                    .map(|c| c.piece)
                    .eq(committee.pieces_of(author))
                    && *mask == digest::ZERO,
                RuleBroken::Epoch(
                    "expected one commitment per new piece of the author, and no mask",
                ),
            )
        }
        Body::SeedsHeld { mask_reveal, .. } => {
            once("that it holds the seeds", |s| s.held)?;
            holds(
                *mask_reveal == digest::ZERO,
                RuleBroken::Epoch("expected no mask"),
            )
        }
        Body::SelfTest { pieces, .. } => {
            once("its self-test", |s| s.tested)?;
            own_pieces(committee, author, pieces).map(|_| ())
        }
        Body::KeyCertified { certificate } => {
            fits(change, certificate)?;
            holds(
                !facts.certified.contains_key(&(author, change.session)),
                RuleBroken::Already("a certificate of this session"),
            )
        }
        _ => Err(RuleBroken::Epoch("this belongs to a ceremony")),
    }
}

fn fits(change: &ChangeFacts, certificate: &Certificate) -> Checked {
    let roster = &change.roster;
    let fits = [
        (certificate.epoch == change.change.epoch, "epoch"),
        (certificate.previous == change.change.from, "predecessor"),
        (certificate.roster == roster.digest(), "digest"),
        (
            certificate.parameters == roster.parameters(),
            "parameter set",
        ),
        (
            usize::from(certificate.parties) == roster.parties(),
            "number of parties",
        ),
        (
            usize::from(certificate.threshold) == roster.threshold(),
            "threshold",
        ),
        (
            certificate.security == roster.committee().security(),
            "security",
        ),
    ];
    fits.into_iter()
        .try_for_each(|(fits, what)| holds(fits, RuleBroken::Certificate(what)))
}
