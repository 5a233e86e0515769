//! The risk of stroke in atrial fibrillation: CHA2DS2-VASc, and CHA2DS2-VA without sex.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Values,
        class::band,
        input::{
            AGE, DIABETES, HEART_FAILURE, HYPERTENSION, SEX, THROMBOEMBOLISM, VASCULAR_DISEASE,
        },
    },
    formula::{Additive, Formula, Term},
};

/// The axis of the age bands.
pub(crate) const AGE_BAND: &str = "age_band";
/// The lower bounds in years of the bands from the second on.
pub(crate) const AGE_BOUNDS: &[f64] = &[55.0, 60.0, 65.0, 70.0, 75.0, 80.0];

/// One point at 65 years, two at 75, by [`AGE_BAND`].
const AGE_POINTS: &[f64] = &[0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0];
/// The other items with their points.
const ITEMS: [(&str, &[f64]); 5] = [
    (HEART_FAILURE.key, &[0.0, 1.0]),
    (HYPERTENSION.key, &[0.0, 1.0]),
    (DIABETES.key, &[0.0, 1.0]),
    (THROMBOEMBOLISM.key, &[0.0, 2.0]),
    (VASCULAR_DISEASE.key, &[0.0, 1.0]),
];

/// Without sex: anticoagulation is considered at 1 and recommended from 2 on.
const CUTS: &[f64] = &[1.0, 2.0];

/// The points without those of sex.
#[must_use]
pub fn cha2ds2_va(inputs: &Values) -> f64 {
    let age = inputs.of(AGE.key);
    let mut points = band(age, &[65.0, 75.0]);
    for key in [
        HEART_FAILURE.key,
        HYPERTENSION.key,
        DIABETES.key,
        VASCULAR_DISEASE.key,
    ] {
        points += inputs.of(key);
    }
    points + 2.0 * inputs.of(THROMBOEMBOLISM.key)
}

/// The model.
pub static MODEL: Model = Model {
    id: "cha2ds2-vasc",
    title: "Stroke risk in atrial fibrillation (CHA2DS2-VASc and CHA2DS2-VA)",
    organ: "heart",
    source: "Lip GY et al., Chest 2010;137:263: heart failure 1, hypertension 1, age >= 75 2, diabetes 1, stroke, TIA or \
             thromboembolism 2, vascular disease 1, age 65-74 1, female 1; without sex: ESC 2024 guideline on atrial fibrillation, \
             anticoagulate from 2, consider at 1",
    evidence: Evidence::TwoImplementations,
    population: "adults with atrial fibrillation",
    inputs: &[
        &AGE,
        &SEX,
        &HEART_FAILURE,
        &HYPERTENSION,
        &DIABETES,
        &THROMBOEMBOLISM,
        &VASCULAR_DISEASE,
    ],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output::points("cha2ds2_vasc", "CHA2DS2-VASc"),
        Output::points("cha2ds2_va", "CHA2DS2-VA"),
        Output::category(
            "anticoagulation",
            "anticoagulation by CHA2DS2-VA",
            "cha2ds2_va",
            CUTS,
            &["not by the score", "consider", "recommended"],
        ),
    ],
    reference: |inputs, _| {
        let points = cha2ds2_va(inputs);
        let female = 1.0 - inputs.of(SEX.key);
        Values::from_pairs([
            ("cha2ds2_vasc", points + female),
            ("cha2ds2_va", points),
            ("anticoagulation", band(points, CUTS)),
        ])
    },
    formula: |output, _| {
        let mut terms: Vec<Term> = ITEMS
            .into_iter()
            .map(|(axis, points)| Term::points(axis, points))
            .collect();
        terms.push(Term::points(AGE_BAND, AGE_POINTS));
        match output {
            "cha2ds2_vasc" => terms.push(Term::points(SEX.key, &[1.0, 0.0])),
            "cha2ds2_va" => {}
            _ => return None,
        }
        Some(Formula::Number(Additive::sum(terms)))
    },
    examples: &[Example {
        given: &[
            ("age_years", 70.0),
            ("sex", 0.0),
            ("heart_failure", 0.0),
            ("hypertension", 1.0),
            ("diabetes", 1.0),
            ("thromboembolism", 0.0),
            ("vascular_disease", 0.0),
        ],
        lists: &[],
        expected: &[
            ("cha2ds2_vasc", 4.0, 0.0),
            ("cha2ds2_va", 3.0, 0.0),
            ("anticoagulation", 2.0, 0.0),
        ],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_counts_from_sixty_five_and_twice_from_seventy_five() {
        let none = ITEMS.map(|(key, _)| (key, 0.0));
        for (age, points) in [(64.9, 0.0), (65.0, 1.0), (74.9, 1.0), (75.0, 2.0)] {
            let inputs = Values::from_pairs(none.into_iter().chain([(AGE.key, age)]));
            assert_eq!(cha2ds2_va(&inputs), points, "{age}");
        }
    }

    #[test]
    fn the_most_points_are_nine() {
        let all = ITEMS.map(|(key, _)| (key, 1.0));
        let inputs = Values::from_pairs(all.into_iter().chain([(AGE.key, 80.0), (SEX.key, 0.0)]));
        let out = (MODEL.reference)(&inputs, &Values::default());
        assert_eq!(out.get("cha2ds2_vasc"), Some(9.0));
        assert_eq!(out.get("cha2ds2_va"), Some(8.0));
    }
}
