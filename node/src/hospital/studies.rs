//! Studies in the loop: plan, propose, vote, evaluate, combine, release, recombine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::duty::{self, Duty};
use organtwin_protocol::feed::FeedHead;
use organtwin_protocol::manifest::{MANIFEST_VERSION, Manifest, TwinListFacts};
use organtwin_protocol::shard::shards;
use organtwin_protocol::statement::{Body, SignedStatement};
use organtwin_protocol::study::{self, Study};
use organtwin_protocol::transcript::{StudyStore, Transcript};
use organtwin_protocol::twin::TwinList;
use organtwin_simulations::{
    Plan, StudyResult, StudySpec, render, study::accuracy, validation::Validation,
};
use organtwin_threshold::PartyId;

use super::command::Reply;
use super::error::NodeError;
use super::node::{Node, now_ms};
use super::view::{Forecast, ResultView, StudyRequest};
use crate::jobs::study::{Derived, Stage, TwinInput};
use crate::jobs::{self, JobError};
use crate::planning::{self, PlanningError};
use crate::store::{StoreError, Tree};

/// How long a study may be opened when its proposer does not say.
const DEFAULT_LIFETIME_MS: u64 = 7 * 24 * 3600 * 1000;
/// How often an export looks whether the log is cosigned, and how long it waits in between.
const EXPORT_TRIES: u32 = 40;
const EXPORT_WAIT: std::time::Duration = std::time::Duration::from_millis(150);
/// The longest lifetime of a study.
const LONGEST_LIFETIME_MS: u64 = 366 * 24 * 3600 * 1000;

/// What this node does for one study.
#[derive(Default)]
pub(super) struct StudyRun {
    /// Counts that show whether the study moved.
    pub(super) marks: (usize, usize),
    /// The plan, once it was needed; `Err` for a manifest whose program is not what it says.
    plan: Option<Result<Arc<Plan>, String>>,
    /// What this node derived itself.
    pub(super) derived: Option<Derived>,
    pub(super) times: Times,
    pub(super) work: Arc<Work>,
    /// The opened values, once recombined here.
    pub(super) opened: Option<Vec<u8>>,
}

/// This node's clock at the study's turns, milliseconds since 1970. Kept in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Times {
    pub(super) evaluation_started: Option<u64>,
    pub(super) evaluation_ended: Option<u64>,
    pub(super) squashed: Option<u64>,
    pub(super) released: Option<u64>,
    pub(super) recombined: Option<u64>,
    /// Milliseconds of fsync between squashing and recombining.
    pub(super) fsync: f64,
    /// Bootstraps of finished shards.
    pub(super) bootstraps: u64,
}

/// What a computing thread tells of its progress.
#[derive(Default)]
pub(super) struct Work {
    /// Bootstraps of the shard under way.
    pub(super) shard: AtomicU64,
    /// Blocks squashed.
    pub(super) squashed: AtomicU64,
    /// Whether squashing has begun.
    pub(super) squashing: AtomicBool,
    cancel: AtomicBool,
}

impl StudyRun {
    /// Stops what is computed for the study.
    pub(super) fn cancel(&self) {
        self.work.cancel.store(true, Ordering::Relaxed);
    }
}

impl Node {
    /// Reads what the store holds of studies that this node worked on.
    pub(super) fn resume_studies(&mut self) -> Result<(), NodeError> {
        let ids: Vec<(Digest, Digest)> = Study::all(&self.fold)
            .map(|s| (s.id, s.manifest.twins.blob))
            .collect();
        for (id, blob) in ids {
            if let Some(bytes) = self
                .store
                .blobs()
                .get(blob.as_bytes())
                .map_err(StoreError::Io)?
            {
                self.take_twin_list(blob, &bytes);
            }
            let derived = jobs::study::derived(&self.store, id)?;
            if let Some(derived) = &derived {
                self.local.squashed.insert(id, derived.squashed);
            }
            let times = self
                .store
                .get(Tree::Jobs, &times_key(&id))?
                .unwrap_or_default();
            let opened = Study::find(&self.fold, &id)
                .and_then(|study| study.facts.releases.get(&self.me))
                .map(|release| release.values.clone());
            self.studies.insert(
                id,
                StudyRun {
                    derived,
                    times,
                    opened,
                    ..StudyRun::default()
                },
            );
        }
        Ok(())
    }

