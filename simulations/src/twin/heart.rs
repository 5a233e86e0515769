//! Heart twins.

use super::{Twin, age, sex};

/// The heart twin.
pub(super) fn twin() -> Twin {
    let mut features = vec![age(), sex()];
    // What the heart-disease data set holds.
    features.extend(super::angiography::features());
    Twin {
        id: "heart/1",
        organ: "heart",
        features,
        planes: Vec::new(),
    }
}
