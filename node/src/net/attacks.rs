//! A peer that speaks TCP, Noise and Yamux and nothing else that is decent.

use std::pin::Pin;
use std::time::Duration;

use futures::future::poll_fn;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, SubstreamBox};
use libp2p::core::transport::{Boxed, DialOpts, PortUse, Transport as _};
use libp2p::core::upgrade::Version;
use libp2p::{noise, tcp, yamux};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const REQUESTS: &str = "/organtwin/1";
const GOSSIP: &str = "/meshsub/1.1.0";
const MIB: u64 = 1024 * 1024;
/// What other tests of this process may use meanwhile: argon2 takes 64 MiB at a time.
const NOISE: u64 = 400 * MIB;

/// A node under attack, whose loop answers every request with a full part, and the attacker's key.
struct Victim {
    network: Network,
    address: String,
    cut_off: mpsc::UnboundedReceiver<(PartyId, Fault, Duration)>,
}

fn party(number: u8) -> PartyId {
    PartyId::new(number).unwrap()
}

/// Bounds small enough for a test that waits for none of them long.
fn limits() -> Limits {
    Limits {
        handshake: Duration::from_millis(1500),
        arrival: Duration::from_millis(200),
        patience: Duration::from_millis(600),
        insistence: Duration::from_millis(300),
        ban: Duration::from_millis(700),
        ..Limits::default()
    }
}

async fn victim(attacker: &Keypair, limits: Limits) -> Victim {
    let listen = ["/ip4/127.0.0.1/tcp/0".to_owned()];
    let members = vec![(party(2), attacker.public().to_peer_id())];
    let own = Keypair::generate_ed25519();
    let (network, mut events) = start_with(own, &listen, &[7; 32], members, limits)
        .await
        .unwrap();
    let (tell, cut_off) = mpsc::unbounded_channel();
    let judging = network.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            match event {
                NetEvent::Request { reply, .. } => {
                    let bytes = vec![1; codec::MAX_PART];
                    let _ = reply.send(Response::Part { total: 0, bytes });
                }
                NetEvent::Gossip { ticket, .. } => {
                    judging.judge(ticket, Verdict::Blame(Fault::MalformedStatement));
                }
                NetEvent::CutOff { party, fault, time } => {
                    let _ = tell.send((party, fault, time));
                }
                NetEvent::Connected(_) | NetEvent::Disconnected(_) => {}
            }
        }
    });
    let address = network.listen().remove(0);
    Victim {
        network,
        address,
        cut_off,
    }
}

/// The attacker's end of one connection.
struct Attacker(StreamMuxerBox, Vec<SubstreamBox>);

fn transport(key: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed()
}

impl Attacker {
    async fn connect(key: &Keypair, victim: &Victim) -> Option<Self> {
        let mut address: Multiaddr = victim.address.parse().unwrap();
        address.pop();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let (_, muxer) = transport(key).dial(address, options).unwrap().await.ok()?;
        Some(Self(muxer, Vec::new()))
    }

