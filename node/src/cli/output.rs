//! What commands print: a table or sentences for people, one object for programs.

use std::io::{IsTerminal, Write};

use clap::Args;
use serde::Serialize;
use serde_json::Value;

/// How a command prints.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Output {
    /// Print one JSON object with a schema version instead of text
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Prints an object with its schema beside the view's own fields.
    pub(crate) fn object(self, schema: &str, view: &impl Serialize) {
        let mut object = serde_json::Map::new();
        object.insert("schema".into(), schema.into());
        match serde_json::to_value(view) {
            Ok(Value::Object(fields)) => {
                object.extend(fields.into_iter().filter(|(name, _)| name != "schema"));
            }
            Ok(value) => drop(object.insert("value".into(), value)),
            Err(_) => {}
        }
        say(&Value::Object(object).to_string());
    }

    /// Prints the object with `--json`, and otherwise what `text` makes.
    pub(crate) fn show(self, schema: &str, view: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            self.object(schema, view);
        } else {
            say(text().trim_end());
        }
    }
}

/// A line on standard output. A reader that went away is no reason to fail.
pub(crate) fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// A line on standard error.
pub(crate) fn complain(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "organtwin: {line}");
}

/// A table with a header.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    }
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// Names and values, one a line.
pub(crate) fn lines(rows: Vec<(&str, String)>) -> String {
    rows.into_iter()
        .map(|(name, value)| format!("{name:14}{value}\n"))
        .collect()
}

/// A progress bar on a terminal, and nothing elsewhere.
pub(crate) fn bar(output: Output) -> indicatif::ProgressBar {
    if output.json || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(0);
    if let Ok(style) =
        indicatif::ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} {eta}")
    {
        bar.set_style(style);
    }
    bar
}

/// The first digits of a digest, enough to name it.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    let value = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}
