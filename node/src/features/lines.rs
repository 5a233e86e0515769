//! Lines of CSV (RFC 4180, without line breaks inside fields) and of NDJSON, bounded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::fhir::ReadError;

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Ndjson,
}

impl Format {
    /// By the ending of the name.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// Whether the first line of an NDJSON file is a FHIR resource. What is no JSON is left to the reader of FHIR files.
pub(super) fn is_fhir(path: &Path) -> Result<bool, ReadError> {
    let io = |source| ReadError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut first = Vec::new();
    let file = File::open(path).map_err(io)?;
    BufReader::new(file)
        .take(1 << 20)
        .read_until(b'\n', &mut first)
        .map_err(io)?;
    let object: Option<BTreeMap<String, Value>> = serde_json::from_slice(&first).ok();
    Ok(object.is_none_or(|object| object.contains_key("resourceType")))
}

/// One line.
pub(super) enum Line {
    /// The names of the columns.
    Header(Vec<String>),
    /// The values by column.
    Fields(BTreeMap<String, Value>),
    /// A line that is none; its content is not repeated, since it may identify a patient.
    Problem(String),
}

/// The lines of one file.
pub(super) struct Lines<R> {
    reader: R,
    format: Format,
    bound: usize,
    number: usize,
    columns: Option<Vec<String>>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, format: Format, bound: usize) -> Self {
        Self {
            reader,
            format,
            bound,
            number: 0,
            columns: None,
        }
    }

    /// The next line that is not blank, with its number from 1.
    pub(super) fn next(&mut self) -> Option<(usize, std::io::Result<Line>)> {
        loop {
            self.number += 1;
            let mut line = Vec::new();
            let limit = self.bound as u64 + 1;
            match self
                .reader
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut line)
            {
                Err(error) => return Some((self.number, Err(error))),
                Ok(0) => return None,
                Ok(_) => {}
            }
            if line.len() > self.bound && !line.ends_with(b"\n") {
                if let Err(error) = self.skip() {
                    return Some((self.number, Err(error)));
                }
                let problem = format!("longer than {} bytes", self.bound);
                return Some((self.number, Ok(Line::Problem(problem))));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Some((self.number, Ok(self.line(&line))));
        }
    }

    fn skip(&mut self) -> std::io::Result<()> {
        let mut rest = Vec::new();
        loop {
            rest.clear();
            let read = self
                .reader
                .by_ref()
                .take(1 << 16)
                .read_until(b'\n', &mut rest)?;
            if read == 0 || rest.ends_with(b"\n") {
                return Ok(());
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Line {
        match self.format {
            Format::Ndjson => match serde_json::from_slice(line) {
                Ok(fields) => Line::Fields(fields),
                Err(_) => {
                    Line::Problem("expected one JSON object with a value per quantity".into())
                }
            },
            Format::Csv => {
                let Ok(text) = std::str::from_utf8(line) else {
                    return Line::Problem("not UTF-8".into());
                };
                let text = text
                    .trim_start_matches('\u{feff}')
                    .trim_end_matches(['\r', '\n']);
                let Some(fields) = fields(text) else {
                    return Line::Problem("a quotation mark that is not closed".into());
                };
                match &self.columns {
                    None => {
                        let names: Vec<String> =
                            fields.iter().map(|name| name.trim().to_owned()).collect();
                        self.columns = Some(names.clone());
                        Line::Header(names)
                    }
                    Some(columns) if columns.len() != fields.len() => Line::Problem(format!(
                        "expected {} fields, got {}",
                        columns.len(),
                        fields.len()
                    )),
                    Some(columns) => Line::Fields(
                        columns
                            .iter()
                            .cloned()
                            .zip(fields.into_iter().map(Value::String))
                            .collect(),
                    ),
                }
            }
        }
    }
}

/// The fields of a CSV line; `None` if a quotation is not closed or followed by more text.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        let mut field = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next()? {
                    '"' if characters.next_if_eq(&'"').is_some() => field.push('"'),
                    '"' => break,
                    other => field.push(other),
                }
            }
        } else {
            while let Some(other) = characters.next_if(|c| *c != ',') {
                field.push(other);
            }
        }
        fields.push(field);
        match characters.next() {
            None => return Some(fields),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}
