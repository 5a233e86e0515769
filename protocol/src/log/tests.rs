use super::checkpoint::{self, Checkpoint};
use super::note::{self, Note, NoteError, SignatureKind, SignatureLine, Text};
use super::proof::{Consistency, Inclusion};
use super::witness::{Cosigned, Declined, Seen, Witness, cosigned_at_once};
use super::*;
use crate::codec;
use crate::identity::{Identity, StatementKey};
use crate::scene::{Scene, blob, identity, party};

fn leaf(number: u64) -> Digest {
    blob(&number.to_string())
}

fn tree(size: u64) -> Tree {
    let mut tree = Tree::default();
    (0..size).for_each(|number| tree.push(leaf(number)));
    tree
}

#[test]
fn the_root_is_the_merkle_tree_hash_of_the_leaves() {
    for size in 0..70u64 {
        let leaves: Vec<Digest> = (0..size).map(leaf).collect();
        let leaves: Vec<&[u8; 32]> = leaves.iter().map(Digest::as_bytes).collect();
        assert_eq!(
            tree(size).head().root,
            digest::merkle_root(&leaves),
            "{size}"
        );
        assert_eq!(tree(size).head().size, size);
    }
}

#[test]
fn every_leaf_has_a_proof_and_no_proof_serves_another_leaf_place_or_size() {
    for size in 1..40u64 {
        let (tree, other) = (tree(size), tree(size + 1));
        for index in 0..size {
            let proof = tree.inclusion(index).unwrap();
            let head = tree.head();
            head.includes(leaf(index), index, &proof).unwrap();
            assert!(head.includes(leaf(index + 1), index, &proof).is_err());
            assert!(
                head.includes(leaf(index), (index + 1) % size, &proof)
                    .is_err()
                    || size == 1
            );
            assert!(other.head().includes(leaf(index), index, &proof).is_err());
            for position in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[position] = leaf(99);
                assert!(head.includes(leaf(index), index, &wrong).is_err());
                wrong.remove(position);
                assert!(head.includes(leaf(index), index, &wrong).is_err());
            }
        }
        assert_eq!(tree.inclusion(size), None);
    }
}

#[test]
fn every_earlier_tree_is_proven_and_a_changed_one_is_not() {
    let whole = tree(40);
    for size in 0..=40u64 {
        let proof = whole.consistency(size).unwrap();
        let earlier = tree(size).head();
        whole.head().extends(&earlier, &proof).unwrap();
        if size > 0 {
            let changed = TreeHead {
                root: leaf(7),
                ..earlier
            };
            assert!(whole.head().extends(&changed, &proof).is_err(), "{size}");
        }
        for position in 0..proof.len() {
            let mut wrong = proof.clone();
            wrong[position] = leaf(99);
            assert!(whole.head().extends(&earlier, &wrong).is_err());
            wrong.remove(position);
            assert!(whole.head().extends(&earlier, &wrong).is_err());
        }
        let mut longer = proof.clone();
        longer.push(leaf(1));
        assert!(whole.head().extends(&earlier, &longer).is_err());
    }
    assert_eq!(whole.consistency(41), None);
    assert_eq!(
        tree(3).head().extends(&whole.head(), &[]),
        Err(ProofError::Range)
    );
    let huge = TreeHead {
        size: u64::MAX,
        root: leaf(1),
    };
    assert_eq!(
        huge.extends(&tree(3).head(), &[leaf(1)]),
        Err(ProofError::Range)
    );
    assert_eq!(
        huge.includes(leaf(1), 1, &[leaf(1)]),
        Err(ProofError::Range)
    );
}

