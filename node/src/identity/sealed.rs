//! The identity of a hospital whose secrets a passphrase seals: plain until the node first runs with the passphrase, sealed
//! from then on, with the public halves beside it for the commands that need no more.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use organtwin_protocol::identity::Identity;
use organtwin_threshold::SealingKey;
use organtwin_threshold::seal::stream::{SealingWriter, UnsealingReader, read_head};
use zeroize::Zeroizing;

use super::{IdentityError, Invitation, Keys, NETWORK_KEY, STATEMENT_KEY, network_key};
use crate::config::HospitalDir;
use crate::private_file;
use crate::store::durable::{self, Mode};

const SEALED: &str = "keys.sealed";
const PUBLIC: &str = "public.json";
/// Head, two keys and a tag are far below this.
const MAX_SEALED: u64 = 4096;

fn sealed(dir: &HospitalDir) -> PathBuf {
    dir.identity().join(SEALED)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> IdentityError {
    let path = path.to_path_buf();
    move |source| crate::hospital::StartError::io(path, source).into()
}

/// Whether the identity is sealed.
pub(super) fn is_sealed(dir: &HospitalDir) -> bool {
    sealed(dir).exists()
}

/// The keys as the node reads them: with a passphrase they are sealed after this.
pub(crate) fn load(dir: &HospitalDir, sealing: &SealingKey) -> Result<Keys, IdentityError> {
    if is_sealed(dir) {
        let keys = open(dir, sealing)?;
        // A crash may have left the plain files beside the sealed one.
        erase_plain(dir)?;
        return Ok(keys);
    }
    let keys = super::load(dir)?;
    if matches!(sealing, SealingKey::Passphrase(_)) {
        seal(dir, sealing, &keys)?;
    }
    Ok(keys)
}

fn seal(dir: &HospitalDir, sealing: &SealingKey, keys: &Keys) -> Result<(), IdentityError> {
    let public = dir.identity().join(PUBLIC);
    let text = serde_json::to_vec(&keys.invitation("")).unwrap_or_default();
    durable::write_file(&public, &text, Mode::Private).map_err(io(&public))?;
    let path = sealed(dir);
    let mut nonce = [0; 24];
    rand::fill(&mut nonce);
    let bytes = (|| {
        let mut writer = SealingWriter::new(sealing, nonce, Vec::new())?;
        for name in [STATEMENT_KEY, NETWORK_KEY] {
            let secret =
                private_file::load(&dir.identity().join(name)).map_err(std::io::Error::other)?;
            writer.write_all(secret.as_ref())?;
        }
        writer.finish()
    })()
    .map_err(io(&path))?;
    durable::write_file(&path, &bytes, Mode::Private).map_err(io(&path))?;
    // Only what opens again replaces the plain files.
    open(dir, sealing)?;
    erase_plain(dir)
}

fn open(dir: &HospitalDir, sealing: &SealingKey) -> Result<Keys, IdentityError> {
    let path = sealed(dir);
    let bytes = durable::read_bounded(&path, MAX_SEALED).map_err(io(&path))?;
    let wrong = || crate::hospital::StartError::WrongPassphrase { path: path.clone() };
    let mut from = bytes.as_slice();
    let mut secrets = Zeroizing::new([0u8; 64]);
    let opened = read_head(&mut from)
        .and_then(|(_, head)| UnsealingReader::new(sealing, head, from))
        .and_then(|mut reader| {
            reader.read_exact(secrets.as_mut())?;
            // The end is authenticated by reading to it.
            reader.read(&mut [0]).map(|more| more == 0)
        });
    if !opened.is_ok_and(|ended| ended) {
        return Err(wrong().into());
    }
    let (statement, network) = secrets.split_at(32);
    let mut seed = Zeroizing::new([0u8; 32]);
    seed.copy_from_slice(statement);
    let mut bytes = Zeroizing::new([0u8; 32]);
    bytes.copy_from_slice(network);
    Ok(Keys {
        statement: Identity::from_seed(*seed),
        network: network_key(&mut bytes, &path)?,
    })
}

/// Overwrites and removes the plain files. What a disk kept of them elsewhere is beyond a program.
fn erase_plain(dir: &HospitalDir) -> Result<(), IdentityError> {
    for name in [STATEMENT_KEY, NETWORK_KEY] {
        let path = dir.identity().join(name);
        let mut file = match File::options().write(true).open(&path) {
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.map_err(io(&path))?,
        };
        file.write_all(&[b'0'; 65])
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::remove_file(&path))
            .map_err(io(&path))?;
    }
    durable::sync_directory(&dir.identity()).map_err(io(&dir.identity()))
}

