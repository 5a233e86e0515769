//! Tampering: every kind of statement and every field of a transcript is changed, dropped, repeated, moved, signed by
//! another and signed again by its author; verification must fail each time.
//!
//! What is mutated is not listed by hand: the mutations walk the decoded CBOR of each statement and of the transcript.
//! The scene must contain every kind of statement; whoever adds a kind says it in [`everything`].

use std::collections::{BTreeMap, BTreeSet};

use ciborium::Value;

use super::*;
use crate::codec::{self, ByteString};
use crate::epoch::{self, PieceDigest, WishKind};
use crate::evidence::Evidence;
use crate::identity::SigningTag;
use crate::manifest::TwinListFacts;
use crate::scene::{MadeUp, Scene, blob, identity, party};
use crate::statement::{Body, PieceCommitment, PieceShare, SignedStatement, Statement};
use crate::twin::TwinList;

/// A consortium in which every kind of statement was said, and the study that was opened.
fn everything() -> (Scene, Digest) {
    let mut scene = Scene::new(4, 1);
    // A party gives a session up and publishes its seeds.
    let session = organtwin_threshold::SessionId::new([9; 32]);
    let pieces: Vec<_> = {
        let committee = scene.fold.founding().committee();
        committee.pieces_of(party(4)).collect()
    };
    let committed = Body::SeedCommitted {
        session,
        commitments: pieces
            .iter()
            .map(|piece| PieceCommitment {
                piece: *piece,
                commitment: blob(&piece.to_string()),
            })
            .collect(),
        mask: blob("mask"),
    };
    scene.say(party(4), committed).unwrap();
    let aborted = Body::CeremonyAborted {
        session,
        reason: "a party was silent".into(),
        evidence: Some(Evidence::Claim {
            party: party(2),
            what: "sent nothing".into(),
        }),
    };
    scene.say(party(4), aborted).unwrap();
    let published = Body::SeedsPublished {
        session,
        shares: pieces
            .iter()
            .map(|piece| PieceShare {
                piece: *piece,
                share: blob(&piece.to_string()),
            })
            .collect(),
        mask: blob("mask"),
    };
    scene.say(party(4), published).unwrap();
    scene.ceremony();
    for hospital in scene.parties() {
        scene.request_batch(hospital);
        scene.deposit(hospital, 2);
    }
    let id = scene.propose(3);
    let approvals: Vec<Digest> = (1..=3).map(|number| scene.approve(id, number)).collect();
    scene.evaluate(id);
    scene.derive(id, &[1, 2, 3, 4]);
    for number in 1..=4 {
        assert_eq!(scene.release(id, number, crate::scene::piece_values), 1);
    }
    (1..=4).for_each(|number| scene.publish(id, number));
    let accusation = Body::Accusation {
        evidence: Evidence::Minority {
            party: party(4),
            statement: approvals[0],
            majority: approvals.clone(),
        },
    };
    scene.say(party(2), accusation).unwrap();
    // A twin is withdrawn; a later study goes without it, and is rejected and closed.
    let withdrawn = scene.entry(party(2), 0).id;
    scene
        .say(party(2), Body::TwinWithdrawn { id: withdrawn })
        .unwrap();
    let mut manifest = scene.manifest(3);
    manifest.title = "A later study".into();
    manifest.twins = TwinListFacts::of(&scene.eligible_list()).unwrap();
    let later = manifest.digest().unwrap();
    let proposal = Body::StudyProposed {
        manifest: Box::new(manifest),
    };
    scene.say(party(1), proposal).unwrap();
    scene.approve(later, 2);
    scene.reject(later, 3);
    let closed = Body::StudyClosed {
        manifest: later,
        reason: "a better one follows".into(),
    };
    scene.say(party(1), closed).unwrap();
    // A change of the sharing that comes to nothing.
    let change = epoch::prepare(&scene.fold, party(1), &WishKind::Refresh.into()).unwrap();
    let session = change.session(scene.fold.founding().digest()).unwrap();
    let change = Box::new(change);
    scene.all_say(|_| Body::EpochApproved {
        change: change.clone(),
    });
    let piece = scene.fold.founding().committee().pieces_of(party(1)).next();
    let offered = Body::EpochOffered {
        session,
        pieces: vec![PieceDigest {
            piece: piece.unwrap(),
            digest: blob("offer"),
        }],
    };
    scene.say(party(1), offered).unwrap();
    let given_up = Body::EpochAborted {
        session,
        reason: "nobody followed".into(),
        evidence: None,
    };
    scene.say(party(1), given_up).unwrap();
    (scene, id)
}

