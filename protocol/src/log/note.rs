//! Signed notes (C2SP signed-note): a text and signature lines that name their keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use organtwin_threshold::PartyId;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::identity::StatementKey;

/// The longest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;
/// The most signature lines of a note.
pub const MAX_SIGNATURES: usize = 64;
/// What begins a signature line: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Why bytes are not a note, or not one that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The bytes are not a signed note.
    #[error("expected a signed note, got {0}")]
    Malformed(&'static str),
    /// The text is not a checkpoint.
    #[error("expected a checkpoint, got {0}")]
    NotACheckpoint(&'static str),
    /// It is a checkpoint of another log.
    #[error("expected a checkpoint of {expected}, got one of {got}")]
    OtherLog {
        /// The log's origin.
        expected: String,
        /// The origin that came.
        got: String,
    },
    /// No signature line of that key.
    #[error("expected a signature of {0}, found none")]
    Unsigned(String),
    /// A signature that is not its key's.
    #[error("the signature of {0} does not hold: the checkpoint was changed")]
    BadSignature(String),
}

/// What a key signs in notes; each kind has key ids of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureKind {
    /// The log's own signature over the note.
    Log,
    /// A peer's cosignature with a time.
    Cosignature,
}

impl SignatureKind {
    fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    /// How many bytes follow the key id.
    fn length(self) -> usize {
        match self {
            Self::Log => 64,
            Self::Cosignature => 72,
        }
    }
}

/// The text of a note: lines that end in a newline, without other control characters. Only such a text is ever signed,
/// which keeps notes apart from statements: what a statement's signature covers has a zero byte (L3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Checks a text.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] says why it cannot be a note's.
    pub fn new(text: String) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || text.len() > MAX_NOTE_BYTES {
            return Err(NoteError::Malformed("a text without end or too long a one"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteError::Malformed("a text with control characters"));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub id: [u8; 4],
    /// What the kind of signature puts here.
    pub signature: Vec<u8>,
}

/// A text with its signature lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The text.
    pub text: Text,
    /// The signatures, in the order of the lines.
    pub signatures: Vec<SignatureLine>,
}

/// The name of a party's log and of its key in notes.
pub fn name(consortium: &Digest, party: PartyId) -> String {
    format!("organtwin/{consortium}/{party}")
}

/// The id of a key in signature lines: the first four bytes of SHA-256 over name, newline, kind and key.
pub fn key_id(name: &str, kind: SignatureKind, key: &StatementKey) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', kind.byte()]);
    hasher.update(key.as_bytes());
    let [a, b, c, d, ..]: [u8; 32] = hasher.finalize().into();
    [a, b, c, d]
}

/// The key as other implementations of the format read it.
pub fn verifier_key(name: &str, kind: SignatureKind, key: &StatementKey) -> String {
    let id = crate::codec::to_hex(&key_id(name, kind, key));
    let material: Vec<u8> = [&[kind.byte()], key.as_bytes().as_slice()].concat();
    format!("{name}+{id}+{}", STANDARD.encode(material))
}

/// A name without spaces and plus signs, as signature lines need it.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

impl SignatureLine {
    /// Writes the line.
    pub fn encode(&self) -> String {
        let bytes: Vec<u8> = [self.id.as_slice(), &self.signature].concat();
        format!("{DASH}{} {}\n", self.name, STANDARD.encode(bytes))
    }

    /// Reads a line without its newline.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] for anything that [`SignatureLine::encode`] would not write.
    pub fn decode(line: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::Malformed("something that is no signature line");
        let (name, encoded) = line
            .strip_prefix(DASH)
            .and_then(|rest| rest.split_once(' '))
            .ok_or(wrong.clone())?;
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong.clone())?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(wrong.clone())?;
        if !is_name(name) || signature.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            name: name.to_owned(),
            id: *id,
            signature: signature.to_vec(),
        })
    }

    /// Whether the line is of this key and kind.
    pub fn is_of(&self, name: &str, kind: SignatureKind, key: &StatementKey) -> bool {
        self.name == name
            && self.id == key_id(name, kind, key)
            && self.signature.len() == kind.length()
    }
}

impl Note {
    /// Writes the note.
    pub fn encode(&self) -> String {
        let lines: String = self.signatures.iter().map(SignatureLine::encode).collect();
        format!("{}\n{lines}", self.text.as_str())
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] for anything that [`Note::encode`] would not write, or that is too long.
    pub fn decode(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::Malformed("more bytes than a note has"));
        }
        let (text, lines) = note
            .rsplit_once("\n\n")
            .ok_or(NoteError::Malformed("no empty line"))?;
        let text = Text::new(format!("{text}\n"))?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("no newline at its end"))?;
        let signatures = lines
            .split('\n')
            .map(SignatureLine::decode)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Malformed("too many signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// Checks a plain signature of a key over the text.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] without a line of it, [`NoteError::BadSignature`] with a wrong one.
    pub fn signed_by(&self, name: &str, key: &StatementKey) -> Result<(), NoteError> {
        let line = self
            .signatures
            .iter()
            .find(|line| line.is_of(name, SignatureKind::Log, key))
            .ok_or_else(|| NoteError::Unsigned(name.to_owned()))?;
        if key.verifies_text(self.text.as_str(), &line.signature) {
            Ok(())
        } else {
            Err(NoteError::BadSignature(name.to_owned()))
        }
    }
}
