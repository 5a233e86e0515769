//! Real processes at real parameters: killed at random moments of ceremony, ingest, study and opening, cut off from
//! each other, started again. Everything completes or is cleanly redone, and every transcript passes the audit.
//!
//! `ORGANTWIN_KILL_SEED` repeats a run's random moments, `ORGANTWIN_KILL_ROUNDS` runs more studies with kills.

#[path = "../common/mod.rs"]
mod common;
mod hospital;
mod namespaces;
mod relay;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{scenarios, text};
use hospital::{Hospital, LONGEST};
use organtwin_protocol::digest::Digest;
use organtwin_protocol::transcript::Transcript;
use organtwin_threshold::PartyId;
use relay::{Line, Relay};

/// A seeded generator (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn someone(&mut self) -> usize {
        usize::try_from(self.below(4)).unwrap()
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Four hospitals whose lines pass through relays.
struct Consortium {
    hospitals: Vec<Hospital>,
    /// One line for every pair, from the lower number, which calls, to the higher.
    lines: BTreeMap<(u8, u8), Relay>,
    began: Instant,
}

impl Consortium {
    fn new(root: &Path) -> Self {
        let hospitals = prepare(root);
        let pairs = (1..=4).flat_map(|a| (a + 1..=4).map(move |b| (a, b)));
        let mut consortium = Self {
            hospitals,
            lines: pairs.map(|pair| (pair, Relay::start())).collect(),
            began: Instant::now(),
        };
        for number in 0..4 {
            consortium.start(number);
        }
        for ((from, to), relay) in &consortium.lines {
            let hospital = &consortium.hospitals[usize::from(from - 1)];
            hospital.command(&["roster", "locate", &to.to_string(), &relay.multiaddress()]);
        }
        consortium
    }

    fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    fn start(&mut self, number: usize) {
        let address = self.hospitals[number].start();
        let party = self.hospitals[number].party;
        for ((_, to), relay) in &self.lines {
            if *to == party {
                relay.lead_to(address);
            }
        }
    }

    fn kill_and_start(&mut self, number: usize, during: &str) {
        self.hospitals[number].kill();
        self.say(&format!("hospital {} killed during {during}", number + 1));
        self.start(number);
    }

    /// Opens, stalls or cuts every line between parties 1, 2 and parties 3, 4.
    fn between_halves(&self, line: Line) {
        for ((from, to), relay) in &self.lines {
            if *from <= 2 && *to > 2 {
                relay.set(line);
            }
        }
    }

    fn all_until(&mut self, what: &str, holds: impl Fn(&Hospital) -> bool) {
        for hospital in &mut self.hospitals {
            hospital.until(what, &holds);
        }
        self.say(what);
    }
}

/// Directories and a roster of four.
fn prepare(root: &Path) -> Vec<Hospital> {
    let hospitals: Vec<Hospital> = (1..=4).map(|party| Hospital::init(party, root)).collect();
    let invitations: Vec<PathBuf> = hospitals
        .iter()
        .map(|hospital| {
            let file = root.join(format!("invitation-{}.json", hospital.party));
            hospital.command(&["roster", "invite", "--output", text(&file)]);
            file
        })
        .collect();
    for hospital in &hospitals {
        let mut args = vec![
            "roster",
            "create",
            "--consortium",
            "Four hospitals",
            "--threshold",
            "1",
        ];
        args.extend(invitations.iter().map(|file| text(file)));
        hospital.command(&args);
    }
    hospitals
}

fn pause(dice: &mut Dice, at_most_ms: u64) {
    std::thread::sleep(Duration::from_millis(dice.below(at_most_ms)));
}

