//! Conditions of a filter, as a study file writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::SpecError;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// At least a number.
    AtLeast,
    /// Below a number.
    Below,
    /// A category or flag.
    Is,
    /// Any other category, or the flag is not set.
    IsNot,
}

/// One condition, such as `age_years >= 65`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    /// The axis or output.
    pub key: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what: a number or a name.
    pub value: String,
}

const SYMBOLS: [(&str, Comparison); 4] = [
    (">=", Comparison::AtLeast),
    ("!=", Comparison::IsNot),
    ("<", Comparison::Below),
    ("=", Comparison::Is),
];

impl TryFrom<String> for Filter {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        let refuse = || SpecError::Condition {
            given: text.chars().take(80).collect(),
        };
        let (key, comparison, value) = SYMBOLS
            .iter()
            .find_map(|(symbol, comparison)| {
                let (key, value) = text.split_once(symbol)?;
                Some((key.trim(), *comparison, value.trim()))
            })
            .ok_or_else(refuse)?;
        let plain = |text: &str, more: &str| {
            !text.is_empty()
                && text.len() <= 80
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_.-+ ".contains(c) || more.contains(c))
        };
        if !plain(key, "") || key.contains(' ') || !plain(value, "/") {
            return Err(refuse());
        }
        Ok(Self {
            key: key.to_owned(),
            comparison,
            value: value.to_owned(),
        })
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.to_string()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = SYMBOLS
            .iter()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("=", |(symbol, _)| symbol);
        write!(f, "{} {symbol} {}", self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_and_written_the_same() {
        for text in [
            "age_years >= 65",
            "sex = male",
            "ckd-epi-2021.egfr < 30",
            "stage != G5",
        ] {
            let filter = Filter::try_from(text.to_owned()).unwrap();
            assert_eq!(filter.to_string(), text);
        }
        let tight = Filter::try_from("egfr<30".to_owned()).unwrap();
        assert_eq!(tight.to_string(), "egfr < 30");
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "",
            "age",
            ">= 5",
            "age_years <= 5",
            "a b < 1",
            "age > 3",
            "x = ",
            "x = \u{1b}[31m",
        ] {
            assert!(Filter::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
