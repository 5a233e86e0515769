//! Noise squashing: from blocks under the computing key to LWE ciphertexts over Z_2^128 that the
//! committee may open (docs/spec/decryption.md 2).

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use tfhe::core_crypto::prelude::LweCiphertextOwned;
use tfhe::shortint::ciphertext::{Degree, NoiseLevel};
use tfhe::shortint::noise_squashing::NoiseSquashingKey;
use tfhe::shortint::{AtomicPatternKind, Ciphertext, PBSOrder, ServerKey};

use crate::digest::Digest;
use crate::prf::Label;

/// Bytes of one word of a squashed ciphertext.
const WORD: usize = 16;

/// Bytes before the words: the number of blocks and the words of one block, both `u32`.
const HEADER: usize = 8;

/// The most blocks that one set may hold; 4 GiB at the real parameters.
pub const MAX_BLOCKS: usize = 1 << 16;

/// Blocks cannot be squashed, or bytes are not squashed blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SquashError {
    /// A block is not under the computing key.
    #[error(
        "block {block} has LWE dimension {got}, the key has {expected}: squash only blocks of this key"
    )]
    Dimension {
        /// Position of the block.
        block: usize,
        /// Dimension of the key.
        expected: usize,
        /// Dimension of the block.
        got: usize,
    },
    /// More blocks than a set may hold.
    #[error("{got} blocks exceed the limit of {MAX_BLOCKS}: open in several sets")]
    TooMany {
        /// Number of blocks given.
        got: usize,
    },
    /// The library refused a block.
    #[error("block {block} cannot be squashed: {reason}")]
    Refused {
        /// Position of the block.
        block: usize,
        /// What the library said.
        reason: String,
    },
    /// The bytes have another length than their header or their parameters ask for.
    #[error("squashed blocks take {expected} bytes here, got {got}: fetch them again")]
    Length {
        /// Number of bytes expected.
        expected: usize,
        /// Number of bytes given.
        got: usize,
    },
    /// The bytes are for other parameters.
    #[error("squashed blocks have {got} words each, expected {expected}: other parameters")]
    WordsPerBlock {
        /// Words of a block under the squashing key in use.
        expected: usize,
        /// Words that the header announces.
        got: usize,
    },
    /// Stored bytes are not those that this node squashed.
    #[error(
        "squashed bytes have digest {got}, this node derived {expected}: squash the aggregate again"
    )]
    NotDerived {
        /// Digest that the node recorded when it squashed.
        expected: Digest,
        /// Digest of the bytes.
        got: Digest,
    },
}

/// Where squashed blocks come from; only derived ones are ever decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This node squashed them itself.
    Derived,
    /// Read from bytes of unknown origin, good for recombination only.
    Read,
}

/// Squashed blocks, one LWE ciphertext over Z_2^128 each, with the digest over all their bytes.
///
/// Blocks that were read from bytes can be recombined but not decrypted: a crafted ciphertext would
/// decrypt to bits of the joint key (decryption.md 1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SquashedBlocks {
    words: Vec<u128>,
    lwe_size: usize,
    digest: Digest,
    origin: Origin,
}

impl SquashedBlocks {
    fn new(words: Vec<u128>, lwe_size: usize, origin: Origin) -> Self {
        let count = words.len() / lwe_size.max(1);
        let mut hasher = blake3::Hasher::new();
        let mut buffer = Vec::with_capacity(1 << 16);
        for chunk in words.chunks(1 << 12) {
            buffer.clear();
            chunk
                .iter()
                .for_each(|word| buffer.extend_from_slice(&word.to_le_bytes()));
            hasher.update(&buffer);
        }
        // decryption.md 2.4
        let digest = Label::new("organtwin/squashed-blocks")
            .index(count)
            .index(lwe_size)
            .bytes(hasher.finalize().as_bytes())
            .hash();
        Self {
            words,
            lwe_size,
            digest,
            origin,
        }
    }

    /// Returns the number of blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len() / self.lwe_size.max(1)
    }

    /// Tells whether there is no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the words of one ciphertext: the mask and the body.
    #[must_use]
    pub const fn lwe_size(&self) -> usize {
        self.lwe_size
    }

    /// Returns the digest over all squashed bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Tells whether this node squashed the blocks itself.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        self.origin == Origin::Derived
    }

    /// Lists the blocks, each as (mask, body).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u128], u128)> + Clone {
        self.words
            .chunks_exact(self.lwe_size.max(1))
            .map(|block| match block.split_last() {
                Some((body, mask)) => (mask, *body),
                None => (block, 0),
            })
    }

    /// Writes the canonical encoding: number of blocks, words per block (`u32` each), then all words,
    /// everything little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.words.len() * WORD);
        // Both fit: the constructors bound them.
        for field in [self.len(), self.lwe_size] {
            bytes.extend_from_slice(&u32::try_from(field).unwrap_or(u32::MAX).to_le_bytes());
        }
        self.words
            .iter()
            .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes
    }

    /// Reads blocks of `lwe_size` words each, for recombination and audit.
    ///
    /// # Errors
    /// [`SquashError`] unless the bytes are exactly what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8], lwe_size: usize) -> Result<Self, SquashError> {
        let short = SquashError::Length {
            expected: HEADER,
            got: bytes.len(),
        };
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(short)?;
        let mut fields = header
            .chunks_exact(4)
            .map(|field| field.try_into().map_or(0, u32::from_le_bytes) as usize);
        let (count, words) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
        if words != lwe_size || lwe_size == 0 {
            return Err(SquashError::WordsPerBlock {
                expected: lwe_size,
                got: words,
            });
        }
        if count > MAX_BLOCKS {
            return Err(SquashError::TooMany { got: count });
        }
        let expected = count * lwe_size * WORD;
        if body.len() != expected {
            return Err(SquashError::Length {
                expected: expected + HEADER,
                got: bytes.len(),
            });
        }
        let words = body
            .chunks_exact(WORD)
            .map(|word| word.try_into().map_or(0, u128::from_le_bytes))
            .collect();
        Ok(Self::new(words, lwe_size, Origin::Read))
    }

    /// Reads blocks back that this node squashed before and whose digest it recorded then.
    ///
    /// Security: `derived` must come from the node's own durable record, never from a peer.
    ///
    /// # Errors
    /// [`SquashError`] when the bytes are malformed or have another digest.
    pub fn restore(bytes: &[u8], lwe_size: usize, derived: Digest) -> Result<Self, SquashError> {
        let mut blocks = Self::from_bytes(bytes, lwe_size)?;
        if blocks.digest != derived {
            return Err(SquashError::NotDerived {
                expected: derived,
                got: blocks.digest,
            });
        }
        blocks.origin = Origin::Derived;
        Ok(blocks)
    }

    #[cfg(test)]
    pub(crate) fn from_words(words: Vec<u128>, lwe_size: usize) -> Self {
        Self::new(words, lwe_size, Origin::Derived)
    }
}

