//! The computation of the key ceremony, stage by stage.

mod bits;
mod error;
mod layout;
mod products;
mod replay;
mod rows;
mod stage;
#[cfg(all(test, feature = "insecure-test-parameters"))]
mod tests;
#[cfg(test)]
mod vectors;

use std::collections::BTreeMap;

use zeroize::{Zeroize, Zeroizing};

use crate::committee::{Committee, Family};
use crate::digest::{Digest, SessionId};
use crate::open::{Group, Groups, PieceSeeds, Width};
use crate::params::{NoiseBits, ParameterSet};
use crate::party::{PartyId, PartySet, PieceId};
use crate::prf::Label;
use crate::public_key::{Bodies, PublicKey};
use crate::ring::Ring;
use crate::secret::Secret;
use crate::share::KeyShare;

pub use bits::{even_root, inverse};
pub use error::KeygenError;
pub use layout::{CHUNK_BYTES, vector_bytes};
pub(crate) use layout::{Ggsw, keyswitch_rows};
pub use replay::{Replay, ReplayedKey};
pub(crate) use rows::{TUniform, low64};
pub use stage::Stage;

use layout::{Chunk, Part, Shape};
use products::Pieces;
use rows::{GroupKey, Products, RowContext};

/// The pieces of one key that a party holds, one value per key bit.
#[derive(Default)]
struct KeyPieces(BTreeMap<PieceId, Secret<Vec<u128>>>);

impl Pieces for KeyPieces {
    fn piece(&self, piece: PieceId) -> Option<&[u128]> {
        self.0.get(&piece).map(|values| values.expose().as_slice())
    }
}

/// Whose computation a ceremony object does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// One party's, with the pieces that it holds.
    Party(PartyId),
    /// Every group's, with all pieces: a replay from published seeds.
    All,
}

impl Side {
    fn is_in(self, group: PartySet) -> bool {
        match self {
            Self::Party(me) => group.contains(me),
            Self::All => true,
        }
    }

    fn holds(self, piece: PieceId) -> bool {
        match self {
            Self::Party(me) => piece.is_held_by(me),
            Self::All => true,
        }
    }
}

/// One party's side of a key ceremony: holds secrets, driven stage by stage and chunk by chunk.
///
/// Nothing that is opened is stored twice, and what the seeds determine is derived again when needed.
pub struct KeyCeremony {
    committee: Committee,
    params: ParameterSet,
    noise: NoiseBits,
    session: SessionId,
    side: Side,
    seeds: PieceSeeds,
    mask_seed: [u8; 32],
    quad: Groups,
    lin: Groups,
    compute_ring: Ring,
    squashing_ring: Ring,
    stage: Option<Stage>,
    next_chunk: u32,
    opened: blake3::Hasher,
    /// Opened squares by part, until the stage ends.
    squares: BTreeMap<Part, Vec<u128>>,
    lwe: KeyPieces,
    glwe: KeyPieces,
    squashing: KeyPieces,
    /// The exact noise of this party's linear groups: key switching, compact public key.
    exact: BTreeMap<usize, (Secret<Vec<u64>>, Secret<Vec<u64>>)>,
    bootstrap_random: PieceSeeds,
    squashing_random: PieceSeeds,
    bootstrap_opened: Vec<u8>,
    squashing_opened: Vec<u8>,
    groups: BTreeMap<usize, GroupKey>,
    bodies: Bodies,
}

impl KeyCeremony {
    /// Starts the computation of `me` with the seeds of its pieces and the agreed public mask seed.
    ///
    /// # Errors
    /// Refuses seeds that are not exactly those of the party's pieces.
    pub fn new(
        committee: &Committee,
        params: ParameterSet,
        session: SessionId,
        me: PartyId,
        seeds: PieceSeeds,
        mask_seed: [u8; 32],
    ) -> Result<Self, KeygenError> {
        if !committee.parties().contains(me) {
            return Err(KeygenError::NotAMember(me));
        }
        if let Some(missing) = committee
            .pieces_of(me)
            .find(|piece| seeds.get(*piece).is_none())
        {
            return Err(KeygenError::Seeds(missing));
        }
        Self::begin(
            committee,
            params,
            session,
            Side::Party(me),
            seeds,
            mask_seed,
        )
    }

