//! One patient: which readings are taken, and whether they are enough.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_simulations::catalogue::input::Sex;

use super::bulk::{Measured, Reading, Record, Unusable};
use super::codes::Feature;
use super::report::{Finding, FindingCode};
use super::time;

/// Ages, in completed years, for which the kidney formulas hold.
const ADULT_YEARS: std::ops::RangeInclusive<i32> = 18..=115;

/// What an ingest asks beyond the rules of the format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Days from the reference date beyond which a feature counts as missing; a feature that is not named
    /// has no bound, and its gap is reported.
    pub windows: BTreeMap<Feature, u32>,
}

/// The source features of one patient, in the clear. Never leaves the hospital.
#[derive(Clone, PartialEq)]
pub struct Source {
    /// Administrative gender.
    pub sex: Sex,
    /// Completed years at the reference date.
    pub age_years: u8,
    /// Measured values, each in its feature's own unit.
    pub values: BTreeMap<Feature, f64>,
}

/// What became of one patient: the source features or the reasons for a refusal, and the warnings.
pub(super) struct Assessment {
    pub source: Result<Source, Vec<Finding>>,
    pub warnings: Vec<Finding>,
}

/// Judges one patient's record. The reference date is that of the newest usable creatinine.
pub(super) fn judge(record: &Record, policy: &Policy) -> Assessment {
    let mut warnings = Vec::new();
    let mut reasons = Vec::new();
    if record.contradictory {
        reasons.push(Finding::new(
            FindingCode::Duplicate,
            None,
            "the patient is given twice with different data",
        ));
    } else if record.repeated {
        warnings.push(Finding::new(
            FindingCode::Duplicate,
            None,
            "the patient is given twice with the same data",
        ));
    }

    let readings = without_copies(&record.readings, &mut warnings);
    let reference = newest(&readings, Feature::Creatinine);
    let mut values = BTreeMap::new();
    for feature in Feature::ALL {
        let unusable = unusable(&readings, feature);
        let taken = newest(&readings, feature).filter(|taken| match &reference {
            Some(reference) => within_window(feature, taken, reference, policy, &mut warnings),
            None => true,
        });
        match taken {
            Some(taken) => {
                warnings.extend(unusable);
                warnings.extend(taken.warnings(feature));
                values.insert(feature, taken.value);
            }
            None if feature.required() => {
                if unusable.is_empty() {
                    reasons.push(Finding::of(
                        FindingCode::FeatureMissing,
                        feature,
                        "there is no usable value",
                    ));
                }
                reasons.extend(unusable);
            }
            None => warnings.extend(unusable),
        }
    }

    let sex = record.gender.as_deref().and_then(sex_of);
    if sex.is_none() {
        let detail = "the formulas need the gender female or male";
        reasons.push(Finding::new(FindingCode::SexUnknown, None, detail));
    }
    let age = age(record, reference.as_ref(), &mut warnings, &mut reasons);
    let source = match (sex, age) {
        (Some(sex), Some(age_years)) if reasons.is_empty() => Ok(Source {
            sex,
            age_years,
            values,
        }),
        _ => Err(reasons),
    };
    Assessment { source, warnings }
}

/// The two administrative genders that the formulas know, by their FHIR code.
fn sex_of(gender: &str) -> Option<Sex> {
    match gender {
        "female" => Some(Sex::Female),
        "male" => Some(Sex::Male),
        _ => None,
    }
}

fn age(
    record: &Record,
    reference: Option<&Taken>,
    warnings: &mut Vec<Finding>,
    reasons: &mut Vec<Finding>,
) -> Option<u8> {
    let Some((birth, exact)) = record.birth_date.as_deref().and_then(time::birth) else {
        reasons.push(Finding::new(
            FindingCode::BirthDateMissing,
            None,
            "expected YYYY, YYYY-MM or YYYY-MM-DD",
        ));
        return None;
    };
    // Without a creatinine the patient is refused already.
    let years = time::completed_years(birth, reference?.day);
    if !ADULT_YEARS.contains(&years) {
        let detail = format!(
            "expected {} to {} years at the newest creatinine, got {years}",
            ADULT_YEARS.start(),
            ADULT_YEARS.end()
        );
        reasons.push(Finding::new(FindingCode::AgeOutOfRange, None, detail));
        return None;
    }
    if !exact {
        let detail =
            "the birth date is not given to the day; the middle of what is known was taken";
        warnings.push(Finding::new(FindingCode::BirthDateCoarse, None, detail));
    }
    u8::try_from(years).ok()
}

/// The newest value of a feature.
struct Taken {
    day: jiff::civil::Date,
    value: f64,
    censored: bool,
    of: usize,
}

