//! Does the duties of deposits and studies, with real encrypted evaluation.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use organtwin::admission;
use organtwin::planning::{self, Circumstances};
use organtwin_protocol::admission::pack;
use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::duty::{self, BlobKind, Duty};
use organtwin_protocol::fold::Deposit;
use organtwin_protocol::manifest::Manifest;
use organtwin_protocol::shard;
use organtwin_protocol::statement::{Batch, Body, GroupDigest, TwinCheck};
use organtwin_protocol::study::Study;
use organtwin_protocol::twin::{TwinEntry, TwinId};
use organtwin_simulations::{NoiseModel, Plan, ShardOutput, evaluate_shard, finish};
use organtwin_threshold::{
    AdmissionValue, BatchBodies, BatchId, Checker, Committee, Deposited, InputPad, PartyId,
    PieceId, Secret, recombine, squash,
};

use crate::network::{Ask, Message};
use crate::party::Party;

/// The threshold crate's name of a batch.
fn batch_id(batch: &Batch) -> BatchId {
    BatchId {
        epoch: batch.epoch,
        hospital: batch.hospital,
        number: batch.number,
        polynomials: batch.polynomials,
    }
}

/// Noise as small as the planner wants it; the toy parameters have as little.
pub(crate) fn circumstances() -> Circumstances {
    Circumstances {
        noise: NoiseModel {
            input: 1e8,
            bootstrap: 1e14,
            switch: 1e16,
        },
        seconds_per_bootstrap: 0.001,
        cores: 2,
    }
}

/// The plan of a manifest, as every party derives it.
pub(crate) fn plan_of(manifest: &Manifest, committee: &Committee) -> Plan {
    planning::plan_of_manifest(manifest, committee, &circumstances()).expect("an honest manifest")
}

impl Party {
    /// Does every duty of now, again until nothing new comes of it.
    pub(crate) fn do_duties(&mut self, now_ms: u64) {
        self.deposit(now_ms);
        for _ in 0..32 {
            let duties = duty::duties(&self.fold, self.me, now_ms, &self.view);
            let mut done = false;
            for duty in duties {
                done |= self.do_duty(now_ms, &duty);
            }
            if !done {
                return;
            }
        }
    }

    /// Does one duty; says whether it may have given rise to others.
    fn do_duty(&mut self, now_ms: u64, duty: &Duty) -> bool {
        match duty {
            Duty::PrepareBatch(batch) => self.prepare_batch(now_ms, batch),
            Duty::SendSubseed(batch) => self.send_subseeds(batch),
            Duty::CombineBatch { batch, vectors } => self.combine_batch(batch, vectors),
            Duty::FetchBlob {
                digest,
                kind,
                holders,
            } => self.fetch(*digest, *kind, holders),
            Duty::AcknowledgeTwins(twins) => {
                let body = Body::TwinsReceived {
                    twins: twins.clone(),
                };
                self.say(now_ms, body).expect("a duty is allowed");
                true
            }
            Duty::CheckTwins {
                batch,
                deposit,
                twins,
            } => self.check_twins(now_ms, batch, deposit, twins),
            Duty::EvaluateShard { manifest, shard } => self.evaluate(now_ms, manifest, *shard),
            Duty::Combine { manifest, shards } => self.combine(now_ms, manifest, shards),
            Duty::Release {
                manifest,
                first_block,
                blocks,
                ..
            } => self.release(now_ms, duty, manifest, *first_block, *blocks),
            Duty::Recombine { manifest, squashed } => self.recombine(now_ms, manifest, squashed),
            Duty::Accuse(evidence) => {
                let body = Body::Accusation {
                    evidence: evidence.clone(),
                };
                self.say(now_ms, body).expect("a duty is allowed");
                true
            }
        }
    }

    fn prepare_batch(&mut self, now_ms: u64, batch: &Batch) -> bool {
        let Some(key) = &self.key else { return false };
        let Some(share) = &key.share else {
            return false;
        };
        let vectors = share
            .batch_vectors(key.public.info(), &batch_id(batch))
            .expect("a sound batch");
        let vectors: Vec<GroupDigest> = vectors
            .into_iter()
            .map(|(group, bytes)| {
                let bytes = self.liar.batch_vector(bytes);
                let group = u16::try_from(group).expect("a small family");
                GroupDigest {
                    group,
                    digest: self.keep(bytes),
                }
            })
            .collect();
        self.say(
            now_ms,
            Body::BatchPrepared {
                batch: *batch,
                vectors,
            },
        )
        .expect("a duty is allowed");
        true
    }

