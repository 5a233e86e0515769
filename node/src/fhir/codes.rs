//! Which codes and units mean which feature: LOINC on the left, UCUM on the right.

/// A measured source feature of a kidney twin, in the unit that its name ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Serum or blood creatinine, mg/dL.
    Creatinine,
    /// Body weight, kg.
    Weight,
    /// Body height, cm.
    Height,
    /// Sodium, mmol/L.
    Sodium,
    /// Potassium, mmol/L.
    Potassium,
    /// Haemoglobin, g/dL.
    Haemoglobin,
    /// Platelets, 10^9/L.
    Platelets,
    /// Albumin, g/dL.
    Albumin,
    /// Total bilirubin, mg/dL.
    Bilirubin,
    /// Alanine aminotransferase, U/L.
    Alt,
    /// Aspartate aminotransferase, U/L.
    Ast,
    /// Glomerular filtration rate as the laboratory reported it, mL/min/1.73 m2: a cross-check only.
    ReportedEgfr,
}

/// A UCUM code that is accepted for a feature, and the factor to the feature's own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// The case-sensitive UCUM code.
    pub code: &'static str,
    /// Multiplies a value in this unit into the feature's own unit.
    pub factor: f64,
}

const fn unit(code: &'static str, factor: f64) -> Unit {
    Unit { code, factor }
}

/// Micromoles per litre in one milligram of creatinine per decilitre.
const CREATININE_UMOL_PER_MG: f64 = 88.4;
/// Micromoles per litre in one milligram of bilirubin per decilitre.
const BILIRUBIN_UMOL_PER_MG: f64 = 17.104;

const CREATININE: &[Unit] = &[
    unit("mg/dL", 1.0),
    unit("umol/L", 1.0 / CREATININE_UMOL_PER_MG),
];
const BILIRUBIN: &[Unit] = &[
    unit("mg/dL", 1.0),
    unit("umol/L", 1.0 / BILIRUBIN_UMOL_PER_MG),
];
const WEIGHT: &[Unit] = &[
    unit("kg", 1.0),
    unit("g", 0.001),
    unit("[lb_av]", 0.453_592_37),
];
const HEIGHT: &[Unit] = &[unit("cm", 1.0), unit("m", 100.0), unit("[in_i]", 2.54)];
const ION: &[Unit] = &[unit("mmol/L", 1.0), unit("meq/L", 1.0)];
const GRAMS: &[Unit] = &[unit("g/dL", 1.0), unit("g/L", 0.1)];
const PLATELETS: &[Unit] = &[unit("10*3/uL", 1.0), unit("10*9/L", 1.0)];
const ENZYME: &[Unit] = &[unit("U/L", 1.0), unit("[IU]/L", 1.0), unit("IU/L", 1.0)];
const GFR: &[Unit] = &[unit("mL/min/{1.73_m2}", 1.0), unit("mL/min/1.73.m2", 1.0)];

impl Feature {
    /// Every feature, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::Creatinine,
        Self::Weight,
        Self::Height,
        Self::Sodium,
        Self::Potassium,
        Self::Haemoglobin,
        Self::Platelets,
        Self::Albumin,
        Self::Bilirubin,
        Self::Alt,
        Self::Ast,
        Self::ReportedEgfr,
    ];

    /// The feature's name in reports, scenarios and the schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creatinine => "creatinine_mg_dl",
            Self::Weight => "weight_kg",
            Self::Height => "height_cm",
            Self::Sodium => "sodium_mmol_l",
            Self::Potassium => "potassium_mmol_l",
            Self::Haemoglobin => "haemoglobin_g_dl",
            Self::Platelets => "platelets_10e9_l",
            Self::Albumin => "albumin_g_dl",
            Self::Bilirubin => "bilirubin_mg_dl",
            Self::Alt => "alt_u_l",
            Self::Ast => "ast_u_l",
            Self::ReportedEgfr => "reported_egfr",
        }
    }

    /// The feature of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }

    /// The LOINC codes that mean this feature, the usual one first.
    pub fn loinc(self) -> &'static [&'static str] {
        match self {
            Self::Creatinine => &["2160-0", "38483-4"],
            Self::Weight => &["29463-7"],
            Self::Height => &["8302-2"],
            Self::Sodium => &["2951-2", "2947-0"],
            Self::Potassium => &["2823-3", "6298-4"],
            Self::Haemoglobin => &["718-7"],
            Self::Platelets => &["777-3", "26515-7"],
            Self::Albumin => &["1751-7"],
            Self::Bilirubin => &["1975-2", "14631-6"],
            Self::Alt => &["1742-6"],
            Self::Ast => &["1920-8"],
            Self::ReportedEgfr => &["98979-8", "33914-3"],
        }
    }

    /// The feature a LOINC code means.
    pub fn by_loinc(code: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|feature| feature.loinc().contains(&code))
    }

    /// The units accepted.
    pub fn units(self) -> &'static [Unit] {
        match self {
            Self::Creatinine => CREATININE,
            Self::Weight => WEIGHT,
            Self::Height => HEIGHT,
            Self::Sodium | Self::Potassium => ION,
            Self::Haemoglobin | Self::Albumin => GRAMS,
            Self::Platelets => PLATELETS,
            Self::Bilirubin => BILIRUBIN,
            Self::Alt | Self::Ast => ENZYME,
            Self::ReportedEgfr => GFR,
        }
    }

    /// The units accepted, for a message.
    pub fn unit_list(self) -> String {
        self.units()
            .iter()
            .map(|unit| unit.code)
            .collect::<Vec<_>>()
            .join(" or ")
    }

    /// Lowest and highest value of a living adult, in the feature's own unit; what lies outside is refused.
    pub fn plausible(self) -> (f64, f64) {
        match self {
            Self::Creatinine => (0.1, 25.0),
            Self::Weight => (20.0, 350.0),
            Self::Height => (100.0, 230.0),
            Self::Sodium => (90.0, 190.0),
            Self::Potassium => (1.0, 10.0),
            Self::Haemoglobin => (2.0, 25.0),
            Self::Platelets => (1.0, 2000.0),
            Self::Albumin => (0.5, 7.0),
            Self::Bilirubin => (0.1, 60.0),
            Self::Alt | Self::Ast => (1.0, 20_000.0),
            Self::ReportedEgfr => (1.0, 250.0),
        }
    }

    /// Days from the reference date beyond which the gap is worth a warning: laboratory values 7, weight 30;
    /// an adult's height keeps for years.
    pub fn usual_window_days(self) -> u32 {
        match self {
            Self::Weight => 30,
            Self::Height => 1826,
            _ => 7,
        }
    }

    /// Whether a kidney twin cannot be made without it.
    pub fn required(self) -> bool {
        matches!(self, Self::Creatinine | Self::Weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_means_one_feature_only() {
        for feature in Feature::ALL {
            for code in feature.loinc() {
                assert_eq!(Feature::by_loinc(code), Some(feature), "{code}");
            }
            assert_eq!(Feature::by_name(feature.name()), Some(feature));
        }
    }
}
