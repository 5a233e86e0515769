//! What a hospital keeps: feeds, reserved slots, finished jobs and its own index in sled; large bodies as content-addressed files.
//!
//! Durable before visible: [`Store::flush`] returns when everything written before is on the disk, and nothing is sent
//! that refers to what was not flushed. A store that cannot write stops the node; it never goes on from memory.

pub mod blobs;
pub mod durable;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use blobs::{BlobHash, Blobs};

/// Statements read from a peer's request in one answer.
pub const MAX_STATEMENTS_PER_ANSWER: usize = 256;

/// The store failed. The node stops on it: nothing that was made visible is lost.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed, a full disk among the reasons.
    #[error(
        "the store {path} failed: {source}; free some disk space or check the disk, then start the node again, nothing is lost"
    )]
    Database {
        /// The database's directory.
        path: PathBuf,
        /// sled's word.
        source: sled::Error,
    },
    /// A record does not decode.
    #[error("the store {path} holds a damaged record in '{tree}': {what}")]
    Damaged {
        /// The database's directory.
        path: PathBuf,
        /// The tree.
        tree: &'static str,
        /// What was found.
        what: String,
    },
    /// A statement is not the next one of its feed.
    #[error("the feed of party {author} ends before number {expected}, got number {got}")]
    FeedGap {
        /// Whose feed.
        author: u8,
        /// The next number.
        expected: u64,
        /// The number given.
        got: u64,
    },
    /// A file failed.
    #[error(
        "{0}; check the disk's space and the directory's owner, then start the node again, nothing is lost"
    )]
    Io(#[from] std::io::Error),
}

/// One tree of records under byte keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// Single records: addresses, timings.
    Meta,
    /// Batch to its first slot that is not reserved.
    Slots,
    /// Public twin identifier to what only this hospital knows of it.
    OwnTwins,
    /// Finished work, so that a restart does not repeat it.
    Jobs,
    /// Party to the signed statements that ended its feed.
    Ends,
    /// The entries of this node's log, by their number.
    Log,
    /// By their hash, the statements that the log holds and that were cut off their feeds.
    Voided,
    /// What is known of logs: the checkpoints cosigned for peers, and the last one of this node's own.
    Logs,
}

impl Tree {
    fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Slots => "slots",
            Self::OwnTwins => "own-twins",
            Self::Jobs => "jobs",
            Self::Ends => "ends",
            Self::Log => "log",
            Self::Voided => "voided",
            Self::Logs => "logs",
        }
    }
}

/// A hospital's store. Cheap to clone; all clones are one store.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    db: sled::Db,
    /// sled's log. On Linux sled ends a flush with `sync_file_range`, which survives a crash of the process but not one of
    /// the machine: it neither records that the file grew nor empties the disk's cache.
    log: std::sync::Arc<std::fs::File>,
    feeds: sled::Tree,
    blobs: Blobs,
}

