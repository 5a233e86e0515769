//! The parameters of every committee that is offered, as one table.

use organtwin_threshold::forecast::Forecast;
use organtwin_threshold::{Committee, Passive, Security};
use serde::Serialize;

use crate::cli::output::table;

/// Largest committee that is offered.
const MOST: u8 = 12;

/// Every (n, t) with 2t + 1 <= n <= 12, t >= 1.
pub(super) fn committees() -> impl Iterator<Item = Committee> {
    (3..=MOST)
        .flat_map(|n| (1..=(n - 1) / 2).map(move |t| (n, t)))
        .filter_map(|(n, t)| Committee::new(n, t, Passive::Allow).ok())
}

#[derive(Serialize)]
pub(super) struct All<'a> {
    committees: &'a [Forecast],
}

impl<'a> All<'a> {
    pub(super) fn new(committees: &'a [Forecast]) -> Self {
        Self { committees }
    }
}

const HEADS: [&str; 12] = [
    "n",
    "t",
    "security",
    "pieces",
    "groups lin/quad/live",
    "sent each, MB",
    "squashed 2^",
    "width 2^",
    "level",
    "fails 2^",
    "45 bits",
    "40 bits",
];

fn row(forecast: &Forecast) -> Vec<String> {
    let security = match forecast.security {
        Security::Active => "active",
        Security::Passive => "passive",
    };
    let groups = &forecast.groups;
    let level = forecast.max_noise_level;
    let failure = forecast
        .noise_levels
        .iter()
        .find(|known| known.level == level);
    let openings = |bits| {
        let limit = forecast.openings.iter().find(|limit| limit.bits == bits);
        limit.map_or_else(String::new, |limit| limit.blocks.to_string())
    };
    #[expect(clippy::cast_precision_loss, reason = "printed with one decimal")]
    let megabytes = forecast.bytes_sent_per_party.total as f64 / 1e6;
    vec![
        forecast.parties.to_string(),
        forecast.threshold.to_string(),
        security.into(),
        format!("{} ({})", forecast.pieces, forecast.pieces_per_party),
        format!("{}/{}/{}", groups.linear, groups.quadratic, groups.live),
        format!("{megabytes:.1}"),
        format!("{:.2}", forecast.deviations.squashed),
        format!("{:.2}", forecast.flooding_width_log2),
        level.to_string(),
        failure.map_or_else(String::new, |known| format!("{:.2}", known.log2_failure)),
        openings(45),
        openings(40),
    ]
}

pub(super) fn text(all: &[Forecast]) -> String {
    table(&HEADS, all.iter().map(row))
}

fn rows(heads: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(heads);
    text += &line(&vec!["---:".to_owned(); heads.len()]);
    rows.for_each(|cells| text += &line(&cells));
    text
}

/// The tables of docs/parameters.md: committees, then how the failure probability grows with the noise level.
pub(super) fn markdown(all: &[Forecast]) -> String {
    let heads = HEADS.map(str::to_owned);
    let mut text = rows(&heads, all.iter().map(row));
    text += "\n";
    // The growth depends on the number of linear groups only.
    let mut groups: Vec<&Forecast> = Vec::new();
    for forecast in all {
        if groups
            .iter()
            .all(|one| one.groups.linear != forecast.groups.linear)
        {
            groups.push(forecast);
        }
    }
    groups.sort_by_key(|forecast| forecast.groups.linear);
    let levels = groups.first().map_or(0, |one| one.noise_levels.len());
    let mut heads = vec![
        "linear groups".to_owned(),
        "switch 2^".into(),
        "bootstrap 2^".into(),
    ];
    heads.extend((1..=levels).map(|level| format!("level {level}")));
    text += &rows(
        &heads,
        groups.into_iter().map(|forecast| {
            let deviations = &forecast.deviations;
            let mut cells = vec![
                forecast.groups.linear.to_string(),
                format!("{:.2}", deviations.switch),
                format!("{:.2}", deviations.bootstrap),
            ];
            let failures = forecast.noise_levels.iter();
            cells.extend(failures.map(|known| format!("2^{:.2}", known.log2_failure)));
            cells
        }),
    );
    text
}
