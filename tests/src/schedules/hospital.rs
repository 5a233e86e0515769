//! A hospital of the model: the node's loop around the real fold, ceremony steps and duties, with the model's
//! arithmetic and a disk that forgets what was not synced.

mod ceremony;
pub(super) mod known;
mod lie;
mod operator;
mod research;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use organtwin_protocol::ceremony::Local;
use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::duty::LocalView;
use organtwin_protocol::feed::FeedHead;
use organtwin_protocol::fold::{Admitted, Fold, Refusal};
use organtwin_protocol::identity::Identity;
use organtwin_protocol::log::Log;
use organtwin_protocol::statement::{Batch, Body, SignedStatement, StageName};
use organtwin_protocol::study::Study;
use organtwin_protocol::transcript::{StudyStore, Transcript};
use organtwin_protocol::twin::TwinList;
use organtwin_threshold::{PartyId, PieceId, SessionId, SquashedBlocks};

use super::arithmetic::{self, PublicKey, Share};
use super::disk::Disk;
use super::machine::{Answer, Machine, Planted, Setup};
use super::schedule::{Deviation, Moment, Wish};
use crate::decryption;
use crate::network::Dice;
use crate::party::{cosigned, identity};

/// How long a silent party is waited for in a ceremony.
const PATIENCE_MS: u64 = 20_000;
/// How long the next rank waits before it takes a shard over.
const TAKEOVER_MS: u64 = 8_000;
/// After how long an unanswered request is given up.
const TIMEOUT_MS: u64 = 3_000;
/// Most statements in one answer.
const MOST_STATEMENTS: usize = 256;

/// What can be asked of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// A blob.
    Blob(Digest),
    /// A group's vector.
    Vector(SessionId, StageName, u16),
}

/// A message of the model.
#[derive(Debug, Clone)]
pub enum Letter {
    /// Statements, told or asked for.
    Statements(Arc<Vec<SignedStatement>>),
    /// The heads of the feeds: a request for what is missing.
    Heads(Vec<FeedHead>),
    /// Seed shares, privately.
    Seeds(SessionId, Vec<(PieceId, [u8; 32])>),
    /// They were taken.
    SeedsTaken(SessionId),
    /// Subseeds of a batch, privately.
    Subseeds(Batch, Vec<(PieceId, [u8; 32])>),
    /// They were taken, or are of no use any more.
    SubseedsTaken(Batch),
    /// A request.
    Ask(Ask),
    /// Its answer.
    Answer(Ask, Option<Arc<Vec<u8>>>),
}

/// The certified key as a hospital holds it.
struct Key {
    digest: Digest,
    public: PublicKey,
    share: Share,
}

/// A deposit that waits for its batch.
struct Waiting {
    batch: Batch,
    twins: Vec<Vec<u8>>,
}

/// A hospital.
pub struct Hospital {
    me: PartyId,
    identity: Identity,
    others: Vec<PartyId>,
    fold: Fold,
    disk: Disk,
    dice: Dice,
    view: LocalView,
    local: Local,
    session: ceremony::Session,
    settled: bool,
    key: Option<Key>,
    bodies: BTreeMap<Batch, Vec<u128>>,
    subseeds: BTreeMap<(Batch, PieceId), BTreeMap<PartyId, [u8; 32]>>,
    sending: BTreeMap<(Batch, PartyId), u64>,
    waiting: Option<Waiting>,
    deposited: Option<Body>,
    twins: Vec<(Digest, Vec<u8>)>,
    squashed: BTreeMap<Digest, SquashedBlocks>,
    asked: BTreeMap<Ask, (PartyId, u64)>,
    tries: BTreeMap<Ask, usize>,
    out: Vec<(PartyId, Letter)>,
    lie: Option<Deviation>,
    planted: Option<Planted>,
    armed: Vec<Moment>,
    crashed: bool,
    unsynced: bool,
    dirty: bool,
    ticks: u64,
    breaches: Vec<String>,
    promised: Vec<Wish>,
}

