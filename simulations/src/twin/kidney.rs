//! Kidney twins.

use super::{Feature, Twin};
use crate::{
    catalogue::Values,
    kidney::{Sex, cockcroft_gault, crcl_goti, egfr_ckd_epi_2021},
    schema::{Axis, Scale},
};

/// An axis for clearances and filtration rates: nine nodes an octave from 2 to 256, so that a position is 0.48 %.
fn clearance(name: &str, unit: &str) -> Axis {
    Axis {
        nodes: 64,
        ..Axis::continuous(name, unit, Scale::Log, 2.0, 256.0)
    }
}

/// The sex of the inputs.
fn sex(inputs: &Values) -> Option<Sex> {
    inputs
        .get("sex")
        .map(|sex| if sex == 1.0 { Sex::Male } else { Sex::Female })
}

/// Creatinine, age, weight and sex, if all are known.
fn renal(inputs: &Values) -> Option<(f64, f64, f64, Sex)> {
    Some((
        inputs.get("creatinine_mg_dl")?,
        inputs.get("age_years")?,
        inputs.get("weight_kg")?,
        sex(inputs)?,
    ))
}

/// The kidney twin.
pub(super) fn twin() -> Twin {
    use Scale::{Linear, Log};
    let feature = |axis, derive| Feature { axis, derive };
    let axis = Axis::continuous;
    Twin {
        id: "kidney/2",
        organ: "kidney",
        features: vec![
            feature(axis("creatinine_mg_dl", "mg/dL", Log, 0.1, 25.0), |v| {
                v.get("creatinine_mg_dl")
            }),
            feature(axis("age_years", "a", Linear, 18.0, 115.0), |v| {
                v.get("age_years")
            }),
            feature(axis("weight_kg", "kg", Log, 20.0, 350.0), |v| {
                v.get("weight_kg")
            }),
            feature(clearance("crcl_ml_min", "mL/min"), |v| {
                renal(v).map(|(scr, age, weight, sex)| cockcroft_gault(scr, age, weight, sex))
            }),
            feature(clearance("crcl_goti_ml_min", "mL/min"), |v| {
                renal(v).map(|(scr, age, weight, sex)| crcl_goti(scr, age, weight, sex))
            }),
            feature(clearance("egfr_ml_min_1_73m2", "mL/min/{1.73_m2}"), |v| {
                let (scr, age) = (v.get("creatinine_mg_dl")?, v.get("age_years")?);
                Some(egfr_ckd_epi_2021(scr, age, sex(v)?))
            }),
            feature(Axis::categorical("sex", 2), |v| v.get("sex")),
        ],
        planes: Vec::new(),
    }
}
