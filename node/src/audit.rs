//! The audit of a transcript: what the protocol proves from the file, and that the opened blocks mean what the
//! manifest's program says.

use organtwin_protocol::fold::Fold;
use organtwin_protocol::transcript::Transcript;
use organtwin_protocol::verify::{self, AuditedStudy, Outcome, Report};
use organtwin_simulations::{StudyResult, render};
use organtwin_threshold::Committee;
use serde::Serialize;

use crate::planning::Circumstances;

pub mod bundle;
mod program;
pub mod replay;

/// What an auditor gets.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Whether every check passed.
    pub passed: bool,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// What became of the studies that the transcript is about.
    pub studies: Vec<StudyAudit>,
    /// The recombined result, where the transcript is about one study that was opened.
    pub result: Option<StudyResult>,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// What was found.
    pub detail: String,
    /// The statement that a failed check is about, where it is about one.
    pub statement: Option<StatementRef>,
}

impl Check {
    /// A line of this module's own checks.
    fn of(name: String, verdict: Result<String, String>) -> Self {
        Self {
            name,
            passed: verdict.is_ok(),
            detail: verdict.unwrap_or_else(|why| why),
            statement: None,
        }
    }
}

/// A statement in a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementRef {
    /// Whose feed.
    pub party: u8,
    /// Its number there.
    pub number: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// One study of the transcript.
#[derive(Debug, Clone, Serialize)]
pub struct StudyAudit {
    /// The manifest's digest, hexadecimal.
    pub id: String,
    /// Title.
    pub title: String,
    /// `opened`, `not_opened` or `unproven`.
    pub outcome: &'static str,
    /// Why nothing was opened.
    pub reason: Option<String>,
    /// The opened 4-bit values.
    pub opened: Option<Vec<u8>>,
    /// The decoded result.
    pub result: Option<StudyResult>,
    /// The same for people.
    #[serde(skip)]
    pub text: String,
}

/// Verifies a transcript file.
pub fn verify(bytes: &[u8]) -> Audit {
    match Transcript::decode(bytes) {
        Ok(transcript) => of_transcript(&transcript).0,
        Err(error) => audit(verify::unreadable(&error), None),
    }
}

/// Verifies a transcript that was read, and keeps the state that its statements yield.
pub fn of_transcript(transcript: &Transcript) -> (Audit, Fold) {
    let (report, fold) = verify::verify_keeping(transcript);
    (audit(report, Some(transcript)), fold)
}

fn audit(report: Report, transcript: Option<&Transcript>) -> Audit {
    let mut checks: Vec<Check> = (report.checks.into_iter())
        .map(|check| Check {
            name: check.name,
            passed: check.passed,
            detail: check.detail,
            statement: check.statement.map(|head| StatementRef {
                party: head.party.get(),
                number: head.seq,
                hash: head.hash.to_string(),
            }),
        })
        .collect();
    let mut studies = Vec::new();
    if let Some(transcript) = transcript {
        let committee = transcript.roster.committee();
        match Circumstances::of_key(transcript.roster.parameters(), committee, 0.0, 1) {
            Ok(circumstances) => {
                studies.extend(
                    report
                        .studies
                        .iter()
                        .map(|study| decoded(study, committee, &circumstances, &mut checks)),
                );
            }
            Err(error) => checks.push(Check::of("parameters".into(), Err(error.to_string()))),
        }
    }
    let passed = !checks.is_empty() && checks.iter().all(|check| check.passed);
    let result = match studies.as_slice() {
        [only] => only.result.clone(),
        _ => None,
    };
    Audit {
        passed,
        checks,
        studies,
        result,
    }
}

/// Checks what the protocol cannot know: that the scenario compiles to the schema, program and facts of the manifest,
/// that the program closes small cells, and that the opened blocks are a possible result of it.
fn decoded(
    study: &AuditedStudy,
    committee: &Committee,
    circumstances: &Circumstances,
    checks: &mut Vec<Check>,
) -> StudyAudit {
    let id = study.id.to_string();
    let name = |what: &str| format!("study {}: {what}", id.get(..12).unwrap_or(&id));
    let mut audit = StudyAudit {
        id: id.clone(),
        title: study.manifest.title.clone(),
        outcome: "unproven",
        reason: None,
        opened: None,
        result: None,
        text: String::new(),
    };
    let Some(plan) = program::check(&study.manifest, committee, circumstances, &name, checks)
    else {
        return audit;
    };
    match &study.outcome {
        Outcome::Opened(values) => {
            audit.outcome = "opened";
            audit.opened = Some(values.clone());
            match StudyResult::decode(&plan, values) {
                Ok(result) => {
                    let open = result.rows.iter().filter(|row| !row.suppressed).count();
                    let detail = format!(
                        "{open} of {} rows are open, the others suppressed",
                        result.rows.len()
                    );
                    checks.push(Check::of(name("numbers"), Ok(detail)));
                    audit.text = format!("{}\n{}", render::table(&result), render::chart(&result));
                    audit.result = Some(result);
                }
                Err(error) => checks.push(Check::of(name("numbers"), Err(error.to_string()))),
            }
        }
        Outcome::NotOpened(reason) => {
            audit.outcome = "not_opened";
            audit.reason = Some(reason.clone());
            audit.text = format!("not opened: {reason}");
        }
        Outcome::Unproven => {}
    }
    audit
}
