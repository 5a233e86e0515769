//! Formulas: an outcome as sums of functions of a twin's features, ready to be compiled to a program.
//!
//! Almost all of clinical scoring and pharmacology is additive once the right scale is taken: ln C = ln D - ln V - k t, the
//! logit of a risk, the points of a score. A [`Formula`] says so in real numbers; tables of integers are made from it for
//! the nodes of the axes and planes.

use std::fmt;

/// A function of one feature.
pub type OneFeature = Box<dyn Fn(f64) -> f64 + Send + Sync>;
/// A function of two features.
pub type TwoFeatures = Box<dyn Fn(f64, f64) -> f64 + Send + Sync>;

/// How one output of a model comes out of a twin.
pub enum Formula {
    /// A number: a monotone function of a sum.
    Number(Additive),
    /// Yes or no.
    Flag(Condition),
    /// The best of at most eight options.
    Choice(Choice),
}

/// A number as `link(constant + sum of terms)`.
pub struct Additive {
    /// What is added.
    pub terms: Vec<Term>,
    /// Added once.
    pub constant: f64,
    /// From the sum to the number.
    pub link: Link,
}

/// One summand.
pub enum Term {
    /// A function of one axis, categorical or continuous.
    Axis {
        /// The axis of the twin.
        axis: String,
        /// The summand at a value of the axis.
        value: OneFeature,
        /// The summand of a twin without the feature; `None` makes the whole sum missing.
        missing: Option<f64>,
    },
    /// A function of the two axes of a plane.
    Plane {
        /// The plane of the twin.
        plane: String,
        /// The summand at the values of its first and second axis.
        value: TwoFeatures,
        /// The summand of a twin without one of the features; `None` makes the whole sum missing.
        missing: Option<f64>,
    },
    /// A number that is added if a condition holds.
    If {
        /// The condition.
        condition: Condition,
        /// The summand.
        value: f64,
    },
    /// A function of another sum, as a staircase: piecewise constant between the ascending cuts.
    Staircase {
        /// The other number; the cuts are in its unit, after its link.
        of: Box<Additive>,
        /// The edges of the steps.
        cuts: Vec<f64>,
        /// The summand on every step, one more than cuts.
        levels: Vec<f64>,
    },
}

/// A strictly increasing function from the sum to the number, with its inverse.
pub struct Link {
    forward: OneFeature,
    inverse: OneFeature,
    identity: bool,
}

/// Yes or no on a twin; missing if any feature that it reads is.
pub enum Condition {
    /// The number is at least the cut.
    AtLeast(Box<Additive>, f64),
    /// The number is below the cut.
    Below(Box<Additive>, f64),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// The best of some options: the highest score among those without a contraindication; the first of equals.
pub struct Choice {
    /// The options, at most eight.
    pub options: Vec<ChoiceOption>,
    /// Margins over the second best that are reported, ascending, in the scores' unit.
    pub margins: Vec<f64>,
}

/// One option of a choice.
pub struct ChoiceOption {
    /// Its name.
    pub label: String,
    /// Benefit less harm, with the identity as its link.
    pub score: Additive,
    /// Reasons that exclude it, with their names.
    pub contraindications: Vec<(String, Condition)>,
}

impl Link {
    /// The number is the sum.
    #[must_use]
    pub fn identity() -> Self {
        Self {
            identity: true,
            ..Self::new(|sum| sum, |value| value)
        }
    }

    /// The number is e to the sum.
    #[must_use]
    pub fn exp() -> Self {
        Self::new(libm::exp, libm::log)
    }

    /// The number is a probability, the sum its logit.
    #[must_use]
    pub fn logistic() -> Self {
        Self::new(
            |sum| 1.0 / (1.0 + libm::exp(-sum)),
            |value| libm::log(value / (1.0 - value)),
        )
    }

    /// A strictly increasing function and its inverse.
    #[must_use]
    pub fn new(
        forward: impl Fn(f64) -> f64 + Send + Sync + 'static,
        inverse: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            forward: Box::new(forward),
            inverse: Box::new(inverse),
            identity: false,
        }
    }

    /// Whole points, read off a rising list that starts at zero points.
    ///
    /// The inverse gives the fewest points whose value is at least the one asked for.
    #[must_use]
    pub fn list(values: &'static [f64]) -> Self {
        Self::new(
            move |sum| {
                let last = values.len().saturating_sub(1);
                let index = (0..=last)
                    .rev()
                    .find(|index| libm::round(sum) >= float(*index))
                    .unwrap_or(0);
                values.get(index).copied().unwrap_or(f64::NAN)
            },
            move |value| float(values.iter().take_while(|known| **known < value).count()),
        )
    }

    /// Whether the number is the sum.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    /// The number of a sum.
    #[must_use]
    pub fn forward(&self, sum: f64) -> f64 {
        (self.forward)(sum)
    }

    /// The smallest sum that gives a number.
    #[must_use]
    pub fn inverse(&self, value: f64) -> f64 {
        (self.inverse)(value)
    }
}

#[expect(clippy::cast_precision_loss, reason = "points are few")]
fn float(index: usize) -> f64 {
    index as f64
}

impl Additive {
    /// A sum that is the number itself.
    #[must_use]
    pub fn sum(terms: Vec<Term>) -> Self {
        Self::linked(terms, Link::identity())
    }

    /// A number that is a function of a sum.
    #[must_use]
    pub fn linked(terms: Vec<Term>, link: Link) -> Self {
        Self {
            terms,
            constant: 0.0,
            link,
        }
    }

    /// The same with a constant in the sum.
    #[must_use]
    pub fn plus(self, constant: f64) -> Self {
        Self {
            constant: self.constant + constant,
            ..self
        }
    }

    /// The condition that the number is at least a cut.
    #[must_use]
    pub fn at_least(self, cut: f64) -> Condition {
        Condition::AtLeast(Box::new(self), cut)
    }

    /// The condition that the number is below a cut.
    #[must_use]
    pub fn below(self, cut: f64) -> Condition {
        Condition::Below(Box::new(self), cut)
    }
}

impl Term {
    /// A function of one axis.
    #[must_use]
    pub fn axis(axis: &str, value: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Self::Axis {
            axis: axis.to_owned(),
            value: Box::new(value),
            missing: None,
        }
    }

    /// A function of a plane's two axes.
    #[must_use]
    pub fn plane(plane: &str, value: impl Fn(f64, f64) -> f64 + Send + Sync + 'static) -> Self {
        Self::Plane {
            plane: plane.to_owned(),
            value: Box::new(value),
            missing: None,
        }
    }

    /// The same, with a summand for a twin that lacks the feature: only where the model itself states one.
    #[must_use]
    pub fn or_missing(mut self, summand: f64) -> Self {
        if let Self::Axis { missing, .. } | Self::Plane { missing, .. } = &mut self {
            *missing = Some(summand);
        }
        self
    }

    /// Points per category of a categorical axis, numbered from 0.
    #[must_use]
    pub fn points(axis: &str, points: &'static [f64]) -> Self {
        Self::axis(axis, move |category| {
            let index = (0..points.len()).find(|index| float(*index) == category);
            index
                .and_then(|index| points.get(index))
                .copied()
                .unwrap_or(f64::NAN)
        })
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Number(..)",
            Self::Flag(_) => "Flag(..)",
            Self::Choice(_) => "Choice(..)",
        })
    }
}
