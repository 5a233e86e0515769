use proptest::prelude::*;

use super::*;
use crate::codec;
use crate::scene::{Scene, blob, identity, party, vectors};
use crate::statement::{Batch, GroupDigest, MAX_STATEMENT_BYTES};
use crate::twin::{TwinEntry, TwinId};

fn sign(statement: &Statement) -> SignedStatement {
    SignedStatement::sign(statement, &identity(statement.author)).unwrap()
}

/// The author's next statement without any check.
fn unchecked(scene: &Scene, author: PartyId, body: Body) -> SignedStatement {
    let feed = scene.fold.feeds.get(&author).unwrap();
    sign(&Statement {
        version: STATEMENT_VERSION,
        roster: scene.fold.roster().digest(),
        author,
        seq: feed.next_seq(),
        prev: feed.last_hash(),
        epoch: 0,
        time_ms: scene.now,
        body,
    })
}

fn first(author: PartyId, scene: &Scene) -> Statement {
    scene
        .fold
        .compose(author, 0, 5, Body::RosterSigned {})
        .unwrap()
}

#[test]
fn a_statement_that_is_not_of_this_consortium_is_refused_with_the_reason() {
    let scene = Scene::new(4, 1);
    let good = first(party(1), &scene);
    let admit = |signed| Fold::new(scene.fold.roster().clone()).admit(signed);
    assert!(matches!(admit(sign(&good)), Ok(Admitted::Extended(_))));

    let foreign = Statement {
        roster: blob("another roster"),
        ..good.clone()
    };
    assert!(matches!(
        admit(sign(&foreign)),
        Err(Refusal::Statement(StatementError::WrongRoster { .. }))
    ));
    let stranger = Statement {
        author: party(5),
        ..good.clone()
    };
    assert_eq!(
        admit(sign(&stranger)),
        Err(StatementError::NotOnRoster(party(5)).into())
    );
    let version = Statement {
        version: 2,
        ..good.clone()
    };
    assert_eq!(
        admit(sign(&version)),
        Err(StatementError::Version(2).into())
    );
    let by_another = SignedStatement::sign(&good, &identity(party(2))).unwrap();
    assert_eq!(
        admit(by_another),
        Err(StatementError::BadSignature {
            author: party(1),
            seq: 0
        }
        .into())
    );
    let mut changed = sign(&good);
    changed.bytes.0[10] ^= 1;
    assert!(matches!(admit(changed), Err(Refusal::Statement(_))));
    let mut long = sign(&good);
    long.bytes.0.resize(MAX_STATEMENT_BYTES + 1, 0);
    assert!(matches!(
        admit(long),
        Err(Refusal::Statement(StatementError::Codec(
            codec::CodecError::TooLarge { .. }
        )))
    ));
    let far = Statement {
        seq: MAX_PENDING + 1,
        ..good
    };
    assert_eq!(
        admit(sign(&far)),
        Err(Refusal::OutOfSequence {
            author: party(1),
            expected: 0,
            got: MAX_PENDING + 1
        })
    );
}

#[test]
fn a_statement_over_32_kib_is_not_even_signed() {
    let scene = Scene::new(4, 1);
    let body = Body::TwinsReceived {
        twins: vec![blob("x"); 2000],
    };
    let long = Statement {
        body,
        ..first(party(1), &scene)
    };
    assert!(SignedStatement::sign(&long, &identity(party(1))).is_err());
}

#[test]
fn an_early_statement_waits_and_a_known_one_changes_nothing() {
    let mut scene = Scene::new(4, 1);
    let one = sign(&first(party(1), &scene));
    scene.fold.admit(one.clone()).unwrap();
    let two = unchecked(
        &scene,
        party(1),
        Body::CeremonyJoined {
            attempt: 1,
            nonce: blob("n"),
        },
    );
    let mut fold = Fold::new(scene.fold.roster().clone());
    assert_eq!(fold.admit(two.clone()), Ok(Admitted::Pending));
    assert_eq!(fold.admit(two.clone()), Ok(Admitted::Known));
    assert_eq!(fold.heads(), []);
    assert_eq!(
        fold.admit(one.clone()),
        Ok(Admitted::Extended(vec![one.hash(), two.hash()]))
    );
    assert_eq!(fold.admit(one), Ok(Admitted::Known));
}

