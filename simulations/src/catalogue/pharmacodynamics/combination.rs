//! What the models of drug effects share: concentrations as multiples of the one of half effect.

use crate::{
    catalogue::{Output, OutputKind, Parameter, Tolerance, pharmacokinetics::regimen::parameter},
    formula::Link,
};

/// The axes of the concentrations of three drugs, each as a multiple of its EC50, and [`RATIO_SHIFT`].
pub(crate) const RATIOS: [&str; 3] = ["drug_1_ratio", "drug_2_ratio", "drug_3_ratio"];
/// Added to a ratio, so that a drug that is not given has a place on an axis by logarithm.
pub(crate) const RATIO_SHIFT: f64 = 0.0625;

/// Emax of one curve at a multiple of the EC50.
pub(super) fn hill(most: f64, ratio: f64, slope: f64) -> f64 {
    if ratio <= 0.0 {
        return 0.0;
    }
    most / (1.0 + libm::pow(ratio, -slope))
}

/// The effect at a sum of ratios, strictly increasing.
pub(super) fn hill_link(most: f64, slope: f64) -> Link {
    Link::new(
        move |ratio| hill(most, ratio, slope),
        move |effect| libm::pow(effect / (most - effect), 1.0 / slope),
    )
}

/// The steepness of a curve.
pub(super) const fn slope(key: &'static str, title: &'static str) -> Parameter {
    parameter(key, "1", title, (0.5, 4.0, 1.0))
}

/// The largest effect of a curve.
pub(super) const fn most(key: &'static str, title: &'static str) -> Parameter {
    parameter(key, "1", title, (0.05, 0.99, 0.99))
}

/// An effect as a share.
pub(super) const EFFECT: Output = Output {
    key: "effect",
    unit: "1",
    title: "effect as a share",
    kind: OutputKind::Number {
        decimals: 3,
        tolerance: Tolerance::Absolute(0.02),
    },
};
