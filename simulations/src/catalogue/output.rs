//! Short ways to write down what a model computes.

use super::{Output, OutputKind, Tolerance};

impl Output {
    /// A number with its shown decimals and its allowed distance from the textbook.
    #[must_use]
    pub const fn number(
        key: &'static str,
        unit: &'static str,
        title: &'static str,
        decimals: u8,
        tolerance: Tolerance,
    ) -> Self {
        Self {
            key,
            unit,
            title,
            kind: OutputKind::Number {
                decimals,
                tolerance,
            },
        }
    }

    /// Whole points.
    #[must_use]
    pub const fn points(key: &'static str, title: &'static str) -> Self {
        Self {
            key,
            unit: "1",
            title,
            kind: OutputKind::Points,
        }
    }

    /// The category of another output.
    #[must_use]
    pub const fn category(
        key: &'static str,
        title: &'static str,
        of: &'static str,
        cuts: &'static [f64],
        labels: &'static [&'static str],
    ) -> Self {
        Self {
            key,
            unit: "1",
            title,
            kind: OutputKind::Category { of, cuts, labels },
        }
    }

    /// Yes or no.
    #[must_use]
    pub const fn flag(key: &'static str, title: &'static str) -> Self {
        Self {
            key,
            unit: "1",
            title,
            kind: OutputKind::Flag,
        }
    }
}