/// The names of all kinds of statements, as the decoder knows them.
fn kinds() -> BTreeSet<String> {
    let none = Value::Map(vec![(Value::Text("?".into()), Value::Map(Vec::new()))]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&none, &mut bytes).unwrap();
    let error = codec::decode::<Body>(&bytes, 100).unwrap_err().to_string();
    let (_, names) = error
        .split_once("expected one of")
        .expect("the list of kinds");
    let names = names.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

fn value_of(bytes: &[u8]) -> Value {
    ciborium::from_reader(bytes).unwrap()
}

fn bytes_of(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// The name of a statement's kind.
fn kind(statement: &Value) -> String {
    let Value::Map(fields) = statement else {
        panic!("no statement")
    };
    let body = fields
        .iter()
        .find(|(name, _)| name.as_text() == Some("body"));
    match body {
        Some((_, Value::Map(body))) => body[0].0.as_text().unwrap().to_owned(),
        _ => panic!("no body"),
    }
}

/// At most `most` places of something of that length, evenly spread.
fn spread(length: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = length.min(most);
    (0..count).map(move |i| i * length / count.max(1))
}

/// Every mutation of one value, each with what was done where; long strings and arrays at so many places.
fn mutations(value: &Value, places: usize) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    at(value, "", places, &mut |what, changed| {
        all.push((what, changed));
    });
    all
}

/// Calls `with` for every mutation of this value and of everything inside it.
fn at(value: &Value, path: &str, places: usize, with: &mut dyn FnMut(String, Value)) {
    let mut here = |what: &str, changed: Value| {
        if changed != *value {
            with(format!("{path}: {what}"), changed);
        }
    };
    here("null", Value::Null);
    match value {
        Value::Integer(number) => {
            let number = i128::from(*number);
            for changed in [number + 1, number - 1, number ^ (1 << 40)] {
                if let Ok(changed) = i64::try_from(changed) {
                    here("another number", changed.into());
                }
            }
        }
        Value::Bytes(bytes) => {
            for position in spread(bytes.len(), places) {
                let mut changed = bytes.clone();
                changed[position] ^= 1;
                here("a bit flipped", Value::Bytes(changed));
            }
            here(
                "a byte more",
                Value::Bytes([bytes.as_slice(), &[0]].concat()),
            );
            let shorter = bytes.split_last().map_or(&[][..], |(_, rest)| rest);
            here("a byte less", Value::Bytes(shorter.to_vec()));
        }
        Value::Text(text) => {
            here("a letter more", Value::Text(format!("{text}x")));
            for position in spread(text.chars().count(), 2 * places) {
                let changed = text.chars().enumerate();
                let changed = changed.map(|(i, c)| match i == position {
                    true if c == 'q' => 'p',
                    true => 'q',
                    false => c,
                });
                here("another letter", Value::Text(changed.collect()));
            }
        }
        Value::Bool(bit) => here("the opposite", Value::Bool(!bit)),
        Value::Null => here("a number", 0.into()),
        Value::Array(items) => {
            for index in spread(items.len(), 4 * places) {
                let mut less = items.clone();
                let item = less.remove(index);
                here("one dropped", Value::Array(less));
                let mut more = items.clone();
                more.insert(index, item);
                here("one repeated", Value::Array(more));
            }
            for index in spread(items.len().saturating_sub(1), 4 * places) {
                let mut moved = items.clone();
                moved.swap(index, index + 1);
                here("two exchanged", Value::Array(moved));
            }
        }
        Value::Map(fields) => {
            for index in 0..fields.len() {
                let mut less = fields.clone();
                let field = less.remove(index);
                here("one dropped", Value::Map(less));
                let mut more = fields.clone();
                more.insert(index, field.clone());
                here("one repeated", Value::Map(more));
                let mut renamed = fields.clone();
                renamed[index].0 = Value::Text("unknown".into());
                here("one renamed", Value::Map(renamed));
                if index > 0 {
                    let mut moved = fields.clone();
                    moved.swap(index - 1, index);
                    here("two exchanged", Value::Map(moved));
                }
            }
        }
        _ => {}
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at(
                    item,
                    &format!("{path}/{index}"),
                    places,
                    &mut |what, changed| {
                        let mut items = items.clone();
                        items[index] = changed;
                        with(what, Value::Array(items));
                    },
                );
            }
        }
        Value::Map(fields) => {
            for (index, (name, field)) in fields.iter().enumerate() {
                let name = name.as_text().map_or(format!("{name:?}"), str::to_owned);
                at(
                    field,
                    &format!("{path}/{name}"),
                    places,
                    &mut |what, changed| {
                        let mut fields = fields.clone();
                        fields[index].1 = changed;
                        with(what, Value::Map(fields));
                    },
                );
            }
        }
        _ => {}
    }
}

