//! Verification of a transcript: what an auditor proves from the file alone (A2).
//!
//! The checks run the same fold and the same study rules as a node. Each is one line that passes or fails; one that
//! fails says what was expected, what came, and which statement is concerned. Deviations that did no harm (a lying
//! minority) pass and name the party.

mod admission;
mod blame;
mod ceremony;
mod deposits;
mod epoch;
mod feeds;
mod log;
mod opened;

use std::collections::BTreeMap;

use organtwin_threshold::PieceId;

use crate::digest::Digest;
use crate::feed::FeedHead;
use crate::fold::Fold;
use crate::manifest::Manifest;
use crate::roster::Roster;
use crate::study::{self, Study};
use crate::transcript::{TRANSCRIPT_VERSION, Transcript};
use crate::twin::TwinList;

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked, in a few words.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// What was found.
    pub detail: String,
    /// The statement that a failed check is about, where it is about one.
    pub statement: Option<FeedHead>,
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What was expected and what came.
    what: String,
    /// The statement concerned.
    statement: Option<FeedHead>,
}

impl Fault {
    /// A fault of one statement.
    pub(crate) fn of(statement: FeedHead, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            statement: Some(statement),
        }
    }
}

impl<T: Into<String>> From<T> for Fault {
    fn from(what: T) -> Self {
        Self {
            what: what.into(),
            statement: None,
        }
    }
}

/// What a check finds: a sentence, or a fault.
pub(crate) type Verdict = Result<String, Fault>;

/// What became of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its result was opened to these 4-bit values, one byte each.
    Opened(Vec<u8>),
    /// Nothing of it was opened, and why as far as the transcript says.
    NotOpened(String),
    /// A check failed, so nothing is claimed.
    Unproven,
}

/// A study of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedStudy {
    /// The manifest's digest.
    pub id: Digest,
    /// The manifest, whose scenario and program digest a caller can check further.
    pub manifest: Manifest,
    /// What became of it.
    pub outcome: Outcome,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// The studies that the transcript is about.
    pub studies: Vec<AuditedStudy>,
}

impl Report {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    /// Adds the line of one check.
    pub(crate) fn check(&mut self, name: impl Into<String>, verdict: Verdict) -> bool {
        let passed = verdict.is_ok();
        let (detail, statement) = match verdict {
            Ok(detail) => (detail, None),
            Err(fault) => (fault.what, fault.statement),
        };
        self.checks.push(Check {
            name: name.into(),
            passed,
            detail,
            statement,
        });
        passed
    }
}

/// How opened values follow from squashed ciphertexts and the pieces' partial decryptions.
pub(crate) trait Recombine {
    /// How many blocks may be opened over the life of a key of this consortium.
    fn opening_limit(&self, fold: &Fold) -> Result<u64, String>;

    /// The digest of the squashed bytes, how many blocks they are, and the 4-bit values.
    fn recombine(
        &self,
        roster: &Roster,
        squashed: &[u8],
        values: &BTreeMap<PieceId, Vec<u128>>,
    ) -> Result<Recombined, String>;
}

/// Opened blocks.
pub(crate) struct Recombined {
    /// The digest of the squashed bytes.
    pub(crate) squashed: Digest,
    /// One 4-bit value per block.
    pub(crate) values: Vec<u8>,
}

/// Reads and verifies a transcript file.
pub fn verify_bytes(bytes: &[u8]) -> Report {
    match Transcript::decode(bytes) {
        Ok(transcript) => verify(&transcript),
        Err(error) => unreadable(&error),
    }
}

/// The report on a file that is no transcript.
pub fn unreadable(error: &crate::codec::CodecError) -> Report {
    let mut report = Report::default();
    report.check("encoding", Err(error.to_string().into()));
    report
}

/// Verifies a transcript that was decoded strictly.
pub fn verify(transcript: &Transcript) -> Report {
    verify_keeping(transcript).0
}

/// Verifies a transcript and keeps the state that its statements yield, for whoever checks further.
pub fn verify_keeping(transcript: &Transcript) -> (Report, Fold) {
    verified(transcript, &opened::Threshold)
}

#[cfg(test)]
pub(crate) fn verify_with(transcript: &Transcript, opening: &dyn Recombine) -> Report {
    verified(transcript, opening).0
}

