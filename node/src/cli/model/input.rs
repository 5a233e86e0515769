//! Reading what a user gives for a model: one flat JSON object.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use organtwin_simulations::catalogue::Given;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::cli::failure::{Failure, read_file};

/// A patient's inputs are far smaller.
const MAX_INPUT: u64 = 64 * 1024;

/// Reads the object from a file, or from standard input if the path is `-`.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Given>, Failure> {
    let standard = path == Path::new("-");
    let bytes = if standard {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(MAX_INPUT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::Environment(format!("standard input: {error}")))?;
        if bytes.len() as u64 > MAX_INPUT {
            return Err(Failure::Usage(format!(
                "standard input is larger than {MAX_INPUT} bytes"
            )));
        }
        bytes
    } else {
        read_file(path, MAX_INPUT)?
    };
    parse(&bytes).map_err(|what| {
        let name = if standard {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        Failure::Usage(format!("{name}: {what}"))
    })
}

/// The keys and values of a flat object.
fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Given>, String> {
    let Flat(object) = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    object
        .into_iter()
        .map(|(key, value)| {
            let given = given(&key, value)?;
            Ok((key, given))
        })
        .collect()
}

fn given(key: &str, value: Value) -> Result<Given, String> {
    match value {
        Value::Bool(flag) => Ok(Given::Flag(flag)),
        Value::Number(number) => number
            .as_f64()
            .map(Given::Number)
            .ok_or_else(|| format!("{key} is {number}: expected a number that fits 64 bits")),
        Value::String(text) => Ok(Given::Text(text)),
        Value::Array(list) => list
            .iter()
            .map(Value::as_f64)
            .collect::<Option<_>>()
            .map(Given::List)
            .ok_or_else(|| format!("{key} is a list with something other than numbers")),
        Value::Null => Err(format!(
            "{key} is null: leave the key out if the value is not known"
        )),
        Value::Object(_) => Err(format!(
            "{key} is an object: expected a number, true or false, a name, or a list of numbers"
        )),
    }
}

/// An object whose keys are all different.
struct Flat(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Flat;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object of inputs, such as {\"age_years\": 61}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flat, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("{key} is given twice")));
            }
            object.insert(key, value);
        }
        Ok(Flat(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let read = parse(
            br#"{"age_years": 61, "diabetes": true, "sex": "female", "dose_times_h": [0, 12.5]}"#,
        )
        .unwrap();
        assert_eq!(read["age_years"], Given::Number(61.0));
        assert_eq!(read["diabetes"], Given::Flag(true));
        assert_eq!(read["sex"], Given::Text("female".into()));
        assert_eq!(read["dose_times_h"], Given::List(vec![0.0, 12.5]));
    }

    #[test]
    fn what_is_no_flat_object_is_refused_with_its_key() {
        for (text, word) in [
            ("", "EOF"),
            ("[1]", "one object of inputs"),
            ("3", "one object of inputs"),
            ("{\"a\": 1", "EOF"),
            ("{\"a\": 1} x", "trailing"),
            ("{\"age_years\": null}", "age_years is null"),
            ("{\"age_years\": {\"v\": 1}}", "age_years is an object"),
            ("{\"age_years\": [1, \"x\"]}", "age_years is a list"),
            (
                "{\"age_years\": 1, \"age_years\": 2}",
                "age_years is given twice",
            ),
            ("{\"age_years\": 1e999}", "out of range"),
            ("{\"age_years\": NaN}", "expected value"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
