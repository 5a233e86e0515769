//! The revised cardiac risk index before non-cardiac surgery.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Tolerance, Values,
        class::{band, flag},
        input::{
            CREATININE, HEART_FAILURE, HIGH_RISK_SURGERY, INSULIN, ISCHAEMIC_HEART_DISEASE,
            STROKE_TIA,
        },
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axis that says whether creatinine is above 2.0 mg/dL.
pub(crate) const CREATININE_OVER_2: &str = "creatinine_over_2_mg_dl";

const HISTORY: [&str; 5] = [
    HIGH_RISK_SURGERY.key,
    ISCHAEMIC_HEART_DISEASE.key,
    HEART_FAILURE.key,
    STROKE_TIA.key,
    INSULIN.key,
];

/// Above 2.0 mg/dL, not at it.
#[must_use]
pub fn creatinine_counts(mg_dl: f64) -> f64 {
    flag(mg_dl > 2.0)
}

/// Major cardiac complications in percent of the original cohort for 0 to 6 points; at least 11 from 3 on.
const COMPLICATIONS: &[f64] = &[0.4, 0.9, 6.6, 11.0];

const CUTS: &[f64] = &[1.0, 2.0, 3.0];

fn points() -> Additive {
    let mut terms: Vec<Term> = HISTORY
        .into_iter()
        .map(|axis| Term::points(axis, &[0.0, 1.0]))
        .collect();
    terms.push(Term::points(CREATININE_OVER_2, &[0.0, 1.0]));
    Additive::sum(terms)
}

/// The model.
pub static MODEL: Model = Model {
    id: "rcri",
    title: "Revised cardiac risk index before non-cardiac surgery",
    organ: "heart",
    source: "Lee TH et al., Circulation 1999;100:1043: one point each for high-risk surgery, ischaemic heart disease, heart \
             failure, stroke or TIA, insulin, creatinine > 2.0 mg/dL; complications 0.4, 0.9, 6.6 and at least 11 % for 0, 1, 2 \
             and 3 or more",
    evidence: Evidence::TwoImplementations,
    population: "adults before major non-cardiac surgery",
    inputs: &[
        &HIGH_RISK_SURGERY,
        &ISCHAEMIC_HEART_DISEASE,
        &HEART_FAILURE,
        &STROKE_TIA,
        &INSULIN,
        &CREATININE,
    ],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output::points("rcri", "revised cardiac risk index"),
        Output::category(
            "rcri_class",
            "class of the index",
            "rcri",
            CUTS,
            &["0 points", "1 point", "2 points", "3 or more points"],
        ),
        Output::number(
            "complications_percent",
            "%",
            "major cardiac complications in the original cohort, at least 11 from 3 points on",
            1,
            Tolerance::Absolute(0.0),
        ),
    ],
    reference: |inputs, _| {
        let history: f64 = HISTORY.into_iter().map(|key| inputs.of(key)).sum();
        let points = history + creatinine_counts(inputs.of(CREATININE.key));
        let class = band(points, CUTS);
        let risk = Link::list(COMPLICATIONS).forward(points);
        Values::from_pairs([
            ("rcri", points),
            ("rcri_class", class),
            ("complications_percent", risk),
        ])
    },
    formula: |output, _| match output {
        "rcri" => Some(Formula::Number(points())),
        "complications_percent" => Some(Formula::Number(Additive {
            link: Link::list(COMPLICATIONS),
            ..points()
        })),
        _ => None,
    },
    examples: &[
        Example {
            given: &[
                ("high_risk_surgery", 1.0),
                ("ischaemic_heart_disease", 0.0),
                ("heart_failure", 0.0),
                ("stroke_tia", 0.0),
                ("insulin", 0.0),
                ("creatinine_mg_dl", 2.0),
            ],
            lists: &[],
            expected: &[("rcri", 1.0, 0.0), ("complications_percent", 0.9, 0.0)],
        },
        Example {
            given: &[
                ("high_risk_surgery", 1.0),
                ("ischaemic_heart_disease", 1.0),
                ("heart_failure", 0.0),
                ("stroke_tia", 1.0),
                ("insulin", 0.0),
                ("creatinine_mg_dl", 2.1),
            ],
            lists: &[],
            expected: &[
                ("rcri", 4.0, 0.0),
                ("rcri_class", 3.0, 0.0),
                ("complications_percent", 11.0, 0.0),
            ],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creatinine_of_two_does_not_count() {
        assert_eq!([1.99, 2.0, 2.01].map(creatinine_counts), [0.0, 0.0, 1.0]);
    }
}
