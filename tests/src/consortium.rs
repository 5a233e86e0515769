//! The whole consortium and its loop over virtual time.

use std::collections::{BTreeMap, BTreeSet};

use organtwin::planning;
use organtwin_protocol::digest::Digest;
use organtwin_protocol::epoch::Wish;
use organtwin_protocol::identity::Identity;
use organtwin_protocol::manifest::{MANIFEST_VERSION, Manifest, TwinListFacts};
use organtwin_protocol::roster::{Member, PassivePolicy, ROSTER_VERSION, RawRoster, Roster};
use organtwin_protocol::statement::{Body, VerifiedStatement};
use organtwin_protocol::study::{self, Study};
use organtwin_protocol::twin::TwinList;
use organtwin_simulations::{Features, Plan, Schema, StudySpec, Weights, clear, encode};
use organtwin_threshold::{ParameterSet, PartyId};

use crate::liar::Lie;
use crate::network::{Dice, Envelope, Message, Network};
use crate::party::{Craft, Disk, Key, Party, identity};
use crate::research;

/// A consortium in one process.
pub struct Consortium {
    /// The roster of all.
    pub roster: Roster,
    /// The running parties; a stopped one is absent.
    pub parties: BTreeMap<PartyId, Party>,
    /// Virtual milliseconds.
    pub now_ms: u64,
    params: ParameterSet,
    network: Network,
    /// What each hospital deposited, in the clear, for comparison.
    pub patients: BTreeMap<PartyId, Vec<Weights>>,
    seed: u64,
}

/// Party `number`.
#[must_use]
pub fn party(number: u8) -> PartyId {
    PartyId::new(number).expect("a small number")
}

/// The roster of parties 1 to n with the test keys.
#[must_use]
pub fn roster_of(n: u8, t: u8, params: &ParameterSet) -> Roster {
    let member = |number: u8| Member {
        party: party(number),
        name: format!("hospital {number}"),
        statement_key: identity(party(number)).public(),
        network_key: vec![number; 36].into(),
    };
    let raw = RawRoster {
        version: ROSTER_VERSION,
        name: "a virtual consortium".into(),
        threshold: t,
        passive: if n > 3 * t {
            PassivePolicy::Refused
        } else {
            PassivePolicy::Allowed
        },
        parameters: params.id().to_owned(),
        instruction_class: "any".into(),
        members: (1..=n).map(member).collect(),
    };
    Roster::try_from(raw).expect("a sound roster")
}

/// The schema of the small study's twins.
#[must_use]
pub fn kidney() -> Schema {
    Schema::of_organ("kidney").expect("there are kidney twins")
}

/// A patient with a clearance drawn from 20 to 160 ml/min.
pub(crate) fn patient(dice: &mut Dice) -> Weights {
    let clearance = 20 + dice.roll() % 141;
    let features = Features::from([(
        "crcl_goti_ml_min".to_owned(),
        Some(f64::from(u32::try_from(clearance).expect("small"))),
    )]);
    encode(&kidney(), &features).expect("within the axis")
}

/// The small study as a party would propose it now, with some things changed; none without a key or twins.
pub(crate) fn manifest_of(
    proposer: &mut Party,
    now_ms: u64,
    quorum: u8,
    change: impl FnOnce(&mut Manifest),
) -> Option<Manifest> {
    let schema = Digest::new(kidney().digest());
    let feeds = proposer.fold.heads();
    let certificate = proposer
        .key
        .as_ref()?
        .certificate
        .digest()
        .expect("encodes");
    let list = TwinList::sorted(study::eligible_twins(&proposer.fold, &feeds, &schema)).ok()?;
    proposer.keep_list(&list);
    let twins = TwinListFacts::of(&list).expect("a list has facts");
    let plan = planning::plan_of(
        &Consortium::spec(),
        &twins.per_hospital,
        proposer.fold.roster().committee(),
        &research::circumstances(),
    );
    // Too few twins of the others, and no row could ever pass the gate.
    let plan = plan.ok()?;
    let mut manifest = Manifest {
        version: MANIFEST_VERSION,
        title: "Vancomycin".into(),
        question: "How many reach the target?".into(),
        proposer: proposer.me,
        schema,
        program: planning::program_digest(&plan),
        facts: planning::facts_of(&plan),
        scenario: planning::scenario_bytes(&Consortium::spec()).expect("encodes"),
        twins,
        feeds,
        certificate,
        epsilon_micro: None,
        quorum,
        recipients: Vec::new(),
        expires_ms: now_ms + 3_600_000,
    };
    change(&mut manifest);
    Some(manifest)
}