/// Squashes the noise of packed blocks, in parallel over the blocks (decryption.md 2.2).
///
/// A block holds a 4-bit value (two 2-bit digits, low + 4 * high) at delta 2^59 under the computing
/// key, with a noise level that the parameters allow. `progress` is told the number of blocks done.
///
/// # Errors
/// [`SquashError`] for a block of another dimension, too many blocks, or keys that do not fit.
pub fn squash(
    server: &ServerKey,
    squashing: &NoiseSquashingKey,
    blocks: &[LweCiphertextOwned<u64>],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<SquashedBlocks, SquashError> {
    if blocks.len() > MAX_BLOCKS {
        return Err(SquashError::TooMany { got: blocks.len() });
    }
    let expected = server.ciphertext_lwe_dimension().0;
    for (block, input) in blocks.iter().enumerate() {
        let got = input.lwe_size().to_lwe_dimension().0;
        if got != expected {
            return Err(SquashError::Dimension {
                block,
                expected,
                got,
            });
        }
    }
    let done = AtomicUsize::new(0);
    let squashed: Vec<_> = blocks
        .par_iter()
        .enumerate()
        .map(|(block, input)| {
            let packed = Ciphertext::new(
                input.clone(),
                Degree::new(15),
                NoiseLevel::NOMINAL,
                server.message_modulus,
                server.carry_modulus,
                AtomicPatternKind::Standard(PBSOrder::KeyswitchBootstrap),
            );
            let output = squashing
                .checked_squash_ciphertext_noise(&packed, server)
                .map_err(|error| SquashError::Refused {
                    block,
                    reason: error.to_string(),
                })?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(output)
        })
        .collect::<Result<_, _>>()?;
    let lwe_size = squashed
        .first()
        .map_or(1, |first| first.lwe_ciphertext().lwe_size().0);
    let mut words = Vec::with_capacity(squashed.len() * lwe_size);
    for output in &squashed {
        words.extend_from_slice(output.lwe_ciphertext().as_ref());
    }
    Ok(SquashedBlocks::new(words, lwe_size, Origin::Derived))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> SquashedBlocks {
        SquashedBlocks::from_words((0..15).map(|i| u128::MAX / 7 * i).collect(), 5)
    }

    #[test]
    fn squashed_bytes_survive_a_round_trip_and_lose_their_origin() {
        let read = SquashedBlocks::from_bytes(&blocks().to_bytes(), 5).unwrap();
        assert_eq!((read.digest(), read.len()), (blocks().digest(), 3));
        assert!(blocks().is_derived() && !read.is_derived());
    }

    #[test]
    fn the_digest_covers_every_byte() {
        let bytes = blocks().to_bytes();
        for position in HEADER..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            let read = SquashedBlocks::from_bytes(&changed, 5).unwrap();
            assert_ne!(read.digest(), blocks().digest(), "byte {position}");
        }
    }

    #[test]
    fn bytes_of_another_length_or_shape_are_refused() {
        let bytes = blocks().to_bytes();
        assert!(SquashedBlocks::from_bytes(&bytes[..7], 5).is_err());
        assert!(SquashedBlocks::from_bytes(&bytes[..bytes.len() - 1], 5).is_err());
        assert!(SquashedBlocks::from_bytes(&[&bytes[..], &[0]].concat(), 5).is_err());
        assert!(SquashedBlocks::from_bytes(&bytes, 6).is_err());
        let mut many = bytes;
        many[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            SquashedBlocks::from_bytes(&many, 5),
            Err(SquashError::TooMany { .. })
        ));
    }

    #[test]
    fn only_the_recorded_digest_makes_blocks_derived_again() {
        let bytes = blocks().to_bytes();
        assert!(
            SquashedBlocks::restore(&bytes, 5, blocks().digest())
                .unwrap()
                .is_derived()
        );
        assert!(SquashedBlocks::restore(&bytes, 5, Digest::new([0; 32])).is_err());
    }
}
