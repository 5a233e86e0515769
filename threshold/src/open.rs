//! The one primitive: groups publish vectors that sum to a form of shared values (design in
//! docs/spec/ceremony.md).
//!
//! A term on a piece, or on a pair of pieces, belongs to the first group of the family whose members all
//! hold it. For every piece the groups that hold it add masks that sum to zero, so that a coalition which
//! lacks the piece's seed sees only the sum of the group vectors.

use std::collections::BTreeMap;

use crate::committee::{Committee, Family};
use crate::party::{PartyId, PartySet, PieceId};
use crate::prf::{Label, PrfStream, Seed};

/// How many low bytes of a ring element matter, and travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Width(u8);

impl Width {
    /// Integers modulo `2^24`: products for the bootstrapping key.
    pub const W24: Self = Self(3);
    /// Integers modulo `2^64`: rows of the evaluation key.
    pub const W64: Self = Self(8);
    /// Integers modulo `2^72`: products for the squashing key.
    pub const W72: Self = Self(9);
    /// Integers modulo `2^128`: key bits and rows of the squashing key.
    pub const W128: Self = Self(16);

    /// Returns the number of bytes of one element.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }

    /// Returns the element with the bits above the width cleared.
    #[must_use]
    pub const fn truncate(self, value: u128) -> u128 {
        if self.0 == 16 {
            value
        } else {
            value & ((1 << (8 * self.0)) - 1)
        }
    }

    /// Reads one little-endian element; `bytes` has at most 16.
    pub(crate) fn read(bytes: &[u8]) -> u128 {
        let mut word = [0; 16];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        u128::from_le_bytes(word)
    }

    /// Encodes elements little-endian, `bytes()` each.
    #[must_use]
    pub fn encode(self, values: &[u128]) -> Vec<u8> {
        let mut out = Vec::with_capacity(values.len() * self.bytes());
        for value in values {
            out.extend(value.to_le_bytes().into_iter().take(self.bytes()));
        }
        out
    }

    /// Decodes elements; nothing unless the length is a multiple of `bytes()`.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Option<Vec<u128>> {
        let chunks = bytes.chunks_exact(self.bytes());
        if !chunks.remainder().is_empty() {
            return None;
        }
        Some(chunks.map(Self::read).collect())
    }

    /// Adds encoded elements onto `sum`, whose length must fit.
    #[must_use]
    pub fn add_encoded(self, sum: &mut [u128], bytes: &[u8]) -> bool {
        if bytes.len() != sum.len() * self.bytes() {
            return false;
        }
        for (to, from) in sum.iter_mut().zip(bytes.chunks_exact(self.bytes())) {
            *to = self.truncate(to.wrapping_add(Self::read(from)));
        }
        true
    }
}

/// One stream that a group adds to its vector, or subtracts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mask {
    /// The piece whose holders know the stream.
    pub(crate) piece: PieceId,
    /// The group after which the stream is named.
    pub(crate) stream: usize,
    /// Set in the last group that holds the piece: it makes the masks of the piece sum to zero.
    pub(crate) subtract: bool,
}

/// What one group of a family computes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    index: usize,
    members: PartySet,
    linear: Vec<PieceId>,
    quadratic: Vec<(PieceId, Vec<PieceId>)>,
    masks: Vec<Mask>,
}

impl Group {
    /// Returns the members, all of whom can compute the group's vector.
    #[must_use]
    pub const fn members(&self) -> PartySet {
        self.members
    }

    /// Lists the pieces whose linear terms belong to this group.
    #[must_use]
    pub fn linear(&self) -> &[PieceId] {
        &self.linear
    }

    /// Lists the pairs of pieces whose products belong to this group, by left factor.
    #[must_use]
    pub fn quadratic(&self) -> &[(PieceId, Vec<PieceId>)] {
        &self.quadratic
    }

    /// Lists the streams that mask the group's vector.
    #[cfg(test)]
    pub(crate) fn masks(&self) -> &[Mask] {
        &self.masks
    }

