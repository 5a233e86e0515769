//! Content-addressed files: a blob is named by the hash of its bytes, so a damaged one is noticed and fetched again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::durable;

/// Largest blob, bytes: a transcript's largest part, not a key (those never travel as one blob).
pub const MAX_BLOB: u64 = 64 * 1024 * 1024;

/// The hash that names a blob.
pub type BlobHash = [u8; 32];

/// The blobs of one hospital. Not trusted: what is read is checked against its name.
#[derive(Debug, Clone)]
pub struct Blobs {
    dir: PathBuf,
}

impl Blobs {
    /// Opens the directory, making it where it is missing, and removes what a crash left half written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    /// The name under which `bytes` are kept.
    pub fn hash(bytes: &[u8]) -> BlobHash {
        *blake3::hash(bytes).as_bytes()
    }

    fn path(&self, hash: &BlobHash) -> PathBuf {
        self.dir.join(hex::encode(hash))
    }

    /// Keeps `bytes` durably and returns their name. Keeping the same bytes twice costs nothing.
    pub fn put(&self, bytes: &[u8]) -> io::Result<BlobHash> {
        let hash = Self::hash(bytes);
        if !self.contains(&hash) {
            durable::write_file(&self.path(&hash), bytes, durable::Mode::Public)?;
        }
        Ok(hash)
    }

    /// Keeps many blobs with one flush of the directory.
    pub fn put_all<'a>(
        &self,
        blobs: impl IntoIterator<Item = &'a [u8]>,
    ) -> io::Result<Vec<BlobHash>> {
        let mut hashes = Vec::new();
        for bytes in blobs {
            let hash = Self::hash(bytes);
            let path = self.path(&hash);
            if !path.is_file() {
                let temporary = durable::temporary_beside(&path);
                let mut file = durable::create(&temporary, durable::Mode::Public)?;
                io::Write::write_all(&mut file, bytes)?;
                file.sync_data()?;
                fs::rename(&temporary, &path)?;
            }
            hashes.push(hash);
        }
        durable::sync_directory(&self.dir)?;
        Ok(hashes)
    }

    /// Whether a blob is there.
    pub fn contains(&self, hash: &BlobHash) -> bool {
        self.path(hash).is_file()
    }

    /// Reads a blob whole. A blob whose bytes do not have its hash is removed and counts as absent.
    pub fn get(&self, hash: &BlobHash) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(hash);
        let bytes = match durable::read_bounded(&path, MAX_BLOB) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(failed) => return Err(failed),
        };
        if Self::hash(&bytes) != *hash {
            fs::remove_file(path)?;
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Reads at most `most` bytes from `offset`, and the blob's length. For serving: the receiver checks the hash.
    pub fn part(
        &self,
        hash: &BlobHash,
        offset: u64,
        most: u64,
    ) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut file = match File::open(self.path(hash)) {
            Ok(file) => file,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(failed) => return Err(failed),
        };
        let total = file.metadata()?.len();
        if offset > total {
            return Ok(Some((total, Vec::new())));
        }
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Some((total, bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_blob_counts_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let hash = blobs.put(b"twin").unwrap();
        assert_eq!(blobs.get(&hash).unwrap().as_deref(), Some(&b"twin"[..]));
        fs::write(dir.path().join(hex::encode(hash)), b"twiN").unwrap();
        assert_eq!(blobs.get(&hash).unwrap(), None);
        assert!(!blobs.contains(&hash));
    }

    #[test]
    fn a_blob_left_half_written_by_a_crash_is_removed_at_opening() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".abc.tmp"), b"half").unwrap();
        Blobs::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn parts_join_to_the_whole_and_stop_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let hash = blobs.put(b"0123456789").unwrap();
        assert_eq!(
            blobs.part(&hash, 0, 4).unwrap(),
            Some((10, b"0123".to_vec()))
        );
        assert_eq!(blobs.part(&hash, 8, 4).unwrap(), Some((10, b"89".to_vec())));
        assert_eq!(blobs.part(&hash, 11, 4).unwrap(), Some((10, Vec::new())));
        assert_eq!(blobs.part(&[0; 32], 0, 4).unwrap(), None);
    }
}