    fn begin(
        committee: &Committee,
        params: ParameterSet,
        session: SessionId,
        side: Side,
        seeds: PieceSeeds,
        mask_seed: [u8; 32],
    ) -> Result<Self, KeygenError> {
        let noise = params
            .noise_bits()
            .ok_or(KeygenError::Bug("noise is not TUniform"))?;
        let ring = |size| Ring::new(size).ok_or(KeygenError::Bug("no transform of this size"));
        let mut ceremony = Self {
            committee: committee.clone(),
            params,
            noise,
            session,
            side,
            quad: Groups::new(committee, Family::Quad),
            lin: Groups::new(committee, Family::Lin),
            compute_ring: ring(params.polynomial_size())?,
            squashing_ring: ring(params.squashing().polynomial_size.0)?,
            mask_seed,
            stage: None,
            next_chunk: 0,
            opened: blake3::Hasher::new(),
            squares: BTreeMap::new(),
            lwe: KeyPieces::default(),
            glwe: KeyPieces::default(),
            squashing: KeyPieces::default(),
            exact: BTreeMap::new(),
            bootstrap_random: PieceSeeds::default(),
            squashing_random: PieceSeeds::default(),
            bootstrap_opened: Vec::new(),
            squashing_opened: Vec::new(),
            groups: BTreeMap::new(),
            bodies: Bodies::default(),
            seeds,
        };
        ceremony.bootstrap_random = ceremony.part_seeds(Part::BootstrapProducts);
        ceremony.squashing_random = ceremony.part_seeds(Part::SquashingProducts);
        ceremony.open_stage(Some(Stage::Bits));
        Ok(ceremony)
    }

    /// Returns the number of chunks of every group vector of `stage`; known from the start.
    #[must_use]
    pub fn chunks(&self, stage: Stage) -> u32 {
        layout::chunks(&self.params, stage)
    }

    /// Returns the size in bytes of a chunk of `stage`.
    ///
    /// # Errors
    /// Fails if the chunk does not exist.
    pub fn chunk_bytes(&self, stage: Stage, chunk: u32) -> Result<usize, KeygenError> {
        layout::chunk(&self.params, stage, chunk).map(|chunk| chunk.bytes())
    }

    /// Returns the groups of `stage` in the order in which [`KeyCeremony::absorb`] takes their vectors.
    #[must_use]
    pub fn family(&self, stage: Stage) -> &[PartySet] {
        self.committee.family(stage.family())
    }

    /// Returns the stage that is open; nothing once all are finished.
    #[must_use]
    pub const fn stage(&self) -> Option<Stage> {
        self.stage
    }

    fn label(&self, domain: &str, part: Part) -> Label {
        Label::new(domain).session(&self.session).text(part.name())
    }

    fn part_seeds(&self, part: Part) -> PieceSeeds {
        self.seeds.derive(&self.label("organtwin/ceremony", part))
    }

    fn open_stage(&mut self, stage: Option<Stage>) {
        self.stage = stage;
        self.next_chunk = 0;
        self.opened = blake3::Hasher::new();
        if let Some(stage) = stage {
            let label = Label::new("organtwin/opened")
                .session(&self.session)
                .index(stage as usize);
            self.opened.update(&label.encode());
        }
    }

    fn require(&self, asked: Stage) -> Result<(), KeygenError> {
        if self.stage == Some(asked) {
            Ok(())
        } else {
            Err(KeygenError::Order {
                current: self.stage,
                asked,
            })
        }
    }

    fn my_group(&self, stage: Stage, index: usize) -> Result<&Group, KeygenError> {
        let groups = match stage.family() {
            Family::Quad => &self.quad,
            Family::Lin | Family::Live => &self.lin,
        };
        groups
            .get(index)
            .filter(|group| self.side.is_in(group.members()))
            .ok_or(KeygenError::Group {
                stage,
                group: index,
            })
    }

    /// Computes one chunk of the vector of one of the party's groups in the open stage.
    ///
    /// The result is masked: it may be shown to anyone once all members have committed to it.
    ///
    /// # Errors
    /// Fails if the stage is not open or the group is not the party's.
    pub fn group_chunk(
        &self,
        stage: Stage,
        group: usize,
        chunk: u32,
    ) -> Result<Vec<u8>, KeygenError> {
        self.require(stage)?;
        let members = self.my_group(stage, group)?;
        let chunk = layout::chunk(&self.params, stage, chunk)?;
        let mut values = match stage {
            Stage::Bits => self.squares_of(members, &chunk)?,
            Stage::Products => self.products_of(members, &chunk)?,
            Stage::Rows => self.rows_of(members, group, &chunk)?,
        };
        let label = self.label("organtwin/open", chunk.shape.part);
        members
            .add_masks(
                &self.seeds,
                &label,
                chunk.shape.width,
                chunk.first as u64,
                &mut values,
            )
            .map_err(KeygenError::Seeds)?;
        let bytes = chunk.shape.width.encode(&values);
        values.zeroize();
        Ok(bytes)
    }

