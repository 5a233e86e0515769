//! The transcript: one file from which an auditor checks a study without keys and without a network (A1).

use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};

use crate::codec::{self, ByteString, CodecError};
use crate::digest::Digest;
use crate::evidence::Equivocation;
use crate::feed::FeedHead;
use crate::fold::Fold;
use crate::log::checkpoint::Checkpoint;
use crate::log::{Entry, Log};
use crate::roster::Roster;
use crate::statement::SignedStatement;
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

/// A proof of equivocation and its place in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedFork {
    /// The number of its leaf, counted from 0.
    pub at: u64,
    /// The proof.
    pub proof: Equivocation,
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
    /// The exporting party's log as of now: a checkpoint that it signed and others cosigned.
    pub checkpoint: String,
    /// Everything that the exporting party accepted, in the order of acceptance.
    pub statements: Vec<SignedStatement>,
    /// The last statement of every feed.
    pub heads: Vec<FeedHead>,
    /// Proofs against parties that signed two statements under one number, in the order of the log.
    pub equivocations: Vec<LoggedFork>,
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
    /// A statement of the log is missing.
    #[error(
        "statement {} of party {}, which this log holds, is missing: the store was damaged", .0.seq, .0.party
    )]
    MissingStatement(FeedHead),
    /// The log and the statements are out of step.
    #[error("the log does not hold what the feeds hold: the store was damaged")]
    OtherLog,
    /// Something has no encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Gives what a transcript needs beside the fold, as far as it is held.
pub trait StudyStore {
    /// A statement that the log holds and that counts no more, since its author forked.
    fn voided(&self, _statement: &FeedHead) -> Option<SignedStatement> {
        None
    }
    /// The decoded twin list.
    fn twin_list(&self, manifest: &Digest) -> Option<TwinList>;
    /// The squashed ciphertexts that this party derived.
    fn squashed(&self, manifest: &Digest) -> Option<Vec<u8>>;
}

impl Transcript {
    /// Writes the transcript of one study, or of all, with the exporting party's log and a checkpoint of the whole of
    /// it, which others have cosigned.
    ///
    /// # Errors
    /// [`ExportError`] names what is missing.
    pub fn export(
        fold: &Fold,
        subject: Option<Digest>,
        store: &dyn StudyStore,
        log: &Log,
        checkpoint: &Checkpoint,
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
                (None, None) if !opened && study.facts.approvals.is_empty() => continue,
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
        let (statements, equivocations) = accepted(fold, store, log)?;
        Ok(Self {
            version: TRANSCRIPT_VERSION,
            subject,
            roster: fold.founding().clone(),
            checkpoint: checkpoint.encode(),
            statements,
            heads: fold.heads(),
            equivocations,
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

/// What the log holds, in its order.
fn accepted(
    fold: &Fold,
    store: &dyn StudyStore,
    log: &Log,
) -> Result<(Vec<SignedStatement>, Vec<LoggedFork>), ExportError> {
    let (mut statements, mut forks) = (Vec::new(), Vec::new());
    if !log.news(fold).is_empty() {
        return Err(ExportError::OtherLog);
    }
    for (at, entry) in (0u64..).zip(log.entries()) {
        match entry {
            Entry::Fork(proof) => forks.push(LoggedFork {
                at,
                proof: (**proof).clone(),
            }),
            Entry::Statement(head) => {
                let index = usize::try_from(head.seq).unwrap_or(usize::MAX);
                let counts = fold.feed(head.party).get(index);
                let counts = counts.filter(|statement| statement.hash() == head.hash);
                let signed = counts.map(|statement| statement.signed().clone());
                let signed = signed.or_else(|| store.voided(head));
                statements.push(signed.ok_or(ExportError::MissingStatement(*head))?);
            }
        }
    }
    Ok((statements, forks))
}
