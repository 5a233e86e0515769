//! Whole studies by the exact integers against the textbook formula, patient by patient.

use std::collections::BTreeMap;

use organtwin_simulations::{
    CrossSpec, NoiseModel, PlanContext, StudySpec, Weights,
    catalogue::{Values, check::random_patient},
    clear, encode, plan, reference,
    twin::Twin,
};
use tfhe::shortint::parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as REAL;

const PATIENTS: u64 = 600;

fn patients(model: &str) -> Vec<Values> {
    let model = organtwin_simulations::catalogue::find(model).unwrap();
    (0..PATIENTS)
        .map(|seed| random_patient(model, seed).0)
        .collect()
}

/// The counts of every row by the exact integers.
fn counts(spec: &StudySpec, patients: &[Values]) -> Vec<Vec<u64>> {
    let (program, schema) = (spec.compile().unwrap(), spec.schema().unwrap());
    let twin = Twin::of_organ(spec.organ().unwrap()).unwrap();
    let twins: Vec<Weights> = patients
        .iter()
        .map(|inputs| encode(&schema, &twin.features(inputs)).unwrap())
        .collect();
    let mut rows: Vec<Vec<u64>> = program
        .rows()
        .iter()
        .map(|row| vec![0; row.cells.len()])
        .collect();
    for weights in &twins {
        let nodes = clear::nodes(&program, &schema, weights);
        for (row, counts) in program.rows().iter().zip(&mut rows) {
            let set: Vec<usize> = row
                .cells
                .iter()
                .enumerate()
                .filter(|(_, cell)| nodes.is_set(cell.bit))
                .map(|(index, _)| index)
                .collect();
            assert!(set.len() <= 1, "the cells of a row exclude each other");
            for index in set {
                counts[index] += 1;
            }
        }
    }
    rows
}

fn same(spec: &StudySpec, model: &str) {
    let patients = patients(model);
    let expected = reference::evaluate(spec, &patients).unwrap();
    for (got, expected) in counts(spec, &patients).iter().zip(&expected) {
        let differing: u64 = got
            .iter()
            .zip(&expected.counts)
            .map(|(got, expected)| got.abs_diff(*expected))
            .sum();
        // A patient on the other side of a cut is counted once too often and once too little.
        assert!(
            differing <= 2 * PATIENTS / 200,
            "{}: {got:?} {expected:?}",
            expected.label
        );
    }
}

fn filters(conditions: &[&str]) -> Vec<organtwin_simulations::Filter> {
    let read = |text: &&str| (*text).to_owned().try_into().unwrap();
    conditions.iter().map(read).collect()
}

#[test]
fn stages_within_a_filter_are_counted_as_by_the_textbook() {
    let spec = StudySpec {
        model: "ckd-epi-2021".to_owned(),
        output: Some("stage".to_owned()),
        filter: filters(&["age_years >= 65", "sex = male"]),
        k: 1,
        ..StudySpec::default()
    };
    same(&spec, "ckd-epi-2021");
}

#[test]
fn a_cross_table_counts_every_pair_of_divisions() {
    let spec = StudySpec {
        model: "ckd-epi-2021".to_owned(),
        cuts: vec![30.0, 60.0],
        cross: Some(CrossSpec {
            by: "sex".to_owned(),
            cuts: Vec::new(),
            edges: Vec::new(),
            arm: None,
        }),
        k: 1,
        ..StudySpec::default()
    };
    assert_eq!(spec.compile().unwrap().rows()[1].cells.len(), 6);
    same(&spec, "ckd-epi-2021");
}

#[test]
fn other_conditions_are_refused_with_what_would_do() {
    let base = StudySpec {
        model: "ckd-epi-2021".to_owned(),
        cuts: vec![60.0],
        k: 1,
        ..StudySpec::default()
    };
    for (condition, hint) in [
        ("ag_years >= 65", "did you mean age_years"),
        ("sex = man", "they are female, male"),
        ("age_years = 65", ">= or <"),
        ("age_years >= old", "no number"),
    ] {
        let spec = StudySpec {
            filter: filters(&[condition]),
            ..base.clone()
        };
        let refused = spec.compile().unwrap_err().to_string();
        assert!(refused.contains(hint), "{condition}: {refused}");
    }
    let nothing = StudySpec {
        cuts: Vec::new(),
        ..base.clone()
    };
    let refused = nothing.compile().unwrap_err().to_string();
    assert!(refused.contains("nothing is counted"), "{refused}");
    let arms = StudySpec {
        arms: vec![1.0],
        ..base
    };
    let refused = arms.compile().unwrap_err().to_string();
    assert!(refused.contains("no parameter that arms vary"), "{refused}");
}

#[test]
fn a_result_does_not_depend_on_where_patients_are() {
    let spec = StudySpec {
        model: "ckd-epi-2021".to_owned(),
        cuts: vec![30.0, 60.0, 90.0],
        k: 1,
        ..StudySpec::default()
    };
    let schema = spec.schema().unwrap();
    let twin = Twin::of_organ("kidney").unwrap();
    let twins: Vec<Weights> = patients("ckd-epi-2021")
        .iter()
        .map(|inputs| encode(&schema, &twin.features(inputs)).unwrap())
        .collect();
    let total = |cuts: &[usize]| {
        let mut rest = twins.as_slice();
        let mut counts: Vec<u64> = Vec::new();
        let mut hospitals = BTreeMap::new();
        for (hospital, size) in (1_u8..).zip(cuts) {
            hospitals.insert(hospital, *size);
        }
        let context = PlanContext {
            hospitals,
            parties: 4,
            threshold: 1,
            noise: NoiseModel::new(&REAL, 2, 4),
            seconds_per_bootstrap: 0.02,
            cores: 2,
        };
        let plan = plan(&spec.compile().unwrap(), &schema, &context).unwrap();
        for size in cuts {
            let (own, others) = rest.split_at(*size);
            rest = others;
            let part = clear::evaluate(&plan, own);
            if counts.is_empty() {
                counts = part;
            } else {
                for (sum, more) in counts.iter_mut().zip(part) {
                    *sum += more;
                }
            }
        }
        counts
    };
    let whole = total(&[300, 300]);
    assert_eq!(whole, total(&[1, 299, 150, 150]));
    assert_eq!(whole, total(&[599, 1]));
}