impl Hospital {
    fn send(&mut self, to: PartyId, letter: Letter) {
        if !self.crashed {
            self.out.push((to, letter));
        }
    }

    fn tell(&mut self, to: &[PartyId], signed: &SignedStatement) {
        let letter = Letter::Statements(Arc::new(vec![signed.clone()]));
        for party in to {
            self.send(*party, letter.clone());
        }
    }

    fn crash_at(&mut self, moment: Moment) -> bool {
        self.crashed |= self.armed.contains(&moment);
        self.crashed
    }

    /// Signs a statement, makes it durable, then tells everyone; whether it did.
    fn state(&mut self, now_ms: u64, body: Body) -> bool {
        let seq = self.fold.feed(self.me).len() as u64;
        if self.crashed || self.is_silent(seq) {
            return false;
        }
        let body = self.lied(body);
        let Ok(statement) = self.fold.compose(self.me, 0, now_ms, body) else {
            return false;
        };
        if self.lie.is_none() && self.planted.is_none_or(|bug| bug == Planted::NoQuorum) {
            let judged =
                decryption::rightful(&self.fold, &statement, self.list_of(&statement.body));
            if let Err(wrong) = judged {
                self.breaches
                    .push(format!("opened without quorum: party {}: {wrong}", self.me));
            }
        }
        let signed =
            SignedStatement::sign(&statement, &self.identity).expect("a statement of allowed size");
        self.disk.append(self.me, signed.clone());
        if self.crash_at(Moment::BeforeSync(seq)) {
            return false;
        }
        if self.planted != Some(Planted::SpeakFirst) {
            self.disk.sync();
        }
        if self.crash_at(Moment::AfterSync(seq)) {
            return false;
        }
        let verified = signed
            .clone()
            .verify(self.fold.roster())
            .expect("signed with the own key");
        known::keep(&verified);
        self.fold
            .admit_verified(verified)
            .expect("the own statement was checked");
        self.local.moved_ms = now_ms;
        self.dirty = true;
        let others = self.others.clone();
        if self.forks(now_ms, &statement, &signed, &others) {
            return true;
        }
        let (first, rest) = others.split_at(1);
        self.tell(first, &signed);
        if self.crash_at(Moment::AfterTelling(seq)) {
            return false;
        }
        self.tell(rest, &signed);
        true
    }

    fn list_of(&self, body: &Body) -> Option<&TwinList> {
        let Body::PartialDecryption { manifest, .. } = body else {
            return None;
        };
        let study = Study::find(&self.fold, manifest)?;
        self.view.twin_lists.get(&study.manifest.twins.blob)
    }

    /// Takes in a statement that came from a peer.
    fn take_in(&mut self, now_ms: u64, signed: &SignedStatement) {
        let admitted = match known::statement(signed) {
            Some(verified) => self.fold.admit_verified(verified),
            None => self.fold.admit(signed.clone()),
        };
        match admitted {
            Ok(Admitted::Extended(_)) => {
                self.persist();
                self.local.moved_ms = now_ms;
                let studies = self.fold.facts().studies.keys().copied();
                for study in studies.collect::<Vec<_>>() {
                    self.view.progress_ms.insert(study, now_ms);
                }
                self.dirty = true;
            }
            Ok(Admitted::Pending | Admitted::Known) => {}
            Err(
                Refusal::Equivocation { .. }
                | Refusal::BrokenChain { .. }
                | Refusal::RuleBroken { .. },
            ) => {
                self.persist_ends();
                self.dirty = true;
            }
            Err(_) => {}
        }
    }

    fn persist(&mut self) {
        for party in self.others.clone() {
            let stored = self.disk.feed(party).len();
            for statement in self.fold.feed(party).iter().skip(stored) {
                self.disk.append(party, statement.signed().clone());
                self.unsynced = true;
            }
        }
    }

