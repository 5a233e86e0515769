//! What the feeds must show of every change of the sharing (A2).

use std::collections::{BTreeMap, BTreeSet};

use organtwin_threshold::PieceId;

use super::{Fault, Report, Verdict, short};
use crate::ceremony::Said;
use crate::digest::Digest;
use crate::epoch::{self, ChangeKind};
use crate::evidence::Evidence;
use crate::fold::{ChangeFacts, Fold};
use crate::statement::PieceValues;

/// Checks the certificates' chain, and each change that led to one of them.
pub(super) fn check(fold: &Fold, report: &mut Report) {
    if fold.facts().changes.is_empty() {
        return;
    }
    report.check("epochs", chain(fold));
    for change in fold.facts().changes.values() {
        let epoch = change.change.epoch;
        let Some(certificate) = certificate(fold, change) else {
            let name = format!("epoch {epoch}, change {}", short_of(change));
            report.check(name, not_certified(fold, change));
            continue;
        };
        let name = |what: &str| format!("epoch {epoch}: {what}");
        report.check(name("approvals"), approvals(fold, change));
        report.check(name("offers"), offers(fold, change));
        let said = Said::of(fold, change.session);
        report.check(name("seeds"), seeds(change, &said));
        report.check(name("self-test"), self_test(change, &said));
        report.check(name("certificate"), signed(fold, change, &certificate));
    }
}

fn short_of(change: &ChangeFacts) -> String {
    change
        .change
        .digest()
        .map_or_else(|e| e.to_string(), |digest| short(&digest))
}

/// The standing certificate of a change.
fn certificate(fold: &Fold, change: &ChangeFacts) -> Option<Digest> {
    let mut certificates = fold.facts().certificates.iter();
    let (digest, _) = certificates.find(|(digest, facts)| {
        facts.certificate.session == change.session && fold.is_certified(digest)
    })?;
    Some(*digest)
}

/// Certificates of one key, none with two successors, none twice in one epoch.
fn chain(fold: &Fold) -> Verdict {
    let certificates = &fold.facts().certificates;
    let (mut successors, mut epochs) = (BTreeMap::new(), BTreeMap::new());
    for (digest, facts) in certificates {
        let certificate = &facts.certificate;
        if certificate.epoch == 0 || !fold.is_certified(digest) {
            continue;
        }
        let epoch = certificate.epoch;
        if let Some(other) = successors.insert(certificate.previous, epoch) {
            return Err(format!(
                "expected one successor of certificate {}, got epochs {other} and {epoch}",
                short(&certificate.previous)
            )
            .into());
        }
        if epochs.insert(epoch, digest).is_some() {
            return Err(format!("expected one certificate of epoch {epoch}, got two").into());
        }
    }
    let line: Vec<String> = fold
        .line()
        .iter()
        .map(|(epoch, _)| epoch.to_string())
        .collect();
    Ok(format!(
        "one key through epochs {}; members now: {}",
        line.join(", "),
        list(fold.roster().numbers())
    ))
}

fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.join(", ")
}

/// What never led to a certificate does no harm; it must only not have gone on without approvals.
fn not_certified(fold: &Fold, change: &ChangeFacts) -> Verdict {
    if !change.offers.is_empty() && !fold.is_agreed(change) {
        return Err(format!(
            "parties {} offered their pieces before the change was agreed",
            list(change.offers.keys())
        )
        .into());
    }
    Ok(match change.aborted.first_key_value() {
        Some((party, reason)) => format!("given up; party {party}: {reason}"),
        None => format!(
            "not certified; approved by parties {}",
            list(change.approvals.keys())
        ),
    })
}

