//! Which bits are never set without another: a prover that follows the structure of a program.
//!
//! It answers yes only if it can show it, and gives up after a bounded number of steps.

use std::collections::HashMap;

use super::{NodeId, Op, Reads};

const DEEPEST: u32 = 48;
const STEPS: u32 = 100_000;

/// Proofs about the bits of one program, remembered.
pub(crate) struct Implications<'p> {
    nodes: &'p [Op],
    reads: &'p Reads,
    known: HashMap<(NodeId, NodeId), bool>,
    steps: u32,
}

impl<'p> Implications<'p> {
    pub(crate) fn new(nodes: &'p [Op], reads: &'p Reads) -> Self {
        Self {
            nodes,
            reads,
            known: HashMap::new(),
            steps: STEPS,
        }
    }

    /// Whether the first bit is never set without the second.
    pub(crate) fn implies(&mut self, a: NodeId, b: NodeId) -> bool {
        self.implied(a, b, DEEPEST)
    }

    fn op(&self, id: NodeId) -> Option<&'p Op> {
        self.nodes.get(usize::try_from(id).ok()?)
    }

    fn implied(&mut self, a: NodeId, b: NodeId, depth: u32) -> bool {
        if a == b {
            return true;
        }
        if let Some(known) = self.known.get(&(a, b)) {
            return *known;
        }
        if depth == 0 || self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let found = self.by_left(a, b, depth - 1) || self.by_right(a, b, depth - 1);
        self.known.insert((a, b), found);
        found
    }

    /// From what it means that `a` is set.
    fn by_left(&mut self, a: NodeId, b: NodeId, depth: u32) -> bool {
        match self.op(a) {
            Some(Op::And { bits }) => bits.iter().any(|bit| self.implied(*bit, b, depth)),
            Some(Op::Or { bits }) => bits.iter().all(|bit| self.implied(*bit, b, depth)),
            Some(Op::Without { bit, .. }) => self.implied(*bit, b, depth),
            Some(Op::Select {
                condition,
                then,
                otherwise,
            }) => {
                (self.implied(*then, b, depth) || self.implied(*condition, b, depth))
                    && self.implied(*otherwise, b, depth)
            }
            _ => false,
        }
    }

    /// From what it takes to set `b`; whatever sets `a` has all that `a` reads.
    fn by_right(&mut self, a: NodeId, b: NodeId, depth: u32) -> bool {
        if !self.reads.covers(a, b) {
            return false;
        }
        match (self.op(a), self.op(b)) {
            (_, Some(Op::Valid { .. })) => true,
            (
                Some(Op::AtLeast { score, threshold }),
                Some(Op::AtLeast {
                    score: other,
                    threshold: lower,
                }),
            ) => score == other && threshold >= lower,
            (Some(Op::Not { bit }), Some(Op::Not { bit: other })) => {
                self.implied(*other, *bit, depth)
            }
            (_, Some(Op::And { bits })) => bits.iter().all(|bit| self.implied(a, *bit, depth)),
            (_, Some(Op::Or { bits })) => bits.iter().any(|bit| self.implied(a, *bit, depth)),
            (_, Some(Op::Without { bit, without })) => {
                self.implied(a, *bit, depth) && self.excludes(a, *without, depth)
            }
            (_, Some(Op::Not { bit })) => self.excludes(a, *bit, depth),
            _ => false,
        }
    }

    /// Whether the two are never set together.
    fn excludes(&mut self, a: NodeId, b: NodeId, depth: u32) -> bool {
        if depth == 0 || self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        match self.op(a) {
            Some(Op::Without { bit, without }) => {
                self.implied(b, *without, depth - 1) || self.excludes(*bit, b, depth - 1)
            }
            Some(Op::Not { bit }) => self.implied(b, *bit, depth - 1),
            Some(Op::And { bits }) => bits.iter().any(|bit| self.excludes(*bit, b, depth - 1)),
            _ => false,
        }
    }
}
