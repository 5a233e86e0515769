//! What pharmacology and surgery read about a patient beyond the quantities of the organs.

use super::{Input, flag, number};

/// Treatment by haemodialysis.
pub const HAEMODIALYSIS: Input = flag("haemodialysis", "treated by haemodialysis");
/// Amiodarone.
pub const AMIODARONE: Input = flag("amiodarone", "takes amiodarone");
/// Genotype of CYP3A5.
pub const CYP3A5_EXPRESSER: Input = flag("cyp3a5_expresser", "carries CYP3A5*1, an expresser");
/// Genotype of CYP3A4.
pub const CYP3A4_22_CARRIER: Input = flag("cyp3a4_22_carrier", "carries CYP3A4*22");
/// Alcohol abuse.
pub const ALCOHOL_ABUSE: Input = flag("alcohol_abuse", "alcohol abuse");
/// Severity of disease on admission to intensive care.
pub const APACHE: Input = number("apache_ii", "{score}", "APACHE II score", 0.0, 71.0);
/// Hepatic dysfunction by the clinician's judgement.
pub const HEPATIC_DYSFUNCTION: Input = flag("hepatic_dysfunction", "hepatic dysfunction");
/// Arterial carbon dioxide.
pub const PACO2: Input = Input {
    aliases: &[super::Alias {
        key: "paco2_kpa",
        unit: "kPa",
        factor: 7.500_62,
    }],
    ..number(
        "paco2_mmhg",
        "mm[Hg]",
        "arterial carbon dioxide pressure",
        15.0,
        120.0,
    )
};

/// Every quantity of this file.
pub(super) const ALL: &[&Input] = &[
    &HAEMODIALYSIS,
    &AMIODARONE,
    &CYP3A5_EXPRESSER,
    &CYP3A4_22_CARRIER,
    &ALCOHOL_ABUSE,
    &APACHE,
    &HEPATIC_DYSFUNCTION,
    &PACO2,
];
