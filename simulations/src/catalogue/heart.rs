//! Models of the heart and the circulation.

pub mod cha2ds2_vasc;
pub mod ejection_fraction;
pub mod h2fpef;
pub mod maggic;
pub mod map_scenario;
pub mod qtc;
pub mod rcri;
pub mod windkessel;

use super::Model;

/// The models of the heart.
pub const MODELS: &[&Model] = &[
    &ejection_fraction::MODEL,
    &cha2ds2_vasc::MODEL,
    &rcri::MODEL,
    &h2fpef::MODEL,
    &maggic::MODEL,
    &qtc::MODEL,
    &windkessel::TWO_ELEMENTS,
    &windkessel::THREE_ELEMENTS,
    &map_scenario::MODEL,
];
