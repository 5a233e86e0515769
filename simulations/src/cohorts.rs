//! What cohorts cost: the vancomycin study on patients in growing number, and the plan of a number too large to run here.

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tfhe::shortint::parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;
use thiserror::Error;

use crate::{
    EncodeError, EvaluateError, Features, NoiseModel, Plan, PlanContext, PlanError, SHARD_TWINS,
    Schema, SpecError, StudySpec, Weights, clear, encode,
    evaluate::{evaluate_shard, finish},
    measure::{OwnKey, vancomycin_study},
    plan,
};

/// The hospitals among which the patients are shared out.
const HOSPITALS: u8 = 4;

/// A cohort that could not be measured.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CohortError {
    /// The evaluation did not run.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The built-in study does not compile: a bug.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The built-in study cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The built-in twins cannot be encoded: a bug.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The ciphertexts disagree with the integers.
    #[error("the result on {0} encrypted patients is not the one in the clear")]
    Wrong(usize),
}

/// The cost of a study on so many patients, all shards and the gate, evaluated once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CohortCost {
    /// The patients.
    pub patients: usize,
    /// The arms of the study.
    pub arms: usize,
    /// The shards.
    pub shards: usize,
    /// The bootstraps of the shards.
    pub bootstraps: u64,
    /// The seconds of the shards, encryption excluded.
    pub seconds: f64,
    /// The seconds per patient.
    pub seconds_per_patient: f64,
    /// The seconds per patient and arm.
    pub seconds_per_arm: f64,
    /// The bootstraps of adding, comparing and closing, which do not depend on the patients.
    pub finish_bootstraps: u64,
    /// The seconds of that.
    pub finish_seconds: f64,
}

/// The plan of a cohort that is not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LargePlan {
    /// The patients.
    pub patients: usize,
    /// The shards.
    pub shards: usize,
    /// The seconds that planning took.
    pub planning_seconds: f64,
    /// The bootstraps that decide on one patient.
    pub bootstraps_per_patient: u64,
    /// The bootstraps of all nodes: every shard t+1 times, and the finish by everyone.
    pub bootstraps_all_nodes: u64,
    /// The hours of one evaluation of all shards on this machine.
    pub hours: f64,
    /// log2 of the probability that any digit of the result is wrong.
    pub log2_failure: f64,
    /// The memory of the evaluation.
    pub memory: MemoryEstimate,
}

/// The bytes that are held at once while shards are evaluated one after the other and then added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryEstimate {
    /// The evaluation key.
    pub key: u64,
    /// The ciphertexts of one shard, as large for ten patients in the shard as for ten thousand in the study.
    pub shard: u64,
    /// The outputs of all shards, which adding reads.
    pub outputs: u64,
    /// All of it.
    pub total: u64,
}

/// Runs the vancomycin study on so many patients, opens the result under the owner's key, and compares it with the clear.
///
/// `progress` gets the bootstraps done and to do.
///
/// # Errors
/// Too few patients for k, a wrong result, cancelled, or a bug.
pub fn cohort(
    key: &OwnKey,
    patients: usize,
    clock: &dyn Fn() -> f64,
    progress: &(dyn Fn(u64, u64) + Sync),
    cancel: &AtomicBool,
) -> Result<CohortCost, CohortError> {
    let study = vancomycin_study();
    let plan = planned(&study, patients, 0.025, 1)?;
    let forecast = plan.forecast();
    let total = forecast.bootstraps_evaluate + forecast.bootstraps_finish;
    let engine = key.engine();
    let first = engine.bootstraps();
    let report = |_| progress(engine.bootstraps() - first, total);
    let (mut seconds, mut shards) = (0.0, 0);
    let (mut outputs, mut expected) = (BTreeMap::new(), BTreeMap::new());
    for (hospital, own) in plan.hospitals() {
        let numbers: Vec<usize> = (0..*own).collect();
        let mut weights = Vec::new();
        let mut of_hospital = Vec::new();
        for shard in numbers.chunks(SHARD_TWINS) {
            let twins = shard
                .iter()
                .map(|number| patient(plan.schema(), *hospital, *number))
                .collect::<Result<Vec<_>, _>>()?;
            // Encrypting is the hospital's work and not part of the figure.
            let encrypted: Vec<_> = twins
                .par_iter()
                .map(|twin| key.encrypt_twin(twin))
                .collect();
            let start = clock();
            of_hospital.push(evaluate_shard(engine, &plan, &encrypted, &report, cancel)?);
            seconds += clock() - start;
            shards += 1;
            weights.extend(twins);
        }
        outputs.insert(*hospital, of_hospital);
        expected.insert(*hospital, weights);
    }
    let bootstraps = engine.bootstraps() - first;
    let start = clock();
    let aggregate = finish(engine, &plan, &outputs, &report, cancel)?;
    let finish_seconds = clock() - start;
    if key.open(&aggregate.blocks) != clear::run(&plan, &expected) {
        return Err(CohortError::Wrong(patients));
    }
    let seconds_per_patient = seconds / float(patients);
    Ok(CohortCost {
        patients,
        arms: study.arms.len(),
        shards,
        bootstraps,
        seconds,
        seconds_per_patient,
        seconds_per_arm: seconds_per_patient / float(study.arms.len()),
        finish_bootstraps: engine.bootstraps() - first - bootstraps,
        finish_seconds,
    })
}

