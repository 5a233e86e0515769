use std::collections::BTreeMap;

use super::*;
use crate::committee::{Committee, Passive};
use crate::digest::{Digest, SessionId};
use crate::open::PieceSeeds;
use crate::params::ParameterSet;
use crate::party::PartySet;

struct Consortium {
    info: PublicKeyInfo,
    shares: Vec<KeyShare>,
    key: Vec<u64>,
}

fn party(number: u8) -> PartyId {
    PartyId::new(number).unwrap()
}

/// Key shares of a committee with random GLWE pieces: nothing here needs the key to be binary.
fn consortium(n: u8, t: u8) -> Consortium {
    let committee = Committee::new(n, t, Passive::Allow).unwrap();
    let params = ParameterSet::production().unwrap();
    let root = Seed::new([n; 32]);
    let seed = |piece: &PieceId| root.derive(&Label::new("seed").piece(*piece));
    let piece_key = |piece: &PieceId| -> Vec<u64> {
        let mut stream = root.stream(&Label::new("glwe").piece(*piece));
        (0..params.glwe_size()).map(|_| stream.next_u64()).collect()
    };
    let mut key = vec![0u64; params.glwe_size()];
    for piece in committee.pieces() {
        for (sum, value) in key.iter_mut().zip(piece_key(piece)) {
            *sum = sum.wrapping_add(value);
        }
    }
    let shares = committee
        .parties()
        .iter()
        .map(|me| {
            let held = || committee.pieces_of(me);
            let seeds = held().map(|piece| (piece, seed(&piece))).collect();
            KeyShare {
                params,
                committee: committee.clone(),
                me,
                epoch: 0,
                key: Digest::new([0; 32]),
                glwe: held().map(|p| (p, Secret::new(piece_key(&p)))).collect(),
                squashing: BTreeMap::new(),
                live: PieceSeeds::new(&committee, me, seeds).unwrap(),
            }
        })
        .collect();
    let info = PublicKeyInfo {
        params,
        committee,
        session: SessionId::new([0; 32]),
        mask_seed: [77; 32],
        digest: Digest::new([0; 32]),
    };
    Consortium { info, shares, key }
}

const BATCH: BatchId = BatchId {
    epoch: 0,
    hospital: PartyId::new(2).unwrap(),
    number: 5,
    polynomials: 2,
};

impl Consortium {
    /// All groups' vectors; every member's is compared with the first one's.
    fn vectors(&self) -> BTreeMap<usize, Vec<u8>> {
        let mut vectors = BTreeMap::new();
        for share in &self.shares {
            for (group, bytes) in share.batch_vectors(&self.info, &BATCH).unwrap() {
                let first = vectors.entry(group).or_insert_with(|| bytes.clone());
                assert!(*first == bytes, "members of group {group} differ");
            }
        }
        vectors
    }

    fn subseeds(&self) -> BTreeMap<PieceId, Secret<[u8; 32]>> {
        let pieces = self.info.committee.pieces().iter();
        pieces
            .map(|piece| {
                let mut given = self
                    .shares
                    .iter()
                    .filter_map(|s| s.batch_subseed(&BATCH, *piece));
                let first = given.next().unwrap();
                assert!(given.all(|other| other.expose() == first.expose()));
                (*piece, first)
            })
            .collect()
    }

    fn bodies(&self) -> BatchBodies {
        BatchBodies::combine(&self.info, BATCH, &self.vectors()).unwrap()
    }

    fn pad(&self) -> InputPad {
        InputPad::new(&self.info, BATCH, self.subseeds(), 0).unwrap()
    }

    /// Decrypts without rounding.
    fn phase(&self, ciphertext: &tfhe::core_crypto::prelude::LweCiphertextOwned<u64>) -> u64 {
        let words = ciphertext.as_ref();
        let (body, mask) = words.split_last().unwrap();
        let product = mask
            .iter()
            .zip(&self.key)
            .fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
        body.wrapping_sub(product)
    }
}

