//! Evaluating shards again: from the deposited twins and the public evaluation key to the digests that t+1 parties
//! stated, bit for bit.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::fold::Fold;
use organtwin_protocol::shard::{self, Shard};
use organtwin_protocol::statement::Batch;
use organtwin_protocol::study::Study;
use organtwin_protocol::tally;
use organtwin_protocol::transcript::Transcript;
use organtwin_simulations::{Engine, Plan, evaluate_shard};
use organtwin_threshold::{BatchBodies, BatchId, PublicKey, PublicKeyInfo};
use rayon::prelude::*;
use serde::Serialize;

use super::bundle::{Blobs, BundleError, Needs, deposit};
use crate::planning::{self, Circumstances, PlanningError};

/// Why shards cannot be evaluated again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file of the bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The program.
    #[error(transparent)]
    Planning(#[from] PlanningError),
    /// The key.
    #[error("the key {path}: {what}")]
    Key {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// This machine rounds differently.
    #[error(
        "the consortium computes on {expected}, this machine is {got} and would give other bits: replay on a machine of that class"
    )]
    Machine {
        /// The roster's class.
        expected: String,
        /// This machine's.
        got: String,
    },
    /// There is nothing to evaluate.
    #[error("no study of the transcript has confirmed shards: nothing was evaluated")]
    Nothing,
    /// A twin or a batch does not fit its deposit.
    #[error("{0}")]
    Input(String),
}

/// One shard, evaluated again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The study, hexadecimal.
    pub study: String,
    /// The shard's number.
    pub shard: u32,
    /// Its twins.
    pub twins: usize,
    /// The digest that t+1 parties stated.
    pub stated: String,
    /// The digest of what came out here.
    pub found: String,
    /// Whether both are equal.
    pub equal: bool,
}

/// A shard that is to be evaluated.
struct Task<'a> {
    study: Study<'a>,
    shard: Shard,
    stated: Digest,
}

/// How far a replay is: bootstraps done and to do.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Where a replay takes its inputs from.
pub struct Sources<'a> {
    /// The directory with the blobs.
    pub data: &'a Path,
    /// The public key file.
    pub key: &'a Path,
    /// How many shards to evaluate, chosen at random; all if none.
    pub sample: Option<usize>,
}

/// Evaluates shards of a verified transcript again.
///
/// # Errors
/// [`ReplayError`] names what is missing, damaged or unfit. A differing digest is no error but a finding.
pub fn replay(
    transcript: &Transcript,
    fold: &Fold,
    sources: &Sources<'_>,
    progress: Progress<'_>,
) -> Result<Vec<Replayed>, ReplayError> {
    let class = organtwin_threshold::instruction_class();
    let expected = transcript.roster.instruction_class();
    if expected != class {
        return Err(ReplayError::Machine {
            expected: expected.to_owned(),
            got: class.to_string(),
        });
    }
    let mut needs = BTreeMap::new();
    let mut plans = BTreeMap::new();
    let mut tasks = Vec::new();
    for study in Study::all(fold).filter(|study| transcript.files(&study.id).is_some()) {
        let of_study = Needs::of(transcript, fold, &study)?;
        for shard in shard::shards(&study.id, &of_study.list) {
            if let Some(stated) = tally::shard(fold.roster(), study.facts, &shard).confirmed {
                tasks.push(Task {
                    study,
                    shard,
                    stated,
                });
            }
        }
        let committee = transcript.roster.committee();
        let circumstances =
            Circumstances::of_key(transcript.roster.parameters(), committee, 0.0, 1)?;
        let plan = planning::plan_of_manifest(study.manifest, committee, &circumstances)?;
        plans.insert(study.id, plan);
        needs.insert(study.id, of_study);
    }
    let tasks = chosen(tasks, sources.sample);
    let first = tasks.first().ok_or(ReplayError::Nothing)?;
    let cost = |task: &Task<'_>| {
        plans.get(&task.study.id).map_or(0, |plan| {
            let forecast = plan.forecast();
            forecast.bootstraps_per_twin * task.shard.twins.len() as u64
                + forecast.bootstraps_per_shard
        })
    };
    let all: u64 = tasks.iter().map(cost).sum();
    let (engine, info) = key(fold, &first.study, sources.key)?;
    let inputs = Inputs {
        fold,
        blobs: Blobs::of(sources.data),
        info,
    };
    let mut bodies = BTreeMap::new();
    let (mut done, mut replayed) = (0, Vec::new());
    for task in &tasks {
        let (Some(plan), Some(needs)) = (plans.get(&task.study.id), needs.get(&task.study.id))
        else {
            continue;
        };
        if task.study.manifest.certificate != first.study.manifest.certificate {
            let what = "the studies are under several keys: replay them one by one".to_owned();
            return Err(ReplayError::Input(what));
        }
        let so_far = |here: u64| progress(done + here, all);
        let found = inputs.evaluate(&engine, plan, needs, task, &mut bodies, &so_far)?;
        done += cost(task);
        progress(done, all);
        replayed.push(Replayed {
            study: task.study.id.to_string(),
            shard: task.shard.index,
            twins: task.shard.twins.len(),
            stated: task.stated.to_string(),
            found: found.to_string(),
            equal: found == task.stated,
        });
    }
    Ok(replayed)
}

