//! Who must say what, and when: signed statements, their fold, study rules, ceremony, audit.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout
)]

pub mod admission;
pub mod budget;
pub mod ceremony;
pub mod certificate;
pub mod codec;
pub mod digest;
pub mod duty;
pub mod epoch;
pub mod evidence;
pub mod feed;
pub mod fold;
pub mod identity;
pub mod log;
pub mod manifest;
pub mod roster;
pub mod shard;
pub mod statement;
pub mod study;
pub mod tally;
pub mod transcript;
pub mod twin;
pub mod verify;

#[cfg(test)]
mod scene;
