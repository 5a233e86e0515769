//! Joint input masks: one-time pads under which a hospital encrypts its twins, so that every
//! ciphertext is well formed by construction (docs/spec/decryption.md 7 to 10).

mod bodies;
mod pad;
#[cfg(test)]
mod tests;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tfhe_ntt::native64::Plan32;
use zeroize::Zeroizing;

pub use bodies::BatchBodies;
pub use pad::{InputPad, SlotRange};

use crate::committee::Family;
use crate::open::{Group, Groups, Width};
use crate::party::{PartyId, PieceId};
use crate::prf::{Label, PrfStream, Seed};
use crate::public_key::PublicKeyInfo;
use crate::secret::Secret;
use crate::share::KeyShare;

/// Logarithm of the scale of a weight: a twin's weights have 20 bits of room and a sign.
pub const INPUT_DELTA_LOG: u32 = 43;

/// The most polynomials that one batch may have: 2^19 slots at the real parameters.
pub const MAX_POLYNOMIALS: u16 = 256;

/// Bytes of a coefficient of a group vector.
const WORD: usize = 8;

/// Bytes of a pad value in its stream.
const PAD_BYTES: u64 = 16;

/// A batch of input masks for one hospital; everything about it is derived from this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchId {
    /// Epoch of the key share that made the masks.
    pub epoch: u32,
    /// The hospital that alone learns the pads.
    pub hospital: PartyId,
    /// Number of the batch, counted by its hospital.
    pub number: u32,
    /// Number of polynomials; one slot per coefficient.
    pub polynomials: u16,
}

/// Why input masks cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A batch without polynomials or with too many.
    #[error("a batch has 1 to {MAX_POLYNOMIALS} polynomials, got {0}")]
    Polynomials(u16),
    /// The polynomial size is not one that the number-theoretic transform supports.
    #[error(
        "no transform for polynomials of {0} coefficients: a power of two of at least 32 is needed"
    )]
    PolynomialSize(usize),
    /// The batch belongs to another epoch than the key share.
    #[error("the batch is of epoch {got}, the key share of epoch {expected}: ask for a new batch")]
    Epoch {
        /// Epoch of the key share.
        expected: u32,
        /// Epoch of the batch.
        got: u32,
    },
    /// The parameters have no TUniform noise.
    #[error("the parameters have no TUniform noise: input masks need it")]
    Noise,
    /// The party does not hold what a group's vector needs.
    #[error("no share of the {0} although the group needs it: the key share is damaged")]
    PieceNotHeld(PieceId),
    /// The vectors or subseeds do not come from exactly the groups or pieces of the committee.
    #[error("expected {expected} {what} for the batch, got {got}: fetch the missing ones")]
    Incomplete {
        /// Groups or subseeds.
        what: &'static str,
        /// How many there must be.
        expected: usize,
        /// How many were usable.
        got: usize,
    },
    /// A group vector has another length.
    #[error(
        "the vector of group {group} has {got} bytes, expected {expected}: its speaker is wrong"
    )]
    VectorLength {
        /// Position of the group in the family.
        group: usize,
        /// Number of bytes expected.
        expected: usize,
        /// Number of bytes given.
        got: usize,
    },
    /// More slots are asked for than the batch has left.
    #[error("{wanted} slots are wanted, the batch has {left} left: prepare another batch")]
    Exhausted {
        /// Slots asked for.
        wanted: usize,
        /// Slots never used.
        left: usize,
    },
    /// A reservation and the values to encrypt differ in number.
    #[error("{slots} slots are reserved for {weights} weights: reserve one slot per weight")]
    SlotCount {
        /// Slots reserved.
        slots: usize,
        /// Values given.
        weights: usize,
    },
    /// The reservation belongs to another batch.
    #[error("the slots are reserved in another batch")]
    OtherBatch,
    /// Slots beyond the end of the batch.
    #[error("slots {first}..{end} are beyond the {slots} of the batch")]
    OutOfRange {
        /// First slot.
        first: usize,
        /// Slot after the last.
        end: usize,
        /// Number of slots in the batch.
        slots: usize,
    },
}

