//! The dictionary of inputs: every quantity that a model reads about a patient, once, with its unit and plausible range.

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

/// Age.
pub const AGE: Input = number("age_years", "a", "age", 18.0, 115.0);
/// Sex, as the formulas know it.
pub const SEX: Input = Input {
    key: "sex",
    unit: "1",
    title: "sex, as the formulas know it",
    kind: InputKind::Choice {
        labels: &["female", "male"],
    },
    aliases: &[],
};
/// Body weight.
pub const WEIGHT: Input = number("weight_kg", "kg", "body weight", 20.0, 350.0);
/// Height.
pub const HEIGHT: Input = number("height_cm", "cm", "height", 100.0, 230.0);
/// Creatinine.
pub const CREATININE: Input = Input {
    aliases: &[Alias {
        key: "creatinine_umol_l",
        unit: "umol/L",
        factor: 1.0 / 88.4,
    }],
    ..number("creatinine_mg_dl", "mg/dL", "serum creatinine", 0.1, 25.0)
};
/// Diabetes.
pub const DIABETES: Input = flag("diabetes", "diabetes mellitus");
