//! `organtwin backup` and `organtwin restore`: a hospital's directory as one sealed file, and back.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use organtwin_threshold::seal::stream::SealedWith;
use organtwin_threshold::{SealingKey, Secret};
use serde::Serialize;

use super::Common;
use super::failure::Failure;
use crate::backup::{self, BackupError, Summary};
use crate::config::{Config, SealConfig};
use crate::{jobs, private_file};

#[derive(Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// The file to make; it must not exist
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// A file that `organtwin backup` made
    file: PathBuf,
    /// The key file that the backup is sealed with, if it is not sealed with a passphrase
    #[arg(long)]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Serialize)]
struct View {
    file: String,
    dir: String,
    #[serde(flatten)]
    summary: BackupView,
}

#[derive(Serialize)]
struct BackupView {
    name: String,
    made_ms: u64,
}

impl From<Summary> for BackupView {
    fn from(summary: Summary) -> Self {
        Self {
            name: summary.name,
            made_ms: summary.made_ms,
        }
    }
}

pub(super) fn backup(args: &BackupArgs) -> Result<ExitCode, Failure> {
    let dir = args.common.hospital();
    let config = Config::load(&dir)?;
    let passphrase = match config.seal {
        SealConfig::Passphrase => Some(super::run::passphrase("Passphrase: ")?),
        SealConfig::KeyFile { .. } => None,
    };
    let sealing = jobs::keys::sealing_key(&config, &dir, passphrase)?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let summary = backup::write(&dir, &sealing, now, &args.out)?;
    let view = View {
        file: args.out.display().to_string(),
        dir: dir.root().display().to_string(),
        summary: summary.into(),
    };
    args.common.output.show("organtwin.backed-up/1", &view, || {
        let with = match &config.seal {
            SealConfig::Passphrase => "the node's passphrase".to_owned(),
            SealConfig::KeyFile { path } => format!(
                "the key file {}, which is not in it: keep that in another place",
                dir.root().join(path).display()
            ),
        };
        format!("wrote {}, sealed with {with}", view.file)
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let key_file = args.key_file.as_ref().map(|path| private_file::load(path));
    let key_file = key_file.transpose()?;
    let sealing = match (backup::sealed_with(&args.file)?, &key_file) {
        (SealedWith::Passphrase, _) => {
            let mut passphrase = super::run::passphrase("Passphrase of the backup: ")?;
            SealingKey::Passphrase(Secret::new(std::mem::take(&mut *passphrase)))
        }
        (SealedWith::KeyFile, Some(bytes)) => SealingKey::KeyFile(Secret::new(**bytes)),
        (SealedWith::KeyFile, None) => {
            return Err(Failure::Usage(
                "the backup is sealed with a key file: give it with --key-file".into(),
            ));
        }
    };
    let dir = args.common.hospital();
    let summary = backup::restore(&args.file, &sealing, key_file.as_deref(), dir.root())?;
    let view = View {
        file: args.file.display().to_string(),
        dir: dir.root().display().to_string(),
        summary: summary.into(),
    };
    args.common.output.show("organtwin.restored/1", &view, || {
        format!(
            "restored {} into {}\nits node says nothing before enough of the others have shown it its own feed; \
             `organtwin status` says whom it waits for",
            view.summary.name, view.dir
        )
    });
    Ok(ExitCode::SUCCESS)
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Directory(error) => error.into(),
            BackupError::Exists { .. } => Self::Usage(message),
            BackupError::Unusable { .. } => Self::Check(message),
            BackupError::Store(_) | BackupError::Io { .. } => Self::Environment(message),
        }
    }
}