/// What became of the mutations tried.
#[derive(Default)]
struct Tried {
    count: usize,
    by_log_only: usize,
    passed: Vec<String>,
}

impl Tried {
    /// Nothing was tried on this transcript, which passes.
    fn on(good: &Transcript) -> Self {
        let report = verify_with(good, &MadeUp);
        let failed: Vec<&Check> = report.checks.iter().filter(|c| !c.passed).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        Self::default()
    }

    /// Verifies a mutated transcript, which must fail; returns the failed lines.
    fn must_fail(&mut self, what: &str, transcript: &Transcript) -> Vec<Check> {
        let report = verify_with(transcript, &MadeUp);
        self.count += 1;
        if report.passed() {
            self.passed.push(what.to_owned());
        }
        let failed: Vec<Check> = report.checks.into_iter().filter(|c| !c.passed).collect();
        self.by_log_only += usize::from(failed.len() == 1 && failed[0].name == "log");
        failed
    }

    fn report(&self, what: &str) {
        println!(
            "{what}: {} mutations tried, {} of them caught by the cosigned log alone, {} passed",
            self.count,
            self.by_log_only,
            self.passed.len()
        );
        assert!(self.passed.is_empty(), "passed: {:#?}", self.passed);
    }
}

fn author_of(signed: &SignedStatement) -> organtwin_threshold::PartyId {
    let statement: Statement = codec::decode(signed.bytes.as_slice(), 1 << 20).unwrap();
    statement.author
}

fn signed_by(author: organtwin_threshold::PartyId, bytes: Vec<u8>) -> SignedStatement {
    SignedStatement {
        signature: identity(author).sign(SigningTag::Statement, &bytes),
        bytes: ByteString(bytes),
    }
}

/// Puts a statement in the place of another of its author, who signs its whole later feed again; the heads follow.
fn rewritten(good: &Transcript, index: usize, changed: SignedStatement) -> Transcript {
    let mut file = good.clone();
    let author = author_of(&good.statements[index]);
    let mut prev = changed.hash();
    file.statements[index] = changed;
    for signed in file.statements.iter_mut().skip(index + 1) {
        if author_of(signed) != author {
            continue;
        }
        let mut statement: Statement = codec::decode(signed.bytes.as_slice(), 1 << 20).unwrap();
        statement.prev = prev;
        *signed = SignedStatement::sign(&statement, &identity(author)).unwrap();
        prev = signed.hash();
    }
    if let Some(head) = file.heads.iter_mut().find(|head| head.party == author) {
        head.hash = prev;
    }
    file
}

