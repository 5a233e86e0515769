//! Labels, seeds and the pseudo-random function (docs/spec/prf.md).

use zeroize::Zeroizing;

use crate::digest::{Digest, SessionId};
use crate::party::{PartyId, PartySet, PieceId};
use crate::secret::Secret;

/// The input of the pseudo-random function and of every hash: a typed list, encoded as a canonical
/// CBOR array that starts with a domain text (prf.md 2).
pub struct Label {
    count: u64,
    items: Zeroizing<Vec<u8>>,
}

const UNSIGNED: u8 = 0 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;

/// Writes a CBOR head with the shortest argument (RFC 8949, 4.2.1).
fn push_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let [.., b4, b5, b6, b7] = argument.to_be_bytes();
    match argument {
        0..=23 => out.push(major | b7),
        24..=0xff => out.extend_from_slice(&[major | 24, b7]),
        0x100..=0xffff => out.extend_from_slice(&[major | 25, b6, b7]),
        0x1_0000..=0xffff_ffff => out.extend_from_slice(&[major | 26, b4, b5, b6, b7]),
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

impl Label {
    /// Starts a label in `domain`; two uses with different meaning have different domains.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        // Room for a dozen digests, so that secret items are not left behind by a reallocation.
        let label = Self {
            count: 0,
            items: Zeroizing::new(Vec::with_capacity(1024)),
        };
        label.text(domain)
    }

    fn head(mut self, major: u8, argument: u64) -> Self {
        self.count += 1;
        push_head(&mut self.items, major, argument);
        self
    }

    /// Appends an unsigned integer.
    #[must_use]
    pub fn uint(self, value: impl Into<u64>) -> Self {
        self.head(UNSIGNED, value.into())
    }

    /// Appends a count or an index.
    #[must_use]
    pub fn index(self, value: usize) -> Self {
        self.head(UNSIGNED, value as u64)
    }

    /// Appends a text.
    #[must_use]
    pub fn text(self, value: &str) -> Self {
        let mut label = self.head(TEXT, value.len() as u64);
        label.items.extend_from_slice(value.as_bytes());
        label
    }

    /// Appends a byte string.
    #[must_use]
    pub fn bytes(self, value: &[u8]) -> Self {
        let mut label = self.head(BYTES, value.len() as u64);
        label.items.extend_from_slice(value);
        label
    }

    /// Appends a digest as a byte string.
    #[must_use]
    pub fn digest(self, value: &Digest) -> Self {
        self.bytes(value.as_bytes())
    }

    /// Appends a session as a byte string.
    #[must_use]
    pub fn session(self, value: &SessionId) -> Self {
        self.bytes(value.as_bytes())
    }

    /// Appends a party's number.
    #[must_use]
    pub fn party(self, value: PartyId) -> Self {
        self.uint(value.get())
    }

    /// Appends a set of parties as its bits, party 1 lowest.
    #[must_use]
    pub fn parties(self, value: PartySet) -> Self {
        self.uint(value.bits())
    }

    /// Appends a piece as the bits of the set that lacks it.
    #[must_use]
    pub fn piece(self, value: PieceId) -> Self {
        self.parties(value.absent())
    }

    /// Returns the canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.items.len() + 9));
        push_head(&mut out, ARRAY, self.count);
        out.extend_from_slice(&self.items);
        out
    }

    /// Returns the BLAKE3 hash of the encoding (prf.md 4).
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::new(*blake3::hash(&self.encode()).as_bytes())
    }
}

/// A 32-byte key of the pseudo-random function.
///
/// It cannot be printed, cloned or compared, and is wiped when dropped.
pub struct Seed(Secret<[u8; 32]>);

/// What a seed is asked for; part of the keyed input, so that a stream never equals a seed.
const PURPOSE_SEED: u8 = 1;
const PURPOSE_STREAM: u8 = 2;

impl Seed {
    /// Takes 32 uniform bytes as a seed.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Lends the bytes, for sealing and for sending to a party that may know them.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    fn xof(&self, purpose: u8, label: &Label) -> blake3::OutputReader {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        hasher.update(&[purpose]);
        hasher.update(&label.encode());
        hasher.finalize_xof()
    }

    /// Derives the seed that `label` names (prf.md 5).
    #[must_use]
    pub fn derive(&self, label: &Label) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        self.xof(PURPOSE_SEED, label).fill(bytes.as_mut());
        Self::new(*bytes)
    }

    /// Opens the pseudo-random stream that `label` names (prf.md 6).
    #[must_use]
    pub fn stream(&self, label: &Label) -> PrfStream {
        PrfStream {
            reader: self.xof(PURPOSE_STREAM, label),
        }
    }
}

/// A seekable pseudo-random byte stream; values take a fixed number of bytes each.
pub struct PrfStream {
    reader: blake3::OutputReader,
}

impl PrfStream {
    /// Moves to an absolute byte position.
    pub fn seek(&mut self, byte: u64) {
        self.reader.set_position(byte);
    }

    /// Fills `out` with the next bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.reader.fill(out);
    }

    /// Returns the next 8 bytes as a little-endian integer.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Returns the next 16 bytes as a little-endian integer.
    pub fn next_u128(&mut self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_canonical_cbor() {
        let label = Label::new("x")
            .uint(23u8)
            .uint(24u8)
            .uint(0x1_0000u32)
            .bytes(&[1, 2]);
        let value: ciborium::Value = ciborium::from_reader(label.encode().as_slice()).unwrap();
        let mut again = Vec::new();
        ciborium::into_writer(&value, &mut again).unwrap();
        assert_eq!(again, *label.encode());
        assert_eq!(value.as_array().unwrap().len(), 5);
    }

    #[test]
    fn seeds_streams_and_labels_are_separated() {
        let seed = Seed::new([3; 32]);
        let mut stream = [0; 32];
        seed.stream(&Label::new("a")).fill(&mut stream);
        assert_ne!(seed.derive(&Label::new("a")).expose(), &stream);
        assert_ne!(
            seed.derive(&Label::new("a").uint(1u8)).expose(),
            seed.derive(&Label::new("a").uint(2u8)).expose()
        );
    }

    #[test]
    fn a_stream_continues_where_it_was_sought() {
        let seed = Seed::new([9; 32]);
        let mut whole = [0; 200];
        seed.stream(&Label::new("s")).fill(&mut whole);
        let mut part = [0; 50];
        let mut stream = seed.stream(&Label::new("s"));
        stream.seek(77);
        stream.fill(&mut part);
        assert_eq!(part, whole[77..127]);
    }
}
