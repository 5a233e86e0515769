//! Machines: what a circuit is written for. The planner, the exact integers and the ciphertexts run the same circuit.

use std::fmt;

use thiserror::Error;

/// The place of a bootstrap in a study, for progress, forecasts and refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The step.
    pub step: Step,
    /// What the step is about: a node of the program, a cell, or a row.
    pub index: u32,
}

/// The steps of a study that bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Whether several features are present.
    Present,
    /// A bit of a node of the program.
    Decide,
    /// Removing the low digits of a sum that is a node of the program.
    Extract,
    /// Cutting the count or the sum of a shard into digits.
    CutCount,
    /// Adding counts or sums and carrying.
    Carry,
    /// Adding up a total.
    Total,
    /// Comparing a cell with k.
    Compare,
    /// Joining the comparisons of a row.
    Gate,
    /// Closing the digits of a row's cells.
    Close,
    /// Squashing a block before it is opened.
    Squash,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index;
        match self.step {
            Step::Present => write!(f, "presence of features {index}"),
            Step::Decide => write!(f, "decision n{index}"),
            Step::Extract => write!(f, "digits of n{index}"),
            Step::CutCount => write!(f, "shard count of quantity {index}"),
            Step::Carry => write!(f, "carries of quantity {index}"),
            Step::Total => write!(f, "total {index}"),
            Step::Compare => write!(f, "comparison of cell {index} with k"),
            Step::Gate => write!(f, "gate of row {index}"),
            Step::Close => write!(f, "closing of row {index}"),
            Step::Squash => write!(f, "squashing of {index} blocks"),
        }
    }
}

impl Step {
    /// The site of this step at an index.
    #[must_use]
    pub fn at(self, index: usize) -> Site {
        Site {
            step: self,
            index: u32::try_from(index).unwrap_or(u32::MAX),
        }
    }
}

/// A bootstrap that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MachineError {
    /// The caller asked to stop.
    #[error("cancelled by the caller")]
    Cancelled,
    /// A circuit gave a table a phase that it does not cover: a bug.
    #[error("bug: {0} looks up a value outside its table")]
    OutsideTable(Site),
    /// A circuit read what was not computed before it: a bug.
    #[error("bug: {0} reads what was not computed")]
    NotComputed(Site),
    /// A circuit grew beyond what its digits hold: a bug.
    #[error("bug: {0} overflows its digits")]
    Overflow(Site),
}

/// A negacyclic lookup table: entry i belongs to the phases around i * 2^63 / entries, and half a turn further
/// lies the negated entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    entries: Vec<u64>,
    outputs: Vec<usize>,
    margin: u64,
}

impl Table {
    /// One entry for the half turn around phase 0: `half` there, and `-half` in the other half. The phases must keep
    /// `margin` away from the two edges.
    #[must_use]
    pub fn sign(half: u64, margin: u64) -> Self {
        Self {
            entries: vec![half],
            outputs: vec![0],
            margin,
        }
    }

    /// One entry for each of `1 << bits` values in the upper half of the torus' first half turn.
    #[must_use]
    pub fn lookup(bits: u32, entry: impl Fn(u64) -> u64) -> Self {
        Self {
            entries: (0..1 << bits).map(entry).collect(),
            outputs: vec![0],
            margin: 1 << (62 - bits),
        }
    }

    /// Two functions of `1 << bits` values at once; the phases are those of a table of twice as many values.
    #[must_use]
    pub fn pair(bits: u32, first: impl Fn(u64) -> u64, second: impl Fn(u64) -> u64) -> Self {
        Self {
            entries: (0..1 << bits)
                .map(first)
                .chain((0..1 << bits).map(second))
                .collect(),
            outputs: vec![0, 1 << bits],
            margin: 1 << (61 - bits),
        }
    }

    /// Several functions of `1 << bits` values at once, each given by its entries; the phases are those of a table of
    /// so many values.
    #[must_use]
    pub fn many(bits: u32, functions: &[Vec<u64>]) -> Self {
        // Next to each other lie what the functions say of one value.
        let boxes = functions.len().next_power_of_two();
        let entries: Vec<u64> = (0..1_usize << bits)
            .flat_map(|value| {
                (0..boxes).map(move |index| {
                    let function = functions.get(index);
                    function.and_then(|f| f.get(value)).copied().unwrap_or(0)
                })
            })
            .collect();
        Self {
            margin: (1 << 62) >> entries.len().trailing_zeros(),
            entries,
            outputs: (0..functions.len()).collect(),
        }
    }

    /// Several outputs of one bit that lies at half a turn: for each, `half` if the bit is 0 and `-half` if it is 1.
    #[must_use]
    pub fn signs(halves: &[u64]) -> Self {
        let boxes = halves.len().next_power_of_two();
        let mut entries = halves.to_vec();
        entries.resize(boxes, 0);
        Self {
            entries,
            outputs: (0..halves.len()).collect(),
            margin: (1 << 62) >> boxes.trailing_zeros(),
        }
    }

