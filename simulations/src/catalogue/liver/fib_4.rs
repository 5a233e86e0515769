//! The fibrosis index based on four factors.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Tolerance, Values,
        class::{band, flag},
        input::{AGE, ALT, AST, PLATELETS},
    },
    formula::{Additive, Condition, Formula, Link, Term},
};

/// The axis of the index.
pub(crate) const AXIS: &str = "fib_4";
/// The axis that says whether the age is 65 years or more.
pub(crate) const AGE_65: &str = "age_65_or_more";

/// The index from age in years, AST and ALT in U/L and platelets in 10*9/L
/// (Sterling RK et al., Hepatology 2006;43:1317).
#[must_use]
pub fn fib_4(age_years: f64, ast: f64, alt: f64, platelets: f64) -> f64 {
    age_years * ast / (platelets * libm::sqrt(alt))
}

/// Viral hepatitis: below 1.45, and above 3.25, which belongs to the middle.
const VIRAL_CUTS: &[f64] = &[1.45, 3.25 + 1e-6];
/// Fatty liver: unlikely below 1.30, from 65 years on below 2.0; likely above 2.67.
const UNLIKELY: [f64; 2] = [1.30, 2.0];
const LIKELY: f64 = 2.67 + 1e-6;

fn index() -> Additive {
    Additive::linked(vec![Term::axis(AXIS, libm::log)], Link::exp())
}

fn aged() -> Condition {
    Additive::sum(vec![Term::points(AGE_65, &[0.0, 1.0])]).at_least(1.0)
}

/// The model.
pub static MODEL: Model = Model {
    id: "fib-4",
    title: "Fibrosis index FIB-4",
    organ: "liver",
    source: "Sterling RK et al., Hepatology 2006;43:1317: age*AST/(platelets*sqrt(ALT)), cut-offs 1.45 and 3.25 in viral \
             hepatitis; fatty liver 1.30 (2.0 from 65 years) and 2.67: Shah AG et al., Clin Gastroenterol Hepatol 2009;7:1104",
    evidence: Evidence::TwoImplementations,
    population: "adults with chronic viral hepatitis or fatty liver; indices of 0.05 to 200",
    inputs: &[&AGE, &AST, &ALT, &PLATELETS],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output::number("fib_4", "1", "FIB-4", 2, Tolerance::Relative(0.01)),
        Output::category(
            "fibrosis_viral",
            "advanced fibrosis by the cut-offs of viral hepatitis",
            "fib_4",
            VIRAL_CUTS,
            &["unlikely", "indeterminate", "likely"],
        ),
        Output::flag(
            "fatty_liver_fibrosis_unlikely",
            "fatty liver: below 1.30, or 2.0 from 65 years on",
        ),
        Output::flag("fatty_liver_fibrosis_likely", "fatty liver: above 2.67"),
    ],
    reference: |inputs, _| {
        let [age, ast, alt, platelets] = [&AGE, &AST, &ALT, &PLATELETS].map(|i| inputs.of(i.key));
        let index = fib_4(age, ast, alt, platelets);
        let lower = if age >= 65.0 {
            UNLIKELY[1]
        } else {
            UNLIKELY[0]
        };
        Values::from_pairs([
            ("fib_4", index),
            ("fibrosis_viral", band(index, VIRAL_CUTS)),
            ("fatty_liver_fibrosis_unlikely", flag(index < lower)),
            ("fatty_liver_fibrosis_likely", flag(index >= LIKELY)),
        ])
    },
    formula: |output, _| match output {
        "fib_4" => Some(Formula::Number(index())),
        "fatty_liver_fibrosis_unlikely" => Some(Formula::Flag(Condition::Any(vec![
            index().below(UNLIKELY[0]),
            Condition::All(vec![aged(), index().below(UNLIKELY[1])]),
        ]))),
        "fatty_liver_fibrosis_likely" => Some(Formula::Flag(index().at_least(LIKELY))),
        _ => None,
    },
    examples: &[Example {
        given: &[
            ("age_years", 55.0),
            ("ast_u_l", 60.0),
            ("alt_u_l", 45.0),
            ("platelets_10e9_l", 150.0),
        ],
        lists: &[],
        expected: &[
            ("fib_4", 3.27957, 5e-6),
            ("fibrosis_viral", 2.0, 0.0),
            ("fatty_liver_fibrosis_likely", 1.0, 0.0),
            ("fatty_liver_fibrosis_unlikely", 0.0, 0.0),
        ],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(age: f64, index: f64, output: &str) -> f64 {
        // AST over platelets is chosen for the index; ALT is 1.
        let inputs = Values::from_pairs([
            (AGE.key, age),
            (AST.key, index / age * 100.0),
            (ALT.key, 1.0),
            (PLATELETS.key, 100.0),
        ]);
        (MODEL.reference)(&inputs, &Values::default()).of(output)
    }

    #[test]
    fn the_cut_offs_of_viral_hepatitis_belong_to_the_middle() {
        assert_eq!(
            [1.4499, 1.45, 3.25, 3.2501].map(|index| band(index, VIRAL_CUTS)),
            [0.0, 1.0, 1.0, 2.0]
        );
    }

    #[test]
    fn the_lower_cut_off_of_fatty_liver_rises_at_sixty_five() {
        for (age, index, unlikely) in [
            (64.9, 1.29, 1.0),
            (64.9, 1.31, 0.0),
            (65.0, 1.31, 1.0),
            (65.0, 2.01, 0.0),
        ] {
            let got = reference(age, index, "fatty_liver_fibrosis_unlikely");
            assert_eq!(got, unlikely, "{age} {index}");
        }
        assert_eq!(reference(50.0, 2.669, "fatty_liver_fibrosis_likely"), 0.0);
        assert_eq!(reference(50.0, 2.671, "fatty_liver_fibrosis_likely"), 1.0);
    }
}
