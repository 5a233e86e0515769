//! Checks of the catalogue: random patients, and formulas in floating point on features that no grid has rounded.

use super::{Default_, Input, InputKind, Model, Parameter, Values};
use crate::{
    formula::{Additive, Choice, Condition, Formula, Term},
    twin::Twin,
};

/// How often a patient is drawn anew if a feature lies beyond its axis.
const DRAWS: u32 = 500;

/// A small generator of pseudo-random numbers; good enough for samples, never for secrets.
struct Random(u64);

impl Random {
    /// A number from 0 to 1, below 1.
    fn share(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 32)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number between two others, by its logarithm if they are orders of magnitude apart.
    fn between(&mut self, lo: f64, hi: f64) -> f64 {
        let share = self.share();
        if lo > 0.0 && hi / lo > 12.0 {
            lo * libm::pow(hi / lo, share)
        } else {
            lo + share * (hi - lo)
        }
    }

    /// A whole number from 0, below another.
    fn below(&mut self, count: usize) -> f64 {
        libm::floor(self.share() * count as f64)
    }
}

/// A patient whose inputs lie in their plausible ranges and whose features lie on their axes, and parameters in theirs.
#[must_use]
pub fn random_patient(model: &Model, seed: u64) -> (Values, Values) {
    let mut random = Random(seed ^ 0x5851_f42d_4c95_7f2d);
    random.share();
    let parameters = random_parameters(model.parameters, &mut random);
    (patient(model, &parameters, &mut random), parameters)
}

/// The inputs of a patient whose features lie on the axes that the formulas read at some parameters.
#[must_use]
pub fn random_inputs_at(model: &Model, parameters: &Values, seed: u64) -> Values {
    let mut random = Random(seed ^ 0x1405_7b7e_f767_814f);
    random.share();
    patient(model, parameters, &mut random)
}

fn patient(model: &Model, parameters: &Values, random: &mut Random) -> Values {
    let formulas: Vec<Formula> = formulas(model, parameters)
        .map(|(_, formula)| formula)
        .collect();
    let twin = Twin::of_organ(model.organ);
    let mut inputs = Values::default();
    for _ in 0..DRAWS {
        inputs = random_inputs(model.inputs, model.optional, random);
        let on_axes = twin.as_ref().is_none_or(|twin| {
            let exact = Exact::new(twin, &inputs);
            formulas.iter().all(|formula| exact.on_axes(formula))
        });
        if on_axes {
            break;
        }
    }
    inputs
}

/// The formulas of a model with the outputs that they give.
pub fn formulas<'p>(
    model: &'p Model,
    parameters: &'p Values,
) -> impl Iterator<Item = (&'static str, Formula)> + use<'p> {
    let outputs: &'static [super::Output] = model.outputs;
    outputs
        .iter()
        .filter_map(|output| Some((output.key, (model.formula)(output.key, parameters)?)))
}

fn random_inputs(inputs: &[&Input], optional: &[&str], random: &mut Random) -> Values {
    let mut values = Values::default();
    for input in inputs {
        let value = match &input.kind {
            _ if optional.contains(&input.key) && random.share() < 0.3 => continue,
            InputKind::Number { lo, hi } => random.between(*lo, *hi),
            InputKind::Flag => random.below(2),
            InputKind::Choice { labels } => random.below(labels.len()),
        };
        values.set(input.key, value);
    }
    values
}

/// Half of the parameters at their defaults, the others anywhere in their ranges.
fn random_parameters(parameters: &[Parameter], random: &mut Random) -> Values {
    let mut values = Values::default();
    for parameter in parameters {
        let keep = random.share() < 0.5;
        let drawn = random.between(parameter.lo, parameter.hi);
        match parameter.default {
            Default_::Required => values.set(parameter.key, drawn),
            Default_::Number(default) => {
                values.set(parameter.key, if keep { default } else { drawn });
            }
            Default_::List(default) if keep => values.set_list(parameter.key, default.to_vec()),
            Default_::List(default) => {
                let list = default.iter().chain([&drawn]);
                let list = list.map(|_| random.between(parameter.lo, parameter.hi));
                values.set_list(parameter.key, list.collect());
            }
        }
    }
    values
}

/// Formulas on the features of one patient, in floating point and before any grid.
pub struct Exact<'p> {
    twin: &'p Twin,
    inputs: &'p Values,
}

impl<'p> Exact<'p> {
    /// The features of a patient on a twin.
    #[must_use]
    pub fn new(twin: &'p Twin, inputs: &'p Values) -> Self {
        Self { twin, inputs }
    }