/// Plans the vancomycin study for so many patients and estimates the memory of its evaluation; nothing is run.
///
/// # Errors
/// A plan that is refused.
pub fn large_plan(
    key: &OwnKey,
    patients: usize,
    seconds_per_bootstrap: f64,
    cores: u16,
    clock: &dyn Fn() -> f64,
) -> Result<LargePlan, CohortError> {
    let start = clock();
    let plan = planned(&vancomycin_study(), patients, seconds_per_bootstrap, cores)?;
    let planning_seconds = clock() - start;
    let forecast = plan.forecast();
    let ciphertext = bytes(key.engine().lwe_size()) * 8;
    let memory = MemoryEstimate::new(
        key.engine().key_bytes(),
        bytes(SHARD_TWINS * plan.schema().slots()) * ciphertext,
        bytes(forecast.shards) * forecast.shard_bytes,
    );
    let wall = seconds_per_bootstrap / f64::from(cores.max(1));
    Ok(LargePlan {
        patients,
        shards: forecast.shards,
        planning_seconds,
        bootstraps_per_patient: forecast.bootstraps_per_twin,
        bootstraps_all_nodes: forecast.bootstraps_all_nodes,
        hours: count(forecast.bootstraps_evaluate) * wall / 3600.0,
        log2_failure: forecast.log2_failure,
        memory,
    })
}

impl MemoryEstimate {
    fn new(key: u64, shard: u64, outputs: u64) -> Self {
        Self {
            key,
            shard,
            outputs,
            total: key + shard + outputs,
        }
    }
}

/// The plan of a study whose patients are shared out evenly.
fn planned(
    study: &StudySpec,
    patients: usize,
    seconds_per_bootstrap: f64,
    cores: u16,
) -> Result<Plan, CohortError> {
    let schema = study.schema()?;
    let program = study.compile_for(&schema)?;
    let hospitals = (1..=HOSPITALS)
        .map(|hospital| {
            let others = usize::from(HOSPITALS);
            let extra = usize::from(usize::from(hospital) <= patients % others);
            (hospital, patients / others + extra)
        })
        .collect();
    let context = PlanContext {
        hospitals,
        parties: HOSPITALS,
        threshold: 1,
        noise: NoiseModel::new(&V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128, 2, 4),
        seconds_per_bootstrap,
        cores,
    };
    Ok(plan(&program, &schema, &context)?)
}

/// A made-up patient: creatinine clearances spread evenly between 15 and 145 mL/min.
fn patient(schema: &Schema, hospital: u8, number: usize) -> Result<Weights, EncodeError> {
    let step = (number * usize::from(HOSPITALS) + usize::from(hospital)) * 37 % 131;
    let crcl = 15.0 + float(step);
    let features = Features::from([("crcl_goti_ml_min".to_owned(), Some(crcl))]);
    encode(schema, &features)
}

fn bytes(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn float(number: usize) -> f64 {
    count(bytes(number))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}
