//! The future liver remnant after a planned resection, as a share of the expected liver volume.

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, Parameter, Tolerance, Values,
        class::flag,
        input::{FUTURE_LIVER_REMNANT, HEIGHT, LIVER_STATE, WEIGHT},
    },
    formula::{Additive, Condition, Formula, Link, Term},
};

/// The axes of the remnant in percent of the volume expected by Vauthey and by Urata.
pub(crate) const AXES: [&str; 2] = ["sflr_vauthey_percent", "sflr_urata_percent"];

/// The body surface area in m2 by Mosteller from height in cm and weight in kg.
#[must_use]
pub fn body_surface(height_cm: f64, weight_kg: f64) -> f64 {
    libm::sqrt(height_cm * weight_kg / 3600.0)
}

/// The expected liver volume in mL from the body surface area in m2 (Vauthey JN et al., Liver Transpl 2002;8:233).
#[must_use]
pub fn expected_volume_vauthey(surface_m2: f64) -> f64 {
    -794.41 + 1267.28 * surface_m2
}

/// The expected liver volume in mL from the body surface area in m2 (Urata K et al. 1995; Asian adults).
#[must_use]
pub fn expected_volume_urata(surface_m2: f64) -> f64 {
    706.2 * surface_m2 + 2.4
}

/// The remnant in percent of an expected volume.
pub(crate) fn remnant_percent(inputs: &Values, expected: fn(f64) -> f64) -> Option<f64> {
    let surface = body_surface(inputs.get(HEIGHT.key)?, inputs.get(WEIGHT.key)?);
    let volume = expected(surface);
    (volume > 0.0).then_some(100.0 * inputs.get(FUTURE_LIVER_REMNANT.key)? / volume)
}

/// The smallest safe remnant in percent: normal liver, after chemotherapy, cirrhosis.
const MINIMA: [f64; 3] = [20.0, 30.0, 40.0];

fn urata(parameters: &Values) -> bool {
    parameters.of("urata_formula") >= 0.5
}

fn percent(parameters: &Values) -> Additive {
    let [vauthey, urata_axis] = AXES;
    let axis = if urata(parameters) {
        urata_axis
    } else {
        vauthey
    };
    let growth = libm::log(parameters.of("growth_factor"));
    Additive::linked(vec![Term::axis(axis, libm::log)], Link::exp()).plus(growth)
}

/// Large enough for the state of the liver: reaches the least minimum, and either a higher one or a better state.
fn adequate(parameters: &Values) -> Condition {
    let state_below = |points: &'static [f64]| {
        Additive::sum(vec![Term::points(LIVER_STATE.key, points)]).at_least(1.0)
    };
    let reaches = |minimum| percent(parameters).at_least(minimum);
    let [normal, chemotherapy, cirrhosis] = MINIMA;
    Condition::All(vec![
        reaches(normal),
        Condition::Any(vec![reaches(chemotherapy), state_below(&[1.0, 0.0, 0.0])]),
        Condition::Any(vec![reaches(cirrhosis), state_below(&[1.0, 1.0, 0.0])]),
    ])
}

/// The model.
pub static MODEL: Model = Model {
    id: "future-liver-remnant",
    title: "Standardized future liver remnant",
    organ: "liver",
    source: "Vauthey JN et al., Liver Transpl 2002;8:233: expected volume = -794.41 + 1267.28*BSA mL, BSA by Mosteller; Asian \
             adults 706.2*BSA + 2.4 (Urata K et al. 1995); minimum 20 % in a normal liver, 30 % after more than 3 months of \
             chemotherapy, 40 % in cirrhosis (Ribero D et al. 2013)",
    evidence: Evidence::OneTranscription,
    population: "adults before a liver resection; remnants of 2 to 200 %",
    inputs: &[&FUTURE_LIVER_REMNANT, &HEIGHT, &WEIGHT, &LIVER_STATE],
    optional: &[],
    parameters: &[
        Parameter {
            key: "urata_formula",
            unit: "1",
            title: "1 with the expected volume of Urata (Asian adults), 0 with that of Vauthey",
            lo: 0.0,
            hi: 1.0,
            default: Default_::Number(0.0),
        },
        Parameter {
            key: "growth_factor",
            unit: "1",
            title: "what if the remnant grew by this factor, as after portal vein embolization",
            lo: 0.5,
            hi: 2.0,
            default: Default_::Number(1.0),
        },
    ],
    arm: Some("growth_factor"),
    outputs: &[
        Output::number(
            "sflr_percent",
            "%",
            "future liver remnant as a share of the expected volume",
            1,
            Tolerance::Relative(0.01),
        ),
        Output::flag(
            "remnant_adequate",
            "the remnant reaches the minimum for the state of the liver",
        ),
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        let expected = if urata(parameters) {
            expected_volume_urata
        } else {
            expected_volume_vauthey
        };
        if let Some(percent) = remnant_percent(inputs, expected) {
            let percent = percent * parameters.of("growth_factor");
            out.set("sflr_percent", percent);
            let state = inputs.of(LIVER_STATE.key);
            let [normal, chemotherapy, cirrhosis] = MINIMA;
            let minimum = if state >= 2.0 {
                cirrhosis
            } else if state >= 1.0 {
                chemotherapy
            } else {
                normal
            };
            out.set("remnant_adequate", flag(percent >= minimum));
        }
        out
    },
    formula: |output, parameters| match output {
        "sflr_percent" => Some(Formula::Number(percent(parameters))),
        "remnant_adequate" => Some(Formula::Flag(adequate(parameters))),
        _ => None,
    },
    examples: &[
        Example {
            given: &[
                ("future_liver_remnant_ml", 480.0),
                ("height_cm", 178.0),
                ("weight_kg", 82.0),
                ("liver_state", 0.0),
            ],
            lists: &[],
            expected: &[
                ("sflr_percent", 27.31, 5e-3),
                ("remnant_adequate", 1.0, 0.0),
            ],
        },
        Example {
            given: &[
                ("future_liver_remnant_ml", 480.0),
                ("height_cm", 178.0),
                ("weight_kg", 82.0),
                ("liver_state", 1.0),
            ],
            lists: &[],
            expected: &[
                ("sflr_percent", 27.31, 5e-3),
                ("remnant_adequate", 0.0, 0.0),
            ],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volumes_of_the_worked_example() {
        let surface = body_surface(178.0, 82.0);
        assert!((surface - 2.01357).abs() < 5e-6, "{surface}");
        let volume = expected_volume_vauthey(surface);
        assert!((volume - 1757.34).abs() < 5e-3, "{volume}");
    }

    #[test]
    fn a_remnant_at_the_minimum_is_adequate() {
        let volume = expected_volume_vauthey(body_surface(178.0, 82.0));
        for (state, minimum) in [(0.0, 0.20), (1.0, 0.30), (2.0, 0.40)] {
            for (share, expected) in [(minimum + 1e-9, 1.0), (minimum - 1e-9, 0.0)] {
                let inputs = Values::from_pairs([
                    (HEIGHT.key, 178.0),
                    (WEIGHT.key, 82.0),
                    (FUTURE_LIVER_REMNANT.key, share * volume),
                    (LIVER_STATE.key, state),
                ]);
                let parameters =
                    Values::from_pairs([("urata_formula", 0.0), ("growth_factor", 1.0)]);
                let out = (MODEL.reference)(&inputs, &parameters);
                assert_eq!(out.get("remnant_adequate"), Some(expected), "{state}");
            }
        }
    }
}
