use super::*;
use crate::catalogue::{
    Values,
    on_grid::{are_within_their_tolerance, gives_its_examples, parameters},
};

#[test]
fn every_reference_gives_its_worked_examples() {
    for model in MODELS {
        gives_its_examples(model);
    }
}

#[test]
fn outputs_on_the_grid_are_within_their_tolerance() {
    are_within_their_tolerance(MODELS, 1200);
}

#[test]
fn a_radical_nephrectomy_costs_eighteen_more() {
    let inputs = Values::from_pairs([
        ("egfr_ml_min_1_73m2", 71.0),
        ("age_years", 44.0),
        ("tumour_over_7_cm", 1.0),
        ("diabetes", 1.0),
    ]);
    let out = (nephrectomy::MODEL.reference)(&inputs, &parameters(&nephrectomy::MODEL, &[]));
    let (partial, radical) = (
        out.of("gfr_after_partial_ml_min_1_73m2"),
        out.of("gfr_after_radical_ml_min_1_73m2"),
    );
    assert!((partial - radical - 18.0).abs() < 1e-9);
}

#[test]
fn the_bounds_of_the_rule_of_fifty_do_not_belong_to_it() {
    for (percent, mg_dl, holds) in [
        (49.9, 3.0, 1.0),
        (50.0, 3.0, 0.0),
        (49.9, 50.0 / 17.104, 0.0),
        (80.0, 9.0, 0.0),
    ] {
        let inputs = Values::from_pairs([
            ("prothrombin_day_5_percent", percent),
            ("bilirubin_day_5_mg_dl", mg_dl),
        ]);
        let own = parameters(&hepatectomy::MODEL, &[]);
        let got = (hepatectomy::MODEL.reference)(&inputs, &own).of("fifty_fifty_rule");
        assert!((got - holds).abs() < 1e-9, "{percent} % and {mg_dl} mg/dL");
    }
}

#[test]
fn a_liver_never_regrows_beyond_its_expected_volume() {
    let inputs = Values::from_pairs([
        ("hepatic_flow_l_h", 90.0),
        ("hepatic_function_share", 1.0),
        ("future_liver_remnant_ml", 1500.0),
        ("height_cm", 178.0),
        ("weight_kg", 82.0),
    ]);
    let mut own = parameters(&hepatectomy::MODEL, &[("day", 30.0)]);
    own.set_list("regrowth_days", vec![5.0]);
    own.set_list("regrowth_factors", vec![1.6]);
    let out = (hepatectomy::MODEL.reference)(&inputs, &own);
    assert!((out.of("clearance_percent") - 100.0).abs() < 1e-9);
    assert!((out.of("clearance_l_h") - 25.714).abs() < 1e-3);
}

#[test]
fn a_pressure_at_the_limit_is_not_below_it() {
    let model = &haemodynamic_scenario::MODEL;
    for (cvp, minutes) in [(5.0, 0.0), (4.9, 10.0)] {
        let inputs = Values::from_pairs([
            ("cardiac_output_l_min", 4.0),
            ("svr_dyn_s_cm5", 1200.0),
            ("cvp_mmhg", cvp),
        ]);
        let out = (model.reference)(&inputs, &parameters(model, &[]));
        assert!((out.of("minutes_below") - minutes).abs() < 1e-9);
    }
}

#[test]
fn a_dose_that_reaches_the_limit_is_never_chosen() {
    let model = &recommendation::dose::MODEL;
    for creatinine in [0.6, 0.9, 1.4, 2.5, 6.0] {
        let inputs = Values::from_pairs([
            ("creatinine_mg_dl", creatinine),
            ("age_years", 50.0),
            ("weight_kg", 75.0),
            ("sex", 0.0),
        ]);
        let out = (model.reference)(&inputs, &parameters(model, &[]));
        let none = out.of("no_dose_fits");
        assert!((none - f64::from(u8::from(out.get("daily_dose").is_none()))).abs() < 1e-9);
    }
}
