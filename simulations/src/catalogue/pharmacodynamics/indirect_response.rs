//! Warfarin and the prothrombin complex activity: an indirect response (Dayneka 1993).

use super::driven::{Seen, concentrations, follow};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Parameter, Tolerance, Values,
        input::pharmacology::{WARFARIN_CLEARANCE, WARFARIN_VOLUME},
        pharmacokinetics::{
            course::Response,
            regimen::{MG, Regimen, Usual, oral, parameter},
        },
    },
    formula::{Additive, Formula, Term},
    twin::pharmacology::WARFARIN,
};

/// The share of synthesis that is inhibited at most.
const MOST: f64 = 0.967_70;
/// The concentration of half of that, in mg/L.
const HALF: f64 = 1.007_27;
/// Loss of activity in 1/h.
const LOSS: f64 = 0.055_023;
/// The activity at an hour.
const AT: &str = "pca_percent";
/// The lowest activity in a window.
const LOWEST: &str = "lowest_pca_percent";
/// The activity before treatment.
const BASELINE: &str = "baseline_pca_percent";

/// Clearances in L/h for which the model is tabulated.
pub(crate) const CLEARANCES: (f64, f64) = (0.05, 0.35);
/// Volumes in L for which the model is tabulated.
pub(crate) const VOLUMES: (f64, f64) = (5.0, 15.0);

/// The clearance in L/h of a patient whom the plane holds.
pub(crate) fn clearance(inputs: &Values) -> Option<f64> {
    volume_of(inputs)?;
    clearance_of(inputs)
}

/// The volume in L of a patient whom the plane holds.
pub(crate) fn volume(inputs: &Values) -> Option<f64> {
    clearance_of(inputs)?;
    volume_of(inputs)
}

fn clearance_of(inputs: &Values) -> Option<f64> {
    let clearance = inputs.get(WARFARIN_CLEARANCE.key)?;
    (CLEARANCES.0..=CLEARANCES.1)
        .contains(&clearance)
        .then_some(clearance)
}

fn volume_of(inputs: &Values) -> Option<f64> {
    let volume = inputs.get(WARFARIN_VOLUME.key)?;
    (VOLUMES.0..=VOLUMES.1).contains(&volume).then_some(volume)
}

/// The concentration of the racemate after a unit dose.
fn response(clearance: f64, volume: f64) -> Response {
    Response::one_compartment_transit(volume, clearance / volume, 1.1118, 0.9167)
}

/// The share of the activity before treatment that is left over time: dR/dt = kout*(1 - Imax*C/(IC50+C) - R).
fn seen(parameters: &Values, clearance: f64, volume: f64) -> Seen {
    let window = (parameters.of("from_h"), parameters.of("to_h"));
    let mut seen = Seen::new(parameters.of("at_h"), window, 1.0);
    let response = response(parameters.of("clearance_factor") * clearance, volume);
    let drive = concentrations(&response, &Regimen::read(&MG, parameters), seen.until());
    follow(
        [1.0],
        &drive,
        |[left], concentration| {
            let inhibited = MOST * concentration / (HALF + concentration);
            [LOSS * (1.0 - inhibited - left)]
        },
        |hour, [left]| seen.see(hour, left),
    );
    seen
}

const PARAMETERS: [Parameter; 13] = {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = oral(
        &MG,
        Usual {
            daily: (0.5, 100.0, 5.0),
            interval: (12.0, 72.0, 24.0),
            infusion: (0.0, 0.0, 0.0),
            threshold: (0.1, 20.0, 1.0),
            latest: 720.0,
            window: (0.0, 144.0),
        },
    );
    let baseline = parameter(
        BASELINE,
        "%",
        "prothrombin complex activity before treatment",
        (50.0, 150.0, 96.544),
    );
    [a, b, c, d, e, f, g, h, i, j, k, l, baseline]
};

const fn activity(key: &'static str, title: &'static str) -> Output {
    Output {
        key,
        unit: "%",
        title,
        kind: OutputKind::Number {
            decimals: 1,
            tolerance: Tolerance::Absolute(2.0),
        },
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "warfarin-pca",
    title: "Warfarin and the prothrombin complex activity (indirect response)",
    organ: "liver",
    source: "Dayneka NL, Garg V, Jusko WJ, J Pharmacokinet Biopharm 1993;21:457: dR/dt = kin*(1-Imax*C/(IC50+C)) - kout*R; data of \
             O'Reilly 1963 and 1968: Imax 0.96770, IC50 1.00727 mg/L, kout 0.055023 /h, R0 96.544, ktr 1.1118 /h, ka 0.9167 /h, \
             typically CL 0.13134 L/h and V 7.9248 L (70 kg, racemate)",
    evidence: Evidence::OneTranscription,
    population: "adults; the clearance (0.05 to 0.35 L/h) and volume (5 to 15 L) that the hospital has fitted to the patient",
    inputs: &[&WARFARIN_CLEARANCE, &WARFARIN_VOLUME],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &[
        activity(AT, "prothrombin complex activity at an hour"),
        activity(LOWEST, "lowest prothrombin complex activity in the window"),
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        if let Some((clearance, volume)) = clearance(inputs).zip(volume(inputs)) {
            let seen = seen(parameters, clearance, volume);
            let baseline = parameters.of(BASELINE);
            out.set(AT, baseline * seen.value);
            out.set(LOWEST, baseline * seen.lowest);
        }
        out
    },
    formula: |output, parameters| {
        let own = parameters.clone();
        let baseline = parameters.of(BASELINE);
        let pick: fn(&Seen) -> f64 = match output {
            AT => |seen| seen.value,
            LOWEST => |seen| seen.lowest,
            _ => return None,
        };
        let table = Term::plane(WARFARIN, move |clearance, volume| {
            baseline * pick(&seen(&own, clearance, volume))
        });
        Some(Formula::Number(Additive::sum(vec![table])))
    },
    examples: &[Example {
        // 100 mg once.
        given: &[
            ("warfarin_clearance_l_h", 0.131_34),
            ("warfarin_volume_l", 7.9248),
            ("daily_dose_mg", 100.0),
            ("doses", 1.0),
            ("at_h", 48.0),
        ],
        lists: &[],
        expected: &[(AT, 20.426, 1e-2)],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::pharmacokinetics::course::{Course, Dose};

    #[test]
    fn the_concentrations_of_the_worked_example() {
        let dose = Dose {
            at: 0.0,
            amount: 100.0,
            hours: 0.0,
        };
        let course = Course::new(&response(0.131_34, 7.9248), &[dose], 144.0);
        let hours = [2.0, 6.0, 12.0, 24.0, 48.0, 72.0, 96.0, 144.0];
        let expected = [
            7.4258, 11.5876, 10.6916, 8.7643, 5.8882, 3.9559, 2.6577, 1.1996,
        ];
        for (hour, expected) in hours.into_iter().zip(expected) {
            assert!((course.at(hour) - expected).abs() < 3e-4, "{hour}");
        }
    }
}
