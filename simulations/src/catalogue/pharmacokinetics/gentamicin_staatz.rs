//! Gentamicin in adults (Staatz 2006).

use super::{
    course::{Response, TwoCompartments},
    question::{self, Reads, Target, outputs_with, target},
    regimen::{MG_LOW, Usual, infused},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Parameter, Values,
        input::{AGE, CREATININE, SEX, WEIGHT},
    },
    twin::pharmacology::{CRCL_SHIFT, GENTAMICIN, dosing_clearance, dosing_weight},
};

/// The least creatinine in mg/dL that counts: 60 umol/L.
const FLOOR: f64 = 60.0 / 88.4;
/// Creatinine clearances in mL/min for which the model holds.
const RANGE: (f64, f64) = (9.0, 169.0);

/// The creatinine clearance in mL/min by the model's rule, if the model holds.
pub(crate) fn crcl(inputs: &Values) -> Option<f64> {
    dosing_clearance(inputs, FLOOR, RANGE)
}

/// Clearance in L/h from the creatinine clearance in mL/min.
#[must_use]
pub fn clearance(crcl_ml_min: f64) -> f64 {
    2.81 * (1.0 + 0.015 * (crcl_ml_min - 63.0))
}

/// Two compartments from the creatinine clearance in mL/min, the weight in kg and a factor of the clearance.
fn response(crcl: f64, weight: f64, factor: f64) -> Response {
    Response::two_compartments(&TwoCompartments {
        clearance: factor * clearance(crcl),
        central: 0.251 * weight,
        exchange: 1.45,
        peripheral: 0.156 * weight,
    })
}

const READS: Reads = Reads::Plane {
    plane: GENTAMICIN,
    system: |shifted, weight, factor| response((shifted - CRCL_SHIFT) * weight, weight, factor),
};

const PARAMETERS: [Parameter; 15] = infused(
    &MG_LOW,
    Usual {
        daily: (40.0, 1000.0, 320.0),
        interval: (6.0, 72.0, 24.0),
        infusion: (0.0, 4.0, 0.5),
        threshold: (0.2, 30.0, 1.0),
        latest: 168.0,
        window: (24.0, 48.0),
    },
);

const TROUGH: Target = ("trough_target", MG_LOW.trough_ss, &[1.0, 2.0]);
const PEAK: Target = ("peak_target", MG_LOW.peak_ss, &[15.0, 20.0]);

const OUTPUTS: [Output; 12] = outputs_with(
    &MG_LOW,
    target(
        "trough at steady state by 1 and 2 mg/L (to be confirmed against the paper)",
        TROUGH,
    ),
    target(
        "peak at steady state by the target of 15 to 20 mg/L once daily (to be confirmed against the paper)",
        PEAK,
    ),
);

/// The model.
pub static MODEL: Model = Model {
    id: "gentamicin-staatz-2006",
    title: "Gentamicin, adults (Staatz 2006)",
    organ: "kidney",
    source: "Staatz CE et al., Br J Clin Pharmacol 2006;61:164: CL = 2.81*(1+0.015*(CrCl-63)) L/h, V1 = 0.251 L/kg, V2 = 0.156 \
             L/kg, Q = 1.45 L/h; CrCl by Cockcroft-Gault with a creatinine of at least 60 umol/L",
    evidence: Evidence::OneTranscription,
    population: "adults, creatinine clearance 9 to 169 mL/min, 40 to 150 kg",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let Some((crcl, weight)) = crcl(inputs).zip(dosing_weight(inputs)) else {
            return Values::default();
        };
        let factor = parameters.of("clearance_factor");
        let response = |step: f64| response(crcl, weight, factor * step);
        question::reference(&MG_LOW, parameters, &response, &[TROUGH, PEAK])
    },
    formula: |output, parameters| READS.formula(output, &MG_LOW, parameters),
    examples: &[Example {
        // A man of 77 years and 72 kg: CrCl (140-77)*72/(72*1) = 63 mL/min.
        given: &[
            ("creatinine_mg_dl", 1.0),
            ("age_years", 77.0),
            ("weight_kg", 72.0),
            ("sex", 1.0),
            ("at_h", 12.0),
            ("from_h", 0.0),
            ("to_h", 24.0),
        ],
        lists: &[],
        expected: &[
            ("concentration_mg_l", 2.541, 5e-4),
            ("peak_mg_l", 16.710, 5e-4),
            ("auc24_ss_mg_h_l", 320.0 / 2.81, 1e-6),
        ],
    }],
};
