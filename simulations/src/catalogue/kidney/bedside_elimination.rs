//! The elimination of aminoglycosides and vancomycin at the bedside, from the creatinine clearance.

use super::cockcroft_gault::cockcroft_gault;
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Tolerance, Values,
        input::{AGE, CREATININE, SEX, Sex, WEIGHT},
    },
    formula::{Additive, Formula, Term},
};

/// The elimination rates per hour as slope and intercept on the creatinine clearance in mL/min.
const RATES: [(&str, f64, f64); 2] = [
    ("aminoglycoside_ke_per_h", 0.00293, 0.014),
    ("vancomycin_ke_per_h", 0.00083, 0.0044),
];

/// A rate within 1 %.
const fn rate(key: &'static str, title: &'static str) -> Output {
    Output::number(key, "/h", title, 4, Tolerance::Relative(0.01))
}

/// The model.
pub static MODEL: Model = Model {
    id: "bedside-elimination",
    title: "Elimination rates of aminoglycosides and vancomycin at the bedside",
    organ: "kidney",
    source: "gentamicin and tobramycin ke = 0.00293*CrCl + 0.014 /h; vancomycin ke = 0.00083*CrCl + 0.0044 /h (Matzke GR et al. \
             1984); CrCl by Cockcroft and Gault",
    evidence: Evidence::OneTranscription,
    population: "adults with a stable creatinine; a rough bound to compare the population models with, not for dosing",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        rate(
            "aminoglycoside_ke_per_h",
            "elimination rate of gentamicin or tobramycin",
        ),
        rate("vancomycin_ke_per_h", "elimination rate of vancomycin"),
    ],
    reference: |inputs, _| {
        let mut out = Values::default();
        if let Some(sex) = Sex::of(inputs) {
            let [scr, age, weight] = [&CREATININE, &AGE, &WEIGHT].map(|i| inputs.of(i.key));
            let crcl = cockcroft_gault(scr, age, weight, sex);
            for (key, slope, intercept) in RATES {
                out.set(key, slope * crcl + intercept);
            }
        }
        out
    },
    formula: |output, _| {
        let (_, slope, intercept) = RATES.into_iter().find(|(key, _, _)| *key == output)?;
        let term = Term::axis("crcl_ml_min", move |crcl| slope * crcl);
        Some(Formula::Number(Additive::sum(vec![term]).plus(intercept)))
    },
    // A clearance of 60 mL/min: 80 years, 72 kg, 1 mg/dL.
    examples: &[Example {
        given: &[
            ("creatinine_mg_dl", 1.0),
            ("age_years", 80.0),
            ("weight_kg", 72.0),
            ("sex", 1.0),
        ],
        lists: &[],
        expected: &[
            ("aminoglycoside_ke_per_h", 0.1898, 5e-5),
            ("vancomycin_ke_per_h", 0.0542, 5e-5),
        ],
    }],
};