/// The example of the format's documentation in Go's module for notes.
const EXAMPLE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn a_published_note_is_read_and_its_signature_holds() {
    // PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW
    let key = "1a5cd907143c384c41e830c5bce12aa8817ec5649aaabf2c31388b35b2d744d6";
    let key = StatementKey::from_hex(key).unwrap();
    let kind = SignatureKind::Log;
    assert_eq!(
        codec::to_hex(&note::key_id("PeterNeumann", kind, &key)),
        "c74f20a3"
    );
    assert_eq!(
        note::verifier_key("PeterNeumann", kind, &key),
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    );
    let note = Note::decode(EXAMPLE).unwrap();
    assert_eq!(note.encode(), EXAMPLE);
    note.signed_by("PeterNeumann", &key).unwrap();
    let changed = Note::decode(&EXAMPLE.replace("answer", "Answer")).unwrap();
    assert!(matches!(
        changed.signed_by("PeterNeumann", &key),
        Err(NoteError::BadSignature(_))
    ));
    assert!(matches!(
        note.signed_by("EnochRoot", &key),
        Err(NoteError::Unsigned(_))
    ));
}

#[test]
fn what_is_no_note_is_refused() {
    let cases = [
        ("nothing", String::new()),
        ("no signature", "text\n\n".into()),
        ("no empty line", EXAMPLE.replacen("\n\n", "\n", 1)),
        ("no newline at the end", EXAMPLE.trim_end().to_owned()),
        ("a control character", EXAMPLE.replace("crypto", "\u{1}")),
        ("a zero byte", EXAMPLE.replace("crypto", "\0")),
        ("a hyphen for the dash", EXAMPLE.replace('\u{2014}', "-")),
        ("a plus in the name", EXAMPLE.replace("PeterN", "Peter+N")),
        ("no base64", EXAMPLE.replace("x08go/", "x08go!")),
        ("a line after it", format!("{EXAMPLE}more\n")),
        ("a short signature", "text\n\n\u{2014} a YWJj\n".into()),
        (
            "too long",
            format!("{}\n{EXAMPLE}", "x".repeat(note::MAX_NOTE_BYTES)),
        ),
    ];
    for (name, text) in cases {
        assert!(Note::decode(&text).is_err(), "{name}");
    }
    assert!(Text::new("no end".into()).is_err());
}

fn consortium() -> (Scene, Digest) {
    let scene = Scene::new(4, 1);
    let digest = scene.fold.roster().digest();
    (scene, digest)
}

fn signed(consortium: &Digest, number: u8, head: TreeHead) -> Checkpoint {
    Checkpoint::sign(consortium, party(number), head, &identity(party(number))).unwrap()
}

#[test]
fn a_checkpoint_comes_back_as_it_was_and_every_other_text_is_refused() {
    let (_, consortium) = consortium();
    let good = signed(&consortium, 1, tree(9).head());
    let text = good.encode();
    assert_eq!(Checkpoint::decode(&text).unwrap(), good);
    let key = identity(party(1)).public();
    assert_eq!(good.verify(&consortium, party(1), &key), Ok(tree(9).head()));
    for (what, changed) in [
        ("size", text.replace("\n9\n", "\n8\n")),
        ("size with zero", text.replace("\n9\n", "\n09\n")),
        (
            "huge size",
            text.replace("\n9\n", "\n18446744073709551615\n"),
        ),
        ("extension line", text.replace("\n9\n", "\n9\nx\n")),
        ("party", text.replace("/1", "/2")),
        ("no root", text.replace("\n9\n", "\n9\n?\n")),
    ] {
        let verified =
            Checkpoint::decode(&changed).and_then(|c| c.verify(&consortium, party(1), &key));
        assert!(verified.is_err(), "{what}");
    }
    assert!(matches!(
        good.verify(&blob("another consortium"), party(1), &key),
        Err(NoteError::OtherLog { .. })
    ));
    assert!(
        good.verify(&consortium, party(1), &identity(party(2)).public())
            .is_err()
    );
}

