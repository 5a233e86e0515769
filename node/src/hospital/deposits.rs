//! Input masks and deposits: what every party prepares for a hospital, and what the hospital makes of it.
//!
//! A hospital's pads live in memory only. After a restart it asks for fresh batches; the slots that it had
//! reserved stay burnt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::{Batch, Body};
use organtwin_protocol::twin::{MAX_TWINS_PER_STATEMENT, TwinEntry};
use organtwin_simulations::admission::Equations;
use organtwin_threshold::inputs::{BatchBodies, MAX_POLYNOMIALS};
use organtwin_threshold::{PartyId, PieceId};
use zeroize::Zeroizing;

use super::command::Reply;
use super::error::NodeError;
use super::node::Node;
use super::peers::{PieceSecret, Private};
use super::view::{DepositReport, DepositedTwin, PreparedTwin};
use crate::jobs;
use crate::net::Response;
use crate::twins as organ_twins;

/// Most twins in one call of `deposit`.
const MAX_TWINS_PER_DEPOSIT: usize = 10_000;

/// What is under way between asking for a batch and stating a deposit.
#[derive(Default)]
pub(super) struct Deposits {
    /// The bodies of combined batches.
    bodies: BTreeMap<Batch, Arc<BatchBodies>>,
    /// Subseeds that peers sent for this hospital's batches, by the piece and the peer.
    subseeds: BTreeMap<Batch, BTreeMap<PieceId, BTreeMap<PartyId, Zeroizing<[u8; 32]>>>>,
    /// The agreed subseeds of this hospital's batches whose twins it has not checked yet.
    own: BTreeMap<Batch, BTreeMap<PieceId, Zeroizing<[u8; 32]>>>,
    /// Batches whose subseeds are on their way to their hospital.
    sending: BTreeSet<Batch>,
    /// Deposits that wait for their batch.
    waiting: Vec<Waiting>,
}

struct Waiting {
    batch: Batch,
    twins: Vec<PreparedTwin>,
    reply: Reply<DepositReport>,
}

impl Deposits {
    /// The bodies of a batch, once combined.
    pub(super) fn bodies(&self, batch: &Batch) -> Option<Arc<BatchBodies>> {
        self.bodies.get(batch).cloned()
    }

    /// The subseeds of a batch of this hospital that it lacks itself, while it still has them.
    pub(super) fn known_subseeds(
        &self,
        batch: &Batch,
    ) -> Option<BTreeMap<PieceId, Zeroizing<[u8; 32]>>> {
        self.own.get(batch).cloned()
    }

    /// Wipes what is known of a batch's pads.
    pub(super) fn forget_subseeds(&mut self, batch: &Batch) {
        self.own.remove(batch);
    }
}

impl Node {
    /// The key, if this node's share of it is of this epoch.
    fn key_of(&self, epoch: u32) -> Option<Arc<jobs::keys::KeyRing>> {
        let key = self.key.clone();
        key.filter(|key| key.facts.epoch == epoch)
    }

    /// Asks for a batch for these twins; the deposit follows when its masks are there.
    pub(super) fn deposit(
        &mut self,
        twins: Vec<PreparedTwin>,
        reply: Reply<DepositReport>,
    ) -> Result<(), NodeError> {
        let checked = self.check_deposit(&twins);
        match checked {
            Err(error) => {
                let _ = reply.send(Err(error));
                Ok(())
            }
            Ok(polynomials) => {
                let number = u32::try_from(self.own_batches().len()).unwrap_or(u32::MAX);
                let batch = Batch {
                    epoch: self.fold.epoch(),
                    hospital: self.me,
                    number,
                    polynomials,
                };
                match self.state(Body::BatchRequested { batch }) {
                    Err(error @ NodeError::Environment { .. }) => return Err(error),
                    Err(error) => drop(reply.send(Err(error))),
                    Ok(_) => self.deposits.waiting.push(Waiting {
                        batch,
                        twins,
                        reply,
                    }),
                }
                Ok(())
            }
        }
    }

