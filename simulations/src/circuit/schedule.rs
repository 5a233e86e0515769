//! Schedules: the distinct things to compute on every twin, in order, and what is counted.

use rayon::prelude::*;
use thiserror::Error;

use super::{
    build::Builder,
    decide::at_least,
    lin::{Atom, Lin, Twin},
    number::digits_for,
    sum::{Output, SumTask, WIDEST_SUM},
};
use crate::{
    machine::{Machine, MachineError, Site, Table},
    program::{BitTerm, NodeId, Program, TotalOf},
    schema::Schema,
};

/// A program that cannot be scheduled on the twins of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// A node or cell that the program's own check lets through only when the schema differs.
    #[error("the program does not belong to the schema {schema}: {what}")]
    Mismatch {
        /// The schema.
        schema: String,
        /// What does not fit.
        what: String,
    },
    /// A sum with too many values.
    #[error("sum n{node} needs {bits} bits, at most {most} can be decided exactly: use coarser tables", most = WIDEST_SUM)]
    SumTooWide {
        /// The node.
        node: NodeId,
        /// The bits that it needs.
        bits: u32,
    },
    /// More features than can be checked at once.
    #[error("{features} features are read together, at most {most} can be checked for presence")]
    TooManyFeatures {
        /// The features.
        features: usize,
        /// The most.
        most: usize,
    },
}

/// One step on a twin; its atoms are numbered over the whole schedule.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// [a form in ONEs is at least 0], within 16 of it.
    Window {
        input: Lin,
        output: Output,
        site: Site,
    },
    /// A lookup of a form that lies below the padding bit.
    Lookup {
        input: Lin,
        table: Table,
        atoms: Vec<Atom>,
        site: Site,
    },
    /// Everything that is decided on one sum.
    Sum(SumTask),
}

impl Task {
    pub(crate) fn atoms(&self) -> Vec<Atom> {
        match self {
            Self::Window { output, .. } => vec![output.atom],
            Self::Lookup { atoms, .. } => atoms.clone(),
            Self::Sum(sum) => {
                let cuts = sum.cuts.iter().flat_map(|cut| &cut.outputs);
                let digits = sum.digits.iter().map(|digit| digit.atom);
                cuts.map(|output| output.atom).chain(digits).collect()
            }
        }
    }

    pub(crate) fn inputs(&self) -> Vec<Atom> {
        let of = |lin: &Lin| lin.atoms.iter().map(|(atom, _)| *atom).collect::<Vec<_>>();
        match self {
            Self::Window { input, .. } | Self::Lookup { input, .. } => of(input),
            Self::Sum(sum) => {
                let valid = sum.valid.iter().flat_map(of);
                of(&sum.sum).into_iter().chain(valid).collect()
            }
        }
    }

    fn run<M: Machine>(
        &self,
        machine: &M,
        twin: &Twin<'_, M::Wire>,
    ) -> Result<Vec<(Atom, M::Wire)>, MachineError> {
        match self {
            Self::Window {
                input,
                output,
                site,
            } => {
                let value = input.wire(machine, twin, *site)?;
                let bit = at_least(machine, &[(&value, 1)], 0, output.scale, *site)?;
                Ok(vec![(output.atom, bit)])
            }
            Self::Lookup {
                input,
                table,
                atoms,
                site,
            } => {
                let value = input.wire(machine, twin, *site)?;
                let wires = machine.bootstrap(&value, table, *site)?;
                Ok(atoms.iter().copied().zip(wires).collect())
            }
            Self::Sum(sum) => sum.run(machine, twin),
        }
    }
}

/// What is added up over twins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// The number of twins for which a bit in ONEs is set.
    Count(Lin),
    /// A linear form of the slots that is 0 to `most` on every twin; its sum over a full shard fits the unit 2^52.
    Linear { form: Lin, most: u64 },
}

/// A total as quantities times powers of four.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TotalPlan {
    /// Quantities, each with the digit at which it is added.
    pub(crate) parts: Vec<(usize, usize)>,
    /// The most that one twin adds.
    pub(crate) most: u64,
}

/// The cells and totals of a row by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowPlan {
    pub(crate) cells: Vec<usize>,
    pub(crate) totals: Vec<usize>,
}

