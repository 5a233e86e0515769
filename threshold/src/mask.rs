//! Public masks: what tfhe itself derives from a component's compression seed.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use tfhe::Seed as TfheSeed;
use tfhe::core_crypto::commons::math::random::CompressionSeed;

use crate::prf::Label;

/// The components of the public key, each with its own compression seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Component {
    Keyswitch,
    Compact,
    Bootstrap,
    Squashing,
}

impl Component {
    const fn name(self) -> &'static str {
        match self {
            Self::Keyswitch => "keyswitch",
            Self::Compact => "compact",
            Self::Bootstrap => "bootstrap",
            Self::Squashing => "squashing",
        }
    }

    /// Derives the component's seed from the public mask seed (prf.md 9).
    pub(crate) fn seed(self, mask_seed: &[u8; 32]) -> TfheSeed {
        let label = Label::new("organtwin/mask-seed")
            .bytes(mask_seed)
            .text(self.name());
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(label.hash().as_bytes()) {
            *to = *from;
        }
        TfheSeed(u128::from_le_bytes(half))
    }

    /// Derives the component's seed as tfhe's seeded entities want it.
    pub(crate) fn compression_seed(self, mask_seed: &[u8; 32]) -> CompressionSeed {
        CompressionSeed::from(self.seed(mask_seed))
    }
}

/// A ring element as tfhe cuts it from its generator's bytes.
pub(crate) trait MaskWord: Copy {
    /// Writes `words` from the consecutive 16-byte blocks `blocks`.
    fn cut(blocks: &[Block], words: &mut [Self]);
    /// Words in a block.
    const PER_BLOCK: usize;
}

impl MaskWord for u128 {
    const PER_BLOCK: usize = 1;

    fn cut(blocks: &[Block], words: &mut [Self]) {
        for (word, block) in words.iter_mut().zip(blocks) {
            *word = Self::from_le_bytes((*block).into());
        }
    }
}

impl MaskWord for u64 {
    const PER_BLOCK: usize = 2;

    fn cut(blocks: &[Block], words: &mut [Self]) {
        for (pair, block) in words.chunks_exact_mut(2).zip(blocks) {
            let bytes: [u8; 16] = (*block).into();
            let (halves, _) = bytes.as_chunks::<8>();
            for (word, half) in pair.iter_mut().zip(halves) {
                *word = Self::from_le_bytes(*half);
            }
        }
    }
}

/// The blocks encrypted at once.
const BATCH: usize = 64;

/// A component's mask stream: AES-128 in counter mode, little-endian counters from 0, which is what
/// tfhe's seeded entities expand to. Rows can be regenerated one by one, and faster than byte by byte.
pub(crate) struct MaskStream(Aes128);

impl MaskStream {
    pub(crate) fn new(seed: TfheSeed) -> Self {
        Self(Aes128::new(&Block::from(seed.0.to_le_bytes())))
    }

    /// Fills `out` with elements `first..`; both ends must fall on 16-byte blocks.
    pub(crate) fn fill<T: MaskWord>(&self, first: usize, out: &mut [T]) {
        let mut counter = (first / T::PER_BLOCK) as u128;
        let mut blocks = [Block::default(); BATCH];
        for words in out.chunks_mut(BATCH * T::PER_BLOCK) {
            for block in &mut blocks {
                *block = Block::from(counter.to_le_bytes());
                counter += 1;
            }
            self.0.encrypt_blocks(&mut blocks);
            T::cut(&blocks, words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfhe::core_crypto::commons::math::random::{DefaultRandomGenerator, RandomGenerator};

    #[test]
    fn masks_are_those_of_tfhe() {
        let seed = Component::Squashing.seed(&[5; 32]);
        let mut expected = vec![0u128; 500];
        RandomGenerator::<DefaultRandomGenerator>::new(seed)
            .fill_slice_with_random_uniform(&mut expected);
        let mut got = vec![0u128; 500];
        MaskStream::new(seed).fill(0, &mut got);
        assert_eq!(got, expected);
        let mut later = vec![0u128; 100];
        MaskStream::new(seed).fill(130, &mut later);
        assert_eq!(later, expected[130..230]);

        let mut expected = vec![0u64; 500];
        RandomGenerator::<DefaultRandomGenerator>::new(seed)
            .fill_slice_with_random_uniform(&mut expected);
        let mut later = vec![0u64; 100];
        MaskStream::new(seed).fill(130, &mut later);
        assert_eq!(later, expected[130..230]);
    }
}
