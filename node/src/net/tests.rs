use super::*;

struct Member {
    party: PartyId,
    network: Network,
    events: mpsc::Receiver<NetEvent>,
    address: String,
}

fn party(number: u8) -> PartyId {
    PartyId::new(number).unwrap()
}

async fn start_member(number: u8, keys: &[Keypair]) -> Member {
    let peers = (1u8..).zip(keys).filter(|(other, _)| *other != number);
    let peers = peers
        .map(|(other, key)| (party(other), key.public().to_peer_id()))
        .collect();
    let listen = ["/ip4/127.0.0.1/tcp/0".to_owned()];
    let (network, events) = start(
        keys[usize::from(number) - 1].clone(),
        &listen,
        &[7; 32],
        peers,
    )
    .await
    .unwrap();
    let address = network.listen().remove(0);
    Member {
        party: party(number),
        network,
        events,
        address,
    }
}

/// Until a counter moves. Nothing is told of a refusal but the count.
async fn refused(network: &Network) -> String {
    loop {
        if let Some(reason) = network.counters().into_keys().next() {
            return reason;
        }
        tokio::task::yield_now().await;
    }
}

fn keys(count: usize) -> Vec<Keypair> {
    (0..count).map(|_| Keypair::generate_ed25519()).collect()
}

async fn connected(member: &mut Member) -> PartyId {
    loop {
        if let NetEvent::Connected(party) = member.events.recv().await.unwrap() {
            return party;
        }
    }
}

async fn pair() -> (Member, Member) {
    let keys = keys(2);
    let (mut a, mut b) = (start_member(1, &keys).await, start_member(2, &keys).await);
    a.network.dial(b.party, &b.address).unwrap();
    assert_eq!(connected(&mut a).await, b.party);
    assert_eq!(connected(&mut b).await, a.party);
    (a, b)
}

#[tokio::test]
async fn members_connect_and_answer_requests() {
    let (a, mut b) = pair().await;
    let serving = tokio::spawn(async move {
        while let Some(event) = b.events.recv().await {
            if let NetEvent::Request {
                from,
                request,
                reply,
            } = event
            {
                assert_eq!(from, party(1));
                let Request::Blob { offset, .. } = request else {
                    panic!("{request:?}")
                };
                let _ = reply.send(Response::Part {
                    total: offset,
                    bytes: vec![1; codec::MAX_PART],
                });
            }
        }
    });
    for offset in 0..40 {
        let answer = a
            .network
            .request(
                party(2),
                Request::Blob {
                    hash: [0; 32],
                    offset,
                },
            )
            .await
            .unwrap();
        assert_eq!(
            answer,
            Response::Part {
                total: offset,
                bytes: vec![1; codec::MAX_PART]
            }
        );
    }
    serving.abort();
}

#[tokio::test]
async fn a_statement_reaches_a_member_by_gossip() {
    let (a, mut b) = pair().await;
    let spread = tokio::spawn(async move {
        // Until the subscription has arrived there is nobody to tell.
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for round in 0u32.. {
            pace.tick().await;
            a.network.publish(round.to_le_bytes().to_vec());
        }
    });
    loop {
        if let NetEvent::Gossip { from, bytes, .. } = b.events.recv().await.unwrap() {
            assert_eq!((from, bytes.len()), (party(1), 4));
            break;
        }
    }
    spread.abort();
}

#[tokio::test]
async fn a_peer_that_is_not_on_the_roster_is_refused_and_counted() {
    let keys = keys(2);
    let a = start_member(1, &keys).await;
    let peers = vec![(party(1), keys[0].public().to_peer_id())];
    let (stranger, _events) = start(Keypair::generate_ed25519(), &[], &[7; 32], peers)
        .await
        .unwrap();
    stranger.dial(party(1), &a.address).unwrap();
    assert!(refused(&a.network).await.contains("roster"));
    assert!(a.network.connected().is_empty());
    assert!(
        stranger
            .request(
                party(1),
                Request::Private {
                    bytes: vec![1].into()
                }
            )
            .await
            .is_err()
    );
}

#[tokio::test]
async fn another_key_at_a_members_address_is_refused() {
    let keys = keys(3);
    let (a, c) = (start_member(1, &keys).await, start_member(3, &keys).await);
    a.network.dial(party(2), &c.address).unwrap();
    assert!(refused(&a.network).await.contains("another key"));
    assert!(a.network.connected().is_empty());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let Err(refused) = start(
        keys(1).remove(0),
        std::slice::from_ref(&address),
        &[7; 32],
        vec![],
    )
    .await
    else {
        panic!("the port was taken twice")
    };
    assert!(refused.to_string().contains(&address), "{refused}");
}

#[tokio::test]
async fn a_member_that_ends_is_noticed_and_dialled_again_when_it_is_back() {
    let keys = keys(2);
    let (mut a, b) = (start_member(1, &keys).await, start_member(2, &keys).await);
    a.network.dial(b.party, &b.address).unwrap();
    assert_eq!(connected(&mut a).await, b.party);
    b.network.shutdown();
    loop {
        if let NetEvent::Disconnected(gone) = a.events.recv().await.unwrap() {
            assert_eq!(gone, b.party);
            break;
        }
    }
    let back = start_member(2, &keys).await;
    a.network.dial(back.party, &back.address).unwrap();
    assert_eq!(connected(&mut a).await, back.party);
    assert_eq!(a.network.connected(), [back.party].into());
}

#[tokio::test]
async fn what_is_sent_is_counted() {
    let (a, mut b) = pair().await;
    let serving = tokio::spawn(async move {
        let Some(NetEvent::Request { reply, .. }) = b.events.recv().await else {
            panic!("expected a request")
        };
        reply.send(Response::Chunk(vec![0; 1000])).unwrap();
        b
    });
    a.network
        .request(
            party(2),
            Request::Private {
                bytes: vec![0; 10].into(),
            },
        )
        .await
        .unwrap();
    assert_eq!(a.network.bytes_sent(), 10);
    assert_eq!(serving.await.unwrap().network.bytes_sent(), 1000);
}

#[tokio::test]
async fn a_member_that_is_away_is_unreachable_at_once() {
    let keys = keys(2);
    let a = start_member(1, &keys).await;
    let answer = a
        .network
        .request(
            party(2),
            Request::Private {
                bytes: vec![].into(),
            },
        )
        .await;
    assert_eq!(answer, Err(RequestError::NotConnected(party(2))));
}
