//! The parties with real cryptography at toy parameters, driven by the same scheduler as the model.
//!
//! Their messages rely on connections: what a schedule loses or cuts off is sent again after the network has healed.

use std::collections::BTreeMap;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::statement::{Body, SignedStatement};
use organtwin_protocol::study::Study;
use organtwin_protocol::transcript::Transcript;
use organtwin_protocol::twin::TwinList;
use organtwin_simulations::{Weights, clear};
use organtwin_threshold::{ParameterSet, PartyId};

use super::machine::{Answer, Machine, Setup};
use super::schedule::{Moment, Wish};
use crate::consortium::{manifest_of, patient};
use crate::network::{Dice, Message};
use crate::party::{Disk, Party};
use crate::research;

/// A message of the parties, or a comparison of feeds.
#[derive(Clone)]
pub enum Letter {
    /// A party's message.
    Party(Box<Message>),
    /// A statement.
    Statement([SignedStatement; 1]),
    /// The heads of the feeds: a request for what is missing.
    Heads(Vec<organtwin_protocol::feed::FeedHead>),
}

/// A party with real cryptography.
pub struct Real {
    party: Party,
    patients: Vec<Weights>,
    durable: BTreeMap<PartyId, usize>,
    letters: Vec<(PartyId, Letter)>,
    armed: Vec<Moment>,
    crashed: bool,
    said: usize,
    ticks: usize,
}

/// A party's disk, with its patients' weights beside it.
pub struct RealDisk {
    disk: Disk,
    patients: Vec<Weights>,
}

impl Real {
    /// Whatever was said since the last look is durable, and everything heard before it.
    fn look(&mut self) {
        let me = self.party.me;
        let said = self.party.fold.feed(me).len();
        if said > self.said {
            let moments = self.said..said;
            self.said = said;
            self.sync();
            let passed = |moment: &Moment| match moment {
                // The party itself has no place between writing and syncing: these fall together here.
                Moment::BeforeSync(seq) | Moment::AfterSync(seq) | Moment::AfterTelling(seq) => {
                    usize::try_from(*seq).is_ok_and(|seq| moments.contains(&seq))
                }
                Moment::Time(_) => false,
            };
            self.crashed |= self.armed.iter().any(passed);
        }
        let out = self.party.take_out().into_iter().map(|(to, message)| {
            let letter = match message {
                Message::Statement(signed) => Letter::Statement([signed]),
                other => Letter::Party(Box::new(other)),
            };
            (to, letter)
        });
        self.letters.extend(out);
    }

    fn sync(&mut self) {
        let members = self.party.fold.roster().members().iter().map(|m| m.party);
        self.durable = members
            .map(|party| (party, self.party.fold.feed(party).len()))
            .collect();
    }

    fn say(&mut self, now_ms: u64, body: Body) -> Answer {
        let said = self.party.fold.feed(self.party.me).len();
        match self.party.say(now_ms, body.clone()) {
            Ok(()) if self.party.fold.feed(self.party.me).len() > said => Answer::Done(vec![body]),
            _ => Answer::Refused,
        }
    }

    fn named(&self, study: u8) -> Vec<Digest> {
        let title = format!("study {study}");
        Study::all(&self.party.fold)
            .filter(|study| study.manifest.title == title)
            .map(|study| study.id)
            .collect()
    }

    fn each(&mut self, now_ms: u64, study: u8, body: impl Fn(Digest) -> Body) -> Answer {
        let mut all = Vec::new();
        for id in self.named(study) {
            if let Answer::Done(said) = self.say(now_ms, body(id)) {
                all.extend(said);
            }
        }
        if all.is_empty() {
            Answer::NotYet
        } else {
            Answer::Done(all)
        }
    }

    fn wish_key(&mut self, now_ms: u64) -> Answer {
        if self.party.fold.feed(self.party.me).is_empty() {
            self.say(now_ms, Body::RosterSigned {});
        }
        if self.party.key.is_some() {
            return Answer::Done(vec![Body::RosterSigned {}]);
        }
        self.party.join(now_ms);
        Answer::NotYet
    }

    fn deposit(&mut self, twins: u8) -> Answer {
        let me = self.party.me;
        let deposit = self.party.fold.feed(me).iter().map(|s| s.body());
        let deposit = deposit
            .rev()
            .find(|body| matches!(body, Body::TwinsDeposited { .. }));
        if let Some(body) = deposit {
            return Answer::Done(vec![body.clone()]);
        }
        if self.patients.is_empty() {
            let mut dice = Dice::new(u64::from(me.get()) * 77);
            self.patients = (0..twins).map(|_| patient(&mut dice)).collect();
        }
        self.party.patients.clone_from(&self.patients);
        Answer::NotYet
    }

    fn propose(&mut self, now_ms: u64, study: u8, quorum: u8, lifetime_ms: u64) -> Answer {
        let manifest = manifest_of(&mut self.party, now_ms, quorum, |manifest| {
            manifest.title = format!("study {study}");
            manifest.expires_ms = now_ms + lifetime_ms;
        });
        match manifest {
            Some(manifest) => self.say(
                now_ms,
                Body::StudyProposed {
                    manifest: Box::new(manifest),
                },
            ),
            None => Answer::NotYet,
        }
    }
}

impl Machine for Real {
    type Letter = Letter;
    type Disk = RealDisk;
    const NEEDS_CONNECTIONS: bool = true;
    const FINISHES: bool = false;

