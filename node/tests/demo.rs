//! The demo's scenarios at real parameters, end to end: real processes, real keys, real encryption.
//!
//! One ceremony of four hospitals is shared: it is run once, and its directories are copied for every scenario.
//! The tests take the machine one after the other, since each of them uses all cores.

mod common;
#[path = "demo/epochs.rs"]
mod epochs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use common::{Finished, finish, organtwin, scenarios, text};
use serde_json::Value;

static MACHINE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The directories of four hospitals after their ceremony.
static CEREMONY: LazyLock<(tempfile::TempDir, Value)> = LazyLock::new(|| {
    let root = tempfile::tempdir().unwrap();
    let finished = demo("small-cohort", root.path(), &["--ceremony-only"]).expect(0);
    let report = finished.json();
    (root, report)
});

fn demo(scenario: &str, dir: &Path, more: &[&str]) -> Finished {
    let arguments = ["demo", "--json", "--scenario", scenario, "--dir", text(dir)];
    finish(organtwin().args(arguments).args(more).output().unwrap())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // The permissions come with the copy: secrets stay closed.
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn with_key() -> tempfile::TempDir {
    let copied = tempfile::tempdir().unwrap();
    copy(CEREMONY.0.path(), copied.path());
    copied
}

/// Every process that works in this directory.
fn processes_in(dir: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&arguments).contains(text(dir)) {
            found.push(pid);
        }
    }
    found
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// What identifies a patient of the committed data: resource ids, record numbers, names, streets, telephones.
fn identifiers() -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for hospital in 1..=4 {
        let file = scenarios().join(format!("data/synthea/hospital-{hospital}/Patient.ndjson"));
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let patient: Value = serde_json::from_str(line).unwrap();
            let name = &patient["name"][0];
            let texts = [
                &patient["id"],
                &patient["identifier"][0]["value"],
                &patient["address"][0]["line"][0],
                &patient["telecom"][0]["value"],
                &name["family"],
            ];
            // A short family name could occur by chance in megabytes of ciphertext.
            let long = texts
                .into_iter()
                .filter_map(Value::as_str)
                .filter(|text| text.len() >= 8);
            found.extend(long.map(|text| text.as_bytes().to_vec()));
        }
    }
    assert!(found.len() > 700, "{}", found.len());
    found
}

/// Whether any of the needles stands in the bytes, by a table of their first four bytes.
fn leaked<'a>(bytes: &[u8], needles: &'a BTreeSet<Vec<u8>>) -> Option<&'a [u8]> {
    let mut by_start: std::collections::HashMap<&[u8], Vec<&'a [u8]>> =
        std::collections::HashMap::new();
    for needle in needles {
        by_start.entry(&needle[..4]).or_default().push(needle);
    }
    bytes.windows(4).enumerate().find_map(|(at, start)| {
        let candidates = by_start.get(start)?;
        candidates
            .iter()
            .copied()
            .find(|needle| bytes[at..].starts_with(needle))
    })
}

#[test]
fn the_leak_detector_finds_what_it_looks_for() {
    let needles = identifiers();
    let needle = needles.iter().next().unwrap();
    let haystack = [b"xxxx".as_slice(), needle, b"yyyy"].concat();
    assert_eq!(leaked(&haystack, &needles), Some(needle.as_slice()));
    assert_eq!(leaked(b"nothing of the kind stands here", &needles), None);
}

#[test]
fn four_hospitals_certify_a_key() {
    let _alone = alone();
    let ceremony = &CEREMONY.1["ceremony"];
    assert_eq!(
        (ceremony["parties"].as_u64(), ceremony["threshold"].as_u64()),
        (Some(4), Some(1))
    );
    assert_eq!(ceremony["security"], "active");
    assert!(
        ceremony["max_bytes_sent"].as_u64().unwrap() <= 500_000_000,
        "{ceremony}"
    );
}

