//! Vancomycin in hospital adults with and without haemodialysis (Goti 2018).

use super::{
    course::{Response, TwoCompartments},
    question::{self, Reads, Target, outputs_and, target},
    regimen::{MG, Usual, infused},
};
use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Parameter, Values,
        input::{AGE, CREATININE, SEX, Sex, WEIGHT, pharmacology::HAEMODIALYSIS},
        kidney::cockcroft_gault::crcl_goti,
    },
    formula::{Additive, Formula, Link, Term},
    twin::pharmacology::{GOTI, WEIGHTS, dosing_weight},
};

/// The vancomycin clearance in L/h at a creatinine clearance in mL/min by the model's own rules, without dialysis.
#[must_use]
pub(crate) fn vancomycin_clearance(crcl_ml_min: f64) -> f64 {
    4.5 * libm::pow(crcl_ml_min / 120.0, 0.8)
}

/// The axis that alone decides the clearance.
pub(crate) const AXIS: &str = "crcl_goti_ml_min";
/// What haemodialysis multiplies the clearance by.
const DIALYSIS_CLEARANCE: f64 = 0.7;
/// What haemodialysis multiplies the central volume by.
const DIALYSIS_VOLUME: f64 = 0.5;
/// Creatinine clearances in mL/min on the plane.
const RANGE: (f64, f64) = (10.0, 150.0);
/// Added to the elimination rate, so that even steps of the axis' logarithm are even steps of what concentrations depend on.
const RATE_SHIFT: f64 = 0.007;
/// The ends of the shifted rates in 1/h.
pub(crate) const RATES: (f64, f64) = (0.0119, 0.233);
/// The nodes of weight without dialysis, and as many with it.
pub(crate) const WEIGHT_NODES: u16 = 5;

/// The creatinine clearance in mL/min by the model's rules, times 0.7^(1/0.8) under haemodialysis: then the model's clearance is
/// 4.5*(CrCl/120)^0.8 L/h for everyone. A patient without a note on haemodialysis is taken to have none.
#[must_use]
pub(crate) fn effective_crcl(inputs: &Values) -> Option<f64> {
    let sex = Sex::of(inputs)?;
    let [creatinine, age, weight] = [&CREATININE, &AGE, &WEIGHT].map(|i| inputs.get(i.key));
    let crcl = crcl_goti(creatinine?, age?, weight?, sex);
    Some(if inputs.flag(HAEMODIALYSIS.key) {
        crcl * libm::pow(DIALYSIS_CLEARANCE, 1.0 / 0.8)
    } else {
        crcl
    })
}

/// The central volume in L.
fn central(weight: f64, dialysis: f64) -> f64 {
    58.4 * weight / 70.0
        * if dialysis == 1.0 {
            DIALYSIS_VOLUME
        } else {
            1.0
        }
}

/// Two compartments from the clearance in L/h, the weight in kg and dialysis; the second volume grows with weight, too.
fn response(clearance: f64, weight: f64, dialysis: f64) -> Response {
    Response::two_compartments(&TwoCompartments {
        clearance,
        central: central(weight, dialysis),
        exchange: 6.5,
        peripheral: 38.4 * weight / 70.0,
    })
}

/// The weight of a patient whom the plane holds.
fn on_plane(inputs: &Values) -> Option<f64> {
    let sex = Sex::of(inputs)?;
    let weight = dosing_weight(inputs)?;
    let crcl = crcl_goti(
        inputs.get(CREATININE.key)?,
        inputs.get(AGE.key)?,
        weight,
        sex,
    );
    (RANGE.0..=RANGE.1).contains(&crcl).then_some(weight)
}

/// The elimination rate in 1/h and [`RATE_SHIFT`].
pub(crate) fn rate(inputs: &Values) -> Option<f64> {
    let volume = central(
        on_plane(inputs)?,
        inputs.get(HAEMODIALYSIS.key).unwrap_or(0.0),
    );
    Some(vancomycin_clearance(effective_crcl(inputs)?) / volume + RATE_SHIFT)
}

/// The end of the axis of weights.
pub(crate) fn last_weight() -> f64 {
    let nodes = f64::from(WEIGHT_NODES);
    WEIGHTS.1 * libm::pow(WEIGHTS.1 / WEIGHTS.0, nodes / (nodes - 1.0))
}

