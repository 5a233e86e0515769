//! The hospitals of a demo: real node processes, spoken to through the same commands that an operator types.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::hospital::{CeremonyStatus, NodeStatus, StudyView};

/// How long a node may take to end.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// How long a node may take to listen, the nodes to find each other, and so on; a demo never waits forever.
const START_WAIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);

/// One hospital's process and directory.
pub(super) struct Hospital {
    /// Party number.
    pub party: u8,
    /// Name.
    pub name: String,
    /// Its directory.
    pub dir: PathBuf,
    process: Option<Child>,
    peak_memory_mib: u64,
}

impl Hospital {
    fn new(party: u8, name: &str, dir: PathBuf) -> Self {
        Self {
            party,
            name: name.to_owned(),
            dir,
            process: None,
            peak_memory_mib: 0,
        }
    }

    /// Whether an earlier run has left a share of a key, certified or not.
    pub(super) fn has_share(&self) -> bool {
        std::fs::read_dir(self.dir.join("key")).is_ok_and(|mut files| files.next().is_some())
    }

    /// Whether the demo has started this hospital's process and not killed it.
    pub(super) fn alive(&self) -> bool {
        self.process.is_some()
    }

    /// Runs `organtwin ARGS.. --dir DIR --json` and reads its answer.
    pub(super) fn command<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T> {
        let mut command = organtwin()?;
        command
            .args(args)
            .arg("--dir")
            .arg(&self.dir)
            .arg("--json")
            .stdin(Stdio::null());
        let output = command.output().context("starting the organtwin command")?;
        let shown = args.join(" ");
        ensure!(
            output.status.success(),
            "hospital {}: `organtwin {shown}` failed ({}): {}",
            self.party,
            output.status,
            said_of_failure(&output)
        );
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "hospital {}: the answer of `organtwin {shown}` was not understood",
                self.party
            )
        })
    }

    /// The node's status.
    pub(super) fn status(&self) -> Result<NodeStatus> {
        self.command(&["status"])
    }

    /// The node's view of a study.
    pub(super) fn study(&self, id: &str) -> Result<StudyView> {
        self.command(&["study", "show", id])
    }

    fn start(&mut self) -> Result<()> {
        let log = self.dir.join("node.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("opening {}", log.display()))?;
        // What an earlier process left would be taken for this one's.
        let runtime = self.dir.join("node.json");
        if runtime.exists() {
            std::fs::remove_file(&runtime)
                .with_context(|| format!("removing {}", runtime.display()))?;
        }
        let child = organtwin()?
            .args(["run", "--until-stdin-closes", "--dir"])
            .arg(&self.dir)
            // The node ends when this end of the pipe does, so none outlives a demo that is killed.
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("starting a node")?;
        self.process = Some(child);
        Ok(())
    }

    fn wait_until_up(&mut self) -> Result<NodeStatus> {
        let deadline = Instant::now() + START_WAIT;
        loop {
            self.check_running()?;
            if self.dir.join("node.json").exists()
                && let Ok(status) = self.status()
            {
                return Ok(status);
            }
            ensure!(
                Instant::now() < deadline,
                "hospital {} does not answer; see {}",
                self.party,
                self.log()
            );
            std::thread::sleep(POLL);
        }
    }

    fn log(&self) -> String {
        self.dir.join("node.log").display().to_string()
    }

    fn check_running(&mut self) -> Result<()> {
        super::interrupt::check()?;
        if let Some(process) = &mut self.process
            && let Some(status) = process.try_wait()?
        {
            self.process = None;
            let log = std::fs::read_to_string(self.dir.join("node.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            bail!(
                "hospital {} ended by itself ({status}); its log ends with:\n{}",
                self.party,
                last.join("\n")
            );
        }
        Ok(())
    }

    /// Ends the process without a warning, as a power cut would.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.note_memory(process.id());
            // Both fail only if the process has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Notes the peak memory of the process while it still lives.
    pub(super) fn measure(&mut self) {
        if let Some(process) = &self.process {
            self.note_memory(process.id());
        }
    }

    fn note_memory(&mut self, pid: u32) {
        if let Some(peak) = crate::memory::peak_mib(Some(pid)) {
            self.peak_memory_mib = self.peak_memory_mib.max(peak);
        }
    }

    /// The largest resident memory seen, MiB.
    pub(super) fn peak_memory_mib(&self) -> u64 {
        self.peak_memory_mib
    }
}

impl Drop for Hospital {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // The node writes what it has and ends when its standard input does.
            drop(process.stdin.take());
            let deadline = Instant::now() + STOP_WAIT;
            while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.kill();
    }
}

