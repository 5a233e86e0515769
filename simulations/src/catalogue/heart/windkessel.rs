//! Arterial pressure by Windkessel models with two and three elements, in the steady beat.
//!
//! Two elements: C dP/dt + P/R = Q(t). Three: P = Pc + Zc*Q with C dPc/dt + Pc/R = Q. The flow is half a sine over 30 % of the
//! beat. In units of stroke volume over compliance the pressure depends only on the length of the beat over R*C, so that the
//! logarithms of systolic, diastolic and mean pressure are sums of functions of two features.

mod pulse;

pub use pulse::{Pressures, pressures};

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, Parameter, Tolerance, Values,
        class::flag,
        input::{ARTERIAL_COMPLIANCE, HEART_RATE, Input, PERIPHERAL_RESISTANCE, STROKE_VOLUME},
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axis of stroke volume over compliance, in mmHg.
pub(crate) const PULSE: &str = "stroke_over_compliance_mmhg";
/// The axis of the length of a beat over the time constant R*C.
pub(crate) const BEAT: &str = "beat_over_time_constant";
/// The axis of the mean pressure without characteristic impedance, stroke volume times rate times resistance, in mmHg.
pub(crate) const MEAN: &str = "flow_times_resistance_mmhg";
/// Where the model is taken to hold: from a slow run-off to one within a quarter of a beat.
pub(crate) const BEATS: (f64, f64) = (0.05, 4.0);

/// Stroke volume over compliance.
pub(crate) fn pulse_of(inputs: &Values) -> Option<f64> {
    Some(inputs.get(STROKE_VOLUME.key)? / inputs.get(ARTERIAL_COMPLIANCE.key)?)
}

/// The length of a beat over the time constant; nothing outside [`BEATS`].
pub(crate) fn beat_of(inputs: &Values) -> Option<f64> {
    let rc = inputs.get(PERIPHERAL_RESISTANCE.key)? * inputs.get(ARTERIAL_COMPLIANCE.key)?;
    let beat = 60.0 / inputs.get(HEART_RATE.key)? / rc;
    (BEATS.0..=BEATS.1).contains(&beat).then_some(beat)
}

/// Flow times peripheral resistance; nothing where the model does not hold.
pub(crate) fn mean_of(inputs: &Values) -> Option<f64> {
    Some(pulse_of(inputs)? / beat_of(inputs)?)
}

/// What the study changes: the factor on stroke volume over compliance, and that on the beat over the time constant.
fn change(parameters: &Values) -> (f64, f64) {
    let [resistance, compliance, stroke, rate] = [
        "resistance_factor",
        "compliance_factor",
        "stroke_volume_factor",
        "heart_rate_factor",
    ]
    .map(|key| parameters.of(key));
    (stroke / compliance, 1.0 / (rate * resistance * compliance))
}

const LOW_MEAN: f64 = 65.0;

fn reference(inputs: &Values, parameters: &Values, impedance: f64) -> Values {
    let mut out = Values::default();
    if let (Some(pulse), Some(beat)) = (pulse_of(inputs), beat_of(inputs)) {
        let (pulse_factor, beat_factor) = change(parameters);
        let pressures = pressures(beat * beat_factor, impedance);
        let unit = pulse * pulse_factor;
        out.set("systolic_mmhg", unit * pressures.systolic);
        out.set("diastolic_mmhg", unit * pressures.diastolic);
        out.set("mean_mmhg", unit * pressures.mean);
        out.set("mean_below_65", flag(unit * pressures.mean < LOW_MEAN));
    }
    out
}

fn formula(output: &str, parameters: &Values, impedance: f64) -> Option<Formula> {
    let (pulse_factor, beat_factor) = change(parameters);
    // Systolic or diastolic pressure.
    let of_beat = |pick: fn(Pressures) -> f64| {
        let terms = vec![
            Term::axis(PULSE, libm::log),
            Term::axis(BEAT, move |beat| {
                libm::log(pick(pressures(beat * beat_factor, impedance)))
            }),
        ];
        Additive::linked(terms, Link::exp()).plus(libm::log(pulse_factor))
    };
    let mean = || {
        let factor = (1.0 + impedance) * pulse_factor / beat_factor;
        let term = Term::axis(MEAN, libm::log);
        Additive::linked(vec![term], Link::exp()).plus(libm::log(factor))
    };
    Some(match output {
        "systolic_mmhg" => Formula::Number(of_beat(|pressures| pressures.systolic)),
        "diastolic_mmhg" => Formula::Number(of_beat(|pressures| pressures.diastolic)),
        "mean_mmhg" => Formula::Number(mean()),
        "mean_below_65" => Formula::Flag(mean().below(LOW_MEAN)),
        _ => return None,
    })
}

/// A pressure within 2 %.
const fn pressure(key: &'static str, title: &'static str) -> Output {
    Output::number(key, "mm[Hg]", title, 1, Tolerance::Relative(0.02))
}

