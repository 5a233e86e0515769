//! Parties with exactly one deviation each, arranged like the protocol's steps.

use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::{Body, PieceValues, StageName};

/// The one thing that a lying party does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Sends seed shares that do not match their commitments.
    SeedShare,
    /// Reveals another share of the mask seed than it committed to.
    MaskShare,
    /// Echoes other seed commitments.
    Echo,
    /// Computes wrong vectors in a stage, and states their roots.
    Vector(StageName),
    /// Computes right vectors but states other roots.
    Root(StageName),
    /// States right roots but sends other chunks.
    Chunk(StageName),
    /// States another digest of what a stage opened.
    Opened(StageName),
    /// Decrypts the self-test wrongly.
    SelfTest,
    /// Certifies another key.
    Certificate,
    /// Computes wrong vectors of input masks.
    BatchVector,
    /// Sends wrong subseeds to the hospitals.
    Subseed,
    /// States other outputs of shards than it computed.
    Shard,
    /// States another aggregate than it derived.
    Aggregate,
    /// Releases wrong partial decryptions.
    PartialDecryption,
    /// Says nothing from its seed commitment on.
    Silence,
}

fn flipped(digest: Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[0] ^= 1;
    Digest::new(bytes)
}

fn off_by_one(values: &PieceValues) -> PieceValues {
    let wrong: Vec<u128> = values
        .unpack()
        .expect("own values are whole")
        .iter()
        .map(|value| value.wrapping_add(1 << 123))
        .collect();
    PieceValues::pack(values.piece, &wrong)
}

impl Lie {
    /// What the liar says instead of the truth.
    #[must_use]
    pub fn say(self, body: Body) -> Option<Body> {
        let mut body = body;
        match (self, &mut body) {
            (Self::MaskShare, Body::SeedsHeld { mask_reveal, .. }) => {
                *mask_reveal = flipped(*mask_reveal);
            }
            (Self::Echo, Body::SeedsHeld { echo, .. }) => *echo = flipped(*echo),
            (Self::Root(lied), Body::StageCommitted { stage, roots, .. }) if lied == *stage => {
                for root in roots {
                    root.digest = flipped(root.digest);
                }
            }
            (Self::Opened(lied), Body::StageOpened { stage, digest, .. }) if lied == *stage => {
                *digest = flipped(*digest);
            }
            (Self::SelfTest, Body::SelfTest { pieces, .. })
            | (Self::PartialDecryption, Body::PartialDecryption { pieces, .. }) => {
                *pieces = pieces.iter().map(off_by_one).collect();
            }
            (Self::Certificate, Body::KeyCertified { certificate }) => {
                certificate.key = flipped(certificate.key);
            }
            (Self::Shard, Body::ShardEvaluated { output, .. }) => *output = flipped(*output),
            (Self::Aggregate, Body::AggregateDerived { squashed, .. }) => {
                *squashed = flipped(*squashed);
            }
            (Self::Silence, Body::SeedCommitted { .. }) => return None,
            _ => {}
        }
        Some(body)
    }

    /// Spoils a seed share or subseed on its way.
    #[must_use]
    pub fn secret(self, about: Self, mut secret: [u8; 32]) -> [u8; 32] {
        if self == about {
            secret[31] ^= 1;
        }
        secret
    }

    /// Spoils a vector or chunk by an even amount, which no check of its form can see.
    #[must_use]
    pub fn bytes(self, about: Self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self == about
            && let Some(byte) = bytes.first_mut()
        {
            *byte ^= 2;
        }
        bytes
    }
}
