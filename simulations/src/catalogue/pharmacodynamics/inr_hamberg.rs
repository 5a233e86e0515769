//! Warfarin and the INR by two transit chains (Hamberg 2007).

use super::driven::{Seen, concentrations, follow};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, OutputKind, Parameter, Tolerance, Values,
        class::band,
        input::{
            AGE,
            pharmacology::{CYP2C9, VKORC1},
        },
        pharmacokinetics::{
            course::{Response, TwoCompartments},
            regimen::{MG, Names, Regimen, Usual, oral, parameter},
        },
    },
    formula::{Additive, Formula, Link, Term},
    twin::pharmacology::S_WARFARIN,
};

/// Racemic doses, of which half is S-warfarin.
const RACEMATE: Names = Names { per: 0.5, ..MG };
/// Clearances in L/h for which the model is tabulated.
pub(crate) const CLEARANCES: (f64, f64) = (0.026, 0.47);
/// What CYP2C9 takes from the clearance: *1/*1, *1/*2, *1/*3, *2/*2, *2/*3, *3/*3.
const REDUCTIONS: [f64; 6] = [0.0, 0.315, 0.453, 0.722, 0.690, 0.852];
/// The concentration of half the inhibition in mg/L by VKORC1: GG, AG, AA.
const HALVES: [f64; 3] = [4.61, 3.02, 2.20];
/// The steepness of the inhibition.
const STEEPNESS: f64 = 0.424;
/// Mean transit hours of each of the six compartments of the first chain.
const FIRST: f64 = 11.6;
/// Mean transit hours of the one compartment of the second chain.
const SECOND: f64 = 120.0;

const AT: &str = "inr";
const HIGHEST: &str = "highest_inr";
const BASELINE: &str = "baseline_inr";

/// The number at a category, if there is one.
fn of_category(list: &[f64], category: f64) -> Option<f64> {
    let mut index = 0.0;
    for value in list {
        if index == category {
            return Some(*value);
        }
        index += 1.0;
    }
    None
}

/// The clearance of S-warfarin in L/h from genotype and age.
pub(crate) fn clearance(inputs: &Values) -> Option<f64> {
    let reduction = of_category(&REDUCTIONS, inputs.get(CYP2C9.key)?)?;
    inputs.get(VKORC1.key)?;
    let age = inputs.get(AGE.key)?;
    let clearance = 0.314 * (1.0 - reduction) * (1.0 - 0.0091 * (age - 71.0));
    (CLEARANCES.0..=CLEARANCES.1)
        .contains(&clearance)
        .then_some(clearance)
}

/// The genotype of VKORC1 of a patient whom the plane holds.
pub(crate) fn vkorc1(inputs: &Values) -> Option<f64> {
    clearance(inputs)?;
    inputs.get(VKORC1.key)
}

/// The INR over time.
fn seen(parameters: &Values, clearance: f64, genotype: f64) -> Seen {
    let baseline = parameters.of(BASELINE);
    let window = (parameters.of("from_h"), parameters.of("to_h"));
    let mut seen = Seen::new(parameters.of("at_h"), window, baseline);
    let system = TwoCompartments {
        clearance: parameters.of("clearance_factor") * clearance,
        central: 13.8,
        exchange: 0.131,
        peripheral: 6.59,
    };
    let response = Response::two_compartments_oral(&system, 2.0, 1.0, 0.0);
    let half = of_category(&HALVES, genotype).unwrap_or(f64::NAN);
    let mut drive = concentrations(
        &response,
        &Regimen::read(&RACEMATE, parameters),
        seen.until(),
    );
    for value in &mut drive {
        // What is left of the synthesis.
        let power = libm::pow(*value / half, STEEPNESS);
        *value = 1.0 / (1.0 + power);
    }
    follow(
        [1.0; 7],
        &drive,
        |[a, b, c, d, e, f, slow], left| {
            let step = |before: f64, own: f64| (before - own) / FIRST;
            [
                step(left, a),
                step(a, b),
                step(b, c),
                step(c, d),
                step(d, e),
                step(e, f),
                (left - slow) / SECOND,
            ]
        },
        |hour, [.., fast, slow]| {
            let lost = (1.0 - fast * slow).max(0.0);
            seen.see(hour, baseline + 20.0 * libm::pow(lost, 3.61));
        },
    );
    seen
}

