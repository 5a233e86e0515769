//! Public masks: what tfhe itself derives from a component's compression seed.

use tfhe::Seed as TfheSeed;
use tfhe::core_crypto::commons::math::random::{
    CompressionSeed, DefaultRandomGenerator, RandomGenerable, RandomGenerator, Uniform,
};

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

/// Fills `out` with mask elements from position `first` on: the stream is sequential, so rows can be
/// regenerated one by one.
pub(crate) fn fill<T: RandomGenerable<Uniform>>(seed: TfheSeed, first: usize, out: &mut [T]) {
    let mut generator = RandomGenerator::<DefaultRandomGenerator>::new(seed);
    let bytes = first * size_of::<T>();
    if bytes > 0 {
        // Forking moves the parent past the child's bytes.
        drop(generator.try_fork(1, bytes));
    }
    generator.fill_slice_with_random_uniform(out);
}
