//! Concentrations over time in closed form: one unit of drug as a sum of exponentials, and the superposition of doses.

/// What the concentration is after one unit of drug given at once: a sum of exponentials that starts after a lag.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Coefficients in 1/L and rates in 1/h.
    terms: Vec<(f64, f64)>,
    /// Hours before anything is seen.
    lag: f64,
    /// The rate from the second to the first compartment in 1/h, if there are two and nothing is absorbed.
    back: Option<f64>,
}

/// The rate constants of two compartments, the first of which is eliminated from and measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoCompartments {
    /// Clearance in L/h.
    pub clearance: f64,
    /// Volume of the first compartment in L.
    pub central: f64,
    /// Exchange between the compartments in L/h.
    pub exchange: f64,
    /// Volume of the second compartment in L.
    pub peripheral: f64,
}

impl TwoCompartments {
    /// The rate from the second to the first compartment, and the fast and slow rates of decline.
    fn rates(&self) -> (f64, f64, f64) {
        let k10 = self.clearance / self.central;
        let k12 = self.exchange / self.central;
        let k21 = self.exchange / self.peripheral;
        let sum = k10 + k12 + k21;
        let root = libm::sqrt((sum * sum - 4.0 * k10 * k21).max(0.0));
        let fast = 0.5 * (sum + root);
        // The product of the two rates is k10*k21: no difference of near numbers.
        (k21, fast, k10 * k21 / fast)
    }
}

impl Response {
    /// One compartment of a volume in L with an elimination rate in 1/h, into the vein.
    #[must_use]
    pub fn one_compartment(volume: f64, rate: f64) -> Self {
        Self {
            terms: vec![(1.0 / volume, rate)],
            lag: 0.0,
            back: None,
        }
    }

    /// One compartment with first-order absorption in 1/h of the given share.
    #[must_use]
    pub fn one_compartment_oral(volume: f64, rate: f64, absorption: f64, share: f64) -> Self {
        let absorption = apart(absorption, &[rate]);
        let size = share * absorption / (volume * (absorption - rate));
        Self {
            terms: vec![(size, rate), (-size, absorption)],
            lag: 0.0,
            back: None,
        }
    }

    /// One compartment behind two steps of absorption, both of first order, in 1/h.
    #[must_use]
    pub fn one_compartment_transit(volume: f64, rate: f64, transit: f64, absorption: f64) -> Self {
        let absorption = apart(absorption, &[transit]);
        let rate = apart(rate, &[transit, absorption]);
        let scale = transit * absorption / volume;
        let term = |own: f64, a: f64, b: f64| (scale / ((a - own) * (b - own)), own);
        Self {
            terms: vec![
                term(rate, transit, absorption),
                term(transit, rate, absorption),
                term(absorption, rate, transit),
            ],
            lag: 0.0,
            back: None,
        }
    }

    /// Two compartments, into the vein.
    #[must_use]
    pub fn two_compartments(system: &TwoCompartments) -> Self {
        let (k21, fast, slow) = system.rates();
        let scale = 1.0 / (system.central * (fast - slow));
        Self {
            terms: vec![(scale * (fast - k21), fast), (scale * (k21 - slow), slow)],
            lag: 0.0,
            back: Some(k21),
        }
    }

    /// Two compartments with first-order absorption in 1/h of the given share, after a lag in hours.
    #[must_use]
    pub fn two_compartments_oral(
        system: &TwoCompartments,
        absorption: f64,
        share: f64,
        lag: f64,
    ) -> Self {
        let (k21, fast, slow) = system.rates();
        let absorption = apart(absorption, &[fast, slow]);
        let scale = share * absorption / system.central;
        let term = |own: f64, a: f64, b: f64| (scale * (k21 - own) / ((a - own) * (b - own)), own);
        Self {
            terms: vec![
                term(fast, absorption, slow),
                term(slow, absorption, fast),
                term(absorption, fast, slow),
            ],
            lag,
            back: None,
        }
    }

    /// The concentration in the second compartment at a mode's unit concentration in the first.
    fn behind(&self, rate: f64) -> f64 {
        self.back.map_or(1.0, |back| back / (back - rate))
    }

