//! The encrypted evaluator: shards of twins to normalised counts, and shards to the blocks that are opened.

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use rayon::prelude::*;
use tfhe::core_crypto::prelude::{CiphertextModulus, LweCiphertext, LweCiphertextOwned};
use thiserror::Error;

use crate::{
    Digest, Engine, Plan, SHARD_TWINS, Schema,
    circuit::{Hospital, Number, Schedule, aggregate, cut_quantities, quantity_wires, twin_atoms},
    engine::Run,
    machine::MachineError,
};

/// An evaluation that did not take place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvaluateError {
    /// Stopped, or a bug in the circuit.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A shard without twins, or with too many.
    #[error("a shard holds 1 to {SHARD_TWINS} twins: got {0}")]
    ShardSize(usize),
    /// A twin with another number of slots than its schema.
    #[error("twin {twin} has {got} slots, its schema {expected}")]
    Slots {
        /// The twin's number in the shard.
        twin: usize,
        /// The slots that it has.
        got: usize,
        /// The slots of the schema.
        expected: usize,
    },
    /// A ciphertext of another dimension than the key's.
    #[error("a ciphertext has {got} words, the evaluation key expects {expected}")]
    Dimension {
        /// The words that it has.
        got: usize,
        /// The words expected.
        expected: usize,
    },
    /// Bytes that are no shard output.
    #[error("not a shard output: {0}")]
    Malformed(&'static str),
    /// The shards are not those of the plan.
    #[error("hospital {hospital}: {what}")]
    OtherShards {
        /// The hospital.
        hospital: u8,
        /// What differs.
        what: String,
    },
}

const MAGIC: &[u8; 8] = b"OTSHARD2";
const HEADER: usize = 8 + 3 * 4;

/// The bytes of a shard output.
pub(crate) fn shard_bytes(blocks: usize, lwe_size: usize) -> u64 {
    u64::try_from(HEADER + blocks * lwe_size * 8).unwrap_or(u64::MAX)
}

/// The encrypted counts and sums of one shard: digits of every distinct cell, then those of the parts of totals.
#[derive(Clone, PartialEq, Eq)]
pub struct ShardOutput {
    twins: usize,
    lwe_size: usize,
    blocks: Vec<LweCiphertextOwned<u64>>,
}

impl ShardOutput {
    /// The number of twins in the shard.
    #[must_use]
    pub fn twins(&self) -> usize {
        self.twins
    }

    /// The ciphertexts at 2^59 per unit: for every count its value modulo 4 and the rest of it, for every other sum its
    /// digits in base 4.
    #[must_use]
    pub fn blocks(&self) -> &[LweCiphertextOwned<u64>] {
        &self.blocks
    }

    /// The canonical bytes: a header (twins, blocks, words of a ciphertext, little-endian) and the words.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let word = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER + self.blocks.len() * self.lwe_size * 8);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&word(self.twins));
        bytes.extend_from_slice(&word(self.blocks.len()));
        bytes.extend_from_slice(&word(self.lwe_size));
        bytes.extend(
            self.blocks
                .iter()
                .flat_map(|b| b.as_ref())
                .flat_map(|w| w.to_le_bytes()),
        );
        bytes
    }

    /// Reads canonical bytes for a plan.
    ///
    /// # Errors
    /// A wrong header, a size that is not exactly that of the header, or blocks that are not the plan's.
    pub fn from_bytes(bytes: &[u8], plan: &Plan) -> Result<Self, EvaluateError> {
        let malformed = EvaluateError::Malformed;
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or(malformed("its first bytes are others"))?;
        let mut header = [0_usize; 3];
        let (numbers, words) = rest
            .split_at_checked(12)
            .ok_or(malformed("its header is incomplete"))?;
        for (value, bytes) in header.iter_mut().zip(numbers.as_chunks::<4>().0) {
            *value = usize::try_from(u32::from_le_bytes(*bytes))
                .map_err(|_| malformed("a number is too large"))?;
        }
        let [twins, blocks, lwe_size] = header;
        if twins == 0 || twins > SHARD_TWINS {
            return Err(EvaluateError::ShardSize(twins));
        }
        if blocks != plan.schedule.blocks() || !(2..=1 << 16).contains(&lwe_size) {
            return Err(malformed("its blocks or its dimension are not the plan's"));
        }
        if words.len() != blocks * lwe_size * 8 {
            return Err(malformed("its length is not that of its header"));
        }
        let words: Vec<u64> = words
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
            .collect();
        let blocks = words
            .chunks_exact(lwe_size)
            .map(|block| {
                LweCiphertext::from_container(block.to_vec(), CiphertextModulus::new_native())
            })
            .collect();
        Ok(Self {
            twins,
            lwe_size,
            blocks,
        })
    }

    /// The hash of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crate::digest_bytes("organtwin shard output 2", &self.to_bytes())
    }
}

/// What is opened: blocks of four bits at 2^59 per unit, ready to be squashed.
#[derive(Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// The ciphertexts.
    pub blocks: Vec<LweCiphertextOwned<u64>>,
}

