//! `organtwin params`: what a committee costs and how safe it is, from formulas, before anything is made.

mod all;

use std::process::ExitCode;

use clap::Args;
use organtwin_threshold::forecast::{Forecast, forecast};
use organtwin_threshold::{Committee, ParameterSet, Passive, Security};

use super::failure::Failure;
use super::output::{self, Output, bytes, lines};

#[derive(Args)]
pub(super) struct ParamsArgs {
    #[command(flatten)]
    pub(super) output: Output,
    /// n: hospitals
    #[arg(long, default_value_t = 4)]
    parties: u8,
    /// t: how many of them may be corrupt
    #[arg(long, default_value_t = 1)]
    threshold: u8,
    /// Accept n <= 3t: secure against passive cheaters only
    #[arg(long)]
    allow_passive: bool,
    /// All committees that are offered instead of one
    #[arg(long, conflicts_with_all = ["parties", "threshold", "allow_passive"])]
    all: bool,
    /// The tables of docs/parameters.md, of all committees
    #[arg(long, conflicts_with_all = ["parties", "threshold", "allow_passive", "all", "json"])]
    markdown: bool,
}

pub(super) fn run(args: &ParamsArgs) -> Result<ExitCode, Failure> {
    let set =
        ParameterSet::production().map_err(|error| Failure::Environment(error.to_string()))?;
    if args.markdown || args.all {
        let all: Vec<Forecast> = all::committees()
            .map(|committee| forecast(&committee, &set))
            .collect();
        if args.markdown {
            output::say(all::markdown(&all).trim_end());
        } else {
            args.output
                .show("organtwin.params-of-all/1", &all::All::new(&all), || {
                    all::text(&all)
                });
        }
        return Ok(ExitCode::SUCCESS);
    }
    let passive = if args.allow_passive {
        Passive::Allow
    } else {
        Passive::Refuse
    };
    let committee = Committee::new(args.parties, args.threshold, passive)
        .map_err(|error| Failure::Usage(format!("{error}; --allow-passive accepts n <= 3t")))?;
    let forecast = forecast(&committee, &set);
    args.output
        .show("organtwin.params/1", &forecast, || text(&forecast));
    Ok(ExitCode::SUCCESS)
}

fn text(forecast: &Forecast) -> String {
    let security = match forecast.security {
        Security::Active => "active",
        Security::Passive => "passive",
    };
    let (groups, deviations) = (&forecast.groups, &forecast.deviations);
    let sent = &forecast.bytes_sent_per_party;
    let mut rows = vec![
        ("parameters", forecast.parameters.clone()),
        (
            "committee",
            format!(
                "n = {}, t = {}, {security} security",
                forecast.parties, forecast.threshold
            ),
        ),
        (
            "pieces",
            format!(
                "{} of every secret, {} at each party",
                forecast.pieces, forecast.pieces_per_party
            ),
        ),
        (
            "groups",
            format!(
                "{} linear, {} quadratic, {} live",
                groups.linear, groups.quadratic, groups.live
            ),
        ),
        (
            "ceremony",
            format!(
                "{} sent by a party: bits {}, products {}, rows {}",
                bytes(sent.total),
                bytes(sent.bits),
                bytes(sent.products),
                bytes(sent.rows)
            ),
        ),
        (
            "deviations",
            format!(
                "switch 2^{:.2}, bootstrap 2^{:.2}, input 2^{:.2} of 2^64; squashed 2^{:.2} of 2^128",
                deviations.switch, deviations.bootstrap, deviations.input, deviations.squashed
            ),
        ),
    ];
    for level in &forecast.noise_levels {
        let mark = if level.level == forecast.max_noise_level {
            "; the highest that is planned with"
        } else {
            ""
        };
        rows.push((
            "failure",
            format!(
                "2^{:.2} a bootstrap at noise level {}{mark}",
                level.log2_failure, level.level
            ),
        ));
    }
    rows.push((
        "flooding",
        format!("width 2^{:.2}", forecast.flooding_width_log2),
    ));
    for limit in &forecast.openings {
        rows.push((
            "openings",
            format!(
                "{} blocks over the key's life at {} bits",
                limit.blocks, limit.bits
            ),
        ));
    }
    lines(rows)
}
