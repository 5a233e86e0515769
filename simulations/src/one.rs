//! One twin: the bits of a program as ciphertexts, without counting and gates.
//!
//! For a hospital's own patient, under a key that the hospital may decrypt with. A study never opens single twins.

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use tfhe::core_crypto::prelude::LweCiphertextOwned;
use thiserror::Error;

use crate::{
    Engine, Program, Schema,
    circuit::{Schedule, ScheduleError, Twin, linear as linear_form, twin_atoms},
    engine::Run,
    evaluate::{EvaluateError, check_slots},
    machine::{MachineError, Step},
    program::{NodeId, Op},
};

/// A twin that is not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OneError {
    /// The program does not fit the schema or the exact sums.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The ciphertexts do not fit, or the caller stopped.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The node is no sum of tables.
    #[error("node n{0} is no score that is linear in the twin's weights")]
    NotLinear(NodeId),
}

impl From<MachineError> for OneError {
    fn from(error: MachineError) -> Self {
        Self::Evaluate(error.into())
    }
}

/// A score as a ciphertext.
pub struct LinearScore {
    /// The score times 2^`delta_log`, negative ones modulo 2^64; any value if something is missing.
    pub ciphertext: LweCiphertextOwned<u64>,
    /// log2 of the torus scale of one.
    pub delta_log: u32,
}

/// Evaluates every bit of a program on one twin; each is 2^59 or 0, and 0 if anything is missing.
///
/// `progress` gets the number of bootstraps so far; `cancel` stops the evaluation at the next one.
///
/// # Errors
/// A program that cannot be scheduled, a twin of another size; cancelled.
pub fn evaluate(
    engine: &Engine,
    program: &Program,
    schema: &Schema,
    slots: &[LweCiphertextOwned<u64>],
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Result<BTreeMap<NodeId, LweCiphertextOwned<u64>>, OneError> {
    let nodes = (0..).zip(program.nodes());
    let bits: Vec<NodeId> = nodes
        .filter(|(_, op)| !op.is_score())
        .map(|(id, _)| id)
        .collect();
    chosen(engine, program, schema, &bits, slots, progress, cancel)
}

/// Evaluates some bits of a program on one twin, as [`evaluate`] does all.
///
/// # Errors
/// As [`evaluate`]; a node that is no bit.
pub fn chosen(
    engine: &Engine,
    program: &Program,
    schema: &Schema,
    bits: &[NodeId],
    slots: &[LweCiphertextOwned<u64>],
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Result<BTreeMap<NodeId, LweCiphertextOwned<u64>>, OneError> {
    check_slots(engine, schema, 0, slots)?;
    let (schedule, forms) = Schedule::of_bits(program, schema, bits)?;
    let run = Run::new(engine, progress, cancel);
    let atoms = twin_atoms(&run, &schedule, slots)?;
    let twin = Twin {
        slots,
        atoms: &atoms,
    };
    bits.iter()
        .zip(forms)
        .map(|(bit, form)| {
            let wire = form.wire(&run, &twin, Step::Decide.at(*bit as usize))?;
            Ok((*bit, wire))
        })
        .collect()
}

/// The bootstraps of some bits of a program on one twin.
///
/// # Errors
/// A program that cannot be scheduled, a node that is no bit.
pub fn bootstraps(program: &Program, schema: &Schema, bits: &[NodeId]) -> Result<usize, OneError> {
    let (schedule, _) = Schedule::of_bits(program, schema, bits)?;
    Ok(schedule.bootstraps())
}

/// A score of a program on one twin without any bootstrap.
///
/// # Errors
/// A score that adds bits, or is too wide for the twin's scale; a twin of another size.
pub fn linear(
    engine: &Engine,
    program: &Program,
    schema: &Schema,
    node: NodeId,
    slots: &[LweCiphertextOwned<u64>],
) -> Result<LinearScore, OneError> {
    check_slots(engine, schema, 0, slots)?;
    let (form, delta_log) = linear_form(program, schema, node)?.ok_or(OneError::NotLinear(node))?;
    let cancel = AtomicBool::new(false);
    let run = Run::new(engine, &|_| {}, &cancel);
    let twin = Twin { slots, atoms: &[] };
    let ciphertext = form.wire(&run, &twin, Step::Decide.at(node as usize))?;
    Ok(LinearScore {
        ciphertext,
        delta_log,
    })
}

/// Whether a node is a score that needs no bootstrap.
#[must_use]
pub fn is_linear(program: &Program, node: NodeId) -> bool {
    match program.op(node) {
        Some(Op::Position { .. }) => true,
        Some(Op::Sum { terms, .. }) => terms.is_empty(),
        _ => false,
    }
}
