//! One party: what a node holds, without sockets, disks and clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use organtwin_protocol::ceremony::{self, Local, blame};
use organtwin_protocol::certificate::Certificate;
use organtwin_protocol::digest::{self, Digest, of_blob};
use organtwin_protocol::duty::LocalView;
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::feed::FeedHead;
use organtwin_protocol::fold::{Admitted, Fold, Refusal};
use organtwin_protocol::identity::Identity;
use organtwin_protocol::log::Log;
use organtwin_protocol::log::checkpoint::Checkpoint;
use organtwin_protocol::log::witness::cosigned_at_once;
use organtwin_protocol::roster::Roster;
use organtwin_protocol::statement::{
    Batch, Body, STATEMENT_VERSION, SignedStatement, StageName, Statement, VerifiedStatement,
};
use organtwin_protocol::transcript::{ExportError, StudyStore, Transcript};
use organtwin_protocol::twin::TwinList;
use organtwin_simulations::{Engine, Weights};
use organtwin_threshold::{
    BatchBodies, KeyCeremony, KeyShare, ParameterSet, PartyId, PieceId, PublicKey, SeedShare,
    SessionId, SquashedBlocks,
};

use crate::liar::{Liar, Utterance};
use crate::network::{Ask, Dice, Message};
use crate::resharing::Change;

/// How long a silent party is waited for, in virtual milliseconds.
pub const PATIENCE_MS: u64 = 60_000;

/// Changes the weights of the twin of a number, as only a crafted deposit can.
pub type Craft = fn(usize, &mut Vec<i128>);

/// The key as one party holds it.
pub struct Key {
    /// What all parties signed.
    pub certificate: Certificate,
    /// The public material.
    pub public: PublicKey,
    /// The own share; a party that joins has none yet, one that left none any more.
    pub share: Option<KeyShare>,
    /// The evaluation.
    pub engine: Engine,
}

impl Key {
    /// What anyone may have of it.
    #[must_use]
    pub fn without_share(&self) -> Self {
        let mut bytes = Vec::new();
        self.public
            .write_to(&mut bytes)
            .expect("memory takes bytes");
        let public = PublicKey::read_from(bytes.as_slice()).expect("what was written");
        let server = public.evaluation_key().expect("the key assembles");
        Self {
            certificate: self.certificate.clone(),
            public,
            share: None,
            engine: Engine::new(Arc::new(server)).expect("a classic key"),
        }
    }
}

/// The secrets and vectors of a session.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) own: BTreeMap<PieceId, SeedShare>,
    pub(crate) others: BTreeMap<(PieceId, PartyId), SeedShare>,
    pub(crate) sent: BTreeSet<PartyId>,
    pub(crate) keygen: Option<KeyCeremony>,
    pub(crate) vectors: BTreeMap<(StageName, u16), Vec<Vec<u8>>>,
    pub(crate) leaves: BTreeMap<(StageName, u16), Vec<Digest>>,
    pub(crate) chunks: BTreeMap<(StageName, u16, u32), Vec<u8>>,
    pub(crate) assembled: Option<(PublicKey, KeyShare)>,
    pub(crate) self_test: Option<(SquashedBlocks, Vec<u8>)>,
}

/// The own seed shares of a session that was given up, until they are published.
pub(crate) struct Kept {
    pub(crate) session: SessionId,
    pub(crate) own: BTreeMap<PieceId, SeedShare>,
    pub(crate) mask: Digest,
}

/// What survives a restart: statements, blobs, key and the digests of what the party derived.
pub struct Disk {
    statements: Vec<SignedStatement>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    key: Option<Key>,
    derived: BTreeMap<Digest, Digest>,
    squashed_bytes: BTreeMap<Digest, Vec<u8>>,
    patients: Vec<Weights>,
    deposited: bool,
    sealed: Option<(SessionId, KeyShare)>,
    identity: Identity,
}

