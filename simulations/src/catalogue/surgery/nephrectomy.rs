//! Kidney function after a partial or radical nephrectomy (Aguilar Palacios 2021).

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Tolerance, Values,
        class::band,
        input::{AGE, DIABETES, EGFR, pharmacology::TUMOUR_OVER_7_CM},
        pharmacokinetics::regimen::parameter,
    },
    formula::{Additive, Formula, Term},
};

const PARTIAL: &str = "gfr_after_partial_ml_min_1_73m2";
const RADICAL: &str = "gfr_after_radical_ml_min_1_73m2";
const CUTS: &[f64] = &[45.0, 60.0];
const LABELS: &[&str] = &["below 45", "45 to 60", "60 or more"];
/// What a radical nephrectomy costs more than a partial one.
const COST: f64 = 18.0;

/// The constant of an operation.
fn constant(output: &str) -> f64 {
    if output == RADICAL { 35.0 - COST } else { 35.0 }
}

const fn rate(key: &'static str, title: &'static str) -> Output {
    Output {
        key,
        unit: "mL/min/{1.73_m2}",
        title,
        kind: OutputKind::Number {
            decimals: 1,
            tolerance: Tolerance::Absolute(1.0),
        },
    }
}

const fn stage(key: &'static str, title: &'static str, of: &'static str) -> Output {
    Output {
        key,
        unit: "1",
        title,
        kind: OutputKind::Category {
            of,
            cuts: CUTS,
            labels: LABELS,
        },
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "nephrectomy",
    title: "Filtration rate after partial and radical nephrectomy (Aguilar Palacios)",
    organ: "kidney",
    source: "Aguilar Palacios D et al., J Urol 2021;205:1310: new baseline = 35 + 0.65*GFR - 18 (radical) - 0.25*age + 3 (tumour over \
             7 cm) - 2 (diabetes)",
    evidence: Evidence::ToBeConfirmed,
    population: "adults before nephrectomy for a tumour",
    inputs: &[&EGFR, &AGE, &TUMOUR_OVER_7_CM, &DIABETES],
    optional: &[],
    parameters: &[parameter(
        "gfr_factor",
        "1",
        "what if the filtration rate before the operation changed by this factor",
        (0.5, 1.5, 1.0),
    )],
    arm: Some("gfr_factor"),
    outputs: &[
        rate(PARTIAL, "new baseline after a partial nephrectomy"),
        rate(RADICAL, "new baseline after a radical nephrectomy"),
        stage(
            "stage_after_partial",
            "new baseline after a partial nephrectomy by 45 and 60",
            PARTIAL,
        ),
        stage(
            "stage_after_radical",
            "new baseline after a radical nephrectomy by 45 and 60",
            RADICAL,
        ),
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        for (key, class) in [
            (PARTIAL, "stage_after_partial"),
            (RADICAL, "stage_after_radical"),
        ] {
            let value = constant(key) + 0.65 * parameters.of("gfr_factor") * inputs.of(EGFR.key)
                - 0.25 * inputs.of(AGE.key)
                + 3.0 * inputs.of(TUMOUR_OVER_7_CM.key)
                - 2.0 * inputs.of(DIABETES.key);
            out.set(key, value);
            out.set(class, band(value, CUTS));
        }
        out
    },
    formula: |output, parameters| {
        let share = 0.65 * parameters.of("gfr_factor");
        let terms = vec![
            Term::axis(EGFR.key, move |rate| share * rate),
            Term::axis(AGE.key, |age| -0.25 * age),
            Term::points(TUMOUR_OVER_7_CM.key, &[0.0, 3.0]),
            Term::points(DIABETES.key, &[0.0, -2.0]),
        ];
        let known = output == PARTIAL || output == RADICAL;
        known.then(|| Formula::Number(Additive::sum(terms).plus(constant(output))))
    },
    examples: &[
        Example {
            given: &[
                ("egfr_ml_min_1_73m2", 90.0),
                ("age_years", 60.0),
                ("tumour_over_7_cm", 0.0),
                ("diabetes", 0.0),
            ],
            lists: &[],
            expected: &[(PARTIAL, 78.5, 1e-9), ("stage_after_partial", 2.0, 0.0)],
        },
        Example {
            given: &[
                ("egfr_ml_min_1_73m2", 90.0),
                ("age_years", 60.0),
                ("tumour_over_7_cm", 1.0),
                ("diabetes", 0.0),
            ],
            lists: &[],
            expected: &[(RADICAL, 63.5, 1e-9), ("stage_after_radical", 2.0, 0.0)],
        },
    ],
};