    /// The amplitudes whose sums are the concentrations in both compartments; one compartment has the first only.
    fn amplitudes(&self, first: f64, second: f64) -> Vec<f64> {
        match self.terms.as_slice() {
            [(_, fast), (_, slow)] => {
                let (fast, slow) = (self.behind(*fast), self.behind(*slow));
                let own = (second - slow * first) / (fast - slow);
                vec![own, first - own]
            }
            _ => vec![first],
        }
    }

    /// Hours before anything is seen.
    #[must_use]
    pub fn lag(&self) -> f64 {
        self.lag
    }

    /// The area under the concentration after one unit of drug, in h/L.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.terms.iter().map(|(size, rate)| size / rate).sum()
    }
}

/// A rate that differs from others by at least a millionth, so that no formula divides by zero.
fn apart(rate: f64, others: &[f64]) -> f64 {
    let near = others
        .iter()
        .any(|other| (rate - other).abs() < 1e-6 * other);
    if near { rate * (1.0 + 3e-6) } else { rate }
}

/// One dose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dose {
    /// The hour at which it is given or its infusion starts.
    pub at: f64,
    /// The amount.
    pub amount: f64,
    /// The hours of the infusion; 0 if it is given at once.
    pub hours: f64,
}

impl Dose {
    /// The part of a dose that is given between two hours, with the first of them as hour 0.
    fn between(self, from: f64, to: f64) -> Option<Self> {
        if self.hours <= 0.0 {
            let inside = (from..to).contains(&self.at);
            return inside.then_some(Self {
                at: self.at - from,
                ..self
            });
        }
        let (start, end) = (self.at.max(from), (self.at + self.hours).min(to));
        (end > start).then(|| Self {
            at: start - from,
            amount: self.amount * (end - start) / self.hours,
            hours: end - start,
        })
    }
}

/// A stretch of time between two events: a level that an infusion works towards, and exponentials.
#[derive(Clone, Debug)]
struct Stretch {
    start: f64,
    end: f64,
    level: f64,
    /// Amplitudes at the start, and rates.
    terms: Vec<(f64, f64)>,
}

impl Stretch {
    fn at(&self, hour: f64) -> f64 {
        let since = hour - self.start;
        let decayed = self
            .terms
            .iter()
            .map(|(size, rate)| size * libm::exp(-rate * since));
        self.level + decayed.sum::<f64>()
    }

    fn area(&self, from: f64, to: f64) -> f64 {
        let part = |(size, rate): &(f64, f64)| {
            let early = libm::exp(-rate * (from - self.start));
            size * early * -libm::expm1(-rate * (to - from)) / rate
        };
        self.level * (to - from) + self.terms.iter().map(part).sum::<f64>()
    }
}

/// The concentration over time under some doses.
#[derive(Clone, Debug)]
pub struct Course {
    stretches: Vec<Stretch>,
}

/// Pieces of a stretch among which extremes and crossings are looked for.
const PIECES: u32 = 12;
/// Halvings of the piece that holds a crossing or an extreme.
const HALVINGS: u32 = 40;

impl Course {
    /// Adds up the responses to doses, from the first dose to an hour.
    #[must_use]
    pub fn new(response: &Response, doses: &[Dose], until: f64) -> Self {
        Self::from_state(response, doses, vec![0.0; response.terms.len()], until)
    }

