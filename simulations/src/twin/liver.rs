//! Liver twins.

use super::{Twin, age, sex};

/// The liver twin.
pub(super) fn twin() -> Twin {
    let mut features = vec![age(), sex()];
    // What drug models read.
    let (more, planes) = super::pharmacology::liver();
    features.extend(more);
    Twin {
        id: "liver/1",
        organ: "liver",
        features,
        planes,
    }
}