#[test]
fn cosignatures_are_of_this_checkpoint_by_other_members_in_order() {
    let (scene, consortium) = consortium();
    let keys = checkpoint::keys(scene.fold.roster());
    let identities: Vec<(PartyId, Identity)> =
        (1..=4).map(|n| (party(n), identity(party(n)))).collect();
    let all: Vec<_> = identities.iter().map(|(p, i)| (*p, i)).collect();
    let mut log = Log::default();
    log.push(Entry::Statement(FeedHead {
        party: party(1),
        seq: 0,
        hash: leaf(0),
    }));
    let roster = scene.fold.roster();
    let good = cosigned_at_once(&log, roster, &consortium, all[0], &all[1..], 77).unwrap();
    let times = good.verify_all(&consortium, party(1), &keys).unwrap();
    assert_eq!(
        times,
        BTreeMap::from([(party(2), 77), (party(3), 77), (party(4), 77)])
    );
    let lines: Vec<&str> = good.encode().leak().lines().collect();
    let (text, signatures) = lines.split_at(4);
    let make = |order: &[usize]| {
        let lines: Vec<&str> = order.iter().map(|i| signatures[*i]).collect();
        Checkpoint::decode(&format!("{}\n{}\n", text.join("\n"), lines.join("\n"))).unwrap()
    };
    let verified = |c: &Checkpoint| c.verify_all(&consortium, party(1), &keys);
    assert_eq!(verified(&make(&[0, 1, 3])).unwrap().len(), 2);
    for order in [&[1, 0][..], &[1, 2, 3], &[0, 2, 1], &[0, 1, 1], &[0, 0, 1]] {
        assert!(verified(&make(order)).is_err(), "{order:?}");
    }
    // A cosignature with another time, or for another size.
    let other = signed(&consortium, 1, tree(2).head());
    let mut mixed = other.clone();
    let line = signatures[1];
    assert!(
        mixed
            .add(&consortium, party(2), &identity(party(2)).public(), line)
            .is_err()
    );
    assert_eq!(mixed, other);
    let mut later = SignatureLine::decode(line).unwrap();
    later.signature[7] ^= 1;
    let mut moved = make(&[0]);
    let added = moved.add(
        &consortium,
        party(2),
        &identity(party(2)).public(),
        &later.encode(),
    );
    assert!(added.is_err());
}

/// A request for a cosignature of a log of `size` leaves, counted from `old`.
fn request(consortium: &Digest, number: u8, of: &Tree, old: u64) -> String {
    Consistency {
        old,
        hashes: of.consistency(old).unwrap(),
        checkpoint: signed(consortium, number, of.head()),
    }
    .encode()
}