impl Consortium {
    /// Parties that have signed nothing yet.
    #[must_use]
    pub fn new(n: u8, t: u8, seed: u64) -> Self {
        let params = ParameterSet::toy().expect("toy parameters");
        let roster = roster_of(n, t, &params);
        let parties = (1..=n).map(|number| {
            (
                party(number),
                Party::new(&roster, params, party(number), seed),
            )
        });
        Self {
            parties: parties.collect(),
            roster,
            now_ms: 1_000_000,
            params,
            network: Network::new(seed),
            patients: BTreeMap::new(),
            seed,
        }
    }

    /// Gives a party one more deviation.
    #[must_use]
    pub fn with_liar(mut self, number: u8, lie: impl Into<Lie>) -> Self {
        self.get(number).liar.learn(lie.into());
        self
    }

    /// A running party.
    pub fn get(&mut self, number: u8) -> &mut Party {
        self.parties
            .get_mut(&party(number))
            .expect("a running party")
    }

    /// Everyone signs the roster and joins a ceremony.
    pub fn join(&mut self) {
        let now_ms = self.now_ms;
        for party in self.parties.values_mut() {
            if party.fold.feed(party.me).is_empty() {
                party
                    .say(now_ms, Body::RosterSigned {})
                    .expect("signing is allowed");
            }
            party.join(now_ms);
        }
    }

    /// Takes a ceremony to its end: true if every running party holds a certified key.
    pub fn make_key(&mut self) -> bool {
        self.join();
        self.run(200, |c| {
            c.parties
                .values()
                .all(|p| p.key.is_some() || !p.aborts().is_empty())
        });
        self.parties.values().all(|p| p.key.is_some())
    }

    /// Delivers messages until `done` holds; where nothing is under way, time passes second by second.
    ///
    /// Returns whether `done` holds after at most `seconds` quiet seconds.
    pub fn run(&mut self, seconds: u32, done: impl Fn(&Self) -> bool) -> bool {
        let mut quiet = 0;
        self.act_all();
        while !done(self) {
            if let Some((arrival, envelope)) = self.network.take_next() {
                self.now_ms = self.now_ms.max(arrival);
                self.hand_over(envelope);
            } else if quiet < seconds {
                quiet += 1;
                self.now_ms += 1000;
                self.compare_feeds();
                self.act_all();
            } else {
                return false;
            }
        }
        true
    }

    /// Delivers so many messages, or fewer if it is quiet before.
    pub fn deliver(&mut self, messages: usize) {
        self.act_all();
        for _ in 0..messages {
            let Some((arrival, envelope)) = self.network.take_next() else {
                return;
            };
            self.now_ms = self.now_ms.max(arrival);
            self.hand_over(envelope);
        }
    }

    fn hand_over(&mut self, envelope: Envelope) {
        let Envelope { from, to, message } = envelope;
        if let Some(receiver) = self.parties.get_mut(&to) {
            receiver.hear(self.now_ms, from, message);
            receiver.act(self.now_ms);
        } else if let Message::Ask(ask) = message
            && self.parties.contains_key(&from)
        {
            // The connection to a stopped party breaks.
            let message = Message::Answer(ask, None);
            let back = Envelope {
                from: to,
                to: from,
                message,
            };
            self.network.send(self.now_ms, back);
        }
        self.collect(to);
    }

