//! The model for end-stage liver disease, version 3.0.

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, Parameter, Tolerance, Values,
        class::band,
        input::{ALBUMIN, BILIRUBIN, CREATININE, DIALYSIS_IN_WEEK, INR, SEX, SODIUM, Sex},
    },
    formula::{Additive, Formula, Term},
};

/// The axis of the rounded score, from 6 as category 0 to 40.
pub(crate) const SCORE: &str = "meld_3";
/// The axes of the parts in points, and the parameters that set a part to that of normal values.
pub(crate) const PARTS: [(&str, &str); 3] = [
    (
        "meld_bilirubin_sodium_points",
        "bilirubin_and_sodium_as_normal",
    ),
    ("meld_inr_points", "inr_as_normal"),
    (
        "meld_creatinine_albumin_points",
        "creatinine_and_albumin_as_normal",
    ),
];
/// The node distance of the parts' axes in points, half of what the female sex adds: in this unit all tables are whole numbers.
pub(crate) const STEP: f64 = 0.665;

/// The points of bilirubin in mg/dL, at least 1, and sodium in mmol/L, within 125 to 137.
#[must_use]
pub fn bilirubin_sodium(bilirubin: f64, sodium: f64) -> f64 {
    let log = libm::log(bilirubin.max(1.0));
    let below = 137.0 - sodium.clamp(125.0, 137.0);
    4.56 * log + 0.82 * below - 0.24 * below * log
}

/// The points of the INR, at least 1.
#[must_use]
pub fn inr(inr: f64) -> f64 {
    9.09 * libm::log(inr.max(1.0))
}

/// The points of creatinine in mg/dL, within 1 to 3 and 3 on dialysis, and albumin in g/dL, within 1.5 to 3.5.
#[must_use]
pub fn creatinine_albumin(creatinine: f64, albumin: f64, dialysis: bool) -> f64 {
    let log = libm::log(if dialysis {
        3.0
    } else {
        creatinine.clamp(1.0, 3.0)
    });
    let below = 3.5 - albumin.clamp(1.5, 3.5);
    11.14 * log + 1.85 * below - 1.83 * below * log
}

/// The points of the parts in the order of [`PARTS`], if their laboratory values are known.
#[must_use]
pub(crate) fn parts(inputs: &Values) -> Option<[f64; 3]> {
    Some([
        bilirubin_sodium(inputs.get(BILIRUBIN.key)?, inputs.get(SODIUM.key)?),
        inr(inputs.get(INR.key)?),
        creatinine_albumin(
            inputs.get(CREATININE.key)?,
            inputs.get(ALBUMIN.key)?,
            inputs.get(DIALYSIS_IN_WEEK.key)? == 1.0,
        ),
    ])
}

/// What sex adds.
fn sex_points(sex: Sex) -> f64 {
    match sex {
        Sex::Female => 1.33,
        Sex::Male => 0.0,
    }
}

/// The score before it is rounded and limited to 40; 6 or more.
#[must_use]
pub(crate) fn unrounded(inputs: &Values) -> Option<f64> {
    let parts = parts(inputs)?;
    Some(6.0 + sex_points(Sex::of(inputs)?) + parts.iter().sum::<f64>())
}

/// The score: rounded, halves up, and limited to 6 to 40.
#[must_use]
pub(crate) fn rounded(unrounded: f64) -> f64 {
    libm::floor(unrounded + 0.5).clamp(6.0, 40.0)
}

const CUTS: &[f64] = &[10.0, 15.0, 20.0, 30.0, 40.0];

