use std::collections::BTreeSet;

use super::*;
use crate::encode::{Features, encode};
use crate::twin::Twin;

/// A weight as an adversary may choose it.
fn word(value: i64) -> u128 {
    i128::from(value).cast_unsigned()
}

fn axis(name: &str, scale: Scale, nodes: u16) -> Axis {
    Axis {
        name: name.into(),
        unit: "1".into(),
        scale,
        lo: 0.0,
        hi: f64::from(nodes - 1),
        nodes,
    }
}

fn plane(first: (Scale, u16), second: (Scale, u16)) -> Schema {
    let plane = Plane {
        name: "plane".into(),
        first: axis("first", first.0, first.1),
        second: axis("second", second.0, second.1),
    };
    Schema::new("test", vec![], vec![plane])
}

/// Every value that the encoder tells apart, and none.
fn positions(axis: &Axis) -> Vec<Option<f64>> {
    let step = if axis.fraction_bits() == 0 { UNIT } else { 1 };
    let all = (0..=axis.last_position()).step_by(step as usize);
    all.map(|at| Some(f64::from(at) / f64::from(UNIT)))
        .chain([None])
        .collect()
}

/// All twins of a schema with one axis or one plane.
fn honest(schema: &Schema) -> BTreeSet<Vec<u32>> {
    let axes: Vec<&Axis> = match (schema.axes(), schema.planes()) {
        ([axis], _) => vec![axis],
        (_, [plane]) => vec![&plane.first, &plane.second],
        _ => panic!("one axis or one plane"),
    };
    let second = axes.get(1).map_or(vec![None], |axis| positions(axis));
    let mut twins = BTreeSet::new();
    for a in positions(axes[0]) {
        for b in &second {
            let mut features = Features::from([(axes[0].name.clone(), a)]);
            if let Some(axis) = axes.get(1) {
                features.insert(axis.name.clone(), *b);
            }
            twins.insert(encode(schema, &features).unwrap().as_slice().to_vec());
        }
    }
    twins
}

/// All values of the weights in -3..=19 of which no two break a product, that sum to 16.
fn candidates(equations: &Equations) -> Vec<Vec<i64>> {
    let apart = &equations.apart[0];
    let mut found = vec![vec![]];
    for slot in 0..apart.count {
        let mut longer = Vec::new();
        for weights in &found {
            let free = weights
                .iter()
                .enumerate()
                .all(|(other, w)| *w == 0 || apart.may_meet(other, slot));
            let range = if free { -3..=19 } else { 0..=0 };
            longer.extend(range.map(|w| {
                let mut next: Vec<i64> = weights.clone();
                next.push(w);
                next
            }));
        }
        found = longer;
    }
    found.retain(|weights| weights.iter().sum::<i64>() == 16);
    found
}

/// Compares what passes with what the encoder makes, over all fractions.
fn only_honest_weights_pass(schema: &Schema) {
    let equations = Equations::of(schema);
    let honest = honest(schema);
    let nodes = equations.apart[0].count;
    let bits = equations.slots - nodes;
    let mut passing = BTreeSet::new();
    let mut fractions = BTreeSet::new();
    for weights in candidates(&equations) {
        for pattern in 0..1u32 << bits {
            let mut values: Vec<u128> = weights.iter().map(|w| word(*w)).collect();
            values.extend((0..bits).map(|bit| u128::from(pattern >> bit & 1)));
            if equations.hold_for(&values) {
                passing.insert(weights.clone());
                let found: Vec<u32> = (0..bits / 4).map(|f| pattern >> (4 * f) & 15).collect();
                fractions.insert((weights.clone(), found));
            }
        }
    }
    let expected: BTreeSet<Vec<i64>> = honest
        .iter()
        .map(|twin| twin[..nodes].iter().map(|w| i64::from(*w)).collect())
        .collect();
    assert_eq!(passing, expected);
    // A fraction is the encoder's or its mirror image.
    for (weights, found) in &fractions {
        let twin = honest
            .iter()
            .find(|twin| {
                twin[..nodes]
                    .iter()
                    .map(|w| i64::from(*w))
                    .eq(weights.iter().copied())
            })
            .unwrap();
        for (at, got) in found.iter().enumerate() {
            let bits = &twin[nodes + 4 * at..nodes + 4 * at + 4];
            let right = bits.iter().rev().fold(0, |f, bit| 2 * f + bit);
            assert!(*got == right || (right > 0 && *got == UNIT - right));
        }
    }
    // And the encoder's own always passes.
    for twin in &honest {
        assert!(equations.hold_for_weights(twin), "{twin:?}");
    }
}

