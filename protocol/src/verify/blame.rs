//! What the feeds show of ceremonies that were given up: who deviated, after a replay where there can be one.

use organtwin_threshold::{PartyId, SessionId};

use super::{Report, Verdict as Line, short};
use crate::ceremony::blame::{self, Verdict};
use crate::ceremony::replay::{Finding, NotReplayable, Replay};
use crate::ceremony::{Said, aborted};
use crate::evidence::Evidence;
use crate::fold::Fold;

/// One line for every session that somebody gave up. A deviation that was caught passes and names the party.
pub(super) fn check(fold: &Fold, report: &mut Report) {
    for session in aborted(fold) {
        let name: String = session.to_string().chars().take(12).collect();
        report.check(
            format!("aborted ceremony {name}"),
            session_line(fold, session),
        );
    }
}

fn session_line(fold: &Fold, session: SessionId) -> Line {
    let said = Said::of(fold, session);
    let published: Vec<PartyId> = said.published.keys().copied().collect();
    let mut line = format!("given up by party {}", list(said.aborted.keys()));
    if said.certificate(fold).is_some() {
        // F5 keeps the two apart: whoever published never signed, so not all have signed.
        return if published.is_empty() {
            Ok(format!(
                "{line}, but all parties certified its key, which stands"
            ))
        } else {
            Err(format!(
                "party {} published seeds of a session whose key is certified",
                list(published.iter())
            )
            .into())
        };
    }
    let mut replayed = None;
    if blame::is_disputed(fold, session, &said) {
        match Replay::of(fold, session) {
            Ok(replay) => match replay.run(&|_, _| true) {
                Ok(findings) => {
                    line += "; replayed from all parties' published seeds";
                    replayed = Some(findings);
                }
                Err(error) => line += &format!("; {error}"),
            },
            // Who is missing or at fault is a verdict below.
            Err(NotReplayable::Missing(_) | NotReplayable::Fault(_)) => {}
            Err(reason) => line += &format!("; not replayed: {reason}"),
        }
    }
    let verdicts =
        blame::verdicts(fold, session, replayed.as_deref()).map_err(|error| error.to_string())?;
    for verdict in &verdicts {
        line += "; ";
        line += &match verdict {
            Verdict::Culprit {
                party,
                statement,
                what,
            } => format!(
                "party {party} deviated (statement {}): {what}",
                short(statement)
            ),
            Verdict::Pair { parties, what } => {
                format!("one of parties {} lies: {what}", list(parties.iter()))
            }
            Verdict::Missing { parties } => {
                format!(
                    "the seed shares of party {} are missing",
                    list(parties.iter())
                )
            }
        };
    }
    if let Some(findings) = &replayed {
        for (accuser, accused) in false_accusations(fold, session, findings) {
            line += &format!("; party {accuser} accused party {accused} falsely");
        }
    }
    Ok(line)
}

/// Accusations by replay that the replay does not bear out.
fn false_accusations(
    fold: &Fold,
    session: SessionId,
    findings: &[Finding],
) -> Vec<(PartyId, PartyId)> {
    let accusations = fold.facts().accusations.iter();
    accusations
        .filter_map(|(author, evidence)| match evidence {
            Evidence::Replay {
                session: of,
                party,
                statement,
            } if *of == session => {
                let found = findings
                    .iter()
                    .any(|f| f.party == *party && f.statement == *statement);
                (!found).then_some((*author, *party))
            }
            _ => None,
        })
        .collect()
}

fn list<'a>(parties: impl Iterator<Item = &'a PartyId>) -> String {
    let names: Vec<String> = parties.map(ToString::to_string).collect();
    names.join(", ")
}