/// The public halves, sealed or not.
pub(crate) fn invitation(dir: &HospitalDir, name: &str) -> Result<Invitation, IdentityError> {
    if !is_sealed(dir) {
        return Ok(super::load(dir)?.invitation(name));
    }
    let path = dir.identity().join(PUBLIC);
    let bytes = durable::read_bounded(&path, MAX_SEALED).map_err(io(&path))?;
    let public: Invitation = serde_json::from_slice(&bytes)
        .map_err(|_| IdentityError::Unusable { path: path.clone() })?;
    Ok(Invitation {
        name: name.to_owned(),
        ..public
    })
}

#[cfg(test)]
mod tests {
    use organtwin_threshold::Secret;

    use super::*;
    use crate::config::{Config, SealConfig};

    fn passphrase(text: &str) -> SealingKey {
        SealingKey::Passphrase(Secret::new(text.to_owned()))
    }

    fn hospital(root: &Path) -> (HospitalDir, Invitation) {
        let dir = HospitalDir::new(root.join("a"));
        let mut config = Config::new("A");
        config.seal = SealConfig::Passphrase;
        let keys = super::super::create(&dir, &config).unwrap();
        (dir, keys.invitation("A"))
    }

    #[test]
    fn the_first_start_with_a_passphrase_seals_the_keys_and_later_ones_open_them() {
        let root = tempfile::tempdir().unwrap();
        let (dir, public) = hospital(root.path());
        for _ in 0..2 {
            let keys = load(&dir, &passphrase("a long passphrase")).unwrap();
            assert_eq!(keys.invitation("A"), public);
            assert!(!dir.identity().join(STATEMENT_KEY).exists());
            assert!(!dir.identity().join(NETWORK_KEY).exists());
        }
        assert_eq!(invitation(&dir, "A").unwrap(), public);
        let Err(refused) = load(&dir, &passphrase("another")) else {
            panic!("opened with another passphrase")
        };
        assert!(refused.to_string().contains("does not open"), "{refused}");
        assert!(matches!(
            super::super::load(&dir),
            Err(IdentityError::Sealed { .. })
        ));
    }

    #[test]
    fn a_crash_between_sealing_and_erasing_is_made_good() {
        let root = tempfile::tempdir().unwrap();
        let (dir, public) = hospital(root.path());
        let plain = dir.identity().join(STATEMENT_KEY);
        let kept = fs::read(&plain).unwrap();
        load(&dir, &passphrase("a long passphrase")).unwrap();
        fs::write(&plain, kept).unwrap();
        let keys = load(&dir, &passphrase("a long passphrase")).unwrap();
        assert_eq!(keys.invitation("A"), public);
        assert!(!plain.exists());
    }

    #[test]
    fn with_a_key_file_the_keys_stay_where_they_are() {
        let root = tempfile::tempdir().unwrap();
        let (dir, public) = hospital(root.path());
        let keys = load(&dir, &SealingKey::KeyFile(Secret::new([1; 32]))).unwrap();
        assert_eq!(keys.invitation("A"), public);
        assert!(dir.identity().join(STATEMENT_KEY).exists());
    }
}
