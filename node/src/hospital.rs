//! The running node: one loop, and the handle through which everything else speaks to it.

mod ceremony;
mod checks;
pub(crate) mod command;
mod deposits;
mod epoch;
mod error;
mod handle;
mod intake;
mod log;
mod node;
mod peers;
mod restored;
mod spool;
mod statements;
mod status;
mod studies;
mod view;
mod withdrawal;

pub use error::{NodeError, StartError};
pub use handle::{NodeHandle, RunningNode, StartOptions, start};
pub use log::{LogView, ProofView};
pub use view::*;