    fn squares_of(&self, group: &Group, chunk: &Chunk) -> Result<Vec<u128>, KeygenError> {
        let seeds = self.part_seeds(chunk.shape.part);
        bits::group_squares(group, chunk.count, |piece| {
            bits::random(&seeds, piece, chunk.shape.width, chunk.first, chunk.count)
        })
    }

    fn products_of(&self, group: &Group, chunk: &Chunk) -> Result<Vec<u128>, KeygenError> {
        let (seeds, right, length) = match chunk.shape.part {
            Part::BootstrapProducts => {
                (&self.bootstrap_random, &self.glwe, self.params.glwe_size())
            }
            _ => (
                &self.squashing_random,
                &self.squashing,
                self.params.squashing_size(),
            ),
        };
        let mut minus = Zeroizing::new(vec![0; chunk.count]);
        products::add_random(
            seeds,
            group.linear(),
            chunk.shape.width,
            chunk.first,
            &mut minus,
        )?;
        let first = chunk.first / length;
        let rows = first..first + chunk.count / length;
        products::group_products(group, &minus, (&self.lwe, right), rows, length)
    }

    fn rows_of(
        &self,
        group: &Group,
        index: usize,
        chunk: &Chunk,
    ) -> Result<Vec<u128>, KeygenError> {
        let key = self
            .groups
            .get(&index)
            .ok_or(KeygenError::Bug("no key of an own group"))?;
        let products = |seeds, opened, width, row_length| Products {
            seeds,
            opened,
            width,
            row_length,
        };
        let context = RowContext {
            params: &self.params,
            noise: self.noise,
            mask_seed: &self.mask_seed,
            compute_ring: &self.compute_ring,
            squashing_ring: &self.squashing_ring,
            bootstrap_products: products(
                &self.bootstrap_random,
                &self.bootstrap_opened,
                Width::W24,
                self.params.glwe_size(),
            ),
            squashing_products: products(
                &self.squashing_random,
                &self.squashing_opened,
                Width::W72,
                self.params.squashing_size(),
            ),
        };
        rows::group_rows(&context, group, key, chunk)
    }

    /// Adds up the vectors of all groups for the next chunk of the open stage.
    ///
    /// # Errors
    /// Fails on wrong order or size, and if the opened values are not of the expected form.
    pub fn absorb(
        &mut self,
        stage: Stage,
        chunk: u32,
        vectors: &[Vec<u8>],
    ) -> Result<(), KeygenError> {
        self.require(stage)?;
        if chunk != self.next_chunk {
            return Err(KeygenError::ChunkOrder {
                stage,
                expected: self.next_chunk,
                got: chunk,
            });
        }
        let chunk = layout::chunk(&self.params, stage, chunk)?;
        let groups = self.family(stage).len();
        if vectors.len() != groups {
            return Err(KeygenError::Size {
                group: groups,
                expected: groups,
                got: vectors.len(),
            });
        }
        let mut sum = vec![0u128; chunk.count];
        for (group, vector) in vectors.iter().enumerate() {
            if !chunk.shape.width.add_encoded(&mut sum, vector) {
                return Err(KeygenError::Size {
                    group,
                    expected: chunk.bytes(),
                    got: vector.len(),
                });
            }
        }
        let encoded = chunk.shape.width.encode(&sum);
        match chunk.shape.part {
            part @ (Part::LweBits
            | Part::GlweBits
            | Part::SquashingBits
            | Part::KeyswitchNoise
            | Part::CompactNoise) => {
                if let Some(odd) = sum.iter().position(|w| w & 1 == 1) {
                    return Err(KeygenError::OddSquare {
                        position: (chunk.first + odd) as u64,
                    });
                }
                self.squares
                    .entry(part)
                    .or_default()
                    .extend_from_slice(&sum);
            }
            Part::BootstrapProducts => self.bootstrap_opened.extend_from_slice(&encoded),
            Part::SquashingProducts => self.squashing_opened.extend_from_slice(&encoded),
            Part::KeyswitchRows => self.bodies.keyswitch.extend(sum.iter().copied().map(low64)),
            Part::CompactRows => self.bodies.compact.extend(sum.iter().copied().map(low64)),
            Part::BootstrapRows => self.bodies.bootstrap.extend(sum.iter().copied().map(low64)),
            Part::SquashingRows => self.bodies.squashing.extend_from_slice(&sum),
        }
        self.opened.update(&encoded);
        self.next_chunk += 1;
        Ok(())
    }

