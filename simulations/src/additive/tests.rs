use super::*;
use crate::{formula::Formula, schema::Axis, schema::Scale, twin::Twin};

fn heart() -> Schema {
    Twin::of_organ("heart").unwrap().schema()
}

fn model(link: Linkage, terms: Vec<AdditiveTerm>) -> AdditiveModel {
    AdditiveModel {
        name: "m".into(),
        organ: "heart".into(),
        output: "risk".into(),
        link,
        intercept: 0.5,
        terms,
    }
}

fn steps(axis: &str, missing: Option<f64>) -> AdditiveTerm {
    AdditiveTerm::Steps {
        axis: axis.into(),
        cuts: vec![50.0, 60.0],
        values: vec![-1.0, 0.25, 2.0],
        missing,
    }
}

fn patient(pairs: &[(&str, f64)]) -> Features {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some(*value)))
        .collect()
}

#[test]
fn shapes_take_their_values_by_hand() {
    let at = |term: &AdditiveTerm, value: f64| term.at(value, 0.0);
    let term = steps("age_years", None);
    assert_eq!(
        [49.9, 50.0, 59.0, 60.0, 99.0].map(|age| at(&term, age)),
        [-1.0, 0.25, 0.25, 2.0, 2.0]
    );
    let term = AdditiveTerm::Line {
        axis: "age_years".into(),
        knots: vec![40.0, 60.0, 70.0],
        values: vec![1.0, 2.0, 0.0],
        missing: None,
    };
    assert_eq!(
        [30.0, 40.0, 45.0, 60.0, 65.0, 70.0, 90.0].map(|age| at(&term, age)),
        [1.0, 1.0, 1.25, 2.0, 1.0, 0.0, 0.0]
    );
    let term = AdditiveTerm::Linear {
        axis: "age_years".into(),
        coefficient: 0.1,
        centre: 50.0,
        missing: None,
    };
    assert_eq!(at(&term, 60.0), 1.0);
    let term = AdditiveTerm::Categories {
        axis: "sex".into(),
        values: vec![3.0, 4.0],
        missing: None,
    };
    assert_eq!((at(&term, 0.0), at(&term, 1.0)), (3.0, 4.0));
}

#[test]
fn a_missing_feature_makes_the_score_missing_unless_the_model_states_a_value() {
    let nobody = Features::new();
    let strict = model(Linkage::Identity {}, vec![steps("age_years", None)]);
    assert_eq!(strict.reference(&nobody), None);
    let stated = model(Linkage::Identity {}, vec![steps("age_years", Some(7.0))]);
    assert_eq!(stated.reference(&nobody), Some(7.5));
    assert_eq!(
        stated.reference(&patient(&[("age_years", 55.0)])),
        Some(0.75)
    );
    let Formula::Number(formula) = stated.formula(&heart()).unwrap() else {
        panic!("no number");
    };
    assert!(matches!(
        formula.terms.as_slice(),
        [Term::Axis { axis, missing: Some(value), .. }] if axis == "age_years" && *value == 7.0
    ));
}

#[test]
fn every_link_is_inverted_by_its_inverse() {
    let cox = Linkage::Cox {
        baseline_survival: 0.9,
        years: 5.0,
    };
    for link in [
        Linkage::Identity {},
        Linkage::Exp {},
        Linkage::Logit {},
        cox,
    ] {
        for sum in [-3.0, -0.5, 0.0, 0.7, 2.0] {
            let there_and_back = link.link().inverse(link.link().forward(sum));
            assert!((there_and_back - sum).abs() < 1e-9, "{link:?} at {sum}");
        }
    }
    // At a sum of 0 the risk is what the baseline leaves; twice the hazard squares the survival.
    assert!((cox.link().forward(0.0) - 0.1).abs() < 1e-12);
    assert!((cox.link().forward(std::f64::consts::LN_2) - (1.0 - 0.81)).abs() < 1e-12);
}

#[test]
fn a_model_that_the_twin_cannot_carry_is_refused() {
    let heart = heart();
    let check = |model: AdditiveModel| model.check(&heart).unwrap_err();
    let sound = || model(Linkage::Logit {}, vec![steps("age_years", None)]);
    assert_eq!(sound().check(&heart), Ok(()));
    assert!(matches!(
        check(AdditiveModel {
            name: "../m".into(),
            ..sound()
        }),
        AdditiveError::Name { what: "name" }
    ));
    assert!(matches!(
        check(AdditiveModel {
            output: String::new(),
            ..sound()
        }),
        AdditiveError::Name { what: "output" }
    ));
    assert!(matches!(
        check(AdditiveModel {
            organ: "spleen".into(),
            ..sound()
        }),
        AdditiveError::NoSuchOrgan(_)
    ));
    assert!(matches!(
        check(AdditiveModel {
            organ: "kidney".into(),
            ..sound()
        }),
        AdditiveError::NoSuchOrgan(_)
    ));
    assert!(matches!(
        check(AdditiveModel {
            intercept: f64::NAN,
            ..sound()
        }),
        AdditiveError::Number { .. }
    ));
    assert!(matches!(
        check(model(Linkage::Logit {}, vec![steps("weather", None)])),
        AdditiveError::NoSuchAxis { .. }
    ));
    assert!(matches!(
        check(model(
            Linkage::Logit {},
            vec![steps("age_years", Some(f64::INFINITY))]
        )),
        AdditiveError::Number { .. }
    ));
    let categories = |axis: &str, values: Vec<f64>| {
        let axis = axis.into();
        model(
            Linkage::Logit {},
            vec![AdditiveTerm::Categories {
                axis,
                values,
                missing: None,
            }],
        )
    };
    assert!(matches!(
        check(categories("age_years", vec![1.0, 2.0])),
        AdditiveError::Kind { .. }
    ));
    assert!(matches!(
        check(categories("sex", vec![1.0])),
        AdditiveError::Length {
            expected: 2,
            got: 1,
            ..
        }
    ));
    let long = AdditiveTerm::Steps {
        axis: "age_years".into(),
        cuts: (0..2000).map(f64::from).collect(),
        values: vec![0.0; 2001],
        missing: None,
    };
    assert!(matches!(
        check(model(Linkage::Logit {}, vec![long])),
        AdditiveError::TooMany { .. }
    ));
}

