//! The running node: one loop, and the handle through which everything else speaks to it.

pub(crate) mod command;
mod error;
mod handle;
mod view;

pub use error::{NodeError, StartError};
pub use handle::{NodeHandle, RunningNode, StartOptions, start};
pub use view::*;