impl Disk {
    /// Loses the statements of others beyond what was `durable` of each feed, but the first `kept`.
    pub(crate) fn lose_unsynced(&mut self, durable: &BTreeMap<PartyId, usize>, kept: usize) {
        let mut left = kept;
        let mut seen: BTreeMap<PartyId, usize> = BTreeMap::new();
        self.statements.retain(|signed| {
            let author = organtwin_protocol::codec::decode(
                signed.bytes.as_slice(),
                organtwin_protocol::statement::MAX_STATEMENT_BYTES,
            )
            .map(|statement: Statement| statement.author)
            .expect("an admitted statement");
            let place = seen.entry(author).or_default();
            *place += 1;
            if *place <= durable.get(&author).copied().unwrap_or(0) {
                return true;
            }
            let survives = left > 0;
            left = left.saturating_sub(1);
            survives
        });
    }
}

/// A party of the virtual consortium.
pub struct Party {
    /// Its number.
    pub me: PartyId,
    /// What it heard.
    pub fold: Fold,
    /// Its log of that, in the order of acceptance.
    pub log: Log,
    heard: BTreeMap<Digest, SignedStatement>,
    /// Its deviations, if it is a liar.
    pub liar: Liar,
    /// Its joint key, once certified.
    pub key: Option<Key>,
    /// What it tells the duties.
    pub view: LocalView,
    /// Its patients' weights, not yet deposited.
    pub patients: Vec<Weights>,
    /// What it makes of the weights of its twins, by their order, if its deposits are crafted.
    pub craft: Option<Craft>,
    /// Refused statements of others.
    pub refused: Vec<(PartyId, Refusal)>,
    /// Peers that sent it something else than they had signed for.
    pub caught: BTreeSet<PartyId>,
    /// How many bootstraps it executed.
    pub bootstraps: u64,
    pub(crate) params: ParameterSet,
    pub(crate) dice: Dice,
    pub(crate) local: Local,
    pub(crate) session: Session,
    pub(crate) blame: blame::Local,
    pub(crate) kept: Option<Kept>,
    pub(crate) resharing: Change,
    pub(crate) identity: Identity,
    pub(crate) asked: BTreeMap<Ask, PartyId>,
    pub(crate) tries: BTreeMap<Ask, usize>,
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
    pub(crate) bodies: BTreeMap<Batch, BatchBodies>,
    pub(crate) subseeds: BTreeMap<(Batch, PieceId), BTreeMap<PartyId, [u8; 32]>>,
    pub(crate) subseeds_sent: BTreeSet<Batch>,
    pub(crate) squashed: BTreeMap<Digest, SquashedBlocks>,
    pub(crate) deposited: bool,
    pub(crate) next_batch: u32,
    pub(crate) early: Vec<(PartyId, SessionId, PieceId, [u8; 32])>,
    pub(crate) out: Vec<(PartyId, Message)>,
}

/// The statement key of a party.
#[must_use]
pub fn identity(party: PartyId) -> Identity {
    Identity::from_seed([party.get(); 32])
}

/// A checkpoint of a party's log that all other members have cosigned, those with the key that they began with.
///
/// # Panics
/// For a party that is no member.
#[must_use]
pub fn cosigned(fold: &Fold, me: (PartyId, &Identity), log: &Log) -> Checkpoint {
    let (roster, consortium) = (fold.roster(), fold.founding().digest());
    let others: Vec<_> = roster
        .members()
        .iter()
        .filter(|member| member.party != me.0)
        .map(|member| (member, identity(member.party)))
        // One that came back has another key, which its own process knows.
        .filter(|(member, identity)| member.statement_key == identity.public())
        .map(|(member, identity)| (member.party, identity))
        .collect();
    let others: Vec<_> = others.iter().map(|(p, identity)| (*p, identity)).collect();
    cosigned_at_once(log, roster, &consortium, me, &others, 1).expect("members of the roster")
}

