//! Does the duties of deposits and studies with the model's arithmetic.

use std::collections::BTreeMap;

use organtwin_protocol::admission;
use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::duty::{self, Duty};
use organtwin_protocol::shard;
use organtwin_protocol::statement::{Batch, Body, GroupDigest, TwinCheck};
use organtwin_protocol::study::Study;
use organtwin_protocol::tally;
use organtwin_protocol::twin::{TwinEntry, TwinId};
use organtwin_threshold::{AdmissionValue, PartyId, PieceId, SquashedBlocks, recombine};

use super::{Ask, Hospital, Letter, TIMEOUT_MS, Waiting};
use crate::schedules::arithmetic::{self, CELLS, Ciphertext};
use crate::schedules::machine::Planted;

/// The slots of a batch that the model uses.
const SLOTS: u32 = 3 * CELLS as u32;

/// The model's only schema.
pub(super) fn schema() -> Digest {
    of_blob(b"the schema of the model")
}

impl Hospital {
    /// Does every duty of now, again until nothing new comes of it.
    pub(super) fn do_duties(&mut self, now_ms: u64) {
        for _ in 0..32 {
            let said = self.fold.feed(self.me).len();
            let batches = self.view.batches.len();
            for duty in duty::duties(&self.fold, self.me, now_ms, &self.view) {
                if self.crashed {
                    return;
                }
                self.do_duty(now_ms, &duty);
            }
            if self.fold.feed(self.me).len() == said && self.view.batches.len() == batches {
                return;
            }
        }
    }

