//! The Child-Pugh score.

use crate::{
    catalogue::{
        Evidence, Example, Model, Output, Values,
        class::band,
        input::{ALBUMIN, ASCITES, BILIRUBIN, CHOLESTATIC, ENCEPHALOPATHY, INR},
    },
    formula::{Additive, Formula, Term},
};

/// The axes of the items, each with 1 to 3 points as categories 0 to 2.
pub(crate) const AXES: [&str; 5] = [
    "child_pugh_bilirubin",
    "child_pugh_albumin",
    "child_pugh_inr",
    ASCITES.key,
    ENCEPHALOPATHY.key,
];

/// Bilirubin in mg/dL: below 2, 2 to 3, above 3; in cholestatic disease below 4, 4 to 10, above 10.
#[must_use]
pub fn bilirubin(mg_dl: f64, cholestatic: bool) -> f64 {
    let (lower, upper) = if cholestatic { (4.0, 10.0) } else { (2.0, 3.0) };
    item(mg_dl >= lower, mg_dl > upper)
}

/// Albumin in g/dL: above 3.5, 2.8 to 3.5, below 2.8.
#[must_use]
pub fn albumin(g_dl: f64) -> f64 {
    item(g_dl <= 3.5, g_dl < 2.8)
}

/// INR: below 1.7, 1.7 to 2.3, above 2.3.
#[must_use]
pub fn inr(inr: f64) -> f64 {
    item(inr >= 1.7, inr > 2.3)
}

fn item(second: bool, third: bool) -> f64 {
    match (second, third) {
        (_, true) => 2.0,
        (true, false) => 1.0,
        (false, false) => 0.0,
    }
}

/// The items of a patient in the order of [`AXES`].
pub(crate) fn items(inputs: &Values) -> [Option<f64>; 5] {
    let cholestatic = inputs.get(CHOLESTATIC.key).map(|flag| flag == 1.0);
    let mg_dl = inputs.get(BILIRUBIN.key);
    [
        mg_dl
            .zip(cholestatic)
            .map(|(mg_dl, cholestatic)| bilirubin(mg_dl, cholestatic)),
        inputs.get(ALBUMIN.key).map(albumin),
        inputs.get(INR.key).map(inr),
        inputs.get(ASCITES.key),
        inputs.get(ENCEPHALOPATHY.key),
    ]
}

const CUTS: &[f64] = &[7.0, 10.0];

/// The model.
pub static MODEL: Model = Model {
    id: "child-pugh",
    title: "Child-Pugh score of cirrhosis",
    organ: "liver",
    source: "Pugh RN et al., Br J Surg 1973;60:646: 1 to 3 points each for bilirubin (< 2, 2-3, > 3 mg/dL; in cholestatic \
             disease < 4, 4-10, > 10), albumin (> 3.5, 2.8-3.5, < 2.8 g/dL), INR (< 1.7, 1.7-2.3, > 2.3), ascites and \
             encephalopathy; A 5-6, B 7-9, C 10-15",
    evidence: Evidence::TwoImplementations,
    population: "adults with cirrhosis",
    inputs: &[
        &BILIRUBIN,
        &CHOLESTATIC,
        &ALBUMIN,
        &INR,
        &ASCITES,
        &ENCEPHALOPATHY,
    ],
    optional: &[],
    parameters: &[],
    arm: None,
    outputs: &[
        Output::points("child_pugh", "Child-Pugh score"),
        Output::category(
            "child_pugh_class",
            "Child-Pugh class",
            "child_pugh",
            CUTS,
            &["A", "B", "C"],
        ),
    ],
    reference: |inputs, _| {
        let mut out = Values::default();
        let items: Option<Vec<f64>> = items(inputs).into_iter().collect();
        if let Some(items) = items {
            let points = 5.0 + items.iter().sum::<f64>();
            out.set("child_pugh", points);
            out.set("child_pugh_class", band(points, CUTS));
        }
        out
    },
    formula: |output, _| {
        (output == "child_pugh").then(|| {
            let terms = AXES.map(|axis| Term::points(axis, &[1.0, 2.0, 3.0]));
            Formula::Number(Additive::sum(terms.into()))
        })
    },
    examples: &[Example {
        given: &[
            ("bilirubin_mg_dl", 2.5),
            ("cholestatic", 0.0),
            ("albumin_g_dl", 3.0),
            ("inr", 1.8),
            ("ascites", 1.0),
            ("encephalopathy", 0.0),
        ],
        lists: &[],
        expected: &[("child_pugh", 9.0, 0.0), ("child_pugh_class", 1.0, 0.0)],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_range_of_every_item_has_both_its_ends() {
        let cases: [(&dyn Fn(f64) -> f64, [f64; 4], [f64; 4]); 4] = [
            (
                &|x| bilirubin(x, false),
                [1.99, 2.0, 3.0, 3.01],
                [0.0, 1.0, 1.0, 2.0],
            ),
            (
                &|x| bilirubin(x, true),
                [3.99, 4.0, 10.0, 10.01],
                [0.0, 1.0, 1.0, 2.0],
            ),
            (&albumin, [3.51, 3.5, 2.8, 2.79], [0.0, 1.0, 1.0, 2.0]),
            (&inr, [1.69, 1.7, 2.3, 2.31], [0.0, 1.0, 1.0, 2.0]),
        ];
        for (item, values, expected) in cases {
            assert_eq!(values.map(item), expected);
        }
    }

    #[test]
    fn the_classes_begin_at_seven_and_ten() {
        assert_eq!(
            [5.0, 6.0, 7.0, 9.0, 10.0, 15.0].map(|points| band(points, CUTS)),
            [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
        );
    }
}
