//! Compiling formulas: from functions of real features to integer tables, thresholds and bits.
//!
//! A decision on one continuous axis becomes thresholds on the position, found by evaluating the formula at every position of the
//! grid: the whole decision is then exact to the grid. A decision on one plane gets a table that is fine around its cut and
//! clamped far from it. Everything else becomes a sum of tables with a common unit; where all summands are whole multiples of a
//! number, as in scores, the unit is that number and the sum is exact.

mod choice;
mod decide;
mod flat;
mod logic;

use std::collections::BTreeMap;

use thiserror::Error;

pub use choice::ChoiceBits;
use flat::{Flat, Part};

use crate::{
    formula::{Additive, Term},
    program::{BitTerm, NodeId, Op, TableOn},
    schema::{Schema, UNIT},
};

/// Levels of a table whose sum is decided in ten bits.
const LEVELS_10: f64 = 30.0;
/// Levels of a sum that is decided in twelve bits.
const LEVELS_12: f64 = 126.0;
/// Levels of a sum over several axes that is decided in fourteen bits, one of which says that nothing is missing.
const LEVELS_14: f64 = 460.0;
/// Levels of a sum that is only read, never decided.
const LEVELS_READ: f64 = 30_000.0;
/// The most whole points of an exact sum.
const MOST_POINTS: f64 = 2_000.0;
/// Crossings of one axis beyond which a decision is made on a sum instead.
const MOST_CROSSINGS: usize = 8;
/// From so many cuts of one plane on they share one sum.
const MANY_CUTS: usize = 5;

/// A formula that does not fit the twins.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CompileError {
    /// The twin has no such axis or plane.
    #[error("the schema {schema} has no axis or plane {name}")]
    NoSuchAxis {
        /// The schema.
        schema: String,
        /// The axis or plane asked for.
        name: String,
    },
    /// The formula has no value somewhere on the grid.
    #[error("a term on {name} has no finite value at node {node} of its grid")]
    NotFinite {
        /// The axis or plane.
        name: String,
        /// The node.
        node: usize,
    },
    /// A sum of nothing.
    #[error("a formula reads no feature of the twin")]
    Constant,
    /// Steps that do not fit their cuts.
    #[error("a staircase with {cuts} cuts needs one level more, it has {levels}")]
    Staircase {
        /// The cuts.
        cuts: usize,
        /// The levels.
        levels: usize,
    },
    /// More options than a choice holds, or none.
    #[error("a choice has 1 to 8 options, this one {0}")]
    Options(usize),
}

/// A sum to be read: the number is `link(offset + unit * sum)`, the sum in whole sixteenths of a table's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The node of the sum.
    pub node: NodeId,
    /// What one whole of the program's score is worth.
    pub unit: f64,
    /// What is added.
    pub offset: f64,
    /// Whether the tables hold the formula without rounding.
    pub exact: bool,
    /// The part of the sum that is read without any bootstrap: its tables.
    pub tables: Option<NodeId>,
}

/// A sum of whole steps: the number is about `lowest + step * floor(steps)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// The node of the sum, in sixteenths of a step.
    pub node: NodeId,
    /// What one step is worth.
    pub step: f64,
    /// The number at no steps.
    pub lowest: f64,
    /// The bits that hold every step.
    pub bits: u32,
}

/// A number as tables of one axis or plane.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueTable {
    /// The number less the lowest one.
    pub values: TableOn,
    /// Its square.
    pub squares: TableOn,
    /// The lowest number.
    pub lowest: f64,
    /// What a sixteenth of the first table's unit is worth.
    pub unit: f64,
    /// What a sixteenth of the second table's unit is worth.
    pub square_unit: f64,
}

/// Makes the nodes of a program; equal nodes are made once.
pub struct Builder<'s> {
    schema: &'s Schema,
    nodes: Vec<Op>,
}

impl<'s> Builder<'s> {
    /// Starts with no nodes.
    #[must_use]
    pub fn new(schema: &'s Schema) -> Self {
        Self {
            schema,
            nodes: Vec::new(),
        }
    }

    /// The nodes so far.
    #[must_use]
    pub fn nodes(&self) -> &[Op] {
        &self.nodes
    }

    /// The nodes.
    #[must_use]
    pub fn into_nodes(self) -> Vec<Op> {
        self.nodes
    }

