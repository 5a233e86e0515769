//! The corrected QT interval, and its prolongation by several drugs.

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, Parameter, Tolerance, Values,
        class::flag,
        input::{DRUG_QT_PROLONGATION, HEART_RATE, QT, SEX},
    },
    formula::{Additive, Condition, Formula, Term},
};

/// The axis of the interval corrected by Bazett, in ms.
pub(crate) const BAZETT: &str = "qtc_bazett_ms";
/// The axis of the interval corrected by Fridericia, in ms.
pub(crate) const FRIDERICIA: &str = "qtc_fridericia_ms";

/// The interval of QT in ms at a heart rate per minute, corrected by the square root of RR in s (Bazett 1920).
#[must_use]
pub fn bazett(qt_ms: f64, heart_rate: f64) -> f64 {
    qt_ms / libm::sqrt(60.0 / heart_rate)
}

/// The same by the cube root (Fridericia 1920).
#[must_use]
pub fn fridericia(qt_ms: f64, heart_rate: f64) -> f64 {
    qt_ms / libm::cbrt(60.0 / heart_rate)
}

/// What the drugs of the study add, in ms.
fn added(parameters: &Values) -> f64 {
    parameters.list("added_drugs_ms").iter().sum()
}

const LIMIT_MALE: f64 = 450.0;
const LIMIT_FEMALE: f64 = 460.0;
const LIMIT_ALL: f64 = 500.0;
const LIMIT_RISE: f64 = 60.0;

/// The interval with all drugs, times a sign.
fn interval(axis: &str, parameters: &Values, sign: f64) -> Additive {
    Additive::sum(vec![
        Term::axis(axis, move |ms| sign * ms),
        Term::axis(DRUG_QT_PROLONGATION.key, move |ms| sign * ms),
    ])
    .plus(sign * added(parameters))
}

/// The interval is above a limit, not at it.
fn above(axis: &str, parameters: &Values, limit: f64) -> Condition {
    interval(axis, parameters, -1.0).below(-limit)
}

/// Above the limit of the sex.
fn prolonged(axis: &str, parameters: &Values) -> Formula {
    let male = Additive::sum(vec![Term::points(SEX.key, &[0.0, 1.0])]).at_least(1.0);
    Formula::Flag(Condition::Any(vec![
        above(axis, parameters, LIMIT_FEMALE),
        Condition::All(vec![male, above(axis, parameters, LIMIT_MALE)]),
    ]))
}

/// An interval to a millisecond.
const fn milliseconds(key: &'static str, title: &'static str) -> Output {
    Output::number(key, "ms", title, 0, Tolerance::Absolute(1.0))
}

