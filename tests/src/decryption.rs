//! The decryption invariant, written down once: no sequence of messages makes an honest node release a partial
//! decryption without Q valid approvals for that very aggregate.
//!
//! [`rightful`] judges a statement by the bare statements that its author had admitted. It uses none of the
//! protocol's tallies and study rules, so that a mistake there cannot excuse itself here.

use std::collections::BTreeSet;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::manifest::Manifest;
use organtwin_protocol::statement::{Body, Statement, VerifiedStatement};
use organtwin_protocol::twin::TwinList;
use organtwin_threshold::PartyId;

/// Why a partial decryption should not have been released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a partial decryption of study {study}: {why}")]
pub struct Wrongful {
    /// The study that it names.
    pub study: Digest,
    /// What was missing.
    pub why: String,
}

/// Checks that `statement`, about to be signed by its author whose fold is `fold`, is a partial decryption that
/// every rule of R7 and R8 allows, or no partial decryption at all. `list` is the study's twin list as its author has it.
///
/// # Errors
/// The first rule that is broken.
pub fn rightful(
    fold: &Fold,
    statement: &Statement,
    list: Option<&TwinList>,
) -> Result<(), Wrongful> {
    let Body::PartialDecryption {
        manifest: study,
        squashed,
        first_block,
        approvals: cited,
        pieces,
        ..
    } = &statement.body
    else {
        return Ok(());
    };
    let wrong = |why: String| Wrongful { study: *study, why };
    let holds = |holding: bool, why: &str| {
        if holding {
            Ok(())
        } else {
            Err(wrong(why.to_owned()))
        }
    };
    let me = statement.author;
    let roster = fold.roster();
    let (n, t) = (roster.parties(), roster.threshold());

    let manifest = proposed(fold, study).ok_or_else(|| wrong("nobody proposed it".into()))?;
    let quorum = usize::from(manifest.quorum);
    holds(quorum > t && quorum <= n, "its quorum is outside t+1..=n")?;

    let authors = |says: &dyn Fn(&VerifiedStatement) -> bool| -> BTreeSet<PartyId> {
        fold.statements()
            .filter(|s| says(s))
            .map(VerifiedStatement::author)
            .collect()
    };
    let rejecters =
        authors(&|s| matches!(s.body(), Body::StudyRejected { manifest, .. } if manifest == study));
    holds(!rejecters.contains(&me), "its author rejected it")?;
    holds(rejecters.len() <= n - quorum, "more than n-Q rejected it")?;

    let approves = |s: &VerifiedStatement| {
        matches!(s.body(), Body::StudyApproved { manifest } if manifest == study)
            && s.statement().time_ms < manifest.expires_ms
            && !rejecters.contains(&s.author())
    };
    let approvers = authors(&approves);
    if approvers.len() < quorum {
        return Err(wrong(format!(
            "expected {quorum} approvals, got {}",
            approvers.len()
        )));
    }
    let valid: BTreeSet<Digest> = fold
        .statements()
        .filter(|s| approves(s))
        .map(VerifiedStatement::hash)
        .collect();
    let cited: BTreeSet<Digest> = cited.iter().copied().collect();
    holds(
        cited.is_subset(&valid),
        "it cites an approval that does not count",
    )?;
    holds(cited.len() >= quorum, "it cites fewer than Q approvals")?;

    let blocks = manifest.facts.blocks;
    let derivations = |s: &VerifiedStatement| match s.body() {
        Body::AggregateDerived {
            manifest,
            aggregate,
            squashed: said,
            blocks: many,
        } if manifest == study && said == squashed && *many == blocks => Some(*aggregate),
        _ => None,
    };
    let own = fold.feed(me).iter().find_map(derivations);
    let own = own.ok_or_else(|| wrong("its author did not derive that very aggregate".into()))?;
    let equal = authors(&|s| derivations(s) == Some(own));
    holds(equal.len() > t, "fewer than t+1 derived that aggregate")?;

    let count = pieces
        .first()
        .and_then(|piece| piece.unpack())
        .map_or(0, |values| values.len());
    let end = u64::from(*first_block) + count as u64;
    holds(
        count > 0 && end <= u64::from(blocks),
        "it goes beyond the program's blocks",
    )?;

    holds(statement.time_ms < manifest.expires_ms, "it is expired")?;
    let closed = fold
        .feed(manifest.proposer)
        .iter()
        .any(|s| matches!(s.body(), Body::StudyClosed { manifest, .. } if manifest == study));
    holds(!closed, "its proposer gave it up")?;
    let list =
        list.ok_or_else(|| wrong("its author does not hold the list of its twins".into()))?;
    holds(
        list.root().ok() == Some(manifest.twins.root),
        "the list is another one",
    )?;
    let withdrawn = fold.statements().any(|s| match s.body() {
        Body::TwinWithdrawn { id } => list
            .twins()
            .iter()
            .any(|twin| twin.id == *id && twin.depositor == s.author()),
        _ => false,
    });
    holds(!withdrawn, "one of its twins was withdrawn")?;
    let signers = authors(&|s| match s.body() {
        Body::KeyCertified { certificate } => {
            certificate.digest().ok() == Some(manifest.certificate)
        }
        _ => false,
    });
    let members = roster.members().iter().map(|member| member.party);
    let excused = members.filter(|party| signers.contains(party) || fold.has_forked(*party));
    holds(
        excused.count() == n && signers.len() + t >= n,
        "its key is not certified",
    )
}

fn proposed<'a>(fold: &'a Fold, study: &Digest) -> Option<&'a Manifest> {
    fold.statements().find_map(|s| match s.body() {
        Body::StudyProposed { manifest }
            if manifest.digest().ok() == Some(*study) && manifest.proposer == s.author() =>
        {
            Some(&**manifest)
        }
        _ => None,
    })
}
