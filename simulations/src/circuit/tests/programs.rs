//! Random programs with every operation, and random twins with missing features.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]

use proptest::prelude::*;

use crate::{
    Axis, Plane, Program, Scale, Schema, Weights,
    program::{BitTerm, Cell, Op, Row, RowKind, TableOn, Total, TotalOf},
};

pub(super) fn schema() -> Schema {
    let axis = |name: &str, nodes| Axis {
        nodes,
        ..Axis::continuous(name, "1", Scale::Linear, 0.0, 1.0)
    };
    let plane = |name: &str, first, second| Plane {
        name: name.to_owned(),
        first,
        second,
    };
    Schema::new(
        "test/1",
        vec![
            axis("a", 32),
            axis("b", 5),
            Axis::categorical("c", 3),
            Axis::categorical("d", 2),
        ],
        vec![
            plane("ab", axis("a", 4), axis("b", 3)),
            plane("cd", Axis::categorical("c", 3), Axis::categorical("d", 2)),
        ],
    )
}

pub(super) fn twin() -> impl Strategy<Value = Weights> {
    let present = |values: BoxedStrategy<f64>| proptest::option::weighted(0.85, values);
    let unit = || (0.0..=1.0).boxed();
    let category = |most: u8| (0..most).prop_map(f64::from).boxed();
    (
        present(unit()),
        present(unit()),
        present(category(3)),
        present(category(2)),
    )
        .prop_map(|(a, b, c, d)| {
            let features = [("a", a), ("b", b), ("c", c), ("d", d)];
            let features = features.map(|(name, value)| (name.to_owned(), value));
            crate::encode(&schema(), &features.into()).unwrap()
        })
}

/// A stream of choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.roll((high - low + 1) as usize) as i64
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

struct Draft {
    dice: Dice,
    nodes: Vec<Op>,
    scores: Vec<(u32, i64, i64)>,
    bits: Vec<u32>,
}

impl Draft {
    fn add(&mut self, op: Op) -> u32 {
        self.nodes.push(op);
        self.nodes.len() as u32 - 1
    }

    fn bit(&mut self, op: Op) -> u32 {
        let id = self.add(op);
        self.bits.push(id);
        id
    }

    fn table(&mut self, axis: &str, nodes: usize, wide: i64, low: i64) -> TableOn {
        let dice = &mut self.dice;
        let values = (0..nodes).map(|_| dice.between(low, wide)).collect();
        let missing = (low < 0 && dice.roll(4) == 0).then(|| dice.between(low, wide));
        TableOn {
            axis: axis.to_owned(),
            values,
            missing,
        }
    }

    fn score(&mut self) {
        let kinds = [
            ("a", 32),
            ("b", 5),
            ("c", 3),
            ("d", 2),
            ("ab", 12),
            ("cd", 6),
        ];
        if self.dice.roll(6) == 0 {
            let id = self.add(Op::Position {
                axis: "a".to_owned(),
            });
            self.scores.push((id, 0, 496));
            return;
        }
        let whole = self.dice.roll(3) == 0;
        let wide = self.dice.of(&[1, 1, 2, 4, 9]);
        let mut tables = Vec::new();
        for (axis, nodes) in kinds {
            let takes = if whole { 2..=3 } else { 0..=5 };
            let index = kinds.iter().position(|(name, _)| *name == axis).unwrap();
            if (takes.contains(&index) || (whole && index == 5)) && self.dice.roll(2) == 0 {
                tables.push(self.table(axis, nodes, wide, -wide));
            }
        }
        let mut terms: Vec<BitTerm> = Vec::new();
        if tables.is_empty() || self.dice.roll(3) == 0 {
            for _ in 0..=self.dice.roll(3) {
                let bit = self.dice.of(&self.bits.clone());
                if terms.iter().all(|term| term.bit != bit) {
                    let weight = self.dice.between(-3, 3);
                    terms.push(BitTerm { bit, weight });
                }
            }
        }
        let reach: i64 = tables.len() as i64 * wide + 3 * terms.len() as i64;
        let id = self.add(Op::Sum { tables, terms });
        self.scores.push((id, -16 * reach, 16 * reach));
    }

