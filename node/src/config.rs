//! A hospital's directory and its `organtwin.toml`.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hospital::StartError;
use crate::store::durable;

/// Largest configuration file read, bytes.
const MAX_CONFIG: u64 = 64 * 1024;

/// The paths of one hospital's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HospitalDir {
    root: PathBuf,
}

impl HospitalDir {
    /// Names the directory; nothing is read or made.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `organtwin.toml`.
    pub fn config(&self) -> PathBuf {
        self.root.join("organtwin.toml")
    }

    /// Statement key and network key.
    pub fn identity(&self) -> PathBuf {
        self.root.join("identity")
    }

    /// The sled store.
    pub fn db(&self) -> PathBuf {
        self.root.join("db")
    }

    /// Content-addressed files.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Public key material and the sealed share.
    pub fn key(&self) -> PathBuf {
        self.root.join("key")
    }

    /// The consortium's roster.
    pub fn roster(&self) -> PathBuf {
        self.root.join("roster.cbor")
    }

    /// The API's bearer token.
    pub fn api_token(&self) -> PathBuf {
        self.root.join("api-token")
    }

    /// Addresses and pid of the running node; written when it is up.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("node.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("node.lock")
    }

    /// Takes the directory for this process until the lock is dropped or the process ends, however it ends.
    pub fn lock(&self) -> Result<DirectoryLock, StartError> {
        let path = self.lock_file();
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|source| StartError::io(&path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = (&file).take(20).read_to_string(&mut pid);
                let holder = match pid.trim().parse::<u32>() {
                    Ok(pid) => format!(" (pid {pid})"),
                    Err(_) => String::new(),
                };
                return Err(StartError::DirectoryInUse {
                    path: self.root.clone(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(StartError::io(path, source)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|source| StartError::io(&path, source))?;
        Ok(DirectoryLock { _file: file })
    }
}

/// Holds a hospital's directory. The operating system releases it with the process.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// `organtwin.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The hospital's name.
    pub name: String,
    /// Its number, where the founding roster does not tell: it joined later, or has new keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<u8>,
    /// The consortium's network.
    #[serde(default)]
    pub network: NetworkConfig,
    /// The loopback API.
    #[serde(default)]
    pub api: ApiConfig,
    /// How secrets rest on the disk.
    #[serde(default)]
    pub seal: SealConfig,
    /// Bounds of the key ceremony.
    #[serde(default)]
    pub ceremony: CeremonyConfig,
    /// Where peers listen, by party number: multiaddresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, String>,
}

/// `[network]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Multiaddresses to listen on; port 0 takes a free one.
    pub listen: Vec<String>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        }
    }
}

/// `[api]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Socket address of the HTTP API; port 0 takes a free one.
    pub listen: String,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".into(),
        }
    }
}

/// `[seal]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "with")]
pub enum SealConfig {
    /// A passphrase asked for at start.
    Passphrase,
    /// A file of 32 random bytes in hexadecimal, relative to the directory or absolute: put it on another medium.
    KeyFile {
        /// Its path.
        path: PathBuf,
    },
}

impl Default for SealConfig {
    fn default() -> Self {
        Self::KeyFile {
            path: PathBuf::from("identity/seal.key"),
        }
    }
}

/// `[ceremony]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CeremonyConfig {
    /// Most bytes that this node consents to send in a ceremony.
    pub max_bytes_sent: u64,
}

impl Default for CeremonyConfig {
    fn default() -> Self {
        Self {
            max_bytes_sent: 8_000_000_000,
        }
    }
}

impl Config {
    /// A configuration with every default.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            party: None,
            network: NetworkConfig::default(),
            api: ApiConfig::default(),
            seal: SealConfig::default(),
            ceremony: CeremonyConfig::default(),
            peers: BTreeMap::new(),
        }
    }

    /// Reads and checks the directory's `organtwin.toml`.
    pub fn load(dir: &HospitalDir) -> Result<Self, StartError> {
        let path = dir.config();
        let bytes =
            durable::read_bounded(&path, MAX_CONFIG).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => StartError::NotInitialised {
                    path: dir.root().to_path_buf(),
                    what: "it has no organtwin.toml".into(),
                },
                _ => StartError::io(&path, source),
            })?;
        let text = String::from_utf8(bytes).map_err(|_| StartError::Config {
            path: path.clone(),
            what: "it is not UTF-8 text".into(),
        })?;
        toml::from_str(&text).map_err(|wrong| StartError::Config {
            path,
            what: wrong.to_string(),
        })
    }

    /// Writes `organtwin.toml` durably.
    pub fn save(&self, dir: &HospitalDir) -> Result<(), StartError> {
        let path = dir.config();
        let text = toml::to_string_pretty(self).map_err(|wrong| StartError::Config {
            path: path.clone(),
            what: wrong.to_string(),
        })?;
        durable::write_file(&path, text.as_bytes(), durable::Mode::Public)
            .map_err(|source| StartError::io(path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_and_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let dir = HospitalDir::new(dir.path());
        let held = dir.lock().unwrap();
        let refused = dir.lock().unwrap_err();
        assert!(
            matches!(&refused, StartError::DirectoryInUse { holder, .. }
            if holder.contains(&std::process::id().to_string())),
            "{refused}"
        );
        drop(held);
        dir.lock().unwrap();
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let dir = HospitalDir::new(dir.path());
        std::fs::write(dir.config(), "name = \"A\"\n[network]\nlissten = []\n").unwrap();
        let refused = Config::load(&dir).unwrap_err();
        assert!(refused.to_string().contains("lissten"), "{refused}");
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let dir = HospitalDir::new(dir.path());
        let mut config = Config::new("St. Anne");
        config.seal = SealConfig::Passphrase;
        config
            .peers
            .insert("2".into(), "/ip4/127.0.0.1/tcp/4000".into());
        config.save(&dir).unwrap();
        assert_eq!(Config::load(&dir).unwrap(), config);
    }

    #[test]
    fn a_directory_without_configuration_is_not_a_hospital() {
        let dir = tempfile::tempdir().unwrap();
        let refused = Config::load(&HospitalDir::new(dir.path())).unwrap_err();
        assert!(matches!(refused, StartError::NotInitialised { .. }));
    }
}
