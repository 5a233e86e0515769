//! Theophylline into the vein in diseases of liver and lung (Yano 1993).

use super::{
    course::Response,
    question::{self, Reads, Target, outputs_and, target},
    regimen::{MG, Usual, infused},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Parameter, Values,
        input::{
            WEIGHT,
            pharmacology::{HEPATIC_DYSFUNCTION, PACO2},
        },
    },
    twin::pharmacology::dosing_weight,
};

/// The axis of the volume in L.
pub(crate) const VOLUME_AXIS: &str = "theophylline_volume_l";
/// The ends of that axis.
pub(crate) const VOLUMES: (f64, f64) = (17.4, 95.1);
/// The axis of the elimination rate in 1/h.
pub(crate) const RATE_AXIS: &str = "theophylline_rate_per_h";
/// The ends of that axis.
pub(crate) const RATES: (f64, f64) = (0.063, 0.19);

/// The carbon dioxide pressure in mm Hg, if the model holds.
fn paco2(inputs: &Values) -> Option<f64> {
    let pressure = inputs.get(PACO2.key)?;
    (31.0..=71.0).contains(&pressure).then_some(pressure)
}

/// The clearance in L/h.
fn clearance(inputs: &Values) -> Option<f64> {
    let dysfunction = inputs.get(HEPATIC_DYSFUNCTION.key)?;
    let per_kg = libm::exp(-3.78 - 0.525 * dysfunction + 0.0233 * paco2(inputs)?);
    Some(per_kg * dosing_weight(inputs)?)
}

/// The volume in L.
pub(crate) fn volume(inputs: &Values) -> Option<f64> {
    Some(libm::exp(-1.12 + 0.009_34 * paco2(inputs)?) * dosing_weight(inputs)?)
}

/// The elimination rate in 1/h.
pub(crate) fn rate(inputs: &Values) -> Option<f64> {
    Some(clearance(inputs)? / volume(inputs)?)
}

const READS: Reads = Reads::Proportional {
    volume_axis: VOLUME_AXIS,
    volume: |volume| volume,
    rate_axis: RATE_AXIS,
    response: |rate| Response::one_compartment(1.0, rate),
    smallest: VOLUMES.0,
};

const PARAMETERS: [Parameter; 15] = infused(
    &MG,
    Usual {
        daily: (50.0, 2000.0, 720.0),
        interval: (4.0, 48.0, 6.0),
        infusion: (0.0, 48.0, 0.5),
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
    id: "theophylline-yano-1993",
    title: "Theophylline into the vein in diseases of liver and lung (Yano 1993)",
    organ: "liver",
    source: "Yano I et al., Biol Pharm Bull 1993;16:501: CL = exp(-3.78-0.525*hepatic+0.0233*PaCO2) L/h/kg, V = \
             exp(-1.12+0.00934*PaCO2) L/kg; hepatic dysfunction multiplies the clearance by 0.59",
    evidence: Evidence::OneTranscription,
    population: "adults of 40 to 150 kg, into the vein, PaCO2 31 to 71 mm Hg",
    inputs: &[&WEIGHT, &HEPATIC_DYSFUNCTION, &PACO2],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let Some((clearance, volume)) = clearance(inputs).zip(volume(inputs)) else {
            return Values::default();
        };
        let rate = parameters.of("clearance_factor") * clearance / volume;
        let response = |step: f64| Response::one_compartment(volume, step * rate);
        question::reference(&MG, parameters, &response, &[AVERAGE])
    },
    formula: |output, parameters| READS.formula(output, &MG, parameters),
    examples: &[
        Example {
            // CL = exp(-3.78+0.0233*40)*70 = 4.05738 L/h: 720/24/CL.
            given: &[
                ("weight_kg", 70.0),
                ("hepatic_dysfunction", 0.0),
                ("paco2_mmhg", 40.0),
            ],
            lists: &[],
            expected: &[("average_ss_mg_l", 7.3946, 2e-3)],
        },
        Example {
            // Hepatic dysfunction: 0.59 times the clearance.
            given: &[
                ("weight_kg", 70.0),
                ("hepatic_dysfunction", 1.0),
                ("paco2_mmhg", 40.0),
            ],
            lists: &[],
            expected: &[
                ("average_ss_mg_l", 7.3946 / 0.5916, 3e-3),
                ("average_target", 1.0, 0.0),
            ],
        },
    ],
};
