//! Liver twins.

use super::{Twin, age, sex};

/// The liver twin.
pub(super) fn twin() -> Twin {
    Twin {
        id: "liver/1",
        organ: "liver",
        features: vec![age(), sex()],
        planes: Vec::new(),
    }
}
