//! A stage's vectors, fetched chunk by chunk from their speakers, checked against what every member signed, and
//! absorbed in order. A few chunks are on their way at any time, so that memory stays flat.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use organtwin_protocol::ceremony::{speaker, vector_root};
use organtwin_protocol::digest::{Digest, of_blob};
use organtwin_protocol::statement::StageName;
use organtwin_threshold::keygen::KeyCeremony;
use organtwin_threshold::{PartyId, PartySet, SessionId};

use super::{Progress, Shared, of};
use crate::hospital::spool::{LEAVES, Spool, number};
use crate::net::{Network, Request, Response};

/// Chunks on their way at any time.
const AHEAD: usize = 6;
/// Rounds over a group's members before a chunk counts as not to be had.
const ROUNDS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// Who was caught with what while the stage went on.
pub(super) type Caught = Vec<(PartyId, String)>;

/// Everything a stage's exchange needs.
pub(super) struct Exchange {
    pub(super) me: PartyId,
    pub(super) net: Network,
    pub(super) session: SessionId,
    pub(super) stage: StageName,
    pub(super) family: Vec<PartySet>,
    pub(super) roots: Vec<Digest>,
    pub(super) spool: Spool,
    pub(super) progress: Arc<Progress>,
}

impl Exchange {
    /// Fetches and absorbs all chunks; says who sent what did not match.
    pub(super) async fn run(self, keygen: Shared<KeyCeremony>) -> Result<Caught, String> {
        let stage = of(self.stage);
        let chunks = {
            let keygen = keygen.lock().unwrap_or_else(PoisonError::into_inner);
            keygen
                .as_ref()
                .ok_or("the computation has not begun")?
                .chunks(stage)
        };
        self.progress.done.store(0, Ordering::Relaxed);
        self.progress
            .total
            .store(u64::from(chunks), Ordering::Relaxed);
        let mut caught = Caught::new();
        let mut leaves = Vec::new();
        for (group, root) in (0u16..).zip(&self.roots) {
            leaves.push(self.leaves(group, *root, chunks, &mut caught).await?);
        }
        let fetched = futures::stream::iter(0..chunks)
            .map(|chunk| self.chunk(chunk, &leaves))
            .buffered(AHEAD);
        let mut fetched = std::pin::pin!(fetched);
        let mut index = 0u32;
        while let Some(result) = fetched.next().await {
            let (vectors, seen) = result?;
            caught.extend(seen);
            let keygen = keygen.clone();
            let absorbed = tokio::task::spawn_blocking(move || {
                let mut keygen = keygen.lock().unwrap_or_else(PoisonError::into_inner);
                let keygen = keygen.as_mut().ok_or("the computation has not begun")?;
                keygen
                    .absorb(stage, index, &vectors)
                    .map_err(|error| error.to_string())
            });
            absorbed.await.map_err(|error| error.to_string())??;
            index += 1;
            self.progress
                .done
                .store(u64::from(index), Ordering::Relaxed);
        }
        Ok(caught)
    }

    fn members(&self, group: u16, chunk: u32) -> Vec<PartyId> {
        let Some(set) = self.family.get(usize::from(group)).copied() else {
            return Vec::new();
        };
        let first = speaker(set, chunk, self.me);
        let others = set.iter().filter(|party| Some(*party) != first);
        first.into_iter().chain(others).collect()
    }

    async fn ask(&self, party: PartyId, group: u16, chunk: u32) -> Option<Vec<u8>> {
        let session = *self.session.as_bytes();
        let request = Request::Chunk {
            session,
            stage: number(self.stage),
            group,
            chunk,
        };
        match self.net.request(party, request).await {
            Ok(Response::Chunk(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The digests of a group's chunks, as its members signed for.
    async fn leaves(
        &self,
        group: u16,
        root: Digest,
        chunks: u32,
        caught: &mut Caught,
    ) -> Result<Vec<Digest>, String> {
        let members = self.members(group, 0);
        if members.contains(&self.me) {
            let own = self
                .spool
                .serve(number(self.stage), group, LEAVES)
                .and_then(|bytes| digests(&bytes));
            return own.ok_or_else(|| "the vectors computed here are gone".to_owned());
        }
        for _ in 0..ROUNDS {
            for party in &members {
                let Some(bytes) = self.ask(*party, group, LEAVES).await else {
                    continue;
                };
                match digests(&bytes) {
                    Some(leaves)
                        if leaves.len() == chunks as usize && vector_root(&leaves) == root =>
                    {
                        return Ok(leaves);
                    }
                    _ => caught.push((
                        *party,
                        format!("sent chunk digests of group {group} that it did not sign for"),
                    )),
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(missing(group, &members))
    }

    /// One chunk of every group's vector, in the family's order.
    async fn chunk(
        &self,
        chunk: u32,
        leaves: &[Vec<Digest>],
    ) -> Result<(Vec<Vec<u8>>, Caught), String> {
        let mut vectors = Vec::with_capacity(leaves.len());
        let mut caught = Caught::new();
        for (group, leaves) in (0u16..).zip(leaves) {
            let leaf = leaves
                .get(chunk as usize)
                .ok_or("a chunk beyond the last")?;
            vectors.push(self.vector(group, chunk, *leaf, &mut caught).await?);
        }
        Ok((vectors, caught))
    }

    async fn vector(
        &self,
        group: u16,
        chunk: u32,
        leaf: Digest,
        caught: &mut Caught,
    ) -> Result<Vec<u8>, String> {
        let members = self.members(group, chunk);
        if members.contains(&self.me) {
            let own = self.spool.serve(number(self.stage), group, chunk);
            return own.ok_or_else(|| "the vectors computed here are gone".to_owned());
        }
        for _ in 0..ROUNDS {
            for party in &members {
                let Some(bytes) = self.ask(*party, group, chunk).await else {
                    continue;
                };
                if of_blob(&bytes) == leaf {
                    return Ok(bytes);
                }
                caught.push((
                    *party,
                    format!("sent chunk {chunk} of group {group} that it did not sign for"),
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(missing(group, &members))
    }
}

fn missing(group: u16, members: &[PartyId]) -> String {
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    format!(
        "the vector of group {group} could not be had from parties {}",
        names.join(", ")
    )
}

fn digests(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (digests, rest) = bytes.as_chunks::<32>();
    rest.is_empty()
        .then(|| digests.iter().map(|digest| Digest::new(*digest)).collect())
}
