//! After a restore: nothing is said before the others have shown this node its own feed.
//!
//! What it said after the backup was made is in the others' stores. To use such a number again would be two statements
//! under one number, which ends a feed for ever. Up to t of the others may keep silent about some, so n - t of them
//! have to show what they hold (all of them where there are no more).

use std::collections::BTreeSet;

use organtwin_protocol::codec;
use organtwin_threshold::PartyId;

use super::error::NodeError;
use super::node::Node;
use crate::backup::{RESTORED, Restored};
use crate::store::{Store, StoreError, Tree};

/// Who has shown this node that it holds nothing beyond what the node holds itself.
#[derive(Debug)]
pub(super) struct Reclaim {
    made_ms: u64,
    shown: BTreeSet<PartyId>,
}

impl Reclaim {
    /// What the store says; nothing where it was not restored, or where the feed was shown already.
    pub(super) fn of(store: &Store) -> Result<Option<Self>, StoreError> {
        let mark: Option<Restored> = store.get(Tree::Meta, RESTORED)?;
        Ok(mark.map(|mark| Self {
            made_ms: mark.made_ms,
            shown: BTreeSet::new(),
        }))
    }
}

impl Node {
    /// Whose answer is missing before this node may speak; nothing where it may.
    pub(super) fn mute(&self) -> Option<String> {
        let reclaim = self.reclaim.as_ref()?;
        let roster = self.fold.roster();
        let others = roster.members().iter().map(|member| member.party);
        let missing: Vec<String> = others
            .filter(|party| *party != self.me && !reclaim.shown.contains(party))
            .map(|party| party.to_string())
            .collect();
        let more = self.needed().saturating_sub(reclaim.shown.len());
        Some(format!(
            "restored from a backup: says nothing before {more} more of parties {} have shown it its own feed",
            missing.join(", ")
        ))
    }

    fn needed(&self) -> usize {
        let roster = self.fold.roster();
        let others = roster.parties().saturating_sub(1);
        roster
            .parties()
            .saturating_sub(roster.threshold())
            .min(others)
    }

    /// A peer, asked for what this node lacks, had nothing.
    pub(super) fn nothing_lacks(&mut self, peer: PartyId) -> Result<(), NodeError> {
        let needed = self.needed();
        let Some(reclaim) = self.reclaim.as_mut() else {
            return Ok(());
        };
        reclaim.shown.insert(peer);
        if reclaim.shown.len() < needed {
            return Ok(());
        }
        // Which slots were used after the backup only the feed knows: none of an old batch is used again.
        for batch in self.own_batches() {
            let label = codec::encode(&batch).map_err(|error| NodeError::Bug(error.to_string()))?;
            self.store.put(Tree::Slots, &label, &u32::MAX)?;
        }
        self.store.remove(Tree::Meta, RESTORED)?;
        self.store.flush()?;
        let made_ms = self.reclaim.take().map(|reclaim| reclaim.made_ms);
        let statements = self.fold.feed(self.me).len();
        tracing::info!(
            made_ms,
            statements,
            "restored: the others have shown this hospital's own feed, and it goes on"
        );
        self.touch();
        Ok(())
    }

    /// Refuses to say anything while the feed is not shown.
    pub(super) fn may_speak(&self) -> Result<(), NodeError> {
        match self.mute() {
            None => Ok(()),
            Some(why) => Err(NodeError::not_ready(
                why,
                "wait until they are connected; `organtwin status` shows who is",
            )),
        }
    }
}
