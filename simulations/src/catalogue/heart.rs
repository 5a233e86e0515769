//! Models of the heart.

use super::Model;

/// The models of the heart.
pub const MODELS: &[&Model] = &[];
