//! Evidence: facts about a deviating party that anyone with the roster can check.

use organtwin_threshold::{PartyId, SessionId};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fold::Fold;
use crate::statement::SignedStatement;
use crate::twin::TwinId;

/// What shows that a party deviated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Evidence {
    /// The party signed two statements under one number.
    Equivocation {
        /// The hashes of both statements, ascending; whoever holds them can show them.
        statements: [Digest; 2],
        /// The party.
        party: PartyId,
        /// The number.
        seq: u64,
    },
    /// The party's statements contradict what t+1 others agree on.
    Minority {
        /// The party.
        party: PartyId,
        /// The hash of its statement.
        statement: Digest,
        /// The hashes of at least t+1 agreeing statements of others.
        majority: Vec<Digest>,
    },
    /// The party's partial decryption breaks a rule of its study.
    StudyRule {
        /// The party.
        party: PartyId,
        /// The hash of its statement.
        statement: Digest,
    },
    /// The party's statement breaks a rule of its ceremony session; the feeds alone show it.
    CeremonyRule {
        /// The party.
        party: PartyId,
        /// The hash of its statement.
        statement: Digest,
    },
    /// The party's statement differs from what the published seeds of its aborted session give.
    Replay {
        /// The session.
        session: SessionId,
        /// The party.
        party: PartyId,
        /// The hash of its statement.
        statement: Digest,
    },
    /// All parties agree on a session's steps and yet what came out is unsound; only a replay shows who lied.
    Unsound {
        /// The session.
        session: SessionId,
    },
    /// Two parties' statements about one value differ; one of them lies.
    Pair {
        /// The two statements' hashes.
        statements: [Digest; 2],
        /// The two parties.
        parties: [PartyId; 2],
    },
    /// The party deposited a twin that no encoder makes: what all checks state of it does not sum to 0.
    Deposit {
        /// The depositor.
        party: PartyId,
        /// The hash of the statement that deposits the twin.
        statement: Digest,
        /// The twin.
        twin: TwinId,
    },
    /// The party sent something that does not match what it signed; only the author saw it.
    Claim {
        /// The party.
        party: PartyId,
        /// What happened.
        what: String,
    },
}

impl Evidence {
    /// The parties that it speaks against.
    pub fn accused(&self) -> Vec<PartyId> {
        match self {
            Self::Equivocation { party, .. }
            | Self::Minority { party, .. }
            | Self::StudyRule { party, .. }
            | Self::CeremonyRule { party, .. }
            | Self::Replay { party, .. }
            | Self::Deposit { party, .. }
            | Self::Claim { party, .. } => vec![*party],
            Self::Pair { parties, .. } => parties.to_vec(),
            Self::Unsound { .. } => Vec::new(),
        }
    }
}

/// Two different statements of one author under one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivocation {
    /// The statement with the smaller hash.
    pub first: SignedStatement,
    /// The other.
    pub second: SignedStatement,
}

impl Equivocation {
    /// Orders the two statements, so that one deviation has one proof.
    pub fn new(a: SignedStatement, b: SignedStatement) -> Self {
        if a.hash() <= b.hash() {
            Self {
                first: a,
                second: b,
            }
        } else {
            Self {
                first: b,
                second: a,
            }
        }
    }

    /// Checks the proof with the rosters of a fold; names the party and the number.
    pub fn verify(&self, fold: &Fold) -> Option<(PartyId, u64)> {
        let first = fold.check(self.first.clone()).ok()?;
        let second = fold.check(self.second.clone()).ok()?;
        let same = first.author() == second.author() && first.seq() == second.seq();
        (same && first.hash() < second.hash()).then(|| (first.author(), first.seq()))
    }

    /// The evidence that statements carry.
    pub fn evidence(&self, party: PartyId, seq: u64) -> Evidence {
        Evidence::Equivocation {
            statements: [self.first.hash(), self.second.hash()],
            party,
            seq,
        }
    }
}
