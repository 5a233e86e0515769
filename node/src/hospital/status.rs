//! What the loop shows of itself.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::manifest::TwinListFacts;
use organtwin_protocol::roster::Roster;
use organtwin_protocol::shard::{ranking, shards};
use organtwin_protocol::study::{self, Phase, Study};
use organtwin_protocol::tally;
use organtwin_simulations::{Plan, study::RowAccuracy};
use organtwin_threshold::{PartyId, Security};

use super::command::Command;
use super::error::NodeError;
use super::node::{Node, now_ms};
use super::view::{Forecast, KeyView, NodeStatus, OwnTwin, PeerView, StudyView, TwinsView};

impl Node {
    /// Answers a command. Errors go to whoever asked; one that the node cannot survive comes back.
    pub(super) fn obey(&mut self, command: Command) -> Result<(), NodeError> {
        match command {
            Command::Status(reply) => drop(reply.send(Ok(self.status()))),
            Command::Locate {
                party,
                address,
                reply,
            } => drop(reply.send(self.locate(party, &address))),
            Command::SignRoster(reply) => drop(reply.send(self.sign_roster())),
            Command::CeremonyStart(reply) => drop(reply.send(self.join_ceremony())),
            Command::CeremonyStatus(reply) => drop(reply.send(Ok(self.ceremony_status()))),
            Command::EpochStatus(reply) => drop(reply.send(Ok(self.epoch_status()))),
            Command::EpochChange { request, reply } => {
                drop(reply.send(self.change_consortium(&request)));
            }
            Command::Deposit { twins, reply } => return self.deposit(twins, reply),
            Command::Twins(reply) => drop(reply.send(self.twins())),
            Command::Withdraw { id, reply } => drop(reply.send(self.withdraw(&id))),
            Command::Plan { study, reply } => self.plan(*study, reply),
            Command::Propose { request, reply } => drop(reply.send(self.propose(*request))),
            Command::Approve { id, reply } => drop(reply.send(self.approve(&id))),
            Command::Reject { id, reason, reply } => drop(reply.send(self.reject(&id, reason))),
            Command::Studies(reply) => drop(reply.send(self.studies_view())),
            Command::Study { id, reply } => {
                let view = self.study_id(&id).and_then(|id| self.study_view(&id));
                drop(reply.send(view));
            }
            Command::Outcome { id, reply } => drop(reply.send(self.outcome(&id))),
            Command::Transcript { id, reply } => self.transcript(id, reply),
            Command::Log(reply) => drop(reply.send(self.log_view())),
            Command::ProveStatement {
                party,
                number,
                reply,
            } => drop(reply.send(self.prove_statement(party, number))),
            Command::ProveExtension { size, reply } => {
                drop(reply.send(self.prove_extension(size)));
            }
            Command::Shutdown(reply) => drop(reply.send(Ok(()))),
        }
        Ok(())
    }

    fn locate(&mut self, party: u8, address: &str) -> Result<(), NodeError> {
        // An address may be noted before its party joins: it is dialled once it is a member.
        let known = PartyId::new(party).filter(|party| *party != self.me);
        let Some(party) = known else {
            let what = format!("party {party} is not another party");
            return Err(NodeError::usage(what, "see `organtwin roster show`"));
        };
        self.net.dial(party, address).map_err(|what| {
            NodeError::usage(what, "give a multiaddress such as /ip4/10.0.0.2/tcp/4001")
        })?;
        if self
            .config
            .peers
            .get(&party.to_string())
            .map(String::as_str)
            != Some(address)
        {
            self.config
                .peers
                .insert(party.to_string(), address.to_owned());
            self.config
                .save(&self.dir)
                .map_err(|error| NodeError::Refused(error.to_string()))?;
        }
        Ok(())
    }

    fn sign_roster(&mut self) -> Result<(), NodeError> {
        if self.fold.facts().roster_signed.contains_key(&self.me) {
            return Ok(());
        }
        self.state(organtwin_protocol::statement::Body::RosterSigned {})
            .map(drop)
    }

