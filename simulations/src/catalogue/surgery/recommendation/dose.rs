//! Which daily dose of vancomycin: the one whose exposure is nearest to the target and not above the limit.

use super::MARGIN;
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Values,
        class::flag,
        input::{AGE, CREATININE, SEX, WEIGHT, pharmacology::HAEMODIALYSIS},
        pharmacokinetics::{
            regimen::parameter,
            vancomycin_goti::{AXIS, effective_crcl, vancomycin_clearance},
        },
    },
    formula::{Additive, Choice, ChoiceOption, Condition, Formula, Link, Term},
};

/// The daily doses in mg.
const DOSES: [f64; 8] = [500.0, 750.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 4000.0];
const LABELS: [&str; 8] = [
    "500 mg/d",
    "750 mg/d",
    "1000 mg/d",
    "1500 mg/d",
    "2000 mg/d",
    "2500 mg/d",
    "3000 mg/d",
    "4000 mg/d",
];
const DOSE: &str = "daily_dose";
const NONE: &str = "no_dose_fits";

/// How far an exposure is from the target, by the logarithm: 0 at best.
fn score(dose: f64, crcl: f64, target: f64) -> f64 {
    -libm::fabs(libm::log(dose / vancomycin_clearance(crcl) / target))
}

fn too_much(dose: f64, parameters: &Values) -> Condition {
    let sum = Additive::linked(
        vec![Term::axis(AXIS, |crcl| {
            -libm::log(vancomycin_clearance(crcl))
        })],
        Link::exp(),
    );
    sum.plus(libm::log(dose))
        .at_least(parameters.of("highest_auc24_mg_h_l"))
}

/// The model.
pub static MODEL: Model = Model {
    id: "vancomycin-dose-choice",
    title: "Daily dose of vancomycin by the exposure at steady state (Goti 2018)",
    organ: "kidney",
    source: "AUC24 = daily dose/CL with CL by Goti V et al., Ther Drug Monit 2018;40:212; target 500 and limit 600 mg*h/L within 400 \
             to 600 (Rybak 2020)",
    evidence: Evidence::ToBeConfirmed,
    population: "hospital adults including those on haemodialysis",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX, &HAEMODIALYSIS],
    optional: &["haemodialysis"],
    parameters: &[
        parameter(
            "target_auc24_mg_h_l",
            "mg.h/L",
            "AUC24 that is aimed at",
            (200.0, 800.0, 500.0),
        ),
        parameter(
            "highest_auc24_mg_h_l",
            "mg.h/L",
            "AUC24 from which a dose is contraindicated",
            (300.0, 1500.0, 600.0),
        ),
        MARGIN,
    ],
    arm: Some("target_auc24_mg_h_l"),
    outputs: &[
        Output {
            key: DOSE,
            unit: "1",
            title: "daily dose that is recommended",
            kind: OutputKind::Choice { labels: &LABELS },
        },
        Output {
            key: NONE,
            unit: "1",
            title: "even the lowest dose reaches the limit",
            kind: OutputKind::Flag,
        },
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        let Some(crcl) = effective_crcl(inputs) else {
            return out;
        };
        let (target, limit) = (
            parameters.of("target_auc24_mg_h_l"),
            parameters.of("highest_auc24_mg_h_l"),
        );
        let mut best: Option<(f64, f64)> = None;
        let mut index = 0.0;
        for dose in DOSES {
            let score = score(dose, crcl, target);
            let allowed = dose / vancomycin_clearance(crcl) < limit;
            if allowed && best.is_none_or(|(_, highest)| score > highest) {
                best = Some((index, score));
            }
            index += 1.0;
        }
        if let Some((index, _)) = best {
            out.set(DOSE, index);
        }
        out.set(NONE, flag(best.is_none()));
        out
    },
    formula: |output, parameters| match output {
        DOSE => {
            let target = parameters.of("target_auc24_mg_h_l");
            let option = |(dose, label): (f64, &str)| ChoiceOption {
                label: label.to_owned(),
                score: Additive::sum(vec![Term::axis(AXIS, move |crcl| {
                    score(dose, crcl, target)
                })]),
                contraindications: vec![(
                    "exposure at the limit".to_owned(),
                    too_much(dose, parameters),
                )],
            };
            Some(Formula::Choice(Choice {
                options: DOSES.into_iter().zip(LABELS).map(option).collect(),
                margins: vec![parameters.of(MARGIN.key)],
            }))
        }
        NONE => {
            let [lowest, ..] = DOSES;
            Some(Formula::Flag(too_much(lowest, parameters)))
        }
        _ => None,
    },
    examples: &[Example {
        // Clearance 2.58457 L/h: 1500 mg/d give 580 and 1000 mg/d 387 mg*h/L; ln(580/500) is nearer.
        given: &[
            ("creatinine_mg_dl", 70.0 / 60.0),
            ("age_years", 68.0),
            ("weight_kg", 70.0),
            ("sex", 1.0),
            ("haemodialysis", 0.0),
        ],
        lists: &[],
        expected: &[(DOSE, 3.0, 0.0), (NONE, 0.0, 0.0)],
    }],
};
