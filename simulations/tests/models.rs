//! Every model of the catalogue on ciphertexts against the exact integers, and whole studies of each kind of row.

mod common;

use std::{
    collections::BTreeMap,
    sync::{LazyLock, atomic::AtomicBool},
};

use organtwin_simulations::{
    CrossSpec, HistogramSpec, NoiseModel, Plan, PlanContext, StudyResult, StudySpec, Weights,
    catalogue::{Given, Model, check::random_inputs_at, find, given, registry},
    clear, encode,
    eval::Compiled,
    evaluate_shard, finish,
    measure::OwnKey,
    plan, reference, render,
    twin::Twin,
};

use common::{REAL, TINY};

static KEY: LazyLock<OwnKey> = LazyLock::new(|| OwnKey::generate(TINY).unwrap());

fn compiled(model: &Model) -> Compiled {
    let example = model.examples.first().unwrap();
    let numbers = example
        .given
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Given::Number(*value)));
    let lists = example
        .lists
        .iter()
        .map(|(key, list)| ((*key).to_owned(), Given::List(list.to_vec())));
    let parameters = given::parameters(model, &numbers.chain(lists).collect()).unwrap();
    Compiled::new(model, &parameters).unwrap()
}

/// Answers on ciphertexts and by the exact integers, for some random patients.
fn same(model: &Model, key: &OwnKey, patients: u64) {
    let compiled = compiled(model);
    let parameters = compiled.parameters();
    let cancel = AtomicBool::new(false);
    for seed in 0..patients {
        let mut inputs = random_inputs_at(model, parameters, 7000 + seed);
        if seed == 0
            && let Some(first) = model.inputs.first()
        {
            // One patient lacks an input.
            inputs.remove(first.key);
        }
        let expected = compiled.clear(&inputs).unwrap();
        let got = compiled
            .encrypted(&inputs, key, &|_| {}, &cancel)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", model.id, compiled.program()));
        assert_eq!(got.answers, expected, "{} patient {seed}", model.id);
        assert_eq!(
            got.bootstraps,
            compiled.bootstraps().unwrap(),
            "{}",
            model.id
        );
    }
}

#[test]
fn every_model_is_the_same_encrypted_and_clear() {
    // A key of its own: bootstraps are counted per key.
    let key = OwnKey::generate(TINY).unwrap();
    for model in registry() {
        same(model, &key, 3);
    }
}

#[test]
fn some_models_are_the_same_encrypted_and_clear_at_the_real_parameters() {
    let key = OwnKey::production().unwrap();
    for model in ["maggic", "meld-3", "ckd-epi-2021"] {
        same(find(model).unwrap(), &key, 2);
    }
}

/// The twins of four hospitals.
fn twins(spec: &StudySpec, sizes: &[u64]) -> BTreeMap<u8, Vec<Weights>> {
    let model = find(&spec.model).unwrap();
    let (twin, schema) = (Twin::of_organ(model.organ).unwrap(), spec.schema().unwrap());
    let parameters = given::parameters(model, &spec.parameters).unwrap();
    (1..)
        .zip(sizes)
        .map(|(hospital, size)| {
            let own = (0..*size)
                .map(|seed| {
                    let seed = u64::from(hospital) * 1000 + seed;
                    let mut inputs = random_inputs_at(model, &parameters, seed);
                    if seed % 9 == 4 {
                        inputs.remove(model.inputs[0].key);
                    }
                    encode(&schema, &twin.features(&inputs)).unwrap()
                })
                .collect();
            (hospital, own)
        })
        .collect()
}

fn planned(spec: &StudySpec, twins: &BTreeMap<u8, Vec<Weights>>) -> Plan {
    let context = PlanContext {
        hospitals: twins.iter().map(|(h, own)| (*h, own.len())).collect(),
        parties: 4,
        threshold: 1,
        noise: NoiseModel::new(&TINY, 1, 1),
        seconds_per_bootstrap: 0.02,
        cores: 2,
    };
    plan(&spec.compile().unwrap(), &spec.schema().unwrap(), &context).unwrap()
}

fn opened(plan: &Plan, twins: &BTreeMap<u8, Vec<Weights>>) -> Vec<u8> {
    let cancel = AtomicBool::new(false);
    let shards = twins
        .iter()
        .map(|(hospital, own)| {
            let outputs = own.chunks(31).map(|shard| {
                let shard: Vec<_> = shard.iter().map(|twin| KEY.encrypt_twin(twin)).collect();
                evaluate_shard(KEY.engine(), plan, &shard, &|_| {}, &cancel).unwrap()
            });
            (*hospital, outputs.collect())
        })
        .collect();
    let aggregate = finish(KEY.engine(), plan, &shards, &|_| {}, &cancel).unwrap();
    KEY.open(&aggregate.blocks)
}

