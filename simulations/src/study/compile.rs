//! From a study to its program.

use super::{
    HistogramSpec, Question, SpecError, StudySpec,
    rows::{Partition, Subject, filter_bit},
};
use crate::{
    catalogue,
    compile::{Builder, CompileError},
    formula::Additive,
    program::{About, BitTerm, Cell, NodeId, Op, Program, Row, RowKind, Total, TotalOf},
    schema::{Schema, UNIT_BITS},
};

const MOST_ARMS: usize = 32;
const MOST_EDGES: usize = 64;
const MOST_FILTERS: usize = 12;
/// Steps into which a mean's range is divided, unless every value is a whole number of points.
const MEAN_STEPS: f64 = 255.0;
/// The same where the steps are taken apart into bits on every twin.
const MEAN_STEPS_FILTERED: f64 = 63.0;

impl StudySpec {
    /// The program of the study.
    ///
    /// # Errors
    /// An unknown model, output, parameter or feature; values out of range; lists that do not ascend; k of zero.
    pub fn compile(&self) -> Result<Program, SpecError> {
        self.compile_for(&self.schema()?)
    }

    /// The program of the study on the twins of a schema.
    ///
    /// # Errors
    /// As [`StudySpec::compile`].
    pub fn compile_for(&self, schema: &Schema) -> Result<Program, SpecError> {
        Compilation::new(self, schema)?.run()
    }

    fn check(&self, question: &Question<'_>) -> Result<(), SpecError> {
        if self.k == 0 {
            return Err(SpecError::KTooSmall(self.k));
        }
        if !self.arms.is_empty() {
            ascending("arms", &self.arms, MOST_ARMS)?;
        }
        if !self.cuts.is_empty() {
            ascending("cuts", &self.cuts, MOST_EDGES)?;
        }
        if let Some(histogram) = &self.histogram {
            ascending("histogram edges", &histogram.edges, MOST_EDGES)?;
        }
        if let Some(cross) = &self.cross {
            for (list, values) in [
                ("cross-table cuts", &cross.cuts),
                ("cross-table edges", &cross.edges),
            ] {
                if !values.is_empty() {
                    ascending(list, values, MOST_EDGES)?;
                }
            }
        }
        if self.filter.len() > MOST_FILTERS {
            return Err(SpecError::TooMany {
                list: "filter",
                given: self.filter.len(),
                most: MOST_FILTERS,
            });
        }
        let known = question.parameters();
        if let Some(key) = self
            .parameters
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            return Err(catalogue::InputError::Unknown {
                model: question.model().to_owned(),
                key: key.clone(),
                hint: catalogue::given::hint(key, &known),
            }
            .into());
        }
        let with_arms = [
            !self.arms.is_empty(),
            self.histogram.as_ref().is_some_and(|h| h.arm.is_some()),
            self.cross.as_ref().is_some_and(|c| c.arm.is_some()),
        ];
        if question.arm().is_none() && with_arms.contains(&true) {
            return Err(SpecError::DoesNotApply {
                what: "arms",
                subject: question.model().to_owned(),
                why: "it has no parameter that arms vary: leave them out".to_owned(),
            });
        }
        Ok(())
    }
}

struct Compilation<'s> {
    spec: &'s StudySpec,
    question: Question<'s>,
    builder: Builder<'s>,
    filters: Vec<NodeId>,
    rows: Vec<Row>,
}

impl<'s> Compilation<'s> {
    fn new(spec: &'s StudySpec, schema: &'s Schema) -> Result<Self, SpecError> {
        let question = spec.question()?;
        spec.check(&question)?;
        if let Question::Additive(model) = question {
            model.check(schema)?;
        }
        Ok(Self {
            spec,
            question,
            builder: Builder::new(schema),
            filters: Vec::new(),
            rows: Vec::new(),
        })
    }

