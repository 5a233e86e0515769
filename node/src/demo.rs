//! A whole consortium of real node processes on this machine, from nothing to an audited result.
//!
//! The demo holds no share and takes no part in the protocol: it types what seven operators would type. Only the
//! comparison with the clear evaluation at the end needs more than an operator has, namely all patients' data.

mod clear;
mod consortium;
mod interrupt;
mod progress;
mod report;
mod scenario;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use self::consortium::{Hospitals, organtwin, path_text};
use self::progress::Progress;
use self::report::{Audit, Ceremony, Opening, Report, Study};
use self::scenario::{HospitalFiles, Outcome, Scenario, hospital_files};
use crate::hospital::{CeremonyStatus, Forecast, ResultView, StudyView, TwinsView};

/// Bounds of the long steps; a demo never waits forever.
const CEREMONY_WAIT: Duration = Duration::from_secs(30 * 60);
const STUDY_WAIT: Duration = Duration::from_secs(60 * 60);
const KEY_WAIT: Duration = Duration::from_secs(20);
const SPREAD_WAIT: Duration = Duration::from_secs(300);
/// Asking is four processes a time, on cores that have better things to do.
const POLL: Duration = Duration::from_secs(1);

/// `organtwin demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// A scenario by name (vancomycin, small-cohort, hospital-killed, two-rejections, three-hospitals,
    /// external-validation) or a file.
    #[arg(long, value_name = "FILE|NAME")]
    pub scenario: Option<String>,
    /// Where the hospitals' directories are kept; a second run with the same directory reuses the key. Without it a
    /// temporary directory is used and removed.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Ends after the key ceremony, so that the directory can be copied and used again.
    #[arg(long, requires = "dir")]
    pub ceremony_only: bool,
    /// Prints one JSON object instead of the report for people.
    #[arg(long)]
    pub json: bool,
}

/// A scenario that cannot work: found before anything starts.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(String);

/// Runs a demo. Success only if everything held that the scenario expects.
pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    let read = Scenario::read(args.scenario.as_deref());
    let (scenario, base) = read.map_err(|error| ScenarioError(format!("{error:#}")))?;
    let mut temporary = None;
    let root = match &args.dir {
        Some(dir) => dir.clone(),
        None => temporary.insert(TemporaryDir::new()?).0.clone(),
    };
    interrupt::listen()?;
    std::fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    let root = root
        .canonicalize()
        .with_context(|| format!("finding {}", root.display()))?;
    let mut demo = Demo {
        say: Progress::new(args.json),
        scenario,
        base,
        root,
    };
    let report = demo.run(args.ceremony_only)?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", report.text());
    }
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

struct Demo {
    say: Progress,
    scenario: Scenario,
    base: PathBuf,
    root: PathBuf,
}

impl Demo {
    fn run(&mut self, ceremony_only: bool) -> Result<Report> {
        let mut report = Report::new(&self.scenario);
        let mut hospitals = Hospitals::prepare(&self.root, &self.scenario.consortium)?;
        self.say.step(&format!(
            "Starting {} hospitals as processes of their own",
            hospitals.0.len()
        ));
        hospitals.start()?;
        hospitals.sign_roster()?;
        self.say
            .done("connected; every hospital has signed the roster");

        report.ceremony = Some(self.ceremony(&mut hospitals)?);
        if ceremony_only {
            report.finish_ceremony_only(&mut hospitals);
            return Ok(report);
        }
        let files = self.files(hospitals.0.len())?;
        report.twins = self.twins(&mut hospitals, &files)?;
        let (id, forecast) = self.propose(&mut hospitals)?;
        self.vote(&mut hospitals, &id)?;
        let views = self.follow(&mut hospitals, &id)?;
        report.study = Some(Study::new(&views, &forecast));
        if report.outcome() == Outcome::Opened {
            let (study, text) = self.result(&mut hospitals, &id, &files)?;
            report.study = Some(Study::new(&views, &forecast).with_result(study));
            report.text = text;
            report.opening = Some(Opening::new(&views, self.scenario.needed_to_open()));
            report.audit = Some(self.audit(&hospitals, &id, report.result())?);
        }
        for hospital in &mut hospitals.0 {
            hospital.measure();
            report
                .peak_memory_mib
                .insert(hospital.name.clone(), hospital.peak_memory_mib());
        }
        report.check_expectations(&self.scenario.expect);
        Ok(report)
    }

