//! `organtwin params`: what a committee costs and how safe it is, from formulas, before anything is made.

use std::process::ExitCode;

use clap::Args;
use organtwin_threshold::budget::{LEAST_STATISTICAL_BITS, OpeningBudget, STATISTICAL_BITS};
use organtwin_threshold::decrypt::flooding_width;
use organtwin_threshold::noise::{NoiseConstants, log2_deviation};
use organtwin_threshold::{Committee, Family, ParameterSet, Passive, Security};
use serde::Serialize;

use super::failure::Failure;
use super::output::{Output, lines};

/// A bootstrap must not fail more often than this, log2.
const LOG2_BOUND: f64 = -128.0;
/// Levels that the library's own operations reach.
const LEVELS: u32 = 5;

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
}

#[derive(Serialize)]
struct ParamsView {
    parameters: &'static str,
    parties: u8,
    threshold: u8,
    security: Security,
    pieces: usize,
    key_bits: KeyBits,
    groups: GroupCounts,
    noise: NoiseView,
    log2_failure_by_noise_level: Vec<f64>,
    max_noise_level: u32,
    flooding: Flooding,
}

#[derive(Serialize)]
struct KeyBits {
    lwe: usize,
    glwe: usize,
    squashing: usize,
}

#[derive(Serialize)]
struct GroupCounts {
    linear: usize,
    quadratic: usize,
    live: usize,
}

/// Standard deviations as log2 on the torus of 2^64; the squashed block on that of 2^128.
#[derive(Serialize)]
struct NoiseView {
    key_terms: usize,
    input_terms: usize,
    log2_keyswitch: f64,
    log2_modulus_switch: f64,
    log2_bootstrap: f64,
    log2_input: f64,
    log2_squashed: f64,
}

#[derive(Serialize)]
struct Flooding {
    log2_width: f64,
    statistical_bits: u32,
    openings: u64,
    openings_at_least_bits: u64,
    least_bits: u32,
}

pub(super) fn run(args: &ParamsArgs) -> Result<ExitCode, Failure> {
    let passive = if args.allow_passive { Passive::Allow } else { Passive::Refuse };
    let committee = Committee::new(args.parties, args.threshold, passive)
        .map_err(|error| Failure::Usage(format!("{error}; --allow-passive accepts n <= 3t")))?;
    let set = ParameterSet::production().map_err(|error| Failure::Environment(error.to_string()))?;
    let view = view(&committee, &set);
    args.output.show("organtwin.params/1", &view, || text(&view));
    Ok(ExitCode::SUCCESS)
}

fn view(committee: &Committee, set: &ParameterSet) -> ParamsView {
    let groups = GroupCounts {
        linear: committee.family(Family::Lin).len(),
        quadratic: committee.family(Family::Quad).len(),
        live: committee.family(Family::Live).len(),
    };
    let noise = NoiseConstants::new(set.compute(), &set.squashing_parameters(), groups.linear, groups.live);
    let budget = |bits| OpeningBudget::new(committee, &noise, bits).limit();
    ParamsView {
        parameters: set.id(),
        parties: committee.n(),
        threshold: committee.t(),
        security: committee.security(),
        pieces: committee.pieces().len(),
        key_bits: KeyBits { lwe: set.lwe_size(), glwe: set.glwe_size(), squashing: set.squashing_size() },
        noise: NoiseView {
            key_terms: noise.key_terms,
            input_terms: noise.input_terms,
            log2_keyswitch: log2_deviation(noise.keyswitch, 64),
            log2_modulus_switch: log2_deviation(noise.modulus_switch, 64),
            log2_bootstrap: log2_deviation(noise.bootstrap, 64),
            log2_input: log2_deviation(noise.input, 64),
            log2_squashed: log2_deviation(noise.squashed, 128),
        },
        log2_failure_by_noise_level: (1..=LEVELS).map(|level| noise.log2_failure(level)).collect(),
        max_noise_level: noise.max_level(LOG2_BOUND, LEVELS),
        flooding: Flooding {
            log2_width: (flooding_width(committee) as f64).log2(),
            statistical_bits: STATISTICAL_BITS,
            openings: budget(STATISTICAL_BITS),
            openings_at_least_bits: budget(LEAST_STATISTICAL_BITS),
            least_bits: LEAST_STATISTICAL_BITS,
        },
        groups,
    }
}

fn text(view: &ParamsView) -> String {
    let security = match view.security {
        Security::Active => "active",
        Security::Passive => "passive",
    };
    let mut rows = vec![
        ("parameters", view.parameters.to_owned()),
        ("committee", format!("n = {}, t = {}, {security} security", view.parties, view.threshold)),
        ("pieces", format!("{}, each held by {}", view.pieces, view.parties - view.threshold)),
        ("key bits", format!("{} LWE, {} GLWE, {} squashing", view.key_bits.lwe, view.key_bits.glwe, view.key_bits.squashing)),
        ("groups", format!("{} linear, {} quadratic, {} live", view.groups.linear, view.groups.quadratic, view.groups.live)),
        ("noise terms", format!("{} a key row, {} an input slot", view.noise.key_terms, view.noise.input_terms)),
        (
            "deviations",
            format!(
                "keyswitch 2^{:.2}, modulus switch 2^{:.2}, bootstrap 2^{:.2}, input 2^{:.2} of 2^64; squashed 2^{:.2} of 2^128",
                view.noise.log2_keyswitch,
                view.noise.log2_modulus_switch,
                view.noise.log2_bootstrap,
                view.noise.log2_input,
                view.noise.log2_squashed
            ),
        ),
    ];
    for (level, log2) in (1..).zip(&view.log2_failure_by_noise_level) {
        let mark = if level == view.max_noise_level { "  <- the highest that is planned with" } else { "" };
        rows.push(("failure", format!("2^{log2:.2} a bootstrap at noise level {level}{mark}")));
    }
    let flooding = &view.flooding;
    rows.push(("flooding", format!("width 2^{:.2}", flooding.log2_width)));
    rows.push(("openings", format!("{} blocks over the key's life at {} bits", flooding.openings, flooding.statistical_bits)));
    rows.push(("", format!("{} blocks at {} bits", flooding.openings_at_least_bits, flooding.least_bits)));
    lines(rows)
}
