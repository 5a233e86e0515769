//! The joint key on the disk: public material in the clear, this hospital's share sealed.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use organtwin_protocol::certificate::Certificate;
use organtwin_protocol::digest::Digest;
use organtwin_simulations::Engine;
use organtwin_threshold::{
    Committee, KeyShare, NoiseConstants, OpeningBudget, PublicKey, PublicKeyInfo, SealError,
    SealingKey, Secret, SessionId,
};
use zeroize::{Zeroize, Zeroizing};

use super::JobError;
use crate::config::{Config, HospitalDir, SealConfig};
use crate::hospital::StartError;
use crate::planning::Circumstances;
use crate::private_file;
use crate::store::durable::{self, Mode};

const PUBLIC: &str = "public.key";
const SHARE: &str = "share.sealed";
/// Largest sealed share, bytes: ten times that of the largest committee.
const MAX_SHARE: u64 = 512 * 1024 * 1024;
/// Statistical bits that the opening budget keeps.
const STATISTICAL_BITS: u32 = organtwin_threshold::budget::STATISTICAL_BITS;

/// The certified key, as far as this hospital holds it. Not Debug, not Clone.
pub struct KeyRing {
    /// Digest of the certificate.
    pub certificate: Digest,
    /// The certificate.
    pub facts: Certificate,
    info: PublicKeyInfo,
    share: KeyShare,
    public: PathBuf,
}

/// What the hospital's secrets are sealed with.
pub fn sealing_key(
    config: &Config,
    dir: &HospitalDir,
    passphrase: Option<Zeroizing<String>>,
) -> Result<SealingKey, StartError> {
    match &config.seal {
        SealConfig::Passphrase => {
            let mut passphrase =
                passphrase.ok_or(StartError::PassphraseMissing { path: dir.key() })?;
            Ok(SealingKey::Passphrase(Secret::new(std::mem::take(
                &mut *passphrase,
            ))))
        }
        SealConfig::KeyFile { path } => {
            let path = dir.root().join(path);
            let bytes = private_file::load(&path).map_err(|error| StartError::Config {
                path: path.clone(),
                what: error.to_string(),
            })?;
            Ok(SealingKey::KeyFile(Secret::new(*bytes)))
        }
    }
}

fn session_dir(dir: &HospitalDir, session: SessionId) -> PathBuf {
    dir.key().join(session.to_string())
}

/// Keeps a new key durably. Until its certificate is complete nobody uses it.
pub fn save(
    dir: &HospitalDir,
    session: SessionId,
    key: &PublicKey,
    share: &KeyShare,
    sealing: &SealingKey,
) -> Result<(), JobError> {
    let place = session_dir(dir, session);
    fs::create_dir_all(&place)?;
    let path = place.join(PUBLIC);
    let temporary = durable::temporary_beside(&path);
    let mut writer = BufWriter::with_capacity(1 << 20, durable::create(&temporary, Mode::Public)?);
    key.write_to(&mut writer)?;
    writer.flush()?;
    let file = writer
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    durable::publish(&file, &temporary, &path)?;
    let mut nonce = [0u8; 24];
    rand::fill(&mut nonce);
    let sealed = share
        .seal(sealing, nonce)
        .map_err(|error| JobError::Bug(error.to_string()))?;
    durable::write_file(&place.join(SHARE), &sealed, Mode::Private)?;
    Ok(durable::sync_directory(&dir.key())?)
}

/// Erases what was kept of a session that was given up before this hospital certified its key.
pub fn erase(dir: &HospitalDir, session: SessionId) {
    if let Err(error) = fs::remove_dir_all(session_dir(dir, session)) {
        tracing::warn!(%error, "the share of a session that was given up was not erased");
    }
}

/// Opens this hospital's share of a certified key; `None` if it holds none.
pub fn load(
    dir: &HospitalDir,
    certificate: &Certificate,
    sealing: &SealingKey,
) -> Result<Option<KeyRing>, StartError> {
    let place = session_dir(dir, certificate.session);
    let path = place.join(SHARE);
    let sealed = match durable::read_bounded(&path, MAX_SHARE) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|source| StartError::io(&path, source))?,
    };
    let share = KeyShare::unseal(&sealed, sealing).map_err(|error| match error {
        SealError::WrongKey | SealError::OtherKind(_) => {
            StartError::WrongPassphrase { path: path.clone() }
        }
        SealError::Format(what) => StartError::Damaged {
            path: path.clone(),
            what: what.into(),
        },
    })?;
    let public = place.join(PUBLIC);
    let file = File::open(&public).map_err(|source| StartError::io(&public, source))?;
    let damaged = |what: String| StartError::Damaged {
        path: public.clone(),
        what,
    };
    let info =
        PublicKey::read_info(BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
    if info.digest != certificate.key || share.key() != certificate.key {
        return Err(damaged("it is not the certified key".into()));
    }
    let digest = certificate
        .digest()
        .map_err(|error| damaged(error.to_string()))?;
    Ok(Some(KeyRing {
        certificate: digest,
        facts: certificate.clone(),
        info,
        share,
        public,
    }))
}

impl KeyRing {
    /// The committee that shares the key.
    pub fn committee(&self) -> &Committee {
        &self.info.committee
    }

    /// What is public about the key.
    pub fn info(&self) -> &PublicKeyInfo {
        &self.info
    }

    pub(super) fn share(&self) -> &KeyShare {
        &self.share
    }

    /// Reads the public material: hundreds of megabytes, dropped by the caller as soon as it can.
    pub(super) fn public(&self) -> Result<PublicKey, JobError> {
        let key =
            PublicKey::read_from(BufReader::with_capacity(1 << 20, File::open(&self.public)?))?;
        if key.digest() != self.facts.key {
            return Err(JobError::Damaged(self.public.clone()));
        }
        Ok(key)
    }

    /// Assembles the evaluation key.
    pub fn engine(&self) -> Result<Engine, JobError> {
        let key = self.public()?.evaluation_key()?;
        Engine::new(Arc::new(key)).map_err(|error| JobError::Bug(error.to_string()))
    }

    /// What plans are made for.
    pub fn circumstances(
        &self,
        seconds_per_bootstrap: f64,
        cores: u16,
    ) -> Result<Circumstances, JobError> {
        Circumstances::of_key(
            &self.facts.parameters,
            self.committee(),
            seconds_per_bootstrap,
            cores,
        )
        .map_err(|error| JobError::Bug(error.to_string()))
    }

    /// How many blocks may be opened over the life of the key.
    pub fn opening_limit(&self) -> u64 {
        let noise = NoiseConstants::of(self.committee(), &self.info.params);
        OpeningBudget::new(self.committee(), &noise, STATISTICAL_BITS).limit()
    }
}

/// Copies 32 secret bytes and wipes the source.
pub(super) fn take_secret(mut bytes: [u8; 32]) -> Secret<[u8; 32]> {
    let secret = Secret::new(bytes);
    bytes.zeroize();
    secret
}
