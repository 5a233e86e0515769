//! The consortium's network: libp2p over TCP with Noise and Yamux, between members of the roster only.
//!
//! Statements spread by gossip and are fetched by feed position; blobs, ceremony chunks and private messages are
//! requests with an answer. Everything has a bound: message sizes, streams, requests under way, connections, and how
//! fast a member may speak and ask. Who goes beyond is cut off for a time that grows ([`Fault`] says for what).

pub mod codec;
mod conduct;
mod gossip;
mod guard;
mod mux;
mod swarm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, gossipsub};
use organtwin_threshold::PartyId;
use tokio::sync::{mpsc, oneshot};

use crate::hospital::StartError;

pub use codec::{Request, Response};
pub(crate) use conduct::Bucket;
pub use conduct::Fault;
use conduct::Limits;

/// Longest that an answer may take: a chunk of a ceremony is computed when it is asked for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events waiting for the loop; what comes then waits in the network's own bounded queues.
const EVENTS: usize = 256;

/// What the network tells the loop.
#[derive(Debug)]
pub enum NetEvent {
    /// A member is connected.
    Connected(PartyId),
    /// The last connection to a member is gone.
    Disconnected(PartyId),
    /// A statement arrived by gossip.
    Gossip {
        /// The member it was received from; its author may be another.
        from: PartyId,
        /// The encoded signed statement.
        bytes: Vec<u8>,
        /// For [`Network::judge`].
        ticket: Ticket,
    },
    /// A member was cut off for its conduct.
    CutOff {
        /// The member.
        party: PartyId,
        /// What it did last.
        fault: Fault,
        /// For how long.
        time: Duration,
    },
    /// A member asks for something.
    Request {
        /// The member.
        from: PartyId,
        /// What is asked.
        request: Request,
        /// Where the answer goes; dropping it answers [`Response::Unavailable`].
        reply: oneshot::Sender<Response>,
    },
}

/// A statement that came by gossip and is not judged yet.
#[derive(Debug, Clone)]
pub struct Ticket {
    id: gossipsub::MessageId,
    source: PeerId,
}

/// What is to become of a statement that came by gossip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is passed on.
    PassOn,
    /// It is not passed on.
    Keep,
    /// It is not passed on, and its sender should have known better: an honest node passes on only what it judged.
    Blame(Fault),
}

/// Why a request brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The member is not connected.
    #[error("party {0} is not connected")]
    NotConnected(PartyId),
    /// The member did not answer in time.
    #[error("party {0} did not answer in time")]
    Timeout(PartyId),
    /// The connection broke, or the member does not speak this protocol.
    #[error("the connection to party {0} broke during a request")]
    Broken(PartyId),
    /// Too many requests to the member wait already.
    #[error("too many requests to party {0} wait already")]
    Busy(PartyId),
    /// The network is shutting down.
    #[error("the network has stopped")]
    Stopped,
}

enum Command {
    Publish(Vec<u8>),
    Judge(Ticket, Verdict),
    Blame(PartyId, Fault),
    Members(Vec<(PartyId, PeerId)>),
    Request {
        to: PartyId,
        request: Request,
        reply: oneshot::Sender<Result<Response, RequestError>>,
    },
    Dial {
        party: PartyId,
        address: Multiaddr,
    },
    Shutdown,
}

/// What can be asked without asking the task.
#[derive(Debug, Default)]
struct Shared {
    listen: Vec<Multiaddr>,
    connected: BTreeSet<PartyId>,
    addresses: BTreeMap<PartyId, Multiaddr>,
    counters: BTreeMap<&'static str, u64>,
    bytes_sent: u64,
}

/// The loop's hold on the network task. Cheap to clone; the task ends with the last of them.
#[derive(Clone)]
pub struct Network {
    own: PeerId,
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<Mutex<Shared>>,
}

/// Starts the network of one node: listens, and from then on dials the members whose address is known.
///
/// `consortium` names the consortium for its whole life: nodes of others are not understood.
///
/// # Errors
/// [`StartError::Listen`] names the address that is unusable or taken.
pub async fn start(
    keypair: Keypair,
    listen: &[String],
    consortium: &[u8; 32],
    peers: Vec<(PartyId, PeerId)>,
) -> Result<(Network, mpsc::Receiver<NetEvent>), StartError> {
    start_with(keypair, listen, consortium, peers, Limits::default()).await
}