    /// Closes the open stage and returns the digest of everything that it opened.
    ///
    /// # Errors
    /// Fails if chunks are missing.
    pub fn finish_stage(&mut self, stage: Stage) -> Result<Digest, KeygenError> {
        self.require(stage)?;
        let chunks = self.chunks(stage);
        if self.next_chunk != chunks {
            return Err(KeygenError::ChunkOrder {
                stage,
                expected: self.next_chunk,
                got: chunks,
            });
        }
        let digest = Digest::new(*self.opened.finalize().as_bytes());
        let next = match stage {
            Stage::Bits => {
                self.take_bits()?;
                self.reserve_products();
                Some(Stage::Products)
            }
            Stage::Products => {
                self.form_group_keys()?;
                self.bodies = Bodies::with_capacity(&self.params);
                Some(Stage::Rows)
            }
            Stage::Rows => None,
        };
        self.open_stage(next);
        Ok(digest)
    }

    /// Turns opened squares into this party's pieces of key bits and its groups' exact noise.
    fn take_bits(&mut self) -> Result<(), KeygenError> {
        let squares = std::mem::take(&mut self.squares);
        let first = self.first_piece()?;
        for (part, opened) in squares {
            let shape = Shape::of(part, &self.params);
            let seeds = self.part_seeds(part);
            let roots = opened
                .iter()
                .map(|w| even_root(*w).ok_or(KeygenError::Bug("an odd square was kept")))
                .collect::<Result<Vec<_>, _>>()?;
            let piece_of = |piece| {
                let mut values = bits::random(&seeds, piece, shape.width, 0, roots.len())?;
                bits::bit_pieces(&mut values, piece == first, shape.width, &roots);
                Ok(values)
            };
            if matches!(part, Part::KeyswitchNoise | Part::CompactNoise) {
                self.take_noise(part, roots.len(), piece_of)?;
                continue;
            }
            let mut pieces = BTreeMap::new();
            let held = self.committee.pieces().iter().copied();
            for piece in held.filter(|piece| self.side.holds(*piece)) {
                let mut values = piece_of(piece)?;
                pieces.insert(piece, Secret::new(std::mem::take(&mut *values)));
            }
            match part {
                Part::LweBits => self.lwe = KeyPieces(pieces),
                Part::GlweBits => self.glwe = KeyPieces(pieces),
                _ => self.squashing = KeyPieces(pieces),
            }
        }
        Ok(())
    }

    fn take_noise(
        &mut self,
        part: Part,
        count: usize,
        piece_of: impl Fn(PieceId) -> Result<Zeroizing<Vec<u128>>, KeygenError>,
    ) -> Result<(), KeygenError> {
        let first = self.first_piece()?;
        for (index, group) in self.lin.iter().enumerate() {
            if !self.side.is_in(group.members()) {
                continue;
            }
            let mut sum = Zeroizing::new(vec![0u128; count]);
            for piece in group.linear() {
                for (sum, bit) in sum.iter_mut().zip(piece_of(*piece)?.iter()) {
                    *sum = sum.wrapping_add(*bit);
                }
            }
            let constant = group.linear().contains(&first);
            let empty = || Secret::new(Vec::new());
            let entry = self
                .exact
                .entry(index)
                .or_insert_with(|| (empty(), empty()));
            match part {
                Part::KeyswitchNoise => {
                    entry.0 = Secret::new(rows::exact_noise(self.noise.lwe, constant, &sum));
                }
                _ => entry.1 = Secret::new(rows::exact_noise(self.noise.glwe, constant, &sum)),
            }
        }
        Ok(())
    }

    fn first_piece(&self) -> Result<PieceId, KeygenError> {
        let first = self.committee.pieces().first();
        first
            .copied()
            .ok_or(KeygenError::Bug("a committee without pieces"))
    }

