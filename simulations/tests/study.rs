//! Studies before they run: what is refused, what is encoded, and what the planner says.

use std::collections::BTreeMap;

use organtwin_simulations::{
    EncodeError, Features, HistogramSpec, NoiseModel, Plan, PlanContext, PlanError, Program,
    ProgramError, Schema, SpecError, StudyResult, StudySpec, Weights, clear, encode,
    measure::vancomycin_study,
    plan,
    program::{Cell, Op, Row, RowKind, TableOn},
    render,
    schema::{Axis, Plane, Scale},
    study,
};
use proptest::prelude::*;
use tfhe::shortint::parameters::v1_8::V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128 as REAL;

fn context() -> PlanContext {
    PlanContext {
        hospitals: BTreeMap::from([(1, 57), (2, 73), (3, 54), (4, 59)]),
        parties: 4,
        threshold: 1,
        noise: NoiseModel::new(&REAL, 2, 4),
        seconds_per_bootstrap: 0.025,
        cores: 2,
    }
}

fn kidney() -> Schema {
    Schema::of_organ("kidney").unwrap()
}

fn compile(spec: &StudySpec) -> Result<Program, SpecError> {
    spec.compile()
}

fn planned(spec: &StudySpec) -> Plan {
    plan(&compile(spec).unwrap(), &kidney(), &context()).unwrap()
}

#[test]
fn coinciding_cuts_are_decided_once() {
    // Ten cuts of five arms are nine clearances; five of the six edges are among them.
    let plan = planned(&vancomycin_study());
    assert_eq!(plan.forecast().bootstraps_per_twin, 9);
    let arms_only = planned(&StudySpec {
        histogram: None,
        ..vancomycin_study()
    });
    assert_eq!(arms_only.forecast().bootstraps_per_twin, 9);
}

#[test]
fn equal_cells_are_counted_once() {
    let spec = StudySpec {
        histogram: Some(HistogramSpec {
            arm: Some(1000.0),
            edges: vec![400.0, 600.0],
        }),
        ..vancomycin_study()
    };
    let (plan, arms) = (
        planned(&spec),
        planned(&StudySpec {
            histogram: None,
            ..spec.clone()
        }),
    );
    assert_eq!(plan.cells(), arms.cells());
    assert!(
        plan.blocks() > arms.blocks(),
        "each row is gated and opened by itself"
    );
}

#[test]
fn the_forecast_of_the_vancomycin_study_is_within_its_bounds() {
    let plan = planned(&vancomycin_study());
    let forecast = plan.forecast();
    println!("{forecast:#?}");
    assert!(forecast.bootstraps_per_twin <= 30);
    assert!(forecast.log2_failure < -100.0, "{}", forecast.log2_failure);
    assert!(forecast.noise_level <= 4.0, "{}", forecast.noise_level);
    for row in study::accuracy(&vancomycin_study()).unwrap() {
        assert!(row.other_cell <= 0.005, "{row:?}");
    }
    assert_eq!(
        forecast.bootstraps_all_nodes,
        2 * forecast.bootstraps_evaluate + 4 * forecast.bootstraps_finish
    );
}

#[test]
fn the_plan_is_a_function_of_its_inputs() {
    let (one, two) = (planned(&vancomycin_study()), planned(&vancomycin_study()));
    assert_eq!(one.digest(), two.digest());
    assert_eq!(one.forecast(), two.forecast());
    let mut other = context();
    other.hospitals.insert(4, 60);
    let other = plan(&compile(&vancomycin_study()).unwrap(), &kidney(), &other).unwrap();
    assert_ne!(one.digest(), other.digest());
}

#[test]
fn more_noise_more_twins_and_more_arms_never_make_a_study_surer() {
    let base = planned(&vancomycin_study()).forecast().log2_failure;
    let program = compile(&vancomycin_study()).unwrap();
    let mut noisy = context();
    noisy.noise = NoiseModel::new(&REAL, 5, 6);
    assert!(
        plan(&program, &kidney(), &noisy)
            .unwrap()
            .forecast()
            .log2_failure
            > base
    );
    let mut large = context();
    large.hospitals.insert(1, 1000);
    assert!(
        plan(&program, &kidney(), &large)
            .unwrap()
            .forecast()
            .log2_failure
            > base
    );
    let mut fewer = vancomycin_study();
    fewer.arms.truncate(2);
    assert!(planned(&fewer).forecast().log2_failure < base);
}