    fn send_subseeds(&mut self, batch: &Batch) -> bool {
        if !self.subseeds_sent.insert(*batch) {
            return false;
        }
        for (piece, secret) in self.own_subseeds(batch) {
            let secret = self.liar.subseed(secret);
            self.out
                .push((batch.hospital, Message::Subseed(*batch, piece, secret)));
        }
        false
    }

    fn own_subseeds(&self, batch: &Batch) -> Vec<(PieceId, [u8; 32])> {
        let Some(key) = &self.key else {
            return Vec::new();
        };
        let (Some(share), Some(roster)) = (&key.share, self.fold.roster_at(batch.epoch)) else {
            return Vec::new();
        };
        let pieces = roster.committee().pieces_of(self.me);
        let subseed = |piece| {
            Some((
                piece,
                *share.batch_subseed(&batch_id(batch), piece)?.expose(),
            ))
        };
        pieces.filter_map(subseed).collect()
    }

    fn combine_batch(&mut self, batch: &Batch, vectors: &[Digest]) -> bool {
        let Some(key) = &self.key else { return false };
        let vectors = vectors
            .iter()
            .enumerate()
            .map(|(group, digest)| (group, self.blobs[digest].clone()));
        let bodies = BatchBodies::combine(key.public.info(), batch_id(batch), &vectors.collect());
        self.bodies
            .insert(*batch, bodies.expect("accepted vectors"));
        self.view.batches.insert(*batch);
        true
    }

    fn fetch(&mut self, digest: Digest, _kind: BlobKind, holders: &[PartyId]) -> bool {
        let holders: Vec<PartyId> = holders
            .iter()
            .copied()
            .filter(|party| *party != self.me)
            .collect();
        self.ask(Ask::Blob(digest), &holders);
        self.view.fetching.insert(digest);
        false
    }

    /// The subseed of a piece that enough of its holders sent alike.
    fn agreed_subseed(&self, batch: &Batch, piece: PieceId) -> Option<[u8; 32]> {
        let sent = self.subseeds.get(&(*batch, piece))?;
        let roster = self.fold.roster_at(batch.epoch)?;
        let holders = roster.committee().holders(piece).len();
        let needed = if roster.needs_all() {
            holders
        } else {
            roster.equal_needed()
        };
        sent.values()
            .copied()
            .find(|secret| sent.values().filter(|other| *other == secret).count() >= needed)
    }

    /// Asks for input masks when there are patients, and deposits them when the masks are there.
    fn deposit(&mut self, now_ms: u64) {
        if self.patients.is_empty() || self.deposited {
            return;
        }
        let Some(key) = &self.key else { return };
        let slots: usize = self
            .patients
            .iter()
            .map(|weights| weights.as_slice().len())
            .sum();
        let polynomials =
            u16::try_from(slots.div_ceil(self.params.polynomial_size())).expect("few patients");
        let mut batches = self.fold.facts().batches.keys();
        let epoch = self.fold.epoch();
        let earlier = batches.any(|b| b.hospital == self.me && b.epoch < epoch);
        let batch = Batch {
            epoch,
            hospital: self.me,
            number: self.next_batch + u32::from(earlier),
            polynomials,
        };
        if !self
            .fold
            .facts()
            .batches
            .get(&batch)
            .is_some_and(|facts| facts.requested)
        {
            self.say(now_ms, Body::BatchRequested { batch })
                .expect("asking is allowed");
            return;
        }
        if !self.view.batches.contains(&batch) {
            return;
        }
        let Some(subseeds) = self.all_subseeds(&batch) else {
            return;
        };
        let mut pad =
            InputPad::new(key.public.info(), batch_id(&batch), subseeds, 0).expect("all subseeds");
        let mut twins = Vec::new();
        for weights in self.patients.clone() {
            let range = pad
                .reserve(weights.as_slice().len())
                .expect("slots for all patients");
            let (first_slot, slots) = (range.first(), range.end() - range.first());
            let zeros = vec![0; weights.as_slice().len()];
            let pads = pad.encrypt(range, &zeros).expect("one slot a weight");
            let mut weights: Vec<i128> =
                weights.as_slice().iter().copied().map(i128::from).collect();
            if let Some(craft) = self.craft {
                craft(twins.len(), &mut weights);
            }
            let words = pads.iter().zip(&weights);
            let words = words.map(|(pad, weight)| pad.wrapping_add(weight.cast_unsigned()));
            let digest = self.keep(words.flat_map(|word| word.to_le_bytes()).collect());
            let id: [u8; 16] = self.dice.bytes()[..16].try_into().expect("16 bytes");
            twins.push(TwinEntry {
                id: TwinId::from_bytes(id),
                digest,
                first_slot,
                slots,
            });
        }
        twins.sort_by_key(|twin| twin.id);
        let schema = Digest::new(crate::consortium::kidney().digest());
        let body = Body::TwinsDeposited {
            schema,
            organ: "kidney".into(),
            batch,
            twins,
        };
        self.deposited = true;
        self.view.own_subseeds.insert(batch);
        self.say(now_ms, body).expect("depositing is allowed");
    }