    fn decision(&mut self) {
        let (score, low, high) = self.dice.of(&self.scores.clone());
        match self.dice.roll(6) {
            0 => {
                self.bit(Op::Valid { score });
            }
            1 => {
                let (shift, place) = (self.dice.roll(6) as u32, self.dice.roll(5) as u32);
                self.bit(Op::Digit {
                    score,
                    shift,
                    place,
                });
            }
            _ => {
                let mut last = None;
                let mut threshold = self.dice.between(low, high);
                for _ in 0..=self.dice.roll(9) {
                    let bit = self.bit(Op::AtLeast { score, threshold });
                    if let Some(wide) = last {
                        self.bit(Op::Without {
                            bit: wide,
                            without: bit,
                        });
                    }
                    last = Some(bit);
                    threshold += self.dice.between(0, (high - low) / 6 + 1);
                }
            }
        }
    }

    fn joint(&mut self) {
        let known = self.bits.clone();
        match self.dice.roll(5) {
            0 => {
                let bit = self.dice.of(&known);
                self.bit(Op::Not { bit });
            }
            1 => {
                let [condition, then, otherwise] = [(); 3].map(|()| self.dice.of(&known));
                self.bit(Op::Select {
                    condition,
                    then,
                    otherwise,
                });
            }
            2 => {
                let bits = (0..2 + self.dice.roll(5))
                    .map(|_| self.dice.of(&known))
                    .collect();
                self.bit(Op::Or { bits });
            }
            3 => {
                // Digits of a score within a population.
                let (score, ..) = self.dice.of(&self.scores.clone());
                let population = self.dice.of(&known);
                let shift = self.dice.roll(4) as u32;
                for place in 0..1 + self.dice.roll(6) as u32 {
                    let digit = self.bit(Op::Digit {
                        score,
                        shift,
                        place,
                    });
                    self.bit(Op::And {
                        bits: vec![population, digit],
                    });
                }
            }
            _ => {
                let bits = (0..2 + self.dice.roll(8))
                    .map(|_| self.dice.of(&known))
                    .collect();
                self.bit(Op::And { bits });
            }
        }
    }

    fn row(&mut self) -> Row {
        let cells = (0..1 + self.dice.roll(4))
            .map(|index| Cell {
                label: index.to_string(),
                bit: self.dice.of(&self.bits.clone()),
            })
            .collect();
        let mut totals = Vec::new();
        for index in 0..self.dice.roll(3) {
            let what = if self.dice.roll(2) == 0 {
                let (axis, nodes) = self.dice.of(&[("a", 32), ("c", 3), ("ab", 12)]);
                let wide = self.dice.of(&[1, 3, 200]);
                let table = TableOn {
                    missing: None,
                    ..self.table(axis, nodes, wide, 0)
                };
                TotalOf::Table { table }
            } else {
                let mut terms: Vec<BitTerm> = Vec::new();
                for _ in 0..1 + self.dice.roll(4) {
                    let bit = self.dice.of(&self.bits.clone());
                    if terms.iter().all(|term| term.bit != bit) {
                        let weight = self.dice.between(1, 20);
                        terms.push(BitTerm { bit, weight });
                    }
                }
                TotalOf::Bits { terms }
            };
            totals.push(Total {
                label: index.to_string(),
                power: 1,
                about: 0.0,
                unit: 1.0,
                what,
            });
        }
        Row {
            kind: RowKind::CrossTable,
            label: String::new(),
            arm: None,
            edges: Vec::new(),
            cells,
            totals,
        }
    }
}

/// A program drawn from a seed.
pub(super) fn drawn(seed: u64) -> Program {
    let mut draft = Draft {
        dice: Dice(seed),
        nodes: vec![Op::Position {
            axis: "b".to_owned(),
        }],
        scores: vec![(0, 0, 64)],
        bits: Vec::new(),
    };
    draft.bit(Op::AtLeast {
        score: 0,
        threshold: 30,
    });
    for _ in 0..2 + draft.dice.roll(4) {
        draft.score();
        draft.decision();
        for _ in 0..draft.dice.roll(3) {
            draft.joint();
        }
    }
    let rows = (0..1 + draft.dice.roll(3)).map(|_| draft.row()).collect();
    let k = draft.dice.roll(3) as u32 + 1;
    Program::new(&schema(), k, draft.nodes, rows).unwrap()
}

pub(super) fn program() -> impl Strategy<Value = Program> {
    any::<u64>().prop_map(drawn)
}

/// Whether a sum has weighted bits.
pub(super) fn adds_bits(program: &Program) -> bool {
    let adds = |op: &Op| matches!(op, Op::Sum { terms, .. } if !terms.is_empty());
    program.nodes().iter().any(adds)
}
