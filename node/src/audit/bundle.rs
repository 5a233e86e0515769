//! The bundle: a transcript with everything that evaluating its shards again needs, in one directory.
//!
//! `transcript`, `blobs/HASH` for every twin and every accepted vector of an input batch, and `public.key` if asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::fold::Fold;
use organtwin_protocol::statement::Batch;
use organtwin_protocol::study::Study;
use organtwin_protocol::tally;
use organtwin_protocol::transcript::Transcript;
use organtwin_protocol::twin::{TwinList, TwinRef};

use crate::store::blobs::MAX_BLOB;
use crate::store::durable;

/// The transcript's name in a bundle.
pub const TRANSCRIPT: &str = "transcript";
/// The key's name in a bundle.
pub const KEY: &str = "public.key";
const BLOBS: &str = "blobs";

/// Why a bundle cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file is missing.
    #[error("{what} is missing: expected it at {path}; {next}")]
    Missing {
        /// What it is.
        what: String,
        /// Where it should be.
        path: PathBuf,
        /// What to do.
        next: &'static str,
    },
    /// A file's bytes do not have the digest that the statements name.
    #[error(
        "{what} at {path} is damaged or another: its bytes do not have the digest that the statements name"
    )]
    Damaged {
        /// What it is.
        what: String,
        /// Where it is.
        path: PathBuf,
    },
    /// The transcript does not name what is asked.
    #[error("{0}")]
    Unknown(String),
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_path_buf();
    move |source| BundleError::Io { path, source }
}

/// What the twins of one study need.
pub(super) struct Needs {
    pub(super) list: TwinList,
    /// The accepted vectors of every batch, by group.
    pub(super) batches: BTreeMap<Batch, BTreeMap<usize, Digest>>,
}

impl Needs {
    /// What a study of the transcript needs.
    pub(super) fn of(
        transcript: &Transcript,
        fold: &Fold,
        study: &Study<'_>,
    ) -> Result<Self, BundleError> {
        let unknown = |what: &str| BundleError::Unknown(format!("study {}: {what}", study.id));
        let files = transcript.files(&study.id);
        let files = files.ok_or_else(|| unknown("the transcript does not contain its files"))?;
        let list = TwinList::decode(files.twins.as_slice())
            .map_err(|error| unknown(&error.to_string()))?;
        let mut batches = BTreeMap::new();
        for twin in list.twins() {
            let deposit = deposit(fold, twin).ok_or_else(|| unknown("a twin has no deposit"))?;
            batches.entry(deposit.batch).or_insert_with(|| {
                let accepted = tally::batch(fold, &deposit.batch).accepted;
                let accepted = accepted.into_iter();
                accepted
                    .map(|(group, (digest, _))| (usize::from(group), digest))
                    .collect()
            });
        }
        Ok(Self { list, batches })
    }

    fn blobs(&self) -> BTreeSet<(Digest, &'static str)> {
        let twins = self.list.twins().iter().map(|twin| (twin.digest, "twin"));
        let vectors = self.batches.values().flat_map(BTreeMap::values);
        twins
            .chain(vectors.map(|digest| (*digest, "input vector")))
            .collect()
    }
}

/// The deposit of a twin.
pub(super) fn deposit<'a>(
    fold: &'a Fold,
    twin: &TwinRef,
) -> Option<&'a organtwin_protocol::fold::Deposit> {
    fold.facts().deposits.get(&(twin.depositor, twin.id))
}

/// How large a bundle is.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Bytes of the transcript.
    pub transcript: u64,
    /// Twins and vectors.
    pub blobs: u64,
    /// Their bytes.
    pub blobs_bytes: u64,
    /// Bytes of the evaluation key, if it is in the bundle.
    pub key_bytes: Option<u64>,
}

/// The blobs beside a transcript.
pub(super) struct Blobs(PathBuf);

impl Blobs {
    /// Those of a bundle's directory.
    pub(super) fn of(bundle: &Path) -> Self {
        Self(bundle.join(BLOBS))
    }

    /// Reads one and checks that it is what its name says.
    pub(super) fn get(&self, digest: &Digest, what: &str) -> Result<Vec<u8>, BundleError> {
        let path = self.0.join(digest.to_string());
        let what = format!("{what} {digest}");
        let bytes = match durable::read_bounded(&path, MAX_BLOB) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let next = "export the bundle again, or name the directory that has it with --data";
                return Err(BundleError::Missing { what, path, next });
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        if of_blob(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(BundleError::Damaged { what, path })
        }
    }
}

/// Writes a bundle into a new directory; `blobs` is where the hospital keeps its blobs, `key` the public key to add.
///
/// # Errors
/// [`BundleError`] names the file.
pub fn write(
    target: &Path,
    bytes: &[u8],
    transcript: &Transcript,
    fold: &Fold,
    blobs: &Path,
    key: Option<&Path>,
    progress: &dyn Fn(u64, u64),
) -> Result<Size, BundleError> {
    let mut wanted = BTreeSet::new();
    let mut needs = Vec::new();
    for study in Study::all(fold).filter(|study| transcript.files(&study.id).is_some()) {
        needs.push(Needs::of(transcript, fold, &study)?);
    }
    for needs in &needs {
        wanted.extend(needs.blobs());
    }
    std::fs::create_dir(target).map_err(failed(target))?;
    let to = Blobs::of(target);
    std::fs::create_dir(&to.0).map_err(failed(&to.0))?;
    let mut size = Size {
        transcript: bytes.len() as u64,
        ..Size::default()
    };
    let from = Blobs(blobs.to_path_buf());
    let all = wanted.len() as u64;
    for (digest, what) in wanted {
        let bytes = from.get(&digest, what)?;
        put(&to.0.join(digest.to_string()), &mut bytes.as_slice())?;
        size.blobs += 1;
        size.blobs_bytes += bytes.len() as u64;
        progress(size.blobs, all);
    }
    if let Some(key) = key {
        let mut file = BufReader::with_capacity(1 << 20, File::open(key).map_err(failed(key))?);
        size.key_bytes = Some(put(&target.join(KEY), &mut file)?);
    }
    // The transcript comes last: a directory without it is not a bundle.
    put(&target.join(TRANSCRIPT), &mut &*bytes)?;
    Ok(size)
}

fn put(path: &Path, from: &mut dyn Read) -> Result<u64, BundleError> {
    let mut write = || {
        let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
        let count = io::copy(from, &mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(count)
    };
    write().map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_that_is_missing_or_damaged_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::of(dir.path());
        std::fs::create_dir(&blobs.0).unwrap();
        let digest = of_blob(b"twin");
        assert!(matches!(
            blobs.get(&digest, "twin"),
            Err(BundleError::Missing { what, .. }) if what == format!("twin {digest}")
        ));
        let path = blobs.0.join(digest.to_string());
        std::fs::write(&path, b"twin").unwrap();
        assert_eq!(blobs.get(&digest, "twin").unwrap(), b"twin");
        std::fs::write(&path, b"twiN").unwrap();
        assert!(matches!(
            blobs.get(&digest, "twin"),
            Err(BundleError::Damaged { .. })
        ));
        assert!(
            put(&path, &mut b"again".as_slice()).is_err(),
            "an existing file is kept"
        );
    }
}
