//! The joint key on the disk: public material in the clear, this hospital's share sealed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
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
    /// The certificate of the newest epoch.
    pub facts: Certificate,
    /// What is public, with the committee of the newest epoch.
    info: PublicKeyInfo,
    /// The committee that made the key: its noise is in the public material for ever.
    founders: Committee,
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

/// Where the public material lies: with the ceremony that made it, whatever epoch it is.
pub fn public_path(dir: &HospitalDir, ceremony: SessionId) -> PathBuf {
    session_dir(dir, ceremony).join(PUBLIC)
}

fn seal(share: &KeyShare, place: &Path, sealing: &SealingKey) -> Result<(), JobError> {
    let mut nonce = [0u8; 24];
    rand::fill(&mut nonce);
    let sealed = share
        .seal(sealing, nonce)
        .map_err(|error| JobError::Bug(error.to_string()))?;
    durable::write_file(&place.join(SHARE), &sealed, Mode::Private)?;
    Ok(())
}

/// Keeps the share of a new epoch durably. Until its certificate is complete nobody uses it.
pub fn save_share(
    dir: &HospitalDir,
    session: SessionId,
    share: &KeyShare,
    sealing: &SealingKey,
) -> Result<(), JobError> {
    let place = session_dir(dir, session);
    fs::create_dir_all(&place)?;
    seal(share, &place, sealing)?;
    Ok(durable::sync_directory(&dir.key())?)
}

/// Whether a sealed share of the session is on the disk.
pub fn has_share(dir: &HospitalDir, session: SessionId) -> bool {
    session_dir(dir, session).join(SHARE).exists()
}

/// Erases all sealed shares but those of the sessions in `kept` (resharing.md, E14).
///
/// Overwriting is the best that can be done from here; media that keep old blocks are the operator's affair.
pub fn erase_shares(dir: &HospitalDir, kept: &BTreeSet<SessionId>) -> std::io::Result<u32> {
    let kept: BTreeSet<PathBuf> = kept.iter().map(|id| session_dir(dir, *id)).collect();
    let mut erased = 0;
    for entry in fs::read_dir(dir.key())? {
        let place = entry?.path();
        if !kept.contains(&place) && erase_in(&place)? {
            erased += 1;
        }
    }
    Ok(erased)
}

/// Erases the sealed share of one session.
pub fn erase_share(dir: &HospitalDir, session: SessionId) -> std::io::Result<bool> {
    erase_in(&session_dir(dir, session))
}

fn erase_in(place: &Path) -> std::io::Result<bool> {
    let share = place.join(SHARE);
    if !share.exists() {
        return Ok(false);
    }
    let length = usize::try_from(fs::metadata(&share)?.len()).unwrap_or(0);
    let mut file = File::options().write(true).open(&share)?;
    file.write_all(&vec![0; length])?;
    file.sync_all()?;
    fs::remove_file(&share)?;
    durable::sync_directory(place)?;
    Ok(true)
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
    seal(share, &place, sealing)?;
    Ok(durable::sync_directory(&dir.key())?)
}

/// Erases what was kept of a session that was given up before this hospital certified its key.
pub fn erase(dir: &HospitalDir, session: SessionId) {
    if let Err(error) = fs::remove_dir_all(session_dir(dir, session)) {
        tracing::warn!(%error, "the share of a session that was given up was not erased");
    }
}

/// Unseals this hospital's share of a session; `None` if it holds none.
pub fn load_share(
    dir: &HospitalDir,
    session: SessionId,
    sealing: &SealingKey,
) -> Result<Option<KeyShare>, StartError> {
    let path = session_dir(dir, session).join(SHARE);
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
    Ok(Some(share))
}

/// Opens this hospital's share of a certified key; `None` if it holds none. `ceremony` made the key.
pub fn load(
    dir: &HospitalDir,
    certificate: &Certificate,
    ceremony: SessionId,
    sealing: &SealingKey,
) -> Result<Option<KeyRing>, StartError> {
    let Some(share) = load_share(dir, certificate.session, sealing)? else {
        return Ok(None);
    };
    let public = public_path(dir, ceremony);
    let file = File::open(&public).map_err(|source| StartError::io(&public, source))?;
    let damaged = |what: String| StartError::Damaged {
        path: public.clone(),
        what,
    };
    let mut info =
        PublicKey::read_info(BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
    if info.digest != certificate.key
        || share.key() != certificate.key
        || share.epoch() != certificate.epoch
    {
        return Err(damaged("it is not the certified key".into()));
    }
    let founders = std::mem::replace(&mut info.committee, share.committee().clone());
    let digest = certificate
        .digest()
        .map_err(|error| damaged(error.to_string()))?;
    Ok(Some(KeyRing {
        certificate: digest,
        facts: certificate.clone(),
        info,
        founders,
        share,
        public,
    }))
}

/// Reads public material and checks that it is the certified key.
pub fn read_public(path: &Path, key: Digest) -> Result<PublicKey, JobError> {
    let public = PublicKey::read_from(BufReader::with_capacity(1 << 20, File::open(path)?))?;
    if public.digest() != key {
        return Err(JobError::Damaged(path.to_path_buf()));
    }
    Ok(public)
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

    pub(crate) fn share(&self) -> &KeyShare {
        &self.share
    }

    /// Where the public material lies.
    pub(crate) fn public_file(&self) -> PathBuf {
        self.public.clone()
    }

    /// Reads the public material: hundreds of megabytes, dropped by the caller as soon as it can.
    pub(super) fn public(&self) -> Result<PublicKey, JobError> {
        read_public(&self.public, self.facts.key)
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
            &self.founders,
            seconds_per_bootstrap,
            cores,
        )
        .map_err(|error| JobError::Bug(error.to_string()))
    }

    /// How many blocks may be opened over the life of the key.
    pub fn opening_limit(&self) -> u64 {
        let noise = NoiseConstants::of(&self.founders, &self.info.params);
        OpeningBudget::new(self.committee(), &noise, STATISTICAL_BITS).limit()
    }
}

/// Copies 32 secret bytes and wipes the source.
pub(super) fn take_secret(mut bytes: [u8; 32]) -> Secret<[u8; 32]> {
    let secret = Secret::new(bytes);
    bytes.zeroize();
    secret
}
