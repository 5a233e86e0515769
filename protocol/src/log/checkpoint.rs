//! Checkpoints and cosignatures (C2SP tlog-checkpoint and tlog-cosignature, version 1).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use organtwin_threshold::PartyId;

use super::note::{self, Note, NoteError, SignatureKind, SignatureLine, Text};
use super::{MAX_LEAVES, TreeHead};
use crate::digest::Digest;
use crate::identity::{Identity, StatementKey};
use crate::roster::Roster;

/// What separates cosignatures from everything else that a statement key signs.
const COSIGNATURE: &str = "cosignature/v1";

/// A checkpoint: whose log reached which size with which root, and who signed that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    note: Note,
    origin: String,
    head: TreeHead,
}

impl Checkpoint {
    /// Writes and signs the checkpoint of one's own log.
    ///
    /// # Errors
    /// [`NoteError`] never for a name that [`note::name`] makes.
    pub fn sign(
        consortium: &Digest,
        party: PartyId,
        head: TreeHead,
        identity: &Identity,
    ) -> Result<Self, NoteError> {
        let origin = note::name(consortium, party);
        let root = STANDARD.encode(head.root.as_bytes());
        let text = Text::new(format!("{origin}\n{}\n{root}\n", head.size))?;
        let line = SignatureLine {
            id: note::key_id(&origin, SignatureKind::Log, &identity.public()),
            signature: identity.sign_text(&text).as_bytes().to_vec(),
            name: origin.clone(),
        };
        Ok(Self {
            note: Note {
                text,
                signatures: vec![line],
            },
            origin,
            head,
        })
    }

    /// Reads a checkpoint. Nothing is verified but its form.
    ///
    /// # Errors
    /// [`NoteError`] for anything else; also for extension lines, which these logs do not write.
    pub fn decode(text: &str) -> Result<Self, NoteError> {
        let note = Note::decode(text)?;
        let mut lines = note.text.as_str().split_terminator('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::NotACheckpoint("other than three lines"));
        };
        let number = size.parse::<u64>().ok();
        let number = number.filter(|n| *n <= MAX_LEAVES && n.to_string() == size);
        let number = number.ok_or(NoteError::NotACheckpoint("no size"))?;
        let bytes = STANDARD.decode(root).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or(NoteError::NotACheckpoint("no root"))?;
        let (origin, head) = (
            origin.to_owned(),
            TreeHead {
                size: number,
                root: Digest::new(bytes),
            },
        );
        Ok(Self { note, origin, head })
    }

