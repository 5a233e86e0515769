//! Models of the kidney.

pub mod bedside_elimination;
pub mod ckd_epi_2021;
pub mod cockcroft_gault;
pub mod kfre;

use super::Model;

/// The models of the kidney.
pub const MODELS: &[&Model] = &[
    &ckd_epi_2021::MODEL,
    &cockcroft_gault::MODEL,
    &kfre::MODEL,
    &bedside_elimination::MODEL,
];