#[test]
fn a_witness_cosigns_what_extends_and_names_a_rewritten_log() {
    let (scene, consortium) = consortium();
    let roster = scene.fold.roster();
    let own = identity(party(2));
    let mut witness = Witness::default();
    let ask = |witness: &Witness, request: &str| {
        witness.cosign(roster, &consortium, (party(2), &own), party(1), 5, request)
    };
    let take = |witness: &mut Witness, cosigned: Cosigned| {
        witness.remember(party(1), cosigned.seen);
    };
    let first = ask(&witness, &request(&consortium, 1, &tree(5), 0)).unwrap();
    take(&mut witness, first);
    // The same again, then longer.
    let again = ask(&witness, &request(&consortium, 1, &tree(5), 5)).unwrap();
    take(&mut witness, again);
    let longer = ask(&witness, &request(&consortium, 1, &tree(9), 5)).unwrap();
    take(&mut witness, longer);
    assert_eq!(witness.seen(party(1)).unwrap().head, tree(9).head());
    // Counted from elsewhere, or shorter.
    for (size, old) in [(12, 5), (12, 0), (7, 5), (7, 0)] {
        let request = request(&consortium, 1, &tree(size), old);
        assert_eq!(
            ask(&witness, &request),
            Err(Declined::OtherSize(9)),
            "{size} from {old}"
        );
    }
    // One leaf before was changed.
    let mut rewritten = Tree::default();
    (0..12).for_each(|n| rewritten.push(leaf(if n == 3 { 99 } else { n })));
    let Err(Declined::Rewritten(evidence)) = ask(&witness, &request(&consortium, 1, &rewritten, 9))
    else {
        panic!("a rewritten log was cosigned");
    };
    assert_eq!(evidence.party, party(1));
    let key = identity(party(1)).public();
    Checkpoint::decode(&evidence.earlier)
        .unwrap()
        .verify(&consortium, party(1), &key)
        .unwrap();
    // Of equal size with another root.
    let mut other = Tree::default();
    (0..9).for_each(|n| other.push(leaf(n + 1)));
    assert!(matches!(
        ask(&witness, &request(&consortium, 1, &other, 9)),
        Err(Declined::Rewritten(_))
    ));
    // Another party's checkpoint, another consortium's, no proof at all.
    for foreign in [
        request(&consortium, 3, &tree(12), 9),
        request(&blob("another"), 1, &tree(12), 9),
        "old 9\n\n".to_owned(),
        String::new(),
    ] {
        assert!(matches!(ask(&witness, &foreign), Err(Declined::Note(_))));
    }
    // What was kept survives a restart; a fresh key begins a new log.
    let kept = witness.seen(party(1)).unwrap().clone();
    let back = Witness::remembering(BTreeMap::from([(party(1), kept.clone())]));
    assert_eq!(back, witness);
    let recovered = Seen {
        key: identity(party(3)).public(),
        ..kept
    };
    let mut fresh = Witness::default();
    fresh.remember(party(1), recovered);
    ask(&fresh, &request(&consortium, 1, &tree(2), 0)).unwrap();
}

#[test]
fn proof_files_come_back_as_they_were() {
    let (_, consortium) = consortium();
    let tree = tree(13);
    let checkpoint = signed(&consortium, 1, tree.head());
    let inclusion = Inclusion {
        index: 4,
        hashes: tree.inclusion(4).unwrap(),
        checkpoint: checkpoint.clone(),
    };
    assert_eq!(Inclusion::decode(&inclusion.encode()).unwrap(), inclusion);
    assert!(
        inclusion
            .encode()
            .starts_with("c2sp.org/tlog-proof@v1\nindex 4\n")
    );
    for old in [0, 5, 13] {
        let consistency = Consistency {
            old,
            hashes: tree.consistency(old).unwrap(),
            checkpoint: checkpoint.clone(),
        };
        assert_eq!(
            Consistency::decode(&consistency.encode()).unwrap(),
            consistency
        );
    }
    let good = inclusion.encode();
    for (what, bad) in [
        ("another version", good.replace("@v1", "@v2")),
        ("a padded index", good.replace("index 4", "index 04")),
        (
            "a short hash",
            good.replacen("\n\norgantwin", "\nAAAA\n\norgantwin", 1),
        ),
        (
            "no checkpoint",
            good.split("\n\n").next().unwrap().to_owned(),
        ),
        (
            "too many hashes",
            good.replacen(
                "index 4\n",
                &format!(
                    "index 4\n{}",
                    format!("{}\n", "A".repeat(43) + "=").repeat(64)
                ),
                1,
            ),
        ),
    ] {
        assert!(Inclusion::decode(&bad).is_err(), "{what}");
    }
}

#[test]
fn a_log_follows_the_fold_in_the_order_of_acceptance() {
    let (scene, _) = Scene::whole();
    let log = &scene.log;
    assert_eq!(log.tree().head().size, scene.statements().len() as u64);
    assert!(log.news(&scene.fold).is_empty());
    for p in scene.parties() {
        assert_eq!(log.held(p), scene.fold.feed(p).len() as u64);
        for statement in scene.fold.feed(p) {
            let (index, hash) = log.find(p, statement.seq()).unwrap();
            assert_eq!(hash, statement.hash());
            let proof = log.tree().inclusion(index).unwrap();
            log.tree().head().includes(hash, index, &proof).unwrap();
        }
    }
}
