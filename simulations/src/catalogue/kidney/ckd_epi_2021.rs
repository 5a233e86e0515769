//! The estimated glomerular filtration rate by CKD-EPI 2021 from creatinine, without race.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Tolerance, Values,
        class::band,
        input::{AGE, CREATININE, EGFR, SEX, Sex},
    },
    formula::{Additive, Formula, Link, Term},
};

/// The estimated glomerular filtration rate in mL/min/1.73 m2 from creatinine in mg/dL and age in years:
/// CKD-EPI 2021, race-free (Inker LA et al., N Engl J Med 2021;385:1737). Adults.
#[must_use]
pub fn egfr_ckd_epi_2021(creatinine_mg_dl: f64, age_years: f64, sex: Sex) -> f64 {
    let (kappa, alpha, factor) = match sex {
        Sex::Female => (0.7, -0.241, 1.012),
        Sex::Male => (0.9, -0.302, 1.0),
    };
    let ratio = creatinine_mg_dl / kappa;
    142.0
        * libm::pow(ratio.min(1.0), alpha)
        * libm::pow(ratio.max(1.0), -1.2)
        * libm::pow(0.9938, age_years)
        * factor
}

/// The lower bounds of the stages G4, G3b, G3a, G2 and G1 in mL/min/1.73 m2, each belonging to its stage.
pub const STAGE_CUTS: &[f64] = &[15.0, 30.0, 45.0, 60.0, 90.0];

/// The model.
pub static MODEL: Model = Model {
    id: "ckd-epi-2021",
    title: "Estimated glomerular filtration rate from creatinine (CKD-EPI 2021)",
    organ: "kidney",
    source: "Inker LA et al., N Engl J Med 2021;385:1737: 142*min(Scr/k,1)^a*max(Scr/k,1)^-1.200*0.9938^age*(1.012 if \
             female); k 0.7 F, 0.9 M; a -0.241 F, -0.302 M",
    evidence: Evidence::TwoImplementations,
    population: "adults, creatinine traceable to IDMS, in a steady state; rates of 1 to 256",
    inputs: &[&CREATININE, &AGE, &SEX],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output {
            key: EGFR.key,
            unit: "mL/min/{1.73_m2}",
            title: "estimated glomerular filtration rate",
            kind: OutputKind::Number {
                decimals: 1,
                tolerance: Tolerance::Relative(0.01),
            },
        },
        Output {
            key: "stage",
            unit: "1",
            title: "stage of the filtration rate",
            kind: OutputKind::Category {
                of: EGFR.key,
                cuts: STAGE_CUTS,
                labels: &["G5", "G4", "G3b", "G3a", "G2", "G1"],
            },
        },
    ],
    reference: |inputs, _| {
        let mut out = Values::default();
        if let Some(sex) = Sex::of(inputs) {
            let egfr = egfr_ckd_epi_2021(inputs.of(CREATININE.key), inputs.of(AGE.key), sex);
            out.set(EGFR.key, egfr);
            out.set("stage", band(egfr, STAGE_CUTS));
        }
        out
    },
    formula: |output, _| {
        (output == EGFR.key).then(|| {
            let term = Term::axis(EGFR.key, libm::log);
            Formula::Number(Additive::linked(vec![term], Link::exp()))
        })
    },
    examples: &[
        Example {
            given: &[
                ("creatinine_mg_dl", 1.10),
                ("age_years", 61.0),
                ("sex", 0.0),
            ],
            lists: &[],
            expected: &[(EGFR.key, 57.168, 5e-4), ("stage", 3.0, 0.0)],
        },
        Example {
            given: &[
                ("creatinine_mg_dl", 1.10),
                ("age_years", 61.0),
                ("sex", 1.0),
            ],
            lists: &[],
            expected: &[(EGFR.key, 76.374, 5e-4), ("stage", 4.0, 0.0)],
        },
        Example {
            given: &[
                ("creatinine_mg_dl", 0.90),
                ("age_years", 25.0),
                ("sex", 1.0),
            ],
            lists: &[],
            expected: &[(EGFR.key, 121.552, 5e-4), ("stage", 5.0, 0.0)],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bound_of_a_stage_belongs_to_it() {
        for (egfr, stage) in [
            (14.999, 0.0),
            (15.0, 1.0),
            (29.999, 1.0),
            (30.0, 2.0),
            (45.0, 3.0),
            (59.999, 3.0),
            (60.0, 4.0),
            (89.999, 4.0),
            (90.0, 5.0),
        ] {
            assert_eq!(band(egfr, STAGE_CUTS), stage, "{egfr}");
        }
    }
}
