//! Input batches, deposited twins and the list of a study's twins (docs/spec/statements.md, S6).

use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, byte_array};
use crate::digest::{self, Digest};

/// Slots that one mask polynomial serves.
pub const SLOTS_PER_POLYNOMIAL: u32 = 2048;
/// The most polynomials of one batch: as many as parties can compute vectors for.
pub const MAX_POLYNOMIALS: u16 = organtwin_threshold::inputs::MAX_POLYNOMIALS;
/// The most twins that one statement deposits or acknowledges.
pub const MAX_TWINS_PER_STATEMENT: usize = 256;
/// The most twins of one study.
pub const MAX_TWINS_PER_STUDY: usize = 65_536;
/// The longest encoding of a twin list, in bytes.
pub const MAX_TWIN_LIST_BYTES: usize = 8 * 1024 * 1024;
/// The longest name of an organ, in bytes.
pub const MAX_ORGAN_BYTES: usize = 32;

byte_array! {
    /// A random name that a hospital gives to a deposited twin; it says nothing about the patient.
    TwinId, 16
}

/// One twin of a deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinEntry {
    /// The twin's name.
    pub id: TwinId,
    /// The address of the encrypted twin.
    pub digest: Digest,
    /// The first slot of the batch that it uses.
    pub first_slot: u32,
    /// How many slots it uses, contiguous.
    pub slots: u32,
}

/// One twin of a study. The order is that of the twin list: by name, digest, depositor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinRef {
    /// The twin's name.
    pub id: TwinId,
    /// The address of the encrypted twin.
    pub digest: Digest,
    /// Who deposited it.
    pub depositor: PartyId,
}

/// The twins of a study, sorted and without repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<TwinRef>", into = "Vec<TwinRef>")]
pub struct TwinList(Vec<TwinRef>);

/// Why twins do not make a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TwinListError {
    /// Too many twins, or none.
    #[error("expected 1 to {MAX_TWINS_PER_STUDY} twins, got {0}: narrow the cohort")]
    Count(usize),
    /// Not in strictly ascending order of (id, digest, depositor), or one twin twice.
    #[error("expected strictly ascending twins, got twin {0} out of order or twice")]
    Order(TwinId),
}

impl TryFrom<Vec<TwinRef>> for TwinList {
    type Error = TwinListError;

    fn try_from(twins: Vec<TwinRef>) -> Result<Self, TwinListError> {
        if twins.is_empty() || twins.len() > MAX_TWINS_PER_STUDY {
            return Err(TwinListError::Count(twins.len()));
        }
        for pair in twins.windows(2) {
            if let [a, b] = pair
                && (a >= b || (a.id, a.depositor) == (b.id, b.depositor))
            {
                return Err(TwinListError::Order(b.id));
            }
        }
        Ok(Self(twins))
    }
}

impl From<TwinList> for Vec<TwinRef> {
    fn from(list: TwinList) -> Self {
        list.0
    }
}

impl TwinList {
    /// Sorts twins into a list.
    ///
    /// # Errors
    /// [`TwinListError`] for none, too many, or one twin twice.
    pub fn sorted(mut twins: Vec<TwinRef>) -> Result<Self, TwinListError> {
        twins.sort_unstable();
        twins.try_into()
    }

    /// Reads the blob that a manifest names.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are not one strictly encoded, sorted list.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, MAX_TWIN_LIST_BYTES)
    }

    /// Writes the blob.
    ///
    /// # Errors
    /// Never for a list made by this crate.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self)
    }

    /// The twins in order.
    pub fn twins(&self) -> &[TwinRef] {
        &self.0
    }

    /// The RFC 6962 root over the encoded twins.
    ///
    /// # Errors
    /// Never for a list made by this crate.
    pub fn root(&self) -> Result<Digest, CodecError> {
        let leaves = self
            .0
            .iter()
            .map(codec::encode)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(digest::merkle_root(&leaves))
    }
}
