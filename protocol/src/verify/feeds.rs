//! What the statements must show by themselves: form, signatures, order, rules, forks, and that nothing named is missing.

use std::collections::BTreeSet;

use super::{Fault, Report, Verdict, short};
use crate::codec;
use crate::feed::FeedHead;
use crate::fold::{Admitted, Fold, Knowledge, Refusal};
use crate::statement::{Body, MAX_STATEMENT_BYTES, SignedStatement, Statement, StatementError};
use crate::transcript::Transcript;

/// Replays the statements into the fold and checks what they show.
pub(super) fn check(transcript: &Transcript, fold: &mut Fold, report: &mut Report) {
    let (signatures, feeds) = replay(transcript, fold);
    report.check("signatures", signatures);
    report.check("feeds", feeds);
    report.check("forks", forks(transcript, fold));
    report.check("references", references(transcript, fold));
    report.check("roster", roster_signed(fold));
}

/// Which statement some bytes claim to be.
fn claimed(signed: &SignedStatement) -> Option<FeedHead> {
    let statement: Statement = codec::decode(signed.bytes.as_slice(), MAX_STATEMENT_BYTES).ok()?;
    Some(FeedHead {
        party: statement.author,
        seq: statement.seq,
        hash: signed.hash(),
    })
}

/// Every statement must be signed by its author and extend its feed at once, within the rules.
fn replay(transcript: &Transcript, fold: &mut Fold) -> (Verdict, Verdict) {
    let unread = || Err("not read to the end, since a statement is not what it claims".into());
    // A feed waits for its turn while others' approvals of the epoch that it names are still to come.
    let mut turns: Vec<(usize, &SignedStatement)> =
        transcript.statements.iter().enumerate().collect();
    while !turns.is_empty() {
        let (mut later, mut blocked) = (Vec::new(), BTreeSet::new());
        let mut refused = None;
        let before = turns.len();
        for (index, signed) in turns {
            let author = || claimed(signed).map(|head| head.party);
            if !blocked.is_empty() && blocked.contains(&author()) {
                later.push((index, signed));
                continue;
            }
            let fault = |what: String| {
                let what = format!("statement {index} of the file ({}): {what}", signed.hash());
                Err(Fault {
                    what,
                    statement: claimed(signed),
                })
            };
            match fold.admit(signed.clone()) {
                Ok(Admitted::Extended(hashes)) if hashes.len() == 1 => {}
                Ok(_) => {
                    let what = "expected the next one of its feed, got one out of order or twice";
                    return (signed_so_far(index), fault(what.to_owned()));
                }
                Err(Refusal::Statement(wrong @ StatementError::UnknownEpoch { .. })) => {
                    refused.get_or_insert(fault(wrong.to_string()));
                    blocked.insert(author());
                    later.push((index, signed));
                }
                Err(Refusal::Statement(wrong)) => return (fault(wrong.to_string()), unread()),
                Err(refusal) => return (signed_so_far(index), fault(refusal.to_string())),
            }
        }
        if let (Some(refused), true) = (refused, later.len() == before) {
            return (refused, unread());
        }
        turns = later;
    }
    let out_of_order = fold
        .statements()
        .zip(&transcript.statements)
        .find(|(sorted, given)| sorted.signed() != *given);
    if let Some((sorted, _)) = out_of_order {
        let what = "expected the statements in the order of author and number";
        return (
            signed_so_far(transcript.statements.len()),
            Err(Fault::of(sorted.head(), what)),
        );
    }
    (
        signed_so_far(transcript.statements.len()),
        Ok(format!(
            "{} statements: each the next of its feed, within the rules",
            transcript.statements.len()
        )),
    )
}

fn signed_so_far(count: usize) -> Verdict {
    Ok(format!(
        "{count} statements: strictly encoded, of this consortium, signed by their authors"
    ))
}

/// A fork is proven by two statements; the feed of its party ends before.
fn forks(transcript: &Transcript, fold: &Fold) -> Verdict {
    let mut named = Vec::new();
    let mut previous = None;
    for proof in &transcript.equivocations {
        let (party, seq) = proof.verify(fold).ok_or_else(|| Fault {
            what: "a proof of equivocation does not hold".to_owned(),
            statement: claimed(&proof.first),
        })?;
        if previous.is_some_and(|previous| previous >= party)
            || seq != fold.feed(party).len() as u64
        {
            let what = format!(
                "expected one proof per party, for the statement at which its feed ends, got one for statement {seq} of party {party}"
            );
            return Err(Fault {
                what,
                statement: claimed(&proof.first),
            });
        }
        previous = Some(party);
        named.push(format!(
            "party {party} signed two statements under number {seq}"
        ));
    }
    Ok(if named.is_empty() {
        "none".to_owned()
    } else {
        named.join("; ")
    })
}

/// Every feed head that the file or a statement names must be there.
fn references(transcript: &Transcript, fold: &Fold) -> Verdict {
    if fold.heads() != transcript.heads {
        let what =
            "the feeds do not end where the transcript says: statements are missing or too many";
        return Err(what.into());
    }
    let mut named = 0;
    for statement in fold.statements() {
        let heads = match statement.body() {
            Body::StudyProposed { manifest } => &manifest.feeds,
            Body::PartialDecryption { feeds, .. } | Body::ResultReleased { feeds, .. } => feeds,
            _ => continue,
        };
        for head in heads {
            named += 1;
            if fold.knows(head) != Knowledge::Known {
                let what = format!(
                    "party {}'s statement {} refers to statement {} of party {}, which is not in the transcript",
                    statement.author(),
                    statement.seq(),
                    head.seq,
                    head.party
                );
                return Err(Fault::of(statement.head(), what));
            }
        }
    }
    Ok(format!(
        "{} feeds, {named} references into them found",
        fold.heads().len()
    ))
}

fn roster_signed(fold: &Fold) -> Verdict {
    let roster = fold.founding();
    let missing: Vec<String> = roster
        .members()
        .iter()
        .filter(|m| !fold.facts().roster_signed.contains_key(&m.party))
        .map(|m| m.party.to_string())
        .collect();
    if missing.is_empty() {
        Ok(format!(
            "all {} parties signed roster {}",
            roster.parties(),
            short(&roster.digest())
        ))
    } else {
        Err(format!(
            "expected the signatures of all parties under the roster, missing: {}",
            missing.join(", ")
        )
        .into())
    }
}
