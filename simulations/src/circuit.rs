//! Circuits: a study as sums and lookups, written once for every [`Machine`](crate::machine::Machine).

mod close;
mod decide;
mod number;
mod schedule;

pub(crate) use close::{Hospital, Layout, Output, aggregate};
pub(crate) use decide::{cut_count, sum_bits, twin_bits};
pub(crate) use number::Number;
pub use schedule::ScheduleError;
pub(crate) use schedule::{Schedule, SumTask};

/// A bit or a digit's unit on the torus: five bits without padding, or four below a padding bit.
pub(crate) const ONE: u64 = 1 << 59;
/// log2 of [`ONE`].
pub(crate) const ONE_LOG: u32 = 59;

/// The two blocks of a cell in a shard: the count modulo 4, and the rest of it (0 to 7).
pub(crate) const SHARD_BLOCKS: usize = 2;

#[cfg(test)]
mod tests;
