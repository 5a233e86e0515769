//! What a party may say in a session of the key ceremony after what it has said in it (F5, W4).

use organtwin_threshold::{PartyId, SessionId};

use super::{Checked, MAX_LISTED, RuleBroken, ascending, holds, own_pieces, text};
use crate::fold::facts::{Facts, SessionSteps};
use crate::roster::Roster;
use crate::statement::{Body, MAX_REASON_BYTES};

/// Each step of a session is said once, so that no party can flood the others with a session's statements.
pub(super) fn check(founding: &Roster, facts: &Facts, author: PartyId, body: &Body) -> Checked {
    let said = |session: &SessionId| facts.steps.get(&(author, *session));
    let once = |session: &SessionId, what, already: fn(&SessionSteps) -> bool| {
        holds(
            !said(session).is_some_and(already),
            RuleBroken::Already(what),
        )
    };
    match body {
        Body::CeremonyJoined { attempt, .. } => holds(
            facts
                .latest_attempt
                .get(&author)
                .is_none_or(|latest| attempt > latest),
            RuleBroken::Already("that it joins this attempt or a later one"),
        ),
        Body::SeedCommitted {
            session,
            commitments,
            ..
        } => {
            once(session, "its seed commitments", |s| s.committed.is_some())?;
            ascending(
                commitments.iter().map(|c| c.piece),
                "commitments",
                MAX_LISTED,
            )
        }
        Body::SeedsHeld { session, .. } => once(session, "that it holds the seeds", |s| s.held),
        Body::StageCommitted {
            session,
            stage,
            roots,
        } => {
            let already = said(session).is_some_and(|s| s.roots.contains(stage));
            holds(!already, RuleBroken::Already("its vectors of this stage"))?;
            // A family need not cover all parties: one that is in no group of the stage commits to nothing.
            if roots.is_empty() {
                return Ok(());
            }
            ascending(roots.iter().map(|r| r.group), "groups", MAX_LISTED)
        }
        Body::StageOpened { session, stage, .. } => {
            let already = said(session).is_some_and(|s| s.opened.contains(stage));
            holds(!already, RuleBroken::Already("what this stage opened"))
        }
        Body::SelfTest {
            session, pieces, ..
        } => {
            once(session, "its self-test", |s| s.tested)?;
            own_pieces(founding.committee(), author, pieces).map(|_| ())
        }
        Body::CeremonyAborted {
            session, reason, ..
        } => {
            once(session, "that it gave this session up", |s| s.aborted)?;
            text(reason, "the reason", MAX_REASON_BYTES)
        }
        Body::SeedsPublished {
            session, shares, ..
        } => {
            let said = said(session).ok_or(RuleBroken::Published("of a session of the author"))?;
            let pieces = match &said.committed {
                // The seeds of a later epoch belong to a key that is in use.
                Some((0, pieces)) => pieces,
                _ => return Err(RuleBroken::Published("of a ceremony's session")),
            };
            holds(
                said.aborted,
                RuleBroken::Published("after the author gave the session up"),
            )?;
            holds(
                !said.published,
                RuleBroken::Already("its seed shares of this session"),
            )?;
            holds(
                !facts.certified.contains_key(&(author, *session)),
                RuleBroken::Published("by parties that did not certify the session's key"),
            )?;
            holds(
                shares.iter().map(|s| s.piece).eq(pieces.iter().copied()),
                RuleBroken::Published("of exactly the pieces that the author committed to"),
            )
        }
        _ => Ok(()),
    }
}

/// A party certifies a session's key once, and never after it published its seed shares.
pub(super) fn certifiable(facts: &Facts, author: PartyId, session: SessionId) -> Checked {
    holds(
        !facts.certified.contains_key(&(author, session)),
        RuleBroken::Already("a certificate of this session"),
    )?;
    let published = facts
        .steps
        .get(&(author, session))
        .is_some_and(|said| said.published);
    holds(!published, RuleBroken::Burnt)
}

#[cfg(test)]
mod tests;
