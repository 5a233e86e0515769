//! Models of the liver.

use super::Model;

/// The models of the liver.
pub const MODELS: &[&Model] = &[];
