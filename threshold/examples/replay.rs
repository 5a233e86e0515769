//! Replays a whole session at the real parameters from published seeds and prints what it costs.
//!
//! `cargo run --release -p organtwin-threshold --example replay -- [N T]`, by default 4 1.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::time::Instant;

use organtwin_threshold::{Committee, ParameterSet, Passive, Replay, Seed, SessionId, Stage};

/// Largest resident memory so far, from the kernel.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0u64) / 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u8>());
    let n = arguments.next().transpose()?.unwrap_or(4);
    let t = arguments.next().transpose()?.unwrap_or(1);
    let committee = Committee::new(n, t, Passive::Allow)?;
    let session = SessionId::new([1; 32]);
    let seeds = committee.pieces().iter().map(|piece| {
        let mut bytes = [0x5a; 32];
        for (to, from) in bytes.iter_mut().zip(piece.absent().bits().to_le_bytes()) {
            *to = from;
        }
        (*piece, Seed::new(bytes))
    });
    let params = ParameterSet::production()?;
    let mut replay = Replay::new(&committee, params, session, seeds.collect(), [2; 32])?;
    let all = Instant::now();
    for stage in Stage::ALL {
        let began = Instant::now();
        let mut bytes = 0;
        replay.stage(stage, |_, chunk| bytes += chunk.len())?;
        println!(
            "{stage:?}: {:.1} s for {} chunks of {} groups, {:.1} MB",
            began.elapsed().as_secs_f64(),
            replay.work(stage),
            replay.family(stage).len(),
            bytes as f64 / 1e6
        );
    }
    let key = replay.finish()?;
    let began = Instant::now();
    let (blocks, _) = key.public().self_test(*session.as_bytes())?;
    let values = key.partial_decrypt(&blocks)?;
    println!(
        "self-test: {:.1} s, {} pieces; in all {:.1} s, {} MiB at the peak; key {}",
        began.elapsed().as_secs_f64(),
        values.len(),
        all.elapsed().as_secs_f64(),
        peak_mib(),
        key.public().digest()
    );
    Ok(())
}
