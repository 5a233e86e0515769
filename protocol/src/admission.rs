//! Admission: which deposited twins count, by the values that their checks stated (docs/spec/admission.md, 9).
//!
//! Every party states, for each group of the quadratic family that it is a member of, what the group opens of a
//! twin. The depositor knows all of it and states the values of all groups. A group's value counts when t+1 of
//! those who can compute it state the same: one of them is honest. A twin is admitted when all groups' values sum
//! to 0, and refused for ever when they sum to anything else, which proves its depositor wrong.

use std::collections::BTreeMap;

use organtwin_threshold::admission::VALUE_BYTES;
use organtwin_threshold::{AdmissionValue, Family, PartyId};

use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::fold::{Deposit, Fold};
use crate::roster::Roster;
use crate::statement::MAX_STATEMENT_BYTES;
use crate::tally::{Said, minority, pair, settled};
use crate::twin::MAX_TWINS_PER_STATEMENT;

#[cfg(test)]
mod tests;

/// What a party states of one twin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The values of its groups in the family's order; of all groups if the depositor states them.
    pub values: Vec<AdmissionValue>,
    /// The epoch of the statement; only that of the batch's own counts.
    pub epoch: u32,
    /// The hash of the statement.
    pub hash: Digest,
    /// Its number in the author's feed.
    pub seq: u64,
}

/// Where a twin stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Values are missing that these parties could state.
    Waiting(Vec<PartyId>),
    /// All groups' values sum to 0.
    Admitted,
    /// All groups' values are settled and do not sum to 0: no encoder makes such a twin.
    Refused,
    /// These two state different values of a group, and nobody is left to decide; the depositor can deposit anew.
    Disputed([PartyId; 2]),
}

/// The verdict on a twin, with the evidence that came up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionTally {
    /// Where the twin stands.
    pub verdict: Admission,
    /// Against the depositor of a refused twin, those who stated other values than the settled ones, and pairs of
    /// which one lies.
    pub evidence: Vec<Evidence>,
}

/// The positions of the groups that a party checks deposits with.
pub fn own_groups(roster: &Roster, party: PartyId) -> impl Iterator<Item = usize> {
    let family = roster.committee().family(Family::Quad);
    family
        .iter()
        .enumerate()
        .filter(move |(_, group)| group.contains(party))
        .map(|(index, _)| index)
}

/// The number of groups that check deposits.
pub fn all_groups(roster: &Roster) -> usize {
    roster.committee().family(Family::Quad).len()
}

/// How many twins one statement can carry for so many groups; at least 1.
pub fn twins_per_statement(groups: usize) -> usize {
    // Fixed fields fit in 1 KiB; every twin has its name, its values and 40 bytes around them.
    let room = MAX_STATEMENT_BYTES.saturating_sub(1024);
    (room / (VALUE_BYTES * groups + 56)).clamp(1, MAX_TWINS_PER_STATEMENT)
}

/// Writes the values of a twin for a statement.
pub fn pack(values: &[AdmissionValue]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_bytes()).collect()
}

/// Reads the values of a twin; nothing unless they are whole.
pub fn unpack(bytes: &[u8]) -> Option<Vec<AdmissionValue>> {
    let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
    rest.is_empty()
        .then(|| values.iter().map(AdmissionValue::from_bytes).collect())
}

/// Tallies a twin by all that was said.
pub fn tally(fold: &Fold, deposit: &Deposit) -> AdmissionTally {
    tally_known(fold, deposit, |_, _| true)
}

/// Tallies a twin by the statements that are `known`: those of a party up to a number in its feed.
pub(crate) fn tally_known(
    fold: &Fold,
    deposit: &Deposit,
    known: impl Fn(PartyId, u64) -> bool,
) -> AdmissionTally {
    let Some(roster) = fold.roster_at(deposit.batch.epoch) else {
        return AdmissionTally {
            verdict: Admission::Waiting(Vec::new()),
            evidence: Vec::new(),
        };
    };
    let family = roster.committee().family(Family::Quad);
    let depositor = deposit.twin.depositor;
    let stated: BTreeMap<PartyId, &Checked> = fold
        .facts()
        .checks
        .get(&(deposit.statement, deposit.twin.id))
        .into_iter()
        .flatten()
        .filter(|(party, checked)| {
            checked.epoch == deposit.batch.epoch && known(**party, checked.seq)
        })
        .map(|(party, checked)| (*party, checked))
        .collect();
    let mut sum = AdmissionValue::default();
    let mut evidence = Vec::new();
    let mut missing = Vec::new();
    let mut disputed = None;
    // How many groups each party was asked about so far: where its next value stands.
    let mut position: BTreeMap<PartyId, usize> = BTreeMap::new();
    for (index, group) in family.iter().enumerate() {
        let mut said: Said<AdmissionValue> = Said::new();
        let mut silent = Vec::new();
        for party in group.with(depositor).iter() {
            let member = group.contains(party);
            let at = position.entry(party).or_default();
            let (own, next) = (*at, *at + usize::from(member));
            *at = next;
            let value = stated.get(&party).and_then(|checked| {
                let all = party == depositor && checked.values.len() == family.len();
                let place = if all {
                    Some(index)
                } else {
                    member.then_some(own)
                };
                Some((*checked.values.get(place?)?, checked.hash))
            });
            match value {
                Some((value, hash)) => {
                    said.entry(value).or_default().insert(party, hash);
                }
                None if member || !stated.contains_key(&party) => silent.push(party),
                None => {}
            }
        }
        let agreed = if roster.needs_all() {
            // The depositor may contradict, but not speak for a member.
            let spoken = group.iter().all(|member| !silent.contains(&member));
            settled(&said, 1).filter(|_| spoken)
        } else {
            settled(&said, roster.equal_needed())
        };
        if let Some(value) = agreed {
            sum = sum.plus(value);
            evidence.extend(minority(&said, &value));
        } else if said.len() > 1 && silent.is_empty() {
            if let Some(proof) = pair(&said) {
                disputed = disputed.or(two(&proof.accused()));
                evidence.push(proof);
            }
        } else {
            missing.extend(silent);
        }
    }
    let verdict = if let Some(pair) = disputed {
        Admission::Disputed(pair)
    } else if !missing.is_empty() {
        missing.sort_unstable();
        missing.dedup();
        Admission::Waiting(missing)
    } else if sum.is_zero() {
        Admission::Admitted
    } else {
        evidence.push(Evidence::Deposit {
            party: depositor,
            statement: deposit.statement,
            twin: deposit.twin.id,
        });
        Admission::Refused
    };
    AdmissionTally { verdict, evidence }
}

fn two(parties: &[PartyId]) -> Option<[PartyId; 2]> {
    match parties {
        [a, b] => Some([*a, *b]),
        _ => None,
    }
}
