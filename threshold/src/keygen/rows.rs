//! Rows of public key material: `body = <mask, key> + noise + message`, linear in shared values.

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::KeygenError;
use super::layout::{Chunk, Ggsw, Part};
use super::products::add_random;
use crate::mask::{Component, MaskStream};
use crate::open::{Group, PieceSeeds, Width};
use crate::params::{NoiseBits, ParameterSet};
use crate::prf::{Label, PrfStream, Seed};
use crate::ring::Ring;
use crate::secret::Secret;

/// What the members of one linear group know together: their sums of key pieces and exact noise.
pub(crate) struct GroupKey {
    /// Sum of the group's pieces of the LWE key modulo `2^128`.
    pub(crate) lwe: Secret<Vec<u128>>,
    /// The same of the GLWE key, modulo `2^64`.
    pub(crate) glwe: Secret<Vec<u128>>,
    /// Transforms of the GLWE key's and of the squashing key's polynomials.
    pub(crate) glwe_transform: Secret<Vec<u32>>,
    pub(crate) squashing_transform: Secret<Vec<u32>>,
    /// The group's share of the exact noise of the key-switching key and the compact public key.
    pub(crate) keyswitch_noise: Secret<Vec<u64>>,
    pub(crate) compact_noise: Secret<Vec<u64>>,
    /// The seed of the group's own noise.
    pub(crate) noise: Seed,
    /// Whether the opened products are added here, that is, whether the first piece is the group's.
    pub(crate) adds_opened: bool,
}

/// What every row computation needs.
pub(crate) struct RowContext<'a> {
    pub(crate) params: &'a ParameterSet,
    pub(crate) noise: NoiseBits,
    pub(crate) mask_seed: &'a [u8; 32],
    pub(crate) compute_ring: &'a Ring,
    pub(crate) squashing_ring: &'a Ring,
    /// Seeds of the random pieces of both kinds of products, and what was opened of them.
    pub(crate) bootstrap_products: Products<'a>,
    pub(crate) squashing_products: Products<'a>,
}

/// Shared products `r + z`.
#[derive(Clone, Copy)]
pub(crate) struct Products<'a> {
    pub(crate) seeds: &'a PieceSeeds,
    pub(crate) opened: &'a [u8],
    pub(crate) width: Width,
    pub(crate) row_length: usize,
}

impl Products<'_> {
    /// Returns the group's share of the products of left bit `row` with all right bits.
    fn row(
        &self,
        group: &Group,
        adds_opened: bool,
        row: usize,
    ) -> Result<Zeroizing<Vec<u128>>, KeygenError> {
        let mut values = Zeroizing::new(vec![0; self.row_length]);
        let first = row * self.row_length;
        if adds_opened {
            let bytes = self.opened.chunks_exact(self.width.bytes()).skip(first);
            for (value, bytes) in values.iter_mut().zip(bytes) {
                *value = Width::read(bytes);
            }
        }
        add_random(self.seeds, group.linear(), self.width, first, &mut values)?;
        Ok(values)
    }
}

/// Draws `TUniform(bits)` samples: uniform on `-2^bits..=2^bits` with half weight on the ends, from
/// exactly `bits + 2` bits each.
pub(crate) struct TUniform {
    bits: u32,
}

impl TUniform {
    pub(crate) const fn new(bits: u32) -> Self {
        Self { bits }
    }

    const fn sample_bytes(&self) -> usize {
        if self.bits + 2 <= 32 { 4 } else { 8 }
    }

    /// Adds samples `first..` of the stream onto `values`, modulo `2^128`.
    pub(crate) fn add(&self, stream: &mut PrfStream, first: usize, values: &mut [u128]) {
        let size = self.sample_bytes();
        let mut bytes = Zeroizing::new(vec![0; values.len() * size]);
        stream.seek(first as u64 * size as u64);
        stream.fill(&mut bytes);
        let uniform = (1u128 << (self.bits + 1)) - 1;
        for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(size)) {
            let word = Width::read(bytes);
            *value = value
                .wrapping_add((word >> 1) & uniform)
                .wrapping_add(word & 1)
                .wrapping_sub(1 << self.bits);
        }
    }
}

/// Sums the `bits + 2` shared bits of each exact sample: weights `1, 2, .., 2^bits` and once more 1; the
/// constant `-2^bits` is added where `is_constant_ours`.
pub(crate) fn exact_noise(bits: u32, is_constant_ours: bool, shared: &[u128]) -> Vec<u64> {
    let offset = if is_constant_ours { 1u64 << bits } else { 0 };
    let weight = |position: usize| {
        if position > bits as usize {
            1
        } else {
            1u64 << position
        }
    };
    shared
        .chunks_exact(bits as usize + 2)
        .map(|sample| {
            sample
                .iter()
                .enumerate()
                .fold(0u64.wrapping_sub(offset), |sum, (position, bit)| {
                    sum.wrapping_add(low64(*bit).wrapping_mul(weight(position)))
                })
        })
        .collect()
}

