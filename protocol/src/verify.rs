//! Verification of a transcript: what an auditor proves from the file alone (A2).
//!
//! The checks run the same fold and the same study rules as a node. A check that fails says what was
//! expected and what came; deviations that did no harm (a lying minority) pass and name the party.

mod ceremony;
mod opened;

use organtwin_threshold::PieceId;

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::fold::{Admitted, Fold, Knowledge};
use crate::manifest::Manifest;
use crate::roster::Roster;
use crate::statement::Body;
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
}

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

    fn check(&mut self, name: impl Into<String>, outcome: Result<String, String>) -> bool {
        let passed = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|why| why);
        self.checks.push(Check {
            name: name.into(),
            passed,
            detail,
        });
        passed
    }
}

/// How opened values follow from squashed ciphertexts and the pieces' partial decryptions.
pub(crate) trait Recombine {
    /// How many blocks may be opened over the life of a key of this consortium.
    fn opening_limit(&self, roster: &Roster) -> Result<u64, String>;

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
        Err(error) => {
            let mut report = Report::default();
            report.check("encoding", Err(error.to_string()));
            report
        }
    }
}

/// Verifies a transcript.
pub fn verify(transcript: &Transcript) -> Report {
    verify_with(transcript, &opened::Threshold)
}

pub(crate) fn verify_with(transcript: &Transcript, opening: &dyn Recombine) -> Report {
    let mut report = Report::default();
    let version = match transcript.version {
        TRANSCRIPT_VERSION => Ok(format!("version {TRANSCRIPT_VERSION}, strictly encoded")),
        other => Err(format!(
            "expected version {TRANSCRIPT_VERSION}, got {other}: use a matching program"
        )),
    };
    report.check("encoding", version);
    let mut fold = Fold::new(transcript.roster.clone());
    let statements = replay(transcript, &mut fold);
    report.check("statements", statements);
    report.check("feeds", feeds(transcript, &fold));
    report.check("equivocations", equivocations(transcript));
    report.check("roster", roster_signed(&fold));
    ceremony::check(&fold, &mut report);
    report.check(
        "nothing else opened",
        every_opening_is_covered(transcript, &fold),
    );
    report.check("opening budget", within_budget(&fold, opening));
    if let Some(id) = transcript.subject
        && Study::find(&fold, &id).is_none()
    {
        report.check(
            "subject",
            Err(format!(
                "the transcript is about study {id}, which nobody proposed"
            )),
        );
    }
    for files in &transcript.studies {
        let Some(study) = Study::find(&fold, &files.manifest) else {
            report.check(
                "studies",
                Err(format!(
                    "expected a proposal of study {}, got none",
                    files.manifest
                )),
            );
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
                &mut report,
            ),
            Err(error) => {
                report.check(
                    format!("study {}: twin list", short(&study.id)),
                    Err(error.to_string()),
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
    report
}

/// The first digits of a digest, for people.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// Every statement must extend its author's feed at once: sorted, signed, chained, and within the rules.
fn replay(transcript: &Transcript, fold: &mut Fold) -> Result<String, String> {
    let mut previous = None;
    for (index, signed) in transcript.statements.iter().enumerate() {
        let admitted = fold
            .admit(signed.clone())
            .map_err(|refusal| format!("statement {index} of the file: {refusal}"))?;
        if !matches!(&admitted, Admitted::Extended(hashes) if hashes.len() == 1) {
            return Err(format!(
                "statement {index} of the file: expected the next one of its feed, got one out of order or twice"
            ));
        }
        let verified = signed
            .clone()
            .verify(fold.roster())
            .map_err(|e| e.to_string())?;
        let position = (verified.author(), verified.seq());
        if previous.is_some_and(|previous| previous >= position) {
            return Err(format!(
                "statement {index} of the file: expected the order of author and number"
            ));
        }
        previous = Some(position);
    }
    Ok(format!(
        "{} statements: form, signatures, order, chain and feed rules hold",
        transcript.statements.len()
    ))
}

/// Every feed head that the file or a statement names must be there.
fn feeds(transcript: &Transcript, fold: &Fold) -> Result<String, String> {
    if fold.heads() != transcript.heads {
        return Err(
            "the feeds do not end where the transcript says: statements are missing or too many"
                .to_owned(),
        );
    }
    let mut named = 0;
    for statement in fold.statements() {
        let heads = match statement.body() {
            Body::StudyProposed { manifest } => &manifest.feeds,
            Body::PartialDecryption { feeds, .. } | Body::ResultReleased { feeds, .. } => feeds,
            _ => continue,
        };
        for head in heads {
            named += 1;
            if fold.knows(head) != Knowledge::Known {
                return Err(format!(
                    "party {}'s statement {} refers to statement {} of party {}, which is not in the transcript",
                    statement.author(),
                    statement.seq(),
                    head.seq,
                    head.party
                ));
            }
        }
    }
    Ok(format!(
        "{} feeds, {named} references into them found",
        fold.heads().len()
    ))
}

fn equivocations(transcript: &Transcript) -> Result<String, String> {
    let mut named = Vec::new();
    for proof in &transcript.equivocations {
        let (party, seq) = proof
            .verify(&transcript.roster)
            .ok_or("a proof of equivocation does not hold")?;
        named.push(format!(
            "party {party} signed two statements under number {seq}"
        ));
    }
    Ok(if named.is_empty() {
        "none".to_owned()
    } else {
        named.join("; ")
    })
}

fn roster_signed(fold: &Fold) -> Result<String, String> {
    let roster = fold.roster();
    let missing: Vec<String> = roster
        .members()
        .iter()
        .filter(|m| !fold.facts().roster_signed.contains_key(&m.party))
        .map(|m| m.party.to_string())
        .collect();
    if missing.is_empty() {
        Ok(format!(
            "all {} parties signed roster {}",
            roster.parties(),
            short(&roster.digest())
        ))
    } else {
        Err(format!(
            "expected the signatures of all parties under the roster, missing: {}",
            missing.join(", ")
        ))
    }
}

/// Every partial decryption must belong to a proposed study whose files are in the transcript.
fn every_opening_is_covered(transcript: &Transcript, fold: &Fold) -> Result<String, String> {
    let opened = fold
        .facts()
        .studies
        .iter()
        .filter(|(_, facts)| !facts.partials.is_empty());
    let mut count = 0;
    for (id, facts) in opened {
        count += 1;
        if facts.proposal.is_none() || transcript.files(id).is_none() {
            return Err(format!(
                "blocks of study {id} were decrypted, but the transcript does not contain the study"
            ));
        }
    }
    Ok(format!(
        "{count} studies with partial decryptions, each checked below"
    ))
}

/// The blocks opened under each key must stay within its budget.
fn within_budget(fold: &Fold, opening: &dyn Recombine) -> Result<String, String> {
    let limit = opening.opening_limit(fold.roster())?;
    let certificates = fold.facts().certificates.keys();
    let opened = certificates
        .map(|c| study::opened_blocks(fold, c, None))
        .max();
    let opened = opened.unwrap_or(0);
    if opened > limit {
        return Err(format!(
            "expected at most {limit} blocks opened under a key, got {opened}"
        ));
    }
    Ok(format!("{opened} of {limit} blocks opened"))
}

#[cfg(test)]
mod tests;
