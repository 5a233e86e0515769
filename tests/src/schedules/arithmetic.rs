//! A fast model of the arithmetic: replicated shares modulo 2^128 of a key that is one number, ciphertexts of
//! dimension one without noise of their own.
//!
//! It protects nothing and gates nothing. Everything that the protocol relies on is there: pieces and seeds that
//! only their holders know, sums over groups in which every term counts, public material that depends on all of it,
//! deterministic evaluation, partial decryptions with shared noise that add up to the value. A piece, group vector,
//! twin or shard that is wrong or missing gives another key or another value, not a plausible one. Recombination
//! and audit are the real ones: squashed blocks have the toy parameters' form, with zeros in the unused places.

use std::collections::BTreeMap;

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::statement::{Batch, StageName};
use organtwin_threshold::{
    Committee, Family, Label, PartyId, PartySet, PieceId, Seed, SessionId, SquashedBlocks,
};

/// How many cells a study of the model counts; one block each.
pub const CELLS: usize = 3;
/// The place of a 4-bit value in a word.
const DELTA: u32 = 123;
/// Shared noise of one piece lies within this power of two.
const NOISE: u32 = 115;

/// Mask and body.
pub type Ciphertext = (u128, u128);

fn label(what: &str, session: &SessionId) -> Label {
    Label::new("organtwin/model").text(what).session(session)
}

/// The position of the first group all of whose members hold a piece.
fn first_group(family: &[PartySet], piece: PieceId) -> usize {
    let mut groups = family.iter();
    groups
        .position(|group| piece.is_held_by_all(*group))
        .expect("every piece is held by all of some group")
}

fn stage_family(committee: &Committee, stage: StageName) -> &[PartySet] {
    committee.family(match stage {
        StageName::Bits | StageName::Products => Family::Quad,
        StageName::Rows => Family::Lin,
    })
}

fn to_bytes(words: &[u128]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn to_words(bytes: &[u8]) -> Vec<u128> {
    let (words, _) = bytes.as_chunks::<16>();
    words
        .iter()
        .map(|word| u128::from_le_bytes(*word))
        .collect()
}

fn add(sum: &mut [u128], terms: &[u128]) {
    for (sum, term) in sum.iter_mut().zip(terms) {
        *sum = sum.wrapping_add(*term);
    }
}

/// A word that depends on all bytes.
fn word_of(digest: &Digest) -> u128 {
    let (words, _) = digest.as_bytes().as_chunks::<16>();
    words
        .iter()
        .fold(0, |sum, word| sum ^ u128::from_le_bytes(*word))
}

/// One party's side of a key ceremony.
pub struct Keygen {
    committee: Committee,
    session: SessionId,
    seeds: BTreeMap<PieceId, Seed>,
    mask_seed: [u8; 32],
    opened: BTreeMap<StageName, Vec<u128>>,
}

/// The public material.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    row: Ciphertext,
    /// What the certificate names.
    pub digest: Digest,
    mask_seed: [u8; 32],
}

/// A party's share of the key.
#[derive(Clone)]
pub struct Share {
    committee: Committee,
    pieces: BTreeMap<PieceId, (u128, [u8; 32])>,
}

impl Keygen {
    /// Begins under the seeds of the party's pieces.
    #[must_use]
    pub fn new(
        committee: &Committee,
        session: SessionId,
        seeds: BTreeMap<PieceId, Seed>,
        mask_seed: [u8; 32],
    ) -> Self {
        Self {
            committee: committee.clone(),
            session,
            seeds,
            mask_seed,
            opened: BTreeMap::new(),
        }
    }

    fn mask(&self) -> u128 {
        Seed::new(self.mask_seed)
            .stream(&label("mask", &self.session))
            .next_u128()
    }

    /// A piece of the key; the first one is corrected by what was opened, as the real ceremony does.
    fn piece(&self, piece: PieceId) -> u128 {
        let own = self.seeds[&piece]
            .stream(&label("key", &self.session).piece(piece))
            .next_u128();
        if self.committee.pieces().first() != Some(&piece) {
            return own;
        }
        [StageName::Bits, StageName::Products]
            .iter()
            .filter_map(|stage| self.opened.get(stage))
            .fold(own, |sum, words| {
                sum.wrapping_add(word_of(&of_blob(&to_bytes(words))))
            })
    }

    fn term(&self, stage: StageName, piece: PieceId) -> [u128; 2] {
        match stage {
            StageName::Rows => [self.mask().wrapping_mul(self.piece(piece)), 0],
            StageName::Bits | StageName::Products => {
                let mut stream = self.seeds[&piece]
                    .stream(&label(&format!("{stage:?}"), &self.session).piece(piece));
                [stream.next_u128(), stream.next_u128()]
            }
        }
    }

