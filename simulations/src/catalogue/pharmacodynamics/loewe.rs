//! Drugs that are dilutions of each other (Loewe additivity).

use super::combination::{EFFECT, RATIO_SHIFT, RATIOS, hill, hill_link, most, slope};
use crate::{
    catalogue::{
        Evidence, Example, Model, Values,
        input::pharmacology::{DRUG_1, DRUG_2, DRUG_3},
    },
    formula::{Additive, Formula, Term},
};

/// The model.
pub static MODEL: Model = Model {
    id: "loewe",
    title: "Effect of up to three drugs of one mechanism with one slope (Loewe additivity)",
    organ: "liver",
    source: "Loewe S, Arzneimittelforschung 1953;3:285: sum of d_i/D_i(E) = 1; with equal slopes E = Emax*z^m/(1+z^m), z the sum \
             of C_i/EC50_i",
    evidence: Evidence::OneTranscription,
    population: "any; the hospitals divide each concentration by the drug's EC50; 0 for a drug that is not given",
    inputs: &[&DRUG_1, &DRUG_2, &DRUG_3],
    optional: &[],
    parameters: &[
        most("emax", "largest effect"),
        slope("slope", "Hill slope of every drug"),
    ],
    arm: Some("slope"),
    outputs: &[EFFECT],
    reference: |inputs, parameters| {
        let ratio = [&DRUG_1, &DRUG_2, &DRUG_3].map(|drug| inputs.of(drug.key));
        let mut out = Values::default();
        let sum = ratio.iter().sum();
        out.set(
            "effect",
            hill(parameters.of("emax"), sum, parameters.of("slope")),
        );
        out
    },
    formula: |output, parameters| {
        let tables = RATIOS.map(|axis| Term::axis(axis, |shifted| shifted - RATIO_SHIFT));
        let link = hill_link(parameters.of("emax"), parameters.of("slope"));
        (output == "effect").then(|| Formula::Number(Additive::linked(tables.into(), link)))
    },
    examples: &[Example {
        // Half and a quarter of the EC50, slope 2: 0.36 of the largest effect.
        given: &[
            ("drug_1_ec50_multiple", 0.5),
            ("drug_2_ec50_multiple", 0.25),
            ("drug_3_ec50_multiple", 0.0),
            ("slope", 2.0),
        ],
        lists: &[],
        expected: &[("effect", 0.36 * 0.99, 1e-9)],
    }],
};
