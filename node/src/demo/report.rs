//! What a demo found, as one JSON object and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use organtwin_simulations::validation::Validation;
use serde::Serialize;
use serde_json::Value;

use super::consortium::Hospitals;
use super::scenario::{Consortium, Expect, Outcome, Scenario};
use crate::hospital::{CeremonyStatus, Forecast, StudyView};

/// `organtwin.demo/1`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    /// Whether everything held that the scenario expects.
    pub ok: bool,
    /// What did not hold, in words.
    pub failed: Vec<String>,
    /// `opened` or `not_opened`.
    outcome: Option<Outcome>,
    /// Why nothing was opened.
    reason: Option<String>,
    /// The key ceremony.
    pub ceremony: Option<Ceremony>,
    /// Twins in the study.
    pub twins: u32,
    /// The study.
    pub study: Option<Study>,
    /// The opening.
    pub opening: Option<Opening>,
    /// The audit.
    pub audit: Option<Audit>,
    /// Largest resident memory of each node, MiB.
    pub peak_memory_mib: BTreeMap<String, u64>,
    /// The result for people.
    #[serde(skip)]
    pub text: String,
    #[serde(skip)]
    title: String,
}

/// The key ceremony.
#[derive(Debug, Serialize)]
pub(super) struct Ceremony {
    /// From the first consent to the certificate, at the slowest hospital.
    pub seconds: f64,
    parties: usize,
    threshold: u8,
    /// Most bytes of group vectors that one hospital sent.
    pub max_bytes_sent: u64,
    /// Digest of the certificate, hexadecimal.
    pub certificate: String,
    /// `active` or `passive`, as the certificate says.
    security: String,
}

/// The study's work and outcome.
#[derive(Debug, Serialize)]
pub(super) struct Study {
    /// Bootstraps of all nodes, repeats included.
    bootstraps: u64,
    /// Wall time of the evaluation phase, first start to last end.
    seconds: f64,
    /// Bootstraps times the single-core time of one, over cores times wall time.
    efficiency: Option<f64>,
    seconds_per_bootstrap: f64,
    log2_failure: f64,
    equal_to_clear: Option<bool>,
    result: Option<Value>,
    /// What the result says of a risk model that was crossed with an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<Validation>,
    #[serde(skip)]
    phase: String,
    #[serde(skip)]
    reason: Option<String>,
    #[serde(skip)]
    twins: u32,
}

/// What the comparison with the clear evaluation gave.
pub(super) struct StudyResult {
    /// Whether every number is equal.
    pub equal_to_clear: bool,
    /// The opened result.
    pub result: Value,
    /// What it says of a risk model.
    pub validation: Option<Validation>,
}

/// The opening of the aggregate.
#[derive(Debug, Serialize)]
pub(super) struct Opening {
    blocks: u32,
    /// From the last node needed having squashed to the first recombination, fsync included.
    milliseconds: Option<f64>,
    /// The same per 16-bit number (four blocks of four bits).
    per_16_bit: Option<f64>,
    /// The part spent waiting for the disk.
    fsync_milliseconds: Option<f64>,
}

/// The auditor's verdict.
#[derive(Debug, Serialize)]
pub(super) struct Audit {
    /// Whether every check passed and the numbers are the released ones.
    pub passed: bool,
    /// Checks made.
    pub checks: usize,
}

