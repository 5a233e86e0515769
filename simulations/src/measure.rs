//! Measurements that a benchmark prints: bootstraps and seconds of exact decisions, and how busy the cores are.
//!
//! They run under an ordinary key of one owner, never under a joint one.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tfhe::{
    core_crypto::prelude::{
        CiphertextModulus, DefaultRandomGenerator, EncryptionRandomGenerator, LweCiphertextOwned,
        Plaintext, allocate_and_encrypt_new_lwe_ciphertext, decrypt_lwe_ciphertext, new_seeder,
    },
    shortint::{
        ClassicPBSParameters, ClientKey, ServerKey,
        client_key::atomic_pattern::AtomicPatternClientKey,
        parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
    },
};
use thiserror::Error;

use crate::{
    Engine, EvaluateError, Features, HistogramSpec, NoiseModel, Plan, PlanContext, PlanError,
    Program, ProgramError, SHARD_TWINS, SpecError, StudySpec, Weights,
    circuit::{Cut, Lin, SumOutput, SumTask, Twin},
    clear,
    encode::{EncodeError, encode},
    engine::{EngineError, Run},
    evaluate::evaluate_shard,
    machine::{Machine, MachineError, Step, Table},
    one::{self, OneError},
    plan::plan,
    program::{Cell, Op, Row, RowKind, TableOn},
    schema::INPUT_DELTA_LOG,
};

/// A measurement that could not be taken.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum MeasureError {
    /// The evaluation did not run.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The engine refused the key.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The built-in study does not compile: a bug.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The built-in study cannot be planned: a bug.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The built-in twins cannot be encoded: a bug.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The built-in program does not hold together: a bug.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The built-in score was not computed: a bug.
    #[error(transparent)]
    One(#[from] OneError),
    /// A score disagrees with the integers.
    #[error("a linear score came out wrong")]
    WrongScore,
    /// A decision disagrees with the integers.
    #[error("a decision of {bits} bits at threshold {threshold} came out wrong")]
    Wrong {
        /// The bits of the sum.
        bits: u32,
        /// The threshold.
        threshold: i64,
    },
}

impl From<MachineError> for MeasureError {
    fn from(error: MachineError) -> Self {
        Self::Evaluate(error.into())
    }
}

/// A key of one owner, for benchmarks and tests: it can encrypt, decrypt and evaluate.
pub struct OwnKey {
    client: ClientKey,
    engine: Engine,
}

impl OwnKey {
    /// Generates a key from the operating system's randomness.
    ///
    /// # Errors
    /// Parameters that the engine does not support.
    pub fn generate(parameters: ClassicPBSParameters) -> Result<Self, EngineError> {
        let client = ClientKey::new(parameters);
        let engine = Engine::new(Arc::new(ServerKey::new(&client)))?;
        Ok(Self { client, engine })
    }

    /// Generates a key of the real parameters.
    ///
    /// # Errors
    /// None with the supported library.
    pub fn production() -> Result<Self, EngineError> {
        Self::generate(V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128)
    }

    /// The engine under this key.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Encrypts values on the torus of 2^64.
    #[must_use]
    pub fn encrypt(&self, values: &[u64]) -> Vec<LweCiphertextOwned<u64>> {
        let AtomicPatternClientKey::Standard(key) = &self.client.atomic_pattern else {
            return Vec::new();
        };
        let noise = key.parameters.glwe_noise_distribution();
        let mut seeder = new_seeder();
        let seeder = seeder.as_mut();
        let mut generator =
            EncryptionRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed(), seeder);
        let modulus = CiphertextModulus::new_native();
        values
            .iter()
            .map(|value| {
                allocate_and_encrypt_new_lwe_ciphertext(
                    &key.large_lwe_secret_key(),
                    Plaintext(*value),
                    noise,
                    modulus,
                    &mut generator,
                )
            })
            .collect()
    }

    /// Encrypts a twin slot by slot.
    #[must_use]
    pub fn encrypt_twin(&self, weights: &Weights) -> Vec<LweCiphertextOwned<u64>> {
        let values: Vec<u64> = weights
            .as_slice()
            .iter()
            .map(|weight| u64::from(*weight) << INPUT_DELTA_LOG)
            .collect();
        self.encrypt(&values)
    }

    /// Decrypts to a value on the torus of 2^64 with its noise.
    #[must_use]
    pub fn decrypt(&self, ciphertext: &LweCiphertextOwned<u64>) -> u64 {
        match &self.client.atomic_pattern {
            AtomicPatternClientKey::Standard(key) => {
                decrypt_lwe_ciphertext(&key.large_lwe_secret_key(), ciphertext).0
            }
            AtomicPatternClientKey::KeySwitch32(_) => 0,
        }
    }

    /// Decrypts blocks of four bits at 2^59 per unit.
    #[must_use]
    pub fn open(&self, blocks: &[LweCiphertextOwned<u64>]) -> Vec<u8> {
        blocks
            .iter()
            .map(|block| {
                let rounded = self.decrypt(block).wrapping_add(1 << 58) >> 59;
                u8::try_from(rounded).unwrap_or(u8::MAX)
            })
            .collect()
    }
}

