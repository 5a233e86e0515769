//! What a committee's key costs and guarantees, computed before anything runs
//! (docs/spec/decryption.md 6).

use serde::{Deserialize, Serialize};

use crate::budget::{LEAST_STATISTICAL_BITS, OpeningBudget, STATISTICAL_BITS};
use crate::committee::{Committee, Family, Security};
use crate::decrypt::{flooding_width, piece_count};
use crate::keygen::{Stage, vector_bytes};
use crate::noise::{NoiseConstants, log2_deviation};
use crate::params::ParameterSet;

/// The failure probability that a bootstrap must not exceed, as a logarithm.
pub const FAILURE_BOUND_LOG: f64 = -128.0;

/// What `organtwin params` prints for a committee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Name of the parameter set.
    pub parameters: String,
    /// Number of parties.
    pub parties: u8,
    /// Number of parties that may be corrupt.
    pub threshold: u8,
    /// What the committee withstands.
    pub security: Security,
    /// Number of pieces of every secret.
    pub pieces: u64,
    /// Pieces that one party holds.
    pub pieces_per_party: u64,
    /// Number of groups of each family.
    pub groups: GroupCounts,
    /// Bytes that one party sends in the key ceremony, on average over the parties.
    pub bytes_sent_per_party: StageBytes,
    /// Failure probability of a bootstrap per noise level.
    pub noise_levels: Vec<NoiseLevel>,
    /// The highest noise level that stays below 2^-128.
    pub max_noise_level: u32,
    /// Standard deviations as logarithms.
    pub deviations: Deviations,
    /// The width W of a flooding value, as a logarithm.
    pub flooding_width_log2: f64,
    /// Limits on the blocks opened over the life of the key.
    pub openings: Vec<OpeningLimit>,
}

/// Number of groups of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCounts {
    /// For linear openings; also the noise terms in a row of the bootstrapping keys.
    pub linear: usize,
    /// For quadratic openings.
    pub quadratic: usize,
    /// For linear openings under a live key; also the noise terms of a fresh input.
    pub live: usize,
}

/// Bytes sent in each stage of a ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageBytes {
    /// Random bits: key bits and bits of exact noise.
    pub bits: u64,
    /// Products of key bits.
    pub products: u64,
    /// Rows of public key material.
    pub rows: u64,
    /// All stages.
    pub total: u64,
}

/// The failure probability at one noise level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseLevel {
    /// The noise level.
    pub level: u32,
    /// log2 of the failure probability of one bootstrap.
    pub log2_failure: f64,
}

/// Standard deviations, as log2 in units of the last bit of their ring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Deviations {
    /// Keyswitch and centred modulus switch together, in 2^-64.
    pub switch: f64,
    /// Output of a bootstrap, in 2^-64.
    pub bootstrap: f64,
    /// A fresh input slot, in 2^-64.
    pub input: f64,
    /// A squashed block, in 2^-128.
    pub squashed: f64,
}

/// How many blocks may be opened at a statistical security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningLimit {
    /// Statistical security in bits.
    pub bits: u32,
    /// Blocks that may be opened over the life of the public key.
    pub blocks: u64,
}

impl NoiseConstants {
    /// Evaluates the formulas for a committee's key: one noise term per group of the linear family
    /// in the bootstrapping keys, one per live group in an input slot.
    #[must_use]
    pub fn of(committee: &Committee, params: &ParameterSet) -> Self {
        Self::new(
            params.compute(),
            &params.squashing_parameters(),
            committee.family(Family::Lin).len(),
            committee.family(Family::Live).len(),
        )
    }
}

/// Returns the bytes that one party sends in a stage: each group's vector goes to everyone outside
/// the group, and the load is shared by rotation.
fn bytes_sent(committee: &Committee, params: &ParameterSet, stage: Stage) -> u64 {
    let n = usize::from(committee.n());
    let groups = committee.family(stage.family());
    let copies: usize = groups.iter().map(|group| n - group.len()).sum();
    (copies as u64 * vector_bytes(params, stage)).div_ceil(n as u64)
}