const OUTPUTS: &[Output] = &[
    pressure("systolic_mmhg", "systolic pressure"),
    pressure("diastolic_mmhg", "diastolic pressure"),
    pressure("mean_mmhg", "mean pressure"),
    Output::flag("mean_below_65", "mean pressure below 65 mmHg"),
];

const INPUTS: &[&Input] = &[
    &PERIPHERAL_RESISTANCE,
    &ARTERIAL_COMPLIANCE,
    &HEART_RATE,
    &STROKE_VOLUME,
];

/// A factor that is 1 unless it is given.
const fn factor(key: &'static str, title: &'static str) -> Parameter {
    Parameter {
        key,
        unit: "1",
        title,
        lo: 0.5,
        hi: 2.0,
        default: Default_::Number(1.0),
    }
}

const RESISTANCE: Parameter = factor(
    "resistance_factor",
    "what if the peripheral resistance changed by this factor",
);
const COMPLIANCE: Parameter = factor(
    "compliance_factor",
    "what if the arterial compliance changed by this factor",
);
const STROKE: Parameter = factor(
    "stroke_volume_factor",
    "what if the stroke volume changed by this factor",
);
const RATE: Parameter = factor(
    "heart_rate_factor",
    "what if the heart rate changed by this factor",
);

const POPULATION: &str = "adults in a steady state; a beat of 0.05 to 4 times R*C, stroke volume over compliance of 5 to 500 mmHg, \
                          mean pressure of 10 to 400 mmHg; venous pressure is taken as zero";

/// The model with two elements.
pub static TWO_ELEMENTS: Model = Model {
    id: "windkessel-2",
    title: "Arterial pressure by the Windkessel with two elements",
    organ: "heart",
    source: "Westerhof N et al., Med Biol Eng Comput 2009;47:131: C dP/dt + P/R = Q(t), Q half a sine over 30 % of the beat",
    evidence: Evidence::OneTranscription,
    population: POPULATION,
    inputs: INPUTS,
    optional: &[],
    parameters: &[RESISTANCE, COMPLIANCE, STROKE, RATE],
    arm: Some("resistance_factor"),
    outputs: OUTPUTS,
    reference: |inputs, parameters| reference(inputs, parameters, 0.0),
    formula: |output, parameters| formula(output, parameters, 0.0),
    examples: &[Example {
        given: &[
            ("peripheral_resistance_mmhg_s_ml", 1.0),
            ("arterial_compliance_ml_mmhg", 1.5),
            ("heart_rate_min", 60.0),
            ("stroke_volume_ml", 80.0),
        ],
        lists: &[],
        expected: &[
            ("mean_mmhg", 80.0, 5e-3),
            ("systolic_mmhg", 100.03, 5e-3),
            ("diastolic_mmhg", 61.96, 5e-3),
            ("mean_below_65", 0.0, 0.0),
        ],
    }],
};

/// The model with three elements.
pub static THREE_ELEMENTS: Model = Model {
    id: "windkessel-3",
    title: "Arterial pressure by the Windkessel with three elements",
    organ: "heart",
    source: "Westerhof N et al., Med Biol Eng Comput 2009;47:131: P = Pc + Zc*Q, C dPc/dt + Pc/R = Q(t), Q half a sine over 30 % \
             of the beat, Zc a share of R, typically 0.05",
    evidence: Evidence::OneTranscription,
    population: POPULATION,
    inputs: INPUTS,
    optional: &[],
    parameters: &[
        Parameter {
            key: "impedance_share",
            unit: "1",
            title: "characteristic impedance Zc as a share of the peripheral resistance R",
            lo: 0.0,
            hi: 0.2,
            default: Default_::Number(0.05),
        },
        RESISTANCE,
        COMPLIANCE,
        STROKE,
        RATE,
    ],
    arm: Some("resistance_factor"),
    outputs: OUTPUTS,
    reference: |inputs, parameters| reference(inputs, parameters, parameters.of("impedance_share")),
    formula: |output, parameters| formula(output, parameters, parameters.of("impedance_share")),
    // Without impedance it is the model with two elements; the mean is (R+Zc)*CO.
    examples: &[
        Example {
            given: &[
                ("peripheral_resistance_mmhg_s_ml", 1.0),
                ("arterial_compliance_ml_mmhg", 1.5),
                ("heart_rate_min", 60.0),
                ("stroke_volume_ml", 80.0),
                ("impedance_share", 0.0),
            ],
            lists: &[],
            expected: &[
                ("mean_mmhg", 80.0, 5e-3),
                ("systolic_mmhg", 100.03, 5e-3),
                ("diastolic_mmhg", 61.96, 5e-3),
            ],
        },
        Example {
            given: &[
                ("peripheral_resistance_mmhg_s_ml", 1.0),
                ("arterial_compliance_ml_mmhg", 1.5),
                ("heart_rate_min", 60.0),
                ("stroke_volume_ml", 80.0),
            ],
            lists: &[],
            expected: &[("mean_mmhg", 84.0, 5e-9)],
        },
    ],
};

#[cfg(test)]
mod tests;
