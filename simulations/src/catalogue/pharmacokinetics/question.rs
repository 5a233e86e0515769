//! What is asked of a course of concentrations, and how it comes out of a twin.

use super::{
    course::{Course, Response},
    regimen::{Names, Regimen},
};
use crate::{
    catalogue::{Output, OutputKind, Tolerance, Values, class::band},
    formula::{Additive, Formula, Link, Term},
    twin::pharmacology::RENAL_RANGE,
};

/// The time above a threshold.
const TIME_ABOVE: &str = "time_above_percent";
/// The time below a threshold.
const TIME_BELOW: &str = "time_below_percent";
/// Tables go down to this share of the least that counts, so that no cell of a grid has its kink where it counts.
const DEEP: f64 = 0.02;
/// The equal parts of a window at whose middles concentrations are compared with a threshold.
const PARTS: f64 = 24.0;

/// One number about the concentrations of a patient.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Question {
    Auc24,
    Average,
    PeakSteady,
    TroughSteady,
    At(f64),
    Peak(f64, f64),
    Trough(f64, f64),
    Area(f64, f64),
}

/// The response of a patient at a factor of the clearance.
type Changing<'s> = &'s dyn Fn(f64) -> Response;

impl Question {
    fn answer(self, system: Changing<'_>, regimen: &Regimen) -> f64 {
        let response = &system(1.0);
        let course = |until: f64| {
            let doses = regimen.doses(until);
            if regimen.changes() {
                let responses = regimen
                    .clearances()
                    .map(|(from, factor)| (from, system(factor)));
                let responses: Vec<(f64, Response)> = responses.collect();
                return Course::changing(&responses, &doses, until);
            }
            Course::new(response, &doses, until)
        };
        let steady = || Course::steady(response, regimen.repeated(), regimen.interval());
        let (start, end) = (response.lag(), response.lag() + regimen.interval());
        match self {
            Self::Auc24 => regimen.daily() * response.area(),
            Self::Average => regimen.daily() * response.area() / 24.0,
            Self::PeakSteady => steady().peak(start, end),
            Self::TroughSteady => steady().trough(start, end),
            Self::At(hour) => course(hour).at(hour),
            Self::Peak(from, to) => course(to).peak(from, to),
            Self::Trough(from, to) => course(to).trough(from, to),
            Self::Area(from, to) => course(to).area(from, to),
        }
    }
}

/// The share of a window with concentrations on one side of a threshold, counted at the middles of equal parts of it.
struct Time {
    at: Vec<Question>,
    threshold: f64,
    above: bool,
}

/// What an output asks.
enum Asked {
    One(Question),
    Time(Time),
}

impl Asked {
    fn of(output: &str, names: &Names, parameters: &Values) -> Option<Self> {
        let (from, to) = (parameters.of("from_h"), parameters.of("to_h"));
        let (from, to) = (from.min(to), from.max(to));
        if output == TIME_ABOVE || output == TIME_BELOW {
            let mut at = Vec::new();
            let mut part = 0.5;
            while part < PARTS {
                at.push(Question::At(from + part * (to - from) / PARTS));
                part += 1.0;
            }
            return Some(Self::Time(Time {
                at,
                threshold: parameters.of(names.threshold),
                above: output == TIME_ABOVE,
            }));
        }
        let known = [
            (names.auc24_ss, Question::Auc24),
            (names.average_ss, Question::Average),
            (names.peak_ss, Question::PeakSteady),
            (names.trough_ss, Question::TroughSteady),
            (names.concentration, Question::At(parameters.of("at_h"))),
            (names.peak, Question::Peak(from, to)),
            (names.trough, Question::Trough(from, to)),
            (names.auc, Question::Area(from, to)),
        ];
        let found = known.into_iter().find(|(key, _)| *key == output);
        found.map(|(_, question)| Self::One(question))
    }