const PARAMETERS: [Parameter; 13] = {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = oral(
        &RACEMATE,
        Usual {
            daily: (0.5, 20.0, 5.0),
            interval: (12.0, 72.0, 24.0),
            infusion: (0.0, 0.0, 0.0),
            threshold: (0.1, 10.0, 1.0),
            latest: 1008.0,
            window: (0.0, 336.0),
        },
    );
    let baseline = parameter(BASELINE, "1", "INR before treatment", (0.8, 2.0, 1.0));
    [a, b, c, d, e, f, g, h, i, j, k, l, baseline]
};

const fn inr(key: &'static str, title: &'static str) -> Output {
    Output {
        key,
        unit: "1",
        title,
        kind: OutputKind::Number {
            decimals: 2,
            tolerance: Tolerance::Absolute(0.1),
        },
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "warfarin-inr-hamberg-2007",
    title: "Warfarin and the INR by age, CYP2C9 and VKORC1 (Hamberg 2007)",
    organ: "liver",
    source: "Hamberg AK et al., Clin Pharmacol Ther 2007;81:529: S-warfarin CL = 0.314*(1-r)*(1-0.0091*(age-71)) L/h, V1 13.8 L, Q \
             0.131 L/h, V2 6.59 L, ka 2 /h; inhibition C^0.424/(EC50^0.424+C^0.424); chains of 6*11.6 h and 120 h; INR = baseline + \
             20*(1-A6*A7)^3.61; half of a racemic dose is S-warfarin",
    evidence: Evidence::OneTranscription,
    population: "adults",
    inputs: &[&AGE, &CYP2C9, &VKORC1],
    optional: &[],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &[
        inr(AT, "INR at an hour"),
        inr(HIGHEST, "highest INR in the window"),
        Output {
            key: "inr_target",
            unit: "1",
            title: "INR at an hour by the target of 2 to 3 (to be confirmed against the paper)",
            kind: OutputKind::Category {
                of: AT,
                cuts: &[2.0, 3.0],
                labels: &["below", "within", "above"],
            },
        },
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        if let Some((clearance, genotype)) = clearance(inputs).zip(vkorc1(inputs)) {
            let seen = seen(parameters, clearance, genotype);
            out.set(AT, seen.value);
            out.set(HIGHEST, seen.highest);
            out.set("inr_target", band(seen.value, &[2.0, 3.0]));
        }
        out
    },
    formula: |output, parameters| {
        let pick: fn(&Seen) -> f64 = match output {
            AT => |seen| seen.value,
            HIGHEST => |seen| seen.highest,
            _ => return None,
        };
        let own = parameters.clone();
        // By the logarithm, in which the INR is straighter.
        let table = Term::plane(S_WARFARIN, move |clearance, genotype| {
            libm::log(pick(&seen(&own, clearance, genotype)))
        });
        let link = Link::exp();
        Some(Formula::Number(Additive::linked(vec![table], link)))
    },
    examples: &[
        Example {
            given: &[
                ("age_years", 75.0),
                ("cyp2c9", 0.0),
                ("vkorc1", 2.0),
                ("daily_dose_mg", 2.5),
                ("at_h", 672.0),
            ],
            lists: &[],
            expected: &[(AT, 2.0333, 1e-3), ("inr_target", 1.0, 0.0)],
        },
        Example {
            given: &[
                ("age_years", 55.0),
                ("cyp2c9", 0.0),
                ("vkorc1", 0.0),
                ("daily_dose_mg", 5.0),
                ("at_h", 168.0),
            ],
            lists: &[],
            expected: &[(AT, 1.4450, 1e-3), ("inr_target", 0.0, 0.0)],
        },
    ],
};
