//! What the world needs of a node: the same scheduler drives the model and the parties with real cryptography.

use std::collections::BTreeMap;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::roster::Roster;
use organtwin_protocol::statement::Body;
use organtwin_protocol::transcript::Transcript;
use organtwin_protocol::twin::TwinList;
use organtwin_threshold::PartyId;

use super::schedule::{Deviation, Moment, Wish};

/// A bug that is planted to see whether the invariants notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Nodes certify a second key although one is certified.
    SecondKey,
    /// Nodes derive and release as soon as a study is proposed, whoever approved.
    NoQuorum,
    /// Nodes never compare their feeds.
    NoComparison,
    /// The transcript leaves out the last statement of a feed.
    ShortExport,
    /// Nodes tell others before the disk is synced.
    SpeakFirst,
    /// Nodes acknowledge a command before anything of it is durable.
    AcknowledgeFirst,
    /// Nodes take a late answer for a wrong one.
    BlameSlow,
    /// Nodes leave a shard out of the aggregate.
    MissingShard,
}

/// What a node answers its operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is done, and durable: statements with these bodies are in the node's feed.
    Done(Vec<Body>),
    /// Not yet.
    NotYet,
    /// It will never be done.
    Refused,
}

/// How a node is set up.
pub struct Setup<'a> {
    /// The roster of all.
    pub roster: &'a Roster,
    /// Its number.
    pub me: PartyId,
    /// Its own randomness; another one after every start.
    pub seed: u64,
    /// Its deviation, if it lies.
    pub lie: Option<Deviation>,
    /// A planted bug.
    pub planted: Option<Planted>,
    /// When it crashes by itself.
    pub armed: Vec<Moment>,
}

/// A node in virtual time.
pub trait Machine: Sized {
    /// A message.
    type Letter: Clone;
    /// What survives a crash.
    type Disk;
    /// Whether its messages rely on connections that send again what was lost.
    const NEEDS_CONNECTIONS: bool;
    /// Whether it goes on with everything after a crash, as a node does.
    const FINISHES: bool;

    /// Starts a node, for the first time or from its disk.
    fn start(setup: Setup<'_>, disk: Option<Self::Disk>, now_ms: u64) -> Self;
    /// Loses all unsynced writes but the first `kept`.
    fn crash(self, kept: usize) -> Self::Disk;
    /// Whether a moment came at which it is to crash.
    fn crashed(&self) -> bool;
    /// Takes a message.
    fn hear(&mut self, now_ms: u64, from: PartyId, letter: Self::Letter);
    /// A second has passed.
    fn tick(&mut self, now_ms: u64);
    /// Does everything that is to do now.
    fn act(&mut self, now_ms: u64);
    /// Answers its operator.
    fn obey(&mut self, now_ms: u64, wish: Wish) -> Answer;
    /// The messages to send.
    fn take_out(&mut self) -> Vec<(PartyId, Self::Letter)>;
    /// What the sender of a message to a node that is down notices, if anything.
    fn unanswered(letter: &Self::Letter) -> Option<Self::Letter>;
    /// The statements in a message, as bytes that cannot be taken back.
    fn statements_in(letter: &Self::Letter) -> &[organtwin_protocol::statement::SignedStatement];
    /// What it heard.
    fn fold(&self) -> &Fold;
    /// Whether it holds this certified key.
    fn holds_key(&self) -> bool;
    /// Whether a blob is on its disk.
    fn holds_blob(&self, digest: &Digest) -> bool;
    /// The list of a study's twins by its blob.
    fn list(&self, blob: &Digest) -> Option<&TwinList>;
    /// What a study gives in the clear, from the cells of all twins.
    fn in_the_clear(&self, study: &Digest, clear: &BTreeMap<Digest, Vec<u8>>) -> Option<Vec<u8>>;
    /// Writes a transcript.
    ///
    /// # Errors
    /// In words.
    fn export(&self, study: Option<Digest>) -> Result<Transcript, String>;
    /// The values that its own twins add to a study's cells, by the twin's digest.
    fn clear(&self) -> Vec<(Digest, Vec<u8>)>;
    /// What it is about, for people.
    fn status(&self, now_ms: u64) -> String;
    /// What it noticed of broken invariants itself.
    fn breaches(&self) -> &[String];
}
