//! Named numbers: checked inputs, parameters, and outputs.

use std::{collections::BTreeMap, fmt};

/// Numbers and lists of numbers by key, each in the unit of its key. Inputs are one patient's data: never shown.
#[derive(Clone, Default, PartialEq)]
pub struct Values {
    numbers: BTreeMap<String, f64>,
    lists: BTreeMap<String, Vec<f64>>,
}

impl Values {
    /// Values from pairs.
    #[must_use]
    pub fn from_pairs<'k>(pairs: impl IntoIterator<Item = (&'k str, f64)>) -> Self {
        let mut values = Self::default();
        for (key, value) in pairs {
            values.set(key, value);
        }
        values
    }

    /// Sets a number.
    pub fn set(&mut self, key: &str, value: f64) {
        self.numbers.insert(key.to_owned(), value);
    }

    /// Sets a list.
    pub fn set_list(&mut self, key: &str, values: Vec<f64>) {
        self.lists.insert(key.to_owned(), values);
    }

    /// Takes a number out.
    pub fn remove(&mut self, key: &str) {
        self.numbers.remove(key);
    }

    /// A number, if it is known.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<f64> {
        self.numbers.get(key).copied()
    }

    /// A number that was checked to be there; not a number if it is not.
    #[must_use]
    pub fn of(&self, key: &str) -> f64 {
        self.get(key).unwrap_or(f64::NAN)
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.get(key) == Some(1.0)
    }

    /// A list; empty if it is not there.
    #[must_use]
    pub fn list(&self, key: &str) -> &[f64] {
        self.lists.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The numbers in the order of their keys.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, f64)> {
        self.numbers
            .iter()
            .map(|(key, value)| (key.as_str(), *value))
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Values({} not shown)",
            self.numbers.len() + self.lists.len()
        )
    }
}