/// The model.
pub static MODEL: Model = Model {
    id: "qtc",
    title: "Corrected QT interval with several drugs",
    organ: "heart",
    source: "Bazett HC, Heart 1920;7:353: QT/sqrt(RR); Fridericia LS, Acta Med Scand 1920;53:469: QT/RR^(1/3); RR = 60/rate in \
             s; above 450 ms in men, 460 in women, 500, or a rise above 60; prolongations of drugs are added",
    evidence: Evidence::OneTranscription,
    population: "adults in sinus rhythm; corrected intervals of 256 to 768 ms; adding the prolongations of drugs is an assumption",
    inputs: &[&QT, &HEART_RATE, &SEX, &DRUG_QT_PROLONGATION],
    optional: &[],
    parameters: &[Parameter {
        key: "added_drugs_ms",
        unit: "ms",
        title: "what if these drugs were added: the prolongation by each",
        lo: 0.0,
        hi: 120.0,
        default: Default_::List(&[]),
    }],
    arm: None,
    outputs: &[
        milliseconds(FRIDERICIA, "interval by Fridericia with all drugs"),
        milliseconds(BAZETT, "interval by Bazett with all drugs"),
        Output::flag(
            "prolonged_fridericia",
            "by Fridericia above 450 ms (men) or 460 ms (women)",
        ),
        Output::flag(
            "prolonged_bazett",
            "by Bazett above 450 ms (men) or 460 ms (women)",
        ),
        Output::flag("over_500_fridericia", "by Fridericia above 500 ms"),
        Output::flag("over_500_bazett", "by Bazett above 500 ms"),
        Output::flag(
            "rise_over_60",
            "prolongation by drugs since the recording above 60 ms",
        ),
    ],
    reference: |inputs, parameters| {
        let [qt, rate, sex] = [&QT, &HEART_RATE, &SEX].map(|i| inputs.of(i.key));
        let rise = inputs.of(DRUG_QT_PROLONGATION.key) + added(parameters);
        let limit = if sex == 1.0 { LIMIT_MALE } else { LIMIT_FEMALE };
        let by_fridericia = fridericia(qt, rate) + rise;
        let by_bazett = bazett(qt, rate) + rise;
        Values::from_pairs([
            (FRIDERICIA, by_fridericia),
            (BAZETT, by_bazett),
            ("prolonged_fridericia", flag(by_fridericia > limit)),
            ("prolonged_bazett", flag(by_bazett > limit)),
            ("over_500_fridericia", flag(by_fridericia > LIMIT_ALL)),
            ("over_500_bazett", flag(by_bazett > LIMIT_ALL)),
            ("rise_over_60", flag(rise > LIMIT_RISE)),
        ])
    },
    formula: |output, parameters| {
        Some(match output {
            FRIDERICIA | BAZETT => Formula::Number(interval(output, parameters, 1.0)),
            "prolonged_fridericia" => prolonged(FRIDERICIA, parameters),
            "prolonged_bazett" => prolonged(BAZETT, parameters),
            "over_500_fridericia" => Formula::Flag(above(FRIDERICIA, parameters, LIMIT_ALL)),
            "over_500_bazett" => Formula::Flag(above(BAZETT, parameters, LIMIT_ALL)),
            "rise_over_60" => {
                let own = Term::axis(DRUG_QT_PROLONGATION.key, |ms| -ms);
                let rise = Additive::sum(vec![own]).plus(-added(parameters));
                Formula::Flag(rise.below(-LIMIT_RISE))
            }
            _ => return None,
        })
    },
    examples: &[
        Example {
            given: &[
                ("qt_ms", 400.0),
                ("heart_rate_min", 80.0),
                ("sex", 0.0),
                ("drug_qt_prolongation_ms", 0.0),
            ],
            lists: &[],
            expected: &[
                (BAZETT, 461.88, 5e-3),
                (FRIDERICIA, 440.26, 5e-3),
                ("prolonged_bazett", 1.0, 0.0),
                ("prolonged_fridericia", 0.0, 0.0),
                ("over_500_bazett", 0.0, 0.0),
                ("rise_over_60", 0.0, 0.0),
            ],
        },
        Example {
            given: &[
                ("qt_ms", 400.0),
                ("heart_rate_min", 80.0),
                ("sex", 0.0),
                ("drug_qt_prolongation_ms", 10.0),
            ],
            lists: &[("added_drugs_ms", &[20.0, 35.0])],
            expected: &[
                (FRIDERICIA, 505.26, 5e-3),
                ("over_500_fridericia", 1.0, 0.0),
                ("rise_over_60", 1.0, 0.0),
            ],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn of(qt: f64, sex: f64, drugs: f64, output: &str) -> f64 {
        let inputs = Values::from_pairs([
            (QT.key, qt),
            (HEART_RATE.key, 60.0),
            (SEX.key, sex),
            (DRUG_QT_PROLONGATION.key, drugs),
        ]);
        (MODEL.reference)(&inputs, &Values::default()).of(output)
    }

    #[test]
    fn every_limit_is_exceeded_not_reached() {
        for (qt, sex, drugs, output, expected) in [
            (450.0, 1.0, 0.0, "prolonged_bazett", 0.0),
            (450.5, 1.0, 0.0, "prolonged_bazett", 1.0),
            (450.5, 0.0, 0.0, "prolonged_fridericia", 0.0),
            (460.0, 0.0, 0.0, "prolonged_fridericia", 0.0),
            (460.5, 0.0, 0.0, "prolonged_fridericia", 1.0),
            (480.0, 0.0, 20.0, "over_500_bazett", 0.0),
            (480.0, 0.0, 20.5, "over_500_bazett", 1.0),
            (400.0, 0.0, 60.0, "rise_over_60", 0.0),
            (400.0, 0.0, 60.5, "rise_over_60", 1.0),
        ] {
            assert_eq!(
                of(qt, sex, drugs, output),
                expected,
                "{output} {qt} {drugs}"
            );
        }
    }
}
