//! Backup and restore of a hospital's directory, as one sealed file.
//!
//! A backup is made while the node is stopped, so that it is one consistent state. It holds all that the directory holds
//! but what belongs to a running node (lock, addresses, API token), a ceremony's vectors, and the key file that the
//! backup itself is sealed with. It is read into a new directory beside the wanted one, which takes its name only when
//! the last byte was authenticated.
//!
//! A restored directory is marked: its node says nothing before the others have shown it its own feed, since numbers that
//! it has used after the backup must not be used again.

mod archive;

use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use organtwin_threshold::SealingKey;
use organtwin_threshold::seal::stream::{self, SealedWith, SealingWriter, UnsealingReader};
use serde::{Deserialize, Serialize};

use crate::api::Token;
use crate::config::{Config, HospitalDir, SealConfig};
use crate::hospital::StartError;
use crate::store::durable::{self, Mode};
use crate::store::{Store, StoreError, Tree};

/// `schema` of the first record of a backup.
pub const BACKUP_SCHEMA: &str = "organtwin.backup/1";
/// The record of a restored store.
pub(crate) const RESTORED: &[u8] = b"restored";

/// Why a backup was not made or not restored. Nothing half-written is left.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory, its configuration or its lock.
    #[error(transparent)]
    Directory(#[from] StartError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something is there already.
    #[error("{path} exists; {next}")]
    Exists {
        /// The file or directory.
        path: PathBuf,
        /// What to do.
        next: &'static str,
    },
    /// A file of this machine.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// The backup is none, is damaged, or is sealed otherwise.
    #[error("{path} is not restored: {what}")]
    Unusable {
        /// The backup.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// [`BACKUP_SCHEMA`].
    pub schema: String,
    /// The hospital's name.
    pub name: String,
    /// When it was made, milliseconds since 1970.
    pub made_ms: u64,
}

/// What a store that came from a backup remembers until the others have shown it its own feed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Restored {
    /// When the backup was made, milliseconds since 1970.
    pub(crate) made_ms: u64,
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_path_buf();
    move |source| BackupError::Io { path, source }
}

