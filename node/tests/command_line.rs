//! The command line's contract: what is refused, with which exit code and which words, before anything starts.

mod common;

use std::path::{Path, PathBuf};

use common::{Finished, run, scenarios, text};

const STUDY: &str = r#"
title = "t"
question = "q"
[study]
model = "vancomycin-goti-2018"
arms = [1000.0]
cuts = [400.0, 600.0]
k = 5
"#;

fn init(root: &Path, name: &str) -> PathBuf {
    let dir = root.join(name);
    run(&[
        "init",
        "--dir",
        text(&dir),
        "--name",
        name,
        "--key-file",
        "--json",
    ])
    .expect(0);
    dir
}

fn invite(dir: &Path) -> PathBuf {
    let file = dir.join("invitation.json");
    run(&[
        "roster",
        "invite",
        "--dir",
        text(dir),
        "--output",
        text(&file),
    ])
    .expect(0);
    file
}

fn plan(dir: &Path, study: &str) -> Finished {
    let file = dir.join("study.toml");
    std::fs::write(&file, study).unwrap();
    run(&["study", "plan", "--dir", text(dir), "--json", text(&file)])
}

#[test]
fn wrong_usage_exits_with_two() {
    run(&["no-such-command"]).expect(2);
    run(&["study", "show"]).expect(2);
    run(&["twin", "ingest", "--window", "shoe_size=3", "x"]).expect(2);
    run(&["twin", "withdraw"]).expect(2);
    run(&["twin", "withdraw", "x", "--patient", "y"]).expect(2);
}

#[test]
fn help_and_version_exit_with_zero() {
    assert!(run(&["--help"]).expect(0).stdout.contains("ceremony"));
    run(&["--version"]).expect(0);
}

#[test]
fn a_command_without_a_node_says_how_to_start_one() {
    let root = tempfile::tempdir().unwrap();
    let dir = init(root.path(), "a");
    let failed = run(&["status", "--dir", text(&dir), "--json"])
        .expect(3)
        .json();
    assert_eq!(failed["schema"], "organtwin.error/1");
    assert_eq!(failed["kind"], "environment");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("organtwin run"),
        "{failed}"
    );
}

#[test]
fn a_study_file_with_an_unknown_field_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let failed = plan(root.path(), &STUDY.replace("title", "tittle"))
        .expect(2)
        .json();
    assert!(
        failed["message"].as_str().unwrap().contains("tittle"),
        "{failed}"
    );
    let failed = plan(root.path(), &STUDY.replace("cuts", "cutz"))
        .expect(2)
        .json();
    assert!(
        failed["message"].as_str().unwrap().contains("cutz"),
        "{failed}"
    );
}

#[test]
fn an_unknown_model_or_an_arm_out_of_range_is_refused_before_a_node_is_asked() {
    let root = tempfile::tempdir().unwrap();
    let failed = plan(
        root.path(),
        &STUDY.replace("vancomycin-goti-2018", "aspirin"),
    )
    .expect(2)
    .json();
    assert!(
        failed["message"].as_str().unwrap().contains("aspirin"),
        "{failed}"
    );
    let failed = plan(root.path(), &STUDY.replace("1000.0", "100000.0"))
        .expect(2)
        .json();
    assert!(
        failed["message"].as_str().unwrap().contains("100000"),
        "{failed}"
    );
    let sound = plan(root.path(), STUDY).expect(3).json();
    assert!(
        sound["message"].as_str().unwrap().contains("organtwin run"),
        "only the node is missing: {sound}"
    );
}

