//! Schedules: what the operators wish, what goes wrong and when, as data that can be printed, replayed and shrunk.

use organtwin_protocol::statement::StageName;
use serde::{Deserialize, Serialize};

use crate::network::Dice;

/// Everything that happens to a consortium from outside. The same schedule gives the same run, bit by bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Where all other randomness comes from: nonces, seeds, delays within their bounds.
    pub seed: u64,
    /// n.
    pub parties: u8,
    /// t.
    pub threshold: u8,
    /// What operators ask of their nodes.
    pub commands: Vec<Command>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// What an operator asks of a node. It is asked again every second until the node acknowledges it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// When it is asked first.
    pub at_ms: u64,
    /// Whose node is asked.
    pub party: u8,
    /// What is asked.
    pub wish: Wish,
}

/// What can be asked of a node. Studies are named by their number in the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Wish {
    /// Sign the roster and join key ceremonies until there is a key.
    Key,
    /// Deposit some twins.
    Deposit {
        /// How many.
        twins: u8,
    },
    /// Propose a study of all eligible twins.
    Propose {
        /// The study.
        study: u8,
        /// Q.
        quorum: u8,
        /// How long it may be opened.
        lifetime_ms: u64,
    },
    /// Approve a study.
    Approve {
        /// The study.
        study: u8,
    },
    /// Reject a study.
    Reject {
        /// The study.
        study: u8,
    },
    /// Close one's own study.
    Close {
        /// The study.
        study: u8,
    },
    /// Withdraw one of the own twins.
    Withdraw,
}

/// The messages that a fault touches: those sent from one party to another (none stands for any) within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Who sends.
    pub from: Option<u8>,
    /// Who should receive.
    pub to: Option<u8>,
    /// The first moment.
    pub begin_ms: u64,
    /// The first moment after.
    pub end_ms: u64,
}

impl Line {
    /// Whether a message sent now is touched.
    #[must_use]
    pub fn touches(&self, from: u8, to: u8, now_ms: u64) -> bool {
        (self.begin_ms..self.end_ms).contains(&now_ms)
            && self.from.is_none_or(|party| party == from)
            && self.to.is_none_or(|party| party == to)
    }
}

/// When a node crashes. Statements are counted by their number in the node's own feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Moment {
    /// At a time.
    Time(u64),
    /// When the statement is written, before the disk is synced.
    BeforeSync(u64),
    /// When the statement is durable, before anyone is told.
    AfterSync(u64),
    /// When one other party has been told.
    AfterTelling(u64),
}

/// The one thing that a lying party does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Deviation {
    /// Sends seed shares that do not match their commitments.
    SeedShare,
    /// Reveals another share of the mask seed than it committed to.
    MaskShare,
    /// Echoes other seed commitments.
    Echo,
    /// Computes wrong vectors in a stage, and states their roots.
    Vector(StageName),
    /// Computes right vectors but states other roots.
    Root(StageName),
    /// States right roots but sends other chunks.
    Chunk(StageName),
    /// States another digest of what a stage opened.
    Opened(StageName),
    /// Decrypts the self-test wrongly.
    SelfTest,
    /// Certifies another key.
    Certificate,
    /// Computes wrong vectors of input masks.
    BatchVector,
    /// Sends wrong subseeds to the hospitals.
    Subseed,
    /// Serves rubbish instead of blobs.
    Blob,
    /// States other outputs of shards than it computed.
    Shard,
    /// States another aggregate than it derived.
    Aggregate,
    /// Releases wrong partial decryptions.
    PartialDecryption,
    /// Releases partial decryptions as soon as a study is proposed, citing approvals that nobody gave.
    EarlyRelease,
    /// States another result than it recombined.
    Outcome,
    /// Says nothing from this number of its feed on.
    Silence(u64),
    /// Signs two statements under this number and tells each to one half of the others.
    Fork(u64),
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Messages take longer.
    Delay {
        /// Which.
        line: Line,
        /// By how much.
        by_ms: u64,
    },
    /// Messages are lost.
    Loss {
        /// Which.
        line: Line,
        /// How many of a hundred.
        percent: u8,
    },
    /// Messages arrive twice.
    Duplication {
        /// Which.
        line: Line,
        /// How many of a hundred.
        percent: u8,
    },
    /// Messages overtake each other.
    Reordering {
        /// Which.
        line: Line,
        /// By how much.
        spread_ms: u64,
    },
    /// Nothing passes between the parties of one side and the others.
    Partition {
        /// One side.
        side: Vec<u8>,
        /// When it begins.
        begin_ms: u64,
        /// When it heals.
        end_ms: u64,
    },
    /// A node crashes, loses what it had not synced, and is started again.
    Crash {
        /// Whose node.
        party: u8,
        /// When.
        at: Moment,
        /// How long it is down.
        down_ms: u64,
        /// How many of the unsynced writes survive.
        kept: u8,
    },
    /// A party lies.
    Lie {
        /// Who.
        party: u8,
        /// How.
        deviation: Deviation,
    },
}

