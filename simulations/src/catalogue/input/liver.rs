//! The liver: findings, volumes and flows.

use super::{Input, alias, choice, flag, number};

/// Ascites.
pub const ASCITES: Input = choice("ascites", "ascites", &["none", "mild", "moderate-severe"]);

/// Hepatic encephalopathy.
pub const ENCEPHALOPATHY: Input = choice(
    "encephalopathy",
    "hepatic encephalopathy",
    &["none", "grade-1-2", "grade-3-4"],
);

/// Cholestatic liver disease: primary biliary or primary sclerosing cholangitis.
pub const CHOLESTATIC: Input = flag(
    "cholestatic",
    "cholestatic liver disease: primary biliary or primary sclerosing cholangitis",
);

/// Two or more dialyses, or 24 hours of continuous dialysis, in 7 days.
pub const DIALYSIS_IN_WEEK: Input = flag(
    "dialysis_in_week",
    "two or more dialyses, or 24 hours of continuous dialysis, in 7 days",
);

/// Liver: normal, after more than 3 months of chemotherapy, or cirrhotic.
pub const LIVER_STATE: Input = choice(
    "liver_state",
    "liver: normal, after more than 3 months of chemotherapy, or cirrhotic",
    &["normal", "chemotherapy", "cirrhosis"],
);

/// Volume of the future liver remnant.
pub const FUTURE_LIVER_REMNANT: Input = number(
    "future_liver_remnant_ml",
    "mL",
    "volume of the future liver remnant",
    30.0,
    4000.0,
);

/// Hepatic blood flow.
pub const HEPATIC_FLOW: Input = Input {
    aliases: &[alias("hepatic_flow_l_min", "L/min", 60.0)],
    ..number("hepatic_flow_l_h", "L/h", "hepatic blood flow", 10.0, 300.0)
};

/// Intrinsic clearance as a share of a healthy liver's.
pub const HEPATIC_FUNCTION: Input = number(
    "hepatic_function_share",
    "1",
    "intrinsic clearance as a share of a healthy liver's",
    0.02,
    2.0,
);

/// All of these.
pub(super) const ALL: &[&Input] = &[
    &ASCITES,
    &ENCEPHALOPATHY,
    &CHOLESTATIC,
    &DIALYSIS_IN_WEEK,
    &LIVER_STATE,
    &FUTURE_LIVER_REMNANT,
    &HEPATIC_FLOW,
    &HEPATIC_FUNCTION,
];
