//! Which treatment of a tumour in the liver: a policy over benefit, MELD and contraindications.

use super::MARGIN;
use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, OutputKind, Parameter, Values,
        class::flag,
        input::{
            ALBUMIN, ASCITES, BILIRUBIN, CHOLESTATIC, CREATININE, DIALYSIS_IN_WEEK, ENCEPHALOPATHY,
            FUTURE_LIVER_REMNANT, HEIGHT, INR, LIVER_STATE, SEX, SODIUM, WEIGHT,
        },
        liver::{
            child_pugh,
            future_liver_remnant::{self as remnant, expected_volume_vauthey, remnant_percent},
            meld_3,
        },
    },
    formula::{Additive, Choice, ChoiceOption, Condition, Formula, Term},
};

/// The actions.
const LABELS: [&str; 6] = [
    "major resection",
    "minor resection",
    "portal vein embolization first",
    "ablation",
    "transplantation",
    "supportive care",
];
const ACTION: &str = "recommendation";
const CHILD_PUGH_C: &str = "child_pugh_c";
const SMALL_REMNANT: &str = "remnant_too_small";

/// The number of a list's action; zero beyond the list.
fn of(parameters: &Values, key: &str, action: usize) -> f64 {
    parameters.list(key).get(action).copied().unwrap_or(0.0)
}

/// Child-Pugh C: ten points or more, which is five above the least.
fn class_c() -> Condition {
    let terms = child_pugh::AXES.map(|axis| Term::axis(axis, |points| points));
    Additive::sum(terms.into()).at_least(5.0)
}

/// The remnant is below the minimum for the state of the liver: 20 % normal, 30 % after chemotherapy, 40 % in cirrhosis.
fn too_small() -> Condition {
    let [axis, _] = remnant::AXES;
    let below = |minimum: f64| Additive::sum(vec![Term::axis(axis, |x| x)]).below(minimum);
    let from = |points: &'static [f64]| {
        Additive::sum(vec![Term::points(LIVER_STATE.key, points)]).at_least(1.0)
    };
    Condition::Any(vec![
        below(20.0),
        Condition::All(vec![below(30.0), from(&[0.0, 1.0, 1.0])]),
        Condition::All(vec![below(40.0), from(&[0.0, 0.0, 1.0])]),
    ])
}

fn is_too_small(percent: f64, state: f64) -> bool {
    percent < 20.0 || (percent < 30.0 && state >= 1.0) || (percent < 40.0 && state >= 2.0)
}

/// Whether an action is excluded by Child-Pugh C and by the remnant.
const EXCLUDED: [(bool, bool); 6] = [
    (true, true),
    (true, false),
    (true, false),
    (true, false),
    (false, false),
    (false, false),
];

