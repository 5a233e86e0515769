//! What the feeds and files must show of the twins: how they came in, and that withdrawn ones stayed out.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::PartyId;

use super::opened::named;
use super::{Fault, Report, Verdict, short, statement};
use crate::evidence::Evidence;
use crate::feed::FeedHead;
use crate::fold::Fold;
use crate::statement::{Batch, Body};
use crate::study::Study;
use crate::tally::{self, BatchTally};
use crate::transcript::Transcript;
use crate::twin::{TwinId, TwinList};

/// Checks deposits, then withdrawals.
pub(super) fn check(transcript: &Transcript, fold: &Fold, report: &mut Report) {
    report.check("deposits", deposits(transcript, fold));
    report.check("withdrawals", withdrawals(transcript, fold));
}

/// Every twin of a study must have come through an input mask whose vectors were accepted. Deposits and receipts that
/// no study relies on do no harm and name their party.
fn deposits(transcript: &Transcript, fold: &Fold) -> Verdict {
    let facts = fold.facts();
    let tallies: BTreeMap<Batch, BatchTally> = facts
        .batches
        .keys()
        .map(|batch| (*batch, tally::batch(fold, batch)))
        .collect();
    let complete = |batch: &Batch| tallies.get(batch).is_some_and(|tally| tally.complete);
    let mut used = BTreeSet::new();
    for files in &transcript.studies {
        let Ok(list) = TwinList::decode(files.twins.as_slice()) else {
            return Err(
                format!("the twin list of study {} does not decode", files.manifest).into(),
            );
        };
        for twin in list.twins() {
            let (depositor, id) = (twin.depositor, twin.id);
            let Some(deposit) = facts.deposits.get(&(depositor, id)) else {
                let what = format!(
                    "study {} contains twin {id} of party {depositor}, which was never deposited",
                    short(&files.manifest)
                );
                return Err(what.into());
            };
            if used.insert((depositor, id)) && !complete(&deposit.batch) {
                let what = format!(
                    "twin {id} of party {depositor} uses input batch {}, of which not every group's vector was accepted",
                    deposit.batch.number
                );
                return Err(Fault {
                    what,
                    statement: statement(fold, depositor, deposit.seq),
                });
            }
        }
    }
    let evidence: Vec<Evidence> = tallies.into_values().flat_map(|t| t.evidence).collect();
    let deposited: BTreeSet<_> = facts.deposits.values().map(|d| d.twin.digest).collect();
    let unknown = facts.receipts.keys().filter(|t| !deposited.contains(*t));
    let unknown = match unknown.count() {
        0 => String::new(),
        count => format!("; {count} receipts of twins that nobody deposited"),
    };
    Ok(format!(
        "{} twins deposited, {} of them in studies, each through accepted input masks and with slots of its own{unknown}{}",
        facts.deposits.len(),
        used.len(),
        named(&evidence)
    ))
}

/// No study that came after a withdrawal may contain the twin, and nobody who knew of it may have decrypted.
///
/// A study comes after a withdrawal if its manifest's feed heads, or anything that its proposer had said before,
/// show that the withdrawal was known.
fn withdrawals(transcript: &Transcript, fold: &Fold) -> Verdict {
    let withdrawn = &fold.facts().withdrawals;
    let (mut lists, mut earlier) = (0usize, 0usize);
    for files in &transcript.studies {
        let Some(study) = Study::find(fold, &files.manifest) else {
            continue;
        };
        let Ok(list) = TwinList::decode(files.twins.as_slice()) else {
            return Err(format!("the twin list of study {} does not decode", study.id).into());
        };
        lists += 1;
        let mut contained = false;
        for twin in list.twins() {
            let Some(seq) = withdrawn.get(&(twin.depositor, twin.id)) else {
                continue;
            };
            contained = true;
            outside(fold, &study, twin.depositor, twin.id, *seq)?;
        }
        earlier += usize::from(contained);
    }
    Ok(if withdrawn.is_empty() {
        "no twin was withdrawn".to_owned()
    } else {
        format!(
            "{} twins withdrawn; of {lists} studies none that came after contains one, {earlier} that came before",
            withdrawn.len()
        )
    })
}

fn outside(
    fold: &Fold,
    study: &Study<'_>,
    depositor: PartyId,
    twin: TwinId,
    seq: u64,
) -> Result<(), Fault> {
    let withdrawal = statement(fold, depositor, seq);
    let fault = |what: String| Fault {
        what: format!(
            "twin {twin} of party {depositor} was withdrawn by its statement {seq}, yet {what}"
        ),
        statement: withdrawal,
    };
    let covers = |feeds: &[FeedHead]| {
        feeds
            .iter()
            .any(|head| head.party == depositor && head.seq >= seq)
    };
    let proposed = study.facts.proposal.as_ref().map_or(0, |p| p.seq);
    let proposer = study.manifest.proposer;
    let before = fold
        .feed(proposer)
        .iter()
        .take_while(|s| s.seq() < proposed);
    let knew = (proposer == depositor && seq < proposed)
        || covers(&study.manifest.feeds)
        || before.into_iter().any(|said| match said.body() {
            Body::StudyProposed { manifest } => covers(&manifest.feeds),
            Body::PartialDecryption { feeds, .. } | Body::ResultReleased { feeds, .. } => {
                covers(feeds)
            }
            _ => false,
        });
    if knew {
        return Err(fault(format!(
            "study {}, proposed after that, contains it",
            short(&study.id)
        )));
    }
    for (party, partials) in &study.facts.partials {
        let knew = partials
            .iter()
            .any(|p| covers(&p.feeds) || (*party == depositor && seq < p.seq));
        if knew {
            return Err(fault(format!(
                "party {party}, which knew, decrypted study {} with it",
                short(&study.id)
            )));
        }
    }
    Ok(())
}