    fn reserve_products(&mut self) {
        for (part, opened) in [
            (Part::BootstrapProducts, &mut self.bootstrap_opened),
            (Part::SquashingProducts, &mut self.squashing_opened),
        ] {
            let shape = Shape::of(part, &self.params);
            opened.reserve_exact(shape.elements * shape.width.bytes());
        }
    }

    /// Adds up the key pieces of each of this party's linear groups and transforms the sums.
    fn form_group_keys(&mut self) -> Result<(), KeygenError> {
        let first = self.first_piece()?;
        let mut exact = std::mem::take(&mut self.exact);
        let noise_label = Label::new("organtwin/group-noise").session(&self.session);
        for (index, group) in self.lin.iter().enumerate() {
            if !self.side.is_in(group.members()) {
                continue;
            }
            let lwe = sum_pieces(&self.lwe, group, self.params.lwe_size())?;
            let glwe = sum_pieces(&self.glwe, group, self.params.glwe_size())?;
            let squashing = sum_pieces(&self.squashing, group, self.params.squashing_size())?;
            let (keyswitch_noise, compact_noise) = exact
                .remove(&index)
                .ok_or(KeygenError::Bug("no exact noise of an own group"))?;
            let noise = self
                .seeds
                .group_seed(&self.committee, group.members(), &noise_label)
                .map_err(KeygenError::Seeds)?;
            let key = GroupKey {
                glwe_transform: transform(
                    &self.compute_ring,
                    self.params.polynomial_size(),
                    glwe.expose(),
                ),
                squashing_transform: transform(
                    &self.squashing_ring,
                    self.params.squashing().polynomial_size.0,
                    squashing.expose(),
                ),
                lwe,
                glwe,
                keyswitch_noise,
                compact_noise,
                noise,
                adds_opened: group.linear().contains(&first),
            };
            self.groups.insert(index, key);
        }
        Ok(())
    }

    /// Turns the finished ceremony into the public key and this party's share of the secret key.
    ///
    /// The ceremony's seeds and the pieces of the LWE key are wiped: only live seeds derived from them,
    /// the GLWE pieces (deposits need them) and the squashing pieces remain.
    ///
    /// # Errors
    /// Fails if a stage is not finished.
    pub fn finish(self) -> Result<(PublicKey, KeyShare), KeygenError> {
        let Side::Party(me) = self.side else {
            return Err(KeygenError::Bug("a replay has no party"));
        };
        let (params, committee) = (self.params, self.committee.clone());
        let end = self.end()?;
        let glwe = end.glwe.0.iter().map(|(piece, values)| {
            let values = values.expose().iter().copied().map(low64).collect();
            (*piece, Secret::new(values))
        });
        let share = KeyShare {
            params,
            committee,
            me,
            epoch: 0,
            key: end.public.digest(),
            glwe: glwe.collect(),
            squashing: end.squashing.0,
            live: end.live,
        };
        Ok((end.public, share))
    }

    fn end(self) -> Result<End, KeygenError> {
        if let Some(stage) = self.stage {
            return Err(KeygenError::Order {
                current: Some(stage),
                asked: Stage::Rows,
            });
        }
        let live = self
            .seeds
            .derive(&Label::new("organtwin/live").session(&self.session));
        let public = PublicKey::assemble(
            self.params,
            self.committee,
            self.session,
            self.mask_seed,
            self.bodies,
        );
        Ok(End {
            public,
            glwe: self.glwe,
            squashing: self.squashing,
            live,
        })
    }
}

/// What remains of a finished ceremony.
struct End {
    public: PublicKey,
    glwe: KeyPieces,
    squashing: KeyPieces,
    live: PieceSeeds,
}

fn sum_pieces(
    pieces: &KeyPieces,
    group: &Group,
    size: usize,
) -> Result<Secret<Vec<u128>>, KeygenError> {
    let mut sum = Secret::new(vec![0u128; size]);
    for piece in group.linear() {
        let values = pieces.piece(*piece).ok_or(KeygenError::Seeds(*piece))?;
        for (sum, value) in sum.expose_mut().iter_mut().zip(values) {
            *sum = sum.wrapping_add(*value);
        }
    }
    Ok(sum)
}

fn transform(ring: &Ring, size: usize, key: &[u128]) -> Secret<Vec<u32>> {
    let mut out = Secret::new(vec![0; ring.transform_len() * (key.len() / size)]);
    for (polynomial, out) in key
        .chunks_exact(size)
        .zip(out.expose_mut().chunks_exact_mut(ring.transform_len()))
    {
        ring.forward(polynomial, out);
    }
    out
}
