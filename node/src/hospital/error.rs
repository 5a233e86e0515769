//! What a caller of the node is told when something cannot be done.

use std::path::PathBuf;

use crate::store::StoreError;

/// Why a command was not carried out. `code` is stable and is what the API's problem+json names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The request itself is wrong.
    #[error("{what}; {next}")]
    Usage {
        /// What was wrong: expected and got.
        what: String,
        /// What the caller can do.
        next: String,
    },
    /// The request is sound but its time has not come, or has passed.
    #[error("not now: {what}; {next}")]
    NotReady {
        /// What is missing.
        what: String,
        /// What to wait for or to do first.
        next: String,
    },
    /// Nothing is known under this name.
    #[error("no {kind} '{id}' on this node; list what there is with `{list}`")]
    NotFound {
        /// The kind of thing looked for.
        kind: &'static str,
        /// The name given.
        id: String,
        /// The command that lists such things.
        list: &'static str,
    },
    /// The rules of the protocol forbid it.
    #[error("refused: {0}")]
    Refused(String),
    /// The machine failed: disk, memory, a port.
    #[error("{what}: {source}; {next}")]
    Environment {
        /// What was being done.
        what: String,
        /// The operating system's word.
        source: std::io::Error,
        /// What to do.
        next: String,
    },
    /// The node is shutting down.
    #[error("the node is shutting down; start it again with `organtwin run`")]
    Stopped,
    /// An invariant of this program broke.
    #[error("bug: {0}; please report it with the node's log")]
    Bug(String),
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io(source) => Self::Environment {
                what: "writing to the hospital's directory".into(),
                source,
                next: "check the disk's space and the directory's owner, then start the node again; nothing is lost".into(),
            },
            other => Self::Environment {
                what: other.to_string(),
                source: std::io::ErrorKind::Other.into(),
                next: "then start the node again".into(),
            },
        }
    }
}

impl NodeError {
    /// The stable name of the error's kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "usage",
            Self::NotReady { .. } => "not_ready",
            Self::NotFound { .. } => "not_found",
            Self::Refused(_) => "refused",
            Self::Environment { .. } => "environment",
            Self::Stopped => "stopped",
            Self::Bug(_) => "bug",
        }
    }

    pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Usage {
            what: what.into(),
            next: next.into(),
        }
    }

    pub(crate) fn not_ready(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::NotReady {
            what: what.into(),
            next: next.into(),
        }
    }
}

/// Why a node did not start. All of these are the environment's or the configuration's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process holds the directory.
    #[error(
        "the directory {path} is in use by another node{holder}; stop that node or choose another --dir"
    )]
    DirectoryInUse {
        /// The directory.
        path: PathBuf,
        /// " (pid N)" where the other node said so.
        holder: String,
    },
    /// The hospital belongs to no consortium yet.
    #[error(
        "there is no roster at {path}; make one of all hospitals' invitations with `organtwin roster create`"
    )]
    RosterMissing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The directory is not a hospital's.
    #[error("{path} is not a hospital's directory: {what}; make one with `organtwin init`")]
    NotInitialised {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A configuration file does not hold what it must.
    #[error("{path}: {what}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Expected and got.
        what: String,
    },
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {what}; choose another `listen` address in organtwin.toml"
    )]
    Listen {
        /// The address.
        address: String,
        /// The operating system's word.
        what: String,
    },
    /// A sealed file did not open.
    #[error(
        "{path} does not open: the passphrase or key file is not the one that it was sealed with"
    )]
    WrongPassphrase {
        /// The sealed file.
        path: PathBuf,
    },
    /// A sealed directory was started without its passphrase.
    #[error(
        "{path} is sealed with a passphrase and none was given; set ORGANTWIN_PASSPHRASE or answer the prompt"
    )]
    PassphraseMissing {
        /// The sealed file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}{hint}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
        /// "; free some space" and the like.
        hint: &'static str,
    },
    /// What the directory holds contradicts itself.
    #[error(
        "{path} is damaged: {what}; restore the directory from a backup or join again as a recovered hospital"
    )]
    Damaged {
        /// The file or store.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}

impl StartError {
    /// Wraps a failure of the file system at `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let hint = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "; the disk is full: free some space and start again, nothing is lost"
            }
            std::io::ErrorKind::PermissionDenied => "; check the owner and mode of the directory",
            _ => "",
        };
        Self::Io {
            path: path.into(),
            source,
            hint,
        }
    }
}