    /// Adds the group's masks for elements `first..` of the opening that `label` names.
    ///
    /// # Errors
    /// Returns the piece whose seed is missing.
    pub fn add_masks(
        &self,
        seeds: &PieceSeeds,
        label: &Label,
        width: Width,
        first: u64,
        values: &mut [u128],
    ) -> Result<(), PieceId> {
        let mut buffer = vec![0; values.len() * width.bytes()];
        for mask in &self.masks {
            let seed = seeds.get(mask.piece).ok_or(mask.piece)?.derive(label);
            let mut stream = mask_stream(&seed, mask.stream);
            stream.seek(first * width.bytes() as u64);
            stream.fill(&mut buffer);
            let elements = buffer.chunks_exact(width.bytes()).map(Width::read);
            for (value, element) in values.iter_mut().zip(elements) {
                *value = if mask.subtract {
                    value.wrapping_sub(element)
                } else {
                    value.wrapping_add(element)
                };
            }
        }
        Ok(())
    }
}

fn mask_stream(seed: &Seed, group: usize) -> PrfStream {
    seed.stream(&Label::new("organtwin/mask").index(group))
}

/// A family of groups with the terms and masks of each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Groups {
    groups: Vec<Group>,
}

impl Groups {
    /// Assigns the terms of an opening to the groups of `family`.
    ///
    /// Quadratic terms are assigned only by [`Family::Quad`].
    #[must_use]
    pub fn new(committee: &Committee, family: Family) -> Self {
        Self::over(
            committee.pieces(),
            committee.family(family),
            family == Family::Quad,
        )
    }

    pub(crate) fn over(pieces: &[PieceId], family: &[PartySet], with_products: bool) -> Self {
        let mut groups: Vec<Group> = family
            .iter()
            .enumerate()
            .map(|(index, members)| Group {
                index,
                members: *members,
                linear: Vec::new(),
                quadratic: Vec::new(),
                masks: Vec::new(),
            })
            .collect();
        for a in pieces {
            let holds = |group: &&mut Group| a.is_held_by_all(group.members);
            if let Some(group) = groups.iter_mut().find(holds) {
                group.linear.push(*a);
            }
            for b in pieces.iter().filter(|_| with_products) {
                let both = |group: &&mut Group| holds(group) && b.is_held_by_all(group.members);
                if let Some(group) = groups.iter_mut().find(both) {
                    match group.quadratic.last_mut() {
                        Some((left, right)) if left == a => right.push(*b),
                        _ => group.quadratic.push((*a, vec![*b])),
                    }
                }
            }
            let mut holding: Vec<usize> = (0..)
                .zip(family)
                .filter(|(_, members)| a.is_held_by_all(**members))
                .map(|(index, _)| index)
                .collect();
            let last = holding.pop();
            for group in &mut groups {
                let own = holding
                    .contains(&group.index)
                    .then_some((group.index, false));
                let is_last = last == Some(group.index);
                let others = holding.iter().filter(|_| is_last);
                let streams = own.into_iter().chain(others.map(|stream| (*stream, true)));
                group.masks.extend(streams.map(|(stream, subtract)| Mask {
                    piece: *a,
                    stream,
                    subtract,
                }));
            }
        }
        Self { groups }
    }

    /// Returns the group at `index` in the family's order.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Group> {
        self.groups.get(index)
    }

    /// Lists the groups in the family's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.iter()
    }

    /// Counts the groups.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.groups.len()
    }

    /// Tells whether there is no group.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// The seeds of the pieces that one party holds.
#[derive(Default)]
pub struct PieceSeeds(BTreeMap<PieceId, Seed>);

impl PieceSeeds {
    /// Takes the seeds of `me`: exactly those of the pieces that `me` holds.
    ///
    /// # Errors
    /// Returns a piece whose seed is missing or superfluous.
    pub fn new(
        committee: &Committee,
        me: PartyId,
        seeds: BTreeMap<PieceId, Seed>,
    ) -> Result<Self, PieceId> {
        if let Some(missing) = committee.pieces_of(me).find(|p| !seeds.contains_key(p)) {
            return Err(missing);
        }
        if let Some(foreign) = seeds
            .keys()
            .find(|p| !p.is_held_by(me) || committee.pieces().binary_search(p).is_err())
        {
            return Err(*foreign);
        }
        Ok(Self(seeds))
    }