    /// Adds up doses into the vein while the response changes at some hours, ascending and the first one 0.
    ///
    /// At each of them the concentrations in the compartments stay and the rates change.
    #[must_use]
    pub fn changing(responses: &[(f64, Response)], doses: &[Dose], until: f64) -> Self {
        let ends = responses.iter().skip(1).map(|(start, _)| *start);
        let mut course = Self {
            stretches: Vec::new(),
        };
        let (mut first, mut second) = (0.0, 0.0);
        for ((start, response), end) in responses.iter().zip(ends.chain([until])) {
            let end = end.min(until);
            if end <= *start {
                continue;
            }
            let own: Vec<Dose> = doses
                .iter()
                .filter_map(|dose| dose.between(*start, end))
                .collect();
            let state = response.amplitudes(first, second);
            let part = Self::from_state(response, &own, state, end - start);
            if let Some(last) = part.stretches.last() {
                let since = last.end - last.start;
                let decayed = |(size, rate): &(f64, f64)| (size * libm::exp(-rate * since), *rate);
                let terms: Vec<(f64, f64)> = last.terms.iter().map(decayed).collect();
                first = last.level + terms.iter().map(|(size, _)| size).sum::<f64>();
                second = last.level
                    + terms
                        .iter()
                        .map(|(size, rate)| size * response.behind(*rate))
                        .sum::<f64>();
            }
            course
                .stretches
                .extend(part.stretches.into_iter().map(|stretch| Stretch {
                    start: stretch.start + start,
                    end: stretch.end + start,
                    ..stretch
                }));
        }
        course
    }

    /// The concentration over one interval when the same dose has always been given at every interval's start.
    ///
    /// The hours run from the start of what is seen, the lag, to the lag and one interval.
    #[must_use]
    pub fn steady(response: &Response, dose: Dose, interval: f64) -> Self {
        let hours = dose.hours.min(interval);
        let state = response.terms.iter().map(|(size, rate)| {
            // What one dose leaves at the end of its interval, over all intervals before, and back to before the lag.
            let spread = if hours > 0.0 {
                -libm::expm1(-rate * hours) / (rate * hours)
            } else {
                1.0
            };
            let left = dose.amount * size * spread * libm::exp(-rate * (interval - hours));
            left / -libm::expm1(-rate * interval) * libm::exp(rate * response.lag)
        });
        let dose = Dose {
            at: 0.0,
            hours,
            ..dose
        };
        Self::from_state(response, &[dose], state.collect(), response.lag + interval)
    }

    fn from_state(response: &Response, doses: &[Dose], state: Vec<f64>, until: f64) -> Self {
        // Events: the hour, what is added to the amplitudes at once, and what to the rate of infusion.
        let mut events: Vec<(f64, f64, f64)> = Vec::new();
        for dose in doses {
            let at = dose.at + response.lag;
            if dose.hours > 0.0 {
                let rate = dose.amount / dose.hours;
                events.push((at, 0.0, rate));
                events.push((at + dose.hours, 0.0, -rate));
            } else {
                events.push((at, dose.amount, 0.0));
            }
        }
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        let level = |rate: f64| {
            let all = response.terms.iter().map(|(size, own)| rate * size / own);
            all.sum::<f64>()
        };
        let mut course = Self {
            stretches: Vec::new(),
        };
        let (mut now, mut rate, mut sizes) = (0.0, 0.0, state);
        for (at, amount, more) in events.into_iter().chain([(until, 0.0, 0.0)]) {
            let at = at.min(until).max(now);
            if at > now {
                let terms = sizes
                    .iter()
                    .zip(&response.terms)
                    .map(|(size, (_, own))| (*size, *own));
                course.stretches.push(Stretch {
                    start: now,
                    end: at,
                    level: level(rate),
                    terms: terms.collect(),
                });
            }
            for (size, (unit, own)) in sizes.iter_mut().zip(&response.terms) {
                // What an infusion works towards moves, the concentration does not.
                *size = *size * libm::exp(-own * (at - now)) + amount * unit - more * unit / own;
            }
            rate += more;
            // Rates that cancel leave rounding behind, which must not become a level.
            if rate.abs() < 1e-9 {
                rate = 0.0;
            }
            now = at;
        }
        course
    }

    /// The concentration at an hour; just before a dose that is given at once.
    #[must_use]
    pub fn at(&self, hour: f64) -> f64 {
        let found = self.stretches.iter().find(|stretch| hour <= stretch.end);
        let found = found.or(self.stretches.last());
        found.map_or(0.0, |stretch| stretch.at(hour.max(stretch.start)).max(0.0))
    }