    fn ceremony(&self, hospitals: &mut Hospitals) -> Result<Ceremony> {
        let holders = |hospitals: &Hospitals| -> Result<Vec<bool>> {
            hospitals
                .living()
                .map(|hospital| Ok(hospital.status()?.key.is_some()))
                .collect()
        };
        let mut reused = holders(hospitals)?;
        let deadline = Instant::now() + KEY_WAIT;
        // A node that has just been started may lack the last signatures under its own certificate.
        while hospitals.living().any(consortium::Hospital::has_share)
            && !reused.iter().all(|has_key| *has_key)
            && Instant::now() < deadline
        {
            std::thread::sleep(POLL);
            hospitals.check()?;
            reused = holders(hospitals)?;
        }
        if reused.iter().all(|has_key| *has_key) {
            self.say
                .step("The joint key of an earlier run is there already");
        } else {
            ensure!(
                !reused.iter().any(|has_key| *has_key),
                "only some hospitals hold a share of the joint key; give another --dir or remove {}",
                self.root.display()
            );
            self.say
                .step("Key ceremony: one key that nobody ever holds, only shares of it");
            for hospital in hospitals.living() {
                let _: CeremonyStatus = hospital.command(&["ceremony", "start"])?;
            }
            self.follow_ceremony(hospitals)?;
        }
        let statuses = hospitals.ceremonies()?;
        let certificates: Vec<&str> = statuses
            .iter()
            .filter_map(|status| status.certificate.as_deref())
            .collect();
        ensure!(
            certificates.len() == statuses.len()
                && certificates
                    .windows(2)
                    .all(|pair| pair.first() == pair.last()),
            "the hospitals do not hold the same key certificate"
        );
        let security = hospitals
            .living()
            .next()
            .and_then(|h| h.status().ok())
            .and_then(|s| s.key)
            .map(|k| k.security);
        let ceremony = Ceremony::new(
            &statuses,
            &self.scenario.consortium,
            security.unwrap_or_default(),
        );
        self.say.done(&format!(
            "certificate {} signed by all; {:.1} s, at most {} MB sent by one hospital",
            ceremony
                .certificate
                .get(..16)
                .unwrap_or(&ceremony.certificate),
            ceremony.seconds,
            ceremony.max_bytes_sent / 1_000_000
        ));
        Ok(ceremony)
    }

    fn follow_ceremony(&self, hospitals: &mut Hospitals) -> Result<()> {
        let bar = self.say.bar();
        let deadline = Instant::now() + CEREMONY_WAIT;
        loop {
            hospitals.check()?;
            let statuses = hospitals.ceremonies()?;
            if let Some(aborted) = statuses.iter().find(|status| status.phase == "aborted") {
                bail!(
                    "the ceremony was aborted: {}",
                    aborted.fault.as_deref().unwrap_or("no reason given")
                );
            }
            if statuses.iter().all(|status| status.phase == "done") {
                bar.finish_and_clear();
                return Ok(());
            }
            if let Some(slowest) = statuses.iter().find(|status| status.phase != "done") {
                bar.set_length(slowest.total.max(1));
                bar.set_position(slowest.done);
                bar.set_message(slowest.phase.clone());
            }
            ensure!(
                Instant::now() < deadline,
                "the ceremony takes longer than {} s",
                CEREMONY_WAIT.as_secs()
            );
            std::thread::sleep(POLL);
        }
    }

    fn files(&self, hospitals: usize) -> Result<Vec<HospitalFiles>> {
        (1..=hospitals)
            .map(|number| hospital_files(&self.scenario.cohort, &self.base, &self.root, number))
            .collect()
    }

