//! The dictionary of inputs: every quantity that a model reads about a patient, once, with its unit and plausible range.

use super::Values;

pub mod angiography;
mod body;
mod circulation;
mod history;
mod laboratory;
mod liver;
pub mod pharmacology;

pub use body::{AGE, BMI, HEIGHT, SEX, WEIGHT};
pub use circulation::{
    ARTERIAL_COMPLIANCE, CARDIAC_OUTPUT, CENTRAL_VENOUS_PRESSURE, DRUG_QT_PROLONGATION,
    E_OVER_E_PRIME, EJECTION_FRACTION, END_DIASTOLIC_VOLUME, END_SYSTOLIC_VOLUME, HEART_RATE,
    PERIPHERAL_RESISTANCE, PULMONARY_PRESSURE, QT, STROKE_VOLUME, SYSTEMIC_VASCULAR_RESISTANCE,
    SYSTOLIC_PRESSURE,
};
pub use history::{
    ACE_INHIBITOR, ATRIAL_FIBRILLATION, BETA_BLOCKER, COPD, DIABETES, HEART_FAILURE,
    HEART_FAILURE_18_MONTHS, HIGH_RISK_SURGERY, HYPERTENSION, INSULIN, ISCHAEMIC_HEART_DISEASE,
    NYHA, SMOKER, STROKE_TIA, THROMBOEMBOLISM, TWO_ANTIHYPERTENSIVES, VASCULAR_DISEASE,
};
pub use laboratory::{
    ALBUMIN, ALT, AST, BILIRUBIN, CREATININE, EGFR, HAEMOGLOBIN, INR, PLATELETS, POTASSIUM, SODIUM,
    UACR,
};
pub use liver::{
    ASCITES, CHOLESTATIC, DIALYSIS_IN_WEEK, ENCEPHALOPATHY, FUTURE_LIVER_REMNANT, HEPATIC_FLOW,
    HEPATIC_FUNCTION, LIVER_STATE,
};

/// One quantity of a patient.
#[derive(Debug)]
pub struct Input {
    /// Its name with the unit in it.
    pub key: &'static str,
    /// The unit in UCUM, or `1`.
    pub unit: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// Its kind and plausible range; values outside are refused.
    pub kind: InputKind,
    /// Other units that are accepted.
    pub aliases: &'static [Alias],
}

/// What kind of quantity it is.
#[derive(Debug)]
pub enum InputKind {
    /// A number within a plausible range.
    Number {
        /// The smallest plausible value.
        lo: f64,
        /// The largest plausible value.
        hi: f64,
    },
    /// Yes or no.
    Flag,
    /// One of several names, numbered from 0.
    Choice {
        /// The names.
        labels: &'static [&'static str],
    },
}

/// Another unit of a quantity.
#[derive(Debug)]
pub struct Alias {
    /// The name with the other unit in it.
    pub key: &'static str,
    /// The other unit in UCUM.
    pub unit: &'static str,
    /// The quantity in its own unit is this times the number given.
    pub factor: f64,
}

/// A number in one unit only.
const fn number(
    key: &'static str,
    unit: &'static str,
    title: &'static str,
    lo: f64,
    hi: f64,
) -> Input {
    Input {
        key,
        unit,
        title,
        kind: InputKind::Number { lo, hi },
        aliases: &[],
    }
}

/// Yes or no.
const fn flag(key: &'static str, title: &'static str) -> Input {
    Input {
        key,
        unit: "1",
        title,
        kind: InputKind::Flag,
        aliases: &[],
    }
}

/// One of several names.
const fn choice(key: &'static str, title: &'static str, labels: &'static [&'static str]) -> Input {
    Input {
        key,
        unit: "1",
        title,
        kind: InputKind::Choice { labels },
        aliases: &[],
    }
}

/// Another unit.
const fn alias(key: &'static str, unit: &'static str, factor: f64) -> Alias {
    Alias { key, unit, factor }
}

/// The dictionary, one list per file.
const DICTIONARY: &[&[&Input]] = &[
    body::ALL,
    laboratory::ALL,
    history::ALL,
    circulation::ALL,
    liver::ALL,
    angiography::ALL,
    pharmacology::ALL,
];

/// Every quantity of the dictionary, once.
pub fn all() -> impl Iterator<Item = &'static Input> {
    DICTIONARY.iter().flat_map(|list| list.iter().copied())
}

/// The quantity of a key in its own unit.
#[must_use]
pub fn find(key: &str) -> Option<&'static Input> {
    all().find(|input| input.key == key)
}

/// The quantity of a key in any accepted unit, with the other unit if it is one.
#[must_use]
pub fn in_any_unit(key: &str) -> Option<(&'static Input, Option<&'static Alias>)> {
    all().find_map(|input| {
        if input.key == key {
            return Some((input, None));
        }
        let alias = input.aliases.iter().find(|alias| alias.key == key)?;
        Some((input, Some(alias)))
    })
}

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

    /// The sex among inputs.
    #[must_use]
    pub fn of(inputs: &Values) -> Option<Self> {
        let sex = inputs.get(SEX.key)?;
        Some(if sex == 1.0 { Self::Male } else { Self::Female })
    }
}
