//! What the four hospitals of the heart-disease data set recorded before a coronary angiography, and what it found
//! (Detrano R et al., Am J Cardiol 1989;64:304).

use super::{Alias, Input, choice, flag, number};

/// Kind of chest pain.
pub const CHEST_PAIN: Input = choice(
    "chest_pain_type",
    "kind of chest pain",
    &[
        "typical angina",
        "atypical angina",
        "non-anginal",
        "asymptomatic",
    ],
);
/// Systolic blood pressure at rest, on admission.
pub const RESTING_PRESSURE: Input = number(
    "resting_pressure_mmhg",
    "mm[Hg]",
    "systolic blood pressure at rest, on admission",
    60.0,
    230.0,
);
/// Cholesterol.
pub const CHOLESTEROL: Input = Input {
    aliases: &[Alias {
        key: "cholesterol_mmol_l",
        unit: "mmol/L",
        factor: 38.67,
    }],
    ..number(
        "cholesterol_mg_dl",
        "mg/dL",
        "serum cholesterol",
        50.0,
        1000.0,
    )
};
/// Fasting blood sugar above 120 mg/dL.
pub const FASTING_SUGAR: Input = flag(
    "fasting_sugar_above_120_mg_dl",
    "fasting blood sugar above 120 mg/dL",
);
/// Electrocardiogram at rest.
pub const RESTING_ECG: Input = choice(
    "resting_ecg",
    "electrocardiogram at rest",
    &["normal", "st-t abnormality", "lv hypertrophy"],
);
/// Highest heart rate under exercise.
pub const PEAK_HEART_RATE: Input = number(
    "peak_heart_rate_bpm",
    "/min",
    "highest heart rate under exercise",
    40.0,
    230.0,
);
/// Angina under exercise.
pub const EXERCISE_ANGINA: Input = flag("exercise_angina", "angina under exercise");
/// ST depression under exercise against rest; negative for an elevation.
pub const ST_DEPRESSION: Input = number(
    "st_depression_mm",
    "mm",
    "ST depression under exercise against rest",
    -5.0,
    10.0,
);
/// Slope of the ST segment at peak exercise.
pub const ST_SLOPE: Input = choice(
    "st_slope",
    "slope of the ST segment at peak exercise",
    &["upsloping", "flat", "downsloping"],
);
/// Major vessels that fluoroscopy shows, 0 to 3.
pub const VESSELS: Input = choice(
    "fluoroscopy_vessels",
    "major vessels that fluoroscopy shows",
    &["0", "1", "2", "3"],
);
/// Thallium scan.
pub const THALLIUM: Input = choice(
    "thallium_scan",
    "thallium scan",
    &["normal", "fixed defect", "reversible defect"],
);
/// A vessel narrowed by more than half, as the angiography found.
pub const ANGIOGRAPHIC_DISEASE: Input = flag(
    "angiographic_disease",
    "a coronary vessel narrowed by more than half in the angiography",
);

/// All of them.
pub(super) const ALL: &[&Input] = &[
    &CHEST_PAIN,
    &RESTING_PRESSURE,
    &CHOLESTEROL,
    &FASTING_SUGAR,
    &RESTING_ECG,
    &PEAK_HEART_RATE,
    &EXERCISE_ANGINA,
    &ST_DEPRESSION,
    &ST_SLOPE,
    &VESSELS,
    &THALLIUM,
    &ANGIOGRAPHIC_DISEASE,
];
