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
fn warfarin_gives_the_published_course_of_the_prothrombin_complex() {
    let model = &indirect_response::MODEL;
    let typical = [
        ("warfarin_clearance_l_h", 0.131_34),
        ("warfarin_volume_l", 7.9248),
    ];
    let inputs = Values::from_pairs(typical);
    let hours = [2.0, 6.0, 12.0, 24.0, 48.0, 72.0, 96.0, 144.0];
    let activity = [
        90.131, 74.558, 56.644, 35.078, 20.426, 20.025, 24.436, 39.239,
    ];
    for (hour, activity) in hours.into_iter().zip(activity) {
        let given = [("daily_dose_mg", 100.0), ("doses", 1.0), ("at_h", hour)];
        let out = (model.reference)(&inputs, &parameters(model, &given));
        assert!((out.of("pca_percent") - activity).abs() < 2e-2, "{hour}");
    }
}

#[test]
fn the_inr_gives_the_published_course() {
    let model = &inr_hamberg::MODEL;
    let hours = [72.0, 168.0, 336.0, 672.0];
    for (age, vkorc1, dose, expected) in [
        (75.0, 2.0, 2.5, [1.0571, 1.5319, 1.8962, 2.0333]),
        (55.0, 0.0, 5.0, [1.0500, 1.4450, 1.7268, 1.8279]),
    ] {
        let inputs = Values::from_pairs([("age_years", age), ("cyp2c9", 0.0), ("vkorc1", vkorc1)]);
        for (hour, expected) in hours.into_iter().zip(expected) {
            let given = [("daily_dose_mg", dose), ("at_h", hour)];
            let got = (model.reference)(&inputs, &parameters(model, &given)).of("inr");
            assert!(
                (got - expected).abs() < 1e-3,
                "{got} at {hour}, expected {expected}"
            );
        }
    }
}

#[test]
fn combined_effects_without_a_second_drug_are_those_of_the_first() {
    let inputs = Values::from_pairs([
        ("drug_1_ec50_multiple", 1.7),
        ("drug_2_ec50_multiple", 0.0),
        ("drug_3_ec50_multiple", 0.0),
    ]);
    let alone = (emax::MODEL.reference)(&inputs, &parameters(&emax::MODEL, &[("emax", 0.99)]));
    for model in [&bliss::MODEL, &loewe::MODEL, &greco::MODEL] {
        let effect = (model.reference)(&inputs, &parameters(model, &[])).of("effect");
        assert!((effect - alone.of("effect")).abs() < 1e-12, "{}", model.id);
    }
}

#[test]
fn synergy_without_interaction_approaches_additivity() {
    let inputs = Values::from_pairs([
        ("drug_1_ec50_multiple", 0.8),
        ("drug_2_ec50_multiple", 0.6),
        ("drug_3_ec50_multiple", 0.0),
    ]);
    let effect = |model: &Model, given: &[(&str, f64)]| {
        (model.reference)(&inputs, &parameters(model, given)).of("effect")
    };
    let none = effect(&greco::MODEL, &[("alpha", 0.01)]) - effect(&loewe::MODEL, &[]);
    assert!((0.0..0.002).contains(&none));
    assert!(effect(&greco::MODEL, &[("alpha", 5.0)]) > effect(&loewe::MODEL, &[]) + 0.1);
}

#[test]
fn outputs_on_the_grid_are_within_their_tolerance() {
    are_within_their_tolerance(MODELS, 1200);
}