impl BatchId {
    /// Returns the number of slots.
    #[must_use]
    pub fn slots(&self, info: &PublicKeyInfo) -> usize {
        usize::from(self.polynomials) * info.params.polynomial_size()
    }

    /// Returns the bytes of one group's vector.
    #[must_use]
    pub fn vector_bytes(&self, info: &PublicKeyInfo) -> usize {
        self.slots(info) * WORD
    }

    pub(crate) fn check(&self) -> Result<(), InputError> {
        if self.polynomials == 0 || self.polynomials > MAX_POLYNOMIALS {
            return Err(InputError::Polynomials(self.polynomials));
        }
        Ok(())
    }

    /// Starts a label about this batch (decryption.md 7.2).
    pub(crate) fn label(&self, domain: &str) -> Label {
        Label::new(domain)
            .uint(self.epoch)
            .party(self.hospital)
            .uint(self.number)
            .uint(self.polynomials)
    }

    /// Expands the GLWE mask of one polynomial of slots (decryption.md 7.3).
    fn mask(&self, mask_seed: &[u8; 32], size: usize, polynomial: usize) -> Vec<u64> {
        let mut stream = Seed::new(*mask_seed).stream(&self.label("organtwin/in-mask"));
        stream.seek((polynomial * size * WORD) as u64);
        (0..size).map(|_| stream.next_u64()).collect()
    }
}

/// The pad stream of a subseed; slot j lies at byte 16 j (decryption.md 7.5).
pub(crate) fn pad_stream(subseed: &Seed) -> PrfStream {
    subseed.stream(&Label::new("organtwin/pad"))
}

fn derive_subseed(seed: &Seed, batch: &BatchId) -> Seed {
    seed.derive(&batch.label("organtwin/in"))
}

/// Maps the lowest `log + 2` bits to -2^log..=2^log, the ends half as likely (decryption.md 8.4).
fn tuniform(bits: u64, log: u32) -> u64 {
    let bits = bits & ((1 << (log + 2)) - 1);
    (bits >> 1).wrapping_add(bits & 1).wrapping_sub(1 << log)
}

impl KeyShare {
    /// Derives the subseed of a piece for its batch, to be sent to the batch's hospital only; nothing
    /// for a piece that this party does not hold (decryption.md 7.4).
    #[must_use]
    pub fn batch_subseed(&self, batch: &BatchId, piece: PieceId) -> Option<Secret<[u8; 32]>> {
        let seed = self.live_seeds().get(piece)?;
        Some(Secret::new(*derive_subseed(seed, batch).expose()))
    }

    /// Computes the vectors V_g of all groups of [`Family::Live`] that this party belongs to, with
    /// the group's position in the family (decryption.md 8).
    ///
    /// # Errors
    /// [`InputError`] for a batch of an unsupported size or epoch, or a damaged key share.
    pub fn batch_vectors(
        &self,
        info: &PublicKeyInfo,
        batch: &BatchId,
    ) -> Result<Vec<(usize, Vec<u8>)>, InputError> {
        batch.check()?;
        if batch.epoch != self.epoch() {
            return Err(InputError::Epoch {
                expected: self.epoch(),
                got: batch.epoch,
            });
        }
        let size = info.params.polynomial_size();
        let plan = Plan32::try_new(size).ok_or(InputError::PolynomialSize(size))?;
        let groups = Groups::new(self.committee(), Family::Live);
        let mine = groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.members().contains(self.me()))
            .map(|(position, group)| {
                Ok((
                    position,
                    GroupTerms::new(self, info, batch, position, group)?,
                ))
            })
            .collect::<Result<Vec<_>, InputError>>()?;
        let rows: Vec<Vec<Vec<u8>>> = (0..batch.polynomials)
            .into_par_iter()
            .map(|polynomial| {
                let mask = batch.mask(&info.mask_seed, size, usize::from(polynomial));
                mine.iter()
                    .map(|(_, terms)| terms.evaluate(&plan, &mask, usize::from(polynomial)))
                    .collect()
            })
            .collect::<Result<_, InputError>>()?;
        Ok(mine
            .iter()
            .enumerate()
            .map(|(column, (position, _))| {
                let parts = rows.iter().filter_map(|row| row.get(column));
                (*position, parts.flatten().copied().collect())
            })
            .collect())
    }
}

