//! The task that owns the libp2p swarm.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::allow_block_list::{self, AllowedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{
    self, OutboundFailure, OutboundRequestId, ProtocolSupport, ResponseChannel,
};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, ListenError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, ping, tcp, yamux};
use organtwin_threshold::PartyId;
use tokio::sync::{mpsc, oneshot};

use super::codec::{FramedCodec, MAX_STATEMENT, Request, Response};
use super::{Command, NetEvent, PATIENCE, RequestError, Shared};
use crate::hospital::StartError;

/// Requests of one member answered at once.
const MAX_INBOUND: usize = 64;
/// Streams that one connection may hold open.
const MAX_STREAMS: usize = 256;
/// How often a member that is away is dialled.
const REDIAL: Duration = Duration::from_millis(700);
/// How often a silent connection is tried, and how long the answer may take: a machine whose cores all evaluate is slow.
const PING: Duration = Duration::from_secs(15);
const PING_PATIENCE: Duration = Duration::from_secs(45);
/// Connections between members are kept: an hour without a stream, and it is dialled anew.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(NetworkBehaviour)]
struct Behaviour {
    allowed: allow_block_list::Behaviour<AllowedPeers>,
    limits: connection_limits::Behaviour,
    gossip: gossipsub::Behaviour,
    ping: ping::Behaviour,
    requests: request_response::Behaviour<FramedCodec>,
}

type Answer = (PartyId, ResponseChannel<Response>, Response);

pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    topic: IdentTopic,
    parties: HashMap<PeerId, PartyId>,
    peers: BTreeMap<PartyId, PeerId>,
    asked: HashMap<OutboundRequestId, (PartyId, oneshot::Sender<Result<Response, RequestError>>)>,
    answering: FuturesUnordered<BoxFuture<'static, Answer>>,
    inbound: BTreeMap<PartyId, usize>,
    inbox: mpsc::UnboundedReceiver<Command>,
    outbox: mpsc::Sender<NetEvent>,
    shared: Arc<Mutex<Shared>>,
}

fn unusable(address: &str, what: &dyn std::fmt::Display) -> StartError {
    StartError::Listen {
        address: address.to_owned(),
        what: what.to_string(),
    }
}