#[test]
fn every_kind_of_statement_is_in_the_scene_and_it_passes() {
    let (scene, id) = everything();
    let report = verify_with(&scene.transcript(id), &MadeUp);
    let failed: Vec<&Check> = report.checks.iter().filter(|c| !c.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let said: BTreeSet<String> = scene
        .statements()
        .iter()
        .map(|signed| kind(&value_of(signed.bytes.as_slice())))
        .collect();
    let missing: Vec<String> = kinds().difference(&said).cloned().collect();
    assert!(
        missing.is_empty(),
        "the tampering suite does not contain {missing:?}: say them in `everything`"
    );
}

#[test]
fn no_change_of_any_field_of_any_kind_of_statement_passes() {
    let (scene, id) = everything();
    let good = scene.transcript(id);
    // One statement of each kind; the last of it, so that most of what can refer to it does.
    let chosen: BTreeMap<String, usize> = (0..)
        .zip(&good.statements)
        .map(|(index, signed)| (kind(&value_of(signed.bytes.as_slice())), index))
        .collect();
    let mut tried = Tried::on(&good);
    for (kind, index) in chosen {
        let original = &good.statements[index];
        let author = author_of(original);
        let other = party(author.get() % 4 + 1);
        for (what, changed) in mutations(&value_of(original.bytes.as_slice()), 1) {
            let bytes = bytes_of(&changed);
            // The bytes changed under the old signature.
            let mut file = good.clone();
            file.statements[index].bytes = ByteString(bytes.clone());
            let failed = tried.must_fail(&format!("{kind}{what}, as signed"), &file);
            let named = format!("statement {index} of the file");
            assert!(
                failed.iter().any(|check| check.detail.contains(&named)),
                "{kind}{what}: {failed:#?}"
            );
            // Signed by another, as itself and in the author's name.
            let mut file = good.clone();
            file.statements[index] = signed_by(other, bytes.clone());
            tried.must_fail(&format!("{kind}{what}, signed by another"), &file);
            // Signed again by its author, who rewrites what follows.
            let file = rewritten(&good, index, signed_by(author, bytes));
            tried.must_fail(&format!("{kind}{what}, rewritten"), &file);
        }
    }
    tried.report("statements");
}

#[test]
fn no_statement_is_dropped_repeated_moved_or_signed_by_another_unnoticed() {
    let (scene, id) = everything();
    let good = scene.transcript(id);
    let mut tried = Tried::on(&good);
    for index in 0..good.statements.len() {
        let signed = &good.statements[index];
        let author = author_of(signed);
        let what = |how: &str| format!("statement {index} {how}");
        let mut file = good.clone();
        file.statements.remove(index);
        tried.must_fail(&what("dropped"), &file);
        let mut file = good.clone();
        file.statements.insert(index, signed.clone());
        tried.must_fail(&what("repeated"), &file);
        let mut file = good.clone();
        file.statements.push(signed.clone());
        tried.must_fail(&what("repeated at the end"), &file);
        if index > 0 {
            let mut file = good.clone();
            file.statements.swap(index - 1, index);
            tried.must_fail(&what("moved before its neighbour"), &file);
        }
        for other in scene.parties().into_iter().filter(|p| *p != author) {
            let mut file = good.clone();
            file.statements[index] = signed_by(other, signed.bytes.0.clone());
            tried.must_fail(&what("signed by another"), &file);
        }
        // The feed is cut here, and the head says so.
        let cut: Statement = codec::decode(signed.bytes.as_slice(), 1 << 20).unwrap();
        let mut file = good.clone();
        file.statements.retain(|s| {
            let s: Statement = codec::decode(s.bytes.as_slice(), 1 << 20).unwrap();
            s.author != author || s.seq < cut.seq
        });
        let before = cut.seq.checked_sub(1);
        let before =
            before.map(|seq| scene.fold.feed(author)[usize::try_from(seq).unwrap()].head());
        file.heads.retain(|head| head.party != author);
        file.heads.extend(before);
        file.heads.sort();
        tried.must_fail(&what("and all later ones of its author cut off"), &file);
        // Said a little later than it was, by its author, who signs everything since again.
        let mut later = cut.clone();
        later.time_ms += 1;
        let bytes = codec::encode(&later).unwrap();
        let file = rewritten(&good, index, signed_by(author, bytes));
        tried.must_fail(&what("rewritten with a later time"), &file);
    }
    tried.report("feeds");
}

#[test]
fn no_change_of_any_other_part_of_a_transcript_passes() {
    let (scene, id) = everything();
    let good = scene.transcript(id);
    let whole = value_of(&good.encode().unwrap());
    let Value::Map(fields) = &whole else {
        panic!("no transcript")
    };
    let mut tried = Tried::on(&good);
    let mut judge = |what: &str, changed: &Value| match Transcript::decode(&bytes_of(changed)) {
        Ok(file) => drop(tried.must_fail(what, &file)),
        Err(_) => tried.count += 1,
    };
    // The transcript's own map and every field but the statements, whose bytes the tests above change.
    for (index, (name, field)) in fields.iter().enumerate() {
        let name = name.as_text().unwrap();
        for (what, changed) in mutations(field, 8) {
            if name == "statements" && what.matches('/').count() > 0 {
                continue;
            }
            let mut fields = fields.clone();
            fields[index].1 = changed;
            judge(&format!("{name}{what}"), &Value::Map(fields));
        }
        let mut less = fields.clone();
        less.remove(index);
        judge(&format!("{name} dropped"), &Value::Map(less));
    }
    // Every signature.
    for index in 0..good.statements.len() {
        let mut file = good.clone();
        let mut signature = *file.statements[index].signature.as_bytes();
        signature[index % 64] ^= 1;
        file.statements[index].signature = crate::identity::Signature::from_bytes(signature);
        tried.must_fail(&format!("signature {index}"), &file);
    }
    // Every twin of the list dropped or repeated, under the list's own rules.
    let list = TwinList::decode(good.studies[0].twins.as_slice()).unwrap();
    for index in 0..list.twins().len() {
        let mut twins = list.twins().to_vec();
        twins.remove(index);
        let mut file = good.clone();
        let shorter = TwinList::sorted(twins).unwrap();
        file.studies[0].twins = ByteString(shorter.encode().unwrap());
        tried.must_fail(&format!("twin {index} left out"), &file);
    }
    tried.report("transcript");
}

/// What may pass, and why it changes nothing.
#[test]
fn only_needless_cosignatures_can_be_left_out() {
    let (scene, id) = everything();
    let good = scene.transcript(id);
    let (text, lines) = good.checkpoint.split_once("\n\n").unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 4);
    // t = 1 other party under the exporter's signature makes two, of which one is honest: the rest proves nothing more.
    for kept in 1..=4 {
        let mut file = good.clone();
        file.checkpoint = format!("{text}\n\n{}\n", lines[..kept].join("\n"));
        assert_eq!(
            verify_with(&file, &MadeUp).passed(),
            kept >= 2,
            "{kept} lines"
        );
    }
}