/// The auditor's choice, which nobody could foresee, in the order of studies and shards.
fn chosen(tasks: Vec<Task<'_>>, sample: Option<usize>) -> Vec<Task<'_>> {
    let Some(count) = sample else { return tasks };
    let mut drawn: Vec<(u64, usize)> = (0..tasks.len()).map(|i| (rand::random(), i)).collect();
    drawn.sort_unstable();
    let mut kept: Vec<usize> = drawn.into_iter().take(count).map(|(_, i)| i).collect();
    kept.sort_unstable();
    let tasks = tasks.into_iter().enumerate();
    tasks
        .filter(|(index, _)| kept.binary_search(index).is_ok())
        .map(|(_, task)| task)
        .collect()
}

/// Reads the public key, which must be the one that the study's certificate names.
fn key(
    fold: &Fold,
    study: &Study<'_>,
    path: &Path,
) -> Result<(Engine, PublicKeyInfo), ReplayError> {
    let wrong = |what: String| ReplayError::Key {
        path: path.to_path_buf(),
        what,
    };
    let certified = fold.facts().certificates.get(&study.manifest.certificate);
    let certified = certified.ok_or_else(|| wrong("nobody certified it".into()))?;
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BundleError::Missing {
                what: "the public evaluation key".into(),
                path: path.to_path_buf(),
                next: "export the bundle with --with-key, or name the key's file with --key",
            }
            .into());
        }
        opened => opened.map_err(|error| wrong(error.to_string()))?,
    };
    let key = PublicKey::read_from(BufReader::with_capacity(1 << 20, file))
        .map_err(|error| wrong(error.to_string()))?;
    if key.digest() != certified.certificate.key {
        return Err(wrong(format!(
            "expected the certified key {}, got {}",
            certified.certificate.key,
            key.digest()
        )));
    }
    let info = key.info().clone();
    let evaluation = key
        .evaluation_key()
        .map_err(|error| wrong(error.to_string()))?;
    let engine = Engine::new(Arc::new(evaluation)).map_err(|error| wrong(error.to_string()))?;
    Ok((engine, info))
}

struct Inputs<'a> {
    fold: &'a Fold,
    blobs: Blobs,
    info: PublicKeyInfo,
}

impl Inputs<'_> {
    fn bodies(&self, needs: &Needs, batch: &Batch) -> Result<BatchBodies, ReplayError> {
        let accepted = needs.batches.get(batch).into_iter().flatten();
        let mut vectors = BTreeMap::new();
        for (group, digest) in accepted {
            vectors.insert(*group, self.blobs.get(digest, "input vector")?);
        }
        let id = BatchId {
            epoch: batch.epoch,
            hospital: batch.hospital,
            number: batch.number,
            polynomials: batch.polynomials,
        };
        BatchBodies::combine(&self.info, id, &vectors)
            .map_err(|error| ReplayError::Input(error.to_string()))
    }

    fn evaluate(
        &self,
        engine: &Engine,
        plan: &Plan,
        needs: &Needs,
        task: &Task<'_>,
        bodies: &mut BTreeMap<Batch, BatchBodies>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Digest, ReplayError> {
        let mut twins = Vec::new();
        for twin in &task.shard.twins {
            let deposit = deposit(self.fold, twin)
                .ok_or_else(|| ReplayError::Input(format!("twin {} has no deposit", twin.id)))?;
            if let Entry::Vacant(entry) = bodies.entry(deposit.batch) {
                entry.insert(self.bodies(needs, &deposit.batch)?);
            }
            let bytes = self.blobs.get(&twin.digest, "twin")?;
            let (words, rest) = bytes.as_chunks::<16>();
            if !rest.is_empty() || words.len() != deposit.slots as usize {
                return Err(ReplayError::Input(format!(
                    "twin {} has {} bytes, its deposit says {} slots of 16",
                    twin.digest,
                    bytes.len(),
                    deposit.slots
                )));
            }
            let words: Vec<u128> = words
                .iter()
                .map(|word| u128::from_le_bytes(*word))
                .collect();
            twins.push((deposit, words));
        }
        let ciphertexts = twins
            .par_iter()
            .map(|(deposit, words)| {
                let bodies = bodies.get(&deposit.batch);
                let bodies = bodies.ok_or_else(|| ReplayError::Input("a batch is gone".into()))?;
                bodies
                    .ciphertexts(deposit.first_slot, words)
                    .map_err(|error| ReplayError::Input(error.to_string()))
            })
            .collect::<Result<Vec<_>, ReplayError>>()?;
        let never = AtomicBool::new(false);
        let output = evaluate_shard(engine, plan, &ciphertexts, progress, &never)
            .map_err(|error| ReplayError::Input(error.to_string()))?;
        Ok(of_blob(&output.to_bytes()))
    }
}
