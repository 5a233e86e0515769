//! `organtwin model`: every model through the command line, as a clinician would ask it.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::{Finished, finish, organtwin, run};
use serde_json::{Value, json};

/// The model of the tests that need only one.
const EGFR: &str = "ckd-epi-2021";

/// Evaluates an input from standard input.
fn eval(model: &str, backend: &str, input: &str) -> Finished {
    let mut child = organtwin()
        .args(["model", "eval", model, "--input", "-"])
        .args(["--backend", backend, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses without reading closes the pipe, which is no failure here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    finish(child.wait_with_output().unwrap())
}

fn list() -> Vec<Value> {
    let list = run(&["model", "list", "--json"]).expect(0).json();
    assert_eq!(list["schema"], "organtwin.models/1");
    list["models"].as_array().unwrap().clone()
}

fn show(model: &str) -> Value {
    let shown = run(&["model", "show", model, "--json"]).expect(0).json();
    assert_eq!(shown["schema"], "organtwin.model/1");
    shown
}

/// The message of a refusal with exit code 2.
fn refusal(finished: Finished) -> String {
    let error = finished.expect(2).json();
    assert_eq!(error["schema"], "organtwin.error/1");
    assert_eq!(error["kind"], "usage");
    error["message"].as_str().unwrap().to_owned()
}

/// The value of an answer as a number: a flag is 0 or 1, a category its index.
fn number(answer: &Value) -> Option<f64> {
    match &answer["value"] {
        Value::Null => None,
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(_) => answer["index"].as_f64(),
        number => number.as_f64(),
    }
}

fn answer<'a>(answers: &'a Value, key: &str) -> &'a Value {
    let answers = answers["answers"].as_array().unwrap();
    answers.iter().find(|answer| answer["key"] == key).unwrap()
}

/// The first example of a model, as `model show` prints it for copying.
fn example(model: &str) -> Value {
    show(model)["examples"][0]["given"].clone()
}

#[test]
fn the_list_names_models_of_three_organs_with_their_evidence() {
    let models = list();
    for organ in ["kidney", "liver", "heart"] {
        assert!(
            models.iter().any(|model| model["organ"] == organ),
            "{organ}"
        );
        let of_organ = run(&["model", "list", "--organ", organ, "--json"])
            .expect(0)
            .json();
        assert!(
            of_organ["models"]
                .as_array()
                .unwrap()
                .iter()
                .all(|model| model["organ"] == organ)
        );
    }
    for model in &models {
        for field in ["id", "title", "evidence", "source"] {
            assert!(!model[field].as_str().unwrap().is_empty(), "{model}");
        }
        let marked = model["evidence"] == "to be confirmed against the paper";
        assert_eq!(model["to_be_confirmed"], marked, "{model}");
    }
    refusal(run(&["model", "list", "--organ", "spleen", "--json"]));
    assert!(run(&["model", "list"]).expect(0).stdout.contains(EGFR));
}

#[test]
fn every_worked_example_comes_out_by_the_textbook_and_in_exact_integers() {
    for model in list() {
        let id = model["id"].as_str().unwrap();
        let shown = show(id);
        let examples = shown["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{id} has no example");
        for example in examples {
            let input = example["given"].to_string();
            let reference = eval(id, "reference", &input).expect(0).json();
            assert_eq!(reference["schema"], "organtwin.answers/1");
            assert_eq!(reference["model"], id);
            assert_eq!(
                reference["notice"],
                "decision support for research, not a medical device"
            );
            assert_eq!(reference["to_be_confirmed"], model["to_be_confirmed"]);
            for expected in example["expected"].as_array().unwrap() {
                let key = expected["output"].as_str().unwrap();
                let got = number(answer(&reference, key)).unwrap_or(f64::NAN);
                let (value, tolerance) = (
                    expected["value"].as_f64().unwrap(),
                    expected["tolerance"].as_f64().unwrap(),
                );
                assert!(
                    (got - value).abs() <= tolerance,
                    "{id} {key}: got {got}, expected {value}"
                );
            }
            let clear = eval(id, "clear", &input).expect(0).json();
            close_to_reference(id, &shown, &reference, &clear);
        }
    }
}

/// The clear differs from the textbook about as much as `model show` says.
fn close_to_reference(id: &str, shown: &Value, reference: &Value, clear: &Value) {
    for output in shown["outputs"].as_array().unwrap() {
        let key = output["key"].as_str().unwrap();
        let (exact, near) = (answer(reference, key), answer(clear, key));
        let (Some(exact), Some(near)) = (number(exact), number(near)) else {
            assert_eq!(
                exact["value"].is_null(),
                near["value"].is_null(),
                "{id} {key}"
            );
            continue;
        };
        if output["kind"] == "number" {
            let worst = output["worst"].as_f64().unwrap();
            assert!(
                (exact - near).abs() <= 2.0 * worst + 1e-9,
                "{id} {key}: textbook {exact}, integers {near}, said to be at most {worst} on random patients"
            );
        } else {
            assert_eq!(exact, near, "{id} {key}");
        }
    }
}

