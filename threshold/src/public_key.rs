//! The public key material that a ceremony produces: canonical bytes and digest.

mod assembly;
mod self_test;

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::committee::Committee;
use crate::digest::{Digest, SessionId};
use crate::keygen::{Ggsw, keyswitch_rows};
use crate::params::ParameterSet;
use crate::prf::Label;

/// What everyone knows about a joint key without its bulk.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicKeyInfo {
    /// The parameters.
    pub params: ParameterSet,
    /// The committee that made the key.
    pub committee: Committee,
    /// The session of the ceremony.
    pub session: SessionId,
    /// The public seed of all masks.
    pub mask_seed: [u8; 32],
    /// The digest of the whole public key.
    pub digest: Digest,
}

/// Why public key bytes are refused.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeyError {
    /// Reading or writing failed.
    #[error("reading or writing the public key failed")]
    Io(#[from] io::Error),
    /// The bytes are not a public key of this version.
    #[error("not a public key of this version: {0}")]
    Format(&'static str),
    /// The parameter set is unknown.
    #[error("unknown parameter set {0:?}")]
    Parameters(String),
    /// The bytes are not those that the digest names.
    #[error("the public key has digest {got}, {expected} was expected: the file was changed")]
    Digest {
        /// The digest in the head.
        expected: Digest,
        /// The digest of what was read.
        got: Digest,
    },
    /// tfhe does not accept the assembled key.
    #[error("tfhe does not accept the assembled key: {0}")]
    Assembly(&'static str),
}

/// The bodies of all rows; their masks follow from the mask seed.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Bodies {
    pub(crate) keyswitch: Vec<u64>,
    pub(crate) compact: Vec<u64>,
    pub(crate) bootstrap: Vec<u64>,
    pub(crate) squashing: Vec<u128>,
}

/// Numbers of body elements: key switching, compact, bootstrapping, squashing.
fn sizes(params: &ParameterSet) -> [usize; 4] {
    [
        keyswitch_rows(params),
        params.glwe_size(),
        params.lwe_size() * Ggsw::bootstrap(params).elements(),
        params.lwe_size() * Ggsw::squashing(params).elements(),
    ]
}

impl Bodies {
    /// Reserves exactly what the parameters need.
    pub(crate) fn with_capacity(params: &ParameterSet) -> Self {
        let [keyswitch, compact, bootstrap, squashing] = sizes(params);
        Self {
            keyswitch: Vec::with_capacity(keyswitch),
            compact: Vec::with_capacity(compact),
            bootstrap: Vec::with_capacity(bootstrap),
            squashing: Vec::with_capacity(squashing),
        }
    }

    fn write_to(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        for part in [&self.keyswitch, &self.compact, &self.bootstrap] {
            write_elements(part, u64::to_le_bytes, &mut write)?;
        }
        write_elements(&self.squashing, u128::to_le_bytes, &mut write)
    }
}

const BUFFER: usize = 1 << 13;

fn write_elements<T: Copy, const N: usize>(
    values: &[T],
    encode: impl Fn(T) -> [u8; N],
    write: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER * N);
    for part in values.chunks(BUFFER) {
        buffer.clear();
        for value in part {
            buffer.extend_from_slice(&encode(*value));
        }
        write(&buffer)?;
    }
    Ok(())
}

fn read_elements<T, const N: usize>(
    reader: &mut impl Read,
    count: usize,
    decode: impl Fn([u8; N]) -> T,
) -> io::Result<Vec<T>> {
    let mut values = Vec::with_capacity(count);
    let mut buffer = vec![0; BUFFER * N];
    while values.len() < count {
        let bytes = (count - values.len()).min(BUFFER) * N;
        let part = buffer.get_mut(..bytes).unwrap_or_default();
        reader.read_exact(part)?;
        let (elements, _) = part.as_chunks::<N>();
        values.extend(elements.iter().map(|bytes| decode(*bytes)));
    }
    Ok(values)
}

/// The head of the canonical bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHead {
    params: String,
    committee: Committee,
    session: SessionId,
    mask_seed: Digest,
}

const MAGIC: &[u8; 16] = b"organtwin/pk/1\r\n";
const HEAD_LIMIT: u32 = 4096;

/// The public key: one mask seed and the bodies of all rows (about 300 MB with real parameters).
pub struct PublicKey {
    info: PublicKeyInfo,
    pub(crate) bodies: Bodies,
}

impl PublicKey {
    /// Puts together what a ceremony opened.
    pub(crate) fn assemble(
        params: ParameterSet,
        committee: Committee,
        session: SessionId,
        mask_seed: [u8; 32],
        bodies: Bodies,
    ) -> Self {
        let digest = Digest::new([0; 32]);
        let mut key = Self {
            info: PublicKeyInfo {
                params,
                committee,
                session,
                mask_seed,
                digest,
            },
            bodies,
        };
        key.info.digest = key.compute_digest();
        key
    }