    fn twins(&self, hospitals: &mut Hospitals, files: &[HospitalFiles]) -> Result<u32> {
        let organ = crate::planning::organ_of(&self.scenario.study.study)?;
        self.say.step(&format!(
            "Each hospital encrypts its own patients' {organ} twins and swaps them with its peers"
        ));
        let limit = self
            .scenario
            .limit_per_hospital()
            .map(|limit| limit.to_string());
        let windows: Vec<String> = self
            .scenario
            .cohort
            .windows
            .iter()
            .map(|(feature, days)| format!("{feature}={days}"))
            .collect();
        for (hospital, files) in hospitals.living().zip(files) {
            let held: TwinsView = hospital.command(&["twin", "list"])?;
            let own = held.own.iter().filter(|twin| twin.organ == organ).count();
            if own > 0 {
                self.say.note(&format!(
                    "{}: {} twins of an earlier run",
                    hospital.name, own
                ));
                continue;
            }
            let mut args = vec!["twin", "ingest", "--organ", organ.as_str()];
            args.extend(limit.iter().flat_map(|limit| ["--limit", limit.as_str()]));
            args.extend(
                windows
                    .iter()
                    .flat_map(|window| ["--window", window.as_str()]),
            );
            for path in &files.0 {
                args.push(path_text(path)?);
            }
            let report: IngestSummary = hospital.command(&args)?;
            self.say.note(&format!(
                "{}: {} patients in, {} refused, {} warnings, {} bytes a twin",
                hospital.name,
                report.accepted,
                report.refused,
                report.warnings,
                report.bytes_per_twin
            ));
        }
        let own =
            |hospital: &consortium::Hospital| -> Result<u32> { Ok(hospital.status()?.twins_own) };
        let total: u32 = hospitals.living().map(own).sum::<Result<u32>>()?;
        hospitals.wait(
            "the twins to reach every hospital",
            SPREAD_WAIT,
            |hospital| Ok((hospital.status()?.twins_eligible == total).then_some(())),
        )?;
        self.say.done(&format!(
            "{total} encrypted twins are held by every hospital"
        ));
        Ok(total)
    }

    fn propose(&self, hospitals: &mut Hospitals) -> Result<(String, Forecast)> {
        let file = self.root.join("study.toml");
        let text = toml::to_string(&self.scenario.study).context("writing the study file")?;
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        let sponsor = hospitals.living().next().context("no hospital is alive")?;
        self.say.step(&format!(
            "{} plans and proposes the study: {}",
            sponsor.name, self.scenario.study.title
        ));
        let forecast: Forecast = sponsor.command(&["study", "plan", path_text(&file)?])?;
        self.say.note(&report::forecast_text(&forecast));
        let proposed: Proposed = sponsor.command(&["study", "propose", path_text(&file)?])?;
        let id = proposed.study;
        hospitals.wait(
            "the proposal to reach every hospital",
            SPREAD_WAIT,
            |hospital| {
                let studies: StudyList = hospital.command(&["study", "list"])?;
                Ok(studies
                    .studies
                    .iter()
                    .any(|study| study.id == id)
                    .then_some(()))
            },
        )?;
        self.say.done(&format!(
            "study {} stands before every hospital",
            id.get(..16).unwrap_or(&id)
        ));
        Ok((id, forecast))
    }

    fn vote(&self, hospitals: &mut Hospitals, id: &str) -> Result<()> {
        let votes = &self.scenario.votes;
        self.say.step(&format!(
            "The hospitals vote; {} approvals open the result",
            self.scenario.quorum()
        ));
        for hospital in hospitals.living() {
            if votes.reject.contains(&hospital.party) {
                let reason = votes
                    .reason
                    .as_deref()
                    .unwrap_or("rejected by the scenario");
                let _: Value = hospital.command(&["study", "reject", id, "--reason", reason])?;
            } else {
                // Where the others' rejections have closed the study already, an approval comes too late.
                if hospital.study(id)?.phase == "rejected" {
                    continue;
                }
                let _: Value = hospital.command(&["study", "approve", id])?;
            }
        }
        let rejected = votes.reject.len();
        self.say.done(&format!(
            "{} for, {rejected} against",
            hospitals.0.len() - rejected
        ));
        Ok(())
    }

    /// Follows the study to its end at every living hospital and injects the scenario's faults on the way.
    fn follow(&self, hospitals: &mut Hospitals, id: &str) -> Result<Vec<StudyView>> {
        self.say.step("Every shard is simulated on ciphertext by two hospitals; then a quorum opens the aggregate");
        let bar = self.say.bar();
        let deadline = Instant::now() + STUDY_WAIT;
        let mut last_words: Vec<StudyView> = Vec::new();
        let mut to_kill = self.scenario.faults.kill_after_evaluation.clone();
        loop {
            hospitals.check()?;
            let views = hospitals
                .living()
                .map(|hospital| hospital.study(id))
                .collect::<Result<Vec<StudyView>>>()?;
            for hospital in &mut hospitals.0 {
                hospital.measure();
            }
            if views.iter().all(|view| is_final(&view.phase)) {
                bar.finish_and_clear();
                last_words.extend(views);
                return Ok(last_words);
            }
            let evaluated = views
                .iter()
                .all(|view| view.shards_total > 0 && view.shards_done == view.shards_total);
            if evaluated && !to_kill.is_empty() {
                for party in to_kill.drain(..) {
                    let Some(hospital) = hospitals
                        .0
                        .iter_mut()
                        .find(|hospital| hospital.party == party)
                    else {
                        continue;
                    };
                    last_words.push(hospital.study(id)?);
                    hospital.kill();
                    self.say.note(&format!(
                        "{} is killed: every shard is evaluated, nothing is opened yet",
                        hospital.name
                    ));
                }
                continue;
            }
            if let Some(slowest) = views
                .iter()
                .min_by_key(|view| (is_final(&view.phase), view.shards_done))
            {
                bar.set_length(u64::from(slowest.shards_total.max(1)));
                bar.set_position(u64::from(slowest.shards_done));
                let eta = views
                    .iter()
                    .filter_map(|view| view.eta_seconds)
                    .fold(None, |max: Option<f64>, eta| {
                        Some(max.map_or(eta, |max| max.max(eta)))
                    });
                let eta = eta
                    .map(|eta| format!(", {eta:.0} s to go"))
                    .unwrap_or_default();
                bar.set_message(format!("{}{eta}", slowest.phase.replace('_', " ")));
            }
            ensure!(
                Instant::now() < deadline,
                "the study takes longer than {} s",
                STUDY_WAIT.as_secs()
            );
            std::thread::sleep(POLL);
        }
    }

