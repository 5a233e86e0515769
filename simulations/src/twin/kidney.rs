//! Kidney twins.

use super::{Feature, Twin, age, grid, sex};
use crate::{
    catalogue::{
        Values,
        input::{AGE, CREATININE, EGFR, Sex, UACR, WEIGHT},
        kidney::{ckd_epi_2021::egfr_ckd_epi_2021, cockcroft_gault::cockcroft_gault, kfre},
        pharmacokinetics::vancomycin_goti,
    },
    schema::{Axis, Scale},
};

/// An axis for clearances and filtration rates: eight nodes an octave from 1 to 256, so that a position is 0.54 %.
fn clearance(name: &str, unit: &str) -> Axis {
    grid(name, unit, Scale::Log, (1.0, 256.0), 65)
}

/// Creatinine, age, weight and sex, if all are known.
fn renal(inputs: &Values) -> Option<(f64, f64, f64, Sex)> {
    Some((
        inputs.get(CREATININE.key)?,
        inputs.get(AGE.key)?,
        inputs.get(WEIGHT.key)?,
        Sex::of(inputs)?,
    ))
}

/// The filtration rate as given, or else by CKD-EPI 2021.
fn egfr(inputs: &Values) -> Option<f64> {
    inputs.get(EGFR.key).or_else(|| {
        let (scr, age) = (inputs.get(CREATININE.key)?, inputs.get(AGE.key)?);
        Some(egfr_ckd_epi_2021(scr, age, Sex::of(inputs)?))
    })
}

/// The kidney twin.
pub(super) fn twin() -> Twin {
    use Scale::{Linear, Log};
    let feature = Feature::new;
    let axis = Axis::continuous;
    let mut features = vec![
        feature(axis(CREATININE.key, "mg/dL", Log, 0.1, 25.0), |v| {
            v.get(CREATININE.key)
        }),
        age(),
        feature(axis(WEIGHT.key, "kg", Log, 20.0, 350.0), |v| {
            v.get(WEIGHT.key)
        }),
        feature(clearance("crcl_ml_min", "mL/min"), |v| {
            renal(v).map(|(scr, age, weight, sex)| cockcroft_gault(scr, age, weight, sex))
        }),
        feature(
            clearance("crcl_goti_ml_min", "mL/min"),
            vancomycin_goti::effective_crcl,
        ),
        feature(clearance(EGFR.key, "mL/min/{1.73_m2}"), egfr),
        sex(),
        feature(axis(UACR.key, "mg/g", Log, 0.1, 30_000.0), |v| {
            v.get(UACR.key)
        }),
        // Steps of 0.0125, so that a risk is placed to 0.25 percentage points.
        feature(grid(kfre::AXIS, "1", Linear, (-7.2, 7.2), 73), |v| {
            let (age, uacr) = (v.get(AGE.key)?, v.get(UACR.key)?);
            kfre::predictor(age, Sex::of(v)?, egfr(v)?, uacr)
        }),
    ];
    // What drug models read.
    let (more, planes) = super::pharmacology::kidney();
    features.extend(more);
    Twin {
        id: "kidney/2",
        organ: "kidney",
        features,
        planes,
    }
}