/// The secrets from which one group's vector is made.
struct GroupTerms<'a> {
    share: &'a KeyShare,
    group: &'a Group,
    label: Label,
    /// The sum of the key pieces whose terms belong to the group.
    key: Zeroizing<Vec<u64>>,
    /// Subseeds of the same pieces.
    pads: Vec<Seed>,
    /// The group's own noise.
    noise: Seed,
    noise_log: u32,
}

impl<'a> GroupTerms<'a> {
    fn new(
        share: &'a KeyShare,
        info: &PublicKeyInfo,
        batch: &BatchId,
        position: usize,
        group: &'a Group,
    ) -> Result<Self, InputError> {
        let size = info.params.polynomial_size();
        let mut key = Zeroizing::new(vec![0u64; size]);
        let mut pads = Vec::new();
        // 8.2: a piece's term goes to the first group that holds it.
        for piece in group.linear() {
            let held = share.glwe_piece(*piece).filter(|held| held.len() == size);
            let held = held.ok_or(InputError::PieceNotHeld(*piece))?;
            for (sum, coefficient) in key.iter_mut().zip(held) {
                *sum = sum.wrapping_add(*coefficient);
            }
            let seed = share
                .live_seeds()
                .get(*piece)
                .ok_or(InputError::PieceNotHeld(*piece))?;
            pads.push(derive_subseed(seed, batch));
        }
        // 8.4: every coalition outside the group lacks an input of its noise seed.
        let noise_label = batch.label("organtwin/in-noise").index(position);
        let noise = share
            .live_seeds()
            .group_seed(share.committee(), group.members(), &noise_label)
            .map_err(InputError::PieceNotHeld)?;
        let noise_log = info.params.noise_bits().ok_or(InputError::Noise)?.glwe;
        let label = batch.label("organtwin/in-zero");
        Ok(Self {
            share,
            group,
            label,
            key,
            pads,
            noise,
            noise_log,
        })
    }

    /// Computes the group's part of the bodies of one polynomial of slots (decryption.md 8.1).
    fn evaluate(
        &self,
        plan: &Plan32,
        mask: &[u64],
        polynomial: usize,
    ) -> Result<Vec<u8>, InputError> {
        let size = mask.len();
        let first = (polynomial * size) as u64;
        let mut sum = Zeroizing::new(vec![0u64; size]);
        if !self.pads.is_empty() {
            plan.negacyclic_polymul(&mut sum, mask, &self.key);
        }
        let mut bytes = Zeroizing::new(vec![0u8; size * 16]);
        for pad in &self.pads {
            let mut stream = pad_stream(pad);
            stream.seek(first * PAD_BYTES);
            stream.fill(&mut bytes);
            for (sum, value) in sum.iter_mut().zip(bytes.chunks_exact(16)) {
                // Only the bits that survive the scale matter here.
                *sum = sum.wrapping_add(word(value) << INPUT_DELTA_LOG);
            }
        }
        bytes.truncate(size * WORD);
        let mut stream = self.noise.stream(&Label::new("organtwin/noise"));
        stream.seek(first * WORD as u64);
        stream.fill(&mut bytes);
        for (sum, bits) in sum.iter_mut().zip(bytes.chunks_exact(WORD)) {
            *sum = sum.wrapping_add(tuniform(word(bits), self.noise_log));
        }
        // 8.3: zero-sum masks, where more than one group holds a piece.
        let mut sum: Zeroizing<Vec<u128>> =
            Zeroizing::new(sum.iter().map(|v| u128::from(*v)).collect());
        self.group
            .add_masks(
                self.share.live_seeds(),
                &self.label,
                Width::W64,
                first,
                &mut sum,
            )
            .map_err(InputError::PieceNotHeld)?;
        Ok(Width::W64.encode(&sum))
    }
}

/// Reads the first 8 bytes as a little-endian integer.
fn word(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