    fn status(&self) -> NodeStatus {
        let roster = self.fold.roster();
        let eligible = self.eligible_per_hospital();
        let own = self
            .fold
            .facts()
            .deposits
            .keys()
            .filter(|(party, _)| *party == self.me);
        let withdrawn = self
            .fold
            .facts()
            .withdrawals
            .keys()
            .filter(|(party, _)| *party == self.me);
        let mut refused = self.refused.clone();
        refused.extend(self.net.counters());
        NodeStatus {
            party: self.me.get(),
            name: roster
                .member(self.me)
                .map(|member| member.name.clone())
                .unwrap_or_default(),
            consortium: roster.name().to_owned(),
            parties: u8::try_from(roster.parties()).unwrap_or(u8::MAX),
            threshold: u8::try_from(roster.threshold()).unwrap_or(u8::MAX),
            security: security(roster.committee().security()).to_owned(),
            roster: roster.digest().to_string(),
            roster_signed_by: self
                .fold
                .facts()
                .roster_signed
                .keys()
                .map(|party| party.get())
                .collect(),
            peers: self.peers(roster),
            listen: self.net.listen(),
            key: self.key.as_ref().map(|key| KeyView {
                certificate: key.certificate.to_string(),
                key: key.facts.key.to_string(),
                parameters: key.facts.parameters.clone(),
                epoch: key.facts.epoch,
                security: security(key.facts.security).to_owned(),
            }),
            ceremony: self.ceremony_status(),
            twins_own: count(own.count().saturating_sub(withdrawn.count())),
            twins_eligible: eligible.values().sum(),
            twins_refused: self.refused_per_hospital(),
            studies: count(self.fold.facts().studies.len()),
            openings_spent: self.key.as_ref().map_or(0, |key| {
                study::opened_blocks(&self.fold, &key.certificate, None)
            }),
            openings_limit: self.local.opening_limit,
            refused,
            faults: self.faults.clone(),
            work: self.mute().into_iter().chain(self.heavy.clone()).collect(),
            peak_memory_mib: crate::memory::peak_mib(None).unwrap_or(0),
            bytes_sent: self.net.bytes_sent(),
        }
    }

    fn peers(&self, roster: &Roster) -> Vec<PeerView> {
        let connected = self.net.connected();
        let others = roster
            .members()
            .iter()
            .filter(|member| member.party != self.me);
        others
            .map(|member| PeerView {
                party: member.party.get(),
                name: member.name.clone(),
                peer_id: crate::identity::peer_id(member)
                    .map(|id| id.to_string())
                    .unwrap_or_default(),
                addresses: self.net.addresses(member.party),
                connected: connected.contains(&member.party),
                statements: self.fold.feed(member.party).len() as u64,
            })
            .collect()
    }

    fn eligible_per_hospital(&self) -> BTreeMap<u8, u32> {
        let mut per_hospital = BTreeMap::new();
        for (schema, _) in crate::twins::schemas() {
            for twin in study::eligible_twins(&self.fold, &self.fold.heads(), &schema) {
                *per_hospital.entry(twin.depositor.get()).or_insert(0) += 1;
            }
        }
        per_hospital
    }

    fn twins(&self) -> Result<TwinsView, NodeError> {
        let facts = self.fold.facts();
        let mut deposited = BTreeMap::new();
        let mut own = Vec::new();
        let names = crate::jobs::deposit::local_ids(&self.store)?;
        for ((party, id), deposit) in &facts.deposits {
            *deposited.entry(party.get()).or_insert(0) += 1;
            if *party != self.me {
                continue;
            }
            let receipts = facts.receipts.get(&deposit.twin.digest);
            let (admission, reason) = self.admission(deposit);
            own.push(OwnTwin {
                local_id: names.get(id).cloned().unwrap_or_default(),
                id: id.to_string(),
                organ: deposit.organ.clone(),
                received_by: receipts
                    .into_iter()
                    .flat_map(BTreeMap::keys)
                    .map(|party| party.get())
                    .collect(),
                withdrawn: facts.withdrawals.contains_key(&(*party, *id)),
                admission: admission.to_owned(),
                reason,
            });
        }
        Ok(TwinsView {
            own,
            deposited,
            eligible: self.eligible_per_hospital(),
            refused: self.refused_per_hospital(),
        })
    }

