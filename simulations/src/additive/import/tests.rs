//! Files of real tools, with the tools' own predictions; and files that are wrong.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::{Features, schema::Plane, twin::Twin};

fn data(name: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/additive")
        .join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn heart() -> Schema {
    Twin::of_organ("heart").unwrap().schema()
}

/// A heart twin that holds two pairs of features together.
fn heart_with_planes() -> Schema {
    let heart = heart();
    let plane = |first: &str, second: &str| Plane {
        name: format!("{first} x {second}"),
        first: heart.axis(first).unwrap().clone(),
        second: heart.axis(second).unwrap().clone(),
    };
    // The second one the other way round than the file has it.
    let planes = vec![
        plane("age_years", "chest_pain_type"),
        plane("age_years", "st_depression_mm"),
    ];
    Schema::new(heart.id(), heart.axes().to_vec(), planes)
}

fn import_into(schema: &Schema, bytes: &[u8]) -> Result<AdditiveModel, ImportError> {
    import(
        bytes,
        &Target {
            name: "imported",
            output: "risk",
            schema,
            names: &BTreeMap::new(),
        },
    )
}

/// The features of a vector, by the labels of the dictionary.
fn features(value: &Value) -> Features {
    let one = |(key, value): (&String, &Value)| {
        let number = match (value, input::find(key).map(|input| &input.kind)) {
            (Value::Null, _) => None,
            (Value::String(text), Some(InputKind::Choice { labels })) => {
                let index = labels.iter().position(|label| label == text).unwrap();
                Some(f64::from(u32::try_from(index).unwrap()))
            }
            (value, _) => Some(value.as_f64().unwrap()),
        };
        (key.clone(), number)
    };
    value.as_object().unwrap().iter().map(one).collect()
}

fn vectors(name: &str) -> Vec<(Features, Option<f64>)> {
    let expected: Value = serde_json::from_slice(&data("expected.json")).unwrap();
    let rows = expected[name].as_array().unwrap();
    rows.iter()
        .map(|row| (features(&row["features"]), row["prediction"].as_f64()))
        .collect()
}

#[test]
fn every_tool_s_file_predicts_what_the_tool_predicted() {
    let plain = heart();
    let planes = heart_with_planes();
    // XGBoost computes in 32 bits.
    for (name, schema, tolerance) in [
        ("logistic", &plain, 1e-9),
        ("cox", &plain, 1e-9),
        ("gam", &plain, 1e-9),
        ("ebm", &plain, 1e-9),
        ("ebm-number", &plain, 1e-6),
        ("ebm-pairs", &planes, 1e-9),
        ("xgboost", &plain, 1e-5),
        ("lightgbm", &plain, 1e-9),
    ] {
        let model = import_into(schema, &data(&format!("{name}.json")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let vectors = vectors(name);
        assert!(vectors.len() >= 10, "{name} has few vectors");
        for (index, (features, expected)) in vectors.iter().enumerate() {
            let got = model.reference(features);
            match (got, expected) {
                (None, None) => {}
                (Some(got), Some(expected)) => {
                    assert!(
                        (got - expected).abs() <= tolerance * expected.abs().max(1.0),
                        "{name}, patient {index}: {got} instead of {expected}"
                    );
                }
                other => panic!("{name}, patient {index}: {other:?}"),
            }
        }
    }
}

#[test]
fn an_interaction_without_a_plane_is_named() {
    let error = import_into(&heart(), &data("ebm-pairs.json")).unwrap_err();
    let said = error.to_string();
    assert!(matches!(
        error,
        ImportError::Model(AdditiveError::NoPlane { .. })
    ));
    assert!(said.contains("st_depression_mm and age_years"), "{said}");
}

#[test]
fn features_of_other_names_are_mapped_to_axes() {
    let text = String::from_utf8(data("logistic.json"))
        .unwrap()
        .replace("age_years", "AGE");
    assert!(matches!(
        import_into(&heart(), text.as_bytes()).unwrap_err(),
        ImportError::Model(AdditiveError::NoSuchAxis { axis, .. }) if axis == "AGE"
    ));
    let names = [("AGE".to_owned(), "age_years".to_owned())].into();
    let target = Target {
        name: "mapped",
        output: "risk",
        schema: &heart(),
        names: &names,
    };
    let mapped = import(text.as_bytes(), &target).unwrap();
    assert_eq!(
        mapped.terms,
        import_into(&heart(), &data("logistic.json")).unwrap().terms
    );
}

#[test]
fn a_model_survives_its_own_forms() {
    let model = import_into(&heart(), &data("ebm.json")).unwrap();
    let again = serde_json::to_vec(&model).unwrap();
    assert_eq!(import_into(&heart(), &again).unwrap(), model);
    let mut cbor = Vec::new();
    ciborium::into_writer(&model, &mut cbor).unwrap();
    let read: AdditiveModel = ciborium::from_reader(cbor.as_slice()).unwrap();
    assert_eq!(read, model);
}

/// Changes a file's JSON.
fn changed(name: &str, change: impl Fn(&mut Value)) -> ImportError {
    let mut value: Value = serde_json::from_slice(&data(name)).unwrap();
    change(&mut value);
    import_into(&heart(), &serde_json::to_vec(&value).unwrap())
        .err()
        .unwrap_or_else(|| panic!("a changed {name} went through"))
}

#[test]
fn hostile_files_are_one_typed_error_each() {
    let huge = vec![b' '; LARGEST_FILE + 1];
    assert_eq!(
        import_into(&heart(), &huge).unwrap_err(),
        ImportError::TooLarge {
            got: LARGEST_FILE + 1
        }
    );
    for text in [
        "",
        "nothing",
        "[1, 2",
        "{\"ebm\": ",
        "3",
        "{\"learner\": 3}",
        "{\"tree_info\": []}",
        "{\"format\": \"organtwin.regression/1\"}",
        "{\"format\": \"organtwin.gam/1\", \"link\": \"probit\", \"terms\": []}",
        "{\"format\": \"organtwin.gam/1\", \"link\": \"logit\", \"intercept\": NaN, \"terms\": []}",
        "{\"format\": \"organtwin.gam/1\", \"link\": \"logit\", \"intercept\": 1e999, \"terms\": []}",
    ] {
        let error = import_into(&heart(), text.as_bytes()).unwrap_err();
        assert!(matches!(error, ImportError::Json { .. }), "{text}: {error}");
    }
    let nested = "[".repeat(100_000);
    assert!(matches!(
        import_into(&heart(), nested.as_bytes()).unwrap_err(),
        ImportError::Json { .. }
    ));
    for text in [
        "[]",
        "{}",
        "{\"format\": \"organtwin.gam/9\"}",
        "{\"model\": 1}",
    ] {
        let error = import_into(&heart(), text.as_bytes()).unwrap_err();
        assert_eq!(error, ImportError::Format, "{text}");
    }
}

#[test]
fn a_boosting_machine_that_contradicts_itself_is_refused() {
    let term = |value: &mut Value, index: usize| value["ebm"]["terms"][index].take();
    let error = changed("ebm.json", |v| v["version"] = json!("2.0"));
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        v["ebm"]["terms"][0]["scores"].as_array_mut().unwrap().pop();
    });
    assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
    let error = changed("ebm.json", |v| v["ebm"]["terms"][0]["scores"] = json!([]));
    assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        v["ebm"]["terms"][0]["scores"][1] = json!("nan");
    });
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        v["ebm"]["terms"][0]["scores"][1] = json!(1e300);
    });
    assert!(
        matches!(error, ImportError::Model(AdditiveError::Number { .. })),
        "{error}"
    );
    let error = changed("ebm.json", |v| {
        v["ebm"]["features"][0]["cuts"][0][0] = json!(1e6);
    });
    assert!(
        matches!(error, ImportError::Model(AdditiveError::Order { term: 1 })),
        "{error}"
    );
    let error = changed("ebm.json", |v| v["ebm"]["features"][0]["cuts"] = json!([]));
    assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        v["ebm"]["features"][0]["type"] = json!("nominal");
    });
    assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        v["ebm"]["features"][0]["name"] = json!("blood");
    });
    assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        v["ebm"]["features"][0]["name"] = json!("blood");
        v["ebm"]["terms"][0]["term_features"][0] = json!("blood");
    });
    assert!(
        matches!(error, ImportError::Model(AdditiveError::NoSuchAxis { .. })),
        "{error}"
    );
    let error = changed("ebm.json", |v| {
        v["ebm"]["features"][3]["categories"][0][0] = json!("other");
    });
    assert!(matches!(error, ImportError::Category { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        v["ebm"]["outputs"][0]["classes"] = json!([0, 1, 2]);
    });
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    let error = changed("ebm.json", |v| v["ebm"]["intercept"] = json!([1.0, 2.0]));
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    let error = changed("ebm.json", |v| {
        let one = term(v, 0);
        v["ebm"]["terms"] = Value::Array(vec![one; 65]);
    });
    assert_eq!(error, ImportError::Model(AdditiveError::Terms(65)));
    let error = changed("ebm.json", |v| v["ebm"]["terms"] = json!([]));
    assert_eq!(error, ImportError::Model(AdditiveError::Terms(0)));
}

