//! Explainable boosting machines as InterpretML writes them (Nori et al., arXiv:1909.09223; `to_json`, version 1.0).
//!
//! Every feature has one or two lists of cuts (or of categories): the first for terms of the feature alone, the last for pairs.
//! The scores of a term are an array with one dimension per feature; along each, the first entry is for a missing value, the last
//! for an unknown one, and those between for the bins in order. A value equal to a cut belongs to the bin above it.

use serde::Deserialize;

use super::{ImportError, Target, inconsistent, parse, regression::category_cuts, unsupported};
use crate::{
    additive::{AdditiveModel, AdditiveTerm, Linkage, MOST_TERMS, MOST_VALUES},
    schema::Axis,
};

const WHOLE: &str =
    "one binary outcome with a logit link, or one number with the identity or log link";

#[derive(Deserialize)]
struct File {
    version: String,
    ebm: Ebm,
}

#[derive(Deserialize)]
struct Ebm {
    outputs: Vec<Output>,
    intercept: OneOrList,
    features: Vec<Feature>,
    terms: Vec<Term>,
}

#[derive(Deserialize)]
struct Output {
    task: String,
    #[serde(default)]
    classes: Vec<serde::de::IgnoredAny>,
    link: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrList {
    One(f64),
    List(Vec<f64>),
}

#[derive(Deserialize)]
struct Feature {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    cuts: Vec<Vec<f64>>,
    #[serde(default)]
    categories: Vec<Vec<OneOrMore>>,
}

/// One category of a bin, or several that share it.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
struct Term {
    term_features: Vec<String>,
    scores: Scores,
}

/// Scores of one or two dimensions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scores {
    Line(Vec<f64>),
    Grid(Vec<Vec<f64>>),
    Other(serde::de::IgnoredAny),
}

pub(super) fn ebm(bytes: &[u8], target: &Target<'_>) -> Result<AdditiveModel, ImportError> {
    let file: File = parse(bytes, "InterpretML EBM JSON")?;
    if file.version != "1.0" {
        return Err(unsupported(
            format!("an EBM file of version {}", file.version),
            "version 1.0",
        ));
    }
    let ebm = file.ebm;
    let link = link(&ebm.outputs)?;
    let intercept = match ebm.intercept {
        OneOrList::One(one) => one,
        OneOrList::List(list) => match list.as_slice() {
            [one] => *one,
            _ => return Err(unsupported(format!("{} intercepts", list.len()), WHOLE)),
        },
    };
    if ebm.terms.len() > MOST_TERMS {
        return Err(crate::additive::AdditiveError::Terms(ebm.terms.len()).into());
    }
    let mut model = target.model(link, intercept);
    for term in &ebm.terms {
        let sides = term
            .term_features
            .iter()
            .map(|name| side(name, term.term_features.len(), &ebm.features, target))
            .collect::<Result<Vec<Side<'_>>, _>>()?;
        model.terms.push(match (sides.as_slice(), &term.scores) {
            ([side], Scores::Line(scores)) => one(side, scores, target)?,
            ([first, second], Scores::Grid(scores)) => two(first, second, scores, target)?,
            _ => {
                return Err(unsupported(
                    format!("the term {}", term.term_features.join(" x ")),
                    "terms of one or two features with one score per bin",
                ));
            }
        });
    }
    Ok(model)
}

fn link(outputs: &[Output]) -> Result<Linkage, ImportError> {
    let [output] = outputs else {
        return Err(unsupported(format!("{} outputs", outputs.len()), WHOLE));
    };
    match (
        output.task.as_str(),
        output.link.as_str(),
        output.classes.len(),
    ) {
        ("classification", "logit", 2) => Ok(Linkage::Logit {}),
        ("regression", "identity", _) => Ok(Linkage::Identity {}),
        ("regression", "log", _) => Ok(Linkage::Exp {}),
        (task, link, classes) => Err(unsupported(
            format!("{task} with link {link} and {classes} classes"),
            WHOLE,
        )),
    }
}

/// One feature of a term: its axis and its bins.
struct Side<'t> {
    axis: &'t Axis,
    bins: Bins,
}

enum Bins {
    Cuts(Vec<f64>),
    /// The labels of every bin.
    Categories(Vec<Vec<String>>),
}

impl Bins {
    /// The bins without those for missing and unknown values.
    fn count(&self) -> usize {
        match self {
            Self::Cuts(cuts) => cuts.len() + 1,
            Self::Categories(bins) => bins.len(),
        }
    }
}

