//! The MAGGIC score of death in heart failure.

use super::{cha2ds2_vasc::AGE_BOUNDS, ejection_fraction, h2fpef::body_mass_index};
use crate::{
    catalogue::{
        Default_, Evidence, Example, Model, Output, Parameter, Tolerance, Values,
        class::band,
        input::{
            ACE_INHIBITOR, AGE, BETA_BLOCKER, BMI, COPD, CREATININE, DIABETES, EJECTION_FRACTION,
            HEART_FAILURE_18_MONTHS, NYHA, SEX, SMOKER, SYSTOLIC_PRESSURE,
        },
    },
    formula::{Additive, Formula, Link, Term},
};

/// The axis of the bands of the ejection fraction.
pub(crate) const EF_BAND: &str = "ejection_fraction_band";
/// Below 20, 20-24, 25-29, 30-34, 35-39, 40 percent or more.
pub(crate) const EF_BOUNDS: &[f64] = &[20.0, 25.0, 30.0, 35.0, 40.0];
/// The first axis of both planes: below 30, 30-39, 40 percent or more.
pub(crate) const EF_GROUP: &str = "ejection_fraction_group";
/// The bounds of the groups.
pub(crate) const EF_GROUP_BOUNDS: &[f64] = &[30.0, 40.0];
/// The plane of ejection fraction and age; its second axis is the age band.
pub(crate) const AGE_PLANE: &str = "ejection_fraction_by_age";
/// The plane of ejection fraction and systolic pressure.
pub(crate) const PRESSURE_PLANE: &str = "ejection_fraction_by_pressure";
/// Its second axis: below 110, then by 10 mmHg, 150 or more.
pub(crate) const PRESSURE_BAND: &str = "sbp_band";
/// The bounds of the pressures.
pub(crate) const PRESSURE_BOUNDS: &[f64] = &[110.0, 120.0, 130.0, 140.0, 150.0];
/// The axis of the bands of the body mass index: below 15, 15-19, 20-24, 25-29, 30 kg/m2 or more.
pub(crate) const BMI_BAND: &str = "bmi_band";
/// The bounds of the bands.
pub(crate) const BMI_BOUNDS: &[f64] = &[15.0, 20.0, 25.0, 30.0];
/// The axis of the bands of creatinine in umol/L.
pub(crate) const CREATININE_BAND: &str = "creatinine_band";
/// The bounds of the bands in umol/L.
pub(crate) const CREATININE_BOUNDS: &[f64] = &[90.0, 110.0, 130.0, 150.0, 170.0, 210.0, 250.0];

const EF_POINTS: &[f64] = &[7.0, 6.0, 5.0, 3.0, 2.0, 0.0];
const AGE_POINTS: [&[f64]; 3] = [
    &[0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0],
    &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 13.0],
    &[0.0, 3.0, 5.0, 7.0, 9.0, 12.0, 15.0],
];
const PRESSURE_POINTS: [&[f64]; 3] = [
    &[5.0, 4.0, 3.0, 2.0, 1.0, 0.0],
    &[3.0, 2.0, 1.0, 1.0, 0.0, 0.0],
    &[2.0, 1.0, 1.0, 0.0, 0.0, 0.0],
];
const BMI_POINTS: &[f64] = &[6.0, 5.0, 3.0, 2.0, 0.0];
const CREATININE_POINTS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
const NYHA_POINTS: &[f64] = &[0.0, 2.0, 6.0, 8.0];
/// Yes or no, with the points of no and yes.
const FLAGS: [(&str, &[f64]); 7] = [
    (SEX.key, &[0.0, 1.0]),
    (SMOKER.key, &[0.0, 1.0]),
    (DIABETES.key, &[0.0, 3.0]),
    (COPD.key, &[0.0, 2.0]),
    (HEART_FAILURE_18_MONTHS.key, &[0.0, 2.0]),
    (BETA_BLOCKER.key, &[3.0, 0.0]),
    (ACE_INHIBITOR.key, &[1.0, 0.0]),
];

/// Death within 1 year in percent for 0 to 50 points.
const ONE_YEAR: &[f64] = &[
    1.5, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 2.9, 3.2, 3.6, 3.9, 4.3, 4.8, 5.2, 5.8, 6.3, 7.0, 7.7, 8.4,
    9.3, 10.2, 11.1, 12.2, 13.4, 14.7, 16.0, 17.5, 19.1, 20.9, 22.7, 24.8, 26.9, 29.2, 31.6, 34.2,
    36.9, 39.8, 42.7, 45.8, 49.0, 52.3, 55.7, 59.1, 62.5, 65.9, 69.2, 72.5, 75.7, 78.7, 81.6, 84.2,
];
/// Death within 3 years in percent for 0 to 50 points.
const THREE_YEARS: &[f64] = &[
    3.9, 4.3, 4.8, 5.2, 5.8, 6.3, 7.0, 7.7, 8.4, 9.2, 10.2, 11.1, 12.2, 13.4, 14.6, 16.0, 17.5,
    19.1, 20.9, 22.7, 24.7, 26.9, 29.2, 31.6, 34.2, 36.9, 39.7, 42.7, 45.8, 49.0, 52.3, 55.6, 59.0,
    62.5, 65.8, 69.2, 72.5, 75.6, 78.7, 81.5, 84.2, 86.6, 88.9, 90.8, 92.6, 94.1, 95.3, 96.4, 97.3,
    98.0, 98.5,
];