impl Party {
    /// A party that has heard nothing.
    #[must_use]
    pub fn new(roster: &Roster, params: ParameterSet, me: PartyId, seed: u64) -> Self {
        let limit = organtwin_protocol::budget::opening_limit(roster)
            .expect("toy parameters are known here");
        Self {
            me,
            fold: Fold::new(roster.clone()),
            log: Log::default(),
            heard: BTreeMap::new(),
            liar: Liar::default(),
            key: None,
            view: LocalView {
                takeover_ms: 20_000,
                opening_limit: limit,
                ..LocalView::default()
            },
            patients: Vec::new(),
            craft: None,
            refused: Vec::new(),
            caught: BTreeSet::new(),
            bootstraps: 0,
            params,
            dice: Dice::new(seed ^ (u64::from(me.get()) << 32)),
            local: Local {
                patience_ms: PATIENCE_MS,
                ..Local::default()
            },
            session: Session::default(),
            blame: blame::Local::default(),
            kept: None,
            resharing: Change::of_disk(None),
            identity: identity(me),
            asked: BTreeMap::new(),
            tries: BTreeMap::new(),
            blobs: BTreeMap::new(),
            bodies: BTreeMap::new(),
            subseeds: BTreeMap::new(),
            subseeds_sent: BTreeSet::new(),
            squashed: BTreeMap::new(),
            deposited: false,
            next_batch: 0,
            early: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Stops the process; what is on its disk remains.
    #[must_use]
    pub fn stop(self) -> Disk {
        Disk {
            statements: self
                .fold
                .statements()
                .map(VerifiedStatement::signed)
                .cloned()
                .collect(),
            squashed_bytes: self
                .squashed
                .iter()
                .map(|(id, blocks)| (*id, blocks.to_bytes()))
                .collect(),
            derived: self
                .squashed
                .iter()
                .map(|(id, blocks)| (*id, blocks.digest()))
                .collect(),
            blobs: self.blobs,
            key: self.key,
            patients: self.patients,
            deposited: self.deposited,
            sealed: self.resharing.sealed,
            identity: self.identity,
        }
    }

    /// Starts again from a disk.
    #[must_use]
    pub fn restart(
        roster: &Roster,
        params: ParameterSet,
        me: PartyId,
        seed: u64,
        disk: Disk,
    ) -> Self {
        let mut party = Self::new(roster, params, me, seed);
        party.hear_all(disk.statements);
        for (digest, bytes) in disk.blobs {
            party.keep(bytes);
            assert!(party.blobs.contains_key(&digest));
        }
        for (study, digest) in disk.derived {
            let blocks = SquashedBlocks::restore(
                &disk.squashed_bytes[&study],
                params.squashing_size() + 1,
                digest,
            )
            .expect("own record");
            party.view.squashed.insert(study, blocks.digest());
            party.squashed.insert(study, blocks);
        }
        party.key = disk.key;
        party.patients = disk.patients;
        party.deposited = disk.deposited;
        party.resharing = Change::of_disk(disk.sealed);
        party.identity = disk.identity;
        party
    }

    /// Takes in statements, again those that name epochs which only other statements make known.
    pub fn hear_all(&mut self, mut statements: Vec<SignedStatement>) {
        loop {
            let before = statements.len();
            statements.retain(|signed| {
                self.heard.insert(signed.hash(), signed.clone());
                match self.fold.admit(signed.clone()) {
                    Ok(_) => false,
                    Err(refusal) => refusal.may_pass(),
                }
            });
            self.log.follow(&self.fold);
            if statements.is_empty() || statements.len() == before {
                return;
            }
        }
    }

    /// Says something: composes, signs, keeps, tells everyone. A liar says what its lie makes of it.
    ///
    /// # Errors
    /// What everyone else would answer.
    pub fn say(&mut self, now_ms: u64, body: Body) -> Result<(), Refusal> {
        if self.fold.ended(self.me).is_some() {
            return Ok(());
        }
        let honest = self.liar.is_honest();
        let next = |party: &Self, body| party.composed(now_ms, body);
        match self.liar.utter(&self.fold, body) {
            Utterance::Say(bodies) => {
                for body in bodies {
                    let statement = match next(self, body.clone()) {
                        // A liar says also what everyone refuses.
                        Err(_) if !honest => self.unchecked(now_ms, body),
                        composed => composed?,
                    };
                    self.sign_and_tell(now_ms, &statement);
                }
            }
            Utterance::Fork(one, other) => {
                let (one, other) = (next(self, one)?, next(self, other)?);
                let others: Vec<PartyId> = self.others().collect();
                let (some, rest) = others.split_at(others.len() / 2);
                let (one, other) = (self.signed(&one), self.signed(&other));
                self.admit(now_ms, self.me, &one);
                for (parties, signed) in [(some, one), (rest, other)] {
                    let message = Message::Statement(signed);
                    self.out
                        .extend(parties.iter().map(|party| (*party, message.clone())));
                }
            }
            Utterance::Unchained(body) => {
                let mut statement = next(self, body)?;
                statement.prev = crate::liar::flipped(statement.prev);
                self.sign_and_tell(now_ms, &statement);
            }
            Utterance::Ahead(body) => {
                let mut statement = next(self, body)?;
                statement.seq += 2 * organtwin_protocol::fold::MAX_PENDING;
                self.sign_and_tell(now_ms, &statement);
            }
        }
        Ok(())
    }

    fn composed(&self, now_ms: u64, body: Body) -> Result<Statement, Refusal> {
        let epoch = self.fold.speaks_in(self.me).unwrap_or(0);
        self.fold.compose(self.me, epoch, now_ms, body)
    }

    fn unchecked(&self, now_ms: u64, body: Body) -> Statement {
        let feed = self.fold.feed(self.me);
        Statement {
            version: STATEMENT_VERSION,
            roster: self.fold.founding().digest(),
            author: self.me,
            seq: feed.len() as u64,
            prev: feed.last().map_or(digest::ZERO, VerifiedStatement::hash),
            epoch: self.fold.speaks_in(self.me).unwrap_or(0),
            time_ms: now_ms,
            body,
        }
    }

    fn signed(&self, statement: &Statement) -> SignedStatement {
        SignedStatement::sign(statement, &self.identity).expect("a statement of allowed size")
    }

    fn sign_and_tell(&mut self, now_ms: u64, statement: &Statement) {
        let signed = self.signed(statement);
        self.admit(now_ms, self.me, &signed);
        self.tell_all(&Message::Statement(signed));
    }

    /// Tells a message to all others.
    pub fn tell_all(&mut self, message: &Message) {
        let others: Vec<PartyId> = self.others().collect();
        self.out
            .extend(others.into_iter().map(|party| (party, message.clone())));
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = PartyId> + use<> {
        let me = self.me;
        // Those who are about to join hear everything too.
        let rosters = self.fold.rosters();
        let parties: BTreeSet<PartyId> = rosters.flat_map(Roster::numbers).collect();
        parties.into_iter().filter(move |party| *party != me)
    }

    /// The messages to send.
    pub fn take_out(&mut self) -> Vec<(PartyId, Message)> {
        mem::take(&mut self.out)
    }

    /// Takes a message.
    pub fn hear(&mut self, now_ms: u64, from: PartyId, message: Message) {
        match message {
            Message::Statement(signed) => self.admit(now_ms, from, &signed),
            Message::SeedShare(session, piece, secret) => {
                self.take_any_seed_share(from, session, piece, secret);
            }
            Message::SeedSharesTaken(session) if self.resharing.local.session == Some(session) => {
                self.resharing.local.confirmed.insert(from);
            }
            Message::SeedSharesTaken(session) if self.local.session == Some(session) => {
                self.local.confirmed.insert(from);
            }
            Message::SeedSharesTaken(_) => {}
            Message::Subseed(batch, piece, secret) => {
                self.subseeds
                    .entry((batch, piece))
                    .or_default()
                    .insert(from, secret);
                self.out.push((from, Message::SubseedsTaken(batch)));
            }
            Message::SubseedsTaken(batch) => {
                self.view.subseeds_sent.insert(batch);
            }
            Message::Ask(ask) => {
                let answer = self.answer(from, &ask);
                self.out.push((from, Message::Answer(ask, answer)));
            }
            Message::Answer(ask, bytes) => {
                if self.asked.get(&ask) == Some(&from) {
                    self.asked.remove(&ask);
                    self.take_answer(from, ask, bytes);
                }
            }
        }
    }

    fn admit(&mut self, now_ms: u64, from: PartyId, signed: &SignedStatement) {
        self.heard.insert(signed.hash(), signed.clone());
        match self.fold.admit(signed.clone()) {
            Ok(Admitted::Extended(_)) => {
                self.log.follow(&self.fold);
                self.pass_on(from, signed);
                self.local.moved_ms = now_ms;
                self.resharing.local.moved_ms = now_ms;
                let studies: Vec<Digest> = self.fold.facts().studies.keys().copied().collect();
                for study in studies {
                    self.view.progress_ms.insert(study, now_ms);
                }
            }
            Ok(Admitted::Pending | Admitted::Known) => {}
            Err(refusal) => {
                self.log.follow(&self.fold);
                if let Refusal::Equivocation { proof, .. } = &refusal {
                    self.pass_on(from, &proof.first);
                    self.pass_on(from, &proof.second);
                }
                self.refused.push((from, refusal));
            }
        }
    }

    /// The transcript that it exports after all other members have cosigned its log.
    ///
    /// # Errors
    /// What is missing.
    pub fn transcript(&self, subject: Option<Digest>) -> Result<Transcript, ExportError> {
        let checkpoint = cosigned(&self.fold, (self.me, &self.identity), &self.log);
        Transcript::export(&self.fold, subject, self, &self.log, &checkpoint)
    }

    /// Passes on what came from its author, so that nobody hears something else than the others for long.
    fn pass_on(&mut self, from: PartyId, signed: &SignedStatement) {
        let author = self.fold.check(signed.clone());
        if from == self.me || author.is_ok_and(|statement| statement.author() != from) {
            return;
        }
        let others: Vec<PartyId> = self.others().filter(|party| *party != from).collect();
        let message = Message::Statement(signed.clone());
        self.out
            .extend(others.into_iter().map(|party| (party, message.clone())));
    }

    fn answer(&self, from: PartyId, ask: &Ask) -> Option<Vec<u8>> {
        match ask {
            Ask::Parcel { session, piece } => self.parcel(from, session, *piece),
            Ask::Blob(digest) => self.liar.blob(self.blobs.get(digest).cloned()),
            Ask::Chunk {
                session,
                stage,
                group,
                chunk,
            } => {
                if self.local.session != Some(*session) {
                    return None;
                }
                let vector = self.session.vectors.get(&(*stage, *group))?;
                Some(match chunk {
                    None => vector
                        .iter()
                        .flat_map(|bytes| *of_blob(bytes).as_bytes())
                        .collect(),
                    Some(chunk) => {
                        let bytes = vector.get(*chunk as usize)?.clone();
                        self.liar.chunk(*stage, bytes)
                    }
                })
            }
        }
    }

    fn take_answer(&mut self, from: PartyId, ask: Ask, bytes: Option<Vec<u8>>) {
        *self.tries.entry(ask).or_default() += 1;
        match (ask, bytes) {
            (Ask::Blob(digest), bytes) => {
                self.view.fetching.remove(&digest);
                if let Some(bytes) = bytes.filter(|bytes| of_blob(bytes) == digest) {
                    self.keep(bytes);
                }
            }
            (
                Ask::Chunk {
                    session,
                    stage,
                    group,
                    chunk,
                },
                Some(bytes),
            ) if self.local.session == Some(session) => {
                self.take_chunk(from, stage, group, chunk, bytes);
            }
            (Ask::Parcel { session, piece }, Some(bytes)) => {
                self.take_parcel(from, session, piece, &bytes);
            }
            (Ask::Chunk { .. } | Ask::Parcel { .. }, _) => {}
        }
    }

    /// Asks one of the holders, another one at each try.
    pub(crate) fn ask(&mut self, ask: Ask, holders: &[PartyId]) {
        if self.asked.contains_key(&ask) || holders.is_empty() {
            return;
        }
        let turn = self.tries.get(&ask).copied().unwrap_or(0) % holders.len();
        self.asked.insert(ask, holders[turn]);
        self.out.push((holders[turn], Message::Ask(ask)));
    }

    /// Keeps a blob; a twin list is decoded for the duties.
    pub fn keep(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = of_blob(&bytes);
        if let Ok(list) = TwinList::decode(&bytes) {
            self.view.twin_lists.insert(digest, list);
        }
        self.view.blobs.insert(digest);
        self.blobs.insert(digest, bytes);
        digest
    }

    /// Does everything that is to do now.
    pub fn act(&mut self, now_ms: u64) {
        self.make_key(now_ms);
        self.assign_blame(now_ms);
        if self.key.is_some() {
            self.change_epoch(now_ms);
            let limit = organtwin_protocol::budget::limit(&self.fold);
            self.view.opening_limit = limit.expect("toy parameters are known here");
            self.do_duties(now_ms);
        }
    }

    /// The digest of the squashed bytes that this party derived itself.
    #[must_use]
    pub fn squashed_digest(&self, study: &Digest) -> Option<Digest> {
        self.squashed.get(study).map(SquashedBlocks::digest)
    }

    /// This party's values of everything that a study opens.
    ///
    /// # Panics
    /// Unless it derived the study's aggregate.
    #[must_use]
    pub fn values_of(&self, study: &Digest) -> Vec<(PieceId, Vec<u128>)> {
        let key = self.key.as_ref().expect("a key");
        let blocks = self.squashed.get(study).expect("a derived aggregate");
        let share = key.share.as_ref().expect("a share");
        share
            .partial_decrypt(share.epoch(), blocks)
            .expect("own blocks")
    }

    /// Joins a ceremony.
    pub fn join(&mut self, now_ms: u64) {
        if let Some(attempt) = ceremony::attempt_to_join(&self.fold, self.me) {
            let nonce = Digest::new(self.dice.bytes());
            self.session = Session::default();
            self.local = Local {
                patience_ms: PATIENCE_MS,
                moved_ms: now_ms,
                ..Local::default()
            };
            self.say(now_ms, Body::CeremonyJoined { attempt, nonce })
                .expect("joining is allowed");
        }
    }

    /// The evidence with which anyone in this party's fold gave up a session or accused someone.
    #[must_use]
    pub fn accusations(&self) -> Vec<(PartyId, Evidence)> {
        let said = self
            .fold
            .statements()
            .filter_map(|statement| match statement.body() {
                Body::CeremonyAborted {
                    evidence: Some(evidence),
                    ..
                }
                | Body::Accusation { evidence } => Some((statement.author(), evidence.clone())),
                _ => None,
            });
        said.collect()
    }

    /// The evidence with which anyone in this party's fold gave up a change of the sharing.
    #[must_use]
    pub fn given_up(&self) -> Vec<(PartyId, Evidence)> {
        let said = self
            .fold
            .statements()
            .filter_map(|statement| match statement.body() {
                Body::EpochAborted {
                    evidence: Some(evidence),
                    ..
                } => Some((statement.author(), evidence.clone())),
                _ => None,
            });
        said.collect()
    }

    /// The reasons with which changes of the sharing were given up.
    #[must_use]
    pub fn give_ups(&self) -> Vec<String> {
        let said = self
            .fold
            .statements()
            .filter_map(|statement| match statement.body() {
                Body::EpochAborted { reason, .. } => Some(reason.clone()),
                _ => None,
            });
        said.collect()
    }

    /// The reasons with which sessions were given up.
    #[must_use]
    pub fn aborts(&self) -> Vec<(PartyId, String)> {
        let said = self
            .fold
            .statements()
            .filter_map(|statement| match statement.body() {
                Body::CeremonyAborted { reason, .. } => Some((statement.author(), reason.clone())),
                _ => None,
            });
        said.collect()
    }
}

impl StudyStore for Party {
    fn twin_list(&self, manifest: &Digest) -> Option<TwinList> {
        let study = organtwin_protocol::study::Study::find(&self.fold, manifest)?;
        self.view
            .twin_lists
            .get(&study.manifest.twins.blob)
            .cloned()
    }

    fn squashed(&self, manifest: &Digest) -> Option<Vec<u8>> {
        Some(self.squashed.get(manifest)?.to_bytes())
    }

    fn voided(&self, statement: &FeedHead) -> Option<SignedStatement> {
        self.heard.get(&statement.hash).cloned()
    }
}
