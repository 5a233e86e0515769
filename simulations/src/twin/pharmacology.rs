//! What drug models read of a twin: features that hold everything about a patient on which a concentration depends.
//!
//! A feature is missing where the model does not hold. Clearance per weight is the better axis beside the weight: at a given
//! one, a concentration is nearly in inverse proportion to the weight, so that few nodes of weight are enough.

use super::{Feature, Pair, grid};
use crate::{
    catalogue::{
        Values,
        input::{
            self, Sex,
            pharmacology::{
                DRUG_1, DRUG_2, DRUG_3, INHIBITOR_1, INHIBITOR_2, INHIBITOR_3, TUMOUR_OVER_7_CM,
            },
        },
        kidney::cockcroft_gault::cockcroft_gault,
        pharmacodynamics::{
            RATIO_SHIFT, RATIOS, enzyme_inhibition, indirect_response, inr_hamberg,
        },
        pharmacokinetics::{
            digoxin_hirai, digoxin_jelliffe, gentamicin_staatz, midazolam_swart,
            tacrolimus_andrews, theophylline_yano, vancomycin_goti,
        },
        surgery::{allowable_blood_loss, hepatectomy},
    },
    schema::{Axis, Scale},
};

/// Weights in kg for which drug models are tabulated.
pub(crate) const WEIGHTS: (f64, f64) = (40.0, 150.0);
/// Added to clearances in mL/min/kg, so that even steps of the axis' logarithm are even steps of what concentrations depend on.
pub(crate) const CRCL_SHIFT: f64 = 0.09;
/// The plane of creatinine clearance per weight and weight.
pub(crate) const RENAL: &str = "renal_dosing";
/// Creatinine clearances in mL/min on that plane.
pub(crate) const RENAL_RANGE: (f64, f64) = (12.0, 150.0);
/// The plane of vancomycin by Goti 2018.
pub(crate) const GOTI: &str = "vancomycin_goti";
/// The plane of gentamicin by Staatz 2006.
pub(crate) const GENTAMICIN: &str = "gentamicin";
/// The plane of midazolam by Swart 2004.
pub(crate) const MIDAZOLAM: &str = "midazolam";
/// The plane of warfarin and the prothrombin complex activity.
pub(crate) const WARFARIN: &str = "warfarin";
/// The plane of S-warfarin and the INR.
pub(crate) const S_WARFARIN: &str = "s_warfarin";

fn within(value: f64, (lo, hi): (f64, f64)) -> Option<f64> {
    (lo..=hi).contains(&value).then_some(value)
}

/// The weight in kg, if drug models are tabulated for it.
pub(crate) fn dosing_weight(inputs: &Values) -> Option<f64> {
    within(inputs.get(input::WEIGHT.key)?, WEIGHTS)
}

/// The creatinine clearance in mL/min with a creatinine of at least a floor in mg/dL, if it lies in a range.
pub(crate) fn dosing_clearance(inputs: &Values, floor: f64, range: (f64, f64)) -> Option<f64> {
    let creatinine = inputs.get(input::CREATININE.key)?.max(floor);
    let (age, weight) = (inputs.get(input::AGE.key)?, dosing_weight(inputs)?);
    within(
        cockcroft_gault(creatinine, age, weight, Sex::of(inputs)?),
        range,
    )
}

/// An axis by logarithm.
fn log(name: &str, unit: &str, range: (f64, f64), nodes: u16) -> Axis {
    grid(name, unit, Scale::Log, range, nodes)
}

/// The axes and planes of kidney twins.
pub(super) fn kidney() -> (Vec<Feature>, Vec<Pair>) {
    let mut axes = vec![
        Feature::new(
            log(digoxin_hirai::AXIS, "/h", digoxin_hirai::RATES, 24),
            digoxin_hirai::rate,
        ),
        Feature::new(
            grid(
                digoxin_jelliffe::AXIS,
                "/h",
                Scale::Linear,
                digoxin_jelliffe::RATES,
                12,
            ),
            digoxin_jelliffe::rate,
        ),
        Feature::new(
            log(
                tacrolimus_andrews::AXIS,
                "L/h",
                tacrolimus_andrews::CLEARANCES,
                14,
            ),
            tacrolimus_andrews::clearance,
        ),
    ];
    let renal = Pair {
        name: RENAL,
        first: Feature::new(
            log(
                "dosing_crcl_shifted_ml_min_kg",
                "mL/min/kg",
                (0.08 + CRCL_SHIFT, 3.75 + CRCL_SHIFT),
                31,
            ),
            |v| Some(dosing_clearance(v, 0.0, RENAL_RANGE)? / dosing_weight(v)? + CRCL_SHIFT),
        ),
        second: Feature::new(log("dosing_weight_kg", "kg", WEIGHTS, 6), |v| {
            dosing_clearance(v, 0.0, RENAL_RANGE)?;
            dosing_weight(v)
        }),
    };
    let gentamicin = Pair {
        name: GENTAMICIN,
        first: Feature::new(
            log(
                "gentamicin_crcl_shifted_ml_min_kg",
                "mL/min/kg",
                (0.06 + CRCL_SHIFT, 4.225 + CRCL_SHIFT),
                30,
            ),
            |v| Some(gentamicin_staatz::crcl(v)? / dosing_weight(v)? + CRCL_SHIFT),
        ),
        second: Feature::new(log("gentamicin_weight_kg", "kg", WEIGHTS, 9), |v| {
            gentamicin_staatz::crcl(v)?;
            dosing_weight(v)
        }),
    };
    let weights = (WEIGHTS.0, vancomycin_goti::last_weight());
    let goti = Pair {
        name: GOTI,
        first: Feature::new(
            log("goti_rate_per_h", "/h", vancomycin_goti::RATES, 25),
            vancomycin_goti::rate,
        ),
        second: Feature::new(
            log(
                "goti_weight_by_dialysis_kg",
                "kg",
                weights,
                2 * vancomycin_goti::WEIGHT_NODES,
            ),
            vancomycin_goti::weight_by_dialysis,
        ),
    };
    axes.extend(nephrectomy());
    (axes, vec![renal, goti, gentamicin])
}

