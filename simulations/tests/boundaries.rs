//! Cut-offs of the catalogue at and beside their values: the exact integers decide as the textbook does.

use std::collections::BTreeMap;

use organtwin_simulations::{
    catalogue::{Given, Model, OutputKind, find, given},
    eval,
};

/// A patient by keys.
type Patient<'p> = Vec<(&'p str, f64)>;

/// Compares everything that is decided or counted.
fn same(model: &Model, patient: &[(&str, f64)]) {
    let given: BTreeMap<String, Given> = patient
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Given::Number(*value)))
        .collect();
    let checked = given::check(model, &given).unwrap_or_else(|error| panic!("{error}"));
    let reference = eval::reference(model, &checked);
    let clear = eval::clear(model, &checked).unwrap_or_else(|error| panic!("{error}"));
    for ((output, expected), got) in model.outputs.iter().zip(&reference).zip(&clear) {
        if !matches!(output.kind, OutputKind::Number { .. }) {
            assert_eq!(
                got.value, expected.value,
                "{} {} of {patient:?}",
                model.id, output.key
            );
        }
    }
}

/// Compares a patient with one value after the other in place of the patient's own.
fn vary(model: &str, patient: &[(&str, f64)], key: &str, values: &[f64]) {
    let model = find(model).unwrap();
    for value in values {
        let varied: Patient = patient
            .iter()
            .map(|(known, own)| (*known, if *known == key { *value } else { *own }))
            .collect();
        assert!(varied.iter().any(|(known, _)| *known == key), "{key}");
        same(model, &varied);
    }
}

#[test]
fn the_stages_of_the_filtration_rate() {
    for (sex, kappa, factor) in [(0.0, 0.7, 1.012), (1.0, 0.9, 1.0)] {
        for cut in [15.0, 30.0, 45.0, 60.0, 90.0] {
            // One step of the grid beside the cut.
            for egfr in [cut * 0.994, cut * 1.006] {
                let age = 30.0;
                let at_kappa = 142.0 * 0.9938_f64.powf(age) * factor;
                let creatinine = kappa * (at_kappa / egfr).powf(1.0 / 1.2);
                let patient = [
                    ("creatinine_mg_dl", creatinine),
                    ("age_years", age),
                    ("sex", sex),
                ];
                same(find("ckd-epi-2021").unwrap(), &patient);
            }
        }
    }
}

#[test]
fn the_items_of_child_pugh() {
    for cholestatic in [0.0, 1.0] {
        let patient = [
            ("bilirubin_mg_dl", 1.0),
            ("cholestatic", cholestatic),
            ("albumin_g_dl", 3.0),
            ("inr", 1.0),
            ("ascites", 1.0),
            ("encephalopathy", 1.0),
        ];
        let vary = |key, values| vary("child-pugh", &patient, key, values);
        vary(
            "bilirubin_mg_dl",
            &[1.99, 2.0, 3.0, 3.01, 3.99, 4.0, 10.0, 10.01],
        );
        vary("albumin_g_dl", &[2.79, 2.8, 3.5, 3.51]);
        vary("inr", &[1.69, 1.7, 2.3, 2.31]);
        vary("ascites", &[0.0, 1.0, 2.0]);
        vary("encephalopathy", &[0.0, 1.0, 2.0]);
    }
}

#[test]
fn the_grades_of_albi() {
    // At 10 umol/L the score is 0.66 - 0.085 albumin.
    let albumin = |score: f64| (0.66 - score) / 0.085;
    let values = [-2.605, -2.60, -2.595, -1.395, -1.39, -1.385].map(albumin);
    let patient = [("bilirubin_umol_l", 10.0), ("albumin_g_l", 35.0)];
    vary("albi", &patient, "albumin_g_l", &values);
}

#[test]
fn the_ages_of_the_lower_cut_off_of_fib_4() {
    for index in [1.29, 1.31, 1.98, 2.02, 2.65, 2.69, 3.22, 3.28] {
        for age in [64.9, 65.0] {
            let patient = [
                ("age_years", age),
                ("ast_u_l", index * 100.0 / age),
                ("alt_u_l", 1.0),
                ("platelets_10e9_l", 100.0),
            ];
            same(find("fib-4").unwrap(), &patient);
        }
    }
}

#[test]
fn the_bands_of_meld() {
    let patient = [
        ("sex", 1.0),
        ("bilirubin_mg_dl", 1.0),
        ("sodium_mmol_l", 137.0),
        ("inr", 1.0),
        ("creatinine_mg_dl", 1.0),
        ("albumin_g_dl", 3.5),
        ("dialysis_in_week", 0.0),
    ];
    for score in [6.0, 9.0, 10.0, 14.0, 15.0, 19.0, 20.0, 29.0, 30.0] {
        // The INR that gives the score, and the two that are rounded to it or beside it.
        let inr = [-0.501, -0.499, 0.0, 0.499, 0.501]
            .map(|beside: f64| ((score + beside - 6.0) / 9.09).exp());
        vary("meld-3", &patient, "inr", &inr);
    }
}