/// Computes everything from the formulas.
#[must_use]
pub fn forecast(committee: &Committee, params: &ParameterSet) -> Forecast {
    let noise = NoiseConstants::of(committee, params);
    let [bits, products, rows] = Stage::ALL.map(|stage| bytes_sent(committee, params, stage));
    let pieces = u64::try_from(piece_count(committee)).unwrap_or(u64::MAX);
    let (n, t) = (u64::from(committee.n()), u64::from(committee.t()));
    let limit = u32::try_from(params.compute().max_noise_level.get()).unwrap_or(u32::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a logarithm is taken")]
    let flooding_width_log2 = libm::log2(flooding_width(committee) as f64);
    Forecast {
        parameters: params.id().to_owned(),
        parties: committee.n(),
        threshold: committee.t(),
        security: committee.security(),
        pieces,
        pieces_per_party: pieces * (n - t) / n,
        groups: GroupCounts {
            linear: committee.family(Family::Lin).len(),
            quadratic: committee.family(Family::Quad).len(),
            live: committee.family(Family::Live).len(),
        },
        bytes_sent_per_party: StageBytes {
            bits,
            products,
            rows,
            total: bits + products + rows,
        },
        noise_levels: (1..=limit)
            .map(|level| NoiseLevel {
                level,
                log2_failure: noise.log2_failure(level),
            })
            .collect(),
        max_noise_level: noise.max_level(FAILURE_BOUND_LOG, limit),
        deviations: Deviations {
            switch: log2_deviation(noise.keyswitch + noise.modulus_switch, 64),
            bootstrap: log2_deviation(noise.bootstrap, 64),
            input: log2_deviation(noise.input, 64),
            squashed: log2_deviation(noise.squashed, 128),
        },
        flooding_width_log2,
        openings: [STATISTICAL_BITS, LEAST_STATISTICAL_BITS]
            .map(|bits| OpeningLimit {
                bits,
                blocks: OpeningBudget::new(committee, &noise, bits).limit(),
            })
            .to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committee::Passive;

    fn of(n: u8, t: u8) -> Forecast {
        let committee = Committee::new(n, t, Passive::Allow).unwrap();
        forecast(&committee, &ParameterSet::production().unwrap())
    }

    #[track_caller]
    fn gigabytes(forecast: &Forecast, low: f64, high: f64) {
        let total = forecast.bytes_sent_per_party.total as f64 / 1e9;
        assert!((low..high).contains(&total), "{total} GB");
    }

    #[test]
    fn four_parties_send_less_than_half_a_gigabyte_each() {
        gigabytes(&of(4, 1), 0.40, 0.45);
    }

    #[test]
    fn larger_committees_send_what_their_families_ask_for() {
        gigabytes(&of(7, 2), 1.6, 1.8);
        gigabytes(&of(10, 3), 6.5, 7.5);
    }

    #[test]
    fn the_noise_level_follows_the_number_of_linear_groups() {
        let four = of(4, 1);
        assert_eq!((four.groups.linear, four.max_noise_level), (2, 5));
        assert!((four.noise_levels[4].log2_failure + 128.75).abs() < 0.01);
        let seven = of(7, 2);
        assert_eq!((seven.groups.linear, seven.max_noise_level), (5, 4));
    }

    #[test]
    fn every_supported_committee_may_open_some_blocks_at_a_usable_noise_level() {
        for n in 3..=12 {
            for t in 1..=(n - 1) / 2 {
                let forecast = of(n, t);
                assert!(forecast.max_noise_level >= 1, "({n},{t})");
                assert!(
                    forecast.openings[1].blocks >= 256,
                    "({n},{t}): {forecast:?}"
                );
                assert_eq!(
                    forecast.pieces_per_party,
                    forecast.pieces * u64::from(n - t) / u64::from(n)
                );
            }
        }
    }

    #[test]
    fn a_forecast_survives_json() {
        let text = serde_json::to_string(&of(4, 1)).unwrap();
        assert_eq!(serde_json::from_str::<Forecast>(&text).unwrap(), of(4, 1));
    }
}
