//! Whole ceremonies with small parameters: the assembled keys must work, and deviations must show.

use std::collections::BTreeMap;

use organtwin_threshold::inputs::INPUT_DELTA_LOG;
use organtwin_threshold::{
    BatchBodies, BatchId, Committee, Digest, InputPad, KeyCeremony, KeyShare, KeygenError,
    ParameterSet, PartyId, Passive, PieceId, PieceSeeds, PublicKey, SealError, SealingKey, Secret,
    SeedShare, SessionId, Stage, combine_seed, recombine, squash,
};
use tfhe::core_crypto::prelude::LweCiphertextOwned;

/// The seeds of party `me`, from contributions that a test may know.
fn seeds_of(committee: &Committee, session: &SessionId, me: PartyId) -> PieceSeeds {
    let seeds = committee.pieces_of(me).map(|piece| {
        let shares: Vec<(PartyId, SeedShare)> = committee
            .holders(piece)
            .iter()
            .map(|party| {
                let mut bytes = [party.get(); 32];
                bytes[0] = piece.absent().bits().to_le_bytes()[0];
                bytes[1] = piece.absent().bits().to_le_bytes()[1];
                (party, SeedShare::new(bytes))
            })
            .collect();
        let shares: Vec<_> = shares
            .iter()
            .map(|(party, share)| (*party, share))
            .collect();
        (piece, combine_seed(session, piece, &shares))
    });
    PieceSeeds::new(committee, me, seeds.collect()).unwrap()
}

fn start(committee: &Committee, params: ParameterSet) -> Vec<KeyCeremony> {
    let session = SessionId::new([7; 32]);
    committee
        .parties()
        .iter()
        .map(|me| {
            let seeds = seeds_of(committee, &session, me);
            KeyCeremony::new(committee, params, session, me, seeds, [9; 32]).unwrap()
        })
        .collect()
}

/// One chunk of every group's vector; all members must agree on it.
fn vectors(
    committee: &Committee,
    parties: &[KeyCeremony],
    stage: Stage,
    chunk: u32,
) -> Vec<Vec<u8>> {
    let family = committee.family(stage.family());
    family
        .iter()
        .enumerate()
        .map(|(group, members)| {
            let mut vectors = members.iter().map(|party| {
                parties[party.index()]
                    .group_chunk(stage, group, chunk)
                    .unwrap()
            });
            let first = vectors.next().unwrap();
            assert!(
                vectors.all(|vector| vector == first),
                "members of {members} disagree"
            );
            first
        })
        .collect()
}

fn run_stage(committee: &Committee, parties: &mut [KeyCeremony], stage: Stage) -> Digest {
    for chunk in 0..parties[0].chunks(stage) {
        let vectors = vectors(committee, parties, stage, chunk);
        for party in parties.iter_mut() {
            party.absorb(stage, chunk, &vectors).unwrap();
        }
    }
    let digests: Vec<Digest> = parties
        .iter_mut()
        .map(|p| p.finish_stage(stage).unwrap())
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    digests[0]
}

fn ceremony(committee: &Committee) -> (PublicKey, Vec<KeyShare>) {
    let mut parties = start(committee, ParameterSet::toy().unwrap());
    for stage in Stage::ALL {
        run_stage(committee, &mut parties, stage);
    }
    let mut keys = Vec::new();
    let mut shares = Vec::new();
    for party in parties {
        let (key, share) = party.finish().unwrap();
        assert_eq!(share.key(), key.digest());
        keys.push(key);
        shares.push(share);
    }
    assert!(keys.iter().all(|key| key.digest() == keys[0].digest()));
    (keys.swap_remove(0), shares)
}

/// Adds up the pieces of the GLWE key: only a test may do this.
fn glwe_key(committee: &Committee, shares: &[KeyShare]) -> Vec<u64> {
    let mut key = vec![0u64; shares[0].params().glwe_size()];
    for piece in committee.pieces() {
        let values = shares
            .iter()
            .find_map(|share| share.glwe_piece(*piece))
            .unwrap();
        for (sum, value) in key.iter_mut().zip(values) {
            *sum = sum.wrapping_add(*value);
        }
    }
    key
}

fn decrypt(key: &[u64], ciphertext: &LweCiphertextOwned<u64>) -> u64 {
    let (body, mask) = ciphertext.as_ref().split_last().unwrap();
    let product = mask
        .iter()
        .zip(key)
        .fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
    let phase = body.wrapping_sub(product);
    phase.wrapping_add(1 << 58) >> 59
}