#[test]
fn a_study_runs_from_patients_to_an_audited_result_and_nothing_that_identifies_leaves_a_node() {
    let _alone = alone();
    let dir = with_key();
    let report = demo("small-cohort", dir.path(), &[]).expect(0).json();
    assert_eq!(report["schema"], "organtwin.demo/1");
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["twins"], 60);
    assert_eq!(report["study"]["equal_to_clear"], true);
    assert!(report["study"]["result"]["rows"].as_array().unwrap().len() >= 4);
    assert_eq!(report["audit"]["passed"], true);
    assert!(report["audit"]["checks"].as_u64().unwrap() > 10);
    // Two nodes decide on every twin, and its one axis has five distinct cuts.
    assert!(report["study"]["bootstraps"].as_u64().unwrap() >= 2 * 60 * 5);

    let needles = identifiers();
    let mut all = Vec::new();
    files(dir.path(), &mut all);
    assert!(all.iter().any(|path| {
        path.extension()
            .is_some_and(|extension| extension == "transcript")
    }));
    // The demo lays the hospitals' own input files beside their directories.
    let inputs = dir.path().join("data");
    all.retain(|path| !path.starts_with(&inputs));
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        if let Some(needle) = leaked(&bytes, &needles) {
            panic!(
                "{} holds {}",
                path.display(),
                String::from_utf8_lossy(needle)
            );
        }
    }
    assert_eq!(
        processes_in(dir.path()),
        Vec::<u32>::new(),
        "the demo left a node behind"
    );

    a_changed_transcript_fails_the_audit(dir.path());
}

/// Shares the study's transcript: flips bytes over its length; every change must be noticed.
fn a_changed_transcript_fails_the_audit(dir: &Path) {
    let mut all = Vec::new();
    files(dir, &mut all);
    let file = all
        .into_iter()
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "transcript")
        })
        .unwrap();
    let sound = std::fs::read(&file).unwrap();
    let changed = dir.join("changed");
    for part in 1..8 {
        let mut bytes = sound.clone();
        let at = bytes.len() / 8 * part;
        bytes[at] ^= 1;
        std::fs::write(&changed, &bytes).unwrap();
        let report = common::run(&["audit", "verify", "--json", text(&changed)])
            .expect(1)
            .json();
        assert_eq!(
            report["passed"], false,
            "a change at byte {at} went unnoticed"
        );
    }
}

#[test]
fn three_hospitals_open_the_result_after_the_fourth_was_killed() {
    let _alone = alone();
    let dir = with_key();
    let report = demo("hospital-killed", dir.path(), &[]).expect(0).json();
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["study"]["equal_to_clear"], true);
    assert_eq!(report["audit"]["passed"], true);
}

#[test]
fn two_rejections_open_nothing_and_say_so() {
    let _alone = alone();
    let dir = with_key();
    let report = demo("two-rejections", dir.path(), &[]).expect(0).json();
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["outcome"], "not_opened");
    assert!(
        report["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty()),
        "{report}"
    );
    assert!(report["study"]["result"].is_null());
    assert!(report["study"]["equal_to_clear"].is_null());
}

#[test]
fn three_hospitals_work_as_a_passive_committee_and_the_certificate_says_so() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let report = demo("three-hospitals", dir.path(), &[]).expect(0).json();
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["ceremony"]["security"], "passive");
    assert_eq!(report["study"]["equal_to_clear"], true);
}

#[test]
fn a_scenario_that_cannot_work_is_one_clear_error_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let sound = std::fs::read_to_string(scenarios().join("small-cohort.toml")).unwrap();
    let cases = [
        (
            sound.replace("threshold = 1", "threshhold = 1"),
            "threshhold",
        ),
        (sound.replace("quorum = 3", "quorum = 1"), "quorum"),
        (sound.replace("quorum = 3", "quorum = 5"), "quorum"),
        (sound.replace("vancomycin-goti-2018", "aspirin"), "aspirin"),
        (sound.replace("2000.0]", "200000.0]"), "200000"),
    ];
    for (number, (scenario, word)) in cases.into_iter().enumerate() {
        assert_ne!(scenario, sound, "case {number} changes nothing");
        let file = dir.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let hospitals = dir.path().join(format!("case-{number}"));
        let failed = demo(text(&file), &hospitals, &[]).expect(2).json();
        assert!(
            failed["message"].as_str().unwrap().contains(word),
            "case {number}: {failed}"
        );
        assert!(!hospitals.exists(), "case {number} started something");
    }
}
