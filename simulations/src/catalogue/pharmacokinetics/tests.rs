use std::collections::BTreeMap;

use super::*;
use crate::catalogue::{
    Given, Values, given,
    on_grid::{are_within_their_tolerance, gives_its_examples, parameters},
};

#[test]
fn every_reference_gives_its_worked_examples() {
    for model in MODELS {
        gives_its_examples(model);
    }
}

/// The concentrations of a model at some hours.
fn concentrations(
    model: &Model,
    inputs: &Values,
    given: &[(&str, f64)],
    key: &str,
    hours: &[f64],
) -> Vec<f64> {
    let at = |hour: &f64| {
        let mut given = given.to_vec();
        given.push(("at_h", *hour));
        (model.reference)(inputs, &parameters(model, &given)).of(key)
    };
    hours.iter().map(at).collect()
}

fn series(got: &[f64], expected: &[f64], relative: f64) {
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() <= relative * expected,
            "got {got}, expected {expected}"
        );
    }
    assert_eq!(got.len(), expected.len());
}

/// A man of 68 years and 70 kg with a clearance of 60 mL/min.
fn sixty() -> Values {
    Values::from_pairs([
        ("creatinine_mg_dl", 70.0 / 60.0),
        ("age_years", 68.0),
        ("weight_kg", 70.0),
        ("sex", 1.0),
        ("haemodialysis", 0.0),
    ])
}

#[test]
fn vancomycin_by_goti_gives_the_published_course() {
    let hours = [1.0, 2.0, 4.0, 8.0, 12.0, 13.0, 24.0, 48.0, 72.0];
    let got = concentrations(
        &vancomycin_goti::MODEL,
        &sixty(),
        &[],
        "concentration_mg_l",
        &hours,
    );
    let expected = [
        15.906, 13.866, 11.095, 8.315, 7.004, 22.676, 12.008, 18.455, 21.994,
    ];
    series(&got, &expected, 1e-4);
}

#[test]
fn vancomycin_by_thomson_gives_the_published_course() {
    let hours = [1.0, 2.0, 4.0, 8.0, 12.0, 13.0, 24.0, 48.0, 72.0];
    let model = &vancomycin_thomson::MODEL;
    let got = concentrations(model, &sixty(), &[], "concentration_mg_l", &hours);
    let expected = [
        20.091, 18.116, 14.835, 10.269, 7.451, 27.021, 11.214, 15.655, 18.319,
    ];
    series(&got, &expected, 1e-4);
}

#[test]
fn gentamicin_by_staatz_gives_the_published_course() {
    let patient = Values::from_pairs([
        ("creatinine_mg_dl", 1.0),
        ("age_years", 77.0),
        ("weight_kg", 72.0),
        ("sex", 1.0),
    ]);
    let hours = [0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0];
    let model = &gentamicin_staatz::MODEL;
    let got = concentrations(model, &patient, &[], "concentration_mg_l", &hours);
    series(
        &got,
        &[16.710, 14.892, 11.928, 7.939, 4.108, 2.541, 0.966],
        5e-4,
    );
}

#[test]
fn theophylline_gives_the_fitted_course() {
    let hours = [0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 24.0];
    let patient = Values::from_pairs([("weight_kg", 70.0)]);
    let model = &theophylline_theoph::MODEL;
    let got = concentrations(model, &patient, &[], "concentration_mg_l", &hours);
    let expected = [
        3.1647, 5.2225, 7.3576, 8.2476, 7.2867, 6.1507, 4.7541, 3.6743, 1.3109,
    ];
    series(&got, &expected, 1e-4);
}

#[test]
fn outputs_on_the_grid_are_within_their_tolerance() {
    are_within_their_tolerance(MODELS, 1200);
}