    /// Takes the seeds of all pieces, as they are known after a session's seeds were published.
    ///
    /// # Errors
    /// Returns a piece whose seed is missing or superfluous.
    pub(crate) fn of_all(
        committee: &Committee,
        seeds: BTreeMap<PieceId, Seed>,
    ) -> Result<Self, PieceId> {
        let pieces = committee.pieces();
        if let Some(missing) = pieces.iter().find(|piece| !seeds.contains_key(piece)) {
            return Err(*missing);
        }
        let unknown = |piece: &&PieceId| pieces.binary_search(piece).is_err();
        if let Some(unknown) = seeds.keys().find(unknown) {
            return Err(*unknown);
        }
        Ok(Self(seeds))
    }

    /// Lends the seed of `piece`, if held.
    #[must_use]
    pub fn get(&self, piece: PieceId) -> Option<&Seed> {
        self.0.get(&piece)
    }

    /// Puts another seed in the place of one, as a damaged share would have it.
    #[cfg(test)]
    pub(crate) fn replace_for_test(&mut self, piece: PieceId, seed: Seed) {
        self.0.insert(piece, seed);
    }

    /// Lists the seeds in the order of their pieces.
    pub fn iter(&self) -> impl Iterator<Item = (PieceId, &Seed)> {
        self.0.iter().map(|(piece, seed)| (*piece, seed))
    }

    /// Derives the seeds that `label` names, piece by piece.
    #[must_use]
    pub fn derive(&self, label: &Label) -> Self {
        Self(
            self.0
                .iter()
                .map(|(piece, seed)| (*piece, seed.derive(label)))
                .collect(),
        )
    }