    fn do_duty(&mut self, now_ms: u64, duty: &Duty) {
        match duty {
            Duty::PrepareBatch(batch) => self.prepare_batch(now_ms, batch),
            Duty::SendSubseed(batch) => self.send_subseeds(now_ms, batch),
            Duty::CombineBatch { batch, vectors } => self.combine_batch(batch, vectors),
            Duty::FetchBlob {
                digest, holders, ..
            } => {
                self.ask(now_ms, Ask::Blob(*digest), holders);
                self.view.fetching.insert(*digest);
            }
            Duty::AcknowledgeTwins(twins) => {
                let twins = twins.clone();
                self.state(now_ms, Body::TwinsReceived { twins });
            }
            Duty::CheckTwins { deposit, twins, .. } => {
                // The model's twins are all as they should be: every group's values are 0.
                let groups = admission::own_groups(self.fold.roster(), self.me).count();
                let values = admission::pack(&vec![AdmissionValue::default(); groups]);
                let checks = twins.iter().map(|id| TwinCheck {
                    id: *id,
                    values: values.clone().into(),
                });
                let body = Body::TwinsChecked {
                    deposit: *deposit,
                    twins: checks.collect(),
                };
                self.state(now_ms, body);
            }
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
                let evidence = evidence.clone();
                self.state(now_ms, Body::Accusation { evidence });
            }
        }
    }

    fn prepare_batch(&mut self, now_ms: u64, batch: &Batch) {
        let Some(key) = &self.key else { return };
        let vectors = key.share.batch_vectors(self.me, &key.public, batch, SLOTS);
        let mut digests = Vec::new();
        for (group, vector) in vectors {
            let vector = self.batch_vector_computed(vector);
            digests.push(GroupDigest {
                group: u16::try_from(group).expect("a small family"),
                digest: self.keep(vector),
            });
        }
        let body = Body::BatchPrepared {
            batch: *batch,
            vectors: digests,
        };
        self.state(now_ms, body);
    }

    fn own_subseeds(&self, batch: &Batch) -> Vec<(PieceId, [u8; 32])> {
        let Some(key) = &self.key else {
            return Vec::new();
        };
        let pieces = self.fold.roster().committee().pieces_of(self.me);
        pieces
            .filter_map(|piece| Some((piece, key.share.subseed(batch, piece)?)))
            .collect()
    }

    fn send_subseeds(&mut self, now_ms: u64, batch: &Batch) {
        let line = (*batch, batch.hospital);
        let sent = self.sending.get(&line);
        if self.key.is_none() || sent.is_some_and(|sent| now_ms < sent + TIMEOUT_MS) {
            return;
        }
        self.sending.insert(line, now_ms);
        let subseeds = self.own_subseeds(batch).into_iter();
        let subseeds = subseeds.map(|(piece, secret)| (piece, self.subseed_sent(secret)));
        let subseeds = subseeds.collect();
        self.send(batch.hospital, Letter::Subseeds(*batch, subseeds));
    }

    pub(super) fn take_subseeds(
        &mut self,
        from: PartyId,
        batch: Batch,
        subseeds: &[(PieceId, [u8; 32])],
    ) {
        let asked = self
            .fold
            .facts()
            .batches
            .get(&batch)
            .is_some_and(|facts| facts.requested);
        if batch.hospital != self.me || !asked {
            return;
        }
        // Only a deposit that waits can use them; the sender is told all the same, and stops.
        if self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.batch == batch)
        {
            for (piece, secret) in subseeds.iter().filter(|(piece, _)| piece.is_held_by(from)) {
                let sent = self.subseeds.entry((batch, *piece)).or_default();
                sent.insert(from, *secret);
            }
            self.dirty = true;
        }
        self.send(from, Letter::SubseedsTaken(batch));
    }

    fn combine_batch(&mut self, batch: &Batch, vectors: &[Digest]) {
        let vectors: Option<Vec<&[u8]>> = vectors
            .iter()
            .map(|digest| self.disk.blob(digest).map(Vec::as_slice))
            .collect();
        if let Some(vectors) = vectors {
            let bodies = arithmetic::bodies(vectors.into_iter(), SLOTS);
            self.bodies.insert(*batch, bodies);
            self.view.batches.insert(*batch);
        }
    }

    fn agreed_subseeds(&self, batch: &Batch) -> Option<BTreeMap<PieceId, [u8; 32]>> {
        let roster = self.fold.roster();
        let mut subseeds: BTreeMap<PieceId, [u8; 32]> =
            self.own_subseeds(batch).into_iter().collect();
        for piece in roster.committee().pieces() {
            if piece.is_held_by(self.me) {
                continue;
            }
            let sent = self.subseeds.get(&(*batch, *piece))?;
            let needed = if roster.needs_all() {
                roster.committee().holders(*piece).len()
            } else {
                roster.equal_needed()
            };
            let secret = sent
                .values()
                .find(|secret| sent.values().filter(|other| other == secret).count() >= needed)?;
            subseeds.insert(*piece, *secret);
        }
        Some(subseeds)
    }

    /// Begins a deposit: asks for a batch.
    pub(super) fn begin_deposit(&mut self, now_ms: u64, count: u8) {
        if self.key.is_none() || self.waiting.is_some() {
            return;
        }
        let batches = self.fold.facts().batches.iter();
        let own = batches.filter(|(batch, facts)| batch.hospital == self.me && facts.requested);
        let batch = Batch {
            epoch: 0,
            hospital: self.me,
            number: u32::try_from(own.count()).expect("few batches"),
            polynomials: 1,
        };
        let twins = (0..count).map(|_| {
            let mut weights = vec![0; CELLS];
            weights[usize::try_from(self.dice.roll() % 3).expect("small")] = 1;
            weights
        });
        let twins = twins.collect();
        if self.state(now_ms, Body::BatchRequested { batch }) {
            self.waiting = Some(Waiting { batch, twins });
        }
    }

    /// Deposits what waits, when its masks are there.
    pub(super) fn deposit(&mut self, now_ms: u64) {
        let Some(Waiting { batch, .. }) = &self.waiting else {
            return;
        };
        let batch = *batch;
        if !self.view.batches.contains(&batch) {
            return;
        }
        let Some(subseeds) = self.agreed_subseeds(&batch) else {
            return;
        };
        let Some(Waiting { twins, .. }) = self.waiting.take() else {
            return;
        };
        let slots = u32::try_from(CELLS).expect("small");
        let mut entries = Vec::new();
        for (position, weights) in (0u32..).zip(twins) {
            let first_slot = position * slots;
            let digest = self.keep(arithmetic::pad(&subseeds, SLOTS, first_slot, &weights));
            self.twins.push((digest, weights));
            let id: [u8; 16] = self.dice.bytes()[..16].try_into().expect("16 bytes");
            entries.push(TwinEntry {
                id: TwinId::from_bytes(id),
                digest,
                first_slot,
                slots,
            });
        }
        entries.sort_by_key(|entry| entry.id);
        let body = Body::TwinsDeposited {
            schema: schema(),
            organ: "kidney".into(),
            batch,
            twins: entries,
        };
        if self.state(now_ms, body.clone()) {
            self.deposited = Some(body);
        }
    }

    fn shard_output(&self, shard: &shard::Shard) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        let twins = shard.twins.iter().map(|twin| {
            let deposit = self.fold.facts().deposits.get(&(twin.depositor, twin.id))?;
            let bodies = self.bodies.get(&deposit.batch)?;
            let padded = self.disk.blob(&twin.digest)?;
            let first = deposit.first_slot;
            Some(arithmetic::ciphertexts(
                &key.public,
                &deposit.batch,
                bodies,
                first,
                padded,
            ))
        });
        let twins: Option<Vec<Vec<Ciphertext>>> = twins.collect();
        let twins = twins?.into_iter().filter(|twin| twin.len() == CELLS);
        Some(
            key.public
                .evaluate(&twins.collect::<Vec<_>>(), &shard.inputs),
        )
    }

    fn shards(&self, id: &Digest) -> Option<Vec<shard::Shard>> {
        let study = Study::find(&self.fold, id)?;
        let list = self.view.twin_lists.get(&study.manifest.twins.blob)?;
        Some(shard::shards(id, list))
    }

    fn evaluate(&mut self, now_ms: u64, id: &Digest, index: u32) {
        let shard = self
            .shards(id)
            .and_then(|shards| shards.into_iter().nth(index as usize));
        let Some((shard, output)) = shard.and_then(|s| Some((s.clone(), self.shard_output(&s)?)))
        else {
            return;
        };
        let output = self.keep(output);
        let body = Body::ShardEvaluated {
            manifest: *id,
            shard: index,
            inputs: shard.inputs,
            output,
        };
        self.state(now_ms, body);
    }

    /// What a liar derives alone, before anyone evaluated anything.
    pub(super) fn derive_alone(&self, id: &Digest) -> Option<SquashedBlocks> {
        let outputs = self
            .shards(id)?
            .into_iter()
            .map(|shard| self.shard_output(&shard));
        let outputs: Option<Vec<Vec<u8>>> = outputs.collect();
        let outputs = outputs?;
        let sum = arithmetic::combine(outputs.iter().map(Vec::as_slice));
        Some(arithmetic::squash(&sum))
    }

    fn combine(&mut self, now_ms: u64, id: &Digest, shards: &[Digest]) {
        let blocks = match self.squashed.get(id) {
            // Derived before a crash, but not stated yet.
            Some(blocks) => blocks.clone(),
            None => {
                let left_out = usize::from(self.planted == Some(Planted::MissingShard));
                let outputs: Option<Vec<&[u8]>> = shards
                    .iter()
                    .skip(left_out)
                    .map(|digest| self.disk.blob(digest).map(Vec::as_slice))
                    .collect();
                let Some(outputs) = outputs else { return };
                arithmetic::squash(&arithmetic::combine(outputs.into_iter()))
            }
        };
        self.disk.record(*id, blocks.to_bytes());
        self.disk.sync();
        let squashed = blocks.digest();
        let body = Body::AggregateDerived {
            manifest: *id,
            aggregate: of_blob(&blocks.to_bytes()),
            squashed,
            blocks: u32::try_from(blocks.len()).expect("few blocks"),
        };
        self.view.squashed.insert(*id, squashed);
        self.squashed.insert(*id, blocks);
        self.state(now_ms, body);
    }

    fn release(&mut self, now_ms: u64, duty: &Duty, id: &Digest, first: u32, count: u32) {
        let (Some(key), Some(blocks)) = (&self.key, self.squashed.get(id)) else {
            return;
        };
        let mut values = key.share.decrypt(blocks);
        for (_, values) in &mut values {
            *values = values[first as usize..(first + count) as usize].to_vec();
        }
        if let Some(body) =
            duty::release_body(&self.fold, self.me, now_ms, &self.view, duty, &values)
        {
            self.state(now_ms, body);
        }
    }

    fn recombine(&mut self, now_ms: u64, id: &Digest, squashed: &Digest) {
        let Some(study) = Study::find(&self.fold, id) else {
            return;
        };
        let (Some(list), Some(agreed), Some(blocks)) = (
            self.view.twin_lists.get(&study.manifest.twins.blob),
            study.aggregate(),
            self.squashed.get(id),
        ) else {
            return;
        };
        let accepted = tally::pieces(&study, list, &agreed).accepted;
        match recombine(self.fold.roster().committee(), blocks, &accepted) {
            Ok(values) => {
                let body = duty::result_body(&self.fold, *id, *squashed, values);
                self.state(now_ms, body);
            }
            Err(error) => {
                let breach = format!(
                    "accepted values do not recombine: party {}: {error}",
                    self.me
                );
                if !self.breaches.contains(&breach) {
                    self.breaches.push(breach);
                }
            }
        }
    }
}