/// The distinct steps, the distinct quantities, and the rows by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The steps, each level reading only levels before it.
    pub(crate) levels: Vec<Vec<Task>>,
    pub(crate) atoms: usize,
    pub(crate) quantities: Vec<Quantity>,
    /// How many of the quantities, from the first, are cells; the others are parts of totals only.
    pub(crate) cells: usize,
    pub(crate) totals: Vec<TotalPlan>,
    pub(crate) rows: Vec<RowPlan>,
}

fn number<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter()
        .position(|known| *known == item)
        .unwrap_or_else(|| {
            list.push(item);
            list.len() - 1
        })
}

/// A total of weighted bits: each bit is counted, and its count is added at the digits of its weight.
fn bit_total(
    builder: &mut Builder<'_>,
    terms: &[BitTerm],
    quantities: &mut Vec<Quantity>,
) -> Result<TotalPlan, ScheduleError> {
    let (mut parts, mut most) = (Vec::new(), 0_u64);
    for term in terms {
        let bit = builder.strict(term.bit, super::ONE)?;
        let quantity = number(quantities, Quantity::Count(bit));
        let weight = term.weight.unsigned_abs();
        most = most.saturating_add(weight);
        for place in 0..digits_for(weight) {
            let times = (weight >> (2 * place)) & 3;
            parts.extend((0..times).map(|_| (quantity, place)));
        }
    }
    Ok(TotalPlan { parts, most })
}

impl Schedule {
    /// Schedules what the rows of a program count.
    pub(crate) fn new(program: &Program, schema: &Schema) -> Result<Self, ScheduleError> {
        let mut builder = Builder::new(program, schema);
        let (mut quantities, mut totals) = (Vec::new(), Vec::new());
        let mut rows = Vec::new();
        for row in program.rows() {
            let mut cells = Vec::new();
            for cell in &row.cells {
                let bit = builder.strict(cell.bit, super::ONE)?;
                cells.push(number(&mut quantities, Quantity::Count(bit)));
            }
            rows.push(RowPlan {
                cells,
                totals: Vec::new(),
            });
        }
        let cells = quantities.len();
        for (row, plan) in program.rows().iter().zip(&mut rows) {
            for total in &row.totals {
                let total = match &total.what {
                    TotalOf::Bits { terms } => bit_total(&mut builder, terms, &mut quantities)?,
                    TotalOf::Table { table } => builder.table_total(table, &mut quantities)?,
                };
                plan.totals.push(number(&mut totals, total));
            }
        }
        let (levels, atoms) = builder.finish()?;
        Ok(Self {
            levels,
            atoms,
            quantities,
            cells,
            totals,
            rows,
        })
    }

    /// The blocks of a shard's output.
    pub(crate) fn blocks(&self) -> usize {
        self.quantities.iter().map(Quantity::blocks).sum()
    }

    /// Schedules single bits, as forms in ONEs.
    pub(crate) fn of_bits(
        program: &Program,
        schema: &Schema,
        bits: &[NodeId],
    ) -> Result<(Self, Vec<Lin>), ScheduleError> {
        let mut builder = Builder::new(program, schema);
        let forms = bits
            .iter()
            .map(|bit| builder.strict(*bit, super::ONE))
            .collect::<Result<Vec<_>, _>>()?;
        let (levels, atoms) = builder.finish()?;
        let schedule = Self {
            levels,
            atoms,
            quantities: Vec::new(),
            cells: 0,
            totals: Vec::new(),
            rows: Vec::new(),
        };
        Ok((schedule, forms))
    }
}

/// Computes every atom of a schedule on one twin.
pub(crate) fn twin_atoms<M: Machine>(
    machine: &M,
    schedule: &Schedule,
    slots: &[M::Wire],
) -> Result<Vec<Option<M::Wire>>, MachineError> {
    let mut atoms: Vec<Option<M::Wire>> = (0..schedule.atoms).map(|_| None).collect();
    for level in &schedule.levels {
        let twin = Twin {
            slots,
            atoms: &atoms,
        };
        let done: Vec<Vec<(Atom, M::Wire)>> = level
            .par_iter()
            .map(|task| task.run(machine, &twin))
            .collect::<Result<_, _>>()?;
        for (atom, wire) in done.into_iter().flatten() {
            if let Some(place) = atoms.get_mut(atom) {
                *place = Some(wire);
            }
        }
    }
    Ok(atoms)
}