#[test]
fn a_study_that_would_fail_too_often_is_refused_with_the_step_that_is_to_blame() {
    let program = compile(&vancomycin_study()).unwrap();
    let mut noisy = context();
    noisy.noise.switch *= 1.6;
    match plan(&program, &kidney(), &noisy) {
        Err(PlanError::TooRisky { log2, site, .. }) => {
            assert!(log2 > -64.0);
            assert!(
                site.starts_with("decision n") || site.starts_with("shard count"),
                "{site}"
            );
        }
        other => panic!(
            "expected a refusal, got {:?}",
            other.map(|plan| plan.forecast().clone())
        ),
    }
}

#[test]
fn inputs_that_are_too_noisy_blame_the_decision() {
    let program = compile(&vancomycin_study()).unwrap();
    let mut noisy = context();
    noisy.noise.input *= 2_f64.powi(20);
    let refused = plan(&program, &kidney(), &noisy).unwrap_err().to_string();
    assert!(refused.contains("decision n"), "{refused}");
}

#[test]
fn a_k_beyond_the_others_twins_is_refused() {
    let program = compile(&StudySpec {
        k: 171,
        ..vancomycin_study()
    })
    .unwrap();
    let refused = plan(&program, &kidney(), &context()).unwrap_err();
    assert_eq!(
        refused,
        PlanError::GateNeverPasses {
            k: 171,
            hospital: 2,
            others: 170
        }
    );
    let nobody = PlanContext {
        hospitals: BTreeMap::from([(1, 0)]),
        ..context()
    };
    let program = compile(&vancomycin_study()).unwrap();
    assert_eq!(
        plan(&program, &kidney(), &nobody).unwrap_err(),
        PlanError::NoTwins
    );
}

#[test]
fn a_study_that_makes_no_sense_is_refused_with_what_would() {
    let refuse = |spec: StudySpec| compile(&spec).unwrap_err();
    let base = vancomycin_study;
    let unknown = refuse(StudySpec {
        model: "aspirin".to_owned(),
        ..base()
    });
    assert!(
        unknown.to_string().contains("vancomycin-goti-2018"),
        "{unknown}"
    );
    let low = refuse(StudySpec {
        arms: vec![100.0, 1000.0],
        ..base()
    });
    assert!(low.to_string().contains("100"), "{low}");
    assert!(matches!(low, SpecError::Parameter(_)));
    let histogram = Some(HistogramSpec {
        arm: Some(9000.0),
        edges: vec![400.0],
    });
    assert!(matches!(
        refuse(StudySpec {
            histogram,
            ..base()
        }),
        SpecError::Parameter(_)
    ));
    let histogram = Some(HistogramSpec {
        arm: Some(1000.0),
        edges: vec![400.0, 300.0],
    });
    assert!(matches!(
        refuse(StudySpec {
            histogram,
            ..base()
        }),
        SpecError::NotAscending { .. }
    ));
    for cuts in [vec![600.0, 400.0], vec![400.0, 400.0], vec![f64::NAN]] {
        assert!(matches!(
            refuse(StudySpec { cuts, ..base() }),
            SpecError::NotAscending { .. }
        ));
    }
    assert_eq!(
        refuse(StudySpec { k: 0, ..base() }),
        SpecError::KTooSmall(0)
    );
    let many = (1..40).map(|i| 1000.0 + f64::from(i)).collect();
    assert!(matches!(
        refuse(StudySpec {
            arms: many,
            ..base()
        }),
        SpecError::TooMany { .. }
    ));
}