impl Aggregate {
    /// The hash of the ciphertexts' words.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("organtwin aggregate 1");
        for block in &self.blocks {
            hasher.update(&count(block.as_ref().len()).to_le_bytes());
            for word in block.as_ref() {
                hasher.update(&word.to_le_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn check_size(engine: &Engine, block: &LweCiphertextOwned<u64>) -> Result<(), EvaluateError> {
    let (got, expected) = (block.as_ref().len(), engine.lwe_size());
    if got == expected {
        Ok(())
    } else {
        Err(EvaluateError::Dimension { got, expected })
    }
}

/// Whether a twin has the slots of its schema, each of the key's dimension.
pub(crate) fn check_slots(
    engine: &Engine,
    schema: &Schema,
    twin: usize,
    slots: &[LweCiphertextOwned<u64>],
) -> Result<(), EvaluateError> {
    let (got, expected) = (slots.len(), schema.slots());
    if got != expected {
        return Err(EvaluateError::Slots {
            twin,
            got,
            expected,
        });
    }
    slots.iter().try_for_each(|slot| check_size(engine, slot))
}

/// Counts the cells of a shard: at most 31 twins of one hospital, all slots of each in the order of the schema.
///
/// `progress` gets the number of bootstraps so far; `cancel` stops the evaluation at the next one. The output is the
/// same on every machine with the same instruction set.
///
/// # Errors
/// A shard, twin or ciphertext of the wrong size; cancelled.
pub fn evaluate_shard(
    engine: &Engine,
    plan: &Plan,
    twins: &[Vec<LweCiphertextOwned<u64>>],
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Result<ShardOutput, EvaluateError> {
    if twins.is_empty() || twins.len() > SHARD_TWINS {
        return Err(EvaluateError::ShardSize(twins.len()));
    }
    for (index, twin) in twins.iter().enumerate() {
        check_slots(engine, &plan.schema, index, twin)?;
    }
    let run = Run::new(engine, progress, cancel);
    let counts = twins
        .par_iter()
        .map(|slots| {
            let atoms = twin_atoms(&run, &plan.schedule, slots)?;
            quantity_wires(&run, &plan.schedule, slots, &atoms)
        })
        .try_reduce(Vec::new, |sums, wires| Ok(add(sums, wires)))?;
    let blocks = cut_quantities(&run, &plan.schedule, &counts)?;
    Ok(ShardOutput {
        twins: twins.len(),
        lwe_size: engine.lwe_size(),
        blocks: blocks.into_iter().flatten().collect(),
    })
}

/// Adds two lists of ciphertexts; wrapping sums do not depend on the order.
fn add(
    mut sums: Vec<LweCiphertextOwned<u64>>,
    bits: Vec<LweCiphertextOwned<u64>>,
) -> Vec<LweCiphertextOwned<u64>> {
    if sums.is_empty() {
        return bits;
    }
    for (sum, bit) in sums.iter_mut().zip(&bits) {
        for (to, from) in sum.as_mut().iter_mut().zip(bit.as_ref()) {
            *to = to.wrapping_add(*from);
        }
    }
    sums
}

/// Adds the shards by hospital, compares every cell with k, gates every row, and returns the blocks to open.
///
/// # Errors
/// Shards that are not those of the plan, ciphertexts of another dimension; cancelled.
pub fn finish(
    engine: &Engine,
    plan: &Plan,
    shards: &BTreeMap<u8, Vec<ShardOutput>>,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Result<Aggregate, EvaluateError> {
    let run = Run::new(engine, progress, cancel);
    let mut hospitals = BTreeMap::new();
    if let Some(hospital) = shards
        .keys()
        .find(|hospital| !plan.hospitals.contains_key(hospital))
    {
        let what = "it has no twins in the plan".to_owned();
        return Err(EvaluateError::OtherShards {
            hospital: *hospital,
            what,
        });
    }
    for (hospital, twins) in &plan.hospitals {
        let own = shards.get(hospital).map(Vec::as_slice).unwrap_or_default();
        let got: usize = own.iter().map(ShardOutput::twins).sum();
        if got != *twins || own.len() != plan.shards(*hospital) {
            return Err(EvaluateError::OtherShards {
                hospital: *hospital,
                what: format!(
                    "got {} shards of {got} twins, the plan has {} of {twins}",
                    own.len(),
                    plan.shards(*hospital)
                ),
            });
        }
        own.iter()
            .flat_map(ShardOutput::blocks)
            .try_for_each(|block| check_size(engine, block))?;
        if own
            .iter()
            .any(|shard| shard.blocks.len() != plan.schedule.blocks())
        {
            let what = "a shard has another number of blocks than the plan".to_owned();
            let hospital = *hospital;
            return Err(EvaluateError::OtherShards { hospital, what });
        }
        let size = SHARD_TWINS.min(*twins);
        let shards = own
            .iter()
            .map(|shard| numbers(&plan.schedule, shard, size))
            .collect();
        hospitals.insert(
            *hospital,
            Hospital {
                twins: count(*twins),
                shards,
            },
        );
    }
    let k = u64::from(plan.program.k());
    let blocks = aggregate(&run, &plan.schedule, &plan.layout, k, &hospitals)?;
    Ok(Aggregate { blocks })
}

/// The numbers of a shard; all shards of a hospital are taken to be of the same size, so that a plan knows the work.
fn numbers(
    schedule: &Schedule,
    shard: &ShardOutput,
    twins: usize,
) -> Vec<Number<LweCiphertextOwned<u64>>> {
    let mut left = shard.blocks.as_slice();
    schedule
        .quantities
        .iter()
        .filter_map(|quantity| {
            let (own, rest) = left.split_at_checked(quantity.blocks())?;
            left = rest;
            Some(quantity.number(own, twins))
        })
        .collect()
}
