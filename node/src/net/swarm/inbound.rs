//! Peers' requests. One counts as under way until its answer has been read or given up, so that answers that nobody
//! reads do not pile up.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use libp2p::request_response::{
    self, InboundFailure, InboundRequestId, OutboundFailure, ResponseChannel,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Task;
use crate::net::codec::Incoming;
use crate::net::conduct::{Fault, MAX_UNDER_WAY, Turn};
use crate::net::{NetEvent, Request, RequestError, Response};

/// An answer that waited for this part of the patience and was not read was not meant to be.
const READING: f64 = 0.5;

/// An answer, computed.
pub(super) struct Answer {
    peer: PeerId,
    id: InboundRequestId,
    channel: ResponseChannel<Response>,
    response: Response,
}

/// A peer's requests under way.
#[derive(Default)]
struct UnderWay {
    /// When each was answered, if it was.
    requests: HashMap<InboundRequestId, Option<Instant>>,
    /// Those that came too fast, in order.
    waiting: VecDeque<(InboundRequestId, Request, ResponseChannel<Response>)>,
}

/// All peers' requests under way.
#[derive(Default)]
pub(super) struct Inbound {
    peers: HashMap<PeerId, UnderWay>,
    answering: FuturesUnordered<BoxFuture<'static, Answer>>,
}

impl Inbound {
    /// The next answer that is ready.
    pub(super) async fn answered(&mut self) -> Option<Answer> {
        self.answering.next().await
    }

    /// Forgets a peer's requests; the answers to those being computed go nowhere.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    fn over(&mut self, peer: &PeerId, id: InboundRequestId) -> Option<Option<Instant>> {
        let known = self.peers.get_mut(peer)?;
        known.waiting.retain(|(waiting, _, _)| *waiting != id);
        known.requests.remove(&id)
    }
}

impl Task {
    pub(super) async fn on_request_event(
        &mut self,
        event: request_response::Event<Incoming, Response>,
    ) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Response {
                    request_id,
                    response,
                } => self.over(request_id, |_| Ok(response)),
                request_response::Message::Request {
                    request_id,
                    request: Incoming::Request(request),
                    channel,
                } => self.on_request(peer, request_id, request, channel).await,
                request_response::Message::Request {
                    request: Incoming::Nonsense(fault),
                    ..
                } => self.blame(peer, fault).await,
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => self.over(request_id, |party| {
                Err(match error {
                    OutboundFailure::Timeout => RequestError::Timeout(party),
                    OutboundFailure::DialFailure => RequestError::NotConnected(party),
                    _ => RequestError::Broken(party),
                })
            }),
            request_response::Event::InboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let answered = self.inbound.over(&peer, request_id);
                if let Some(fault) = self.fault_of(&error, answered) {
                    self.blame(peer, fault).await;
                }
            }
            request_response::Event::ResponseSent {
                peer, request_id, ..
            } => drop(self.inbound.over(&peer, request_id)),
        }
    }

    /// Whose fault it is that an answer did not arrive, if it is the peer's.
    fn fault_of(&self, error: &InboundFailure, answered: Option<Option<Instant>>) -> Option<Fault> {
        // If this node itself was slow to answer, nobody is to blame.
        let (InboundFailure::Timeout, Some(Some(at))) = (error, answered) else {
            return None;
        };
        let reading: Duration = self.limits.patience.mul_f64(READING);
        (at.elapsed() >= reading).then_some(Fault::UnreadAnswer)
    }

    async fn on_request(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: Request,
        channel: ResponseChannel<Response>,
    ) {
        if self.party(&peer).is_none() || self.swarm.behaviour().guard.is_cut_off(&peer) {
            return;
        }
        let known = self.inbound.peers.entry(peer).or_default();
        if known.requests.len() >= MAX_UNDER_WAY {
            // The channel is dropped: nothing is kept.
            return self.blame(peer, Fault::Requests).await;
        }
        known.requests.insert(id, None);
        let queued = !known.waiting.is_empty();
        let now = Instant::now();
        if queued || self.conduct(peer).turn(now) == Turn::Later {
            let known = self.inbound.peers.entry(peer).or_default();
            known.waiting.push_back((id, request, channel));
            return;
        }
        self.hand_in(peer, id, request, channel).await;
    }

    /// Hands a request to the loop.
    async fn hand_in(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: Request,
        channel: ResponseChannel<Response>,
    ) {
        let Some(from) = self.party(&peer) else {
            return;
        };
        let (reply, answer) = oneshot::channel();
        self.tell(NetEvent::Request {
            from,
            request,
            reply,
        })
        .await;
        self.inbound.answering.push(Box::pin(async move {
            Answer {
                peer,
                id,
                channel,
                response: answer.await.unwrap_or(Response::Unavailable),
            }
        }));
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        let now = Instant::now();
        let known = self.inbound.peers.get_mut(&answer.peer);
        let Some(at) = known.and_then(|known| known.requests.get_mut(&answer.id)) else {
            return;
        };
        *at = Some(now);
        let bytes = answer.response.payload();
        self.sent(bytes);
        self.conduct(answer.peer).answered(bytes, now);
        let requests = &mut self.swarm.behaviour_mut().requests;
        let _ = requests.send_response(answer.channel, answer.response);
    }

    /// Serves requests that had to wait, and cuts off who asks for too much for too long.
    pub(super) async fn take_turns(&mut self) {
        let waiting: Vec<PeerId> = self
            .inbound
            .peers
            .iter()
            .filter(|(_, known)| !known.waiting.is_empty())
            .map(|(peer, _)| *peer)
            .collect();
        let now = Instant::now();
        for peer in waiting {
            while let Some(known) = self.inbound.peers.get(&peer) {
                if known.waiting.is_empty() {
                    self.conduct(peer).content();
                    break;
                }
                if self.conduct(peer).turn(now) == Turn::Later {
                    break;
                }
                let known = self.inbound.peers.get_mut(&peer);
                if let Some((id, request, channel)) =
                    known.and_then(|known| known.waiting.pop_front())
                {
                    self.hand_in(peer, id, request, channel).await;
                }
            }
            if self.conduct(peer).insists(now) {
                self.blame(peer, Fault::Insistence).await;
            }
        }
    }
}
