//! Building a schedule: from the bits that are wanted, down through the program, each distinct thing once.
//!
//! Bits are linear forms as long as possible. A form is *strict* if it is 0 for a twin with something missing, and
//! *loose* if it is 0 or 1 then; `And` needs only loose ones, since it counts the missing features itself.

mod axis;
mod join;
mod order;
mod sums;

use std::collections::{BTreeMap, BTreeSet};

use join::Waiting;
use order::{levels, same};
pub(crate) use sums::TOTAL_LOG;

use super::{
    ONE,
    extract::DigitOut,
    lin::{Atom, Lin},
    schedule::{ScheduleError, Task},
    sum::Output,
    width::Shape,
};
use crate::{
    machine::Step,
    program::{NodeId, Op, Program, Reads, range_of},
    schema::{INPUT_DELTA_LOG, Schema},
};

/// The most features that one presence check counts.
const MOST_FEATURES: usize = 15;
/// The most members of a window that reaches from -16 to 15.
const WINDOW: usize = 16;

/// What is bootstrapped, apart from its scale.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// `And`, `Or`, `Select`.
    Node(NodeId),
    /// A digit's bit that is 0 if anything is missing.
    Masked(NodeId),
    /// A threshold in units above the lowest, on a sum.
    Cut(NodeId, i64),
    /// A bit of a sum in units above the lowest.
    Digit(NodeId, u32),
    /// Nothing of these is missing.
    Present(BTreeSet<String>),
    /// The position on an axis is at least this.
    Step(String, i64),
}

/// What is still to be computed of one node.
#[derive(Default)]
struct Pending {
    bits: Vec<Output>,
    masked: Vec<Output>,
    cuts: BTreeMap<i64, Vec<Output>>,
    digits: Vec<DigitOut>,
}

pub(super) fn mismatch(schema: &Schema, what: String) -> ScheduleError {
    ScheduleError::Mismatch {
        schema: schema.id().to_owned(),
        what,
    }
}

pub(super) struct Builder<'p> {
    program: &'p Program,
    schema: &'p Schema,
    reads: Reads,
    same: Vec<NodeId>,
    atoms: BTreeMap<(Key, u64), Atom>,
    pending: BTreeMap<NodeId, Pending>,
    present: Vec<(BTreeSet<String>, Output)>,
    waiting: BTreeMap<(NodeId, NodeId), Waiting>,
    tasks: Vec<Task>,
}

impl<'p> Builder<'p> {
    pub(super) fn new(program: &'p Program, schema: &'p Schema) -> Self {
        Self {
            program,
            schema,
            reads: Reads::of(program.nodes()),
            same: same(program),
            atoms: BTreeMap::new(),
            pending: BTreeMap::new(),
            present: Vec::new(),
            waiting: BTreeMap::new(),
            tasks: Vec::new(),
        }
    }

