//! The steady beat in closed form, in units of stroke volume over compliance.

use std::f64::consts::PI;

/// The share of the beat in which blood is ejected, as half a sine.
const EJECTION: f64 = 0.3;
/// The samples of the ejection between which an extreme is sought.
const SAMPLES: u32 = 48;
/// The halvings of the search.
const STEPS: u32 = 60;

/// The pressures of a beat.
#[derive(Clone, Copy, Debug)]
pub struct Pressures {
    /// The highest.
    pub systolic: f64,
    /// The lowest.
    pub diastolic: f64,
    /// The mean over the beat.
    pub mean: f64,
}

/// The steady beat: its length is `beat` time constants, and the characteristic impedance a share of the resistance.
struct Beat {
    beat: f64,
    impedance: f64,
    /// The angular frequency of the half sine in a beat.
    omega: f64,
    /// The share of the solution that decays.
    decaying: f64,
}

impl Beat {
    fn new(beat: f64, impedance: f64) -> Self {
        let omega = PI / EJECTION;
        let edge = omega * omega / (2.0 * (beat * beat + omega * omega));
        // The pressure at the end of the beat is that at its beginning.
        let decaying = edge * (1.0 + libm::exp(-beat * (1.0 - EJECTION))) / -libm::expm1(-beat);
        Self {
            beat,
            impedance,
            omega,
            decaying,
        }
    }

    /// The pressure at a share of the beat, within the ejection.
    fn pressure(&self, at: f64) -> f64 {
        let (beat, omega) = (self.beat, self.omega);
        let (sin, cos) = (libm::sin(omega * at), libm::cos(omega * at));
        // The flow integrates to one stroke over the beat.
        let flow = omega / 2.0 * sin;
        let forced = omega / 2.0 * (beat * sin - omega * cos) / (beat * beat + omega * omega);
        self.decaying * libm::exp(-beat * at) + forced + self.impedance / beat * flow
    }

    /// The highest pressure times a sign; after the ejection it only falls back to that of the beginning.
    fn extreme(&self, sign: f64) -> f64 {
        let step = EJECTION / f64::from(SAMPLES);
        let value = |at: f64| sign * self.pressure(at.clamp(0.0, EJECTION));
        let mut best = 0.0;
        for sample in 0..=SAMPLES {
            let at = step * f64::from(sample);
            if value(at) > value(best) {
                best = at;
            }
        }
        let (mut lo, mut hi) = (best - step, best + step);
        for _ in 0..STEPS {
            let (left, right) = (lo + (hi - lo) / 3.0, hi - (hi - lo) / 3.0);
            if value(left) < value(right) {
                lo = left;
            } else {
                hi = right;
            }
        }
        sign * value(f64::midpoint(lo, hi)).max(value(best))
    }
}

/// The pressures in units of stroke volume over compliance, for a beat of so many time constants R*C and a characteristic
/// impedance that is a share of R.
#[must_use]
pub fn pressures(beat: f64, impedance: f64) -> Pressures {
    let steady = Beat::new(beat, impedance);
    Pressures {
        systolic: steady.extreme(1.0),
        diastolic: steady.extreme(-1.0),
        mean: (1.0 + impedance) / beat,
    }
}