fn opens(committee: &Committee, key: &PublicKey, shares: &[KeyShare]) {
    let server = key.evaluation_key().unwrap();
    let squashing = key.noise_squashing_key().unwrap();
    let secret = glwe_key(committee, shares);
    assert!(
        secret.iter().all(|bit| *bit <= 1),
        "the sum of the pieces is not a vector of bits"
    );
    assert!(secret.contains(&0) && secret.contains(&1));

    let table = server.generate_lookup_table(|x| (x * 7 + 3) % 16);
    let mut blocks = Vec::new();
    let mut expected = Vec::new();
    for value in [0u8, 1, 5, 10, 15] {
        let input = key.encrypt_small(value, [value; 32]).unwrap();
        assert_eq!(decrypt(&secret, &input), u64::from(value));
        let mut block = tfhe::shortint::Ciphertext::new(
            input,
            tfhe::shortint::ciphertext::Degree::new(15),
            tfhe::shortint::ciphertext::NoiseLevel::NOMINAL,
            server.message_modulus,
            server.carry_modulus,
            tfhe::shortint::AtomicPatternKind::Standard(
                tfhe::shortint::PBSOrder::KeyswitchBootstrap,
            ),
        );
        server.apply_lookup_table_assign(&mut block, &table);
        let image = (value * 7 + 3) % 16;
        assert_eq!(
            decrypt(&secret, &block.ct),
            u64::from(image),
            "bootstrap of {value}"
        );
        blocks.push(block.ct);
        expected.push(image);
    }
    let squashed = squash(&server, &squashing, &blocks, &|_| {}).unwrap();
    let mut values = BTreeMap::new();
    // Any t+1 parties are enough: take the last ones.
    for share in shares.iter().rev().take(usize::from(committee.t()) + 1) {
        for (piece, list) in share.partial_decrypt(0, &squashed).unwrap() {
            let known = values.insert(piece, list.clone());
            assert!(known.is_none_or(|known| known == list));
        }
    }
    assert_eq!(recombine(committee, &squashed, &values).unwrap(), expected);
}

/// Deposits weights through a joint input mask and decrypts them.
fn deposits(committee: &Committee, key: &PublicKey, shares: &[KeyShare]) {
    let info = key.info();
    let hospital = shares[1].me();
    let batch = BatchId {
        epoch: 0,
        hospital,
        number: 1,
        polynomials: 1,
    };
    let vectors = shares
        .iter()
        .flat_map(|share| share.batch_vectors(info, &batch).unwrap())
        .collect();
    let bodies = BatchBodies::combine(info, batch, &vectors).unwrap();
    let subseed = |piece| {
        shares
            .iter()
            .find_map(|share| share.batch_subseed(&batch, piece))
    };
    let subseeds = committee
        .pieces()
        .iter()
        .map(|piece| (*piece, subseed(*piece).unwrap()))
        .collect();
    let mut pad = InputPad::new(info, batch, subseeds, 0).unwrap();
    let slots = pad.reserve(300).unwrap();
    let first = slots.first();
    let weights: Vec<u32> = (0..300).map(|slot| slot % 17).collect();
    let published = pad.encrypt(slots, &weights).unwrap();
    let secret = glwe_key(committee, shares);
    for (ciphertext, weight) in bodies
        .ciphertexts(first, &published)
        .unwrap()
        .iter()
        .zip(weights)
    {
        let (body, mask) = ciphertext.as_ref().split_last().unwrap();
        let product = mask
            .iter()
            .zip(&secret)
            .fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
        let phase = body
            .wrapping_sub(product)
            .wrapping_add(1 << (INPUT_DELTA_LOG - 1));
        assert_eq!(phase >> INPUT_DELTA_LOG, u64::from(weight));
    }
}

fn committee(n: u8, t: u8) -> Committee {
    Committee::new(n, t, Passive::Allow).unwrap()
}

#[test]
fn four_parties_make_a_key_that_bootstraps_squashes_and_opens() {
    let committee = committee(4, 1);
    let (key, shares) = ceremony(&committee);
    opens(&committee, &key, &shares);
    deposits(&committee, &key, &shares);
}

#[test]
fn three_passive_parties_make_a_working_key() {
    let committee = committee(3, 1);
    let (key, shares) = ceremony(&committee);
    opens(&committee, &key, &shares);
    deposits(&committee, &key, &shares);
}

#[test]
fn five_parties_with_one_corrupt_make_a_working_key() {
    let committee = committee(5, 1);
    let (key, shares) = ceremony(&committee);
    opens(&committee, &key, &shares);
}

#[test]
fn seven_parties_with_two_corrupt_make_a_working_key() {
    let committee = committee(7, 2);
    let (key, shares) = ceremony(&committee);
    opens(&committee, &key, &shares);
}

#[test]
fn an_odd_opened_square_is_refused() {
    let committee = committee(4, 1);
    let mut parties = start(&committee, ParameterSet::toy().unwrap());
    let mut vectors = vectors(&committee, &parties, Stage::Bits, 0);
    vectors[2][0] ^= 1;
    assert_eq!(
        parties[0].absorb(Stage::Bits, 0, &vectors),
        Err(KeygenError::OddSquare { position: 0 })
    );
}