#[test]
fn a_study_with_an_unknown_field_is_refused() {
    let text = r#"{"model":"vancomycin-goti-2018","arms":[1000.0],"cuts":[400.0],"dose":3}"#;
    let refused = serde_json::from_str::<StudySpec>(text)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("unknown field `dose`"), "{refused}");
    let known: StudySpec = serde_json::from_str(&text.replace(r#","dose":3"#, "")).unwrap();
    assert_eq!(known.k, 10);
}

#[test]
fn a_program_survives_its_bytes_and_nothing_else_does() {
    let schema = kidney();
    let program = compile(&vancomycin_study()).unwrap();
    let bytes = program.to_bytes();
    let read = Program::from_bytes(&bytes, &schema).unwrap();
    assert_eq!(read, program);
    assert_eq!(read.digest(), program.digest());
    assert!(Program::from_bytes(&bytes[..bytes.len() - 1], &schema).is_err());
    assert!(Program::from_bytes(&[&bytes[..], &[0]].concat(), &schema).is_err());
    let other = Schema::new("other/1", schema.axes().to_vec(), Vec::new());
    let refused = Program::from_bytes(&bytes, &other).unwrap_err();
    assert_eq!(refused, ProgramError::OtherSchema("other/1".to_owned()));
    assert!(
        program
            .to_string()
            .contains("n0 = position of crcl_goti_ml_min")
    );
    assert_eq!(program.facts().cells, 22);
}

#[test]
fn an_operation_of_a_later_version_is_named() {
    let schema = kidney();
    let bytes = compile(&vancomycin_study()).unwrap().to_bytes();
    // Same length, so that only the name differs.
    let at = bytes
        .windows(8)
        .position(|window| window == b"at-least")
        .unwrap();
    let mut later = bytes.clone();
    later[at..at + 8].copy_from_slice(b"at-worst");
    match Program::from_bytes(&later, &schema) {
        Err(ProgramError::UnknownOp { op, known, .. }) => {
            assert_eq!(op, "at-worst");
            assert!(known.contains("at-least"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_does_not_hold_together_is_refused() {
    let schema = kidney();
    let position = Op::Position {
        axis: "crcl_goti_ml_min".to_owned(),
    };
    let row = |bit| Row {
        kind: RowKind::Arm,
        label: String::new(),
        arm: None,
        edges: Vec::new(),
        cells: vec![Cell {
            label: String::new(),
            bit,
        }],
        totals: Vec::new(),
    };
    let bits = |low, high| {
        vec![
            position.clone(),
            Op::AtLeast {
                score: 0,
                threshold: low,
            },
            Op::AtLeast {
                score: 0,
                threshold: high,
            },
            Op::Without { bit: 1, without: 2 },
        ]
    };
    let make = |nodes, row| Program::new(&schema, 10, nodes, vec![row]);
    assert!(make(bits(5, 9), row(3)).is_ok());
    assert!(
        make(bits(9, 5), row(3)).is_err(),
        "the excluded bit must be the narrower"
    );
    assert!(make(bits(5, 9), row(0)).is_err(), "a score is no bit");
    assert!(make(bits(5, 9), row(7)).is_err(), "no such node");
    let forward = vec![Op::Valid { score: 1 }, position.clone()];
    assert!(
        make(forward, row(0)).is_err(),
        "a node reads what comes later"
    );
    let sex = vec![
        Op::Position {
            axis: "sex".to_owned(),
        },
        Op::Valid { score: 0 },
    ];
    assert!(make(sex, row(1)).is_err(), "a category has no position");
    let short = TableOn {
        axis: "sex".to_owned(),
        values: vec![1],
        missing: None,
    };
    let sum = vec![
        Op::Sum {
            tables: vec![short],
            terms: Vec::new(),
        },
        Op::Valid { score: 0 },
    ];
    assert!(
        make(sum, row(1)).is_err(),
        "a table of another length than its axis"
    );
}

#[test]
fn a_sum_beyond_fourteen_bits_is_refused_by_name() {
    let schema = kidney();
    let table = |axis: &str| TableOn {
        axis: axis.to_owned(),
        values: (0..i64::from(schema.axis(axis).unwrap().nodes))
            .map(|node| 8 * node)
            .collect(),
        missing: None,
    };
    let nodes = vec![
        Op::Sum {
            tables: vec![table("age_years"), table("crcl_ml_min")],
            terms: Vec::new(),
        },
        Op::AtLeast {
            score: 0,
            threshold: 5000,
        },
    ];
    let cell = Cell {
        label: String::new(),
        bit: 1,
    };
    let row = Row {
        kind: RowKind::Arm,
        label: String::new(),
        arm: None,
        edges: Vec::new(),
        cells: vec![cell],
        totals: Vec::new(),
    };
    let program = Program::new(&schema, 10, nodes, vec![row]).unwrap();
    let refused = plan(&program, &schema, &context()).unwrap_err().to_string();
    assert!(refused.contains("n0 needs 15 bits"), "{refused}");
}

fn one(name: &str, value: f64) -> Features {
    Features::from([(name.to_owned(), Some(value))])
}

#[test]
fn values_beyond_their_axis_are_refused_and_absent_ones_are_missing() {
    let schema = kidney();
    let refused = encode(&schema, &one("weight_kg", 500.0)).unwrap_err();
    assert!(matches!(refused, EncodeError::OutOfRange { hi: 350.0, .. }));
    assert!(matches!(
        encode(&schema, &one("weight_kg", f64::NAN)),
        Err(EncodeError::NotFinite { .. })
    ));
    assert!(matches!(
        encode(&schema, &one("sex", 0.5)),
        Err(EncodeError::NoSuchCategory { .. })
    ));
    assert!(matches!(
        encode(&schema, &one("weight", 70.0)),
        Err(EncodeError::UnknownFeature { .. })
    ));
    let weights = encode(&schema, &Features::new()).unwrap();
    for axis in schema.axes() {
        let place = schema.place(&axis.name).unwrap();
        assert_eq!(weights.get(place.missing()), 16, "{}", axis.name);
    }
    let planes = schema.planes().len();
    assert_eq!(
        weights.as_slice().iter().sum::<u32>(),
        16 * (schema.axes().len() + planes) as u32
    );
}

#[test]
fn weights_are_not_printed() {
    let weights = encode(&kidney(), &one("age_years", 61.0)).unwrap();
    assert_eq!(
        format!("{weights:?}"),
        format!("Weights({} slots, not shown)", kidney().slots())
    );
}

#[test]
fn a_plane_holds_the_weights_of_a_triangulation() {
    let axis = |name: &str, nodes| Axis {
        nodes,
        ..Axis::continuous(name, "1", Scale::Linear, 0.0, 1.0)
    };
    let plane = Plane {
        name: "ab".to_owned(),
        first: axis("a", 3),
        second: axis("b", 2),
    };
    let schema = Schema::new("plane/1", vec![axis("c", 2)], vec![plane]);
    assert_eq!(schema.place("ab").unwrap().first, 7);
    let encoded = |a, b| {
        let mut features = one("a", a);
        features.extend(one("b", b));
        encode(&schema, &features).unwrap().as_slice()[7..].to_vec()
    };
    // a lies half between the nodes 0 and 1, b a quarter from 0 to 1: below the diagonal.
    let below = encoded(0.25, 0.25);
    assert_eq!(below[..7], [8, 0, 4, 4, 0, 0, 0]);
    assert_eq!(below[7..], [0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0]);
    let above = encoded(0.125, 0.75);
    assert_eq!(above[..7], [4, 8, 0, 4, 0, 0, 0]);
    assert_eq!(encoded(1.0, 1.0)[..7], [0, 0, 0, 0, 0, 16, 0]);
    let missing = encode(&schema, &one("a", 0.25)).unwrap();
    assert_eq!(missing.as_slice()[7..14], [0, 0, 0, 0, 0, 0, 16]);
    assert_eq!(missing.as_slice().len(), schema.slots());
}

proptest! {
    /// What the admission check asks of an honest twin.
    #[test]
    fn weights_of_an_axis_are_two_neighbours_that_sum_to_sixteen(value in 2.0..=256.0_f64) {
        let schema = kidney();
        let place = schema.place("crcl_ml_min").unwrap();
        let weights = encode(&schema, &one("crcl_ml_min", value)).unwrap();
        let nodes = &weights.as_slice()[place.first..place.missing()];
        prop_assert_eq!(nodes.iter().sum::<u32>(), 16);
        let set: Vec<usize> = (0..nodes.len()).filter(|node| nodes[*node] > 0).collect();
        prop_assert!(set.len() <= 2 && set.windows(2).all(|pair| pair[1] == pair[0] + 1));
        let fraction: u32 = (0..4).map(|bit| weights.get(place.missing() + 1 + bit) << bit).sum();
        let squares: u32 = nodes.iter().map(|weight| weight * weight).sum();
        prop_assert_eq!(squares, fraction * fraction + (16 - fraction) * (16 - fraction));
    }

    #[test]
    fn a_table_on_weights_is_its_interpolation_at_the_nearest_position(
        value in 18.0..=115.0_f64,
        table in proptest::collection::vec(-1000..1000_i64, 26),
    ) {
        let schema = kidney();
        let axis = schema.axis("age_years").unwrap();
        let weights = encode(&schema, &one("age_years", value)).unwrap();
        let position = (axis.position(value) + 0.5).floor() as usize;
        let (node, fraction) = (position / 16, (position % 16) as i64);
        let next = table.get(node + 1).copied().unwrap_or(0);
        let expected = table[node] * (16 - fraction) + next * fraction;
        let on = TableOn { axis: "age_years".to_owned(), values: table, missing: None };
        prop_assert_eq!(clear::table_at(&schema, &on, &weights), Some(expected));
    }
}

#[test]
fn a_result_is_read_printed_and_checked() {
    let schema = kidney();
    let spec = StudySpec {
        arms: vec![1000.0, 2000.0],
        histogram: None,
        k: 3,
        ..vancomycin_study()
    };
    let clearances = [13.0, 15.0, 18.0, 40.0, 42.0, 44.0, 70.0, 90.0, 100.0];
    let twins: Vec<Weights> = clearances
        .iter()
        .map(|value| encode(&schema, &one("crcl_goti_ml_min", *value)).unwrap())
        .collect();
    let hospitals = BTreeMap::from([(1, twins.clone()), (2, twins)]);
    let sizes = hospitals
        .iter()
        .map(|(hospital, own)| (*hospital, own.len()))
        .collect();
    let program = compile(&spec).unwrap();
    let plan = plan(
        &program,
        &schema,
        &PlanContext {
            hospitals: sizes,
            ..context()
        },
    )
    .unwrap();
    let opened = clear::run(&plan, &hospitals);
    let result = StudyResult::decode(&plan, &opened).unwrap();
    let cells = result.rows[0].cells.as_ref().unwrap();
    assert_eq!(
        cells.iter().map(|cell| cell.count).collect::<Vec<_>>(),
        [6, 6, 6]
    );
    assert!(result.rows[1].suppressed);
    let table = render::table(&result);
    assert!(
        table.contains("6 (33.3 %)") && table.contains("suppressed"),
        "{table}"
    );
    let chart = render::chart(&result);
    assert!(chart.contains("400 to 600 |####"), "{chart}");
    let json = serde_json::to_string(&result).unwrap();
    assert_eq!(serde_json::from_str::<StudyResult>(&json).unwrap(), result);

    assert!(StudyResult::decode(&plan, &opened[1..]).is_err());
    for index in 0..opened.len() {
        let mut wrong = opened.clone();
        wrong[index] = 16;
        assert!(StudyResult::decode(&plan, &wrong).is_err());
    }
    // The gate of the suppressed row lies in the second block: opening it without counts is impossible.
    let mut lifted = opened.clone();
    lifted[1] |= 4;
    assert!(StudyResult::decode(&plan, &lifted).is_err());
    let mut leaked = opened;
    leaked[1] |= 1;
    assert!(
        StudyResult::decode(&plan, &leaked).is_err(),
        "a closed row holds a digit"
    );
}
