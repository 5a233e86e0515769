//! What passes between this node and one peer: feeds, blobs, chunks, and messages for one pair of eyes.

use std::collections::BTreeMap;

use organtwin_protocol::codec;
use organtwin_protocol::digest::Digest;
use organtwin_protocol::duty::BlobKind;
use organtwin_protocol::feed::FeedHead;
use organtwin_protocol::fold::Knowledge;
use organtwin_protocol::statement::{Batch, MAX_STATEMENT_BYTES, SignedStatement, Statement};
use organtwin_protocol::twin::TwinList;
use organtwin_threshold::{PartyId, PieceId, SessionId};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::NodeError;
use super::node::Node;
use crate::net::codec::{MAX_PART, MAX_STATEMENT};
use crate::net::{NetEvent, Network, Request, Response, Verdict};
use crate::store::MAX_STATEMENTS_PER_ANSWER;

/// Largest twin, input vector, twin list and shard output that is fetched, bytes.
fn bound(kind: BlobKind) -> u64 {
    match kind {
        BlobKind::Twin => 64 * 1024,
        BlobKind::BatchVector => 32 * 1024 * 1024,
        BlobKind::TwinList => organtwin_protocol::twin::MAX_TWIN_LIST_BYTES as u64,
        BlobKind::Shard => 32 * 1024 * 1024,
    }
}

/// Most blobs fetched at once.
const MAX_FETCHES: usize = 16;
/// Ticks after which a blob that nobody had is asked for again.
const FORGIVE_AFTER: u32 = 4;
/// Largest private message, bytes: the subseeds of the largest committee, see the test.
const MAX_PRIVATE: usize = 24 * 1024;

/// Blobs that could not be had, and for how many ticks they are not asked for.
#[derive(Default)]
pub(super) struct Fetches {
    unavailable: BTreeMap<Digest, u32>,
}

impl Fetches {
    /// Counts a tick; returns the blobs that may be asked for again.
    pub(super) fn forgive(&mut self) -> Vec<Digest> {
        let mut forgiven = Vec::new();
        self.unavailable.retain(|digest, ticks| {
            *ticks += 1;
            if *ticks > FORGIVE_AFTER {
                forgiven.push(*digest);
            }
            *ticks <= FORGIVE_AFTER
        });
        forgiven
    }
}

/// A message that the encrypted channel carries to one peer and no feed ever shows. Wiped when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Private {
    /// Contributions to the seeds of the pieces that both hold.
    SeedShares {
        #[zeroize(skip)]
        session: SessionId,
        shares: Vec<PieceSecret>,
    },
    /// "Send me my parcel of this old piece": a new member to an old holder. The answer is for its eyes only.
    ParcelWanted {
        #[zeroize(skip)]
        session: SessionId,
        #[zeroize(skip)]
        piece: PieceId,
    },
    /// Subseeds of an input batch, for its hospital.
    Subseeds {
        #[zeroize(skip)]
        batch: Batch,
        subseeds: Vec<PieceSecret>,
    },
}

/// 32 secret bytes that belong to a piece.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct PieceSecret {
    #[zeroize(skip)]
    pub(super) piece: PieceId,
    pub(super) secret: [u8; 32],
}

impl Private {
    /// The request that carries the message.
    pub(super) fn request(&self) -> Result<Request, NodeError> {
        // Never grown, so that no secret stays behind in a smaller buffer.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PRIVATE));
        ciborium::into_writer(self, &mut *bytes)
            .map_err(|error| NodeError::Bug(format!("a private message: {error}")))?;
        Ok(Request::Private { bytes })
    }
}

impl Node {
    /// Takes in one event of the network.
    pub(super) fn hear(&mut self, event: NetEvent) -> Result<(), NodeError> {
        match event {
            NetEvent::Connected(party) => {
                tracing::info!(peer = %party, "connected");
                self.compare_feeds(party);
                self.touch();
                Ok(())
            }
            NetEvent::Disconnected(party) => {
                tracing::info!(peer = %party, "disconnected");
                self.touch();
                Ok(())
            }
            NetEvent::Gossip {
                from,
                bytes,
                ticket,
            } => {
                let verdict = self.take_in(from, &bytes)?;
                self.net.judge(ticket, verdict);
                Ok(())
            }
            NetEvent::CutOff { party, fault, .. } => {
                self.note_fault(format!(
                    "party {party}: cut off for a while: it {}",
                    fault.what()
                ));
                self.touch();
                Ok(())
            }
            NetEvent::Request {
                from,
                request,
                reply,
            } => self.answer(from, request, reply),
        }
    }