#[test]
fn every_study_in_the_documents_compiles() {
    let root = tempfile::tempdir().unwrap();
    let repository = scenarios().join("..");
    let mut seen = 0;
    for page in ["README.md", "docs/studies.md", "docs/operations.md"] {
        let page = std::fs::read_to_string(repository.join(page)).unwrap();
        for block in page.split("```toml\n").skip(1) {
            let (block, _) = block.split_once("```").unwrap();
            if block.contains("[study]") {
                // Only the node is missing.
                let message = plan(root.path(), block).expect(3).json()["message"].to_string();
                assert!(message.contains("organtwin run"), "{message}: {block}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen} studies");
}

#[test]
fn the_same_invitations_give_every_hospital_the_same_roster() {
    let root = tempfile::tempdir().unwrap();
    let dirs: Vec<PathBuf> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| init(root.path(), name))
        .collect();
    let files: Vec<PathBuf> = dirs.iter().map(|dir| invite(dir)).collect();
    let create = |dir: &Path, threshold: &str, files: &[PathBuf]| {
        let mut arguments = vec![
            "roster",
            "create",
            "--json",
            "--dir",
            text(dir),
            "--consortium",
            "C",
        ];
        arguments.extend(["--threshold", threshold]);
        arguments.extend(files.iter().map(|file| text(file)));
        run(&arguments)
    };
    create(&dirs[0], "2", &files).expect(2);
    create(&dirs[0], "0", &files).expect(2);
    create(&dirs[0], "1", &files[..3]).expect(2);
    create(&dirs[0], "1", &files[1..]).expect(2);
    create(&dirs[0], "1", &[&files[..], &files[..1]].concat()).expect(2);
    let digests: Vec<_> = dirs
        .iter()
        .map(|dir| create(dir, "1", &files).expect(0).json()["digest"].clone())
        .collect();
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "{digests:?}"
    );
    create(&dirs[0], "1", &files).expect(0);
    let mut turned = files.clone();
    turned.reverse();
    create(&dirs[0], "1", &turned).expect(2);
    let shown = run(&["roster", "show", "--dir", text(&dirs[0]), "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["members"].as_array().unwrap().len(), 4);
    assert_eq!(shown["security"], "active");
}

#[test]
fn an_initialised_directory_is_not_initialised_again() {
    let root = tempfile::tempdir().unwrap();
    let dir = init(root.path(), "a");
    let before = std::fs::read(dir.join("identity/statement.key")).unwrap();
    run(&["init", "--dir", text(&dir), "--name", "b", "--key-file"]).expect(2);
    assert_eq!(
        std::fs::read(dir.join("identity/statement.key")).unwrap(),
        before
    );
}

#[test]
fn secrets_are_closed_to_others_and_doctor_notices_when_not() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let dir = init(root.path(), "a");
    let secrets = [
        "identity/statement.key",
        "identity/network.key",
        "identity/pseudonym.key",
        "api-token",
    ];
    for name in secrets {
        let mode = std::fs::metadata(dir.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    let check = |name: &str| {
        let report = run(&["doctor", "--dir", text(&dir), "--json"])
            .expect(1)
            .json();
        let checks = report["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["name"] == name)
            .unwrap()["passed"]
            .as_bool()
            .unwrap()
    };
    assert!(check("secrets"));
    std::fs::set_permissions(dir.join(secrets[0]), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(!check("secrets"));
}

#[test]
fn a_dry_run_reports_every_patient_of_a_bulk_export_without_a_node() {
    let folder = scenarios().join("data/synthea/hospital-1");
    let report = run(&["twin", "ingest", "--dry-run", "--json", text(&folder)])
        .expect(0)
        .json();
    assert_eq!(report["schema"], "organtwin.ingest/1");
    assert_eq!(
        (report["accepted"].as_u64(), report["refused"].as_u64()),
        (Some(57), Some(0))
    );
    assert_eq!(report["patients"].as_array().unwrap().len(), 57);
    assert_eq!(report["deposited"], 0);
}

#[test]
fn an_ingest_report_names_no_patient() {
    let folder = scenarios().join("data/synthea/hospital-1");
    let said = run(&[
        "twin",
        "ingest",
        "--dry-run",
        "--json",
        "--verbose",
        text(&folder),
    ])
    .expect(0)
    .stdout;
    let patients = std::fs::read_to_string(folder.join("Patient.ndjson")).unwrap();
    for line in patients.lines() {
        let patient: serde_json::Value = serde_json::from_str(line).unwrap();
        for secret in [
            &patient["id"],
            &patient["name"][0]["family"],
            &patient["birthDate"],
            &patient["address"][0]["line"][0],
        ] {
            let secret = secret.as_str().unwrap();
            assert!(!said.contains(secret), "{secret}");
        }
    }
}

#[test]
fn ingesting_what_is_not_there_is_one_clear_error() {
    let root = tempfile::tempdir().unwrap();
    let failed = run(&[
        "twin",
        "ingest",
        "--dry-run",
        "--json",
        text(&root.path().join("none")),
    ])
    .expect(3)
    .json();
    assert!(failed["message"].as_str().unwrap().contains("none"));
    run(&["twin", "ingest", "--dry-run", "--json", text(root.path())]).expect(2);
}

#[test]
fn a_file_that_is_no_transcript_fails_the_audit() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("transcript");
    std::fs::write(&file, b"not a transcript").unwrap();
    let report = run(&["audit", "verify", "--json", text(&file)])
        .expect(1)
        .json();
    assert_eq!(report["passed"], false);
    run(&["audit", "verify", "--json", text(&root.path().join("none"))]).expect(3);
}

#[test]
fn a_backup_is_made_once_and_restored_with_its_key_only() {
    let root = tempfile::tempdir().unwrap();
    let dir = init(root.path(), "a");
    let (file, key) = (root.path().join("a.backup"), seal_key(&dir));
    run(&["backup", "--dir", text(&dir), "--out", text(&file)]).expect(0);
    run(&["backup", "--dir", text(&dir), "--out", text(&file)]).expect(2);
    let place = root.path().join("b");
    let restore = |extra: &[&str]| {
        let mut command = vec!["restore", text(&file), "--dir", text(&place)];
        command.extend(extra);
        run(&command)
    };
    restore(&[]).expect(2);
    let other = root.path().join("other.key");
    std::fs::copy(
        init(root.path(), "c").join("identity/statement.key"),
        &other,
    )
    .unwrap();
    let wrong = restore(&["--key-file", text(&other), "--json"]).expect(1);
    assert!(wrong.json()["message"].as_str().unwrap().contains("wrong"));
    assert!(!place.exists());
    restore(&["--key-file", text(&key)]).expect(0);
    restore(&["--key-file", text(&key)]).expect(2);
    let name = |dir: &Path| std::fs::read(invite(dir)).unwrap();
    assert_eq!(name(&place), name(&dir));
}

/// Where `organtwin init --key-file` put the key.
fn seal_key(dir: &Path) -> PathBuf {
    let config = std::fs::read_to_string(dir.join("organtwin.toml")).unwrap();
    let line = config
        .lines()
        .find(|line| line.starts_with("path = "))
        .unwrap();
    dir.join(line.trim_start_matches("path = ").trim_matches('"'))
}

#[test]
fn the_tables_of_the_parameters_are_the_ones_that_the_program_computes() {
    let made = run(&["params", "--markdown"]).expect(0).stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/parameters.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    for table in made.trim().split("\n\n") {
        assert!(
            page.contains(&format!("\n{table}\n")),
            "docs/parameters.md is out of date, it lacks what `organtwin params --markdown` prints:\n{table}"
        );
    }
}

#[test]
fn all_committees_are_one_object() {
    let all = run(&["params", "--all", "--json"]).expect(0).json();
    let committees = all["committees"].as_array().unwrap();
    // Every 2t+1 <= n <= 12.
    assert_eq!(committees.len(), 30);
    let demo = &committees[1];
    assert_eq!(
        (demo["parties"].as_u64(), demo["threshold"].as_u64()),
        (Some(4), Some(1))
    );
    assert_eq!(demo["openings"][0]["bits"], 45);
}