pub(crate) fn low64(value: u128) -> u64 {
    let bytes = value.to_le_bytes();
    let mut low = [0; 8];
    for (to, from) in low.iter_mut().zip(bytes) {
        *to = from;
    }
    u64::from_le_bytes(low)
}

/// Computes a group's unmasked share of the rows of `chunk`.
pub(crate) fn group_rows(
    context: &RowContext<'_>,
    group: &Group,
    key: &GroupKey,
    chunk: &Chunk,
) -> Result<Vec<u128>, KeygenError> {
    let params = context.params;
    match chunk.shape.part {
        Part::KeyswitchRows => Ok(keyswitch_rows(context, key, chunk)),
        Part::CompactRows => Ok(compact_rows(context, key)),
        Part::BootstrapRows => Rows {
            group,
            key,
            ggsw: Ggsw::bootstrap(params),
            ring: context.compute_ring,
            transform: key.glwe_transform.expose(),
            products: context.bootstrap_products,
            noise: TUniform::new(context.noise.glwe),
            component: Component::Bootstrap,
            mask_seed: context.mask_seed,
            part: chunk.shape.part,
        }
        .compute(chunk),
        Part::SquashingRows => Rows {
            group,
            key,
            ggsw: Ggsw::squashing(params),
            ring: context.squashing_ring,
            transform: key.squashing_transform.expose(),
            products: context.squashing_products,
            noise: TUniform::new(context.noise.squashing),
            component: Component::Squashing,
            mask_seed: context.mask_seed,
            part: chunk.shape.part,
        }
        .compute(chunk),
        _ => Err(KeygenError::Bug("a part without rows was asked for rows")),
    }
}

/// Key-switching rows: for every GLWE key bit, levels from the highest number down.
fn keyswitch_rows(context: &RowContext<'_>, key: &GroupKey, chunk: &Chunk) -> Vec<u128> {
    let compute = context.params.compute();
    let (levels, base_log) = (compute.ks_level.0, compute.ks_base_log.0);
    let size = context.params.lwe_size();
    let stream = MaskStream::new(Component::Keyswitch.seed(context.mask_seed));
    (chunk.first..chunk.first + chunk.count)
        .into_par_iter()
        .map(|row| {
            let mut mask = vec![0u64; size];
            stream.fill(row * size, &mut mask);
            let product = mask.iter().zip(key.lwe.expose()).fold(0u64, |sum, (a, s)| {
                sum.wrapping_add(a.wrapping_mul(low64(*s)))
            });
            let level = levels - row % levels;
            let bit = key
                .glwe
                .expose()
                .get(row / levels)
                .copied()
                .unwrap_or_default();
            let message = low64(bit) << (64 - base_log * level);
            let noise = key
                .keyswitch_noise
                .expose()
                .get(row)
                .copied()
                .unwrap_or_default();
            u128::from(product.wrapping_add(message).wrapping_add(noise))
        })
        .collect()
}

/// The compact public key: tfhe multiplies the mask with the reversed key.
fn compact_rows(context: &RowContext<'_>, key: &GroupKey) -> Vec<u128> {
    let size = context.params.glwe_size();
    let ring = context.compute_ring;
    let mut mask = vec![0u64; size];
    MaskStream::new(Component::Compact.seed(context.mask_seed)).fill(0, &mut mask);
    let mask: Vec<u128> = mask.into_iter().map(u128::from).collect();
    let reversed = Zeroizing::new(key.glwe.expose().iter().rev().copied().collect::<Vec<_>>());
    let mut left = vec![0; ring.transform_len()];
    let mut right = Zeroizing::new(vec![0; ring.transform_len()]);
    ring.forward(&mask, &mut left);
    ring.forward(&reversed, &mut right);
    let mut sum = Zeroizing::new(vec![0; ring.transform_len()]);
    ring.add_product(&mut sum, &left, &right);
    let mut body = vec![0; size];
    ring.inverse(&mut sum, &mut body);
    for (body, noise) in body.iter_mut().zip(key.compact_noise.expose()) {
        *body = body.wrapping_add(u128::from(*noise));
    }
    body
}

struct Rows<'a> {
    group: &'a Group,
    key: &'a GroupKey,
    ggsw: Ggsw,
    ring: &'a Ring,
    transform: &'a [u32],
    products: Products<'a>,
    noise: TUniform,
    component: Component,
    mask_seed: &'a [u8; 32],
    part: Part,
}