#[test]
fn the_quantisation_is_nothing_on_nodes_and_at_most_the_step_between_them() {
    let axis = Axis {
        nodes: 11,
        ..Axis::continuous("age_years", "a", Scale::Linear, 40.0, 90.0)
    };
    let schema = Schema::new("heart/1", vec![axis], Vec::new());
    let model = model(Linkage::Identity {}, vec![steps("age_years", None)]);
    let on_nodes: Vec<Features> = (0..=10)
        .map(|node| patient(&[("age_years", 40.0 + 5.0 * f64::from(node))]))
        .collect();
    let error = quantisation(&model, &schema, 0.0, &on_nodes).unwrap();
    assert_eq!(
        (error.patients, error.worst_sum, error.worst),
        (11, 0.0, 0.0)
    );
    // A tenth is the unit: every table value is off by at most half of it.
    let error = quantisation(&model, &schema, 0.1, &on_nodes).unwrap();
    assert!((error.worst_sum - 0.05).abs() < 1e-9, "{error:?}");
    // Just below the step of 1.75 at 60 the grid has gone 15/16 of the way up.
    let below = [patient(&[("age_years", 59.7)])];
    let error = quantisation(&model, &schema, 0.0, &below).unwrap();
    assert!(
        (error.worst_sum - 1.75 * 15.0 / 16.0).abs() < 1e-9,
        "{error:?}"
    );
    let random = random_patients(&model, &schema, 1, 4000);
    assert_eq!(random, random_patients(&model, &schema, 1, 4000));
    let error = quantisation(&model, &schema, 0.0, &random).unwrap();
    assert!(error.patients > 3400 && error.patients < 3800, "{error:?}");
    assert!(
        error.worst_sum <= 1.75 && error.worst_sum > 1.5,
        "{error:?}"
    );
    assert!(error.p95_sum < error.worst_sum, "{error:?}");
}

#[test]
fn a_pair_of_categories_is_exact_on_its_plane() {
    let (first, second) = (
        Axis::categorical("sex", 2),
        Axis::categorical("st_slope", 3),
    );
    let plane = crate::schema::Plane {
        name: "both".into(),
        first: second.clone(),
        second: first.clone(),
    };
    let schema = Schema::new("heart/1", vec![first, second], vec![plane]);
    let pair = AdditiveTerm::Pair {
        first: "sex".into(),
        second: "st_slope".into(),
        first_cuts: vec![0.5],
        second_cuts: vec![0.5, 1.5],
        values: vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0],
        missing: None,
    };
    let model = model(Linkage::Identity {}, vec![pair]);
    let everyone: Vec<Features> = (0..6)
        .map(|n| patient(&[("sex", f64::from(n / 3)), ("st_slope", f64::from(n % 3))]))
        .collect();
    let sums: Vec<f64> = everyone.iter().filter_map(|one| model.sum(one)).collect();
    assert_eq!(sums, [0.5, 1.5, 2.5, 10.5, 11.5, 12.5]);
    let error = quantisation(&model, &schema, 1.0, &everyone).unwrap();
    assert_eq!((error.patients, error.worst_sum), (6, 0.0));
}

#[test]
fn the_same_formula_comes_out_of_the_twin_s_terms() {
    let terms = vec![
        steps("age_years", Some(0.0)),
        AdditiveTerm::Categories {
            axis: "sex".into(),
            values: vec![-0.3, 0.6],
            missing: None,
        },
    ];
    let model = model(Linkage::Logit {}, terms);
    let formula = model.additive(&heart()).unwrap();
    for (age, sex) in [(45.0, 0.0), (55.0, 1.0), (75.0, 1.0)] {
        let sum: f64 = formula
            .terms
            .iter()
            .map(|term| match term {
                Term::Axis { axis, value, .. } if axis == "sex" => value(sex),
                Term::Axis { value, .. } => value(age),
                _ => panic!("another term"),
            })
            .sum();
        let expected = model.reference(&patient(&[("age_years", age), ("sex", sex)]));
        assert_eq!(Some(formula.link.forward(sum + formula.constant)), expected);
    }
}
