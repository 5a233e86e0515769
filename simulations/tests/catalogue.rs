//! Every model of the catalogue on the exact integers: its worked examples, and random patients against the textbook formula.

use std::collections::BTreeMap;

use organtwin_simulations::{
    catalogue::{
        Checked, Given, Model, OutputKind, Tolerance,
        check::{random_inputs_at, random_patient},
        given, registry,
    },
    eval::{self, Answer, AnswerValue, Compiled},
};

/// Random patients of every model.
const PATIENTS: u64 = 2000;

fn examples(model: &Model) -> impl Iterator<Item = (Checked, &[(&str, f64, f64)])> {
    model.examples.iter().map(|example| {
        let numbers = example
            .given
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Given::Number(*value)));
        let lists = example
            .lists
            .iter()
            .map(|(key, list)| ((*key).to_owned(), Given::List(list.to_vec())));
        let given: BTreeMap<String, Given> = numbers.chain(lists).collect();
        let checked =
            given::check(model, &given).unwrap_or_else(|error| panic!("{}: {error}", model.id));
        (checked, example.expected)
    })
}

fn number(answer: &Answer) -> Option<f64> {
    match &answer.value {
        AnswerValue::Number { value } => Some(*value),
        AnswerValue::Points { value } => Some(*value as f64),
        AnswerValue::Category { index, .. } => Some(*index as f64),
        AnswerValue::Flag { value } => Some(f64::from(u8::from(*value))),
        AnswerValue::Missing => None,
    }
}

/// How far a number may be from the textbook's.
fn allowed(kind: &OutputKind, expected: f64) -> f64 {
    match kind {
        OutputKind::Number {
            tolerance: Tolerance::Absolute(distance),
            ..
        } => *distance,
        OutputKind::Number {
            tolerance: Tolerance::Relative(share),
            ..
        } => share * expected.abs(),
        _ => 0.0,
    }
}

#[test]
fn every_model_gives_its_worked_examples_by_the_textbook_formula_and_by_the_exact_integers() {
    for model in registry() {
        assert!(!model.examples.is_empty(), "{} has no example", model.id);
        for (checked, expected) in examples(model) {
            let reference = eval::reference(model, &checked);
            let clear = eval::clear(model, &checked)
                .unwrap_or_else(|error| panic!("{}: {error}", model.id));
            for (key, value, tolerance) in expected {
                let of = |answers: &[Answer]| {
                    let answer = answers.iter().find(|answer| answer.key == *key);
                    answer.and_then(number)
                };
                let (by_formula, by_integers) = (of(&reference), of(&clear));
                let distance = (by_formula.unwrap_or(f64::NAN) - value).abs();
                assert!(
                    distance <= *tolerance,
                    "{} {key}: the formula gives {by_formula:?}, expected {value}",
                    model.id
                );
                let kind = &model.output(key).unwrap().kind;
                let distance = (by_integers.unwrap_or(f64::NAN) - value).abs();
                assert!(
                    distance <= tolerance + allowed(kind, *value),
                    "{} {key}: the integers give {by_integers:?}, expected {value}",
                    model.id
                );
            }
        }
    }
}

#[test]
fn the_exact_integers_are_within_the_stated_distance_of_the_textbook_formula() {
    let mut failures = Vec::new();
    for model in registry() {
        let Some((checked, _)) = examples(model).next() else {
            continue;
        };
        let parameters = checked.parameters;
        let compiled = Compiled::new(model, &parameters)
            .unwrap_or_else(|error| panic!("{}: {error}", model.id));
        let mut worst = vec![0.0_f64; model.outputs.len()];
        let mut decided = vec![(0_u32, 0_u32); model.outputs.len()];
        for seed in 0..PATIENTS {
            let inputs = random_inputs_at(model, &parameters, seed);
            let patient = Checked {
                inputs,
                parameters: parameters.clone(),
            };
            let reference = eval::reference(model, &patient);
            let clear = compiled.clear(&patient.inputs).unwrap();
            for (index, output) in model.outputs.iter().enumerate() {
                let (expected, got) = (&reference[index], &clear[index]);
                match (&output.kind, &expected.value) {
                    (_, AnswerValue::Missing) => {}
                    (OutputKind::Number { .. }, AnswerValue::Number { value }) => {
                        let found = number(got).unwrap_or(f64::NAN);
                        let share = (found - value).abs() / allowed(&output.kind, *value);
                        if share.is_nan() || share > 1.0 {
                            worst[index] = f64::INFINITY.min(share.max(worst[index]));
                        }
                        worst[index] = worst[index].max(share);
                    }
                    (OutputKind::Points, value) => {
                        assert_eq!(value, &got.value, "{} {}", model.id, output.key);
                    }
                    (_, value) => {
                        decided[index].0 += 1;
                        decided[index].1 += u32::from(*value != got.value);
                    }
                }
            }
        }
        for (index, output) in model.outputs.iter().enumerate() {
            let (of, differing) = decided[index];
            let share = f64::from(differing) / f64::from(of.max(1));
            println!(
                "{:<32} {:<36} {:>6.2} of the tolerance, {:.2} % other side",
                model.id,
                output.key,
                worst[index],
                100.0 * share
            );
            if worst[index].is_nan() || worst[index] > 1.0 || share > 0.005 {
                failures.push(format!(
                    "{} {}: {:.2} of the tolerance, {:.2} % on the other side",
                    model.id,
                    output.key,
                    worst[index],
                    100.0 * share
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_model_compiles_at_random_parameters() {
    for model in registry() {
        for seed in 0..20 {
            let (_, parameters) = random_patient(model, seed);
            let compiled = Compiled::new(model, &parameters);
            let error = compiled.err().map(|error| error.to_string());
            assert_eq!(
                error, None,
                "{} with the parameters of seed {seed}",
                model.id
            );
        }
    }
}

#[test]
fn what_is_given_and_answered_for_a_patient_is_not_printed() {
    let model = registry()[0];
    let (checked, _) = examples(model).next().unwrap();
    let answers = eval::clear(model, &checked).unwrap();
    let printed = format!("{checked:?} {answers:?} {:?}", Given::Number(61.5));
    for shown in ["61.5", "57.", "1.1"] {
        assert!(!printed.contains(shown), "{printed}");
    }
    assert!(printed.contains("not shown"));
}