#[test]
fn a_proof_of_equivocation_cannot_be_left_out_or_moved() {
    let (mut scene, id) = everything();
    let last = scene
        .fold
        .feed(party(4))
        .last()
        .unwrap()
        .statement()
        .clone();
    let other = Statement {
        time_ms: last.time_ms + 1,
        ..last
    };
    let signed = SignedStatement::sign(&other, &identity(party(4))).unwrap();
    assert!(scene.fold.admit(signed).is_err());
    scene.log.follow(&scene.fold);
    let good = scene.transcript(id);
    let mut tried = Tried::on(&good);
    let mut hidden = good.clone();
    hidden.equivocations.clear();
    tried.must_fail("left out", &hidden);
    // The feed of party 4 as it was before the fork was known.
    let last =
        codec::decode::<Statement>(good.equivocations[0].proof.first.bytes.as_slice(), 1 << 20);
    let last = last.unwrap();
    for signed in [
        &good.equivocations[0].proof.first,
        &good.equivocations[0].proof.second,
    ] {
        if good.statements.contains(signed) {
            hidden.heads.retain(|head| head.party != party(4));
            hidden.heads.push(FeedHead {
                party: party(4),
                seq: last.seq,
                hash: signed.hash(),
            });
        }
    }
    tried.must_fail("left out, with the heads adapted", &hidden);
    for at in [
        0,
        good.equivocations[0].at - 1,
        good.equivocations[0].at + 1,
    ] {
        let mut moved = good.clone();
        moved.equivocations[0].at = at;
        tried.must_fail("moved", &moved);
    }
    let mut twice = good.clone();
    twice.equivocations.push(good.equivocations[0].clone());
    tried.must_fail("repeated", &twice);
    let mut other = good.clone();
    other.equivocations[0].proof.second = good.statements[0].clone();
    tried.must_fail("of other statements", &other);
    tried.report("forks");
}