    /// The result as every living hospital recombined it, beside the one in the clear.
    fn result(
        &self,
        hospitals: &mut Hospitals,
        id: &str,
        files: &[HospitalFiles],
    ) -> Result<(report::StudyResult, String)> {
        let results: Vec<ResultView> = hospitals
            .living()
            .map(|hospital| hospital.command(&["study", "result", id]))
            .collect::<Result<_>>()?;
        let first = results.first().context("no hospital is alive")?;
        ensure!(
            results
                .iter()
                .all(|result| result.opened == first.opened && result.result == first.result),
            "the hospitals recombined different results"
        );
        self.say.done(&format!(
            "opened, and recombined to the same numbers by {} hospitals",
            results.len()
        ));
        let clear = clear::evaluate(&self.scenario, files)?;
        let equal = clear.opened == first.opened && clear.result == first.result;
        Ok((
            report::StudyResult {
                equal_to_clear: equal,
                result: first.result.clone(),
                validation: first.validation.clone(),
            },
            first.text.clone(),
        ))
    }

    fn audit(&self, hospitals: &Hospitals, id: &str, result: Option<&Value>) -> Result<Audit> {
        self.say.step(
            "An auditor, given nothing but the transcript, verifies it in a process of its own",
        );
        let exporter = hospitals.living().next().context("no hospital is alive")?;
        // An earlier run in the same directory has left the transcript of another study.
        let file = self
            .root
            .join(format!("{}.transcript", id.get(..16).unwrap_or(id)));
        let _: Value = exporter.command(&["audit", "export", id, "--output", path_text(&file)?])?;
        let output = organtwin()?
            .args(["audit", "verify", path_text(&file)?, "--json"])
            .output()
            .context("starting the auditor's command")?;
        let verdict: Verdict = serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "the auditor's answer was not understood: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )
        })?;
        let same = verdict.result.as_ref() == result;
        let failed: Vec<&str> = verdict
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| check.name.as_str())
            .collect();
        if failed.is_empty() && same {
            self.say.done(&format!(
                "{} checks passed, the same numbers recombined",
                verdict.checks.len()
            ));
        } else {
            self.say
                .note(&format!("failed checks: {failed:?}; same numbers: {same}"));
        }
        Ok(Audit {
            passed: output.status.success() && verdict.passed && same,
            checks: verdict.checks.len(),
        })
    }
}

fn is_final(phase: &str) -> bool {
    matches!(phase, "released" | "rejected" | "expired" | "void")
}

#[derive(Deserialize)]
struct IngestSummary {
    accepted: u32,
    refused: u32,
    warnings: u32,
    bytes_per_twin: u64,
}

#[derive(Deserialize)]
struct Proposed {
    study: String,
}

#[derive(Deserialize)]
struct StudyList {
    studies: Vec<StudyView>,
}

#[derive(Deserialize)]
struct Verdict {
    passed: bool,
    checks: Vec<VerdictCheck>,
    result: Option<Value>,
}

#[derive(Deserialize)]
struct VerdictCheck {
    name: String,
    passed: bool,
}

/// A directory of the demo's own, removed when it ends.
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("organtwin-demo-{}", std::process::id()));
        std::fs::create_dir(&path)
            .with_context(|| format!("making {}; give --dir instead", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "the demo's directory was not removed");
    }
}
