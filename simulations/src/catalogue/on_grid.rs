//! Formulas in floating point on the grid of a twin: what interpolation and placing to a sixteenth of a node cost.

use crate::{
    catalogue::{Default_, InputKind, Model, OutputKind, Tolerance, Values},
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

/// Pseudo-random shares from 0 to 1 for samples.
pub(crate) fn shares(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mixed = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 32)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A patient with every input in its plausible range, or in a narrower one.
pub(crate) fn patient(
    model: &Model,
    narrow: &[(&str, f64, f64)],
    share: &mut impl FnMut() -> f64,
) -> Values {
    let mut values = Values::default();
    for input in model.inputs {
        let own = narrow.iter().find(|(key, _, _)| *key == input.key);
        let value = match (&input.kind, own) {
            (_, Some((_, lo, hi))) => lo + share() * (hi - lo),
            (InputKind::Number { lo, hi }, None) => lo + share() * (hi - lo),
            (InputKind::Flag, None) => (share() * 2.0).floor(),
            (InputKind::Choice { labels }, None) => (share() * labels.len() as f64).floor(),
        };
        values.set(input.key, value);
    }
    values
}

/// The worst error of an output over random patients on the grid, by its tolerance: relative or absolute, and the patients with
/// a value. Values below `least` are left out.
pub(crate) fn worst(
    model: &Model,
    output: &str,
    given: &[(&str, f64)],
    narrow: &[(&str, f64, f64)],
    least: f64,
) -> (f64, f64, u32) {
    let twin = Twin::of_organ(model.organ).unwrap();
    let parameters = parameters(model, given);
    let Some(Formula::Number(additive)) = (model.formula)(output, &parameters) else {
        panic!("{} {output} is no number", model.id);
    };
    let relative = match model.output(output).unwrap().kind {
        OutputKind::Number {
            tolerance: Tolerance::Absolute(_),
            ..
        } => false,
        _ => true,
    };
    let mut share = shares(7);
    let mut errors = Vec::new();
    for _ in 0..3000 {
        let inputs = patient(model, narrow, &mut share);
        let expected = (model.reference)(&inputs, &parameters).get(output);
        let got = number(&twin, &inputs, &additive);
        assert_eq!(got.is_some(), expected.is_some(), "{} {output}", model.id);
        if let (Some(got), Some(expected)) = (got, expected)
            && expected >= least
        {
            let error = (got - expected).abs();
            errors.push(if relative { error / expected } else { error });
        }
    }
    errors.sort_by(f64::total_cmp);
    let count = errors.len();
    assert!(count >= 100, "{} {output}: only {count} patients", model.id);
    (errors[count - 1], errors[count * 95 / 100], count as u32)
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
