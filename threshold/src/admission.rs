//! Admission of deposits: the exact check, on shares, that a twin's weights fulfil the equations of its
//! schema (docs/spec/admission.md, 6 to 8).
//!
//! The shares of a weight are m = c + sum of rho_A, where rho_A comes from the batch's subseeds. All equations
//! of a twin are folded into two values with coefficients hashed from the deposit, and opened over
//! [`Family::Quad`]. Both are 0 for an honest twin; nothing else of it is opened.

mod rules;
#[cfg(test)]
#[cfg(feature = "insecure-test-parameters")]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use rules::{Apart, Form, Rules, RulesError};

use crate::committee::{Committee, Family};
use crate::digest::Digest;
use crate::inputs::{BatchId, InputError, pad_stream};
use crate::open::{Group, Groups, PieceSeeds, Width};
use crate::party::PieceId;
use crate::prf::{Label, Seed};
use crate::secret::Secret;
use crate::share::KeyShare;
use rules::Coefficients;

/// How many values are opened for one twin, with independent coefficients (4.3).
pub const VALUES: usize = 2;

/// Bytes of one group's values of a twin.
pub const VALUE_BYTES: usize = VALUES * 16;

/// What a group computes of a twin, or what all groups' values sum to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct AdmissionValue([u128; VALUES]);

impl AdmissionValue {
    /// Reads the bytes that [`AdmissionValue::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; VALUE_BYTES]) -> Self {
        let mut value = Self::default();
        for (to, from) in value.0.iter_mut().zip(bytes.as_chunks::<16>().0) {
            *to = u128::from_le_bytes(*from);
        }
        value
    }

    /// The values modulo 2^128, 16 bytes each, little end first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; VALUE_BYTES] {
        let mut bytes = [0; VALUE_BYTES];
        for (to, from) in bytes.as_chunks_mut::<16>().0.iter_mut().zip(self.0) {
            *to = from.to_le_bytes();
        }
        bytes
    }

    /// Adds modulo 2^128.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut sum = self;
        for (to, from) in sum.0.iter_mut().zip(other.0) {
            *to = to.wrapping_add(from);
        }
        sum
    }

    /// Whether the sum over all groups admits the twin.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// One deposited twin: everything that its coefficients and masks are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposited {
    /// The batch whose slots it uses.
    pub batch: BatchId,
    /// Its first slot.
    pub first_slot: u32,
    /// The digest of its published values.
    pub twin: Digest,
    /// The hash of the statement that deposits it.
    pub statement: Digest,
}

impl Deposited {
    fn label(&self, domain: &str) -> Label {
        self.batch
            .label(domain)
            .uint(self.first_slot)
            .digest(&self.twin)
            .digest(&self.statement)
    }
}

