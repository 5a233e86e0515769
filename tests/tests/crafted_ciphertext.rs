//! Why a node decrypts only what it derived itself: a crafted ciphertext decrypts to bits of the joint key.

use std::collections::BTreeMap;

use organtwin_tests::consortium::Consortium;
use organtwin_threshold::{DecryptError, PieceId, SquashedBlocks, recombine};

/// How many key bits one crafted ciphertext asks for.
const BITS: usize = 32;

/// Squashed bytes whose block i is the ciphertext (-2^123 * e_i, 0): it decrypts to the key bit s_i.
fn crafted(lwe_size: usize) -> Vec<u8> {
    let words = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let mut bytes = [words(BITS), words(lwe_size)].concat();
    for block in 0..BITS {
        for word in 0..lwe_size {
            let unit = (1u128 << 123).wrapping_neg();
            let value = if word == block { unit } else { 0 };
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

#[test]
fn a_crafted_ciphertext_would_decrypt_to_key_bits_and_no_party_decrypts_it() {
    let mut consortium = Consortium::new(4, 1, 41);
    assert!(consortium.make_key());
    let committee = consortium.roster.committee().clone();
    let lwe_size = consortium
        .get(1)
        .key
        .as_ref()
        .unwrap()
        .public
        .info()
        .params
        .squashing_size()
        + 1;
    let bytes = crafted(lwe_size);
    let received = SquashedBlocks::from_bytes(&bytes, lwe_size).unwrap();

    for party in consortium.parties.values() {
        let share = party.key.as_ref().unwrap().share.as_ref().unwrap();
        let refused = share.partial_decrypt(share.epoch(), &received);
        assert!(
            matches!(refused, Err(DecryptError::NotDerived(_))),
            "party {}",
            party.me
        );
        // Nor does a record of something else make the bytes one's own.
        let other = share.key();
        assert!(SquashedBlocks::restore(&bytes, lwe_size, other).is_err());
    }

    // The attack itself, by parties that forge the record of what they derived.
    let forged = SquashedBlocks::restore(&bytes, lwe_size, received.digest()).unwrap();
    let mut values: BTreeMap<PieceId, Vec<u128>> = BTreeMap::new();
    let mut key = vec![0u128; BITS];
    for party in consortium.parties.values() {
        let share = party.key.as_ref().unwrap().share.as_ref().unwrap();
        for (piece, partial) in share.partial_decrypt(share.epoch(), &forged).unwrap() {
            if values.insert(piece, partial).is_none() {
                let bits = share.squashing_piece(piece).unwrap();
                key.iter_mut()
                    .zip(bits)
                    .for_each(|(sum, bit)| *sum = sum.wrapping_add(*bit));
            }
        }
    }
    assert!(key.iter().all(|bit| *bit <= 1) && key.contains(&0) && key.contains(&1));
    let opened = recombine(&committee, &forged, &values).unwrap();
    let stolen: Vec<u128> = opened.iter().map(|value| u128::from(*value & 1)).collect();
    assert_eq!(
        stolen, key,
        "the crafted ciphertext does not show what it should warn of"
    );
}
