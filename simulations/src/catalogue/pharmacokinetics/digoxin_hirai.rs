//! Digoxin in atrial fibrillation and heart failure, with and without amiodarone (Hirai 2022).

use super::{
    course::Response,
    question::{self, Reads, Target, outputs_and, target},
    regimen::{UG, Usual, oral},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Parameter, Values,
        input::{AGE, CREATININE, SEX, WEIGHT, pharmacology::AMIODARONE},
    },
    twin::pharmacology::{WEIGHTS, dosing_clearance, dosing_weight},
};

/// The axis of the elimination rate in 1/h, which holds the kidney, the weight and amiodarone.
pub(crate) const AXIS: &str = "digoxin_hirai_rate_per_h";
/// The ends of the axis.
pub(crate) const RATES: (f64, f64) = (0.0022, 0.036);
/// Creatinine clearances in mL/min.
const RANGE: (f64, f64) = (8.0, 400.0);

/// Apparent clearance in L/h from the creatinine clearance in mL/min; it grows up to 120 mL/min.
#[must_use]
pub fn clearance(crcl_ml_min: f64, amiodarone: f64) -> f64 {
    6.209 * libm::pow(crcl_ml_min.min(120.0) / 60.0, 0.409) * (1.0 - 0.238 * amiodarone)
}

/// Apparent volume in L.
fn volume(weight: f64) -> f64 {
    6.0 * weight
}

/// The elimination rate in 1/h of a patient for whom the model holds.
pub(crate) fn rate(inputs: &Values) -> Option<f64> {
    let crcl = dosing_clearance(inputs, 0.0, RANGE)?;
    let clearance = clearance(crcl, inputs.get(AMIODARONE.key)?);
    Some(clearance / volume(dosing_weight(inputs)?))
}

/// Beyond the weights for which the rate is known, the volume need not go on: one node more on both sides.
const READS: Reads = Reads::Proportional {
    volume_axis: "weight_kg",
    volume: |weight| volume(weight.clamp(36.0, 167.0)),
    rate_axis: AXIS,
    response: |rate| Response::one_compartment_oral(1.0, rate, 1.0, 1.0),
    smallest: 6.0 * WEIGHTS.0,
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
    id: "digoxin-hirai-2022",
    title: "Digoxin by mouth in atrial fibrillation and heart failure, with and without amiodarone (Hirai 2022)",
    organ: "kidney",
    source: "Hirai T et al., BMC Pharmacol Toxicol 2022;23:14: CL/F = 6.209*(min(CrCl,120)/60)^0.409*(1-0.238*amiodarone) L/h, V/F \
             = 6.0 L/kg, ka = 1.0 /h",
    evidence: Evidence::OneTranscription,
    population: "adults with atrial fibrillation and heart failure, 40 to 150 kg, creatinine clearance of 8 mL/min or more",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX, &AMIODARONE],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_ug"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let Some((rate, weight)) = rate(inputs).zip(dosing_weight(inputs)) else {
            return Values::default();
        };
        let rate = parameters.of("clearance_factor") * rate;
        let volume = volume(weight);
        let response = |step| Response::one_compartment_oral(volume, step * rate, 1.0, 1.0);
        question::reference(&UG, parameters, &response, &[TROUGH])
    },
    formula: |output, parameters| READS.formula(output, &UG, parameters),
    examples: &[
        Example {
            // A man of 68 years: CrCl (140-68)*60/(72*1) = 60 mL/min.
            given: &[
                ("creatinine_mg_dl", 1.0),
                ("age_years", 68.0),
                ("weight_kg", 60.0),
                ("sex", 1.0),
                ("amiodarone", 0.0),
            ],
            lists: &[],
            expected: &[
                ("trough_ss_ug_l", 0.68905, 5e-6),
                ("average_ss_ug_l", 0.83884, 5e-6),
                ("trough_target", 1.0, 0.0),
            ],
        },
        Example {
            given: &[
                ("creatinine_mg_dl", 1.0),
                ("age_years", 68.0),
                ("weight_kg", 60.0),
                ("sex", 1.0),
                ("amiodarone", 1.0),
            ],
            lists: &[],
            expected: &[
                ("trough_ss_ug_l", 0.94880, 5e-6),
                ("average_ss_ug_l", 1.10083, 5e-6),
                ("trough_target", 2.0, 0.0),
            ],
        },
    ],
};
