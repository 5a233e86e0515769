//! The check of deposited twins on this party's shares.

use std::collections::BTreeMap;

use organtwin_protocol::admission::pack;
use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::{Batch, TwinCheck};
use organtwin_protocol::twin::TwinId;
use organtwin_simulations::Schema;
use organtwin_threshold::{Checker, Deposited, PieceId, Secret};
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::JobError;
use super::deposit::{batch_id, blob, subseeds};
use super::keys::{KeyRing, take_secret};
use crate::store::Store;

/// A deposited twin that is to be checked.
#[derive(Clone, Copy)]
pub struct Unchecked {
    /// Its name.
    pub id: TwinId,
    /// The digest of its bytes.
    pub twin: Digest,
    /// Its first slot.
    pub first_slot: u32,
}

/// What came of a check.
pub struct Checks {
    /// The values of the twins that could be checked.
    pub checked: Vec<TwinCheck>,
    /// The twins whose bytes are not those of their schema's slots.
    pub unfit: Vec<Digest>,
}

/// Computes what this party states of twins that one statement deposits.
///
/// With `foreign`, the subseeds of the pieces that this party lacks as the hospital of the batch, these are the
/// values of all groups; otherwise those of its own groups.
pub fn check(
    store: &Store,
    key: &KeyRing,
    batch: &Batch,
    statement: Digest,
    foreign: Option<BTreeMap<PieceId, Zeroizing<[u8; 32]>>>,
    schema: &Schema,
    twins: &[Unchecked],
) -> Result<Checks, JobError> {
    let rules =
        crate::admission::rules(schema).map_err(|error| JobError::Bug(error.to_string()))?;
    let id = batch_id(batch);
    let checker = match foreign {
        None => Checker::member(key.share(), id)?,
        Some(foreign) => {
            let all = foreign.into_iter().chain(subseeds(key, batch));
            let all: BTreeMap<PieceId, Secret<[u8; 32]>> = all
                .map(|(piece, secret)| (piece, take_secret(*secret)))
                .collect();
            Checker::hospital(key.committee(), id, all)?
        }
    };
    let checked = twins
        .par_iter()
        .map(|twin| {
            let bytes = blob(store, &twin.twin)?;
            let (words, rest) = bytes.as_chunks::<16>();
            if !rest.is_empty() || words.len() != rules.slots() {
                return Ok(None);
            }
            let published: Vec<u128> = words
                .iter()
                .map(|word| u128::from_le_bytes(*word))
                .collect();
            let deposited = Deposited {
                batch: id,
                first_slot: twin.first_slot,
                twin: twin.twin,
                statement,
            };
            let values = checker.values(&rules, &deposited, &published)?;
            Ok(Some(TwinCheck {
                id: twin.id,
                values: pack(&values).into(),
            }))
        })
        .collect::<Result<Vec<_>, JobError>>()?;
    let unfit = twins
        .iter()
        .zip(&checked)
        .filter(|(_, check)| check.is_none())
        .map(|(twin, _)| twin.twin)
        .collect();
    Ok(Checks {
        checked: checked.into_iter().flatten().collect(),
        unfit,
    })
}
