//! What the feeds and files must show of one study.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId, SquashedBlocks};

use super::{Outcome, Recombine, Recombined, Report, short};
use crate::budget;
use crate::codec::ByteString;
use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::roster::Roster;
use crate::shard;
use crate::study::{self, NotOpened, Study};
use crate::tally::{self, Agreed, PieceTally};
use crate::twin::TwinList;

/// The recombination of the threshold crate.
pub(super) struct Threshold;

impl Recombine for Threshold {
    fn opening_limit(&self, roster: &Roster) -> Result<u64, String> {
        budget::opening_limit(roster).map_err(|e| e.to_string())
    }

    fn recombine(
        &self,
        roster: &Roster,
        squashed: &[u8],
        values: &BTreeMap<PieceId, Vec<u128>>,
    ) -> Result<Recombined, String> {
        let parameters = budget::parameters(roster).map_err(|e| e.to_string())?;
        let blocks = SquashedBlocks::from_bytes(squashed, parameters.squashing_size() + 1)
            .map_err(|e| e.to_string())?;
        let values = organtwin_threshold::recombine(roster.committee(), &blocks, values)
            .map_err(|e| e.to_string())?;
        Ok(Recombined {
            squashed: blocks.digest(),
            values,
        })
    }
}

/// Checks one study; `about` says whether its result is to be proven, not only its rules.
pub(super) fn check(
    study: &Study<'_>,
    list: &TwinList,
    squashed: Option<&ByteString>,
    about: bool,
    opening: &dyn Recombine,
    report: &mut Report,
) -> Outcome {
    let name = |what: &str| format!("study {}: {what}", short(&study.id));
    let twins = study::check_manifest(study.fold(), study.manifest, list);
    let detail = format!(
        "{} twins: list, certificate, deposits, receipts and consent hold",
        list.twins().len()
    );
    let valid = report.check(
        name("manifest and twins"),
        twins.map(|()| detail).map_err(|e| e.to_string()),
    );
    if study.facts.partials.is_empty() {
        return not_opened(study, list, report);
    }
    let mut passed = valid & report.check(name("approvals"), approvals(study));
    passed &= report.check(name("shards"), shards(study, list));
    let agreed = study.aggregate();
    passed &= report.check(name("aggregate"), aggregate(study, agreed.as_ref()));
    let Some(agreed) = agreed else {
        return Outcome::Unproven;
    };
    let tally = tally::pieces(study, list, &agreed);
    passed &= report.check(name("partial decryptions"), partials(study, &tally));
    if !about {
        return Outcome::Unproven;
    }
    let values = recombined(study, &agreed, &tally, squashed, opening);
    let detail = values.as_ref().map(|values| {
        format!(
            "{} blocks recombined and equal to what was released",
            values.len()
        )
    });
    passed &= report.check(name("recombination"), detail.map_err(String::clone));
    match values {
        Ok(values) if passed => Outcome::Opened(values),
        _ => Outcome::Unproven,
    }
}

fn not_opened(study: &Study<'_>, list: &TwinList, report: &mut Report) -> Outcome {
    // The auditor has no clock: the latest time that any party signed stands for now.
    let latest = study
        .fold()
        .statements()
        .map(|s| s.statement().time_ms)
        .max()
        .unwrap_or(0);
    let claimed: Vec<String> = study
        .facts
        .releases
        .keys()
        .map(PartyId::to_string)
        .collect();
    let name = format!("study {}: nothing opened", short(&study.id));
    if !claimed.is_empty() {
        report.check(
            name,
            Err(format!(
                "parties {} state a result that nobody decrypted",
                claimed.join(", ")
            )),
        );
        return Outcome::Unproven;
    }
    let why = match study.not_opened(Some(list), latest) {
        Some(NotOpened::Invalid(_)) => return Outcome::Unproven,
        Some(why) => why.to_string(),
        None => format!(
            "{} of {} approvals, no partial decryption yet",
            study.approvals().len(),
            study.quorum()
        ),
    };
    report.check(name, Ok(why.clone()));
    Outcome::NotOpened(why)
}

