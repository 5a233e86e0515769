//! The transcript: one file from which an auditor checks a study without keys and without a network (A1).

use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};

use crate::codec::{self, ByteString, CodecError};
use crate::digest::Digest;
use crate::evidence::Equivocation;
use crate::feed::FeedHead;
use crate::fold::Fold;
use crate::roster::Roster;
use crate::statement::{SignedStatement, VerifiedStatement};
use crate::study::Study;
use crate::twin::TwinList;

/// The version of the transcript that this program writes and reads.
pub const TRANSCRIPT_VERSION: u16 = 1;
/// The longest transcript, in bytes.
pub const MAX_TRANSCRIPT_BYTES: usize = 512 * 1024 * 1024;

/// What a study's statements refer to by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFiles {
    /// The manifest's digest.
    pub manifest: Digest,
    /// The encoded twin list.
    pub twins: ByteString,
    /// The squashed ciphertexts, for the studies whose result is checked.
    pub squashed: Option<ByteString>,
}

/// Everything an auditor needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// [`TRANSCRIPT_VERSION`].
    pub version: u16,
    /// The study that the transcript is about; none for the whole consortium.
    pub subject: Option<Digest>,
    /// The roster.
    pub roster: Roster,
    /// All feeds from their beginning, by author and number.
    pub statements: Vec<SignedStatement>,
    /// The last statement of every feed.
    pub heads: Vec<FeedHead>,
    /// Proofs against parties that signed two statements under one number.
    pub equivocations: Vec<Equivocation>,
    /// The files of all studies with partial decryptions, and of the subject, by manifest.
    pub studies: Vec<StudyFiles>,
}

/// Why a transcript cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The study is not known.
    #[error("study {0} is not known here: list the studies")]
    UnknownStudy(Digest),
    /// The twin list of a study is missing.
    #[error("the twin list of study {0} is missing: wait until it has been fetched")]
    MissingList(Digest),
    /// The squashed ciphertexts of an opened study are missing.
    #[error(
        "the squashed ciphertexts of study {0} are missing: export on a node that derived them"
    )]
    MissingSquashed(Digest),
    /// Something has no encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Gives the files of a study: its twin list and its squashed ciphertexts, as far as they are held.
pub trait StudyStore {
    /// The decoded twin list.
    fn twin_list(&self, manifest: &Digest) -> Option<TwinList>;
    /// The squashed ciphertexts that this party derived.
    fn squashed(&self, manifest: &Digest) -> Option<Vec<u8>>;
}

impl Transcript {
    /// Writes the transcript of one study, or of all.
    ///
    /// # Errors
    /// [`ExportError`] names what is missing.
    pub fn export(
        fold: &Fold,
        subject: Option<Digest>,
        store: &dyn StudyStore,
    ) -> Result<Self, ExportError> {
        if let Some(id) = subject {
            Study::find(fold, &id).ok_or(ExportError::UnknownStudy(id))?;
        }
        let mut studies = Vec::new();
        for study in Study::all(fold) {
            let opened = !study.facts.partials.is_empty();
            let asked = subject.is_none_or(|id| id == study.id);
            if !opened && !asked {
                continue;
            }
            let list = store.twin_list(&study.id);
            let list = match (list, subject) {
                (Some(list), _) => list,
                // The whole consortium's transcript leaves out proposals whose list nobody ever fetched.
                (None, None) if !opened => continue,
                (None, _) => return Err(ExportError::MissingList(study.id)),
            };
            let squashed = if opened && asked {
                Some(ByteString(
                    store
                        .squashed(&study.id)
                        .ok_or(ExportError::MissingSquashed(study.id))?,
                ))
            } else {
                None
            };
            studies.push(StudyFiles {
                manifest: study.id,
                twins: ByteString(list.encode()?),
                squashed,
            });
        }
        Ok(Self {
            version: TRANSCRIPT_VERSION,
            subject,
            roster: fold.founding().clone(),
            statements: fold
                .statements()
                .map(VerifiedStatement::signed)
                .cloned()
                .collect(),
            heads: fold.heads(),
            equivocations: fold.equivocations().map(|(_, _, proof)| proof).collect(),
            studies,
        })
    }

    /// Reads a transcript file.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are not one strictly encoded transcript.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, MAX_TRANSCRIPT_BYTES)
    }

    /// Writes the transcript file.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`MAX_TRANSCRIPT_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let bytes = codec::encode(self)?;
        if bytes.len() > MAX_TRANSCRIPT_BYTES {
            return Err(CodecError::TooLarge {
                limit: MAX_TRANSCRIPT_BYTES,
                got: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// The files of one study.
    pub fn files(&self, manifest: &Digest) -> Option<&StudyFiles> {
        self.studies
            .iter()
            .find(|files| files.manifest == *manifest)
    }

    /// The last statement that the transcript names for a party.
    pub fn head(&self, party: PartyId) -> Option<&FeedHead> {
        self.heads.iter().find(|head| head.party == party)
    }
}
