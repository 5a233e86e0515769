//! Liver twins.

use super::{Feature, Pair, Twin, age, grid, sex};
use crate::{
    catalogue::{
        class::flag,
        input::{
            AGE, ALT, ASCITES, AST, ENCEPHALOPATHY, HEPATIC_FLOW, HEPATIC_FUNCTION, LIVER_STATE,
            PLATELETS,
        },
        liver::{
            albi, child_pugh, fib_4,
            future_liver_remnant::{
                self as remnant, expected_volume_urata, expected_volume_vauthey,
            },
            meld_3, well_stirred,
        },
    },
    schema::{Axis, Scale},
};

/// An axis of points of MELD 3.0 from 0 on, in the common step.
fn meld_points(part: usize, nodes: u16) -> Axis {
    let name = meld_3::PARTS.get(part).map_or("", |(axis, _)| axis);
    let hi = meld_3::STEP * f64::from(nodes.saturating_sub(1));
    grid(name, "1", Scale::Linear, (0.0, hi), nodes)
}

/// The liver twin.
pub(super) fn twin() -> Twin {
    use Scale::{Linear, Log};
    let feature = Feature::new;
    let categories = Axis::categorical;
    let [bilirubin, albumin, inr, ascites, encephalopathy] =
        child_pugh::AXES.map(|axis| categories(axis, 3));
    let [vauthey, urata] = remnant::AXES.map(|axis| grid(axis, "%", Log, (2.0, 200.0), 64));
    let mut twin = Twin {
        id: "liver/1",
        organ: "liver",
        features: vec![
            age(),
            sex(),
            feature(categories(meld_3::SCORE, 35), |v| {
                meld_3::unrounded(v).map(|score| meld_3::rounded(score) - 6.0)
            }),
            feature(meld_points(0, 30), |v| meld_3::parts(v).map(|[b, _, _]| b)),
            feature(meld_points(1, 39), |v| meld_3::parts(v).map(|[_, i, _]| i)),
            feature(meld_points(2, 20), |v| meld_3::parts(v).map(|[_, _, c]| c)),
            feature(bilirubin, |v| child_pugh::items(v)[0]),
            feature(albumin, |v| child_pugh::items(v)[1]),
            feature(inr, |v| child_pugh::items(v)[2]),
            feature(ascites, |v| v.get(ASCITES.key)),
            feature(encephalopathy, |v| v.get(ENCEPHALOPATHY.key)),
            // Steps of 0.005; both bounds of the grades lie on the grid.
            feature(grid(albi::AXIS, "1", Linear, (-6.0, 1.68), 97), albi::of),
            feature(grid(fib_4::AXIS, "1", Log, (0.05, 200.0), 64), |v| {
                let [age, ast, alt, platelets] =
                    [&AGE, &AST, &ALT, &PLATELETS].map(|input| v.get(input.key));
                Some(fib_4::fib_4(age?, ast?, alt?, platelets?))
            }),
            feature(categories(fib_4::AGE_65, 2), |v| {
                v.get(AGE.key).map(|age| flag(age >= 65.0))
            }),
            feature(vauthey, |v| {
                remnant::remnant_percent(v, expected_volume_vauthey)
            }),
            feature(urata, |v| {
                remnant::remnant_percent(v, expected_volume_urata)
            }),
            feature(categories(LIVER_STATE.key, 3), |v| v.get(LIVER_STATE.key)),
        ],
        planes: vec![Pair {
            name: well_stirred::PLANE,
            first: feature(grid(HEPATIC_FLOW.key, "L/h", Log, (15.0, 240.0), 12), |v| {
                v.get(HEPATIC_FLOW.key)
            }),
            second: feature(grid(HEPATIC_FUNCTION.key, "1", Log, (0.05, 2.0), 12), |v| {
                v.get(HEPATIC_FUNCTION.key)
            }),
        }],
    };
    // What drug models read.
    let (features, planes) = super::pharmacology::liver();
    twin.features.extend(features);
    twin.planes.extend(planes);
    twin
}
