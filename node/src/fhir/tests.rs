use organtwin_simulations::catalogue::input::Sex;

use super::*;

const BORN_1960: &str = r#"{"resourceType":"Patient","id":"p","gender":"female","birthDate":"1960-06-15","name":[{"family":"Secretname"}]}"#;

fn observation(id: &str, loinc: &str, value: &str, date: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{loinc}"}}]}},"subject":{{"reference":"Patient/p"}},"effectiveDateTime":"{date}","valueQuantity":{value}}}"#
    )
}

fn quantity(value: f64, unit: &str) -> String {
    format!(
        r#"{{"value":{value},"system":"http://unitsofmeasure.org","code":"{unit}","unit":"{unit}"}}"#
    )
}

fn creatinine() -> String {
    observation("c", "2160-0", &quantity(1.1, "mg/dL"), "2021-06-14")
}

fn weight() -> String {
    observation("w", "29463-7", &quantity(78.0, "kg"), "2021-06-14")
}

fn assess_lines(lines: &[String], policy: &Policy) -> (Ingest, Vec<Candidate>) {
    let bulk = Bulk::read_from(lines.join("\n").as_bytes(), &Limits::default()).unwrap();
    assess(&bulk, policy, &Pseudonyms::new([7; 32]), None)
}

fn run(lines: &[String]) -> (PatientReport, Option<Source>) {
    let (ingest, candidates) = assess_lines(lines, &Policy::default());
    (
        ingest.patients[0].clone(),
        candidates
            .into_iter()
            .next()
            .map(|candidate| candidate.source),
    )
}

fn codes(findings: &[Finding]) -> Vec<FindingCode> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_complete_patient_is_accepted_with_the_age_at_the_creatinine() {
    let (report, source) = run(&[BORN_1960.into(), creatinine(), weight()]);
    assert_eq!(report.outcome, Outcome::Accepted, "{report:?}");
    let source = source.unwrap();
    assert_eq!(
        (source.age_years, source.sex),
        (60, Sex::Female),
        "one day before the 61st birthday"
    );
    assert_eq!(source.values[&Feature::Creatinine], 1.1);
    assert!(report.absent.contains(&"height_cm".to_owned()));
}

#[test]
fn other_units_are_converted_by_their_ucum_code() {
    let umol = observation("c", "38483-4", &quantity(97.24, "umol/L"), "2021-06-14");
    let pounds = observation("w", "29463-7", &quantity(100.0, "[lb_av]"), "2021-06-14");
    let (_, source) = run(&[BORN_1960.into(), umol, pounds]);
    let source = source.unwrap();
    assert!((source.values[&Feature::Creatinine] - 1.1).abs() < 1e-12);
    assert!((source.values[&Feature::Weight] - 45.359_237).abs() < 1e-9);
}

#[test]
fn a_missing_or_wrong_unit_refuses_the_patient_and_says_so() {
    let no_code = observation(
        "c",
        "2160-0",
        r#"{"value":1.1,"unit":"mg/dL"}"#,
        "2021-06-14",
    );
    let (report, _) = run(&[BORN_1960.into(), no_code, weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::UnitMissing]);
    let wrong = observation("c", "2160-0", &quantity(1.1, "g/dL"), "2021-06-14");
    let (report, source) = run(&[BORN_1960.into(), wrong, weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::UnitWrong]);
    assert!(
        report.reasons[0].detail.contains("g/dL") && report.reasons[0].detail.contains("umol/L")
    );
    assert!(source.is_none());
}

#[test]
fn an_impossible_value_is_not_taken_and_an_older_sound_one_is() {
    let impossible = observation("c2", "2160-0", &quantity(110.0, "mg/dL"), "2021-07-01");
    let (report, _) = run(&[BORN_1960.into(), impossible.clone(), weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::ValueImpossible]);
    let (report, source) = run(&[BORN_1960.into(), impossible, creatinine(), weight()]);
    assert_eq!(codes(&report.warnings), [FindingCode::ValueImpossible]);
    assert_eq!(source.unwrap().values[&Feature::Creatinine], 1.1);
}

