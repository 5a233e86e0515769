use super::*;

fn close(got: f64, expected: f64, relative: f64) {
    let distance = (got - expected).abs();
    assert!(
        distance <= relative * expected.abs(),
        "got {got}, expected {expected}"
    );
}

const SYSTEM: TwoCompartments = TwoCompartments {
    clearance: 3.0,
    central: 40.0,
    exchange: 5.0,
    peripheral: 50.0,
};

fn responses() -> Vec<Response> {
    vec![
        Response::one_compartment(30.0, 0.1),
        Response::one_compartment_oral(30.0, 0.1, 1.3, 0.8),
        Response::one_compartment_oral(30.0, 0.1, 0.1, 0.8),
        Response::two_compartments(&SYSTEM),
        Response::two_compartments_oral(&SYSTEM, 0.9, 0.7, 0.4),
    ]
}

fn repeated(count: u32, interval: f64, hours: f64) -> Vec<Dose> {
    let dose = |number| Dose {
        at: f64::from(number) * interval,
        amount: 500.0,
        hours,
    };
    (0..count).map(dose).collect()
}

/// The same systems by small steps of Runge and Kutta, absorbed at a rate from a depot.
fn stepped(system: &TwoCompartments, absorption: f64, amount: f64, hour: f64) -> f64 {
    let slope = |[depot, first, second]: [f64; 3]| {
        let out = system.exchange * (first / system.central - second / system.peripheral);
        let absorbed = absorption * depot;
        let cleared = system.clearance * first / system.central;
        [-absorbed, absorbed - cleared - out, out]
    };
    let (mut state, steps) = ([amount, 0.0, 0.0], 4000);
    let step = hour / f64::from(steps);
    let moved = |state: [f64; 3], slope: [f64; 3], by: f64| {
        [0, 1, 2].map(|index: usize| state[index] + by * slope[index])
    };
    for _ in 0..steps {
        let first = slope(state);
        let second = slope(moved(state, first, step / 2.0));
        let third = slope(moved(state, second, step / 2.0));
        let fourth = slope(moved(state, third, step));
        for (slope, weight) in [(first, 1.0), (second, 2.0), (third, 2.0), (fourth, 1.0)] {
            state = moved(state, slope, weight * step / 6.0);
        }
    }
    state[1] / system.central
}

#[test]
fn closed_forms_equal_small_steps() {
    for hour in [0.7, 3.0, 11.0, 30.0] {
        let dose = Dose {
            at: 0.0,
            amount: 100.0,
            hours: 0.0,
        };
        let oral = Response::two_compartments_oral(&SYSTEM, 0.9, 1.0, 0.0);
        let course = Course::new(&oral, &[dose], 40.0);
        close(course.at(hour), stepped(&SYSTEM, 0.9, 100.0, hour), 1e-6);
    }
}

#[test]
fn an_infusion_is_many_small_boluses() {
    let response = Response::two_compartments(&SYSTEM);
    let infusion = Dose {
        at: 1.0,
        amount: 600.0,
        hours: 2.0,
    };
    let small = (0..2000).map(|number| Dose {
        at: 1.0 + (f64::from(number) + 0.5) / 1000.0,
        amount: 0.3,
        hours: 0.0,
    });
    let boluses = Course::new(&response, &small.collect::<Vec<_>>(), 30.0);
    let infusion = Course::new(&response, &[infusion], 30.0);
    for hour in [2.0, 3.5, 9.0, 30.0] {
        close(infusion.at(hour), boluses.at(hour), 1e-3);
    }
}

#[test]
fn many_doses_reach_the_steady_state() {
    for response in responses() {
        for hours in [0.0, 1.5, 12.0] {
            let doses = repeated(200, 12.0, hours);
            let start = 199.0 * 12.0 + response.lag;
            let course = Course::new(&response, &doses, start + 12.0);
            let dose = Dose {
                at: 0.0,
                amount: 500.0,
                hours,
            };
            let steady = Course::steady(&response, dose, 12.0);
            let lag = response.lag;
            for hour in [0.3, 1.5, 4.0, 11.9] {
                close(steady.at(lag + hour), course.at(start + hour), 1e-7);
            }
            close(
                steady.peak(lag, lag + 12.0),
                course.peak(start, start + 12.0),
                1e-6,
            );
            close(
                steady.trough(lag, lag + 12.0),
                course.trough(start, start + 12.0),
                1e-6,
            );
            close(steady.area(lag, lag + 12.0), 500.0 * response.area(), 1e-9);
        }
    }
}

