//! Who may connect: members of the roster that are not cut off, and not too many at once from anywhere.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use organtwin_threshold::PartyId;
use tokio::time::Instant;

use super::conduct::{Bucket, MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS};

/// Handshakes that one address may begin: at once, and a second. All nodes of a demo share one address.
const HANDSHAKES: (f64, f64) = (256.0, 8.0);
/// Addresses that are remembered.
const MAX_ADDRESSES: usize = 1024;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The peer is no member.
    Stranger,
    /// The peer is cut off.
    CutOff,
    /// Too many handshakes are under way, or were begun from the address.
    Handshakes,
}

impl Refused {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Stranger => "a connection from a peer that is not on the roster",
            Self::CutOff => "a connection from a member that is cut off for its conduct",
            Self::Handshakes => "a connection from an address that begins too many",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl std::error::Error for Refused {}

/// The door.
#[derive(Default)]
pub(super) struct Guard {
    members: HashMap<PeerId, PartyId>,
    cut_off: HashMap<PeerId, Instant>,
    handshakes: HashMap<ConnectionId, Option<IpAddr>>,
    begun: HashMap<IpAddr, Bucket>,
}

fn address(multiaddr: &Multiaddr) -> Option<IpAddr> {
    multiaddr.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        // A site has a whole /64 for the asking.
        Protocol::Ip6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
        _ => None,
    })
}

impl Guard {
    /// Replaces the members; who is none any more is returned.
    pub(super) fn set_members(&mut self, members: HashMap<PeerId, PartyId>) -> Vec<PeerId> {
        let before: HashSet<PeerId> = self.members.keys().copied().collect();
        self.members = members;
        before
            .into_iter()
            .filter(|peer| !self.members.contains_key(peer))
            .collect()
    }

    pub(super) fn party(&self, peer: &PeerId) -> Option<PartyId> {
        self.members.get(peer).copied()
    }

    /// Refuses the peer's connections until then.
    pub(super) fn cut_off(&mut self, peer: PeerId, until: Instant) {
        self.cut_off.insert(peer, until);
    }

    pub(super) fn is_cut_off(&self, peer: &PeerId) -> bool {
        self.cut_off
            .get(peer)
            .is_some_and(|until| Instant::now() < *until)
    }

    fn admit(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        if !self.members.contains_key(peer) {
            return Err(ConnectionDenied::new(Refused::Stranger));
        }
        if self.is_cut_off(peer) {
            return Err(ConnectionDenied::new(Refused::CutOff));
        }
        Ok(())
    }

    fn begin(&mut self, id: ConnectionId, from: Option<IpAddr>, now: Instant) -> bool {
        let from_there = self.handshakes.values().filter(|at| **at == from).count();
        if self.handshakes.len() >= MAX_HANDSHAKES || from_there >= MAX_HANDSHAKES_PER_ADDRESS {
            return false;
        }
        if let Some(ip) = from {
            let key = if self.begun.len() < MAX_ADDRESSES || self.begun.contains_key(&ip) {
                ip
            } else {
                // Whoever has its whole share again is as good as unknown; if nobody has, the newcomers share one.
                self.begun.retain(|_, bucket| !bucket.full(now));
                IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            };
            let bucket = self
                .begun
                .entry(key)
                .or_insert_with(|| Bucket::new(HANDSHAKES, now));
            if !bucket.take(1.0, now) {
                return false;
            }
        }
        self.handshakes.insert(id, from);
        true
    }
}

impl NetworkBehaviour for Guard {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.begin(id, address(remote), Instant::now()) {
            Ok(())
        } else {
            Err(ConnectionDenied::new(Refused::Handshakes))
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handshakes.remove(&id);
        self.admit(&peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(&peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ListenFailure(failure) = event {
            self.handshakes.remove(&failure.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn one_address_cannot_take_all_handshakes() {
        let mut guard = Guard::default();
        let now = Instant::now();
        let id = ConnectionId::new_unchecked;
        let one = (0..100).filter(|n| guard.begin(id(*n), ip(1), now)).count();
        assert_eq!(one, MAX_HANDSHAKES_PER_ADDRESS);
        assert!(guard.begin(id(200), ip(2), now));
        let all = (300..400)
            .filter(|n| guard.begin(id(*n), ip((n % 100) as u8 + 3), now))
            .count();
        assert_eq!(all, MAX_HANDSHAKES - MAX_HANDSHAKES_PER_ADDRESS - 1);
    }

    #[test]
    fn an_address_that_begins_handshake_after_handshake_is_slowed() {
        let mut guard = Guard::default();
        let now = Instant::now();
        let mut begin = |n: usize, now| {
            let begun = guard.begin(ConnectionId::new_unchecked(n), ip(1), now);
            guard.handshakes.clear();
            begun
        };
        assert_eq!((0..1000).filter(|n| begin(*n, now)).count(), 256);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..1000).filter(|n| begin(*n, later)).count(), 8);
    }

    #[test]
    fn the_addresses_remembered_are_bounded() {
        let mut guard = Guard::default();
        let now = Instant::now();
        for n in 0..5000u32 {
            guard.begin(
                ConnectionId::new_unchecked(n as usize),
                Some(IpAddr::from(n.to_be_bytes())),
                now,
            );
            guard.handshakes.clear();
        }
        assert!(guard.begun.len() <= MAX_ADDRESSES + 1);
        let later = now + Duration::from_secs(60);
        assert!(guard.begin(ConnectionId::new_unchecked(1), ip(9), later));
    }
}