    fn op(&self, id: NodeId) -> Result<&'p Op, ScheduleError> {
        let program = self.program;
        program
            .op(id)
            .ok_or_else(|| mismatch(self.schema, format!("no node n{id}")))
    }

    /// The first node that is the same as this one.
    fn canonical(&self, id: NodeId) -> NodeId {
        let same = usize::try_from(id)
            .ok()
            .and_then(|index| self.same.get(index));
        same.copied().unwrap_or(id)
    }

    /// The atom of a key at a scale, and whether it is new.
    fn atom(&mut self, key: Key, scale: u64) -> (Atom, bool) {
        let next = self.atoms.len();
        let atom = *self.atoms.entry((key, scale)).or_insert(next);
        (atom, atom == next)
    }

    /// A bit at a scale, 0 if anything is missing.
    pub(super) fn strict(&mut self, id: NodeId, scale: u64) -> Result<Lin, ScheduleError> {
        match self.op(id)? {
            Op::Valid { .. } => self.valid(&self.reads.node(id).clone(), scale),
            Op::Not { bit } => {
                let valid = self.valid(&self.reads.node(id).clone(), scale)?;
                Ok(valid.plus(&self.strict(*bit, scale)?, -1))
            }
            Op::Without { bit, without } => {
                let wide = self.strict(*bit, scale)?;
                Ok(wide.plus(&self.strict(*without, scale)?, -1))
            }
            Op::Digit { .. } if !self.reads.node(id).is_empty() => {
                let id = self.canonical(id);
                let (atom, new) = self.atom(Key::Masked(id), scale);
                if new {
                    let masked = &mut self.pending.entry(id).or_default().masked;
                    masked.push(Output { scale, atom });
                }
                Ok(Lin::atom(atom))
            }
            _ => self.loose(id, scale),
        }
    }

    /// Whether a node's loose form is strict as well.
    fn is_strict(&self, id: NodeId) -> bool {
        match self.program.op(id) {
            Some(Op::Not { .. } | Op::Digit { .. }) => self.reads.node(id).is_empty(),
            _ => true,
        }
    }

    /// A bit at a scale, 0 or 1 if anything is missing.
    fn loose(&mut self, id: NodeId, scale: u64) -> Result<Lin, ScheduleError> {
        match self.op(id)? {
            Op::Not { bit } => Ok(Lin::constant(scale).plus(&self.loose(*bit, scale)?, -1)),
            Op::AtLeast { score, threshold } => self.at_least(*score, *threshold, scale),
            Op::Digit {
                score,
                shift,
                place,
            } => self.digit(*score, shift + place, scale),
            Op::And { .. } | Op::Or { .. } | Op::Select { .. } => {
                let id = self.canonical(id);
                let (atom, new) = self.atom(Key::Node(id), scale);
                if new {
                    let bits = &mut self.pending.entry(id).or_default().bits;
                    bits.push(Output { scale, atom });
                }
                Ok(Lin::atom(atom))
            }
            Op::Valid { .. } | Op::Without { .. } => self.strict(id, scale),
            Op::Position { .. } | Op::Sum { .. } => {
                Err(mismatch(self.schema, format!("n{id} is no bit")))
            }
        }
    }

    /// Nothing of these is missing: free for one.
    fn valid(&mut self, features: &BTreeSet<String>, scale: u64) -> Result<Lin, ScheduleError> {
        if features.len() > 1 {
            let (atom, new) = self.atom(Key::Present(features.clone()), scale);
            if new {
                self.present
                    .push((features.clone(), Output { scale, atom }));
            }
            return Ok(Lin::atom(atom));
        }
        Ok(Lin::constant(scale).plus(&self.missing(features, scale)?, -1))
    }

    /// The number of missing features at a scale.
    fn missing<'f>(
        &self,
        features: impl IntoIterator<Item = &'f String>,
        scale: u64,
    ) -> Result<Lin, ScheduleError> {
        let mut sum = Lin::default();
        for feature in features {
            let place = self.place(feature)?;
            sum.slots.push((place.missing(), sixteenth(scale)));
        }
        Ok(sum)
    }

    fn place(&self, name: &str) -> Result<crate::schema::Place, ScheduleError> {
        self.schema
            .place(name)
            .ok_or_else(|| mismatch(self.schema, format!("no axis or plane {name}")))
    }

    fn at_least(
        &mut self,
        score: NodeId,
        threshold: i64,
        scale: u64,
    ) -> Result<Lin, ScheduleError> {
        let score = self.canonical(score);
        let range = range_of(self.program, self.schema, score)
            .ok_or_else(|| mismatch(self.schema, format!("n{score} is no score")))?;
        if threshold > range.highest {
            return Ok(Lin::default());
        }
        if threshold <= range.lowest {
            return self.valid(&self.reads.node(score).clone(), scale);
        }
        match self.op(score)? {
            Op::Position { axis } => Ok(self.step(score, axis, threshold, scale)),
            Op::Sum { tables, terms } => match tables.as_slice() {
                [table] if terms.is_empty() && self.schema.is_categorical(&table.axis) => {
                    self.categories(table, threshold, scale)
                }
                [table] if terms.is_empty() && self.schema.axis(&table.axis).is_some() => {
                    self.steps(score, table, threshold, scale)
                }
                _ => {
                    let shape = Shape::of(self.schema, tables, terms);
                    let units = (threshold - range.lowest + shape.unit - 1).div_euclid(shape.unit);
                    let (atom, new) = self.atom(Key::Cut(score, units), scale);
                    if new {
                        let cuts = &mut self.pending.entry(score).or_default().cuts;
                        cuts.entry(units).or_default().push(Output { scale, atom });
                    }
                    Ok(Lin::atom(atom))
                }
            },
            _ => Err(mismatch(self.schema, format!("n{score} is no score"))),
        }
    }

    /// Computes all that is pending, from the last node to the first, and puts the steps in order.
    pub(super) fn finish(mut self) -> Result<(Vec<Vec<Task>>, usize), ScheduleError> {
        while let Some((id, pending)) = self.pending.pop_last() {
            for output in pending.masked {
                self.masked(id, output)?;
            }
            for output in pending.bits {
                self.joined(id, output)?;
            }
            if !pending.cuts.is_empty() || !pending.digits.is_empty() {
                self.sum(id, pending.cuts, pending.digits)?;
            }
        }
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            self.pair(waiting, None);
        }
        let mut index = 0;
        while let Some((features, output)) = self.present.get(index).cloned() {
            self.all_present(&features, output, index)?;
            index += 1;
        }
        let atoms = self.atoms.len();
        Ok((levels(self.tasks, atoms), atoms))
    }

    fn all_present(
        &mut self,
        features: &BTreeSet<String>,
        output: Output,
        index: usize,
    ) -> Result<(), ScheduleError> {
        let list: Vec<&String> = features.iter().collect();
        let input = if list.len() <= MOST_FEATURES {
            Lin::default().plus(&self.missing(list, ONE)?, -1)
        } else {
            let groups: Vec<BTreeSet<String>> = list
                .chunks(MOST_FEATURES)
                .map(|group| group.iter().map(|name| (*name).clone()).collect())
                .collect();
            if groups.len() > MOST_FEATURES {
                return Err(ScheduleError::TooManyFeatures {
                    features: features.len(),
                    most: MOST_FEATURES * MOST_FEATURES,
                });
            }
            let count = u64::try_from(groups.len()).unwrap_or(0);
            let mut sum = Lin::constant(ONE.wrapping_mul(count).wrapping_neg());
            for group in &groups {
                sum.add(&self.valid(group, ONE)?, 1);
            }
            sum
        };
        self.tasks.push(Task::Window {
            input,
            output,
            site: Step::Present.at(index),
        });
        Ok(())
    }

    /// A digit's bit, and nothing missing.
    fn masked(&mut self, id: NodeId, output: Output) -> Result<(), ScheduleError> {
        let raw = self.loose(id, ONE)?;
        let features = self.reads.node(id).clone();
        let input = if features.len() < WINDOW {
            raw.plus(&self.missing(&features, ONE)?, -1)
                .plus(&Lin::constant(ONE), -1)
        } else {
            raw.plus(&self.valid(&features, ONE)?, 1)
                .plus(&Lin::constant(ONE), -2)
        };
        self.window(id, input, output);
        Ok(())
    }

    fn window(&mut self, id: NodeId, input: Lin, output: Output) {
        self.tasks.push(Task::Window {
            input,
            output,
            site: Step::Decide.at(id as usize),
        });
    }
}

/// From a slot's weight of 16 to a scale: the factor of one sixteenth.
fn sixteenth(scale: u64) -> i64 {
    (scale >> (INPUT_DELTA_LOG + 4)).cast_signed()
}
