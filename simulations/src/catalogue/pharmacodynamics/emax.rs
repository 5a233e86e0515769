//! The effect of one drug: Emax with a Hill slope.

use super::combination::{RATIO_SHIFT, RATIOS, hill, slope};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Tolerance, Values,
        input::pharmacology::DRUG_1, pharmacokinetics::regimen::parameter,
    },
    formula::{Additive, Formula, Term},
};

/// What the drug adds to the effect at a multiple of the EC50.
fn added(ratio: f64, parameters: &Values) -> f64 {
    hill(parameters.of("emax"), ratio, parameters.of("slope"))
}

/// The model.
pub static MODEL: Model = Model {
    id: "emax",
    title: "Effect of one drug (Emax with a Hill slope)",
    organ: "liver",
    source: "Hill AV, J Physiol 1910;40:iv: E = E0 + Emax*C^g/(EC50^g+C^g)",
    evidence: Evidence::OneTranscription,
    population: "any; the hospital divides the concentration by the EC50 of the effect in question",
    inputs: &[&DRUG_1],
    optional: &[],
    parameters: &[
        parameter("e0", "1", "effect without the drug", (-10.0, 10.0, 0.0)),
        parameter("emax", "1", "largest effect of the drug", (0.01, 10.0, 1.0)),
        slope("slope", "Hill slope"),
    ],
    arm: Some("slope"),
    outputs: &[Output {
        key: "effect",
        unit: "1",
        title: "effect in the unit of the largest effect",
        kind: OutputKind::Number {
            decimals: 3,
            tolerance: Tolerance::Absolute(0.02),
        },
    }],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        let added = added(inputs.of(DRUG_1.key), parameters);
        out.set("effect", parameters.of("e0") + added);
        out
    },
    formula: |output, parameters| {
        let own = parameters.clone();
        let [axis, ..] = RATIOS;
        (output == "effect").then(|| {
            let table = Term::axis(axis, move |shifted| added(shifted - RATIO_SHIFT, &own));
            Formula::Number(Additive::sum(vec![table]).plus(parameters.of("e0")))
        })
    },
    examples: &[Example {
        // C 3, EC50 2.
        given: &[("drug_1_ec50_multiple", 1.5), ("slope", 1.5)],
        lists: &[],
        expected: &[("effect", 0.64753, 5e-6)],
    }],
};