#[test]
fn two_statements_under_one_number_end_the_feed_before_them_and_prove_it_to_anyone() {
    let (mut scene, id) = Scene::whole();
    let seq = 2;
    let other = Statement {
        body: Body::CeremonyJoined {
            attempt: 9,
            nonce: blob("other"),
        },
        ..scene.fold.feed(party(2))[seq].statement().clone()
    };
    let Err(Refusal::Equivocation {
        author,
        seq: at,
        proof,
    }) = scene.fold.admit(sign(&other))
    else {
        panic!("a fork was admitted")
    };
    assert_eq!((author, at), (party(2), 2));
    assert_eq!(proof.verify(&scene.fold), Some((party(2), 2)));
    assert_eq!(scene.fold.feed(party(2)).len(), 2);
    assert_eq!(scene.fold.ended(party(2)), Some(2));
    assert!(
        !scene.fold.facts().studies[&id]
            .approvals
            .contains_key(&party(2))
    );
    assert!(matches!(
        scene.fold.compose(party(2), 0, 9, Body::RosterSigned {}),
        Err(Refusal::FeedEnded { .. })
    ));
    let mut swapped = (*proof).clone();
    std::mem::swap(&mut swapped.first, &mut swapped.second);
    assert_eq!(swapped.verify(&scene.fold), None);
    swapped.second = swapped.first.clone();
    assert_eq!(swapped.verify(&scene.fold), None);
}

#[test]
fn a_statement_that_does_not_follow_its_predecessor_ends_the_feed() {
    let mut scene = Scene::new(4, 1);
    scene.say(party(1), Body::RosterSigned {}).unwrap();
    let body = Body::CeremonyJoined {
        attempt: 1,
        nonce: blob("n"),
    };
    let next = scene.fold.compose(party(1), 0, 9, body).unwrap();
    let loose = Statement {
        prev: blob("elsewhere"),
        ..next.clone()
    };
    assert_eq!(
        scene.fold.clone().admit(sign(&loose)),
        Err(Refusal::BrokenChain {
            author: party(1),
            seq: 1
        })
    );
    let earlier = Statement { time_ms: 3, ..next };
    let refusal = scene.fold.admit(sign(&earlier)).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::RuleBroken {
            rule: RuleBroken::TimeRunsBackwards,
            ..
        }
    ));
}

