//! A study's heavy steps: evaluate a shard, derive the aggregate, decrypt partially, recombine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_simulations::{Engine, Plan, ShardOutput, evaluate_shard, finish, measure};
use organtwin_threshold::{
    BatchBodies, Committee, PartyId, PieceId, SquashedBlocks, recombine as add_pieces, squash,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::JobError;
use super::deposit::blob;
use super::keys::KeyRing;
use crate::store::{Store, Tree};

/// Bootstraps that a measurement takes.
const MEASURED: u32 = 24;

/// Where one twin's ciphertexts come from.
pub struct TwinInput {
    /// The blob of its padded weights.
    pub digest: Digest,
    /// Its first slot in the batch.
    pub first_slot: u32,
    /// Its slots.
    pub slots: u32,
    /// The batch's bodies.
    pub bodies: Arc<BatchBodies>,
}

/// How far a combination is.
#[derive(Debug, Clone, Copy)]
pub enum Stage {
    /// Bootstraps of adding and gating.
    Finish(u64),
    /// Blocks squashed.
    Squash(usize),
}

/// An aggregate that this node derived and squashed itself. Only such a record is ever decrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// Digest of the aggregate.
    pub aggregate: Digest,
    /// Digest of the squashed bytes.
    pub squashed: Digest,
    /// Blocks.
    pub blocks: u32,
    /// The blob of the squashed bytes.
    pub blob: Digest,
}

/// Measures one bootstrap on one core, in seconds.
pub fn measure(engine: &Engine) -> Result<f64, JobError> {
    let start = Instant::now();
    measure::bootstrap_seconds(engine, MEASURED, &|| start.elapsed().as_secs_f64())
        .map_err(|error| JobError::Bug(error.to_string()))
}

/// Evaluates a shard, keeps its output and returns its digest.
pub fn evaluate(
    store: &Store,
    engine: &Engine,
    plan: &Plan,
    twins: &[TwinInput],
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Result<Digest, JobError> {
    let ciphertexts = twins
        .par_iter()
        .map(|twin| {
            let bytes = blob(store, &twin.digest)?;
            let (words, rest) = bytes.as_chunks::<16>();
            if !rest.is_empty() || words.len() != twin.slots as usize {
                return Err(JobError::Bug(format!(
                    "twin {} does not have {} slots",
                    twin.digest, twin.slots
                )));
            }
            let words: Vec<u128> = words
                .iter()
                .map(|word| u128::from_le_bytes(*word))
                .collect();
            Ok(twin.bodies.ciphertexts(twin.first_slot, &words)?)
        })
        .collect::<Result<Vec<_>, JobError>>()?;
    let output = evaluate_shard(engine, plan, &ciphertexts, progress, cancel)?.to_bytes();
    Ok(Digest::new(store.blobs().put(&output)?))
}

fn derived_key(manifest: &Digest) -> Vec<u8> {
    [b"derived/".as_slice(), manifest.as_bytes()].concat()
}

/// What this node derived of a study before.
pub fn derived(store: &Store, manifest: Digest) -> Result<Option<Derived>, JobError> {
    Ok(store.get(Tree::Jobs, &derived_key(&manifest))?)
}

/// Adds the confirmed shards, gates the rows, squashes, and records the result as this node's own.
#[expect(
    clippy::too_many_arguments,
    reason = "the loop's parts, each used once"
)]
pub fn combine(
    store: &Store,
    key: &KeyRing,
    engine: &Engine,
    plan: &Plan,
    manifest: Digest,
    shards: &BTreeMap<PartyId, Vec<Digest>>,
    progress: &(dyn Fn(Stage) + Sync),
    cancel: &AtomicBool,
) -> Result<Derived, JobError> {
    let mut outputs: BTreeMap<u8, Vec<ShardOutput>> = BTreeMap::new();
    for (hospital, digests) in shards {
        let of_hospital = outputs.entry(hospital.get()).or_default();
        for digest in digests {
            of_hospital.push(ShardOutput::from_bytes(&blob(store, digest)?, plan)?);
        }
    }
    let aggregate = finish(
        engine,
        plan,
        &outputs,
        &|done| progress(Stage::Finish(done)),
        cancel,
    )?;
    let public = key.public()?;
    let server = public.evaluation_key()?;
    let squashing = public.noise_squashing_key()?;
    drop(public);
    progress(Stage::Squash(0));
    let squashed = squash(&server, &squashing, &aggregate.blocks, &|done| {
        progress(Stage::Squash(done));
    })?;
    let bytes = squashed.to_bytes();
    store.blobs().put(&bytes)?;
    let derived = Derived {
        aggregate: Digest::new(aggregate.digest()),
        squashed: squashed.digest(),
        blocks: u32::try_from(squashed.len()).unwrap_or(u32::MAX),
        blob: of_blob(&bytes),
    };
    store.put(Tree::Jobs, &derived_key(&manifest), &derived)?;
    store.flush()?;
    Ok(derived)
}

fn restore(store: &Store, key: &KeyRing, derived: &Derived) -> Result<SquashedBlocks, JobError> {
    let lwe_size = key.info().params.squashing_size() + 1;
    Ok(SquashedBlocks::restore(
        &blob(store, &derived.blob)?,
        lwe_size,
        derived.squashed,
    )?)
}

/// Decrypts partially what this node derived itself.
pub fn partial(
    store: &Store,
    key: &KeyRing,
    derived: &Derived,
) -> Result<Vec<(PieceId, Vec<u128>)>, JobError> {
    Ok(key
        .share()
        .partial_decrypt(key.share().epoch(), &restore(store, key, derived)?)?)
}

/// Adds the accepted values of all pieces: one 4-bit number per block. `committee` is the one that opened.
pub fn recombine(
    store: &Store,
    key: &KeyRing,
    committee: &Committee,
    derived: &Derived,
    values: &BTreeMap<PieceId, Vec<u128>>,
) -> Result<Vec<u8>, JobError> {
    Ok(add_pieces(
        committee,
        &restore(store, key, derived)?,
        values,
    )?)
}