    /// Every party sends every other the statements that it lacks.
    fn compare_feeds(&mut self) {
        for one in self.parties.values() {
            for other in self.parties.values().filter(|other| other.me != one.me) {
                for statement in one.fold.missing_from(&other.fold.heads(), usize::MAX) {
                    let envelope = Envelope {
                        from: one.me,
                        to: other.me,
                        message: Message::Statement(statement.clone()),
                    };
                    self.network.send(self.now_ms, envelope);
                }
            }
        }
    }

    fn act_all(&mut self) {
        let parties: Vec<PartyId> = self.parties.keys().copied().collect();
        for party in parties {
            let now_ms = self.now_ms;
            if let Some(member) = self.parties.get_mut(&party) {
                member.act(now_ms);
            }
            self.collect(party);
        }
    }

    /// Puts what a party wants to send under way.
    pub fn collect(&mut self, from: PartyId) {
        let out = self
            .parties
            .get_mut(&from)
            .map(Party::take_out)
            .unwrap_or_default();
        for (to, message) in out {
            self.network
                .send(self.now_ms, Envelope { from, to, message });
        }
    }

    /// Kills a party; its disk remains.
    pub fn stop(&mut self, number: u8) -> Disk {
        self.parties
            .remove(&party(number))
            .expect("a running party")
            .stop()
    }

    /// Starts a party again, which hears what it missed.
    pub fn restart(&mut self, number: u8, disk: Disk) {
        self.seed += 1;
        let mut back = Party::restart(&self.roster, self.params, party(number), self.seed, disk);
        for other in self.parties.values() {
            let missing = other.fold.missing_from(&back.fold.heads(), usize::MAX);
            back.hear_all(missing.into_iter().cloned().collect());
        }
        self.parties.insert(party(number), back);
    }

    /// Gives every hospital patients and lets it deposit them; true when all twins are received by all.
    pub fn deposit(&mut self, each: usize) -> bool {
        let mut dice = Dice::new(self.seed ^ 0x7077);
        for (number, member) in &mut self.parties {
            let patients: Vec<Weights> = (0..each).map(|_| patient(&mut dice)).collect();
            member.patients.clone_from(&patients);
            self.patients.insert(*number, patients);
        }
        let schema = Digest::new(kidney().digest());
        let total = each * self.parties.len();
        self.run(200, |c| {
            c.parties
                .values()
                .all(|p| study::eligible_twins(&p.fold, &p.fold.heads(), &schema).len() == total)
        })
    }

    /// Lets one hospital deposit more patients in a fresh batch, perhaps crafted, until everyone did what there is
    /// to do.
    pub fn deposit_again(&mut self, number: u8, each: usize, craft: Option<Craft>) {
        self.seed += 1;
        let mut dice = Dice::new(self.seed ^ 0x7077);
        let member = self.get(number);
        member.patients = (0..each).map(|_| patient(&mut dice)).collect();
        member.craft = craft;
        member.next_batch += 1;
        member.deposited = false;
        self.run(10, |_| false);
    }

    /// A small study: one arm, two cuts, k = 2.
    #[must_use]
    pub fn spec() -> StudySpec {
        StudySpec {
            model: "vancomycin-goti-2018".into(),
            arms: vec![1000.0, 2000.0],
            cuts: vec![400.0, 600.0],
            k: 2,
            ..StudySpec::default()
        }
    }

    /// Party 1 proposes the small study with quorum `quorum`.
    pub fn propose(&mut self, quorum: u8) -> Digest {
        let now_ms = self.now_ms;
        let proposer = self.get(1);
        let manifest = manifest_of(proposer, now_ms, quorum, |_| {}).expect("a key and twins");
        let id = manifest.digest().expect("encodes");
        proposer
            .say(
                now_ms,
                Body::StudyProposed {
                    manifest: Box::new(manifest),
                },
            )
            .expect("proposing is allowed");
        self.collect(party(1));
        assert!(self.run(20, |c| {
            c.parties
                .values()
                .all(|p| Study::find(&p.fold, &id).is_some())
        }));
        id
    }

    /// A new hospital's node, which has the public key and everyone's statements but no share.
    pub fn join_later(&mut self, number: u8) {
        self.start_afresh(number, identity(party(number)));
    }

