//! How fast a transcript is verified: a consortium of four that has said very much, made up but for its signatures.

use std::collections::BTreeMap;

use organtwin_protocol::admission;
use organtwin_protocol::certificate::Certificate;
use organtwin_protocol::digest::{self, Digest, of_blob};
use organtwin_protocol::fold::{Fold, own_groups};
use organtwin_protocol::identity::Identity;
use organtwin_protocol::log::Log;
use organtwin_protocol::log::witness::cosigned_at_once;
use organtwin_protocol::manifest::{
    Gate, MANIFEST_VERSION, Manifest, ProgramFacts, RowFacts, TwinListFacts,
};
use organtwin_protocol::roster::{Member, PassivePolicy, ROSTER_VERSION, RawRoster, Roster};
use organtwin_protocol::shard;
use organtwin_protocol::statement::{
    Batch, Body, GroupDigest, PieceCommitment, PieceValues, SignedStatement, StageName, TwinCheck,
};
use organtwin_protocol::transcript::{StudyStore, Transcript};
use organtwin_protocol::twin::{TwinEntry, TwinId, TwinList, TwinRef};
use organtwin_protocol::verify;
use organtwin_threshold::{AdmissionValue, PartyId, SessionId};
use serde::Serialize;

use crate::planning::REAL_PARAMETERS;

type Wrong = Box<dyn std::error::Error>;

/// Twins of one deposit.
const TWINS: u8 = 10;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct AuditSpeed {
    pub(super) statements: u64,
    pub(super) studies: u64,
    pub(super) bytes: u64,
    pub(super) checks: usize,
    pub(super) seconds: f64,
    /// Of these, seconds of reading the file.
    pub(super) decode_seconds: f64,
}

struct Made {
    fold: Fold,
    log: Log,
    identities: BTreeMap<PartyId, Identity>,
    lists: BTreeMap<Digest, TwinList>,
    now: u64,
}

impl StudyStore for Made {
    fn twin_list(&self, manifest: &Digest) -> Option<TwinList> {
        self.lists.get(manifest).cloned()
    }

    fn squashed(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }
}

fn made_up(what: &str, number: u64) -> Digest {
    of_blob(format!("{what} {number}").as_bytes())
}

impl Made {
    fn new() -> Result<Self, Wrong> {
        let identities: BTreeMap<PartyId, Identity> = (1..=4u8)
            .filter_map(|number| Some((PartyId::new(number)?, Identity::from_seed([number; 32]))))
            .collect();
        let members = identities.iter().map(|(party, identity)| Member {
            party: *party,
            name: format!("hospital {party}"),
            statement_key: identity.public(),
            network_key: vec![party.get(); 36].into(),
        });
        let roster = Roster::try_from(RawRoster {
            version: ROSTER_VERSION,
            name: "bench".into(),
            threshold: 1,
            passive: PassivePolicy::Refused,
            parameters: REAL_PARAMETERS.into(),
            instruction_class: "any".into(),
            members: members.collect(),
        })?;
        Ok(Self {
            fold: Fold::new(roster),
            log: Log::default(),
            identities,
            lists: BTreeMap::new(),
            now: 1000,
        })
    }

    fn parties(&self) -> Vec<PartyId> {
        self.identities.keys().copied().collect()
    }

    fn say(&mut self, author: PartyId, body: Body) -> Result<(), Wrong> {
        self.now += 1;
        let identity = self.identities.get(&author).ok_or("no such party")?;
        let statement = self.fold.compose(author, 0, self.now, body)?;
        let signed = SignedStatement::sign(&statement, identity)?;
        self.fold.admit(signed)?;
        self.log.follow(&self.fold);
        Ok(())
    }

    fn all_say(&mut self, body: impl Fn(PartyId) -> Body) -> Result<(), Wrong> {
        let parties = self.parties();
        parties.into_iter().try_for_each(|p| self.say(p, body(p)))
    }