/// The axes and planes of liver twins.
pub(super) fn liver() -> (Vec<Feature>, Vec<Pair>) {
    let mut axes = vec![
        Feature::new(log("weight_kg", "kg", (20.0, 350.0), 16), |v| {
            v.get(input::WEIGHT.key)
        }),
        Feature::new(
            log(
                theophylline_yano::VOLUME_AXIS,
                "L",
                theophylline_yano::VOLUMES,
                22,
            ),
            theophylline_yano::volume,
        ),
        Feature::new(
            log(
                theophylline_yano::RATE_AXIS,
                "/h",
                theophylline_yano::RATES,
                18,
            ),
            theophylline_yano::rate,
        ),
    ];
    let midazolam = Pair {
        name: MIDAZOLAM,
        first: Feature::new(
            log(
                "midazolam_clearance_l_h",
                "L/h",
                midazolam_swart::CLEARANCES,
                14,
            ),
            midazolam_swart::clearance,
        ),
        second: Feature::new(
            log(
                "midazolam_exchange_l_h",
                "L/h",
                midazolam_swart::EXCHANGES,
                10,
            ),
            midazolam_swart::exchange,
        ),
    };
    axes.extend(effects());
    axes.extend(hepatectomy());
    let warfarin = Pair {
        name: WARFARIN,
        first: Feature::new(
            log(
                "warfarin_plane_clearance_l_h",
                "L/h",
                indirect_response::CLEARANCES,
                13,
            ),
            indirect_response::clearance,
        ),
        second: Feature::new(
            log(
                "warfarin_plane_volume_l",
                "L",
                indirect_response::VOLUMES,
                7,
            ),
            indirect_response::volume,
        ),
    };
    let s_warfarin = Pair {
        name: S_WARFARIN,
        first: Feature::new(
            log(
                "s_warfarin_clearance_l_h",
                "L/h",
                inr_hamberg::CLEARANCES,
                24,
            ),
            inr_hamberg::clearance,
        ),
        second: Feature::new(
            Axis::categorical("s_warfarin_vkorc1", 3),
            inr_hamberg::vkorc1,
        ),
    };
    (axes, vec![midazolam, warfarin, s_warfarin])
}

/// Concentrations of drugs and inhibitors by what gives half of their effect.
fn effects() -> Vec<Feature> {
    let ratios = (RATIO_SHIFT, 64.0 + RATIO_SHIFT);
    let [first, second, third] = RATIOS.map(|axis| log(axis, "1", ratios, 24));
    let inhibitor = |axis| log(axis, "1", enzyme_inhibition::RANGE, 16);
    let [one, two, three] = enzyme_inhibition::AXES.map(inhibitor);
    let kinds = Axis::categorical(input::pharmacology::CYP3A4_INHIBITOR.key, 12);
    vec![
        Feature::new(first, |v| Some(v.get(DRUG_1.key)? + RATIO_SHIFT)),
        Feature::new(second, |v| Some(v.get(DRUG_2.key)? + RATIO_SHIFT)),
        Feature::new(third, |v| Some(v.get(DRUG_3.key)? + RATIO_SHIFT)),
        Feature::new(one, |v| Some(v.get(INHIBITOR_1.key)? + 1.0)),
        Feature::new(two, |v| Some(v.get(INHIBITOR_2.key)? + 1.0)),
        Feature::new(three, |v| Some(v.get(INHIBITOR_3.key)? + 1.0)),
        Feature::new(kinds, |v| v.get(input::pharmacology::CYP3A4_INHIBITOR.key)),
    ]
}

/// What a nephrectomy depends on beside kidney function and age.
fn nephrectomy() -> Vec<Feature> {
    let flags = |key| Axis::categorical(key, 2);
    vec![
        Feature::new(flags(TUMOUR_OVER_7_CM.key), |v| v.get(TUMOUR_OVER_7_CM.key)),
        Feature::new(flags(input::DIABETES.key), |v| v.get(input::DIABETES.key)),
    ]
}

/// Findings after a resection of the liver, decided at the source.
fn hepatectomy() -> Vec<Feature> {
    let flags = |name| Axis::categorical(name, 2);
    vec![
        Feature::new(
            flags(hepatectomy::PROTHROMBIN_AXIS),
            hepatectomy::low_prothrombin,
        ),
        Feature::new(
            flags(hepatectomy::BILIRUBIN_AXIS),
            hepatectomy::high_bilirubin,
        ),
    ]
}

/// The axes of heart twins that surgery reads.
pub(super) fn heart() -> Vec<Feature> {
    use allowable_blood_loss as loss;
    vec![
        Feature::new(
            log(loss::VOLUME_AXIS, "mL", loss::VOLUMES, 24),
            loss::blood_volume,
        ),
        Feature::new(
            grid(
                loss::HAEMOGLOBIN_AXIS,
                "g/dL",
                Scale::Linear,
                loss::HAEMOGLOBINS,
                49,
            ),
            loss::haemoglobin,
        ),
    ]
}