#[test]
fn deposits_decrypt_to_the_weights_with_one_noise_term_per_group() {
    for (n, t) in [(3, 1), (4, 1), (5, 1), (7, 2)] {
        let consortium = consortium(n, t);
        let bodies = consortium.bodies();
        let mut pad = consortium.pad();
        assert_eq!(bodies.slots(), 4096);
        // Across the border between the two polynomials.
        pad.reserve(1500).unwrap();
        let slots = pad.reserve(1000).unwrap();
        let first = slots.first();
        let weights: Vec<u32> = (0..1000).map(|i| i * 1048 + 1).collect();
        let values = pad.encrypt(slots, &weights).unwrap();
        let ciphertexts = bodies.ciphertexts(first, &values).unwrap();
        let groups = consortium.info.committee.family(Family::Live).len();
        let bound = (groups as i64) << 17;
        let mut squares = 0.0;
        for (weight, ciphertext) in weights.iter().zip(&ciphertexts) {
            let noise = consortium
                .phase(ciphertext)
                .wrapping_sub(u64::from(*weight) << INPUT_DELTA_LOG)
                .cast_signed();
            assert!(noise.abs() <= bound, "({n},{t}): noise {noise}");
            squares += (noise as f64).powi(2);
        }
        // The noise terms add: TUniform(17) has variance about 2^34 / 3.
        let ratio = squares / 1000.0 / (groups as f64 * 2f64.powi(34) / 3.0);
        assert!(
            (0.8..1.2).contains(&ratio),
            "({n},{t}): {ratio} of the expected variance"
        );
    }
}

#[test]
fn without_any_one_group_the_bodies_are_noise() {
    let consortium = consortium(3, 1);
    let mut vectors = consortium.vectors();
    let zero = vec![0; BATCH.vector_bytes(&consortium.info)];
    vectors.insert(1, zero);
    let bodies = BatchBodies::combine(&consortium.info, BATCH, &vectors).unwrap();
    let mut pad = consortium.pad();
    let slots = pad.reserve(1).unwrap();
    let values = pad.encrypt(slots, &[7]).unwrap();
    let ciphertexts = bodies.ciphertexts(0, &values).unwrap();
    let noise = consortium
        .phase(&ciphertexts[0])
        .wrapping_sub(7 << INPUT_DELTA_LOG)
        .cast_signed();
    assert!(noise.abs() > 1 << 30);
}

#[test]
fn a_pad_is_one_time_each_slot_is_handed_out_once() {
    let consortium = consortium(4, 1);
    let mut pad = consortium.pad();
    let (one, two) = (pad.reserve(3000).unwrap(), pad.reserve(1000).unwrap());
    assert_eq!(
        (one.first(), one.end(), two.first(), two.end()),
        (0, 3000, 3000, 4000)
    );
    assert_eq!(
        pad.reserve(97),
        Err(InputError::Exhausted {
            wanted: 97,
            left: 96
        })
    );
    assert_eq!(pad.left(), 96);
    // After a restart the durable end goes on where it was.
    let mut again = InputPad::new(&consortium.info, BATCH, consortium.subseeds(), 4000).unwrap();
    assert_eq!(again.reserve(96).unwrap().first(), 4000);
    assert!(InputPad::new(&consortium.info, BATCH, consortium.subseeds(), 4097).is_err());
}

#[test]
fn a_reservation_fits_its_batch_and_its_weights() {
    let consortium = consortium(4, 1);
    let mut pad = consortium.pad();
    let slots = pad.reserve(2).unwrap();
    assert_eq!(
        pad.encrypt(slots, &[1]),
        Err(InputError::SlotCount {
            slots: 2,
            weights: 1
        })
    );
    let other = BatchId { number: 6, ..BATCH };
    let mut foreign = InputPad::new(&consortium.info, other, consortium.subseeds(), 0).unwrap();
    assert_eq!(
        pad.encrypt(foreign.reserve(1).unwrap(), &[1]),
        Err(InputError::OtherBatch)
    );
}