/// What exact decisions on one sum cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionCost {
    /// The bits of the sum with its sign.
    pub bits: u32,
    /// The thresholds on it.
    pub thresholds: usize,
    /// The bootstraps of all of them.
    pub bootstraps: u64,
    /// The bootstraps per threshold.
    pub per_threshold: f64,
    /// The seconds of all of them.
    pub seconds: f64,
}

/// Decides thresholds on one sum of 5 to 14 bits, checks every bit, and counts the bootstraps.
///
/// # Errors
/// A wrong bit, or a bug.
pub fn decisions(
    key: &OwnKey,
    bits: u32,
    thresholds: usize,
    clock: &dyn Fn() -> f64,
) -> Result<DecisionCost, MeasureError> {
    let bits = bits.clamp(5, 14);
    let largest = (1_i64 << (bits - 1)) - 1;
    let step = (largest / i64::try_from(thresholds + 1).unwrap_or(i64::MAX)).max(1);
    let scale = 1_u64 << 59;
    let cuts: Vec<Cut> = (1..)
        .take(thresholds)
        .map(|i| i * step)
        .enumerate()
        .map(|(atom, threshold)| Cut {
            threshold,
            outputs: vec![SumOutput { scale, atom }],
        })
        .collect();
    let sum = Lin {
        slots: vec![(0, 1 << (64 - bits - INPUT_DELTA_LOG))],
        ..Lin::default()
    };
    let task = SumTask {
        node: 0,
        sum,
        bits,
        largest,
        valid: None,
        cuts: cuts.clone(),
        digits: Vec::new(),
        shared: true,
    };
    let task = task.cheaper();
    // In the middle between two thresholds.
    let value = step * i64::try_from(thresholds / 2).unwrap_or(0) + step / 2;
    let slots = key.encrypt(&[value.cast_unsigned() << INPUT_DELTA_LOG]);
    let cancel = AtomicBool::new(false);
    let run = Run::new(key.engine(), &|_| {}, &cancel);
    let (before, start) = (key.engine().bootstraps(), clock());
    let twin = Twin {
        slots: &slots,
        atoms: &[],
    };
    let outputs = task.run(&run, &twin)?;
    let (bootstraps, seconds) = (key.engine().bootstraps() - before, clock() - start);
    for (bit, wire) in outputs {
        let threshold = cuts.get(bit).map_or(0, |cut| cut.threshold);
        if (key.open(&[wire]) == [1]) != (value >= threshold) {
            return Err(MeasureError::Wrong { bits, threshold });
        }
    }
    let per_threshold = float(bootstraps) / float(thresholds as u64);
    Ok(DecisionCost {
        bits,
        thresholds,
        bootstraps,
        per_threshold,
        seconds,
    })
}

/// What a score costs that is linear in a twin's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearCost {
    /// The weights that it adds up.
    pub terms: usize,
    /// The bootstraps: none.
    pub bootstraps: u64,
    /// The seconds for one patient.
    pub seconds_per_patient: f64,
}

/// Computes a score with a table on every axis of a kidney twin, and checks it.
///
/// # Errors
/// A wrong score, or a bug.
pub fn linear(key: &OwnKey, clock: &dyn Fn() -> f64) -> Result<LinearCost, MeasureError> {
    const PATIENTS: u32 = 10;
    let schema = vancomycin_study().schema()?;
    let tables: Vec<TableOn> = schema
        .axes()
        .iter()
        .map(|axis| TableOn {
            axis: axis.name.clone(),
            values: (0..axis.nodes).map(|node| i64::from(node % 5)).collect(),
            missing: Some(0),
        })
        .collect();
    let terms = tables.iter().map(|table| table.values.len()).sum();
    let row = Row {
        kind: RowKind::Arm,
        label: String::new(),
        arm: None,
        edges: Vec::new(),
        cells: vec![Cell {
            label: String::new(),
            bit: 1,
        }],
        totals: Vec::new(),
    };
    let nodes = vec![
        Op::Sum {
            tables,
            terms: Vec::new(),
        },
        Op::Valid { score: 0 },
    ];
    let program = Program::new(&schema, 1, nodes, vec![row])?;
    let weights = encode(
        &schema,
        &Features::from([("age_years".to_owned(), Some(61.0))]),
    )?;
    let slots = key.encrypt_twin(&weights);
    let (before, start) = (key.engine().bootstraps(), clock());
    let mut last = None;
    for _ in 0..PATIENTS {
        last = Some(one::linear(key.engine(), &program, &schema, 0, &slots)?);
    }
    let seconds_per_patient = (clock() - start) / f64::from(PATIENTS);
    let bootstraps = key.engine().bootstraps() - before;
    let opened = last.map(|score| {
        let half = 1_u64 << (score.delta_log - 1);
        key.decrypt(&score.ciphertext)
            .wrapping_add(half)
            .cast_signed()
            >> score.delta_log
    });
    if opened != clear::score(&program, 0, &schema, &weights) {
        return Err(MeasureError::WrongScore);
    }
    Ok(LinearCost {
        terms,
        bootstraps,
        seconds_per_patient,
    })
}