    /// The subseeds of all pieces of a batch of one's own.
    fn all_subseeds(&self, batch: &Batch) -> Option<BTreeMap<PieceId, Secret<[u8; 32]>>> {
        let mut subseeds: BTreeMap<PieceId, Secret<[u8; 32]>> = self
            .own_subseeds(batch)
            .into_iter()
            .map(|(piece, secret)| (piece, Secret::new(secret)))
            .collect();
        for piece in self.fold.roster().committee().pieces() {
            if !subseeds.contains_key(piece) {
                let secret = self.agreed_subseed(batch, *piece)?;
                subseeds.insert(*piece, Secret::new(secret));
            }
        }
        Some(subseeds)
    }

    /// The bodies of a combined batch, and a twin's published values.
    #[must_use]
    pub fn inputs(&self, deposit: &Deposit) -> Option<(&BatchBodies, Vec<u128>)> {
        let words = self.blobs.get(&deposit.twin.digest)?.as_chunks::<16>().0;
        let words = words.iter().map(|word| u128::from_le_bytes(*word));
        Some((self.bodies.get(&deposit.batch)?, words.collect()))
    }

    /// The values that this party computes of a deposited twin, if its bytes are those of a twin.
    #[must_use]
    pub fn check_values(&self, deposit: &Deposit) -> Option<Vec<AdmissionValue>> {
        let key = self.key.as_ref()?;
        let id = batch_id(&deposit.batch);
        let all =
            deposit.batch.hospital == self.me && self.view.own_subseeds.contains(&deposit.batch);
        let checker = if all {
            let subseeds = self.all_subseeds(&deposit.batch)?;
            Checker::hospital(self.fold.roster().committee(), id, subseeds)
        } else {
            Checker::member(key.share.as_ref()?, id)
        };
        let (words, rest) = self.blobs[&deposit.twin.digest].as_chunks::<16>();
        let published: Vec<u128> = words
            .iter()
            .map(|word| u128::from_le_bytes(*word))
            .collect();
        let rules = admission::rules(&crate::consortium::kidney()).expect("a sound schema");
        let deposited = Deposited {
            batch: id,
            first_slot: deposit.first_slot,
            twin: deposit.twin.digest,
            statement: deposit.statement,
        };
        let checker = checker.expect("a batch of this epoch");
        let values = checker.values(&rules, &deposited, &published);
        values.ok().filter(|_| rest.is_empty())
    }

    fn check_twins(
        &mut self,
        now_ms: u64,
        batch: &Batch,
        deposit: &Digest,
        ids: &[TwinId],
    ) -> bool {
        if self.key.as_ref().is_none_or(|key| key.share.is_none()) {
            return false;
        }
        let mut twins = Vec::new();
        for id in ids {
            let known = self.fold.facts().deposits[&(batch.hospital, *id)].clone();
            match self.check_values(&known) {
                Some(values) => twins.push(TwinCheck {
                    id: *id,
                    values: pack(&values).into(),
                }),
                None => drop(self.view.unfit.insert(known.twin.digest)),
            }
        }
        if !twins.is_empty() {
            let deposit = *deposit;
            self.say(now_ms, Body::TwinsChecked { deposit, twins })
                .expect("a duty is allowed");
        }
        true
    }

    fn manifest(&self, id: &Digest) -> Manifest {
        Study::find(&self.fold, id)
            .expect("a duty names a known study")
            .manifest
            .clone()
    }

