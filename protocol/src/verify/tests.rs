use super::*;
use crate::codec::ByteString;
use crate::fold::Refusal;
use crate::scene::{BLOCKS, MadeUp, Scene, blob, identity, party, piece_values, squashed_bytes};
use crate::statement::{Body, PieceValues, SignedStatement, Statement};
use crate::transcript::{ExportError, LoggedFork};

fn audit(transcript: &Transcript) -> Report {
    let bytes = transcript.encode().unwrap();
    verify_with(&Transcript::decode(&bytes).unwrap(), &MadeUp)
}

fn failures(report: &Report) -> Vec<String> {
    report
        .checks
        .iter()
        .filter(|c| !c.passed)
        .map(|c| format!("{}: {}", c.name, c.detail))
        .collect()
}

fn fails(transcript: &Transcript) -> bool {
    match Transcript::decode(&transcript.encode().unwrap()) {
        Ok(read) => !verify_with(&read, &MadeUp).passed(),
        Err(_) => true,
    }
}

#[test]
fn a_whole_study_passes_every_check_and_yields_the_released_values() {
    let (scene, id) = Scene::whole();
    let report = audit(&scene.transcript(id));
    assert_eq!(failures(&report), [""; 0]);
    assert!(report.checks.len() >= 12);
    assert_eq!(report.studies.len(), 1);
    assert_eq!(report.studies[0].outcome, Outcome::Opened(squashed_bytes()));
}

#[test]
fn a_rejected_study_passes_as_not_opened() {
    let mut scene = Scene::with_twins(4, 1, 2);
    let id = scene.propose(3);
    scene.approve(id, 1);
    scene.reject(id, 3);
    scene.reject(id, 4);
    let report = audit(&scene.transcript(id));
    assert_eq!(failures(&report), [""; 0]);
    assert!(
        matches!(&report.studies[0].outcome, Outcome::NotOpened(why) if why.contains("rejected by 2"))
    );
}

#[test]
fn a_study_opened_without_the_hospital_that_disappeared_passes() {
    let mut scene = Scene::with_twins(4, 1, 2);
    let id = scene.propose(3);
    (1..=3).for_each(|n| {
        scene.approve(id, n);
    });
    scene.evaluate(id);
    scene.derive(id, &[1, 2, 3]);
    (1..=3).for_each(|n| {
        scene.release(id, n, piece_values);
    });
    scene.publish(id, 2);
    assert_eq!(failures(&audit(&scene.transcript(id))), [""; 0]);
}

#[test]
fn a_lying_minority_is_named_and_does_not_spoil_the_study() {
    let mut scene = Scene::with_twins(4, 1, 2);
    let id = scene.propose(3);
    (1..=3).for_each(|n| {
        scene.approve(id, n);
    });
    scene.evaluate(id);
    scene.derive(id, &[1, 2, 3, 4]);
    scene.release(id, 4, |piece, first, count| {
        piece_values(piece, first, count)
            .iter()
            .map(|v| !v)
            .collect()
    });
    (1..=3).for_each(|n| {
        scene.release(id, n, piece_values);
    });
    scene.publish(id, 1);
    let report = audit(&scene.transcript(id));
    assert_eq!(failures(&report), [""; 0]);
    let partials = report
        .checks
        .iter()
        .find(|c| c.name.contains("partial"))
        .unwrap();
    assert!(
        partials.detail.contains("deviating: party 4"),
        "{}",
        partials.detail
    );
}

#[test]
fn changing_any_statement_fails() {
    let (scene, id) = Scene::whole();
    let good = scene.transcript(id);
    for index in 0..good.statements.len() {
        for position in [20, good.statements[index].bytes.0.len() - 1] {
            let mut changed = good.clone();
            changed.statements[index].bytes.0[position] ^= 1;
            assert!(fails(&changed), "statement {index}, byte {position}");
        }
    }
}

