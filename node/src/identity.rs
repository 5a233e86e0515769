//! A hospital's keys, the invitation that carries their public halves, and the roster made of invitations.
//!
//! The statement key signs what the hospital says; the network key authenticates its connections. They are
//! separate, each in a file that only its owner can read.

pub(crate) mod sealed;

use std::path::{Path, PathBuf};

use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey};
use organtwin_protocol::codec::ByteString;
use organtwin_protocol::identity::{Identity, StatementKey};
use organtwin_protocol::roster::{
    Member, PassivePolicy, ROSTER_VERSION, RawRoster, Roster, RosterError,
};
use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{Config, HospitalDir, SealConfig};
use crate::hospital::StartError;
use crate::planning::REAL_PARAMETERS;
use crate::private_file::{self, PrivateFileError};

const STATEMENT_KEY: &str = "statement.key";
const NETWORK_KEY: &str = "network.key";

/// Why keys could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A key's file.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// Another file of the directory.
    #[error(transparent)]
    Directory(#[from] StartError),
    /// The keys are sealed, and only the node opens them.
    #[error("{path} is sealed; only a running node, which knows the passphrase, can use it")]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are no key.
    #[error("{path} holds no usable key; restore it from a backup")]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

/// Both keys of a hospital. Not Debug, not Clone.
pub struct Keys {
    /// Signs statements.
    pub statement: Identity,
    /// Authenticates connections.
    pub network: Keypair,
}

/// Makes a hospital's directory: configuration last, so that a directory with one is complete.
pub fn create(dir: &HospitalDir, config: &Config) -> Result<Keys, IdentityError> {
    let io = |path: PathBuf| move |source| IdentityError::from(StartError::io(path, source));
    make_private(&dir.identity()).map_err(io(dir.identity()))?;
    for place in [dir.blobs(), dir.key()] {
        make_private(&place).map_err(io(place.clone()))?;
    }
    for name in [STATEMENT_KEY, NETWORK_KEY] {
        private_file::load_or_create(&dir.identity().join(name))?;
    }
    if let SealConfig::KeyFile { path } = &config.seal {
        private_file::load_or_create(&dir.root().join(path))?;
    }
    let keys = load(dir)?;
    config.save(dir)?;
    Ok(keys)
}

/// Reads a hospital's keys.
pub fn load(dir: &HospitalDir) -> Result<Keys, IdentityError> {
    let path = dir.identity().join(STATEMENT_KEY);
    if sealed::is_sealed(dir) {
        return Err(IdentityError::Sealed { path });
    }
    let statement = private_file::load(&path)?;
    let path = dir.identity().join(NETWORK_KEY);
    let mut network: Zeroizing<[u8; 32]> = private_file::load(&path)?;
    Ok(Keys {
        statement: Identity::from_seed(*statement),
        network: network_key(&mut network, &path)?,
    })
}

fn network_key(secret: &mut Zeroizing<[u8; 32]>, path: &Path) -> Result<Keypair, IdentityError> {
    Keypair::ed25519_from_bytes(secret.as_mut()).map_err(|_| IdentityError::Unusable {
        path: path.to_path_buf(),
    })
}

pub(crate) fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

impl Keys {
    /// What the hospital hands to whoever makes the roster.
    pub fn invitation(&self, name: &str) -> Invitation {
        Invitation {
            schema: INVITATION_SCHEMA.into(),
            name: name.to_owned(),
            statement_key: hex::encode(self.statement.public().as_bytes()),
            network_key: hex::encode(self.network.public().encode_protobuf()),
        }
    }

    /// The peer id on the network.
    pub fn peer_id(&self) -> PeerId {
        self.network.public().to_peer_id()
    }
}

/// `schema` of an invitation file.
pub const INVITATION_SCHEMA: &str = "organtwin.invitation/1";

/// A hospital's public keys and name, as JSON, on their way into a roster. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// [`INVITATION_SCHEMA`].
    pub schema: String,
    /// The hospital's name.
    pub name: String,
    /// Ed25519, hexadecimal.
    pub statement_key: String,
    /// libp2p's public key in its protobuf form, hexadecimal.
    pub network_key: String,
}

/// Why invitations make no roster.
#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    /// An invitation is not one.
    #[error("invitation {position} ({name}): {what}")]
    Malformed {
        /// Position in the order given, from 1.
        position: usize,
        /// Name in it.
        name: String,
        /// What was expected.
        what: &'static str,
    },
    /// The roster's own rules.
    #[error(transparent)]
    Roster(#[from] RosterError),
}

impl Invitation {
    /// Sixteen hexadecimal digits to be read aloud over another channel.
    pub fn fingerprint(&self) -> String {
        let keys = format!("{}/{}", self.statement_key, self.network_key);
        let hash = blake3::derive_key(
            "organtwin/1 fingerprint of a hospital's keys",
            keys.as_bytes(),
        );
        hash.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .chunks(2)
            .map(<[String]>::concat)
            .collect::<Vec<_>>()
            .join("-")
    }