    /// Writes the checkpoint with its signatures.
    pub fn encode(&self) -> String {
        self.note.encode()
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// Whose log it is, if it is one of the consortium's parties'.
    pub fn party(&self, consortium: &Digest, roster: &Roster) -> Option<PartyId> {
        let mut parties = roster.members().iter().map(|member| member.party);
        parties.find(|party| note::name(consortium, *party) == self.origin)
    }

    /// Checks that a party's log says so.
    ///
    /// # Errors
    /// [`NoteError::OtherLog`], [`NoteError::Unsigned`] or [`NoteError::BadSignature`].
    pub fn verify(
        &self,
        consortium: &Digest,
        party: PartyId,
        key: &StatementKey,
    ) -> Result<TreeHead, NoteError> {
        let expected = note::name(consortium, party);
        if self.origin != expected {
            return Err(NoteError::OtherLog {
                expected,
                got: self.origin.clone(),
            });
        }
        self.note.signed_by(&expected, key)?;
        Ok(self.head)
    }

    /// How many signature lines follow the log's own.
    pub fn cosignatures(&self) -> usize {
        self.note.signatures.len().saturating_sub(1)
    }

    /// Whether a line bears the name of a party as cosigner. Lines were verified when they were added.
    pub fn has_cosignature_of(&self, consortium: &Digest, party: PartyId) -> bool {
        let name = note::name(consortium, party);
        let mut others = self.note.signatures.iter().skip(1);
        others.any(|line| line.name == name)
    }

    /// What a cosigner signs: the header, the time in seconds since 1970, and the whole text.
    fn cosigned(&self, time_s: u64) -> Result<Text, NoteError> {
        Text::new(format!(
            "{COSIGNATURE}\ntime {time_s}\n{}",
            self.note.text.as_str()
        ))
    }

    /// The signature line of a peer that saw that this checkpoint extends what it cosigned before. That it did is for
    /// [`super::witness`] to ensure.
    pub(super) fn cosign(
        &self,
        consortium: &Digest,
        me: PartyId,
        time_s: u64,
        identity: &Identity,
    ) -> Result<SignatureLine, NoteError> {
        let name = note::name(consortium, me);
        let signature = identity.sign_text(&self.cosigned(time_s)?);
        Ok(SignatureLine {
            id: note::key_id(&name, SignatureKind::Cosignature, &identity.public()),
            signature: [time_s.to_be_bytes().as_slice(), signature.as_bytes()].concat(),
            name,
        })
    }

    /// The time of a party's cosignature.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] without one, [`NoteError::BadSignature`] with a wrong one.
    pub fn cosigned_by(
        &self,
        consortium: &Digest,
        party: PartyId,
        key: &StatementKey,
    ) -> Result<u64, NoteError> {
        let name = note::name(consortium, party);
        let mut lines = self.note.signatures.iter();
        let line = lines
            .find(|line| line.is_of(&name, SignatureKind::Cosignature, key))
            .ok_or_else(|| NoteError::Unsigned(name.clone()))?;
        let bad = || NoteError::BadSignature(name.clone());
        let (time, signature) = line.signature.split_first_chunk::<8>().ok_or_else(bad)?;
        let time = u64::from_be_bytes(*time);
        let text = self.cosigned(time)?;
        if key.verifies_text(text.as_str(), signature) {
            Ok(time)
        } else {
            Err(bad())
        }
    }

    /// Adds a peer's line, if it is a cosignature of that peer over this very checkpoint; lines stand in the order of
    /// the parties.
    ///
    /// # Errors
    /// [`NoteError`] says what is wrong with it.
    pub fn add(
        &mut self,
        consortium: &Digest,
        party: PartyId,
        key: &StatementKey,
        line: &str,
    ) -> Result<u64, NoteError> {
        let line = SignatureLine::decode(line.strip_suffix('\n').unwrap_or(line))?;
        let mut with = self.clone();
        with.note
            .signatures
            .retain(|known| known.name != line.name || known.id != line.id);
        with.note.signatures.push(line);
        let time = with.cosigned_by(consortium, party, key)?;
        if let Some((_, cosignatures)) = with.note.signatures.split_first_mut() {
            cosignatures.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
        }
        *self = with;
        Ok(time)
    }

    /// Checks every signature: the log's own line first, then cosignatures of other members, each once, in the order
    /// of the parties. Returns who cosigned and when.
    ///
    /// # Errors
    /// [`NoteError`] for the first line that does not hold; a line of an unknown key is one.
    pub fn verify_all(
        &self,
        consortium: &Digest,
        party: PartyId,
        keys: &BTreeMap<PartyId, StatementKey>,
    ) -> Result<BTreeMap<PartyId, u64>, NoteError> {
        let own = note::name(consortium, party);
        let key = keys
            .get(&party)
            .ok_or_else(|| NoteError::Unsigned(own.clone()))?;
        self.verify(consortium, party, key)?;
        let (first, others) = self
            .note
            .signatures
            .split_first()
            .ok_or(NoteError::Malformed("no signature"))?;
        if !first.is_of(&own, SignatureKind::Log, key) {
            return Err(NoteError::Malformed(
                "another signature before the log's own",
            ));
        }
        let mut times = BTreeMap::new();
        for line in others {
            let cosigner = keys.iter().find(|(peer, key)| {
                let name = note::name(consortium, **peer);
                **peer != party && line.is_of(&name, SignatureKind::Cosignature, key)
            });
            let (peer, key) = cosigner.ok_or_else(|| NoteError::Unsigned(line.name.clone()))?;
            if times.last_key_value().is_some_and(|(last, _)| last >= peer) {
                return Err(NoteError::Malformed("cosignatures out of order or twice"));
            }
            times.insert(*peer, self.cosigned_by(consortium, *peer, key)?);
        }
        Ok(times)
    }
}

/// The statement keys of a roster's members.
pub fn keys(roster: &Roster) -> BTreeMap<PartyId, StatementKey> {
    let members = roster.members().iter();
    members.map(|m| (m.party, m.statement_key)).collect()
}
