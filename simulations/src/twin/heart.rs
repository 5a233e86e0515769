//! Heart twins.

use super::{Feature, Pair, Twin, grid, sex};
use crate::{
    catalogue::{
        Input, Values,
        class::{band, flag},
        heart::{
            cha2ds2_vasc::{AGE_BAND, AGE_BOUNDS},
            ejection_fraction, h2fpef, maggic, map_scenario, qtc, rcri, windkessel,
        },
        input::{
            ACE_INHIBITOR, AGE, ATRIAL_FIBRILLATION, BETA_BLOCKER, CARDIAC_OUTPUT,
            CENTRAL_VENOUS_PRESSURE, COPD, CREATININE, DIABETES, DRUG_QT_PROLONGATION,
            E_OVER_E_PRIME, EJECTION_FRACTION, HEART_FAILURE, HEART_FAILURE_18_MONTHS, HEART_RATE,
            HIGH_RISK_SURGERY, HYPERTENSION, INSULIN, ISCHAEMIC_HEART_DISEASE, NYHA,
            PULMONARY_PRESSURE, QT, SMOKER, STROKE_TIA, SYSTEMIC_VASCULAR_RESISTANCE,
            SYSTOLIC_PRESSURE, THROMBOEMBOLISM, TWO_ANTIHYPERTENSIVES, VASCULAR_DISEASE,
        },
    },
    schema::{Axis, Scale},
};

/// Diagnoses and treatments, yes or no, as they are given.
fn history() -> impl Iterator<Item = Feature> {
    let items: [(&Input, fn(&Values) -> Option<f64>); 15] = [
        (&HEART_FAILURE, |v| v.get(HEART_FAILURE.key)),
        (&HEART_FAILURE_18_MONTHS, |v| {
            v.get(HEART_FAILURE_18_MONTHS.key)
        }),
        (&HYPERTENSION, |v| v.get(HYPERTENSION.key)),
        (&TWO_ANTIHYPERTENSIVES, |v| v.get(TWO_ANTIHYPERTENSIVES.key)),
        (&DIABETES, |v| v.get(DIABETES.key)),
        (&INSULIN, |v| v.get(INSULIN.key)),
        (&THROMBOEMBOLISM, |v| v.get(THROMBOEMBOLISM.key)),
        (&STROKE_TIA, |v| v.get(STROKE_TIA.key)),
        (&VASCULAR_DISEASE, |v| v.get(VASCULAR_DISEASE.key)),
        (&ISCHAEMIC_HEART_DISEASE, |v| {
            v.get(ISCHAEMIC_HEART_DISEASE.key)
        }),
        (&ATRIAL_FIBRILLATION, |v| v.get(ATRIAL_FIBRILLATION.key)),
        (&SMOKER, |v| v.get(SMOKER.key)),
        (&COPD, |v| v.get(COPD.key)),
        (&BETA_BLOCKER, |v| v.get(BETA_BLOCKER.key)),
        (&ACE_INHIBITOR, |v| v.get(ACE_INHIBITOR.key)),
    ];
    items
        .into_iter()
        .map(|(input, derive)| Feature::new(Axis::categorical(input.key, 2), derive))
}

/// Items of scores that are decided at the source, so that their points are exact.
fn decided() -> Vec<Feature> {
    let feature = Feature::new;
    let categories = Axis::categorical;
    vec![
        feature(categories(AGE_BAND, 7), age_band),
        feature(categories(HIGH_RISK_SURGERY.key, 2), |v| {
            v.get(HIGH_RISK_SURGERY.key)
        }),
        feature(categories(rcri::CREATININE_OVER_2, 2), |v| {
            v.get(CREATININE.key).map(rcri::creatinine_counts)
        }),
        feature(categories(h2fpef::BMI_OVER_30, 2), |v| {
            h2fpef::body_mass_index(v).map(|bmi| flag(bmi > 30.0))
        }),
        feature(categories(h2fpef::PRESSURE_OVER_35, 2), |v| {
            v.get(PULMONARY_PRESSURE.key).map(|p| flag(p > 35.0))
        }),
        feature(categories(h2fpef::AGE_OVER_60, 2), |v| {
            v.get(AGE.key).map(|age| flag(age > 60.0))
        }),
        feature(categories(h2fpef::RATIO_OVER_9, 2), |v| {
            v.get(E_OVER_E_PRIME.key).map(|ratio| flag(ratio > 9.0))
        }),
        feature(categories(maggic::EF_BAND, 6), |v| {
            ejection_fraction::of(v).map(|ef| band(ef, maggic::EF_BOUNDS))
        }),
        feature(categories(maggic::BMI_BAND, 5), |v| {
            h2fpef::body_mass_index(v).map(|bmi| band(bmi, maggic::BMI_BOUNDS))
        }),
        feature(categories(maggic::CREATININE_BAND, 8), |v| {
            v.get(CREATININE.key).map(maggic::creatinine_band)
        }),
        feature(categories(NYHA.key, 4), |v| v.get(NYHA.key)),
    ]
}

