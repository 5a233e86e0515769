//! Shards: how a study's twins are split, and who evaluates which part (R6).

use std::collections::BTreeMap;

use organtwin_threshold::PartyId;

use crate::digest::{self, Digest, Domain};
use crate::roster::Roster;
use crate::twin::{TwinList, TwinRef};

/// The most twins of one shard: as many decisions as one partial count can add.
pub const MAX_SHARD_TWINS: usize = 31;

/// Twins of one depositor that are evaluated together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its number in the study, counted from 0.
    pub index: u32,
    /// Who deposited all its twins.
    pub depositor: PartyId,
    /// The twins, in the order of evaluation.
    pub twins: Vec<TwinRef>,
    /// The digest of the inputs, which every evaluator states.
    pub inputs: Digest,
}

/// Splits a study's twins: by depositor, in the order of H(manifest, twin), at most 31 each and evenly.
pub fn shards(manifest: &Digest, list: &TwinList) -> Vec<Shard> {
    let mut by_depositor: BTreeMap<PartyId, Vec<(Digest, TwinRef)>> = BTreeMap::new();
    for twin in list.twins() {
        by_depositor
            .entry(twin.depositor)
            .or_default()
            .push((order(manifest, twin), *twin));
    }
    let mut shards = Vec::new();
    for (depositor, mut twins) in by_depositor {
        twins.sort_unstable();
        let count = twins.len().div_ceil(MAX_SHARD_TWINS);
        let (size, larger) = (twins.len() / count, twins.len() % count);
        let mut rest = twins.into_iter().map(|(_, twin)| twin);
        for position in 0..count {
            let twins: Vec<TwinRef> = rest
                .by_ref()
                .take(size + usize::from(position < larger))
                .collect();
            let index = u32::try_from(shards.len()).unwrap_or(u32::MAX);
            let inputs = inputs(manifest, index, &twins);
            shards.push(Shard {
                index,
                depositor,
                twins,
                inputs,
            });
        }
    }
    shards
}

/// The parties in the order in which they evaluate a shard: by H(manifest, shard, party).
pub fn ranking(roster: &Roster, manifest: &Digest, shard: u32) -> Vec<PartyId> {
    let mut parties: Vec<(Digest, PartyId)> = roster
        .members()
        .iter()
        .map(|m| {
            let label = [
                manifest.as_bytes().as_slice(),
                &shard.to_be_bytes(),
                &[m.party.get()],
            ]
            .concat();
            (digest::of_bytes(Domain::ShardRank, &label), m.party)
        })
        .collect();
    parties.sort_unstable();
    parties.into_iter().map(|(_, party)| party).collect()
}

fn order(manifest: &Digest, twin: &TwinRef) -> Digest {
    let label = [
        manifest.as_bytes().as_slice(),
        twin.digest.as_bytes(),
        &[twin.depositor.get()],
        twin.id.as_bytes(),
    ]
    .concat();
    digest::of_bytes(Domain::TwinOrder, &label)
}

fn inputs(manifest: &Digest, index: u32, twins: &[TwinRef]) -> Digest {
    let mut label = [manifest.as_bytes().as_slice(), &index.to_be_bytes()].concat();
    for twin in twins {
        label.extend_from_slice(twin.digest.as_bytes());
    }
    digest::of_bytes(Domain::ShardInputs, &label)
}