    /// The concentrations at even steps from hour 0, as many as are asked for.
    #[must_use]
    pub fn samples(&self, step: f64, count: u32) -> Vec<f64> {
        let mut stretches = self.stretches.iter().peekable();
        let hours = (0..count).map(|number| f64::from(number) * step);
        hours
            .map(|hour| {
                while let Some(stretch) = stretches.peek() {
                    if hour <= stretch.end {
                        return stretch.at(hour).max(0.0);
                    }
                    stretches.next();
                }
                self.at(hour)
            })
            .collect()
    }

    fn between(&self, from: f64, to: f64) -> impl Iterator<Item = (&Stretch, f64, f64)> {
        self.stretches.iter().filter_map(move |stretch| {
            let (from, to) = (from.max(stretch.start), to.min(stretch.end));
            (to > from).then_some((stretch, from, to))
        })
    }

    /// The area under the concentration between two hours.
    #[must_use]
    pub fn area(&self, from: f64, to: f64) -> f64 {
        self.between(from, to)
            .map(|(stretch, from, to)| stretch.area(from, to))
            .sum::<f64>()
            .max(0.0)
    }

    /// The highest concentration between two hours.
    #[must_use]
    pub fn peak(&self, from: f64, to: f64) -> f64 {
        self.extreme(from, to, 1.0).max(0.0)
    }

    /// The lowest concentration between two hours.
    #[must_use]
    pub fn trough(&self, from: f64, to: f64) -> f64 {
        (-self.extreme(from, to, -1.0)).max(0.0)
    }

    fn extreme(&self, from: f64, to: f64, sign: f64) -> f64 {
        if to <= from {
            return sign * self.at(from);
        }
        self.between(from, to)
            .map(|(stretch, from, to)| highest(&|hour| sign * stretch.at(hour), from, to))
            .fold(f64::NEG_INFINITY, f64::max)
    }

    /// The hours between two others with a concentration of at least a threshold.
    #[must_use]
    pub fn hours_above(&self, from: f64, to: f64, threshold: f64) -> f64 {
        self.between(from, to)
            .map(|(stretch, from, to)| above(&|hour| stretch.at(hour) - threshold, from, to))
            .sum()
    }
}

/// The ends of the pieces of a stretch of time.
fn pieces(from: f64, to: f64) -> impl Iterator<Item = (f64, f64)> {
    let width = (to - from) / f64::from(PIECES);
    (0..PIECES).map(move |piece| {
        let start = from + f64::from(piece) * width;
        (start, start + width)
    })
}

/// The highest value of a smooth function.
fn highest(function: &dyn Fn(f64) -> f64, from: f64, to: f64) -> f64 {
    let width = (to - from) / f64::from(PIECES);
    let nodes = (0..=PIECES).map(|piece| from + f64::from(piece) * width);
    let best = nodes.max_by(|a, b| function(*a).total_cmp(&function(*b)));
    let best = best.unwrap_or(from);
    let (mut low, mut high) = ((best - width).max(from), (best + width).min(to));
    if best == from || best == to {
        // Between two events an end that beats its neighbour is the extreme itself, or one that lies within a piece of it.
        let inside = if best == from {
            best + 1e-3 * width
        } else {
            best - 1e-3 * width
        };
        if function(inside) <= function(best) {
            return function(best);
        }
    }
    for _ in 0..HALVINGS {
        let third = (high - low) / 3.0;
        if function(low + third) < function(high - third) {
            low += third;
        } else {
            high -= third;
        }
    }
    function(0.5 * (low + high)).max(function(best))
}

/// The length of time on which a smooth function is not negative.
fn above(function: &dyn Fn(f64) -> f64, from: f64, to: f64) -> f64 {
    let piece = |(start, end): (f64, f64)| match (function(start) >= 0.0, function(end) >= 0.0) {
        (true, true) => end - start,
        (false, false) => 0.0,
        (first, _) => {
            let (mut low, mut high) = (start, end);
            for _ in 0..HALVINGS {
                let middle = 0.5 * (low + high);
                if (function(middle) >= 0.0) == first {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            if first { low - start } else { end - low }
        }
    };
    pieces(from, to).map(piece).sum()
}

#[cfg(test)]
mod tests;
