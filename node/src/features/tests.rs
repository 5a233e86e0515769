use super::*;

fn heart() -> Twin {
    Twin::of_organ("heart").unwrap()
}

fn read_as(name: &str, text: &str) -> Result<(Ingest, Vec<Known>), ReadError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    let paths = files(&[file])?.expect("no feature file");
    assess(&paths, &heart(), &Pseudonyms::new([7; 32]), None)
}

fn csv(text: &str) -> (Ingest, Vec<Known>) {
    read_as("patients.csv", text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_row_is_read_by_the_dictionary_with_units_words_and_gaps() {
    let (ingest, known) = csv(
        "patient,age_years,sex,cholesterol_mmol_l,exercise_angina,chest_pain_type,resting_pressure_mmhg\n\
         a,63,male,6.0,true,Typical angina,145\n\
         b,50,female,,no,\"non-anginal\",\n",
    );
    assert_eq!(
        (ingest.accepted, ingest.refused, ingest.malformed_lines),
        (2, 0, 0)
    );
    let first = &known[0].inputs;
    assert_eq!(first.get("age_years"), Some(63.0));
    assert_eq!(first.get("sex"), Some(1.0));
    assert_eq!(first.get("cholesterol_mg_dl"), Some(6.0 * 38.67));
    assert_eq!(first.get("exercise_angina"), Some(1.0));
    assert_eq!(first.get("chest_pain_type"), Some(0.0));
    let second = &known[1].inputs;
    assert_eq!(second.get("cholesterol_mg_dl"), None);
    assert_eq!(second.get("chest_pain_type"), Some(2.0));
    assert_eq!(
        ingest.patients[1].absent,
        ["cholesterol_mg_dl", "resting_pressure_mmhg"]
    );
    assert_ne!(known[0].pseudonym, known[1].pseudonym);
    assert!(!format!("{ingest:?}").contains("uci"));
}

#[test]
fn ndjson_says_the_same_as_csv() {
    let (from_csv, one) =
        csv("patient,age_years,sex,exercise_angina\na,63,male,\nb,50,female,false\n");
    let (from_json, other) = read_as(
        "patients.ndjson",
        "{\"patient\":\"a\",\"age_years\":63,\"sex\":\"male\",\"exercise_angina\":null}\n\n\
         {\"patient\":\"b\",\"age_years\":50.0,\"sex\":\"female\",\"exercise_angina\":false}\n",
    )
    .unwrap();
    assert_eq!(from_csv, from_json);
    for (a, b) in one.iter().zip(&other) {
        assert_eq!((&a.pseudonym, &a.inputs), (&b.pseudonym, &b.inputs));
    }
}

#[test]
fn what_is_wrong_with_a_patient_refuses_that_patient_and_names_the_quantity() {
    let (ingest, known) = csv(
        "patient,age_years,sex,exercise_angina,peak_heart_rate_bpm\n\
         a,630,male,true,150\nb,63,other,true,150\nc,63,male,maybe,150\nd,63,male,true,fast\ne,63,male,true,inf\n\
         f,63,male,true,150\nf,63,male,true,150\n",
    );
    assert_eq!((known.len(), ingest.accepted, ingest.refused), (1, 1, 6));
    let about = |row: usize| {
        let reason = &ingest.patients[row].reasons[0];
        (reason.code, reason.feature.clone().unwrap_or_default())
    };
    let impossible = FindingCode::ValueImpossible;
    assert_eq!(about(0), (impossible, "age_years".into()));
    assert_eq!(about(1), (impossible, "sex".into()));
    assert_eq!(about(2), (impossible, "exercise_angina".into()));
    assert_eq!(about(3), (impossible, "peak_heart_rate_bpm".into()));
    assert_eq!(about(4), (impossible, "peak_heart_rate_bpm".into()));
    assert_eq!(about(6).0, FindingCode::Duplicate);
}

#[test]
fn a_line_that_is_none_is_counted_and_not_repeated() {
    let (ingest, known) = csv(
        "patient,age_years\na,63\nb\nSecretname,1,2\n\"open,5\n,70\n\"quo\"\"ted\",64\n\"x\"y,3\n",
    );
    assert_eq!((known.len(), ingest.malformed_lines), (2, 5));
    let lines: Vec<usize> = ingest.line_problems.iter().map(|p| p.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 8]);
    assert!(!format!("{:?}", ingest.line_problems).contains("Secretname"));
    let (ingest, known) = read_as("p.ndjson", "{\"patient\":\"a\"}\n[1]\n{\"patient\":\n").unwrap();
    assert_eq!((known.len(), ingest.malformed_lines), (1, 2));
}

#[test]
fn a_header_that_cannot_be_meant_is_one_clear_error() {
    for (text, word) in [
        ("age_years\n63\n", "patient"),
        ("patient,age\na,63\n", "'age'"),
        ("patient,age_years,age_years\na,63,63\n", "twice"),
        ("patient,creatinine\na,1\n", "unit"),
    ] {
        let error = read_as("p.csv", text).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
    let error = read_as("p.ndjson", "{\"patient\":\"a\",\"shoe\":3}\n");
    assert!(matches!(error.map(|_| ()), Err(ReadError::Column { .. })));
}

#[test]
fn the_same_quantity_in_two_units_refuses_the_patient_unless_one_is_empty() {
    let (ingest, known) =
        csv("patient,cholesterol_mg_dl,cholesterol_mmol_l\na,200,5\nb,200,\nc,,5\nd,,\n");
    assert_eq!((known.len(), ingest.refused), (3, 1));
    assert_eq!(ingest.patients[0].reasons[0].code, FindingCode::Duplicate);
    assert!(ingest.patients[2].absent.is_empty());
    assert!(
        ingest.patients[3]
            .absent
            .contains(&"cholesterol_mg_dl".to_owned())
    );
}

#[test]
fn fhir_and_feature_files_are_told_apart_and_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let fhir = at(
        "Patient.ndjson",
        "{\"resourceType\":\"Patient\",\"id\":\"p\"}\n",
    );
    let features = at("features.csv", "patient,age_years\na,63\n");
    assert!(files(std::slice::from_ref(&fhir)).unwrap().is_none());
    assert_eq!(
        files(std::slice::from_ref(&features))
            .unwrap()
            .unwrap()
            .len(),
        1
    );
    assert!(matches!(files(&[fhir, features]), Err(ReadError::Mixed)));
    assert!(matches!(
        files(&[folder.path().to_owned()]),
        Err(ReadError::Mixed)
    ));
    assert!(matches!(
        files(&[folder.path().join("absent.csv")]).and_then(|files| {
            assess(&files.unwrap(), &heart(), &Pseudonyms::new([0; 32]), None).map(|_| ())
        }),
        Err(ReadError::Io { .. })
    ));
}

#[test]
fn every_patient_of_the_heart_disease_data_is_accepted() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/data/heart-disease");
    let mut counts = Vec::new();
    for hospital in 1..=4 {
        let paths = [data.join(format!("hospital-{hospital}"))];
        let (ingest, prepared) = crate::twins::prepare(
            "heart",
            &paths,
            &crate::fhir::Policy::default(),
            &Pseudonyms::new([0; 32]),
            None,
        )
        .unwrap();
        assert_eq!((ingest.refused, ingest.malformed_lines), (0, 0));
        assert_eq!(ingest.warning_counts().len(), 0, "{ingest:?}");
        counts.push(prepared.len());
    }
    assert_eq!(counts, [304, 293, 123, 200]);
}
