//! The hospital's side: one-time pads, each slot used once (docs/spec/decryption.md 9).

use std::collections::BTreeMap;
use std::ops::Range;

use super::{BatchId, InputError, PAD_BYTES, pad_stream};
use crate::party::PieceId;
use crate::prf::Seed;
use crate::public_key::PublicKeyInfo;
use crate::secret::Secret;

/// Slots of one batch that were never handed out before; moved into their only use.
#[derive(Debug, PartialEq, Eq)]
pub struct SlotRange {
    batch: BatchId,
    slots: Range<u32>,
}

impl SlotRange {
    /// Returns the first slot.
    #[must_use]
    pub const fn first(&self) -> u32 {
        self.slots.start
    }

    /// Returns the slot after the last: what must be durable before the slots are used.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.slots.end
    }
}

/// The pads of one batch, known to its hospital only; each slot is used once.
///
/// Reserve slots, make [`SlotRange::end`] durable, then encrypt: after a crash the reserved slots
/// are burnt (decryption.md 9).
pub struct InputPad {
    batch: BatchId,
    seeds: Vec<Seed>,
    next: u32,
    slots: u32,
}

impl InputPad {
    /// Combines the subseeds of all pieces; `first_free` is the first slot never reserved before.
    ///
    /// # Errors
    /// [`InputError::Incomplete`] unless exactly one subseed per piece is given;
    /// [`InputError::OutOfRange`] if the first free slot is beyond the batch.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the subseeds are consumed and wiped"
    )]
    pub fn new(
        info: &PublicKeyInfo,
        batch: BatchId,
        subseeds: BTreeMap<PieceId, Secret<[u8; 32]>>,
        first_free: u32,
    ) -> Result<Self, InputError> {
        batch.check()?;
        let pieces = info.committee.pieces();
        let seeds: Vec<Seed> = pieces
            .iter()
            .filter_map(|piece| subseeds.get(piece))
            .map(|subseed| Seed::new(*subseed.expose()))
            .collect();
        if seeds.len() != pieces.len() || subseeds.len() != pieces.len() {
            return Err(InputError::Incomplete {
                what: "subseeds",
                expected: pieces.len(),
                got: seeds.len(),
            });
        }
        let slots = batch.slots(info);
        let total = u32::try_from(slots).unwrap_or(u32::MAX);
        if first_free > total {
            let first = first_free as usize;
            return Err(InputError::OutOfRange {
                first,
                end: first,
                slots,
            });
        }
        Ok(Self {
            batch,
            seeds,
            next: first_free,
            slots: total,
        })
    }

    /// Returns the number of slots that were never reserved.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.slots - self.next
    }

    /// Reserves the next `count` slots.
    ///
    /// # Errors
    /// [`InputError::Exhausted`] when the batch has fewer left.
    pub fn reserve(&mut self, count: usize) -> Result<SlotRange, InputError> {
        let exhausted = InputError::Exhausted {
            wanted: count,
            left: self.left() as usize,
        };
        let end = u32::try_from(count)
            .ok()
            .and_then(|count| self.next.checked_add(count))
            .filter(|end| *end <= self.slots)
            .ok_or(exhausted)?;
        let slots = self.next..end;
        self.next = end;
        Ok(SlotRange {
            batch: self.batch,
            slots,
        })
    }

    /// Encrypts one weight per reserved slot: c_j = m_j - rho_j mod 2^128 (decryption.md 9.2).
    ///
    /// # Errors
    /// [`InputError`] when the reservation is of another batch or another length.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a reservation is consumed by its use"
    )]
    pub fn encrypt(&self, slots: SlotRange, weights: &[u32]) -> Result<Vec<u128>, InputError> {
        if slots.batch != self.batch {
            return Err(InputError::OtherBatch);
        }
        let reserved = slots.slots.len();
        if reserved != weights.len() {
            return Err(InputError::SlotCount {
                slots: reserved,
                weights: weights.len(),
            });
        }
        let mut values: Vec<u128> = weights.iter().map(|weight| u128::from(*weight)).collect();
        for seed in &self.seeds {
            let mut stream = pad_stream(seed);
            stream.seek(u64::from(slots.slots.start) * PAD_BYTES);
            for value in &mut values {
                *value = value.wrapping_sub(stream.next_u128());
            }
        }
        Ok(values)
    }
}