/// The band of a creatinine in mg/dL; micromoles are rounded to a millionth, so that a whole number of them is its own band.
pub(crate) fn creatinine_band(mg_dl: f64) -> f64 {
    band(libm::round(mg_dl * 88.4 * 1e6) / 1e6, CREATININE_BOUNDS)
}

/// The points at an index of a list.
fn at(points: &[f64], index: f64) -> f64 {
    points
        .iter()
        .zip(0_u32..)
        .find(|(_, known)| f64::from(*known) == index)
        .map_or(f64::NAN, |(points, _)| *points)
}

/// The points at a row and a column of a table.
fn at_row(rows: [&'static [f64]; 3], row: f64, column: f64) -> f64 {
    let [low, middle, high] = rows;
    let row = if row >= 2.0 {
        high
    } else if row >= 1.0 {
        middle
    } else {
        low
    };
    at(row, column)
}

/// Whether a study asks what would be if everybody took a drug.
fn given_to_all(key: &str, parameters: &Values) -> bool {
    let switch = match key {
        key if key == BETA_BLOCKER.key => "beta_blocker_for_all",
        key if key == ACE_INHIBITOR.key => "ace_inhibitor_or_arb_for_all",
        _ => return false,
    };
    parameters.of(switch) >= 0.5
}

/// The points of a patient.
fn points(inputs: &Values, parameters: &Values) -> Option<f64> {
    let ef = ejection_fraction::of(inputs)?;
    let group = band(ef, EF_GROUP_BOUNDS);
    let age = band(inputs.get(AGE.key)?, AGE_BOUNDS);
    let pressure = band(inputs.get(SYSTOLIC_PRESSURE.key)?, PRESSURE_BOUNDS);
    let creatinine = creatinine_band(inputs.get(CREATININE.key)?);
    let mut total = at(EF_POINTS, band(ef, EF_BOUNDS))
        + at_row(AGE_POINTS, group, age)
        + at_row(PRESSURE_POINTS, group, pressure)
        + at(BMI_POINTS, band(body_mass_index(inputs)?, BMI_BOUNDS))
        + at(CREATININE_POINTS, creatinine)
        + at(NYHA_POINTS, inputs.get(NYHA.key)?);
    for (key, points) in FLAGS {
        let yes = inputs.get(key)?;
        total += at(
            points,
            if given_to_all(key, parameters) {
                1.0
            } else {
                yes
            },
        );
    }
    Some(total)
}

fn sum(parameters: &Values, link: Link) -> Additive {
    let mut terms = vec![
        Term::points(EF_BAND, EF_POINTS),
        Term::plane(AGE_PLANE, |group, age| at_row(AGE_POINTS, group, age)),
        Term::plane(PRESSURE_PLANE, |group, pressure| {
            at_row(PRESSURE_POINTS, group, pressure)
        }),
        Term::points(BMI_BAND, BMI_POINTS),
        Term::points(CREATININE_BAND, CREATININE_POINTS),
        Term::points(NYHA.key, NYHA_POINTS),
    ];
    for (key, points) in FLAGS {
        terms.push(if given_to_all(key, parameters) {
            Term::points(key, &[0.0, 0.0])
        } else {
            Term::points(key, points)
        });
    }
    Additive::linked(terms, link)
}

/// A switch, off unless it is given.
const fn switch(key: &'static str, title: &'static str) -> Parameter {
    Parameter {
        key,
        unit: "1",
        title,
        lo: 0.0,
        hi: 1.0,
        default: Default_::Number(0.0),
    }
}

/// The model.
pub static MODEL: Model = Model {
    id: "maggic",
    title: "Death in heart failure within 1 and 3 years (MAGGIC)",
    organ: "heart",
    source: "Pocock SJ et al., Eur Heart J 2013;34:1404: points for ejection fraction, age and systolic pressure by ejection \
             fraction, body mass index, creatinine, NYHA class, male sex, smoking, diabetes, COPD, heart failure for 18 months or \
             more, no beta-blocker, no ACE inhibitor or ARB; risks listed for 0 to 50 points",
    evidence: Evidence::OneTranscription,
    population: "adults with heart failure; above 50 points the risk is that of 50",
    inputs: &[
        &EJECTION_FRACTION,
        &AGE,
        &SYSTOLIC_PRESSURE,
        &BMI,
        &CREATININE,
        &NYHA,
        &SEX,
        &SMOKER,
        &DIABETES,
        &COPD,
        &HEART_FAILURE_18_MONTHS,
        &BETA_BLOCKER,
        &ACE_INHIBITOR,
    ],
    optional: &[],
    parameters: &[
        switch(
            "beta_blocker_for_all",
            "1: what if every patient took a beta-blocker",
        ),
        switch(
            "ace_inhibitor_or_arb_for_all",
            "1: what if every patient took an ACE inhibitor or ARB",
        ),
    ],
    arm: None,
    outputs: &[
        Output::points("maggic", "MAGGIC points"),
        Output::number(
            "death_1_year_percent",
            "%",
            "risk of death within 1 year",
            1,
            Tolerance::Absolute(0.0),
        ),
        Output::number(
            "death_3_years_percent",
            "%",
            "risk of death within 3 years",
            1,
            Tolerance::Absolute(0.0),
        ),
    ],
    reference: |inputs, parameters| {
        let mut out = Values::default();
        if let Some(points) = points(inputs, parameters) {
            out.set("maggic", points);
            out.set("death_1_year_percent", at(ONE_YEAR, points.min(50.0)));
            out.set("death_3_years_percent", at(THREE_YEARS, points.min(50.0)));
        }
        out
    },
    formula: |output, parameters| {
        let link = match output {
            "maggic" => Link::identity(),
            "death_1_year_percent" => Link::list(ONE_YEAR),
            "death_3_years_percent" => Link::list(THREE_YEARS),
            _ => return None,
        };
        Some(Formula::Number(sum(parameters, link)))
    },
    // The two patients differ in diabetes only: the items of the first add up to 18 points, those of the second to 21.
    examples: &[
        Example {
            given: &[
                ("ejection_fraction_percent", 35.0),
                ("age_years", 68.0),
                ("sbp_mmhg", 125.0),
                ("bmi_kg_m2", 27.0),
                ("creatinine_umol_l", 115.0),
                ("nyha_class", 1.0),
                ("sex", 1.0),
                ("smoker", 0.0),
                ("diabetes", 0.0),
                ("copd", 0.0),
                ("heart_failure_18_months", 1.0),
                ("beta_blocker", 1.0),
                ("ace_inhibitor_or_arb", 1.0),
            ],
            lists: &[],
            expected: &[
                ("maggic", 18.0, 0.0),
                ("death_1_year_percent", 8.4, 0.0),
                ("death_3_years_percent", 20.9, 0.0),
            ],
        },
        Example {
            given: &[
                ("ejection_fraction_percent", 35.0),
                ("age_years", 68.0),
                ("sbp_mmhg", 125.0),
                ("bmi_kg_m2", 27.0),
                ("creatinine_umol_l", 115.0),
                ("nyha_class", 1.0),
                ("sex", 1.0),
                ("smoker", 0.0),
                ("diabetes", 1.0),
                ("copd", 0.0),
                ("heart_failure_18_months", 1.0),
                ("beta_blocker", 1.0),
                ("ace_inhibitor_or_arb", 1.0),
            ],
            lists: &[],
            expected: &[
                ("maggic", 21.0, 0.0),
                ("death_1_year_percent", 11.1, 0.0),
                ("death_3_years_percent", 26.9, 0.0),
            ],
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lower_bound_belongs_to_its_band() {
        for bounds in [
            EF_BOUNDS,
            EF_GROUP_BOUNDS,
            AGE_BOUNDS,
            PRESSURE_BOUNDS,
            BMI_BOUNDS,
            CREATININE_BOUNDS,
        ] {
            for (below, bound) in (0_u32..).zip(bounds) {
                assert_eq!(band(bound - 0.01, bounds), f64::from(below));
                assert_eq!(band(*bound, bounds), f64::from(below) + 1.0);
            }
        }
    }

    #[test]
    fn whole_micromoles_are_their_own_band_in_either_unit() {
        for bound in CREATININE_BOUNDS {
            let factor = CREATININE.aliases[0].factor;
            assert_eq!(
                creatinine_band(bound * factor),
                band(*bound, CREATININE_BOUNDS)
            );
        }
    }

    #[test]
    fn both_lists_of_risks_rise_and_have_fifty_one_entries() {
        for list in [ONE_YEAR, THREE_YEARS] {
            assert_eq!(list.len(), 51);
            assert!(list.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn the_ejection_fraction_decides_what_age_and_pressure_count() {
        assert_eq!(at_row(AGE_POINTS, 0.0, 6.0), 10.0);
        assert_eq!(at_row(AGE_POINTS, 1.0, 6.0), 13.0);
        assert_eq!(at_row(AGE_POINTS, 2.0, 6.0), 15.0);
        assert_eq!(at_row(PRESSURE_POINTS, 0.0, 0.0), 5.0);
        assert_eq!(at_row(PRESSURE_POINTS, 2.0, 0.0), 2.0);
    }
}
