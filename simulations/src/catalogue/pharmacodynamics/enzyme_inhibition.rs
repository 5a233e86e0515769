//! How much inhibitors of one enzyme raise the exposure to a drug (Rowland and Matin 1973).

pub mod clinical;

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Parameter, Tolerance, Values,
        class::band,
        input::pharmacology::{INHIBITOR_1, INHIBITOR_2, INHIBITOR_3},
        pharmacokinetics::regimen::parameter,
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axes of three inhibitors: 1 + I/Ki of each.
pub(crate) const AXES: [&str; 3] = ["inhibition_1", "inhibition_2", "inhibition_3"];
/// The ends of each axis.
pub(crate) const RANGE: (f64, f64) = (1.0, 41.0);

/// The ratio of exposures at a sum of I/Ki.
fn ratio(share: f64, inhibition: f64) -> f64 {
    1.0 / (share / (1.0 + inhibition) + 1.0 - share)
}

/// By how much inhibition in the gut wall multiplies the exposure.
fn gut(parameters: &Values) -> f64 {
    let available = parameters.of("gut_availability");
    1.0 / (available + (1.0 - available) / (1.0 + parameters.of("gut_inhibition")))
}

const CUTS: &[f64] = &[1.25, 2.0, 5.0];

/// The ratio of exposures, and its class.
const fn outputs() -> [Output; 2] {
    [
        Output {
            key: "auc_ratio",
            unit: "1",
            title: "exposure with the inhibitors by that without them",
            kind: OutputKind::Number {
                decimals: 2,
                tolerance: Tolerance::Relative(0.02),
            },
        },
        Output {
            key: "strength",
            unit: "1",
            title: "strength of the interaction: weak from 1.25, moderate from 2, strong from 5",
            kind: OutputKind::Category {
                of: "auc_ratio",
                cuts: CUTS,
                labels: &["none", "weak", "moderate", "strong"],
            },
        },
    ]
}

const SHARE: Parameter = parameter(
    "metabolised_share",
    "1",
    "share of the drug's clearance that goes through the enzyme",
    (0.05, 0.99, 0.85),
);

/// The model.
pub static MODEL: Model = Model {
    id: "enzyme-inhibition",
    title: "Exposure under up to three reversible inhibitors of one enzyme, and inhibition in the gut wall (Rowland and Matin)",
    organ: "liver",
    source: "Rowland M, Matin SB, J Pharmacokinet Biopharm 1973;1:553: AUCR = 1/(fm/(1+I/Ki)+1-fm), I/Ki of several inhibitors \
             added; gut wall: times 1/(Fg+(1-Fg)/(1+Ig/Ki)); S-warfarin with fluconazole: fm 0.85, Ki 7 to 8 uM (Kunze KL, Drug \
             Metab Dispos 1996;24:414)",
    evidence: Evidence::OneTranscription,
    population: "any; each hospital gives the unbound concentration of its inhibitor by Ki; 0 for one that is not given",
    inputs: &[&INHIBITOR_1, &INHIBITOR_2, &INHIBITOR_3],
    optional: &[],
    parameters: &[
        SHARE,
        parameter(
            "gut_availability",
            "1",
            "share of the drug that passes the gut wall without inhibitors; 1 if all does",
            (0.1, 1.0, 1.0),
        ),
        parameter(
            "gut_inhibition",
            "1",
            "I/Ki in the gut wall",
            (0.0, 40.0, 0.0),
        ),
    ],
    arm: Some("metabolised_share"),
    outputs: &outputs(),
    reference: |inputs, parameters| {
        let inhibitors = [&INHIBITOR_1, &INHIBITOR_2, &INHIBITOR_3];
        let sum = inhibitors.iter().map(|input| inputs.of(input.key)).sum();
        let ratio = ratio(parameters.of(SHARE.key), sum) * gut(parameters);
        let mut out = Values::default();
        out.set("auc_ratio", ratio);
        out.set("strength", band(ratio, CUTS));
        out
    },
    formula: |output, parameters| {
        let (share, gut) = (parameters.of(SHARE.key), gut(parameters));
        let tables = AXES.map(|axis| Term::axis(axis, |value| value - 1.0));
        let link = Link::new(
            move |sum| gut * ratio(share, sum),
            move |value| share / (gut / value - 1.0 + share) - 1.0,
        );
        (output == "auc_ratio").then(|| Formula::Number(Additive::linked(tables.into(), link)))
    },
    examples: &[Example {
        // Fluconazole 20 uM, Ki 7.5 uM.
        given: &[
            ("inhibitor_1_ki_multiple", 20.0 / 7.5),
            ("inhibitor_2_ki_multiple", 0.0),
            ("inhibitor_3_ki_multiple", 0.0),
        ],
        lists: &[],
        expected: &[("auc_ratio", 2.6190, 5e-5), ("strength", 2.0, 0.0)],
    }],
};