    fn studies_view(&self) -> Result<Vec<StudyView>, NodeError> {
        let mut studies: Vec<(u64, Digest)> = Study::all(&self.fold)
            .map(|study| {
                (
                    study
                        .facts
                        .proposal
                        .as_ref()
                        .map_or(0, |proposal| proposal.time_ms),
                    study.id,
                )
            })
            .collect();
        studies.sort_unstable();
        studies.iter().map(|(_, id)| self.study_view(id)).collect()
    }

    /// One study as this node sees it.
    pub(super) fn study_view(&self, id: &Digest) -> Result<StudyView, NodeError> {
        let study = Study::find(&self.fold, id)
            .ok_or_else(|| NodeError::Bug("a study without proposal".into()))?;
        let list = self.local.twin_lists.get(&study.manifest.twins.blob);
        let all = list.map(|list| shards(id, list)).unwrap_or_default();
        let tallies: Vec<_> = all
            .iter()
            .map(|shard| tally::shard(self.fold.roster(), study.facts, shard))
            .collect();
        let confirmed = tallies
            .iter()
            .filter(|tally| tally.confirmed.is_some())
            .count();
        let fallback = super::studies::StudyRun::default();
        let run = self.studies.get(id).unwrap_or(&fallback);
        let (phase, reason) = match study.phase(list, now_ms()) {
            _ if run.opened.is_some() => ("released", None),
            Phase::Released { .. } => ("opening", None),
            Phase::Unknown | Phase::Proposed { .. } => ("proposed", None),
            Phase::Evaluating { .. } => ("evaluating", None),
            Phase::Opening { .. } if run.derived.is_some() => {
                ("opening", awaited(&study, study.facts.partials.is_empty()))
            }
            Phase::Opening { .. } if run.work.squashing.load(Ordering::Relaxed) => {
                ("squashing", None)
            }
            Phase::Opening { .. } => ("combining", None),
            Phase::NotOpened(why) => {
                let phase = match &why {
                    study::NotOpened::Rejected(_) => "rejected",
                    study::NotOpened::Expired => "expired",
                    _ => "void",
                };
                (phase, Some(why.to_string()))
            }
        };
        let seconds = self.seconds_per_bootstrap;
        let eta = (phase == "evaluating")
            .then(|| self.eta(study.id, &all, &tallies, run))
            .flatten();
        let opening = match (run.times.squashed, run.times.recombined) {
            (Some(squashed), Some(recombined)) => Some(recombined.saturating_sub(squashed) as f64),
            _ => None,
        };
        Ok(StudyView {
            id: id.to_string(),
            title: study.manifest.title.clone(),
            question: study.manifest.question.clone(),
            proposer: study.manifest.proposer.get(),
            phase: phase.to_owned(),
            reason,
            quorum: study.manifest.quorum,
            approvals: study.approvals().keys().map(|party| party.get()).collect(),
            rejections: study
                .facts
                .rejections
                .iter()
                .map(|(p, r)| (p.get(), r.reason.clone()))
                .collect(),
            k: study.manifest.facts.k,
            twins: study.manifest.twins.count,
            twins_per_hospital: study
                .manifest
                .twins
                .per_hospital
                .iter()
                .map(|(p, c)| (p.get(), *c))
                .collect(),
            shards_done: count(confirmed),
            shards_total: count(all.len()),
            bootstraps: run.times.bootstraps + run.work.shard.load(Ordering::Relaxed),
            eta_seconds: eta,
            evaluation_started_ms: run.times.evaluation_started,
            evaluation_ended_ms: run.times.evaluation_ended,
            seconds_per_bootstrap: seconds,
            squashed_ms: run.times.squashed,
            released_ms: run.times.released,
            recombined_ms: run.times.recombined,
            opening_ms: opening,
            fsync_ms: run.times.released.map(|_| run.times.fsync),
            blocks: study.manifest.facts.blocks,
            has_result: run.opened.is_some(),
        })
    }

