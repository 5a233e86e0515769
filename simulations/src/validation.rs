//! External validation of a risk model: from a cross-table of predicted risk and outcome to what clinicians ask of a test.
//!
//! The table has one row per bin of the predicted risk, between ascending edges from 0 to 1, and two columns: without and
//! with the outcome. Everything here follows from these counts; nothing needs a patient.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{StudyResult, StudySpec, program::RowKind};

/// A cross-table that gives no validation.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ValidationError {
    /// Edges that do not ascend between 0 and 1, or none.
    #[error("expected ascending edges between 0 and 1, got {0:?}")]
    Edges(Vec<f64>),
    /// Counts that do not fit the edges.
    #[error("{edges} edges need {expected} rows of counts, got {got}")]
    Rows {
        /// The edges.
        edges: usize,
        /// The rows expected.
        expected: usize,
        /// The rows given.
        got: usize,
    },
    /// Nobody with the outcome, or nobody without.
    #[error(
        "the table has {with} patients with the outcome and {without} without: both are needed"
    )]
    OneSided {
        /// With the outcome.
        with: u64,
        /// Without it.
        without: u64,
    },
}

/// How well a model predicts an outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// What was predicted.
    pub outcome: String,
    /// Patients with the outcome.
    pub with: u64,
    /// Patients without.
    pub without: u64,
    /// The area under the ROC curve: trapezoids between the edges, so patients of one bin count as ties.
    pub auc: f64,
    /// How much that may differ from the area over the unbinned risks: half the share of pairs that lie in one bin.
    pub auc_binning: f64,
    /// One entry per edge.
    pub thresholds: Vec<Threshold>,
    /// One entry per bin.
    pub calibration: Vec<Bin>,
    /// The expected patients with the outcome, by the midpoints of the bins, over those observed; 1 is calibrated.
    pub expected_over_observed: f64,
}

/// The 2x2 table when a risk of at least the threshold counts as positive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The threshold.
    pub at: f64,
    /// Positive with the outcome.
    pub true_positive: u64,
    /// Positive without.
    pub false_positive: u64,
    /// Negative with the outcome.
    pub false_negative: u64,
    /// Negative without.
    pub true_negative: u64,
    /// The share of those with the outcome that are positive.
    pub sensitivity: f64,
    /// The share of those without that are negative.
    pub specificity: f64,
    /// The share of the positive that have the outcome; absent if nobody is positive.
    pub positive_predictive_value: Option<f64>,
    /// The share of the negative that do not; absent if nobody is negative.
    pub negative_predictive_value: Option<f64>,
}

/// One bin of predicted risk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// Its lower end.
    pub from: f64,
    /// Its upper end.
    pub to: f64,
    /// The risk that stands for the bin: its middle.
    pub predicted: f64,
    /// The share with the outcome; absent in an empty bin.
    pub observed: Option<f64>,
    /// The patients in it.
    pub patients: u64,
}

impl Validation {
    /// The validation that a study's result holds: that of a risk model whose bins of risk were crossed with an outcome.
    ///
    /// `None` for other studies, for a table that stayed closed, and for an outcome that everybody or nobody has.
    #[must_use]
    pub fn of_study(spec: &StudySpec, result: &StudyResult) -> Option<Self> {
        let cross = spec.cross.as_ref()?;
        let is_risk = spec
            .additive
            .as_ref()
            .is_some_and(|model| model.link.is_probability());
        let edges = match cross.edges.as_slice() {
            [] => &spec.cuts,
            _ => &cross.edges,
        };
        let row = result
            .rows
            .iter()
            .find(|row| row.kind == RowKind::CrossTable)?;
        let (pairs, rest) = row.cells.as_ref()?.as_chunks::<2>();
        if !is_risk || !rest.is_empty() {
            return None;
        }
        let counts: Vec<[u64; 2]> = pairs
            .iter()
            .map(|[without, with]| [without.count, with.count])
            .collect();
        Self::of_counts(&cross.by, edges, &counts).ok()
    }