/// What is wrong with a request for vancomycin by Thomson, as the user reads it.
fn refusal(key: &str, value: Given) -> String {
    let patient = [
        ("creatinine_mg_dl", 1.0),
        ("age_years", 60.0),
        ("weight_kg", 70.0),
        ("sex", 1.0),
    ];
    let mut given: BTreeMap<String, Given> = patient
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Given::Number(value)))
        .collect();
    given.insert(key.to_owned(), value);
    given::check(&vancomycin_thomson::MODEL, &given)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_wrong_regimen_is_refused_with_its_key_value_and_range() {
    let dose = refusal("daily_dose_mg", Given::Number(20_000.0));
    assert!(
        dose.contains("daily_dose_mg is 20000 mg, outside 250 to 6000"),
        "{dose}"
    );
    let interval = refusal("interval_h", Given::Text("q12h".to_owned()));
    assert!(
        interval.contains("interval_h") && interval.contains("a number in h"),
        "{interval}"
    );
    let doses = refusal("doses_mg", Given::List(vec![1000.0, -5.0]));
    assert!(doses.contains("doses_mg is -5 mg, outside 0 to"), "{doses}");
    let unknown = refusal("infusion_hours", Given::Number(1.0));
    assert!(unknown.contains("did you mean infusion_h?"), "{unknown}");
    let many = refusal("dose_times_h", Given::List(vec![1.0; 65]));
    assert!(many.contains("at most 64 numbers in h"), "{many}");
}

#[test]
fn a_patient_for_whom_no_model_holds_has_no_concentration() {
    for (key, value) in [
        ("weight_kg", 39.0),
        ("weight_kg", 151.0),
        ("creatinine_mg_dl", 20.0),
    ] {
        let mut patient = sixty();
        patient.set(key, value);
        for model in [
            &vancomycin_buelga::MODEL,
            &vancomycin_thomson::MODEL,
            &gentamicin_staatz::MODEL,
        ] {
            let out = (model.reference)(&patient, &parameters(model, &[]));
            assert!(out.numbers().next().is_none(), "{} {key} {value}", model.id);
        }
        let goti = &vancomycin_goti::MODEL;
        let out = (goti.reference)(&patient, &parameters(goti, &[]));
        assert!(out.get("concentration_mg_l").is_none());
        assert!(out.get("auc24_ss_mg_h_l").is_some());
    }
}

#[test]
fn haemodialysis_is_one_axis_with_seven_tenths_of_the_clearance() {
    let mut patient = sixty();
    let model = &vancomycin_goti::MODEL;
    let own = parameters(model, &[]);
    let without = (model.reference)(&patient, &own).of("auc24_ss_mg_h_l");
    patient.set("haemodialysis", 1.0);
    let with = (model.reference)(&patient, &own).of("auc24_ss_mg_h_l");
    assert!((without / with - 0.7).abs() < 1e-12);
}

#[test]
fn a_missed_dose_lowers_the_next_trough_and_a_loading_dose_raises_the_first() {
    let model = &vancomycin_thomson::MODEL;
    let at = |given: &[(&str, f64)], hour: f64| {
        let got = concentrations(model, &sixty(), given, "concentration_mg_l", &[hour]);
        got[0]
    };
    assert!(at(&[("missed_dose", 2.0)], 24.0) < 0.8 * at(&[], 24.0));
    assert!(at(&[("loading_dose_mg", 2000.0)], 12.0) > 1.9 * at(&[], 12.0));
    assert!((at(&[("missed_dose", 9.0)], 24.0) - at(&[], 24.0)).abs() < 1e-12);
}

#[test]
fn kidneys_that_fail_and_recover_are_a_list_of_steps() {
    let model = &vancomycin_goti::MODEL;
    let at = |hour: f64, steps: &[f64], factors: &[f64]| {
        let mut own = parameters(model, &[("at_h", hour)]);
        own.set_list("clearance_step_h", steps.to_vec());
        own.set_list("clearance_step_factors", factors.to_vec());
        (model.reference)(&sixty(), &own).of("concentration_mg_l")
    };
    let usual = at(96.0, &[], &[]);
    let failing = at(96.0, &[36.0, 60.0], &[0.5, 0.2]);
    let recovering = at(96.0, &[36.0, 60.0], &[0.5, 1.0]);
    assert!(usual < recovering && recovering < failing);
    assert!((at(36.0, &[36.0], &[0.2]) - at(36.0, &[], &[])).abs() < 1e-9);
    assert!((at(96.0, &[36.0], &[]) - usual).abs() < 1e-12);
}