async fn start_with(
    keypair: Keypair,
    listen: &[String],
    consortium: &[u8; 32],
    peers: Vec<(PartyId, PeerId)>,
    limits: Limits,
) -> Result<(Network, mpsc::Receiver<NetEvent>), StartError> {
    let own = keypair.public().to_peer_id();
    let (commands, inbox) = mpsc::unbounded_channel();
    let (outbox, events) = mpsc::channel(EVENTS);
    let shared = Arc::new(Mutex::new(Shared::default()));
    let ends = swarm::Ends {
        inbox,
        outbox,
        shared: shared.clone(),
    };
    let mut task = swarm::Task::new(keypair, consortium, peers, limits, ends)?;
    task.listen(listen).await?;
    tokio::spawn(task.run());
    Ok((
        Network {
            own,
            commands,
            shared,
        },
        events,
    ))
}

impl Network {
    fn look<T>(&self, at: impl FnOnce(&Shared) -> T) -> T {
        at(&self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it listens, each with this node's peer id.
    pub fn listen(&self) -> Vec<String> {
        self.look(|shared| {
            shared
                .listen
                .iter()
                .map(|address| format!("{address}/p2p/{}", self.own))
                .collect()
        })
    }

    /// Notes where a member listens (a multiaddress, with or without `/p2p/PEER`) and dials it until it is there.
    ///
    /// # Errors
    /// What is wrong with the address. Whether anyone answers there shows in [`Network::connected`].
    pub fn dial(&self, party: PartyId, address: &str) -> Result<(), String> {
        let address: Multiaddr = address
            .parse()
            .map_err(|error| format!("'{address}' is no multiaddress: {error}"))?;
        self.commands
            .send(Command::Dial { party, address })
            .map_err(|_| "the network has stopped".to_owned())
    }

    /// Spreads an encoded signed statement.
    pub fn publish(&self, statement: Vec<u8>) {
        let _ = self.commands.send(Command::Publish(statement));
    }

    /// Says what is to become of a statement that came by gossip.
    pub fn judge(&self, ticket: Ticket, verdict: Verdict) {
        let _ = self.commands.send(Command::Judge(ticket, verdict));
    }

    /// Counts a fault against a member; it is cut off where it is one too many.
    pub fn blame(&self, party: PartyId, fault: Fault) {
        let _ = self.commands.send(Command::Blame(party, fault));
    }

    /// Replaces the members that may connect; who is none any more is disconnected.
    pub fn set_members(&self, members: Vec<(PartyId, PeerId)>) {
        let _ = self.commands.send(Command::Members(members));
    }

    /// Asks a member. At most 32 requests to one are under way; the others wait for their turn.
    ///
    /// # Errors
    /// [`RequestError`] when there is no answer.
    pub async fn request(&self, to: PartyId, request: Request) -> Result<Response, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Request { to, request, reply })
            .map_err(|_| RequestError::Stopped)?;
        answer.await.map_err(|_| RequestError::Stopped)?
    }

    /// The members connected now.
    pub fn connected(&self) -> BTreeSet<PartyId> {
        self.look(|shared| shared.connected.clone())
    }

    /// The known addresses of a member.
    pub fn addresses(&self, party: PartyId) -> Vec<String> {
        self.look(|shared| {
            shared
                .addresses
                .get(&party)
                .map(Multiaddr::to_string)
                .into_iter()
                .collect()
        })
    }

    /// What was refused since start, by reason.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.look(|shared| {
            shared
                .counters
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect()
        })
    }

    /// Payload bytes of requests, answers and gossip sent since start.
    pub fn bytes_sent(&self) -> u64 {
        self.look(|shared| shared.bytes_sent)
    }

    /// Closes all connections and ends the task.
    pub fn shutdown(&self) {
        let _ = self.commands.send(Command::Shutdown);
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