    fn keep_times(&mut self, id: &Digest) -> Result<(), NodeError> {
        if let Some(run) = self.studies.get(id) {
            self.store.put(Tree::Jobs, &times_key(id), &run.times)?;
        }
        Ok(())
    }

    fn cores() -> u16 {
        std::thread::available_parallelism()
            .map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX))
    }

    fn circumstances(&self) -> Result<planning::Circumstances, NodeError> {
        let key = self.key.as_ref().ok_or_else(|| {
            NodeError::not_ready(
                "there is no joint key yet",
                "hold the key ceremony first: `organtwin ceremony start`",
            )
        })?;
        Ok(key.circumstances(self.seconds_per_bootstrap.unwrap_or(0.02), Self::cores())?)
    }

    /// The plan of a proposed study; checked once against the manifest's facts.
    fn plan_of_study(&mut self, id: &Digest) -> Result<Arc<Plan>, NodeError> {
        if let Some(known) = self.studies.get(id).and_then(|run| run.plan.clone()) {
            return known.map_err(NodeError::Refused);
        }
        let circumstances = self.circumstances()?;
        let study = Study::find(&self.fold, id).ok_or_else(|| not_found(&id.to_string()))?;
        let planned = planning::plan_of_manifest(
            study.manifest,
            self.fold.founding().committee(),
            &circumstances,
        );
        let planned = planned.map(Arc::new).map_err(|error| error.to_string());
        self.studies.entry(*id).or_default().plan = Some(planned.clone());
        planned.map_err(NodeError::Refused)
    }

    /// Loads the evaluation key and measures this machine, if that has not been done; true once it is there.
    fn need_engine(&mut self) -> bool {
        if self.engine.is_some() {
            return true;
        }
        if self.heavy.is_none()
            && let Some(key) = self.key.clone()
        {
            self.heavy = Some("loading the evaluation key".into());
            self.compute(
                move || {
                    let engine = key.engine()?;
                    let seconds = jobs::study::measure(&engine)?;
                    Ok::<_, JobError>((engine, seconds))
                },
                |node, loaded| {
                    node.heavy = None;
                    let (engine, seconds) = loaded?;
                    node.engine = Some(Arc::new(engine));
                    node.seconds_per_bootstrap = Some(seconds);
                    Ok(())
                },
            );
        }
        false
    }

    /// Forecasts a study over the twins that are eligible now.
    pub(super) fn plan(&mut self, spec: StudySpec, reply: Reply<Forecast>) {
        let forecast = match self.circumstances() {
            Err(error) => Err(error),
            Ok(_) if self.need_engine() => self.forecast(&spec),
            Ok(_) => {
                // Asked again when the key is loaded, behind whatever has the cores now.
                let applies = self.applies();
                tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    let _ = applies.send(Box::new(move |node| {
                        node.plan(spec, reply);
                        Ok(())
                    }));
                });
                return;
            }
        };
        let _ = reply.send(forecast);
    }

    fn forecast(&self, spec: &StudySpec) -> Result<Forecast, NodeError> {
        let (_, facts) = self.eligible_now(spec)?;
        let plan = planning::plan_of(
            spec,
            &facts.per_hospital,
            self.fold.founding().committee(),
            &self.circumstances()?,
        )?;
        let seconds_per_bootstrap = self.seconds_per_bootstrap.unwrap_or(0.0);
        let accuracy = accuracy(spec).map_err(PlanningError::from)?;
        Ok(super::status::forecast(
            &plan,
            &accuracy,
            &facts,
            seconds_per_bootstrap,
        ))
    }

    /// The list of the twins that a study proposed now would contain.
    fn eligible_now(&self, spec: &StudySpec) -> Result<(TwinList, TwinListFacts), NodeError> {
        let schema = Digest::new(planning::schema_of(spec)?.digest());
        let twins = study::eligible_twins(&self.fold, &self.fold.heads(), &schema);
        let list = TwinList::sorted(twins).map_err(|error| {
            NodeError::not_ready(
                error.to_string(),
                "ingest patients and wait until every hospital holds the twins",
            )
        })?;
        let facts = TwinListFacts::of(&list).map_err(|error| NodeError::Bug(error.to_string()))?;
        Ok((list, facts))
    }

    /// Proposes a study over the twins that are eligible now.
    pub(super) fn propose(&mut self, request: StudyRequest) -> Result<String, NodeError> {
        let circumstances = self.circumstances()?;
        let roster = self.fold.roster();
        let (n, t) = (roster.parties(), roster.threshold());
        let quorum = request.quorum.map_or(roster.default_quorum(), usize::from);
        if quorum <= t || quorum > n {
            let what = format!(
                "quorum: expected a number from t+1 = {} to n = {n}, got {quorum}",
                t + 1
            );
            return Err(NodeError::usage(what, "change it in the study file"));
        }
        let now = now_ms();
        let expires_ms = request.expires_ms.unwrap_or(now + DEFAULT_LIFETIME_MS);
        if expires_ms <= now || expires_ms > now + LONGEST_LIFETIME_MS {
            let what =
                "expires_ms: expected a time within the next year, in milliseconds since 1970"
                    .to_owned();
            return Err(NodeError::usage(
                what,
                "change it in the study file or leave it out for seven days",
            ));
        }
        let (list, facts) = self.eligible_now(&request.study)?;
        let plan = planning::plan_of(
            &request.study,
            &facts.per_hospital,
            self.fold.founding().committee(),
            &circumstances,
        )?;
        let key = self
            .key
            .as_ref()
            .ok_or_else(|| NodeError::Bug("planned without a key".into()))?;
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            title: request.title,
            question: request.question,
            proposer: self.me,
            schema: Digest::new(plan.schema().digest()),
            program: planning::program_digest(&plan),
            facts: planning::facts_of(&plan),
            scenario: planning::scenario_bytes(&request.study)?,
            twins: facts,
            feeds: self.fold.heads(),
            certificate: key.certificate,
            epsilon_micro: None,
            quorum: u8::try_from(quorum).unwrap_or(u8::MAX),
            recipients: Vec::new(),
            expires_ms,
        };
        let id = manifest
            .digest()
            .map_err(|error| NodeError::Bug(error.to_string()))?;
        let bytes = list
            .encode()
            .map_err(|error| NodeError::Bug(error.to_string()))?;
        // The list is here before anyone can ask for it.
        self.store.blobs().put(&bytes).map_err(StoreError::Io)?;
        let blob = of_blob(&bytes);
        self.local.blobs.insert(blob);
        self.local.twin_lists.insert(blob, list);
        self.state(Body::StudyProposed {
            manifest: Box::new(manifest),
        })?;
        Ok(id.to_string())
    }

    /// The one study whose identifier begins so.
    pub(super) fn study_id(&self, prefix: &str) -> Result<Digest, NodeError> {
        let mut matching = Study::all(&self.fold)
            .map(|study| study.id)
            .filter(|id| id.to_string().starts_with(prefix));
        match (matching.next(), matching.next()) {
            (Some(id), None) if !prefix.is_empty() => Ok(id),
            (None, _) => Err(not_found(prefix)),
            _ => Err(NodeError::usage(
                format!("several studies begin with '{prefix}'"),
                "give more digits",
            )),
        }
    }

    /// Approves a study whose program, twins and key were checked here.
    pub(super) fn approve(&mut self, id: &str) -> Result<(), NodeError> {
        let id = self.study_id(id)?;
        self.plan_of_study(&id)?;
        let study = Study::find(&self.fold, &id).ok_or_else(|| not_found(&id.to_string()))?;
        if study.facts.approvals.contains_key(&self.me)
            && !study.facts.rejections.contains_key(&self.me)
        {
            return Ok(());
        }
        let Some(list) = self.local.twin_lists.get(&study.manifest.twins.blob) else {
            return Err(NodeError::not_ready(
                "the study's list of twins has not arrived",
                "try again in a moment",
            ));
        };
        if let Some(why) = study.not_opened(Some(list), now_ms()) {
            return Err(NodeError::Refused(format!(
                "the study cannot be approved any more: {why}"
            )));
        }
        if let Err(fault) = study::check_manifest(&self.fold, study.manifest, list) {
            return Err(NodeError::not_ready(
                fault.to_string(),
                "try again in a moment",
            ));
        }
        self.state(Body::StudyApproved { manifest: id }).map(drop)
    }

    /// Rejects a study.
    pub(super) fn reject(&mut self, id: &str, reason: String) -> Result<(), NodeError> {
        let id = self.study_id(id)?;
        if reason.is_empty() || reason.len() > 200 {
            return Err(NodeError::usage(
                format!("a reason has 1 to 200 bytes, got {}", reason.len()),
                "say why, briefly",
            ));
        }
        self.state(Body::StudyRejected {
            manifest: id,
            reason,
        })
        .map(drop)
    }

    /// Evaluates a shard when the cores are free.
    pub(super) fn evaluate(&mut self, manifest: Digest, shard: u32) -> Result<(), NodeError> {
        if self.heavy.is_some() || !self.need_engine() {
            return Ok(());
        }
        let (Ok(plan), Some(engine)) = (self.plan_of_study(&manifest), self.engine.clone()) else {
            return Ok(());
        };
        let Some(study) = Study::find(&self.fold, &manifest) else {
            return Ok(());
        };
        let Some(list) = self.local.twin_lists.get(&study.manifest.twins.blob) else {
            return Ok(());
        };
        let Some(shard) = shards(&manifest, list)
            .into_iter()
            .find(|s| s.index == shard)
        else {
            return Ok(());
        };
        let inputs: Option<Vec<TwinInput>> = shard
            .twins
            .iter()
            .map(|twin| {
                let deposit = self.fold.facts().deposits.get(&(twin.depositor, twin.id))?;
                Some(TwinInput {
                    digest: twin.digest,
                    first_slot: deposit.first_slot,
                    slots: deposit.slots,
                    bodies: self.deposits.bodies(&deposit.batch)?,
                })
            })
            .collect();
        let Some(inputs) = inputs else { return Ok(()) };
        self.heavy = Some(format!(
            "shard {} of study {}",
            shard.index,
            short(&manifest)
        ));
        let run = self.studies.entry(manifest).or_default();
        run.times.evaluation_started.get_or_insert_with(now_ms);
        let (work, store) = (run.work.clone(), self.store.clone());
        let given_up = Duty::EvaluateShard {
            manifest,
            shard: shard.index,
        };
        self.compute(
            move || {
                let before = engine.bootstraps();
                let progress = |done: u64| work.shard.store(done, Ordering::Relaxed);
                let output =
                    jobs::study::evaluate(&store, &engine, &plan, &inputs, &progress, &work.cancel);
                work.shard.store(0, Ordering::Relaxed);
                output.map(|output| (output, engine.bootstraps() - before))
            },
            move |node, output| {
                node.heavy = None;
                let (output, bootstraps) = match output {
                    Err(JobError::Cancelled) => return Ok(()),
                    Err(error) => return node.give_up(given_up, error),
                    Ok(output) => output,
                };
                node.local.blobs.insert(output);
                let run = node.studies.entry(manifest).or_default();
                run.times.evaluation_ended = Some(now_ms());
                run.times.bootstraps += bootstraps;
                node.keep_times(&manifest)?;
                node.state(Body::ShardEvaluated {
                    manifest,
                    shard: shard.index,
                    inputs: shard.inputs,
                    output,
                })
                .map(drop)
            },
        );
        Ok(())
    }

    /// Adds the confirmed shards, gates, and squashes, when the cores are free.
    pub(super) fn combine(
        &mut self,
        manifest: Digest,
        outputs: &[Digest],
    ) -> Result<(), NodeError> {
        if self.heavy.is_some() || !self.need_engine() {
            return Ok(());
        }
        // Derived before a crash, but not stated yet.
        if let Some(derived) = self
            .studies
            .get(&manifest)
            .and_then(|run| run.derived.clone())
        {
            return self.state_derived(manifest, &derived);
        }
        let (Ok(plan), Some(engine), Some(key)) = (
            self.plan_of_study(&manifest),
            self.engine.clone(),
            self.key.clone(),
        ) else {
            return Ok(());
        };
        let Some(study) = Study::find(&self.fold, &manifest) else {
            return Ok(());
        };
        let Some(list) = self.local.twin_lists.get(&study.manifest.twins.blob) else {
            return Ok(());
        };
        let mut by_hospital: BTreeMap<PartyId, Vec<Digest>> = BTreeMap::new();
        for (shard, output) in shards(&manifest, list).iter().zip(outputs) {
            by_hospital
                .entry(shard.depositor)
                .or_default()
                .push(*output);
        }
        self.heavy = Some(format!("the aggregate of study {}", short(&manifest)));
        let run = self.studies.entry(manifest).or_default();
        let (work, store) = (run.work.clone(), self.store.clone());
        let given_up = Duty::Combine {
            manifest,
            shards: outputs.to_vec(),
        };
        self.compute(
            move || {
                let progress = |stage: Stage| match stage {
                    Stage::Finish(_) => {}
                    Stage::Squash(done) => {
                        work.squashing.store(true, Ordering::Relaxed);
                        work.squashed.store(done as u64, Ordering::Relaxed);
                    }
                };
                jobs::study::combine(
                    &store,
                    &key,
                    &engine,
                    &plan,
                    manifest,
                    &by_hospital,
                    &progress,
                    &work.cancel,
                )
            },
            move |node, derived| {
                node.heavy = None;
                let derived = match derived {
                    Err(JobError::Cancelled) => return Ok(()),
                    Err(error) => return node.give_up(given_up, error),
                    Ok(derived) => derived,
                };
                let run = node.studies.entry(manifest).or_default();
                run.derived = Some(derived.clone());
                run.times.squashed = Some(now_ms());
                node.keep_times(&manifest)?;
                node.local.squashed.insert(manifest, derived.squashed);
                node.state_derived(manifest, &derived)
            },
        );
        Ok(())
    }

    /// Leaves a duty alone that failed, until the next start; a failing disk still ends the node.
    fn give_up(&mut self, duty: Duty, error: JobError) -> Result<(), NodeError> {
        self.local.running.insert(duty);
        Err(error.into())
    }

    fn state_derived(&mut self, manifest: Digest, derived: &Derived) -> Result<(), NodeError> {
        let Derived {
            aggregate,
            squashed,
            blocks,
            ..
        } = *derived;
        self.state(Body::AggregateDerived {
            manifest,
            aggregate,
            squashed,
            blocks,
        })
        .map(drop)
    }

    /// Decrypts partially what this node derived itself, if every rule still allows it.
    pub(super) fn release(&mut self, duty: &Duty) -> Result<(), NodeError> {
        let Duty::Release {
            manifest,
            first_block,
            blocks,
            ..
        } = duty
        else {
            return Ok(());
        };
        let (Some(key), Some(derived)) = (
            self.key.clone(),
            self.studies
                .get(manifest)
                .and_then(|run| run.derived.clone()),
        ) else {
            return Ok(());
        };
        if key.facts.epoch != self.fold.epoch() {
            // The share of the newest epoch is not open yet.
            return Ok(());
        }
        let all = jobs::study::partial(&self.store, &key, &derived)?;
        let (from, count) = (*first_block as usize, *blocks as usize);
        let values: Vec<_> = all
            .into_iter()
            .map(|(piece, values)| {
                (
                    piece,
                    values
                        .into_iter()
                        .skip(from)
                        .take(count)
                        .collect::<Vec<u128>>(),
                )
            })
            .collect();
        let Some(body) =
            duty::release_body(&self.fold, self.me, now_ms(), &self.local, duty, &values)
        else {
            return Ok(());
        };
        let before = std::time::Instant::now();
        self.state(body)?;
        let run = self.studies.entry(*manifest).or_default();
        run.times.released = Some(now_ms());
        run.times.fsync += before.elapsed().as_secs_f64() * 1000.0;
        Ok(())
    }

    /// Recombines the accepted values and states the result.
    pub(super) fn recombine(
        &mut self,
        manifest: Digest,
        squashed: Digest,
    ) -> Result<(), NodeError> {
        let (Some(key), Some(derived)) = (
            self.key.clone(),
            self.studies
                .get(&manifest)
                .and_then(|run| run.derived.clone()),
        ) else {
            return Ok(());
        };
        let Some(study) = Study::find(&self.fold, &manifest) else {
            return Ok(());
        };
        let Some(opening) = self
            .local
            .twin_lists
            .get(&study.manifest.twins.blob)
            .and_then(|list| study.opening(list))
        else {
            return Ok(());
        };
        let Some(roster) = self.fold.roster_at(opening.study.epoch) else {
            return Ok(());
        };
        let (committee, accepted) = (roster.committee(), &opening.tally.accepted);
        let opened = jobs::study::recombine(&self.store, &key, committee, &derived, accepted)?;
        let run = self.studies.entry(manifest).or_default();
        run.times.recombined.get_or_insert_with(now_ms);
        run.opened = Some(opened.clone());
        self.keep_times(&manifest)?;
        let body = duty::result_body(&self.fold, manifest, squashed, opened);
        self.state(body).map(drop)
    }

    /// The released result of a study.
    pub(super) fn outcome(&mut self, id: &str) -> Result<ResultView, NodeError> {
        let id = self.study_id(id)?;
        let view = self.study_view(&id)?;
        let opened = self
            .studies
            .get(&id)
            .and_then(|run| run.opened.clone())
            .ok_or_else(|| match &view.reason {
                Some(reason) => NodeError::Refused(format!("the study was not opened: {reason}")),
                None => NodeError::not_ready(
                    "the result is not open yet",
                    "follow it with `organtwin study show`",
                ),
            })?;
        let plan = self.plan_of_study(&id)?;
        let result = StudyResult::decode(&plan, &opened)
            .map_err(|error| NodeError::Bug(error.to_string()))?;
        let validation = Study::find(&self.fold, &id)
            .and_then(|study| planning::scenario_of(study.manifest).ok())
            .and_then(|spec| Validation::of_study(&spec, &result));
        let mut text = format!("{}\n{}", render::table(&result), render::chart(&result));
        if let Some(validation) = &validation {
            text += &format!("\n{}", validation.text());
        }
        let result =
            serde_json::to_value(&result).map_err(|error| NodeError::Bug(error.to_string()))?;
        Ok(ResultView {
            study: view,
            result,
            validation,
            text,
            opened,
        })
    }

    /// The transcript of a study, once t peers have cosigned this node's log as it is now, or could not be reached in
    /// time; an auditor sees which.
    pub(super) fn transcript(&mut self, id: String, reply: Reply<Vec<u8>>) {
        self.transcript_within(id, reply, EXPORT_TRIES);
    }

    fn transcript_within(&mut self, id: String, reply: Reply<Vec<u8>>, tries: u32) {
        if tries == 0 || self.is_cosigned() || self.study_id(&id).is_err() {
            let _ = reply.send(self.transcript_now(&id));
            return;
        }
        if let Err(error) = self.ask_cosignatures() {
            let _ = reply.send(Err(error));
            return;
        }
        let applies = self.applies();
        tokio::spawn(async move {
            tokio::time::sleep(EXPORT_WAIT).await;
            let _ = applies.send(Box::new(move |node| {
                node.transcript_within(id, reply, tries - 1);
                Ok(())
            }));
        });
    }

    fn transcript_now(&mut self, id: &str) -> Result<Vec<u8>, NodeError> {
        let id = self.study_id(id)?;
        let checkpoint = self.newest()?;
        let log = &self.keeper.log;
        let transcript =
            Transcript::export(&self.fold, Some(id), self, log, &checkpoint).map_err(|error| {
                NodeError::not_ready(error.to_string(), "export when the study has ended here")
            })?;
        transcript
            .encode()
            .map_err(|error| NodeError::Bug(error.to_string()))
    }

    /// Stops work on studies that will not be opened.
    pub(super) fn watch_studies(&mut self) {
        for study in Study::all(&self.fold) {
            let list = self.local.twin_lists.get(&study.manifest.twins.blob);
            if study.result().is_none()
                && study.not_opened(list, now_ms()).is_some()
                && let Some(run) = self.studies.get(&study.id)
            {
                run.cancel();
            }
        }
    }

    /// A study's plan, if it was made already.
    pub(super) fn known_plan(&self, id: &Digest) -> Option<&Arc<Plan>> {
        self.studies
            .get(id)
            .and_then(|run| run.plan.as_ref())
            .and_then(|plan| plan.as_ref().ok())
    }
}

impl StudyStore for Node {
    fn twin_list(&self, manifest: &Digest) -> Option<TwinList> {
        let study = Study::find(&self.fold, manifest)?;
        self.local
            .twin_lists
            .get(&study.manifest.twins.blob)
            .cloned()
    }

    fn squashed(&self, manifest: &Digest) -> Option<Vec<u8>> {
        let derived = self.studies.get(manifest)?.derived.as_ref()?;
        self.store
            .blobs()
            .get(derived.blob.as_bytes())
            .ok()
            .flatten()
    }

    fn voided(&self, statement: &FeedHead) -> Option<SignedStatement> {
        super::log::found(&self.store, statement).ok().flatten()
    }
}

impl From<PlanningError> for NodeError {
    fn from(error: PlanningError) -> Self {
        Self::usage(error.to_string(), "change the study file")
    }
}

fn times_key(id: &Digest) -> Vec<u8> {
    [b"times/".as_slice(), id.as_bytes()].concat()
}

pub(super) fn short(id: &Digest) -> String {
    id.to_string().chars().take(16).collect()
}

fn not_found(id: &str) -> NodeError {
    NodeError::NotFound {
        kind: "study",
        id: id.to_owned(),
        list: "organtwin study list",
    }
}
