//! Model files that a study names: read, imported, and put into the study in their place.
//!
//! A study on paper says `additive = { file = "model.json", organ = "heart" }`. What is proposed, hashed and approved is the
//! model itself, so everybody sees what is computed.

use std::collections::BTreeMap;
use std::path::Path;

use organtwin_simulations::additive::import::{Target, import};
use serde::Deserialize;

/// A model file as a study names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    /// The file, relative to the study.
    file: String,
    /// The twin that the model reads.
    organ: String,
    /// The model's name; the file's if absent.
    #[serde(default)]
    name: Option<String>,
    /// What it gives.
    #[serde(default)]
    output: Option<String>,
    /// The axes of features that are called otherwise in the file.
    #[serde(default)]
    features: BTreeMap<String, String>,
}

/// Replaces a model file in the table of a study (`[study]` of a study file) by the model.
///
/// `load` reads a file by its path as the study writes it. A study without a model file is left as it is.
pub(crate) fn resolve(
    study: &mut toml::Table,
    load: impl Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<(), String> {
    let Some(value) = study.get("additive") else {
        return Ok(());
    };
    let is_file = value
        .as_table()
        .is_some_and(|table| table.contains_key("file"));
    if !is_file {
        return match value {
            toml::Value::Table(_) => Ok(()),
            _ => Err(
                "additive: expected a model, or { file = \"model.json\", organ = \"heart\" }"
                    .into(),
            ),
        };
    }
    let named: Named = value
        .clone()
        .try_into()
        .map_err(|error| format!("additive: {error}"))?;
    let schema = crate::twins::schema(&named.organ).ok_or_else(|| {
        let organs = crate::twins::organs().join(", ");
        format!("additive.organ: expected one of {organs}")
    })?;
    let stem = Path::new(&named.file)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("model");
    let bytes = load(&named.file)?;
    let target = Target {
        name: named.name.as_deref().unwrap_or(stem),
        output: named.output.as_deref().unwrap_or("risk"),
        schema: &schema,
        names: &named.features,
    };
    let model =
        import(&bytes, &target).map_err(|error| format!("additive, {}: {error}", named.file))?;
    let model = toml::Value::try_from(&model).map_err(|error| format!("additive: {error}"))?;
    study.insert("additive".into(), model);
    Ok(())
}

/// Reads a model file beside a study.
pub(crate) fn beside(base: &Path) -> impl Fn(&str) -> Result<Vec<u8>, String> {
    let base = base.to_owned();
    move |file: &str| {
        use std::io::Read;
        let path = base.join(file);
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        let limit = organtwin_simulations::additive::import::LARGEST_FILE as u64 + 1;
        let mut bytes = Vec::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(wrong)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use organtwin_simulations::additive::AdditiveModel;
    use std::path::PathBuf;

    fn scenarios() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
    }

    #[test]
    fn a_named_file_becomes_the_model_and_a_model_stays() {
        let text =
            "k = 5\n[additive]\nfile = \"data/heart-disease/model.json\"\norgan = \"heart\"\n";
        let mut study: toml::Table = text.parse().unwrap();
        resolve(&mut study, beside(&scenarios())).unwrap();
        let model: AdditiveModel = study["additive"].clone().try_into().unwrap();
        assert_eq!(
            (model.name.as_str(), model.organ.as_str()),
            ("model", "heart")
        );
        assert_eq!(model.terms.len(), 10);
        let before = study.clone();
        resolve(&mut study, |_| panic!("nothing is to be read")).unwrap();
        assert_eq!(study, before);
        let written = toml::to_string(&study).unwrap();
        assert_eq!(written.parse::<toml::Table>().unwrap(), before);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_one_clear_error() {
        for (additive, word) in [
            ("\"model.json\"", "file ="),
            (
                "{ file = \"absent.json\", organ = \"heart\" }",
                "absent.json",
            ),
            (
                "{ file = \"data/heart-disease/model.json\", organ = \"spleen\" }",
                "kidney",
            ),
            (
                "{ file = \"data/heart-disease/model.json\", organ = \"liver\" }",
                "no axis",
            ),
            ("{ file = \"data/heart-disease/model.json\" }", "organ"),
            (
                "{ file = \"vancomycin.toml\", organ = \"heart\" }",
                "line 1",
            ),
        ] {
            let mut study: toml::Table = format!("additive = {additive}").parse().unwrap();
            let error = resolve(&mut study, beside(&scenarios())).unwrap_err();
            assert!(error.contains(word), "{additive}: {error}");
        }
    }
}
