use std::collections::BTreeSet;

use super::*;
use crate::catalogue::{Example, OutputKind, class::band, input, registry};

const PATIENTS: u64 = 2000;

/// The inputs and parameters of an example, with other units converted and defaults filled in.
fn given(model: &Model, example: &Example) -> (Values, Values) {
    let (mut inputs, mut parameters) = (Values::default(), Values::default());
    for parameter in model.parameters {
        match parameter.default {
            Default_::Required => {}
            Default_::Number(default) => parameters.set(parameter.key, default),
            Default_::List(default) => parameters.set_list(parameter.key, default.to_vec()),
        }
    }
    for (key, value) in example.given {
        let known = model.inputs.iter().find_map(|input| {
            let alias = input.aliases.iter().find(|alias| alias.key == *key);
            let factor = if input.key == *key {
                1.0
            } else {
                alias?.factor
            };
            Some((input, value * factor))
        });
        if let Some((input, value)) = known {
            if let InputKind::Number { lo, hi } = input.kind {
                assert!((lo..=hi).contains(&value), "{} {key} {value}", model.id);
            }
            inputs.set(input.key, value);
        } else {
            assert!(
                model.parameters.iter().any(|known| known.key == *key),
                "{} knows no {key}",
                model.id
            );
            parameters.set(key, *value);
        }
    }
    for (key, list) in example.lists {
        parameters.set_list(key, list.to_vec());
    }
    for input in model.inputs {
        assert!(
            inputs.get(input.key).is_some() || model.optional.contains(&input.key),
            "{} lacks {}",
            model.id,
            input.key
        );
    }
    (inputs, parameters)
}

#[test]
fn every_reference_gives_its_worked_examples() {
    for model in registry() {
        assert!(!model.examples.is_empty(), "{} has no example", model.id);
        for example in model.examples {
            let (inputs, parameters) = given(model, example);
            let out = (model.reference)(&inputs, &parameters);
            for (key, expected, tolerance) in example.expected {
                let got = out.of(key);
                assert!(
                    (got - expected).abs() <= *tolerance,
                    "{} {key}: {got}, expected {expected}",
                    model.id
                );
            }
        }
    }
}

/// Compares formulas with references; gives the number of patients with at least one output.
fn compare(model: &Model) -> u64 {
    let twin = Twin::of_organ(model.organ).unwrap();
    let mut with_value = 0;
    for seed in 0..PATIENTS {
        let (inputs, parameters) = random_patient(model, seed);
        let reference = (model.reference)(&inputs, &parameters);
        let exact = Exact::new(&twin, &inputs);
        let formulas: Vec<_> = formulas(model, &parameters).collect();
        let computed = |key: &str| {
            let (_, formula) = formulas.iter().find(|(known, _)| *known == key)?;
            exact.output(formula)
        };
        with_value += u64::from(reference.numbers().next().is_some());
        for output in model.outputs {
            let expected = reference.get(output.key);
            let at = format!("{} {} of patient {seed}", model.id, output.key);
            if let OutputKind::Category { of, cuts, .. } = output.kind {
                let number = computed(of);
                assert_eq!(number.is_some(), expected.is_some(), "{at}");
                if let (Some(number), Some(expected)) = (number, expected) {
                    let near = 1e-9 * number.abs();
                    let range = band(number - near, cuts)..=band(number + near, cuts);
                    assert!(range.contains(&expected), "{at}: {expected}, {range:?}");
                }
                continue;
            }
            let got = computed(output.key);
            assert_eq!(got.is_some(), expected.is_some(), "{at}: {got:?}");
            if let (Some(got), Some(expected)) = (got, expected) {
                let allowed = match output.kind {
                    OutputKind::Number { .. } => 1e-6 * expected.abs().max(1.0),
                    _ => 1e-9,
                };
                assert!(
                    (got - expected).abs() <= allowed,
                    "{at}: {got}, expected {expected}"
                );
            }
        }
    }
    with_value
}

#[test]
fn formulas_on_exact_features_equal_the_textbook_on_random_patients() {
    for model in registry() {
        let with_value = compare(model);
        assert!(
            with_value >= PATIENTS / 20,
            "{}: {with_value} of {PATIENTS} patients have a value",
            model.id
        );
    }
}

#[test]
fn random_patients_lie_on_their_axes_and_are_the_same_for_a_seed() {
    for model in registry() {
        let twin = Twin::of_organ(model.organ).unwrap();
        for seed in 0..200 {
            let (inputs, parameters) = random_patient(model, seed);
            let again = random_patient(model, seed);
            assert!(again == (inputs.clone(), parameters.clone()));
            let exact = Exact::new(&twin, &inputs);
            for (key, formula) in formulas(model, &parameters) {
                assert!(exact.on_axes(&formula), "{} {key} {seed}", model.id);
            }
        }
    }
}

#[test]
fn every_model_is_well_formed() {
    let mut ids = BTreeSet::new();
    for model in registry() {
        assert!(ids.insert(model.id), "{} twice", model.id);
        let keys: BTreeSet<_> = model.outputs.iter().map(|output| output.key).collect();
        assert_eq!(keys.len(), model.outputs.len(), "{}", model.id);
        let mut names: BTreeSet<&str> = model.inputs.iter().map(|input| input.key).collect();
        names.extend(model.parameters.iter().map(|parameter| parameter.key));
        assert_eq!(names.len(), model.inputs.len() + model.parameters.len());
        for input in model.inputs {
            let known = input::find(input.key);
            assert!(
                known.is_some_and(|known| known.unit == input.unit),
                "{} is not in the dictionary",
                input.key
            );
        }
        for output in model.outputs {
            if let OutputKind::Category { of, cuts, labels } = output.kind {
                assert!(keys.contains(of), "{} {of}", model.id);
                assert!(cuts.is_sorted(), "{} {}", model.id, output.key);
                assert_eq!(labels.len(), cuts.len() + 1, "{} {}", model.id, output.key);
            }
        }
        for parameter in model.parameters {
            let range = parameter.lo..=parameter.hi;
            let inside = match parameter.default {
                Default_::Required => true,
                Default_::Number(default) => range.contains(&default),
                Default_::List(default) => default.iter().all(|one| range.contains(one)),
            };
            assert!(inside, "{} {}", model.id, parameter.key);
        }
        if let Some(arm) = model.arm {
            assert!(names.contains(arm), "{} has no {arm}", model.id);
        }
    }
}

#[test]
fn twins_keep_their_size_and_every_name_means_one_axis() {
    for twin in Twin::all() {
        let schema = twin.schema();
        assert!(schema.slots() <= 1250, "{}: {}", twin.id, schema.slots());
        let mut axes = std::collections::BTreeMap::new();
        for feature in twin.axes() {
            let axis = &feature.axis;
            let known = axes.entry(axis.name.clone()).or_insert(axis);
            assert_eq!(*known, axis, "{}", twin.id);
        }
    }
}

#[test]
fn every_key_of_the_dictionary_in_any_unit_is_there_once() {
    let mut keys = BTreeSet::new();
    for input in input::all() {
        assert!(keys.insert(input.key), "{} twice", input.key);
        for alias in input.aliases {
            assert!(keys.insert(alias.key), "{} twice", alias.key);
            assert!(alias.factor > 0.0);
        }
        if let InputKind::Number { lo, hi } = input.kind {
            assert!(lo < hi, "{}", input.key);
        }
    }
}
