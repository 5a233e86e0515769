//! Input masks and the twins that are deposited through them.

use std::collections::BTreeMap;

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::statement::{Batch, GroupDigest};
use organtwin_protocol::twin::{SLOTS_PER_POLYNOMIAL, TwinEntry, TwinId};
use organtwin_simulations::Schema;
use organtwin_threshold::{BatchBodies, BatchId, Committee, InputPad, PieceId};
use zeroize::Zeroizing;

use super::JobError;
use super::keys::{KeyRing, take_secret};
use crate::hospital::PreparedTwin;
use crate::store::{Store, Tree};

/// The batch as the threshold crate knows it.
pub(super) fn batch_id(batch: &Batch) -> BatchId {
    let Batch {
        epoch,
        hospital,
        number,
        polynomials,
    } = *batch;
    BatchId {
        epoch,
        hospital,
        number,
        polynomials,
    }
}

/// How many mask polynomials so many twins need.
pub fn polynomials_for(twins: usize, schema: &Schema) -> u16 {
    let slots = twins.saturating_mul(schema.slots());
    u16::try_from(slots.div_ceil(SLOTS_PER_POLYNOMIAL as usize)).unwrap_or(u16::MAX)
}

/// Computes the vectors of this party's groups and keeps them as blobs.
pub fn batch_vectors(
    store: &Store,
    key: &KeyRing,
    batch: &Batch,
) -> Result<Vec<GroupDigest>, JobError> {
    let vectors = key.share().batch_vectors(key.info(), &batch_id(batch))?;
    store
        .blobs()
        .put_all(vectors.iter().map(|(_, bytes)| bytes.as_slice()))?;
    let digests = vectors.iter().map(|(group, bytes)| {
        let group =
            u16::try_from(*group).map_err(|_| JobError::Bug("a group beyond the family".into()))?;
        Ok(GroupDigest {
            group,
            digest: of_blob(bytes),
        })
    });
    digests.collect()
}

/// Adds the accepted vectors of all groups to the batch's bodies. `committee` is that of the batch's epoch.
pub fn combine(
    store: &Store,
    key: &KeyRing,
    committee: Committee,
    batch: &Batch,
    vectors: &[Digest],
) -> Result<BatchBodies, JobError> {
    let mut info = key.info().clone();
    info.committee = committee;
    let mut by_group = BTreeMap::new();
    for (group, digest) in vectors.iter().enumerate() {
        by_group.insert(group, blob(store, digest)?);
    }
    Ok(BatchBodies::combine(&info, batch_id(batch), &by_group)?)
}

/// The subseeds of this party's pieces that its hospital lacks, for that hospital only.
pub fn foreign_subseeds(key: &KeyRing, batch: &Batch) -> Vec<(PieceId, Zeroizing<[u8; 32]>)> {
    let mut subseeds = subseeds(key, batch);
    subseeds.retain(|(piece, _)| !piece.is_held_by(batch.hospital));
    subseeds
}

/// The subseeds of all of this party's pieces.
pub(super) fn subseeds(key: &KeyRing, batch: &Batch) -> Vec<(PieceId, Zeroizing<[u8; 32]>)> {
    let batch = batch_id(batch);
    let pieces = key.committee().pieces_of(key.share().me());
    pieces
        .filter_map(|piece| {
            Some((
                piece,
                Zeroizing::new(*key.share().batch_subseed(&batch, piece)?.expose()),
            ))
        })
        .collect()
}

/// Encrypts twins towards the joint key: reserves their slots durably, then computes and keeps them.
///
/// `foreign` holds the subseeds of the pieces that this party lacks.
pub fn deposit(
    store: &Store,
    key: &KeyRing,
    batch: &Batch,
    foreign: BTreeMap<PieceId, Zeroizing<[u8; 32]>>,
    twins: &[PreparedTwin],
) -> Result<Vec<TwinEntry>, JobError> {
    let id = batch_id(batch);
    let mut all: BTreeMap<PieceId, _> = foreign
        .into_iter()
        .map(|(piece, secret)| (piece, take_secret(*secret)))
        .collect();
    all.extend(
        subseeds(key, batch)
            .into_iter()
            .map(|(piece, secret)| (piece, take_secret(*secret))),
    );

    let slots: usize = twins.iter().map(|twin| twin.weights.len()).sum();
    let count = u32::try_from(slots).map_err(|_| JobError::Bug("too many slots".into()))?;
    let capacity = u32::from(batch.polynomials) * SLOTS_PER_POLYNOMIAL;
    let label = organtwin_protocol::codec::encode(batch)
        .map_err(|error| JobError::Bug(error.to_string()))?;
    let first = store
        .reserve_slots(&label, capacity, count)?
        .ok_or_else(|| JobError::Bug("the batch has too few slots left".into()))?;

    let mut pad = InputPad::new(key.info(), id, all, first)?;
    let mut entries = Vec::with_capacity(twins.len());
    let mut blobs = Vec::with_capacity(twins.len());
    for twin in twins {
        let range = pad.reserve(twin.weights.len())?;
        let first_slot = range.first();
        let slots = range.end() - first_slot;
        let words = pad.encrypt(range, &twin.weights)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut id = [0u8; 16];
        rand::fill(&mut id);
        let id = TwinId::from_bytes(id);
        store.put(Tree::OwnTwins, id.as_bytes(), &twin.local_id)?;
        entries.push(TwinEntry {
            id,
            digest: of_blob(&bytes),
            first_slot,
            slots,
        });
        blobs.push(bytes);
    }
    store.blobs().put_all(blobs.iter().map(Vec::as_slice))?;
    store.flush()?;
    Ok(entries)
}

/// The hospital's own names for its twins.
pub fn local_ids(store: &Store) -> Result<BTreeMap<TwinId, String>, JobError> {
    let mut names = BTreeMap::new();
    for (key, name) in store.all::<String>(Tree::OwnTwins)? {
        let id = key
            .try_into()
            .map_err(|_| JobError::Bug("a twin's identifier of another length".into()))?;
        names.insert(TwinId::from_bytes(id), name);
    }
    Ok(names)
}

pub(super) fn blob(store: &Store, digest: &Digest) -> Result<Vec<u8>, JobError> {
    store
        .blobs()
        .get(digest.as_bytes())?
        .ok_or_else(|| JobError::Bug(format!("blob {digest} is gone")))
}
