//! Cosigning: what a party remembers of its peers' logs, and when it puts its name under a checkpoint (L5).

use std::collections::BTreeMap;

use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::note::NoteError;
use super::proof::Consistency;
use super::{Log, TreeHead};
use crate::digest::Digest;
use crate::identity::{Identity, StatementKey};
use crate::roster::Roster;

/// The last checkpoint of a log that this party cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The key that signed it; a party with a fresh key begins a new log.
    pub key: StatementKey,
    /// Size and root.
    pub head: TreeHead,
    /// The checkpoint as it was signed.
    pub checkpoint: String,
}

/// Two checkpoints of one log of which the later does not extend the earlier, both signed by the log's party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewritten {
    /// Whose log.
    pub party: PartyId,
    /// What this party had cosigned.
    pub earlier: String,
    /// What came later, with the proof that should have connected them.
    pub later: String,
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// It is not a checkpoint signed by the peer that asks.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The peer counts from another size than what was cosigned last.
    #[error("expected a proof from size {0}")]
    OtherSize(u64),
    /// The peer changed what was cosigned before.
    #[error("party {}'s log was rewritten: it does not extend what was cosigned before", .0.party)]
    Rewritten(Box<Rewritten>),
}

/// A checkpoint of a log that others see for the first time, cosigned by all of them: for a consortium that lives in
/// one process.
///
/// # Errors
/// [`Declined`] never for members of the roster.
pub fn cosigned_at_once(
    log: &Log,
    roster: &Roster,
    consortium: &Digest,
    me: (PartyId, &Identity),
    others: &[(PartyId, &Identity)],
    time_s: u64,
) -> Result<Checkpoint, Declined> {
    let mut checkpoint = Checkpoint::sign(consortium, me.0, log.tree().head(), me.1)?;
    let request = Consistency {
        old: 0,
        hashes: Vec::new(),
        checkpoint: checkpoint.clone(),
    };
    let request = request.encode();
    for (party, identity) in others {
        let other = (*party, *identity);
        let cosigned =
            Witness::default().cosign(roster, consortium, other, me.0, time_s, &request)?;
        checkpoint.add(consortium, *party, &identity.public(), &cosigned.line)?;
    }
    Ok(checkpoint)
}

/// What a party remembers of its peers' logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    seen: BTreeMap<PartyId, Seen>,
}

/// A cosignature, and what must be on the disk before anyone gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The signature line.
    pub line: String,
    /// The new state.
    pub seen: Seen,
}

impl Witness {
    /// What was kept, as after a restart.
    pub fn remembering(seen: BTreeMap<PartyId, Seen>) -> Self {
        Self { seen }
    }

    /// The last checkpoint of a party's log that was cosigned here.
    pub fn seen(&self, party: PartyId) -> Option<&Seen> {
        self.seen.get(&party)
    }

    /// Judges a peer's request, and says what to keep before the signature is given away. The state is as it was
    /// until [`Witness::remember`].
    ///
    /// # Errors
    /// [`Declined`] says why there is no signature.
    pub fn cosign(
        &self,
        roster: &Roster,
        consortium: &Digest,
        me: (PartyId, &Identity),
        from: PartyId,
        time_s: u64,
        request: &str,
    ) -> Result<Cosigned, Declined> {
        let asked = Consistency::decode(request)?;
        let member = roster
            .member(from)
            .ok_or_else(|| NoteError::Unsigned(super::note::name(consortium, from)))?;
        let head = asked
            .checkpoint
            .verify(consortium, from, &member.statement_key)?;
        let known = self.seen.get(&from);
        let known = known.filter(|seen| seen.key == member.statement_key);
        let empty = TreeHead {
            size: 0,
            root: head.root,
        };
        let earlier = known.map_or(empty, |seen| seen.head);
        let rewritten = || {
            Declined::Rewritten(Box::new(Rewritten {
                party: from,
                earlier: known
                    .map(|seen| seen.checkpoint.clone())
                    .unwrap_or_default(),
                later: request.to_owned(),
            }))
        };
        // A peer that counts from another size is told the right one; a smaller log under its signature is no mistake
        // in counting only if it stays smaller, which the peer itself notices (L6).
        if asked.old != earlier.size || head.size < earlier.size {
            return Err(Declined::OtherSize(earlier.size));
        }
        head.extends(&earlier, &asked.hashes)
            .map_err(|_| rewritten())?;
        let line = asked
            .checkpoint
            .cosign(consortium, me.0, time_s, me.1)?
            .encode();
        Ok(Cosigned {
            line,
            seen: Seen {
                key: member.statement_key,
                head,
                checkpoint: asked.checkpoint.encode(),
            },
        })
    }

    /// Takes over what was kept.
    pub fn remember(&mut self, party: PartyId, seen: Seen) {
        self.seen.insert(party, seen);
    }
}