#[test]
fn trees_of_more_than_one_split_and_other_objectives_are_refused() {
    let tree = |v: &mut Value, key: &str, value: Value| {
        v["learner"]["gradient_booster"]["model"]["trees"][0][key] = value;
    };
    for (key, value) in [
        ("left_children", json!([1, 3, -1, -1, -1])),
        ("split_type", json!([1, 0, 0])),
    ] {
        let error = changed("xgboost.json", |v| tree(v, key, value.clone()));
        assert!(
            matches!(error, ImportError::Unsupported { .. }),
            "{key}: {error}"
        );
    }
    for (key, value) in [
        ("split_conditions", json!([1.0])),
        ("split_conditions", json!([])),
        ("split_indices", json!([77, 0, 0])),
        ("left_children", json!([9, -1, -1])),
        ("default_left", json!([])),
    ] {
        let error = changed("xgboost.json", |v| tree(v, key, value.clone()));
        assert!(
            matches!(error, ImportError::Inconsistent { .. }),
            "{key}: {error}"
        );
    }
    let error = changed("xgboost.json", |v| {
        v["learner"]["objective"]["name"] = json!("survival:cox");
    });
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    for base in ["1", "0", "-3", "2"] {
        let error = changed("xgboost.json", |v| {
            v["learner"]["learner_model_param"]["base_score"] = json!(base);
        });
        assert!(
            matches!(error, ImportError::Model(AdditiveError::Number { .. })),
            "{base}: {error}"
        );
    }
    let error = changed("lightgbm.json", |v| {
        let root = v["tree_info"][0]["tree_structure"].clone();
        v["tree_info"][0]["tree_structure"]["left_child"] = root;
    });
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    for (key, value) in [
        ("decision_type", json!("==")),
        ("threshold", json!("0||1")),
        ("missing_type", json!("Zero")),
    ] {
        let error = changed("lightgbm.json", |v| {
            v["tree_info"][0]["tree_structure"][key] = value.clone();
        });
        assert!(
            matches!(error, ImportError::Unsupported { .. }),
            "{key}: {error}"
        );
    }
}

