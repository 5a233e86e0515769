//! What pharmacology and surgery read about a patient beyond the quantities of the organs.

use super::{Input, alias, choice, flag, number};

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
    aliases: &[alias("paco2_kpa", "kPa", 7.500_62)],
    ..number(
        "paco2_mmhg",
        "mm[Hg]",
        "arterial carbon dioxide pressure",
        15.0,
        120.0,
    )
};

/// Clearance of racemic warfarin, fitted to the patient.
pub const WARFARIN_CLEARANCE: Input = number(
    "warfarin_clearance_l_h",
    "L/h",
    "clearance of racemic warfarin, fitted to the patient; typically 0.131",
    0.02,
    1.0,
);
/// Volume of warfarin, fitted to the patient.
pub const WARFARIN_VOLUME: Input = number(
    "warfarin_volume_l",
    "L",
    "volume of distribution of warfarin, fitted to the patient; typically 7.92",
    2.0,
    30.0,
);
/// Genotype of CYP2C9.
pub const CYP2C9: Input = choice(
    "cyp2c9",
    "genotype of CYP2C9",
    &["*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3"],
);
/// Genotype of VKORC1.
pub const VKORC1: Input = choice("vkorc1", "genotype of VKORC1 -1639", &["GG", "AG", "AA"]);
/// Inhibitor of CYP3A4.
pub const CYP3A4_INHIBITOR: Input = choice(
    "cyp3a4_inhibitor",
    "inhibitor of CYP3A4 that is taken",
    &[
        "none",
        "ketoconazole",
        "voriconazole",
        "itraconazole",
        "clarithromycin",
        "erythromycin",
        "diltiazem",
        "fluconazole",
        "verapamil",
        "cimetidine",
        "fluvoxamine",
        "other",
    ],
);
/// Concentration of the first drug.
pub const DRUG_1: Input = number(
    "drug_1_ec50_multiple",
    "1",
    "concentration of the first drug as a multiple of its EC50; 0 if it is not given",
    0.0,
    64.0,
);
/// Concentration of the second drug.
pub const DRUG_2: Input = number(
    "drug_2_ec50_multiple",
    "1",
    "concentration of the second drug as a multiple of its EC50; 0 if it is not given",
    0.0,
    64.0,
);
/// Concentration of the third drug.
pub const DRUG_3: Input = number(
    "drug_3_ec50_multiple",
    "1",
    "concentration of the third drug as a multiple of its EC50; 0 if it is not given",
    0.0,
    64.0,
);
/// Concentration of the first inhibitor.
pub const INHIBITOR_1: Input = number(
    "inhibitor_1_ki_multiple",
    "1",
    "unbound concentration of the first inhibitor as a multiple of its Ki; 0 if it is not given",
    0.0,
    40.0,
);
/// Concentration of the second inhibitor.
pub const INHIBITOR_2: Input = number(
    "inhibitor_2_ki_multiple",
    "1",
    "unbound concentration of the second inhibitor as a multiple of its Ki; 0 if it is not given",
    0.0,
    40.0,
);
/// Concentration of the third inhibitor.
pub const INHIBITOR_3: Input = number(
    "inhibitor_3_ki_multiple",
    "1",
    "unbound concentration of the third inhibitor as a multiple of its Ki; 0 if it is not given",
    0.0,
    40.0,
);
/// Size of a kidney tumour.
pub const TUMOUR_OVER_7_CM: Input = flag("tumour_over_7_cm", "kidney tumour larger than 7 cm");
/// Prothrombin time on the fifth day after an operation.
pub const PROTHROMBIN_DAY_5: Input = number(
    "prothrombin_day_5_percent",
    "%",
    "prothrombin time on day 5 after the operation, in percent of normal",
    5.0,
    150.0,
);
/// Bilirubin on the fifth day after an operation.
pub const BILIRUBIN_DAY_5: Input = Input {
    aliases: &[alias("bilirubin_day_5_umol_l", "umol/L", 1.0 / 17.104)],
    ..number(
        "bilirubin_day_5_mg_dl",
        "mg/dL",
        "total bilirubin on day 5 after the operation",
        0.1,
        60.0,
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
    &WARFARIN_CLEARANCE,
    &WARFARIN_VOLUME,
    &CYP2C9,
    &VKORC1,
    &CYP3A4_INHIBITOR,
    &DRUG_1,
    &DRUG_2,
    &DRUG_3,
    &INHIBITOR_1,
    &INHIBITOR_2,
    &INHIBITOR_3,
    &TUMOUR_OVER_7_CM,
    &PROTHROMBIN_DAY_5,
    &BILIRUBIN_DAY_5,
];
