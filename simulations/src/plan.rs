//! The planner: what a study costs, how surely it is right, and how far it is from the textbook formula, before it runs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Digest, NoiseModel, Program, SHARD_TWINS, Schema,
    circuit::{
        Hospital, Layout, Number, SHARD_BLOCKS, Schedule, ScheduleError, aggregate, cut_count,
        twin_bits,
    },
    machine::{Machine, MachineError, Site, Step, Table},
    noise::log2_failure,
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
        self.schedule.cells.len()
    }

    /// The numbers of a row's distinct cells, as [`crate::clear::evaluate`] counts them.
    #[must_use]
    pub fn cells_of_row(&self, row: usize) -> &[usize] {
        self.schedule
            .rows
            .get(row)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The number of blocks of four bits that are opened.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.layout.blocks.len()
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
            "organtwin plan 1",
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
    let layout = Layout::new(&schedule.rows, count(twins));
    let estimate = Estimate::of(program, schema, context, &schedule, &layout)?;
    let forecast = estimate.forecast(context, &schedule, &layout);
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

/// The machine that only knows variances, and logs what would be bootstrapped.
struct Meter<'n> {
    noise: &'n NoiseModel,
    log: Mutex<BTreeMap<(Site, u64, u64), u64>>,
}

impl<'n> Meter<'n> {
    fn new(noise: &'n NoiseModel) -> Self {
        Self {
            noise,
            log: Mutex::new(BTreeMap::new()),
        }
    }

    fn log(&self) -> MutexGuard<'_, BTreeMap<(Site, u64, u64), u64>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, site: Site, margin: u64, variance: f64) {
        // Positive floats order like their bits, so the log's order is that of the numbers.
        *self
            .log()
            .entry((site, margin, variance.to_bits()))
            .or_insert(0) += 1;
    }

    fn bootstraps(&self) -> u64 {
        self.log().values().sum()
    }
}

impl Machine for Meter<'_> {
    type Wire = f64;

    fn combine(&self, terms: &[(&f64, i64)], _constant: u64) -> f64 {
        terms
            .iter()
            .map(|(variance, factor)| {
                let factor = float(factor.unsigned_abs());
                *variance * factor * factor
            })
            .sum()
    }

    fn bootstrap(&self, input: &f64, table: &Table, site: Site) -> Result<Vec<f64>, MachineError> {
        self.add(site, table.margin(), *input);
        Ok(vec![
            self.noise.bootstrap * self.noise.bootstrap;
            table.outputs().len()
        ])
    }
}

/// Bootstraps and failures of a study.
struct Estimate {
    per_twin: u64,
    per_shard: u64,
    finish: u64,
    shards: usize,
    failures: BTreeMap<Site, f64>,
    noisiest: f64,
}

