//! What the statements must show by themselves: form, signatures, order, rules, forks, and that nothing named is missing.

use std::collections::BTreeSet;

use super::{Fault, Report, Verdict, short};
use crate::codec;
use crate::feed::FeedHead;
use crate::fold::{Admitted, Fold, Refusal};
use crate::log::{Entry, Tree};
use crate::statement::{Body, MAX_STATEMENT_BYTES, SignedStatement, Statement, VerifiedStatement};
use crate::transcript::{LoggedFork, Transcript};

/// Replays what was accepted into the fold and checks what it shows; returns the leaves of the log.
pub(super) fn check(transcript: &Transcript, fold: &mut Fold, report: &mut Report) -> Tree {
    let mut replay = Replay {
        fold,
        tree: Tree::default(),
        leaves: BTreeSet::new(),
    };
    let (signatures, feeds, forks) = replay.run(transcript);
    let Replay { tree, leaves, .. } = replay;
    report.check("signatures", signatures);
    report.check("feeds", feeds);
    report.check("forks", forks);
    report.check("references", references(transcript, fold, &leaves));
    report.check("roster", roster_signed(fold));
    tree
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

/// The exporting party's acceptance, done once more.
struct Replay<'a> {
    fold: &'a mut Fold,
    tree: Tree,
    leaves: BTreeSet<FeedHead>,
}

impl Replay<'_> {
    /// Every statement must be signed by its author and extend its feed at once, within the rules; every fork must be
    /// proven where the log has it.
    fn run(&mut self, transcript: &Transcript) -> (Verdict, Verdict, Verdict) {
        let unread = || Err("not read to the end, since a line above failed".into());
        let mut forks = transcript.equivocations.iter().peekable();
        let mut named = Vec::new();
        for (index, signed) in transcript.statements.iter().enumerate() {
            while let Some(fork) = forks.next_if(|fork| fork.at == self.tree.head().size) {
                match self.fork(fork) {
                    Ok(name) => named.push(name),
                    Err(fault) => return (signed_so_far(index), unread(), Err(fault)),
                }
            }
            let fault = |what: String| {
                let what = format!("statement {index} of the file ({}): {what}", signed.hash());
                Err(Fault {
                    what,
                    statement: claimed(signed),
                })
            };
            match self.fold.admit(signed.clone()) {
                Ok(Admitted::Extended(hashes)) if hashes.len() == 1 => {}
                Ok(_) => {
                    let what = "expected the next one of its feed, got one out of order or twice";
                    return (signed_so_far(index), fault(what.to_owned()), unread());
                }
                Err(Refusal::Statement(wrong)) => {
                    return (fault(wrong.to_string()), unread(), unread());
                }
                Err(refusal) => {
                    return (signed_so_far(index), fault(refusal.to_string()), unread());
                }
            }
            let head = self.extended(signed);
            self.leaves.extend(head);
            self.tree.push(signed.hash());
        }
        let count = transcript.statements.len();
        for fork in forks {
            match self.fork(fork) {
                Ok(name) => named.push(name),
                Err(fault) => return (signed_so_far(count), unread(), Err(fault)),
            }
        }
        let feeds = format!("{count} statements: each the next of its feed, within the rules");
        let named = match named.is_empty() {
            true => "none".to_owned(),
            false => named.join("; "),
        };
        (signed_so_far(count), Ok(feeds), Ok(named))
    }

    /// The place of a statement that has just extended its feed.
    fn extended(&self, signed: &SignedStatement) -> Option<FeedHead> {
        let mut ends = self
            .fold
            .parties()
            .filter_map(|party| self.fold.feed(party).last());
        ends.find(|end| end.signed() == signed)
            .map(VerifiedStatement::head)
    }

    /// A fork is proven by two statements; the feed of its party ends before.
    fn fork(&mut self, fork: &LoggedFork) -> Result<String, Fault> {
        let fault = |what: &str| Fault {
            what: what.to_owned(),
            statement: claimed(&fork.proof.first),
        };
        if fork.at != self.tree.head().size {
            return Err(fault(
                "a proof of equivocation stands at no place of the log",
            ));
        }
        let verified = fork.proof.verify(self.fold);
        let (party, seq) =
            verified.ok_or_else(|| fault("a proof of equivocation does not hold"))?;
        // Either may be the one that the feed holds already.
        let statements = [&fork.proof.first, &fork.proof.second];
        let admitted = statements.map(|signed| self.fold.admit(signed.clone()));
        let new = |admitted: &_| matches!(admitted, Err(Refusal::Equivocation { .. }));
        if !admitted.iter().any(new) || !self.fold.has_forked(party) {
            return Err(fault("a proof of equivocation tells nothing new"));
        }
        self.tree
            .push(Entry::Fork(Box::new(fork.proof.clone())).leaf());
        Ok(format!(
            "party {party} signed two statements under number {seq}"
        ))
    }
}

fn signed_so_far(count: usize) -> Verdict {
    Ok(format!(
        "{count} statements: strictly encoded, of this consortium, signed by their authors"
    ))
}

/// Every feed head that the file or a statement names must be there.
fn references(transcript: &Transcript, fold: &Fold, accepted: &BTreeSet<FeedHead>) -> Verdict {
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
            if !accepted.contains(head) {
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