    /// Seconds until this node has evaluated the shards that fall to it, by the pace so far.
    fn eta(
        &self,
        id: Digest,
        all: &[organtwin_protocol::shard::Shard],
        tallies: &[tally::ShardTally],
        run: &super::studies::StudyRun,
    ) -> Option<f64> {
        let plan = self.known_plan(&id)?;
        let roster = self.fold.roster();
        let study = Study::find(&self.fold, &id)?;
        let forecast = plan.forecast();
        let cost = |twins: usize| {
            forecast.bootstraps_per_twin * twins as u64 + forecast.bootstraps_per_shard
        };
        let mine = all.iter().zip(tallies).filter(|(shard, tally)| {
            let rank = ranking(roster, &id, shard.index)
                .iter()
                .position(|party| *party == self.me);
            let stated = study
                .facts
                .shards
                .get(&shard.index)
                .is_some_and(|claims| claims.contains_key(&self.me));
            tally.confirmed.is_none()
                && !stated
                && rank.is_some_and(|rank| rank < roster.equal_needed())
        });
        let left: u64 = mine.map(|(shard, _)| cost(shard.twins.len())).sum();
        let done = run.times.bootstraps + run.work.shard.load(Ordering::Relaxed);
        let started = run.times.evaluation_started?;
        let elapsed = now_ms().saturating_sub(started) as f64 / 1000.0;
        let left = left.saturating_sub(run.work.shard.load(Ordering::Relaxed));
        (done > 0).then(|| elapsed * left as f64 / done as f64)
    }
}

/// The forecast card of a plan.
pub(super) fn forecast(
    plan: &Plan,
    accuracy: &[RowAccuracy],
    twins: &TwinListFacts,
    seconds_per_bootstrap: f64,
) -> Forecast {
    let forecast = plan.forecast();
    let per_shard = forecast.bootstraps_per_shard * forecast.shards as u64;
    let mut notes = vec![
        format!(
            "most of the failure probability lies at: {} (2^{:.0})",
            forecast.worst_step, forecast.worst_step_log2_failure
        ),
        format!(
            "{per_shard} bootstraps cut the shards' counts, {} finish at every node",
            forecast.bootstraps_finish
        ),
    ];
    let mut nodes: Vec<_> = forecast
        .nodes
        .iter()
        .filter(|node| node.bootstraps > 0)
        .collect();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.bootstraps));
    notes.extend(nodes.into_iter().take(5).map(|node| {
        format!(
            "n{} ({}): {} bootstraps a patient, 2^{:.0}",
            node.node, node.what, node.bootstraps, node.log2_failure
        )
    }));
    notes.extend(accuracy.iter().map(|row| {
        format!(
            "{}: {:.2} % of random patients lie on the other side of a cut than by the textbook formula",
            row.row,
            100.0 * row.other_cell
        )
    }));
    let largest = |of: &dyn Fn(&RowAccuracy) -> Option<f64>| {
        accuracy.iter().filter_map(of).fold(0.0, f64::max)
    };
    Forecast {
        twins: twins.count,
        twins_per_hospital: twins
            .per_hospital
            .iter()
            .map(|(party, count)| (party.get(), *count))
            .collect(),
        shards: count(forecast.shards),
        bootstraps_per_patient: forecast.bootstraps_per_twin,
        bootstraps_once: forecast.bootstraps_evaluate,
        bootstraps_all_nodes: forecast.bootstraps_all_nodes,
        log2_failure: forecast.log2_failure,
        seconds: forecast.seconds,
        seconds_per_bootstrap,
        bytes_per_peer: forecast.bytes_per_peer,
        memory_bytes: forecast.memory_bytes + forecast.outputs_bytes,
        error: largest(&|row| row.worst),
        error_p95: largest(&|row| row.p95),
        error_unit: plan.program().unit().to_owned(),
        blocks: count(forecast.blocks),
        notes,
    }
}

fn security(security: Security) -> &'static str {
    match security {
        Security::Active => "active",
        Security::Passive => "passive",
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Who is missing while an agreed aggregate is not opened.
fn awaited(study: &Study<'_>, nobody_yet: bool) -> Option<String> {
    let agreed = study.aggregate()?;
    let missing = tally::awaited(study, &agreed);
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    (!nobody_yet && !names.is_empty()).then(|| {
        format!(
            "waiting for the partial decryptions of party {}",
            names.join(", ")
        )
    })
}