    fn run(mut self) -> Result<Program, SpecError> {
        for filter in &self.spec.filter {
            let subject = self.subject(&filter.key)?;
            let bit = filter_bit(&mut self.builder, &subject, filter)?;
            self.filters.push(bit);
        }
        let arms: Vec<Option<f64>> = if self.spec.arms.is_empty() {
            vec![None]
        } else {
            self.spec.arms.iter().copied().map(Some).collect()
        };
        let divided = !self.spec.cuts.is_empty() || self.question.has_own_cells();
        for arm in &arms {
            let subject = self.studied(*arm)?;
            if divided {
                let partition = subject.partition(&mut self.builder, &self.spec.cuts)?;
                self.row(RowKind::Arm, *arm, partition);
            }
        }
        if self.spec.mean {
            for arm in &arms {
                self.mean(*arm)?;
            }
        }
        if let Some(HistogramSpec { arm, edges }) = &self.spec.histogram {
            let arm = arm.or(arms.first().copied().flatten());
            let partition = self.studied(arm)?.partition(&mut self.builder, edges)?;
            self.row(RowKind::Histogram, arm, partition);
        }
        self.cross(arms.first().copied().flatten())?;
        if self.rows.is_empty() {
            return Err(SpecError::DoesNotApply {
                what: "a study",
                subject: self.question.outcome().to_owned(),
                why: "nothing is counted: give cuts, a histogram, a cross-table or `mean = true`"
                    .to_owned(),
            });
        }
        let schema = self.builder.schema();
        Ok(Program::about(
            schema,
            About {
                model: self.question.model().to_owned(),
                outcome: self.question.outcome().to_owned(),
                unit: self.question.unit().to_owned(),
                notes: self.question.notes(),
            },
            self.spec.k,
            self.builder.into_nodes(),
            self.rows,
        )?)
    }

