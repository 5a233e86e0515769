//! Pharmacodynamics and the combination of drugs.

use super::Model;

pub mod bliss;
mod combination;
mod driven;
pub mod emax;
pub mod enzyme_inhibition;
pub mod greco;
pub mod indirect_response;
pub mod inr_hamberg;
pub mod loewe;

/// The models.
pub const MODELS: &[&Model] = &[
    &emax::MODEL,
    &bliss::MODEL,
    &loewe::MODEL,
    &greco::MODEL,
    &indirect_response::MODEL,
    &inr_hamberg::MODEL,
    &enzyme_inhibition::MODEL,
    &enzyme_inhibition::clinical::MODEL,
];

pub(crate) use combination::{RATIO_SHIFT, RATIOS};

#[cfg(test)]
mod tests;
