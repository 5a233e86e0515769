//! Vancomycin in adults with haematological malignancies (Buelga 2005).

use super::{
    course::Response,
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

/// Clearance in L/h from the creatinine clearance in mL/min.
#[must_use]
pub fn clearance(crcl_ml_min: f64) -> f64 {
    1.08 * 0.06 * crcl_ml_min
}

/// One compartment from the creatinine clearance in mL/min, the weight in kg and a factor of the clearance.
fn response(crcl: f64, weight: f64, factor: f64) -> Response {
    let volume = 0.98 * weight;
    Response::one_compartment(volume, factor * clearance(crcl) / volume)
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
    id: "vancomycin-buelga-2005",
    title: "Vancomycin, adults with haematological malignancies (Buelga 2005)",
    organ: "kidney",
    source: "Buelga DS et al., Antimicrob Agents Chemother 2005;49:4934: CL = 1.08*CrCl (L/h, Cockcroft-Gault), V = 0.98 L/kg, \
             one compartment",
    evidence: Evidence::OneTranscription,
    population: "adults with haematological malignancies, creatinine clearance 12 to 150 mL/min, 40 to 150 kg",
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
        // A man of 68 years: CrCl (140-68)*70/(72*1.1666667) = 60 mL/min; clearance 3.888 L/h in 68.6 L.
        given: &[
            ("creatinine_mg_dl", 70.0 / 60.0),
            ("age_years", 68.0),
            ("weight_kg", 70.0),
            ("sex", 1.0),
        ],
        lists: &[],
        expected: &[
            ("auc24_ss_mg_h_l", 514.40, 5e-3),
            ("peak_ss_mg_l", 28.720, 5e-4),
            ("trough_ss_mg_l", 15.397, 5e-4),
            ("auc24_target", 1.0, 0.0),
        ],
    }],
};
