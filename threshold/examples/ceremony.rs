//! Runs a whole key ceremony in one process and prints what it costs each party.
//!
//! `cargo run --release -p organtwin-threshold --example ceremony -- [N T]`, by default 4 1. All parties
//! run one after the other, every honest copy of a group vector is computed by every member, and the
//! resulting key is tested: encrypt, bootstrap, squash, open.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::time::Instant;

use organtwin_threshold::{
    Committee, KeyCeremony, ParameterSet, PartyId, Passive, PieceSeeds, Seed, SessionId, Stage,
    recombine,
};

type AnyError = Box<dyn std::error::Error>;

fn start(
    committee: &Committee,
    params: ParameterSet,
    me: PartyId,
) -> Result<KeyCeremony, AnyError> {
    // A fixed seed per piece: this key protects nothing.
    let seeds = committee.pieces_of(me).map(|piece| {
        let mut bytes = [0x5a; 32];
        for (to, from) in bytes.iter_mut().zip(piece.absent().bits().to_le_bytes()) {
            *to = from;
        }
        (piece, Seed::new(bytes))
    });
    let seeds = PieceSeeds::new(committee, me, seeds.collect()).map_err(|p| p.to_string())?;
    Ok(KeyCeremony::new(
        committee,
        params,
        SessionId::new([1; 32]),
        me,
        seeds,
        [2; 32],
    )?)
}

/// CPU time of all threads, from the kernel's 100 ticks a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0u64) / 1024
}

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u8>());
    let n = arguments.next().transpose()?.unwrap_or(4);
    let t = arguments.next().transpose()?.unwrap_or(1);
    let committee = Committee::new(n, t, Passive::Allow)?;
    let params = ParameterSet::production()?;
    let before = resident_mib();
    let began = Instant::now();
    let parties = committee.parties();
    let mut all = parties
        .iter()
        .map(|me| start(&committee, params, me))
        .collect::<Result<Vec<_>, _>>()?;
    let mut sent = 0u64;
    for stage in Stage::ALL {
        let stage_began = cpu_seconds();
        let mut stage_sent = 0;
        let family = committee.family(stage.family()).to_vec();
        for chunk in 0..all.first().map_or(0, |party| party.chunks(stage)) {
            let mut vectors = Vec::new();
            for (group, members) in family.iter().enumerate() {
                let mut agreed: Option<Vec<u8>> = None;
                for (me, party) in parties.iter().zip(&all) {
                    if !members.contains(me) {
                        continue;
                    }
                    let vector = party.group_chunk(stage, group, chunk)?;
                    if agreed.as_ref().is_some_and(|agreed| *agreed != vector) {
                        return Err("members of a group disagree".into());
                    }
                    agreed = Some(vector);
                }
                let vector = agreed.ok_or("an empty group")?;
                stage_sent += vector.len() as u64 * (u64::from(n) - members.len() as u64);
                vectors.push(vector);
            }
            for party in &mut all {
                party.absorb(stage, chunk, &vectors)?;
            }
        }
        for party in &mut all {
            party.finish_stage(stage)?;
        }
        sent += stage_sent;
        println!(
            "{stage:?}: {:.2} s of CPU time per party, {:.1} MB sent per party",
            (cpu_seconds() - stage_began) / f64::from(n),
            stage_sent as f64 / f64::from(n) / 1e6
        );
    }
    println!(
        "ceremony objects: {} MiB each",
        (resident_mib() - before) / u64::from(n)
    );
    let mut shares = Vec::new();
    let mut key = None;
    for party in all {
        let (public, share) = party.finish()?;
        key = Some(public);
        shares.push(share);
    }
    println!(
        "in all: {:.1} s of wall time, {:.2} s of CPU time per party, {:.1} MB sent per party",
        began.elapsed().as_secs_f64(),
        cpu_seconds() / f64::from(n),
        sent as f64 / f64::from(n) / 1e6
    );
    let key = key.ok_or("no party")?;
    let began = Instant::now();
    let (blocks, expected) = key.self_test([3; 32])?;
    println!(
        "assembly of both keys and self-test of {} blocks: {:.1} s",
        blocks.len(),
        began.elapsed().as_secs_f64()
    );
    let mut values = BTreeMap::new();
    for share in &shares {
        values.extend(share.partial_decrypt(0, &blocks)?);
    }
    let opened = recombine(&committee, &blocks, &values)?;
    if opened != expected {
        return Err(format!("opened {opened:?}, expected {expected:?}").into());
    }
    println!("opened {opened:?} as expected; key digest {}", key.digest());
    Ok(())
}
