//! What an operator asks of a change, and is shown of it.

use organtwin_protocol::codec::ByteString;
use organtwin_protocol::epoch::{self, ChangeKind, Phase, Step, Wish, WishKind};
use organtwin_protocol::fold::ChangeFacts;
use organtwin_protocol::roster::{PassivePolicy, Roster};
use organtwin_protocol::statement::Body;
use organtwin_threshold::{Family, PartyId};

use crate::hospital::error::NodeError;
use crate::hospital::node::{Node, now_ms};
use crate::hospital::view::{ChangeView, EpochRequest, EpochStatus};

impl Node {
    /// Proposes a change, or approves the very same if it was proposed.
    pub(in crate::hospital) fn change_consortium(
        &mut self,
        request: &EpochRequest,
    ) -> Result<EpochStatus, NodeError> {
        let wish = self.wish(request)?;
        let change = epoch::prepare(&self.fold, self.me, &wish)
            .map_err(|error| NodeError::Refused(error.to_string()))?;
        self.check_noise(&Roster::later(change.roster.clone()).map_err(refused)?)?;
        let facts = self.fold.facts().changes.values();
        let mut same = facts.filter(|facts| facts.change == change);
        if !same.any(|facts| facts.approvals.contains_key(&self.me)) {
            let change = Box::new(change);
            self.state(Body::EpochApproved { change })?;
            self.change.end();
            self.change.started_ms = Some(now_ms());
            self.change.ended_ms = None;
        }
        Ok(self.epoch_status())
    }

    fn wish(&self, request: &EpochRequest) -> Result<Wish, NodeError> {
        let usage = |what: &str| NodeError::usage(what.to_owned(), "see `organtwin epoch --help`");
        let party = match request.party.map(PartyId::new) {
            Some(None) => return Err(usage("party: expected a number from 1 to 16")),
            Some(party) => party,
            None => None,
        };
        let invited = |party: PartyId| {
            let invitation = request.invitation.as_ref();
            let invitation =
                invitation.ok_or_else(|| usage("expected the invitation of the hospital"))?;
            let member = invitation.member(usize::from(party.get()));
            member.map_err(|error| NodeError::usage(error.to_string(), "ask for a new invitation"))
        };
        let kind = match request.kind.as_str() {
            "refresh" => WishKind::Refresh,
            "add" => {
                let party = party.map_or_else(|| self.free_number(request), Ok)?;
                WishKind::Add(invited(party)?)
            }
            "remove" => WishKind::Remove(party.ok_or_else(|| usage("expected who leaves"))?),
            "recover" => {
                let party = party.ok_or_else(|| usage("expected who comes back"))?;
                let member = invited(party)?;
                WishKind::Recover {
                    party,
                    statement_key: member.statement_key,
                    network_key: ByteString::from(member.network_key.as_slice().to_vec()),
                }
            }
            _ => return Err(usage("kind: expected refresh, add, remove or recover")),
        };
        Ok(Wish {
            kind,
            threshold: request.threshold,
            passive: request.allow_passive.map(|allowed| match allowed {
                true => PassivePolicy::Allowed,
                false => PassivePolicy::Refused,
            }),
        })
    }

    /// The number that a newcomer takes: the one it had in an earlier attempt, or the next that nobody ever had.
    fn free_number(&self, request: &EpochRequest) -> Result<PartyId, NodeError> {
        let changes = self.fold.facts().changes.values();
        let coming = changes.map(|change| &change.roster);
        let rosters: Vec<&Roster> = self.fold.rosters().chain(coming).collect();
        let members = rosters.iter().flat_map(|roster| roster.members());
        let key = request
            .invitation
            .as_ref()
            .map(|invitation| invitation.statement_key.clone());
        let known = members
            .clone()
            .find(|member| key.as_ref() == Some(&hex::encode(member.statement_key.as_bytes())));
        if let Some(known) = known {
            return Ok(known.party);
        }
        let agreed = self.fold.rosters().flat_map(|roster| roster.members());
        let last = agreed.map(|member| member.party.get()).max().unwrap_or(0);
        PartyId::new(last + 1).ok_or_else(|| {
            NodeError::Refused("all 16 numbers were given: no further hospital can join".into())
        })
    }