    /// Computes everything from the edges between the bins and, per bin in ascending order, the counts without and with the
    /// outcome.
    ///
    /// # Errors
    /// Edges or counts that do not fit, or an outcome that everybody or nobody has.
    pub fn of_counts(
        outcome: &str,
        edges: &[f64],
        counts: &[[u64; 2]],
    ) -> Result<Self, ValidationError> {
        let inside = edges.iter().all(|edge| *edge > 0.0 && *edge < 1.0);
        if edges.is_empty() || !inside || !edges.is_sorted_by(|a, b| a < b) {
            return Err(ValidationError::Edges(edges.to_vec()));
        }
        if counts.len() != edges.len() + 1 {
            return Err(ValidationError::Rows {
                edges: edges.len(),
                expected: edges.len() + 1,
                got: counts.len(),
            });
        }
        let total = |column: &dyn Fn(&[u64; 2]) -> u64| counts.iter().map(column).sum::<u64>();
        let (without, with) = (total(&|[no, _]| *no), total(&|[_, yes]| *yes));
        if with == 0 || without == 0 {
            return Err(ValidationError::OneSided { with, without });
        }
        let thresholds = edges
            .iter()
            .enumerate()
            .map(|(index, at)| threshold(*at, counts.split_at(index + 1)))
            .collect();
        let ends = || std::iter::once(0.0).chain(edges.iter().copied());
        let calibration: Vec<Bin> = ends()
            .zip(edges.iter().copied().chain(std::iter::once(1.0)))
            .zip(counts)
            .map(|((from, to), [no, yes])| Bin {
                from,
                to,
                predicted: f64::midpoint(from, to),
                observed: share(*yes, no + yes),
                patients: no + yes,
            })
            .collect();
        let expected: f64 = calibration
            .iter()
            .map(|bin| bin.predicted * float(bin.patients))
            .sum();
        let pairs = float(with) * float(without);
        let mut below = 0.0;
        let mut ordered = 0.0;
        let mut tied = 0.0;
        for [no, yes] in counts {
            ordered += float(*yes) * below;
            tied += float(*yes) * float(*no);
            below += float(*no);
        }
        Ok(Self {
            outcome: outcome.to_owned(),
            with,
            without,
            auc: (ordered + tied / 2.0) / pairs,
            auc_binning: tied / 2.0 / pairs,
            thresholds,
            calibration,
            expected_over_observed: expected / float(with),
        })
    }

    /// The validation as text for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let percent = |share: Option<f64>| match share {
            Some(share) => format!("{:.1} %", share * 100.0),
            None => "-".to_owned(),
        };
        let mut text = format!(
            "external validation, {}: {} with, {} without\n{:>10} {:>6} {:>6} {:>6} {:>6} {:>12} {:>12} {:>8} {:>8}\n",
            self.outcome,
            self.with,
            self.without,
            "threshold",
            "TP",
            "FP",
            "FN",
            "TN",
            "sensitivity",
            "specificity",
            "PPV",
            "NPV"
        );
        // Writing to a string cannot fail.
        for one in &self.thresholds {
            let _ = writeln!(
                text,
                "{:>10} {:>6} {:>6} {:>6} {:>6} {:>12} {:>12} {:>8} {:>8}",
                one.at,
                one.true_positive,
                one.false_positive,
                one.false_negative,
                one.true_negative,
                percent(Some(one.sensitivity)),
                percent(Some(one.specificity)),
                percent(one.positive_predictive_value),
                percent(one.negative_predictive_value)
            );
        }
        text.push_str("calibration (predicted: middle of the bin)\n");
        for bin in &self.calibration {
            let range = format!("{} to {}", bin.from, bin.to);
            let _ = writeln!(
                text,
                "{range:>14}  predicted {:>7}  observed {:>7}  of {:>5}",
                percent(Some(bin.predicted)),
                percent(bin.observed),
                bin.patients
            );
        }
        let _ = writeln!(
            text,
            "expected over observed {:.2}\nAUC {:.3} (trapezoids over the bins; at most {:.3} from that of the unbinned risks)",
            self.expected_over_observed, self.auc, self.auc_binning
        );
        text
    }
}

