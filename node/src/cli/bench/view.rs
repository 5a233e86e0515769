//! What a benchmark found, as an object and as tables.

use organtwin_simulations::cohorts::{CohortCost, LargePlan};
use organtwin_simulations::measure::{DecisionCost, Efficiency, LinearCost};
use organtwin_simulations::naive::NaiveCost;
use serde::Serialize;

use crate::cli::output::{bytes, table};

/// All that one run measured.
#[derive(Serialize)]
pub(super) struct Bench {
    pub(super) cores: usize,
    pub(super) bootstrap_milliseconds: f64,
    pub(super) decisions: Vec<DecisionCost>,
    pub(super) efficiency: Efficiency,
    pub(super) twin_bytes: u64,
    pub(super) twin_weights: usize,
    pub(super) linear_score: LinearScore,
    pub(super) against: Against,
    pub(super) cohorts: Vec<Cohort>,
    pub(super) large: LargePlan,
    /// What is measured elsewhere, and by which command.
    pub(super) elsewhere: Vec<Elsewhere>,
}

#[derive(Serialize)]
pub(super) struct LinearScore {
    #[serde(flatten)]
    pub(super) cost: LinearCost,
    pub(super) encode_microseconds: f64,
}

/// A cohort that was run, and the largest memory of this process until then.
#[derive(Serialize)]
pub(super) struct Cohort {
    #[serde(flatten)]
    pub(super) cost: CohortCost,
    pub(super) peak_mib: Option<u64>,
}

/// The obvious program beside the study, per patient and arm.
#[derive(Serialize)]
pub(super) struct Against {
    naive: NaiveCost,
    /// Seconds of the study per patient and arm, counting included.
    seconds_per_arm: Option<f64>,
    /// How many times longer the obvious program takes for one patient and one arm.
    ratio: Option<f64>,
    /// The same if five arms share what it computes once per patient.
    ratio_of_five_arms: Option<f64>,
    /// The same if its user solved the inequality on paper.
    ratio_inverted: Option<f64>,
}

#[derive(Clone, Serialize)]
pub(super) struct Elsewhere {
    what: &'static str,
    reach: &'static str,
    command: &'static str,
}

pub(super) const ELSEWHERE: [Elsewhere; 6] = [
    Elsewhere {
        what: "ceremony of four nodes on this machine; bytes sent by a party; memory of a node",
        reach: "60 s; 0.5 GB; 3 GiB",
        command: "organtwin demo --scenario small-cohort --dir DIR --ceremony-only --json",
    },
    Elsewhere {
        what: "the whole study from nothing to an audited result; efficiency of four nodes",
        reach: "6 min; 90 %",
        command: "organtwin demo --json",
    },
    Elsewhere {
        what: "opening over loopback, a whole result and per 16-bit aggregate",
        reach: "10 ms per 16 bits",
        command: "organtwin demo --json (opening)",
    },
    Elsewhere {
        what: "squashing a block; partial decryption and recombination in one process",
        reach: "385 ms; 0.55 ms per 16 bits",
        command: "cargo bench -p organtwin-threshold",
    },
    Elsewhere {
        what: "verifying a transcript of 100,000 statements",
        reach: "10 s",
        command: "organtwin bench --audit 100000",
    },
    Elsewhere {
        what: "bytes that a party sends in a ceremony of n, t",
        reach: "",
        command: "organtwin params --parties N --threshold T",
    },
];

impl Against {
    /// The obvious program beside the largest cohort.
    pub(super) fn new(naive: NaiveCost, ours: Option<&CohortCost>) -> Self {
        let seconds_per_arm = ours.map(|cost| cost.seconds_per_arm);
        let ratio = |seconds: f64| seconds_per_arm.map(|ours| seconds / ours);
        Self {
            seconds_per_arm,
            ratio: ratio(naive.one_arm_seconds),
            ratio_of_five_arms: ratio(naive.per_arm_of_five_seconds),
            ratio_inverted: ratio(naive.inverted_seconds),
            naive,
        }
    }
}

