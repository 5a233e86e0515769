//! The external validation of the committed model on the committed patients of four hospitals, in the clear.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use organtwin_simulations::additive::import::{Target, import};
use organtwin_simulations::additive::{AdditiveModel, quantisation, random_patients, step_of};
use organtwin_simulations::catalogue::{InputKind, Values, input};
use organtwin_simulations::study::{CrossSpec, accuracy};
use organtwin_simulations::twin::Twin;
use organtwin_simulations::validation::Validation;
use organtwin_simulations::{Features, Schema, StudySpec, clear, encode};

const EDGES: [f64; 5] = [0.25, 0.4, 0.5, 0.65, 0.8];
/// What InterpretML and scikit-learn say (scenarios/data/heart-disease/README.md).
const EXACT_AUC: f64 = 0.878_357;

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/data/heart-disease")
}

fn heart() -> Twin {
    Twin::of_organ("heart").unwrap()
}

fn model(schema: &Schema) -> AdditiveModel {
    let bytes = std::fs::read(data().join("model.json")).unwrap();
    let target = Target {
        name: "cleveland-ebm",
        output: "risk",
        schema,
        names: &BTreeMap::new(),
    };
    import(&bytes, &target).unwrap()
}

/// The features of every patient, one list per hospital.
fn patients() -> Vec<Vec<Features>> {
    let twin = heart();
    let read = |hospital: usize| {
        let file = data().join(format!("hospital-{hospital}/features.csv"));
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap().split(',').collect();
        lines
            .map(|line| {
                let mut inputs = Values::default();
                for (key, text) in header.iter().zip(line.split(',')).skip(1) {
                    if text.is_empty() {
                        continue;
                    }
                    let value = match &input::find(key).unwrap().kind {
                        InputKind::Number { .. } => text.parse().unwrap(),
                        InputKind::Flag => f64::from(u8::from(text == "true")),
                        InputKind::Choice { labels } => {
                            let index = labels.iter().position(|label| *label == text).unwrap();
                            f64::from(u8::try_from(index).unwrap())
                        }
                    };
                    inputs.set(key, value);
                }
                twin.features(&inputs)
            })
            .collect()
    };
    (1..=4).map(read).collect()
}

fn has_disease(patient: &Features) -> bool {
    patient["angiographic_disease"] == Some(1.0)
}

#[test]
fn everybody_has_a_score_and_the_exact_area_is_the_one_that_the_fit_printed() {
    let schema = heart().schema();
    let model = model(&schema);
    let all: Vec<Features> = patients().into_iter().flatten().collect();
    assert_eq!(all.len(), 920);
    let scored: Vec<(f64, bool)> = all
        .iter()
        .map(|patient| (model.reference(patient).unwrap(), has_disease(patient)))
        .collect();
    let mut ordered = 0.0;
    let mut pairs = 0.0;
    for (sick, _) in scored.iter().filter(|(_, disease)| *disease) {
        for (well, _) in scored.iter().filter(|(_, disease)| !*disease) {
            pairs += 1.0;
            ordered += if sick > well {
                1.0
            } else if sick == well {
                0.5
            } else {
                0.0
            };
        }
    }
    assert!(
        (ordered / pairs - EXACT_AUC).abs() < 1e-6,
        "{}",
        ordered / pairs
    );
}

#[test]
fn the_grids_change_the_risk_by_little() {
    let schema = heart().schema();
    let model = model(&schema);
    let all: Vec<Features> = patients().into_iter().flatten().collect();
    let given = quantisation(&model, &schema, 0.0, &all).unwrap();
    let random = quantisation(
        &model,
        &schema,
        0.0,
        &random_patients(&model, &schema, 1, 5000),
    )
    .unwrap();
    println!("the data set: {given:?}\nrandom: {random:?}");
    assert_eq!(given.patients, 920);
    assert!(given.worst < 0.15 && given.p95 < 0.07, "{given:?}");
    assert!(random.worst < 0.25 && random.p95 < 0.1, "{random:?}");
}

#[test]
fn the_validation_on_whole_numbers_agrees_with_the_fitted_model() {
    let schema = heart().schema();
    let model = model(&schema);
    let spec = StudySpec {
        additive: Some(model.clone()),
        cross: Some(CrossSpec {
            by: "angiographic_disease".into(),
            edges: EDGES.to_vec(),
            cuts: Vec::new(),
            arm: None,
        }),
        k: 10,
        ..StudySpec::default()
    };
    let program = spec.compile().unwrap();
    let said = &accuracy(&spec).unwrap()[0];
    println!("{said:?}");
    assert!(
        said.other_cell < 0.1 && said.p95.unwrap() < 0.05,
        "{said:?}"
    );
    let row = &program.rows()[0];
    let mut counts = vec![[0_u64; 2]; EDGES.len() + 1];
    let mut reference = counts.clone();
    let mut elsewhere = 0;
    for patient in patients().iter().flatten() {
        let weights = encode(&schema, patient).unwrap();
        let nodes = clear::nodes(&program, &schema, &weights);
        let set: Vec<usize> = (0..row.cells.len())
            .filter(|cell| nodes.is_set(row.cells[*cell].bit))
            .collect();
        assert_eq!(set.len(), 1, "every patient is in one cell");
        counts[set[0] / 2][set[0] % 2] += 1;
        let bin = step_of(&EDGES, model.reference(patient).unwrap());
        reference[bin][usize::from(has_disease(patient))] += 1;
        elsewhere += u32::from(bin != set[0] / 2);
    }
    println!("{counts:?}\n{reference:?}\n{elsewhere} in another bin");
    assert!(
        elsewhere <= 46,
        "{elsewhere} of 920 patients are in another bin"
    );
    let exact = Validation::of_counts("d", &EDGES, &reference).unwrap();
    assert!((exact.auc - EXACT_AUC).abs() <= exact.auc_binning);
    let found = Validation::of_counts("d", &EDGES, &counts).unwrap();
    println!("{}", found.text());
    assert!((found.auc - EXACT_AUC).abs() <= found.auc_binning);
    assert!((found.auc - exact.auc).abs() < 0.01);
    for (a, b) in found.thresholds.iter().zip(&exact.thresholds) {
        assert!((a.sensitivity - b.sensitivity).abs() < 0.03);
        assert!((a.specificity - b.specificity).abs() < 0.03);
    }
}
