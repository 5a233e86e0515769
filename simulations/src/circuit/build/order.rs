//! Which nodes are the same, and in which order the steps can be taken.

use std::collections::BTreeMap;

use super::Task;
use crate::program::{NodeId, Program};

/// For every node the first that is the same operation.
pub(super) fn same(program: &Program) -> Vec<NodeId> {
    let mut known: BTreeMap<Vec<u8>, NodeId> = BTreeMap::new();
    (0..)
        .zip(program.nodes())
        .map(|(id, op)| *known.entry(crate::cbor(op)).or_insert(id))
        .collect()
}

/// Steps by the longest way from the slots to them.
pub(super) fn levels(tasks: Vec<Task>, atoms: usize) -> Vec<Vec<Task>> {
    let mut ready: Vec<Option<usize>> = vec![None; atoms];
    let mut levels: Vec<Vec<Task>> = Vec::new();
    let mut left = tasks;
    while !left.is_empty() {
        let level = levels.len();
        let known = |task: &Task| {
            task.inputs()
                .iter()
                .all(|atom| ready.get(*atom).is_some_and(Option::is_some))
        };
        let (now, later): (Vec<Task>, Vec<Task>) = left.into_iter().partition(known);
        for atom in now.iter().flat_map(Task::atoms) {
            if let Some(place) = ready.get_mut(atom) {
                *place = Some(level);
            }
        }
        let stuck = now.is_empty();
        levels.push(if stuck { Vec::new() } else { now });
        left = later;
        if stuck {
            // Nothing is computed that reads itself; the evaluation names it as a bug.
            levels.push(std::mem::take(&mut left));
        }
    }
    levels
}