    /// The vector of one of the party's groups.
    #[must_use]
    pub fn vector(&self, stage: StageName, group: usize) -> Vec<u8> {
        let family = stage_family(&self.committee, stage);
        let mut sum = [0; 2];
        for piece in self.committee.pieces() {
            if first_group(family, *piece) == group {
                add(&mut sum, &self.term(stage, *piece));
            }
        }
        to_bytes(&sum)
    }

    /// Adds up the vectors of all groups of a stage; the digest of what was opened.
    pub fn open(&mut self, stage: StageName, vectors: &[Vec<u8>]) -> Digest {
        let mut sum = vec![0; 2];
        for vector in vectors {
            add(&mut sum, &to_words(vector));
        }
        let digest = of_blob(&to_bytes(&sum));
        self.opened.insert(stage, sum);
        digest
    }

    /// The key, after all stages.
    #[must_use]
    pub fn finish(&self) -> (PublicKey, Share) {
        let body = self.opened[&StageName::Rows][0];
        let row = (self.mask(), body);
        let digest = of_blob(&to_bytes(&[row.0, row.1]));
        let public = PublicKey {
            row,
            digest,
            mask_seed: self.mask_seed,
        };
        let live = |piece: PieceId| {
            let seed = self.seeds[&piece].derive(&label("live", &self.session));
            *seed.expose()
        };
        let pieces = self.seeds.keys();
        let pieces = pieces.map(|piece| (*piece, (self.piece(*piece), live(*piece))));
        let share = Share {
            committee: self.committee.clone(),
            pieces: pieces.collect(),
        };
        (public, share)
    }
}

impl PublicKey {
    /// A fresh-looking encryption of zero that depends on the key, so that different keys give different outputs.
    fn zero(&self, of: &Digest, position: usize) -> Ciphertext {
        let scale = word_of(of).wrapping_add(position as u128) | 1;
        (
            self.row.0.wrapping_mul(scale),
            self.row.1.wrapping_mul(scale),
        )
    }

    /// Test values, their squashed encryption, and what they are.
    #[must_use]
    pub fn self_test(&self) -> (SquashedBlocks, Vec<u8>) {
        let expected = vec![3, 0, 9];
        let blocks = expected.iter().enumerate().map(|(position, value)| {
            let (mask, body) = self.zero(&self.digest, position);
            (mask, body.wrapping_add(u128::from(*value) << DELTA))
        });
        (squash(&blocks.collect::<Vec<_>>()), expected)
    }

    fn masks(&self, batch: &Batch, slots: u32) -> Vec<u128> {
        let label = Label::new("organtwin/model").text("batch");
        let mut stream =
            Seed::new(self.mask_seed).stream(&label.party(batch.hospital).uint(batch.number));
        (0..slots).map(|_| stream.next_u128()).collect()
    }

    /// Evaluates a shard: the sums of its twins' cells.
    #[must_use]
    pub fn evaluate(&self, twins: &[Vec<Ciphertext>], inputs: &Digest) -> Vec<u8> {
        let cells = (0..CELLS).map(|cell| {
            twins
                .iter()
                .fold(self.zero(inputs, cell), |sum, twin| plus(sum, twin[cell]))
        });
        encode(&cells.collect::<Vec<_>>())
    }
}

fn plus(a: Ciphertext, b: Ciphertext) -> Ciphertext {
    (a.0.wrapping_add(b.0), a.1.wrapping_add(b.1))
}

fn encode(cells: &[Ciphertext]) -> Vec<u8> {
    cells
        .iter()
        .flat_map(|(mask, body)| to_bytes(&[*mask, *body]))
        .collect()
}

/// Adds shard outputs; their sum is squashed next.
#[must_use]
pub fn combine<'a>(outputs: impl Iterator<Item = &'a [u8]>) -> Vec<Ciphertext> {
    let mut sum = vec![(0, 0); CELLS];
    for output in outputs {
        let words = to_words(output);
        for (sum, pair) in sum.iter_mut().zip(words.as_chunks::<2>().0) {
            *sum = plus(*sum, (pair[0], pair[1]));
        }
    }
    sum
}

/// Blocks in the form of the toy parameters: the mask stands in the first place, the others are zero.
#[must_use]
pub fn squash(cells: &[Ciphertext]) -> SquashedBlocks {
    let words = lwe_size();
    let header = [cells.len(), words];
    let mut bytes: Vec<u8> = header
        .iter()
        .flat_map(|field| u32::try_from(*field).expect("small").to_le_bytes())
        .collect();
    for (mask, body) in cells {
        let mut block = vec![0; words];
        block[0] = *mask;
        block[words - 1] = *body;
        bytes.extend(to_bytes(&block));
    }
    SquashedBlocks::from_bytes(&bytes, words).expect("the form of squashed blocks")
}

