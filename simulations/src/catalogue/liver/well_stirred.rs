//! Hepatic clearance by the well-stirred model.

use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, Parameter, Tolerance, Values,
        input::{HEPATIC_FLOW, HEPATIC_FUNCTION},
    },
    formula::{Additive, Formula, Link, Term},
};

/// The plane of hepatic blood flow in L/h and the share of a healthy liver's intrinsic clearance.
pub(crate) const PLANE: &str = "hepatic_flow_by_function";

/// The hepatic clearance at a blood flow and an unbound intrinsic clearance (fu*CLint), all in one unit.
#[must_use]
pub fn hepatic_clearance(flow: f64, unbound_intrinsic: f64) -> f64 {
    flow * unbound_intrinsic / (flow + unbound_intrinsic)
}

/// The unbound intrinsic clearance of a drug in a healthy liver with its inhibition, in L/h, and the share of the liver left.
fn drug(parameters: &Values) -> (f64, f64) {
    let unbound = parameters.of("unbound_fraction") * parameters.of("intrinsic_clearance_l_h");
    (
        unbound * parameters.of("intrinsic_clearance_factor"),
        parameters.of("liver_share"),
    )
}

/// The logit of the extraction ratio, times a sign.
fn extraction(parameters: &Values, sign: f64) -> Formula {
    let (drug, _) = drug(parameters);
    let term = Term::plane(PLANE, move |flow, share| {
        sign * libm::log(drug * share / flow)
    });
    Formula::Number(Additive::linked(vec![term], Link::logistic()))
}

/// A parameter that is 1 unless it is given.
const fn factor(key: &'static str, title: &'static str, lo: f64, hi: f64) -> Parameter {
    Parameter {
        key,
        unit: "1",
        title,
        lo,
        hi,
        default: Default_::Number(1.0),
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "well-stirred",
    title: "Hepatic clearance of a drug (well-stirred model)",
    organ: "liver",
    source: "Rowland M, Benet LZ, Graham GG, J Pharmacokinet Biopharm 1973;1:123; Wilkinson GR, Shand DG, Clin Pharmacol Ther \
             1975;18:377: CL = Q*fu*CLint/(Q + fu*CLint), E = CL/Q, F = 1 - E",
    evidence: Evidence::ToBeConfirmed,
    population: "adults; hepatic blood flow of 15 to 240 L/h (about 90 L/h in 70 kg), function of 0.05 to 2 of a healthy liver's",
    inputs: &[&HEPATIC_FLOW, &HEPATIC_FUNCTION],
    optional: &[],
    parameters: &[
        Parameter {
            key: "unbound_fraction",
            unit: "1",
            title: "unbound fraction of the drug in blood",
            lo: 0.001,
            hi: 1.0,
            default: Default_::Required,
        },
        Parameter {
            key: "intrinsic_clearance_l_h",
            unit: "L/h",
            title: "unbound intrinsic clearance of the drug in a healthy liver",
            lo: 0.1,
            hi: 100_000.0,
            default: Default_::Required,
        },
        factor(
            "intrinsic_clearance_factor",
            "what if inhibition or induction changed the intrinsic clearance by this factor",
            0.01,
            10.0,
        ),
        factor(
            "liver_share",
            "what if this share of the liver were left, with its flow and its intrinsic clearance",
            0.1,
            1.6,
        ),
    ],
    arm: Some("liver_share"),
    outputs: &[
        Output::number(
            "hepatic_clearance_l_h",
            "L/h",
            "hepatic clearance",
            2,
            Tolerance::Relative(0.02),
        ),
        Output::number(
            "extraction_ratio",
            "1",
            "hepatic extraction ratio",
            3,
            Tolerance::Absolute(0.01),
        ),
        Output::number(
            "hepatic_bioavailability",
            "1",
            "share of an oral dose that passes the liver",
            3,
            Tolerance::Absolute(0.01),
        ),
    ],
    reference: |inputs, parameters| {
        let (drug, left) = drug(parameters);
        let flow = inputs.of(HEPATIC_FLOW.key) * left;
        let clearance = hepatic_clearance(flow, drug * inputs.of(HEPATIC_FUNCTION.key) * left);
        Values::from_pairs([
            ("hepatic_clearance_l_h", clearance),
            ("extraction_ratio", clearance / flow),
            ("hepatic_bioavailability", 1.0 - clearance / flow),
        ])
    },
    formula: |output, parameters| match output {
        "hepatic_clearance_l_h" => {
            let (drug, left) = drug(parameters);
            let term = Term::plane(PLANE, move |flow, share| {
                libm::log(left * hepatic_clearance(flow, drug * share))
            });
            Some(Formula::Number(Additive::linked(vec![term], Link::exp())))
        }
        "extraction_ratio" => Some(extraction(parameters, 1.0)),
        "hepatic_bioavailability" => Some(extraction(parameters, -1.0)),
        _ => None,
    },
    examples: &[Example {
        given: &[
            ("hepatic_flow_l_min", 1.5),
            ("hepatic_function_share", 1.0),
            ("unbound_fraction", 0.03),
            ("intrinsic_clearance_l_h", 1200.0),
        ],
        lists: &[],
        expected: &[
            ("hepatic_clearance_l_h", 25.714, 5e-4),
            ("extraction_ratio", 0.28571, 5e-6),
            ("hepatic_bioavailability", 0.71429, 5e-6),
        ],
    }],
};
