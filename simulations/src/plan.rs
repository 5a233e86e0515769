//! The planner: what a study costs, how surely it is right, and how far it is from the textbook formula, before it runs.

mod estimate;
mod meter;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use estimate::{Estimate, Work};

use crate::{
    Digest, NoiseModel, Program, SHARD_TWINS, Schema,
    circuit::{Layout, Output, Schedule, ScheduleError},
    machine::MachineError,
};

/// log2 of the failure probability above which a study is refused.
pub const WORST_LOG2_FAILURE: f64 = -64.0;

/// What a plan depends on besides the program.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanContext {
    /// The number of twins of every hospital.
    pub hospitals: BTreeMap<u8, usize>,
    /// The number of parties.
    pub parties: u8,
    /// The number of parties that may be corrupt: every shard is evaluated by one more.
    pub threshold: u8,
    /// The noise of the joint key.
    pub noise: NoiseModel,
    /// The measured seconds of one bootstrap on one core.
    pub seconds_per_bootstrap: f64,
    /// The cores that one node may use.
    pub cores: u16,
}

/// A study that is not run, and why.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PlanError {
    /// The program does not fit the schema or the exact sums.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Nobody to study.
    #[error("no twins: ingest and deposit some first")]
    NoTwins,
    /// No row could ever be opened.
    #[error(
        "k = {k} cannot be reached without hospital {hospital}: the others hold {others} twins; lower k or wait for more deposits"
    )]
    GateNeverPasses {
        /// The smallest cell.
        k: u32,
        /// The hospital that is left out.
        hospital: u8,
        /// The twins of all others.
        others: usize,
    },
    /// Too likely to be wrong.
    #[error(
        "the study would fail with probability 2^{log2:.1}, above 2^{WORST_LOG2_FAILURE}; most of it at the {site} (2^{site_log2:.1} over all twins): use fewer or coarser tables, or a key with less noise"
    )]
    TooRisky {
        /// log2 of the study's failure probability.
        log2: f64,
        /// The step that contributes most.
        site: String,
        /// log2 of its contribution.
        site_log2: f64,
    },
    /// The circuit broke one of its own rules: a bug.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// What one node of the program costs on every twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeCost {
    /// The node; a sum stands for all thresholds on it.
    pub node: u32,
    /// What it computes.
    pub what: String,
    /// The bootstraps on one twin.
    pub bootstraps: u64,
    /// log2 of the probability that any of them fails in the study.
    pub log2_failure: f64,
}

/// What a study costs and how good it is, as shown before it is proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The twins.
    pub twins: usize,
    /// The shards.
    pub shards: usize,
    /// The bootstraps that decide on one twin.
    pub bootstraps_per_twin: u64,
    /// The bootstraps that cut one shard's counts into digits.
    pub bootstraps_per_shard: u64,
    /// The bootstraps of one evaluation of all shards.
    pub bootstraps_evaluate: u64,
    /// The bootstraps with which every node adds, compares and closes.
    pub bootstraps_finish: u64,
    /// The bootstraps of all nodes: every shard t+1 times, and the finish by everyone.
    pub bootstraps_all_nodes: u64,
    /// log2 of the probability that any digit of the result is wrong.
    pub log2_failure: f64,
    /// The step that contributes most to it.
    pub worst_step: String,
    /// log2 of that step's contribution.
    pub worst_step_log2_failure: f64,
    /// The standard deviation of the noisiest opened block, in those of one bootstrap.
    pub noise_level: f64,
    /// The seconds of evaluation and finish on this machine.
    pub seconds: f64,
    /// The blocks that are opened.
    pub blocks: usize,
    /// The bytes of one shard's output.
    pub shard_bytes: u64,
    /// The bytes that one node sends to each peer: the shards that it evaluates.
    pub bytes_per_peer: u64,
    /// The bytes of one encrypted twin.
    pub twin_bytes: u64,
    /// The memory of the evaluation, apart from the shards' outputs: it does not depend on the number of twins.
    pub memory_bytes: u64,
    /// The memory of all shards' outputs, which the finish reads.
    pub outputs_bytes: u64,
    /// What each node of the program costs.
    pub nodes: Vec<NodeCost>,
}

