//! Linear forms over a twin's slots and over bits that were bootstrapped before: what is free.

use crate::machine::{Machine, MachineError, Site};

/// The number of a bootstrapped bit at one scale.
pub(crate) type Atom = usize;

/// Slots and atoms times integers, and a constant on the torus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lin {
    pub(crate) slots: Vec<(usize, i64)>,
    pub(crate) atoms: Vec<(Atom, i64)>,
    pub(crate) constant: u64,
}

impl Lin {
    pub(crate) fn constant(constant: u64) -> Self {
        Self {
            constant,
            ..Self::default()
        }
    }

    pub(crate) fn atom(atom: Atom) -> Self {
        Self {
            atoms: vec![(atom, 1)],
            ..Self::default()
        }
    }

    /// Adds another form times a factor.
    pub(crate) fn add(&mut self, other: &Self, factor: i64) {
        fn merge(to: &mut Vec<(usize, i64)>, from: &[(usize, i64)], factor: i64) {
            for (index, times) in from {
                match to.iter_mut().find(|(known, _)| known == index) {
                    Some((_, sum)) => *sum = sum.wrapping_add(times.wrapping_mul(factor)),
                    None => to.push((*index, times.wrapping_mul(factor))),
                }
            }
            to.retain(|(_, times)| *times != 0);
        }
        merge(&mut self.slots, &other.slots, factor);
        merge(&mut self.atoms, &other.atoms, factor);
        let constant = other.constant.wrapping_mul(factor.cast_unsigned());
        self.constant = self.constant.wrapping_add(constant);
    }

    pub(crate) fn plus(mut self, other: &Self, factor: i64) -> Self {
        self.add(other, factor);
        self
    }

    /// The form on one twin.
    pub(crate) fn wire<M: Machine>(
        &self,
        machine: &M,
        twin: &Twin<'_, M::Wire>,
        site: Site,
    ) -> Result<M::Wire, MachineError> {
        let missing = MachineError::NotComputed(site);
        let slots = self
            .slots
            .iter()
            .map(|(slot, factor)| Some((twin.slots.get(*slot)?, *factor)));
        let atoms = self
            .atoms
            .iter()
            .map(|(atom, factor)| Some((twin.atoms.get(*atom)?.as_ref()?, *factor)));
        let terms: Option<Vec<_>> = slots.chain(atoms).collect();
        Ok(machine.combine(&terms.ok_or(missing)?, self.constant))
    }
}

/// The slots of a twin and the atoms computed so far.
pub(crate) struct Twin<'t, W> {
    pub(crate) slots: &'t [W],
    pub(crate) atoms: &'t [Option<W>],
}