#[test]
fn dropping_any_statement_fails_even_if_the_named_heads_are_adapted() {
    let (scene, id) = Scene::whole();
    let good = scene.transcript(id);
    for index in 0..good.statements.len() {
        let mut dropped = good.clone();
        dropped.statements.remove(index);
        assert!(fails(&dropped), "statement {index}");
    }
    // Cutting a feed's end and naming the shorter end as its head is caught as long as somebody's
    // statement refers to what was cut.
    for author in 1..=4 {
        let feed = scene.fold.feed(party(author));
        for cut in 1..feed.len() {
            let mut dropped = good.clone();
            dropped.statements.retain(|s| {
                let statement = s.clone().verify(&good.roster).unwrap();
                statement.author() != party(author) || statement.seq() < cut as u64
            });
            let head = dropped
                .heads
                .iter_mut()
                .find(|h| h.party == party(author))
                .unwrap();
            *head = feed[cut - 1].head();
            // Only the author's result, which nobody refers to, may be missing.
            let last_unreferenced = cut == feed.len() - 1;
            assert!(
                fails(&dropped) || last_unreferenced,
                "party {author} cut at {cut}"
            );
        }
    }
}

#[test]
fn reordering_or_repeating_statements_fails() {
    let (scene, id) = Scene::whole();
    let good = scene.transcript(id);
    for index in 1..good.statements.len() {
        let mut swapped = good.clone();
        swapped.statements.swap(index - 1, index);
        assert!(fails(&swapped), "statements {index} - 1 and {index}");
    }
    let mut twice = good.clone();
    twice.statements.insert(5, good.statements[5].clone());
    assert!(fails(&twice));
}

/// Signs every later statement of the feed again, as a party that rewrites its history would.
fn rewritten(
    scene: &Scene,
    good: &Transcript,
    author: u8,
    from: usize,
    change: &dyn Fn(&mut Body),
) -> Transcript {
    let mut prev = None;
    let mut feed = Vec::new();
    for (index, verified) in scene.fold.feed(party(author)).iter().enumerate() {
        let mut statement: Statement = verified.statement().clone();
        if index == from {
            change(&mut statement.body);
        }
        if let Some(prev) = prev {
            statement.prev = prev;
        }
        let signed = SignedStatement::sign(&statement, &identity(party(author))).unwrap();
        prev = Some(signed.hash());
        feed.push(signed);
    }
    let mut changed = good.clone();
    let mut feed = feed.into_iter();
    for signed in &mut changed.statements {
        if signed.clone().verify(&good.roster).unwrap().author() == party(author) {
            *signed = feed.next().unwrap();
        }
    }
    let head = changed
        .heads
        .iter_mut()
        .find(|h| h.party == party(author))
        .unwrap();
    head.hash = prev.unwrap();
    changed
}

#[test]
fn rewriting_and_signing_again_any_referenced_statement_fails() {
    let (scene, id) = Scene::whole();
    let good = scene.transcript(id);
    for author in 1..=4 {
        let feed = scene.fold.feed(party(author));
        for (index, statement) in feed.iter().enumerate() {
            let changed = rewritten(&scene, &good, author, index, &|body| match body {
                Body::ResultReleased { values, .. } => values.0[0] ^= 1,
                body => {
                    *body = Body::CeremonyJoined {
                        attempt: 77,
                        nonce: blob("rewritten"),
                    }
                }
            });
            assert!(
                fails(&changed),
                "party {author}, statement {index}: {:?}",
                statement.body()
            );
        }
    }
}

#[test]
fn a_wrong_value_in_a_result_is_named_and_fails() {
    let (scene, id) = Scene::whole();
    let good = scene.transcript(id);
    let last = scene.fold.feed(party(3)).len() - 1;
    let changed = rewritten(&scene, &good, 3, last, &|body| {
        if let Body::ResultReleased { values, .. } = body {
            values.0[0] ^= 1;
        }
    });
    assert!(
        failures(&audit(&changed))
            .iter()
            .any(|f| f.contains("party 3 released other values"))
    );
}

