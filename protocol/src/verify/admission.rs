//! What the feeds must show of the checks of deposited twins (docs/spec/admission.md, 9).

use std::collections::BTreeMap;

use organtwin_threshold::PartyId;

use super::{Fault, Report, Verdict, statement};
use crate::admission::{self, Admission};
use crate::fold::Fold;
use crate::study::{self, Study};
use crate::twin::TwinList;

/// Sums all checks again; deposits that were refused do no harm, since no study may contain them.
pub(super) fn check(fold: &Fold, report: &mut Report) {
    report.check("admission", Ok(summary(fold)));
}

fn summary(fold: &Fold) -> String {
    let (mut admitted, mut waiting) = (0usize, 0usize);
    let mut refused: BTreeMap<PartyId, usize> = BTreeMap::new();
    let mut disputed: BTreeMap<[PartyId; 2], usize> = BTreeMap::new();
    for deposit in fold.facts().deposits.values() {
        match admission::tally(fold, deposit).verdict {
            Admission::Admitted => admitted += 1,
            Admission::Waiting(_) => waiting += 1,
            Admission::Refused => *refused.entry(deposit.twin.depositor).or_default() += 1,
            Admission::Disputed(pair) => *disputed.entry(pair).or_default() += 1,
        }
    }
    let mut text =
        format!("{admitted} deposited twins admitted: the values of all groups sum to 0");
    if waiting > 0 {
        text += &format!("; {waiting} not settled");
    }
    for (party, count) in refused {
        text += &format!("; refused: {count} of party {party}");
    }
    for ([a, b], count) in disputed {
        text += &format!("; {count} disputed, party {a} or {b} lies");
    }
    text
}

/// Every twin of the study must have been admitted as of the feed heads that its manifest names.
pub(super) fn of_study(study: &Study<'_>, list: &TwinList) -> Verdict {
    let fold = study.fold();
    for twin in list.twins() {
        let (depositor, id) = (twin.depositor, twin.id);
        study::admitted_as_of(fold, study.manifest, twin).map_err(|why| Fault {
            what: format!("twin {id} of party {depositor}: {why}"),
            statement: fold
                .facts()
                .deposits
                .get(&(depositor, id))
                .and_then(|deposit| statement(fold, depositor, deposit.seq)),
        })?;
    }
    Ok(format!(
        "each of the {} twins was admitted before the study was proposed",
        list.twins().len()
    ))
}
