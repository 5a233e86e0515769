//! The mean arterial pressure through the steps of a haemodynamic scenario.

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, Parameter, Tolerance, Values,
        class::flag,
        input::{CARDIAC_OUTPUT, CENTRAL_VENOUS_PRESSURE, SYSTEMIC_VASCULAR_RESISTANCE},
    },
    formula::{Additive, Formula, Term},
};

/// The axis of the pressure that the flow makes over the vessels: mean arterial less central venous, in mmHg.
pub(crate) const DRIVING: &str = "driving_pressure_mmhg";

/// That pressure from cardiac output in L/min and systemic vascular resistance in dyn s/cm5.
#[must_use]
pub fn driving_pressure(cardiac_output: f64, resistance: f64) -> f64 {
    cardiac_output * resistance / 80.0
}

/// The factor of the step with the lowest pressure; a list that is shorter goes on without a change.
fn lowest_factor(parameters: &Values) -> f64 {
    let outputs = parameters.list("cardiac_output_changes");
    let resistances = parameters.list("svr_changes");
    let change = |list: &[f64], step: usize| 1.0 + list.get(step).copied().unwrap_or(0.0);
    (0..outputs.len().max(resistances.len()).max(1))
        .map(|step| change(outputs, step) * change(resistances, step))
        .fold(f64::INFINITY, f64::min)
}

fn lowest_pressure(parameters: &Values) -> Additive {
    let factor = lowest_factor(parameters);
    Additive::sum(vec![
        Term::axis(DRIVING, move |pressure| factor * pressure),
        Term::axis(CENTRAL_VENOUS_PRESSURE.key, |pressure| pressure),
    ])
}

const LOW: f64 = 65.0;

/// Relative changes per step.
const fn changes(key: &'static str, title: &'static str) -> Parameter {
    Parameter {
        key,
        unit: "1",
        title,
        lo: -0.9,
        hi: 1.0,
        default: Default_::List(&[0.0]),
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "map-scenario",
    title: "Mean arterial pressure through a haemodynamic scenario",
    organ: "heart",
    source: "MAP = CO*(1+dCO)*SVR*(1+dSVR)/80 + CVP, the definition of systemic vascular resistance in dyn s/cm5",
    evidence: Evidence::OneTranscription,
    population: "adults with measured cardiac output; CO*SVR/80 up to 256 mmHg; no reflex answers a change",
    inputs: &[
        &CARDIAC_OUTPUT,
        &SYSTEMIC_VASCULAR_RESISTANCE,
        &CENTRAL_VENOUS_PRESSURE,
    ],
    optional: &[],
    parameters: &[
        changes(
            "svr_changes",
            "relative change of the vascular resistance from the baseline in every step",
        ),
        changes(
            "cardiac_output_changes",
            "relative change of the cardiac output from the baseline in every step",
        ),
    ],
    arm: None,
    outputs: &[
        Output::number(
            "lowest_map_mmhg",
            "mm[Hg]",
            "lowest mean arterial pressure of the scenario",
            0,
            Tolerance::Absolute(1.5),
        ),
        Output::flag(
            "map_below_65",
            "mean arterial pressure below 65 mmHg in a step",
        ),
    ],
    reference: |inputs, parameters| {
        let driving = driving_pressure(
            inputs.of(CARDIAC_OUTPUT.key),
            inputs.of(SYSTEMIC_VASCULAR_RESISTANCE.key),
        );
        let lowest = driving * lowest_factor(parameters) + inputs.of(CENTRAL_VENOUS_PRESSURE.key);
        Values::from_pairs([
            ("lowest_map_mmhg", lowest),
            ("map_below_65", flag(lowest < LOW)),
        ])
    },
    formula: |output, parameters| match output {
        "lowest_map_mmhg" => Some(Formula::Number(lowest_pressure(parameters))),
        "map_below_65" => Some(Formula::Flag(lowest_pressure(parameters).below(LOW))),
        _ => None,
    },
    examples: &[
        Example {
            given: &[
                ("cardiac_output_l_min", 5.0),
                ("svr_dyn_s_cm5", 1200.0),
                ("cvp_mmhg", 5.0),
            ],
            lists: &[],
            expected: &[("lowest_map_mmhg", 80.0, 1e-9), ("map_below_65", 0.0, 0.0)],
        },
        Example {
            given: &[
                ("cardiac_output_l_min", 5.0),
                ("svr_dyn_s_cm5", 1200.0),
                ("cvp_mmhg", 5.0),
            ],
            lists: &[("svr_changes", &[0.0, -0.3, 0.1])],
            expected: &[("lowest_map_mmhg", 57.5, 1e-9), ("map_below_65", 1.0, 0.0)],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pressure_of_sixty_five_is_not_low_and_the_lists_go_on_without_change() {
        let mut parameters = Values::default();
        parameters.set_list("svr_changes", vec![0.2]);
        parameters.set_list("cardiac_output_changes", vec![0.0, -0.5]);
        for (cvp, low) in [(5.0, 0.0), (4.9, 1.0)] {
            let inputs = Values::from_pairs([
                (CARDIAC_OUTPUT.key, 8.0),
                (SYSTEMIC_VASCULAR_RESISTANCE.key, 1200.0),
                (CENTRAL_VENOUS_PRESSURE.key, cvp),
            ]);
            let out = (MODEL.reference)(&inputs, &parameters);
            assert_eq!(out.get("map_below_65"), Some(low));
        }
    }
}
