//! docs/parameters.md says what the program computes.

mod common;

use std::path::Path;

use common::run;

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
