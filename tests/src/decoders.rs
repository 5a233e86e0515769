//! Every decoder of bytes that come from outside, as one function each: for the fuzz targets in `tests/fuzz`, and for
//! `tests/tests/decoders.rs`, which runs the same functions on every toolchain.
//!
//! A decoder may refuse; it may not panic, and what it accepts it must write again as it was where the form is canonical.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use organtwin::config::Config;
use organtwin::fhir::{Bulk, Limits, Policy, Pseudonyms};
use organtwin::hospital::StudyRequest;
use organtwin::identity::{Invitation, RosterTerms, make_roster};
use organtwin::net::{Request, Response};
use organtwin_protocol::codec::{self, ByteString};
use organtwin_protocol::digest::{self, ZERO};
use organtwin_protocol::identity::Identity;
use organtwin_protocol::roster::{Member, PassivePolicy, ROSTER_VERSION, RawRoster, Roster};
use organtwin_protocol::statement::{Body, STATEMENT_VERSION, SignedStatement, Statement};
use organtwin_protocol::transcript::Transcript;
use organtwin_protocol::twin::{TwinId, TwinList, TwinRef};
use organtwin_simulations::additive::import::{Target, import};
use organtwin_simulations::{Program, measure};
use organtwin_threshold::seal::stream::{SealingWriter, UnsealingReader, read_head};
use organtwin_threshold::{KeyShare, PartyId, PublicKey, SealingKey, Secret};

/// A decoder under test.
#[derive(Clone, Copy)]
pub struct Decoder {
    /// Name of the fuzz target and of the folder of its corpus.
    pub name: &'static str,
    /// Decodes; says whether the bytes were accepted.
    pub decode: fn(&[u8]) -> bool,
    /// Inputs made by the real encoders, all of which are accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const DECODERS: &[Decoder] = &[
    Decoder {
        name: "statement",
        decode: statement,
        seeds: statements,
    },
    Decoder {
        name: "roster",
        decode: |bytes| Roster::decode(bytes).is_ok_and(|one| one.encode().unwrap() == bytes),
        seeds: || vec![roster().encode().unwrap()],
    },
    Decoder {
        name: "transcript",
        decode: |bytes| Transcript::decode(bytes).is_ok(),
        seeds: Vec::new,
    },
    Decoder {
        name: "twin_list",
        decode: |bytes| TwinList::decode(bytes).is_ok(),
        seeds: twin_lists,
    },
    Decoder {
        name: "program",
        decode: program,
        seeds: || {
            let study = measure::vancomycin_study();
            vec![study.compile().unwrap().to_bytes()]
        },
    },
    Decoder {
        name: "request",
        decode: |bytes| Request::decode(bytes).is_ok_and(|one| one.encode().as_slice() == bytes),
        seeds: requests,
    },
    Decoder {
        name: "response",
        decode: |bytes| Response::decode(bytes).is_ok_and(|one| one.encode() == bytes),
        seeds: responses,
    },
    Decoder {
        name: "fhir",
        decode: |bytes| {
            Bulk::read_from(bytes, &Limits::default()).is_ok_and(|bulk| bulk.problem_count == 0)
        },
        seeds: || {
            let folder = scenarios().join("data/synthea/hospital-1");
            vec![
                head(&folder.join("Patient.ndjson"), 3),
                head(&folder.join("Observation.ndjson"), 4),
            ]
        },
    },
    Decoder {
        name: "features",
        decode: features,
        seeds: || {
            vec![
                b"patient,creatinine_umol_l,age_years,sex\np1,80,61,female\np2,,70,male\n".to_vec(),
            ]
        },
    },
    Decoder {
        name: "model",
        decode: model,
        seeds: || vec![std::fs::read(scenarios().join("data/heart-disease/model.json")).unwrap()],
    },
    Decoder {
        name: "study",
        decode: |bytes| {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            let study: Result<StudyRequest, _> = toml::from_str(text);
            study.is_ok_and(|request| request.study.compile().is_ok())
        },
        seeds: || vec![STUDY.into()],
    },
    Decoder {
        name: "invitation",
        decode: |bytes| {
            let one: Result<Invitation, _> = serde_json::from_slice(bytes);
            // Four alike make no roster, but each is read.
            one.is_ok_and(|one| {
                let _ = make_roster(terms(), &vec![one.clone(); 4]);
                !one.fingerprint().is_empty()
            })
        },
        seeds: || {
            vec![
                br#"{"schema":"organtwin.invitation/1","name":"A","statement_key":"00","network_key":"00"}"#
                    .to_vec(),
            ]
        },
    },
    Decoder {
        name: "config",
        decode: |bytes| {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            toml::from_str::<Config>(text).is_ok()
        },
        seeds: || vec![toml::to_string(&Config::new("A")).unwrap().into_bytes()],
    },
    Decoder {
        name: "sealed_stream",
        decode: |bytes| {
            let mut from = bytes;
            let Ok((_, head)) = read_head(&mut from) else {
                return false;
            };
            let mut plain = Vec::new();
            UnsealingReader::new(&key(), head, from)
                .is_ok_and(|mut reader| reader.read_to_end(&mut plain).is_ok())
        },
        seeds: || {
            let writer = SealingWriter::new(&key(), [7; 24], Vec::new()).unwrap();
            vec![writer.finish().unwrap()]
        },
    },
    Decoder {
        name: "sealed_share",
        decode: |bytes| KeyShare::unseal(bytes, &key()).is_ok(),
        seeds: Vec::new,
    },
    Decoder {
        name: "public_key",
        decode: |bytes| PublicKey::read_info(bytes).is_ok() && PublicKey::read_from(bytes).is_ok(),
        seeds: Vec::new,
    },
];

