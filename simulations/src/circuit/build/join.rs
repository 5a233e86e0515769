//! `And`, `Or`, `Select`: one bootstrap each, or one for two.

use std::collections::BTreeSet;

use super::{Builder, Lin, ONE, Output, ScheduleError, Task, WINDOW, mismatch};
use crate::{
    machine::{Step, Table},
    program::{NodeId, Op},
};

/// Two-member `And`s wait for another one that shares a member.
pub(super) struct Waiting {
    own: Lin,
    shared: Lin,
    output: Output,
    node: NodeId,
}

impl Builder<'_> {
    /// `And`, `Or`, `Select`.
    pub(super) fn joined(&mut self, id: NodeId, output: Output) -> Result<(), ScheduleError> {
        let features = self.reads.node(id).clone();
        match self.op(id)? {
            Op::And { bits } => self.and(id, bits, &features, output),
            Op::Or { bits } => self.or(id, bits, &features, output),
            Op::Select {
                condition,
                then,
                otherwise,
            } => self.select(id, [*condition, *then, *otherwise], &features, output),
            _ => Err(mismatch(self.schema, format!("n{id} joins nothing"))),
        }
    }

    fn and(
        &mut self,
        id: NodeId,
        bits: &[NodeId],
        features: &BTreeSet<String>,
        output: Output,
    ) -> Result<(), ScheduleError> {
        let bits: BTreeSet<NodeId> = bits.iter().map(|bit| self.canonical(*bit)).collect();
        let mut open = features.clone();
        for bit in &bits {
            if self.is_strict(*bit) {
                open.retain(|feature| !self.reads.node(*bit).contains(feature));
            }
        }
        let mut forms = Vec::new();
        for bit in &bits {
            forms.push((*bit, self.loose(*bit, ONE)?));
        }
        let mut members = i64::try_from(bits.len()).unwrap_or(i64::MAX);
        if let ([(first, a), (second, b)], true) = (forms.as_slice(), open.is_empty()) {
            // Two digits of the same score do not depend on each other, so they may go together.
            for (digit, own, mate, shared) in [(first, a, second, b), (second, b, first, a)] {
                let Op::Digit { score, .. } = self.op(*digit)? else {
                    continue;
                };
                let key = (*mate, *score);
                let waiting = Waiting {
                    own: own.clone(),
                    shared: shared.clone(),
                    output,
                    node: id,
                };
                match self.waiting.remove(&key) {
                    Some(other) => self.pair(other, Some(waiting)),
                    None => {
                        self.waiting.insert(key, waiting);
                    }
                }
                return Ok(());
            }
        }
        let mut sum = Lin::default();
        for (_, form) in &forms {
            sum.add(form, 1);
        }
        if bits.len() + open.len() <= WINDOW {
            sum.add(&self.missing(&open, ONE)?, -1);
        } else {
            sum.add(&self.valid(features, ONE)?, 1);
            members += 1;
        }
        sum.add(&Lin::constant(ONE), -members);
        self.window(id, sum, output);
        Ok(())
    }

    /// One or two `And`s of two members that share one.
    pub(super) fn pair(&mut self, first: Waiting, second: Option<Waiting>) {
        let Some(second) = second else {
            let sum = first
                .own
                .plus(&first.shared, 1)
                .plus(&Lin::constant(ONE), -2);
            self.window(first.node, sum, first.output);
            return;
        };
        // In a window of three bits below the padding, whose unit is 2 ONE.
        let input = Lin::default()
            .plus(&first.own, 2)
            .plus(&second.own, 4)
            .plus(&first.shared, 8);
        let (one, two) = (first.output.scale, second.output.scale);
        let both = |index: u64, bits: u64, scale: u64| u64::from(index & bits == bits) * scale;
        self.tasks.push(Task::Lookup {
            input,
            table: Table::many(
                3,
                &[
                    (0..8).map(|index| both(index, 5, one)).collect(),
                    (0..8).map(|index| both(index, 6, two)).collect(),
                ],
            ),
            atoms: vec![first.output.atom, second.output.atom],
            site: Step::Decide.at(first.node as usize),
        });
    }

    fn or(
        &mut self,
        id: NodeId,
        bits: &[NodeId],
        features: &BTreeSet<String>,
        output: Output,
    ) -> Result<(), ScheduleError> {
        let bits: BTreeSet<NodeId> = bits.iter().map(|bit| self.canonical(*bit)).collect();
        let mut sum = Lin::constant(ONE.wrapping_neg());
        for bit in &bits {
            sum.add(&self.loose(*bit, ONE)?, 1);
        }
        // How many may be set although a feature is missing.
        let mut weights = Vec::new();
        for feature in features {
            let set = bits
                .iter()
                .filter(|bit| !self.is_strict(**bit) || !self.reads.node(**bit).contains(feature));
            let set = i64::try_from(set.count()).unwrap_or(i64::MAX);
            weights.push((feature, set));
        }
        if weights.iter().map(|(_, set)| set).sum::<i64>() < 16 {
            for (feature, set) in weights {
                sum.add(&self.missing([feature], ONE)?, -set);
            }
        } else {
            let all = i64::try_from(bits.len()).unwrap_or(i64::MAX);
            sum.add(&self.valid(features, ONE)?, all);
            sum.add(&Lin::constant(ONE), -all);
        }
        self.window(id, sum, output);
        Ok(())
    }

    fn select(
        &mut self,
        id: NodeId,
        bits: [NodeId; 3],
        features: &BTreeSet<String>,
        output: Output,
    ) -> Result<(), ScheduleError> {
        let together = bits
            .iter()
            .all(|bit| self.is_strict(*bit) && self.reads.node(*bit) == features);
        let (size, unit) = if together { (3, 2) } else { (4, 1) };
        let mut input = Lin::default();
        for (bit, weight) in bits.into_iter().zip([1, 2, 4]) {
            input.add(&self.loose(bit, ONE)?, weight * unit);
        }
        if !together {
            input.add(&self.valid(features, ONE)?, 8);
        }
        let chosen = |index: u64| match (together || index >= 8, index & 1) {
            (true, 1) => (index >> 1) & 1,
            (true, _) => (index >> 2) & 1,
            (false, _) => 0,
        };
        self.tasks.push(Task::Lookup {
            input,
            table: Table::lookup(size, |index| chosen(index) * output.scale),
            atoms: vec![output.atom],
            site: Step::Decide.at(id as usize),
        });
        Ok(())
    }
}
