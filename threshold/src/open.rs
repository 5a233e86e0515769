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

/// Which part of a piece's zero-sum mask a group adds.
#[derive(Clone, PartialEq, Eq, Debug)]
enum MaskShare {
    /// The stream of the group itself.
    Own,
    /// Minus the streams of these groups: the last group that holds the piece.
    MinusOthers(Vec<usize>),
}

/// What one group of a family computes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    index: usize,
    members: PartySet,
    linear: Vec<PieceId>,
    quadratic: Vec<(PieceId, Vec<PieceId>)>,
    masks: Vec<(PieceId, MaskShare)>,
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
        for (piece, share) in &self.masks {
            let seed = seeds.get(*piece).ok_or(*piece)?.derive(label);
            match share {
                MaskShare::Own => {
                    fill(
                        &mut mask_stream(&seed, self.index),
                        width,
                        first,
                        &mut buffer,
                    );
                    for (value, mask) in values.iter_mut().zip(buffer.chunks_exact(width.bytes())) {
                        *value = value.wrapping_add(Width::read(mask));
                    }
                }
                MaskShare::MinusOthers(groups) => {
                    for group in groups {
                        fill(&mut mask_stream(&seed, *group), width, first, &mut buffer);
                        for (value, mask) in
                            values.iter_mut().zip(buffer.chunks_exact(width.bytes()))
                        {
                            *value = value.wrapping_sub(Width::read(mask));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn mask_stream(seed: &Seed, group: usize) -> PrfStream {
    seed.stream(&Label::new("organtwin/mask").index(group))
}

fn fill(stream: &mut PrfStream, width: Width, first: u64, buffer: &mut [u8]) {
    stream.seek(first * width.bytes() as u64);
    stream.fill(buffer);
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

    fn over(pieces: &[PieceId], family: &[PartySet], with_products: bool) -> Self {
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
                if holding.contains(&group.index) {
                    group.masks.push((*a, MaskShare::Own));
                } else if last == Some(group.index) && !holding.is_empty() {
                    group
                        .masks
                        .push((*a, MaskShare::MinusOthers(holding.clone())));
                }
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

    /// Lends the seed of `piece`, if held.
    #[must_use]
    pub fn get(&self, piece: PieceId) -> Option<&Seed> {
        self.0.get(&piece)
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
