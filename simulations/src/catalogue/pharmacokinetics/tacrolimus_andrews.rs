//! Tacrolimus after kidney transplantation, and its starting dose (Andrews 2019).

use super::{
    course::{Response, TwoCompartments},
    question::{self, Reads, Target, outputs_with, target},
    regimen::{MG_UG, Usual, oral},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Parameter, Tolerance, Values,
        input::{
            AGE, HEIGHT, WEIGHT,
            pharmacology::{CYP3A4_22_CARRIER, CYP3A5_EXPRESSER},
        },
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axis of the apparent clearance in L/h.
pub(crate) const AXIS: &str = "tacrolimus_clearance_l_h";
/// The ends of the axis.
pub(crate) const CLEARANCES: (f64, f64) = (10.0, 85.0);
/// The starting dose twice daily.
const STARTING_DOSE: &str = "starting_dose_mg";
/// The trough in ug/L times the hours between doses for which the starting dose is computed, in mg/L: 222/1000.
const DOSE_PER_CLEARANCE: f64 = 0.222;

/// The apparent clearance in L/h from age, body surface area by Mosteller, and genotypes.
pub(crate) fn clearance(inputs: &Values) -> Option<f64> {
    let [height, weight, age] = [&HEIGHT, &WEIGHT, &AGE].map(|input| inputs.get(input.key));
    let area = libm::sqrt(height? * weight? / 3600.0);
    let expresser = inputs.get(CYP3A5_EXPRESSER.key)?;
    let carrier = inputs.get(CYP3A4_22_CARRIER.key)?;
    let clearance = 22.5
        * libm::pow(1.62, expresser)
        * libm::pow(0.814, carrier)
        * libm::pow(age? / 55.72, -0.50)
        * libm::pow(area / 1.93, 0.72);
    (CLEARANCES.0..=CLEARANCES.1)
        .contains(&clearance)
        .then_some(clearance)
}

fn response(clearance: f64) -> Response {
    let system = TwoCompartments {
        clearance,
        central: 685.0,
        exchange: 10.6,
        peripheral: 6590.0,
    };
    Response::two_compartments_oral(&system, 3.70, 1.0, 0.39)
}

const READS: Reads = Reads::Axis {
    axis: AXIS,
    system: |clearance, factor| response(factor * clearance),
};

const PARAMETERS: [Parameter; 12] = oral(
    &MG_UG,
    Usual {
        daily: (0.5, 40.0, 10.0),
        interval: (6.0, 48.0, 12.0),
        infusion: (0.0, 0.0, 0.0),
        threshold: (1.0, 50.0, 10.0),
        latest: 720.0,
        window: (60.0, 72.0),
    },
);

const TROUGH: Target = ("trough_target", MG_UG.trough_ss, &[10.0, 15.0]);
const EARLY: Target = ("window_trough_target", MG_UG.trough, &[10.0, 15.0]);

const OUTPUTS: [Output; 13] = {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = outputs_with(
        &MG_UG,
        target(
            "trough at steady state by the early target of 10 to 15 ng/mL (to be confirmed against the paper)",
            TROUGH,
        ),
        target(
            "trough in the window by the early target of 10 to 15 ng/mL (to be confirmed against the paper)",
            EARLY,
        ),
    );
    let dose = Output {
        key: STARTING_DOSE,
        unit: "mg",
        title: "starting dose twice daily for a trough of 10 ng/mL",
        kind: OutputKind::Number {
            decimals: 2,
            tolerance: Tolerance::Relative(0.02),
        },
    };
    [dose, a, b, c, d, e, f, g, h, i, j, k, l]
};

/// The model.
pub static MODEL: Model = Model {
    id: "tacrolimus-andrews-2019",
    title: "Tacrolimus twice daily after kidney transplantation, and its starting dose (Andrews 2019)",
    organ: "kidney",
    source: "Andrews LM et al., Br J Clin Pharmacol 2019;85:601: CL/F = 22.5*1.62^(CYP3A5*1)*0.814^(CYP3A4*22)*(age/55.72)^-0.50*\
             (BSA/1.93)^0.72 L/h, V1 = 685 L, Q = 10.6 L/h, V2 = 6590 L, ka = 3.70 /h, lag 0.39 h; dose in mg twice daily = \
             222*CL/1000 for a trough of 10 ng/mL",
    evidence: Evidence::OneTranscription,
    population: "adults after kidney transplantation, twice daily; clearances from 10 to 85 L/h",
    inputs: &[
        &AGE,
        &HEIGHT,
        &WEIGHT,
        &CYP3A5_EXPRESSER,
        &CYP3A4_22_CARRIER,
    ],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let Some(clearance) = clearance(inputs) else {
            return Values::default();
        };
        let clearance = parameters.of("clearance_factor") * clearance;
        let mut out = question::reference(
            &MG_UG,
            parameters,
            &|step| response(step * clearance),
            &[TROUGH, EARLY],
        );
        out.set(STARTING_DOSE, DOSE_PER_CLEARANCE * clearance);
        out
    },
    formula: |output, parameters| {
        if output == STARTING_DOSE {
            let scale = libm::log(DOSE_PER_CLEARANCE * parameters.of("clearance_factor"));
            let sum = Additive::linked(vec![Term::axis(AXIS, libm::log)], Link::exp());
            return Some(Formula::Number(sum.plus(scale)));
        }
        READS.formula(output, &MG_UG, parameters)
    },
    examples: &[
        Example {
            // 180 cm and 72.2 kg: 1.90 m2.
            given: &[
                ("age_years", 50.0),
                ("height_cm", 180.0),
                ("weight_kg", 72.2),
                ("cyp3a5_expresser", 0.0),
                ("cyp3a4_22_carrier", 0.0),
            ],
            lists: &[],
            expected: &[
                ("starting_dose_mg", 5.214, 5e-4),
                ("auc24_ss_ug_h_l", 10_000.0 / 23.486, 0.02),
            ],
        },
        Example {
            given: &[
                ("age_years", 50.0),
                ("height_cm", 180.0),
                ("weight_kg", 72.2),
                ("cyp3a5_expresser", 1.0),
                ("cyp3a4_22_carrier", 0.0),
            ],
            lists: &[],
            expected: &[("starting_dose_mg", 8.446, 5e-4)],
        },
    ],
};