    fn evaluate(&mut self, now_ms: u64, id: &Digest, index: u32) -> bool {
        let Some(key) = &self.key else { return false };
        let manifest = self.manifest(id);
        let plan = plan_of(&manifest, self.fold.founding().committee());
        let list = &self.view.twin_lists[&manifest.twins.blob];
        let shards = shard::shards(id, list);
        let shard = &shards[index as usize];
        let deposits = &self.fold.facts().deposits;
        let twins = shard.twins.iter();
        let twins = twins.map(|twin| {
            let deposit = &deposits[&(twin.depositor, twin.id)];
            let (bodies, words) = self
                .inputs(deposit)
                .expect("a held twin of a combined batch");
            bodies
                .ciphertexts(deposit.first_slot, &words)
                .expect("slots of the batch")
        });
        let twins: Vec<_> = twins.collect();
        let before = key.engine.bootstraps();
        let output = evaluate_shard(&key.engine, &plan, &twins, &|_| {}, &AtomicBool::new(false))
            .expect("a sound shard");
        self.bootstraps += key.engine.bootstraps() - before;
        let inputs = shard.inputs;
        let output = self.keep(output.to_bytes());
        self.say(
            now_ms,
            Body::ShardEvaluated {
                manifest: *id,
                shard: index,
                inputs,
                output,
            },
        )
        .expect("a duty is allowed");
        true
    }

    fn combine(&mut self, now_ms: u64, id: &Digest, outputs: &[Digest]) -> bool {
        let Some(key) = &self.key else { return false };
        let manifest = self.manifest(id);
        let plan = plan_of(&manifest, self.fold.founding().committee());
        let list = &self.view.twin_lists[&manifest.twins.blob];
        let mut by_hospital: BTreeMap<u8, Vec<ShardOutput>> = BTreeMap::new();
        for (shard, output) in shard::shards(id, list).iter().zip(outputs) {
            let output =
                ShardOutput::from_bytes(&self.blobs[output], &plan).expect("confirmed output");
            by_hospital
                .entry(shard.depositor.get())
                .or_default()
                .push(output);
        }
        let aggregate = finish(
            &key.engine,
            &plan,
            &by_hospital,
            &|_| {},
            &AtomicBool::new(false),
        )
        .expect("all shards");
        let server = key.public.evaluation_key().expect("the key assembles");
        let squashing = key.public.noise_squashing_key().expect("the key assembles");
        let blocks =
            squash(&server, &squashing, &aggregate.blocks, &|_| {}).expect("blocks of the key");
        let body = Body::AggregateDerived {
            manifest: *id,
            aggregate: Digest::new(aggregate.digest()),
            squashed: blocks.digest(),
            blocks: u32::try_from(blocks.len()).expect("few blocks"),
        };
        self.view.squashed.insert(*id, blocks.digest());
        self.squashed.insert(*id, blocks);
        self.say(now_ms, body).expect("a duty is allowed");
        true
    }

    fn release(&mut self, now_ms: u64, duty: &Duty, id: &Digest, first: u32, count: u32) -> bool {
        let (Some(key), Some(blocks)) = (&self.key, self.squashed.get(id)) else {
            return false;
        };
        let Some(share) = &key.share else {
            return false;
        };
        let mut values = share
            .partial_decrypt(share.epoch(), blocks)
            .expect("own blocks");
        for (_, values) in &mut values {
            *values = values[first as usize..(first + count) as usize].to_vec();
        }
        let Some(body) = duty::release_body(&self.fold, self.me, now_ms, &self.view, duty, &values)
        else {
            return false;
        };
        self.say(now_ms, body).expect("a duty is allowed");
        true
    }

    fn recombine(&mut self, now_ms: u64, id: &Digest, squashed: &Digest) -> bool {
        let study = Study::find(&self.fold, id).expect("a duty names a known study");
        let list = &self.view.twin_lists[&study.manifest.twins.blob];
        let opening = study.opening(list).expect("a duty of an agreed aggregate");
        let (accepted, roster) = (opening.tally.accepted, opening.study.roster());
        let blocks = &self.squashed[id];
        assert_eq!(blocks.digest(), *squashed);
        let values =
            recombine(roster.committee(), blocks, &accepted).expect("accepted values recombine");
        let body = duty::result_body(&self.fold, *id, *squashed, values);
        self.say(now_ms, body).expect("a duty is allowed");
        true
    }

    /// The blob digest of a twin list, kept for peers that ask.
    pub(crate) fn keep_list(&mut self, list: &organtwin_protocol::twin::TwinList) -> Digest {
        let bytes = list.encode().expect("a list has an encoding");
        let digest = of_blob(&bytes);
        self.keep(bytes);
        digest
    }
}