#[test]
fn text_says_units_evidence_and_that_it_is_no_medical_device() {
    for model in list() {
        let id = model["id"].as_str().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), example(id).to_string()).unwrap();
        let path = common::text(file.path());
        let said = run(&["model", "eval", id, "--input", path])
            .expect(0)
            .stdout;
        assert!(said.contains("not a medical device"), "{said}");
        assert!(said.contains(model["evidence"].as_str().unwrap()), "{said}");
        let shown = run(&["model", "show", id]).expect(0).stdout;
        assert!(shown.contains("not a medical device"), "{shown}");
        assert!(
            shown.contains(model["evidence"].as_str().unwrap()),
            "{shown}"
        );
    }
}

#[test]
fn an_unknown_model_is_refused_with_the_nearest_name() {
    let message = refusal(run(&["model", "show", "ckd-epi-2012", "--json"]));
    assert!(message.contains("ckd-epi-2012"), "{message}");
    assert!(message.contains("did you mean ckd-epi-2021?"), "{message}");
    refusal(eval("aspirin", "reference", "{}"));
}

#[test]
fn a_wrong_input_is_one_error_with_key_value_and_range() {
    let sound = example(EGFR);
    let with = |key: &str, value: Value| {
        let mut input = sound.clone();
        input[key] = value;
        refusal(eval(EGFR, "reference", &input.to_string()))
    };
    let mut without = sound.clone();
    without
        .as_object_mut()
        .unwrap()
        .remove("age_years")
        .unwrap();
    let missing = refusal(eval(EGFR, "reference", &without.to_string()));
    for (message, words) in [
        (missing, vec!["age_years", "missing", "18", "115"]),
        (
            with("creatinine_mg_dl", json!(110)),
            vec!["creatinine_mg_dl", "110", "0.1 to 25"],
        ),
        (
            with("creatinin_mg_dl", json!(1.1)),
            vec!["creatinin_mg_dl", "did you mean creatinine_mg_dl?"],
        ),
        (
            with("creatinine_umol_l", json!(97)),
            vec!["creatinine_mg_dl", "creatinine_umol_l", "same quantity"],
        ),
        (with("age_years", json!("old")), vec!["age_years", "old"]),
        (with("age_years", json!(null)), vec!["age_years", "null"]),
        (with("age_years", json!([61])), vec!["age_years"]),
        (
            with("sex", json!("robot")),
            vec!["sex", "robot", "female", "male"],
        ),
        (with("sex", json!(true)), vec!["sex", "female", "male"]),
    ] {
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn what_is_no_flat_object_is_refused() {
    for text in ["", "[]", "{\"age_years\": 61", "{\"age_years\": {}}"] {
        refusal(eval(EGFR, "reference", text));
    }
    let large = format!("{{\"age_years\": \"{}\"}}", "x".repeat(70_000));
    assert!(refusal(eval(EGFR, "reference", &large)).contains("larger"));
    let missing = run(&["model", "eval", EGFR, "--input", "/no/such/file", "--json"]);
    missing.expect(3);
    run(&["model", "eval", EGFR]).expect(2);
    run(&["model", "eval", EGFR, "--input", "-", "--backend", "guess"]).expect(2);
}

#[test]
fn either_unit_gives_the_same_answer() {
    let mut input = example(EGFR);
    let conventional = eval(EGFR, "reference", &input.to_string()).expect(0).json();
    let object = input.as_object_mut().unwrap();
    let creatinine = object.remove("creatinine_mg_dl").unwrap().as_f64().unwrap();
    object.insert("creatinine_umol_l".into(), json!(creatinine * 88.4));
    let si = eval(EGFR, "reference", &input.to_string()).expect(0).json();
    let (a, b) = (&conventional["answers"][0], &si["answers"][0]);
    let (a, b) = (number(a).unwrap(), number(b).unwrap());
    assert!((a - b).abs() < 1e-9 * a.abs(), "{a} and {b}");
}

#[test]
fn ciphertexts_under_a_key_of_this_machine_give_the_same_integers() {
    for model in [EGFR, "cha2ds2-vasc"] {
        let input = example(model).to_string();
        let clear = eval(model, "clear", &input).expect(0).json();
        let encrypted = eval(model, "encrypted", &input).expect(0).json();
        assert_eq!(encrypted["answers"], clear["answers"], "{model}");
        let run = &encrypted["encrypted"];
        assert_eq!(run["equals_clear"], true);
        assert!(run["bootstraps"].as_u64().unwrap() > 0, "{run}");
    }
}

#[test]
fn the_page_of_the_catalogue_is_the_one_that_the_models_give() {
    let made = run(&["model", "list", "--markdown"]).expect(0).stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/catalogue.md");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        made == kept,
        "docs/catalogue.md is out of date: organtwin model list --markdown > docs/catalogue.md"
    );
}
