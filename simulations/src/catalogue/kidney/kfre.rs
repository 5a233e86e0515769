//! The kidney failure risk equation with four variables.

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, OutputKind, Parameter, Tolerance, Values,
        class::band,
        input::{AGE, EGFR, SEX, Sex, UACR},
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axis of the linear predictor; missing from a filtration rate of 60 on.
pub(crate) const AXIS: &str = "kfre_predictor";

/// The linear predictor of kidney failure from age in years, filtration rate in mL/min/1.73 m2 and urinary albumin to
/// creatinine ratio in mg/g (Tangri N et al., JAMA 2011;305:1553). Nothing for a rate of 60 or more, where it does not hold.
#[must_use]
pub fn predictor(age_years: f64, sex: Sex, egfr: f64, uacr_mg_g: f64) -> Option<f64> {
    (egfr < 60.0).then(|| {
        -0.2201 * (age_years / 10.0 - 7.036) + 0.2467 * (sex.category() - 0.5642)
            - 0.5567 * (egfr / 5.0 - 7.222)
            + 0.4510 * (libm::log(uacr_mg_g) - 5.137)
    })
}

/// The share without kidney failure at the mean predictor (JAMA 2016;315:164).
fn baseline(output: &str, parameters: &Values) -> Option<f64> {
    let north_america = parameters.of("north_american_calibration") >= 0.5;
    match (output, north_america) {
        ("risk_5_years_percent", true) => Some(0.9240),
        ("risk_5_years_percent", false) => Some(0.9365),
        ("risk_2_years_percent", true) => Some(0.9750),
        ("risk_2_years_percent", false) => Some(0.9832),
        _ => None,
    }
}

/// What a change of the albumin ratio adds to the predictor.
fn treatment(parameters: &Values) -> f64 {
    0.4510 * libm::log(parameters.of("uacr_factor"))
}

/// The risk in percent from the predictor: complementary log-log around the share without failure.
fn risk(baseline: f64) -> Link {
    let log_share = libm::log(baseline);
    Link::new(
        move |sum| -100.0 * libm::expm1(log_share * libm::exp(sum)),
        move |percent| libm::log(libm::log1p(-percent / 100.0) / log_share),
    )
}

const CUTS_5: &[f64] = &[3.0, 5.0];
const CUTS_2: &[f64] = &[10.0, 40.0];

/// A risk within one percentage point.
const fn risk_output(key: &'static str, title: &'static str) -> Output {
    Output {
        key,
        unit: "%",
        title,
        kind: OutputKind::Number {
            decimals: 1,
            tolerance: Tolerance::Absolute(1.0),
        },
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "kfre",
    title: "Risk of kidney failure in 2 and 5 years (KFRE, four variables)",
    organ: "kidney",
    source: "Tangri N et al., JAMA 2011;305:1553 and JAMA 2016;315:164: risk = 1 - S0^exp(LP), LP = -0.2201*(age/10-7.036) + \
             0.2467*(male-0.5642) - 0.5567*(eGFR/5-7.222) + 0.4510*(ln(uACR mg/g)-5.137); S0 in North America 0.9750 (2 years) \
             and 0.9240 (5 years), elsewhere 0.9832 and 0.9365",
    evidence: Evidence::TwoImplementations,
    population: "adults with a filtration rate below 60 mL/min/1.73 m2, not yet treated by dialysis or transplantation",
    inputs: &[&AGE, &SEX, &EGFR, &UACR],
    optional: &[],
    parameters: &[
        Parameter {
            key: "north_american_calibration",
            unit: "1",
            title: "1 with the baseline risk of North America, 0 with that of other regions",
            lo: 0.0,
            hi: 1.0,
            default: Default_::Number(0.0),
        },
        Parameter {
            key: "uacr_factor",
            unit: "1",
            title: "what if the albumin ratio changed by this factor",
            lo: 0.1,
            hi: 10.0,
            default: Default_::Number(1.0),
        },
    ],
    arm: Some("uacr_factor"),
    outputs: &[
        risk_output(
            "risk_5_years_percent",
            "risk of kidney failure within 5 years",
        ),
        risk_output(
            "risk_2_years_percent",
            "risk of kidney failure within 2 years",
        ),
        Output {
            key: "referral",
            unit: "1",
            title: "5-year risk by the range for referral, 3 to 5 % (KDIGO 2024; to be confirmed against the paper)",
            kind: OutputKind::Category {
                of: "risk_5_years_percent",
                cuts: CUTS_5,
                labels: &["below 3 %", "3 to 5 %", "5 % or more"],
            },
        },
        Output {
            key: "planning",
            unit: "1",
            title: "2-year risk by the points for team care, 10 %, and access planning, 40 % (KDIGO 2024; to be confirmed \
                    against the paper)",
            kind: OutputKind::Category {
                of: "risk_2_years_percent",
                cuts: CUTS_2,
                labels: &["below 10 %", "10 to 40 %", "40 % or more"],
            },
        },
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        let [age, egfr, uacr] = [&AGE, &EGFR, &UACR].map(|i| inputs.of(i.key));
        let Some(predictor) = Sex::of(inputs).and_then(|sex| predictor(age, sex, egfr, uacr))
        else {
            return out;
        };
        for (key, category, cuts) in [
            ("risk_5_years_percent", "referral", CUTS_5),
            ("risk_2_years_percent", "planning", CUTS_2),
        ] {
            if let Some(baseline) = baseline(key, parameters) {
                let hazard = libm::exp(predictor + treatment(parameters));
                let percent = 100.0 * (1.0 - libm::pow(baseline, hazard));
                out.set(key, percent);
                out.set(category, band(percent, cuts));
            }
        }
        out
    },
    formula: |output, parameters| {
        let baseline = baseline(output, parameters)?;
        let sum = Additive::linked(vec![Term::axis(AXIS, |x| x)], risk(baseline));
        Some(Formula::Number(sum.plus(treatment(parameters))))
    },
    examples: &[
        Example {
            given: &[
                ("age_years", 61.0),
                ("sex", 1.0),
                (EGFR.key, 30.0),
                ("uacr_mg_g", 300.0),
                ("north_american_calibration", 1.0),
            ],
            lists: &[],
            expected: &[
                ("risk_5_years_percent", 24.098, 1e-3),
                ("risk_2_years_percent", 8.453, 1e-3),
                ("referral", 2.0, 0.0),
                ("planning", 0.0, 0.0),
            ],
        },
        Example {
            given: &[
                ("age_years", 61.0),
                ("sex", 1.0),
                (EGFR.key, 30.0),
                ("uacr_mg_g", 300.0),
            ],
            lists: &[],
            expected: &[
                ("risk_5_years_percent", 20.456, 1e-3),
                ("risk_2_years_percent", 5.739, 1e-3),
            ],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_predictor_of_the_worked_example() {
        let got = predictor(61.0, Sex::Male, 30.0, 300.0).unwrap();
        assert!((got - 1.24943).abs() < 5e-6, "{got}");
    }

    #[test]
    fn the_equation_does_not_hold_from_a_filtration_rate_of_sixty_on() {
        assert_eq!(predictor(61.0, Sex::Male, 60.0, 300.0), None);
        assert!(predictor(61.0, Sex::Male, 59.99, 300.0).is_some());
    }
}
