//! A liver after resection: the clearance that is left and regrows, and the rule of fifty and fifty.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Tolerance, Values,
        class::flag,
        input::{
            FUTURE_LIVER_REMNANT, HEIGHT, HEPATIC_FLOW, HEPATIC_FUNCTION, WEIGHT,
            pharmacology::{BILIRUBIN_DAY_5, PROTHROMBIN_DAY_5},
        },
        liver::{
            future_liver_remnant::{self as remnant, expected_volume_vauthey, remnant_percent},
            well_stirred,
        },
        pharmacokinetics::regimen::{list, parameter},
    },
    formula::{Additive, Condition, Formula, Link, Term},
};

/// The axis of a prothrombin time below 50 % of normal on the fifth day.
pub(crate) const PROTHROMBIN_AXIS: &str = "prothrombin_below_50_day_5";
/// The axis of a bilirubin above 50 umol/L on the fifth day.
pub(crate) const BILIRUBIN_AXIS: &str = "bilirubin_over_50_umol_l_day_5";

const CLEARANCE: &str = "clearance_l_h";
const SHARE: &str = "clearance_percent";
const RULE: &str = "fifty_fifty_rule";

/// Whether the prothrombin time is below 50 % of normal.
pub(crate) fn low_prothrombin(inputs: &Values) -> Option<f64> {
    let percent = inputs.get(PROTHROMBIN_DAY_5.key)?;
    Some(flag(percent < 50.0))
}

/// Whether the bilirubin is above 50 umol/L.
pub(crate) fn high_bilirubin(inputs: &Values) -> Option<f64> {
    let mg_dl = inputs.get(BILIRUBIN_DAY_5.key)?;
    Some(flag(mg_dl * 17.104 > 50.0))
}

/// The factor of the last regrowth step that has begun by the day asked for; 1 before the first.
fn regrowth(parameters: &Values) -> f64 {
    let day = parameters.of("day");
    let days = parameters.list("regrowth_days");
    let factors = parameters.list("regrowth_factors");
    let begun = days.iter().zip(factors).filter(|(start, _)| **start <= day);
    begun
        .max_by(|a, b| a.0.total_cmp(b.0))
        .map_or(1.0, |(_, factor)| *factor)
}

/// The liver that is there on the day, as a share of the expected volume: all of it at most.
fn left(remnant_percent: f64, parameters: &Values) -> f64 {
    (remnant_percent / 100.0 * regrowth(parameters)).min(1.0)
}

/// The clearance before the operation in L/h.
fn before(flow: f64, function: f64, parameters: &Values) -> f64 {
    let intrinsic = parameters.of("unbound_intrinsic_clearance_l_h");
    well_stirred::hepatic_clearance(flow, intrinsic * function)
}

/// The model.
pub static MODEL: Model = Model {
    id: "hepatectomy",
    title: "Hepatic drug clearance after resection with regrowth, and the 50-50 rule on day 5",
    organ: "liver",
    source: "Well-stirred liver (Rowland M et al., J Pharmacokinet Biopharm 1973;1:123) with flow and intrinsic clearance in proportion \
             to the remnant (assumption), remnant by Vauthey JN et al., Liver Transpl 2002;8:233; Balzan S et al., Ann Surg \
             2005;242:824: prothrombin time below 50 % and bilirubin above 50 umol/L on day 5",
    evidence: Evidence::ToBeConfirmed,
    population: "adults after liver resection; regrowth is a scenario of the study, never above the expected volume",
    inputs: &[
        &HEPATIC_FLOW,
        &HEPATIC_FUNCTION,
        &FUTURE_LIVER_REMNANT,
        &HEIGHT,
        &WEIGHT,
        &PROTHROMBIN_DAY_5,
        &BILIRUBIN_DAY_5,
    ],
    optional: &["prothrombin_day_5_percent", "bilirubin_day_5_mg_dl"],
    parameters: &[
        parameter(
            "unbound_intrinsic_clearance_l_h",
            "L/h",
            "unbound share times intrinsic clearance of the drug in a healthy liver",
            (0.5, 3000.0, 36.0),
        ),
        parameter("day", "d", "day after the operation", (0.0, 365.0, 0.0)),
        list(
            "regrowth_days",
            "d",
            "days from which the regrowth factors hold",
            (0.0, 365.0),
        ),
        list(
            "regrowth_factors",
            "1",
            "remnant as a multiple of the one left, from each of the days on; days without a factor are left out",
            (1.0, 2.5),
        ),
    ],
    arm: Some("day"),
    outputs: &[
        Output {
            key: CLEARANCE,
            unit: "L/h",
            title: "hepatic clearance on the day",
            kind: OutputKind::Number {
                decimals: 2,
                tolerance: Tolerance::Relative(0.03),
            },
        },
        Output {
            key: SHARE,
            unit: "%",
            title: "clearance on the day by that before the operation, the factor of a maintenance dose",
            kind: OutputKind::Number {
                decimals: 1,
                tolerance: Tolerance::Relative(0.02),
            },
        },
        Output {
            key: RULE,
            unit: "1",
            title: "prothrombin time below 50 % and bilirubin above 50 umol/L on day 5: liver failure",
            kind: OutputKind::Flag,
        },
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        if let Some(percent) = remnant_percent(inputs, expected_volume_vauthey) {
            let left = left(percent, parameters);
            let [flow, function] = [&HEPATIC_FLOW, &HEPATIC_FUNCTION].map(|i| inputs.of(i.key));
            out.set(CLEARANCE, left * before(flow, function, parameters));
            out.set(SHARE, 100.0 * left);
        }
        if let Some((low, high)) = low_prothrombin(inputs).zip(high_bilirubin(inputs)) {
            out.set(RULE, low * high);
        }
        out
    },
    formula: |output, parameters| {
        let own = parameters.clone();
        let [axis, _] = remnant::AXES;
        let share = Term::axis(axis, move |percent| libm::log(left(percent, &own)));
        match output {
            SHARE => {
                let sum = Additive::linked(vec![share], Link::exp()).plus(libm::log(100.0));
                Some(Formula::Number(sum))
            }
            CLEARANCE => {
                let own = parameters.clone();
                let whole = Term::plane(well_stirred::PLANE, move |flow, function| {
                    libm::log(before(flow, function, &own))
                });
                let sum = Additive::linked(vec![share, whole], Link::exp());
                Some(Formula::Number(sum))
            }
            RULE => {
                let holds = |axis| Additive::sum(vec![Term::axis(axis, |x| x)]).at_least(1.0);
                let both = vec![holds(PROTHROMBIN_AXIS), holds(BILIRUBIN_AXIS)];
                Some(Formula::Flag(Condition::All(both)))
            }
            _ => None,
        }
    },
    examples: &[Example {
        // A remnant of 27.314 % of 1757.34 mL; before the operation 90*36/(90+36) = 25.714 L/h.
        given: &[
            ("hepatic_flow_l_h", 90.0),
            ("hepatic_function_share", 1.0),
            ("future_liver_remnant_ml", 480.0),
            ("height_cm", 178.0),
            ("weight_kg", 82.0),
            ("prothrombin_day_5_percent", 45.0),
            ("bilirubin_day_5_mg_dl", 3.5),
            ("day", 10.0),
        ],
        lists: &[
            ("regrowth_days", &[3.0, 7.0, 28.0]),
            ("regrowth_factors", &[1.2, 1.4, 1.6]),
        ],
        expected: &[
            (SHARE, 1.4 * 27.314, 1e-2),
            (CLEARANCE, 0.273_14 * 1.4 * 25.714, 1e-2),
            (RULE, 1.0, 0.0),
        ],
    }],
};
