//! Digoxin in adults, with or without working kidneys (Jelliffe 2014).

use super::{
    course::{Response, TwoCompartments},
    question::{self, Reads, Target, outputs_and, target},
    regimen::{UG, Usual, oral},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Parameter, Values,
        input::{AGE, CREATININE, SEX, WEIGHT},
    },
    twin::pharmacology::{WEIGHTS, dosing_clearance, dosing_weight},
};

/// The axis of the elimination rate in 1/h.
pub(crate) const AXIS: &str = "digoxin_jelliffe_rate_per_h";
/// The ends of the axis: no kidneys, and a clearance of 170 mL/min.
pub(crate) const RATES: (f64, f64) = (0.0288, 0.0288 + 0.000_451 * 170.0);

/// The elimination rate in 1/h of a patient for whom the model holds.
pub(crate) fn rate(inputs: &Values) -> Option<f64> {
    Some(0.0288 + 0.000_451 * dosing_clearance(inputs, 0.0, (0.0, 170.0))?)
}

/// The central volume in L.
fn volume(weight: f64) -> f64 {
    1.5714 * weight
}

/// Two compartments of which the first has a volume in L and an elimination rate in 1/h.
fn response(volume: f64, rate: f64) -> Response {
    // Exchange at 0.56 /h out of and 0.15 /h into the first compartment.
    let system = TwoCompartments {
        clearance: rate * volume,
        central: volume,
        exchange: 0.56 * volume,
        peripheral: 0.56 * volume / 0.15,
    };
    Response::two_compartments_oral(&system, 0.6093, 0.65, 0.0)
}

/// Beyond the weights for which the rate is known, the volume need not go on: one node more on both sides.
const READS: Reads = Reads::Proportional {
    volume_axis: "weight_kg",
    volume: |weight| volume(weight.clamp(36.0, 167.0)),
    rate_axis: AXIS,
    response: |rate| response(1.0, rate),
    smallest: 1.5714 * WEIGHTS.0,
};

const PARAMETERS: [Parameter; 12] = oral(
    &UG,
    Usual {
        daily: (31.25, 1000.0, 125.0),
        interval: (6.0, 72.0, 24.0),
        infusion: (0.0, 0.0, 0.0),
        threshold: (0.1, 5.0, 0.9),
        latest: 720.0,
        window: (336.0, 360.0),
    },
);

const TROUGH: Target = ("trough_target", UG.trough_ss, &[0.5, 0.9]);

const OUTPUTS: [Output; 11] = outputs_and(
    &UG,
    target(
        "trough at steady state by the target of 0.5 to 0.9 ng/mL in heart failure (to be confirmed against the paper)",
        TROUGH,
    ),
);

/// The model.
pub static MODEL: Model = Model {
    id: "digoxin-jelliffe-2014",
    title: "Digoxin by mouth in adults, with or without working kidneys (Jelliffe 2014)",
    organ: "kidney",
    source: "Jelliffe RW et al., Ther Drug Monit 2014;36:387: ka = 0.6093 /h, F = 0.65, V1 = 1.5714 L/kg, ke = \
             0.0288+0.000451*CrCl /h, k12 = 0.56 /h, k21 = 0.15 /h",
    evidence: Evidence::OneTranscription,
    population: "adults of 40 to 150 kg including those without kidneys, creatinine clearance up to 170 mL/min",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_ug"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let Some((rate, weight)) = rate(inputs).zip(dosing_weight(inputs)) else {
            return Values::default();
        };
        let rate = parameters.of("clearance_factor") * rate;
        let response = |step: f64| response(volume(weight), step * rate);
        question::reference(&UG, parameters, &response, &[TROUGH])
    },
    formula: |output, parameters| READS.formula(output, &UG, parameters),
    examples: &[Example {
        // CrCl 60 mL/min: ke 0.05586 /h, clearance 0.05586*94.284 = 5.26670 L/h; average 0.65*125/24/CL.
        given: &[
            ("creatinine_mg_dl", 1.0),
            ("age_years", 68.0),
            ("weight_kg", 60.0),
            ("sex", 1.0),
        ],
        lists: &[],
        expected: &[("average_ss_ug_l", 0.642_793, 2e-5)],
    }],
};