#[test]
fn courses_add_up() {
    for response in responses() {
        let first = [Dose {
            at: 2.0,
            amount: 300.0,
            hours: 1.0,
        }];
        let second = [Dose {
            at: 2.5,
            amount: 800.0,
            hours: 0.0,
        }];
        let both = [first[0], second[0]];
        let [first, second, both] =
            [&first[..], &second, &both].map(|doses| Course::new(&response, doses, 24.0));
        for hour in [1.0, 2.4, 2.7, 5.0, 24.0] {
            let sum = first.at(hour) + second.at(hour);
            assert!((both.at(hour) - sum).abs() < 1e-6);
        }
        close(
            both.area(0.0, 24.0),
            first.area(0.0, 24.0) + second.area(0.0, 24.0),
            1e-9,
        );
    }
}

#[test]
fn everything_that_was_given_is_cleared() {
    for response in responses() {
        let course = Course::new(&response, &repeated(5, 8.0, 0.0), 5000.0);
        close(course.area(0.0, 5000.0), 2500.0 * response.area(), 1e-6);
    }
    close(responses()[3].area(), 1.0 / 3.0, 1e-12);
    close(responses()[4].area(), 0.7 / 3.0, 1e-9);
    close(responses()[2].area(), 0.8 / 3.0, 1e-5);
}

#[test]
fn extremes_and_hours_above_are_those_of_a_fine_grid() {
    for response in responses() {
        let mut doses = repeated(4, 10.0, 0.0);
        doses.remove(2);
        doses[0].amount = 900.0;
        doses[1].hours = 3.0;
        let course = Course::new(&response, &doses, 48.0);
        let (from, to, step) = (7.0, 46.0, 0.001);
        let hours = (1..39_000).map(|number| from + f64::from(number) * step);
        let all: Vec<f64> = hours.map(|hour| course.at(hour)).collect();
        let (low, high) = (
            all.iter().copied().fold(f64::INFINITY, f64::min),
            all.iter().copied().fold(0.0, f64::max),
        );
        close(course.peak(from, to), high, 1e-3);
        close(course.trough(from, to), low, 1e-3);
        let cut = 0.5 * (low + high);
        let count = all.iter().filter(|value| **value >= cut).count();
        close(course.hours_above(from, to, cut), count as f64 * step, 2e-3);
    }
}

#[test]
fn a_change_to_the_same_clearance_changes_nothing() {
    for response in [&responses()[0], &responses()[3]] {
        let doses = repeated(6, 8.0, 1.5);
        let steady = Course::new(response, &doses, 60.0);
        let steps = [0.0, 8.5, 20.0].map(|start| (start, response.clone()));
        let changing = Course::changing(&steps, &doses, 60.0);
        for hour in [1.0, 8.4, 8.6, 15.0, 20.0, 41.0, 60.0] {
            close(changing.at(hour), steady.at(hour), 1e-9);
        }
        close(changing.area(3.0, 55.0), steady.area(3.0, 55.0), 1e-9);
    }
}

#[test]
fn concentrations_stay_and_then_fall_more_slowly_where_the_clearance_halves() {
    let half = TwoCompartments {
        clearance: 1.5,
        ..SYSTEM
    };
    let [before, after] = [&SYSTEM, &half].map(Response::two_compartments);
    let dose = Dose {
        at: 0.0,
        amount: 500.0,
        hours: 1.0,
    };
    let changing = Course::changing(&[(0.0, before.clone()), (10.0, after)], &[dose], 2000.0);
    let constant = Course::new(&before, &[dose], 2000.0);
    close(changing.at(10.0), constant.at(10.0), 1e-12);
    close(changing.at(10.001), constant.at(10.001), 1e-4);
    assert!(changing.at(24.0) > 1.2 * constant.at(24.0));
    // What has been cleared by hour 10, and the rest at half the clearance: the whole dose.
    let cleared = 3.0 * changing.area(0.0, 10.0) + 1.5 * changing.area(10.0, 2000.0);
    close(cleared, 500.0, 1e-6);
}
