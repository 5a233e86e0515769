//! Kidney twins: the axes, and the clinical functions that a hospital computes at the source in the clear.

use crate::schema::{Axis, Scale, Schema};

/// A patient's sex as the formulas know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// Category 0 of the axis `sex`.
    Female,
    /// Category 1 of the axis `sex`.
    Male,
}

impl Sex {
    /// The category on the axis `sex`.
    #[must_use]
    pub fn category(self) -> f64 {
        match self {
            Self::Female => 0.0,
            Self::Male => 1.0,
        }
    }
}

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

/// The estimated glomerular filtration rate in mL/min/1.73 m2 from creatinine in mg/dL and age in years:
/// CKD-EPI 2021, race-free (Inker LA et al., N Engl J Med 2021;385:1737). Adults.
#[must_use]
pub fn egfr_ckd_epi_2021(creatinine_mg_dl: f64, age_years: f64, sex: Sex) -> f64 {
    let (kappa, alpha, factor) = match sex {
        Sex::Female => (0.7, -0.241, 1.012),
        Sex::Male => (0.9, -0.302, 1.0),
    };
    let ratio = creatinine_mg_dl / kappa;
    142.0
        * libm::pow(ratio.min(1.0), alpha)
        * libm::pow(ratio.max(1.0), -1.2)
        * libm::pow(0.9938, age_years)
        * factor
}

/// The creatinine clearance in mL/min by Cockcroft and Gault with the total body weight in kg
/// (Nephron 1976;16:31).
#[must_use]
pub fn cockcroft_gault(creatinine_mg_dl: f64, age_years: f64, weight_kg: f64, sex: Sex) -> f64 {
    let factor = match sex {
        Sex::Female => 0.85,
        Sex::Male => 1.0,
    };
    (140.0 - age_years) * weight_kg / (72.0 * creatinine_mg_dl) * factor
}

/// The creatinine clearance in mL/min as the vancomycin model of Goti 2018 takes it: a creatinine below
/// 1 mg/dL counts as 1 above the age of 65, and the clearance is capped at 150
/// (Ther Drug Monit 2018;40:212 with its erratum).
#[must_use]
pub fn crcl_goti(creatinine_mg_dl: f64, age_years: f64, weight_kg: f64, sex: Sex) -> f64 {
    let creatinine = if age_years > 65.0 {
        creatinine_mg_dl.max(1.0)
    } else {
        creatinine_mg_dl
    };
    cockcroft_gault(creatinine, age_years, weight_kg, sex).min(150.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64, tolerance: f64) {
        assert!(
            (got - expected).abs() < tolerance,
            "got {got}, expected {expected}"
        );
    }

    #[test]
    fn ckd_epi_2021_gives_the_worked_examples() {
        close(egfr_ckd_epi_2021(1.10, 61.0, Sex::Female), 57.168, 5e-4);
        close(egfr_ckd_epi_2021(1.10, 61.0, Sex::Male), 76.374, 5e-4);
        close(egfr_ckd_epi_2021(0.90, 25.0, Sex::Male), 121.552, 5e-4);
    }

    #[test]
    fn cockcroft_gault_gives_the_worked_examples() {
        close(cockcroft_gault(1.10, 61.0, 78.0, Sex::Male), 77.803, 5e-4);
        close(cockcroft_gault(1.10, 61.0, 78.0, Sex::Female), 66.133, 5e-4);
    }

    #[test]
    fn the_rules_of_goti_cap_the_clearance_and_raise_a_low_creatinine_of_the_old_only() {
        close(crcl_goti(0.5, 30.0, 90.0, Sex::Male), 150.0, 1e-9);
        close(
            crcl_goti(0.5, 66.0, 70.0, Sex::Male),
            cockcroft_gault(1.0, 66.0, 70.0, Sex::Male),
            1e-9,
        );
        close(
            crcl_goti(0.9, 65.0, 70.0, Sex::Male),
            cockcroft_gault(0.9, 65.0, 70.0, Sex::Male),
            1e-9,
        );
        close(
            crcl_goti(1.4, 80.0, 70.0, Sex::Female),
            cockcroft_gault(1.4, 80.0, 70.0, Sex::Female),
            1e-9,
        );
    }

    #[test]
    fn a_kidney_twin_fits_twenty_kilobytes_at_sixteen_bytes_a_weight() {
        assert!(schema().slots() * 16 < 20_000, "{} slots", schema().slots());
    }
}
