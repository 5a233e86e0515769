//! What a lying hospital does differently: one deviation each.

use std::sync::Arc;

use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::statement::{Body, PieceValues, SignedStatement, StageName, Statement};
use organtwin_protocol::study::Study;
use organtwin_threshold::PartyId;

use super::{Ask, Hospital, Letter};
use crate::schedules::machine::Planted;
use crate::schedules::schedule::Deviation;

fn flipped(digest: Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[0] ^= 1;
    Digest::new(bytes)
}

fn off_by_one(values: &PieceValues) -> PieceValues {
    let wrong: Vec<u128> = values
        .unpack()
        .expect("own values are whole")
        .iter()
        .map(|value| value.wrapping_add(1 << 123))
        .collect();
    PieceValues::pack(values.piece, &wrong)
}

impl Hospital {
    /// Whether a liar keeps silent about this number.
    pub(super) fn is_silent(&self, seq: u64) -> bool {
        matches!(self.lie, Some(Deviation::Silence(from)) if seq >= from)
    }

    /// What a liar says instead of the truth.
    pub(super) fn lied(&self, body: Body) -> Body {
        let Some(lie) = self.lie else { return body };
        let mut body = body;
        match (lie, &mut body) {
            (Deviation::MaskShare, Body::SeedsHeld { mask_reveal, .. }) => {
                *mask_reveal = flipped(*mask_reveal);
            }
            (Deviation::Echo, Body::SeedsHeld { echo, .. }) => *echo = flipped(*echo),
            (Deviation::Root(lied), Body::StageCommitted { stage, roots, .. })
                if lied == *stage =>
            {
                for root in roots {
                    root.digest = flipped(root.digest);
                }
            }
            (Deviation::Opened(lied), Body::StageOpened { stage, digest, .. })
                if lied == *stage =>
            {
                *digest = flipped(*digest);
            }
            (Deviation::SelfTest, Body::SelfTest { pieces, .. })
            | (Deviation::PartialDecryption, Body::PartialDecryption { pieces, .. }) => {
                *pieces = pieces.iter().map(off_by_one).collect();
            }
            (Deviation::Certificate, Body::KeyCertified { certificate }) => {
                certificate.key = flipped(certificate.key);
            }
            (Deviation::Shard, Body::ShardEvaluated { output, .. }) => *output = flipped(*output),
            (Deviation::Aggregate, Body::AggregateDerived { squashed, .. }) => {
                *squashed = flipped(*squashed);
            }
            (Deviation::Outcome, Body::ResultReleased { values, .. }) => {
                for value in &mut values.0 {
                    *value ^= 1;
                }
            }
            _ => {}
        }
        body
    }

    /// Signs a second statement under the same number and tells each to one half of the others.
    pub(super) fn forks(
        &mut self,
        _now_ms: u64,
        statement: &Statement,
        signed: &SignedStatement,
        others: &[PartyId],
    ) -> bool {
        if self.lie != Some(Deviation::Fork(statement.seq)) {
            return false;
        }
        let mut second = statement.clone();
        second.time_ms += 1;
        let second = SignedStatement::sign(&second, &self.identity).expect("as long as the first");
        for (position, party) in others.iter().enumerate() {
            let told = if position.is_multiple_of(2) {
                signed
            } else {
                &second
            };
            self.send(*party, Letter::Statements(Arc::new(vec![told.clone()])));
        }
        true
    }

    pub(super) fn seed_sent(&self, mut secret: [u8; 32]) -> [u8; 32] {
        if self.lie == Some(Deviation::SeedShare) {
            secret[31] ^= 1;
        }
        secret
    }

    pub(super) fn subseed_sent(&self, mut secret: [u8; 32]) -> [u8; 32] {
        if self.lie == Some(Deviation::Subseed) {
            secret[31] ^= 1;
        }
        secret
    }

    pub(super) fn vector_computed(&self, stage: StageName, mut vector: Vec<u8>) -> Vec<u8> {
        if self.lie == Some(Deviation::Vector(stage)) {
            vector[0] ^= 2;
        }
        vector
    }

    pub(super) fn batch_vector_computed(&self, mut vector: Vec<u8>) -> Vec<u8> {
        if self.lie == Some(Deviation::BatchVector) {
            vector[0] ^= 2;
        }
        vector
    }

    /// What a liar answers a request with.
    pub(super) fn served(&self, ask: &Ask, mut bytes: Vec<u8>) -> Vec<u8> {
        let lies = match ask {
            Ask::Blob(_) => self.lie == Some(Deviation::Blob),
            Ask::Vector(_, stage, _) => self.lie == Some(Deviation::Chunk(*stage)),
        };
        if lies && let Some(byte) = bytes.first_mut() {
            *byte ^= 2;
        }
        bytes
    }

    /// Releases as soon as a study is proposed, citing approvals that nobody gave.
    pub(super) fn lie_early(&mut self, now_ms: u64) {
        if self.lie != Some(Deviation::EarlyRelease) && self.planted != Some(Planted::NoQuorum) {
            return;
        }
        let proposed = Study::all(&self.fold)
            .filter(|study| !study.facts.aggregates.contains_key(&self.me))
            .map(|study| study.id);
        for id in proposed.collect::<Vec<_>>() {
            let Some(blocks) = self.derive_alone(&id) else {
                continue;
            };
            let squashed = blocks.digest();
            self.disk.record(id, blocks.to_bytes());
            self.view.squashed.insert(id, squashed);
            let body = Body::AggregateDerived {
                manifest: id,
                aggregate: of_blob(&blocks.to_bytes()),
                squashed,
                blocks: u32::try_from(blocks.len()).expect("few blocks"),
            };
            self.state(now_ms, body);
            let Some(key) = &self.key else { continue };
            let values = key.share.decrypt(&blocks);
            let mut approvals: Vec<Digest> = (0..=self.fold.roster().threshold())
                .map(|number| of_blob(&number.to_le_bytes()))
                .collect();
            approvals.sort_unstable();
            let body = Body::PartialDecryption {
                manifest: id,
                squashed,
                first_block: 0,
                approvals,
                feeds: self.fold.heads(),
                pieces: values
                    .iter()
                    .map(|(piece, values)| PieceValues::pack(*piece, values))
                    .collect(),
            };
            self.squashed.insert(id, blocks);
            self.state(now_ms, body);
        }
    }
}
