//! The axes of the heart-disease data set on the heart twin.

use super::Feature;
use crate::schema::{Axis, Scale};

/// What was recorded before the angiography, and what it found. Grids follow the values that are written down: whole tenths of
/// a millimetre, even beats, pressures in fives.
pub(super) fn features() -> Vec<Feature> {
    let grid = |name: &str, unit: &str, lo: f64, hi: f64, nodes: u16| Axis {
        nodes,
        ..Axis::continuous(name, unit, Scale::Linear, lo, hi)
    };
    let categories = Axis::categorical;
    vec![
        Feature {
            axis: categories("chest_pain_type", 4),
            derive: |v| v.get("chest_pain_type"),
        },
        Feature {
            axis: grid("resting_pressure_mmhg", "mm[Hg]", 60.0, 230.0, 35),
            derive: |v| v.get("resting_pressure_mmhg"),
        },
        Feature {
            axis: grid("cholesterol_mg_dl", "mg/dL", 80.0, 640.0, 57),
            derive: |v| v.get("cholesterol_mg_dl"),
        },
        Feature {
            axis: categories("fasting_sugar_above_120_mg_dl", 2),
            derive: |v| v.get("fasting_sugar_above_120_mg_dl"),
        },
        Feature {
            axis: categories("resting_ecg", 3),
            derive: |v| v.get("resting_ecg"),
        },
        Feature {
            axis: grid("peak_heart_rate_bpm", "/min", 60.0, 220.0, 81),
            derive: |v| v.get("peak_heart_rate_bpm"),
        },
        Feature {
            axis: categories("exercise_angina", 2),
            derive: |v| v.get("exercise_angina"),
        },
        Feature {
            axis: grid("st_depression_mm", "mm", -3.0, 7.0, 101),
            derive: |v| v.get("st_depression_mm"),
        },
        Feature {
            axis: categories("st_slope", 3),
            derive: |v| v.get("st_slope"),
        },
        Feature {
            axis: categories("fluoroscopy_vessels", 4),
            derive: |v| v.get("fluoroscopy_vessels"),
        },
        Feature {
            axis: categories("thallium_scan", 3),
            derive: |v| v.get("thallium_scan"),
        },
        Feature {
            axis: categories("angiographic_disease", 2),
            derive: |v| v.get("angiographic_disease"),
        },
    ]
}
