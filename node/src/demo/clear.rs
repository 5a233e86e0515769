//! The same study in the clear, over all patients' data: what only a demo can see.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use organtwin_simulations::{StudyResult, Weights, clear};
use organtwin_threshold::{Committee, PartyId, Passive};
use serde_json::Value;

use super::scenario::{HospitalFiles, Scenario};
use crate::fhir::Pseudonyms;

use crate::planning::{Circumstances, REAL_PARAMETERS, organ_of, plan_of};
use crate::twins::prepare;

/// What the consortium must have opened.
pub(super) struct Clear {
    /// The opened 4-bit values.
    pub opened: Vec<u8>,
    /// The decoded result.
    pub result: Value,
}

/// Reads the patients as the hospitals did and evaluates the study on their plaintext weights.
pub(super) fn evaluate(scenario: &Scenario, files: &[HospitalFiles]) -> Result<Clear> {
    let mut twins: BTreeMap<u8, Vec<Weights>> = BTreeMap::new();
    let policy = scenario.ingest_policy()?;
    let organ = organ_of(&scenario.study.study)?;
    for (number, files) in (1u8..).zip(files) {
        // Pseudonyms play no part in the numbers.
        let (_, prepared) = prepare(
            &organ,
            &files.0,
            &policy,
            &Pseudonyms::new([0; 32]),
            scenario.limit_per_hospital(),
        )?;
        twins.insert(
            number,
            prepared
                .into_iter()
                .map(|patient| patient.weights)
                .collect(),
        );
    }
    let consortium = &scenario.consortium;
    let passive = if consortium.allow_passive {
        Passive::Allow
    } else {
        Passive::Refuse
    };
    let committee = Committee::new(
        u8::try_from(consortium.hospitals.len())?,
        consortium.threshold,
        passive,
    )?;
    let counts = twins
        .iter()
        .filter_map(|(party, twins)| {
            Some((PartyId::new(*party)?, u32::try_from(twins.len()).ok()?))
        })
        .collect();
    let circumstances = Circumstances::of_key(REAL_PARAMETERS, &committee, 0.0, 1)?;
    let plan = plan_of(&scenario.study.study, &counts, &committee, &circumstances)
        .context("planning the comparison in the clear")?;
    let opened = clear::run(&plan, &twins);
    let result = serde_json::to_value(StudyResult::decode(&plan, &opened)?)?;
    Ok(Clear { opened, result })
}