/// Every fault of messages is over by then; every node that is down is started by then.
pub const HEALED_MS: u64 = 60_000;

impl Schedule {
    /// The schedule that a seed names.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5c4e_d01e);
        let (parties, threshold) = match dice.roll() % 16 {
            0 => (3, 1),
            1 => (5, 1),
            2 => (7, 2),
            _ => (4, 1),
        };
        let mut schedule = Self {
            seed,
            parties,
            threshold,
            commands: commands(parties, threshold, &mut dice),
            faults: Vec::new(),
        };
        let count = [0, 1, 2, 3, 4, 6, 8][below(&mut dice, 7)];
        for _ in 0..count {
            let fault = fault(parties, &mut dice);
            schedule.faults.push(fault);
        }
        if parties > 3 * threshold && dice.roll().is_multiple_of(3) {
            let first = number(below(&mut dice, parties.into())) + 1;
            for liar in 0..threshold {
                schedule.faults.push(Fault::Lie {
                    party: (first - 1 + liar) % parties + 1,
                    deviation: deviation(&mut dice),
                });
            }
        }
        schedule
    }

    /// The lying parties.
    pub fn liars(&self) -> impl Iterator<Item = (u8, Deviation)> {
        self.faults.iter().filter_map(|fault| match fault {
            Fault::Lie { party, deviation } => Some((*party, *deviation)),
            _ => None,
        })
    }

    /// One line that [`Schedule::parse`] reads.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    /// Reads a schedule from the line that a failure prints.
    ///
    /// # Errors
    /// What serde says of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

fn below(dice: &mut Dice, bound: usize) -> usize {
    usize::try_from(dice.roll() % bound as u64).expect("a small bound")
}

fn number(small: usize) -> u8 {
    u8::try_from(small).expect("a small number")
}

fn someone(parties: u8, dice: &mut Dice) -> u8 {
    number(below(dice, parties.into())) + 1
}

fn commands(parties: u8, threshold: u8, dice: &mut Dice) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut ask = |at_ms: u64, party: u8, wish: Wish| {
        commands.push(Command { at_ms, party, wish });
    };
    for party in 1..=parties {
        ask(dice.roll() % 2000, party, Wish::Key);
        let most = if parties > 5 { 2 } else { 3 };
        let twins = 1 + number(below(dice, most));
        ask(8000 + dice.roll() % 4000, party, Wish::Deposit { twins });
    }
    for study in 0..1 + number(below(dice, 2)) {
        let begin = 20_000 + u64::from(study) * 5000 + dice.roll() % 10_000;
        let proposer = someone(parties, dice);
        let quorum =
            (threshold + 1 + number(below(dice, usize::from(parties - threshold)))).min(parties);
        let lifetime_ms = if dice.roll().is_multiple_of(6) {
            1000 + dice.roll() % 20_000
        } else {
            3_600_000
        };
        ask(
            begin,
            proposer,
            Wish::Propose {
                study,
                quorum,
                lifetime_ms,
            },
        );
        let hostile = dice.roll().is_multiple_of(4);
        for party in 1..=parties {
            let at_ms = begin + 200 + dice.roll() % 8000;
            match dice.roll() % 10 {
                0 if hostile => ask(at_ms, party, Wish::Reject { study }),
                1 if hostile => {
                    ask(at_ms, party, Wish::Approve { study });
                    ask(at_ms + dice.roll() % 8000, party, Wish::Reject { study });
                }
                2 if hostile => {}
                _ => ask(at_ms, party, Wish::Approve { study }),
            }
        }
        if hostile && dice.roll().is_multiple_of(4) {
            ask(
                begin + dice.roll() % 12_000,
                proposer,
                Wish::Close { study },
            );
        }
        if hostile && dice.roll().is_multiple_of(4) {
            ask(
                begin + dice.roll() % 12_000,
                someone(parties, dice),
                Wish::Withdraw,
            );
        }
    }
    commands
}