#[test]
fn exactly_the_weights_of_the_encoder_pass_on_axes() {
    for (scale, nodes) in [
        (Scale::Linear, 2),
        (Scale::Linear, 4),
        (Scale::Categorical, 1),
        (Scale::Categorical, 4),
    ] {
        only_honest_weights_pass(&Schema::new("test", vec![axis("a", scale, nodes)], vec![]));
    }
}

#[test]
fn exactly_the_weights_of_the_encoder_pass_on_planes() {
    use Scale::{Categorical, Linear};
    for (first, second) in [
        ((Linear, 2), (Linear, 2)),
        ((Linear, 3), (Linear, 2)),
        ((Categorical, 3), (Linear, 3)),
        ((Linear, 3), (Categorical, 2)),
        ((Categorical, 2), (Categorical, 3)),
    ] {
        only_honest_weights_pass(&plane(first, second));
    }
}

#[test]
fn every_organ_has_equations_that_its_empty_twin_fulfils() {
    for twin in Twin::all() {
        let schema = twin.schema();
        let equations = Equations::of(&schema);
        let mut weights = encode(&schema, &Features::new())
            .unwrap()
            .as_slice()
            .to_vec();
        assert!(equations.hold_for_weights(&weights), "{}", schema.id());
        // Every slot is in some equation: no other value of one slot passes.
        for slot in 0..weights.len() {
            let kept = weights[slot];
            weights[slot] = if kept == 0 { 1 } else { 0 };
            assert!(
                !equations.hold_for_weights(&weights),
                "{} slot {slot}",
                schema.id()
            );
            weights[slot] = kept;
        }
    }
}

/// A deviating twin on an axis of six nodes whose honest value is 2 + 5/16.
fn deviating(change: impl Fn(&mut Vec<i64>)) -> Vec<u128> {
    let mut weights = vec![0, 0, 11, 5, 0, 0, 0, 1, 0, 1, 0];
    change(&mut weights);
    weights.into_iter().map(word).collect()
}

#[test]
fn each_deviation_of_an_axis_breaks_an_equation() {
    let equations = Equations::of(&Schema::new("t", vec![axis("a", Scale::Linear, 6)], vec![]));
    assert!(equations.hold_for(&deviating(|_| {})));
    let cases: [(&str, fn(&mut Vec<i64>)); 9] = [
        ("a sum of 17", |w| w[3] = 6),
        ("1000 beside -984", |w| (w[2], w[3]) = (1000, -984)),
        ("12 beside 4 at fraction 5", |w| (w[2], w[3]) = (12, 4)),
        ("no neighbours", |w| (w[3], w[4]) = (0, 5)),
        ("three nodes", |w| (w[1], w[2]) = (5, 6)),
        ("missing beside weights", |w| (w[2], w[6]) = (0, 11)),
        ("missing with a fraction", |w| {
            (w[2], w[3], w[6]) = (0, 0, 16);
        }),
        ("a bit of two", |w| (w[7], w[9]) = (5, 0)),
        ("another fraction", |w| w[8] = 1),
    ];
    for (name, change) in cases {
        assert!(!equations.hold_for(&deviating(change)), "{name}");
    }
}

/// What is left of a broken equation modulo 2^128 decides how likely random coefficients hide it (4.2).
#[test]
fn what_vanishes_near_a_double_root_is_still_far_from_zero() {
    let equations = Equations::of(&Schema::new("t", vec![axis("a", Scale::Linear, 2)], vec![]));
    // Half the torus more on one node and less on the other, at the fraction where both roots meet.
    let far = 1i64 << 20;
    let values: Vec<u128> = [8 + far, 8 - far, 0, 0, 0, 0, 1].map(word).to_vec();
    let left: Vec<u32> = equations
        .forms
        .iter()
        .map(|form| form.value(&values).unwrap())
        .filter(|value| *value != 0)
        .map(u128::trailing_zeros)
        .collect();
    assert_eq!(left, [41]);
}
