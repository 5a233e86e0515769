//! What the feeds and files must show of one study.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::{PartyId, PieceId, SquashedBlocks};

use super::{Fault, Outcome, Recombine, Recombined, Report, Verdict, admission, short, statement};
use crate::budget;
use crate::codec::ByteString;
use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::feed::FeedHead;
use crate::fold::{Fold, PartialFacts};
use crate::roster::Roster;
use crate::shard;
use crate::statement::VerifiedStatement;
use crate::study::{self, ManifestFault, NotOpened, Study};
use crate::tally::{self, Agreed, PartialFault, PieceTally};
use crate::twin::TwinList;

/// The recombination of the threshold crate.
pub(super) struct Threshold;

impl Recombine for Threshold {
    fn opening_limit(&self, fold: &Fold) -> Result<u64, String> {
        budget::limit(fold).map_err(|e| e.to_string())
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
    let (manifest, twins) = manifest(study, list);
    let mut passed = report.check(name("manifest"), manifest);
    passed &= report.check(name("twins"), twins);
    passed &= report.check(name("admission"), admission::of_study(study, list));
    if study.facts.partials.is_empty() {
        return not_opened(study, list, report);
    }
    // It is judged under the roster of the epoch whose shares opened it.
    let opening_of = study.opening(list);
    let study = &opening_of.map_or(*study, |opened| opened.study);
    let agreed = study.aggregate();
    passed &= report.check(name("quorum"), quorum(study));
    let faults = if agreed.is_some() {
        faults(study, list)
    } else {
        Vec::new()
    };
    passed &= report.check(name("expiry"), expiry(study, &faults));
    passed &= report.check(name("approvals before opening"), approved(study, &faults));
    passed &= report.check(name("shards"), shards(study, list));
    passed &= report.check(name("aggregate"), aggregate(study, agreed.as_ref()));
    let Some(agreed) = agreed else {
        return Outcome::Unproven;
    };
    let tally = tally::pieces(study, list, &agreed);
    passed &= report.check(
        name("partial decryptions"),
        partials(study, &faults, &tally),
    );
    if !about {
        return Outcome::Unproven;
    }
    if stopped(study, &tally) {
        let why = format!(
            "the opening stopped with {} of {} pieces",
            tally.accepted.len(),
            study.roster().committee().pieces().len()
        );
        return if passed {
            Outcome::NotOpened(why)
        } else {
            Outcome::Unproven
        };
    }
    let values = recombined(study, &agreed, &tally, squashed, opening);
    let detail = match &values {
        Ok(values) => Ok(format!(
            "{} blocks recombined, equal to what was released",
            values.len()
        )),
        Err(fault) => Err(fault.clone()),
    };
    passed &= report.check(name("recombination"), detail);
    match values {
        Ok(values) if passed => Outcome::Opened(values),
        _ => Outcome::Unproven,
    }
}

/// Whether the manifest is in order, and whether its twins are.
fn manifest(study: &Study<'_>, list: &TwinList) -> (Verdict, Verdict) {
    let proposal = study.facts.proposal.as_ref();
    let proposal = proposal.and_then(|p| statement(study.fold(), study.manifest.proposer, p.seq));
    let manifest = Ok(format!(
        "certificate {} stands, every feed head that it names is there",
        short(&study.manifest.certificate)
    ));
    let twins = Ok(format!(
        "{} twins: the list is the manifest's; each was deposited, received by enough, and not withdrawn",
        list.twins().len()
    ));
    let Err(fault) = study::check_manifest(study.fold(), study.manifest, list) else {
        return (manifest, twins);
    };
    let found = Err(Fault {
        what: fault.to_string(),
        statement: proposal,
    });
    match fault {
        ManifestFault::OtherList | ManifestFault::Ineligible { .. } => (manifest, found),
        _ => (
            found,
            Err("not checked, since the manifest is not in order".into()),
        ),
    }
}

/// Every partial decryption that breaks a rule of the study, and which.
fn faults(study: &Study<'_>, list: &TwinList) -> Vec<(PartialFault, FeedHead)> {
    let mut faults = Vec::new();
    // Each is judged in its own epoch.
    let check = |party, partial: &PartialFacts| {
        let study = study.under(partial.epoch);
        let read = study.and_then(|study| Some((study, study.aggregate()?)));
        let (study, agreed) = read.ok_or(PartialFault::OtherAggregate)?;
        tally::check_partial(&study, list, &agreed, party, partial)
    };
    for (party, partials) in &study.facts.partials {
        for partial in partials {
            if let Err(fault) = check(*party, partial) {
                let head = FeedHead {
                    party: *party,
                    seq: partial.seq,
                    hash: partial.hash,
                };
                faults.push((fault, head));
            }
        }
    }
    faults
}

/// The first of the faults that a line is about.
fn first(
    faults: &[(PartialFault, FeedHead)],
    about: impl Fn(PartialFault) -> bool,
) -> Result<(), Fault> {
    match faults.iter().find(|(fault, _)| about(*fault)) {
        None => Ok(()),
        Some((fault, head)) => Err(Fault::of(
            *head,
            format!("party {}'s partial decryption: {fault}", head.party),
        )),
    }
}

fn expiry(study: &Study<'_>, faults: &[(PartialFault, FeedHead)]) -> Verdict {
    first(faults, |fault| fault == PartialFault::Expired)?;
    let proposed = study.facts.proposal.as_ref().map_or(0, |p| p.time_ms);
    let (approvals, partials) = (&study.facts.approvals, &study.facts.partials);
    let last = approvals.values().map(|a| a.time_ms);
    let last = last.chain(partials.values().flatten().map(|p| p.time_ms));
    let last = last.max().unwrap_or(proposed);
    Ok(format!(
        "every partial decryption came {} s or more before the expiry, by its author's clock",
        study.manifest.expires_ms.saturating_sub(last) / 1000
    ))
}

fn approved(study: &Study<'_>, faults: &[(PartialFault, FeedHead)]) -> Verdict {
    first(faults, |fault| {
        matches!(
            fault,
            PartialFault::NoQuorum
                | PartialFault::NotAgreed
                | PartialFault::Rejected
                | PartialFault::UnknownStatements
                | PartialFault::NotYet
        )
    })?;
    Ok(format!(
        "each of {} partial decryptions names {} approvals or more of this very manifest, all known to its author before",
        study.facts.partials.values().map(Vec::len).sum::<usize>(),
        study.quorum()
    ))
}

fn not_opened(study: &Study<'_>, list: &TwinList, report: &mut Report) -> Outcome {
    // The auditor has no clock: the latest time that any party signed stands for now. Times never decrease in a feed.
    let roster = study.roster();
    let last = |party| study.fold().feed(party).last();
    let latest = roster.members().iter().filter_map(|m| last(m.party));
    let latest = latest.map(|s| s.statement().time_ms).max().unwrap_or(0);
    let name = format!("study {}: nothing opened", short(&study.id));
    if let Some((party, release)) = study.facts.releases.first_key_value() {
        let what = format!("party {party} states a result that nobody decrypted");
        let feed = study.fold().feed(*party).iter();
        let statement = feed.rev().find(|s| s.hash() == release.hash);
        let fault = Fault {
            what,
            statement: statement.map(VerifiedStatement::head),
        };
        report.check(name, Err(fault));
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
fn quorum(study: &Study<'_>) -> Verdict {
    let parties = study.facts.approvals.iter().filter(|(party, a)| {
        a.time_ms < study.manifest.expires_ms && study.roster().member(**party).is_some()
    });
    let parties: Vec<String> = parties.map(|(party, _)| party.to_string()).collect();
    if parties.len() < study.quorum() {
        return Err(format!(
            "expected {} approvals before the expiry, got {}",
            study.quorum(),
            parties.len()
        )
        .into());
    }
    Ok(format!(
        "parties {} approved, quorum {}",
        parties.join(", "),
        study.quorum()
    ))
}

fn shards(study: &Study<'_>, list: &TwinList) -> Verdict {
    let roster = study.roster();
    let shards = shard::shards(&study.id, list);
    let mut liars = Vec::new();
    for shard in &shards {
        let tally = tally::shard(roster, study.facts, shard);
        if tally.confirmed.is_none() {
            return Err(format!(
                "shard {}: expected {} equal outputs of distinct parties over the right inputs, got {}",
                shard.index,
                roster.equal_needed(),
                tally.equal
            )
            .into());
        }
        liars.extend(tally.minority);
    }
    let beyond = study.facts.shards.iter();
    let beyond = beyond.filter(|(index, _)| **index as usize >= shards.len());
    liars.extend(
        beyond
            .flat_map(|(_, claims)| claims)
            .map(|(party, claim)| Evidence::StudyRule {
                party: *party,
                statement: claim.hash,
            }),
    );
    Ok(format!(
        "{} shards, each with {} equal outputs of distinct parties{}",
        shards.len(),
        roster.equal_needed(),
        named(&liars)
    ))
}

fn aggregate(study: &Study<'_>, agreed: Option<&Agreed>) -> Verdict {
    let needed = study.roster().equal_needed();
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

/// Whether too few decrypted and nobody claims a result: an opening that expired half way harms nobody.
fn stopped(study: &Study<'_>, tally: &PieceTally) -> bool {
    !tally.complete && study.facts.releases.is_empty()
}

fn partials(study: &Study<'_>, faults: &[(PartialFault, FeedHead)], tally: &PieceTally) -> Verdict {
    first(faults, |_| true)?;
    if stopped(study, tally) {
        return Ok(format!(
            "too few decrypted, no result is claimed{}",
            named(&tally.evidence)
        ));
    }
    if !tally.complete {
        let pieces = study.roster().committee().pieces();
        return Err(format!(
            "expected accepted values of {} pieces, got {}",
            pieces.len(),
            tally.accepted.len()
        )
        .into());
    }
    let parties = tally::in_epoch(study).count();
    Ok(format!(
        "{parties} parties decrypted, every piece accepted{}",
        named(&tally.evidence)
    ))
}

fn recombined(
    study: &Study<'_>,
    agreed: &Agreed,
    tally: &PieceTally,
    squashed: Option<&ByteString>,
    opening: &dyn Recombine,
) -> Result<Vec<u8>, Fault> {
    let squashed = squashed.ok_or("the squashed ciphertexts are missing")?;
    let opened = opening.recombine(study.roster(), squashed.as_slice(), &tally.accepted)?;
    if opened.squashed != agreed.squashed {
        return Err(format!(
            "expected squashed bytes {}, got {}",
            agreed.squashed, opened.squashed
        )
        .into());
    }
    if opened.values.len() != agreed.blocks as usize {
        return Err(format!(
            "expected {} blocks, got {}",
            agreed.blocks,
            opened.values.len()
        )
        .into());
    }
    let releases = &study.facts.releases;
    let right =
        |digest: &Digest, values: &[u8]| *digest == agreed.squashed && values == opened.values;
    if let Some((party, release)) = releases
        .iter()
        .find(|(_, r)| !right(&r.squashed, &r.values))
    {
        let feed = study.fold().feed(*party).iter();
        let statement = feed.rev().find(|s| s.hash() == release.hash);
        return Err(Fault {
            what: format!("party {party} released other values than the partial decryptions yield"),
            statement: statement.map(VerifiedStatement::head),
        });
    }
    if releases.is_empty() {
        return Err("nobody released the result".into());
    }
    Ok(opened.values)
}

pub(super) fn named(evidence: &[Evidence]) -> String {
    let parties: BTreeSet<PartyId> = evidence.iter().flat_map(Evidence::accused).collect();
    if parties.is_empty() {
        return String::new();
    }
    let parties: Vec<String> = parties.iter().map(PartyId::to_string).collect();
    format!("; deviating: party {}", parties.join(", "))
}