    fn check_deposit(&self, twins: &[PreparedTwin]) -> Result<u16, NodeError> {
        self.may_speak()?;
        if self.key.is_none() {
            return Err(NodeError::not_ready(
                "there is no joint key yet",
                "hold the key ceremony first",
            ));
        }
        if twins.is_empty() || twins.len() > MAX_TWINS_PER_DEPOSIT {
            let what = format!(
                "expected 1 to {MAX_TWINS_PER_DEPOSIT} twins, got {}",
                twins.len()
            );
            return Err(NodeError::usage(what, "deposit in smaller parts"));
        }
        let organ = twins.first().map_or("", |twin| twin.organ.as_str());
        if twins.iter().any(|twin| twin.organ != organ) {
            return Err(NodeError::usage(
                "expected twins of one organ, got several".to_owned(),
                "make one deposit for each organ",
            ));
        }
        let Some(schema) = organ_twins::schema(organ) else {
            let organs = organ_twins::organs().join(", ");
            let what = format!("expected twins of one of {organs}");
            return Err(NodeError::usage(what, "name one of these organs"));
        };
        let equations = Equations::of(&schema);
        if let Some(twin) = twins.iter().find(|twin| {
            twin.weights.len() == schema.slots() && !equations.hold_for_weights(&twin.weights)
        }) {
            let what = format!(
                "the weights of {} are not those of a patient",
                twin.local_id
            );
            return Err(NodeError::usage(
                what,
                "encode the patient with this version's schema",
            ));
        }
        if let Some(twin) = twins
            .iter()
            .find(|twin| twin.weights.len() != schema.slots())
        {
            let what = format!(
                "expected {} weights of a twin, got {}",
                schema.slots(),
                twin.weights.len()
            );
            return Err(NodeError::usage(
                what,
                "encode with the schema of this version",
            ));
        }
        let polynomials = jobs::deposit::polynomials_for(twins.len(), &schema);
        if polynomials > MAX_POLYNOMIALS {
            let what = format!(
                "{} twins need {polynomials} mask polynomials, a batch has {MAX_POLYNOMIALS}",
                twins.len()
            );
            return Err(NodeError::usage(what, "deposit in smaller parts"));
        }
        Ok(polynomials)
    }

    /// Computes this party's vectors of a batch and states their digests.
    pub(super) fn prepare_batch(&mut self, batch: Batch) -> Result<(), NodeError> {
        let Some(key) = self.key_of(batch.epoch) else {
            return Ok(());
        };
        let duty = organtwin_protocol::duty::Duty::PrepareBatch(batch);
        self.local.running.insert(duty.clone());
        let store = self.store.clone();
        self.compute(
            move || jobs::deposit::batch_vectors(&store, &key, &batch),
            move |node, vectors| {
                // A failure leaves the duty where it is, so that it is not repeated.
                let vectors = vectors?;
                node.local.running.remove(&duty);
                node.local
                    .blobs
                    .extend(vectors.iter().map(|vector| vector.digest));
                node.state(Body::BatchPrepared { batch, vectors }).map(drop)
            },
        );
        Ok(())
    }