fn line(parties: u8, dice: &mut Dice) -> Line {
    let end = |dice: &mut Dice| {
        dice.roll()
            .is_multiple_of(2)
            .then(|| someone(parties, dice))
    };
    let (from, to) = (end(dice), end(dice));
    let begin_ms = dice.roll() % 45_000;
    Line {
        from,
        to,
        begin_ms,
        end_ms: (begin_ms + 1000 + dice.roll() % 15_000).min(HEALED_MS),
    }
}

fn fault(parties: u8, dice: &mut Dice) -> Fault {
    match dice.roll() % 12 {
        0 => Fault::Delay {
            line: line(parties, dice),
            by_ms: 100 + dice.roll() % 8000,
        },
        1 | 2 => Fault::Loss {
            line: line(parties, dice),
            percent: [10, 30, 60, 100][below(dice, 4)],
        },
        3 => Fault::Duplication {
            line: line(parties, dice),
            percent: [10, 50, 100][below(dice, 3)],
        },
        4 => Fault::Reordering {
            line: line(parties, dice),
            spread_ms: 50 + dice.roll() % 3000,
        },
        5 | 6 => {
            let side = (1..=parties).filter(|_| dice.roll().is_multiple_of(2));
            let side: Vec<u8> = side.collect();
            let begin_ms = dice.roll() % 45_000;
            Fault::Partition {
                side,
                begin_ms,
                end_ms: (begin_ms + 1000 + dice.roll() % 20_000).min(HEALED_MS),
            }
        }
        _ => Fault::Crash {
            party: someone(parties, dice),
            at: match dice.roll() % 5 {
                0 | 1 => Moment::Time(dice.roll() % 50_000),
                2 => Moment::BeforeSync(dice.roll() % 30),
                3 => Moment::AfterSync(dice.roll() % 30),
                _ => Moment::AfterTelling(dice.roll() % 30),
            },
            down_ms: 100 + dice.roll() % 10_000,
            kept: number(below(dice, 4)),
        },
    }
}

fn deviation(dice: &mut Dice) -> Deviation {
    let stage = [StageName::Bits, StageName::Products, StageName::Rows][below(dice, 3)];
    match dice.roll() % 24 {
        0 => Deviation::SeedShare,
        1 => Deviation::MaskShare,
        2 => Deviation::Echo,
        3 => Deviation::Vector(stage),
        4 => Deviation::Root(stage),
        5 => Deviation::Chunk(stage),
        6 => Deviation::Opened(stage),
        7 => Deviation::SelfTest,
        8 => Deviation::Certificate,
        9 => Deviation::BatchVector,
        10 => Deviation::Subseed,
        11 => Deviation::Blob,
        12 => Deviation::Shard,
        13 => Deviation::Aggregate,
        14 | 15 => Deviation::PartialDecryption,
        16 | 17 => Deviation::EarlyRelease,
        18 => Deviation::Outcome,
        19 => Deviation::Silence(dice.roll() % 24),
        _ => Deviation::Fork(dice.roll() % 26),
    }
}
