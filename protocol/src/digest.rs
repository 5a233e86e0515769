//! Domain-separated BLAKE3 digests and the Merkle root of RFC 6962.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use organtwin_threshold::Digest;

use crate::codec::{self, CodecError};

/// The predecessor of the first statement of a feed.
pub const ZERO: Digest = Digest::new([0; 32]);

/// Hashes bytes under a domain: BLAKE3 in key-derivation mode with the domain as context (S2).
pub fn of_bytes(domain: Domain, bytes: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(domain.context());
    hasher.update(bytes);
    Digest::new(*hasher.finalize().as_bytes())
}

/// Hashes the canonical encoding of a value under a domain.
///
/// # Errors
/// [`CodecError`] when the value has no encoding.
pub fn of_value<T: Serialize + ?Sized>(domain: Domain, value: &T) -> Result<Digest, CodecError> {
    Ok(of_bytes(domain, &codec::encode(value)?))
}

/// The address of a blob: plain BLAKE3 of its bytes, so that any tool can check it.
pub fn of_blob(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

/// What a digest is a digest of; two domains never collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A roster.
    Roster,
    /// The signed bytes of a statement.
    Statement,
    /// A study's manifest.
    Manifest,
    /// A key certificate.
    Certificate,
    /// The ordered inputs of a shard.
    ShardInputs,
    /// The order of the twins of a study.
    TwinOrder,
    /// The rank of a party for a shard.
    ShardRank,
    /// A session of the key ceremony.
    Session,
    /// What the parties of a ceremony echo to each other.
    CeremonyEcho,
    /// A change of the sharing.
    EpochChange,
    /// Two statements of one party under one number, as a leaf of a log.
    Fork,
}

impl Domain {
    fn context(self) -> &'static str {
        match self {
            Self::Roster => "organtwin/1 roster",
            Self::Statement => "organtwin/1 statement",
            Self::Manifest => "organtwin/1 manifest",
            Self::Certificate => "organtwin/1 certificate",
            Self::ShardInputs => "organtwin/1 shard inputs",
            Self::TwinOrder => "organtwin/1 twin order",
            Self::ShardRank => "organtwin/1 shard rank",
            Self::Session => "organtwin/1 ceremony session",
            Self::CeremonyEcho => "organtwin/1 ceremony echo",
            Self::EpochChange => "organtwin/1 epoch change",
            Self::Fork => "organtwin/1 fork",
        }
    }
}

/// The Merkle tree hash of RFC 6962, section 2.1, over SHA-256.
pub fn merkle_root<L: AsRef<[u8]>>(leaves: &[L]) -> Digest {
    // One subtree per set bit of the number of leaves so far, largest first: the split of
    // RFC 6962 at the largest power of two follows from merging equal sizes only.
    let mut subtrees: Vec<(u32, [u8; 32])> = Vec::new();
    for leaf in leaves {
        let mut node = sha256(&[&[0], leaf.as_ref()]);
        let mut height = 0;
        while let Some((_, left)) = subtrees.pop_if(|(top, _)| *top == height) {
            node = sha256(&[&[1], &left, &node]);
            height += 1;
        }
        subtrees.push((height, node));
    }
    let root = subtrees
        .into_iter()
        .rev()
        .map(|(_, node)| node)
        .reduce(|right, left| sha256(&[&[1], &left, &right]));
    Digest::new(root.unwrap_or_else(|| sha256(&[])))
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &str) -> Vec<u8> {
        codec::from_hex(bytes).unwrap()
    }

    /// The well-known test leaves of Certificate Transparency implementations.
    fn leaves() -> Vec<Vec<u8>> {
        [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]
        .iter()
        .map(|l| hex(l))
        .collect()
    }

    #[test]
    fn roots_equal_the_published_vectors_of_certificate_transparency() {
        let cases = [
            (
                0,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                1,
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                2,
                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            ),
            (
                3,
                "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            ),
            (
                4,
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ),
            (
                5,
                "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            ),
            (
                6,
                "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            ),
            (
                7,
                "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            ),
            (
                8,
                "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
            ),
        ];
        for (count, root) in cases {
            assert_eq!(
                merkle_root(&leaves()[..count]).to_string(),
                root,
                "{count} leaves"
            );
        }
    }

    #[test]
    fn domains_separate_equal_bytes() {
        assert_ne!(
            of_bytes(Domain::Roster, b"x"),
            of_bytes(Domain::Manifest, b"x")
        );
        assert_ne!(of_bytes(Domain::Roster, b"x"), of_blob(b"x"));
    }
}