fn side<'t>(
    name: &str,
    features_of_term: usize,
    features: &[Feature],
    target: &'t Target<'_>,
) -> Result<Side<'t>, ImportError> {
    let feature = features
        .iter()
        .find(|feature| feature.name == name)
        .ok_or_else(|| inconsistent("a term's feature", "one of the features", name))?;
    let level = |levels: usize| features_of_term.min(levels).checked_sub(1);
    let axis = target.axis(name)?;
    let bins = match feature.kind.as_str() {
        "continuous" => {
            let cuts = level(feature.cuts.len()).and_then(|level| feature.cuts.get(level));
            Bins::Cuts(
                cuts.cloned()
                    .ok_or_else(|| inconsistent(name, "cuts", "none"))?,
            )
        }
        "nominal" | "ordinal" => {
            let bins =
                level(feature.categories.len()).and_then(|level| feature.categories.get(level));
            let bins = bins.ok_or_else(|| inconsistent(name, "categories", "none"))?;
            let labels = |bin: &OneOrMore| match bin {
                OneOrMore::One(label) => vec![label.clone()],
                OneOrMore::More(labels) => labels.clone(),
            };
            Bins::Categories(bins.iter().map(labels).collect())
        }
        other => {
            return Err(unsupported(
                format!("the feature {name} of type {other}"),
                "continuous, nominal or ordinal",
            ));
        }
    };
    if bins.count() > MOST_VALUES {
        return Err(inconsistent(
            name,
            format!("at most {MOST_VALUES} bins"),
            bins.count(),
        ));
    }
    Ok(Side { axis, bins })
}

fn one(side: &Side<'_>, scores: &[f64], target: &Target<'_>) -> Result<AdditiveTerm, ImportError> {
    let name = &side.axis.name;
    let [missing, bins @ .., unknown] = scores else {
        return Err(inconsistent(name, side.bins.count() + 2, scores.len()));
    };
    if bins.len() != side.bins.count() {
        return Err(inconsistent(
            format!("the scores on {name}"),
            side.bins.count() + 2,
            scores.len(),
        ));
    }
    let axis = name.clone();
    let missing = Some(*missing);
    Ok(match &side.bins {
        Bins::Cuts(cuts) => AdditiveTerm::Steps {
            axis,
            cuts: cuts.clone(),
            values: bins.to_vec(),
            missing,
        },
        Bins::Categories(labels) => {
            let named: Vec<(String, f64)> = labels
                .iter()
                .zip(bins)
                .flat_map(|(labels, score)| labels.iter().map(|label| (label.clone(), *score)))
                .collect();
            AdditiveTerm::Categories {
                axis,
                values: target.categories(side.axis, &named, Some(*unknown))?,
                missing,
            }
        }
    })
}

/// The place among a dimension's scores of every step of a pair's side.
fn places(side: &Side<'_>, target: &Target<'_>) -> Result<(Vec<f64>, Vec<usize>), ImportError> {
    match &side.bins {
        Bins::Cuts(cuts) => Ok((cuts.clone(), (1..=side.bins.count()).collect())),
        Bins::Categories(labels) => {
            let named: Vec<(String, f64)> = labels
                .iter()
                .enumerate()
                .flat_map(|(index, labels)| {
                    labels
                        .iter()
                        .map(move |label| (label.clone(), number(index + 1)))
                })
                .collect();
            let unknown = number(side.bins.count() + 1);
            let values = target.categories(side.axis, &named, Some(unknown))?;
            let place = |value: f64| {
                (0..=side.bins.count() + 1)
                    .find(|index| number(*index) == value)
                    .unwrap_or(0)
            };
            Ok((
                category_cuts(side.axis),
                values.into_iter().map(place).collect(),
            ))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "bins are few")]
fn number(index: usize) -> f64 {
    index as f64
}

fn two(
    first: &Side<'_>,
    second: &Side<'_>,
    scores: &[Vec<f64>],
    target: &Target<'_>,
) -> Result<AdditiveTerm, ImportError> {
    let (rows, columns) = (first.bins.count() + 2, second.bins.count() + 2);
    if scores.len() != rows || scores.iter().any(|row| row.len() != columns) {
        return Err(inconsistent(
            format!("the scores on {} x {}", first.axis.name, second.axis.name),
            format!("{rows} x {columns}"),
            format!(
                "{} x {}",
                scores.len(),
                scores.iter().map(Vec::len).max().unwrap_or(0)
            ),
        ));
    }
    let (first_cuts, first_places) = places(first, target)?;
    let (second_cuts, second_places) = places(second, target)?;
    let at = |row: usize, column: usize| {
        scores
            .get(row)
            .and_then(|row| row.get(column))
            .copied()
            .unwrap_or(f64::NAN)
    };
    let values = first_places
        .iter()
        .flat_map(|row| second_places.iter().map(|column| at(*row, *column)))
        .collect();
    // A plane has one place for all that is missing: a value stands only if the file has the same one everywhere.
    let of_rows = (0..columns).map(|column| at(0, column));
    let mut missing = of_rows.chain((0..rows).map(|row| at(row, 0)));
    let corner = at(0, 0);
    let missing = missing.all(|value| value == corner).then_some(corner);
    Ok(AdditiveTerm::Pair {
        first: first.axis.name.clone(),
        second: second.axis.name.clone(),
        first_cuts,
        second_cuts,
        values,
        missing,
    })
}
