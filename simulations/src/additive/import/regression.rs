//! Regressions by name and coefficient, and generalized additive models by their values.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ImportError, Target, inconsistent, parse, unsupported};
use crate::{
    additive::{AdditiveModel, AdditiveTerm, Linkage, shape::halves},
    schema::{Axis, Scale},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegression {
    #[serde(rename = "format")]
    _format: String,
    kind: Kind,
    #[serde(default)]
    intercept: f64,
    #[serde(default)]
    baseline_survival: Option<f64>,
    #[serde(default)]
    years: Option<f64>,
    coefficients: Vec<RawCoefficient>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Linear,
    LogLinear,
    Logistic,
    Cox,
}

/// One coefficient: of a number, or of one level of a category.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCoefficient {
    feature: String,
    coefficient: f64,
    #[serde(default)]
    level: Option<String>,
    #[serde(default)]
    centre: f64,
    #[serde(default)]
    missing: Option<f64>,
}

pub(super) fn regression(bytes: &[u8], target: &Target<'_>) -> Result<AdditiveModel, ImportError> {
    let raw: RawRegression = parse(bytes, "organtwin.regression/1")?;
    let link = match (raw.kind, raw.baseline_survival, raw.years) {
        (Kind::Linear, None, None) => Linkage::Identity {},
        (Kind::LogLinear, None, None) => Linkage::Exp {},
        (Kind::Logistic, None, None) => Linkage::Logit {},
        (Kind::Cox, Some(baseline_survival), Some(years)) => Linkage::Cox {
            baseline_survival,
            years,
        },
        (Kind::Cox, ..) => {
            return Err(inconsistent(
                "kind cox",
                "baseline_survival and years",
                "not both",
            ));
        }
        _ => {
            return Err(inconsistent(
                "baseline_survival and years",
                "kind cox",
                "another kind",
            ));
        }
    };
    let mut model = target.model(link, raw.intercept);
    let mut levels: BTreeMap<String, (Vec<(String, f64)>, Option<f64>)> = BTreeMap::new();
    for one in raw.coefficients {
        let axis = target.axis(&one.feature)?;
        match one.level {
            None => model.terms.push(AdditiveTerm::Linear {
                axis: axis.name.clone(),
                coefficient: one.coefficient,
                centre: one.centre,
                missing: one.missing,
            }),
            Some(_) if one.centre != 0.0 => {
                return Err(inconsistent(
                    format!("level of {}", axis.name),
                    "no centre",
                    one.centre,
                ));
            }
            Some(level) => {
                let (named, missing) = levels.entry(axis.name.clone()).or_default();
                named.push((level, one.coefficient));
                if let (Some(one), Some(other)) = (one.missing, *missing)
                    && one != other
                {
                    return Err(inconsistent(
                        format!("missing of {}", axis.name),
                        other,
                        one,
                    ));
                }
                *missing = missing.or(one.missing);
            }
        }
    }
    for (name, (named, missing)) in levels {
        let axis = target.axis(&name)?;
        model.terms.push(AdditiveTerm::Categories {
            // The reference level of a regression has no coefficient.
            values: target.categories(axis, &named, Some(0.0))?,
            axis: name,
            missing,
        });
    }
    Ok(model)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGam {
    #[serde(rename = "format")]
    _format: String,
    link: GamLink,
    #[serde(default)]
    intercept: f64,
    terms: Vec<RawTerm>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum GamLink {
    Identity,
    Log,
    Logit,
}

/// One term: `feature` with knots and values, cuts and values, or categories; or `features` with cuts and values of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTerm {
    #[serde(default)]
    feature: Option<String>,
    #[serde(default)]
    knots: Option<Vec<f64>>,
    #[serde(default)]
    cuts: Option<Vec<f64>>,
    #[serde(default)]
    values: Option<Vec<f64>>,
    #[serde(default)]
    categories: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    pair: Option<RawPair>,
    #[serde(default)]
    missing: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPair {
    first: String,
    second: String,
    #[serde(default)]
    first_cuts: Option<Vec<f64>>,
    #[serde(default)]
    second_cuts: Option<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

pub(super) fn gam(bytes: &[u8], target: &Target<'_>) -> Result<AdditiveModel, ImportError> {
    let raw: RawGam = parse(bytes, "organtwin.gam/1")?;
    let link = match raw.link {
        GamLink::Identity => Linkage::Identity {},
        GamLink::Log => Linkage::Exp {},
        GamLink::Logit => Linkage::Logit {},
    };
    let mut model = target.model(link, raw.intercept);
    for (index, term) in raw.terms.into_iter().enumerate() {
        model.terms.push(gam_term(index + 1, term, target)?);
    }
    Ok(model)
}

fn gam_term(number: usize, raw: RawTerm, target: &Target<'_>) -> Result<AdditiveTerm, ImportError> {
    let missing = raw.missing;
    match (
        raw.feature,
        raw.knots,
        raw.cuts,
        raw.values,
        raw.categories,
        raw.pair,
    ) {
        (Some(feature), Some(knots), None, Some(values), None, None) => Ok(AdditiveTerm::Line {
            axis: target.axis(&feature)?.name.clone(),
            knots,
            values,
            missing,
        }),
        (Some(feature), None, Some(cuts), Some(values), None, None) => Ok(AdditiveTerm::Steps {
            axis: target.axis(&feature)?.name.clone(),
            cuts,
            values,
            missing,
        }),
        (Some(feature), None, None, None, Some(categories), None) => {
            let axis = target.axis(&feature)?;
            let named: Vec<(String, f64)> = categories.into_iter().collect();
            Ok(AdditiveTerm::Categories {
                axis: axis.name.clone(),
                values: target.categories(axis, &named, None)?,
                missing,
            })
        }
        (None, None, None, None, None, Some(pair)) => {
            let (first, second) = (target.axis(&pair.first)?, target.axis(&pair.second)?);
            let columns = pair.values.first().map_or(0, Vec::len);
            if pair.values.iter().any(|row| row.len() != columns) {
                return Err(inconsistent(
                    format!("term {number}"),
                    "rows of one length",
                    "others",
                ));
            }
            Ok(AdditiveTerm::Pair {
                first: first.name.clone(),
                second: second.name.clone(),
                first_cuts: pair_cuts(first, pair.first_cuts)?,
                second_cuts: pair_cuts(second, pair.second_cuts)?,
                values: pair.values.into_iter().flatten().collect(),
                missing,
            })
        }
        _ => Err(unsupported(
            format!("term {number}"),
            "a feature with knots and values, with cuts and values, or with categories; or a pair",
        )),
    }
}

/// The cuts of one side of a pair; those of categories need not be given.
fn pair_cuts(axis: &Axis, cuts: Option<Vec<f64>>) -> Result<Vec<f64>, ImportError> {
    match (cuts, axis.scale) {
        (Some(cuts), _) => Ok(cuts),
        (None, Scale::Categorical) => Ok(category_cuts(axis)),
        (None, _) => Err(inconsistent(
            format!("pair on {}", axis.name),
            "its cuts",
            "none",
        )),
    }
}

/// The halves between the numbers of the categories.
pub(super) fn category_cuts(axis: &Axis) -> Vec<f64> {
    (1..usize::from(axis.nodes)).map(halves).collect()
}
