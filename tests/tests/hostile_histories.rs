//! The decryption invariant against generated hostile histories: whatever corrupt parties say, in whatever order it
//! arrives, an honest party's duties never lead to a partial decryption that `decryption::rightful` does not allow.

use std::sync::atomic::{AtomicU64, Ordering};

use organtwin_protocol::admission;
use organtwin_protocol::certificate::Certificate;
use organtwin_protocol::digest::{Digest, ZERO, of_blob};
use organtwin_protocol::duty::{self, Duty, LocalView};
use organtwin_protocol::fold::Fold;
use organtwin_protocol::manifest::{
    Gate, MANIFEST_VERSION, Manifest, ProgramFacts, RowFacts, TwinListFacts,
};
use organtwin_protocol::roster::Roster;
use organtwin_protocol::statement::{
    Batch, Body, GroupDigest, PieceValues, STATEMENT_VERSION, SignedStatement, Statement, TwinCheck,
};
use organtwin_protocol::study::{self, Study};
use organtwin_protocol::twin::{TwinEntry, TwinId, TwinList};
use organtwin_tests::consortium::{party, roster_of};
use organtwin_tests::decryption::rightful;
use organtwin_tests::party::identity;
use organtwin_threshold::{AdmissionValue, ParameterSet, PartyId, PieceId, SessionId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const BLOCKS: u32 = 4;
const EXPIRES: u64 = 100_000;
const ME: u8 = 1;

fn blob(text: &str) -> Digest {
    of_blob(text.as_bytes())
}

/// The squashed bytes that a study truly has.
fn truth(study: &Digest) -> Digest {
    of_blob(study.as_bytes())
}

/// What everyone said, and what party 1 has heard of it.
#[derive(Clone)]
struct History {
    all: Fold,
    mine: Fold,
    now_ms: u64,
    mail: Vec<SignedStatement>,
    next: usize,
    corrupt: Vec<u8>,
    studies: Vec<Digest>,
    list: TwinList,
    schema: Digest,
}

impl History {
    /// A consortium with a key, a twin of each of three hospitals, and two proposed studies.
    fn new(n: u8, t: u8) -> Self {
        let roster = roster_of(n, t, &ParameterSet::toy().unwrap());
        let mut history = Self {
            all: Fold::new(roster.clone()),
            mine: Fold::new(roster.clone()),
            now_ms: 1000,
            mail: Vec::new(),
            next: 0,
            corrupt: (n - t + 1..=n).collect(),
            studies: Vec::new(),
            list: TwinList::sorted(vec![]).unwrap_or_else(|_| one_twin()),
            schema: blob("schema"),
        };
        let everyone: Vec<PartyId> = roster.members().iter().map(|m| m.party).collect();
        let certificate = certificate(&roster);
        for author in &everyone {
            history.honest(*author, Body::RosterSigned {});
        }
        for author in &everyone {
            let certificate = certificate.clone();
            history.honest(*author, Body::KeyCertified { certificate });
        }
        for hospital in [2, 3, n] {
            history.deposit(party(hospital));
        }
        let twins = study::eligible_twins(&history.all, &history.all.heads(), &history.schema);
        history.list = TwinList::sorted(twins).unwrap();
        for (proposer, quorum) in [(2, 2 * t + 1), (3, n)] {
            let manifest = history.manifest(party(proposer), quorum, &certificate, EXPIRES);
            history.studies.push(manifest.digest().unwrap());
            let manifest = Box::new(manifest);
            history.honest(party(proposer), Body::StudyProposed { manifest });
        }
        history.deliver_all();
        history
    }

    fn deposit(&mut self, hospital: PartyId) {
        let batch = Batch {
            epoch: 0,
            hospital,
            number: 0,
            polynomials: 1,
        };
        self.honest(hospital, Body::BatchRequested { batch });
        let twin = TwinEntry {
            id: TwinId::from_bytes([hospital.get(); 16]),
            digest: blob(&format!("twin {hospital}")),
            first_slot: 0,
            slots: 10,
        };
        let (schema, digest) = (self.schema, twin.digest);
        let body = Body::TwinsDeposited {
            schema,
            organ: "kidney".into(),
            batch,
            twins: vec![twin],
        };
        self.honest(hospital, body);
        let members = self.all.roster().members().iter().map(|m| m.party);
        for other in members.filter(|p| *p != hospital).collect::<Vec<_>>() {
            let vectors = organtwin_protocol::fold::own_groups(self.all.roster(), other)
                .map(|group| GroupDigest {
                    group,
                    digest: blob(&format!("vector {group}")),
                })
                .collect();
            self.honest(other, Body::BatchPrepared { batch, vectors });
            let twins = vec![digest];
            self.honest(other, Body::TwinsReceived { twins });
        }
        self.check(hospital, TwinId::from_bytes([hospital.get(); 16]));
    }

    /// Everyone checks a twin that is as it should be.
    fn check(&mut self, hospital: PartyId, id: TwinId) {
        let deposit = self.all.facts().deposits[&(hospital, id)].statement;
        let roster = self.all.roster().clone();
        for member in roster.members() {
            let groups = admission::own_groups(&roster, member.party).count();
            let values = vec![AdmissionValue::default(); groups];
            let check = TwinCheck {
                id,
                values: admission::pack(&values).into(),
            };
            let twins = vec![check];
            self.honest(member.party, Body::TwinsChecked { deposit, twins });
        }
    }

    fn manifest(
        &self,
        proposer: PartyId,
        quorum: u8,
        certificate: &Certificate,
        expires_ms: u64,
    ) -> Manifest {
        Manifest {
            version: MANIFEST_VERSION,
            title: "A study".into(),
            question: "How many?".into(),
            proposer,
            schema: self.schema,
            program: blob("program"),
            facts: ProgramFacts {
                model: "model".into(),
                rows: vec![RowFacts {
                    label: "row".into(),
                    cells: 3,
                }],
                gate: Gate::RowWithoutAnyHospital,
                k: 10,
                blocks: BLOCKS,
            },
            scenario: vec![1].into(),
            twins: TwinListFacts::of(&self.list).unwrap(),
            feeds: self.all.heads(),
            certificate: certificate.digest().unwrap(),
            epsilon_micro: None,
            quorum,
            recipients: vec![],
            expires_ms,
        }
    }

    /// An honest party says something, if its own rules allow it.
    fn honest(&mut self, author: PartyId, body: Body) {
        self.now_ms += 1;
        let fold = if author.get() == ME {
            &self.mine
        } else {
            &self.all
        };
        let Ok(statement) = fold.compose(author, 0, self.now_ms, body) else {
            return;
        };
        let signed = SignedStatement::sign(&statement, &identity(author)).unwrap();
        drop(self.all.admit(signed.clone()));
        if author.get() == ME {
            drop(self.mine.admit(signed.clone()));
        }
        self.mail.push(signed);
    }

    /// A corrupt party signs anything, in its own name or another's, at any place of a feed.
    fn corrupt(&mut self, author: PartyId, place: i64, time_ms: u64, body: Body) {
        let signer = party(self.corrupt[0]);
        let feed = self.all.feed(author);
        let end = i64::try_from(feed.len()).unwrap();
        let seq = u64::try_from((end + place).max(0)).unwrap();
        let before = seq
            .checked_sub(1)
            .and_then(|seq| feed.get(usize::try_from(seq).unwrap()));
        let statement = Statement {
            version: STATEMENT_VERSION,
            roster: self.all.roster().digest(),
            author,
            seq,
            prev: before.map_or(ZERO, |s| s.hash()),
            epoch: 0,
            time_ms,
            body,
        };
        let key = if self.corrupt.contains(&author.get()) {
            author
        } else {
            signer
        };
        let signed = SignedStatement::sign(&statement, &identity(key)).unwrap();
        drop(self.all.admit(signed.clone()));
        self.mail.push(signed);
    }

    fn deliver(&mut self, index: usize) {
        if let Some(signed) = self.mail.get(index) {
            drop(self.mine.admit(signed.clone()));
        }
    }

    fn deliver_all(&mut self) {
        for index in self.next..self.mail.len() {
            self.deliver(index);
        }
        self.next = self.mail.len();
    }

    /// What party 1 holds: the twins, the list, and what it derived itself, which is always the truth.
    fn view(&self) -> LocalView {
        let facts = self.mine.facts();
        let mut view = LocalView {
            takeover_ms: 1000,
            opening_limit: 1 << 15,
            ..LocalView::default()
        };
        view.blobs
            .extend(facts.deposits.values().map(|d| d.twin.digest));
        view.batches.extend(facts.batches.keys());
        view.subseeds_sent.extend(facts.batches.keys());
        let blob = of_blob(&self.list.encode().unwrap());
        view.twin_lists.insert(blob, self.list.clone());
        view.squashed
            .extend(self.studies.iter().map(|id| (*id, truth(id))));
        view
    }

    fn values(&self, count: u32) -> Vec<(PieceId, Vec<u128>)> {
        let pieces = self.mine.roster().committee().pieces_of(party(ME));
        pieces
            .map(|piece| (piece, vec![7; count as usize]))
            .collect()
    }

    /// Asks the duties of party 1, and asks for releases that are no duty, too. What comes out must be rightful.
    fn releases(&self) -> Result<Vec<Body>, String> {
        let (me, view) = (party(ME), self.view());
        let duties = duty::duties(&self.mine, me, self.now_ms, &view);
        let mut asked: Vec<Duty> = duties
            .into_iter()
            .filter(|d| matches!(d, Duty::Release { .. }))
            .collect();
        let due = asked.len();
        for id in &self.studies {
            for (squashed, first_block, blocks) in [
                (truth(id), 0, BLOCKS),
                (blob("crafted"), 0, BLOCKS),
                (truth(id), 0, BLOCKS + 1),
                (truth(id), 2, BLOCKS),
                (truth(&blob("another")), 0, 1),
            ] {
                asked.push(Duty::Release {
                    manifest: *id,
                    squashed,
                    first_block,
                    blocks,
                });
            }
        }
        let mut released = Vec::new();
        for (position, duty) in asked.iter().enumerate() {
            let Duty::Release { blocks, .. } = duty else {
                continue;
            };
            let values = self.values(*blocks);
            let body = duty::release_body(&self.mine, me, self.now_ms, &view, duty, &values);
            let Some(body) = body else {
                if position < due {
                    return Err("a duty to release gives no body".into());
                }
                continue;
            };
            // F6: what the fold would refuse is never signed.
            if let Ok(statement) = self.mine.compose(me, 0, self.now_ms, body.clone()) {
                rightful(&self.mine, &statement, Some(&self.list)).map_err(|e| e.to_string())?;
                released.push(body);
            }
        }
        Ok(released)
    }
}

fn one_twin() -> TwinList {
    TwinList::sorted(vec![organtwin_protocol::twin::TwinRef {
        id: TwinId::from_bytes([0; 16]),
        digest: blob("none"),
        depositor: party(1),
    }])
    .unwrap()
}

fn certificate(roster: &Roster) -> Certificate {
    Certificate {
        session: SessionId::new([7; 32]),
        previous: ZERO,
        roster: roster.digest(),
        parameters: roster.parameters().to_owned(),
        epoch: 0,
        parties: u8::try_from(roster.parties()).unwrap(),
        threshold: u8::try_from(roster.threshold()).unwrap(),
        security: roster.committee().security(),
        mask_seed: blob("mask seed"),
        key: blob("key"),
        bytes: 1,
    }
}

/// Something said about a study.
#[derive(Debug, Clone)]
enum Say {
    Approve,
    Reject,
    Derive,
    DeriveOther,
    DeriveOtherBlocks,
    Close,
    Withdraw,
    Release,
    ProposeTwin,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Honest(u8, u8, Say),
    /// In the name of which party, at which place of its feed, at what time, about which study.
    Corrupt(u8, i64, u64, u8, Say),
    Deliver(prop::sample::Index),
    DeliverAll,
    Release,
    Wait(u64),
}

fn said(history: &History, author: PartyId, study: u8, say: &Say) -> Body {
    let studies = &history.studies;
    let id = studies
        .get(usize::from(study) % (studies.len() + 1))
        .copied();
    let manifest = id.unwrap_or_else(|| blob("a study that nobody proposed"));
    let derived = |squashed, blocks| Body::AggregateDerived {
        manifest,
        aggregate: squashed,
        squashed,
        blocks,
    };
    let pieces = |roster: &Roster| {
        let pieces = roster.committee().pieces_of(author);
        pieces
            .map(|piece| PieceValues::pack(piece, &[1; BLOCKS as usize]))
            .collect()
    };
    match say {
        Say::Approve => Body::StudyApproved { manifest },
        Say::Reject => Body::StudyRejected {
            manifest,
            reason: "no".into(),
        },
        Say::Derive => derived(truth(&manifest), BLOCKS),
        Say::DeriveOther => derived(blob("crafted"), BLOCKS),
        Say::DeriveOtherBlocks => derived(truth(&manifest), BLOCKS - 1),
        Say::Close => Body::StudyClosed {
            manifest,
            reason: "no".into(),
        },
        Say::Withdraw => Body::TwinWithdrawn {
            id: TwinId::from_bytes([author.get(); 16]),
        },
        Say::Release => Body::PartialDecryption {
            manifest,
            squashed: truth(&manifest),
            first_block: 0,
            approvals: {
                let mut cited = vec![blob("a"), blob("b"), blob("c")];
                cited.sort_unstable();
                cited
            },
            feeds: history.all.heads(),
            pieces: pieces(history.all.roster()),
        },
        Say::ProposeTwin => {
            let certificate = certificate(history.all.roster());
            let expires_ms = EXPIRES + u64::from(study);
            Body::StudyProposed {
                manifest: Box::new(history.manifest(author, 2, &certificate, expires_ms)),
            }
        }
    }
}

impl History {
    fn happen(&mut self, event: &Event, n: u8, released: &AtomicU64) -> Result<(), String> {
        match event {
            Event::Honest(who, study, say) => {
                let honest = n - u8::try_from(self.corrupt.len()).unwrap();
                let author = party(1 + who % honest);
                let body = said(self, author, *study, say);
                // Honest parties derive the truth and release by their duties only.
                if !matches!(
                    say,
                    Say::DeriveOther | Say::DeriveOtherBlocks | Say::Release
                ) {
                    self.honest(author, body);
                }
            }
            Event::Corrupt(who, place, time, study, say) => {
                let author = party(1 + who % n);
                let body = said(self, author, *study, say);
                if let Body::StudyProposed { manifest } = &body
                    && self.studies.len() < 4
                {
                    self.studies.push(manifest.digest().unwrap());
                }
                self.corrupt(author, *place, *time, body);
            }
            Event::Deliver(index) => {
                if !self.mail.is_empty() {
                    self.deliver(index.index(self.mail.len()));
                }
            }
            Event::DeliverAll => self.deliver_all(),
            Event::Release => {
                for body in self.releases()?.into_iter().take(1) {
                    self.honest(party(ME), body);
                    released.fetch_add(1, Ordering::Relaxed);
                }
            }
            Event::Wait(ms) => self.now_ms += ms,
        }
        self.releases().map(drop)
    }
}

fn say() -> impl Strategy<Value = Say> {
    prop_oneof![
        8 => Just(Say::Approve),
        1 => Just(Say::Reject),
        8 => Just(Say::Derive),
        2 => Just(Say::DeriveOther),
        1 => Just(Say::DeriveOtherBlocks),
        1 => Just(Say::Close),
        1 => Just(Say::Withdraw),
        1 => Just(Say::Release),
        1 => Just(Say::ProposeTwin),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let time = prop_oneof![4 => 1000..2000u64, 1 => Just(EXPIRES), 1 => any::<u64>()];
    let place = prop_oneof![8 => Just(0i64), 1 => Just(1), 2 => -3..0i64];
    prop_oneof![
        10 => (any::<u8>(), prop_oneof![6 => Just(0u8), 2 => 1..4u8], say())
            .prop_map(|(who, study, say)| Event::Honest(who, study, say)),
        6 => (any::<u8>(), place, time, 0..4u8, say())
            .prop_map(|(who, place, time, study, say)| Event::Corrupt(who, place, time, study, say)),
        3 => any::<prop::sample::Index>().prop_map(Event::Deliver),
        3 => Just(Event::DeliverAll),
        2 => Just(Event::Release),
        1 => prop_oneof![6 => Just(10u64), 1 => Just(EXPIRES)].prop_map(Event::Wait),
    ]
}

/// Cases of each committee in the ordinary run.
const CASES: u32 = 1500;

#[test]
fn no_hostile_history_makes_an_honest_party_release_wrongfully() {
    let cases = std::env::var("ORGANTWIN_HISTORIES")
        .ok()
        .and_then(|n| n.parse().ok());
    for (n, t) in [(4, 1), (7, 2)] {
        // From the beginning; with one approval missing; with all that is needed.
        let bases = [
            History::new(n, t),
            ready(n, t, "approval"),
            ready(n, t, "nothing"),
        ];
        let released = AtomicU64::new(0);
        let mut runner = TestRunner::new(Config {
            cases: cases.unwrap_or(CASES),
            failure_persistence: None,
            ..Config::default()
        });
        let histories = (0..bases.len(), prop::collection::vec(event(), 5..50));
        let outcome = runner.run(&histories, |(base, events)| {
            let mut history = bases[base].clone();
            for event in &events {
                history
                    .happen(event, n, &released)
                    .map_err(TestCaseError::fail)?;
            }
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("n = {n}: {failure}");
        }
        // The test would be worth nothing if nobody ever released.
        assert!(
            released.load(Ordering::Relaxed) > u64::from(CASES) / 20,
            "{released:?} releases"
        );
    }
}

/// A history in which party 1 may release study 0; `without` leaves one thing out.
fn ready(n: u8, t: u8, without: &str) -> History {
    let mut history = History::new(n, t);
    let id = history.studies[0];
    let approvers = 2 * t + u8::from(without != "approval");
    for number in 1..=approvers {
        history.honest(party(number), Body::StudyApproved { manifest: id });
    }
    history.deliver_all();
    let derive = |history: &mut History, number: u8| {
        let body = said(history, party(number), 0, &Say::Derive);
        history.honest(party(number), body);
    };
    if without != "own derivation" {
        derive(&mut history, 1);
    }
    if without != "second derivation" {
        derive(&mut history, 2);
    }
    for number in 3..=t + 1 + u8::from(without == "own derivation") {
        derive(&mut history, number);
    }
    let say = |history: &mut History, number: u8, say: &Say| {
        let body = said(history, party(number), 0, say);
        history.honest(party(number), body);
    };
    match without {
        "consent of two" => {
            say(&mut history, 3, &Say::Reject);
            say(&mut history, 4, &Say::Reject);
        }
        "own consent" => say(&mut history, 1, &Say::Reject),
        "proposer" => say(&mut history, 2, &Say::Close),
        "twin" => say(&mut history, 3, &Say::Withdraw),
        "time" => history.now_ms = EXPIRES,
        _ => {}
    }
    history.deliver_all();
    history
}

#[test]
fn the_invariant_notices_every_single_thing_that_is_missing() {
    let whole = ready(4, 1, "nothing");
    let bodies = whole.releases().unwrap();
    assert!(!bodies.is_empty());
    let Body::PartialDecryption {
        approvals,
        feeds,
        pieces,
        ..
    } = &bodies[0]
    else {
        panic!()
    };
    let forced = |history: &History, approvals: Vec<Digest>, squashed: Digest| Statement {
        version: STATEMENT_VERSION,
        roster: history.mine.roster().digest(),
        author: party(ME),
        seq: history.mine.feed(party(ME)).len() as u64,
        prev: ZERO,
        epoch: 0,
        time_ms: history.now_ms,
        body: Body::PartialDecryption {
            manifest: history.studies[0],
            squashed,
            first_block: 0,
            approvals,
            feeds: feeds.clone(),
            pieces: pieces.clone(),
        },
    };
    let judge = |history: &History, approvals: Vec<Digest>, squashed: Digest| {
        rightful(
            &history.mine,
            &forced(history, approvals, squashed),
            Some(&history.list),
        )
    };
    let id = whole.studies[0];
    assert_eq!(judge(&whole, approvals.clone(), truth(&id)), Ok(()));
    for (without, word) in [
        ("approval", "approvals"),
        ("own derivation", "did not derive"),
        ("second derivation", "fewer than t+1"),
        ("consent of two", "rejected"),
        ("own consent", "rejected"),
        ("proposer", "gave it up"),
        ("twin", "withdrawn"),
        ("time", "expired"),
    ] {
        let history = ready(4, 1, without);
        assert_eq!(history.releases().as_deref(), Ok(&[][..]), "{without}");
        let study = Study::find(&history.mine, &id).unwrap();
        let mut cited: Vec<Digest> = study.facts.approvals.values().map(|a| a.hash).collect();
        cited.sort_unstable();
        let wrong = judge(&history, cited, truth(&id)).expect_err(without);
        assert!(wrong.why.contains(word), "{without}: {wrong}");
    }
    let crafted = judge(&whole, approvals.clone(), blob("crafted")).unwrap_err();
    assert!(crafted.why.contains("did not derive"), "{crafted}");
    let made_up = judge(&whole, vec![blob("a"), blob("b"), blob("c")], truth(&id)).unwrap_err();
    assert!(made_up.why.contains("does not count"), "{made_up}");
}
