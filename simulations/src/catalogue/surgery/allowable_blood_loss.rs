//! The blood loss that can be borne before the haemoglobin falls to a limit.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Tolerance, Values,
        class::flag,
        input::{HAEMOGLOBIN, HEIGHT, SEX, Sex, WEIGHT},
        pharmacokinetics::regimen::parameter,
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axis of the blood volume in mL.
pub(crate) const VOLUME_AXIS: &str = "blood_volume_ml";
/// The ends of that axis.
pub(crate) const VOLUMES: (f64, f64) = (1500.0, 13_000.0);
/// The axis of the haemoglobin in g/dL.
pub(crate) const HAEMOGLOBIN_AXIS: &str = "surgical_haemoglobin_g_dl";
/// The ends of that axis.
pub(crate) const HAEMOGLOBINS: (f64, f64) = (4.0, 20.0);
/// The least loss, as a share of the blood volume, that is told from none.
const LEAST: f64 = 0.01;
/// The most units that are counted.
const MOST_UNITS: u32 = 10;

const VOLUME: &str = "estimated_blood_volume_ml";
const LOSS: &str = "allowable_loss_ml";
const SIMPLE: &str = "allowable_loss_simple_ml";
const EXCEEDED: &str = "planned_loss_exceeds";
const UNITS: &str = "red_cell_units";

/// The blood volume in mL from height, weight and sex (Nadler SB et al., Surgery 1962;51:224), within the ends of its axis.
pub(crate) fn blood_volume(inputs: &Values) -> Option<f64> {
    let (metres, weight) = (inputs.get(HEIGHT.key)? / 100.0, inputs.get(WEIGHT.key)?);
    let cube = metres * metres * metres;
    let litres = match Sex::of(inputs)? {
        Sex::Male => 0.3669 * cube + 0.03219 * weight + 0.6041,
        Sex::Female => 0.3561 * cube + 0.03308 * weight + 0.1833,
    };
    let volume = 1000.0 * litres;
    (VOLUMES.0..=VOLUMES.1).contains(&volume).then_some(volume)
}

/// The haemoglobin in g/dL, if the loss is tabulated for it.
pub(crate) fn haemoglobin(inputs: &Values) -> Option<f64> {
    let value = inputs.get(HAEMOGLOBIN.key)?;
    (HAEMOGLOBINS.0..=HAEMOGLOBINS.1)
        .contains(&value)
        .then_some(value)
}

/// The share of the blood volume that may be lost between two values of haemoglobin.
fn share(output: &str, first: f64, last: f64) -> f64 {
    let by = if output == SIMPLE {
        first
    } else {
        0.5 * (first + last)
    };
    ((first - last) / by).max(LEAST)
}

fn loss(output: &'static str, parameters: &Values) -> Additive {
    let last = parameters.of("lowest_haemoglobin_g_dl");
    let terms = vec![
        Term::axis(VOLUME_AXIS, libm::log),
        Term::axis(HAEMOGLOBIN_AXIS, move |first| {
            libm::log(share(output, first, last))
        }),
    ];
    Additive::linked(terms, Link::exp())
}

/// The losses from which one, two and more units are given.
fn units(parameters: &Values) -> impl Iterator<Item = f64> + use<> {
    let (planned, unit) = (parameters.of("planned_loss_ml"), parameters.of("unit_ml"));
    (0..MOST_UNITS)
        .map(move |given| planned - f64::from(given) * unit)
        .filter(|rest| *rest > 0.0)
}