#[test]
fn a_coalition_of_t_lacks_a_subseed_and_learns_nothing_of_a_weight() {
    let consortium = consortium(7, 2);
    let committee = &consortium.info.committee;
    for coalition in PartySet::subsets(7, 2) {
        let lacked: Vec<_> = committee
            .pieces()
            .iter()
            .filter(|piece| coalition.iter().all(|party| !piece.is_held_by(party)))
            .collect();
        assert_eq!(lacked.len(), 1);
        for member in coalition.iter() {
            let share = &consortium.shares[member.index()];
            assert!(share.batch_subseed(&BATCH, *lacked[0]).is_none());
        }
        let mut subseeds = consortium.subseeds();
        subseeds.remove(lacked[0]);
        assert!(matches!(
            InputPad::new(&consortium.info, BATCH, subseeds, 0),
            Err(InputError::Incomplete {
                expected: 21,
                got: 20,
                ..
            })
        ));
    }
}

#[test]
fn subseeds_and_masks_differ_between_hospitals_and_batches() {
    let consortium = consortium(4, 1);
    let share = &consortium.shares[0];
    let piece = consortium
        .info
        .committee
        .pieces_of(party(1))
        .next()
        .unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for batch in [
        BATCH,
        BatchId {
            hospital: party(3),
            ..BATCH
        },
        BatchId { number: 6, ..BATCH },
        BatchId { epoch: 1, ..BATCH },
        BatchId {
            polynomials: 3,
            ..BATCH
        },
    ] {
        assert!(seen.insert(*share.batch_subseed(&batch, piece).unwrap().expose()));
        let mask = batch.mask(&consortium.info.mask_seed, 4, 0);
        let bytes: Vec<u8> = mask.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert!(seen.insert(bytes.try_into().unwrap()));
    }
}

#[test]
fn incomplete_or_misshapen_batches_are_refused() {
    let consortium = consortium(4, 1);
    let share = &consortium.shares[0];
    for polynomials in [0, MAX_POLYNOMIALS + 1] {
        let batch = BatchId {
            polynomials,
            ..BATCH
        };
        assert_eq!(
            share.batch_vectors(&consortium.info, &batch),
            Err(InputError::Polynomials(polynomials))
        );
    }
    let late = BatchId { epoch: 1, ..BATCH };
    assert!(matches!(
        share.batch_vectors(&consortium.info, &late),
        Err(InputError::Epoch {
            expected: 0,
            got: 1
        })
    ));
    let vectors = consortium.vectors();
    let mut missing = vectors.clone();
    missing.remove(&3);
    assert!(matches!(
        BatchBodies::combine(&consortium.info, BATCH, &missing),
        Err(InputError::Incomplete {
            expected: 4,
            got: 3,
            ..
        })
    ));
    let mut foreign = vectors.clone();
    foreign.insert(4, vec![]);
    assert!(BatchBodies::combine(&consortium.info, BATCH, &foreign).is_err());
    let mut short = vectors;
    short.get_mut(&2).unwrap().pop();
    assert!(matches!(
        BatchBodies::combine(&consortium.info, BATCH, &short),
        Err(InputError::VectorLength { group: 2, .. })
    ));
    assert!(matches!(
        consortium.bodies().ciphertexts(4095, &[0, 0]),
        Err(InputError::OutOfRange {
            first: 4095,
            end: 4097,
            slots: 4096
        })
    ));
}

#[test]
fn tuniform_reaches_its_ends_half_as_often() {
    let mut counts = BTreeMap::new();
    for bits in 0..16 {
        *counts.entry(tuniform(bits, 2).cast_signed()).or_insert(0) += 1;
    }
    let expected = [
        (-4, 1),
        (-3, 2),
        (-2, 2),
        (-1, 2),
        (0, 2),
        (1, 2),
        (2, 2),
        (3, 2),
        (4, 1),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}
