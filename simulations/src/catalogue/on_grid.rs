//! Formulas in floating point on the grid of a twin: what interpolation and placing to a sixteenth of a node cost.

use std::collections::BTreeMap;

use crate::{
    catalogue::{Default_, Model, OutputKind, Tolerance, Values, check::random_patient},
    encode::position,
    formula::{Additive, Condition, Formula, Term},
    schema::{Axis, Scale, UNIT},
    twin::{Feature, Twin},
};

/// The nodes around a value with the share of the second.
fn cell(axis: &Axis, value: f64) -> (f64, f64, f64) {
    let at = position(axis, value.clamp(axis.lo, axis.hi)).unwrap();
    let node = f64::from(at / UNIT);
    let share = f64::from(at % UNIT) / f64::from(UNIT);
    let value_of = |node: f64| match axis.scale {
        Scale::Categorical => node,
        Scale::Linear | Scale::Log => axis.value_at(node * f64::from(UNIT)),
    };
    let last = f64::from(axis.nodes - 1);
    (value_of(node), value_of((node + 1.0).min(last)), share)
}

fn feature<'t>(twin: &'t Twin, name: &str) -> &'t Feature {
    let found = twin.features.iter().find(|known| known.axis.name == name);
    found.unwrap_or_else(|| panic!("no axis {name}"))
}

/// A number as a program on the grid gives it, before its tables are rounded.
pub(crate) fn number(twin: &Twin, inputs: &Values, additive: &Additive) -> Option<f64> {
    let mut sum = additive.constant;
    for term in &additive.terms {
        sum += match term {
            Term::Axis { axis, value, .. } => {
                let feature = feature(twin, axis);
                let (low, high, share) = cell(&feature.axis, (feature.derive)(inputs)?);
                (1.0 - share) * value(low) + share * value(high)
            }
            Term::Plane { plane, value, .. } => {
                let pair = twin.planes.iter().find(|pair| pair.name == *plane);
                let pair = pair.unwrap_or_else(|| panic!("no plane {plane}"));
                let (a, b, x) = cell(&pair.first.axis, (pair.first.derive)(inputs)?);
                let (c, d, y) = cell(&pair.second.axis, (pair.second.derive)(inputs)?);
                let middle = if x >= y { value(b, c) } else { value(a, d) };
                (1.0 - x.max(y)) * value(a, c) + (x - y).abs() * middle + x.min(y) * value(b, d)
            }
            Term::If { condition, value } => {
                if holds(twin, inputs, condition)? {
                    *value
                } else {
                    0.0
                }
            }
            Term::Staircase { of, cuts, levels } => {
                let of = number(twin, inputs, of)?;
                levels[cuts.iter().filter(|cut| of >= **cut).count()]
            }
        };
    }
    Some(additive.link.forward(sum))
}

/// A condition on the grid.
pub(crate) fn holds(twin: &Twin, inputs: &Values, condition: &Condition) -> Option<bool> {
    Some(match condition {
        Condition::AtLeast(of, cut) => number(twin, inputs, of)? >= *cut,
        Condition::Below(of, cut) => number(twin, inputs, of)? < *cut,
        Condition::Not(of) => !holds(twin, inputs, of)?,
        Condition::All(all) => {
            let all: Option<Vec<bool>> = all.iter().map(|one| holds(twin, inputs, one)).collect();
            all?.into_iter().all(|one| one)
        }
        Condition::Any(any) => {
            let any: Option<Vec<bool>> = any.iter().map(|one| holds(twin, inputs, one)).collect();
            any?.into_iter().any(|one| one)
        }
    })
}

/// The parameters of a model at their defaults, some of them set.
pub(crate) fn parameters(model: &Model, given: &[(&str, f64)]) -> Values {
    let mut values = Values::default();
    for parameter in model.parameters {
        match parameter.default {
            Default_::Required => {}
            Default_::Number(default) => values.set(parameter.key, default),
            Default_::List(default) => values.set_list(parameter.key, default.to_vec()),
        }
    }
    for (key, value) in given {
        assert!(
            model.parameters.iter().any(|known| known.key == *key),
            "{} has no {key}",
            model.id
        );
        values.set(key, *value);
    }
    values
}

