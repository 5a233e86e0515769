//! Age, sex and size.

use super::{Input, alias, choice, number};

/// Age.
pub const AGE: Input = number("age_years", "a", "age", 18.0, 115.0);

/// Sex, as the formulas know it.
pub const SEX: Input = choice("sex", "sex, as the formulas know it", &["female", "male"]);

/// Body weight.
pub const WEIGHT: Input = Input {
    aliases: &[alias("weight_lb", "[lb_av]", 0.453_592_37)],
    ..number("weight_kg", "kg", "body weight", 20.0, 350.0)
};

/// Height.
pub const HEIGHT: Input = Input {
    aliases: &[
        alias("height_m", "m", 100.0),
        alias("height_in", "[in_i]", 2.54),
    ],
    ..number("height_cm", "cm", "height", 100.0, 230.0)
};

/// Body mass index.
pub const BMI: Input = number("bmi_kg_m2", "kg/m2", "body mass index", 8.0, 110.0);

/// All of these.
pub(super) const ALL: &[&Input] = &[&AGE, &SEX, &WEIGHT, &HEIGHT, &BMI];
