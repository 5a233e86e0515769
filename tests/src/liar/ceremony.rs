//! Deviations in the key ceremony, in the order of its steps.

use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::statement::{Body, StageName};
use organtwin_threshold::{PartyId, SessionId};

use super::{Utterance, flipped, shifted};

/// Where a party falls silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before its seed commitments.
    Commitments,
    /// Before it says that it holds the seeds.
    Seeds,
    /// Before it commits to its vectors of a stage.
    Roots(StageName),
    /// Before it says what a stage opened.
    Opened(StageName),
    /// Before its self-test.
    SelfTest,
    /// Before its certificate.
    Certificate,
}

/// One deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Commits to the seeds of too few pieces.
    Pieces,
    /// Sends everyone seed shares that do not match their commitments.
    SeedShares,
    /// Sends one holder such shares.
    SeedShareTo(PartyId),
    /// Complains of a seed share that was right.
    FalseComplaint(PartyId),
    /// Reveals another share of the mask seed than it committed to.
    MaskShare,
    /// Echoes other seed commitments.
    Echo,
    /// Computes wrong vectors in a stage, and states their roots.
    Vector(StageName),
    /// Computes right vectors but states other roots.
    Root(StageName),
    /// Leaves one of its groups out.
    Groups(StageName),
    /// States two roots under one number.
    ForkedRoots(StageName),
    /// States in every later session what it stated in its first.
    FormerRoots,
    /// States right roots but sends other chunks.
    Chunk(StageName),
    /// States another digest of what a stage opened.
    Opened(StageName),
    /// Decrypts the self-test wrongly.
    SelfTestValues,
    /// Squashes the self-test to other bytes.
    SelfTestBytes,
    /// Certifies another key.
    Certificate,
    /// Gives the session up with evidence that its statements do not bear out.
    MadeUpEvidence(StageName),
    /// Says nothing from a step on.
    Stall(Point),
    /// Publishes other seed shares than it committed to.
    FalsePublication,
    /// Does not publish its seed shares.
    NoPublication,
}

impl From<Lie> for super::Lie {
    fn from(lie: Lie) -> Self {
        Self::Ceremony(lie)
    }
}

impl Lie {
    /// Whether the liar says nothing more once it has swallowed a statement.
    pub(super) fn silences(self) -> bool {
        matches!(self, Self::Stall(_))
    }

    /// What is said instead of `body`; `said` is what the liar would have said so far.
    pub(super) fn utter(self, fold: &Fold, mut body: Body, said: &[Body]) -> Utterance {
        match (self, &mut body) {
            (Self::Pieces, Body::SeedCommitted { commitments, .. }) => {
                commitments.pop();
            }
            (Self::FalseComplaint(against), Body::SeedsHeld { session, .. }) => {
                let evidence = Evidence::Claim {
                    party: against,
                    what: "sent a share that does not match its commitment".to_owned(),
                };
                return given_up(*session, evidence);
            }
            (Self::MaskShare, Body::SeedsHeld { mask_reveal, .. }) => {
                *mask_reveal = flipped(*mask_reveal);
            }
            (Self::Echo, Body::SeedsHeld { echo, .. }) => *echo = flipped(*echo),
            (Self::Root(lied), Body::StageCommitted { stage, roots, .. }) if lied == *stage => {
                for root in roots {
                    root.digest = flipped(root.digest);
                }
            }
            (Self::Groups(lied), Body::StageCommitted { stage, roots, .. }) if lied == *stage => {
                roots.pop();
            }
            (Self::ForkedRoots(lied), Body::StageCommitted { stage, roots, .. })
                if lied == *stage =>
            {
                let truth = Body::StageCommitted {
                    session: session_of(said),
                    stage: *stage,
                    roots: roots.clone(),
                };
                for root in roots {
                    root.digest = flipped(root.digest);
                }
                return Utterance::Fork(truth, body);
            }
            (Self::FormerRoots, Body::StageCommitted { stage, roots, .. }) => {
                let former = said.iter().find_map(|body| match body {
                    Body::StageCommitted {
                        stage: same, roots, ..
                    } if same == stage => Some(roots.clone()),
                    _ => None,
                });
                *roots = former.unwrap_or_default();
            }
            (Self::Opened(lied), Body::StageOpened { stage, digest, .. }) if lied == *stage => {
                *digest = flipped(*digest);
            }
            (Self::SelfTestValues, Body::SelfTest { pieces, .. }) => {
                *pieces = pieces.iter().map(|own| shifted(own, |_| true)).collect();
            }
            (Self::SelfTestBytes, Body::SelfTest { squashed, .. }) => {
                *squashed = flipped(*squashed);
            }
            (Self::Certificate, Body::KeyCertified { certificate }) => {
                certificate.key = flipped(certificate.key);
            }
            (Self::MadeUpEvidence(lied), Body::StageOpened { stage, session, .. })
                if lied == *stage =>
            {
                return given_up(*session, made_up(fold, lied));
            }
            (Self::FalsePublication, Body::SeedsPublished { shares, .. }) => {
                if let Some(first) = shares.first_mut() {
                    first.share = flipped(first.share);
                }
            }
            (Self::NoPublication, Body::SeedsPublished { .. }) => {
                return Utterance::Say(Vec::new());
            }
            (Self::Stall(point), body) if point.is_before(body) => {
                return Utterance::Say(Vec::new());
            }
            _ => {}
        }
        Utterance::one(body)
    }
}

impl Point {
    fn is_before(self, body: &Body) -> bool {
        match (self, body) {
            (Self::Commitments, Body::SeedCommitted { .. })
            | (Self::Seeds, Body::SeedsHeld { .. })
            | (Self::SelfTest, Body::SelfTest { .. })
            | (Self::Certificate, Body::KeyCertified { .. }) => true,
            (Self::Roots(at), Body::StageCommitted { stage, .. })
            | (Self::Opened(at), Body::StageOpened { stage, .. }) => at == *stage,
            _ => false,
        }
    }
}

fn session_of(said: &[Body]) -> SessionId {
    let session = said.iter().rev().find_map(|body| match body {
        Body::SeedCommitted { session, .. } => Some(*session),
        _ => None,
    });
    session.expect("a liar in a ceremony has committed to seeds")
}

fn given_up(session: SessionId, evidence: Evidence) -> Utterance {
    Utterance::one(Body::CeremonyAborted {
        session,
        reason: "somebody lies".to_owned(),
        evidence: Some(evidence),
    })
}

/// A pair of statements that agree.
fn made_up(fold: &Fold, stage: StageName) -> Evidence {
    let party = |number| PartyId::new(number).expect("a small number");
    let parties = [party(1), party(3)];
    let statements = parties.map(|party| {
        let committed = fold.feed(party).iter().rev().find(|statement| {
            matches!(statement.body(), Body::StageCommitted { stage: at, .. } if *at == stage)
        });
        committed.expect("all committed to the stage").hash()
    });
    Evidence::Pair {
        statements,
        parties,
    }
}
