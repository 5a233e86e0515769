//! A model compiled for one twin: all its outputs in one program.

use super::EvalError;
use crate::{
    catalogue::{Model, Output, OutputKind, Values},
    compile::{Builder, ChoiceBits, CompileError, Reading},
    formula::{Additive, Formula},
    one,
    program::{About, Cell, NodeId, Op, Program, Row, RowKind},
    schema::Schema,
    twin::Twin,
};

/// A model at some parameters, ready for any number of patients.
pub struct Compiled {
    pub(super) twin: Twin,
    pub(super) schema: Schema,
    pub(super) program: Program,
    pub(super) outputs: Vec<(&'static Output, Kind)>,
    parameters: Values,
}

/// How an output is read off scores and bits.
pub(super) enum Kind {
    Number {
        reading: Reading,
        valid: NodeId,
        additive: Additive,
    },
    Category {
        valid: NodeId,
        bits: Vec<NodeId>,
    },
    Flag {
        yes: NodeId,
        no: NodeId,
    },
    Choice {
        bits: ChoiceBits,
        labels: Vec<String>,
        margins: Vec<f64>,
    },
}

impl Compiled {
    /// Compiles every output of a model.
    ///
    /// # Errors
    /// A bug of the catalogue: no such twin, or a formula that does not fit it.
    pub fn new(model: &Model, parameters: &Values) -> Result<Self, EvalError> {
        Self::of_outputs(model, parameters, &|_| true)
    }

    /// Compiles some outputs of a model.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn of_outputs(
        model: &Model,
        parameters: &Values,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Self, EvalError> {
        let twin =
            Twin::of_organ(model.organ).ok_or_else(|| EvalError::NoTwin(model.organ.to_owned()))?;
        let schema = twin.schema();
        let mut builder = Builder::new(&schema);
        let mut outputs = Vec::new();
        for output in model.outputs.iter().filter(|output| wanted(output.key)) {
            outputs.push((output, kind(&mut builder, model, output, parameters)?));
        }
        let cells = outputs
            .iter()
            .flat_map(|(output, kind)| {
                kind.bits().into_iter().map(|bit| Cell {
                    label: output.key.to_owned(),
                    bit,
                })
            })
            .collect();
        let row = Row {
            kind: RowKind::Arm,
            label: "one patient".to_owned(),
            arm: None,
            edges: Vec::new(),
            cells,
            totals: Vec::new(),
        };
        let heading = About {
            model: model.id.to_owned(),
            outcome: "all".to_owned(),
            unit: "1".to_owned(),
            notes: Vec::new(),
        };
        let nodes = builder.into_nodes();
        let program = Program::about(&schema, heading, 1, nodes, vec![row])?;
        Ok(Self {
            twin,
            schema,
            program,
            outputs,
            parameters: parameters.clone(),
        })
    }

    /// The program of all outputs.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The parameters at which it was compiled.
    #[must_use]
    pub fn parameters(&self) -> &Values {
        &self.parameters
    }

    /// The schema of the twin.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The sums that are read as numbers.
    pub(super) fn readings(&self) -> impl Iterator<Item = &Reading> + '_ {
        self.outputs.iter().filter_map(|(_, kind)| match kind {
            Kind::Number { reading, .. } => Some(reading),
            _ => None,
        })
    }

    /// Every bit that is read, and those that numbers add up.
    pub(super) fn bits(&self) -> Vec<NodeId> {
        let terms = self
            .readings()
            .filter_map(|reading| match self.program.op(reading.node) {
                Some(Op::Sum { terms, .. }) => Some(terms.iter().map(|term| term.bit)),
                _ => None,
            });
        let kinds = self.outputs.iter().flat_map(|(_, kind)| kind.bits());
        let mut bits: Vec<NodeId> = kinds.chain(terms.flatten()).collect();
        bits.sort_unstable();
        bits.dedup();
        bits
    }

    /// The bootstraps of every output for one patient.
    ///
    /// # Errors
    /// A bug of the compiler.
    pub fn bootstraps(&self) -> Result<u64, EvalError> {
        let count = one::bootstraps(&self.program, &self.schema, &self.bits())?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

impl Kind {
    /// The bits that are read.
    fn bits(&self) -> Vec<NodeId> {
        match self {
            Self::Number { valid, .. } => vec![*valid],
            Self::Category { valid, bits } => std::iter::once(*valid)
                .chain(bits.iter().copied())
                .collect(),
            Self::Flag { yes, no } => vec![*yes, *no],
            Self::Choice { bits, .. } => bits
                .chosen
                .iter()
                .chain(&bits.nothing)
                .chain(&bits.margins)
                .copied()
                .chain(bits.reasons.iter().flatten().map(|(_, bit)| *bit))
                .collect(),
        }
    }
}

fn kind(
    builder: &mut Builder<'_>,
    model: &Model,
    output: &'static Output,
    parameters: &Values,
) -> Result<Kind, CompileError> {
    let of = match &output.kind {
        OutputKind::Category { of, .. } => of,
        _ => output.key,
    };
    let formula = (model.formula)(of, parameters).ok_or(CompileError::Constant)?;
    match (formula, &output.kind) {
        (Formula::Number(additive), OutputKind::Category { cuts, .. }) => {
            let reading = builder.reading(&additive)?;
            Ok(Kind::Category {
                valid: builder.valid(reading.node),
                bits: builder.at_least(&additive, cuts)?,
            })
        }
        (Formula::Number(additive), _) => {
            let reading = builder.reading(&additive)?;
            Ok(Kind::Number {
                valid: builder.valid(reading.node),
                reading,
                additive,
            })
        }
        (Formula::Flag(condition), _) => {
            let yes = builder.condition(&condition)?;
            Ok(Kind::Flag {
                yes,
                no: builder.not(yes),
            })
        }
        (Formula::Choice(choice), _) => Ok(Kind::Choice {
            bits: builder.choice(&choice)?,
            labels: choice.options.iter().map(|o| o.label.clone()).collect(),
            margins: choice.margins,
        }),
    }
}