impl Bench {
    /// Everything as tables.
    pub(super) fn text(&self) -> String {
        let elsewhere = self
            .elsewhere
            .iter()
            .map(|other| vec![other.what.into(), other.command.into(), other.reach.into()]);
        [
            table(&["measured by this command", "", "to reach"], self.engine()),
            table(
                &["vancomycin arms, one patient and one arm", "", "to reach"],
                self.against.rows(),
            ),
            table(
                &[
                    "patients",
                    "shards",
                    "seconds",
                    "per patient",
                    "peak memory",
                ],
                self.cohorts.iter().map(Cohort::row),
            ),
            table(&["planned, not run", "", "to reach"], planned(&self.large)),
            table(&["measured elsewhere", "by", "to reach"], elsewhere),
        ]
        .join("\n\n")
    }

    fn engine(&self) -> Vec<Vec<String>> {
        let busy = self.efficiency.efficiency * 100.0;
        let mut rows = vec![
            row(
                "one bootstrap, one core",
                format!("{:.1} ms", self.bootstrap_milliseconds),
                "",
            ),
            row(
                "evaluating shards in one process",
                format!("{busy:.1} % of {} cores", self.efficiency.cores),
                "95 %",
            ),
        ];
        for cost in &self.decisions {
            let reach = if cost.thresholds >= 5 { "3 each" } else { "5" };
            rows.push(row(
                &format!(
                    "{} exact decisions on a sum of {} bits",
                    cost.thresholds, cost.bits
                ),
                format!(
                    "{} bootstraps, {:.2} each",
                    cost.bootstraps, cost.per_threshold
                ),
                reach,
            ));
        }
        rows.push(row(
            &format!("an encrypted twin of {} weights", self.twin_weights),
            bytes(self.twin_bytes),
            "20 kB",
        ));
        let score = &self.linear_score;
        rows.push(row(
            &format!(
                "a score that is a sum of {} weights, per patient",
                score.cost.terms
            ),
            format!(
                "{} bootstraps, {:.2} ms",
                score.cost.bootstraps,
                score.cost.seconds_per_patient * 1e3
            ),
            "0, 5 ms",
        ));
        rows.push(row(
            "encoding a patient in the clear",
            format!("{:.1} us", score.encode_microseconds),
            "",
        ));
        rows
    }
}

impl Against {
    fn rows(&self) -> Vec<Vec<String>> {
        let times = |ratio: Option<f64>| ratio.map_or_else(String::new, |r| format!(", {r:.0} x"));
        let naive = &self.naive;
        let mut rows = Vec::new();
        if let Some(seconds) = self.seconds_per_arm {
            rows.push(row("this study", format!("{:.1} ms", seconds * 1e3), ""));
        }
        rows.push(row(
            "the obvious program with FheUint16",
            format!("{:.1} s{}", naive.one_arm_seconds, times(self.ratio)),
            "200 x",
        ));
        rows.push(row(
            "  the same, if five arms share the clearance",
            format!(
                "{:.1} s{}",
                naive.per_arm_of_five_seconds,
                times(self.ratio_of_five_arms)
            ),
            "",
        ));
        rows.push(row(
            "  the same, if the inequality was solved on paper",
            format!(
                "{:.2} s{}",
                naive.inverted_seconds,
                times(self.ratio_inverted)
            ),
            "",
        ));
        rows
    }
}

impl Cohort {
    fn row(&self) -> Vec<String> {
        vec![
            self.cost.patients.to_string(),
            self.cost.shards.to_string(),
            format!("{:.1}", self.cost.seconds),
            format!("{:.1} ms", self.cost.seconds_per_patient * 1e3),
            self.peak_mib
                .map_or_else(String::new, |mib| format!("{mib} MiB")),
        ]
    }
}

fn planned(plan: &LargePlan) -> Vec<Vec<String>> {
    let memory = &plan.memory;
    vec![
        row(
            &format!("planning {} patients", plan.patients),
            format!("{:.2} s", plan.planning_seconds),
            "",
        ),
        row(
            "memory of its evaluation",
            format!(
                "{}: key {}, one shard {}, outputs {}",
                bytes(memory.total),
                bytes(memory.key),
                bytes(memory.shard),
                bytes(memory.outputs)
            ),
            "2 GB",
        ),
        row(
            "one evaluation of all shards on this machine",
            format!(
                "{:.2} hours, {} bootstraps a patient",
                plan.hours, plan.bootstraps_per_patient
            ),
            "",
        ),
        row(
            "failure probability",
            format!("2^{:.0}", plan.log2_failure),
            "2^-64",
        ),
    ]
}

fn row(what: &str, value: String, reach: &str) -> Vec<String> {
    vec![what.to_owned(), value, reach.to_owned()]
}