/// What a failed command said: its object on standard output, or else its words on standard error.
fn said_of_failure(output: &std::process::Output) -> String {
    let object: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let message = object
        .as_ref()
        .and_then(|object| object.get("message")?.as_str());
    match message {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
}

/// All hospitals. Dropping it ends every process that was started.
pub(super) struct Hospitals(pub Vec<Hospital>);

impl Hospitals {
    /// Makes the hospitals' directories, or takes those that an earlier demo left in `root`.
    pub(super) fn prepare(root: &Path, consortium: &super::scenario::Consortium) -> Result<Self> {
        let hospitals: Vec<Hospital> = (1u8..)
            .zip(&consortium.hospitals)
            .map(|(party, name)| Hospital::new(party, name, root.join(format!("hospital-{party}"))))
            .collect();
        let made = hospitals
            .iter()
            .filter(|hospital| hospital.dir.join("roster.cbor").exists())
            .count();
        if made == hospitals.len() {
            return Ok(Self(hospitals));
        }
        ensure!(
            hospitals.iter().all(|hospital| !hospital.dir.exists()),
            "{} holds the beginning of another demo; give another --dir or remove it",
            root.display()
        );
        let mut invitations = Vec::new();
        for hospital in &hospitals {
            std::fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
            let _: Value = hospital.command(&["init", "--name", &hospital.name, "--key-file"])?;
            let file = root.join(format!("invitation-{}.json", hospital.party));
            let _: Value =
                hospital.command(&["roster", "invite", "--output", path_text(&file)?])?;
            invitations.push(path_text(&file)?.to_owned());
        }
        let threshold = consortium.threshold.to_string();
        for hospital in &hospitals {
            let mut args = vec![
                "roster",
                "create",
                "--consortium",
                &consortium.name,
                "--threshold",
                &threshold,
            ];
            if consortium.allow_passive {
                args.push("--allow-passive");
            }
            args.extend(invitations.iter().map(String::as_str));
            let _: Value = hospital.command(&args)?;
        }
        Ok(Self(hospitals))
    }

    /// Starts every node, tells each where the others listen, and waits until all are connected.
    pub(super) fn start(&mut self) -> Result<Vec<NodeStatus>> {
        for hospital in &mut self.0 {
            hospital.start()?;
        }
        let mut addresses = Vec::new();
        for hospital in &mut self.0 {
            let status = hospital.wait_until_up()?;
            let address = status.listen.first().cloned();
            addresses.push((
                hospital.party,
                address.with_context(|| format!("hospital {} listens nowhere", hospital.party))?,
            ));
        }
        for hospital in &self.0 {
            for (party, address) in addresses
                .iter()
                .filter(|(party, _)| *party > hospital.party)
            {
                let _: Value =
                    hospital.command(&["roster", "locate", &party.to_string(), address])?;
            }
        }
        self.wait("the hospitals to connect", START_WAIT, |hospital| {
            let status = hospital.status()?;
            Ok(status
                .peers
                .iter()
                .all(|peer| peer.connected)
                .then_some(status))
        })
    }

    /// Signs the roster at every hospital and waits until every node holds all signatures.
    pub(super) fn sign_roster(&mut self) -> Result<()> {
        for hospital in &self.0 {
            let _: Value = hospital.command(&["roster", "sign"])?;
        }
        let all = self.0.len();
        self.wait("every signature under the roster", START_WAIT, |hospital| {
            Ok((hospital.status()?.roster_signed_by.len() == all).then_some(()))
        })?;
        Ok(())
    }

    /// Polls every living hospital until `ready` gives a value for each, and returns the values in party order.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Hospital) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let deadline = Instant::now() + limit;
        let mut values = Vec::new();
        for hospital in &mut self.0 {
            if !hospital.alive() {
                continue;
            }
            loop {
                hospital.check_running()?;
                if let Some(value) = ready(hospital)? {
                    values.push(value);
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "waited {} s for {what}; hospital {} is not there yet, see {}",
                    limit.as_secs(),
                    hospital.party,
                    hospital.log()
                );
                std::thread::sleep(POLL);
            }
        }
        Ok(values)
    }

    /// The living hospitals.
    pub(super) fn living(&self) -> impl Iterator<Item = &Hospital> {
        self.0.iter().filter(|hospital| hospital.alive())
    }

    /// Fails with the log's end if a process has ended that the demo did not kill.
    pub(super) fn check(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(Hospital::check_running)
    }

    /// Where every living hospital's ceremony stands.
    pub(super) fn ceremonies(&self) -> Result<Vec<CeremonyStatus>> {
        self.living()
            .map(|hospital| hospital.command(&["ceremony", "status"]))
            .collect()
    }
}

/// The running program itself, to be started again as another process.
pub(super) fn organtwin() -> Result<Command> {
    let program = std::env::current_exe().context("finding the organtwin program itself")?;
    Ok(Command::new(program))
}

/// A path as an argument of a command.
pub(super) fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| {
        format!(
            "{} is not valid UTF-8; choose another --dir",
            path.display()
        )
    })
}
