//! What a model must satisfy before anything is computed with it.

use super::{
    AdditiveError, AdditiveModel, AdditiveTerm, LARGEST, LONGEST_NAME, Linkage, MOST_TERMS,
    MOST_VALUES,
};
use crate::schema::{Axis, Plane, Scale, Schema};

/// The most characters of a description.
const LONGEST_OUTPUT: usize = LONGEST_NAME;

/// Checks a whole model.
pub(super) fn model(model: &AdditiveModel, schema: &Schema) -> Result<(), AdditiveError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if model.name.is_empty() || model.name.len() > LONGEST_NAME || !model.name.chars().all(plain) {
        return Err(AdditiveError::Name { what: "name" });
    }
    let printable = model.output.chars().all(|c| !c.is_control());
    if model.output.is_empty() || model.output.len() > LONGEST_OUTPUT || !printable {
        return Err(AdditiveError::Name { what: "output" });
    }
    if schema.id().split('/').next() != Some(model.organ.as_str()) {
        return Err(AdditiveError::NoSuchOrgan(
            model.organ.chars().take(LONGEST_NAME).collect(),
        ));
    }
    if let Linkage::Cox {
        baseline_survival,
        years,
    } = model.link
        && !(baseline_survival > 0.0 && baseline_survival < 1.0 && years > 0.0 && years < LARGEST)
    {
        return Err(AdditiveError::Baseline);
    }
    finite(&[model.intercept], || "intercept".to_owned())?;
    if model.terms.is_empty() || model.terms.len() > MOST_TERMS {
        return Err(AdditiveError::Terms(model.terms.len()));
    }
    for (index, one) in model.terms.iter().enumerate() {
        term(index + 1, one, schema)?;
    }
    Ok(())
}

fn term(number: usize, term: &AdditiveTerm, schema: &Schema) -> Result<(), AdditiveError> {
    let (name, second) = term.axes();
    let sound = |values: &[f64]| finite(values, || format!("term {number} on {name}"));
    sound(term.missing().as_slice())?;
    let length = |expected: usize, got: usize| match expected == got {
        true => Ok(()),
        false => Err(AdditiveError::Length {
            term: number,
            axis: name.to_owned(),
            expected,
            got,
        }),
    };
    match term {
        AdditiveTerm::Linear {
            coefficient,
            centre,
            ..
        } => {
            sound(&[*coefficient, *centre])?;
        }
        AdditiveTerm::Line { knots, values, .. } => {
            sound(knots)?;
            sound(values)?;
            ascending(number, knots)?;
            few(number, "values", values.len())?;
            length(knots.len().max(1), values.len())?;
        }
        AdditiveTerm::Steps { cuts, values, .. } => {
            sound(cuts)?;
            sound(values)?;
            ascending(number, cuts)?;
            few(number, "values", values.len())?;
            length(cuts.len() + 1, values.len())?;
        }
        AdditiveTerm::Categories { values, .. } => {
            sound(values)?;
            let axis = axis(schema, name)?;
            if axis.scale != Scale::Categorical {
                return Err(AdditiveError::Kind {
                    axis: name.to_owned(),
                    is: "a number",
                    taken: "categories",
                });
            }
            length(usize::from(axis.nodes), values.len())?;
        }
        AdditiveTerm::Pair {
            first_cuts,
            second_cuts,
            values,
            ..
        } => {
            sound(first_cuts)?;
            sound(second_cuts)?;
            sound(values)?;
            ascending(number, first_cuts)?;
            ascending(number, second_cuts)?;
            few(number, "values", values.len())?;
            few(number, "cuts", first_cuts.len() + second_cuts.len())?;
            length(
                (first_cuts.len() + 1) * (second_cuts.len() + 1),
                values.len(),
            )?;
        }
    }
    match second {
        None => axis(schema, name).map(drop),
        Some(second) => plane(schema, name, second).map(drop),
    }
}

/// Finds an axis.
pub(super) fn axis<'s>(schema: &'s Schema, name: &str) -> Result<&'s Axis, AdditiveError> {
    schema.axis(name).ok_or_else(|| {
        let axes: Vec<&str> = schema
            .axes()
            .iter()
            .map(|axis| axis.name.as_str())
            .collect();
        AdditiveError::NoSuchAxis {
            schema: schema.id().to_owned(),
            axis: name.chars().take(LONGEST_NAME).collect(),
            axes: axes.join(", "),
        }
    })
}

/// Finds the plane of two axes, and whether it has them the other way round.
pub(super) fn plane<'s>(
    schema: &'s Schema,
    first: &str,
    second: &str,
) -> Result<(&'s Plane, bool), AdditiveError> {
    let found = schema.planes().iter().find_map(|plane| {
        let (a, b) = (plane.first.name.as_str(), plane.second.name.as_str());
        match (a, b) {
            _ if (a, b) == (first, second) => Some((plane, false)),
            _ if (a, b) == (second, first) => Some((plane, true)),
            _ => None,
        }
    });
    found.ok_or_else(|| {
        let planes: Vec<String> = schema
            .planes()
            .iter()
            .map(|plane| format!("{} x {}", plane.first.name, plane.second.name))
            .collect();
        AdditiveError::NoPlane {
            schema: schema.id().to_owned(),
            first: first.chars().take(LONGEST_NAME).collect(),
            second: second.chars().take(LONGEST_NAME).collect(),
            planes: if planes.is_empty() {
                "no planes".to_owned()
            } else {
                planes.join(", ")
            },
        }
    })
}

fn finite(values: &[f64], what: impl Fn() -> String) -> Result<(), AdditiveError> {
    let sound = |value: &f64| value.is_finite() && value.abs() <= LARGEST;
    match values.iter().all(sound) {
        true => Ok(()),
        false => Err(AdditiveError::Number {
            what: what().chars().take(2 * LONGEST_NAME).collect(),
        }),
    }
}

fn ascending(term: usize, values: &[f64]) -> Result<(), AdditiveError> {
    few(term, "knots or cuts", values.len())?;
    match values.is_sorted_by(|a, b| a < b) {
        true => Ok(()),
        false => Err(AdditiveError::Order { term }),
    }
}

fn few(term: usize, what: &'static str, got: usize) -> Result<(), AdditiveError> {
    match got <= MOST_VALUES {
        true => Ok(()),
        false => Err(AdditiveError::TooMany { term, what, got }),
    }
}
