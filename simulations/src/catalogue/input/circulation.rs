//! The heart and the circulation: measurements.

use super::{Input, number};

/// Heart rate.
pub const HEART_RATE: Input = number("heart_rate_min", "/min", "heart rate", 15.0, 300.0);

/// Systolic blood pressure.
pub const SYSTOLIC_PRESSURE: Input =
    number("sbp_mmhg", "mm[Hg]", "systolic blood pressure", 30.0, 300.0);

/// Left ventricular ejection fraction.
pub const EJECTION_FRACTION: Input = number(
    "ejection_fraction_percent",
    "%",
    "left ventricular ejection fraction",
    3.0,
    90.0,
);

/// Left ventricular end-diastolic volume.
pub const END_DIASTOLIC_VOLUME: Input = number(
    "end_diastolic_volume_ml",
    "mL",
    "left ventricular end-diastolic volume",
    10.0,
    800.0,
);

/// Left ventricular end-systolic volume.
pub const END_SYSTOLIC_VOLUME: Input = number(
    "end_systolic_volume_ml",
    "mL",
    "left ventricular end-systolic volume",
    2.0,
    700.0,
);

/// Stroke volume.
pub const STROKE_VOLUME: Input = number("stroke_volume_ml", "mL", "stroke volume", 5.0, 300.0);

/// Ratio of early filling to annular velocity, E/e'.
pub const E_OVER_E_PRIME: Input = number(
    "e_over_e_prime",
    "1",
    "ratio of early filling to annular velocity, E/e'",
    1.0,
    60.0,
);

/// Pulmonary artery systolic pressure.
pub const PULMONARY_PRESSURE: Input = number(
    "pasp_mmhg",
    "mm[Hg]",
    "pulmonary artery systolic pressure",
    5.0,
    150.0,
);

/// QT interval.
pub const QT: Input = number("qt_ms", "ms", "QT interval", 150.0, 900.0);

/// QT prolongation expected from drugs started since the recording.
pub const DRUG_QT_PROLONGATION: Input = number(
    "drug_qt_prolongation_ms",
    "ms",
    "QT prolongation expected from drugs started since the recording",
    0.0,
    120.0,
);

/// Cardiac output.
pub const CARDIAC_OUTPUT: Input =
    number("cardiac_output_l_min", "L/min", "cardiac output", 0.5, 25.0);

/// Systemic vascular resistance.
pub const SYSTEMIC_VASCULAR_RESISTANCE: Input = number(
    "svr_dyn_s_cm5",
    "dyn.s/cm5",
    "systemic vascular resistance",
    100.0,
    6000.0,
);

/// Central venous pressure.
pub const CENTRAL_VENOUS_PRESSURE: Input =
    number("cvp_mmhg", "mm[Hg]", "central venous pressure", -4.0, 40.0);

/// Peripheral resistance.
pub const PERIPHERAL_RESISTANCE: Input = number(
    "peripheral_resistance_mmhg_s_ml",
    "mm[Hg].s/mL",
    "peripheral resistance",
    0.1,
    10.0,
);

/// Arterial compliance.
pub const ARTERIAL_COMPLIANCE: Input = number(
    "arterial_compliance_ml_mmhg",
    "mL/mm[Hg]",
    "arterial compliance",
    0.1,
    10.0,
);

/// All of these.
pub(super) const ALL: &[&Input] = &[
    &HEART_RATE,
    &SYSTOLIC_PRESSURE,
    &EJECTION_FRACTION,
    &END_DIASTOLIC_VOLUME,
    &END_SYSTOLIC_VOLUME,
    &STROKE_VOLUME,
    &E_OVER_E_PRIME,
    &PULMONARY_PRESSURE,
    &QT,
    &DRUG_QT_PROLONGATION,
    &CARDIAC_OUTPUT,
    &SYSTEMIC_VASCULAR_RESISTANCE,
    &CENTRAL_VENOUS_PRESSURE,
    &PERIPHERAL_RESISTANCE,
    &ARTERIAL_COMPLIANCE,
];
