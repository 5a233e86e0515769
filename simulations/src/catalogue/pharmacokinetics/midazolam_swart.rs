//! Midazolam in intensive care (Swart 2004).

use super::{
    course::{Response, TwoCompartments},
    question::{self, Reads, outputs},
    regimen::{self, Names, Usual, infused},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Parameter, Values,
        input::{
            AGE,
            pharmacology::{ALCOHOL_ABUSE, APACHE},
        },
    },
    twin::pharmacology::MIDAZOLAM,
};

/// Clearances in L/h for which the model is tabulated.
pub(crate) const CLEARANCES: (f64, f64) = (3.0, 17.0);
/// Exchange in L/h for which the model is tabulated.
pub(crate) const EXCHANGES: (f64, f64) = (4.0, 113.0);

/// The clearance in L/h from age and alcohol abuse.
pub(crate) fn clearance(inputs: &Values) -> Option<f64> {
    let alcohol = inputs.get(ALCOHOL_ABUSE.key)?;
    let clearance = 11.3 - 4.0 * alcohol - 0.145 * (inputs.get(AGE.key)? - 57.0);
    let holds = (CLEARANCES.0..=CLEARANCES.1).contains(&clearance);
    exchange_of(inputs)?;
    holds.then_some(clearance)
}

/// The exchange in L/h from the APACHE II score.
pub(crate) fn exchange(inputs: &Values) -> Option<f64> {
    clearance(inputs)?;
    exchange_of(inputs)
}

fn exchange_of(inputs: &Values) -> Option<f64> {
    let exchange = 40.8 - 2.75 * (inputs.get(APACHE.key)? - 26.0);
    (EXCHANGES.0..=EXCHANGES.1)
        .contains(&exchange)
        .then_some(exchange)
}

fn response(clearance: f64, exchange: f64) -> Response {
    Response::two_compartments(&TwoCompartments {
        clearance,
        central: 7.15,
        exchange,
        // 431 L in both at steady state.
        peripheral: 431.0 - 7.15,
    })
}

/// Concentrations in ug/L, of which those below 5 do not matter.
const MG_UG: Names = Names {
    least: 5.0,
    ..regimen::MG_UG
};

const READS: Reads = Reads::Plane {
    plane: MIDAZOLAM,
    system: |clearance, exchange, factor| response(factor * clearance, exchange),
};

const PARAMETERS: [Parameter; 15] = infused(
    &MG_UG,
    Usual {
        daily: (12.0, 1000.0, 240.0),
        interval: (1.0, 48.0, 24.0),
        infusion: (0.0, 48.0, 24.0),
        threshold: (10.0, 5000.0, 300.0),
        latest: 240.0,
        window: (24.0, 48.0),
    },
);

const OUTPUTS: [Output; 10] = outputs(&MG_UG);

/// The model.
pub static MODEL: Model = Model {
    id: "midazolam-swart-2004",
    title: "Midazolam in intensive care (Swart 2004)",
    organ: "liver",
    source: "Swart EL et al., Br J Clin Pharmacol 2004;57:135: CL = 11.3 (7.3 with alcohol abuse) - 0.145*(age-57) L/h, V1 = 7.15 \
             L, Vss = 431 L, Q = 40.8 - 2.75*(APACHE II-26) L/h",
    evidence: Evidence::OneTranscription,
    population: "adults in intensive care, who differ very widely (CV of the clearance 77 %); clearances of 3 to 17 L/h, APACHE \
                 II up to 39",
    inputs: &[&AGE, &ALCOHOL_ABUSE, &APACHE],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let Some((clearance, exchange)) = clearance(inputs).zip(exchange(inputs)) else {
            return Values::default();
        };
        let factor = parameters.of("clearance_factor");
        let response = |step: f64| response(factor * step * clearance, exchange);
        question::reference(&MG_UG, parameters, &response, &[])
    },
    formula: |output, parameters| READS.formula(output, &MG_UG, parameters),
    examples: &[Example {
        // 10 mg/h.
        given: &[
            ("age_years", 57.0),
            ("alcohol_abuse", 0.0),
            ("apache_ii", 26.0),
        ],
        lists: &[],
        expected: &[
            ("average_ss_ug_l", 884.96, 5e-3),
            ("trough_ss_ug_l", 884.96, 5e-3),
        ],
    }],
};
