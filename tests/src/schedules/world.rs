//! A consortium under a schedule: virtual time, the nodes, their operators, and what everyone may rely on.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_protocol::digest::Digest;
use organtwin_protocol::identity::Signature;
use organtwin_protocol::roster::Roster;
use organtwin_protocol::statement::Body;
use organtwin_threshold::{ParameterSet, PartyId};

use super::invariants;
use super::machine::{Answer, Machine, Planted, Setup};
use super::schedule::{Command, Deviation, Fault, HEALED_MS, Moment, Schedule};
use super::wire::Wire;
use crate::consortium::{party, roster_of};
use crate::network::Dice;

/// When a run ends at the latest.
const DEADLINE_MS: u64 = 240_000;
/// How soon after something happened a node looks at what is to do.
const ACT_AFTER_MS: u64 = 15;
/// How often operators ask again.
const ASK_AGAIN_MS: u64 = 1_000;
/// How often it is checked whether everything has come to rest.
const REST_MS: u64 = 2_000;

enum Event<L> {
    Deliver { from: u8, to: u8, letter: L },
    Act(u8),
    Tick(u8),
    Ask(usize),
    Crash(usize),
    Restart(u8),
    Rest,
}

/// What a node is while it is up or down.
enum Node<M: Machine> {
    Up(Box<M>),
    Down(Option<M::Disk>),
}

/// A run of a schedule.
pub struct World<M: Machine> {
    schedule: Schedule,
    planted: Option<Planted>,
    roster: Roster,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), Event<M::Letter>>,
    scheduled: u64,
    wire: Wire,
    nodes: BTreeMap<u8, Node<M>>,
    acting: BTreeSet<u8>,
    starts: BTreeMap<u8, u64>,
    armed: BTreeMap<u8, Vec<(Moment, u64, u8)>>,
    open_commands: BTreeSet<usize>,
    /// Everything an honest party told anyone, by author and number.
    pub told: BTreeMap<(PartyId, u64), Digest>,
    overheard: BTreeSet<(Digest, Signature)>,
    /// What operators were told is done.
    pub acknowledged: Vec<(PartyId, Body)>,
    /// The cells of every twin, by its digest.
    pub clear: BTreeMap<Digest, Vec<u8>>,
    /// Broken invariants, in words.
    pub breaches: Vec<String>,
    /// Events so far.
    pub events: u64,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Broken invariants.
    pub breaches: Vec<String>,
    /// Virtual milliseconds.
    pub ended_ms: u64,
    /// Events.
    pub events: u64,
    /// Whether a key was certified.
    pub key: bool,
    /// Studies whose result an honest party took.
    pub opened: usize,
    /// Statements in all feeds.
    pub statements: usize,
    /// How often a node was started again.
    pub restarts: u64,
}

impl<M: Machine> World<M> {
    /// A consortium before anything happened.
    #[must_use]
    pub fn new(schedule: &Schedule, planted: Option<Planted>) -> Self {
        super::hospital::known::forget();
        let params = ParameterSet::toy().expect("toy parameters");
        let mut world = Self {
            roster: roster_of(schedule.parties, schedule.threshold, &params),
            planted,
            now_ms: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            wire: Wire::new(schedule),
            nodes: BTreeMap::new(),
            acting: BTreeSet::new(),
            starts: BTreeMap::new(),
            armed: BTreeMap::new(),
            open_commands: (0..schedule.commands.len()).collect(),
            told: BTreeMap::new(),
            overheard: BTreeSet::new(),
            acknowledged: Vec::new(),
            clear: BTreeMap::new(),
            breaches: Vec::new(),
            events: 0,
            schedule: schedule.clone(),
        };
        world.wire.resends = M::NEEDS_CONNECTIONS;
        for (index, fault) in schedule.faults.iter().enumerate() {
            if let Fault::Crash {
                party,
                at,
                down_ms,
                kept,
            } = fault
            {
                if let Moment::Time(at_ms) = at {
                    world.plan(*at_ms, Event::Crash(index));
                } else {
                    let armed = world.armed.entry(*party).or_default();
                    armed.push((*at, *down_ms, *kept));
                }
            }
        }
        for (index, command) in schedule.commands.iter().enumerate() {
            world.plan(command.at_ms, Event::Ask(index));
        }
        for number in 1..=schedule.parties {
            world.nodes.insert(number, Node::Down(None));
            world.start(number);
        }
        world.plan(HEALED_MS, Event::Rest);
        world
    }

    fn plan(&mut self, at_ms: u64, event: Event<M::Letter>) {
        self.scheduled += 1;
        self.queue
            .insert((at_ms.max(self.now_ms), self.scheduled), event);
    }