/// A ceremony during which somebody is killed; it is started again until there is a key.
fn ceremony(consortium: &mut Consortium, dice: &mut Dice) {
    for hospital in &consortium.hospitals {
        hospital.command(&["roster", "sign"]);
    }
    consortium.all_until("everyone signed the roster", |hospital| {
        hospital.command(&["status"])["roster_signed_by"]
            .as_array()
            .is_some_and(|all| all.len() == 4)
    });
    for hospital in &consortium.hospitals {
        hospital.command(&["ceremony", "start"]);
    }
    pause(dice, 9000);
    let victim = dice.someone();
    consortium.kill_and_start(victim, "the ceremony");
    let deadline = Instant::now() + LONGEST;
    loop {
        let phases: Vec<String> = consortium
            .hospitals
            .iter()
            .map(|hospital| {
                hospital.command(&["ceremony", "status"])["phase"]
                    .as_str()
                    .unwrap_or("")
                    .to_owned()
            })
            .collect();
        if phases.iter().all(|phase| phase == "done") {
            break;
        }
        for (hospital, phase) in consortium.hospitals.iter().zip(&phases) {
            if phase == "aborted" || phase == "none" {
                hospital.command(&["ceremony", "start"]);
            }
        }
        assert!(
            Instant::now() < deadline,
            "the ceremony does not end: {phases:?}"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
    let certificates: Vec<String> = consortium
        .hospitals
        .iter()
        .map(|hospital| hospital.command(&["ceremony", "status"])["certificate"].to_string())
        .collect();
    assert!(
        certificates.windows(2).all(|pair| pair[0] == pair[1]),
        "{certificates:?}"
    );
    consortium.say("every hospital holds the same key");
}

/// Every hospital deposits three patients; one is killed while it does.
fn ingest(consortium: &mut Consortium, dice: &mut Dice) {
    let victim = dice.someone();
    for number in 0..4 {
        let folder = scenarios().join(format!("data/synthea/hospital-{}", number + 1));
        let files = [
            folder.join("Patient.ndjson"),
            folder.join("Observation.ndjson"),
        ];
        let args = [
            "twin",
            "ingest",
            "--organ",
            "kidney",
            "--limit",
            "3",
            text(&files[0]),
            text(&files[1]),
        ];
        if number == victim {
            let mut command = consortium.hospitals[number].begin(&args);
            pause(dice, 2500);
            consortium.kill_and_start(number, "ingest");
            command.wait().unwrap();
        }
        consortium.hospitals[number].until("the twins to be deposited", |hospital| {
            // What was deposited before the kill stands; otherwise it is asked for again.
            let own = hospital.command(&["twin", "list"])["own"]
                .as_array()
                .map_or(0, Vec::len);
            own > 0 || hospital.try_command(&args).is_ok()
        });
    }
    consortium.all_until("every hospital holds all twins", |hospital| {
        hospital.command(&["status"])["twins_eligible"] == 12
    });
}

/// A study file of one arm, as small as it gets.
pub(crate) fn study_file(root: &Path, name: &str) -> PathBuf {
    let file = root.join(format!("{name}.toml"));
    let text = format!(
        "title = \"{name}\"\nquestion = \"How many are within the target?\"\nquorum = 3\n\n[study]\nmodel = \"vancomycin-goti-2018\"\narms = [1000.0]\ncuts = [400.0]\nk = 1\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

fn phase(hospital: &Hospital, id: &str) -> String {
    let view = hospital
        .try_command(&["study", "show", id])
        .unwrap_or_default();
    view["phase"].as_str().unwrap_or("").to_owned()
}

/// A study during which the halves are cut off from each other and two hospitals are killed.
fn study(consortium: &mut Consortium, dice: &mut Dice, root: &Path, name: &str) -> String {
    let file = study_file(root, name);
    let proposed = consortium.hospitals[0].command(&["study", "propose", text(&file)]);
    let id = proposed["study"].as_str().unwrap().to_owned();
    consortium.all_until("the study stands before everyone", |hospital| {
        !phase(hospital, &id).is_empty()
    });
    let line = [Line::Cut, Line::Stalled][usize::try_from(dice.below(2)).unwrap()];
    consortium.between_halves(line);
    consortium.say(&format!("1 and 2 are apart from 3 and 4: {line:?}"));
    for number in 0..2 {
        consortium.hospitals[number].until("an approval", |hospital| {
            hospital.try_command(&["study", "approve", &id]).is_ok()
        });
    }
    pause(dice, 3000);
    // Two of three approvals on one side: nothing can have been opened.
    assert!(
        consortium
            .hospitals
            .iter()
            .all(|hospital| phase(hospital, &id) != "released")
    );
    consortium.between_halves(Line::Open);
    consortium.hospitals[2].until("an approval", |hospital| {
        hospital.try_command(&["study", "approve", &id]).is_ok()
    });
    pause(dice, 8000);
    let victim = dice.someone();
    consortium.kill_and_start(victim, "the evaluation");
    let watched = dice.someone();
    consortium.hospitals[watched].until("the opening", |hospital| {
        let view = hospital.command(&["study", "show", &id]);
        let evaluated = view["shards_total"].as_u64().is_some_and(|all| all > 0)
            && view["shards_done"] == view["shards_total"];
        evaluated || view["phase"] == "released"
    });
    pause(dice, 1500);
    consortium.kill_and_start(watched, "the opening");
    consortium.all_until("the study is opened everywhere", |hospital| {
        phase(hospital, &id) == "released"
    });
    id
}

/// Every hospital's transcript passes the audit, tells the same result, and nobody has two statements under one number.
pub(crate) fn audit(hospitals: &[Hospital], root: &Path, id: &str) {
    let mut said: BTreeMap<(PartyId, u64), Digest> = BTreeMap::new();
    let mut results = Vec::new();
    for hospital in hospitals {
        let file = root.join(format!("{}-{}.transcript", hospital.party, &id[..8]));
        hospital.command(&["audit", "export", id, "--output", text(&file)]);
        let report = common::run(&["audit", "verify", text(&file), "--json"])
            .expect(0)
            .json();
        assert_eq!(report["passed"], true, "{report}");
        results.push(hospital.command(&["study", "result", id])["result"].clone());
        let transcript = Transcript::decode(&std::fs::read(&file).unwrap()).unwrap();
        assert!(
            transcript.equivocations.is_empty(),
            "hospital {}",
            hospital.party
        );
        for signed in transcript.statements {
            let statement = signed.clone().verify(&transcript.roster).unwrap();
            let known = *said
                .entry((statement.author(), statement.seq()))
                .or_insert(statement.hash());
            assert_eq!(
                known,
                statement.hash(),
                "a number of party {}'s feed was used twice",
                statement.author()
            );
        }
    }
    assert!(
        results
            .windows(2)
            .all(|pair| pair[0] == pair[1] && !pair[0].is_null()),
        "{results:?}"
    );
}

#[test]
fn killed_and_separated_nodes_complete_everything_and_their_transcripts_pass_the_audit() {
    let seed = number("ORGANTWIN_KILL_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        u64::from(now.subsec_nanos())
    });
    println!("ORGANTWIN_KILL_SEED={seed}");
    let mut dice = Dice(seed);
    let root = tempfile::tempdir().unwrap();
    let mut consortium = Consortium::new(root.path());
    ceremony(&mut consortium, &mut dice);
    ingest(&mut consortium, &mut dice);
    for round in 0..number("ORGANTWIN_KILL_ROUNDS").unwrap_or(1) {
        let id = study(
            &mut consortium,
            &mut dice,
            root.path(),
            &format!("study {round}"),
        );
        audit(&consortium.hospitals, root.path(), &id);
    }
    let kills: u32 = consortium
        .hospitals
        .iter()
        .map(|hospital| hospital.kills)
        .sum();
    consortium.say(&format!("{kills} kills; every transcript passes the audit"));
    for hospital in &mut consortium.hospitals {
        hospital.stop();
    }
    drop(consortium);
    namespaces::partition(root.path());
}