#[test]
fn files_that_are_missing_exchanged_or_changed_fail() {
    let (scene, id) = Scene::whole();
    let good = scene.transcript(id);
    let changes: Vec<(&str, fn(&mut Transcript))> = vec![
        ("no squashed bytes", |t| t.studies[0].squashed = None),
        ("other squashed bytes", |t| {
            t.studies[0].squashed = Some(ByteString(vec![9; 5]));
        }),
        ("more squashed bytes", |t| {
            t.studies[0].squashed.as_mut().unwrap().0.push(0);
        }),
        ("no files", |t| t.studies.clear()),
        ("files of another study", |t| {
            t.studies[0].manifest = blob("another");
        }),
        ("another twin list", |t| {
            *t.studies[0].twins.0.last_mut().unwrap() ^= 1;
        }),
        ("an empty twin list", |t| {
            t.studies[0].twins = ByteString(vec![0x80]);
        }),
        ("another subject", |t| t.subject = Some(blob("another"))),
        ("another version", |t| t.version = 2),
        ("no heads", |t| t.heads.clear()),
        ("no statements", |t| t.statements.clear()),
        ("a made-up equivocation", |t| {
            let (a, b) = (t.statements[0].clone(), t.statements[1].clone());
            let proof = crate::evidence::Equivocation {
                first: a,
                second: b,
            };
            t.equivocations.push(LoggedFork { at: 5, proof });
        }),
    ];
    for (name, change) in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(fails(&changed), "{name}");
    }
    assert!(!verify_bytes(b"no transcript").passed());
    let mut longer = good.encode().unwrap();
    longer.push(0);
    assert!(!verify_bytes(&longer).passed());
}

#[test]
fn blocks_decrypted_for_a_study_that_the_file_leaves_out_fail() {
    let (mut scene, id) = Scene::whole();
    scene.now += 10;
    let second = scene.propose(3);
    (1..=3).for_each(|n| {
        scene.approve(second, n);
    });
    scene.evaluate(second);
    scene.derive(second, &[1, 2, 3]);
    scene.release(second, 1, piece_values);
    let full = scene.transcript(id);
    assert_eq!(full.studies.len(), 2);
    let mut hidden = full.clone();
    hidden.studies.retain(|files| files.manifest == id);
    assert!(
        failures(&audit(&hidden))
            .iter()
            .any(|f| f.starts_with("nothing else opened"))
    );
}

#[test]
fn a_decryption_without_the_quorum_fails_and_names_its_party() {
    let mut scene = Scene::with_twins(4, 1, 2);
    let id = scene.propose(3);
    let approvals = [scene.approve(id, 1), scene.approve(id, 2)];
    scene.evaluate(id);
    scene.derive(id, &[1, 2, 3, 4]);
    let committee = scene.fold.roster().committee().clone();
    let mut sorted = approvals.to_vec();
    sorted.sort();
    for number in 1..=3 {
        let body = Body::PartialDecryption {
            manifest: id,
            squashed: crate::digest::of_blob(&squashed_bytes()),
            first_block: 0,
            approvals: sorted.clone(),
            feeds: scene.fold.heads(),
            pieces: committee
                .pieces_of(party(number))
                .map(|p| PieceValues::pack(p, &piece_values(p, 0, BLOCKS)))
                .collect(),
        };
        scene.say(party(number), body).unwrap();
    }
    scene.publish(id, 1);
    // An approval that comes after the decryptions does not mend them.
    scene.approve(id, 3);
    let failures = failures(&audit(&scene.transcript(id)));
    assert!(
        failures
            .iter()
            .any(|f| f.contains("party 1's partial decryption: it does not rely on Q")),
        "{failures:?}"
    );
}

