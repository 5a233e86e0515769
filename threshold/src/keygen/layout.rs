//! What each stage opens, cut into chunks of at most 1 MiB.

use super::{KeygenError, Stage};
use crate::open::Width;
use crate::params::ParameterSet;

/// The largest chunk of a group vector in bytes.
pub const CHUNK_BYTES: usize = 1 << 20;

/// One run of equal elements within a stage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    LweBits,
    GlweBits,
    SquashingBits,
    KeyswitchNoise,
    CompactNoise,
    BootstrapProducts,
    SquashingProducts,
    KeyswitchRows,
    CompactRows,
    BootstrapRows,
    SquashingRows,
}

impl Part {
    /// The name in labels (prf.md 8).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LweBits => "lwe-bits",
            Self::GlweBits => "glwe-bits",
            Self::SquashingBits => "squashing-bits",
            Self::KeyswitchNoise => "keyswitch-noise",
            Self::CompactNoise => "compact-noise",
            Self::BootstrapProducts => "bootstrap-products",
            Self::SquashingProducts => "squashing-products",
            Self::KeyswitchRows => "keyswitch-rows",
            Self::CompactRows => "compact-rows",
            Self::BootstrapRows => "bootstrap-rows",
            Self::SquashingRows => "squashing-rows",
        }
    }

    /// The parts of a stage in the order in which they are opened.
    pub(crate) const fn of(stage: Stage) -> &'static [Self] {
        match stage {
            Stage::Bits => &[
                Self::LweBits,
                Self::GlweBits,
                Self::SquashingBits,
                Self::KeyswitchNoise,
                Self::CompactNoise,
            ],
            Stage::Products => &[Self::BootstrapProducts, Self::SquashingProducts],
            Stage::Rows => &[
                Self::KeyswitchRows,
                Self::CompactRows,
                Self::BootstrapRows,
                Self::SquashingRows,
            ],
        }
    }
}

/// The shape of one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) part: Part,
    pub(crate) width: Width,
    /// Elements in all.
    pub(crate) elements: usize,
    /// Elements of every chunk but the last.
    pub(crate) per_chunk: usize,
}

impl Shape {
    /// Describes `part` under `params`.
    pub(crate) fn of(part: Part, params: &ParameterSet) -> Self {
        let noise = params.noise_bits();
        let exact = |bits: Option<u32>| bits.map_or(0, |bits| bits as usize + 2);
        let (lwe, glwe, squashing) = (
            params.lwe_size(),
            params.glwe_size(),
            params.squashing_size(),
        );
        let compute = Ggsw::bootstrap(params);
        let squash = Ggsw::squashing(params);
        // (width, elements that stay together, how many of those)
        let (width, unit, count) = match part {
            Part::LweBits => (Width::W128, 1, lwe),
            Part::GlweBits => (Width::W64, 1, glwe),
            Part::SquashingBits => (Width::W128, 1, squashing),
            Part::KeyswitchNoise => (
                Width::W64,
                exact(noise.map(|n| n.lwe)),
                keyswitch_rows(params),
            ),
            Part::CompactNoise => (Width::W64, exact(noise.map(|n| n.glwe)), glwe),
            Part::BootstrapProducts => (Width::W24, glwe, lwe),
            Part::SquashingProducts => (Width::W72, squashing, lwe),
            Part::KeyswitchRows => (Width::W64, 1, keyswitch_rows(params)),
            Part::CompactRows => (Width::W64, glwe, 1),
            Part::BootstrapRows => (Width::W64, compute.elements(), lwe),
            Part::SquashingRows => (Width::W128, squash.elements(), lwe),
        };
        let units = (CHUNK_BYTES / (unit * width.bytes()).max(1)).max(1);
        Self {
            part,
            width,
            elements: unit * count,
            per_chunk: unit * units,
        }
    }

    /// Counts the chunks.
    pub(crate) const fn chunks(&self) -> usize {
        self.elements.div_ceil(self.per_chunk)
    }
}

/// Counts the rows of the key-switching key.
pub(crate) const fn keyswitch_rows(params: &ParameterSet) -> usize {
    params.glwe_size() * params.compute().ks_level.0
}

