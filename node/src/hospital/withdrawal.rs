//! Consent withdrawn: no later study contains the twin, and an open one that does is void.

use organtwin_protocol::statement::Body;
use organtwin_protocol::twin::TwinId;

use super::error::NodeError;
use super::node::Node;
use super::view::{WithdrawalReport, WithdrawnTwin};

impl Node {
    /// Withdraws the twin with this public identifier, or all twins of the patient with this pseudonym.
    pub(super) fn withdraw(&mut self, name: &str) -> Result<WithdrawalReport, NodeError> {
        let names = crate::jobs::deposit::local_ids(&self.store)?;
        let facts = self.fold.facts();
        let mut twins = Vec::new();
        let mut before = false;
        for ((party, id), deposit) in &facts.deposits {
            let local_id = names.get(id).cloned().unwrap_or_default();
            if *party != self.me || (id.to_string() != name && local_id != name) {
                continue;
            }
            if facts.withdrawals.contains_key(&(*party, *id)) {
                before = true;
                continue;
            }
            let twin = WithdrawnTwin {
                id: id.to_string(),
                local_id,
                organ: deposit.organ.clone(),
            };
            twins.push((*id, twin));
        }
        if twins.is_empty() && before {
            return Err(NodeError::Refused(format!("'{name}' is withdrawn already")));
        }
        if twins.is_empty() {
            return Err(NodeError::NotFound {
                kind: "own twin",
                id: name.to_owned(),
                list: "organtwin twin list",
            });
        }
        let bodies = twins.iter().map(|(id, _)| Body::TwinWithdrawn { id: *id });
        self.state_all(bodies.collect())?;
        let voided = self.voided_by(&twins.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        let twins = twins.into_iter().map(|(_, twin)| twin).collect();
        Ok(WithdrawalReport { twins, voided })
    }

    /// The studies that list one of these twins and were not opened before.
    fn voided_by(&self, twins: &[TwinId]) -> Vec<String> {
        let studies = self.fold.facts().studies.iter();
        studies
            .filter(|(_, study)| study.releases.is_empty())
            .filter(|(_, study)| {
                let blob = study.proposal.as_ref().map(|p| p.manifest.twins.blob);
                let list = blob.and_then(|blob| self.local.twin_lists.get(&blob));
                list.is_some_and(|list| {
                    let mut listed = list.twins().iter();
                    listed.any(|twin| twin.depositor == self.me && twins.contains(&twin.id))
                })
            })
            .map(|(id, _)| id.to_string())
            .collect()
    }
}