/// The words of a squashed block at toy parameters.
#[must_use]
pub fn lwe_size() -> usize {
    static SIZE: std::sync::LazyLock<usize> = std::sync::LazyLock::new(|| {
        let toy = organtwin_threshold::ParameterSet::toy().expect("toy parameters");
        toy.squashing_size() + 1
    });
    *SIZE
}

impl Share {
    /// The party's partial decryption of squashed blocks.
    #[must_use]
    pub fn decrypt(&self, blocks: &SquashedBlocks) -> Vec<(PieceId, Vec<u128>)> {
        let label = Label::new("organtwin/model")
            .text("open")
            .digest(&blocks.digest());
        let decrypt = |(piece, (key, live)): (&PieceId, &(u128, [u8; 32]))| {
            let mut noise = Seed::new(*live).stream(&label);
            let values = blocks.iter().map(|(mask, _)| {
                let small = noise.next_u128() >> (128 - NOISE);
                small.wrapping_sub(mask[0].wrapping_mul(*key))
            });
            (*piece, values.collect())
        };
        self.pieces.iter().map(decrypt).collect()
    }

    /// The seed of a piece for one batch; its holders send it to the batch's hospital.
    #[must_use]
    pub fn subseed(&self, batch: &Batch, piece: PieceId) -> Option<[u8; 32]> {
        let (_, live) = self.pieces.get(&piece)?;
        let label = Label::new("organtwin/model")
            .text("in")
            .party(batch.hospital)
            .uint(batch.number)
            .uint(batch.epoch);
        Some(*Seed::new(*live).derive(&label).expose())
    }

    /// The vectors of the party's live groups for a batch.
    #[must_use]
    pub fn batch_vectors(
        &self,
        me: PartyId,
        public: &PublicKey,
        batch: &Batch,
        slots: u32,
    ) -> Vec<(usize, Vec<u8>)> {
        let family = self.committee.family(Family::Live);
        let masks = public.masks(batch, slots);
        let mine = family
            .iter()
            .enumerate()
            .filter(|(_, group)| group.contains(me));
        let vector = |(index, _): (usize, &PartySet)| {
            let mut sum = vec![0; masks.len()];
            let terms = self
                .pieces
                .iter()
                .filter(|(piece, _)| first_group(family, **piece) == index);
            for (piece, (key, _)) in terms {
                let pads = pads(
                    &self.subseed(batch, *piece).expect("an own piece"),
                    masks.len(),
                );
                let term = masks.iter().zip(pads);
                let term =
                    term.map(|(mask, pad)| mask.wrapping_mul(*key).wrapping_add(pad << DELTA));
                add(&mut sum, &term.collect::<Vec<_>>());
            }
            (index, to_bytes(&sum))
        };
        mine.map(vector).collect()
    }
}

fn pads(subseed: &[u8; 32], slots: usize) -> Vec<u128> {
    let mut stream = Seed::new(*subseed).stream(&Label::new("organtwin/model").text("pad"));
    (0..slots).map(|_| stream.next_u128()).collect()
}

/// The bodies of a batch from the vectors of all groups.
#[must_use]
pub fn bodies<'a>(vectors: impl Iterator<Item = &'a [u8]>, slots: u32) -> Vec<u128> {
    let mut sum = vec![0; slots as usize];
    for vector in vectors {
        add(&mut sum, &to_words(vector));
    }
    sum
}

/// The padded weights of a twin, from the subseeds of all pieces.
#[must_use]
pub fn pad(
    subseeds: &BTreeMap<PieceId, [u8; 32]>,
    slots: u32,
    first: u32,
    weights: &[u8],
) -> Vec<u8> {
    let mut rho = vec![0; slots as usize];
    for subseed in subseeds.values() {
        add(&mut rho, &pads(subseed, slots as usize));
    }
    let words = weights
        .iter()
        .zip(&rho[first as usize..])
        .map(|(weight, pad)| u128::from(*weight).wrapping_sub(*pad));
    to_bytes(&words.collect::<Vec<_>>())
}

/// A twin's ciphertexts from the batch's bodies and its padded weights.
#[must_use]
pub fn ciphertexts(
    public: &PublicKey,
    batch: &Batch,
    bodies: &[u128],
    first: u32,
    padded: &[u8],
) -> Vec<Ciphertext> {
    let slots = u32::try_from(bodies.len()).expect("few slots");
    let masks = public.masks(batch, slots);
    let words = to_words(padded);
    let places = masks.iter().zip(bodies).skip(first as usize);
    places
        .zip(words)
        .map(|((mask, body), word)| (*mask, body.wrapping_add(word << DELTA)))
        .collect()
}