    fn ceremony(&mut self) -> Result<Digest, Wrong> {
        let session = SessionId::new([7; 32]);
        let roster = self.fold.founding().clone();
        let committee = roster.committee().clone();
        let pieces = |party: PartyId| committee.pieces_of(party);
        self.all_say(|_| Body::RosterSigned {})?;
        self.all_say(|p| Body::SeedCommitted {
            session,
            commitments: pieces(p)
                .map(|piece| PieceCommitment {
                    piece,
                    commitment: made_up("seed", u64::from(p.get())),
                })
                .collect(),
            mask: made_up("mask", 0),
        })?;
        self.all_say(|_| Body::SeedsHeld {
            session,
            mask_reveal: made_up("reveal", 0),
            echo: made_up("echo", 0),
        })?;
        for stage in [StageName::Bits, StageName::Products, StageName::Rows] {
            self.all_say(|_| Body::StageCommitted {
                session,
                stage,
                roots: vec![GroupDigest {
                    group: 0,
                    digest: made_up("root", 0),
                }],
            })?;
            self.all_say(|_| Body::StageOpened {
                session,
                stage,
                digest: made_up("opened", 0),
            })?;
        }
        self.all_say(|p| Body::SelfTest {
            session,
            squashed: made_up("self-test", 0),
            pieces: pieces(p)
                .map(|piece| PieceValues::pack(piece, &[1]))
                .collect(),
        })?;
        let certificate = Certificate {
            session,
            previous: digest::ZERO,
            roster: roster.digest(),
            parameters: roster.parameters().to_owned(),
            epoch: 0,
            parties: 4,
            threshold: 1,
            security: committee.security(),
            mask_seed: made_up("mask seed", 0),
            key: made_up("key", 0),
            bytes: 1,
        };
        self.all_say(|_| Body::KeyCertified {
            certificate: certificate.clone(),
        })?;
        Ok(certificate.digest()?)
    }

    /// One round: every hospital deposits, then a study on what was deposited is approved, evaluated and closed.
    fn round(&mut self, round: u32, certificate: Digest) -> Result<(), Wrong> {
        let roster = self.fold.founding().clone();
        let mut listed = Vec::new();
        for hospital in self.parties() {
            let batch = Batch {
                epoch: 0,
                hospital,
                number: round,
                polynomials: 1,
            };
            self.say(hospital, Body::BatchRequested { batch })?;
            self.all_say(|party| Body::BatchPrepared {
                batch,
                vectors: own_groups(&roster, party)
                    .map(|group| GroupDigest {
                        group,
                        digest: made_up("vector", u64::from(group)),
                    })
                    .collect(),
            })?;
            let twins: Vec<TwinEntry> = (0..TWINS)
                .map(|number| {
                    let mut id = [0; 16];
                    id[..4].copy_from_slice(&round.to_be_bytes());
                    id[4] = hospital.get();
                    id[5] = number;
                    TwinEntry {
                        id: TwinId::from_bytes(id),
                        digest: of_blob(&id),
                        first_slot: u32::from(number) * 100,
                        slots: 100,
                    }
                })
                .collect();
            listed.extend(twins.iter().map(|twin| TwinRef {
                id: twin.id,
                digest: twin.digest,
                depositor: hospital,
            }));
            let ids: Vec<TwinId> = twins.iter().map(|twin| twin.id).collect();
            let mut digests: Vec<Digest> = twins.iter().map(|twin| twin.digest).collect();
            digests.sort_unstable();
            let schema = made_up("schema", 0);
            let organ = "kidney".to_owned();
            self.say(
                hospital,
                Body::TwinsDeposited {
                    schema,
                    organ,
                    batch,
                    twins,
                },
            )?;
            let deposit = self.fold.feed(hospital).last().map(|said| said.hash());
            let deposit = deposit.ok_or("no deposit")?;
            for party in self.parties().into_iter().filter(|p| *p != hospital) {
                let twins = digests.clone();
                self.say(party, Body::TwinsReceived { twins })?;
            }
            self.all_say(|party| {
                let groups = if party == hospital {
                    admission::all_groups(&roster)
                } else {
                    admission::own_groups(&roster, party).count()
                };
                // Values of nothing: they sum to 0, as those of a twin that is in order.
                let values = admission::pack(&vec![AdmissionValue::default(); groups]);
                let check = |id: &TwinId| TwinCheck {
                    id: *id,
                    values: values.clone().into(),
                };
                Body::TwinsChecked {
                    deposit,
                    twins: ids.iter().map(check).collect(),
                }
            })?;
        }
        self.study(&TwinList::sorted(listed)?, certificate)
    }