    fn answer(&self, system: Changing<'_>, regimen: &Regimen) -> f64 {
        match self {
            Self::One(question) => question.answer(system, regimen).max(regimen.least()),
            Self::Time(time) => time
                .at
                .iter()
                .map(|question| question.answer(system, regimen) >= time.threshold)
                .filter(|reached| *reached == time.above)
                .fold(0.0, |sum, _| sum + 100.0 / PARTS),
        }
    }
}

/// How concentrations come out of a twin.
#[derive(Clone, Copy, Debug)]
pub enum Reads {
    /// From one axis.
    Axis {
        /// The axis.
        axis: &'static str,
        /// The response at a value of the axis and a factor of the clearance.
        system: fn(f64, f64) -> Response,
    },
    /// From one plane.
    Plane {
        /// The plane.
        plane: &'static str,
        /// The response at the values of both axes and a factor of the clearance.
        system: fn(f64, f64, f64) -> Response,
    },
    /// From one plane, but averages at steady state from the axis of the creatinine clearance in mL/min, which alone decides them.
    PlaneAndClearance {
        /// The plane.
        plane: &'static str,
        /// The response at the values of both axes and a factor of the clearance.
        system: fn(f64, f64, f64) -> Response,
        /// The clearance in L/h at a creatinine clearance.
        clearance: fn(f64) -> f64,
    },
    /// From two axes if the concentration is in inverse proportion to a volume: ln C = g(elimination rate) - ln V.
    Proportional {
        /// The axis from which the volume comes.
        volume_axis: &'static str,
        /// The volume in L at a value of that axis.
        volume: fn(f64) -> f64,
        /// The axis of the elimination rate in 1/h.
        rate_axis: &'static str,
        /// The response in a volume of 1 L at a rate.
        response: fn(f64) -> Response,
        /// The smallest volume in L of a patient.
        smallest: f64,
    },
}

impl Reads {
    /// An output as a formula; nothing for categories.
    #[must_use]
    pub fn formula(self, output: &str, names: &Names, parameters: &Values) -> Option<Formula> {
        let number = match Asked::of(output, names, parameters)? {
            Asked::One(question) => self.logarithm(question, names, parameters),
            Asked::Time(time) => {
                let part = |question: &Question| {
                    let concentration = self.logarithm(*question, names, parameters);
                    let condition = if time.above {
                        concentration.at_least(time.threshold)
                    } else {
                        concentration.below(time.threshold)
                    };
                    Term::If {
                        condition,
                        value: 100.0 / PARTS,
                    }
                };
                Additive::sum(time.at.iter().map(part).collect())
            }
        };
        Some(Formula::Number(number))
    }

    fn logarithm(self, question: Question, names: &Names, parameters: &Values) -> Additive {
        let regimen = Regimen::read(names, parameters);
        let factor = parameters.of("clearance_factor");
        let least = regimen.least();
        let regimen_daily = regimen.daily();
        let ln = move |system: Changing<'_>, volume: f64| {
            libm::log(question.answer(system, &regimen).max(DEEP * least * volume))
        };
        let terms = match self {
            Self::Axis { axis, system } => {
                vec![Term::axis(axis, move |value| {
                    ln(&|step| system(value, factor * step), 1.0)
                })]
            }
            Self::Plane { plane, system } => vec![Term::plane(plane, move |first, second| {
                ln(&|step| system(first, second, factor * step), 1.0)
            })],
            Self::PlaneAndClearance {
                plane,
                system,
                clearance,
            } => {
                let daily = match question {
                    Question::Auc24 => Some(regimen_daily),
                    Question::Average => Some(regimen_daily / 24.0),
                    _ => None,
                };
                match daily {
                    Some(amount) => vec![
                        // Beyond the plane's clearances the table need not go on: one node more on both sides.
                        Term::axis("crcl_ml_min", move |crcl| {
                            let crcl = crcl.clamp(0.91 * RENAL_RANGE.0, 1.1 * RENAL_RANGE.1);
                            libm::log(amount / (factor * clearance(crcl)))
                        }),
                        // Nothing is added, but a patient whom the plane does not hold has no value.
                        Term::plane(plane, |_, _| 0.0),
                    ],
                    None => vec![Term::plane(plane, move |first, second| {
                        ln(&|step| system(first, second, factor * step), 1.0)
                    })],
                }
            }
            Self::Proportional {
                volume_axis,
                volume,
                rate_axis,
                response,
                smallest,
            } => vec![
                Term::axis(volume_axis, move |value| -libm::log(volume(value))),
                Term::axis(rate_axis, move |rate| {
                    ln(&|step| response(factor * step * rate), smallest)
                }),
            ],
        };
        let link = Link::new(move |sum| libm::exp(sum).max(least), libm::log);
        Additive::linked(terms, link)
    }
}

