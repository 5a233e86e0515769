//! The first kidney twins, `kidney/1`.

pub use crate::catalogue::{
    input::Sex,
    kidney::{
        ckd_epi_2021::egfr_ckd_epi_2021,
        cockcroft_gault::{cockcroft_gault, crcl_goti},
    },
};
use crate::schema::{Axis, Scale, Schema};

/// An axis for clearances and filtration rates: nine nodes an octave from 2 to 256, so that a position is 0.48 %.
fn clearance(name: &str, unit: &str) -> Axis {
    Axis {
        nodes: 64,
        ..Axis::continuous(name, unit, Scale::Log, 2.0, 256.0)
    }
}

/// The axes of `kidney/1`.
pub(crate) fn schema() -> Schema {
    use Scale::{Linear, Log};
    Schema::new(
        "kidney/1",
        vec![
            Axis::continuous("creatinine_mg_dl", "mg/dL", Log, 0.1, 25.0),
            Axis::continuous("age_years", "a", Linear, 18.0, 115.0),
            Axis::continuous("weight_kg", "kg", Log, 20.0, 350.0),
            Axis::continuous("height_cm", "cm", Linear, 100.0, 230.0),
            Axis::continuous("sodium_mmol_l", "mmol/L", Linear, 90.0, 190.0),
            Axis::continuous("potassium_mmol_l", "mmol/L", Linear, 1.0, 10.0),
            Axis::continuous("haemoglobin_g_dl", "g/dL", Linear, 2.0, 25.0),
            Axis::continuous("platelets_10e9_l", "10*9/L", Log, 1.0, 2000.0),
            Axis::continuous("albumin_g_dl", "g/dL", Linear, 0.5, 7.0),
            Axis::continuous("bilirubin_mg_dl", "mg/dL", Log, 0.1, 60.0),
            clearance("crcl_ml_min", "mL/min"),
            clearance("crcl_goti_ml_min", "mL/min"),
            clearance("egfr_ml_min_1_73m2", "mL/min/{1.73_m2}"),
            Axis::categorical("sex", 2),
        ],
        Vec::new(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kidney_twin_fits_twenty_kilobytes_at_sixteen_bytes_a_weight() {
        assert!(schema().slots() * 16 < 20_000, "{} slots", schema().slots());
    }
}