/// The seconds of one bootstrap on one core: the mean over some in a row on the calling thread.
///
/// # Errors
/// None but a bug.
pub fn bootstrap_seconds(
    engine: &Engine,
    repeats: u32,
    clock: &dyn Fn() -> f64,
) -> Result<f64, MeasureError> {
    let cancel = AtomicBool::new(false);
    let run = Run::new(engine, &|_| {}, &cancel);
    let table = Table::lookup(4, |value| value << 59);
    let site = Step::Decide.at(0);
    // Any mask without zeros: a rotation by zero would be skipped, and what is decrypted does not matter.
    let words = (1..=engine.lwe_size() as u64)
        .map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .collect();
    let input = LweCiphertextOwned::from_container(words, CiphertextModulus::new_native());
    let start = clock();
    for _ in 0..repeats.max(1) {
        run.bootstrap(&input, &table, site)?;
    }
    Ok((clock() - start) / f64::from(repeats.max(1)))
}

/// How busy the cores were during the evaluation of shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Efficiency {
    /// The seconds of one bootstrap on one core.
    pub bootstrap_seconds: f64,
    /// The bootstraps of the evaluation.
    pub bootstraps: u64,
    /// The seconds of the evaluation.
    pub seconds: f64,
    /// The cores used.
    pub cores: usize,
    /// bootstraps * seconds of one / (cores * seconds of the evaluation).
    pub efficiency: f64,
}

/// Evaluates full shards of the built-in study on all threads of the current pool.
///
/// # Errors
/// None but a bug.
pub fn efficiency(
    key: &OwnKey,
    shards: usize,
    clock: &dyn Fn() -> f64,
) -> Result<Efficiency, MeasureError> {
    let (plan, twins) = built_in(key)?;
    let cancel = AtomicBool::new(false);
    let single = bootstrap_seconds(key.engine(), 40, clock)?;
    let (before, start) = (key.engine().bootstraps(), clock());
    for _ in 0..shards.max(1) {
        evaluate_shard(key.engine(), &plan, &twins, &|_| {}, &cancel)?;
    }
    let (bootstraps, seconds) = (key.engine().bootstraps() - before, clock() - start);
    let cores = rayon::current_num_threads();
    Ok(Efficiency {
        bootstrap_seconds: single,
        bootstraps,
        seconds,
        cores,
        efficiency: float(bootstraps) * single / (float(cores as u64) * seconds),
    })
}

/// The vancomycin study with five arms on one full shard.
fn built_in(key: &OwnKey) -> Result<(Plan, Vec<Vec<LweCiphertextOwned<u64>>>), MeasureError> {
    let schema = vancomycin_study().schema()?;
    let program = vancomycin_study().compile_for(&schema)?;
    let context = PlanContext {
        hospitals: BTreeMap::from([(1, SHARD_TWINS), (2, SHARD_TWINS)]),
        parties: 4,
        threshold: 1,
        noise: NoiseModel::new(&V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128, 2, 4),
        seconds_per_bootstrap: 0.025,
        cores: 1,
    };
    let plan = plan(&program, &schema, &context)?;
    let twins = (0..SHARD_TWINS)
        .into_par_iter()
        .map(|index| {
            let crcl = 20.0 + 4.0 * float(index as u64);
            let features = Features::from([("crcl_goti_ml_min".to_owned(), Some(crcl))]);
            Ok(key.encrypt_twin(&encode(&schema, &features)?))
        })
        .collect::<Result<_, EncodeError>>()?;
    Ok((plan, twins))
}

/// The vancomycin study that the benchmarks use: five arms, and a histogram whose edges are cuts of the arms.
#[must_use]
pub fn vancomycin_study() -> StudySpec {
    StudySpec {
        model: "vancomycin-goti-2018".to_owned(),
        arms: vec![750.0, 1000.0, 1250.0, 1500.0, 2000.0],
        cuts: vec![400.0, 600.0],
        histogram: Some(HistogramSpec {
            arm: Some(1250.0),
            edges: vec![375.0, 400.0, 500.0, 600.0, 750.0, 1000.0],
        }),
        k: 10,
        ..StudySpec::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
