//! What a laboratory reports.

use super::{Input, alias, number};

/// Serum creatinine.
pub const CREATININE: Input = Input {
    aliases: &[alias("creatinine_umol_l", "umol/L", 1.0 / 88.4)],
    ..number("creatinine_mg_dl", "mg/dL", "serum creatinine", 0.1, 25.0)
};

/// Estimated glomerular filtration rate, CKD-EPI 2021.
pub const EGFR: Input = number(
    "egfr_ml_min_1_73m2",
    "mL/min/{1.73_m2}",
    "estimated glomerular filtration rate, CKD-EPI 2021",
    1.0,
    256.0,
);

/// Urinary albumin to creatinine ratio.
pub const UACR: Input = Input {
    aliases: &[alias("uacr_mg_mmol", "mg/mmol", 8.84)],
    ..number(
        "uacr_mg_g",
        "mg/g",
        "urinary albumin to creatinine ratio",
        0.1,
        30000.0,
    )
};

/// Total bilirubin.
pub const BILIRUBIN: Input = Input {
    aliases: &[alias("bilirubin_umol_l", "umol/L", 1.0 / 17.104)],
    ..number("bilirubin_mg_dl", "mg/dL", "total bilirubin", 0.1, 60.0)
};

/// Serum albumin.
pub const ALBUMIN: Input = Input {
    aliases: &[alias("albumin_g_l", "g/L", 0.1)],
    ..number("albumin_g_dl", "g/dL", "serum albumin", 0.5, 7.0)
};

/// International normalized ratio.
pub const INR: Input = number("inr", "{INR}", "international normalized ratio", 0.5, 15.0);

/// Serum sodium.
pub const SODIUM: Input = Input {
    aliases: &[alias("sodium_meq_l", "meq/L", 1.0)],
    ..number("sodium_mmol_l", "mmol/L", "serum sodium", 90.0, 190.0)
};

/// Serum potassium.
pub const POTASSIUM: Input = Input {
    aliases: &[alias("potassium_meq_l", "meq/L", 1.0)],
    ..number("potassium_mmol_l", "mmol/L", "serum potassium", 1.0, 10.0)
};

/// Platelets.
pub const PLATELETS: Input = Input {
    aliases: &[alias("platelets_10e3_ul", "10*3/uL", 1.0)],
    ..number("platelets_10e9_l", "10*9/L", "platelets", 1.0, 2000.0)
};

/// Aspartate aminotransferase.
pub const AST: Input = number("ast_u_l", "U/L", "aspartate aminotransferase", 1.0, 20000.0);

/// Alanine aminotransferase.
pub const ALT: Input = number("alt_u_l", "U/L", "alanine aminotransferase", 1.0, 20000.0);

/// Haemoglobin.
pub const HAEMOGLOBIN: Input = Input {
    aliases: &[
        alias("haemoglobin_g_l", "g/L", 0.1),
        alias("haemoglobin_mmol_l", "mmol/L", 1.611),
    ],
    ..number("haemoglobin_g_dl", "g/dL", "haemoglobin", 2.0, 25.0)
};

/// All of these.
pub(super) const ALL: &[&Input] = &[
    &CREATININE,
    &EGFR,
    &UACR,
    &BILIRUBIN,
    &ALBUMIN,
    &INR,
    &SODIUM,
    &POTASSIUM,
    &PLATELETS,
    &AST,
    &ALT,
    &HAEMOGLOBIN,
];