fn verified(transcript: &Transcript, opening: &dyn Recombine) -> (Report, Fold) {
    let mut report = Report::default();
    let version = match transcript.version {
        TRANSCRIPT_VERSION => Ok(format!("version {TRANSCRIPT_VERSION}, strictly encoded")),
        other => Err(format!(
            "expected version {TRANSCRIPT_VERSION}, got {other}: use a matching program"
        )
        .into()),
    };
    report.check("encoding", version);
    let mut fold = Fold::new(transcript.roster.clone());
    let tree = feeds::check(transcript, &mut fold, &mut report);
    report.check("log", log::check(transcript, &fold, &tree));
    ceremony::check(&fold, &mut report);
    blame::check(&fold, &mut report);
    epoch::check(&fold, &mut report);
    deposits::check(transcript, &fold, &mut report);
    admission::check(&fold, &mut report);
    report.check(
        "nothing else opened",
        every_opening_is_covered(transcript, &fold),
    );
    report.check("opening budget", within_budget(&fold, opening));
    studies(transcript, &fold, opening, &mut report);
    (report, fold)
}

/// The lines of every study whose files are in the transcript.
fn studies(transcript: &Transcript, fold: &Fold, opening: &dyn Recombine, report: &mut Report) {
    if let Some(id) = transcript.subject
        && (Study::find(fold, &id).is_none() || transcript.files(&id).is_none())
    {
        let what = format!(
            "the transcript is about study {id}, whose proposal or files it does not contain"
        );
        report.check("subject", Err(what.into()));
    }
    let ordered = transcript
        .studies
        .is_sorted_by(|a, b| a.manifest < b.manifest);
    if !ordered {
        let what = "expected the studies' files in ascending order, each once";
        report.check("studies", Err(what.into()));
    }
    if transcript.subject.is_none() {
        let missing = Study::all(fold)
            .find(|s| !s.facts.approvals.is_empty() && transcript.files(&s.id).is_none());
        if let Some(study) = missing {
            let what = format!(
                "a transcript of the whole consortium contains all studies that somebody approved; study {}'s files are missing",
                study.id
            );
            report.check("studies", Err(what.into()));
        }
    }
    for files in &transcript.studies {
        let Some(study) = Study::find(fold, &files.manifest) else {
            let what = format!("expected a proposal of study {}, got none", files.manifest);
            report.check("studies", Err(what.into()));
            continue;
        };
        let about = transcript.subject.is_none_or(|id| id == study.id);
        let outcome = match TwinList::decode(files.twins.as_slice()) {
            Ok(list) => opened::check(
                &study,
                &list,
                files.squashed.as_ref(),
                about,
                opening,
                report,
            ),
            Err(error) => {
                report.check(
                    format!("study {}: twin list", short(&study.id)),
                    Err(error.to_string().into()),
                );
                Outcome::Unproven
            }
        };
        if about {
            report.studies.push(AuditedStudy {
                id: study.id,
                manifest: study.manifest.clone(),
                outcome,
            });
        }
    }
}

/// The first digits of a digest, for people.
pub(crate) fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// The statement of a party with this hash, among those of its feed.
fn statement(fold: &Fold, party: organtwin_threshold::PartyId, seq: u64) -> Option<FeedHead> {
    let seq = usize::try_from(seq).ok()?;
    Some(fold.feed(party).get(seq)?.head())
}

/// Every partial decryption must belong to a proposed study whose files are in the transcript.
fn every_opening_is_covered(transcript: &Transcript, fold: &Fold) -> Verdict {
    let opened = fold
        .facts()
        .studies
        .iter()
        .filter(|(_, facts)| !facts.partials.is_empty());
    let mut count = 0;
    for (id, facts) in opened {
        count += 1;
        if facts.proposal.is_none() || transcript.files(id).is_none() {
            let what = format!(
                "blocks of study {id} were decrypted, but the transcript does not contain the study"
            );
            let first = facts.partials.iter().next();
            let first = first.and_then(|(party, partials)| Some((party, partials.first()?)));
            return Err(Fault {
                what,
                statement: first.and_then(|(party, p)| statement(fold, *party, p.seq)),
            });
        }
    }
    Ok(format!(
        "{count} studies with partial decryptions, each checked below"
    ))
}

/// The blocks opened under each key must stay within its budget.
fn within_budget(fold: &Fold, opening: &dyn Recombine) -> Verdict {
    let limit = opening.opening_limit(fold)?;
    let certificates = fold.facts().certificates.keys();
    let opened = certificates
        .map(|c| study::opened_blocks(fold, c, None))
        .max();
    let opened = opened.unwrap_or(0);
    if opened > limit {
        return Err(
            format!("expected at most {limit} blocks opened under a key, got {opened}").into(),
        );
    }
    Ok(format!("{opened} of {limit} blocks opened"))
}

#[cfg(test)]
mod tampering;
#[cfg(test)]
mod tests;
