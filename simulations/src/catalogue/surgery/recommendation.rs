//! Recommendations: the best of at most eight actions by benefit and harm, without those that are contraindicated.
//!
//! What each action is worth is a policy of the study and public; a contraindication is decided under encryption and reported
//! with its name, as is whether the best action leads by a margin.

pub mod dose;
pub mod liver;

use crate::catalogue::{Parameter, pharmacokinetics::regimen::parameter};

/// The margins over the second best that are reported, as a parameter.
const MARGIN: Parameter = parameter(
    "margin",
    "1",
    "lead over the second best that is reported",
    (0.01, 5.0, 0.1),
);
