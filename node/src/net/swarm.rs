//! The task that owns the libp2p swarm.

mod inbound;
mod outbound;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::Transport as _;
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{
    self, IdentTopic, MessageAcceptance, MessageAuthenticity, ValidationMode,
    WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionError, DialError, ListenError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, ping, tcp};
use organtwin_threshold::PartyId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::inbound::Inbound;
use self::outbound::Outbound;
use super::codec::{FramedCodec, MAX_STATEMENT};
use super::conduct::{
    Bucket, Conduct, Fault, Limits, MAX_HANDSHAKES, MAX_PEER_STREAMS, MAX_UNDER_WAY,
};
use super::gossip::Gossip;
use super::guard::{Guard, Refused};
use super::{Command, NetEvent, Shared, Verdict, mux};
use crate::hospital::StartError;
use crate::quiet::Quiet;

/// Workers of one connection: the requests both ways, and some that are just over.
const MAX_WORKERS: usize = MAX_PEER_STREAMS + MAX_UNDER_WAY + 16;
/// Most members of a consortium.
const MAX_MEMBERS: u32 = 16;
/// How often a member that is away is dialled.
const REDIAL: Duration = Duration::from_millis(700);
/// How often requests that had to wait are looked at.
const TURN: Duration = Duration::from_millis(100);
/// How often a silent connection is tried, and how long the answer may take: a machine whose cores all evaluate is slow.
const PING: Duration = Duration::from_secs(15);
const PING_PATIENCE: Duration = Duration::from_secs(45);
/// Connections between members are kept: an hour without a stream, and it is dialled anew.
const IDLE: Duration = Duration::from_secs(3600);
/// Gossip that this node sends, own and passed on: at once, and a second. What is beyond is fetched by who lacks it,
/// so that no honest node comes near what its peers allow.
const SPEECH: (f64, f64) = (400.0, 100.0);
/// Gossip frames that wait for a peer that reads slowly; what is beyond is dropped, and fetched later.
const MAX_QUEUE: usize = 512;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    guard: Guard,
    limits: connection_limits::Behaviour,
    gossip: Gossip,
    ping: ping::Behaviour,
    requests: request_response::Behaviour<FramedCodec>,
}

/// The task's ends of its channels.
pub(super) struct Ends {
    pub(super) inbox: mpsc::UnboundedReceiver<Command>,
    pub(super) outbox: mpsc::Sender<NetEvent>,
    pub(super) shared: Arc<Mutex<Shared>>,
}

pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    topic: IdentTopic,
    peers: BTreeMap<PartyId, PeerId>,
    limits: Limits,
    conduct: HashMap<PeerId, Conduct>,
    speech: Bucket,
    inbound: Inbound,
    outbound: Outbound,
    ends: Ends,
    quiet: Quiet,
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
        consortium: &[u8; 32],
        peers: Vec<(PartyId, PeerId)>,
        limits: Limits,
        ends: Ends,
    ) -> Result<Self, StartError> {
        let failed = |what: String| unusable("the network", &what);
        let topic = topic(consortium);
        let mut behaviour = behaviour(&keypair, &topic, &limits).map_err(failed)?;
        behaviour
            .gossip
            .inner
            .subscribe(&topic)
            .map_err(|error| failed(error.to_string()))?;
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_other_transport(|keypair| {
                let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
                let noise = noise::Config::new(keypair)?;
                let secured = tcp.upgrade(Version::V1Lazy).authenticate(noise);
                Ok::<_, Box<dyn Error + Send + Sync>>(
                    secured.multiplex(mux::Bounded).timeout(limits.handshake),
                )
            })
            .map_err(|error| failed(error.to_string()))?
            .with_behaviour(|_| behaviour)
            .map_err(|error| failed(error.to_string()))?
            .with_swarm_config(|swarm| {
                swarm
                    .with_idle_connection_timeout(IDLE)
                    // Above what the multiplexer lets a peer open, so that it is asked and can refuse.
                    .with_max_negotiating_inbound_streams(MAX_PEER_STREAMS + 16)
            })
            .with_connection_timeout(limits.handshake)
            .build();
        let mut task = Self {
            swarm,
            topic,
            peers: BTreeMap::new(),
            limits,
            conduct: HashMap::new(),
            speech: Bucket::new(SPEECH, Instant::now()),
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            ends,
            quiet: Quiet::default(),
        };
        task.set_members(peers);
        Ok(task)
    }

    fn set_members(&mut self, members: Vec<(PartyId, PeerId)>) {
        let by_peer: HashMap<PeerId, PartyId> = members
            .iter()
            .map(|(party, peer)| (*peer, *party))
            .collect();
        let gone = self.swarm.behaviour_mut().guard.set_members(by_peer);
        for peer in gone {
            let left = self.peers.iter().find(|(_, known)| **known == peer);
            if let Some(party) = left.map(|(party, _)| *party) {
                self.note(|shared| shared.connected.remove(&party));
                self.outbound.forget(party);
            }
            self.conduct.remove(&peer);
            self.inbound.forget(&peer);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.peers = members.into_iter().collect();
    }

    fn party(&self, peer: &PeerId) -> Option<PartyId> {
        self.swarm.behaviour().guard.party(peer)
    }

    fn conduct(&mut self, peer: PeerId) -> &mut Conduct {
        let limits = self.limits;
        self.conduct
            .entry(peer)
            .or_insert_with(|| Conduct::new(limits, Instant::now()))
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
        change(
            &mut self
                .ends
                .shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn refused(&mut self, reason: &'static str) {
        if let Some(left_out) = self.quiet.speak(reason, Instant::now()) {
            tracing::warn!(reason, left_out, "refused");
        }
        self.note(|shared| *shared.counters.entry(reason).or_insert(0) += 1);
    }

    /// Notes a member's fault, and cuts it off where it was one too many.
    async fn blame(&mut self, peer: PeerId, fault: Fault) {
        let Some(party) = self.party(&peer) else {
            return;
        };
        self.note(|shared| *shared.counters.entry(fault.what()).or_insert(0) += 1);
        let now = Instant::now();
        let Some(time) = self.conduct(peer).fault(fault, now) else {
            return;
        };
        // Bans grow, so these lines become rare by themselves.
        tracing::warn!(%party, seconds = time.as_secs(), "cut off: it {}", fault.what());
        self.swarm.behaviour_mut().guard.cut_off(peer, now + time);
        self.inbound.forget(&peer);
        let _ = self.swarm.disconnect_peer_id(peer);
        self.tell(NetEvent::CutOff { party, fault, time }).await;
    }

    fn sent(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.note(|shared| shared.bytes_sent = shared.bytes_sent.saturating_add(bytes));
    }

    pub(super) async fn run(mut self) {
        let mut redial = tokio::time::interval(REDIAL);
        redial.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut turn = tokio::time::interval(TURN);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event).await,
                command = self.ends.inbox.recv() => match command {
                    Some(Command::Shutdown) | None => return,
                    Some(command) => self.on_command(command).await,
                },
                Some(answer) = self.inbound.answered() => self.answer(answer),
                _ = redial.tick() => self.dial_absent(),
                _ = turn.tick() => self.take_turns().await,
            }
            for (peer, fault) in self.swarm.behaviour_mut().gossip.faults() {
                self.blame(peer, fault).await;
            }
        }
    }

    fn dial_absent(&mut self) {
        let known = self.note(|shared| shared.addresses.clone());
        for (party, address) in known {
            let Some(peer) = self.peers.get(&party) else {
                continue;
            };
            if !self.swarm.is_connected(peer) && !self.swarm.behaviour().guard.is_cut_off(peer) {
                let options = DialOpts::peer_id(*peer)
                    .addresses(vec![address])
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .build();
                let _ = self.swarm.dial(options);
            }
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish(bytes) => self.publish(bytes),
            Command::Judge(ticket, verdict) => {
                let speaks = verdict == Verdict::PassOn && self.speech.take(1.0, Instant::now());
                let acceptance = match verdict {
                    Verdict::PassOn if speaks => MessageAcceptance::Accept,
                    Verdict::PassOn | Verdict::Keep => MessageAcceptance::Ignore,
                    Verdict::Blame(_) => MessageAcceptance::Reject,
                };
                self.swarm
                    .behaviour_mut()
                    .gossip
                    .inner
                    .report_message_validation_result(&ticket.id, &ticket.source, acceptance);
                if let Verdict::Blame(fault) = verdict {
                    self.blame(ticket.source, fault).await;
                }
            }
            Command::Blame(party, fault) => {
                if let Some(peer) = self.peers.get(&party).copied() {
                    self.blame(peer, fault).await;
                }
            }
            Command::Members(members) => self.set_members(members),
            Command::Request { to, request, reply } => self.ask(to, request, reply),
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

    /// Without a subscriber there is nobody to tell, and beyond its share this node is silent: who lacks a statement
    /// asks for it.
    fn publish(&mut self, bytes: Vec<u8>) {
        if !self.speech.take(1.0, Instant::now()) {
            return;
        }
        let size = bytes.len();
        let topic = self.topic.hash();
        let gossip = &mut self.swarm.behaviour_mut().gossip.inner;
        if gossip.publish(topic, bytes).is_ok() {
            let peers = self.note(|shared| shared.connected.len());
            self.sent(size.saturating_mul(peers));
        }
    }

    async fn tell(&mut self, event: NetEvent) {
        let _ = self.ends.outbox.send(event).await;
    }

    async fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                num_established,
                ..
            } => {
                if let Some(party) = self.party(&peer_id)
                    && num_established.get() == 1
                {
                    self.note(|shared| shared.connected.insert(party));
                    self.tell(NetEvent::Connected(party)).await;
                }
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established,
                cause,
                ..
            } => {
                if num_established == 0
                    && let Some(party) = self.party(&peer_id)
                {
                    self.note(|shared| shared.connected.remove(&party));
                    self.outbound.forget(party);
                    self.tell(NetEvent::Disconnected(party)).await;
                }
                if let Some(ConnectionError::IO(error)) = cause
                    && mux::too_many_streams(&error)
                {
                    self.blame(peer_id, Fault::Streams).await;
                }
            }
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { cause },
                ..
            } => {
                let refused = cause.downcast::<Refused>().ok();
                self.refused(refused.map_or("one connection too many", Refused::what));
            }
            SwarmEvent::OutgoingConnectionError {
                error: DialError::WrongPeerId { .. },
                ..
            } => {
                self.refused("another key than the roster's answered at a member's address");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => {
                if let Some(from) = self.party(&propagation_source) {
                    self.tell(NetEvent::Gossip {
                        from,
                        bytes: message.data,
                        ticket: super::Ticket {
                            id: message_id,
                            source: propagation_source,
                        },
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
}

/// One topic per consortium: nodes of others are not understood.
fn topic(consortium: &[u8; 32]) -> IdentTopic {
    let name = blake3::derive_key("organtwin/1 gossip topic of a consortium", consortium);
    IdentTopic::new(format!("organtwin/1/{}", hex::encode(name)))
}

fn behaviour(keypair: &Keypair, topic: &IdentTopic, limits: &Limits) -> Result<Behaviour, String> {
    // Two, since both sides may dial at once.
    let connections = ConnectionLimits::default()
        .with_max_pending_incoming(u32::try_from(MAX_HANDSHAKES).ok())
        .with_max_pending_outgoing(Some(MAX_MEMBERS * 2))
        .with_max_established_per_peer(Some(2))
        .with_max_established(Some(MAX_MEMBERS * 2));
    let gossip = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(MAX_STATEMENT + 1024)
        .max_messages_per_rpc(Some(64))
        .max_ihave_length(512)
        .connection_handler_queue_len(MAX_QUEUE)
        // Every statement fits this: nobody is told what not to send, which would be a message for every message.
        .idontwant_message_size_threshold(2 * MAX_STATEMENT)
        .flood_publish(true)
        .message_id_fn(|message: &gossipsub::Message| {
            gossipsub::MessageId::from(blake3::hash(&message.data).as_bytes().to_vec())
        })
        .build()
        .map_err(|error| error.to_string())?;
    let topics = WhitelistSubscriptionFilter([topic.hash()].into());
    let author = MessageAuthenticity::Signed(keypair.clone());
    let gossip = gossipsub::Behaviour::new_with_subscription_filter(author, gossip, topics)
        .map_err(str::to_owned)?;
    let requests = request_response::Config::default()
        .with_request_timeout(limits.patience)
        .with_max_concurrent_streams(MAX_WORKERS);
    let protocols = [(StreamProtocol::new("/organtwin/1"), ProtocolSupport::Full)];
    let codec = FramedCodec {
        arrival: limits.arrival,
    };
    Ok(Behaviour {
        guard: Guard::default(),
        limits: connection_limits::Behaviour::new(connections),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING)
                .with_timeout(PING_PATIENCE),
        ),
        gossip: Gossip::new(gossip, topic, limits.gossip),
        requests: request_response::Behaviour::with_codec(codec, protocols, requests),
    })
}