    /// The output of a formula; a flag is 0 or 1, a choice its index.
    #[must_use]
    pub fn output(&self, formula: &Formula) -> Option<f64> {
        match formula {
            Formula::Number(number) => self.number(number),
            Formula::Flag(condition) => self.condition(condition).map(super::class::flag),
            Formula::Choice(choice) => self.choice(choice),
        }
    }

    /// A number after its link.
    #[must_use]
    pub fn number(&self, number: &Additive) -> Option<f64> {
        let mut sum = number.constant;
        for term in &number.terms {
            sum += self.term(term)?;
        }
        Some(number.link.forward(sum))
    }

    fn term(&self, term: &Term) -> Option<f64> {
        match term {
            Term::Axis {
                axis,
                value,
                missing,
            } => {
                let features = &self.twin.features;
                let feature = features.iter().find(|known| known.axis.name == *axis)?;
                feature.value(self.inputs).map(value).or(*missing)
            }
            Term::Plane {
                plane,
                value,
                missing,
            } => {
                let pair = self.twin.planes.iter().find(|known| known.name == *plane)?;
                let first = pair.first.value(self.inputs);
                let both = first.zip(pair.second.value(self.inputs));
                both.map(|(first, second)| value(first, second))
                    .or(*missing)
            }
            Term::If { condition, value } => Some(if self.condition(condition)? {
                *value
            } else {
                0.0
            }),
            Term::Staircase { of, cuts, levels } => {
                let of = self.number(of)?;
                let step = cuts.iter().filter(|cut| of >= **cut).count();
                levels.get(step).copied()
            }
        }
    }

    fn condition(&self, condition: &Condition) -> Option<bool> {
        match condition {
            Condition::AtLeast(number, cut) => Some(self.number(number)? >= *cut),
            Condition::Below(number, cut) => Some(self.number(number)? < *cut),
            Condition::All(all) => {
                let all: Option<Vec<bool>> = all.iter().map(|one| self.condition(one)).collect();
                Some(all?.into_iter().all(|holds| holds))
            }
            Condition::Any(any) => {
                let any: Option<Vec<bool>> = any.iter().map(|one| self.condition(one)).collect();
                Some(any?.into_iter().any(|holds| holds))
            }
            Condition::Not(condition) => Some(!self.condition(condition)?),
        }
    }

    fn choice(&self, choice: &Choice) -> Option<f64> {
        let mut best: Option<(f64, f64)> = None;
        let mut index = 0.0;
        for option in &choice.options {
            let score = self.number(&option.score)?;
            let mut excluded = false;
            for (_, reason) in &option.contraindications {
                excluded |= self.condition(reason)?;
            }
            if !excluded && best.is_none_or(|(_, highest)| score > highest) {
                best = Some((index, score));
            }
            index += 1.0;
        }
        best.map(|(index, _)| index)
    }

    /// Whether every feature that a formula reads lies on its axis or is missing.
    fn on_axes(&self, formula: &Formula) -> bool {
        let mut names = Vec::new();
        match formula {
            Formula::Number(number) => read_by_number(number, &mut names),
            Formula::Flag(condition) => read_by_condition(condition, &mut names),
            Formula::Choice(choice) => {
                for option in &choice.options {
                    read_by_number(&option.score, &mut names);
                    for (_, reason) in &option.contraindications {
                        read_by_condition(reason, &mut names);
                    }
                }
            }
        }
        let axes = self.twin.features.iter();
        let axes = axes.filter(|feature| names.contains(&feature.axis.name.as_str()));
        let planes = self.twin.planes.iter();
        let planes = planes.filter(|pair| names.contains(&pair.name));
        axes.chain(planes.flat_map(|pair| [&pair.first, &pair.second]))
            .all(|feature| {
                let range = feature.axis.lo..=feature.axis.hi;
                let value = feature.value(self.inputs);
                value.is_none_or(|value| range.contains(&value))
            })
    }
}

fn read_by_number<'f>(number: &'f Additive, names: &mut Vec<&'f str>) {
    for term in &number.terms {
        match term {
            Term::Axis { axis: name, .. } | Term::Plane { plane: name, .. } => names.push(name),
            Term::If { condition, .. } => read_by_condition(condition, names),
            Term::Staircase { of, .. } => read_by_number(of, names),
        }
    }
}

fn read_by_condition<'f>(condition: &'f Condition, names: &mut Vec<&'f str>) {
    match condition {
        Condition::AtLeast(number, _) | Condition::Below(number, _) => {
            read_by_number(number, names);
        }
        Condition::All(conditions) | Condition::Any(conditions) => {
            for condition in conditions {
                read_by_condition(condition, names);
            }
        }
        Condition::Not(condition) => read_by_condition(condition, names),
    }
}

#[cfg(test)]
mod tests;