/// Writes a sealed backup of a hospital whose node is stopped.
///
/// # Errors
/// Refuses a directory in use and a file that exists.
pub fn write(
    dir: &HospitalDir,
    sealing: &SealingKey,
    made_ms: u64,
    out: &Path,
) -> Result<Summary, BackupError> {
    let config = Config::load(dir)?;
    let _lock = dir.lock()?;
    if out.exists() {
        return Err(BackupError::Exists {
            path: out.to_path_buf(),
            next: "choose another file, or remove it first",
        });
    }
    let temporary = durable::temporary_beside(out);
    let summary = Summary {
        schema: BACKUP_SCHEMA.into(),
        name: config.name.clone(),
        made_ms,
    };
    let written = seal(dir, &config, sealing, &summary, &temporary)
        .and_then(|file| durable::publish(&file, &temporary, out).map_err(io(out)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map(|()| summary)
}

fn seal(
    dir: &HospitalDir,
    config: &Config,
    sealing: &SealingKey,
    summary: &Summary,
    temporary: &Path,
) -> Result<fs::File, BackupError> {
    let store = Store::open(&dir.db(), &dir.blobs())?;
    let file = durable::create(temporary, Mode::Private).map_err(io(temporary))?;
    let mut nonce = [0; 24];
    rand::fill(&mut nonce);
    let sealed = SealingWriter::new(sealing, nonce, BufWriter::new(file)).map_err(io(temporary))?;
    let mut archive = archive::Writer::new(sealed);
    archive.summary(summary).map_err(io(temporary))?;
    for (name, path) in files(dir, config)? {
        let from = fs::File::open(&path).map_err(io(&path))?;
        archive.file(&name, from).map_err(io(&path))?;
    }
    store
        .export(&mut |tree, key, value| archive.record(tree, key, value).map_err(StoreError::Io))?;
    let sealed = archive.finish().map_err(io(temporary))?;
    let buffered = sealed.finish().map_err(io(temporary))?;
    buffered
        .into_inner()
        .map_err(|error| io(temporary)(error.into_error()))
}

/// All files of a directory but those that a backup leaves out, by their name below it.
fn files(dir: &HospitalDir, config: &Config) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let mut left_out = vec![
        dir.db(),
        dir.api_token(),
        dir.runtime(),
        dir.root().join("node.lock"),
        dir.key().join("vectors"),
    ];
    if let SealConfig::KeyFile { path } = &config.seal {
        left_out.push(dir.root().join(path));
    }
    let mut found = Vec::new();
    let mut places = vec![dir.root().to_path_buf()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).map_err(io(&place))? {
            let path = entry.map_err(io(&place))?.path();
            let temporary = path.extension().is_some_and(|extension| extension == "tmp");
            if temporary || left_out.contains(&path) {
                continue;
            }
            let kind = fs::symlink_metadata(&path).map_err(io(&path))?.file_type();
            if kind.is_dir() {
                places.push(path);
            } else if kind.is_file()
                && let Ok(name) = path.strip_prefix(dir.root())
                && let Some(name) = name.to_str()
            {
                found.push((name.to_owned(), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// With what a backup is sealed.
///
/// # Errors
/// Refuses a file that is no backup.
pub fn sealed_with(path: &Path) -> Result<SealedWith, BackupError> {
    let file = fs::File::open(path).map_err(io(path))?;
    let (kind, _) = stream::read_head(file).map_err(|error| unusable(path, &error))?;
    Ok(kind)
}

fn unusable(path: &Path, what: &dyn std::fmt::Display) -> BackupError {
    BackupError::Unusable {
        path: path.to_path_buf(),
        what: what.to_string(),
    }
}

/// Restores a backup into a directory that does not exist yet. `key_file` is what a backup sealed with a key file needs.
///
/// # Errors
/// Whatever is wrong, nothing is left behind.
pub fn restore(
    path: &Path,
    sealing: &SealingKey,
    key_file: Option<&[u8; 32]>,
    root: &Path,
) -> Result<Summary, BackupError> {
    let empty = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none());
    if root.exists() && !empty {
        return Err(BackupError::Exists {
            path: root.to_path_buf(),
            next: "restore into a directory that does not exist yet",
        });
    }
    let parent = match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent).map_err(io(&parent))?;
    let temporary = durable::temporary_beside(root);
    let restored = unseal(path, sealing, key_file, &temporary).and_then(|summary| {
        fs::rename(&temporary, root).map_err(io(root))?;
        durable::sync_directory(&parent).map_err(io(&parent))?;
        Ok(summary)
    });
    if restored.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    restored
}

fn unseal(
    path: &Path,
    sealing: &SealingKey,
    key_file: Option<&[u8; 32]>,
    into: &Path,
) -> Result<Summary, BackupError> {
    let file = fs::File::open(path).map_err(io(path))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let refused = |error: io::Error| unusable(path, &error);
    let (_, head) = stream::read_head(&mut file).map_err(refused)?;
    let unsealed = UnsealingReader::new(sealing, head, file).map_err(refused)?;
    let mut archive = archive::Reader::new(unsealed);
    // The first chunk opens or does not: nothing is made for a wrong passphrase.
    let summary = archive.summary().map_err(refused)?;
    if summary.schema != BACKUP_SCHEMA {
        return Err(unusable(
            path,
            &format!("it is '{}', expected '{BACKUP_SCHEMA}'", summary.schema),
        ));
    }
    let dir = HospitalDir::new(into);
    for place in [into.to_path_buf(), dir.identity(), dir.blobs(), dir.key()] {
        crate::identity::make_private(&place).map_err(io(&place))?;
    }
    let store = Store::open(&dir.db(), &dir.blobs())?;
    while let Some(entry) = archive.next().map_err(refused)? {
        match entry {
            archive::Entry::Record { tree, key, value } => store.import(&tree, &key, &value)?,
            archive::Entry::File(name) => {
                let to = into.join(&name);
                if let Some(place) = to.parent() {
                    crate::identity::make_private(place).map_err(io(place))?;
                }
                let mut out = durable::create(&to, Mode::Private).map_err(io(&to))?;
                archive.copy(&mut out).map_err(refused)?;
                out.flush().and_then(|()| out.sync_all()).map_err(io(&to))?;
            }
        }
    }
    let config = Config::load(&dir)?;
    if let (SealConfig::KeyFile { path }, Some(bytes)) = (&config.seal, key_file)
        && path.is_relative()
    {
        let to = into.join(path);
        let text = zeroize::Zeroizing::new(format!("{}\n", hex::encode(bytes)));
        durable::write_file(&to, text.as_bytes(), Mode::Private).map_err(io(&to))?;
    }
    Token::load_or_create(&dir.api_token()).map_err(|error| unusable(path, &error))?;
    let made_ms = summary.made_ms;
    store.put(Tree::Meta, RESTORED, &Restored { made_ms })?;
    store.flush()?;
    Ok(summary)
}

#[cfg(test)]
mod tests;
