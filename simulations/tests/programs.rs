//! Programs that must be refused, and what their refusal names.

use organtwin_simulations::{
    Axis, Plane, Program, ProgramError, Scale, Schema,
    program::{BitTerm, Cell, Op, Row, RowKind, TableOn, Total, TotalOf},
};

fn schema() -> Schema {
    let axis = |name: &str| Axis {
        nodes: 4,
        ..Axis::continuous(name, "1", Scale::Linear, 0.0, 1.0)
    };
    let plane = Plane {
        name: "ab".to_owned(),
        first: axis("a"),
        second: axis("b"),
    };
    Schema::new(
        "hostile/1",
        vec![axis("a"), axis("b"), Axis::categorical("c", 3)],
        vec![plane],
    )
}

fn table(axis: &str, values: &[i64]) -> TableOn {
    TableOn {
        axis: axis.to_owned(),
        values: values.to_vec(),
        missing: None,
    }
}

fn sum(tables: Vec<TableOn>) -> Op {
    Op::Sum {
        tables,
        terms: Vec::new(),
    }
}

/// Two scores on different axes, a nested pair of bits on each, and their presence.
fn base() -> Vec<Op> {
    let at_least = |score, threshold| Op::AtLeast { score, threshold };
    vec![
        Op::Position {
            axis: "a".to_owned(),
        },
        sum(vec![table("b", &[0, 1, 2, 3]), table("c", &[0, 1, 2])]),
        at_least(0, 10),
        at_least(0, 20),
        at_least(1, 10),
        at_least(1, 20),
        Op::Valid { score: 0 },
        Op::Valid { score: 1 },
    ]
}

fn row(bit: u32, totals: Vec<Total>) -> Row {
    Row {
        kind: RowKind::Mean,
        label: "all".to_owned(),
        arm: None,
        edges: Vec::new(),
        cells: vec![Cell {
            label: "present".to_owned(),
            bit,
        }],
        totals,
    }
}

fn with(ops: Vec<Op>) -> Result<Program, ProgramError> {
    let mut nodes = base();
    nodes.extend(ops);
    let last = nodes.len() as u32 - 1;
    Program::new(&schema(), 5, nodes, vec![row(last, Vec::new())])
}

fn without(bit: u32, without: u32) -> Op {
    Op::Without { bit, without }
}

#[test]
fn nested_bits_are_accepted_where_it_can_be_shown() {
    let and = |bits: &[u32]| Op::And {
        bits: bits.to_vec(),
    };
    let or = |bits: &[u32]| Op::Or {
        bits: bits.to_vec(),
    };
    for (ops, nested) in [
        (vec![without(2, 3)], true),
        (vec![without(6, 3)], true),
        (vec![without(2, 2)], true),
        (vec![without(3, 2)], false),
        // Another axis: neither nested nor present together.
        (vec![without(2, 4)], false),
        (vec![and(&[2, 4]), without(2, 8)], false),
        (vec![and(&[2, 4]), and(&[3, 4]), without(8, 9)], true),
        (vec![and(&[2, 7]), and(&[3, 7]), without(8, 9)], true),
        (vec![and(&[2, 3]), without(2, 8)], true),
        (vec![or(&[2, 3]), without(8, 3)], true),
        (vec![or(&[2, 3]), without(2, 8)], true),
        (vec![or(&[2, 3]), without(3, 8)], false),
        (
            vec![Op::Not { bit: 2 }, Op::Not { bit: 3 }, without(9, 8)],
            true,
        ),
        (
            vec![Op::Not { bit: 2 }, Op::Not { bit: 3 }, without(8, 9)],
            false,
        ),
        (vec![without(2, 3), without(6, 8)], true),
        (vec![without(2, 3), without(8, 3)], false),
        (
            vec![
                Op::Select {
                    condition: 2,
                    then: 3,
                    otherwise: 3,
                },
                without(2, 8),
            ],
            true,
        ),
    ] {
        let made = with(ops.clone());
        assert_eq!(made.is_ok(), nested, "{ops:?}: {made:?}");
    }
}

#[test]
fn a_long_chain_is_not_followed_for_ever() {
    let mut ops = vec![Op::Not { bit: 2 }];
    for id in 8..3000 {
        ops.push(Op::Or {
            bits: vec![id, id, 2, 3, 4, 5],
        });
    }
    ops.push(without(3006, 2));
    assert!(with(ops).is_err());
}