#[test]
fn a_ceremony_in_which_parties_disagree_fails() {
    let (scene, id) = Scene::whole();
    let good = scene.transcript(id);
    let feed = scene.fold.feed(party(4));
    for (index, statement) in feed.iter().enumerate() {
        let lie: fn(&mut Body) = match statement.body() {
            Body::StageOpened { .. } => |b| {
                if let Body::StageOpened { digest, .. } = b {
                    *digest = blob("lie");
                }
            },
            Body::SeedsHeld { .. } => |b| {
                if let Body::SeedsHeld { echo, .. } = b {
                    *echo = blob("lie");
                }
            },
            Body::StageCommitted { .. } => |b| {
                if let Body::StageCommitted { roots, .. } = b {
                    roots[0].digest = blob("lie");
                }
            },
            Body::SelfTest { .. } => |b| {
                if let Body::SelfTest { squashed, .. } = b {
                    *squashed = blob("lie");
                }
            },
            _ => continue,
        };
        let failures = failures(&audit(&rewritten(&scene, &good, 4, index, &lie)));
        assert!(
            failures
                .iter()
                .any(|f| f.starts_with("ceremony of certificate")),
            "statement {index}: {failures:?}"
        );
    }
}

#[test]
fn an_equivocation_travels_in_the_transcript_and_names_its_party() {
    let (mut scene, _) = Scene::whole();
    let feed = scene.fold.feed(party(4));
    let last = feed.last().unwrap().statement();
    let other = Statement {
        time_ms: last.time_ms + 1,
        ..last.clone()
    };
    let signed = SignedStatement::sign(&other, &identity(party(4))).unwrap();
    assert!(matches!(
        scene.fold.admit(signed),
        Err(Refusal::Equivocation { .. })
    ));
    scene.log.follow(&scene.fold);
    let id = *scene.fold.facts().studies.keys().next().unwrap();
    let report = audit(&scene.transcript(id));
    assert_eq!(failures(&report), [""; 0]);
    assert!(
        report
            .checks
            .iter()
            .any(|c| c.name == "forks" && c.detail.contains("party 4"))
    );
}

#[test]
fn an_export_names_what_is_missing() {
    struct Nothing;
    impl crate::transcript::StudyStore for Nothing {
        fn twin_list(&self, _: &Digest) -> Option<TwinList> {
            None
        }
        fn squashed(&self, _: &Digest) -> Option<Vec<u8>> {
            None
        }
    }
    let (scene, id) = Scene::whole();
    assert_eq!(
        Transcript::export(
            &scene.fold,
            Some(id),
            &Nothing,
            &scene.log,
            &scene.checkpoint()
        ),
        Err(ExportError::MissingList(id))
    );
    let unknown = blob("unknown");
    assert_eq!(
        Transcript::export(
            &scene.fold,
            Some(unknown),
            &scene,
            &scene.log,
            &scene.checkpoint()
        ),
        Err(ExportError::UnknownStudy(unknown))
    );
}

#[test]
fn more_blocks_than_the_keys_budget_fail() {
    struct Poor;
    impl Recombine for Poor {
        fn opening_limit(&self, _: &Fold) -> Result<u64, String> {
            Ok(u64::from(BLOCKS) - 1)
        }
        fn recombine(
            &self,
            roster: &Roster,
            squashed: &[u8],
            values: &BTreeMap<PieceId, Vec<u128>>,
        ) -> Result<Recombined, String> {
            MadeUp.recombine(roster, squashed, values)
        }
    }
    let (scene, id) = Scene::whole();
    let failures = failures(&verify_with(&scene.transcript(id), &Poor));
    assert!(
        matches!(&failures[..], [only] if only.starts_with("opening budget")),
        "{failures:?}"
    );
}

#[test]
fn made_up_parameters_are_refused_by_the_real_verification() {
    let (scene, id) = Scene::whole();
    let failures = failures(&verify(&scene.transcript(id)));
    assert!(
        failures.iter().any(|f| f.contains("unknown or insecure")),
        "{failures:?}"
    );
}