/// The shape of the GGSW ciphertexts of a bootstrapping key.
#[derive(Clone, Copy)]
pub(crate) struct Ggsw {
    /// Mask polynomials of a row.
    pub(crate) masks: usize,
    pub(crate) polynomial: usize,
    pub(crate) levels: usize,
    pub(crate) base_log: usize,
    /// Bits of the ring.
    pub(crate) modulus: usize,
}

impl Ggsw {
    pub(crate) const fn bootstrap(params: &ParameterSet) -> Self {
        let p = params.compute();
        Self {
            masks: p.glwe_dimension.0,
            polynomial: p.polynomial_size.0,
            levels: p.pbs_level.0,
            base_log: p.pbs_base_log.0,
            modulus: 64,
        }
    }

    pub(crate) const fn squashing(params: &ParameterSet) -> Self {
        let p = params.squashing();
        Self {
            masks: p.glwe_dimension.0,
            polynomial: p.polynomial_size.0,
            levels: p.decomp_level_count.0,
            base_log: p.decomp_base_log.0,
            modulus: 128,
        }
    }

    /// Rows of one GGSW ciphertext.
    pub(crate) const fn rows(&self) -> usize {
        (self.masks + 1) * self.levels
    }

    /// Body coefficients of one GGSW ciphertext.
    pub(crate) const fn elements(&self) -> usize {
        self.rows() * self.polynomial
    }

    /// Bits of a product that survive the shift of the lowest level.
    #[cfg(test)]
    pub(crate) const fn product_bits(&self) -> usize {
        self.levels * self.base_log
    }
}

/// A chunk of a stage: elements `first..first+count` of a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) shape: Shape,
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Chunk {
    /// Returns the size of the chunk on the wire.
    pub(crate) const fn bytes(&self) -> usize {
        self.count * self.shape.width.bytes()
    }
}

/// Counts the chunks of `stage`.
pub(crate) fn chunks(params: &ParameterSet, stage: Stage) -> u32 {
    let chunks = Part::of(stage)
        .iter()
        .map(|part| Shape::of(*part, params).chunks())
        .sum::<usize>();
    u32::try_from(chunks).unwrap_or(u32::MAX)
}

/// Finds chunk `number` of `stage`.
pub(crate) fn chunk(
    params: &ParameterSet,
    stage: Stage,
    number: u32,
) -> Result<Chunk, KeygenError> {
    let mut left = number as usize;
    for part in Part::of(stage) {
        let shape = Shape::of(*part, params);
        if left < shape.chunks() {
            let first = left * shape.per_chunk;
            return Ok(Chunk {
                shape,
                first,
                count: shape.per_chunk.min(shape.elements - first),
            });
        }
        left -= shape.chunks();
    }
    Err(KeygenError::NoChunk {
        stage,
        chunks: chunks(params, stage),
        got: number,
    })
}

/// Bytes of one group vector of `stage`.
#[must_use]
pub fn vector_bytes(params: &ParameterSet, stage: Stage) -> u64 {
    Part::of(stage)
        .iter()
        .map(|part| Shape::of(*part, params))
        .map(|shape| shape.elements as u64 * shape.width.bytes() as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_tile_every_stage_and_stay_below_a_mebibyte() {
        let params = ParameterSet::production().unwrap();
        for stage in Stage::ALL {
            let mut bytes = 0;
            for number in 0..chunks(&params, stage) {
                let chunk = chunk(&params, stage, number).unwrap();
                assert!(chunk.bytes() <= CHUNK_BYTES && chunk.count > 0);
                bytes += chunk.bytes() as u64;
            }
            assert_eq!(bytes, vector_bytes(&params, stage));
            assert!(chunk(&params, stage, chunks(&params, stage)).is_err());
        }
    }

    #[test]
    fn products_carry_exactly_the_bits_that_survive() {
        let params = ParameterSet::production().unwrap();
        assert!(Ggsw::bootstrap(&params).product_bits() <= 24);
        assert!(Ggsw::squashing(&params).product_bits() <= 72);
    }
}
