//! Key shares from a dealer who knows the key: for tests and benchmarks of decryption and inputs,
//! which then need no ceremony. Compiled in only with `insecure-test-parameters`; nodes never call it.

use std::collections::BTreeMap;

use crate::committee::Committee;
use crate::digest::{Digest, SessionId};
use crate::open::PieceSeeds;
use crate::params::ParameterSet;
use crate::party::PieceId;
use crate::prf::{Label, Seed};
use crate::public_key::PublicKeyInfo;
use crate::secret::Secret;
use crate::share::KeyShare;

/// A key that a dealer knows and has shared.
pub struct Dealt {
    /// What would be public about the key; its digest is zero, there is no public key material.
    pub info: PublicKeyInfo,
    /// The shares of all parties, in order.
    pub shares: Vec<KeyShare>,
}

/// Shares given keys among a committee: random pieces that add up to the bits given.
///
/// `glwe` and `squashing` are the bits of the two keys; missing bits count as 0.
///
/// # Errors
/// Returns the piece whose seed is missing; never for a valid committee.
pub fn deal(
    committee: &Committee,
    params: ParameterSet,
    glwe: &[u64],
    squashing: &[u128],
    seed: &Seed,
) -> Result<Dealt, PieceId> {
    let digest = Digest::new([0; 32]);
    let (last, random) = committee
        .pieces()
        .split_last()
        .map_or((None, &[][..]), |(l, r)| (Some(*l), r));
    let mut rest64: Vec<u64> = fit(glwe, params.glwe_size());
    let mut rest128: Vec<u128> = fit(squashing, params.squashing_size());
    let mut pieces: BTreeMap<PieceId, (Vec<u64>, Vec<u128>)> = BTreeMap::new();
    for piece in random {
        let mut stream = seed.stream(&Label::new("organtwin/test-piece").piece(*piece));
        let small: Vec<u64> = rest64.iter().map(|_| stream.next_u64()).collect();
        let large: Vec<u128> = rest128.iter().map(|_| stream.next_u128()).collect();
        rest64
            .iter_mut()
            .zip(&small)
            .for_each(|(rest, value)| *rest = rest.wrapping_sub(*value));
        rest128
            .iter_mut()
            .zip(&large)
            .for_each(|(rest, value)| *rest = rest.wrapping_sub(*value));
        pieces.insert(*piece, (small, large));
    }
    pieces.extend(last.map(|piece| (piece, (rest64, rest128))));
    let live = |piece: PieceId| seed.derive(&Label::new("organtwin/test-seed").piece(piece));
    let shares = committee
        .parties()
        .iter()
        .map(|me| {
            let held = || committee.pieces_of(me);
            let of = |piece: PieceId| pieces.get(&piece).cloned().unwrap_or_default();
            Ok(KeyShare {
                params,
                committee: committee.clone(),
                me,
                epoch: 0,
                key: digest,
                glwe: held()
                    .map(|piece| (piece, Secret::new(of(piece).0)))
                    .collect(),
                squashing: held()
                    .map(|piece| (piece, Secret::new(of(piece).1)))
                    .collect(),
                live: PieceSeeds::new(committee, me, held().map(|p| (p, live(p))).collect())?,
            })
        })
        .collect::<Result<_, PieceId>>()?;
    let info = PublicKeyInfo {
        params,
        committee: committee.clone(),
        session: SessionId::new([0; 32]),
        mask_seed: *seed.derive(&Label::new("organtwin/test-mask")).expose(),
        digest,
    };
    Ok(Dealt { info, shares })
}

fn fit<T: Copy + Default>(values: &[T], length: usize) -> Vec<T> {
    let padding = std::iter::repeat(T::default());
    values.iter().copied().chain(padding).take(length).collect()
}
