//! Slow responses that are driven by a concentration: ordinary differential equations in small steps.

use crate::catalogue::pharmacokinetics::{
    course::{Course, Response},
    regimen::Regimen,
};

/// Hours of a step; concentrations are taken at its start, middle and end.
const STEP: f64 = 0.5;
/// The most steps that are followed.
const MOST_STEPS: f64 = 4000.0;

/// The concentrations of a regimen at every half step up to an hour.
#[must_use]
pub(super) fn concentrations(response: &Response, regimen: &Regimen, until: f64) -> Vec<f64> {
    let steps = libm::ceil(until / STEP).clamp(1.0, MOST_STEPS);
    let course = Course::new(response, &regimen.doses(until), steps * STEP);
    let mut count = 1;
    while f64::from(count) < 2.0 * steps + 1.0 {
        count += 1;
    }
    course.samples(STEP / 2.0, count)
}

/// Follows a state by steps of Runge and Kutta under a drive that is given at every half step; `seen` gets every step's end with its
/// hour.
pub(super) fn follow<const N: usize>(
    start: [f64; N],
    drive: &[f64],
    slope: impl Fn([f64; N], f64) -> [f64; N],
    mut seen: impl FnMut(f64, [f64; N]),
) {
    let moved = |state: [f64; N], slope: [f64; N], by: f64| {
        let mut next = state;
        for (value, slope) in next.iter_mut().zip(slope) {
            *value += by * slope;
        }
        next
    };
    let (mut state, mut hour) = (start, 0.0);
    for three in drive.windows(3).step_by(2) {
        let &[early, middle, late] = three else {
            return;
        };
        let first = slope(state, early);
        let second = slope(moved(state, first, STEP / 2.0), middle);
        let third = slope(moved(state, second, STEP / 2.0), middle);
        let fourth = slope(moved(state, third, STEP), late);
        for (slope, weight) in [(first, 1.0), (second, 2.0), (third, 2.0), (fourth, 1.0)] {
            state = moved(state, slope, weight * STEP / 6.0);
        }
        hour += STEP;
        seen(hour, state);
    }
}

/// The values of a quantity over time that a study looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    at: f64,
    from: f64,
    to: f64,
    last: (f64, f64),
    /// The value at the hour asked for.
    pub(super) value: f64,
    /// The lowest value in the window.
    pub(super) lowest: f64,
    /// The highest value in the window.
    pub(super) highest: f64,
}

impl Seen {
    /// Looks at an hour and a window of a quantity that starts at a value.
    pub(super) fn new(at: f64, window: (f64, f64), start: f64) -> Self {
        let (from, to) = (window.0.min(window.1), window.0.max(window.1));
        Self {
            at,
            from,
            to,
            last: (0.0, start),
            value: start,
            lowest: f64::INFINITY,
            highest: f64::NEG_INFINITY,
        }
    }

    /// The last hour that is looked at.
    pub(super) fn until(&self) -> f64 {
        self.at.max(self.to)
    }

    /// Sees a value; between two of them it is taken to be straight.
    pub(super) fn see(&mut self, hour: f64, value: f64) {
        let (before, earlier) = self.last;
        let between = |at: f64| earlier + (value - earlier) * (at - before) / (hour - before);
        if (before..=hour).contains(&self.at) {
            self.value = between(self.at);
        }
        for at in [self.from, self.to] {
            if (before..=hour).contains(&at) {
                self.extend(between(at));
            }
        }
        if (self.from..=self.to).contains(&hour) {
            self.extend(value);
        }
        self.last = (hour, value);
    }

    fn extend(&mut self, value: f64) {
        self.lowest = self.lowest.min(value);
        self.highest = self.highest.max(value);
    }
}