    /// Derives the seed that exactly the members of `group` share: from the seeds of all pieces that
    /// all of them hold, so that every coalition outside the group misses one of its inputs.
    ///
    /// # Errors
    /// Returns the piece whose seed is missing; members of the group miss none.
    pub fn group_seed(
        &self,
        committee: &Committee,
        group: PartySet,
        label: &Label,
    ) -> Result<Seed, PieceId> {
        let held = committee
            .pieces()
            .iter()
            .filter(|piece| piece.is_held_by_all(group));
        let mut hasher = blake3::Hasher::new();
        hasher.update(&Label::new("organtwin/group-seed").parties(group).encode());
        for piece in held {
            hasher.update(self.get(*piece).ok_or(*piece)?.derive(label).expose());
        }
        Ok(Seed::new(*hasher.finalize().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committee::Passive;

    fn committees() -> Vec<Committee> {
        let mut all = Vec::new();
        for n in 3..=9 {
            for t in 1..=(n - 1) / 2 {
                all.push(Committee::new(n, t, Passive::Allow).unwrap());
            }
        }
        all
    }

    fn seeds(committee: &Committee, salt: u8) -> PieceSeeds {
        let seed = |piece: &PieceId| {
            let mut bytes = [salt; 32];
            bytes[..2].copy_from_slice(&piece.absent().bits().to_le_bytes());
            Seed::new(bytes)
        };
        PieceSeeds(committee.pieces().iter().map(|p| (*p, seed(p))).collect())
    }

    #[test]
    fn masks_cancel_over_all_groups() {
        for committee in committees() {
            let seeds = seeds(&committee, 1);
            for family in [Family::Lin, Family::Quad, Family::Live] {
                let mut sum = vec![0u128; 3];
                for group in Groups::new(&committee, family).iter() {
                    let label = Label::new("test");
                    group
                        .add_masks(&seeds, &label, Width::W128, 5, &mut sum)
                        .unwrap();
                }
                assert_eq!(sum, [0; 3], "{} {}", committee.n(), committee.t());
            }
        }
    }

    #[test]
    fn the_groups_that_hold_a_piece_are_masked_unless_there_is_only_one() {
        for committee in committees() {
            for family in [Family::Lin, Family::Quad, Family::Live] {
                let groups = Groups::new(&committee, family);
                for piece in committee.pieces() {
                    let holding = groups.iter().filter(|g| piece.is_held_by_all(g.members()));
                    let masked = groups
                        .iter()
                        .filter(|g| g.masks.iter().any(|mask| mask.piece == *piece));
                    let holding = holding.count();
                    assert_eq!(masked.count(), if holding > 1 { holding } else { 0 });
                }
            }
        }
    }

    #[test]
    fn every_product_of_pieces_is_counted_once() {
        for committee in committees() {
            let groups = Groups::new(&committee, Family::Quad);
            let mut pairs: Vec<_> = groups
                .iter()
                .flat_map(|g| g.quadratic())
                .flat_map(|(a, bs)| bs.iter().map(move |b| (*a, *b)))
                .collect();
            pairs.sort_unstable();
            let count = committee.pieces().len();
            assert_eq!(pairs.len(), count * count);
            pairs.dedup();
            assert_eq!(pairs.len(), count * count);
        }
    }

    #[test]
    fn what_a_coalition_sees_of_a_mask_changes_with_the_seed_that_it_misses() {
        for committee in committees() {
            let (one, other) = (seeds(&committee, 1), seeds(&committee, 2));
            for coalition in committee.pieces().iter().map(|piece| piece.absent()) {
                // The coalition knows every seed but one.
                let missing = PieceId::without(coalition);
                let changed = PieceSeeds(
                    committee
                        .pieces()
                        .iter()
                        .map(|p| {
                            let from = if *p == missing { &other } else { &one };
                            (*p, Seed::new(*from.get(*p).unwrap().expose()))
                        })
                        .collect(),
                );
                let groups = Groups::new(&committee, Family::Quad);
                let outside = groups.iter().filter(|g| g.members().is_disjoint(coalition));
                let outside: Vec<_> = outside.collect();
                for group in &outside {
                    let label = Label::new("test");
                    let mut values = [vec![0u128], vec![0u128]];
                    let [a, b] = &mut values;
                    group.add_masks(&one, &label, Width::W128, 0, a).unwrap();
                    group
                        .add_masks(&changed, &label, Width::W128, 0, b)
                        .unwrap();
                    assert_eq!(a != b, outside.len() > 1);
                }
            }
        }
    }

    #[test]
    fn a_group_seed_depends_on_the_seed_that_any_outside_coalition_misses() {
        for committee in committees() {
            let (one, other) = (seeds(&committee, 1), seeds(&committee, 2));
            for group in committee.family(Family::Lin) {
                let label = Label::new("noise");
                let seed = one.group_seed(&committee, *group, &label).unwrap();
                for missing in committee
                    .pieces()
                    .iter()
                    .filter(|p| p.is_held_by_all(*group))
                {
                    let mut mixed = BTreeMap::new();
                    for piece in committee.pieces() {
                        let from = if piece == missing { &other } else { &one };
                        mixed.insert(*piece, Seed::new(*from.get(*piece).unwrap().expose()));
                    }
                    let mixed = PieceSeeds(mixed)
                        .group_seed(&committee, *group, &label)
                        .unwrap();
                    assert_ne!(seed.expose(), mixed.expose());
                }
            }
        }
    }

    #[test]
    fn widths_encode_decode_and_truncate() {
        for width in [Width::W24, Width::W64, Width::W72, Width::W128] {
            let values: Vec<u128> = [0, 1, u128::MAX, 1 << 70]
                .map(|v| width.truncate(v))
                .to_vec();
            let bytes = width.encode(&values);
            assert_eq!(bytes.len(), 4 * width.bytes());
            assert_eq!(width.decode(&bytes), Some(values.clone()));
            assert_eq!(width.decode(&bytes[1..]), None);
            let mut sum = vec![width.truncate(u128::MAX); 4];
            assert!(width.add_encoded(&mut sum, &bytes));
            assert_eq!(sum[1], 0);
            assert!(!width.add_encoded(&mut sum, &bytes[1..]));
        }
    }
}
