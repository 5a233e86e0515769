//! From a patient's files to the weights of a twin, for every organ.

use std::path::PathBuf;

use organtwin_protocol::digest::Digest;
use organtwin_simulations::catalogue::Values;
use organtwin_simulations::twin::Twin;
use organtwin_simulations::{Features, Schema, Weights, encode};

use crate::features;
use crate::fhir::{
    self, Bulk, Feature, Finding, FindingCode, Ingest, Policy, Pseudonyms, ReadError, Source,
};

/// A reported filtration rate that differs by more than this share from the computed one is remarked.
const CROSS_CHECK_SHARE: f64 = 0.3;
/// The axis of the filtration rate.
const EGFR: &str = "egfr_ml_min_1_73m2";

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

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There are no twins of that organ.
    #[error("there are no twins of the organ '{given}'; expected {}", organs().join(", "))]
    Organ {
        /// The organ asked for.
        given: String,
    },
    /// The files.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The organs that have twins.
#[must_use]
pub fn organs() -> Vec<&'static str> {
    Twin::all().iter().map(|twin| twin.organ).collect()
}

/// The schema of an organ's twins.
#[must_use]
pub fn schema(organ: &str) -> Option<Schema> {
    Twin::of_organ(organ).map(|twin| twin.schema())
}

/// The schemas that this version encodes, by their digest.
pub(crate) fn schemas() -> Vec<(Digest, Schema)> {
    Twin::all()
        .iter()
        .map(Twin::schema)
        .map(|schema| (Digest::new(schema.digest()), schema))
        .collect()
}

/// Reads feature files or FHIR bulk files and encodes every patient that can be.
///
/// The report says what became of each; with a `limit`, only the first patients that are accepted are taken.
///
/// # Errors
/// An organ without twins, and files that cannot be read at all. A patient or a line that is wrong is in the report instead.
pub fn prepare(
    organ: &str,
    paths: &[PathBuf],
    policy: &Policy,
    pseudonyms: &Pseudonyms,
    limit: Option<usize>,
) -> Result<(Ingest, Vec<Prepared>), PrepareError> {
    let twin = Twin::of_organ(organ).ok_or_else(|| PrepareError::Organ {
        given: organ.chars().take(40).collect(),
    })?;
    if let Some(files) = features::files(paths)? {
        let (mut ingest, known) = features::assess(&files, &twin, pseudonyms, limit)?;
        let mut prepared = Vec::with_capacity(known.len());
        let schema = twin.schema();
        for one in known {
            let (mut features, warnings) = features_of(&twin, &one.inputs);
            features.extend(one.axes);
            take(
                &mut ingest,
                &mut prepared,
                &schema,
                (one.index, one.pseudonym),
                (features, warnings),
            );
        }
        return Ok((ingest, prepared));
    }
    let bulk = Bulk::read(paths, &fhir::Limits::default())?;
    let (mut ingest, candidates) = fhir::assess(&bulk, policy, pseudonyms, limit);
    let mut prepared = Vec::with_capacity(candidates.len());
    let schema = twin.schema();
    for candidate in candidates {
        let found = features_of_source(&twin, &candidate.source);
        take(
            &mut ingest,
            &mut prepared,
            &schema,
            (candidate.index, candidate.pseudonym),
            found,
        );
    }
    Ok((ingest, prepared))
}

/// Encodes one patient, or notes in the report why not.
fn take(
    ingest: &mut Ingest,
    prepared: &mut Vec<Prepared>,
    schema: &Schema,
    (index, pseudonym): (usize, String),
    (features, warnings): (Features, Vec<Finding>),
) {
    for warning in warnings {
        ingest.warn(index, warning);
    }
    match encode(schema, &features) {
        Ok(weights) => prepared.push(Prepared {
            pseudonym,
            features,
            weights,
        }),
        Err(error) => {
            ingest.refuse(
                index,
                Finding::new(FindingCode::ValueImpossible, None, error.to_string()),
            );
        }
    }
}

/// The features of a twin: what was measured, and what is a public formula of one patient's own data.
///
/// A value beyond its axis is stored at the axis' end, with a warning.
fn features_of(twin: &Twin, inputs: &Values) -> (Features, Vec<Finding>) {
    let mut warnings = Vec::new();
    let features = twin.features(inputs);
    for (name, stored) in &features {
        let computed = twin
            .feature(name)
            .and_then(|feature| (feature.derive)(inputs));
        if let (Some(value), Some(stored)) = (computed, stored)
            && value != *stored
        {
            let detail =
                format!("{value:.1} lies beyond the axis and was stored at its end, {stored}");
            warnings.push(Finding::new(FindingCode::AxisEnd, Some(name), detail));
        }
    }
    (features, warnings)
}

/// The features of a FHIR patient. What the laboratory reported as a filtration rate is only compared.
fn features_of_source(twin: &Twin, source: &Source) -> (Features, Vec<Finding>) {
    let mut inputs = Values::default();
    for (feature, value) in &source.values {
        if *feature != Feature::ReportedEgfr {
            inputs.set(feature.name(), *value);
        }
    }
    inputs.set("age_years", f64::from(source.age_years));
    inputs.set("sex", source.sex.category());
    let (features, mut warnings) = features_of(twin, &inputs);
    let computed = twin
        .feature(EGFR)
        .and_then(|feature| (feature.derive)(&inputs));
    if let (Some(egfr), Some(reported)) = (computed, source.values.get(&Feature::ReportedEgfr))
        && (reported - egfr).abs() > CROSS_CHECK_SHARE * egfr
    {
        let detail = format!(
            "the laboratory reported {reported:.0}, CKD-EPI 2021 gives {egfr:.0}; the latter is used"
        );
        warnings.push(Finding::new(FindingCode::CrossCheck, Some(EGFR), detail));
    }
    (features, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use organtwin_simulations::catalogue::input::Sex;

    fn kidney() -> Twin {
        Twin::of_organ("kidney").unwrap()
    }

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
            let (ingest, prepared) = prepare(
                "kidney",
                &paths,
                &Policy::default(),
                &Pseudonyms::new([0; 32]),
                None,
            )
            .unwrap();
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
            "kidney",
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
        let (features, warnings) =
            features_of_source(&kidney(), &source(Sex::Male, 1.10, 78.0, 61));
        assert!((features["crcl_ml_min"].unwrap() - 77.803).abs() < 5e-4);
        assert!((features["egfr_ml_min_1_73m2"].unwrap() - 76.374).abs() < 5e-4);
        assert_eq!(
            features["uacr_mg_g"], None,
            "what was not measured is missing, not zero"
        );
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_clearance_beyond_its_axis_is_stored_at_the_end_and_remarked() {
        let (features, warnings) =
            features_of_source(&kidney(), &source(Sex::Male, 0.4, 120.0, 25));
        assert_eq!(
            features["crcl_ml_min"],
            Some(kidney().schema().axis("crcl_ml_min").unwrap().hi)
        );
        assert_eq!(features["crcl_goti_ml_min"], Some(150.0));
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].code, FindingCode::AxisEnd);
    }
}