#[test]
fn nodes_of_the_wrong_kind_are_refused() {
    let digit = |score, shift, place| Op::Digit {
        score,
        shift,
        place,
    };
    for op in [
        Op::Not { bit: 0 },
        Op::Not { bit: 8 },
        Op::And { bits: vec![2] },
        Op::And { bits: vec![2; 16] },
        Op::Or { bits: vec![2, 0] },
        Op::Valid { score: 2 },
        digit(2, 0, 0),
        digit(0, 41, 0),
        digit(0, 0, 41),
        Op::AtLeast {
            score: 0,
            threshold: i64::MIN,
        },
        Op::Select {
            condition: 2,
            then: 3,
            otherwise: 1,
        },
        sum(Vec::new()),
        sum(vec![table("a", &[0, 1, 2, 3]), table("a", &[0, 1, 2, 3])]),
        sum(vec![table("ab", &[0, 1, 2, 3])]),
        sum(vec![table("a", &[0, 1, 2, i64::MAX])]),
        sum(vec![TableOn {
            missing: Some(i64::MIN),
            ..table("a", &[0, 1, 2, 3])
        }]),
        Op::Sum {
            tables: Vec::new(),
            terms: vec![BitTerm { bit: 0, weight: 1 }],
        },
        Op::Sum {
            tables: Vec::new(),
            terms: vec![BitTerm { bit: 2, weight: 1 }; 2],
        },
        Op::Sum {
            tables: Vec::new(),
            terms: vec![BitTerm {
                bit: 2,
                weight: 1 << 21,
            }],
        },
    ] {
        // The node itself is refused, not that it is no bit.
        let made = with(vec![op.clone(), Op::Valid { score: 0 }]);
        assert!(
            matches!(made, Err(ProgramError::Node { node: 8, .. })),
            "{op:?}: {made:?}"
        );
    }
}

#[test]
fn rows_and_totals_that_make_no_sense_are_refused() {
    let total = |what| Total {
        label: "sum".to_owned(),
        power: 1,
        about: 0.0,
        unit: 1.0,
        what,
    };
    let bits = |bit, weight| TotalOf::Bits {
        terms: vec![BitTerm { bit, weight }],
    };
    let on = |table| TotalOf::Table { table };
    let good = total(on(table("a", &[0, 1, 2, 3])));
    let make = |bit, total| Program::new(&schema(), 5, base(), vec![row(bit, vec![total])]);
    assert!(make(2, good.clone()).is_ok());
    assert!(make(2, total(bits(3, 4))).is_ok());
    assert!(make(0, good.clone()).is_err(), "a score is counted");
    for wrong in [
        total(bits(3, 0)),
        total(bits(3, -1)),
        total(bits(0, 1)),
        total(TotalOf::Bits { terms: Vec::new() }),
        total(on(table("a", &[0, 1, 2, -3]))),
        total(on(table("a", &[0, 1]))),
        total(on(TableOn {
            missing: Some(1),
            ..table("a", &[0, 1, 2, 3])
        })),
        Total {
            unit: f64::NAN,
            ..good.clone()
        },
        Total { unit: 0.0, ..good },
    ] {
        let made = make(2, wrong.clone());
        assert!(
            matches!(made, Err(ProgramError::Row { row: 0, .. })),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_program_with_every_operation_survives_its_bytes() {
    let program = with(vec![
        Op::Not { bit: 2 },
        without(2, 3),
        Op::And { bits: vec![2, 4] },
        Op::Or { bits: vec![2, 4] },
        Op::Digit {
            score: 1,
            shift: 1,
            place: 2,
        },
        Op::Sum {
            tables: vec![table("ab", &[1; 16])],
            terms: vec![BitTerm { bit: 8, weight: -2 }],
        },
        Op::AtLeast {
            score: 13,
            threshold: 5,
        },
        Op::Select {
            condition: 2,
            then: 8,
            otherwise: 14,
        },
    ])
    .unwrap();
    let bytes = program.to_bytes();
    let read = Program::from_bytes(&bytes, &schema()).unwrap();
    assert_eq!(read, program);
    assert_eq!(read.digest(), program.digest());
    let text = program.to_string();
    for part in [
        "n8 = not n2",
        "n9 = n2 without n3",
        "n10 = n2 and n4",
        "n13 = sum of tables on ab and -2 n8",
        "n15 = if n2 then n8 else n14",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
