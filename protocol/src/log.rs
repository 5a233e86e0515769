//! The log: a Merkle tree (RFC 6962) over everything that a node accepted, in the order of acceptance
//! (docs/spec/transcript.md, L1-L7).
//!
//! Each party keeps its own. Checkpoints say how far it reaches; the peers cosign them after they have seen that
//! nothing before was changed. Pure: the tree lives in memory, the leaves are kept by whoever holds the log.

pub mod checkpoint;
pub mod note;
pub mod proof;
pub mod witness;

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::digest::{self, Digest, Domain};
use crate::evidence::Equivocation;
use crate::feed::FeedHead;
use crate::fold::Fold;
use crate::statement::VerifiedStatement;

/// The most leaves of a log: far above what a consortium says, far below where sizes overflow.
pub const MAX_LEAVES: u64 = 1 << 40;

/// What a node accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// A statement that extended its author's feed.
    Statement(FeedHead),
    /// A proof that a party signed two statements under one number.
    Fork(Box<Equivocation>),
}

impl Entry {
    /// The leaf: the statement's hash, or for a fork a digest of both hashes.
    pub fn leaf(&self) -> Digest {
        match self {
            Self::Statement(head) => head.hash,
            Self::Fork(proof) => {
                let both = [proof.first.hash(), proof.second.hash()];
                let both: Vec<u8> = both.iter().flat_map(|hash| *hash.as_bytes()).collect();
                digest::of_bytes(Domain::Fork, &both)
            }
        }
    }
}

/// The size of a log and the root over its leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The Merkle tree hash of RFC 6962, section 2.1.
    pub root: Digest,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A size or an index is out of range.
    #[error("the proof speaks of sizes or leaves that do not exist")]
    Range,
    /// The hashes do not connect what they should.
    #[error("the proof does not connect the two: one of them was changed")]
    Mismatch,
}

/// A growing tree of leaves.
#[derive(Debug, Clone, Default)]
pub struct Tree(MemoryBackedTree<Sha256, [u8; 32]>);

impl Tree {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.0.push(*leaf.as_bytes());
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.0.len(),
            root: Digest::new((*self.0.root().as_bytes()).into()),
        }
    }

    /// The hashes that prove that leaf `index` is in the tree (RFC 6962, 2.1.1).
    pub fn inclusion(&self, index: u64) -> Option<Vec<Digest>> {
        let index = usize::try_from(index).ok()?;
        (index < self.0.items().len()).then(|| hashes(self.0.prove_inclusion(index).as_bytes()))
    }

    /// The hashes that prove that the first `size` leaves are unchanged (RFC 6962, 2.1.2). None of them for size 0 and
    /// for the whole.
    pub fn consistency(&self, size: u64) -> Option<Vec<Digest>> {
        let added = self.0.len().checked_sub(size)?;
        if size == 0 || added == 0 {
            return Some(Vec::new());
        }
        let proof = self.0.prove_consistency(usize::try_from(added).ok()?);
        Some(hashes(proof.as_bytes()))
    }
}

fn hashes(bytes: &[u8]) -> Vec<Digest> {
    let (hashes, _) = bytes.as_chunks::<32>();
    hashes.iter().map(|hash| Digest::new(*hash)).collect()
}

fn joined(proof: &[Digest]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

impl TreeHead {
    fn root_hash(&self) -> Result<RootHash<Sha256>, ProofError> {
        if self.size > MAX_LEAVES {
            return Err(ProofError::Range);
        }
        Ok(RootHash::new((*self.root.as_bytes()).into(), self.size))
    }

    /// Checks that a leaf is at a place of this tree.
    ///
    /// # Errors
    /// [`ProofError`] when it is not, or the proof is of another shape.
    pub fn includes(&self, leaf: Digest, index: u64, proof: &[Digest]) -> Result<(), ProofError> {
        if index >= self.size {
            return Err(ProofError::Range);
        }
        let proof = InclusionProof::try_from_bytes(joined(proof)).map_err(|_| ProofError::Range)?;
        self.root_hash()?
            .verify_inclusion(leaf.as_bytes(), index, &proof)
            .map_err(|_| ProofError::Mismatch)
    }

    /// Checks that this tree extends an earlier one.
    ///
    /// # Errors
    /// [`ProofError`] when it does not, or the proof is of another shape.
    pub fn extends(&self, earlier: &TreeHead, proof: &[Digest]) -> Result<(), ProofError> {
        if earlier.size > self.size {
            return Err(ProofError::Range);
        }
        if earlier.size == 0 || earlier.size == self.size {
            let same = earlier.size == 0 || earlier.root == self.root;
            let holds = same && proof.is_empty();
            return if holds {
                Ok(())
            } else {
                Err(ProofError::Mismatch)
            };
        }
        let proof =
            ConsistencyProof::try_from_bytes(joined(proof)).map_err(|_| ProofError::Range)?;
        self.root_hash()?
            .verify_consistency(&earlier.root_hash()?, &proof)
            .map_err(|_| ProofError::Mismatch)
    }
}

/// A party's log: the tree, its entries, and each feed as far as it holds it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    tree: Tree,
    entries: Vec<Entry>,
    feeds: BTreeMap<PartyId, Vec<Digest>>,
}

impl Log {
    /// Adds one entry.
    pub fn push(&mut self, entry: Entry) {
        self.tree.push(entry.leaf());
        if let Entry::Statement(head) = &entry {
            let feed = self.feeds.entry(head.party).or_default();
            // A feed that was cut goes on with other statements under the same numbers.
            feed.truncate(usize::try_from(head.seq).unwrap_or(usize::MAX));
            feed.push(head.hash);
        }
        self.entries.push(entry);
    }

    /// What the fold accepted and the log lacks: in the order of the feeds, then the forks.
    pub fn news(&self, fold: &Fold) -> Vec<Entry> {
        let mut news = Vec::new();
        for party in fold.parties() {
            let (feed, logged) = (fold.feed(party), self.feeds.get(&party));
            let logged = logged.map_or(&[][..], Vec::as_slice);
            // Hashes are chained: where one is equal, all before it are.
            let held = (0..=feed.len().min(logged.len())).rev().find(|held| {
                held.checked_sub(1).is_none_or(|last| {
                    feed.get(last).map(VerifiedStatement::hash) == logged.get(last).copied()
                })
            });
            let statements = feed.iter().skip(held.unwrap_or(0));
            news.extend(statements.map(|s| Entry::Statement(s.head())));
        }
        for (_, _, proof) in fold.equivocations() {
            let entry = Entry::Fork(Box::new(proof));
            if !self.entries.contains(&entry) {
                news.push(entry);
            }
        }
        news
    }

    /// Adds what the fold accepted since.
    pub fn follow(&mut self, fold: &Fold) {
        for entry in self.news(fold) {
            self.push(entry);
        }
    }

    /// How many statements of a feed it holds.
    pub fn held(&self, party: PartyId) -> u64 {
        let held = self.feeds.get(&party).map_or(0, Vec::len);
        u64::try_from(held).unwrap_or(u64::MAX)
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Where a statement stands, and its hash.
    pub fn find(&self, party: PartyId, seq: u64) -> Option<(u64, Digest)> {
        (0..)
            .zip(&self.entries)
            .find_map(|(index, entry)| match entry {
                Entry::Statement(head) if head.party == party && head.seq == seq => {
                    Some((index, head.hash))
                }
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests;
