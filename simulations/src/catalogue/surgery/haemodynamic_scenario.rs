//! The mean arterial pressure through a list of steps, and the minutes of low pressure.

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, OutputKind, Parameter, Tolerance, Values,
        class::flag,
        heart::map_scenario::{DRIVING, driving_pressure},
        input::{CARDIAC_OUTPUT, CENTRAL_VENOUS_PRESSURE, SYSTEMIC_VASCULAR_RESISTANCE},
        pharmacokinetics::regimen::{list, parameter},
    },
    formula::{Additive, Formula, Term},
};

const MINUTES: &str = "minutes_below";
const LOWEST: &str = "lowest_map_mmhg";
const LAST: &str = "last_map_mmhg";
const BELOW: &str = "map_below";

/// One step: what the driving pressure is multiplied by, and its minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    factor: f64,
    minutes: f64,
}

/// The steps of a study; where a list ends, changes and losses go on as none and minutes as the last.
fn steps(parameters: &Values) -> Vec<Step> {
    let resistance = parameters.list("svr_change_percent");
    let output = parameters.list("cardiac_output_change_percent");
    let loss = parameters.list("blood_loss_percent");
    let minutes = parameters.list("step_minutes");
    let lengths = [resistance, output, loss, minutes].map(<[f64]>::len);
    let count = lengths.into_iter().max().unwrap_or(0).max(1);
    let of = |list: &[f64], step: usize| list.get(step).copied().unwrap_or(0.0) / 100.0;
    let last = minutes.last().copied().unwrap_or(10.0);
    let mut lost = 0.0;
    (0..count)
        .map(|step| {
            lost += of(loss, step);
            let kept = (1.0 - parameters.of("output_fall_per_loss") * lost).max(0.0);
            Step {
                factor: (1.0 + of(output, step)) * (1.0 + of(resistance, step)) * kept,
                minutes: minutes.get(step).copied().unwrap_or(last),
            }
        })
        .collect()
}

/// MAP = (MAP0 - CVP)*factor + CVP.
fn pressure(factor: f64) -> Additive {
    Additive::sum(vec![
        Term::axis(DRIVING, move |pressure| factor * pressure),
        Term::axis(CENTRAL_VENOUS_PRESSURE.key, |pressure| pressure),
    ])
}

/// The factor of the step with the lowest pressure.
fn lowest(steps: &[Step]) -> f64 {
    let factors = steps.iter().map(|step| step.factor);
    factors.fold(f64::INFINITY, f64::min)
}

const fn millimetres(key: &'static str, title: &'static str) -> Output {
    Output {
        key,
        unit: "mm[Hg]",
        title,
        kind: OutputKind::Number {
            decimals: 0,
            tolerance: Tolerance::Absolute(1.5),
        },
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "haemodynamic-scenario",
    title: "Mean arterial pressure through the steps of an operation, and minutes of low pressure",
    organ: "heart",
    source: "MAP = (MAP0-CVP)*(1+dCO)*(1+dSVR)*(1-a*blood lost) + CVP, the definition of systemic vascular resistance; the cardiac \
             output falls in proportion to the share of the blood volume that is lost (assumption of the study)",
    evidence: Evidence::ToBeConfirmed,
    population: "adults with measured cardiac output; no reflex answers a change but those that the steps state",
    inputs: &[
        &CARDIAC_OUTPUT,
        &SYSTEMIC_VASCULAR_RESISTANCE,
        &CENTRAL_VENOUS_PRESSURE,
    ],
    optional: &[],
    parameters: &[
        Parameter {
            key: "step_minutes",
            unit: "min",
            title: "minutes of every step; the last one holds for steps beyond",
            lo: 1.0,
            hi: 120.0,
            default: Default_::List(&[10.0]),
        },
        list(
            "svr_change_percent",
            "%",
            "change of the vascular resistance from the baseline in every step; none in steps beyond",
            (-90.0, 100.0),
        ),
        list(
            "cardiac_output_change_percent",
            "%",
            "change of the cardiac output from the baseline in every step; none in steps beyond",
            (-90.0, 100.0),
        ),
        list(
            "blood_loss_percent",
            "%",
            "blood lost in every step, of the blood volume, added up over the steps; negative if it is replaced",
            (-50.0, 50.0),
        ),
        parameter(
            "output_fall_per_loss",
            "1",
            "percent by which the cardiac output falls for every percent of the blood volume lost",
            (0.0, 2.0, 1.0),
        ),
        parameter(
            "map_limit_mmhg",
            "mm[Hg]",
            "pressure below which minutes count",
            (40.0, 90.0, 65.0),
        ),
    ],
    arm: Some("map_limit_mmhg"),
    outputs: &[
        Output {
            key: MINUTES,
            unit: "min",
            title: "minutes with a mean arterial pressure below the limit",
            kind: OutputKind::Number {
                decimals: 0,
                // A step of which the pressure is within a grid step of the limit.
                tolerance: Tolerance::Absolute(30.0),
            },
        },
        millimetres(LOWEST, "lowest mean arterial pressure"),
        millimetres(LAST, "mean arterial pressure in the last step"),
        Output {
            key: BELOW,
            unit: "1",
            title: "mean arterial pressure below the limit in any step",
            kind: OutputKind::Flag,
        },
    ],
    reference: |inputs, parameters| {
        let steps = steps(parameters);
        let driving = driving_pressure(
            inputs.of(CARDIAC_OUTPUT.key),
            inputs.of(SYSTEMIC_VASCULAR_RESISTANCE.key),
        );
        let at = |factor: f64| factor * driving + inputs.of(CENTRAL_VENOUS_PRESSURE.key);
        let limit = parameters.of("map_limit_mmhg");
        let low = steps.iter().filter(|step| at(step.factor) < limit);
        let mut out = Values::default();
        out.set(MINUTES, low.fold(0.0, |sum, step| sum + step.minutes));
        let least = at(lowest(&steps));
        out.set(LOWEST, least);
        out.set(BELOW, flag(least < limit));
        if let Some(last) = steps.last() {
            out.set(LAST, at(last.factor));
        }
        out
    },
    formula: |output, parameters| {
        let steps = steps(parameters);
        let limit = parameters.of("map_limit_mmhg");
        match output {
            LOWEST => Some(Formula::Number(pressure(lowest(&steps)))),
            LAST => Some(Formula::Number(pressure(steps.last()?.factor))),
            BELOW => Some(Formula::Flag(pressure(lowest(&steps)).below(limit))),
            MINUTES => {
                let terms = steps.iter().map(|step| Term::If {
                    condition: pressure(step.factor).below(limit),
                    value: step.minutes,
                });
                Some(Formula::Number(Additive::sum(terms.collect())))
            }
            _ => None,
        }
    },
    examples: &[Example {
        // 80 and 57.5 mmHg, then 0.9*0.9 and 0.75*0.8 of 75 mmHg, and 5.
        given: &[
            ("cardiac_output_l_min", 5.0),
            ("svr_dyn_s_cm5", 1200.0),
            ("cvp_mmhg", 5.0),
        ],
        lists: &[
            ("step_minutes", &[10.0, 5.0, 20.0, 8.0]),
            ("svr_change_percent", &[0.0, -30.0, -10.0, -25.0]),
            ("blood_loss_percent", &[0.0, 0.0, 10.0, 10.0]),
        ],
        expected: &[
            (MINUTES, 13.0, 1e-9),
            (LOWEST, 50.0, 1e-9),
            (LAST, 50.0, 1e-9),
            (BELOW, 1.0, 0.0),
        ],
    }],
};
