//! Openings, random bits and products against an independent implementation, whose families, random
//! pieces and mask streams are given as input.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::bits::{bit_pieces, even_root, group_squares};
use super::products::{Pieces, group_products};
use crate::open::{Group, Groups, Width};
use crate::party::{PartySet, PieceId};

const FILES: [&str; 5] = [
    include_str!("../../tests/vectors/open-3-1.json"),
    include_str!("../../tests/vectors/open-4-1.json"),
    include_str!("../../tests/vectors/open-5-1.json"),
    include_str!("../../tests/vectors/open-5-2.json"),
    include_str!("../../tests/vectors/open-7-2.json"),
];

/// Values by the bits of the set that lacks the piece.
type Raw = BTreeMap<String, String>;

#[derive(Deserialize)]
struct MaskValue {
    piece: u16,
    group: usize,
    value: String,
}

#[derive(Deserialize)]
struct BitVector {
    random: Raw,
    masks: Vec<MaskValue>,
    vectors: Vec<String>,
    opened: String,
    pieces: Raw,
    value: u128,
}

#[derive(Deserialize)]
struct ProductVector {
    left: Raw,
    right: Raw,
    random: Raw,
    masks: Vec<MaskValue>,
    vectors: Vec<String>,
    opened: String,
    pieces: Raw,
    value: u128,
}

#[derive(Deserialize)]
struct LinearVector {
    random: Raw,
    masks: Vec<MaskValue>,
    vectors: Vec<String>,
    opened: String,
}

#[derive(Deserialize)]
struct File {
    parties: u8,
    threshold: usize,
    quad: Vec<u16>,
    lin: Vec<u16>,
    bits: Vec<BitVector>,
    products: Vec<ProductVector>,
    linear: Vec<LinearVector>,
}

fn number(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap()
}

struct Values(BTreeMap<PieceId, Vec<u128>>);

impl Values {
    fn new(raw: &Raw) -> Self {
        let values = raw.iter().map(|(piece, value)| {
            let absent = PartySet::from_bits(piece.parse().unwrap());
            (PieceId::without(absent), vec![number(value)])
        });
        Self(values.collect())
    }

    fn sum(&self) -> u128 {
        self.0
            .values()
            .fold(0, |sum, value| sum.wrapping_add(value[0]))
    }
}

impl Pieces for Values {
    fn piece(&self, piece: PieceId) -> Option<&[u128]> {
        self.0.get(&piece).map(Vec::as_slice)
    }
}

impl File {
    fn groups(&self, family: &[u16], with_products: bool) -> Groups {
        let pieces: Vec<PieceId> = PartySet::subsets(self.parties, self.threshold)
            .into_iter()
            .map(PieceId::without)
            .collect();
        let family: Vec<PartySet> = family
            .iter()
            .map(|bits| PartySet::from_bits(*bits))
            .collect();
        Groups::over(&pieces, &family, with_products)
    }
}

fn masked(group: &Group, value: u128, masks: &[MaskValue]) -> u128 {
    group.masks().iter().fold(value, |sum, mask| {
        let given = masks
            .iter()
            .find(|m| m.piece == mask.piece.absent().bits() && m.group == mask.stream)
            .expect("a stream of the group is not among the vectors");
        if mask.subtract {
            sum.wrapping_sub(number(&given.value))
        } else {
            sum.wrapping_add(number(&given.value))
        }
    })
}

fn check(
    groups: &Groups,
    unmasked: impl Fn(&Group) -> u128,
    masks: &[MaskValue],
    vectors: &[String],
    opened: &str,
) {
    assert_eq!(groups.len(), vectors.len());
    let mut sum = 0u128;
    for (group, vector) in groups.iter().zip(vectors) {
        let value = masked(group, unmasked(group), masks);
        assert_eq!(value, number(vector), "group {}", group.members());
        sum = sum.wrapping_add(value);
    }
    assert_eq!(sum, number(opened));
}

fn each(test: impl Fn(&File)) {
    for file in FILES {
        test(&serde_json::from_str(file).unwrap());
    }
}

#[test]
fn random_bits_equal_the_reference() {
    each(|file| {
        let groups = file.groups(&file.quad, true);
        for bit in &file.bits {
            let random = Values::new(&bit.random);
            let value = |group: &Group| {
                let piece = |piece| Ok(Zeroizing::new(random.piece(piece).unwrap().to_vec()));
                group_squares(group, 1, piece).unwrap()[0]
            };
            check(&groups, value, &bit.masks, &bit.vectors, &bit.opened);
            let root = even_root(number(&bit.opened)).unwrap();
            let expected = Values::new(&bit.pieces);
            let first = *expected.0.keys().next().unwrap();
            for (piece, mut values) in random.0 {
                bit_pieces(&mut values, piece == first, Width::W128, &[root]);
                assert_eq!(Some(&values), expected.0.get(&piece));
            }
            assert_eq!(expected.sum(), bit.value);
            assert!(bit.value <= 1);
        }
    });
}

#[test]
fn products_equal_the_reference() {
    each(|file| {
        let groups = file.groups(&file.quad, true);
        for product in &file.products {
            let (left, right) = (Values::new(&product.left), Values::new(&product.right));
            let random = Values::new(&product.random);
            let value = |group: &Group| {
                let minus = group.linear().iter().fold(0u128, |sum, piece| {
                    sum.wrapping_add(random.piece(*piece).unwrap()[0])
                });
                group_products(group, &[minus], (&left, &right), 0..1, 1).unwrap()[0]
            };
            check(
                &groups,
                value,
                &product.masks,
                &product.vectors,
                &product.opened,
            );
            let expected = Values::new(&product.pieces);
            assert_eq!(
                random.sum().wrapping_add(number(&product.opened)),
                expected.sum()
            );
            assert_eq!(expected.sum(), product.value);
            assert_eq!(left.sum().wrapping_mul(right.sum()), product.value);
        }
    });
}

#[test]
fn linear_openings_equal_the_reference() {
    each(|file| {
        let groups = file.groups(&file.lin, false);
        for linear in &file.linear {
            let random = Values::new(&linear.random);
            let value = |group: &Group| {
                group.linear().iter().fold(0u128, |sum, piece| {
                    sum.wrapping_add(random.piece(*piece).unwrap()[0])
                })
            };
            check(
                &groups,
                value,
                &linear.masks,
                &linear.vectors,
                &linear.opened,
            );
            assert_eq!(random.sum(), number(&linear.opened));
        }
    });
}