#[test]
fn regressions_that_say_two_things_are_refused() {
    for (name, change) in [
        ("logistic.json", ("years", json!(5.0))),
        ("cox.json", ("baseline_survival", Value::Null)),
    ] {
        let error = changed(name, |v| v[change.0] = change.1.clone());
        assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
    }
    for value in [0.0, 1.0, -0.5, 2.0] {
        let error = changed("cox.json", |v| v["baseline_survival"] = json!(value));
        assert_eq!(error, ImportError::Model(AdditiveError::Baseline));
    }
    let error = changed("logistic.json", |v| {
        v["coefficients"][4]["level"] = json!("severe");
    });
    assert!(matches!(error, ImportError::Category { .. }), "{error}");
    let error = changed("logistic.json", |v| {
        v["coefficients"][5] = v["coefficients"][4].clone();
    });
    assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
    let error = changed("logistic.json", |v| {
        v["coefficients"][0]["level"] = json!("old");
    });
    assert!(
        matches!(
            error,
            ImportError::Inconsistent { .. } | ImportError::Model(AdditiveError::Kind { .. })
        ),
        "{error}"
    );
    let error = changed("logistic.json", |v| {
        v["coefficients"][0]["p_value"] = json!(0.1);
    });
    assert!(matches!(error, ImportError::Json { .. }), "{error}");
    let error = changed("gam.json", |v| {
        v["terms"][0]["values"].as_array_mut().unwrap().pop();
    });
    assert!(
        matches!(
            error,
            ImportError::Model(AdditiveError::Length { term: 1, .. })
        ),
        "{error}"
    );
    let error = changed("gam.json", |v| {
        v["terms"][2]["categories"]
            .as_object_mut()
            .unwrap()
            .remove("male");
    });
    assert!(matches!(error, ImportError::Inconsistent { .. }), "{error}");
}