    fn start(setup: Setup<'_>, disk: Option<RealDisk>, _now_ms: u64) -> Self {
        let params = ParameterSet::toy().expect("toy parameters");
        let (party, patients) = match disk {
            None => (
                Party::new(setup.roster, params, setup.me, setup.seed),
                Vec::new(),
            ),
            Some(RealDisk { disk, patients }) => (
                Party::restart(setup.roster, params, setup.me, setup.seed, disk),
                patients,
            ),
        };
        let said = party.fold.feed(setup.me).len();
        let mut real = Self {
            party,
            patients,
            durable: BTreeMap::new(),
            letters: Vec::new(),
            armed: setup.armed,
            crashed: false,
            said,
            ticks: usize::from(setup.me.get()),
        };
        real.sync();
        real
    }

    fn crash(self, kept: usize) -> RealDisk {
        let mut disk = self.party.stop();
        disk.lose_unsynced(&self.durable, kept);
        RealDisk {
            disk,
            patients: self.patients,
        }
    }

    fn crashed(&self) -> bool {
        self.crashed
    }

    fn hear(&mut self, now_ms: u64, from: PartyId, letter: Letter) {
        match letter {
            Letter::Party(message) => self.party.hear(now_ms, from, *message),
            Letter::Statement([signed]) => {
                self.party.hear(now_ms, from, Message::Statement(signed));
            }
            Letter::Heads(heads) => {
                let missing = self.party.fold.missing_from(&heads, usize::MAX).into_iter();
                let missing = missing.map(|signed| (from, Letter::Statement([signed.clone()])));
                self.letters.extend(missing);
            }
        }
        self.look();
    }

    fn tick(&mut self, _now_ms: u64) {
        self.sync();
        self.ticks += 1;
        let me = self.party.me;
        let members = self.party.fold.roster().members().iter().map(|m| m.party);
        let others: Vec<PartyId> = members.filter(|party| *party != me).collect();
        let heads = self.party.fold.heads();
        self.letters
            .push((others[self.ticks % others.len()], Letter::Heads(heads)));
    }

    fn act(&mut self, now_ms: u64) {
        self.party.act(now_ms);
        self.look();
    }

    fn obey(&mut self, now_ms: u64, wish: Wish) -> Answer {
        let answer = match wish {
            Wish::Key => self.wish_key(now_ms),
            Wish::Deposit { twins } => self.deposit(twins),
            Wish::Propose {
                study,
                quorum,
                lifetime_ms,
            } => self.propose(now_ms, study, quorum, lifetime_ms),
            Wish::Approve { study } => {
                self.each(now_ms, study, |manifest| Body::StudyApproved { manifest })
            }
            Wish::Reject { study } => self.each(now_ms, study, |manifest| Body::StudyRejected {
                manifest,
                reason: "not now".into(),
            }),
            Wish::Close { study } => self.each(now_ms, study, |manifest| Body::StudyClosed {
                manifest,
                reason: "given up".into(),
            }),
            Wish::Withdraw => {
                let facts = self.party.fold.facts();
                let mut own = facts.deposits.keys().filter(|(by, _)| *by == self.party.me);
                match own.next().copied() {
                    Some((_, id)) => self.say(now_ms, Body::TwinWithdrawn { id }),
                    None => Answer::NotYet,
                }
            }
        };
        self.look();
        answer
    }

    fn take_out(&mut self) -> Vec<(PartyId, Letter)> {
        std::mem::take(&mut self.letters)
    }

    fn unanswered(letter: &Letter) -> Option<Letter> {
        match letter {
            Letter::Party(message) => match **message {
                Message::Ask(ask) => Some(Letter::Party(Box::new(Message::Answer(ask, None)))),
                _ => None,
            },
            _ => None,
        }
    }

    fn statements_in(letter: &Letter) -> &[SignedStatement] {
        match letter {
            Letter::Statement(statement) => statement,
            _ => &[],
        }
    }

    fn fold(&self) -> &Fold {
        &self.party.fold
    }

    fn holds_key(&self) -> bool {
        self.party.key.is_some()
    }

    fn holds_blob(&self, digest: &Digest) -> bool {
        self.party.view.blobs.contains(digest)
    }

    fn list(&self, blob: &Digest) -> Option<&TwinList> {
        self.party.view.twin_lists.get(blob)
    }

    fn in_the_clear(&self, study: &Digest, _: &BTreeMap<Digest, Vec<u8>>) -> Option<Vec<u8>> {
        // What is deposited follows from the party's number, so the whole cohort is known here.
        let study = Study::find(&self.party.fold, study)?;
        let plan = research::plan_of(study.manifest, self.party.fold.roster().committee());
        let cohort = study
            .manifest
            .twins
            .per_hospital
            .iter()
            .map(|(party, count)| {
                let mut dice = Dice::new(u64::from(party.get()) * 77);
                (
                    party.get(),
                    (0..*count)
                        .map(|_| patient(&mut dice))
                        .collect::<Vec<Weights>>(),
                )
            });
        Some(clear::run(&plan, &cohort.collect()))
    }

    fn export(&self, study: Option<Digest>) -> Result<Transcript, String> {
        self.party.transcript(study).map_err(|e| e.to_string())
    }

    fn clear(&self) -> Vec<(Digest, Vec<u8>)> {
        Vec::new()
    }

    fn status(&self, _: u64) -> String {
        format!("{:?}", self.party.aborts().last())
    }

    fn breaches(&self) -> &[String] {
        &[]
    }
}