/// Measurements.
fn measured() -> Vec<Feature> {
    use Scale::{Linear, Log};
    let feature = Feature::new;
    vec![
        // Steps of an eighth of a percent; whole percents lie on the grid.
        feature(
            grid(EJECTION_FRACTION.key, "%", Linear, (2.0, 90.0), 45),
            ejection_fraction::of,
        ),
        feature(
            grid(h2fpef::LOGIT, "1", Linear, (-8.0, 12.0), 81),
            h2fpef::logit_of,
        ),
        // Steps of half a millisecond on all three.
        feature(grid(qtc::BAZETT, "ms", Linear, (256.0, 768.0), 65), |v| {
            Some(qtc::bazett(v.get(QT.key)?, v.get(HEART_RATE.key)?))
        }),
        feature(
            grid(qtc::FRIDERICIA, "ms", Linear, (256.0, 768.0), 65),
            |v| Some(qtc::fridericia(v.get(QT.key)?, v.get(HEART_RATE.key)?)),
        ),
        feature(
            grid(DRUG_QT_PROLONGATION.key, "ms", Linear, (0.0, 120.0), 16),
            |v| v.get(DRUG_QT_PROLONGATION.key),
        ),
        feature(
            grid(windkessel::PULSE, "mm[Hg]", Log, (5.0, 500.0), 48),
            windkessel::pulse_of,
        ),
        feature(
            grid(windkessel::BEAT, "1", Log, windkessel::BEATS, 48),
            windkessel::beat_of,
        ),
        feature(
            grid(windkessel::MEAN, "mm[Hg]", Log, (10.0, 400.0), 48),
            windkessel::mean_of,
        ),
        // Steps of a quarter of a mmHg on both.
        feature(
            grid(map_scenario::DRIVING, "mm[Hg]", Linear, (0.0, 256.0), 65),
            |v| {
                Some(map_scenario::driving_pressure(
                    v.get(CARDIAC_OUTPUT.key)?,
                    v.get(SYSTEMIC_VASCULAR_RESISTANCE.key)?,
                ))
            },
        ),
        feature(
            grid(
                CENTRAL_VENOUS_PRESSURE.key,
                "mm[Hg]",
                Linear,
                (-4.0, 40.0),
                12,
            ),
            |v| v.get(CENTRAL_VENOUS_PRESSURE.key),
        ),
    ]
}

fn age_band(inputs: &Values) -> Option<f64> {
    inputs.get(AGE.key).map(|age| band(age, AGE_BOUNDS))
}

fn ejection_fraction_group() -> Feature {
    Feature::new(Axis::categorical(maggic::EF_GROUP, 3), |v| {
        ejection_fraction::of(v).map(|ef| band(ef, maggic::EF_GROUP_BOUNDS))
    })
}

/// The heart twin.
pub(super) fn twin() -> Twin {
    // One node a year.
    let age = grid(AGE.key, "a", Scale::Linear, (18.0, 115.0), 98);
    let mut features = vec![Feature::new(age, |v| v.get(AGE.key)), sex()];
    features.extend(history());
    features.extend(decided());
    features.extend(measured());
    // What the heart-disease data set holds.
    features.extend(super::angiography::features());
    // What surgery reads.
    features.extend(super::pharmacology::heart());
    Twin {
        id: "heart/1",
        organ: "heart",
        features,
        planes: vec![
            Pair {
                name: maggic::AGE_PLANE,
                first: ejection_fraction_group(),
                second: Feature::new(Axis::categorical(AGE_BAND, 7), age_band),
            },
            Pair {
                name: maggic::PRESSURE_PLANE,
                first: ejection_fraction_group(),
                second: Feature::new(Axis::categorical(maggic::PRESSURE_BAND, 6), |v| {
                    let pressure = v.get(SYSTOLIC_PRESSURE.key)?;
                    Some(band(pressure, maggic::PRESSURE_BOUNDS))
                }),
            },
        ],
    }
}