/// Each of these breaks a rule of its author's own feed; compose refuses to write it and admit to take it.
#[test]
fn what_contradicts_the_authors_own_feed_is_neither_written_nor_admitted() {
    let (scene, id) = Scene::whole();
    let roster = scene.fold.roster().clone();
    let batch = scene.batch(party(1));
    let deposit = |twins: Vec<TwinEntry>| Body::TwinsDeposited {
        schema: scene.schema(),
        organ: "kidney".into(),
        batch,
        twins,
    };
    let twin = |first_slot, slots| TwinEntry {
        id: TwinId::from_bytes([1; 16]),
        digest: blob("new"),
        first_slot,
        slots,
    };
    let manifest = |change: &dyn Fn(&mut crate::manifest::Manifest)| {
        let mut manifest = scene.manifest(3);
        change(&mut manifest);
        Body::StudyProposed {
            manifest: Box::new(manifest),
        }
    };
    let wrong_certificate = {
        let mut certificate = scene.certificate();
        certificate.threshold = 2;
        Body::KeyCertified { certificate }
    };
    let other_batch = |number, polynomials, epoch| Batch {
        number,
        polynomials,
        epoch,
        ..batch
    };
    let partial = Body::PartialDecryption {
        manifest: id,
        squashed: blob("crafted"),
        first_block: 0,
        approvals: vec![blob("a"), blob("b"), blob("c")],
        feeds: scene.fold.heads(),
        pieces: roster
            .committee()
            .pieces_of(party(1))
            .map(|p| crate::statement::PieceValues::pack(p, &[1]))
            .collect(),
    };
    let cases: Vec<(&str, Body)> = vec![
        ("roster signed twice", Body::RosterSigned {}),
        (
            "certificate twice",
            Body::KeyCertified {
                certificate: scene.certificate(),
            },
        ),
        ("certificate of another committee", wrong_certificate),
        ("slots beyond the batch", deposit(vec![twin(2000, 49)])),
        ("slots that overflow", deposit(vec![twin(u32::MAX, 2)])),
        ("no slots", deposit(vec![twin(1000, 0)])),
        ("slots of the twin before", deposit(vec![twin(299, 10)])),
        ("slots around another twin", deposit(vec![twin(0, 2048)])),
        ("slots of the twin after", deposit(vec![twin(50, 100)])),
        (
            "deposit in another's batch",
            Body::TwinsDeposited {
                schema: scene.schema(),
                organ: "kidney".into(),
                batch: scene.batch(party(2)),
                twins: vec![twin(1000, 1)],
            },
        ),
        (
            "deposit in a batch that was not asked for",
            Body::TwinsDeposited {
                schema: scene.schema(),
                organ: "kidney".into(),
                batch: other_batch(8, 1, 0),
                twins: vec![twin(1000, 1)],
            },
        ),
        ("one name twice", deposit(vec![scene.entry(party(1), 0)])),
        ("no twins", deposit(vec![])),
        (
            "a batch for another hospital",
            Body::BatchRequested {
                batch: scene.batch(party(2)),
            },
        ),
        ("a batch with an old number", Body::BatchRequested { batch }),
        (
            "a batch without polynomials",
            Body::BatchRequested {
                batch: other_batch(1, 0, 0),
            },
        ),
        (
            "a batch with too many polynomials",
            Body::BatchRequested {
                batch: other_batch(1, 4097, 0),
            },
        ),
        (
            "a batch of another epoch",
            Body::BatchRequested {
                batch: other_batch(1, 1, 1),
            },
        ),
        (
            "a batch prepared twice",
            Body::BatchPrepared {
                batch,
                vectors: vectors(&roster, party(1)),
            },
        ),
        (
            "vectors of a foreign group",
            Body::BatchPrepared {
                batch: other_batch(1, 1, 0),
                vectors: vec![GroupDigest {
                    group: 900,
                    digest: blob("v"),
                }],
            },
        ),
        (
            "a receipt twice",
            Body::TwinsReceived {
                twins: vec![scene.entry(party(2), 0).digest],
            },
        ),
        (
            "another's twin withdrawn",
            Body::TwinWithdrawn {
                id: scene.entry(party(2), 0).id,
            },
        ),
        ("quorum of t", manifest(&|m| m.quorum = 1)),
        ("quorum above n", manifest(&|m| m.quorum = 5)),
        ("another's proposal", manifest(&|m| m.proposer = party(2))),
        ("k of nothing", manifest(&|m| m.facts.k = 0)),
        ("no rows", manifest(&|m| m.facts.rows.clear())),
        ("no blocks", manifest(&|m| m.facts.blocks = 0)),
        ("too many blocks", manifest(&|m| m.facts.blocks = 4097)),
        ("expired at birth", manifest(&|m| m.expires_ms = 1)),
        (
            "restricted recipients",
            manifest(&|m| m.recipients = vec![party(1)]),
        ),
        ("a privacy budget", manifest(&|m| m.epsilon_micro = Some(1))),
        ("twins counted wrongly", manifest(&|m| m.twins.count += 1)),
        (
            "heads of one party twice",
            manifest(&|m| m.feeds = vec![m.feeds[0], m.feeds[0]]),
        ),
        (
            "a control character",
            manifest(&|m| m.title = "\u{7}".into()),
        ),
        ("approved twice", Body::StudyApproved { manifest: id }),
        (
            "an aggregate twice",
            Body::AggregateDerived {
                manifest: id,
                aggregate: blob("b"),
                squashed: blob("b"),
                blocks: 5,
            },
        ),
        (
            "a partial decryption of an aggregate never derived",
            partial,
        ),
        (
            "a result twice",
            Body::ResultReleased {
                manifest: id,
                squashed: blob("s"),
                feeds: scene.fold.heads(),
                values: vec![1].into(),
            },
        ),
        (
            "a value of 5 bits",
            Body::ResultReleased {
                manifest: blob("other"),
                squashed: blob("s"),
                feeds: scene.fold.heads(),
                values: vec![16].into(),
            },
        ),
        (
            "a study closed that somebody else proposed",
            Body::StudyClosed {
                manifest: blob("other"),
                reason: String::new(),
            },
        ),
        (
            "an endless reason",
            Body::StudyRejected {
                manifest: id,
                reason: "x".repeat(513),
            },
        ),
    ];
    for (name, body) in cases {
        assert!(
            scene
                .fold
                .compose(party(1), 0, scene.now, body.clone())
                .is_err(),
            "composed: {name}"
        );
        let signed = unchecked(&scene, party(1), body);
        let mut fold = scene.fold.clone();
        assert!(
            matches!(fold.admit(signed), Err(Refusal::RuleBroken { .. })),
            "admitted: {name}"
        );
        assert!(
            fold.ended(party(1)).is_some(),
            "the feed goes on after: {name}"
        );
    }
    let allowed = deposit(vec![twin(300, 1748)]);
    assert!(scene.fold.compose(party(1), 0, scene.now, allowed).is_ok());
}

