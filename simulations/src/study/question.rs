//! What a study asks about: an output of a model of the catalogue, or a model that was fitted elsewhere.

use std::collections::BTreeMap;

use super::{SpecError, StudySpec, rows::Subject};
use crate::{
    additive::AdditiveModel,
    catalogue::{self, Evidence, Given, Model, Output, Values},
    schema::Schema,
    twin::Twin,
};

/// What a study asks about.
#[derive(Clone, Copy)]
pub(crate) enum Question<'s> {
    /// An output of a model of the catalogue.
    Catalogue(&'static Model, &'static Output),
    /// A model that was fitted elsewhere.
    Additive(&'s AdditiveModel),
}

impl<'s> Question<'s> {
    /// The model's name.
    pub(crate) fn model(&self) -> &'s str {
        match self {
            Self::Catalogue(model, _) => model.id,
            Self::Additive(model) => &model.name,
        }
    }

    /// The twin that it reads.
    pub(crate) fn organ(&self) -> &'s str {
        match self {
            Self::Catalogue(model, _) => model.organ,
            Self::Additive(model) => &model.organ,
        }
    }

    /// The outcome's name.
    pub(crate) fn outcome(&self) -> &'s str {
        match self {
            Self::Catalogue(_, output) => output.key,
            Self::Additive(model) => &model.output,
        }
    }

    /// The outcome's unit.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Catalogue(_, output) => output.unit,
            Self::Additive(_) => "1",
        }
    }

    /// What every result of it says besides the numbers.
    pub(crate) fn notes(&self) -> Vec<String> {
        match self {
            Self::Catalogue(model, _) if model.evidence == Evidence::ToBeConfirmed => {
                vec![Evidence::ToBeConfirmed.mark().to_owned()]
            }
            Self::Catalogue(..) | Self::Additive(_) => Vec::new(),
        }
    }

    /// Whether it is divided by itself.
    pub(crate) fn has_own_cells(&self) -> bool {
        match self {
            Self::Catalogue(_, output) => output.has_own_cells(),
            Self::Additive(_) => false,
        }
    }

    /// The parameter that arms vary.
    pub(crate) fn arm(&self) -> Option<&'static catalogue::Parameter> {
        let Self::Catalogue(model, _) = self else {
            return None;
        };
        let key = model.arm?;
        model
            .parameters
            .iter()
            .find(|parameter| parameter.key == key)
    }

    /// The keys of its parameters.
    pub(crate) fn parameters(&self) -> Vec<&'static str> {
        match self {
            Self::Catalogue(model, _) => model.parameters.iter().map(|p| p.key).collect(),
            Self::Additive(_) => Vec::new(),
        }
    }

    fn outputs(&self) -> &'static [Output] {
        match self {
            Self::Catalogue(model, _) => model.outputs,
            Self::Additive(_) => &[],
        }
    }
}

impl StudySpec {
    /// What the study asks about.
    pub(crate) fn question(&self) -> Result<Question<'_>, SpecError> {
        match (&self.additive, self.model.is_empty()) {
            (Some(model), true) => match self.output {
                None => Ok(Question::Additive(model)),
                Some(_) => Err(SpecError::DoesNotApply {
                    what: "an output",
                    subject: model.name.clone(),
                    why: "a model of one's own has one: leave `output` out".to_owned(),
                }),
            },
            (Some(model), false) => Err(SpecError::DoesNotApply {
                what: "two models",
                subject: model.name.clone(),
                why: format!(
                    "the study also names {}: leave `model` or `additive` out",
                    self.model
                ),
            }),
            (None, _) => {
                let model = self.catalogued()?;
                Ok(Question::Catalogue(
                    model,
                    output_of(model, self.output.as_deref())?,
                ))
            }
        }
    }

    fn catalogued(&self) -> Result<&'static Model, SpecError> {
        catalogue::find(&self.model).ok_or_else(|| {
            let registry = catalogue::registry();
            let known: Vec<&str> = registry.iter().map(|model| model.id).collect();
            SpecError::UnknownModel {
                given: self.model.chars().take(80).collect(),
                hint: catalogue::given::hint(&self.model, &known),
            }
        })
    }

    /// The organ whose twins the study reads.
    ///
    /// # Errors
    /// No such model.
    pub fn organ(&self) -> Result<&str, SpecError> {
        Ok(self.question()?.organ())
    }

    /// The schema of the twins that the study reads.
    ///
    /// # Errors
    /// No such model, or no such organ.
    pub fn schema(&self) -> Result<Schema, SpecError> {
        let question = self.question()?;
        Twin::of_organ(question.organ())
            .map(|twin| twin.schema())
            .ok_or_else(|| SpecError::NoTwin {
                model: question.model().to_owned(),
                organ: question.organ().to_owned(),
            })
    }

    /// The parameters at one arm, or as they are.
    pub(crate) fn parameters_at(&self, arm: Option<f64>) -> Result<Values, SpecError> {
        let Question::Catalogue(model, _) = self.question()? else {
            return Ok(Values::default());
        };
        let mut given = self.parameters.clone();
        if let (Some(value), Some(key)) = (arm, model.arm) {
            given.insert(key.to_owned(), Given::Number(value));
        }
        Ok(catalogue::given::parameters(model, &given)?)
    }

    /// What the rows of an arm divide.
    pub(crate) fn studied(&self, arm: Option<f64>) -> Result<Subject<'_>, SpecError> {
        Ok(match self.question()? {
            Question::Catalogue(model, output) => Subject::Output {
                model,
                output,
                parameters: self.parameters_at(arm)?,
            },
            Question::Additive(model) => Subject::Additive(model),
        })
    }

    /// What a name in a filter or cross-table means.
    pub(crate) fn subject(&self, schema: &Schema, key: &str) -> Result<Subject<'_>, SpecError> {
        if schema.axis(key).is_some() {
            return Ok(Subject::Axis(key.to_owned()));
        }
        let own = self.question()?;
        if let (Question::Catalogue(model, _), Some(output)) =
            (own, own.outputs().iter().find(|output| output.key == key))
        {
            return Ok(Subject::Output {
                model,
                output,
                parameters: self.parameters_at(self.arms.first().copied())?,
            });
        }
        let other = key.split_once('.').and_then(|(model, output)| {
            let model = catalogue::find(model)?;
            Some((model, output))
        });
        let Some((model, output)) = other else {
            let axes = schema.axes().iter();
            let known: Vec<&str> = axes
                .map(|axis| axis.name.as_str())
                .chain(own.outputs().iter().map(|output| output.key))
                .collect();
            return Err(SpecError::UnknownSubject {
                key: key.chars().take(80).collect(),
                organ: own.organ().to_owned(),
                hint: catalogue::given::hint(key, &known),
            });
        };
        if model.organ != own.organ() {
            return Err(SpecError::OtherTwin {
                model: model.id.to_owned(),
                other: model.organ.to_owned(),
                organ: own.organ().to_owned(),
            });
        }
        Ok(Subject::Output {
            model,
            output: output_of(model, Some(output))?,
            parameters: catalogue::given::parameters(model, &BTreeMap::new())?,
        })
    }
}

fn output_of(model: &'static Model, key: Option<&str>) -> Result<&'static Output, SpecError> {
    let found = match key {
        None => model.outputs.first(),
        Some(key) => model.output(key),
    };
    found.ok_or_else(|| SpecError::UnknownOutput {
        model: model.id.to_owned(),
        given: key.unwrap_or_default().chars().take(80).collect(),
        known: model
            .outputs
            .iter()
            .map(|output| output.key)
            .collect::<Vec<_>>()
            .join(", "),
    })
}
