//! A disk whose writes become durable at sync points only.
//!
//! What is modelled is the node's store: feeds and records lie in one log that survives a crash up to some write
//! after the last sync; blobs and the key are files that are synced before their names appear.

use std::collections::BTreeMap;

use organtwin_protocol::certificate::Certificate;
use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::statement::SignedStatement;
use organtwin_threshold::{PartyId, SessionId};

use super::arithmetic::{PublicKey, Share};

/// One write since the last sync.
enum Write {
    Statement(PartyId),
    Ended(PartyId, Vec<SignedStatement>),
    Derived(Digest),
}

/// What a hospital has on its disk.
#[derive(Default)]
pub struct Disk {
    feeds: BTreeMap<PartyId, Vec<SignedStatement>>,
    ended: BTreeMap<PartyId, Vec<SignedStatement>>,
    derived: BTreeMap<Digest, Vec<u8>>,
    unsynced: Vec<Write>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    keys: BTreeMap<SessionId, (PublicKey, Share)>,
}

impl Disk {
    /// Appends a statement to a feed; not durable yet.
    pub fn append(&mut self, author: PartyId, statement: SignedStatement) {
        self.feeds.entry(author).or_default().push(statement);
        self.unsynced.push(Write::Statement(author));
    }

    /// Keeps the statements that ended a feed; not durable yet.
    pub fn end(&mut self, author: PartyId, statements: Vec<SignedStatement>) {
        let before = self.ended.insert(author, statements).unwrap_or_default();
        self.unsynced.push(Write::Ended(author, before));
    }

    /// Records what was derived of a study; not durable yet.
    pub fn record(&mut self, study: Digest, squashed: Vec<u8>) {
        self.derived.insert(study, squashed);
        self.unsynced.push(Write::Derived(study));
    }

    /// Makes everything written so far durable.
    pub fn sync(&mut self) {
        self.unsynced.clear();
    }

    /// Loses all unsynced writes but the first `kept`.
    pub fn crash(&mut self, kept: usize) {
        while self.unsynced.len() > kept {
            match self.unsynced.pop() {
                Some(Write::Statement(author)) => {
                    self.feeds.get_mut(&author).and_then(Vec::pop);
                }
                Some(Write::Ended(author, before)) => drop(self.ended.insert(author, before)),
                Some(Write::Derived(study)) => drop(self.derived.remove(&study)),
                None => {}
            }
        }
        self.unsynced.clear();
    }

    /// A feed as stored.
    #[must_use]
    pub fn feed(&self, author: PartyId) -> &[SignedStatement] {
        self.feeds.get(&author).map_or(&[], Vec::as_slice)
    }

    /// The statements that ended a feed.
    #[must_use]
    pub fn ends(&self, author: PartyId) -> &[SignedStatement] {
        self.ended.get(&author).map_or(&[], Vec::as_slice)
    }

    /// What was derived of every study.
    #[must_use]
    pub const fn derived(&self) -> &BTreeMap<Digest, Vec<u8>> {
        &self.derived
    }

    /// Keeps a blob, durably.
    pub fn put(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = of_blob(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }

    /// A blob.
    #[must_use]
    pub fn blob(&self, digest: &Digest) -> Option<&Vec<u8>> {
        self.blobs.get(digest)
    }

    /// All blobs.
    pub fn blobs(&self) -> impl Iterator<Item = (&Digest, &Vec<u8>)> {
        self.blobs.iter()
    }

    /// Keeps a key, durably.
    pub fn save_key(&mut self, session: SessionId, public: PublicKey, share: Share) {
        self.keys.insert(session, (public, share));
    }

    /// The key of a certificate.
    #[must_use]
    pub fn key(&self, certificate: &Certificate) -> Option<&(PublicKey, Share)> {
        self.keys.get(&certificate.session)
    }
}
