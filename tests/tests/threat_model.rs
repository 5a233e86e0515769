//! docs/threat-model.md names tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

/// All names of functions in the workspace's sources.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']) || name == "target");
        if path.is_dir() && !hidden {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let declared = text.lines().filter_map(|line| {
                let (before, after) = line.split_once("fn ")?;
                let whole = before.trim().is_empty() || before.ends_with(' ');
                whole.then(|| after.split(['(', '<']).next().unwrap_or("").to_owned())
            });
            names.extend(declared);
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for folder in ["threshold", "simulations", "protocol", "node", "tests"] {
        functions(&root.join(folder), &mut names);
    }
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let (_, claims) = page.split_once("## Each claim").unwrap();
    let (claims, _) = claims.split_once("\n## ").unwrap();
    // A test's name is a sentence: words joined by underscores, in backticks.
    let named = claims.split('`').skip(1).step_by(2);
    let missing: Vec<&str> = named
        .filter(|name| name.matches('_').count() >= 3 && !names.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/threat-model.md names tests that do not exist: {missing:#?}"
    );
}
