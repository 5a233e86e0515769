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

pub mod admission;
pub mod budget;
pub mod committee;
#[cfg(feature = "insecure-test-parameters")]
pub mod dealt;
pub mod decrypt;
pub mod determinism;
pub mod digest;
mod families;
pub mod forecast;
pub mod inputs;
pub mod keygen;
mod mask;
pub mod noise;
pub mod open;
pub mod params;
pub mod party;
pub mod prf;
pub mod public_key;
pub mod reshare;
mod ring;
pub mod seal;
pub mod secret;
pub mod seeds;
pub mod share;
pub mod squash;

pub use admission::{AdmissionError, AdmissionValue, Checker, Deposited, Rules};
pub use budget::{BudgetError, OpeningBudget};
pub use committee::{Committee, CommitteeError, Family, Passive, Security};
pub use decrypt::{Agreed, AgreementError, DecryptError, agree, recombine};
pub use determinism::instruction_class;
pub use digest::{Digest, SessionId};
pub use forecast::{Forecast, forecast};
pub use inputs::{BatchBodies, BatchId, InputError, InputPad, SlotRange};
pub use keygen::{KeyCeremony, KeygenError, Replay, ReplayedKey, Stage};
pub use noise::NoiseConstants;
pub use open::{Group, Groups, PieceSeeds, Width};
pub use params::{NoiseBits, ParameterError, ParameterSet};
pub use party::{PartyId, PartyIdError, PartySet, PieceId};
pub use prf::{Label, PrfStream, Seed};
pub use public_key::{PublicKey, PublicKeyError, PublicKeyInfo};
pub use reshare::{Collector, Offer, ReshareError, Resharing};
pub use seal::{SealError, SealingKey};
pub use secret::Secret;
pub use seeds::{SeedShare, combine_seed, seed_commitment};
pub use share::KeyShare;
pub use squash::{SquashError, SquashedBlocks, squash};
