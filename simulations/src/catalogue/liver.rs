//! Models of the liver.

pub mod albi;
pub mod child_pugh;
pub mod fib_4;
pub mod future_liver_remnant;
pub mod meld_3;
pub mod well_stirred;

use super::Model;

/// The models of the liver.
pub const MODELS: &[&Model] = &[
    &meld_3::MODEL,
    &child_pugh::MODEL,
    &albi::MODEL,
    &fib_4::MODEL,
    &well_stirred::MODEL,
    &future_liver_remnant::MODEL,
];
