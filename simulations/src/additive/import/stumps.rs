//! Boosted trees of one split: XGBoost's model files and LightGBM's dumps.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ImportError, Target, inconsistent, parse, unsupported};
use crate::additive::{AdditiveError, AdditiveModel, AdditiveTerm, Linkage, MOST_VALUES, step_of};

const ONE_SPLIT: &str = "trees of one split (max_depth 1)";
const MOST_TREES: usize = 100_000;

/// One tree: a value of the feature from `cut` on takes the upper leaf.
struct Stump {
    cut: f64,
    below: f64,
    above: f64,
    /// The leaf of a missing value, if the file says so.
    missing: Option<f64>,
}

/// Adds the stumps of every feature to steps.
fn steps(
    model: &mut AdditiveModel,
    stumps: BTreeMap<String, Vec<Stump>>,
) -> Result<(), ImportError> {
    for (axis, stumps) in stumps {
        let mut cuts: Vec<f64> = stumps.iter().map(|stump| stump.cut).collect();
        if cuts.iter().any(|cut| !cut.is_finite()) {
            return Err(AdditiveError::Number {
                what: format!("splits on {axis}"),
            }
            .into());
        }
        cuts.sort_by(f64::total_cmp);
        cuts.dedup();
        if cuts.len() >= MOST_VALUES {
            return Err(inconsistent(
                axis,
                format!("fewer than {MOST_VALUES} splits"),
                cuts.len(),
            ));
        }
        // On step i a value has reached the first i cuts.
        let values = (0..=cuts.len())
            .map(|step| {
                stumps
                    .iter()
                    .map(|stump| {
                        let reached = step_of(&cuts, stump.cut) <= step;
                        if reached { stump.above } else { stump.below }
                    })
                    .sum()
            })
            .collect();
        let missing = stumps
            .iter()
            .map(|stump| stump.missing)
            .sum::<Option<f64>>();
        model.terms.push(AdditiveTerm::Steps {
            axis,
            cuts,
            values,
            missing,
        });
    }
    Ok(())
}

#[derive(Deserialize)]
struct XgbFile {
    learner: XgbLearner,
}

#[derive(Deserialize)]
struct XgbLearner {
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: XgbBooster,
    learner_model_param: XgbParameters,
    objective: XgbObjective,
}

#[derive(Deserialize)]
struct XgbParameters {
    base_score: String,
    #[serde(default)]
    num_class: String,
}

#[derive(Deserialize)]
struct XgbObjective {
    name: String,
}

#[derive(Deserialize)]
struct XgbBooster {
    name: String,
    #[serde(default)]
    model: Option<XgbModel>,
}

#[derive(Deserialize)]
struct XgbModel {
    trees: Vec<XgbTree>,
}

#[derive(Deserialize)]
struct XgbTree {
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<usize>,
    split_conditions: Vec<f64>,
    default_left: Vec<u8>,
    #[serde(default)]
    split_type: Vec<u8>,
}

pub(super) fn xgboost(bytes: &[u8], target: &Target<'_>) -> Result<AdditiveModel, ImportError> {
    let learner = parse::<XgbFile>(bytes, "XGBoost model JSON")?.learner;
    let booster = match (
        learner.gradient_booster.name.as_str(),
        learner.gradient_booster.model,
    ) {
        ("gbtree", Some(model)) => model,
        (name, _) => return Err(unsupported(format!("the booster {name}"), "gbtree")),
    };
    if !matches!(
        learner.learner_model_param.num_class.as_str(),
        "" | "0" | "1"
    ) {
        return Err(unsupported(
            "several classes",
            "one binary outcome or one number",
        ));
    }
    let base = &learner.learner_model_param.base_score;
    let base: f64 = base
        .trim_matches(['[', ']'])
        .parse()
        .map_err(|_| inconsistent("base_score", "a number", base))?;
    let (link, intercept) = match learner.objective.name.as_str() {
        "binary:logistic" | "reg:logistic" => (Linkage::Logit {}, libm::log(base / (1.0 - base))),
        "reg:squarederror" => (Linkage::Identity {}, base),
        other => {
            return Err(unsupported(
                format!("the objective {other}"),
                "binary:logistic, reg:logistic or reg:squarederror",
            ));
        }
    };
    let mut model = target.model(link, intercept);
    trees_bounded(booster.trees.len())?;
    let mut stumps: BTreeMap<String, Vec<Stump>> = BTreeMap::new();
    for tree in &booster.trees {
        match xgb_stump(tree)? {
            (None, leaf) => model.intercept += leaf,
            (Some((feature, stump)), _) => {
                let name = learner
                    .feature_names
                    .get(feature)
                    .ok_or_else(|| inconsistent("feature_names", "a name per feature", feature))?;
                stumps
                    .entry(target.axis(name)?.name.clone())
                    .or_default()
                    .push(stump);
            }
        }
    }
    steps(&mut model, stumps)?;
    Ok(model)
}

