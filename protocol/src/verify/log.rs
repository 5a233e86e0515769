//! What the exporting party's log must show: that this is all it accepted, in this order, and that others saw it so.

use super::{Fault, Verdict};
use crate::fold::Fold;
use crate::log::Tree;
use crate::log::checkpoint::{self, Checkpoint};
use crate::transcript::Transcript;

/// The checkpoint must be of exactly these leaves, signed by its party and cosigned by t others or more: then one of
/// the signers is honest, and whoever changes, drops, adds or moves anything needs all of them again.
pub(super) fn check(transcript: &Transcript, fold: &Fold, tree: &Tree) -> Verdict {
    let (roster, consortium) = (fold.roster(), transcript.roster.digest());
    let checkpoint =
        Checkpoint::decode(&transcript.checkpoint).map_err(|error| error.to_string())?;
    if checkpoint.encode() != transcript.checkpoint {
        return Err("expected the canonical encoding of the checkpoint".into());
    }
    let party = checkpoint.party(&consortium, roster).ok_or_else(|| {
        Fault::from("the checkpoint is of a log that is none of this consortium's")
    })?;
    let cosigned = checkpoint
        .verify_all(&consortium, party, &checkpoint::keys(roster))
        .map_err(|error| error.to_string())?;
    let (signed, found) = (checkpoint.head(), tree.head());
    if signed != found {
        return Err(format!(
            "party {party}'s log has {} entries with root {}, the file yields {} with root {}: something was changed, left out, added or moved",
            signed.size, signed.root, found.size, found.root
        )
        .into());
    }
    let (got, needed) = (cosigned.len(), roster.threshold());
    if got < needed {
        return Err(format!(
            "expected the cosignatures of {needed} other parties under party {party}'s log, got {got}: export again when they are up"
        )
        .into());
    }
    let parties: Vec<String> = cosigned.keys().map(ToString::to_string).collect();
    Ok(format!(
        "{} entries, root {}: signed by party {party}, cosigned by {}",
        found.size,
        super::short(&found.root),
        parties.join(", ")
    ))
}