    /// The entries, a power of two of them.
    #[must_use]
    pub fn entries(&self) -> &[u64] {
        &self.entries
    }

    /// For each output, how many entries after the looked-up one it is.
    #[must_use]
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The distance of every phase from the next entry's.
    #[must_use]
    pub fn margin(&self) -> u64 {
        self.margin
    }

    /// The entry at an index that may lie up to two half turns on.
    #[must_use]
    pub fn entry(&self, index: usize) -> u64 {
        let count = self.entries.len();
        let value = self.entries.get(index % count).copied().unwrap_or(0);
        if (index / count).is_multiple_of(2) {
            value
        } else {
            value.wrapping_neg()
        }
    }
}

/// Something that adds for free and looks up at the price of one bootstrap.
pub trait Machine: Sync {
    /// A value on the torus of 2^64: a ciphertext, the exact value, or what is known of its noise.
    type Wire: Clone + Send + Sync;

    /// The sum of wires times integers, and a constant.
    fn combine(&self, terms: &[(&Self::Wire, i64)], constant: u64) -> Self::Wire;

    /// Looks a wire up: one bootstrap, one wire per output of the table.
    ///
    /// # Errors
    /// Cancelled, or a bug in the circuit.
    fn bootstrap(
        &self,
        input: &Self::Wire,
        table: &Table,
        site: Site,
    ) -> Result<Vec<Self::Wire>, MachineError>;

    /// Looks a wire up in a table of one output.
    ///
    /// # Errors
    /// As [`Machine::bootstrap`].
    fn lookup(
        &self,
        input: &Self::Wire,
        table: &Table,
        site: Site,
    ) -> Result<Self::Wire, MachineError> {
        self.bootstrap(input, table, site)?
            .pop()
            .ok_or(MachineError::OutsideTable(site))
    }
}

/// The exact machine: plaintexts on the torus, no noise; checks that every lookup keeps its margin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact;

impl Machine for Exact {
    type Wire = u64;

    fn combine(&self, terms: &[(&u64, i64)], constant: u64) -> u64 {
        terms.iter().fold(constant, |sum, (wire, factor)| {
            sum.wrapping_add(wire.wrapping_mul(factor.cast_unsigned()))
        })
    }

    fn bootstrap(&self, input: &u64, table: &Table, site: Site) -> Result<Vec<u64>, MachineError> {
        // The width of one entry: 2^63 / entries.
        let width_log = 63 - table.entries.len().trailing_zeros();
        let shifted = input.wrapping_add(1 << (width_log - 1));
        let index =
            usize::try_from(shifted >> width_log).map_err(|_| MachineError::OutsideTable(site))?;
        let within = shifted & ((1 << width_log) - 1);
        if within < table.margin || (1 << width_log) - within < table.margin {
            return Err(MachineError::OutsideTable(site));
        }
        Ok(table
            .outputs
            .iter()
            .map(|offset| table.entry(index + offset))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = Site {
        step: Step::Decide,
        index: 0,
    };

    #[test]
    fn a_lookup_returns_its_entry_and_half_a_turn_on_its_negative() {
        let table = Table::lookup(4, |x| x << 40);
        for x in 0..16_u64 {
            let phase = x << 59;
            assert_eq!(Exact.lookup(&phase, &table, SITE), Ok(x << 40));
            let negated = (x << 40).wrapping_neg();
            assert_eq!(
                Exact.lookup(&phase.wrapping_add(1 << 63), &table, SITE),
                Ok(negated)
            );
        }
    }

    #[test]
    fn a_pair_returns_both_functions() {
        let table = Table::pair(3, |x| x % 4, |x| x / 4);
        for x in 0..8_u64 {
            assert_eq!(
                Exact.bootstrap(&(x << 59), &table, SITE),
                Ok(vec![x % 4, x / 4])
            );
        }
    }

    #[test]
    fn many_functions_are_looked_up_at_once() {
        let functions: Vec<Vec<u64>> = (1..4).map(|f| (0..4).map(|x| x * f).collect()).collect();
        let table = Table::many(2, &functions);
        for x in 0..4_u64 {
            let outputs = vec![x, 2 * x, 3 * x];
            assert_eq!(Exact.bootstrap(&(x << 61), &table, SITE), Ok(outputs));
        }
    }

    #[test]
    fn signs_give_one_bit_at_several_scales() {
        let table = Table::signs(&[1, 5, 9]);
        assert_eq!(Exact.bootstrap(&0, &table, SITE), Ok(vec![1, 5, 9]));
        let negative: Vec<u64> = [1_u64, 5, 9].iter().map(|h| h.wrapping_neg()).collect();
        assert_eq!(Exact.bootstrap(&(1 << 63), &table, SITE), Ok(negative));
    }

    #[test]
    fn a_phase_between_two_entries_is_noticed() {
        let table = Table::lookup(4, |x| x);
        let between = (3 << 59) + (1 << 58) - 1;
        assert_eq!(
            Exact.lookup(&between, &table, SITE),
            Err(MachineError::OutsideTable(SITE))
        );
    }
}