    fn persist_ends(&mut self) {
        for party in self.others.clone() {
            let end: Vec<SignedStatement> = self.fold.end(party).cloned().collect();
            if end != self.disk.ends(party) {
                self.disk.end(party, end);
                self.unsynced = true;
            }
        }
    }

    /// Keeps a blob; a twin list is decoded for the duties.
    fn keep(&mut self, bytes: Vec<u8>) -> Digest {
        let list = TwinList::decode(&bytes);
        let digest = self.disk.put(bytes);
        if let Ok(list) = list {
            self.view.twin_lists.insert(digest, list);
        }
        self.view.blobs.insert(digest);
        digest
    }

    /// Asks one of the holders, another one at each try.
    fn ask(&mut self, now_ms: u64, ask: Ask, holders: &[PartyId]) {
        let holders: Vec<PartyId> = holders.iter().copied().filter(|p| *p != self.me).collect();
        if self.asked.contains_key(&ask) || holders.is_empty() {
            return;
        }
        let turn = self.tries.get(&ask).copied().unwrap_or(0) % holders.len();
        self.asked.insert(ask, (holders[turn], now_ms + TIMEOUT_MS));
        self.send(holders[turn], Letter::Ask(ask));
    }

    fn answer(&self, ask: &Ask) -> Option<Arc<Vec<u8>>> {
        let bytes = match ask {
            Ask::Blob(digest) => self.disk.blob(digest)?.clone(),
            Ask::Vector(session, stage, group) => self.vector(session, *stage, *group)?,
        };
        Some(Arc::new(self.served(ask, bytes)))
    }

    fn take_answer(&mut self, now_ms: u64, from: PartyId, ask: Ask, bytes: Option<&Vec<u8>>) {
        if self.asked.get(&ask).is_none_or(|(asked, _)| *asked != from) {
            self.blame_slow(from, &ask);
            return;
        }
        self.asked.remove(&ask);
        *self.tries.entry(ask).or_default() += 1;
        match ask {
            Ask::Blob(digest) => {
                self.view.fetching.remove(&digest);
                if let Some(bytes) = bytes.filter(|bytes| of_blob(bytes) == digest) {
                    self.keep(bytes.clone());
                }
            }
            Ask::Vector(session, stage, group) => {
                if let Some(bytes) = bytes {
                    self.take_vector(now_ms, session, stage, group, bytes);
                }
            }
        }
        self.dirty = true;
    }

    /// The planted bug: whoever answers late is accused of having answered wrongly.
    fn blame_slow(&mut self, from: PartyId, ask: &Ask) {
        if self.planted == Some(Planted::BlameSlow)
            && let Ask::Vector(session, ..) = ask
            && self.local.session == Some(*session)
        {
            self.local
                .caught
                .push(organtwin_protocol::evidence::Evidence::Claim {
                    party: from,
                    what: "sent a chunk that does not match its hash".to_owned(),
                });
            self.dirty = true;
        }
    }

    fn give_up_requests(&mut self, now_ms: u64) {
        let late: Vec<Ask> = self
            .asked
            .iter()
            .filter(|(_, (_, deadline))| *deadline <= now_ms)
            .map(|(ask, _)| *ask)
            .collect();
        for ask in late {
            self.asked.remove(&ask);
            *self.tries.entry(ask).or_default() += 1;
            if let Ask::Blob(digest) = ask {
                self.view.fetching.remove(&digest);
            }
        }
    }

    /// Opens the share of the certified key, once there is one.
    fn open_key(&mut self) {
        if self.key.is_some() {
            return;
        }
        let all = self.fold.roster().parties();
        let certified = self.fold.facts().certificates.iter();
        let certified = certified
            .filter(|(_, facts)| facts.signers.len() == all)
            .map(|(digest, facts)| (*digest, facts.certificate.clone()));
        for (digest, certificate) in certified.collect::<Vec<_>>() {
            if let Some((public, share)) = self.disk.key(&certificate).cloned() {
                self.key = Some(Key {
                    digest,
                    public,
                    share,
                });
                return;
            }
        }
    }
}