#[test]
fn the_classes_of_the_ejection_fraction() {
    let patient = [
        ("end_diastolic_volume_ml", 100.0),
        ("end_systolic_volume_ml", 50.0),
    ];
    let values = [61.0, 60.0, 59.0, 51.0, 50.0, 49.0];
    vary(
        "ejection-fraction",
        &patient,
        "end_systolic_volume_ml",
        &values,
    );
}

#[test]
fn the_items_of_stroke_and_surgical_risk() {
    let patient = [
        ("age_years", 70.0),
        ("sex", 0.0),
        ("heart_failure", 0.0),
        ("hypertension", 1.0),
        ("diabetes", 0.0),
        ("thromboembolism", 0.0),
        ("vascular_disease", 0.0),
    ];
    vary(
        "cha2ds2-vasc",
        &patient,
        "age_years",
        &[64.99, 65.0, 74.99, 75.0],
    );
    for key in ["sex", "heart_failure", "diabetes", "thromboembolism"] {
        vary("cha2ds2-vasc", &patient, key, &[0.0, 1.0]);
    }
    let patient = [
        ("high_risk_surgery", 1.0),
        ("ischaemic_heart_disease", 1.0),
        ("heart_failure", 0.0),
        ("stroke_tia", 0.0),
        ("insulin", 0.0),
        ("creatinine_mg_dl", 1.0),
    ];
    vary("rcri", &patient, "creatinine_mg_dl", &[1.99, 2.0, 2.01]);
    vary("rcri", &patient, "insulin", &[0.0, 1.0]);
}

#[test]
fn the_items_of_h2fpef() {
    let patient = [
        ("age_years", 60.0),
        ("bmi_kg_m2", 30.0),
        ("e_over_e_prime", 9.0),
        ("pasp_mmhg", 35.0),
        ("atrial_fibrillation", 0.0),
        ("two_antihypertensives", 1.0),
    ];
    vary("h2fpef", &patient, "age_years", &[59.9, 60.0, 60.1]);
    vary("h2fpef", &patient, "bmi_kg_m2", &[29.9, 30.0, 30.1]);
    vary("h2fpef", &patient, "e_over_e_prime", &[8.9, 9.0, 9.1]);
    vary("h2fpef", &patient, "pasp_mmhg", &[34.9, 35.0, 35.1]);
    vary("h2fpef", &patient, "atrial_fibrillation", &[0.0, 1.0]);
}

#[test]
fn the_bands_of_maggic() {
    for ef in [
        19.9, 20.0, 24.9, 25.0, 29.9, 30.0, 34.9, 35.0, 39.9, 40.0, 60.0,
    ] {
        let patient = [
            ("ejection_fraction_percent", ef),
            ("age_years", 68.0),
            ("sbp_mmhg", 125.0),
            ("bmi_kg_m2", 27.0),
            ("creatinine_umol_l", 115.0),
            ("nyha_class", 1.0),
            ("sex", 1.0),
            ("smoker", 0.0),
            ("diabetes", 0.0),
            ("copd", 0.0),
            ("heart_failure_18_months", 1.0),
            ("beta_blocker", 1.0),
            ("ace_inhibitor_or_arb", 1.0),
        ];
        let around = |bounds: &[f64]| -> Vec<f64> {
            bounds
                .iter()
                .flat_map(|bound| [bound - 0.1, *bound])
                .collect()
        };
        let vary = |key, bounds: &[f64]| vary("maggic", &patient, key, &around(bounds));
        vary("age_years", &[55.0, 60.0, 65.0, 70.0, 75.0, 80.0]);
        vary("sbp_mmhg", &[110.0, 120.0, 130.0, 140.0, 150.0]);
        vary("bmi_kg_m2", &[15.0, 20.0, 25.0, 30.0]);
        vary(
            "creatinine_umol_l",
            &[90.0, 110.0, 130.0, 150.0, 170.0, 210.0, 250.0],
        );
    }
}

#[test]
fn the_limits_of_the_qt_interval() {
    for (sex, drugs) in [(0.0, 0.0), (1.0, 0.0), (0.0, 20.0), (1.0, 60.5)] {
        let patient = [
            ("qt_ms", 400.0),
            ("heart_rate_min", 60.0),
            ("sex", sex),
            ("drug_qt_prolongation_ms", drugs),
        ];
        for limit in [450.0, 460.0, 500.0] {
            let values = [-0.5, 0.0, 0.5].map(|beside| limit - drugs + beside);
            vary("qtc", &patient, "qt_ms", &values);
        }
        vary(
            "qtc",
            &patient,
            "drug_qt_prolongation_ms",
            &[59.5, 60.0, 60.5],
        );
    }
}

#[test]
fn the_limit_of_the_mean_pressure() {
    let patient = [
        ("cardiac_output_l_min", 4.0),
        ("svr_dyn_s_cm5", 1200.0),
        ("cvp_mmhg", 5.0),
    ];
    vary("map-scenario", &patient, "cvp_mmhg", &[4.75, 5.0, 5.25]);
}