impl Rows<'_> {
    fn compute(&self, chunk: &Chunk) -> Result<Vec<u128>, KeygenError> {
        let per_ggsw = self.ggsw.elements();
        let first_bit = chunk.first / per_ggsw;
        let bits = chunk.count / per_ggsw;
        let products: Vec<Zeroizing<Vec<u128>>> = (first_bit..first_bit + bits)
            .into_par_iter()
            .map(|bit| self.products.row(self.group, self.key.adds_opened, bit))
            .collect::<Result<_, _>>()?;
        let mut values = vec![0u128; chunk.count];
        let stream = MaskStream::new(self.component.seed(self.mask_seed));
        let first_row = chunk.first / self.ggsw.polynomial;
        values
            .par_chunks_exact_mut(self.ggsw.polynomial)
            .enumerate()
            .for_each_init(
                || Buffers::new(self),
                |buffers, (offset, body)| {
                    let products = products.get(offset / self.ggsw.rows());
                    let products = products.map_or(&[][..], |products| products.as_slice());
                    self.row(&stream, first_row + offset, products, buffers, body);
                },
            );
        Ok(values)
    }

    /// Writes the body of row `row` of the whole list of GGSW ciphertexts.
    fn row(
        &self,
        masks_of: &MaskStream,
        row: usize,
        products: &[u128],
        buffers: &mut Buffers,
        body: &mut [u128],
    ) {
        let Ggsw {
            masks,
            polynomial,
            levels,
            base_log,
            modulus,
        } = self.ggsw;
        buffers.sum.fill(0);
        let first = row * masks * polynomial;
        if modulus == 64 {
            masks_of.fill(first, &mut buffers.mask64);
            for (wide, narrow) in buffers.mask.iter_mut().zip(&buffers.mask64) {
                *wide = u128::from(*narrow);
            }
        } else {
            masks_of.fill(first, &mut buffers.mask);
        }
        for (mask, key) in buffers
            .mask
            .chunks_exact(polynomial)
            .zip(self.transform.chunks_exact(self.ring.transform_len()))
        {
            self.ring.forward(mask, &mut buffers.transform);
            self.ring
                .add_product(&mut buffers.sum, &buffers.transform, key);
        }
        self.ring.inverse(&mut buffers.sum, body);

        let in_ggsw = row % self.ggsw.rows();
        let level = levels - in_ggsw / (masks + 1);
        let shift = modulus - base_log * level;
        let column = in_ggsw % (masks + 1);
        if column < masks {
            let products = products.iter().skip(column * polynomial);
            for (body, product) in body.iter_mut().zip(products) {
                *body = body.wrapping_sub(product << shift);
            }
        } else if let (Some(constant), Some(bit)) = (
            body.first_mut(),
            self.key.lwe.expose().get(row / self.ggsw.rows()),
        ) {
            *constant = constant.wrapping_add(bit << shift);
        }

        let label = Label::new("organtwin/noise").text(self.part.name());
        let mut stream = self.key.noise.stream(&label);
        self.noise.add(&mut stream, row * polynomial, body);
    }
}

struct Buffers {
    mask: Vec<u128>,
    mask64: Vec<u64>,
    transform: Vec<u32>,
    sum: Zeroizing<Vec<u32>>,
}

impl Buffers {
    fn new(rows: &Rows<'_>) -> Self {
        let mask = rows.ggsw.masks * rows.ggsw.polynomial;
        Self {
            mask: vec![0; mask],
            mask64: vec![0; if rows.ggsw.modulus == 64 { mask } else { 0 }],
            transform: vec![0; rows.ring.transform_len()],
            sum: Zeroizing::new(vec![0; rows.ring.transform_len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_samples_stay_within_the_bound_and_reach_both_halves() {
        let mut values = vec![0u128; 4096];
        let mut stream = Seed::new([5; 32]).stream(&Label::new("noise"));
        TUniform::new(17).add(&mut stream, 0, &mut values);
        let bound = 1i128 << 17;
        let signed: Vec<i128> = values
            .iter()
            .map(|v| i128::from_le_bytes(v.to_le_bytes()))
            .collect();
        assert!(signed.iter().all(|v| (-bound..=bound).contains(v)));
        let variance = signed.iter().map(|v| (v * v) as f64).sum::<f64>() / 4096.0;
        let expected = (2f64.powi(35) + 1.0) / 6.0;
        assert!(
            (variance / expected - 1.0).abs() < 0.1,
            "{variance} {expected}"
        );
    }

    #[test]
    fn exact_noise_weighs_its_bits_like_a_tuniform_sample() {
        assert_eq!(exact_noise(2, true, &[0, 0, 0, 0]), [4u64.wrapping_neg()]);
        assert_eq!(exact_noise(2, true, &[1, 1, 1, 1]), [4]);
        assert_eq!(
            exact_noise(2, true, &[1, 0, 0, 0]),
            exact_noise(2, true, &[0, 0, 0, 1])
        );
    }
}