impl Machine for Hospital {
    type Letter = Letter;
    type Disk = Disk;
    const NEEDS_CONNECTIONS: bool = false;
    const FINISHES: bool = true;

    fn start(setup: Setup<'_>, disk: Option<Disk>, now_ms: u64) -> Self {
        let Setup {
            roster,
            me,
            seed,
            lie,
            planted,
            armed,
        } = setup;
        let disk = disk.unwrap_or_default();
        let mut fold = Fold::new(roster.clone());
        let parties: Vec<PartyId> = roster.members().iter().map(|member| member.party).collect();
        for party in &parties {
            for statement in disk.feed(*party).iter().chain(disk.ends(*party)) {
                // A statement that ended a feed is refused here as it was when it came.
                drop(match known::statement(statement) {
                    Some(verified) => fold.admit_verified(verified),
                    None => fold.admit(statement.clone()),
                });
            }
        }
        let mut view = LocalView {
            takeover_ms: TAKEOVER_MS,
            opening_limit: organtwin_protocol::budget::opening_limit(roster)
                .expect("toy parameters"),
            ..LocalView::default()
        };
        let mut squashed = BTreeMap::new();
        for (study, bytes) in disk.derived() {
            let blocks =
                SquashedBlocks::from_bytes(bytes, arithmetic::lwe_size()).expect("own bytes");
            view.squashed.insert(*study, blocks.digest());
            squashed.insert(*study, blocks);
        }
        for (digest, bytes) in disk.blobs() {
            view.blobs.insert(*digest);
            if let Ok(list) = TwinList::decode(bytes) {
                view.twin_lists.insert(*digest, list);
            }
        }
        Self {
            me,
            identity: identity(me),
            others: parties.into_iter().filter(|party| *party != me).collect(),
            fold,
            disk,
            dice: Dice::new(seed),
            view,
            local: Local {
                patience_ms: PATIENCE_MS,
                moved_ms: now_ms,
                ..Local::default()
            },
            session: ceremony::Session::default(),
            settled: false,
            key: None,
            bodies: BTreeMap::new(),
            subseeds: BTreeMap::new(),
            sending: BTreeMap::new(),
            waiting: None,
            deposited: None,
            twins: Vec::new(),
            squashed,
            asked: BTreeMap::new(),
            tries: BTreeMap::new(),
            out: Vec::new(),
            lie,
            planted,
            armed,
            crashed: false,
            unsynced: false,
            dirty: true,
            ticks: u64::from(me.get()),
            breaches: Vec::new(),
            promised: Vec::new(),
        }
    }

    fn crash(mut self, kept: usize) -> Disk {
        self.disk.crash(kept);
        self.disk
    }

    fn crashed(&self) -> bool {
        self.crashed
    }

    fn hear(&mut self, now_ms: u64, from: PartyId, letter: Letter) {
        match letter {
            Letter::Statements(statements) => {
                for signed in statements.iter() {
                    self.take_in(now_ms, signed);
                }
            }
            Letter::Heads(heads) => {
                let missing = self.fold.missing_from(&heads, MOST_STATEMENTS);
                if !missing.is_empty() {
                    let missing = missing.into_iter().cloned().collect();
                    self.send(from, Letter::Statements(Arc::new(missing)));
                }
            }
            Letter::Seeds(session, shares) => self.take_seeds(from, session, &shares),
            Letter::SeedsTaken(session) => {
                if self.local.session == Some(session) {
                    self.local.confirmed.insert(from);
                    self.dirty = true;
                }
            }
            Letter::Subseeds(batch, subseeds) => self.take_subseeds(from, batch, &subseeds),
            Letter::SubseedsTaken(batch) => {
                self.view.subseeds_sent.insert(batch);
            }
            Letter::Ask(ask) => {
                let answer = self.answer(&ask);
                self.send(from, Letter::Answer(ask, answer));
            }
            Letter::Answer(ask, bytes) => self.take_answer(now_ms, from, ask, bytes.as_deref()),
        }
    }