const fn weights(key: &'static str, title: &'static str, default: &'static [f64]) -> Parameter {
    Parameter {
        key,
        unit: "1",
        title,
        lo: -10.0,
        hi: 10.0,
        default: Default_::List(default),
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "liver-tumour-choice",
    title: "Treatment of a liver tumour by the study's policy",
    organ: "liver",
    source: "Score = benefit - harm*(MELD 3.0 - 6)/10, a policy of the study; no resection or ablation in Child-Pugh C (Pugh RN et al., Br J \
             Surg 1973;60:646), no major resection with a remnant below 20, 30 or 40 % (Ribero D et al. 2013)",
    evidence: Evidence::ToBeConfirmed,
    population: "adults with a liver tumour; the default benefits and harms are examples, to be replaced by the study's own",
    inputs: &[
        &BILIRUBIN,
        &ALBUMIN,
        &INR,
        &CREATININE,
        &SODIUM,
        &SEX,
        &ASCITES,
        &ENCEPHALOPATHY,
        &CHOLESTATIC,
        &DIALYSIS_IN_WEEK,
        &FUTURE_LIVER_REMNANT,
        &LIVER_STATE,
        &HEIGHT,
        &WEIGHT,
    ],
    optional: &[],
    parameters: &[
        weights(
            "benefits",
            "benefit of every action in their order; 0 for actions beyond",
            &[4.0, 2.5, 3.5, 2.0, 3.0, 0.0],
        ),
        weights(
            "harms",
            "harm of every action for ten points of MELD in their order; 0 for actions beyond",
            &[5.0, 2.5, 4.0, 1.0, -0.5, 0.0],
        ),
        MARGIN,
    ],
    arm: Some("margin"),
    outputs: &[
        Output {
            key: ACTION,
            unit: "1",
            title: "action that is recommended",
            kind: OutputKind::Choice { labels: &LABELS },
        },
        Output {
            key: CHILD_PUGH_C,
            unit: "1",
            title: "Child-Pugh C: neither resection nor ablation",
            kind: OutputKind::Flag,
        },
        Output {
            key: SMALL_REMNANT,
            unit: "1",
            title: "remnant too small for the state of the liver: no major resection",
            kind: OutputKind::Flag,
        },
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        let points: Option<Vec<f64>> = child_pugh::items(inputs).into_iter().collect();
        let class_c = points.map(|points| points.iter().sum::<f64>() >= 5.0);
        let percent = remnant_percent(inputs, expected_volume_vauthey);
        let small = percent.map(|percent| is_too_small(percent, inputs.of(LIVER_STATE.key)));
        if let Some(class_c) = class_c {
            out.set(CHILD_PUGH_C, flag(class_c));
        }
        if let Some(small) = small {
            out.set(SMALL_REMNANT, flag(small));
        }
        let meld = meld_3::unrounded(inputs).map(|score| meld_3::rounded(score) - 6.0);
        if let (Some(class_c), Some(small), Some(meld)) = (class_c, small, meld) {
            let mut best: Option<(f64, f64)> = None;
            let mut index = 0.0;
            for (action, excluded) in EXCLUDED.into_iter().enumerate() {
                let score = of(parameters, "benefits", action)
                    - of(parameters, "harms", action) * meld / 10.0;
                let out = (excluded.0 && class_c) || (excluded.1 && small);
                if !out && best.is_none_or(|(_, highest)| score > highest) {
                    best = Some((index, score));
                }
                index += 1.0;
            }
            if let Some((index, _)) = best {
                out.set(ACTION, index);
            }
        }
        out
    },
    formula: |output, parameters| match output {
        CHILD_PUGH_C => Some(Formula::Flag(class_c())),
        SMALL_REMNANT => Some(Formula::Flag(too_small())),
        ACTION => {
            let actions = LABELS.into_iter().zip(EXCLUDED).enumerate();
            let options = actions.map(|(action, (label, excluded))| {
                let (benefit, harm) = (
                    of(parameters, "benefits", action),
                    of(parameters, "harms", action),
                );
                let score = Term::axis(meld_3::SCORE, move |meld| benefit - harm * meld / 10.0);
                let mut contraindications = Vec::new();
                if excluded.0 {
                    contraindications.push(("Child-Pugh C".to_owned(), class_c()));
                }
                if excluded.1 {
                    contraindications.push(("remnant too small".to_owned(), too_small()));
                }
                ChoiceOption {
                    label: label.to_owned(),
                    score: Additive::sum(vec![score]),
                    contraindications,
                }
            });
            Some(Formula::Choice(Choice {
                options: options.collect(),
                margins: vec![parameters.of(MARGIN.key)],
            }))
        }
        _ => None,
    },
    examples: &[Example {
        // MELD 6; a remnant of 27 % in a liver after chemotherapy: embolization first.
        given: &[
            ("bilirubin_mg_dl", 0.8),
            ("albumin_g_dl", 4.0),
            ("inr", 1.0),
            ("creatinine_mg_dl", 0.9),
            ("sodium_mmol_l", 140.0),
            ("sex", 1.0),
            ("ascites", 0.0),
            ("encephalopathy", 0.0),
            ("cholestatic", 0.0),
            ("dialysis_in_week", 0.0),
            ("future_liver_remnant_ml", 480.0),
            ("liver_state", 1.0),
            ("height_cm", 178.0),
            ("weight_kg", 82.0),
        ],
        lists: &[],
        expected: &[
            (ACTION, 2.0, 0.0),
            (CHILD_PUGH_C, 0.0, 0.0),
            (SMALL_REMNANT, 1.0, 0.0),
        ],
    }],
};
