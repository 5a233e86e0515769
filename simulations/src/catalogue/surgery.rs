//! Surgery: blood, kidney, liver, circulation, and what to recommend.

use super::Model;

pub mod allowable_blood_loss;
pub mod haemodynamic_scenario;
pub mod hepatectomy;
pub mod nephrectomy;
pub mod recommendation;

/// The models.
pub const MODELS: &[&Model] = &[
    &allowable_blood_loss::MODEL,
    &nephrectomy::MODEL,
    &hepatectomy::MODEL,
    &haemodynamic_scenario::MODEL,
    &recommendation::dose::MODEL,
    &recommendation::liver::MODEL,
];

#[cfg(test)]
mod tests;
