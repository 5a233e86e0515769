//! What a hospital answers its operator, as the node's API does.

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::manifest::{
    Gate, MANIFEST_VERSION, Manifest, ProgramFacts, RowFacts, TwinListFacts,
};
use organtwin_protocol::statement::Body;
use organtwin_protocol::study::{self, Study};
use organtwin_protocol::twin::TwinList;

use super::Hospital;
use super::research::schema;
use crate::schedules::arithmetic::CELLS;
use crate::schedules::machine::{Answer, Planted};
use crate::schedules::schedule::Wish;

/// After so many attempts the operator gives the ceremony up.
const MOST_ATTEMPTS: usize = 12;

fn title(study: u8) -> String {
    format!("study {study}")
}

impl Hospital {
    pub(super) fn answer_operator(&mut self, now_ms: u64, wish: Wish) -> Answer {
        match wish {
            Wish::Key => self.wish_key(now_ms),
            Wish::Deposit { twins } => match self.deposited.take() {
                Some(body) => Answer::Done(vec![body]),
                None => {
                    self.begin_deposit(now_ms, twins);
                    Answer::NotYet
                }
            },
            Wish::Propose {
                study,
                quorum,
                lifetime_ms,
            } => self.propose(now_ms, study, quorum, lifetime_ms),
            Wish::Approve { study } => self.vote(now_ms, study, true, wish),
            Wish::Reject { study } => self.vote(now_ms, study, false, wish),
            Wish::Close { study } => self.close(now_ms, study),
            Wish::Withdraw => self.withdraw(now_ms),
        }
    }

    fn wish_key(&mut self, now_ms: u64) -> Answer {
        if self.fold.feed(self.me).is_empty() {
            self.state(now_ms, Body::RosterSigned {});
        }
        if self.key.is_some() {
            self.certify_another(now_ms);
            return Answer::Done(vec![Body::RosterSigned {}]);
        }
        let joined = self.fold.feed(self.me).iter();
        let attempts = joined
            .filter(|s| matches!(s.body(), Body::CeremonyJoined { .. }))
            .count();
        if attempts < MOST_ATTEMPTS
            && let Some(attempt) =
                organtwin_protocol::ceremony::attempt_to_join(&self.fold, self.me)
        {
            self.end_session(now_ms);
            let nonce = Digest::new(self.dice.bytes());
            self.state(now_ms, Body::CeremonyJoined { attempt, nonce });
        }
        Answer::NotYet
    }

    /// The planted bug: everyone signs a second certificate of the same epoch.
    fn certify_another(&mut self, now_ms: u64) {
        let certified = self.fold.certificate();
        let Some(facts) = certified.filter(|_| self.planted == Some(Planted::SecondKey)) else {
            return;
        };
        let mut certificate = facts.certificate.clone();
        certificate.session = organtwin_threshold::SessionId::new([9; 32]);
        certificate.key = of_blob(b"another key");
        self.state(now_ms, Body::KeyCertified { certificate });
    }

    fn propose(&mut self, now_ms: u64, study: u8, quorum: u8, lifetime_ms: u64) -> Answer {
        let Some(key) = &self.key else {
            return Answer::NotYet;
        };
        let feeds = self.fold.heads();
        let twins = study::eligible_twins(&self.fold, &feeds, &schema());
        let Ok(list) = TwinList::sorted(twins) else {
            return Answer::NotYet;
        };
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            title: title(study),
            question: "How many are in each cell?".into(),
            proposer: self.me,
            schema: schema(),
            program: of_blob(b"the program of the model"),
            facts: ProgramFacts {
                model: "model".into(),
                rows: vec![RowFacts {
                    label: "cells".into(),
                    cells: u16::try_from(CELLS).expect("small"),
                }],
                gate: Gate::RowWithoutAnyHospital,
                k: 1,
                blocks: u32::try_from(CELLS).expect("small"),
            },
            scenario: vec![study].into(),
            twins: TwinListFacts::of(&list).expect("a list has facts"),
            feeds,
            certificate: key.digest,
            epsilon_micro: None,
            quorum,
            recipients: Vec::new(),
            expires_ms: now_ms + lifetime_ms,
        };
        self.keep(list.encode().expect("a list has an encoding"));
        let body = Body::StudyProposed {
            manifest: Box::new(manifest),
        };
        if self.state(now_ms, body.clone()) {
            Answer::Done(vec![body])
        } else {
            Answer::NotYet
        }
    }

    fn named(&self, study: u8) -> Vec<Digest> {
        let title = title(study);
        Study::all(&self.fold)
            .filter(|study| study.manifest.title == title)
            .map(|study| study.id)
            .collect()
    }

    /// Approves or rejects every study of this title.
    fn vote(&mut self, now_ms: u64, study: u8, approves: bool, wish: Wish) -> Answer {
        let ids = self.named(study);
        if ids.is_empty() || self.key.is_none() {
            return Answer::NotYet;
        }
        let mut said = Vec::new();
        for id in ids {
            let body = if approves {
                let found = Study::find(&self.fold, &id).expect("named");
                if found.facts.approvals.contains_key(&self.me) {
                    said.push(Body::StudyApproved { manifest: id });
                    continue;
                }
                let Some(list) = self.view.twin_lists.get(&found.manifest.twins.blob) else {
                    return Answer::NotYet;
                };
                if found.not_opened(Some(list), now_ms).is_some() {
                    return Answer::Refused;
                }
                if study::check_manifest(&self.fold, found.manifest, list).is_err() {
                    return Answer::NotYet;
                }
                Body::StudyApproved { manifest: id }
            } else {
                Body::StudyRejected {
                    manifest: id,
                    reason: "not now".into(),
                }
            };
            if self.planted == Some(Planted::AcknowledgeFirst) && !self.promised.contains(&wish) {
                self.promised.push(wish);
                said.push(body);
            } else if self.state(now_ms, body.clone()) {
                said.push(body);
            }
        }
        if said.is_empty() {
            Answer::Refused
        } else {
            Answer::Done(said)
        }
    }

    fn close(&mut self, now_ms: u64, study: u8) -> Answer {
        let mut said = Vec::new();
        for id in self.named(study) {
            let body = Body::StudyClosed {
                manifest: id,
                reason: "given up".into(),
            };
            if self.state(now_ms, body.clone()) {
                said.push(body);
            }
        }
        if said.is_empty() {
            Answer::NotYet
        } else {
            Answer::Done(said)
        }
    }

    fn withdraw(&mut self, now_ms: u64) -> Answer {
        let facts = self.fold.facts();
        let own = facts
            .deposits
            .keys()
            .find(|key| key.0 == self.me && !facts.withdrawals.contains_key(key));
        let Some((_, id)) = own.copied() else {
            return Answer::NotYet;
        };
        let body = Body::TwinWithdrawn { id };
        if self.state(now_ms, body.clone()) {
            Answer::Done(vec![body])
        } else {
            Answer::NotYet
        }
    }
}