    fn studied(&self, arm: Option<f64>) -> Result<Subject<'s>, SpecError> {
        self.spec.studied(arm)
    }

    fn subject(&self, key: &str) -> Result<Subject<'s>, SpecError> {
        self.spec.subject(self.builder.schema(), key)
    }

    /// A bit within the filter.
    fn within(&mut self, bits: Vec<NodeId>) -> NodeId {
        let all = bits.into_iter().chain(self.filters.iter().copied());
        self.builder.all(all.collect()).unwrap_or(NodeId::MAX)
    }

    fn row(&mut self, kind: RowKind, arm: Option<f64>, partition: Partition) {
        let cells = partition
            .labels
            .into_iter()
            .zip(partition.cells)
            .map(|(label, bit)| Cell {
                label,
                bit: self.within(vec![bit]),
            })
            .collect();
        self.rows.push(Row {
            kind,
            label: self.arm_label(arm),
            arm,
            edges: partition.edges,
            cells,
            totals: Vec::new(),
        });
    }

    fn arm_label(&self, arm: Option<f64>) -> String {
        match (arm, self.question.arm()) {
            (Some(value), Some(parameter)) => format!("{value} {}", parameter.unit),
            _ => "all".to_owned(),
        }
    }

    fn cross(&mut self, first: Option<f64>) -> Result<(), SpecError> {
        let Some(cross) = &self.spec.cross else {
            return Ok(());
        };
        let arm = cross.arm.or(first);
        let edges = if cross.edges.is_empty() {
            &self.spec.cuts
        } else {
            &cross.edges
        };
        let own = self.studied(arm)?.partition(&mut self.builder, edges)?;
        let by = self.subject(&cross.by)?;
        let other = by.partition(&mut self.builder, &cross.cuts)?;
        let mut cells = Vec::new();
        for (own_label, own_bit) in own.labels.iter().zip(&own.cells) {
            for (label, bit) in other.labels.iter().zip(&other.cells) {
                cells.push(Cell {
                    label: format!("{own_label}, {} {label}", by.name()),
                    bit: self.within(vec![*own_bit, *bit]),
                });
            }
        }
        self.rows.push(Row {
            kind: RowKind::CrossTable,
            label: format!("{} by {}", self.arm_label(arm), by.name()),
            arm,
            edges: own.edges,
            cells,
            totals: Vec::new(),
        });
        Ok(())
    }

    /// The row of a mean: how many twins have the output, and the sums of it and of its square.
    fn mean(&mut self, arm: Option<f64>) -> Result<(), SpecError> {
        let additive = self.studied(arm)?.additive(self.builder.schema())?;
        let model = self.question.model();
        let failed = |error: CompileError| SpecError::Compile {
            model: model.to_owned(),
            error,
        };
        let table = if self.filters.is_empty() {
            self.builder
                .value_table(&additive, MEAN_STEPS)
                .map_err(failed)?
        } else {
            None
        };
        let (population, totals) = match table {
            Some(table) => {
                let score = self.builder.add(Op::Sum {
                    tables: vec![table.values.clone()],
                    terms: Vec::new(),
                });
                let totals = vec![
                    Total {
                        label: "sum".to_owned(),
                        power: 1,
                        about: table.lowest,
                        unit: table.unit,
                        what: TotalOf::Table {
                            table: table.values,
                        },
                    },
                    Total {
                        label: "sum of squares".to_owned(),
                        power: 2,
                        about: table.lowest,
                        unit: table.square_unit,
                        what: TotalOf::Table {
                            table: table.squares,
                        },
                    },
                ];
                (self.builder.valid(score), totals)
            }
            None => self.digits(&additive)?,
        };
        let cells = vec![Cell {
            label: "twins".to_owned(),
            bit: population,
        }];
        self.rows.push(Row {
            kind: RowKind::Mean,
            label: self.arm_label(arm),
            arm,
            edges: Vec::new(),
            cells,
            totals,
        });
        Ok(())
    }

    /// A filtered mean: the value's bits within the population, and products of them for the squares.
    fn digits(&mut self, additive: &Additive) -> Result<(NodeId, Vec<Total>), SpecError> {
        let steps = self.builder.stepped(additive, MEAN_STEPS_FILTERED);
        let steps = steps.map_err(|error| SpecError::Compile {
            model: self.question.model().to_owned(),
            error,
        })?;
        let steps = steps.ok_or_else(|| SpecError::DoesNotApply {
            what: "a mean",
            subject: self.question.outcome().to_owned(),
            why: "it is no sum of functions of the twin: use a histogram".to_owned(),
        })?;
        let present = self.builder.valid(steps.node);
        let population = self.within(vec![present]);
        let bits: Vec<NodeId> = (0..steps.bits)
            .map(|place| {
                let digit = self.builder.add(Op::Digit {
                    score: steps.node,
                    shift: UNIT_BITS,
                    place,
                });
                self.builder
                    .all(vec![population, digit])
                    .unwrap_or(population)
            })
            .collect();
        let sum = (0_u32..)
            .zip(&bits)
            .map(|(place, bit)| BitTerm {
                bit: *bit,
                weight: 1 << place,
            })
            .collect();
        let mut squares: Vec<BitTerm> = (0_u32..)
            .zip(&bits)
            .map(|(place, bit)| BitTerm {
                bit: *bit,
                weight: 1 << (2 * place),
            })
            .collect();
        for (high, first) in (0_u32..).zip(&bits) {
            for (low, second) in (0_u32..).zip(&bits).take_while(|(low, _)| *low < high) {
                squares.push(BitTerm {
                    bit: self.builder.all(vec![*first, *second]).unwrap_or(*first),
                    weight: 1 << (high + low + 1),
                });
            }
        }
        let totals = vec![
            Total {
                label: "sum".to_owned(),
                power: 1,
                about: steps.lowest,
                unit: steps.step,
                what: TotalOf::Bits { terms: sum },
            },
            Total {
                label: "sum of squares".to_owned(),
                power: 2,
                about: steps.lowest,
                unit: steps.step * steps.step,
                what: TotalOf::Bits { terms: squares },
            },
        ];
        Ok((population, totals))
    }
}

fn ascending(list: &'static str, values: &[f64], most: usize) -> Result<(), SpecError> {
    if values.is_empty() {
        return Err(SpecError::Empty { list });
    }
    if values.len() > most {
        return Err(SpecError::TooMany {
            list,
            given: values.len(),
            most,
        });
    }
    let finite = values.iter().all(|value| value.is_finite());
    if !finite || !values.is_sorted_by(|a, b| a < b) {
        return Err(SpecError::NotAscending {
            list,
            given: values.to_vec(),
        });
    }
    Ok(())
}