    fn study(&mut self, list: &TwinList, certificate: Digest) -> Result<(), Wrong> {
        let parties = self.parties();
        let proposer = *parties.first().ok_or("no party")?;
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            title: "A study".into(),
            question: "How many?".into(),
            proposer,
            schema: made_up("schema", 0),
            program: made_up("program", 0),
            facts: ProgramFacts {
                model: "model".into(),
                rows: vec![RowFacts {
                    label: "row".into(),
                    cells: 3,
                }],
                gate: Gate::RowWithoutAnyHospital,
                k: 10,
                blocks: 8,
            },
            scenario: vec![1, 2, 3].into(),
            twins: TwinListFacts::of(list)?,
            feeds: self.fold.heads(),
            certificate,
            epsilon_micro: None,
            quorum: 3,
            recipients: Vec::new(),
            expires_ms: u64::MAX,
        };
        let id = manifest.digest()?;
        self.lists.insert(id, list.clone());
        self.say(
            proposer,
            Body::StudyProposed {
                manifest: Box::new(manifest),
            },
        )?;
        for party in parties.iter().take(3) {
            self.say(*party, Body::StudyApproved { manifest: id })?;
        }
        for shard in shard::shards(&id, list) {
            for party in parties.iter().take(2) {
                let body = Body::ShardEvaluated {
                    manifest: id,
                    shard: shard.index,
                    inputs: shard.inputs,
                    output: made_up("output", u64::from(shard.index)),
                };
                self.say(*party, body)?;
            }
        }
        let reason = "measured".to_owned();
        self.say(
            proposer,
            Body::StudyClosed {
                manifest: id,
                reason,
            },
        )
    }
}

/// Makes a transcript of at least so many statements and verifies it.
pub(super) fn measured(statements: u64, clock: &dyn Fn() -> f64) -> Result<AuditSpeed, Wrong> {
    let mut made = Made::new()?;
    let certificate = made.ceremony()?;
    let mut round = 0;
    while made.log.tree().head().size < statements {
        made.round(round, certificate)?;
        round += 1;
    }
    let all: Vec<(PartyId, &Identity)> = made.identities.iter().map(|(p, i)| (*p, i)).collect();
    let (me, others) = all.split_first().ok_or("no party")?;
    let roster = made.fold.roster();
    let consortium = made.fold.founding().digest();
    let checkpoint = cosigned_at_once(&made.log, roster, &consortium, *me, others, 1)?;
    let transcript = Transcript::export(&made.fold, None, &made, &made.log, &checkpoint)?;
    let bytes = transcript.encode()?;
    drop(transcript);
    let start = clock();
    let read = Transcript::decode(&bytes)?;
    let decoded = clock();
    let report = verify::verify(&read);
    let seconds = clock() - start;
    if let Some(failed) = report.checks.iter().find(|check| !check.passed) {
        return Err(format!("{}: {}", failed.name, failed.detail).into());
    }
    Ok(AuditSpeed {
        statements: read.statements.len() as u64,
        studies: read.studies.len() as u64,
        bytes: bytes.len() as u64,
        checks: report.checks.len(),
        seconds,
        decode_seconds: decoded - start,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_transcript_that_is_measured_passes() {
        let speed = super::measured(300, &|| 0.0).unwrap();
        assert!(speed.statements >= 300 && speed.checks > 20);
    }
}