/// A category of another output by a target range: its key, the other output's, and the range.
pub type Target = (&'static str, &'static str, &'static [f64]);

/// Every output of a patient whose response at a factor of the clearance is known, and the categories by target.
#[must_use]
pub fn reference(
    names: &Names,
    parameters: &Values,
    system: &dyn Fn(f64) -> Response,
    targets: &[Target],
) -> Values {
    let regimen = Regimen::read(names, parameters);
    let mut out = Values::default();
    for output in &outputs(names) {
        if let Some(asked) = Asked::of(output.key, names, parameters) {
            out.set(output.key, asked.answer(system, &regimen));
        }
    }
    classify(&mut out, targets);
    out
}

/// Sets the categories by target of the outputs that are there.
pub fn classify(out: &mut Values, targets: &[Target]) {
    for (key, of, cuts) in targets {
        if let Some(value) = out.get(of) {
            out.set(key, band(value, cuts));
        }
    }
}

const fn number(
    key: &'static str,
    unit: &'static str,
    title: &'static str,
    tolerance: Tolerance,
) -> Output {
    Output {
        key,
        unit,
        title,
        kind: OutputKind::Number {
            decimals: 3,
            tolerance,
        },
    }
}

/// The outputs about concentrations, the area at steady state first.
pub const fn outputs(names: &Names) -> [Output; 10] {
    let near = Tolerance::Relative(0.02);
    // Three parts of the window.
    let part = Tolerance::Absolute(12.6);
    let (unit, area) = (names.unit, names.area_unit);
    [
        number(
            names.auc24_ss,
            area,
            "area under the concentration over 24 hours at steady state",
            near,
        ),
        number(names.average_ss, unit, "average at steady state", near),
        number(names.peak_ss, unit, "peak at steady state", near),
        number(names.trough_ss, unit, "trough at steady state", near),
        number(names.concentration, unit, "concentration at an hour", near),
        number(names.peak, unit, "highest in the window", near),
        number(names.trough, unit, "lowest in the window", near),
        number(names.auc, area, "area in the window", near),
        number(
            TIME_ABOVE,
            "%",
            "share of the window with at least the threshold, by 24 times in it",
            part,
        ),
        number(
            TIME_BELOW,
            "%",
            "share of the window below the threshold, by 24 times in it",
            part,
        ),
    ]
}

/// The outputs about concentrations, and two categories by target.
pub const fn outputs_with(names: &Names, first: Output, second: Output) -> [Output; 12] {
    let [a, b, c, d, e, f, g, h, i, j] = outputs(names);
    [a, b, c, d, e, f, g, h, i, j, first, second]
}

/// The outputs about concentrations, and one category by target.
pub const fn outputs_and(names: &Names, target: Output) -> [Output; 11] {
    let [a, b, c, d, e, f, g, h, i, j] = outputs(names);
    [a, b, c, d, e, f, g, h, i, j, target]
}

/// The category of another output by a target range.
pub const fn target(title: &'static str, (key, of, cuts): Target) -> Output {
    Output {
        key,
        unit: "1",
        title,
        kind: OutputKind::Category {
            of,
            cuts,
            labels: &["below", "within", "above"],
        },
    }
}
