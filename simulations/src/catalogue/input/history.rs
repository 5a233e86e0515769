//! Diagnoses, treatments and findings: yes or no, or a class.

use super::{Input, choice, flag};

/// Diabetes mellitus.
pub const DIABETES: Input = flag("diabetes", "diabetes mellitus");

/// History of heart failure or left ventricular dysfunction.
pub const HEART_FAILURE: Input = flag(
    "heart_failure",
    "history of heart failure or left ventricular dysfunction",
);

/// Heart failure known for 18 months or more.
pub const HEART_FAILURE_18_MONTHS: Input = flag(
    "heart_failure_18_months",
    "heart failure known for 18 months or more",
);

/// New York Heart Association class.
pub const NYHA: Input = choice(
    "nyha_class",
    "New York Heart Association class",
    &["i", "ii", "iii", "iv"],
);

/// Hypertension.
pub const HYPERTENSION: Input = flag("hypertension", "hypertension");

/// Two or more antihypertensive drugs.
pub const TWO_ANTIHYPERTENSIVES: Input = flag(
    "two_antihypertensives",
    "two or more antihypertensive drugs",
);

/// Atrial fibrillation.
pub const ATRIAL_FIBRILLATION: Input = flag("atrial_fibrillation", "atrial fibrillation");

/// Ischaemic heart disease.
pub const ISCHAEMIC_HEART_DISEASE: Input =
    flag("ischaemic_heart_disease", "ischaemic heart disease");

/// Vascular disease: infarction, peripheral artery disease or aortic plaque.
pub const VASCULAR_DISEASE: Input = flag(
    "vascular_disease",
    "vascular disease: infarction, peripheral artery disease or aortic plaque",
);

/// Stroke, transient ischaemic attack or systemic thromboembolism.
pub const THROMBOEMBOLISM: Input = flag(
    "thromboembolism",
    "stroke, transient ischaemic attack or systemic thromboembolism",
);

/// Stroke or transient ischaemic attack.
pub const STROKE_TIA: Input = flag("stroke_tia", "stroke or transient ischaemic attack");

/// Current smoker.
pub const SMOKER: Input = flag("smoker", "current smoker");

/// Chronic obstructive pulmonary disease.
pub const COPD: Input = flag("copd", "chronic obstructive pulmonary disease");

/// Treated with insulin.
pub const INSULIN: Input = flag("insulin", "treated with insulin");

/// Treated with a beta-blocker.
pub const BETA_BLOCKER: Input = flag("beta_blocker", "treated with a beta-blocker");

/// Treated with an ACE inhibitor or angiotensin receptor blocker.
pub const ACE_INHIBITOR: Input = flag(
    "ace_inhibitor_or_arb",
    "treated with an ACE inhibitor or angiotensin receptor blocker",
);

/// Intraperitoneal, intrathoracic or suprainguinal vascular surgery.
pub const HIGH_RISK_SURGERY: Input = flag(
    "high_risk_surgery",
    "intraperitoneal, intrathoracic or suprainguinal vascular surgery",
);

/// All of these.
pub(super) const ALL: &[&Input] = &[
    &DIABETES,
    &HEART_FAILURE,
    &HEART_FAILURE_18_MONTHS,
    &NYHA,
    &HYPERTENSION,
    &TWO_ANTIHYPERTENSIVES,
    &ATRIAL_FIBRILLATION,
    &ISCHAEMIC_HEART_DISEASE,
    &VASCULAR_DISEASE,
    &THROMBOEMBOLISM,
    &STROKE_TIA,
    &SMOKER,
    &COPD,
    &INSULIN,
    &BETA_BLOCKER,
    &ACE_INHIBITOR,
    &HIGH_RISK_SURGERY,
];
