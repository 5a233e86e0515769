//! The vectors that a node computed for the stage of a ceremony, on disk until the ceremony ends.
//!
//! They are as public as the channel to their recipients: masked sums. They are erased with the session.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::statement::StageName;

/// Asks for the digests of all chunks instead of a chunk.
pub(super) const LEAVES: u32 = u32::MAX;

/// One session's vectors.
#[derive(Clone)]
pub(super) struct Spool {
    dir: PathBuf,
}

impl Spool {
    /// Begins an empty directory; what an earlier session left is erased.
    pub(super) fn begin(dir: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(dir)?,
        }
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    fn path(&self, stage: u8, group: u16, what: &str) -> PathBuf {
        self.dir.join(format!("{stage}-{group}.{what}"))
    }

    /// Writes a group's vector chunk by chunk and returns the chunks' digests.
    pub(super) fn write<E: From<io::Error>>(
        &self,
        stage: StageName,
        group: u16,
        chunks: u32,
        mut chunk: impl FnMut(u32) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<Digest>, E> {
        let stage = number(stage);
        let mut file = BufWriter::new(File::create(self.path(stage, group, "vector"))?);
        let mut leaves = Vec::new();
        let mut ends = Vec::new();
        let mut end = 0u64;
        for index in 0..chunks {
            let bytes = chunk(index)?;
            file.write_all(&bytes)?;
            end += bytes.len() as u64;
            ends.extend_from_slice(&end.to_le_bytes());
            leaves.push(of_blob(&bytes));
        }
        file.flush()?;
        fs::write(self.path(stage, group, "ends"), ends)?;
        let digests: Vec<u8> = leaves.iter().flat_map(|leaf| *leaf.as_bytes()).collect();
        // Last: whoever finds the leaves finds the vector whole.
        fs::write(self.path(stage, group, "leaves"), digests)?;
        Ok(leaves)
    }

    /// A chunk, or with [`LEAVES`] the digests of all; `None` where there is none.
    pub(super) fn serve(&self, stage: u8, group: u16, chunk: u32) -> Option<Vec<u8>> {
        let leaves = fs::read(self.path(stage, group, "leaves")).ok()?;
        if chunk == LEAVES {
            return Some(leaves);
        }
        let mut ends = File::open(self.path(stage, group, "ends")).ok()?;
        let start = if chunk == 0 {
            0
        } else {
            end_at(&mut ends, chunk - 1)?
        };
        let length = end_at(&mut ends, chunk)?.checked_sub(start)?;
        let mut file = File::open(self.path(stage, group, "vector")).ok()?;
        file.seek(SeekFrom::Start(start)).ok()?;
        let mut bytes = vec![0u8; usize::try_from(length).ok()?];
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Erases everything.
    pub(super) fn erase(&self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(%error, "the ceremony's vectors were not erased");
        }
    }
}

fn end_at(ends: &mut File, chunk: u32) -> Option<u64> {
    let mut bytes = [0u8; 8];
    ends.seek(SeekFrom::Start(u64::from(chunk) * 8)).ok()?;
    ends.read_exact(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// A stage's number on the wire.
pub(super) fn number(stage: StageName) -> u8 {
    match stage {
        StageName::Bits => 0,
        StageName::Products => 1,
        StageName::Rows => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_and_others_do_not_exist() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::begin(&dir.path().join("spool")).unwrap();
        let chunks = [vec![1u8; 5], vec![2u8; 3], vec![]];
        let leaves = spool
            .write::<io::Error>(StageName::Rows, 1, 3, |index| {
                Ok(chunks[index as usize].clone())
            })
            .unwrap();
        for (index, chunk) in (0u32..).zip(&chunks) {
            assert_eq!(spool.serve(2, 1, index).as_ref(), Some(chunk));
            assert_eq!(leaves[index as usize], of_blob(chunk));
        }
        assert_eq!(spool.serve(2, 1, LEAVES).unwrap().len(), 3 * 32);
        for (stage, group, chunk) in [(2, 1, 3), (2, 0, 0), (1, 1, 0)] {
            assert_eq!(spool.serve(stage, group, chunk), None);
        }
        spool.erase();
        assert_eq!(spool.serve(2, 1, 0), None);
    }
}
