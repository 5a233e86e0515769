//! How a command fails: what is said, and with which exit code.

use std::process::ExitCode;

use super::output::Output;
use crate::api::{ClientError, ServeError};
use crate::fhir::ReadError;
use crate::hospital::{NodeError, StartError};
use crate::private_file::PrivateFileError;
use crate::twins::PrepareError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A check failed, or the node or the consortium refused: exit code 1.
    Check(String),
    /// The command or one of its files is wrong: exit code 2.
    Usage(String),
    /// The machine, the disk, the network or a missing node: exit code 3.
    Environment(String),
}

impl Failure {
    fn code(&self) -> (&'static str, u8) {
        match self {
            Self::Check(_) => ("check", 1),
            Self::Usage(_) => ("usage", 2),
            Self::Environment(_) => ("environment", 3),
        }
    }

    /// Says what went wrong, once, and gives the exit code.
    pub(crate) fn report(self, output: Output) -> ExitCode {
        let (kind, code) = self.code();
        let (Self::Check(message) | Self::Usage(message) | Self::Environment(message)) = self;
        if output.json {
            output.object(
                "organtwin.error/1",
                &serde_json::json!({ "kind": kind, "message": message }),
            );
        } else {
            output::complain(&message);
        }
        ExitCode::from(code)
    }
}

use super::output;

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Problem(problem) => match problem.code.as_str() {
                "usage" | "not_found" => Self::Usage(message),
                "environment" | "stopped" | "busy" | "unauthorized" | "bug" => {
                    Self::Environment(message)
                }
                _ => Self::Check(message),
            },
            _ => Self::Environment(message),
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        match error {
            NodeError::Usage { .. } | NodeError::NotFound { .. } => Self::Usage(message),
            NodeError::NotReady { .. } | NodeError::Refused(_) => Self::Check(message),
            _ => Self::Environment(message),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config { .. } => Self::Usage(error.to_string()),
            _ => Self::Environment(error.to_string()),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { .. } => Self::Environment(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Read(error) => error.into(),
            PrepareError::Organ { .. } => Self::Usage(error.to_string()),
        }
    }
}

impl From<PrivateFileError> for Failure {
    fn from(error: PrivateFileError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Listen { .. } => Self::Environment(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

/// Reads a file that a user named.
pub(crate) fn read_file(path: &std::path::Path, limit: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let io = |error: std::io::Error| Failure::Environment(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::Usage(format!(
            "{} is larger than {limit} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Writes a file that a user named; an existing one is kept.
pub(crate) fn write_new_file(path: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let io = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                "; it exists: name another file, or remove it first"
            }
            std::io::ErrorKind::StorageFull => "; the disk is full",
            _ => "",
        };
        Failure::Environment(format!("{}: {error}{hint}", path.display()))
    };
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(io)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(io)
}
