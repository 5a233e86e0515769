//! The roster: who takes part, with which keys, under which parameters (docs/spec/statements.md, S4).

use std::collections::BTreeSet;

use organtwin_threshold::{Committee, CommitteeError, PartyId, PartySet, Passive};
use serde::{Deserialize, Serialize};

use crate::codec::{self, ByteString, CodecError};
use crate::digest::{self, Digest, Domain};
use crate::identity::StatementKey;

/// The version of the roster that this program writes and reads.
pub const ROSTER_VERSION: u16 = 1;
/// The longest encoding of a roster, in bytes.
pub const MAX_ROSTER_BYTES: usize = 16 * 1024;
/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest network key, in bytes.
pub const MAX_NETWORK_KEY_BYTES: usize = 64;

/// One hospital of the consortium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its number in the committee.
    pub party: PartyId,
    /// Its name, for people.
    pub name: String,
    /// The key that signs its statements.
    pub statement_key: StatementKey,
    /// The public identity of its network endpoint, opaque here; distinct from the statement key.
    pub network_key: ByteString,
}

/// The roster as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRoster {
    /// [`ROSTER_VERSION`].
    pub version: u16,
    /// The consortium's name, for people.
    pub name: String,
    /// t: how many parties may be corrupt.
    pub threshold: u8,
    /// Whether a committee that is secure against passive cheaters only is accepted.
    pub passive: PassivePolicy,
    /// The id of the parameter set.
    pub parameters: String,
    /// The class of instruction sets on which all nodes evaluate alike.
    pub instruction_class: String,
    /// The parties in ascending order: 1..=n in a founding roster, any later on.
    pub members: Vec<Member>,
}

/// Whether a committee with n <= 3t is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassivePolicy {
    /// Only committees that are secure against active cheaters.
    Refused,
    /// Passive committees too; the certificate says so.
    Allowed,
}

/// A roster that obeys all rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "RawRoster", into = "RawRoster")]
pub struct Roster {
    raw: RawRoster,
    committee: Committee,
    digest: Digest,
}

/// Why a roster is refused.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// Another version of the format.
    #[error("expected roster version {ROSTER_VERSION}, got {0}: use a matching program")]
    Version(u16),
    /// The members are not numbered 1, 2, ... in order.
    #[error(
        "expected the members to be numbered 1 to n in order, got {got} at position {position}"
    )]
    Numbering {
        /// Position in the list, counted from 1.
        position: usize,
        /// The number found there.
        got: PartyId,
    },
    /// The members of a later roster are not in ascending order.
    #[error("expected the members in ascending order of their numbers, got {0} out of order")]
    Order(PartyId),
    /// A text is empty, too long or holds control characters.
    #[error("expected 1 to {MAX_NAME_BYTES} printable bytes for {field}, got {got:?}")]
    Text {
        /// Which text.
        field: &'static str,
        /// What it holds.
        got: String,
    },
    /// A key is unusable or used twice.
    #[error("party {0}'s {1} key is missing, unsound or another member's: make a new identity")]
    Key(PartyId, &'static str),
    /// n and t do not make a committee.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// The roster cannot be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl TryFrom<RawRoster> for Roster {
    type Error = RosterError;

    /// A founding roster: its members are the parties 1 to n.
    fn try_from(raw: RawRoster) -> Result<Self, RosterError> {
        for (index, member) in raw.members.iter().enumerate() {
            if member.party.index() != index {
                return Err(RosterError::Numbering {
                    position: index + 1,
                    got: member.party,
                });
            }
        }
        Self::later(raw)
    }
}

impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Roster {}

impl From<Roster> for RawRoster {
    fn from(roster: Roster) -> Self {
        roster.raw
    }
}

