//! Kidney twins: from a patient's source features to the weights of a twin.

use std::path::PathBuf;

use organtwin_simulations::kidney::{Sex, cockcroft_gault, crcl_goti, egfr_ckd_epi_2021};
use organtwin_simulations::{Features, Schema, Weights, encode};

use crate::fhir::{
    self, Bulk, Feature, Finding, FindingCode, Ingest, Policy, Pseudonyms, ReadError, Source,
};

/// A reported filtration rate that differs by more than this share from the computed one is remarked.
const CROSS_CHECK_SHARE: f64 = 0.3;

/// An accepted patient, ready for a deposit.
#[derive(Clone)]
pub struct Prepared {
    /// The hospital's pseudonym for the patient.
    pub pseudonym: String,
    /// The features by name, in the clear.
    pub features: Features,
    /// The weights of every slot.
    pub weights: Weights,
}

/// Reads bulk files and encodes every patient that can be.
///
/// The report says what became of each; with a `limit`, only the first patients that are accepted are taken.
///
/// # Errors
/// Files that cannot be read at all. A patient or a line that is wrong is in the report instead.
pub fn prepare(
    paths: &[PathBuf],
    policy: &Policy,
    pseudonyms: &Pseudonyms,
    limit: Option<usize>,
) -> Result<(Ingest, Vec<Prepared>), ReadError> {
    let bulk = Bulk::read(paths, &fhir::Limits::default())?;
    let (mut ingest, candidates) = fhir::assess(&bulk, policy, pseudonyms, limit);
    let schema = Schema::kidney();
    let mut prepared = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let (features, warnings) = features(&schema, &candidate.source);
        for warning in warnings {
            ingest.warn(candidate.index, warning);
        }
        match encode(&schema, &features) {
            Ok(weights) => prepared.push(Prepared {
                pseudonym: candidate.pseudonym,
                features,
                weights,
            }),
            Err(error) => {
                ingest.refuse(
                    candidate.index,
                    Finding::new(FindingCode::ValueImpossible, None, error.to_string()),
                );
            }
        }
    }
    Ok((ingest, prepared))
}

/// The features of the kidney schema: what was measured, and what is a public formula of one patient's own data.
///
/// A computed value beyond its axis is stored at the axis' end, with a warning.
pub fn features(schema: &Schema, source: &Source) -> (Features, Vec<Finding>) {
    let mut features = Features::new();
    let mut warnings = Vec::new();
    for axis in schema.axes() {
        features.insert(axis.name.clone(), None);
    }
    let mut set = |name: &str, value: f64| {
        if let Some(slot) = features.get_mut(name) {
            *slot = Some(value);
        }
    };
    for (feature, value) in &source.values {
        set(feature.name(), *value);
    }
    let age = f64::from(source.age_years);
    set("age_years", age);
    set("sex", source.sex.category());

    let measured = |feature: Feature| source.values.get(&feature).copied();
    if let (Some(creatinine), Some(weight)) =
        (measured(Feature::Creatinine), measured(Feature::Weight))
    {
        let egfr = egfr_ckd_epi_2021(creatinine, age, source.sex);
        let computed = [
            (
                "crcl_ml_min",
                cockcroft_gault(creatinine, age, weight, source.sex),
            ),
            (
                "crcl_goti_ml_min",
                crcl_goti(creatinine, age, weight, source.sex),
            ),
            ("egfr_ml_min_1_73m2", egfr),
        ];
        for (name, value) in computed {
            let stored = match schema.axis(name) {
                Some(axis) => value.clamp(axis.lo, axis.hi),
                None => value,
            };
            if stored != value {
                let detail =
                    format!("{value:.1} lies beyond the axis and was stored at its end, {stored}");
                warnings.push(Finding::new(FindingCode::AxisEnd, Some(name), detail));
            }
            set(name, stored);
        }
        if let Some(reported) = measured(Feature::ReportedEgfr)
            && (reported - egfr).abs() > CROSS_CHECK_SHARE * egfr
        {
            let detail = format!(
                "the laboratory reported {reported:.0}, CKD-EPI 2021 gives {egfr:.0}; the latter is used"
            );
            warnings.push(Finding::new(
                FindingCode::CrossCheck,
                Some("egfr_ml_min_1_73m2"),
                detail,
            ));
        }
    }
    (features, warnings)
}

/// The two administrative genders that the formulas know, by their FHIR code.
pub(crate) fn sex(gender: &str) -> Option<Sex> {
    match gender {
        "female" => Some(Sex::Female),
        "male" => Some(Sex::Male),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/data/synthea")
    }

    fn source(sex: Sex, creatinine: f64, weight: f64, age_years: u8) -> Source {
        let values = [(Feature::Creatinine, creatinine), (Feature::Weight, weight)].into();
        Source {
            sex,
            age_years,
            values,
        }
    }

    #[test]
    fn all_adults_of_the_demo_are_accepted_and_encoded() {
        let mut twins = 0;
        for hospital in 1..=4 {
            let paths = [data().join(format!("hospital-{hospital}"))];
            let (ingest, prepared) =
                prepare(&paths, &Policy::default(), &Pseudonyms::new([0; 32]), None).unwrap();
            let refused: Vec<_> = ingest
                .patients
                .iter()
                .filter(|patient| !patient.reasons.is_empty())
                .collect();
            assert_eq!(refused.len(), 0, "{refused:?}");
            assert_eq!((ingest.malformed_lines, ingest.orphan_observations), (0, 0));
            assert_eq!(ingest.accepted, prepared.len());
            twins += prepared.len();
        }
        assert_eq!(twins, 243);
    }

    #[test]
    fn a_limit_takes_the_first_accepted_patients() {
        let paths = [data().join("hospital-1")];
        let (ingest, prepared) = prepare(
            &paths,
            &Policy::default(),
            &Pseudonyms::new([0; 32]),
            Some(15),
        )
        .unwrap();
        assert_eq!((ingest.accepted, prepared.len()), (15, 15));
    }

    #[test]
    fn clearances_are_computed_at_the_source_by_the_worked_examples() {
        let (features, warnings) = features(&Schema::kidney(), &source(Sex::Male, 1.10, 78.0, 61));
        assert!((features["crcl_ml_min"].unwrap() - 77.803).abs() < 5e-4);
        assert!((features["egfr_ml_min_1_73m2"].unwrap() - 76.374).abs() < 5e-4);
        assert_eq!(
            features["sodium_mmol_l"], None,
            "what was not measured is missing, not zero"
        );
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_clearance_beyond_its_axis_is_stored_at_the_end_and_remarked() {
        let (features, warnings) = features(&Schema::kidney(), &source(Sex::Male, 0.4, 120.0, 25));
        assert_eq!(
            features["crcl_ml_min"],
            Some(Schema::kidney().axis("crcl_ml_min").unwrap().hi)
        );
        assert_eq!(features["crcl_goti_ml_min"], Some(150.0));
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].code, FindingCode::AxisEnd);
    }
}