fn study(spec: &StudySpec) -> StudyResult {
    let twins = twins(spec, &[12, 9, 10, 35]);
    let plan = planned(spec, &twins);
    let got = opened(&plan, &twins);
    assert_eq!(got, clear::run(&plan, &twins));
    StudyResult::decode(&plan, &got).unwrap()
}

fn filter(conditions: &[&str]) -> Vec<organtwin_simulations::Filter> {
    conditions
        .iter()
        .map(|text| (*text).to_owned().try_into().unwrap())
        .collect()
}

fn base() -> StudySpec {
    StudySpec {
        model: "ckd-epi-2021".to_owned(),
        k: 1,
        ..StudySpec::default()
    }
}

#[test]
fn filtered_cells_and_cross_tables_are_the_same_encrypted_and_clear() {
    let spec = StudySpec {
        cuts: vec![60.0],
        filter: filter(&["age_years >= 40"]),
        cross: Some(CrossSpec {
            by: "sex".to_owned(),
            cuts: Vec::new(),
            edges: Vec::new(),
            arm: None,
        }),
        histogram: Some(HistogramSpec {
            arm: None,
            edges: vec![15.0, 30.0, 45.0, 60.0, 90.0],
        }),
        ..base()
    };
    let result = study(&spec);
    assert_eq!(result.rows.len(), 3);
    assert_eq!(result.rows[2].labels.len(), 4);
}

#[test]
fn means_with_and_without_a_filter_are_those_of_the_patients() {
    for conditions in [&[][..], &["sex = male"][..]] {
        let spec = StudySpec {
            mean: true,
            filter: filter(conditions),
            ..base()
        };
        let result = study(&spec);
        let model = find("ckd-epi-2021").unwrap();
        let patients: Vec<_> = (1_u64..)
            .zip([12_u64, 9, 10, 35])
            .flat_map(|(hospital, size)| (0..size).map(move |seed| hospital * 1000 + seed))
            .map(|seed| {
                let parameters = given::parameters(model, &BTreeMap::new()).unwrap();
                let mut inputs = random_inputs_at(model, &parameters, seed);
                if seed % 9 == 4 {
                    inputs.remove(model.inputs[0].key);
                }
                inputs
            })
            .collect();
        let row = &result.rows[0];
        assert!(!row.suppressed, "{row:?}");
        let text = render::table(&result);
        assert!(
            text.contains(&format!("{:.3}", row.mean.unwrap())),
            "{text}"
        );
        if conditions.is_empty() {
            let expected = &reference::evaluate(&spec, &patients).unwrap()[0];
            let (mean, deviation) = (expected.mean.unwrap(), expected.deviation.unwrap());
            assert!(
                (row.mean.unwrap() - mean).abs() < 0.01 * mean,
                "{row:?} {expected:?}"
            );
            assert!(
                (row.deviation.unwrap() - deviation).abs() < 0.02 * deviation,
                "{row:?} {expected:?}"
            );
            assert_eq!(row.total, Some(expected.counts[0]));
        }
    }
}

#[test]
fn a_result_of_a_model_that_is_to_be_confirmed_says_so() {
    let spec = StudySpec {
        model: "nephrectomy".to_owned(),
        cuts: vec![45.0],
        k: 1,
        ..StudySpec::default()
    };
    let text = render::table(&study(&spec));
    assert!(text.contains("to be confirmed against the paper"), "{text}");
}

#[test]
fn the_bootstraps_at_the_real_parameters_are_those_of_the_plan_of_any_key() {
    // Schedules depend on the program, never on a key: what one node plans, all run.
    let twins = twins(
        &StudySpec {
            cuts: vec![60.0],
            ..base()
        },
        &[3, 3],
    );
    let spec = StudySpec {
        cuts: vec![60.0],
        ..base()
    };
    let context = |noise| PlanContext {
        hospitals: twins.iter().map(|(h, own)| (*h, own.len())).collect(),
        parties: 4,
        threshold: 1,
        noise,
        seconds_per_bootstrap: 0.02,
        cores: 2,
    };
    let (program, schema) = (spec.compile().unwrap(), spec.schema().unwrap());
    let real = plan(&program, &schema, &context(NoiseModel::new(&REAL, 2, 4))).unwrap();
    let tiny = plan(&program, &schema, &context(NoiseModel::new(&TINY, 1, 1))).unwrap();
    assert_eq!(
        real.forecast().bootstraps_evaluate,
        tiny.forecast().bootstraps_evaluate
    );
}