fn xgb_stump(tree: &XgbTree) -> Result<(Option<(usize, Stump)>, f64), ImportError> {
    let short = || inconsistent("a tree", "lists of one length", "others");
    let root = *tree.split_conditions.first().ok_or_else(short)?;
    let (left, right) = match (
        tree.left_children.as_slice(),
        tree.right_children.as_slice(),
    ) {
        ([-1], [-1]) => return Ok((None, root)),
        ([left, rest_left @ ..], [right, rest_right @ ..])
            if rest_left.len() == 2 && rest_left == [-1, -1] && rest_right == [-1, -1] =>
        {
            (*left, *right)
        }
        _ => return Err(unsupported("a tree with several splits", ONE_SPLIT)),
    };
    if tree.split_type.first().is_some_and(|kind| *kind != 0) {
        return Err(unsupported("a split by categories", "splits by number"));
    }
    let leaf = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| tree.split_conditions.get(index))
            .copied()
            .ok_or_else(short)
    };
    let (below, above) = (leaf(left)?, leaf(right)?);
    let left_by_default = *tree.default_left.first().ok_or_else(short)? != 0;
    let stump = Stump {
        cut: root,
        below,
        above,
        missing: Some(if left_by_default { below } else { above }),
    };
    let feature = *tree.split_indices.first().ok_or_else(short)?;
    Ok((Some((feature, stump)), 0.0))
}

#[derive(Deserialize)]
struct LgbFile {
    num_class: u32,
    objective: String,
    average_output: bool,
    feature_names: Vec<String>,
    tree_info: Vec<LgbTree>,
}

#[derive(Deserialize)]
struct LgbTree {
    tree_structure: LgbNode,
}

#[derive(Deserialize)]
struct LgbNode {
    #[serde(default)]
    leaf_value: Option<f64>,
    #[serde(default)]
    split_feature: Option<usize>,
    /// A number; categories are a text.
    #[serde(default)]
    threshold: Option<serde_json::Value>,
    #[serde(default)]
    decision_type: Option<String>,
    #[serde(default)]
    default_left: bool,
    #[serde(default)]
    missing_type: Option<String>,
    #[serde(default)]
    left_child: Option<Box<LgbNode>>,
    #[serde(default)]
    right_child: Option<Box<LgbNode>>,
}

pub(super) fn lightgbm(bytes: &[u8], target: &Target<'_>) -> Result<AdditiveModel, ImportError> {
    let file: LgbFile = parse(bytes, "LightGBM dump")?;
    let link = match file.objective.as_str() {
        "binary sigmoid:1" => Linkage::Logit {},
        "regression" => Linkage::Identity {},
        other => {
            return Err(unsupported(
                format!("the objective {other}"),
                "binary sigmoid:1 or regression",
            ));
        }
    };
    if file.num_class != 1 || file.average_output {
        return Err(unsupported(
            "several classes or averaged trees",
            "one boosted outcome",
        ));
    }
    let mut model = target.model(link, 0.0);
    trees_bounded(file.tree_info.len())?;
    let mut stumps: BTreeMap<String, Vec<Stump>> = BTreeMap::new();
    for tree in &file.tree_info {
        let root = &tree.tree_structure;
        if let Some(leaf) = root.leaf_value {
            model.intercept += leaf;
            continue;
        }
        let (feature, stump) = lgb_stump(root)?;
        let name = file
            .feature_names
            .get(feature)
            .ok_or_else(|| inconsistent("feature_names", "a name per feature", feature))?;
        stumps
            .entry(target.axis(name)?.name.clone())
            .or_default()
            .push(stump);
    }
    steps(&mut model, stumps)?;
    Ok(model)
}

fn lgb_stump(node: &LgbNode) -> Result<(usize, Stump), ImportError> {
    let leaf = |child: &Option<Box<LgbNode>>| {
        child
            .as_ref()
            .and_then(|child| child.leaf_value)
            .ok_or_else(|| unsupported("a tree with several splits", ONE_SPLIT))
    };
    let (below, above) = (leaf(&node.left_child)?, leaf(&node.right_child)?);
    let threshold = node.threshold.as_ref().and_then(serde_json::Value::as_f64);
    let (Some(feature), Some(threshold), Some("<=")) =
        (node.split_feature, threshold, node.decision_type.as_deref())
    else {
        return Err(unsupported("a split by categories", "splits by number"));
    };
    let missing = match node.missing_type.as_deref() {
        Some("NaN") => Some(if node.default_left { below } else { above }),
        Some("None") | None => None,
        Some(other) => {
            return Err(unsupported(
                format!("missing_type {other}"),
                "None or NaN (zero_as_missing false)",
            ));
        }
    };
    // The left leaf is for values up to the threshold, so the upper one begins just above it.
    let cut = threshold.next_up();
    Ok((
        feature,
        Stump {
            cut,
            below,
            above,
            missing,
        },
    ))
}

fn trees_bounded(trees: usize) -> Result<(), ImportError> {
    match trees <= MOST_TREES {
        true => Ok(()),
        false => Err(inconsistent(
            "the number of trees",
            format!("at most {MOST_TREES}"),
            trees,
        )),
    }
}