impl Report {
    /// An empty report.
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            schema: "organtwin.demo/1",
            ok: false,
            failed: Vec::new(),
            outcome: None,
            reason: None,
            ceremony: None,
            twins: 0,
            study: None,
            opening: None,
            audit: None,
            peak_memory_mib: BTreeMap::new(),
            text: String::new(),
            title: scenario.study.title.clone(),
        }
    }

    /// How the study ended.
    pub(super) fn outcome(&self) -> Outcome {
        match &self.study {
            Some(study) if study.phase == "released" => Outcome::Opened,
            _ => Outcome::NotOpened,
        }
    }

    /// The opened result.
    pub(super) fn result(&self) -> Option<&Value> {
        self.study.as_ref().and_then(|study| study.result.as_ref())
    }

    /// Ends a run that only wanted a key.
    pub(super) fn finish_ceremony_only(&mut self, hospitals: &mut Hospitals) {
        self.ok = true;
        for hospital in &mut hospitals.0 {
            hospital.measure();
            self.peak_memory_mib
                .insert(hospital.name.clone(), hospital.peak_memory_mib());
        }
    }

    /// Compares with what the scenario expects, and with what every demo must hold.
    pub(super) fn check_expectations(&mut self, expect: &Expect) {
        let outcome = self.outcome();
        self.outcome = Some(outcome);
        let mut failed = Vec::new();
        let mut hold = |held: bool, what: String| {
            if !held {
                failed.push(what);
            }
        };
        hold(
            outcome == expect.outcome,
            format!("outcome: expected {:?}, got {outcome:?}", expect.outcome),
        );
        if let Some(study) = &self.study {
            self.reason.clone_from(&study.reason);
            if let Some(twins) = expect.twins {
                hold(
                    study.twins == twins,
                    format!("twins in the study: expected {twins}, got {}", study.twins),
                );
            }
            if outcome == Outcome::Opened {
                hold(
                    study.equal_to_clear == Some(expect.equal_to_clear.unwrap_or(true)),
                    format!(
                        "equal to the clear evaluation: got {:?}",
                        study.equal_to_clear
                    ),
                );
            }
            if let (Some(expected), Some(result)) = (&expect.suppressed, &study.result) {
                let got = suppressed_rows(result);
                hold(
                    &got == expected,
                    format!("suppressed rows: expected {expected:?}, got {got:?}"),
                );
            }
        }
        if let (Some(security), Some(ceremony)) = (&expect.security, &self.ceremony) {
            hold(
                &ceremony.security == security,
                format!(
                    "the certificate: expected {security}, got {}",
                    ceremony.security
                ),
            );
        }
        if outcome == Outcome::Opened {
            hold(
                self.audit.as_ref().is_some_and(|audit| audit.passed),
                "the audit of the exported transcript failed".into(),
            );
        }
        self.ok = failed.is_empty();
        self.failed = failed;
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}\n\n{}", self.title, self.text);
        if let Some(reason) = &self.reason {
            let _ = writeln!(text, "Not opened: {reason}");
        }
        if let Some(study) = &self.study {
            if let Some(equal) = study.equal_to_clear {
                let word = if equal {
                    "equal, number by number"
                } else {
                    "NOT EQUAL"
                };
                let _ = writeln!(text, "Encrypted against clear   {word}");
            }
            let _ = writeln!(
                text,
                "Evaluation                {} bootstraps in {:.1} s{}",
                study.bootstraps,
                study.seconds,
                study
                    .efficiency
                    .map(|part| format!(", {:.0} % of the machine", part * 100.0))
                    .unwrap_or_default()
            );
            let _ = writeln!(
                text,
                "Failure probability       2^{:.0} for the whole study",
                study.log2_failure
            );
        }
        if let Some(opening) = &self.opening
            && let (Some(whole), Some(each)) = (opening.milliseconds, opening.per_16_bit)
        {
            let _ = writeln!(
                text,
                "Opening                   {} blocks in {whole:.1} ms ({each:.2} ms per 16-bit number)",
                opening.blocks
            );
        }
        if let Some(audit) = &self.audit {
            let word = if audit.passed { "passed" } else { "FAILED" };
            let _ = writeln!(
                text,
                "Audit                     {word}, {} checks",
                audit.checks
            );
        }
        for (name, mib) in &self.peak_memory_mib {
            let _ = writeln!(text, "Peak memory               {name}: {mib} MiB");
        }
        for failure in &self.failed {
            let _ = writeln!(text, "FAILED: {failure}");
        }
        let _ = write!(
            text,
            "{}",
            if self.ok {
                "Everything held."
            } else {
                "The demo FAILED."
            }
        );
        text
    }
}

impl Ceremony {
    /// Gathers the hospitals' views.
    pub(super) fn new(
        statuses: &[CeremonyStatus],
        consortium: &Consortium,
        security: String,
    ) -> Self {
        Self {
            seconds: statuses
                .iter()
                .map(|status| status.seconds)
                .fold(0.0, f64::max),
            parties: consortium.hospitals.len(),
            threshold: consortium.threshold,
            max_bytes_sent: statuses
                .iter()
                .map(|status| status.bytes_sent)
                .max()
                .unwrap_or(0),
            certificate: statuses
                .first()
                .and_then(|status| status.certificate.clone())
                .unwrap_or_default(),
            security,
        }
    }
}

