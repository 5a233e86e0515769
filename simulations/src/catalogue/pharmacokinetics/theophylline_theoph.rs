//! Theophylline by mouth in healthy adults: the data set Theoph.

use super::{
    course::Response,
    question::{self, Reads, Target, outputs_and, target},
    regimen::{MG, Usual, oral},
};
use crate::catalogue::{Evidence, Example, Model, Output, Parameter, input::WEIGHT};

/// ln of the elimination rate in 1/h, of the absorption rate in 1/h, and of the clearance in L/h/kg.
const LN: (f64, f64, f64) = (-2.454_70, 0.465_74, -3.227_22);

fn response(weight: f64, factor: f64) -> Response {
    let (rate, absorption, clearance) = (libm::exp(LN.0), libm::exp(LN.1), libm::exp(LN.2));
    Response::one_compartment_oral(weight * clearance / rate, factor * rate, absorption, 1.0)
}

const READS: Reads = Reads::Axis {
    axis: "weight_kg",
    system: response,
};

const PARAMETERS: [Parameter; 12] = oral(
    &MG,
    Usual {
        daily: (50.0, 2000.0, 315.0),
        interval: (4.0, 48.0, 24.0),
        infusion: (0.0, 0.0, 0.0),
        threshold: (1.0, 30.0, 5.0),
        latest: 168.0,
        window: (24.0, 48.0),
    },
);

const AVERAGE: Target = ("average_target", MG.average_ss, &[5.0, 15.0]);

const OUTPUTS: [Output; 11] = outputs_and(
    &MG,
    target(
        "average at steady state by the target of 5 to 15 mg/L (to be confirmed against the paper)",
        AVERAGE,
    ),
);

/// The model.
pub static MODEL: Model = Model {
    id: "theophylline-theoph",
    title: "Theophylline by mouth, healthy adults (data set Theoph)",
    organ: "liver",
    source: "Pinheiro JC, Bates DM, Mixed-Effects Models in S and S-PLUS, 2000: data set Theoph, ln ke = -2.45470, ln ka = 0.46574, \
             ln CL = -3.22722 (L/h/kg)",
    evidence: Evidence::OneTranscription,
    population: "healthy adults, by mouth",
    inputs: &[&WEIGHT],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let (weight, factor) = (inputs.of(WEIGHT.key), parameters.of("clearance_factor"));
        let response = |step: f64| response(weight, factor * step);
        question::reference(&MG, parameters, &response, &[AVERAGE])
    },
    formula: |output, parameters| READS.formula(output, &MG, parameters),
    examples: &[Example {
        // 4.5 mg/kg once.
        given: &[
            ("weight_kg", 70.0),
            ("daily_dose_mg", 315.0),
            ("at_h", 24.0),
            ("from_h", 0.0),
            ("to_h", 24.0),
        ],
        lists: &[],
        expected: &[
            ("concentration_mg_l", 1.3109, 5e-5),
            ("peak_mg_l", 8.2514, 2e-3),
        ],
    }],
};