/// The 2x2 table of the bins below and above a threshold.
fn threshold(at: f64, (below, above): (&[[u64; 2]], &[[u64; 2]])) -> Threshold {
    let sums = |part: &[[u64; 2]]| {
        part.iter()
            .fold((0, 0), |(no, yes), [n, y]| (no + n, yes + y))
    };
    let (true_negative, false_negative) = sums(below);
    let (false_positive, true_positive) = sums(above);
    Threshold {
        at,
        true_positive,
        false_positive,
        false_negative,
        true_negative,
        sensitivity: share(true_positive, true_positive + false_negative).unwrap_or(0.0),
        specificity: share(true_negative, true_negative + false_positive).unwrap_or(0.0),
        positive_predictive_value: share(true_positive, true_positive + false_positive),
        negative_predictive_value: share(true_negative, true_negative + false_negative),
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| float(part) / float(whole))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of patients stay far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() < 1e-12,
            "{got} instead of {expected}"
        );
    }

    #[test]
    fn a_small_table_gives_the_numbers_computed_by_hand() {
        let found =
            Validation::of_counts("disease", &[0.2, 0.6], &[[40, 5], [15, 10], [5, 25]]).unwrap();
        assert_eq!((found.with, found.without), (40, 60));
        let first = &found.thresholds[0];
        assert_eq!(
            (
                first.true_positive,
                first.false_positive,
                first.false_negative,
                first.true_negative
            ),
            (35, 20, 5, 40)
        );
        close(first.sensitivity, 35.0 / 40.0);
        close(first.specificity, 40.0 / 60.0);
        close(first.positive_predictive_value.unwrap(), 35.0 / 55.0);
        close(first.negative_predictive_value.unwrap(), 40.0 / 45.0);
        let second = &found.thresholds[1];
        assert_eq!(
            (
                second.true_positive,
                second.false_positive,
                second.false_negative,
                second.true_negative
            ),
            (25, 5, 15, 55)
        );
        // Pairs in order: 10*40 + 25*(40+15) = 1775; ties: 5*40 + 10*15 + 25*5 = 475; of 2400.
        close(found.auc, (1775.0 + 237.5) / 2400.0);
        close(found.auc_binning, 237.5 / 2400.0);
        let bins: Vec<(f64, Option<f64>)> = found
            .calibration
            .iter()
            .map(|b| (b.predicted, b.observed))
            .collect();
        assert_eq!(
            bins,
            [
                (0.1, Some(5.0 / 45.0)),
                (0.4, Some(0.4)),
                (0.8, Some(25.0 / 30.0))
            ]
        );
        // 0.1*45 + 0.4*25 + 0.8*30 = 38.5 of 40.
        close(found.expected_over_observed, 38.5 / 40.0);
        let text = found.text();
        for word in ["87.5 %", "66.7 %", "AUC 0.839", "trapezoids"] {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn a_perfect_and_a_useless_model_are_told_apart() {
        let perfect = Validation::of_counts("d", &[0.5], &[[10, 0], [0, 10]]).unwrap();
        close(perfect.auc, 1.0);
        close(perfect.auc_binning, 0.0);
        let useless = Validation::of_counts("d", &[0.5], &[[10, 10], [10, 10]]).unwrap();
        close(useless.auc, 0.5);
        let empty = Validation::of_counts("d", &[0.3, 0.5], &[[10, 5], [0, 0], [5, 10]]).unwrap();
        assert_eq!(empty.calibration[1].observed, None);
        assert_eq!(
            empty.thresholds[0].sensitivity,
            empty.thresholds[1].sensitivity
        );
    }

    #[test]
    fn the_binned_area_is_within_its_own_bound_of_the_exact_one() {
        // Risks of a skewed sequence; the outcome is likelier where the risk is high.
        let mut state = 7_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(u32::MAX >> 1)
        };
        let patients: Vec<(f64, bool)> = (0..600)
            .map(|_| {
                let risk = next() * next();
                (risk, next() < 0.1 + 0.8 * risk)
            })
            .collect();
        let mut exact = 0.0;
        let (with, without): (Vec<_>, Vec<_>) = patients.iter().partition(|(_, sick)| *sick);
        for (sick, _) in &with {
            for (well, _) in &without {
                exact += if sick > well {
                    1.0
                } else if sick == well {
                    0.5
                } else {
                    0.0
                };
            }
        }
        exact /= float((with.len() * without.len()) as u64);
        for edges in [
            vec![0.5],
            vec![0.1, 0.3, 0.5],
            (1..20).map(|i| f64::from(i) / 20.0).collect(),
        ] {
            let mut counts = vec![[0, 0]; edges.len() + 1];
            for (risk, sick) in &patients {
                counts[edges.iter().filter(|edge| *edge <= risk).count()][usize::from(*sick)] += 1;
            }
            let found = Validation::of_counts("d", &edges, &counts).unwrap();
            assert!(
                (found.auc - exact).abs() <= found.auc_binning + 1e-12,
                "{} and {exact}, bound {}",
                found.auc,
                found.auc_binning
            );
        }
    }

    #[test]
    fn a_table_that_is_none_is_refused() {
        let of = |edges: &[f64], counts: &[[u64; 2]]| {
            Validation::of_counts("d", edges, counts).unwrap_err()
        };
        let sound = [[1, 1], [1, 1]];
        for edges in [vec![], vec![0.0], vec![1.0], vec![-0.5], vec![f64::NAN]] {
            assert!(
                matches!(of(&edges, &sound), ValidationError::Edges(_)),
                "{edges:?}"
            );
        }
        assert!(matches!(
            of(&[0.5, 0.4], &[[1, 1]; 3]),
            ValidationError::Edges(_)
        ));
        assert!(matches!(
            of(&[0.5], &[[1, 1]]),
            ValidationError::Rows {
                expected: 2,
                got: 1,
                ..
            }
        ));
        assert_eq!(
            of(&[0.5], &[[1, 0], [1, 0]]),
            ValidationError::OneSided {
                with: 0,
                without: 2
            }
        );
        assert_eq!(
            of(&[0.5], &[[0, 1], [0, 1]]),
            ValidationError::OneSided {
                with: 2,
                without: 0
            }
        );
    }
}