/// The weight in kg, and beyond the heaviest weight, falling again, that of patients under haemodialysis: where both meet,
/// concentrations are alike, and no cell between them is steep.
pub(crate) fn weight_by_dialysis(inputs: &Values) -> Option<f64> {
    let weight = on_plane(inputs)?;
    Some(if inputs.flag(HAEMODIALYSIS.key) {
        last_weight() * WEIGHTS.0 / weight
    } else {
        weight
    })
}

/// The response at the values of the plane.
fn system(rate: f64, weight: f64, factor: f64) -> Response {
    let dialysis = if weight > WEIGHTS.1 * 1.001 { 1.0 } else { 0.0 };
    let weight = if dialysis == 1.0 {
        last_weight() * WEIGHTS.0 / weight
    } else {
        weight
    };
    let clearance = (rate - RATE_SHIFT) * central(weight, dialysis);
    response(factor * clearance, weight, dialysis)
}

const READS: Reads = Reads::Plane {
    plane: GOTI,
    system,
};

const PARAMETERS: [Parameter; 15] = infused(
    &MG,
    Usual {
        daily: (250.0, 6000.0, 2000.0),
        interval: (6.0, 72.0, 12.0),
        infusion: (0.0, 24.0, 1.0),
        threshold: (1.0, 60.0, 15.0),
        latest: 336.0,
        window: (24.0, 48.0),
    },
);

const AUC: Target = ("auc24_target", MG.auc24_ss, &[400.0, 600.0]);

const OUTPUTS: [Output; 11] = outputs_and(
    &MG,
    target(
        "AUC24 at steady state by the target of 400 to 600 mg*h/L (Rybak 2020; to be confirmed against the paper)",
        AUC,
    ),
);

/// The model.
pub static MODEL: Model = Model {
    id: "vancomycin-goti-2018",
    title: "Vancomycin, hospital adults with and without haemodialysis (Goti 2018)",
    organ: "kidney",
    source: "Goti V et al., Ther Drug Monit 2018;40:212: CL = 4.5*(CrCl/120)^0.8*0.7^dialysis L/h, V1 = \
             58.4*(W/70)*0.5^dialysis L, V2 = 38.4*(W/70) L, Q = 6.5 L/h; CrCl by Cockcroft-Gault, at most 150, with a \
             creatinine of at least 1 mg/dL above the age of 65",
    evidence: Evidence::OneTranscription,
    population: "hospital adults including those on haemodialysis; concentrations for 40 to 150 kg and a creatinine clearance of \
                 10 mL/min or more",
    inputs: &[&CREATININE, &AGE, &WEIGHT, &SEX, &HAEMODIALYSIS],
    optional: &["haemodialysis"],
    parameters: &PARAMETERS,
    arm: Some("daily_dose_mg"),
    outputs: &OUTPUTS,
    reference: |inputs, parameters| {
        let Some(crcl) = effective_crcl(inputs) else {
            return Values::default();
        };
        let dialysis = inputs.get(HAEMODIALYSIS.key).unwrap_or(0.0);
        let factor = parameters.of("clearance_factor");
        let clearance = factor * vancomycin_clearance(crcl);
        let Some(weight) = on_plane(inputs) else {
            let mut out = Values::default();
            out.set(MG.auc24_ss, parameters.of(MG.daily) / clearance);
            question::classify(&mut out, &[AUC]);
            return out;
        };
        question::reference(
            &MG,
            parameters,
            &|step| response(step * clearance, weight, dialysis),
            &[AUC],
        )
    },
    formula: |output, parameters| {
        if output == MG.auc24_ss {
            let dose = parameters.of(MG.daily) / parameters.of("clearance_factor");
            let table = Term::axis(AXIS, |crcl| -libm::log(vancomycin_clearance(crcl)));
            let sum = Additive::linked(vec![table], Link::exp());
            return Some(Formula::Number(sum.plus(libm::log(dose))));
        }
        READS.formula(output, &MG, parameters)
    },
    examples: &[Example {
        // A man of 68 years: CrCl (140-68)*70/(72*1.1666667) = 60 mL/min.
        given: &[
            ("creatinine_mg_dl", 70.0 / 60.0),
            ("age_years", 68.0),
            ("weight_kg", 70.0),
            ("sex", 1.0),
            ("haemodialysis", 0.0),
            ("at_h", 48.0),
        ],
        lists: &[],
        expected: &[
            ("auc24_ss_mg_h_l", 773.8, 0.05),
            ("concentration_mg_l", 18.455, 5e-4),
            ("auc24_target", 2.0, 0.0),
        ],
    }],
};
