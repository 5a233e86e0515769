//! Logic on bits: conditions, and what costs nothing.

use super::{Builder, CompileError, NodeId, Op};
use crate::formula::Condition;

impl Builder<'_> {
    /// A condition as one bit.
    ///
    /// # Errors
    /// A formula that does not fit the twins.
    pub fn condition(&mut self, condition: &Condition) -> Result<NodeId, CompileError> {
        let first = |bits: Vec<NodeId>| bits.first().copied().ok_or(CompileError::Constant);
        match condition {
            Condition::AtLeast(number, cut) => first(self.at_least(number, &[*cut])?),
            Condition::Below(number, cut) => {
                let bit = first(self.at_least(number, &[*cut])?)?;
                Ok(self.not(bit))
            }
            Condition::All(parts) => {
                let bits = self.conditions(parts)?;
                self.all(bits).ok_or(CompileError::Constant)
            }
            Condition::Any(parts) => {
                let bits = self.conditions(parts)?;
                self.any(bits).ok_or(CompileError::Constant)
            }
            Condition::Not(inner) => {
                let bit = self.condition(inner)?;
                Ok(self.not(bit))
            }
        }
    }

    fn conditions(&mut self, parts: &[Condition]) -> Result<Vec<NodeId>, CompileError> {
        parts.iter().map(|part| self.condition(part)).collect()
    }

    /// The bit that is set where another one is not; twice is the bit itself.
    pub fn not(&mut self, bit: NodeId) -> NodeId {
        match self.op(bit) {
            Some(Op::Not { bit }) => *bit,
            _ => self.add(Op::Not { bit }),
        }
    }

    /// The bit that is set where one is and a narrower one is not. Where it is plain that the second is never set
    /// without the first, this costs nothing.
    pub fn minus(&mut self, bit: NodeId, without: NodeId) -> NodeId {
        match (self.op(bit), self.op(without)) {
            (Some(Op::Not { bit: first }), Some(Op::Not { bit: second })) => {
                let (first, second) = (*first, *second);
                self.minus(second, first)
            }
            (
                Some(Op::AtLeast { score, threshold }),
                Some(Op::AtLeast {
                    score: other,
                    threshold: higher,
                }),
            ) if score == other && threshold <= higher => self.add(Op::Without { bit, without }),
            (Some(Op::Valid { score }), Some(Op::AtLeast { score: other, .. }))
                if score == other =>
            {
                self.add(Op::Without { bit, without })
            }
            _ => {
                let not = self.not(without);
                self.all(vec![bit, not]).unwrap_or(bit)
            }
        }
    }

    /// The bit that is set where all of some are; `None` of none.
    pub fn all(&mut self, mut bits: Vec<NodeId>) -> Option<NodeId> {
        bits.sort_unstable();
        bits.dedup();
        self.joined(bits, &|bits| Op::And { bits })
    }

    /// The bit that is set where any of some is; `None` of none.
    pub fn any(&mut self, mut bits: Vec<NodeId>) -> Option<NodeId> {
        bits.sort_unstable();
        bits.dedup();
        self.joined(bits, &|bits| Op::Or { bits })
    }

    /// Joins bits, at most fifteen in one node.
    fn joined(&mut self, bits: Vec<NodeId>, op: &dyn Fn(Vec<NodeId>) -> Op) -> Option<NodeId> {
        match bits.as_slice() {
            [] => None,
            [only] => Some(*only),
            _ if bits.len() <= 15 => Some(self.add(op(bits))),
            _ => {
                let groups: Vec<NodeId> = bits
                    .chunks(15)
                    .filter_map(|group| self.joined(group.to_vec(), op))
                    .collect();
                self.joined(groups, op)
            }
        }
    }

    /// The bit that a score is there.
    pub fn valid(&mut self, score: NodeId) -> NodeId {
        self.add(Op::Valid { score })
    }

    pub(super) fn op(&self, id: NodeId) -> Option<&Op> {
        self.nodes.get(usize::try_from(id).ok()?)
    }
}