    /// Sends the batch's hospital the subseeds of this party's pieces.
    pub(super) fn send_subseeds(&mut self, batch: Batch) {
        let Some(key) = self.key_of(batch.epoch) else {
            return;
        };
        if !self.net.connected().contains(&batch.hospital) || !self.deposits.sending.insert(batch) {
            return;
        }
        let subseeds = jobs::deposit::foreign_subseeds(&key, &batch);
        let subseeds = subseeds
            .into_iter()
            .map(|(piece, secret)| PieceSecret {
                piece,
                secret: *secret,
            })
            .collect();
        let Ok(request) = (Private::Subseeds { batch, subseeds }).request() else {
            return;
        };
        let net = self.net.clone();
        self.wait(
            async move {
                let answer = net.request(batch.hospital, request).await;
                if !matches!(answer, Ok(Response::Taken | Response::Refused)) {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
                answer
            },
            move |node, answer| {
                node.deposits.sending.remove(&batch);
                if matches!(answer, Ok(Response::Taken | Response::Refused)) {
                    node.local.subseeds_sent.insert(batch);
                }
                Ok(())
            },
        );
    }

    /// Takes the subseeds that a peer sends for one of this hospital's batches.
    pub(super) fn take_subseeds(
        &mut self,
        from: PartyId,
        batch: Batch,
        subseeds: &[PieceSecret],
    ) -> Response {
        let asked = self
            .fold
            .facts()
            .batches
            .get(&batch)
            .is_some_and(|facts| facts.requested);
        if batch.hospital != self.me || !asked {
            self.refuse(
                "subseeds of a batch that was not asked for",
                from,
                "no such batch of this hospital",
            );
            return Response::Refused;
        }
        // Only a deposit that waits can use them; one of an earlier process has lost its others.
        if self
            .deposits
            .waiting
            .iter()
            .all(|waiting| waiting.batch != batch)
        {
            return Response::Refused;
        }
        let of_batch = self.deposits.subseeds.entry(batch).or_default();
        for subseed in subseeds
            .iter()
            .filter(|subseed| subseed.piece.is_held_by(from))
        {
            of_batch
                .entry(subseed.piece)
                .or_default()
                .insert(from, Zeroizing::new(subseed.secret));
        }
        self.touch();
        Response::Taken
    }

    /// Combines a batch's accepted vectors to the bodies that everyone evaluates with.
    pub(super) fn combine_batch(
        &mut self,
        batch: Batch,
        vectors: &[Digest],
    ) -> Result<(), NodeError> {
        let Some(key) = self.key.clone() else {
            return Ok(());
        };
        let duty = organtwin_protocol::duty::Duty::CombineBatch {
            batch,
            vectors: vectors.to_vec(),
        };
        self.local.running.insert(duty.clone());
        let Some(roster) = self.fold.roster_at(batch.epoch) else {
            return Ok(());
        };
        let (store, vectors) = (self.store.clone(), vectors.to_vec());
        let committee = roster.committee().clone();
        self.compute(
            move || jobs::deposit::combine(&store, &key, committee, &batch, &vectors),
            move |node, bodies| {
                node.deposits.bodies.insert(batch, Arc::new(bodies?));
                node.local.running.remove(&duty);
                node.local.batches.insert(batch);
                Ok(())
            },
        );
        Ok(())
    }

    /// The subseeds that enough holders agree on, once there is one for every piece that this party lacks.
    fn agreed_subseeds(&self, batch: &Batch) -> Option<BTreeMap<PieceId, Zeroizing<[u8; 32]>>> {
        let roster = self.fold.roster_at(batch.epoch)?;
        let received = self.deposits.subseeds.get(batch);
        let mut agreed = BTreeMap::new();
        let foreign = roster
            .committee()
            .pieces()
            .iter()
            .filter(|piece| !piece.is_held_by(self.me));
        for piece in foreign {
            let sent = received?.get(piece)?;
            let holders = roster.committee().holders(*piece).len();
            let needed = if roster.needs_all() {
                holders
            } else {
                roster.equal_needed()
            };
            let candidate = sent
                .values()
                .find(|secret| sent.values().filter(|other| other == secret).count() >= needed)?;
            agreed.insert(*piece, candidate.clone());
        }
        Some(agreed)
    }

    /// Encrypts and states every deposit whose batch is complete.
    pub(super) fn advance_deposits(&mut self) -> Result<(), NodeError> {
        let Some(key) = self.key.clone() else {
            return Ok(());
        };
        let epoch = self.fold.epoch();
        let (waiting, void): (Vec<_>, Vec<_>) = std::mem::take(&mut self.deposits.waiting)
            .into_iter()
            .partition(|waiting| waiting.batch.epoch == epoch);
        self.deposits.waiting = waiting;
        for Waiting { batch, reply, .. } in void {
            self.deposits.subseeds.remove(&batch);
            let _ = reply.send(Err(NodeError::not_ready(
                "the consortium changed while the deposit was under way",
                "deposit the same patients again",
            )));
        }
        if key.facts.epoch != epoch {
            return Ok(());
        }
        let ready = self.deposits.waiting.iter().position(|waiting| {
            self.local.batches.contains(&waiting.batch)
                && self.agreed_subseeds(&waiting.batch).is_some()
        });
        let Some(position) = ready else { return Ok(()) };
        let Waiting {
            batch,
            twins,
            reply,
        } = self.deposits.waiting.remove(position);
        let Some(subseeds) = self.agreed_subseeds(&batch) else {
            return Ok(());
        };
        self.deposits.subseeds.remove(&batch);
        self.deposits.own.insert(batch, subseeds.clone());
        self.local.own_subseeds.insert(batch);
        let store = self.store.clone();
        let local_ids: Vec<String> = twins.iter().map(|twin| twin.local_id.clone()).collect();
        self.compute(
            move || {
                let entries = jobs::deposit::deposit(&store, &key, &batch, subseeds, &twins)?;
                let organ = twins
                    .first()
                    .map(|twin| twin.organ.clone())
                    .unwrap_or_default();
                Ok::<_, jobs::JobError>((entries, organ))
            },
            move |node, deposited| match deposited.map_err(NodeError::from).and_then(
                |(entries, organ)| {
                    node.state_deposit(batch, &organ, &entries)
                        .map(|()| entries)
                },
            ) {
                Ok(entries) => {
                    let twins = local_ids.into_iter().zip(&entries);
                    let _ = reply.send(Ok(DepositReport {
                        twins: twins
                            .map(|(local_id, entry)| DepositedTwin {
                                local_id,
                                id: entry.id.to_string(),
                            })
                            .collect(),
                        bytes_per_twin: entries
                            .first()
                            .map_or(0, |entry| u64::from(entry.slots) * 16),
                    }));
                    Ok(())
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                    Ok(())
                }
            },
        );
        Ok(())
    }

    fn state_deposit(
        &mut self,
        batch: Batch,
        organ: &str,
        entries: &[TwinEntry],
    ) -> Result<(), NodeError> {
        let schema = organ_twins::schema(organ)
            .ok_or_else(|| NodeError::Bug(format!("deposited twins of no organ: {organ}")))?;
        let schema = Digest::new(schema.digest());
        // A statement lists twins by their public name, whatever the order of their slots.
        let mut entries = entries.to_vec();
        entries.sort_by_key(|entry| entry.id);
        self.local
            .blobs
            .extend(entries.iter().map(|entry| entry.digest));
        let deposits = entries
            .chunks(MAX_TWINS_PER_STATEMENT)
            .map(|some| Body::TwinsDeposited {
                schema,
                organ: organ.to_owned(),
                batch,
                twins: some.to_vec(),
            });
        self.state_all(deposits.collect()).map(drop)
    }

    /// States that twins are held, those whose bytes are what their deposit says.
    pub(super) fn acknowledge(&mut self, twins: &[Digest]) -> Result<(), NodeError> {
        let slots: BTreeMap<Digest, (u32, Digest)> = self
            .fold
            .facts()
            .deposits
            .values()
            .map(|deposit| (deposit.twin.digest, (deposit.slots, deposit.schema)))
            .collect();
        let schemas = organ_twins::schemas();
        let mut held = Vec::new();
        for digest in twins {
            let Some((slots, schema)) = slots.get(digest) else {
                continue;
            };
            let Some((_, schema)) = schemas.iter().find(|(known, _)| known == schema) else {
                self.note_fault(format!(
                    "twin {digest}: this version does not know its schema; it is not acknowledged"
                ));
                continue;
            };
            let expected = schema.slots();
            let length = self
                .store
                .blobs()
                .part(digest.as_bytes(), 0, 0)
                .map_err(crate::store::StoreError::Io)?;
            let fits = length.is_some_and(|(total, _)| total == u64::from(*slots) * 16)
                && *slots as usize == expected;
            if fits {
                held.push(*digest);
            } else {
                self.note_fault(format!("twin {digest}: its bytes are not those of {expected} slots; it is not acknowledged"));
            }
        }
        if held.is_empty() {
            Ok(())
        } else {
            self.state(Body::TwinsReceived { twins: held }).map(drop)
        }
    }
}
