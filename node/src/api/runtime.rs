//! How a command finds the node of a directory: `node.json` and the token beside it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::hospital::StartError;
use crate::private_file::{self, PrivateFileError};

const MAX_FILE: u64 = 64 * 1024;

/// `node.json`: where the running node of a directory is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// `organtwin.node/1`.
    pub schema: String,
    /// Socket address of the API.
    pub api: String,
    /// Multiaddresses of the consortium's network, with the peer id.
    pub listen: Vec<String>,
    /// Process.
    pub pid: u32,
}

impl Runtime {
    /// The runtime of this process.
    pub fn new(api: impl Into<String>, listen: Vec<String>) -> Self {
        Self {
            schema: "organtwin.node/1".into(),
            api: api.into(),
            listen,
            pid: std::process::id(),
        }
    }

    /// Writes `node.json` so that a reader sees the old file or the new one.
    pub fn save(&self, path: &Path) -> Result<(), StartError> {
        let text =
            serde_json::to_vec_pretty(self).map_err(|error| StartError::io(path, error.into()))?;
        let beside = path.with_extension("json.new");
        std::fs::write(&beside, text).map_err(|source| StartError::io(&beside, source))?;
        std::fs::rename(&beside, path).map_err(|source| StartError::io(path, source))
    }

    /// Reads `node.json`; `None` if no node has run here.
    pub fn load(path: &Path) -> std::io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Ok(Some(serde_json::from_str(&text)?))
    }
}

/// The bearer token of a directory: 32 random bytes in hexadecimal, in a file that only its owner can read.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Reads the token and refuses a file that others could have read.
    pub fn load(path: &Path) -> Result<Self, PrivateFileError> {
        Ok(Self::of(&private_file::load(path)?))
    }

    /// Reads the token, and makes one first where there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, PrivateFileError> {
        Ok(Self::of(&private_file::load_or_create(path)?))
    }

    fn of(secret: &Zeroizing<[u8; 32]>) -> Self {
        Self(Zeroizing::new(hex::encode(secret.as_ref())))
    }

    /// Compares in constant time: equal digests, not equal bytes.
    pub(super) fn matches(&self, offered: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(offered.as_bytes())
    }

    pub(super) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", *self.0))
    }
}
