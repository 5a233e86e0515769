//! Circuits: a study as sums and lookups, written once for every [`Machine`](crate::machine::Machine).

mod build;
mod close;
mod decide;
mod extract;
mod lin;
mod number;
mod quantity;
mod schedule;
mod sum;
mod width;

pub(crate) use close::{Hospital, Layout, Output, aggregate};
pub(crate) use lin::{Lin, Twin};
pub(crate) use number::Number;
pub(crate) use quantity::{cut_quantities, quantity_wires};
pub use schedule::ScheduleError;
pub(crate) use schedule::{Schedule, twin_atoms};
pub(crate) use sum::{Cut, Output as SumOutput, SumTask};
pub(crate) use width::linear;

/// A bit or a digit's unit on the torus: five bits without padding, or four below a padding bit.
pub(crate) const ONE: u64 = 1 << 59;
/// log2 of [`ONE`].
pub(crate) const ONE_LOG: u32 = 59;
/// Half a [`ONE`]: the distance of a decision from both of its edges.
const HALF: u64 = ONE / 2;

#[cfg(test)]
mod tests;
