//! Gossip with a bound on how fast one peer may speak.
//!
//! libp2p's gossip remembers every message of the last seconds, however many come, and every topic that a peer names.
//! What a peer sends beyond its share, or about other topics, is dropped here, before it is remembered, and reported.

use std::collections::HashMap;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::gossipsub::{self, IdentTopic, WhitelistSubscriptionFilter};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::conduct::{Bucket, Fault};

type Inner = gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;
/// What a connection hears; libp2p exports no name for it.
type Heard = THandlerOutEvent<Inner>;

/// Control messages in one frame, and a second, beyond any that this program's gossip sends.
const MAX_CONTROL: usize = 64;
/// Bytes of statements: how many at once, and how many a second; those of the last seconds are remembered.
const BYTES: (f64, f64) = (16.0 * 1024.0 * 1024.0, 2.0 * 1024.0 * 1024.0);

struct Share {
    frames: Bucket,
    bytes: Bucket,
}

/// Gossipsub, metered.
pub(super) struct Gossip {
    pub(super) inner: Inner,
    topic: String,
    frames: (f64, f64),
    shares: HashMap<PeerId, Share>,
    faults: Vec<(PeerId, Fault)>,
}

impl Gossip {
    pub(super) fn new(inner: Inner, topic: &IdentTopic, frames: (f64, f64)) -> Self {
        Self {
            inner,
            topic: topic.hash().into_string(),
            frames,
            shares: HashMap::new(),
            faults: Vec::new(),
        }
    }

    /// Who spoke too fast or nonsense since this was asked last.
    pub(super) fn faults(&mut self) -> Vec<(PeerId, Fault)> {
        std::mem::take(&mut self.faults)
    }

    fn blame(&mut self, peer: PeerId, fault: Fault) {
        if !self.faults.contains(&(peer, fault)) {
            self.faults.push((peer, fault));
        }
    }

    /// What of a frame is passed on; nothing of one too many.
    fn meter(&mut self, peer: PeerId, event: Heard) -> Option<Heard> {
        let now = Instant::now();
        let Heard::Message {
            mut rpc,
            invalid_messages,
        } = event
        else {
            return Some(event);
        };
        if !invalid_messages.is_empty() {
            self.blame(peer, Fault::MalformedStatement);
        }
        let frames = self.frames;
        // Only members connect, so this map is as large as there were members. It outlives a connection: who
        // connects anew has no new share.
        let share = self.shares.entry(peer).or_insert_with(|| Share {
            frames: Bucket::new(frames, now),
            bytes: Bucket::new(BYTES, now),
        });
        let bytes: usize = rpc.messages.iter().map(|message| message.data.len()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a frame is at most 34 KiB")]
        let fits = share.frames.take(1.0, now)
            && share.bytes.take(bytes as f64, now)
            && rpc.control_msgs.len() <= MAX_CONTROL
            && rpc.subscriptions.len() <= MAX_CONTROL;
        if !fits {
            self.blame(peer, Fault::Gossip);
            return None;
        }
        // Gossipsub remembers for an hour whom a peer prunes from which topic, be there such a topic or not.
        rpc.control_msgs.retain(|action| {
            let words = format!("{action:?}");
            !words.starts_with("Prune") || words.contains(&self.topic)
        });
        Some(Heard::Message {
            rpc,
            invalid_messages,
        })
    }
}

impl NetworkBehaviour for Gossip {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = gossipsub::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner
            .handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if let Some(event) = self.meter(peer, event) {
            self.inner.on_connection_handler_event(peer, id, event);
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<gossipsub::Event, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}