/// Why a twin cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The batch or the subseeds are wrong.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The twin has another number of values than its schema has slots.
    #[error("expected {expected} values of the twin, got {got}: it is not of this schema")]
    Slots {
        /// Slots of the schema.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

/// Whoever can compute values of some groups for the twins of one batch.
pub struct Checker {
    batch: BatchId,
    groups: Groups,
    mine: Vec<usize>,
    /// The subseeds of the batch.
    seeds: PieceSeeds,
    /// The piece to whose share the published values are added.
    first: Option<PieceId>,
}

impl Checker {
    /// A party that checks the groups that it is a member of.
    ///
    /// # Errors
    /// [`InputError`] for a batch of another epoch or a wrong size.
    pub fn member(share: &KeyShare, batch: BatchId) -> Result<Self, AdmissionError> {
        batch.check()?;
        if batch.epoch != share.epoch() {
            return Err(InputError::Epoch {
                expected: share.epoch(),
                got: batch.epoch,
            }
            .into());
        }
        let groups = Groups::new(share.committee(), Family::Quad);
        let mine = groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.members().contains(share.me()))
            .map(|(position, _)| position)
            .collect();
        Ok(Self {
            batch,
            groups,
            mine,
            seeds: share.live_seeds().derive(&batch.label("organtwin/in")),
            first: share.committee().pieces().first().copied(),
        })
    }

    /// The batch's hospital, which knows every subseed and so the values of all groups.
    ///
    /// # Errors
    /// [`InputError::Incomplete`] unless exactly one subseed per piece is given.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the subseeds are consumed and wiped"
    )]
    pub fn hospital(
        committee: &Committee,
        batch: BatchId,
        subseeds: BTreeMap<PieceId, Secret<[u8; 32]>>,
    ) -> Result<Self, AdmissionError> {
        batch.check()?;
        let given = subseeds
            .iter()
            .map(|(piece, subseed)| (*piece, Seed::new(*subseed.expose())));
        let groups = Groups::new(committee, Family::Quad);
        let got = subseeds.len();
        let incomplete = |_| InputError::Incomplete {
            what: "subseeds",
            expected: committee.pieces().len(),
            got,
        };
        let seeds = PieceSeeds::of_all(committee, given.collect()).map_err(incomplete)?;
        Ok(Self {
            batch,
            mine: (0..groups.len()).collect(),
            groups,
            seeds,
            first: committee.pieces().first().copied(),
        })
    }

    /// The positions of the groups whose values [`Checker::values`] gives.
    #[must_use]
    pub fn groups(&self) -> &[usize] {
        &self.mine
    }

    /// The values of this checker's groups for one twin, in the family's order; the same bytes whenever and
    /// by whomever of the group they are computed (7).
    ///
    /// # Errors
    /// [`AdmissionError`] for a twin of another batch or another number of values.
    pub fn values(
        &self,
        rules: &Rules,
        deposited: &Deposited,
        published: &[u128],
    ) -> Result<Vec<AdmissionValue>, AdmissionError> {
        if deposited.batch != self.batch {
            return Err(InputError::OtherBatch.into());
        }
        if published.len() != rules.slots() {
            return Err(AdmissionError::Slots {
                expected: rules.slots(),
                got: published.len(),
            });
        }
        let coefficients = rules.coefficients(&deposited.label("organtwin/admission-coefficients"));
        let shares = self.shares(deposited.first_slot, published);
        let mask = deposited.label("organtwin/admission-zero");
        self.mine
            .iter()
            .filter_map(|position| Some((*position, self.groups.get(*position)?)))
            .map(|(position, group)| {
                let mut value = AdmissionValue::default();
                if position == 0 {
                    value = AdmissionValue(coefficients.constant());
                }
                self.terms(group, &shares, &coefficients, &mut value)
                    .and_then(|()| {
                        group.add_masks(&self.seeds, &mask, Width::W128, 0, &mut value.0)
                    })
                    .map_err(InputError::PieceNotHeld)?;
                Ok(value)
            })
            .collect()
    }

    /// The shares rho_A of the twin's slots that this checker knows; the first piece's carry c as well (6.1).
    fn shares(
        &self,
        first_slot: u32,
        published: &[u128],
    ) -> BTreeMap<PieceId, Zeroizing<Vec<u128>>> {
        let share = |piece: PieceId, seed: &Seed| {
            let mut bytes = Zeroizing::new(vec![0; published.len() * 16]);
            let mut stream = pad_stream(seed);
            stream.seek(u64::from(first_slot) * 16);
            stream.fill(&mut bytes);
            let pads = bytes.as_chunks::<16>().0.iter();
            let mut share: Zeroizing<Vec<u128>> =
                Zeroizing::new(pads.map(|pad| u128::from_le_bytes(*pad)).collect());
            if Some(piece) == self.first {
                for (sum, value) in share.iter_mut().zip(published) {
                    *sum = sum.wrapping_add(*value);
                }
            }
            share
        };
        self.seeds
            .iter()
            .map(|(piece, seed)| (piece, share(piece, seed)))
            .collect()
    }

    /// Adds the group's products and linear terms of the shares (6.3).
    fn terms(
        &self,
        group: &Group,
        shares: &BTreeMap<PieceId, Zeroizing<Vec<u128>>>,
        coefficients: &Coefficients<'_>,
        value: &mut AdmissionValue,
    ) -> Result<(), PieceId> {
        for (left, right) in group.quadratic() {
            let factor = shares.get(left).ok_or(*left)?;
            let mut sum = Zeroizing::new(vec![0u128; factor.len()]);
            for piece in right {
                let share = shares.get(piece).ok_or(*piece)?;
                for (to, from) in sum.iter_mut().zip(share.iter()) {
                    *to = to.wrapping_add(*from);
                }
            }
            *value = value.plus(AdmissionValue(coefficients.products(factor, &sum)));
        }
        for piece in group.linear() {
            let share = shares.get(piece).ok_or(*piece)?;
            *value = value.plus(AdmissionValue(coefficients.linear(share)));
        }
        Ok(())
    }
}