    /// Does something while the connection lives; nothing once it is cut.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            if let std::task::Poll::Ready(Err(_)) = Pin::new(&mut self.0).poll(cx) {
                return std::task::Poll::Ready(None);
            }
            while let std::task::Poll::Ready(opened) = Pin::new(&mut self.0).poll_inbound(cx) {
                // Held and never answered.
                match opened {
                    Ok(stream) => self.1.push(stream),
                    Err(_) => return std::task::Poll::Ready(None),
                }
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }

    async fn open(&mut self, protocol: &str) -> Option<SubstreamBox> {
        let mut stream = poll_fn(|cx| {
            if let std::task::Poll::Ready(Err(_)) = Pin::new(&mut self.0).poll(cx) {
                return std::task::Poll::Ready(None);
            }
            Pin::new(&mut self.0).poll_outbound(cx).map(Result::ok)
        })
        .await?;
        let mut hello = Vec::new();
        for line in ["/multistream/1.0.0", protocol] {
            hello.push(u8::try_from(line.len() + 1).unwrap());
            hello.extend_from_slice(line.as_bytes());
            hello.push(b'\n');
        }
        let mut answer = vec![0u8; hello.len()];
        self.during(async {
            stream.write_all(&hello).await.ok()?;
            stream.flush().await.ok()?;
            stream.read_exact(&mut answer).await.ok()?;
            Some(())
        })
        .await??;
        Some(stream)
    }

    /// Until the other side has had enough.
    async fn cut(&mut self) {
        while self.during(std::future::pending::<()>()).await.is_some() {}
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Waits until the victim says why it cut the attacker off, and that the attacker is not let in before its time is over.
async fn cut_off(victim: &mut Victim, attacker: &Keypair, expected: Fault) {
    let (party, fault, time) = victim.cut_off.recv().await.unwrap();
    assert_eq!((party.get(), fault), (2, expected));
    let until = tokio::time::Instant::now() + time;
    if let Some(mut again) = Attacker::connect(attacker, victim).await {
        // Noise ends before the victim knows whom it speaks with; then it hangs up.
        again.cut().await;
        assert!(tokio::time::Instant::now() < until + Duration::from_millis(500));
    }
    while !victim.network.connected().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep_until(until + Duration::from_millis(50)).await;
    let mut again = Attacker::connect(attacker, victim).await.unwrap();
    assert!(
        again.open(REQUESTS).await.is_some(),
        "let in again after its time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_of_rubbish_cost_no_memory() {
    let key = Keypair::generate_ed25519();
    let mut victim = victim(&key, limits()).await;
    let before = resident();
    // From anyone, to the port.
    let port = victim.address.split('/').nth(4).unwrap();
    let mut raw = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    let rubbish = vec![0x5au8; 1 << 20];
    let mut sent = 0;
    while sent < 100 && raw.write_all(&rubbish).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 100, "the victim read it all");
    // From a member, as a request.
    let mut attacker = Attacker::connect(&key, &victim).await.unwrap();
    let mut sent = 0;
    'connection: while sent < 100 {
        let Some(mut stream) = attacker.open(REQUESTS).await else {
            break;
        };
        loop {
            // A stream that the victim gave up takes no more; the next one then.
            let some = tokio::time::timeout(Duration::from_millis(100), stream.write_all(&rubbish));
            match attacker.during(some).await {
                None => break 'connection,
                Some(Ok(Ok(()))) => sent += 1,
                Some(_) => break,
            }
        }
    }
    attacker.cut().await;
    cut_off(&mut victim, &key, Fault::MalformedRequest).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < NOISE, "{grown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_are_too_many() {
    let key = Keypair::generate_ed25519();
    let mut victim = victim(&key, limits()).await;
    let mut attacker = Attacker::connect(&key, &victim).await.unwrap();
    let mut streams = Vec::new();
    while streams.len() < 1000 {
        let Some(stream) = attacker.open(REQUESTS).await else {
            break;
        };
        streams.push(stream);
    }
    assert!(
        streams.len() <= conduct::MAX_PEER_STREAMS + 1,
        "{}",
        streams.len()
    );
    cut_off(&mut victim, &key, Fault::Streams).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_trickle_in_end_the_connection() {
    let key = Keypair::generate_ed25519();
    let mut victim = victim(&key, limits()).await;
    let mut attacker = Attacker::connect(&key, &victim).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..24 {
        let mut stream = attacker.open(REQUESTS).await.unwrap();
        let begun = attacker.during(async {
            stream.write_all(&[41, 0, 0, 0, 2]).await?;
            stream.flush().await
        });
        begun.await.unwrap().unwrap();
        streams.push(stream);
    }
    let trickle = async {
        loop {
            for stream in &mut streams {
                let _ = stream.write_all(&[0]).await;
                let _ = stream.flush().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(attacker.during(trickle).await.is_none());
    cut_off(&mut victim, &key, Fault::SlowRequest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_trickles_is_given_up() {
    let key = Keypair::generate_ed25519();
    let victim = victim(&key, limits()).await;
    let port = victim.address.split('/').nth(4).unwrap();
    let mut raw = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    let (mut from, mut to) = raw.split();
    let trickle = async {
        for byte in b"\x13/multistream/1.0.0\n".iter().cycle() {
            if to.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut sink = vec![0; 100];
    let hung_up = async { while from.read(&mut sink).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        () = trickle => {}
        () = hung_up => {}
    }
}

async fn ask_for_a_part(attacker: &mut Attacker) -> Option<SubstreamBox> {
    let request = Request::Blob {
        hash: [1; 32],
        offset: 0,
    };
    let bytes = request.encode();
    let mut stream = attacker.open(REQUESTS).await?;
    attacker
        .during(async {
            let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            stream.write_all(&length).await?;
            stream.write_all(&bytes).await?;
            stream.flush().await
        })
        .await?
        .ok()?;
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_do_not_pile_up() {
    let key = Keypair::generate_ed25519();
    let mut victim = victim(&key, limits()).await;
    let before = resident();
    let mut attacker = Attacker::connect(&key, &victim).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..conduct::MAX_UNDER_WAY {
        streams.push(ask_for_a_part(&mut attacker).await.unwrap());
    }
    attacker.cut().await;
    cut_off(&mut victim, &key, Fault::UnreadAnswer).await;
    assert!(resident().saturating_sub(before) < NOISE);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_at_once_than_a_member_may_have_end_the_connection() {
    let key = Keypair::generate_ed25519();
    let patient = Limits {
        patience: Duration::from_secs(60),
        ..limits()
    };
    let mut victim = victim(&key, patient).await;
    let mut attacker = Attacker::connect(&key, &victim).await.unwrap();
    let mut streams = Vec::new();
    while let Some(stream) = ask_for_a_part(&mut attacker).await {
        streams.push(stream);
    }
    assert!(
        streams.len() <= conduct::MAX_UNDER_WAY + 8,
        "{}",
        streams.len()
    );
    cut_off(&mut victim, &key, Fault::Requests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_blobs_without_end_waits_and_is_cut_off_in_the_end() {
    let key = Keypair::generate_ed25519();
    let frugal = Limits {
        bytes: (8.0 * 1024.0 * 1024.0, 1024.0),
        ..limits()
    };
    let mut victim = victim(&key, frugal).await;
    let mut attacker = Attacker::connect(&key, &victim).await.unwrap();
    let mut parts = 0;
    while let Some(mut stream) = ask_for_a_part(&mut attacker).await {
        let mut part = Vec::new();
        match attacker.during(stream.read_to_end(&mut part)).await {
            Some(Ok(read)) if read > codec::MAX_PART => parts += 1,
            _ => break,
        }
    }
    assert!((8..=10).contains(&parts), "{parts}");
    attacker.cut().await;
    cut_off(&mut victim, &key, Fault::Insistence).await;
}

/// A gossip frame that prunes the sender from topics that nobody ever heard of.
fn prunes(number: u32) -> Vec<u8> {
    fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![tag << 3 | 2];
        out.extend(varint(bytes.len()));
        out.extend_from_slice(bytes);
        out
    }
    fn varint(mut value: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while value > 127 {
            out.push(u8::try_from(value & 127).unwrap() | 128);
            value >>= 7;
        }
        out.push(u8::try_from(value).unwrap());
        out
    }
    let control: Vec<u8> = (0..60u32)
        .flat_map(|topic| {
            field(
                4,
                &field(1, format!("{number}-{topic}-{:>480}", "x").as_bytes()),
            )
        })
        .collect();
    let frame = field(3, &control);
    let mut out = varint(frame.len());
    out.extend(frame);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_gossip_is_not_remembered_and_ends_the_connection() {
    let key = Keypair::generate_ed25519();
    let mut victim = victim(&key, limits()).await;
    let mut attacker = Attacker::connect(&key, &victim).await.unwrap();
    let mut stream = attacker.open(GOSSIP).await.unwrap();
    let before = resident();
    let mut sent = 0u32;
    while let Some(written) = attacker
        .during(async {
            stream.write_all(&prunes(sent)).await?;
            stream.flush().await
        })
        .await
    {
        written.unwrap();
        sent += 1;
    }
    assert!(sent > 1_000, "{sent}");
    cut_off(&mut victim, &key, Fault::Gossip).await;
    // What gossip remembers it remembers for an hour; what other tests use passes.
    let mut grown = u64::MAX;
    for _ in 0..100 {
        grown = grown.min(resident().saturating_sub(before));
        if grown < 64 * MIB {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(grown < 64 * MIB, "{grown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_leave_room_for_members() {
    let key = Keypair::generate_ed25519();
    let victim = victim(&key, limits()).await;
    let port = victim.address.split('/').nth(4).unwrap();
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await);
    }
    // All but a few are hung up on at once, the others when their time is over; then a member gets in.
    let member = async {
        loop {
            if let Some(mut member) = Attacker::connect(&key, &victim).await
                && member.open(REQUESTS).await.is_some()
            {
                break member;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let _member = member.await;
    let counters = victim.network.counters();
    let refused = counters["a connection from an address that begins too many"];
    assert!(refused >= 150, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_two_connections_at_most() {
    let key = Keypair::generate_ed25519();
    let victim = victim(&key, limits()).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        if let Some(mut attacker) = Attacker::connect(&key, &victim).await
            && attacker.open(REQUESTS).await.is_some()
        {
            held.push(attacker);
        }
    }
    assert_eq!(held.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_member_in_a_hurry_is_not_cut_off() {
    let key = Keypair::generate_ed25519();
    let mut victim = victim(&key, Limits::default()).await;
    let victims_peer = victim.address.rsplit('/').next().unwrap().parse().unwrap();
    let (member, _events) = start(key, &[], &[7; 32], vec![(party(1), victims_peer)])
        .await
        .unwrap();
    member.dial(party(1), &victim.address).unwrap();
    while member.connected().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let requests = (0..300).map(|offset| {
        let hash = [0; 32];
        member.request(party(1), Request::Blob { hash, offset })
    });
    for answer in futures::future::join_all(requests).await {
        assert!(matches!(answer, Ok(Response::Part { .. })), "{answer:?}");
    }
    assert!(victim.cut_off.try_recv().is_err());
    assert!(
        victim.network.counters().is_empty(),
        "{:?}",
        victim.network.counters()
    );
}
