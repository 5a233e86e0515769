//! The node's computations: plain blocking functions that the loop calls on threads of their own.
//!
//! What a job leaves behind that must not be lost is on the disk before it returns.

pub mod admission;
pub mod deposit;
pub mod keys;
pub mod study;

use crate::hospital::NodeError;
use crate::store::StoreError;

/// Why a job has no result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The loop does not need the result any more.
    #[error("cancelled")]
    Cancelled,
    /// The store or a file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The public key or its file.
    #[error("the public key: {0}")]
    Key(#[from] organtwin_threshold::PublicKeyError),
    /// The public key on the disk is not the certified one.
    #[error("{0} is damaged")]
    Damaged(std::path::PathBuf),
    /// Input masks.
    #[error("an input mask: {0}")]
    Input(#[from] organtwin_threshold::InputError),
    /// The check of a deposit.
    #[error("the check of a deposit: {0}")]
    Admission(#[from] organtwin_threshold::AdmissionError),
    /// Squashing.
    #[error("squashing: {0}")]
    Squash(#[from] organtwin_threshold::SquashError),
    /// Decryption.
    #[error("decryption: {0}")]
    Decrypt(#[from] organtwin_threshold::DecryptError),
    /// Evaluation.
    #[error("evaluation: {0}")]
    Evaluate(organtwin_simulations::EvaluateError),
    /// An invariant of this program broke.
    #[error("{0}")]
    Bug(String),
}

impl From<std::io::Error> for JobError {
    fn from(error: std::io::Error) -> Self {
        Self::Store(StoreError::Io(error))
    }
}

impl From<organtwin_simulations::EvaluateError> for JobError {
    fn from(error: organtwin_simulations::EvaluateError) -> Self {
        use organtwin_simulations::EvaluateError;
        use organtwin_simulations::machine::MachineError;
        match error {
            EvaluateError::Machine(MachineError::Cancelled) => Self::Cancelled,
            other => Self::Evaluate(other),
        }
    }
}

impl From<JobError> for NodeError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Store(error) => error.into(),
            JobError::Key(_) | JobError::Damaged(_) => Self::Environment {
                what: error.to_string(),
                source: std::io::ErrorKind::InvalidData.into(),
                next: "restore the directory's key/ from a backup, then start the node again"
                    .into(),
            },
            other => Self::Bug(other.to_string()),
        }
    }
}
