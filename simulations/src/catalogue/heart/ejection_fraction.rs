//! The left ventricular ejection fraction and its class of heart failure.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Tolerance, Values,
        class::band,
        input::{EJECTION_FRACTION, END_DIASTOLIC_VOLUME, END_SYSTOLIC_VOLUME},
    },
    formula::{Additive, Formula, Term},
};

/// The ejection fraction in percent from volumes in one unit; nothing outside 3 to 90, the plausible range.
#[must_use]
pub fn ejection_fraction(end_diastolic: f64, end_systolic: f64) -> Option<f64> {
    let percent = 100.0 * (end_diastolic - end_systolic) / end_diastolic;
    (3.0..=90.0).contains(&percent).then_some(percent)
}

/// The ejection fraction of a patient: from both volumes if they are known, or else as given.
pub(crate) fn of(inputs: &Values) -> Option<f64> {
    let volumes = inputs
        .get(END_DIASTOLIC_VOLUME.key)
        .zip(inputs.get(END_SYSTOLIC_VOLUME.key));
    match volumes {
        Some((diastolic, systolic)) => ejection_fraction(diastolic, systolic),
        None => inputs.get(EJECTION_FRACTION.key),
    }
}

/// The classes are those of the whole percent, halves rounded up: 40 or less, 41 to 49, 50 or more.
const CUTS: &[f64] = &[40.5, 49.5];

/// The model.
pub static MODEL: Model = Model {
    id: "ejection-fraction",
    title: "Left ventricular ejection fraction and class of heart failure",
    organ: "heart",
    source: "EF = 100*(EDV-ESV)/EDV; reduced <= 40 %, mildly reduced 41-49 %, preserved >= 50 % (universal definition of heart \
             failure 2021), of the whole percent",
    evidence: Evidence::OneTranscription,
    population: "adults; both volumes from one study; fractions of 3 to 90 %",
    inputs: &[&END_DIASTOLIC_VOLUME, &END_SYSTOLIC_VOLUME],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output::number(
            EJECTION_FRACTION.key,
            "%",
            "ejection fraction",
            0,
            Tolerance::Absolute(0.1),
        ),
        Output::category(
            "ejection_fraction_class",
            "class of the ejection fraction",
            EJECTION_FRACTION.key,
            CUTS,
            &["reduced", "mildly reduced", "preserved"],
        ),
    ],
    reference: |inputs, _| {
        let mut out = Values::default();
        if let Some(percent) = of(inputs) {
            out.set(EJECTION_FRACTION.key, percent);
            out.set("ejection_fraction_class", band(percent, CUTS));
        }
        out
    },
    formula: |output, _| {
        (output == EJECTION_FRACTION.key).then(|| {
            let term = Term::axis(EJECTION_FRACTION.key, |percent| percent);
            Formula::Number(Additive::sum(vec![term]))
        })
    },
    examples: &[Example {
        given: &[
            ("end_diastolic_volume_ml", 160.0),
            ("end_systolic_volume_ml", 96.0),
        ],
        lists: &[],
        expected: &[
            ("ejection_fraction_percent", 40.0, 1e-9),
            ("ejection_fraction_class", 0.0, 0.0),
        ],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_percents_are_classed_as_the_definition_says() {
        assert_eq!(
            [40.0, 41.0, 49.0, 50.0].map(|percent| band(percent, CUTS)),
            [0.0, 1.0, 1.0, 2.0]
        );
    }

    #[test]
    fn volumes_that_cannot_be_give_no_fraction() {
        assert_eq!(ejection_fraction(100.0, 120.0), None);
        assert_eq!(ejection_fraction(100.0, 5.0), None);
    }
}
