//! Threshold TFHE by replicated secret sharing: what to compute with the shared key.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout
)]

pub mod committee;
pub mod digest;
pub mod party;
pub mod prf;
pub mod secret;

pub use committee::{Committee, CommitteeError, Family, Passive, Security};
pub use digest::{Digest, SessionId};
pub use party::{PartyId, PartySet, PieceId};
pub use prf::{Label, PrfStream, Seed};
pub use secret::Secret;