    /// The member that the invited hospital becomes under a number.
    pub fn member(&self, position: usize) -> Result<Member, InvitationError> {
        let wrong = |what| InvitationError::Malformed {
            position,
            name: self.name.chars().take(64).collect(),
            what,
        };
        if self.schema != INVITATION_SCHEMA {
            return Err(wrong("expected the schema organtwin.invitation/1"));
        }
        let mut statement_key = [0u8; 32];
        hex::decode_to_slice(&self.statement_key, &mut statement_key)
            .map_err(|_| wrong("expected a statement key of 64 hexadecimal digits"))?;
        let network = hex::decode(&self.network_key)
            .map_err(|_| wrong("expected a network key in hexadecimal"))?;
        PublicKey::try_decode_protobuf(&network)
            .map_err(|_| wrong("expected libp2p's form of a network key"))?;
        let party = u8::try_from(position).ok().and_then(PartyId::new);
        Ok(Member {
            party: party.ok_or_else(|| wrong("a consortium has at most 16 members"))?,
            name: self.name.clone(),
            statement_key: StatementKey::from_bytes(statement_key),
            network_key: ByteString::from(network),
        })
    }
}

/// What a roster says beside its members.
pub struct RosterTerms {
    /// The consortium's name.
    pub consortium: String,
    /// Most parties that may be corrupt.
    pub threshold: u8,
    /// Whether n <= 3t is accepted.
    pub passive: PassivePolicy,
    /// The class of machines that round alike, on which all nodes evaluate.
    pub instruction_class: String,
}

/// Makes a roster; parties are numbered in the order given, so that every hospital gets the same bytes.
pub fn make_roster(
    terms: RosterTerms,
    invitations: &[Invitation],
) -> Result<Roster, InvitationError> {
    let members = invitations
        .iter()
        .enumerate()
        .map(|(index, invitation)| invitation.member(index + 1));
    let raw = RawRoster {
        version: ROSTER_VERSION,
        name: terms.consortium,
        threshold: terms.threshold,
        passive: terms.passive,
        parameters: REAL_PARAMETERS.into(),
        instruction_class: terms.instruction_class,
        members: members.collect::<Result<_, _>>()?,
    };
    Ok(Roster::try_from(raw)?)
}

/// The peer id of a member of the roster; `None` if its network key is not libp2p's.
pub fn peer_id(member: &Member) -> Option<PeerId> {
    PublicKey::try_decode_protobuf(member.network_key.as_slice())
        .ok()
        .map(|key| key.to_peer_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hospital(root: &Path, name: &str) -> (HospitalDir, Keys) {
        let dir = HospitalDir::new(root.join(name));
        let keys = create(&dir, &Config::new(name)).unwrap();
        (dir, keys)
    }

    #[test]
    fn keys_are_made_once_and_read_again() {
        let root = tempfile::tempdir().unwrap();
        let (dir, keys) = hospital(root.path(), "a");
        let again = load(&dir).unwrap();
        assert_eq!(again.invitation("a"), keys.invitation("a"));
        assert_ne!(
            keys.invitation("a").fingerprint(),
            hospital(root.path(), "b").1.invitation("b").fingerprint()
        );
    }

    #[test]
    fn invitations_make_the_same_roster_on_every_hospital() {
        let root = tempfile::tempdir().unwrap();
        let keys: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| hospital(root.path(), name).1)
            .into();
        let invitations: Vec<_> = keys.iter().map(|keys| keys.invitation("x")).collect();
        let terms = || RosterTerms {
            consortium: "C".into(),
            threshold: 1,
            passive: PassivePolicy::Refused,
            instruction_class: "any".into(),
        };
        let roster = make_roster(terms(), &invitations).unwrap();
        assert_eq!(
            roster.encode().unwrap(),
            make_roster(terms(), &invitations)
                .unwrap()
                .encode()
                .unwrap()
        );
        assert_eq!(peer_id(&roster.members()[2]), Some(keys[2].peer_id()));
        assert!(
            make_roster(terms(), &invitations[..3]).is_err(),
            "n = 3 needs the passive flag"
        );
    }

    #[test]
    fn a_forged_invitation_is_refused_by_position() {
        let root = tempfile::tempdir().unwrap();
        let good = hospital(root.path(), "a").1.invitation("a");
        let terms = || RosterTerms {
            consortium: "C".into(),
            threshold: 1,
            passive: PassivePolicy::Refused,
            instruction_class: "any".into(),
        };
        for broken in [
            Invitation {
                statement_key: "00".into(),
                ..good.clone()
            },
            Invitation {
                network_key: "zz".into(),
                ..good.clone()
            },
            Invitation {
                network_key: good.statement_key.clone(),
                ..good.clone()
            },
            Invitation {
                schema: "organtwin.invitation/9".into(),
                ..good.clone()
            },
        ] {
            let refused = make_roster(terms(), &[good.clone(), broken]).unwrap_err();
            assert!(
                matches!(refused, InvitationError::Malformed { position: 2, .. }),
                "{refused}"
            );
        }
    }
}