/// A switch, off unless it is given.
const fn switch(key: &'static str, title: &'static str) -> Parameter {
    Parameter {
        key,
        unit: "1",
        title,
        lo: 0.0,
        hi: 1.0,
        default: Default_::Number(0.0),
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "meld-3",
    title: "Model for end-stage liver disease, MELD 3.0",
    organ: "liver",
    source: "Kim WR et al., Gastroenterology 2021;161:1887: 1.33*female + 4.56*ln(bili) + 0.82*(137-Na) - \
             0.24*(137-Na)*ln(bili) + 9.09*ln(INR) + 11.14*ln(Cr) + 1.85*(3.5-Alb) - 1.83*(3.5-Alb)*ln(Cr) + 6 with bili and \
             INR at least 1, Cr 1 to 3 (3 on dialysis), Na 125 to 137, Alb 1.5 to 3.5; rounded, 6 to 40",
    evidence: Evidence::TwoImplementations,
    population: "adults with chronic liver disease",
    inputs: &[
        &SEX,
        &BILIRUBIN,
        &SODIUM,
        &INR,
        &CREATININE,
        &ALBUMIN,
        &DIALYSIS_IN_WEEK,
    ],
    optional: &[],
    parameters: &[
        switch(
            "bilirubin_and_sodium_as_normal",
            "1: what the unrounded score would be with normal bilirubin and sodium",
        ),
        switch(
            "inr_as_normal",
            "1: what the unrounded score would be with a normal INR, as without a vitamin K antagonist",
        ),
        switch(
            "creatinine_and_albumin_as_normal",
            "1: what the unrounded score would be with normal creatinine and albumin",
        ),
    ],
    arm: None,
    outputs: &[
        Output::points("meld", "MELD 3.0"),
        Output::category(
            "meld_band",
            "band of MELD 3.0",
            "meld",
            CUTS,
            &["6-9", "10-14", "15-19", "20-29", "30-39", "40"],
        ),
        Output::number(
            "meld_unrounded",
            "1",
            "MELD 3.0 before rounding and the limit of 40",
            2,
            Tolerance::Absolute(0.1),
        ),
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        if let (Some(total), Some(parts)) = (unrounded(inputs), parts(inputs)) {
            let score = rounded(total);
            out.set("meld", score);
            out.set("meld_band", band(score, CUTS));
            let left_out = PARTS.iter().zip(parts);
            let left_out = left_out.filter(|((_, switch), _)| parameters.of(switch) >= 0.5);
            let left_out: f64 = left_out.map(|(_, points)| points).sum();
            out.set("meld_unrounded", total - left_out);
        }
        out
    },
    formula: |output, parameters| match output {
        "meld" => Some(Formula::Number(
            Additive::sum(vec![Term::axis(SCORE, |category| category)]).plus(6.0),
        )),
        "meld_unrounded" => {
            let mut terms = vec![Term::points(SEX.key, &[1.33, 0.0])];
            for (axis, switch) in PARTS {
                let share = if parameters.of(switch) >= 0.5 {
                    0.0
                } else {
                    1.0
                };
                terms.push(Term::axis(axis, move |points| share * points));
            }
            Some(Formula::Number(Additive::sum(terms).plus(6.0)))
        }
        _ => None,
    },
    examples: &[
        Example {
            given: &[
                ("sex", 0.0),
                ("bilirubin_mg_dl", 3.0),
                ("sodium_mmol_l", 132.0),
                ("inr", 1.6),
                ("creatinine_mg_dl", 1.3),
                ("albumin_g_dl", 2.9),
                ("dialysis_in_week", 0.0),
            ],
            lists: &[],
            expected: &[
                ("meld", 23.0, 0.0),
                ("meld_band", 3.0, 0.0),
                ("meld_unrounded", 23.1383, 5e-5),
            ],
        },
        Example {
            given: &[
                ("sex", 1.0),
                ("bilirubin_mg_dl", 3.0),
                ("sodium_meq_l", 132.0),
                ("inr", 1.6),
                ("creatinine_mg_dl", 1.3),
                ("albumin_g_l", 29.0),
                ("dialysis_in_week", 0.0),
            ],
            lists: &[],
            expected: &[("meld", 22.0, 0.0), ("meld_unrounded", 21.8083, 5e-5)],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_laboratory_value_is_brought_within_its_bounds_first() {
        assert_eq!(bilirubin_sodium(0.3, 145.0), 0.0);
        assert_eq!(bilirubin_sodium(2.0, 110.0), bilirubin_sodium(2.0, 125.0));
        assert_eq!(inr(0.8), 0.0);
        assert_eq!(creatinine_albumin(0.4, 4.5, false), 0.0);
        let high = creatinine_albumin(3.0, 2.0, false);
        assert_eq!(creatinine_albumin(9.0, 2.0, false), high);
        assert_eq!(creatinine_albumin(1.1, 2.0, true), high);
        assert_eq!(
            creatinine_albumin(2.0, 1.0, false),
            creatinine_albumin(2.0, 1.5, false)
        );
    }

    #[test]
    fn halves_are_rounded_up_and_the_score_ends_at_forty() {
        for (unrounded, score) in [
            (6.0, 6.0),
            (14.4999, 14.0),
            (14.5, 15.0),
            (39.5, 40.0),
            (40.6, 40.0),
            (62.0, 40.0),
        ] {
            assert_eq!(rounded(unrounded), score, "{unrounded}");
        }
    }
}