#[test]
fn preliminary_and_wrong_entries_are_never_used() {
    for status in [
        "preliminary",
        "entered-in-error",
        "registered",
        "cancelled",
        "unknown",
    ] {
        let line = creatinine().replace("\"final\"", &format!("\"{status}\""));
        let (report, source) = run(&[BORN_1960.into(), line, weight()]);
        assert_eq!(
            codes(&report.reasons),
            [FindingCode::StatusRefused],
            "{status}"
        );
        assert!(report.reasons[0].detail.contains(status));
        assert!(source.is_none());
    }
    for status in ["amended", "corrected"] {
        let line = creatinine().replace("\"final\"", &format!("\"{status}\""));
        assert!(
            run(&[BORN_1960.into(), line, weight()]).1.is_some(),
            "{status}"
        );
    }
}

#[test]
fn a_missing_required_feature_refuses_the_patient() {
    let (report, _) = run(&[BORN_1960.into(), creatinine()]);
    assert_eq!(codes(&report.reasons), [FindingCode::FeatureMissing]);
    assert_eq!(report.reasons[0].feature.as_deref(), Some("weight_kg"));
    let absent = creatinine().replace(
        "\"valueQuantity\"",
        "\"dataAbsentReason\":{},\"valueQuantity\"",
    );
    let (report, _) = run(&[BORN_1960.into(), absent, weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::ValueMissing]);
}

#[test]
fn the_same_resource_twice_counts_once_and_a_contradiction_counts_not_at_all() {
    let (report, source) = run(&[
        BORN_1960.into(),
        BORN_1960.into(),
        creatinine(),
        creatinine(),
        weight(),
    ]);
    assert!(source.is_some());
    assert_eq!(
        codes(&report.warnings),
        [FindingCode::Duplicate, FindingCode::Duplicate]
    );
    let other = observation("c", "2160-0", &quantity(2.0, "mg/dL"), "2021-06-14");
    let (report, source) = run(&[BORN_1960.into(), creatinine(), other, weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::FeatureMissing]);
    assert!(source.is_none());
    let (report, _) = run(&[
        BORN_1960.into(),
        BORN_1960.replace("female", "male"),
        creatinine(),
        weight(),
    ]);
    assert_eq!(codes(&report.reasons), [FindingCode::Duplicate]);
}

#[test]
fn several_values_of_one_instant_give_their_median_and_a_warning() {
    let more =
        |id: &str, value: f64| observation(id, "2160-0", &quantity(value, "mg/dL"), "2021-06-14");
    let (report, source) = run(&[
        BORN_1960.into(),
        creatinine(),
        more("d", 3.0),
        more("e", 1.3),
        weight(),
    ]);
    assert_eq!(source.unwrap().values[&Feature::Creatinine], 1.3);
    assert_eq!(codes(&report.warnings), [FindingCode::SeveralAtOnce]);
}

#[test]
fn a_comparator_gives_the_bound_and_a_warning() {
    let value =
        r#"{"value":0.2,"comparator":"<","system":"http://unitsofmeasure.org","code":"mg/dL"}"#;
    let (report, source) = run(&[
        BORN_1960.into(),
        observation("c", "2160-0", value, "2021-06-14"),
        weight(),
    ]);
    assert_eq!(source.unwrap().values[&Feature::Creatinine], 0.2);
    assert_eq!(codes(&report.warnings), [FindingCode::Censored]);
}

#[test]
fn the_latest_value_wins_and_its_gap_to_the_creatinine_is_reported() {
    let old = observation(
        "w0",
        "29463-7",
        &quantity(60.0, "kg"),
        "2019-01-01T10:00:00+00:00",
    );
    let newer = observation(
        "w1",
        "29463-7",
        &quantity(64.0, "kg"),
        "2020-06-14T10:00:00+00:00",
    );
    let lines = [BORN_1960.into(), creatinine(), old, newer];
    let (report, source) = run(&lines);
    assert_eq!(source.unwrap().values[&Feature::Weight], 64.0);
    assert_eq!(codes(&report.warnings), [FindingCode::Gap]);
    assert!(report.warnings[0].detail.starts_with("365 days"));

    let policy = Policy {
        windows: [(Feature::Weight, 30)].into(),
    };
    let (ingest, candidates) = assess_lines(&lines, &policy);
    assert!(
        candidates.is_empty(),
        "outside the study's window it counts as missing"
    );
    assert_eq!(
        codes(&ingest.patients[0].reasons),
        [FindingCode::FeatureMissing]
    );
    assert_eq!(
        codes(&ingest.patients[0].warnings),
        [FindingCode::OutsideWindow]
    );
}