impl Roster {
    /// The roster of any epoch: members keep their numbers for life, so numbers may be missing.
    ///
    /// # Errors
    /// [`RosterError`] names the first rule that is broken.
    pub fn later(raw: RawRoster) -> Result<Self, RosterError> {
        if raw.version != ROSTER_VERSION {
            return Err(RosterError::Version(raw.version));
        }
        let texts = [
            ("the name", &raw.name),
            ("the parameters", &raw.parameters),
            ("the instruction class", &raw.instruction_class),
        ];
        for (field, text) in texts
            .into_iter()
            .chain(raw.members.iter().map(|m| ("a member's name", &m.name)))
        {
            check_text(field, text)?;
        }
        let mut statement_keys = BTreeSet::new();
        let mut network_keys = BTreeSet::new();
        let mut previous = None;
        for member in &raw.members {
            if previous.replace(member.party) >= Some(member.party) {
                return Err(RosterError::Order(member.party));
            }
            if !member.statement_key.is_sound() || !statement_keys.insert(member.statement_key) {
                return Err(RosterError::Key(member.party, "statement"));
            }
            let network = member.network_key.as_slice();
            let sized = !network.is_empty() && network.len() <= MAX_NETWORK_KEY_BYTES;
            if !sized
                || network == member.statement_key.as_bytes()
                || !network_keys.insert(network.to_vec())
            {
                return Err(RosterError::Key(member.party, "network"));
            }
        }
        let parties: PartySet = raw.members.iter().map(|member| member.party).collect();
        let passive = match raw.passive {
            PassivePolicy::Refused => Passive::Refuse,
            PassivePolicy::Allowed => Passive::Allow,
        };
        let committee = Committee::over(parties, raw.threshold, passive)?;
        let digest = digest::of_value(Domain::Roster, &raw)?;
        Ok(Self {
            raw,
            committee,
            digest,
        })
    }

    /// Reads a roster file.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are not one strictly encoded, valid roster.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, MAX_ROSTER_BYTES)
    }

    /// Writes the roster file.
    ///
    /// # Errors
    /// Never for a roster made by this crate.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(&self.raw)
    }

    /// What all statements of the consortium are bound to.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The consortium's name.
    pub fn name(&self) -> &str {
        &self.raw.name
    }

    /// The id of the parameter set.
    pub fn parameters(&self) -> &str {
        &self.raw.parameters
    }

    /// The class of instruction sets on which all nodes evaluate alike.
    pub fn instruction_class(&self) -> &str {
        &self.raw.instruction_class
    }

    /// The members in order of their numbers.
    pub fn members(&self) -> &[Member] {
        &self.raw.members
    }

    /// One member, if it is on the roster.
    pub fn member(&self, party: PartyId) -> Option<&Member> {
        let members = &self.raw.members;
        let index = members.binary_search_by_key(&party, |member| member.party);
        index.ok().and_then(|index| members.get(index))
    }

    /// Its parts, from which a later roster is made.
    pub fn raw(&self) -> &RawRoster {
        &self.raw
    }

    /// The members' numbers.
    pub fn numbers(&self) -> impl Iterator<Item = PartyId> + Clone + '_ {
        self.raw.members.iter().map(|member| member.party)
    }

    /// The committee that the members form.
    pub fn committee(&self) -> &Committee {
        &self.committee
    }

    /// n: how many parties take part.
    pub fn parties(&self) -> usize {
        self.raw.members.len()
    }

    /// t: how many of them may be corrupt.
    pub fn threshold(&self) -> usize {
        usize::from(self.raw.threshold)
    }

    /// Whether every holder must agree because no majority is guaranteed (n <= 3t).
    pub fn needs_all(&self) -> bool {
        self.parties() <= 3 * self.threshold()
    }

    /// How many parties must have received a twin before a study may contain it.
    pub fn receipts_needed(&self) -> usize {
        if self.needs_all() {
            self.parties()
        } else {
            2 * self.threshold() + 1
        }
    }

    /// How many equal statements settle a computed value: t+1, of which one is honest.
    pub fn equal_needed(&self) -> usize {
        self.threshold() + 1
    }

    /// The default quorum of a study: 2t+1, at most n.
    pub fn default_quorum(&self) -> usize {
        (2 * self.threshold() + 1).min(self.parties())
    }
}

fn check_text(field: &'static str, text: &str) -> Result<(), RosterError> {
    if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
        return Err(RosterError::Text {
            field,
            got: text.chars().take(MAX_NAME_BYTES).collect(),
        });
    }
    Ok(())
}
