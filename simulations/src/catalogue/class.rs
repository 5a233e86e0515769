//! Classes of values: bands between bounds, and yes or no as numbers.

/// Yes or no, as 1 or 0.
#[must_use]
pub fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

/// The number of lower bounds that a value reaches: its band among ascending bands, each with its lower bound.
#[must_use]
pub fn band(value: f64, bounds: &[f64]) -> f64 {
    bounds
        .iter()
        .filter(|bound| value >= **bound)
        .fold(0.0, |count, _| count + 1.0)
}