impl Study {
    /// Gathers the hospitals' views.
    pub(super) fn new(views: &[StudyView], forecast: &Forecast) -> Self {
        let bootstraps: u64 = views.iter().map(|view| view.bootstraps).sum();
        let started = views
            .iter()
            .filter_map(|view| view.evaluation_started_ms)
            .min();
        let ended = views
            .iter()
            .filter_map(|view| view.evaluation_ended_ms)
            .max();
        let seconds = match (started, ended) {
            (Some(started), Some(ended)) => ended.saturating_sub(started) as f64 / 1000.0,
            _ => 0.0,
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        let each = forecast.seconds_per_bootstrap;
        let efficiency = (seconds > 0.0).then(|| bootstraps as f64 * each / (cores * seconds));
        Self {
            bootstraps,
            seconds,
            efficiency,
            seconds_per_bootstrap: each,
            log2_failure: forecast.log2_failure,
            equal_to_clear: None,
            result: None,
            validation: None,
            phase: views
                .last()
                .map(|view| view.phase.clone())
                .unwrap_or_default(),
            reason: views.iter().find_map(|view| view.reason.clone()),
            twins: views.first().map_or(0, |view| view.twins),
        }
    }

    /// Adds the opened result.
    pub(super) fn with_result(mut self, result: StudyResult) -> Self {
        self.equal_to_clear = Some(result.equal_to_clear);
        self.result = Some(result.result);
        self.validation = result.validation;
        self
    }
}

impl Opening {
    /// Gathers the hospitals' clocks, which are one clock in a demo.
    ///
    /// `needed` nodes must have squashed before anything can be opened; the clock starts with the last of them.
    pub(super) fn new(views: &[StudyView], needed: usize) -> Self {
        let blocks = views.iter().map(|view| view.blocks).max().unwrap_or(0);
        let released: Vec<&StudyView> = views
            .iter()
            .filter(|view| view.phase == "released")
            .collect();
        let mut squashed: Vec<u64> = released
            .iter()
            .filter_map(|view| view.squashed_ms)
            .collect();
        squashed.sort_unstable();
        let squashed = squashed.get(needed - 1).copied();
        let recombined = released.iter().filter_map(|view| view.recombined_ms).min();
        let milliseconds = match (squashed, recombined) {
            (Some(squashed), Some(recombined)) => Some(recombined.saturating_sub(squashed) as f64),
            _ => None,
        };
        Self {
            blocks,
            milliseconds,
            per_16_bit: milliseconds.map(|whole| whole * 4.0 / f64::from(blocks.max(1))),
            fsync_milliseconds: released
                .iter()
                .filter_map(|view| view.fsync_ms)
                .reduce(f64::max),
        }
    }
}

/// The forecast card.
pub(super) fn forecast_text(forecast: &Forecast) -> String {
    let mut text = format!(
        "forecast: {} twins in {} shards; {} bootstraps a patient, {} by all nodes; {:.0} s; failure 2^{:.0}; {:.1} MB \
         to each peer; error at most {:.3} {}; {} blocks to open",
        forecast.twins,
        forecast.shards,
        forecast.bootstraps_per_patient,
        forecast.bootstraps_all_nodes,
        forecast.seconds,
        forecast.log2_failure,
        forecast.bytes_per_peer as f64 / 1e6,
        forecast.error,
        forecast.error_unit,
        forecast.blocks
    );
    for note in &forecast.notes {
        text.push('\n');
        text.push_str(note);
    }
    text
}

/// The rows that stayed closed: an arm by its dose, or `histogram`.
fn suppressed_rows(result: &Value) -> Vec<String> {
    let rows = result
        .get("rows")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    rows.filter(|row| row.get("suppressed").and_then(Value::as_bool) == Some(true))
        .filter_map(|row| match row.get("kind").and_then(Value::as_str) {
            Some("arm") => row
                .get("arm")
                .and_then(Value::as_f64)
                .map(|dose| dose.to_string()),
            kind => kind.map(ToOwned::to_owned),
        })
        .collect()
}
