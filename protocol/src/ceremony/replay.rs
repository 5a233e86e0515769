//! Replaying an aborted session from its published seeds: which signed statement differs from what the
//! protocol gives (docs/spec/ceremony.md, W4).

use std::collections::BTreeMap;
use std::fmt;

use organtwin_threshold::keygen::{Replay as Computation, ReplayedKey};
use organtwin_threshold::{
    Committee, KeygenError, ParameterSet, PartyId, PieceId, PublicKeyError, SeedShare, SessionId,
    Stage, combine_seed,
};

use super::session::{Roots, Said, Tested};
use super::{STAGES, blame, family, vector_root};
use crate::budget::{self, UnknownParameters};
use crate::codec::CodecError;
use crate::digest::{Digest, of_blob};
use crate::evidence::Evidence;
use crate::fold::Fold;
use crate::roster::Roster;
use crate::statement::{PieceValues, StageName};

/// A signed statement that differs from the replay. Its author deviated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The author.
    pub party: PartyId,
    /// The statement's hash.
    pub statement: Digest,
    /// What it speaks about.
    pub about: String,
    /// What it says.
    pub said: Digest,
    /// What the published seeds give.
    pub expected: Digest,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            about,
            said,
            expected,
            ..
        } = self;
        let short = |digest: &Digest| digest.to_string().chars().take(12).collect::<String>();
        let (said, expected) = (short(said), short(expected));
        write!(f, "{about}: stated {said}, the seeds give {expected}")
    }
}

impl Finding {
    /// The evidence that statements carry.
    pub fn evidence(&self, session: SessionId) -> Evidence {
        Evidence::Replay {
            session,
            party: self.party,
            statement: self.statement,
        }
    }
}

