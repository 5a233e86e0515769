//! Pharmacokinetics: concentrations under any regimen, each output one table over what they depend on in a patient.
//!
//! Doses, times and infusions are chosen by the study and public, so the superposition of all doses is computed when a study is
//! compiled, in floating point and at every node of the grid.

use super::Model;

pub mod course;
pub mod digoxin_hirai;
pub mod digoxin_jelliffe;
pub mod gentamicin_staatz;
pub mod midazolam_swart;
pub mod question;
pub mod regimen;
pub mod tacrolimus_andrews;
pub mod theophylline_theoph;
pub mod theophylline_yano;
pub mod vancomycin_buelga;
pub mod vancomycin_goti;
pub mod vancomycin_thomson;

/// The models.
pub const MODELS: &[&Model] = &[
    &vancomycin_goti::MODEL,
    &vancomycin_buelga::MODEL,
    &vancomycin_thomson::MODEL,
    &gentamicin_staatz::MODEL,
    &digoxin_hirai::MODEL,
    &digoxin_jelliffe::MODEL,
    &tacrolimus_andrews::MODEL,
    &midazolam_swart::MODEL,
    &theophylline_theoph::MODEL,
    &theophylline_yano::MODEL,
];

#[cfg(test)]
pub(crate) mod tests;