/// Any Q approvals that stood suffice here; that they came first is checked per partial decryption.
fn approvals(study: &Study<'_>) -> Result<String, String> {
    let parties = study
        .facts
        .approvals
        .iter()
        .filter(|(_, a)| a.time_ms < study.manifest.expires_ms);
    let parties: Vec<String> = parties.map(|(party, _)| party.to_string()).collect();
    if parties.len() < study.quorum() {
        return Err(format!(
            "expected {} approvals before the expiry, got {}",
            study.quorum(),
            parties.len()
        ));
    }
    Ok(format!(
        "parties {} approved, quorum {}",
        parties.join(", "),
        study.quorum()
    ))
}

fn shards(study: &Study<'_>, list: &TwinList) -> Result<String, String> {
    let roster = study.fold().roster();
    let shards = shard::shards(&study.id, list);
    let known = study
        .facts
        .shards
        .keys()
        .all(|index| (*index as usize) < shards.len());
    if !known {
        return Err(format!(
            "a shard beyond the study's {} was stated",
            shards.len()
        ));
    }
    let mut liars = Vec::new();
    for shard in &shards {
        let tally = tally::shard(roster, study.facts, shard);
        if tally.confirmed.is_none() {
            return Err(format!(
                "shard {}: expected {} equal outputs, got {}",
                shard.index,
                roster.equal_needed(),
                tally.equal
            ));
        }
        liars.extend(tally.minority);
    }
    Ok(format!(
        "{} shards, each with {} equal outputs{}",
        shards.len(),
        roster.equal_needed(),
        named(&liars)
    ))
}

fn aggregate(study: &Study<'_>, agreed: Option<&Agreed>) -> Result<String, String> {
    let needed = study.fold().roster().equal_needed();
    let agreed = agreed.ok_or_else(|| {
        format!(
            "expected {needed} parties to derive one aggregate of {} blocks, got none",
            study.manifest.facts.blocks
        )
    })?;
    Ok(format!(
        "{} parties derived squashed bytes {}{}",
        agreed.parties.len(),
        short(&agreed.squashed),
        named(&agreed.minority)
    ))
}

fn partials(study: &Study<'_>, tally: &PieceTally) -> Result<String, String> {
    if let Some((party, fault)) = tally.invalid.first() {
        return Err(format!("party {party}'s partial decryption: {fault}"));
    }
    if !tally.complete {
        let pieces = study.fold().roster().committee().pieces();
        return Err(format!(
            "expected accepted values of {} pieces, got {}",
            pieces.len(),
            tally.accepted.len()
        ));
    }
    let parties = study.facts.partials.len();
    Ok(format!(
        "{parties} parties decrypted after the quorum stood, every piece accepted{}",
        named(&tally.evidence)
    ))
}

fn recombined(
    study: &Study<'_>,
    agreed: &Agreed,
    tally: &PieceTally,
    squashed: Option<&ByteString>,
    opening: &dyn Recombine,
) -> Result<Vec<u8>, String> {
    let squashed = squashed.ok_or("the squashed ciphertexts are missing")?;
    let opened = opening.recombine(study.fold().roster(), squashed.as_slice(), &tally.accepted)?;
    if opened.squashed != agreed.squashed {
        return Err(format!(
            "expected squashed bytes {}, got {}",
            agreed.squashed, opened.squashed
        ));
    }
    if opened.values.len() != agreed.blocks as usize {
        return Err(format!(
            "expected {} blocks, got {}",
            agreed.blocks,
            opened.values.len()
        ));
    }
    let releases = &study.facts.releases;
    let right =
        |digest: &Digest, values: &[u8]| *digest == agreed.squashed && values == opened.values;
    if let Some((party, _)) = releases
        .iter()
        .find(|(_, r)| !right(&r.squashed, &r.values))
    {
        return Err(format!(
            "party {party} released other values than the partial decryptions yield"
        ));
    }
    if releases.is_empty() {
        return Err("nobody released the result".to_owned());
    }
    Ok(opened.values)
}

fn named(evidence: &[Evidence]) -> String {
    let parties: BTreeSet<PartyId> = evidence.iter().flat_map(Evidence::accused).collect();
    if parties.is_empty() {
        return String::new();
    }
    let parties: Vec<String> = parties.iter().map(PartyId::to_string).collect();
    format!("; deviating: party {}", parties.join(", "))
}