/// A program ready to run on given twins: a pure function of the program, the schema and the numbers of twins.
/// Only the forecast also depends on the machine.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) program: Program,
    pub(crate) schema: Schema,
    pub(crate) hospitals: BTreeMap<u8, usize>,
    pub(crate) schedule: Schedule,
    pub(crate) layout: Layout,
    forecast: Forecast,
}

impl Plan {
    /// What the study costs and how good it is.
    #[must_use]
    pub fn forecast(&self) -> &Forecast {
        &self.forecast
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The schema of its twins.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The number of twins of every hospital.
    #[must_use]
    pub fn hospitals(&self) -> &BTreeMap<u8, usize> {
        &self.hospitals
    }

    /// The number of all twins.
    #[must_use]
    pub fn twins(&self) -> usize {
        self.hospitals.values().sum()
    }

    /// The number of distinct cells, each counted once.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.schedule.cells
    }

    /// The numbers of a row's distinct cells, as [`crate::clear::evaluate`] counts them.
    #[must_use]
    pub fn cells_of_row(&self, row: usize) -> &[usize] {
        self.schedule
            .rows
            .get(row)
            .map(|row| row.cells.as_slice())
            .unwrap_or_default()
    }

    /// The most that one twin adds to each total of a row.
    pub(crate) fn totals_of_row(&self, row: usize) -> impl Iterator<Item = u64> {
        let totals = self.schedule.rows.get(row).map(|row| row.totals.as_slice());
        totals.unwrap_or_default().iter().map(|number| {
            self.schedule
                .totals
                .get(*number)
                .map_or(0, |total| total.most)
        })
    }

    /// The number of blocks of four bits that are opened.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.layout.blocks.len()
    }

    /// The rows whose gate is opened, in the order of the blocks. No digit of a row is opened but through its gate.
    #[must_use]
    pub fn gated_rows(&self) -> Vec<usize> {
        let halves = self.layout.blocks.iter();
        let halves = halves.flat_map(|(low, high)| [Some(*low), *high]);
        halves
            .flatten()
            .filter_map(|output| match output {
                Output::Gate { row } => Some(row),
                Output::Digit { .. } | Output::Total { .. } => None,
            })
            .collect()
    }

    /// The number of shards of a hospital.
    #[must_use]
    pub fn shards(&self, hospital: u8) -> usize {
        self.hospitals
            .get(&hospital)
            .copied()
            .unwrap_or(0)
            .div_ceil(SHARD_TWINS)
    }

    /// The hash of what every node must agree on: the program and the numbers of twins.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crate::digest_of(
            "organtwin plan 2",
            &(self.program.digest(), &self.hospitals),
        )
    }
}

/// Plans a program.
///
/// # Errors
/// A sum too wide for exact decisions, no twins, a k that is out of reach, or a failure probability above 2^-64.
pub fn plan(program: &Program, schema: &Schema, context: &PlanContext) -> Result<Plan, PlanError> {
    let schedule = Schedule::new(program, schema)?;
    let twins: usize = context.hospitals.values().sum();
    if twins == 0 {
        return Err(PlanError::NoTwins);
    }
    for (hospital, own) in &context.hospitals {
        let others = twins - own;
        if u32::try_from(others).unwrap_or(u32::MAX) < program.k() {
            let hospital = *hospital;
            return Err(PlanError::GateNeverPasses {
                k: program.k(),
                hospital,
                others,
            });
        }
    }
    let layout = Layout::new(&schedule, count(twins));
    let work = Work {
        program,
        schema,
        context,
        schedule: &schedule,
        layout: &layout,
    };
    let forecast = Estimate::of(&work)?.forecast(&work);
    if forecast.log2_failure > WORST_LOG2_FAILURE {
        return Err(PlanError::TooRisky {
            log2: forecast.log2_failure,
            site: forecast.worst_step,
            site_log2: forecast.worst_step_log2_failure,
        });
    }
    Ok(Plan {
        program: program.clone(),
        schema: schema.clone(),
        hospitals: context.hospitals.clone(),
        schedule,
        layout,
        forecast,
    })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn float(number: u64) -> f64 {
    // Counts stay far below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let value = number as f64;
    value
}
