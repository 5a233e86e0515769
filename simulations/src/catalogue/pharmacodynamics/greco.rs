//! Two drugs that enhance each other (Greco 1990).

use super::combination::{EFFECT, RATIO_SHIFT, RATIOS, hill, most, slope};
use crate::{
    catalogue::{
        Evidence, Example, Model, Values,
        input::pharmacology::{DRUG_1, DRUG_2},
        pharmacokinetics::regimen::parameter,
    },
    formula::{Additive, Formula, Link, Term},
};

/// The model.
pub static MODEL: Model = Model {
    id: "greco",
    title: "Effect of two drugs of one slope that enhance each other (Greco)",
    organ: "liver",
    source: "Greco WR et al., Cancer Res 1990;50:5318; with equal slopes z = u1 + u2 + alpha*u1*u2, E = Emax*z^m/(1+z^m), and \
             1+alpha*z = (1+alpha*u1)*(1+alpha*u2)",
    evidence: Evidence::OneTranscription,
    population: "any; the hospitals divide each concentration by the drug's EC50; 0 for a drug that is not given",
    inputs: &[&DRUG_1, &DRUG_2],
    optional: &[],
    parameters: &[
        most("emax", "largest effect"),
        slope("slope", "Hill slope of both drugs"),
        parameter(
            "alpha",
            "1",
            "synergy; for none of it use Loewe additivity",
            (0.01, 20.0, 1.0),
        ),
    ],
    arm: Some("alpha"),
    outputs: &[EFFECT],
    reference: |inputs, parameters| {
        let [first, second] = [&DRUG_1, &DRUG_2].map(|drug| inputs.of(drug.key));
        let sum = first + second + parameters.of("alpha") * first * second;
        let mut out = Values::default();
        out.set(
            "effect",
            hill(parameters.of("emax"), sum, parameters.of("slope")),
        );
        out
    },
    formula: |output, parameters| {
        let [alpha, most, slope] = ["alpha", "emax", "slope"].map(|key| parameters.of(key));
        let tables = RATIOS.into_iter().take(2).map(|axis| {
            Term::axis(axis, move |shifted| {
                libm::log1p(alpha * (shifted - RATIO_SHIFT))
            })
        });
        let link = Link::new(
            move |sum| hill(most, libm::expm1(sum) / alpha, slope),
            move |effect| libm::log1p(alpha * libm::pow(effect / (most - effect), 1.0 / slope)),
        );
        (output == "effect").then(|| Formula::Number(Additive::linked(tables.collect(), link)))
    },
    examples: &[Example {
        // z = 0.5 + 0.25 + 0.125: 0.43363 of the largest effect.
        given: &[
            ("drug_1_ec50_multiple", 0.5),
            ("drug_2_ec50_multiple", 0.25),
            ("slope", 2.0),
            ("alpha", 1.0),
        ],
        lists: &[],
        expected: &[("effect", 0.43363 * 0.99, 5e-6)],
    }],
};
