//! The machine that knows only variances: it logs what would be bootstrapped.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::float;
use crate::{
    NoiseModel,
    machine::{Machine, MachineError, Site, Table},
    noise::log2_failure,
};

/// Bootstraps by their place, margin and variance.
type Log = BTreeMap<(Site, u64, u64), u64>;

pub(super) struct Meter<'n> {
    noise: &'n NoiseModel,
    log: Mutex<Log>,
}

impl<'n> Meter<'n> {
    pub(super) fn new(noise: &'n NoiseModel) -> Self {
        Self {
            noise,
            log: Mutex::new(Log::new()),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, site: Site, margin: u64, variance: f64) {
        // Positive floats order like their bits, so the log's order is that of the numbers.
        *self
            .log()
            .entry((site, margin, variance.to_bits()))
            .or_insert(0) += 1;
    }

    pub(super) fn bootstraps(&self) -> u64 {
        self.log().values().sum()
    }

    /// The bootstraps of every place.
    pub(super) fn sites(&self) -> BTreeMap<Site, u64> {
        let mut sites = BTreeMap::new();
        for ((site, ..), number) in self.log().iter() {
            *sites.entry(*site).or_insert(0) += number;
        }
        sites
    }

    /// Adds the failures of a log that happens several times.
    pub(super) fn tally(&self, times: u64, failures: &mut BTreeMap<Site, f64>) {
        let switch = self.noise.switch * self.noise.switch;
        for ((site, margin, variance), number) in self.log().iter() {
            let log2 = log2_failure(float(*margin), f64::from_bits(*variance) + switch);
            // Below 2^-1000 a probability is nothing beside the others.
            *failures.entry(*site).or_insert(0.0) +=
                float(number * times) * libm::exp2(log2.clamp(-1000.0, 0.0));
        }
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
