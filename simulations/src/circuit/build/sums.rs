//! Sums over several axes: everything that is decided on each, and totals.

use std::collections::BTreeMap;

use super::{Builder, Key, Lin, ONE, Output, ScheduleError, Task, mismatch};
use crate::{
    circuit::{
        ONE_LOG,
        extract::DigitOut,
        number::digits_for,
        schedule::{Quantity, TotalPlan},
        sum::{Cut, SumTask},
        width::{Shape, cheapest, slot_factor},
    },
    program::{BitTerm, NodeId, Op, TableOn},
    schema::{INPUT_DELTA_LOG, UNIT},
};

/// log2 of the unit of a sum over the twins of a shard.
pub(crate) const TOTAL_LOG: u32 = 52;

impl Builder<'_> {
    pub(super) fn digit(
        &mut self,
        score: NodeId,
        place: u32,
        scale: u64,
    ) -> Result<Lin, ScheduleError> {
        let score = self.canonical(score);
        let position;
        let (tables, terms): (&[TableOn], &[BitTerm]) = match self.op(score)? {
            Op::Sum { tables, terms } => (tables, terms),
            _ => {
                position = self.position(score)?;
                (std::slice::from_ref(&position), &[])
            }
        };
        let shape = Shape::of(self.schema, tables, terms);
        let Some(place) = place.checked_sub(shape.unit.trailing_zeros()) else {
            return Ok(Lin::default());
        };
        if place > 62 || shape.largest >> place == 0 {
            return Ok(Lin::default());
        }
        let (atom, new) = self.atom(Key::Digit(score, place), scale);
        if new {
            let digits = &mut self.pending.entry(score).or_default().digits;
            digits.push(DigitOut { place, scale, atom });
        }
        Ok(Lin::atom(atom))
    }

    /// The table of a position.
    fn position(&self, score: NodeId) -> Result<TableOn, ScheduleError> {
        let Some(Op::Position { axis }) = self.program.op(score) else {
            return Err(mismatch(self.schema, format!("n{score} is no score")));
        };
        let nodes = self
            .schema
            .axis(axis)
            .map_or(0, |axis| i64::from(axis.nodes));
        Ok(TableOn {
            axis: axis.clone(),
            values: (0..nodes).collect(),
            missing: None,
        })
    }

    /// The quantities of an unfiltered sum of a table: its digits in base 4, each a linear form.
    pub(crate) fn table_total(
        &self,
        table: &TableOn,
        quantities: &mut Vec<Quantity>,
    ) -> Result<TotalPlan, ScheduleError> {
        let place = self.place(&table.axis)?;
        let unit = u64::from(UNIT);
        let highest = table.range().highest.max(0).unsigned_abs();
        let mut parts = Vec::new();
        for digit in 0..digits_for(highest) {
            let of = |value: &i64| (value >> (2 * digit)) & 3;
            let factor = 1_i64 << (TOTAL_LOG - INPUT_DELTA_LOG);
            let slots: Vec<(usize, i64)> = table
                .values
                .iter()
                .enumerate()
                .map(|(node, value)| (place.first + node, of(value) * factor))
                .filter(|(_, factor)| *factor != 0)
                .collect();
            let most = table.values.iter().map(of).max().unwrap_or(0);
            if most == 0 {
                continue;
            }
            let form = Lin {
                slots,
                ..Lin::default()
            };
            let most = most.unsigned_abs() * unit;
            let quantity = Quantity::Linear { form, most };
            let known = quantities.iter().position(|other| *other == quantity);
            let number = known.unwrap_or_else(|| {
                quantities.push(quantity);
                quantities.len() - 1
            });
            parts.push((number, digit));
        }
        Ok(TotalPlan {
            parts,
            most: highest * unit,
        })
    }

    /// Everything that is decided on one sum, in the cheapest of the ways that are exact.
    pub(super) fn sum(
        &mut self,
        id: NodeId,
        cuts: BTreeMap<i64, Vec<Output>>,
        digits: Vec<DigitOut>,
    ) -> Result<(), ScheduleError> {
        let position;
        let (tables, terms): (&[TableOn], &[BitTerm]) = match self.op(id)? {
            Op::Sum { tables, terms } => (tables, terms),
            _ => {
                position = self.position(id)?;
                (std::slice::from_ref(&position), &[])
            }
        };
        let shape = Shape::of(self.schema, tables, terms);
        let reads = self.reads.node(id).clone();
        let cuts: Vec<Cut> = cuts
            .into_iter()
            .map(|(threshold, outputs)| Cut { threshold, outputs })
            .collect();
        let first = digits.iter().map(|digit| digit.place).min();
        let plain = shape.bits_plain(
            !reads.is_empty() && !cuts.is_empty(),
            first,
            !cuts.is_empty(),
        );
        let penalties = shape.penalties(&reads);
        let deep = shape.bits_with_penalties(&penalties);
        let narrowest = plain.min(deep);
        // The cost does not depend on the bits' forms, so they are added to the way that is chosen.
        let base = SumTask {
            node: id,
            sum: shape.tables(self.schema, plain)?,
            bits: plain,
            largest: shape.largest,
            valid: None,
            cuts,
            digits,
            shared: true,
        };
        let mut ways = Vec::new();
        if base.digits.is_empty() {
            let mut sum = shape.tables(self.schema, deep)?;
            for (axis, penalty) in &penalties {
                let slot = self.place(axis)?.missing();
                let factor = penalty * shape.unit / i64::from(UNIT) * slot_factor(shape.unit, deep);
                sum.slots.push((slot, -factor));
            }
            let alone = SumTask {
                sum,
                bits: deep,
                shared: false,
                ..base.clone()
            };
            ways.push((alone, 0));
        }
        let new = reads.len() > 1
            && !base.cuts.is_empty()
            && !self.atoms.contains_key(&(Key::Present(reads.clone()), ONE));
        let valid = (!reads.is_empty() && !base.cuts.is_empty()).then(|| Lin::constant(ONE));
        for shared in [true, false] {
            if shared || base.digits.is_empty() {
                let valid = valid.clone();
                let way = SumTask {
                    valid,
                    shared,
                    ..base.clone()
                };
                ways.push((way, usize::from(new)));
            }
        }
        let mut task = cheapest(id, ways, narrowest)?;
        if task.valid.is_some() {
            task.valid = Some(self.valid(&reads, ONE)?);
        }
        let unit = 64 - task.bits;
        for term in terms.iter().filter(|term| term.weight != 0) {
            let weight = shape.weight(term);
            let scale = weight.unsigned_abs() << unit;
            let (scale, times) = match scale >> ONE_LOG {
                times @ 1..=4 if scale.is_multiple_of(ONE) => (ONE, times.cast_signed()),
                _ => (scale, 1),
            };
            let bit = self.loose(term.bit, scale)?;
            if weight < 0 {
                let most = scale.wrapping_mul(times.cast_unsigned());
                task.sum.constant = task.sum.constant.wrapping_add(most);
            }
            task.sum.add(&bit, times * weight.signum());
        }
        self.tasks.push(Task::Sum(task));
        Ok(())
    }
}