impl Task {
    pub(super) fn new(
        keypair: Keypair,
        peers: Vec<(PartyId, PeerId)>,
        inbox: mpsc::UnboundedReceiver<Command>,
        outbox: mpsc::Sender<NetEvent>,
        shared: Arc<Mutex<Shared>>,
    ) -> Result<Self, StartError> {
        let failed = |what: String| unusable("the network", &what);
        let topic = topic(keypair.public().to_peer_id(), &peers);
        let mut behaviour = behaviour(&keypair, peers.len()).map_err(failed)?;
        behaviour
            .gossip
            .subscribe(&topic)
            .map_err(|error| failed(error.to_string()))?;
        for (_, peer) in &peers {
            behaviour.allowed.allow_peer(*peer);
        }
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(
                tcp::Config::default().nodelay(true),
                noise::Config::new,
                yamux::Config::default,
            )
            .map_err(|error| failed(error.to_string()))?
            .with_behaviour(|_| behaviour)
            .map_err(|error| failed(error.to_string()))?
            .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE))
            .build();
        Ok(Self {
            swarm,
            topic,
            parties: peers.iter().map(|(party, peer)| (*peer, *party)).collect(),
            peers: peers.into_iter().collect(),
            asked: HashMap::new(),
            answering: FuturesUnordered::new(),
            inbound: BTreeMap::new(),
            inbox,
            outbox,
            shared,
        })
    }

    /// Listens on every address and waits until each is bound.
    pub(super) async fn listen(&mut self, addresses: &[String]) -> Result<(), StartError> {
        for text in addresses {
            let address: Multiaddr = text
                .parse()
                .map_err(|error| unusable(text, &format!("no multiaddress: {error}")))?;
            let listener = self
                .swarm
                .listen_on(address)
                .map_err(|error| unusable(text, &error))?;
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr {
                        listener_id,
                        address,
                    } if listener_id == listener => {
                        self.note(|shared| shared.listen.push(address));
                        break;
                    }
                    SwarmEvent::ListenerClosed {
                        listener_id,
                        reason,
                        ..
                    } if listener_id == listener => {
                        let what = reason
                            .err()
                            .map_or_else(|| "closed".to_owned(), |error| error.to_string());
                        return Err(unusable(text, &what));
                    }
                    SwarmEvent::ListenerError { listener_id, error } if listener_id == listener => {
                        return Err(unusable(text, &error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn note<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        change(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn refused(&self, reason: &'static str) {
        tracing::warn!(reason, "refused");
        self.note(|shared| *shared.counters.entry(reason).or_insert(0) += 1);
    }

    fn sent(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.note(|shared| shared.bytes_sent = shared.bytes_sent.saturating_add(bytes));
    }

    pub(super) async fn run(mut self) {
        let mut redial = tokio::time::interval(REDIAL);
        redial.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event).await,
                command = self.inbox.recv() => match command {
                    Some(Command::Shutdown) | None => return,
                    Some(command) => self.on_command(command),
                },
                Some((party, channel, response)) = self.answering.next() => {
                    if let Some(count) = self.inbound.get_mut(&party) {
                        *count = count.saturating_sub(1);
                    }
                    self.answer(channel, response);
                }
                _ = redial.tick() => self.dial_absent(),
            }
        }
    }

    fn answer(&mut self, channel: ResponseChannel<Response>, response: Response) {
        self.sent(response.payload());
        let _ = self
            .swarm
            .behaviour_mut()
            .requests
            .send_response(channel, response);
    }

    fn dial_absent(&mut self) {
        let known = self.note(|shared| shared.addresses.clone());
        for (party, address) in known {
            let Some(peer) = self.peers.get(&party) else {
                continue;
            };
            if !self.swarm.is_connected(peer) {
                let options = DialOpts::peer_id(*peer)
                    .addresses(vec![address])
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .build();
                let _ = self.swarm.dial(options);
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish(bytes) => {
                let size = bytes.len();
                let topic = self.topic.hash();
                // Without a subscriber there is nobody to tell; who comes later asks for what is missing.
                if self
                    .swarm
                    .behaviour_mut()
                    .gossip
                    .publish(topic, bytes)
                    .is_ok()
                {
                    let peers = self.note(|shared| shared.connected.len());
                    self.sent(size.saturating_mul(peers));
                }
            }
            Command::Request { to, request, reply } => match self.peers.get(&to).copied() {
                Some(peer) if self.swarm.is_connected(&peer) => {
                    self.sent(request.payload());
                    let id = self
                        .swarm
                        .behaviour_mut()
                        .requests
                        .send_request(&peer, request);
                    self.asked.insert(id, (to, reply));
                }
                _ => drop(reply.send(Err(RequestError::NotConnected(to)))),
            },
            Command::Dial { party, mut address } => {
                // The roster, not the address, says which key answers there.
                if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
                    address.pop();
                }
                if self.peers.contains_key(&party) {
                    self.note(|shared| shared.addresses.insert(party, address));
                    self.dial_absent();
                }
            }
            Command::Shutdown => {}
        }
    }

    async fn tell(&mut self, event: NetEvent) {
        let _ = self.outbox.send(event).await;
    }

    async fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                num_established,
                ..
            } => {
                if let Some(party) = self.parties.get(&peer_id).copied()
                    && num_established.get() == 1
                {
                    self.note(|shared| shared.connected.insert(party));
                    self.tell(NetEvent::Connected(party)).await;
                }
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => {
                if let Some(party) = self.parties.get(&peer_id).copied() {
                    self.note(|shared| shared.connected.remove(&party));
                    self.tell(NetEvent::Disconnected(party)).await;
                }
            }
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { .. },
                ..
            } => {
                self.refused("a connection from a peer that is not on the roster, or one too many");
            }
            SwarmEvent::OutgoingConnectionError {
                error: DialError::WrongPeerId { .. },
                ..
            } => {
                self.refused("another key than the roster's answered at a member's address");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message,
                ..
            })) => {
                if let Some(from) = self.parties.get(&propagation_source).copied() {
                    self.tell(NetEvent::Gossip {
                        from,
                        bytes: message.data,
                    })
                    .await;
                }
            }
            // A member that vanished without a word: dialled anew from now on.
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                connection,
                result: Err(ping::Failure::Timeout | ping::Failure::Other { .. }),
                ..
            })) => {
                self.swarm.close_connection(connection);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Requests(event)) => {
                self.on_request_event(event).await;
            }
            _ => {}
        }
    }

    async fn on_request_event(&mut self, event: request_response::Event<Request, Response>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Response {
                    request_id,
                    response,
                } => {
                    if let Some((_, reply)) = self.asked.remove(&request_id) {
                        let _ = reply.send(Ok(response));
                    }
                }
                request_response::Message::Request {
                    request, channel, ..
                } => {
                    let Some(from) = self.parties.get(&peer).copied() else {
                        return;
                    };
                    self.on_request(from, request, channel).await;
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                if let Some((party, reply)) = self.asked.remove(&request_id) {
                    let failed = match error {
                        OutboundFailure::Timeout => RequestError::Timeout(party),
                        OutboundFailure::DialFailure => RequestError::NotConnected(party),
                        _ => RequestError::Broken(party),
                    };
                    let _ = reply.send(Err(failed));
                }
            }
            request_response::Event::InboundFailure {
                error: request_response::InboundFailure::Io(_),
                ..
            } => {
                self.refused("a request that is malformed, too large or cut short");
            }
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }

    async fn on_request(
        &mut self,
        from: PartyId,
        request: Request,
        channel: ResponseChannel<Response>,
    ) {
        let count = self.inbound.entry(from).or_insert(0);
        if *count >= MAX_INBOUND {
            self.answer(channel, Response::Unavailable);
            self.refused("more requests at once than a member may have");
            return;
        }
        *count += 1;
        let (reply, answer) = oneshot::channel();
        self.tell(NetEvent::Request {
            from,
            request,
            reply,
        })
        .await;
        self.answering.push(Box::pin(async move {
            (from, channel, answer.await.unwrap_or(Response::Unavailable))
        }));
    }
}

