//! The probability that breathlessness is heart failure with preserved ejection fraction: H2FPEF.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Tolerance, Values,
        class::{band, flag},
        input::{
            AGE, ATRIAL_FIBRILLATION, BMI, E_OVER_E_PRIME, HEIGHT, PULMONARY_PRESSURE,
            TWO_ANTIHYPERTENSIVES, WEIGHT,
        },
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axis of the logit of the continuous score.
pub(crate) const LOGIT: &str = "h2fpef_logit";
/// The axes of the items that are decided at the source.
pub(crate) const BMI_OVER_30: &str = "bmi_over_30";
/// Above 35 mmHg.
pub(crate) const PRESSURE_OVER_35: &str = "pasp_over_35_mmhg";
/// Above 60 years.
pub(crate) const AGE_OVER_60: &str = "age_over_60";
/// Above 9.
pub(crate) const RATIO_OVER_9: &str = "e_over_e_prime_over_9";

/// The items with their points.
const ITEMS: [(&str, &[f64]); 6] = [
    (BMI_OVER_30, &[0.0, 2.0]),
    (TWO_ANTIHYPERTENSIVES.key, &[0.0, 1.0]),
    (ATRIAL_FIBRILLATION.key, &[0.0, 3.0]),
    (PRESSURE_OVER_35, &[0.0, 1.0]),
    (AGE_OVER_60, &[0.0, 1.0]),
    (RATIO_OVER_9, &[0.0, 1.0]),
];

const CUTS: &[f64] = &[2.0, 6.0];

/// The body mass index in kg/m2: as given, or from weight and height.
pub(crate) fn body_mass_index(inputs: &Values) -> Option<f64> {
    inputs.get(BMI.key).or_else(|| {
        let metres = inputs.get(HEIGHT.key)? / 100.0;
        Some(inputs.get(WEIGHT.key)? / (metres * metres))
    })
}

/// The logit from age in years, body mass index in kg/m2, E/e', pulmonary artery systolic pressure in mmHg and atrial
/// fibrillation as 0 or 1 (Reddy YNV et al., Circulation 2018;138:861).
#[must_use]
pub fn logit(age: f64, bmi: f64, ratio: f64, pressure: f64, fibrillation: f64) -> f64 {
    -9.1917
        + 0.0451 * age
        + 0.1307 * bmi
        + 0.0859 * ratio
        + 0.0520 * pressure
        + 1.6997 * fibrillation
}

/// The logit of a patient.
pub(crate) fn logit_of(inputs: &Values) -> Option<f64> {
    Some(logit(
        inputs.get(AGE.key)?,
        body_mass_index(inputs)?,
        inputs.get(E_OVER_E_PRIME.key)?,
        inputs.get(PULMONARY_PRESSURE.key)?,
        inputs.get(ATRIAL_FIBRILLATION.key)?,
    ))
}

/// The points; every cut-off is exceeded, not reached.
fn points(inputs: &Values) -> Option<f64> {
    let over = |value: f64, cut: f64| flag(value > cut);
    Some(
        2.0 * over(body_mass_index(inputs)?, 30.0)
            + inputs.get(TWO_ANTIHYPERTENSIVES.key)?
            + 3.0 * inputs.get(ATRIAL_FIBRILLATION.key)?
            + over(inputs.get(PULMONARY_PRESSURE.key)?, 35.0)
            + over(inputs.get(AGE.key)?, 60.0)
            + over(inputs.get(E_OVER_E_PRIME.key)?, 9.0),
    )
}

/// The model.
pub static MODEL: Model = Model {
    id: "h2fpef",
    title: "Probability of heart failure with preserved ejection fraction (H2FPEF)",
    organ: "heart",
    source: "Reddy YNV et al., Circulation 2018;138:861: BMI > 30 2, two or more antihypertensives 1, atrial fibrillation 3, PASP \
             > 35 1, age > 60 1, E/e' > 9 1; 0-1 low, 2-5 intermediate, 6-9 high; logit = -9.1917 + 0.0451*age + 0.1307*BMI + \
             0.0859*E/e' + 0.0520*PASP + 1.6997*AF",
    evidence: Evidence::OneTranscription,
    population: "adults with unexplained exertional breathlessness and an ejection fraction of 50 % or more",
    inputs: &[
        &AGE,
        &BMI,
        &E_OVER_E_PRIME,
        &PULMONARY_PRESSURE,
        &ATRIAL_FIBRILLATION,
        &TWO_ANTIHYPERTENSIVES,
    ],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output::points("h2fpef", "H2FPEF points"),
        Output::category(
            "h2fpef_band",
            "probability by the points",
            "h2fpef",
            CUTS,
            &["low", "intermediate", "high"],
        ),
        Output::number(
            "probability",
            "1",
            "probability by the continuous score",
            3,
            Tolerance::Absolute(0.01),
        ),
    ],
    reference: |inputs, _| {
        let mut out = Values::default();
        if let (Some(points), Some(logit)) = (points(inputs), logit_of(inputs)) {
            out.set("h2fpef", points);
            out.set("h2fpef_band", band(points, CUTS));
            out.set("probability", libm::exp(logit) / (1.0 + libm::exp(logit)));
        }
        out
    },
    formula: |output, _| match output {
        "h2fpef" => {
            let terms = ITEMS.map(|(axis, points)| Term::points(axis, points));
            Some(Formula::Number(Additive::sum(terms.into())))
        }
        "probability" => Some(Formula::Number(Additive::linked(
            vec![Term::axis(LOGIT, |logit| logit)],
            Link::logistic(),
        ))),
        _ => None,
    },
    examples: &[Example {
        given: &[
            ("age_years", 66.0),
            ("bmi_kg_m2", 32.0),
            ("e_over_e_prime", 11.0),
            ("pasp_mmhg", 38.0),
            ("atrial_fibrillation", 0.0),
            ("two_antihypertensives", 1.0),
        ],
        lists: &[],
        expected: &[
            ("h2fpef", 6.0, 0.0),
            ("h2fpef_band", 2.0, 0.0),
            ("probability", 0.70852, 5e-6),
        ],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn of(age: f64, bmi: f64, ratio: f64, pressure: f64) -> f64 {
        let inputs = Values::from_pairs([
            (AGE.key, age),
            (BMI.key, bmi),
            (E_OVER_E_PRIME.key, ratio),
            (PULMONARY_PRESSURE.key, pressure),
            (ATRIAL_FIBRILLATION.key, 0.0),
            (TWO_ANTIHYPERTENSIVES.key, 0.0),
        ]);
        points(&inputs).unwrap()
    }

    #[test]
    fn every_cut_off_is_exceeded_not_reached() {
        assert_eq!(of(60.0, 30.0, 9.0, 35.0), 0.0);
        assert_eq!(of(60.1, 30.0, 9.0, 35.0), 1.0);
        assert_eq!(of(60.0, 30.1, 9.0, 35.0), 2.0);
        assert_eq!(of(60.0, 30.0, 9.1, 35.0), 1.0);
        assert_eq!(of(60.0, 30.0, 9.0, 35.1), 1.0);
    }

    #[test]
    fn the_logit_of_the_worked_example() {
        let got = logit(66.0, 32.0, 11.0, 38.0, 0.0);
        assert!((got - 0.88820).abs() < 5e-6, "{got}");
    }

    #[test]
    fn the_bands_begin_at_two_and_six() {
        assert_eq!(
            [1.0, 2.0, 5.0, 6.0].map(|points| band(points, CUTS)),
            [0.0, 1.0, 1.0, 2.0]
        );
    }
}
