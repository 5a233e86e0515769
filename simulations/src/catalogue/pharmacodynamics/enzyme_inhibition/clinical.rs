//! How much an inhibitor of CYP3A4 raises the exposure to a drug, from what was seen in patients (Ohno 2007).

use super::{CUTS, outputs};
use crate::{
    catalogue::{
        Evidence, Example, Model, Values, class::band, input::pharmacology::CYP3A4_INHIBITOR,
        pharmacokinetics::regimen::parameter,
    },
    formula::{Additive, Formula, Link, Term},
};

/// The largest product of both ratios: beyond it the exposure would have no bound.
const MOST: f64 = 0.99;

/// The inhibition ratio of every inhibitor, in the order of the input's names; nothing for the one that the study states.
const RATIOS: [Option<f64>; 12] = [
    Some(0.0),
    Some(1.00),
    Some(0.98),
    Some(0.95),
    Some(0.88),
    Some(0.82),
    Some(0.80),
    Some(0.79),
    Some(0.71),
    Some(0.44),
    Some(0.30),
    None,
];

/// The inhibition ratio of an inhibitor.
fn inhibition(inhibitor: f64, parameters: &Values) -> f64 {
    let mut index = 0.0;
    for ratio in RATIOS {
        if index == inhibitor {
            return ratio.unwrap_or(parameters.of("other_inhibition_ratio"));
        }
        index += 1.0;
    }
    f64::NAN
}

/// Contribution times inhibition ratio.
fn product(inhibitor: f64, parameters: &Values) -> f64 {
    (parameters.of("contribution_ratio") * inhibition(inhibitor, parameters)).min(MOST)
}

/// The model.
pub static MODEL: Model = Model {
    id: "cyp3a4-inhibition",
    title: "Exposure under an inhibitor of CYP3A4, from contribution and inhibition ratios (Ohno)",
    organ: "liver",
    source: "Ohno Y et al., Clin Pharmacokinet 2007;46:681: AUCR = 1/(1-CR*IR); CR midazolam 0.92, simvastatin 1.00, triazolam 0.93, \
             felodipine 0.89, cyclosporin 0.80, nifedipine 0.78, alprazolam 0.75, atorvastatin 0.68, zolpidem 0.40; IR \
             ketoconazole 1.00, voriconazole 0.98, itraconazole 0.95, clarithromycin 0.88, erythromycin 0.82, diltiazem 0.80, \
             fluconazole 0.79, verapamil 0.71, cimetidine 0.44, fluvoxamine 0.30; S-warfarin with fluconazole: 0.85*0.748 (Cheng S, \
             Drug Metab Dispos 2022;50:1302)",
    evidence: Evidence::ToBeConfirmed,
    population: "adults; the product of both ratios counts as 0.99 at most, an exposure of 100 times",
    inputs: &[&CYP3A4_INHIBITOR],
    optional: &[],
    parameters: &[
        parameter(
            "contribution_ratio",
            "1",
            "share of the drug's oral clearance that goes through the enzyme: midazolam 0.92",
            (0.05, 1.0, 0.92),
        ),
        parameter(
            "other_inhibition_ratio",
            "1",
            "inhibition ratio of the inhibitor called other",
            (0.0, 1.0, 0.748),
        ),
    ],
    arm: Some("contribution_ratio"),
    outputs: &outputs(),
    reference: |inputs, parameters| {
        let ratio = 1.0 / (1.0 - product(inputs.of(CYP3A4_INHIBITOR.key), parameters));
        let mut out = Values::default();
        out.set("auc_ratio", ratio);
        out.set("strength", band(ratio, CUTS));
        out
    },
    formula: |output, parameters| {
        let own = parameters.clone();
        let table = Term::axis(CYP3A4_INHIBITOR.key, move |inhibitor| {
            -libm::log1p(-product(inhibitor, &own))
        });
        (output == "auc_ratio").then(|| Formula::Number(Additive::linked(vec![table], Link::exp())))
    },
    examples: &[
        Example {
            // Midazolam with clarithromycin.
            given: &[("cyp3a4_inhibitor", 4.0)],
            lists: &[],
            expected: &[("auc_ratio", 5.2521, 5e-5), ("strength", 3.0, 0.0)],
        },
        Example {
            // S-warfarin with fluconazole, from the fall of 6- and 7-hydroxylation.
            given: &[("cyp3a4_inhibitor", 11.0), ("contribution_ratio", 0.85)],
            lists: &[],
            expected: &[("auc_ratio", 2.7457, 5e-5), ("strength", 2.0, 0.0)],
        },
    ],
};
