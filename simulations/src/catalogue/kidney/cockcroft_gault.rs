//! The creatinine clearance by Cockcroft and Gault, and the rules that dose models attach to it.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Tolerance, Values,
        input::{AGE, CREATININE, SEX, Sex, WEIGHT},
    },
    formula::{Additive, Formula, Link, Term},
};

/// The creatinine clearance in mL/min by Cockcroft and Gault with the total body weight in kg
/// (Nephron 1976;16:31).
#[must_use]
pub fn cockcroft_gault(creatinine_mg_dl: f64, age_years: f64, weight_kg: f64, sex: Sex) -> f64 {
    let factor = match sex {
        Sex::Female => 0.85,
        Sex::Male => 1.0,
    };
    (140.0 - age_years) * weight_kg / (72.0 * creatinine_mg_dl) * factor
}

/// The creatinine clearance in mL/min as the vancomycin model of Goti 2018 takes it: a creatinine below
/// 1 mg/dL counts as 1 above the age of 65, and the clearance is capped at 150
/// (Ther Drug Monit 2018;40:212 with its erratum).
#[must_use]
pub fn crcl_goti(creatinine_mg_dl: f64, age_years: f64, weight_kg: f64, sex: Sex) -> f64 {
    let creatinine = if age_years > 65.0 {
        creatinine_mg_dl.max(1.0)
    } else {
        creatinine_mg_dl
    };
    cockcroft_gault(creatinine, age_years, weight_kg, sex).min(150.0)
}

const CRCL: &str = "crcl_ml_min";

/// The model.
pub static MODEL: Model = Model {
    id: "cockcroft-gault",
    title: "Creatinine clearance (Cockcroft and Gault)",
    organ: "kidney",
    source: "Cockcroft DW, Gault MH, Nephron 1976;16:31: (140-age)*weight/(72*Scr)*(0.85 if female), total body weight",
    evidence: Evidence::TwoImplementations,
    population: "adults with a stable creatinine; clearances of 1 to 256",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[Output {
        key: CRCL,
        unit: "mL/min",
        title: "creatinine clearance",
        kind: OutputKind::Number {
            decimals: 1,
            tolerance: Tolerance::Relative(0.01),
        },
    }],
    reference: |inputs, _| {
        let mut out = Values::default();
        if let Some(sex) = Sex::of(inputs) {
            let [scr, age, weight] = [&CREATININE, &AGE, &WEIGHT].map(|i| inputs.of(i.key));
            out.set(CRCL, cockcroft_gault(scr, age, weight, sex));
        }
        out
    },
    formula: |output, _| {
        (output == CRCL).then(|| {
            let term = Term::axis(CRCL, libm::log);
            Formula::Number(Additive::linked(vec![term], Link::exp()))
        })
    },
    examples: &[
        Example {
            given: &[
                ("creatinine_mg_dl", 1.10),
                ("age_years", 61.0),
                ("weight_kg", 78.0),
                ("sex", 1.0),
            ],
            lists: &[],
            expected: &[(CRCL, 77.803, 5e-4)],
        },
        Example {
            given: &[
                ("creatinine_mg_dl", 1.10),
                ("age_years", 61.0),
                ("weight_kg", 78.0),
                ("sex", 0.0),
            ],
            lists: &[],
            expected: &[(CRCL, 66.133, 5e-4)],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_goti_cap_the_clearance_and_raise_a_low_creatinine_of_the_old_only() {
        let male = |scr, age, weight| crcl_goti(scr, age, weight, Sex::Male);
        let raised = cockcroft_gault(1.0, 66.0, 70.0, Sex::Male);
        let plain = cockcroft_gault(0.9, 65.0, 70.0, Sex::Male);
        for (got, expected) in [
            (male(0.5, 30.0, 90.0), 150.0),
            (male(0.5, 66.0, 70.0), raised),
            (male(0.9, 65.0, 70.0), plain),
            (
                crcl_goti(1.4, 80.0, 70.0, Sex::Female),
                cockcroft_gault(1.4, 80.0, 70.0, Sex::Female),
            ),
        ] {
            assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
        }
    }
}