const fn millilitres(key: &'static str, title: &'static str) -> Output {
    Output {
        key,
        unit: "mL",
        title,
        kind: OutputKind::Number {
            decimals: 0,
            tolerance: Tolerance::Absolute(100.0),
        },
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "allowable-blood-loss",
    title: "Allowable blood loss (Gross)",
    organ: "heart",
    source: "Gross JB, Anesthesiology 1983;58:277: EBV*(Hi-Hf)/((Hi+Hf)/2); the simple form divides by Hi; EBV by Nadler SB et al., \
             Surgery 1962;51:224: 0.3669*h^3+0.03219*w+0.6041 L in men, 0.3561*h^3+0.03308*w+0.1833 L in women",
    evidence: Evidence::OneTranscription,
    population: "adults, haemoglobin 4 to 20 g/dL; a loss below 1 % of the blood volume counts as 1 %",
    inputs: &[&HEIGHT, &WEIGHT, &SEX, &HAEMOGLOBIN],
    optional: &[],
    parameters: &[
        parameter(
            "lowest_haemoglobin_g_dl",
            "g/dL",
            "lowest haemoglobin that is accepted",
            (5.0, 13.0, 8.0),
        ),
        parameter(
            "planned_loss_ml",
            "mL",
            "expected blood loss",
            (50.0, 10_000.0, 1000.0),
        ),
        parameter(
            "unit_ml",
            "mL",
            "loss that one unit of red cells makes up for, a policy of the study",
            (100.0, 1000.0, 350.0),
        ),
    ],
    arm: Some("planned_loss_ml"),
    outputs: &[
        millilitres(LOSS, "allowable loss by the mean haemoglobin (Gross)"),
        millilitres(
            SIMPLE,
            "allowable loss by the first haemoglobin (simple form)",
        ),
        millilitres(VOLUME, "estimated blood volume (Nadler)"),
        Output {
            key: EXCEEDED,
            unit: "1",
            title: "the expected loss is above the allowable loss (Gross)",
            kind: OutputKind::Flag,
        },
        Output {
            key: UNITS,
            unit: "1",
            title: "units of red cells to prepare, at most 10",
            kind: OutputKind::Number {
                decimals: 0,
                tolerance: Tolerance::Absolute(1.0),
            },
        },
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        let Some(volume) = blood_volume(inputs) else {
            return out;
        };
        out.set(VOLUME, volume);
        let Some(first) = haemoglobin(inputs) else {
            return out;
        };
        let last = parameters.of("lowest_haemoglobin_g_dl");
        let gross = volume * share(LOSS, first, last);
        out.set(LOSS, gross);
        out.set(SIMPLE, volume * share(SIMPLE, first, last));
        out.set(EXCEEDED, flag(gross < parameters.of("planned_loss_ml")));
        let needed = units(parameters).filter(|rest| gross < *rest);
        out.set(UNITS, needed.fold(0.0, |count, _| count + 1.0));
        out
    },
    formula: |output, parameters| match output {
        VOLUME => {
            let table = Term::axis(VOLUME_AXIS, libm::log);
            Some(Formula::Number(Additive::linked(vec![table], Link::exp())))
        }
        LOSS => Some(Formula::Number(loss(LOSS, parameters))),
        SIMPLE => Some(Formula::Number(loss(SIMPLE, parameters))),
        EXCEEDED => {
            let planned = parameters.of("planned_loss_ml");
            Some(Formula::Flag(loss(LOSS, parameters).below(planned)))
        }
        UNITS => {
            let terms = units(parameters).map(|rest| Term::If {
                condition: loss(LOSS, parameters).below(rest),
                value: 1.0,
            });
            Some(Formula::Number(Additive::sum(terms.collect())))
        }
        _ => None,
    },
    examples: &[Example {
        given: &[
            ("height_cm", 178.0),
            ("weight_kg", 82.0),
            ("sex", 1.0),
            ("haemoglobin_g_dl", 13.5),
            ("planned_loss_ml", 3000.0),
        ],
        lists: &[],
        expected: &[
            (VOLUME, 5312.9, 0.1),
            (LOSS, 2718.2, 0.1),
            (SIMPLE, 5312.9 * 5.5 / 13.5, 0.1),
            (EXCEEDED, 1.0, 0.0),
            (UNITS, 1.0, 0.0),
        ],
    }],
};