    fn tick(&mut self, now_ms: u64) {
        self.ticks += 1;
        self.dirty = true;
        self.give_up_requests(now_ms);
        if mem::take(&mut self.unsynced) || self.planted == Some(Planted::SpeakFirst) {
            self.disk.sync();
        }
        for wish in mem::take(&mut self.promised) {
            self.obey(now_ms, wish);
        }
        if self.planted != Some(Planted::NoComparison) {
            let turn = usize::try_from(self.ticks).unwrap_or(0) % self.others.len();
            let heads = self.fold.heads();
            self.send(self.others[turn], Letter::Heads(heads));
        }
    }

    fn act(&mut self, now_ms: u64) {
        if !mem::take(&mut self.dirty) || self.crashed {
            return;
        }
        self.make_key(now_ms);
        self.open_key();
        self.do_duties(now_ms);
        self.deposit(now_ms);
        self.lie_early(now_ms);
    }

    fn obey(&mut self, now_ms: u64, wish: Wish) -> Answer {
        self.answer_operator(now_ms, wish)
    }

    fn take_out(&mut self) -> Vec<(PartyId, Letter)> {
        mem::take(&mut self.out)
    }

    fn unanswered(_: &Letter) -> Option<Letter> {
        // Its requests time out.
        None
    }

    fn statements_in(letter: &Letter) -> &[SignedStatement] {
        match letter {
            Letter::Statements(statements) => statements,
            _ => &[],
        }
    }

    fn fold(&self) -> &Fold {
        &self.fold
    }

    fn holds_key(&self) -> bool {
        self.key.is_some()
    }

    fn holds_blob(&self, digest: &Digest) -> bool {
        self.disk.blob(digest).is_some()
    }

    fn list(&self, blob: &Digest) -> Option<&TwinList> {
        self.view.twin_lists.get(blob)
    }

    fn in_the_clear(&self, study: &Digest, clear: &BTreeMap<Digest, Vec<u8>>) -> Option<Vec<u8>> {
        let study = Study::find(&self.fold, study)?;
        let list = self.list(&study.manifest.twins.blob)?;
        let mut cells = vec![0; arithmetic::CELLS];
        for twin in list.twins() {
            for (cell, value) in cells.iter_mut().zip(clear.get(&twin.digest)?) {
                *cell += value;
            }
        }
        Some(cells)
    }

    fn export(&self, study: Option<Digest>) -> Result<Transcript, String> {
        let mut log = Log::default();
        log.follow(&self.fold);
        let checkpoint = cosigned(&self.fold, (self.me, &self.identity), &log);
        let mut transcript = Transcript::export(&self.fold, study, self, &log, &checkpoint)
            .map_err(|e| e.to_string())?;
        if self.planted == Some(Planted::ShortExport) {
            transcript.statements.pop();
        }
        Ok(transcript)
    }

    fn clear(&self) -> Vec<(Digest, Vec<u8>)> {
        self.twins.clone()
    }

    fn status(&self, now_ms: u64) -> String {
        let step = organtwin_protocol::ceremony::step(&self.fold, self.me, now_ms, &self.local);
        let duties = organtwin_protocol::duty::duties(&self.fold, self.me, now_ms, &self.view);
        format!("next in the ceremony: {step:?}; duties: {duties:?}")
    }

    fn breaches(&self) -> &[String] {
        &self.breaches
    }
}

impl StudyStore for Hospital {
    fn twin_list(&self, manifest: &Digest) -> Option<TwinList> {
        let study = Study::find(&self.fold, manifest)?;
        self.view
            .twin_lists
            .get(&study.manifest.twins.blob)
            .cloned()
    }

    fn squashed(&self, manifest: &Digest) -> Option<Vec<u8>> {
        Some(self.squashed.get(manifest)?.to_bytes())
    }
}

/// The parties that a set names.
fn members(set: organtwin_threshold::PartySet) -> Vec<PartyId> {
    set.iter().collect::<BTreeSet<_>>().into_iter().collect()
}