impl Estimate {
    fn of(
        program: &Program,
        schema: &Schema,
        context: &PlanContext,
        schedule: &Schedule,
        layout: &Layout,
    ) -> Result<Self, PlanError> {
        let noise = &context.noise;
        let mut failures = BTreeMap::new();
        let twins: usize = context.hospitals.values().sum();

        let twin = Meter::new(noise);
        let bits = twin_bits(
            &twin,
            schedule,
            &vec![noise.input * noise.input; schema.slots()],
        )?;
        tally(&twin, count(twins), &mut failures);

        let mut sizes: BTreeMap<usize, u64> = BTreeMap::new();
        for own in context.hospitals.values().filter(|own| **own > 0) {
            *sizes.entry(SHARD_TWINS.min(*own)).or_insert(0) += count(own.div_ceil(SHARD_TWINS));
        }
        let mut per_shard = 0;
        let mut outputs: Vec<[f64; SHARD_BLOCKS]> = Vec::new();
        for (size, number) in &sizes {
            // The largest size comes last; its outputs are the noisiest.
            let shard = Meter::new(noise);
            let counts: Vec<f64> = bits.iter().map(|bit| bit * float(count(*size))).collect();
            outputs = cells(&shard, schedule, &counts)?;
            per_shard = shard.bootstraps();
            tally(&shard, *number, &mut failures);
        }

        let finish = Meter::new(noise);
        let hospitals = context
            .hospitals
            .iter()
            .map(|(hospital, own)| {
                let one = || {
                    outputs
                        .iter()
                        .map(|[low, high]| Number::from_shard(*low, *high))
                };
                let shards = (0..own.div_ceil(SHARD_TWINS))
                    .map(|_| one().collect())
                    .collect();
                (
                    *hospital,
                    Hospital {
                        twins: count(*own),
                        shards,
                    },
                )
            })
            .collect();
        let blocks = aggregate(
            &finish,
            schedule,
            layout,
            u64::from(program.k()),
            &hospitals,
        )?;
        let finish_bootstraps = finish.bootstraps();
        for block in &blocks {
            finish.add(Step::Squash.at(blocks.len()), 1 << 58, *block);
        }
        tally(&finish, 1, &mut failures);
        let noisiest = blocks.iter().copied().fold(0.0, f64::max);
        Ok(Self {
            per_twin: twin.bootstraps(),
            per_shard,
            finish: finish_bootstraps,
            shards: context
                .hospitals
                .values()
                .map(|own| own.div_ceil(SHARD_TWINS))
                .sum(),
            failures,
            noisiest: libm::sqrt(noisiest) / noise.bootstrap,
        })
    }

    fn forecast(&self, context: &PlanContext, schedule: &Schedule, layout: &Layout) -> Forecast {
        let twins: usize = context.hospitals.values().sum();
        let evaluate = count(twins) * self.per_twin + count(self.shards) * self.per_shard;
        let repeats = u64::from(context.threshold) + 1;
        let parties = u64::from(context.parties.max(1));
        let worst = self
            .failures
            .iter()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or((String::new(), f64::NEG_INFINITY), |(site, p)| {
                (site.to_string(), libm::log2(*p))
            });
        let share = float(repeats * evaluate) / float(parties) + float(self.finish);
        Forecast {
            twins,
            shards: self.shards,
            bootstraps_per_twin: self.per_twin,
            bootstraps_per_shard: self.per_shard,
            bootstraps_evaluate: evaluate,
            bootstraps_finish: self.finish,
            bootstraps_all_nodes: repeats * evaluate + parties * self.finish,
            log2_failure: libm::log2(self.failures.values().sum::<f64>()),
            worst_step: worst.0,
            worst_step_log2_failure: worst.1,
            noise_level: self.noisiest,
            seconds: share * context.seconds_per_bootstrap / f64::from(context.cores.max(1)),
            blocks: layout.blocks.len(),
            shard_bytes: crate::evaluate::shard_bytes(schedule.cells.len(), 2049),
        }
    }
}

/// The blocks of every cell of a shard.
pub(crate) fn cells<M: Machine>(
    machine: &M,
    schedule: &Schedule,
    counts: &[M::Wire],
) -> Result<Vec<[M::Wire; SHARD_BLOCKS]>, MachineError> {
    use rayon::prelude::*;
    schedule
        .cells
        .par_iter()
        .enumerate()
        .map(|(cell, plan)| cut_count(machine, cell, *plan, counts))
        .collect()
}

/// Adds the failures of a log that happens several times.
fn tally(meter: &Meter<'_>, times: u64, failures: &mut BTreeMap<Site, f64>) {
    let switch = meter.noise.switch * meter.noise.switch;
    for ((site, margin, variance), number) in meter.log().iter() {
        let log2 = log2_failure(float(*margin), f64::from_bits(*variance) + switch);
        // Below 2^-1000 a probability is nothing beside the others.
        *failures.entry(*site).or_insert(0.0) +=
            float(number * times) * libm::exp2(log2.clamp(-1000.0, 0.0));
    }
}