    /// A party's deviation.
    #[must_use]
    pub fn lie(&self, number: u8) -> Option<Deviation> {
        self.schedule
            .liars()
            .find(|(liar, _)| *liar == number)
            .map(|(_, lie)| lie)
    }

    /// The running honest nodes.
    pub fn honest(&self) -> impl Iterator<Item = (PartyId, &M)> {
        self.nodes.iter().filter_map(|(number, node)| match node {
            Node::Up(machine) if self.lie(*number).is_none() => Some((party(*number), &**machine)),
            _ => None,
        })
    }

    /// The schedule.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Virtual milliseconds since the beginning.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The roster.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    fn start(&mut self, number: u8) {
        let Some(Node::Down(disk)) = self.nodes.get_mut(&number) else {
            return;
        };
        let disk = disk.take();
        let starts = self.starts.entry(number).or_default();
        *starts += 1;
        let mut dice = Dice::new(self.schedule.seed ^ (u64::from(number) << 32) ^ (*starts << 40));
        let armed = self
            .armed
            .get(&number)
            .into_iter()
            .flatten()
            .map(|(moment, ..)| *moment);
        let setup = Setup {
            roster: &self.roster,
            me: party(number),
            seed: dice.roll(),
            lie: self.lie(number),
            planted: self.planted,
            armed: armed.collect(),
        };
        let machine = M::start(setup, disk, self.now_ms);
        self.nodes.insert(number, Node::Up(Box::new(machine)));
        self.soon(number);
        self.plan(self.now_ms + 1 + dice.roll() % 1000, Event::Tick(number));
    }

    fn soon(&mut self, number: u8) {
        if self.acting.insert(number) {
            self.plan(self.now_ms + ACT_AFTER_MS, Event::Act(number));
        }
    }

    /// Stops a node; what its disk keeps of the unsynced writes is up to the fault.
    fn crash(&mut self, number: u8, down_ms: u64, kept: u8) {
        if !matches!(self.nodes.get(&number), Some(Node::Up(_))) {
            return;
        }
        let Some(Node::Up(machine)) = self.nodes.remove(&number) else {
            return;
        };
        self.note_breaches(&*machine);
        for (digest, cells) in machine.clear() {
            self.clear.insert(digest, cells);
        }
        let disk = machine.crash(usize::from(kept));
        self.nodes.insert(number, Node::Down(Some(disk)));
        self.plan(self.now_ms + down_ms, Event::Restart(number));
    }

    fn note_breaches(&mut self, machine: &M) {
        for breach in machine.breaches() {
            if !self.breaches.contains(breach) {
                self.breaches.push(breach.clone());
            }
        }
    }

    /// Lets a running node do something, and sends what it says.
    fn with(&mut self, number: u8, does: impl FnOnce(&mut M, u64)) {
        let now_ms = self.now_ms;
        let Some(Node::Up(machine)) = self.nodes.get_mut(&number) else {
            return;
        };
        does(machine, now_ms);
        let (letters, crashed) = (machine.take_out(), machine.crashed());
        for (to, letter) in letters {
            self.overhear(&letter);
            for arrival in self.wire.send(now_ms, number, to.get()) {
                let (to, letter) = (to.get(), letter.clone());
                self.plan(
                    arrival,
                    Event::Deliver {
                        from: number,
                        to,
                        letter,
                    },
                );
            }
        }
        if crashed {
            let seq = |moment: &Moment| match moment {
                Moment::BeforeSync(seq) | Moment::AfterSync(seq) | Moment::AfterTelling(seq) => {
                    *seq
                }
                Moment::Time(_) => u64::MAX,
            };
            // The node came to the earliest of its moments; each comes once.
            let armed = self.armed.entry(number).or_default();
            let first = armed
                .iter()
                .enumerate()
                .min_by_key(|(_, (moment, ..))| seq(moment));
            if let Some(position) = first.map(|(position, _)| position) {
                let (_, down_ms, kept) = armed.remove(position);
                self.crash(number, down_ms, kept);
            }
        }
    }

    /// What an honest author has told anyone cannot be taken back, nor said differently.
    fn overhear(&mut self, letter: &M::Letter) {
        for signed in M::statements_in(letter) {
            if !self.overheard.insert((signed.hash(), signed.signature)) {
                continue;
            }
            let known = super::hospital::known::statement(signed);
            let Some(statement) = known.or_else(|| signed.clone().verify(&self.roster).ok()) else {
                continue;
            };
            let (author, seq, hash) = (statement.author(), statement.seq(), statement.hash());
            if self.lie(author.get()).is_some() {
                continue;
            }
            let known = *self.told.entry((author, seq)).or_insert(hash);
            if known != hash {
                let breach = format!(
                    "equivocation: honest party {author} signed two statements under number {seq}"
                );
                if !self.breaches.contains(&breach) {
                    self.breaches.push(breach);
                }
            }
        }
    }

    fn ask(&mut self, index: usize) {
        if !self.open_commands.contains(&index) {
            return;
        }
        let Command {
            party: number,
            wish,
            ..
        } = self.schedule.commands[index];
        let mut answer = Answer::NotYet;
        self.with(number, |machine, now_ms| {
            answer = machine.obey(now_ms, wish);
            if machine.crashed() {
                // Nobody heard the answer.
                answer = Answer::NotYet;
            }
        });
        self.soon(number);
        match answer {
            Answer::Done(said) => {
                self.open_commands.remove(&index);
                if self.lie(number).is_none() {
                    self.acknowledged
                        .extend(said.into_iter().map(|body| (party(number), body)));
                }
            }
            Answer::Refused => {
                self.open_commands.remove(&index);
            }
            Answer::NotYet => self.plan(self.now_ms + ASK_AGAIN_MS, Event::Ask(index)),
        }
    }

    fn happen(&mut self, event: Event<M::Letter>) {
        match event {
            Event::Deliver { from, to, letter } => {
                if let Some(Node::Down(_)) = self.nodes.get(&to)
                    && let Some(letter) = M::unanswered(&letter)
                {
                    let (from, to) = (to, from);
                    self.plan(self.now_ms + 1000, Event::Deliver { from, to, letter });
                    return;
                }
                self.with(to, |machine, now_ms| {
                    machine.hear(now_ms, party(from), letter);
                });
                self.soon(to);
            }
            Event::Act(number) => {
                self.acting.remove(&number);
                self.with(number, M::act);
            }
            Event::Tick(number) => {
                if let Some(Node::Up(_)) = self.nodes.get(&number) {
                    self.with(number, M::tick);
                    self.soon(number);
                    self.plan(self.now_ms + 1000, Event::Tick(number));
                }
            }
            Event::Ask(index) => self.ask(index),
            Event::Crash(index) => {
                if let Some(Fault::Crash {
                    party,
                    down_ms,
                    kept,
                    ..
                }) = self.schedule.faults.get(index)
                {
                    self.crash(*party, *down_ms, *kept);
                }
            }
            Event::Restart(number) => self.start(number),
            Event::Rest => {}
        }
    }

    /// Runs to the end: until everything that can happen has happened after the network healed, or the deadline.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            self.now_ms = at_ms;
            self.events += 1;
            if at_ms > DEADLINE_MS {
                break;
            }
            if matches!(event, Event::Rest) {
                if self.all_up() && invariants::at_rest(&self) {
                    break;
                }
                self.plan(at_ms + REST_MS, Event::Rest);
            }
            self.happen(event);
            if self.events.is_multiple_of(256) {
                invariants::meanwhile(&mut self);
            }
        }
        let machines: Vec<Vec<String>> = self
            .honest()
            .map(|(_, machine)| machine.breaches().to_vec())
            .collect();
        for breach in machines.into_iter().flatten() {
            if !self.breaches.contains(&breach) {
                self.breaches.push(breach);
            }
        }
        let clear: Vec<(Digest, Vec<u8>)> = self
            .nodes
            .values()
            .flat_map(|node| match node {
                Node::Up(machine) => machine.clear(),
                Node::Down(_) => Vec::new(),
            })
            .collect();
        self.clear.extend(clear);
        invariants::at_the_end(&mut self);
        self.outcome()
    }

    fn all_up(&self) -> bool {
        self.nodes.values().all(|node| matches!(node, Node::Up(_)))
    }

    fn outcome(self) -> Outcome {
        let opened = self.honest().map(|(me, machine)| {
            let studies = machine.fold().facts().studies.values();
            studies
                .filter(|study| study.releases.contains_key(&me))
                .count()
        });
        let opened = opened.max().unwrap_or(0);
        let key = self.honest().any(|(_, machine)| machine.holds_key());
        let statements = self
            .honest()
            .map(|(_, machine)| machine.fold().statements().count());
        let statements = statements.max().unwrap_or(0);
        Outcome {
            ended_ms: self.now_ms,
            events: self.events,
            key,
            opened,
            statements,
            restarts: self.starts.values().sum::<u64>() - u64::from(self.schedule.parties),
            breaches: self.breaches,
        }
    }
}