fn approvals(fold: &Fold, change: &ChangeFacts) -> Verdict {
    if !fold.is_agreed(change) {
        let missing = epoch::agreement(fold, change);
        return Err(format!(
            "expected the approvals of n-t old and all new members, missing: {}",
            list(missing.old.iter().chain(&missing.new))
        )
        .into());
    }
    let what = match change.change.kind {
        ChangeKind::Refresh => "new shares for the same members".to_owned(),
        ChangeKind::Added(party) => format!("party {party} joins"),
        ChangeKind::Removed(party) => format!("party {party} leaves"),
        ChangeKind::Recovered(party) => format!("party {party} comes back with new keys"),
    };
    Ok(format!(
        "{what}; approved by parties {} before they took part",
        list(change.approvals.keys())
    ))
}

fn offers(fold: &Fold, change: &ChangeFacts) -> Verdict {
    let tally = epoch::offers(fold, change);
    if !tally.complete {
        return Err(format!(
            "accepted digests of only {} old pieces; silent: {}",
            tally.accepted.len(),
            list(tally.missing.iter())
        )
        .into());
    }
    let liars: BTreeSet<_> = tally.evidence.iter().flat_map(Evidence::accused).collect();
    let liars = if liars.is_empty() {
        String::new()
    } else {
        format!("; deviating: party {}", list(liars.iter()))
    };
    Ok(format!(
        "enough equal digests of all {} old pieces{liars}",
        tally.accepted.len()
    ))
}

/// All new members that did not fork later must have done it.
fn all_said<T>(
    change: &ChangeFacts,
    what: &str,
    said: &BTreeMap<organtwin_threshold::PartyId, T>,
) -> Result<(), Fault> {
    let missing = change
        .roster
        .numbers()
        .find(|party| !said.contains_key(party));
    match missing {
        Some(party) => Err(format!(
            "expected the {what} of all new members, party {party}'s is missing"
        )
        .into()),
        None => Ok(()),
    }
}

fn seeds(change: &ChangeFacts, said: &Said) -> Verdict {
    all_said(change, "seed commitments", &said.commitments)?;
    all_said(change, "echo of the seed commitments", &said.held)?;
    let echo = said.echo(change.session).map_err(|e| e.to_string())?;
    match said.held.iter().find(|(_, held)| held.echo != echo) {
        Some((party, _)) => Err(format!(
            "party {party} echoed other seed commitments than those in the feeds"
        )
        .into()),
        None => Ok(format!("{} new members, equal echoes", said.held.len())),
    }
}

fn self_test(change: &ChangeFacts, said: &Said) -> Verdict {
    all_said(change, "self-test", &said.self_tests)?;
    let squashed: BTreeSet<&Digest> = said.self_tests.values().map(|t| &t.squashed).collect();
    if squashed.len() != 1 {
        return Err(format!(
            "expected one self-test of all new members, got {}",
            squashed.len()
        )
        .into());
    }
    let mut values: BTreeMap<PieceId, BTreeSet<&PieceValues>> = BTreeMap::new();
    for piece in said.self_tests.values().flat_map(|test| &test.pieces) {
        values.entry(piece.piece).or_default().insert(piece);
    }
    match values.iter().find(|(_, values)| values.len() != 1) {
        Some((piece, _)) => Err(format!(
            "the new holders of the {piece} decrypted the self-test differently"
        )
        .into()),
        None => Ok(format!("{} new pieces, equal values", values.len())),
    }
}

fn signed(fold: &Fold, change: &ChangeFacts, digest: &Digest) -> Verdict {
    let certificates = &fold.facts().certificates;
    let (Some(facts), Some(before)) = (
        certificates.get(digest),
        certificates.get(&change.change.from),
    ) else {
        return Err("the certificate before is missing".into());
    };
    let (now, before) = (&facts.certificate, &before.certificate);
    if now.key != before.key || now.mask_seed != before.mask_seed {
        return Err(format!(
            "expected key {}, got {}",
            short(&before.key),
            short(&now.key)
        )
        .into());
    }
    Ok(format!(
        "key {} certified by parties {} for t = {}, {:?} security, after epoch {}",
        short(&now.key),
        list(facts.signers.keys()),
        now.threshold,
        now.security,
        before.epoch
    ))
}
