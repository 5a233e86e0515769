//! From a schedule to bootstraps, failures, bytes and seconds.

use std::collections::BTreeMap;

use super::{Forecast, NodeCost, PlanContext, PlanError, count, float, meter::Meter};
use crate::{
    Program, SHARD_TWINS, Schema,
    circuit::{Hospital, Layout, Schedule, aggregate, cut_quantities, quantity_wires, twin_atoms},
    machine::{Site, Step},
};

/// The words of a ciphertext at the real parameters.
const LWE_SIZE: usize = 2049;
/// The memory of the evaluation keys in their Fourier form, and of the library.
const KEYS: u64 = 256 << 20;

/// What is estimated.
pub(super) struct Work<'w> {
    pub(super) program: &'w Program,
    pub(super) schema: &'w Schema,
    pub(super) context: &'w PlanContext,
    pub(super) schedule: &'w Schedule,
    pub(super) layout: &'w Layout,
}

/// Bootstraps and failures of a study.
pub(super) struct Estimate {
    per_twin: u64,
    per_shard: u64,
    finish: u64,
    shards: usize,
    failures: BTreeMap<Site, f64>,
    per_node: BTreeMap<u32, u64>,
    noisiest: f64,
}

impl Estimate {
    pub(super) fn of(work: &Work<'_>) -> Result<Self, PlanError> {
        let (noise, schedule) = (&work.context.noise, work.schedule);
        let mut failures = BTreeMap::new();
        let twins: usize = work.context.hospitals.values().sum();

        let twin = Meter::new(noise);
        let slots = vec![noise.input * noise.input; work.schema.slots()];
        let atoms = twin_atoms(&twin, schedule, &slots)?;
        let wires = quantity_wires(&twin, schedule, &slots, &atoms)?;
        twin.tally(count(twins), &mut failures);
        let mut per_node = BTreeMap::new();
        for (site, bootstraps) in twin.sites() {
            if matches!(site.step, Step::Decide | Step::Extract) {
                *per_node.entry(site.index).or_insert(0) += bootstraps;
            }
        }

        let mut sizes: BTreeMap<usize, u64> = BTreeMap::new();
        for own in work.context.hospitals.values().filter(|own| **own > 0) {
            *sizes.entry(SHARD_TWINS.min(*own)).or_insert(0) += count(own.div_ceil(SHARD_TWINS));
        }
        let mut per_shard = 0;
        let mut outputs: Vec<Vec<f64>> = Vec::new();
        for (size, number) in &sizes {
            // The largest size comes last; its outputs are the noisiest.
            let shard = Meter::new(noise);
            let sums: Vec<f64> = wires
                .iter()
                .map(|wire| wire * float(count(*size)))
                .collect();
            outputs = cut_quantities(&shard, schedule, &sums)?;
            per_shard = shard.bootstraps();
            shard.tally(*number, &mut failures);
        }

        let finish = Meter::new(noise);
        let hospitals = work.context.hospitals.iter().map(|(hospital, own)| {
            let size = SHARD_TWINS.min(*own);
            let numbers = || {
                let quantities = schedule.quantities.iter().zip(&outputs);
                quantities
                    .map(|(quantity, blocks)| quantity.number(blocks, size))
                    .collect()
            };
            let shards = (0..own.div_ceil(SHARD_TWINS)).map(|_| numbers()).collect();
            let twins = count(*own);
            (*hospital, Hospital { twins, shards })
        });
        let hospitals = hospitals.collect();
        let k = u64::from(work.program.k());
        let blocks = aggregate(&finish, schedule, work.layout, k, &hospitals)?;
        let finish_bootstraps = finish.bootstraps();
        for block in &blocks {
            finish.add(Step::Squash.at(blocks.len()), 1 << 58, *block);
        }
        finish.tally(1, &mut failures);
        let noisiest = blocks.iter().copied().fold(0.0, f64::max);
        let shards = work.context.hospitals.values();
        Ok(Self {
            per_twin: twin.bootstraps(),
            per_shard,
            finish: finish_bootstraps,
            shards: shards.map(|own| own.div_ceil(SHARD_TWINS)).sum(),
            failures,
            per_node,
            noisiest: libm::sqrt(noisiest) / noise.bootstrap,
        })
    }

    pub(super) fn forecast(&self, work: &Work<'_>) -> Forecast {
        let context = work.context;
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
        let shard_bytes = crate::evaluate::shard_bytes(work.schedule.blocks(), LWE_SIZE);
        let outputs_bytes = shard_bytes * count(self.shards);
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
            blocks: work.layout.blocks.len(),
            shard_bytes,
            bytes_per_peer: (outputs_bytes * repeats).div_ceil(parties),
            twin_bytes: count(work.schema.slots()) * 16,
            memory_bytes: self.memory(work),
            outputs_bytes,
            nodes: self.nodes(work),
        }
    }

    /// The keys, the slots of one shard's twins, and the ciphertexts that every core works on.
    fn memory(&self, work: &Work<'_>) -> u64 {
        let schedule = work.schedule;
        let cores = usize::from(work.context.cores.max(1)) + 1;
        let slots = SHARD_TWINS * work.schema.slots();
        let working = cores * (schedule.atoms + schedule.quantities.len());
        KEYS + count((slots + working) * LWE_SIZE * 8)
    }

    fn nodes(&self, work: &Work<'_>) -> Vec<NodeCost> {
        let failure = |node: u32| {
            let steps = [Step::Decide, Step::Extract].map(|step| step.at(node as usize));
            let sum: f64 = steps
                .iter()
                .filter_map(|site| self.failures.get(site))
                .sum();
            libm::log2(sum)
        };
        self.per_node
            .iter()
            .map(|(node, bootstraps)| NodeCost {
                node: *node,
                what: work
                    .program
                    .op(*node)
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                bootstraps: *bootstraps,
                log2_failure: failure(*node),
            })
            .collect()
    }
}
