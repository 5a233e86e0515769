//! The albumin-bilirubin score.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Tolerance, Values,
        class::band,
        input::{ALBUMIN, BILIRUBIN},
    },
    formula::{Additive, Formula, Term},
};

/// The axis of the score.
pub(crate) const AXIS: &str = "albi";

/// The score from bilirubin in mg/dL and albumin in g/dL: 0.66 log10(umol/L) - 0.085 g/L
/// (Johnson PJ et al., J Clin Oncol 2015;33:550).
#[must_use]
pub fn albi(bilirubin_mg_dl: f64, albumin_g_dl: f64) -> f64 {
    0.66 * libm::log10(bilirubin_mg_dl * 17.104) - 0.085 * albumin_g_dl * 10.0
}

/// The score of a patient.
pub(crate) fn of(inputs: &Values) -> Option<f64> {
    Some(albi(inputs.get(BILIRUBIN.key)?, inputs.get(ALBUMIN.key)?))
}

/// The first scores of grades 2 and 3: just above -2.60 and -1.39, which belong to the grade below.
const CUTS: &[f64] = &[-2.6 + 1e-6, -1.39 + 1e-6];

/// The model.
pub static MODEL: Model = Model {
    id: "albi",
    title: "Albumin-bilirubin score (ALBI)",
    organ: "liver",
    source: "Johnson PJ et al., J Clin Oncol 2015;33:550: 0.66*log10(bilirubin umol/L) - 0.085*albumin g/L; grade 1 <= -2.60, \
             grade 2 <= -1.39, else grade 3",
    evidence: Evidence::OneTranscription,
    population: "adults with hepatocellular carcinoma",
    inputs: &[&BILIRUBIN, &ALBUMIN],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output::number("albi", "1", "ALBI score", 2, Tolerance::Absolute(0.01)),
        Output::category(
            "albi_grade",
            "ALBI grade",
            "albi",
            CUTS,
            &["grade 1", "grade 2", "grade 3"],
        ),
    ],
    reference: |inputs, _| {
        let score = albi(inputs.of(BILIRUBIN.key), inputs.of(ALBUMIN.key));
        Values::from_pairs([("albi", score), ("albi_grade", band(score, CUTS))])
    },
    formula: |output, _| {
        (output == "albi")
            .then(|| Formula::Number(Additive::sum(vec![Term::axis(AXIS, |score| score)])))
    },
    examples: &[Example {
        given: &[("bilirubin_umol_l", 30.0), ("albumin_g_l", 35.0)],
        lists: &[],
        expected: &[("albi", -2.00010, 5e-6), ("albi_grade", 1.0, 0.0)],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_bound_of_a_grade_belongs_to_it() {
        assert_eq!(
            [-2.61, -2.60, -2.599, -1.39, -1.389].map(|score| band(score, CUTS)),
            [0.0, 0.0, 1.0, 1.0, 2.0]
        );
    }
}