    /// Returns what everyone knows about the key.
    #[must_use]
    pub const fn info(&self) -> &PublicKeyInfo {
        &self.info
    }

    /// Returns the digest of the key: of its head and all bodies.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.info.digest
    }

    fn head(&self) -> Vec<u8> {
        let head = RawHead {
            params: self.info.params.id().to_owned(),
            committee: self.info.committee.clone(),
            session: self.info.session,
            mask_seed: Digest::new(self.info.mask_seed),
        };
        let mut bytes = Vec::new();
        // Writing to a vector cannot fail, and an empty head would be refused on reading.
        let _ = ciborium::into_writer(&head, &mut bytes);
        bytes
    }

    fn compute_digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(
            &Label::new("organtwin/public-key")
                .bytes(&self.head())
                .encode(),
        );
        // Updating a hash cannot fail.
        let _ = self.bodies.write_to(|bytes| {
            hasher.update(bytes);
            Ok(())
        });
        Digest::new(*hasher.finalize().as_bytes())
    }

    /// Returns the length of the canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let [keyswitch, compact, bootstrap, squashing] = sizes(&self.info.params);
        let bodies = 8 * (keyswitch + compact + bootstrap) + 16 * squashing;
        (MAGIC.len() + 32 + 4 + self.head().len() + bodies) as u64
    }

    /// Writes the canonical bytes: magic, digest, length and CBOR of the head, bodies little-endian.
    ///
    /// # Errors
    /// Fails if the writer does.
    pub fn write_to(&self, mut writer: impl Write) -> Result<(), PublicKeyError> {
        let head = self.head();
        let length = u32::try_from(head.len())
            .map_err(|_| PublicKeyError::Format("the head is too long"))?;
        writer.write_all(MAGIC)?;
        writer.write_all(self.info.digest.as_bytes())?;
        writer.write_all(&length.to_le_bytes())?;
        writer.write_all(&head)?;
        self.bodies.write_to(|bytes| writer.write_all(bytes))?;
        writer.flush()?;
        Ok(())
    }

    /// Reads canonical bytes, checking every size against the parameters and all bytes against the digest.
    ///
    /// # Errors
    /// Refuses unknown parameters, other versions, short input, trailing bytes and changed bytes.
    pub fn read_from(mut reader: impl Read) -> Result<Self, PublicKeyError> {
        let info = Self::read_info(&mut reader)?;
        let [keyswitch, compact, bootstrap, squashing] = sizes(&info.params);
        let bodies = Bodies {
            keyswitch: read_elements(&mut reader, keyswitch, u64::from_le_bytes)?,
            compact: read_elements(&mut reader, compact, u64::from_le_bytes)?,
            bootstrap: read_elements(&mut reader, bootstrap, u64::from_le_bytes)?,
            squashing: read_elements(&mut reader, squashing, u128::from_le_bytes)?,
        };
        if reader.read(&mut [0])? != 0 {
            return Err(PublicKeyError::Format("bytes follow the end"));
        }
        let expected = info.digest;
        let key = Self { info, bodies };
        let got = key.compute_digest();
        if got == expected {
            Ok(key)
        } else {
            Err(PublicKeyError::Digest { expected, got })
        }
    }

    /// Reads only the head of canonical bytes: what everyone knows, and the digest that they claim.
    ///
    /// # Errors
    /// As [`PublicKey::read_from`], except that the bodies are not looked at.
    pub fn read_info(mut reader: impl Read) -> Result<PublicKeyInfo, PublicKeyError> {
        let mut magic = [0; 16];
        reader.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(PublicKeyError::Format("it starts differently"));
        }
        let mut digest = [0; 32];
        reader.read_exact(&mut digest)?;
        let mut length = [0; 4];
        reader.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > HEAD_LIMIT {
            return Err(PublicKeyError::Format("the head is too long"));
        }
        let mut bytes = vec![0; length as usize];
        reader.read_exact(&mut bytes)?;
        let head: RawHead = ciborium::from_reader(bytes.as_slice())
            .map_err(|_| PublicKeyError::Format("the head is not readable"))?;
        let mut again = Vec::new();
        if ciborium::into_writer(&head, &mut again).is_err() || again != bytes {
            return Err(PublicKeyError::Format("the head is not in canonical form"));
        }
        let params =
            ParameterSet::by_id(&head.params).ok_or(PublicKeyError::Parameters(head.params))?;
        Ok(PublicKeyInfo {
            params,
            committee: head.committee,
            session: head.session,
            mask_seed: *head.mask_seed.as_bytes(),
            digest: Digest::new(digest),
        })
    }
}