    /// Asks a peer for the statements that it has and this node lacks.
    pub(super) fn compare_feeds(&self, peer: PartyId) {
        let (net, heads) = (self.net.clone(), self.fold.heads());
        let heads = heads
            .iter()
            .map(|head| (head.party.get(), head.seq, *head.hash.as_bytes()));
        let heads = heads.collect();
        self.wait(
            async move { net.request(peer, Request::Statements { heads }).await },
            move |node, answer| {
                match answer {
                    Ok(Response::Statements(statements)) => {
                        // What ended a feed comes with every answer.
                        let more = !statements.iter().all(|bytes| node.has_heard(bytes));
                        let before = node.fold.heads();
                        if !more {
                            node.nothing_lacks(peer)?;
                        }
                        for statement in statements {
                            if let Verdict::Blame(fault) = node.take_in(peer, &statement)? {
                                node.net.blame(peer, fault);
                            }
                        }
                        // An answer is bounded; what did not fit is asked for at once, as long as it helps.
                        if more && node.fold.heads() != before {
                            node.compare_feeds(peer);
                        }
                    }
                    Ok(_) => node.refuse("wrong kind of answer", peer, "statements were asked for"),
                    Err(error) => tracing::debug!(%peer, %error, "no statements"),
                }
                Ok(())
            },
        );
    }

    /// Whether a statement stands in a feed here, or ended one.
    fn has_heard(&self, bytes: &[u8]) -> bool {
        let Ok(signed) = codec::decode::<SignedStatement>(bytes, MAX_STATEMENT) else {
            return false;
        };
        let decoded = codec::decode::<Statement>(signed.bytes.as_slice(), MAX_STATEMENT_BYTES);
        decoded.is_ok_and(|statement| {
            let head = FeedHead {
                party: statement.author,
                seq: statement.seq,
                hash: signed.hash(),
            };
            self.fold.knows(&head) == Knowledge::Known
                || self.fold.end(statement.author).any(|end| *end == signed)
        })
    }

    fn answer(
        &mut self,
        from: PartyId,
        request: Request,
        reply: oneshot::Sender<Response>,
    ) -> Result<(), NodeError> {
        match request {
            Request::Statements { heads } => {
                let heads = heads.into_iter().filter_map(|(party, seq, hash)| {
                    Some(FeedHead {
                        party: PartyId::new(party)?,
                        seq,
                        hash: Digest::new(hash),
                    })
                });
                let heads: Vec<FeedHead> = heads.collect();
                let mut statements = Vec::new();
                let mut room = MAX_PART;
                for missing in self.fold.missing_from(&heads, MAX_STATEMENTS_PER_ANSWER) {
                    let bytes = codec::encode(missing)
                        .map_err(|error| NodeError::Bug(format!("a statement: {error}")))?;
                    let Some(left) = room.checked_sub(bytes.len() + 4) else {
                        break;
                    };
                    room = left;
                    statements.push(bytes);
                }
                let _ = reply.send(Response::Statements(statements));
            }
            Request::Blob { hash, offset } => {
                let store = self.store.clone();
                // A newcomer asks for the public key by its digest.
                let key = self.key.as_ref();
                let public = key.filter(|key| key.facts.key.as_bytes() == &hash);
                let public = public.map(|key| key.public_file());
                serve(reply, move || {
                    if let Some(public) = public {
                        return super::epoch::part_of(&public, offset)
                            .unwrap_or(Response::Unavailable);
                    }
                    match store.blobs().part(&hash, offset, MAX_PART as u64) {
                        Ok(Some((total, bytes))) => Response::Part { total, bytes },
                        _ => Response::Unavailable,
                    }
                });
            }
            Request::Chunk {
                session,
                stage,
                group,
                chunk,
            } => {
                let spool = self.ceremony.spool(&SessionId::new(session));
                let progress = self.ceremony.progress();
                serve(reply, move || {
                    let part = spool.and_then(|spool| spool.serve(stage, group, chunk));
                    let answer = part.map_or(Response::Unavailable, Response::Chunk);
                    progress.add_sent(&answer);
                    answer
                });
            }
            Request::Private { bytes } => {
                let answer = self.take_private(from, &bytes)?;
                let _ = reply.send(answer);
            }
            Request::Cosign { bytes } => {
                let answer = self.cosign(from, &bytes)?;
                let _ = reply.send(answer);
            }
        }
        Ok(())
    }

    fn take_private(&mut self, from: PartyId, bytes: &[u8]) -> Result<Response, NodeError> {
        let message: Private = match codec::decode(bytes, MAX_PRIVATE) {
            Ok(message) => message,
            Err(_) => {
                // The decoder's words could repeat a secret.
                self.refuse("malformed private message", from, "it does not decode");
                return Ok(Response::Refused);
            }
        };
        match &message {
            Private::SeedShares { session, shares } if self.change.is(session) => {
                self.take_epoch_shares(from, *session, shares)
            }
            Private::SeedShares { session, shares } => {
                self.take_seed_shares(from, *session, shares)
            }
            Private::ParcelWanted { session, piece } => Ok(self.give_parcel(from, session, *piece)),
            Private::Subseeds { batch, subseeds } => Ok(self.take_subseeds(from, *batch, subseeds)),
        }
    }