/// Why a session cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    /// Some parties have not published their shares.
    #[error("the seed shares of party {} are missing", list(.0))]
    Missing(Vec<PartyId>),
    /// A party published other shares than it committed to: it is named already.
    #[error("party {0} broke a rule of the session, which shows without a replay")]
    Fault(PartyId),
    /// The parties' echoes differ, so that they need not have computed with the same seeds.
    #[error("the parties did not all see the same seed commitments")]
    Echoes,
    /// Nothing was computed in the session.
    #[error("the session ended before its seeds were agreed on")]
    NotBegun,
    /// The parameters are unknown here.
    #[error(transparent)]
    Parameters(#[from] UnknownParameters),
    /// Something has no encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why a replay failed: never a party's fault.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The computation.
    #[error("replaying the ceremony: {0}")]
    Keygen(#[from] KeygenError),
    /// The self-test.
    #[error("replaying the self-test: {0}")]
    Key(#[from] PublicKeyError),
    /// The decryption of the self-test.
    #[error("replaying the decryption of the self-test: {0}")]
    Decrypt(#[from] organtwin_threshold::DecryptError),
    /// This machine squashes to other bytes than the parties did.
    #[error(
        "this machine squashes the self-test to other bytes than {agreeing} parties that agree: replay it on the roster's class of machines"
    )]
    OtherMachine {
        /// How many parties agree.
        agreeing: usize,
    },
    /// The caller does not want the result any more.
    #[error("cancelled")]
    Cancelled,
}

fn list(parties: &[PartyId]) -> String {
    let names: Vec<String> = parties.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Everything that a replay needs, taken from the fold, so that it can run beside it.
pub struct Replay {
    session: SessionId,
    roster: Roster,
    params: ParameterSet,
    shares: BTreeMap<PieceId, BTreeMap<PartyId, Digest>>,
    mask_seed: Digest,
    said: Said,
}

/// How far a replay is, in vector chunks, and whether to go on.
pub type Progress<'a> = &'a dyn Fn(u64, u64) -> bool;

impl Replay {
    /// Takes what an aborted session's parties stated and published.
    ///
    /// # Errors
    /// [`NotReplayable`] says what is missing.
    pub fn of(fold: &Fold, session: SessionId) -> Result<Self, NotReplayable> {
        let roster = fold.founding().clone();
        let said = Said::of(fold, session);
        let complete = said.commitments.len() == roster.parties()
            && said.held.len() == roster.parties()
            && !said.roots.is_empty();
        if !complete {
            return Err(NotReplayable::NotBegun);
        }
        let echo = said.echo(session)?;
        if said.held.values().any(|held| held.echo != echo) {
            return Err(NotReplayable::Echoes);
        }
        let silent: Vec<PartyId> = said
            .commitments
            .keys()
            .filter(|party| !said.published.contains_key(party))
            .copied()
            .collect();
        if !silent.is_empty() {
            return Err(NotReplayable::Missing(silent));
        }
        let spoilt = blame::faults(fold, session, &said)?
            .into_iter()
            .find(|fault| {
                let published = said.published.get(&fault.party).map(|p| p.hash);
                let held = said.held.get(&fault.party).map(|held| held.hash);
                let committed = said.commitments.get(&fault.party).map(|own| own.hash);
                [published, held, committed].contains(&Some(fault.statement))
            });
        if let Some(fault) = spoilt {
            return Err(NotReplayable::Fault(fault.party));
        }
        let mut shares: BTreeMap<PieceId, BTreeMap<PartyId, Digest>> = BTreeMap::new();
        for (party, published) in &said.published {
            for share in &published.shares {
                let of_piece = shares.entry(share.piece).or_default();
                of_piece.insert(*party, share.share);
            }
        }
        Ok(Self {
            session,
            params: budget::parameters(&roster)?,
            mask_seed: said.mask_seed(session)?,
            roster,
            shares,
            said,
        })
    }

    fn committee(&self) -> &Committee {
        self.roster.committee()
    }

    fn begin(&self) -> Result<Computation, KeygenError> {
        let seeds = self.shares.iter().map(|(piece, shares)| {
            let shares: Vec<(PartyId, SeedShare)> = shares
                .iter()
                .map(|(party, share)| (*party, SeedShare::new(*share.as_bytes())))
                .collect();
            let shares: Vec<(PartyId, &SeedShare)> = shares
                .iter()
                .map(|(party, share)| (*party, share))
                .collect();
            (*piece, combine_seed(&self.session, *piece, &shares))
        });
        Computation::new(
            self.committee(),
            self.params,
            self.session,
            seeds.collect(),
            *self.mask_seed.as_bytes(),
        )
    }

    /// Computes the session again up to its first step in which a statement differs; names every author of one.
    ///
    /// Later steps are not judged: what follows from a wrong value is wrong for honest parties too. No finding
    /// means that every statement is right. Needs the memory of a ceremony; blocks for as long as one computes.
    ///
    /// # Errors
    /// [`ReplayError`], never because of what a party stated.
    pub fn run(&self, progress: Progress<'_>) -> Result<Vec<Finding>, ReplayError> {
        let mut computation = self.begin()?;
        let total = STAGES
            .iter()
            .map(|stage| computation.work(of(*stage)))
            .sum();
        let mut done = 0u64;
        for stage in STAGES {
            let Some(stated) = self.said.roots.get(&stage) else {
                return Ok(Vec::new());
            };
            let mut leaves: Vec<Vec<Digest>> = vec![Vec::new(); family(&self.roster, stage).len()];
            let mut cancelled = false;
            let opened = computation.stage(of(stage), |group, bytes| {
                if let Some(leaves) = leaves.get_mut(group) {
                    leaves.push(of_blob(bytes));
                }
                done += 1;
                cancelled |= !progress(done, total);
            })?;
            if cancelled {
                return Err(ReplayError::Cancelled);
            }
            let roots: Vec<Digest> = leaves.iter().map(|leaves| vector_root(leaves)).collect();
            let findings = wrong_roots(stage, stated, &roots);
            if !findings.is_empty() {
                return Ok(findings);
            }
            let findings = self.wrong_openings(stage, opened);
            if !findings.is_empty() {
                return Ok(findings);
            }
        }
        if self.said.self_tests.is_empty() {
            return Ok(Vec::new());
        }
        self.self_test(&computation.finish()?)
    }

    fn wrong_openings(&self, stage: StageName, expected: Digest) -> Vec<Finding> {
        let stated = self.said.opened.get(&stage).into_iter().flatten();
        stated
            .filter(|(_, (_, said))| *said != expected)
            .map(|(party, (statement, said))| Finding {
                party: *party,
                statement: *statement,
                about: format!("what the stage {stage:?} opened"),
                said: *said,
                expected,
            })
            .collect()
    }

    /// C7 again: the digest of the squashed bytes, then the values of every piece.
    fn self_test(&self, key: &ReplayedKey) -> Result<Vec<Finding>, ReplayError> {
        let (blocks, _) = key.public().self_test(*self.session.as_bytes())?;
        let expected = blocks.digest();
        let tests = &self.said.self_tests;
        let agreeing = |digest: Digest| tests.values().filter(|t| t.squashed == digest).count();
        let most = tests.values().map(|test| agreeing(test.squashed)).max();
        if let Some(most) = most.filter(|most| {
            *most >= self.roster.equal_needed() && agreeing(expected) < self.roster.equal_needed()
        }) {
            return Err(ReplayError::OtherMachine { agreeing: most });
        }
        let finding = |party: PartyId, test: &Tested, about: &str, said, expected| Finding {
            party,
            statement: test.hash,
            about: about.to_owned(),
            said,
            expected,
        };
        let values = key.partial_decrypt(&blocks)?;
        let digest = |values: &PieceValues| of_blob(values.values.as_slice());
        let wrong = tests.iter().filter_map(|(party, test)| {
            if test.squashed != expected {
                let about = "the squashed bytes of the self-test";
                return Some(finding(*party, test, about, test.squashed, expected));
            }
            test.pieces.iter().find_map(|said| {
                let right = PieceValues::pack(said.piece, values.get(&said.piece)?);
                let about = format!("the {} in the self-test", said.piece);
                (right != *said)
                    .then(|| finding(*party, test, &about, digest(said), digest(&right)))
            })
        });
        Ok(wrong.collect())
    }
}

fn wrong_roots(
    stage: StageName,
    stated: &BTreeMap<PartyId, Roots>,
    expected: &[Digest],
) -> Vec<Finding> {
    let wrong = stated.iter().filter_map(|(party, own)| {
        own.roots.iter().find_map(|said| {
            let expected = *expected.get(usize::from(said.group))?;
            (said.digest != expected).then(|| Finding {
                party: *party,
                statement: own.hash,
                about: format!("the vector of group {} of the stage {stage:?}", said.group),
                said: said.digest,
                expected,
            })
        })
    });
    wrong.collect()
}

fn of(stage: StageName) -> Stage {
    match stage {
        StageName::Bits => Stage::Bits,
        StageName::Products => Stage::Products,
        StageName::Rows => Stage::Rows,
    }
}