/// One topic per consortium: nodes of others are not understood.
fn topic(own: PeerId, peers: &[(PartyId, PeerId)]) -> IdentTopic {
    let mut members: Vec<Vec<u8>> = peers.iter().map(|(_, peer)| peer.to_bytes()).collect();
    members.push(own.to_bytes());
    members.sort();
    let mut hash = blake3::Hasher::new_derive_key("organtwin/1 gossip topic of a consortium");
    for member in members {
        hash.update(&member);
    }
    IdentTopic::new(format!("organtwin/1/{}", hash.finalize().to_hex()))
}

fn behaviour(keypair: &Keypair, members: usize) -> Result<Behaviour, String> {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(32))
        .with_max_pending_outgoing(Some(32))
        .with_max_established_per_peer(Some(2))
        .with_max_established(Some(members.saturating_mul(2)));
    let gossip = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .max_transmit_size(MAX_STATEMENT + 1024)
        .flood_publish(true)
        .message_id_fn(|message: &gossipsub::Message| {
            gossipsub::MessageId::from(blake3::hash(&message.data).as_bytes().to_vec())
        })
        .build()
        .map_err(|error| error.to_string())?;
    let requests = request_response::Config::default()
        .with_request_timeout(PATIENCE)
        .with_max_concurrent_streams(MAX_STREAMS);
    let protocols = [(StreamProtocol::new("/organtwin/1"), ProtocolSupport::Full)];
    Ok(Behaviour {
        allowed: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(limits),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING)
                .with_timeout(PING_PATIENCE),
        ),
        gossip: gossipsub::Behaviour::new(MessageAuthenticity::Signed(keypair.clone()), gossip)
            .map_err(str::to_owned)?,
        requests: request_response::Behaviour::with_codec(FramedCodec, protocols, requests),
    })
}
