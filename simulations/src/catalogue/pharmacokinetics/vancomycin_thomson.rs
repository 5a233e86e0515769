//! Vancomycin in adults (Thomson 2009).

use super::{
    course::{Response, TwoCompartments},
    question::{self, Reads, Target, outputs_and, target},
    regimen::{MG, Usual, infused},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Parameter, Values,
        input::{AGE, CREATININE, SEX, WEIGHT},
    },
    twin::pharmacology::{CRCL_SHIFT, RENAL, RENAL_RANGE, dosing_clearance, dosing_weight},
};

/// Clearance in L/h from the creatinine clearance in mL/min; positive from 2 mL/min on.
#[must_use]
pub fn clearance(crcl_ml_min: f64) -> f64 {
    2.99 * (1.0 + 0.0154 * (crcl_ml_min - 66.0))
}

/// Two compartments from the creatinine clearance in mL/min, the weight in kg and a factor of the clearance.
fn response(crcl: f64, weight: f64, factor: f64) -> Response {
    // The corners of the plane hold clearances that no patient on it has; they must still have a value.
    let clearance = clearance(crcl.max(RENAL_RANGE.0 / 2.0));
    Response::two_compartments(&TwoCompartments {
        clearance: factor * clearance,
        central: 0.675 * weight,
        exchange: 2.28,
        peripheral: 0.732 * weight,
    })
}

const READS: Reads = Reads::PlaneAndClearance {
    plane: RENAL,
    system: |shifted, weight, factor| response((shifted - CRCL_SHIFT) * weight, weight, factor),
    clearance,
};

const PARAMETERS: [Parameter; 15] = infused(
    &MG,
    Usual {
        daily: (250.0, 6000.0, 2000.0),
        interval: (6.0, 72.0, 12.0),
        infusion: (0.0, 24.0, 1.0),
        threshold: (1.0, 60.0, 15.0),
        latest: 336.0,
        window: (24.0, 48.0),
    },
);

const AUC: Target = ("auc24_target", MG.auc24_ss, &[400.0, 600.0]);

const OUTPUTS: [Output; 11] = outputs_and(
    &MG,
    target(
        "AUC24 at steady state by the target of 400 to 600 mg*h/L (Rybak 2020; to be confirmed against the paper)",
        AUC,
    ),
);

/// The model.
pub static MODEL: Model = Model {
    id: "vancomycin-thomson-2009",
    title: "Vancomycin, adults (Thomson 2009)",
    organ: "kidney",
    source: "Thomson AH et al., J Antimicrob Chemother 2009;63:1050: CL = 2.99*(1+0.0154*(CrCl-66)) L/h, V1 = 0.675 L/kg, V2 = \
             0.732 L/kg, Q = 2.28 L/h",
    evidence: Evidence::OneTranscription,
    population: "adults, creatinine clearance 12 to 150 mL/min, 40 to 150 kg",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let known = dosing_clearance(inputs, 0.0, RENAL_RANGE).zip(dosing_weight(inputs));
        let Some((crcl, weight)) = known else {
            return Values::default();
        };
        let factor = parameters.of("clearance_factor");
        let response = |step: f64| response(crcl, weight, factor * step);
        question::reference(&MG, parameters, &response, &[AUC])
    },
    formula: |output, parameters| READS.formula(output, &MG, parameters),
    examples: &[Example {
        // A man of 68 years: CrCl (140-68)*70/(72*1.1666667) = 60 mL/min; clearance 2.71372 L/h.
        given: &[
            ("creatinine_mg_dl", 70.0 / 60.0),
            ("age_years", 68.0),
            ("weight_kg", 70.0),
            ("sex", 1.0),
            ("at_h", 24.0),
        ],
        lists: &[],
        expected: &[
            ("concentration_mg_l", 11.214, 5e-4),
            ("auc24_ss_mg_h_l", 2000.0 / 2.71372, 5e-3),
        ],
    }],
};
