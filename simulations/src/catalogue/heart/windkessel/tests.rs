use super::*;

/// The exact recursion for a flow that is constant over short steps, run until the beat repeats.
fn by_recursion(r: f64, c: f64, impedance: f64, rate: f64, stroke: f64) -> Pressures {
    const STEPS: u32 = 20_000;
    let beat = 60.0 / rate;
    let dt = beat / f64::from(STEPS);
    let decay = (-dt / (r * c)).exp();
    let mut pressure = 0.0;
    let mut last = Vec::new();
    for _ in 0..200 {
        last.clear();
        for step in 0..STEPS {
            let at = (f64::from(step) + 0.5) / f64::from(STEPS);
            let flow = if at < 0.3 {
                stroke / beat * std::f64::consts::PI / 0.6 * (std::f64::consts::PI * at / 0.3).sin()
            } else {
                0.0
            };
            pressure = decay * pressure + r * (1.0 - decay) * flow;
            last.push(pressure + impedance * r * flow);
        }
    }
    Pressures {
        systolic: last.iter().copied().fold(0.0, f64::max),
        diastolic: last.iter().copied().fold(f64::INFINITY, f64::min),
        mean: last.iter().sum::<f64>() / f64::from(STEPS),
    }
}

#[test]
fn the_closed_form_equals_the_recursion() {
    for (r, c, impedance, rate, stroke) in [
        (1.0, 1.5, 0.0, 60.0, 80.0),
        (1.0, 1.5, 0.05, 60.0, 80.0),
        (1.8, 0.8, 0.1, 110.0, 40.0),
        (0.5, 1.0, 0.05, 50.0, 90.0),
    ] {
        let expected = by_recursion(r, c, impedance, rate, stroke);
        let got = pressures(60.0 / rate / (r * c), impedance);
        for (got, expected) in [
            (got.systolic, expected.systolic),
            (got.diastolic, expected.diastolic),
            (got.mean, expected.mean),
        ] {
            let got = got * stroke / c;
            assert!((got / expected - 1.0).abs() < 1e-3, "{got}, {expected}");
        }
    }
}

#[test]
fn a_beat_outside_the_range_gives_no_pressure() {
    let inputs = |c: f64| {
        Values::from_pairs([
            (PERIPHERAL_RESISTANCE.key, 1.0),
            (ARTERIAL_COMPLIANCE.key, c),
            (HEART_RATE.key, 60.0),
            (STROKE_VOLUME.key, 80.0),
        ])
    };
    assert_eq!(beat_of(&inputs(0.2)), None);
    assert_eq!(beat_of(&inputs(0.25)), Some(4.0));
}