#[test]
fn display_texts_and_other_code_systems_mean_nothing() {
    let local = creatinine().replace("http://loinc.org", "http://hospital.example/codes");
    let (report, _) = run(&[BORN_1960.into(), local, weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::FeatureMissing]);
}

#[test]
fn children_and_unknown_sexes_are_refused() {
    let (report, _) = run(&[BORN_1960.replace("1960", "2005"), creatinine(), weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::AgeOutOfRange]);
    let (report, _) = run(&[BORN_1960.replace("female", "other"), creatinine(), weight()]);
    assert_eq!(codes(&report.reasons), [FindingCode::SexUnknown]);
    let (report, _) = run(&[
        BORN_1960.replace("birthDate", "born"),
        creatinine(),
        weight(),
    ]);
    assert_eq!(codes(&report.reasons), [FindingCode::BirthDateMissing]);
}

#[test]
fn one_bad_line_or_patient_does_not_stop_the_others() {
    let second = BORN_1960.replace("\"id\":\"p\"", "\"id\":\"q\"");
    let lines = [
        second,
        "{\"resourceType\":\"Patient\",\"id\":\"Secretname".into(),
        BORN_1960.into(),
        creatinine(),
        weight(),
    ];
    let (ingest, candidates) = assess_lines(&lines, &Policy::default());
    assert_eq!(
        (ingest.accepted, ingest.refused, ingest.malformed_lines),
        (1, 1, 1)
    );
    assert_eq!(candidates[0].index, 1);
    assert_eq!(
        (ingest.line_problems[0].file, ingest.line_problems[0].line),
        (1, 2)
    );
}

#[test]
fn an_observation_of_an_unknown_patient_is_counted() {
    let stray = creatinine().replace("Patient/p", "Patient/stranger");
    let (ingest, _) = assess_lines(
        &[BORN_1960.into(), creatinine(), weight(), stray],
        &Policy::default(),
    );
    assert_eq!(ingest.orphan_observations, 1);
}

#[test]
fn a_line_beyond_the_limit_is_skipped_and_the_next_is_read() {
    let long = format!(
        r#"{{"resourceType":"Patient","id":"{}"}}"#,
        "x".repeat(4000)
    );
    let limits = Limits {
        line_bytes: 1000,
        ..Limits::default()
    };
    let text = [long, BORN_1960.into(), creatinine(), weight()].join("\n");
    let bulk = Bulk::read_from(text.as_bytes(), &limits).unwrap();
    assert_eq!(bulk.problem_count, 1);
    let (ingest, _) = assess(&bulk, &Policy::default(), &Pseudonyms::new([0; 32]), None);
    assert_eq!(ingest.accepted, 1);
}

#[test]
fn too_many_patients_are_refused_as_a_whole() {
    let limits = Limits {
        patients: 1,
        ..Limits::default()
    };
    let text = [BORN_1960.to_owned(), BORN_1960.replace("\"p\"", "\"q\"")].join("\n");
    assert!(matches!(
        Bulk::read_from(text.as_bytes(), &limits),
        Err(ReadError::TooMany { .. })
    ));
}

#[test]
fn the_report_holds_no_identifier_name_or_date() {
    let broken =
        format!("{BORN_1960}\n{{\"resourceType\":\"Patient\",\"id\":7,\"x\":\"Secretname\"}}");
    let wrong = observation(
        "c",
        "2160-0",
        &quantity(1.1, "mg/dL").replace("mg/dL", "Secretname Secretname x y"),
        "2021-06-14",
    );
    let (ingest, _) = assess_lines(&[broken, wrong, weight()], &Policy::default());
    let text = serde_json::to_string(&ingest).unwrap();
    for secret in ["Patient/p", "1960-06-15", "2021-06-14", "\"p\""] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn pseudonyms_depend_on_the_hospitals_key() {
    let lines = [BORN_1960.to_owned(), creatinine(), weight()];
    let bulk = Bulk::read_from(lines.join("\n").as_bytes(), &Limits::default()).unwrap();
    let pseudonym = |key| {
        assess(&bulk, &Policy::default(), &Pseudonyms::new(key), None).1[0]
            .pseudonym
            .clone()
    };
    assert_eq!(pseudonym([1; 32]), pseudonym([1; 32]));
    assert_ne!(pseudonym([1; 32]), pseudonym([2; 32]));
}