impl Taken {
    fn warnings(&self, feature: Feature) -> Vec<Finding> {
        let mut warnings = Vec::new();
        if self.censored {
            let detail = "the value is given as a bound (< or >) and was taken at it";
            warnings.push(Finding::of(FindingCode::Censored, feature, detail));
        }
        if self.of > 1 {
            let detail = format!(
                "{} values of the same time; their median was taken",
                self.of
            );
            warnings.push(Finding::of(FindingCode::SeveralAtOnce, feature, detail));
        }
        warnings
    }
}

fn newest(readings: &[&Reading], feature: Feature) -> Option<Taken> {
    let usable = || {
        let ours = readings
            .iter()
            .filter(move |reading| reading.feature == feature);
        ours.filter_map(|reading| reading.content.as_ref().ok())
    };
    let last = usable().max_by_key(|measured| measured.at)?;
    let mut same: Vec<&Measured> = usable()
        .filter(|other| other.at.instant == last.at.instant)
        .collect();
    same.sort_by(|a, b| a.value.total_cmp(&b.value));
    let middle = |index: usize| {
        same.get(index)
            .map_or(last.value, |measured| measured.value)
    };
    let value = f64::midpoint(middle((same.len() - 1) / 2), middle(same.len() / 2));
    Some(Taken {
        day: last.at.day,
        value,
        censored: same.iter().any(|one| one.censored),
        of: same.len(),
    })
}

fn within_window(
    feature: Feature,
    taken: &Taken,
    reference: &Taken,
    policy: &Policy,
    warnings: &mut Vec<Finding>,
) -> bool {
    let gap = time::gap_days(reference.day, taken.day);
    if let Some(window) = policy.windows.get(&feature).filter(|window| gap > **window) {
        let detail = format!(
            "{gap} days from the creatinine, the study's window is {window}; counted as missing"
        );
        warnings.push(Finding::of(FindingCode::OutsideWindow, feature, detail));
        return false;
    }
    if gap > feature.usual_window_days() {
        let detail = format!("{gap} days from the creatinine");
        warnings.push(Finding::of(FindingCode::Gap, feature, detail));
    }
    true
}

fn without_copies<'a>(readings: &'a [Reading], warnings: &mut Vec<Finding>) -> Vec<&'a Reading> {
    let mut seen: BTreeMap<[u8; 32], &Reading> = BTreeMap::new();
    let mut contradicted = BTreeSet::new();
    for reading in readings {
        let Some(identity) = reading.identity else {
            continue;
        };
        let first = *seen.entry(identity).or_insert(reading);
        if std::ptr::eq(first, reading) {
            continue;
        }
        if first == reading {
            let detail = "the same observation is given twice; it was counted once";
            warnings.push(Finding::of(FindingCode::Duplicate, reading.feature, detail));
        } else {
            contradicted.insert(identity);
            let detail = "one observation is given twice with different data; neither was used";
            warnings.push(Finding::of(FindingCode::Duplicate, reading.feature, detail));
        }
    }
    let keep = |reading: &&Reading| match reading.identity {
        None => true,
        Some(identity) => {
            !contradicted.contains(&identity)
                && seen
                    .get(&identity)
                    .is_some_and(|first| std::ptr::eq(*first, *reading))
        }
    };
    readings.iter().filter(keep).collect()
}

fn unusable(readings: &[&Reading], feature: Feature) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for reading in readings.iter().filter(|reading| reading.feature == feature) {
        let Err(why) = &reading.content else { continue };
        let finding = match why {
            Unusable::Status(status) => {
                let detail =
                    format!("the status is {status}; expected final, amended or corrected");
                Finding::of(FindingCode::StatusRefused, feature, detail)
            }
            Unusable::NoUnit => {
                let detail = format!("there is no UCUM code; expected {}", feature.unit_list());
                Finding::of(FindingCode::UnitMissing, feature, detail)
            }
            Unusable::WrongUnit(unit) => {
                let detail = format!("the unit is {unit}; expected {}", feature.unit_list());
                Finding::of(FindingCode::UnitWrong, feature, detail)
            }
            Unusable::NoValue => Finding::of(
                FindingCode::ValueMissing,
                feature,
                "there is an observation without a value",
            ),
            Unusable::NoDate => Finding::of(
                FindingCode::DateMissing,
                feature,
                "expected an effective date of at least a day",
            ),
            Unusable::Impossible(value) => {
                let (lowest, highest) = feature.plausible();
                let detail = format!("{value:.4} is impossible; expected {lowest} to {highest}");
                Finding::of(FindingCode::ValueImpossible, feature, detail)
            }
            Unusable::Ambiguous => Finding::of(
                FindingCode::AmbiguousCode,
                feature,
                "its LOINC codes mean different features",
            ),
        };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}
