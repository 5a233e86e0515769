//! Heart twins.

use super::{Twin, age, sex};

/// The heart twin.
pub(super) fn twin() -> Twin {
    Twin {
        id: "heart/1",
        organ: "heart",
        features: vec![age(), sex()],
        planes: Vec::new(),
    }
}
