//! Organ twins and what can be computed on them, in the clear and on ciphertext.
//!
//! A hospital [`encode`]s a patient's features on the axes of a [`Schema`]. A [`StudySpec`] is compiled to a
//! [`Program`], the planner turns it into a [`Plan`], and three evaluators run it: [`reference`] (the textbook
//! formula), [`clear`] (the exact integers) and [`evaluate_shard`] with [`finish`] (ciphertexts). The last two
//! agree digit for digit.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout
)]

pub mod additive;
pub mod admission;
pub mod catalogue;
pub mod circuit;
pub mod clear;
pub mod cohorts;
pub mod compile;
pub mod encode;
pub mod engine;
pub mod eval;
pub mod evaluate;
pub mod formula;
pub mod machine;
pub mod measure;
pub mod naive;
pub mod noise;
pub mod one;
pub mod plan;
pub mod program;
pub mod reference;
pub mod render;
pub mod result;
pub mod schema;
pub mod study;
pub mod twin;
pub mod validation;

pub use encode::{EncodeError, Features, Weights, encode};
pub use engine::{Engine, EngineError};
pub use evaluate::{Aggregate, EvaluateError, ShardOutput, evaluate_shard, finish};
pub use noise::NoiseModel;
pub use plan::{Forecast, Plan, PlanContext, PlanError, plan};
pub use program::{Program, ProgramError};
pub use result::{DecodeError, StudyResult};
pub use schema::{Axis, Plane, Scale, Schema};
pub use study::{CrossSpec, Filter, HistogramSpec, SpecError, StudySpec};

/// A BLAKE3 hash of canonical bytes under a domain of its own.
pub type Digest = [u8; 32];

/// The most twins in one shard: their counts fit five bits.
pub const SHARD_TWINS: usize = 31;

/// Hashes the CBOR of a value under a domain.
pub(crate) fn digest_of<T: serde::Serialize>(domain: &str, value: &T) -> Digest {
    digest_bytes(domain, &cbor(value))
}

/// Hashes bytes under a domain.
pub(crate) fn digest_bytes(domain: &str, bytes: &[u8]) -> Digest {
    *blake3::Hasher::new_derive_key(domain)
        .update(bytes)
        .finalize()
        .as_bytes()
}

/// The CBOR of a value whose fields have a fixed order.
pub(crate) fn cbor<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail, and every type here has a serde form without failing cases.
    let written = ciborium::into_writer(value, &mut bytes);
    debug_assert!(written.is_ok(), "a value without a CBOR form");
    bytes
}