/// The decoder of this name. The fuzz targets call it.
pub fn decode(name: &str, bytes: &[u8]) {
    if let Some(decoder) = DECODERS.iter().find(|decoder| decoder.name == name) {
        (decoder.decode)(bytes);
    }
}

const STUDY: &str = r#"
title = "t"
question = "q"
quorum = 3
[study]
model = "vancomycin-goti-2018"
arms = [750.0, 1000.0]
cuts = [400.0, 600.0]
k = 5
"#;

fn scenarios() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// The first lines of a file.
fn head(path: &Path, lines: usize) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap();
    let some: Vec<&str> = text.lines().take(lines).collect();
    (some.join("\n") + "\n").into_bytes()
}

fn key() -> SealingKey {
    SealingKey::KeyFile(Secret::new([3; 32]))
}

fn party(number: u8) -> PartyId {
    PartyId::new(number).unwrap()
}

fn identity(number: u8) -> Identity {
    Identity::from_seed([number; 32])
}

fn roster() -> Roster {
    let members = (1..=4u8).map(|number| Member {
        party: party(number),
        name: format!("hospital {number}"),
        statement_key: identity(number).public(),
        network_key: ByteString::from(vec![number; 36]),
    });
    Roster::try_from(RawRoster {
        version: ROSTER_VERSION,
        name: "C".into(),
        threshold: 1,
        passive: PassivePolicy::Refused,
        parameters: "p".into(),
        instruction_class: "any".into(),
        members: members.collect(),
    })
    .unwrap()
}

fn terms() -> RosterTerms {
    RosterTerms {
        consortium: "C".into(),
        threshold: 1,
        passive: PassivePolicy::Refused,
        instruction_class: "any".into(),
    }
}

fn statements() -> Vec<Vec<u8>> {
    let bodies = [
        Body::RosterSigned {},
        Body::CeremonyJoined {
            attempt: 1,
            nonce: digest::of_blob(b"nonce"),
        },
        Body::TwinsReceived {
            twins: vec![digest::of_blob(b"twin")],
        },
        Body::TwinWithdrawn {
            id: TwinId::from_bytes([4; 16]),
        },
        Body::StudyRejected {
            manifest: digest::of_blob(b"study"),
            reason: "no".into(),
        },
    ];
    bodies
        .into_iter()
        .map(|body| {
            let statement = Statement {
                version: STATEMENT_VERSION,
                roster: roster().digest(),
                author: party(1),
                seq: 0,
                prev: ZERO,
                epoch: 0,
                time_ms: 1,
                body,
            };
            codec::encode(&SignedStatement::sign(&statement, &identity(1)).unwrap()).unwrap()
        })
        .collect()
}

fn statement(bytes: &[u8]) -> bool {
    // Also as the signed bytes, which no mutation of the whole would reach past the signature.
    let _ = codec::decode::<Statement>(bytes, 64 * 1024);
    let signed: Result<SignedStatement, _> = codec::decode(bytes, 64 * 1024);
    signed.is_ok_and(|signed| {
        let _ = signed.claimed_author();
        let _ = codec::decode::<Statement>(signed.bytes.as_slice(), 64 * 1024);
        signed.verify(&roster()).is_ok()
    })
}

fn twin_lists() -> Vec<Vec<u8>> {
    let twins = (1..=3u8).map(|number| TwinRef {
        id: TwinId::from_bytes([number; 16]),
        digest: digest::of_blob(&[number]),
        depositor: party(number),
    });
    vec![TwinList::sorted(twins.collect()).unwrap().encode().unwrap()]
}

fn program(bytes: &[u8]) -> bool {
    let schema = measure::vancomycin_study().schema().unwrap();
    Program::from_bytes(bytes, &schema).is_ok_and(|program| program.to_bytes() == bytes)
}

fn requests() -> Vec<Vec<u8>> {
    let all = [
        Request::Blob {
            hash: [3; 32],
            offset: 9,
        },
        Request::Chunk {
            session: [1; 32],
            stage: 2,
            group: 1,
            chunk: 300,
        },
        Request::Private {
            bytes: vec![1, 2, 3].into(),
        },
    ];
    all.iter()
        .map(|request| request.encode().to_vec())
        .collect()
}

fn responses() -> Vec<Vec<u8>> {
    let all = [
        Response::Statements(vec![vec![1], vec![], vec![2; 100]]),
        Response::Part {
            total: 77,
            bytes: vec![0; 5],
        },
        Response::Chunk(vec![9; 9]),
        Response::Taken,
    ];
    all.iter().map(Response::encode).collect()
}

fn features(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("features.csv");
    std::fs::write(&file, bytes).unwrap();
    let policy = Policy::default();
    let pseudonyms = Pseudonyms::new([1; 32]);
    organtwin::twins::prepare("kidney", &[file], &policy, &pseudonyms, None).is_ok()
}

fn model(bytes: &[u8]) -> bool {
    let schema = organtwin::twins::schema("heart").unwrap();
    let target = Target {
        name: "m",
        output: "risk",
        schema: &schema,
        names: &BTreeMap::new(),
    };
    import(bytes, &target).is_ok()
}