#[test]
fn a_wrong_group_vector_changes_the_digest_of_its_stage() {
    let committee = committee(4, 1);
    for stage in Stage::ALL {
        let mut honest = start(&committee, ParameterSet::toy().unwrap());
        let mut deceived = start(&committee, ParameterSet::toy().unwrap());
        for earlier in Stage::ALL.into_iter().filter(|earlier| *earlier < stage) {
            run_stage(&committee, &mut honest, earlier);
            run_stage(&committee, &mut deceived, earlier);
        }
        for chunk in 0..honest[0].chunks(stage) {
            let mut vectors = vectors(&committee, &honest, stage, chunk);
            honest[0].absorb(stage, chunk, &vectors).unwrap();
            if chunk == 1 {
                vectors[0][100] ^= 2;
            }
            deceived[0].absorb(stage, chunk, &vectors).unwrap();
        }
        assert_ne!(
            honest[0].finish_stage(stage).unwrap(),
            deceived[0].finish_stage(stage).unwrap(),
            "{stage:?}"
        );
    }
}

#[test]
fn stages_and_chunks_come_in_order() {
    let committee = committee(4, 1);
    let mut parties = start(&committee, ParameterSet::toy().unwrap());
    assert!(matches!(
        parties[0].group_chunk(Stage::Rows, 0, 0),
        Err(KeygenError::Order {
            current: Some(Stage::Bits),
            asked: Stage::Rows
        })
    ));
    assert!(matches!(
        parties[0].finish_stage(Stage::Bits),
        Err(KeygenError::ChunkOrder { .. })
    ));
    let vectors = vectors(&committee, &parties, Stage::Bits, 0);
    assert!(matches!(
        parties[0].absorb(Stage::Bits, 1, &vectors),
        Err(KeygenError::ChunkOrder {
            expected: 0,
            got: 1,
            ..
        })
    ));
    assert!(matches!(
        parties[0].absorb(Stage::Bits, 0, &vectors[1..]),
        Err(KeygenError::Size { .. })
    ));
    let foreign = committee
        .family(Stage::Bits.family())
        .iter()
        .position(|group| !group.contains(PartyId::new(1).unwrap()))
        .unwrap();
    assert!(matches!(
        parties[0].group_chunk(Stage::Bits, foreign, 0),
        Err(KeygenError::Group { .. })
    ));
}

#[test]
fn a_public_key_survives_its_bytes_and_refuses_changed_ones() {
    let committee = committee(4, 1);
    let (key, _) = ceremony(&committee);
    let mut bytes = Vec::new();
    key.write_to(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, key.bytes());
    let read = PublicKey::read_from(bytes.as_slice()).unwrap();
    assert_eq!(read.info(), key.info());
    assert_eq!(&PublicKey::read_info(bytes.as_slice()).unwrap(), key.info());
    let end = bytes.len() - 1;
    for position in [0, 20, 60, 5000, end] {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        assert!(
            PublicKey::read_from(changed.as_slice()).is_err(),
            "byte {position}"
        );
    }
    assert!(PublicKey::read_from(&bytes[..end]).is_err());
    bytes.push(0);
    assert!(PublicKey::read_from(bytes.as_slice()).is_err());
}

#[test]
fn a_share_is_sealed_and_unsealed_by_the_same_key_only() {
    let committee = committee(4, 1);
    let (_, shares) = ceremony(&committee);
    let share = &shares[0];
    let pass = |text: &str| SealingKey::Passphrase(Secret::new(text.to_owned()));
    let file = |byte| SealingKey::KeyFile(Secret::new([byte; 32]));
    for (right, wrong) in [(pass("correct horse"), pass("battery")), (file(1), file(2))] {
        let sealed = share.seal(&right, [3; 24]).unwrap();
        let again = KeyShare::unseal(&sealed, &right).unwrap();
        let piece: PieceId = committee.pieces_of(share.me()).next().unwrap();
        assert_eq!(again.glwe_piece(piece), share.glwe_piece(piece));
        assert_eq!(again.squashing_piece(piece), share.squashing_piece(piece));
        assert_eq!(
            again.live_seeds().get(piece).unwrap().expose(),
            share.live_seeds().get(piece).unwrap().expose()
        );
        assert_eq!(
            (again.me(), again.epoch(), again.key()),
            (share.me(), 0, share.key())
        );
        assert_eq!(
            KeyShare::unseal(&sealed, &wrong).err(),
            Some(SealError::WrongKey)
        );
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(
            KeyShare::unseal(&changed, &right).err(),
            Some(SealError::WrongKey)
        );
        let raw = share.glwe_piece(piece).unwrap()[0].to_le_bytes();
        assert!(!sealed.windows(8).any(|window| window == raw));
    }
    let sealed = share.seal(&file(1), [3; 24]).unwrap();
    assert_eq!(
        KeyShare::unseal(&sealed, &pass("x")).err(),
        Some(SealError::OtherKind("a key file"))
    );
}