    /// A hospital that lost everything starts with new keys.
    pub fn start_afresh(&mut self, number: u8, identity: Identity) {
        self.seed += 1;
        let mut fresh = Party::new(&self.roster, self.params, party(number), self.seed);
        fresh.identity = identity;
        let known = self.parties.values().next().expect("a running party");
        let statements = known.fold.statements().map(VerifiedStatement::signed);
        fresh.hear_all(statements.cloned().collect());
        fresh.key = known.key.as_ref().map(Key::without_share);
        self.parties.insert(party(number), fresh);
    }

    /// These parties propose or approve a change.
    pub fn wish(&mut self, wish: &Wish, numbers: &[u8]) {
        for number in numbers {
            let now_ms = self.now_ms;
            let wished = self.get(*number).wish(now_ms, wish);
            wished.expect("the change is sound");
            self.collect(party(*number));
            // The others hear of it before they approve.
            self.run(3, |_| false);
        }
    }

    /// Runs a change to its end at these parties: true if each of them is in the new epoch with a new share.
    pub fn enter(&mut self, epoch: u32, numbers: &[u8]) -> bool {
        let numbers: Vec<PartyId> = numbers.iter().map(|number| party(*number)).collect();
        self.run(200, |c| {
            numbers.iter().all(|number| {
                let key = c.parties[number].key.as_ref();
                let share = key.and_then(|key| key.share.as_ref());
                share.is_some_and(|share| share.epoch() == epoch)
            })
        })
    }

    /// These parties approve a study.
    pub fn approve(&mut self, id: Digest, numbers: &[u8]) {
        for number in numbers {
            let now_ms = self.now_ms;
            self.get(*number)
                .say(now_ms, Body::StudyApproved { manifest: id })
                .expect("approving is allowed");
            self.collect(party(*number));
        }
    }

    /// These parties reject a study.
    pub fn reject(&mut self, id: Digest, numbers: &[u8]) {
        for number in numbers {
            let now_ms = self.now_ms;
            let body = Body::StudyRejected {
                manifest: id,
                reason: "not now".into(),
            };
            self.get(*number)
                .say(now_ms, body)
                .expect("rejecting is allowed");
            self.collect(party(*number));
        }
    }

    /// The plan of a study.
    #[must_use]
    pub fn plan(&self, id: &Digest) -> Plan {
        let any = self.parties.values().next().expect("a running party");
        let study = Study::find(&any.fold, id).expect("a known study");
        research::plan_of(study.manifest, self.roster.committee())
    }

    /// The values that the study gives in the clear.
    #[must_use]
    pub fn in_the_clear(&self, id: &Digest) -> Vec<u8> {
        let patients = self
            .patients
            .iter()
            .map(|(party, weights)| (party.get(), weights.clone()));
        clear::run(&self.plan(id), &patients.collect())
    }

    /// What each running party took as the study's result.
    #[must_use]
    pub fn results(&self, id: &Digest) -> BTreeMap<PartyId, Option<Vec<u8>>> {
        let result = |p: &Party| {
            Some(
                Study::find(&p.fold, id)?
                    .facts
                    .releases
                    .get(&p.me)?
                    .values
                    .clone(),
            )
        };
        self.parties
            .iter()
            .map(|(number, p)| (*number, result(p)))
            .collect()
    }

    /// Runs a study to its end at all running parties but `except`; true if each of them recombined it.
    pub fn open(&mut self, id: &Digest, except: &[u8]) -> bool {
        let except: BTreeSet<PartyId> = except.iter().map(|number| party(*number)).collect();
        self.run(400, |c| {
            c.results(id)
                .iter()
                .all(|(p, values)| except.contains(p) || values.is_some())
        })
    }

    /// Partial decryptions that honest parties know of.
    #[must_use]
    pub fn partial_decryptions(&self) -> usize {
        let count = |p: &Party| {
            p.fold
                .statements()
                .filter(|s| matches!(s.body(), Body::PartialDecryption { .. }))
                .count()
        };
        self.parties.values().map(count).max().unwrap_or(0)
    }
}