    /// Fetches a blob from whoever has it.
    pub(super) fn fetch(&mut self, digest: Digest, kind: BlobKind, holders: Vec<PartyId>) {
        if self.local.fetching.len() >= MAX_FETCHES || !self.local.fetching.insert(digest) {
            return;
        }
        let connected = self.net.connected();
        let me = self.me;
        let mut holders: Vec<PartyId> = holders
            .into_iter()
            .filter(|party| connected.contains(party))
            .collect();
        let most = holders.len().max(1);
        // Spread the load: every node begins elsewhere.
        holders.rotate_left(me.index() % most);
        let (net, store) = (self.net.clone(), self.store.clone());
        self.wait(
            async move {
                for holder in holders {
                    if let Some(bytes) = fetch_from(&net, holder, digest, bound(kind)).await {
                        let kept = tokio::task::spawn_blocking(move || {
                            let kept = store.blobs().put(&bytes).map(|_| ());
                            kept.map(|()| bytes)
                        });
                        return kept.await.ok().transpose();
                    }
                }
                Ok(None)
            },
            move |node, fetched: std::io::Result<Option<Vec<u8>>>| {
                match fetched {
                    Ok(Some(bytes)) => {
                        node.local.fetching.remove(&digest);
                        node.local.blobs.insert(digest);
                        if kind == BlobKind::TwinList {
                            node.take_twin_list(digest, &bytes);
                        }
                    }
                    // It stays among those being fetched until it is forgiven.
                    Ok(None) => drop(node.fetches.unavailable.insert(digest, 0)),
                    Err(source) => {
                        return Err(NodeError::from(crate::store::StoreError::Io(source)));
                    }
                }
                Ok(())
            },
        );
    }

    /// Remembers the decoded list of a study's twins.
    pub(super) fn take_twin_list(&mut self, blob: Digest, bytes: &[u8]) {
        match TwinList::decode(bytes) {
            Ok(list) => drop(self.local.twin_lists.insert(blob, list)),
            Err(error) => {
                tracing::warn!(%blob, %error, "not a twin list; its study cannot be evaluated");
            }
        }
    }
}

fn serve(reply: oneshot::Sender<Response>, work: impl FnOnce() -> Response + Send + 'static) {
    tokio::task::spawn_blocking(move || {
        // Nobody waits any more when the peer has gone.
        let _ = reply.send(work());
    });
}

pub(super) async fn fetch_from(
    net: &Network,
    holder: PartyId,
    digest: Digest,
    most: u64,
) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let offset = bytes.len() as u64;
        let request = Request::Blob {
            hash: *digest.as_bytes(),
            offset,
        };
        let Ok(Response::Part { total, bytes: part }) = net.request(holder, request).await else {
            return None;
        };
        let length = offset.saturating_add(part.len() as u64);
        if total > most || length > total || (part.is_empty() && length < total) {
            return None;
        }
        bytes.extend_from_slice(&part);
        if length == total {
            break;
        }
    }
    (organtwin_protocol::digest::of_blob(&bytes) == digest).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use organtwin_threshold::{Committee, committee::Passive};

    use super::*;

    #[test]
    fn a_blob_that_nobody_had_is_asked_for_again_after_a_while_even_if_nothing_else_is() {
        let blob = organtwin_protocol::digest::of_blob(b"a list");
        let mut fetches = Fetches::default();
        fetches.unavailable.insert(blob, 0);
        let forgiven: Vec<Vec<Digest>> = (0..=FORGIVE_AFTER).map(|_| fetches.forgive()).collect();
        let (last, before) = forgiven.split_last().unwrap();
        assert!(before.iter().all(Vec::is_empty));
        assert_eq!(*last, [blob]);
        assert!(fetches.forgive().is_empty());
    }

    #[test]
    fn the_private_messages_of_every_committee_fit_their_bound() {
        let mut largest = 0;
        for n in 3..=12u8 {
            for t in 1..=(n - 1) / 2 {
                let committee = Committee::new(n, t, Passive::Allow).unwrap();
                let [one, other] = [1, 2].map(|party| PartyId::new(party).unwrap());
                let secrets = |wanted: &dyn Fn(PieceId) -> bool| -> Vec<PieceSecret> {
                    let pieces = committee.pieces().iter().copied();
                    let wanted = pieces.filter(|piece| wanted(*piece));
                    let secret = [0xff; 32];
                    wanted.map(|piece| PieceSecret { piece, secret }).collect()
                };
                let messages = [
                    Private::SeedShares {
                        session: SessionId::new([0xff; 32]),
                        shares: secrets(&|piece| piece.is_held_by(one) && piece.is_held_by(other)),
                    },
                    Private::Subseeds {
                        batch: Batch {
                            epoch: u32::MAX,
                            hospital: other,
                            number: u32::MAX,
                            polynomials: u16::MAX,
                        },
                        subseeds: secrets(&|piece| {
                            piece.is_held_by(one) && !piece.is_held_by(other)
                        }),
                    },
                ];
                for message in messages {
                    let Request::Private { bytes } = message.request().unwrap() else {
                        panic!("not private")
                    };
                    assert!(bytes.len() <= MAX_PRIVATE, "n={n} t={t}: {}", bytes.len());
                    codec::decode::<Private>(&bytes, MAX_PRIVATE).unwrap();
                    largest = largest.max(bytes.len());
                }
            }
        }
        assert!(
            largest > MAX_PRIVATE / 2,
            "the bound is far too large: {largest}"
        );
    }
}