    /// The schema of the twins.
    #[must_use]
    pub fn schema(&self) -> &'s Schema {
        self.schema
    }

    /// Adds a node unless there is one like it.
    pub fn add(&mut self, op: Op) -> NodeId {
        let known = self.nodes.iter().position(|known| *known == op);
        let index = known.unwrap_or_else(|| {
            self.nodes.push(op);
            self.nodes.len() - 1
        });
        NodeId::try_from(index).unwrap_or(NodeId::MAX)
    }

    /// A sum for reading a number, as fine as a ciphertext of an input holds.
    ///
    /// # Errors
    /// A formula that does not fit the twins.
    pub fn reading(&mut self, additive: &Additive) -> Result<Reading, CompileError> {
        let flat = self.flatten(additive)?.with_lowest_zero();
        let exact = flat.whole_unit(MOST_POINTS);
        let quantum = exact.unwrap_or_else(|| flat.quantum(LEVELS_READ));
        let node = self.sum(&flat, quantum);
        let tables = Flat {
            parts: flat.parts.clone(),
            ..Flat::default()
        };
        Ok(Reading {
            node,
            unit: quantum / f64::from(UNIT),
            offset: flat.constant,
            exact: exact.is_some(),
            tables: (!flat.parts.is_empty()).then(|| self.sum(&tables, quantum)),
        })
    }

    /// A sum of whole steps for means by digits; `None` if the number is neither a sum nor a function of one axis or
    /// plane.
    ///
    /// # Errors
    /// A formula that does not fit the twins.
    pub fn stepped(
        &mut self,
        additive: &Additive,
        steps: f64,
    ) -> Result<Option<Steps>, CompileError> {
        let mut flat = self.flatten(additive)?;
        if !additive.link.is_identity() {
            let Some(part) = flat.only_part() else {
                return Ok(None);
            };
            let part = part.through(&|value| additive.link.forward(flat.constant + value))?;
            flat = Flat {
                parts: vec![part],
                ..Flat::default()
            };
        }
        let exact = flat.whole_unit(steps);
        let step = exact.unwrap_or_else(|| f64::max(flat.range() / steps, f64::MIN_POSITIVE));
        let node = self.sum(&flat, step);
        let tables: i64 = match self.op(node) {
            Some(Op::Sum { tables, terms }) => {
                let lowest: i64 = tables.iter().map(|table| table.range().lowest).sum();
                lowest + terms.iter().map(|term| term.weight.min(0)).sum::<i64>()
            }
            _ => 0,
        };
        // A fraction of a step is cut off: half a step is what is lost on average, less half a sixteenth.
        let middle = if exact.is_some() { 0.0 } else { 15.0 / 32.0 };
        let count = libm::ceil(flat.range() / step) + 1.0;
        Ok(Some(Steps {
            node,
            step,
            lowest: flat.constant + (float(tables) + middle) * step,
            bits: (1..=16)
                .find(|bits| f64::from(1 << bits) > count)
                .unwrap_or(16),
        }))
    }

    /// The values of a number as tables of its one axis or plane, for means without a filter; `None` if it has more.
    ///
    /// # Errors
    /// A formula that does not fit the twins.
    pub fn value_table(
        &mut self,
        additive: &Additive,
        steps: f64,
    ) -> Result<Option<ValueTable>, CompileError> {
        let flat = self.flatten(additive)?;
        let Some(part) = flat.only_part().filter(|part| part.missing.is_none()) else {
            return Ok(None);
        };
        let numbers = part
            .through(&|value| additive.link.forward(flat.constant + value))?
            .values;
        let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let above: Vec<f64> = numbers.iter().map(|number| number - lowest).collect();
        let unit = f64::max((highest - lowest) / steps, f64::MIN_POSITIVE);
        let square_unit = unit * unit;
        let table = |values: &mut dyn Iterator<Item = f64>| TableOn {
            axis: part.name.clone(),
            values: values.map(whole).collect(),
            missing: None,
        };
        let sixteenths = f64::from(UNIT);
        Ok(Some(ValueTable {
            values: table(&mut above.iter().map(|value| value / unit)),
            squares: table(&mut above.iter().map(|value| value * value / square_unit)),
            lowest,
            unit: unit / sixteenths,
            square_unit: square_unit / sixteenths,
        }))
    }

    /// The bits that say whether a number is at least each of some ascending cuts.
    ///
    /// # Errors
    /// A formula that does not fit the twins.
    pub fn at_least(
        &mut self,
        additive: &Additive,
        cuts: &[f64],
    ) -> Result<Vec<NodeId>, CompileError> {
        let flat = self.flatten(additive)?;
        let sums: Vec<f64> = cuts.iter().map(|cut| additive.link.inverse(*cut)).collect();
        self.decide(&flat, &sums)
    }

    /// The node of a sum in a unit.
    fn sum(&mut self, flat: &Flat<'_>, unit: f64) -> NodeId {
        let unit = if unit > 0.0 { unit } else { 1.0 };
        let tables = flat
            .parts
            .iter()
            .map(|part| TableOn {
                axis: part.name.clone(),
                values: part
                    .values
                    .iter()
                    .map(|value| whole(value / unit))
                    .collect(),
                missing: part.missing.map(|value| whole(value / unit)),
            })
            .collect();
        let terms = flat
            .bits
            .iter()
            .map(|(bit, value)| BitTerm {
                bit: *bit,
                weight: whole(value / unit),
            })
            .filter(|term| term.weight != 0)
            .collect();
        self.add(Op::Sum { tables, terms })
    }

    /// The values of a formula at the nodes of the axes and planes that it reads.
    pub(crate) fn flatten<'f>(&mut self, additive: &'f Additive) -> Result<Flat<'f>, CompileError> {
        let mut parts: BTreeMap<String, Part> = BTreeMap::new();
        let mut bits: BTreeMap<NodeId, f64> = BTreeMap::new();
        let mut constant = additive.constant;
        let mut functions = Vec::new();
        for term in &additive.terms {
            match term {
                Term::Axis {
                    axis: name,
                    value,
                    missing,
                } => {
                    let axis = self.schema.axis(name).ok_or_else(|| self.unknown(name))?;
                    let values = (0..u32::from(axis.nodes))
                        .map(|node| value(axis.value_at(f64::from(node * UNIT))))
                        .collect();
                    functions.push((1.0, value));
                    add_part(&mut parts, Part::line(name, values, *missing)?);
                }
                Term::Plane {
                    plane: name,
                    value,
                    missing,
                } => {
                    let plane = self.schema.plane(name).ok_or_else(|| self.unknown(name))?;
                    let rows = usize::from(plane.first.nodes);
                    let columns = usize::from(plane.second.nodes);
                    let values = (0..u32::from(plane.first.nodes))
                        .flat_map(|a| (0..u32::from(plane.second.nodes)).map(move |b| (a, b)))
                        .map(|(a, b)| {
                            value(
                                plane.first.value_at(f64::from(a * UNIT)),
                                plane.second.value_at(f64::from(b * UNIT)),
                            )
                        })
                        .collect();
                    add_part(
                        &mut parts,
                        Part::grid(name, rows, columns, values, *missing)?,
                    );
                }
                Term::If { condition, value } => {
                    let bit = self.condition(condition)?;
                    *bits.entry(bit).or_insert(0.0) += value;
                }
                Term::Staircase { of, cuts, levels } => {
                    if levels.len() != cuts.len() + 1 {
                        return Err(CompileError::Staircase {
                            cuts: cuts.len(),
                            levels: levels.len(),
                        });
                    }
                    constant += levels.first().copied().unwrap_or(0.0);
                    let steps = self.at_least(of, cuts)?;
                    for (bit, pair) in steps.into_iter().zip(levels.windows(2)) {
                        if let [before, after] = pair {
                            *bits.entry(bit).or_insert(0.0) += after - before;
                        }
                    }
                }
            }
        }
        let parts: Vec<Part> = parts.into_values().collect();
        if parts.is_empty() && bits.is_empty() {
            return Err(CompileError::Constant);
        }
        Ok(Flat {
            parts,
            bits: bits.into_iter().collect(),
            constant,
            functions,
        })
    }

    fn unknown(&self, name: &str) -> CompileError {
        CompileError::NoSuchAxis {
            schema: self.schema.id().to_owned(),
            name: name.to_owned(),
        }
    }
}

/// Thresholds beyond this are never or always reached.
const LARGEST: f64 = 1.0e12;

/// The nearest whole number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped far below the largest integer"
)]
fn whole(value: f64) -> i64 {
    libm::round(value.clamp(-LARGEST, LARGEST)) as i64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "table values stay far below 2^53"
)]
fn float(value: i64) -> f64 {
    value as f64
}

fn add_part(parts: &mut BTreeMap<String, Part>, part: Part) {
    match parts.get_mut(&part.name) {
        Some(known) => known.add(&part, 1.0),
        None => {
            parts.insert(part.name.clone(), part);
        }
    }
}
