//! A consortium that changes: refresh, a hospital joins, one leaves, one comes back with new keys; then a study that
//! was proposed before all of it is opened. Real processes and parameters, the commands that operators type.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::common::{Finished, finish, organtwin, scenarios, text};
use super::{alone, with_key};

const PATIENCE: Duration = Duration::from_secs(600);

struct Hospital {
    party: u8,
    dir: PathBuf,
    process: Option<Child>,
}

impl Hospital {
    fn new(party: u8, dir: PathBuf) -> Self {
        Self {
            party,
            dir,
            process: None,
        }
    }

    fn try_command(&self, arguments: &[&str]) -> Finished {
        let mut command = organtwin();
        command.args(arguments).arg("--dir").arg(&self.dir);
        finish(command.arg("--json").output().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Value {
        let finished = self.try_command(arguments);
        assert_eq!(
            finished.code, 0,
            "party {} {arguments:?}: {}\n{}",
            self.party, finished.stdout, finished.stderr
        );
        finished.json()
    }

    fn start(&mut self) {
        let _ = std::fs::remove_file(self.dir.join("node.json"));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("node.log"))
            .unwrap();
        let mut command = organtwin();
        command.args(["run", "--until-stdin-closes", "--dir"]);
        command.arg(&self.dir).stdin(Stdio::piped());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        self.until("it to answer", |hospital| {
            hospital.dir.join("node.json").exists() && hospital.try_command(&["status"]).code == 0
        });
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn until(&self, what: &str, ready: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !ready(self) {
            let log = || std::fs::read_to_string(self.dir.join("node.log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "party {} waited for {what}\n{}\n{}",
                self.party,
                self.try_command(&["epoch", "status"]).stdout,
                log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn address(&self) -> String {
        let status = self.command(&["status"]);
        status["listen"][0].as_str().unwrap().to_owned()
    }

    fn invitation(&self) -> PathBuf {
        let file = self.dir.join("invitation.json");
        if !file.exists() {
            self.command(&["roster", "invite", "--output", text(&file)]);
        }
        file
    }

    fn shares(&self) -> usize {
        let sessions = std::fs::read_dir(self.dir.join("key")).unwrap().flatten();
        sessions
            .filter(|session| session.path().join("share.sealed").exists())
            .count()
    }

    fn reaches(&self, epoch: u64, members: &[u64]) {
        self.until(&format!("epoch {epoch}"), |hospital| {
            let status = hospital.command(&["epoch", "status"]);
            assert_ne!(status["phase"], "aborted", "{status}");
            let here: Vec<u64> = status["members"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_u64)
                .collect();
            status["epoch"] == epoch && status["phase"] == "done" && here == members
        });
    }
}

impl Drop for Hospital {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A new hospital directory of a consortium that exists.
fn newcomer(root: &Path, name: &str, party: u8, roster: &Path) -> Hospital {
    let mut hospital = Hospital::new(party, root.join(name));
    hospital.command(&["init", "--name", name, "--key-file"]);
    hospital.invitation();
    let party = party.to_string();
    hospital.command(&["roster", "join", text(roster), "--party", &party]);
    hospital.start();
    hospital
}

/// Tells a hospital where the others listen.
fn locate(hospital: &Hospital, others: &[&Hospital]) {
    for other in others {
        let party = other.party.to_string();
        hospital.command(&["roster", "locate", &party, &other.address()]);
    }
}

const STUDY: &str = r#"
title = "Vancomycin exposure at one dose"
question = "How many patients are below or above 500 mg*h/L?"
quorum = 3

[study]
model = "vancomycin-goti-2018"
arms = [1500.0]
cuts = [500.0]
k = 3
"#;

#[test]
fn a_study_proposed_before_the_consortium_changed_is_opened_after_it() {
    let _alone = alone();
    let root = with_key();
    let mut all: Vec<Hospital> = (1..=4)
        .map(|party| Hospital::new(party, root.path().join(format!("hospital-{party}"))))
        .collect();
    all.iter_mut().for_each(Hospital::start);
    for (index, hospital) in all.iter().enumerate() {
        locate(hospital, &all[index + 1..].iter().collect::<Vec<_>>());
    }
    let patients = scenarios().join("data/synthea");
    for hospital in &all {
        hospital.command(&[
            "twin",
            "ingest",
            "--limit",
            "6",
            text(&patients.join(format!("hospital-{}", hospital.party))),
        ]);
    }
    all[0].until("24 eligible twins", |hospital| {
        hospital.command(&["status"])["twins_eligible"] == 24
    });
    let file = root.path().join("study.toml");
    std::fs::write(&file, STUDY).unwrap();
    let proposed = all[0].command(&["study", "propose", text(&file)]);
    let study = proposed["study"].as_str().unwrap().to_owned();

    // Refresh: everybody agrees, everybody has a new share and no old one.
    for hospital in &all {
        hospital.command(&["epoch", "refresh"]);
    }
    for hospital in &all {
        hospital.reaches(1, &[1, 2, 3, 4]);
        assert_eq!(hospital.shares(), 1);
    }

    // A fifth hospital joins: n - t members agree, then it can connect, and agrees too.
    let roster = all[0].dir.join("roster.cbor");
    let fifth = newcomer(root.path(), "hospital-5", 5, &roster);
    let invitation = fifth.invitation();
    let invitation = text(&invitation);
    let begin = Instant::now();
    for hospital in &all {
        hospital.command(&["epoch", "add", "--invitation", invitation]);
    }
    locate(&fifth, &all.iter().collect::<Vec<_>>());
    fifth.until("the proposed change", |hospital| {
        let status = hospital.command(&["epoch", "status"]);
        status["open"][0]["approved_by"]
            .as_array()
            .is_some_and(|by| by.len() >= 3)
    });
    fifth.command(&["epoch", "add", "--invitation", invitation]);
    all.push(fifth);
    for hospital in &all {
        hospital.reaches(2, &[1, 2, 3, 4, 5]);
        assert_eq!(hospital.shares(), 1);
        let seconds = hospital.command(&["epoch", "status"])["seconds"].clone();
        println!(
            "party {}: resharing n=4 to n=5 took {seconds} s",
            hospital.party
        );
    }
    println!(
        "from the first command: {:.1} s",
        begin.elapsed().as_secs_f64()
    );

    // Started again, a node still has what it needs.
    all[3].kill();
    all[3].start();
    let others: Vec<&Hospital> = [0, 1, 2, 4].map(|index| &all[index]).to_vec();
    locate(&all[3], &others);
    all[3].reaches(2, &[1, 2, 3, 4, 5]);

    // Party 2 leaves, whether it agrees or not.
    let left = all.remove(1);
    for hospital in &all {
        hospital.command(&["epoch", "remove", "2"]);
    }
    for hospital in &all {
        hospital.reaches(3, &[1, 3, 4, 5]);
        assert_eq!(hospital.shares(), 1);
    }
    left.until("its share to be erased", |hospital| hospital.shares() == 0);
    drop(left);

    // Party 3 loses everything and comes back under its number.
    drop(all.remove(1));
    let again = newcomer(root.path(), "hospital-3-again", 3, &roster);
    let invitation = again.invitation();
    let command = ["epoch", "recover", "3", "--invitation", text(&invitation)];
    for hospital in &all {
        hospital.command(&command);
    }
    locate(&again, &all.iter().collect::<Vec<_>>());
    again.until("the proposed change", |hospital| {
        let status = hospital.command(&["epoch", "status"]);
        status["open"][0]["approved_by"]
            .as_array()
            .is_some_and(|by| by.len() >= 3)
    });
    again.command(&command);
    all.insert(1, again);
    for hospital in &all {
        hospital.reaches(4, &[1, 3, 4, 5]);
        assert_eq!(hospital.shares(), 1);
    }

    // The study is approved by who is a member now and opened with the newest shares.
    for hospital in &all {
        let deadline = Instant::now() + PATIENCE;
        while hospital.try_command(&["study", "approve", &study]).code != 0 {
            assert!(Instant::now() < deadline, "party {}", hospital.party);
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    let result = all[1].command(&["study", "result", &study, "--wait"]);
    assert_eq!(result["study"]["phase"], "released", "{result}");
    let transcript = root.path().join("changed.transcript");
    all[2].command(&["audit", "export", &study, "--output", text(&transcript)]);
    let checked = finish(
        organtwin()
            .args(["audit", "verify", "--json", text(&transcript)])
            .output()
            .unwrap(),
    );
    assert_eq!(checked.code, 0, "{}", checked.stdout);
}
