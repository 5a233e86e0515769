//! Drugs that act independently of each other (Bliss 1939).

use super::combination::{EFFECT, RATIO_SHIFT, RATIOS, hill, most, slope};
use crate::{
    catalogue::{
        Evidence, Example, Model, Values,
        input::pharmacology::{DRUG_1, DRUG_2, DRUG_3},
    },
    formula::{Additive, Formula, Link, Term},
};

/// The largest effect and the slope of each drug.
const CURVES: [(&str, &str); 3] = [
    ("emax_1", "slope_1"),
    ("emax_2", "slope_2"),
    ("emax_3", "slope_3"),
];

/// The model.
pub static MODEL: Model = Model {
    id: "bliss",
    title: "Effect of up to three drugs that act independently (Bliss)",
    organ: "liver",
    source: "Bliss CI, Ann Appl Biol 1939;26:585: E = 1 - (1-E1)*(1-E2)*(1-E3), each Ei by Emax with a Hill slope",
    evidence: Evidence::OneTranscription,
    population: "any; the hospitals divide each concentration by the drug's EC50; 0 for a drug that is not given",
    inputs: &[&DRUG_1, &DRUG_2, &DRUG_3],
    optional: &[],
    parameters: &[
        most("emax_1", "largest effect of the first drug"),
        slope("slope_1", "Hill slope of the first drug"),
        most("emax_2", "largest effect of the second drug"),
        slope("slope_2", "Hill slope of the second drug"),
        most("emax_3", "largest effect of the third drug"),
        slope("slope_3", "Hill slope of the third drug"),
    ],
    arm: Some("slope_1"),
    outputs: &[EFFECT],
    reference: |inputs, parameters| {
        let left = [&DRUG_1, &DRUG_2, &DRUG_3]
            .into_iter()
            .zip(CURVES)
            .map(|(drug, curve)| {
                let (most, slope) = (parameters.of(curve.0), parameters.of(curve.1));
                1.0 - hill(most, inputs.of(drug.key), slope)
            });
        let mut out = Values::default();
        out.set("effect", 1.0 - left.product::<f64>());
        out
    },
    formula: |output, parameters| {
        let tables = RATIOS.into_iter().zip(CURVES).map(|(axis, curve)| {
            let (most, slope) = (parameters.of(curve.0), parameters.of(curve.1));
            Term::axis(axis, move |shifted| {
                -libm::log1p(-hill(most, shifted - RATIO_SHIFT, slope))
            })
        });
        let link = Link::new(|sum| -libm::expm1(-sum), |effect| -libm::log1p(-effect));
        (output == "effect").then(|| Formula::Number(Additive::linked(tables.collect(), link)))
    },
    examples: &[Example {
        // Effects of 0.5 and 0.4: multiples of 0.5/0.49 and 0.4/0.59 of the EC50 where the largest effect is 0.99.
        given: &[
            ("drug_1_ec50_multiple", 0.5 / 0.49),
            ("drug_2_ec50_multiple", 0.4 / 0.59),
            ("drug_3_ec50_multiple", 0.0),
        ],
        lists: &[],
        expected: &[("effect", 0.70, 1e-9)],
    }],
};