impl Store {
    /// Opens or makes the store. The caller holds the directory's lock.
    pub fn open(db: &Path, blobs: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database {
            path: db.to_path_buf(),
            source,
        };
        let opened = sled::Config::new()
            .path(db)
            .cache_capacity(32 * 1024 * 1024)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace)
            .open()
            .map_err(failed)?;
        let feeds = opened.open_tree("feeds").map_err(failed)?;
        let log = std::fs::File::open(db.join("db"))?;
        durable::sync_directory(db)?;
        Ok(Self {
            path: db.to_path_buf(),
            db: opened,
            log: log.into(),
            feeds,
            blobs: Blobs::open(blobs)?,
        })
    }

    /// The content-addressed files.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    fn database(&self, source: sled::Error) -> StoreError {
        StoreError::Database {
            path: self.path.clone(),
            source,
        }
    }

    /// Puts everything written so far on the disk and says how long that took.
    pub fn flush(&self) -> Result<Duration, StoreError> {
        let start = Instant::now();
        self.db.flush().map_err(|source| self.database(source))?;
        self.log.sync_data()?;
        Ok(start.elapsed())
    }

    /// Number of statements held of a feed; sequence numbers count from `first`.
    pub fn feed_len(&self, author: u8) -> Result<u64, StoreError> {
        let last = self.feeds.scan_prefix([author]).keys().next_back();
        match last {
            None => Ok(0),
            Some(key) => {
                let key = key.map_err(|source| self.database(source))?;
                Ok(self.sequence(&key)?.saturating_add(1))
            }
        }
    }

    fn sequence(&self, key: &[u8]) -> Result<u64, StoreError> {
        key.get(1..9)
            .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
            .map(u64::from_be_bytes)
            .ok_or_else(|| self.damaged("feeds", "a key is not a party and a number"))
    }

    fn damaged(&self, tree: &'static str, what: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            tree,
            what: what.into(),
        }
    }

    /// Appends a signed statement to its author's feed (numbers count from 0). Not durable before [`Store::flush`].
    pub fn append(&self, author: u8, sequence: u64, signed: &[u8]) -> Result<(), StoreError> {
        let expected = self.feed_len(author)?;
        if sequence != expected {
            return Err(StoreError::FeedGap {
                author,
                expected,
                got: sequence,
            });
        }
        self.feeds
            .insert(feed_key(author, sequence), signed)
            .map_err(|source| self.database(source))?;
        Ok(())
    }

    /// Removes the statements of a feed from number `from` on: those that lost keys signed beyond the cut.
    pub fn truncate(&self, author: u8, from: u64) -> Result<(), StoreError> {
        let range = feed_key(author, from)..=feed_key(author, u64::MAX);
        for key in self.feeds.range(range).keys() {
            let key = key.map_err(|source| self.database(source))?;
            self.feeds
                .remove(key)
                .map_err(|source| self.database(source))?;
        }
        Ok(())
    }

    /// One statement of a feed.
    pub fn statement(&self, author: u8, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self
            .feeds
            .get(feed_key(author, sequence))
            .map_err(|source| self.database(source))?;
        Ok(found.map(|bytes| bytes.to_vec()))
    }

    /// The statements of a feed from number `from` on, at most `most` bytes of them (one at least) and at most
    /// [`MAX_STATEMENTS_PER_ANSWER`].
    pub fn statements_from(
        &self,
        author: u8,
        from: u64,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut bytes = 0usize;
        let mut statements = Vec::new();
        for entry in self
            .feeds
            .range(feed_key(author, from)..=feed_key(author, u64::MAX))
        {
            let (_, signed) = entry.map_err(|source| self.database(source))?;
            bytes = bytes.saturating_add(signed.len());
            if statements.len() >= MAX_STATEMENTS_PER_ANSWER
                || (bytes > most && !statements.is_empty())
            {
                break;
            }
            statements.push(signed.to_vec());
        }
        Ok(statements)
    }

    fn tree(&self, tree: Tree) -> Result<sled::Tree, StoreError> {
        self.db
            .open_tree(tree.name())
            .map_err(|source| self.database(source))
    }

    /// Writes a record. Not durable before [`Store::flush`].
    pub fn put<T: Serialize>(&self, tree: Tree, key: &[u8], record: &T) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(record, &mut bytes)
            .map_err(|wrong| self.damaged(tree.name(), wrong.to_string()))?;
        self.tree(tree)?
            .insert(key, bytes)
            .map_err(|source| self.database(source))?;
        Ok(())
    }

    /// Reads a record.
    pub fn get<T: DeserializeOwned>(
        &self,
        tree: Tree,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        match self
            .tree(tree)?
            .get(key)
            .map_err(|source| self.database(source))?
        {
            None => Ok(None),
            Some(bytes) => self.decode(tree, &bytes).map(Some),
        }
    }

    /// Removes a record.
    pub fn remove(&self, tree: Tree, key: &[u8]) -> Result<(), StoreError> {
        self.tree(tree)?
            .remove(key)
            .map_err(|source| self.database(source))?;
        Ok(())
    }

    /// All records of a tree in the order of their keys.
    pub fn all<T: DeserializeOwned>(&self, tree: Tree) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let mut records = Vec::new();
        for entry in &self.tree(tree)? {
            let (key, bytes) = entry.map_err(|source| self.database(source))?;
            records.push((key.to_vec(), self.decode(tree, &bytes)?));
        }
        Ok(records)
    }

    fn decode<T: DeserializeOwned>(&self, tree: Tree, bytes: &[u8]) -> Result<T, StoreError> {
        ciborium::from_reader(bytes).map_err(|wrong| self.damaged(tree.name(), wrong.to_string()))
    }

    /// Shows every record of every tree, for a backup. Nothing else may use the store meanwhile.
    pub fn export(
        &self,
        show: &mut dyn FnMut(&str, &[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |source| self.database(source);
        for name in self.db.tree_names() {
            let text = String::from_utf8_lossy(&name).into_owned();
            let tree = self.db.open_tree(&name).map_err(failed)?;
            for entry in &tree {
                let (key, value) = entry.map_err(failed)?;
                show(&text, &key, &value)?;
            }
        }
        Ok(())
    }

    /// Takes back a record of a backup. Not durable before [`Store::flush`].
    pub fn import(&self, tree: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let failed = |source| self.database(source);
        let tree = self.db.open_tree(tree).map_err(failed)?;
        tree.insert(key, value).map_err(failed)?;
        Ok(())
    }

    /// Takes `count` fresh slots of a batch with `capacity` slots, durably, and returns the first; none where too few are left.
    ///
    /// Durable before it returns: after a crash the slots stay taken, so that a pad is never used twice.
    pub fn reserve_slots(
        &self,
        batch: &[u8],
        capacity: u32,
        count: u32,
    ) -> Result<Option<u32>, StoreError> {
        let first: u32 = self.get(Tree::Slots, batch)?.unwrap_or(0);
        match first.checked_add(count) {
            Some(next) if next <= capacity => {
                self.put(Tree::Slots, batch, &next)?;
                self.flush()?;
                Ok(Some(first))
            }
            _ => Ok(None),
        }
    }
}

fn feed_key(author: u8, sequence: u64) -> [u8; 9] {
    let mut key = [author; 9];
    key[1..].copy_from_slice(&sequence.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Store {
        Store::open(&dir.join("db"), &dir.join("blobs")).unwrap()
    }

    #[test]
    fn what_was_flushed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.append(1, 0, b"a").unwrap();
        store.append(1, 1, b"b").unwrap();
        store.append(2, 0, b"c").unwrap();
        store.flush().unwrap();
        drop(store);
        let store = open(dir.path());
        assert_eq!(store.feed_len(1).unwrap(), 2);
        assert_eq!(store.feed_len(2).unwrap(), 1);
        assert_eq!(store.feed_len(3).unwrap(), 0);
        assert_eq!(store.statements_from(1, 1, 1000).unwrap(), [b"b".to_vec()]);
    }

    #[test]
    fn a_copy_taken_between_writes_opens_with_what_was_flushed_and_no_gap() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.append(1, 0, b"a").unwrap();
        store.flush().unwrap();
        store.append(1, 1, b"b").unwrap();
        // What a crash at this point would leave: the files as they are now.
        let crashed = tempfile::tempdir().unwrap();
        copy(&dir.path().join("db"), &crashed.path().join("db"));
        let reopened = open(crashed.path());
        let held = reopened.feed_len(1).unwrap();
        assert!(held == 1 || held == 2, "{held}");
        assert_eq!(
            reopened.statement(1, 0).unwrap().as_deref(),
            Some(&b"a"[..])
        );
        reopened.append(1, held, b"next").unwrap();
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }

    #[test]
    fn a_statement_out_of_sequence_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        assert!(matches!(
            store.append(1, 1, b"x"),
            Err(StoreError::FeedGap {
                expected: 0,
                got: 1,
                ..
            })
        ));
        store.append(1, 0, b"x").unwrap();
        assert!(matches!(
            store.append(1, 0, b"y"),
            Err(StoreError::FeedGap {
                expected: 1,
                got: 0,
                ..
            })
        ));
    }

    #[test]
    fn reserved_slots_stay_reserved_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        assert_eq!(store.reserve_slots(b"batch", 100, 60).unwrap(), Some(0));
        drop(store);
        let store = open(dir.path());
        assert_eq!(store.reserve_slots(b"batch", 100, 60).unwrap(), None);
        assert_eq!(store.reserve_slots(b"batch", 100, 40).unwrap(), Some(60));
    }

    #[test]
    fn an_answer_is_bounded_in_bytes_and_holds_one_statement_at_least() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for sequence in 0..5 {
            store.append(1, sequence, &[0u8; 100]).unwrap();
        }
        assert_eq!(store.statements_from(1, 0, 250).unwrap().len(), 2);
        assert_eq!(store.statements_from(1, 0, 10).unwrap().len(), 1);
    }

    #[test]
    fn records_come_back_in_the_order_of_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.put(Tree::Jobs, b"b", &2u32).unwrap();
        store.put(Tree::Jobs, b"a", &1u32).unwrap();
        assert_eq!(
            store.all::<u32>(Tree::Jobs).unwrap(),
            [(b"a".to_vec(), 1), (b"b".to_vec(), 2)]
        );
        store.remove(Tree::Jobs, b"a").unwrap();
        assert_eq!(store.get::<u32>(Tree::Jobs, b"a").unwrap(), None);
    }
}