/// How far an output on the grid is from the reference over random patients: relative or absolute as its tolerance is.
pub(crate) struct Errors {
    /// The largest.
    pub(crate) most: f64,
    /// That of all but one in twenty.
    pub(crate) usual: f64,
    /// The patients with a value.
    pub(crate) patients: usize,
}

/// The errors of every number of a model over random patients, with its parameters at their defaults or drawn at random.
pub(crate) fn errors(model: &Model, patients: u64, random: bool) -> Vec<(&'static str, Errors)> {
    let twin = Twin::of_organ(model.organ).unwrap();
    let defaults = parameters(model, &[]);
    let mut all: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for seed in 0..patients {
        let (inputs, drawn) = random_patient(model, seed);
        let parameters = if random { &drawn } else { &defaults };
        let reference = (model.reference)(&inputs, parameters);
        for output in model.outputs {
            let Some(Formula::Number(additive)) = (model.formula)(output.key, parameters) else {
                continue;
            };
            let got = number(&twin, &inputs, &additive);
            let expected = reference.get(output.key);
            assert_eq!(
                got.is_some(),
                expected.is_some(),
                "{} {}",
                model.id,
                output.key
            );
            let (Some(got), Some(expected)) = (got, expected) else {
                continue;
            };
            let error = (got - expected).abs();
            let relative = match output.kind {
                OutputKind::Number { tolerance, .. } => matches!(tolerance, Tolerance::Relative(_)),
                _ => false,
            };
            let errors = all.entry(output.key).or_default();
            errors.push(if relative { error / expected } else { error });
        }
    }
    let sorted = all.into_iter().map(|(key, mut errors)| {
        errors.sort_by(f64::total_cmp);
        let patients = errors.len();
        let errors = Errors {
            most: errors[patients - 1],
            usual: errors[patients * 95 / 100],
            patients,
        };
        (key, errors)
    });
    sorted.collect()
}

/// Checks that every number of the models is within its stated tolerance on the grid: for all patients where the parameters are at
/// their defaults, for 19 of 20 where they are random.
pub(crate) fn are_within_their_tolerance(models: &[&Model], patients: u64) {
    for model in models {
        for random in [false, true] {
            for (key, errors) in errors(model, if random { patients / 8 } else { patients }, random)
            {
                let Errors {
                    most,
                    usual,
                    patients,
                } = errors;
                println!(
                    "{} {key} {random}: max {most:.5}, p95 {usual:.5}, {patients}",
                    model.id
                );
                let allowed = match model.output(key).unwrap().kind {
                    OutputKind::Number { tolerance, .. } => match tolerance {
                        Tolerance::Absolute(distance) => distance,
                        Tolerance::Relative(share) => share,
                    },
                    _ => 1e-9,
                };
                assert!(usual <= allowed, "{} {key}: {usual}", model.id);
                assert!(random || most <= allowed, "{} {key}: {most}", model.id);
            }
        }
    }
}

/// The worked examples of a model, which its reference must give.
pub(crate) fn gives_its_examples(model: &Model) {
    assert!(!model.examples.is_empty(), "{}", model.id);
    for example in model.examples {
        let mut inputs = Values::default();
        let mut own = parameters(model, &[]);
        for (key, value) in example.given {
            if model.inputs.iter().any(|input| input.key == *key) {
                inputs.set(key, *value);
            } else {
                assert!(
                    model.parameters.iter().any(|known| known.key == *key),
                    "{} {key}",
                    model.id
                );
                own.set(key, *value);
            }
        }
        for (key, list) in example.lists {
            own.set_list(key, list.to_vec());
        }
        let out = (model.reference)(&inputs, &own);
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
