//! Own requests: a few under way to each member, the others wait in order.

use std::collections::{BTreeMap, HashMap, VecDeque};

use libp2p::request_response::OutboundRequestId;
use organtwin_threshold::PartyId;
use tokio::sync::oneshot;

use super::Task;
use crate::net::codec::Incoming;
use crate::net::conduct::{MAX_UNDER_WAY, MAX_WAITING};
use crate::net::{Request, RequestError, Response};

type Reply = oneshot::Sender<Result<Response, RequestError>>;

/// What was asked and what is still to be.
#[derive(Default)]
pub(super) struct Outbound {
    asked: HashMap<OutboundRequestId, (PartyId, Reply)>,
    under_way: BTreeMap<PartyId, usize>,
    waiting: BTreeMap<PartyId, VecDeque<(Request, Reply)>>,
}

impl Outbound {
    /// A member is gone: what waits for it has no answer. What is under way fails by itself.
    pub(super) fn forget(&mut self, party: PartyId) {
        for (_, reply) in self.waiting.remove(&party).unwrap_or_default() {
            let _ = reply.send(Err(RequestError::NotConnected(party)));
        }
    }
}

impl Task {
    pub(super) fn ask(&mut self, to: PartyId, request: Request, reply: Reply) {
        let connected = self
            .peers
            .get(&to)
            .is_some_and(|peer| self.swarm.is_connected(peer));
        if !connected {
            let _ = reply.send(Err(RequestError::NotConnected(to)));
            return;
        }
        let waiting = self.outbound.waiting.entry(to).or_default();
        if waiting.len() >= MAX_WAITING {
            let _ = reply.send(Err(RequestError::Busy(to)));
            return;
        }
        waiting.push_back((request, reply));
        self.ask_next(to);
    }

    fn ask_next(&mut self, to: PartyId) {
        let Some(peer) = self.peers.get(&to).copied() else {
            return self.outbound.forget(to);
        };
        while self.outbound.under_way.get(&to).copied().unwrap_or(0) < MAX_UNDER_WAY {
            let next = self
                .outbound
                .waiting
                .get_mut(&to)
                .and_then(VecDeque::pop_front);
            let Some((request, reply)) = next else {
                return;
            };
            if reply.is_closed() {
                continue;
            }
            self.sent(request.payload());
            let requests = &mut self.swarm.behaviour_mut().requests;
            let id = requests.send_request(&peer, Incoming::Request(request));
            self.outbound.asked.insert(id, (to, reply));
            *self.outbound.under_way.entry(to).or_insert(0) += 1;
        }
    }

    /// A request is over.
    pub(super) fn over(
        &mut self,
        id: OutboundRequestId,
        outcome: impl FnOnce(PartyId) -> Result<Response, RequestError>,
    ) {
        let Some((party, reply)) = self.outbound.asked.remove(&id) else {
            return;
        };
        let _ = reply.send(outcome(party));
        if let Some(under_way) = self.outbound.under_way.get_mut(&party) {
            *under_way = under_way.saturating_sub(1);
        }
        self.ask_next(party);
    }
}