    /// Studies are planned for the noise of the founding committee's input masks; a committee whose masks carry more
    /// would break that promise.
    fn check_noise(&self, new: &Roster) -> Result<(), NodeError> {
        let terms = |roster: &Roster| roster.committee().family(Family::Live).len();
        let (new, founding) = (terms(new), terms(self.fold.founding()));
        if new > founding {
            return Err(NodeError::Refused(format!(
                "input masks of that committee would carry {new} noise terms, studies of this key are planned for {founding}; choose another n and t, or make a new key"
            )));
        }
        Ok(())
    }

    /// Where the last change stands.
    pub(in crate::hospital) fn epoch_status(&self) -> EpochStatus {
        let roster = self.fold.roster();
        let step = epoch::step(&self.fold, self.me, now_ms(), &self.change.local);
        let mut waiting_for = Vec::new();
        if let Ok(Step::Wait { missing, .. } | Step::ExchangeShares { with: missing, .. }) = &step {
            waiting_for = missing.iter().map(|party| party.get()).collect();
        }
        let phase = match &step {
            Err(_) | Ok(Step::Aborted { .. }) => "aborted",
            Ok(Step::Idle) => "none",
            Ok(Step::Wait { phase, .. }) => match phase {
                Phase::Agreeing => "agreeing",
                Phase::Seeds => "seeds",
                Phase::Offers => "offers",
                Phase::SelfTest => "self_test",
                Phase::Certifying => "certifying",
            },
            Ok(Step::Commit { .. } | Step::ExchangeShares { .. }) => "seeds",
            Ok(Step::Offer { .. }) => "offers",
            Ok(Step::Collect { .. }) => "collecting",
            Ok(Step::Combine { .. }) => "combining",
            Ok(Step::SelfTest { .. } | Step::CheckSelfTest { .. }) => "self_test",
            Ok(Step::State(_)) => "certifying",
            Ok(Step::Done { certificate }) => {
                let key = self.key.as_ref();
                let member = roster.member(self.me).is_some();
                if !member || key.is_some_and(|key| key.facts.epoch >= certificate.epoch) {
                    "done"
                } else {
                    "certifying"
                }
            }
        };
        let elapsed = self.change.started_ms.map_or(0, |started| {
            let end = self.change.ended_ms.unwrap_or_else(now_ms);
            end.saturating_sub(started)
        });
        EpochStatus {
            epoch: self.fold.epoch(),
            certificate: self
                .fold
                .line()
                .last()
                .map(|(_, digest)| digest.to_string()),
            members: numbers(roster),
            threshold: u8::try_from(roster.threshold()).unwrap_or(u8::MAX),
            phase: phase.to_owned(),
            open: epoch::open(&self.fold).into_iter().map(view).collect(),
            waiting_for,
            seconds: std::time::Duration::from_millis(elapsed).as_secs_f64(),
            fault: match &step {
                Ok(Step::Aborted { by, reason, .. }) => {
                    Some(format!("party {by} gave up: {reason}"))
                }
                _ => self.change.fault.clone(),
            },
        }
    }
}

fn refused(error: impl std::fmt::Display) -> NodeError {
    NodeError::Refused(error.to_string())
}

fn numbers(roster: &Roster) -> Vec<u8> {
    let members = roster.members().iter();
    members.map(|member| member.party.get()).collect()
}

fn view(change: &ChangeFacts) -> ChangeView {
    let (kind, party) = match change.change.kind {
        ChangeKind::Refresh => ("refresh", None),
        ChangeKind::Added(party) => ("add", Some(party)),
        ChangeKind::Removed(party) => ("remove", Some(party)),
        ChangeKind::Recovered(party) => ("recover", Some(party)),
    };
    ChangeView {
        epoch: change.change.epoch,
        kind: kind.to_owned(),
        party: party.map(PartyId::get),
        members: numbers(&change.roster),
        threshold: u8::try_from(change.roster.threshold()).unwrap_or(u8::MAX),
        approved_by: change.approvals.keys().map(|party| party.get()).collect(),
    }
}