#[test]
fn after_its_rejection_a_party_neither_approves_nor_decrypts() {
    let mut scene = Scene::with_twins(4, 1, 1);
    let id = scene.propose(3);
    scene.reject(id, 1);
    let refusal = scene
        .say(party(1), Body::StudyApproved { manifest: id })
        .unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::RuleBroken {
            rule: RuleBroken::Rejected,
            ..
        }
    ));
}

#[test]
fn a_peer_gets_exactly_the_statements_it_lacks() {
    let (scene, _) = Scene::whole();
    let mut heads = scene.fold.heads();
    assert!(scene.fold.missing_from(&heads, 1000).is_empty());
    let earlier = usize::try_from(heads[1].seq).unwrap() - 2;
    heads[1] = scene.fold.feed(party(2))[earlier].head();
    heads.remove(3);
    let missing = scene.fold.missing_from(&heads, 1000);
    assert_eq!(missing.len(), 2 + scene.fold.feed(party(4)).len());
    assert_eq!(scene.fold.missing_from(&heads, 1).len(), 1);
}

/// All statements of a whole study plus forks, broken chains and rule breaks of party 4.
fn history(with_faults: bool) -> (Fold, Vec<SignedStatement>) {
    let (scene, _) = Scene::whole();
    let mut statements = scene.statements();
    if with_faults {
        let feed = scene.fold.feed(party(4));
        let fork = |index: usize, nonce: &str| {
            let body = Body::CeremonyJoined {
                attempt: 9,
                nonce: blob(nonce),
            };
            sign(&Statement {
                body,
                ..feed[index].statement().clone()
            })
        };
        let loose = sign(&Statement {
            prev: blob("elsewhere"),
            ..feed[9].statement().clone()
        });
        statements.extend([fork(12, "a"), fork(12, "b"), fork(7, "c"), loose]);
        statements.push(unchecked(&scene, party(3), Body::RosterSigned {}));
        statements.push(unchecked(
            &scene,
            party(3),
            Body::TwinsReceived { twins: vec![] },
        ));
    }
    (Fold::new(scene.fold.roster().clone()), statements)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any order gives the same state, whether feeds arrive in order or not, with or without deviations.
    #[test]
    fn the_fold_does_not_depend_on_the_order_of_arrival(seed in any::<u64>(), with_faults in any::<bool>()) {
        let (empty, statements) = history(with_faults);
        let mut expected = empty.clone();
        for signed in &statements {
            let _ = expected.admit(signed.clone());
        }
        let mut shuffled = statements;
        let mut state = seed | 1;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            shuffled.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        let mut got = empty;
        for signed in shuffled {
            let _ = got.admit(signed);
        }
        prop_assert!(got == expected);
    }
}
