//! A small consortium for tests: parties say things, the fold listens, numbers are made up.

use std::collections::BTreeMap;

use organtwin_threshold::{AdmissionValue, PartyId, PieceId, SessionId};

use crate::admission;
use crate::certificate::Certificate;
use crate::digest::{self, Digest};
use crate::duty::{self, Duty, LocalView};
use crate::feed::FeedHead;
use crate::fold::{Admitted, Fold, Refusal};
use crate::identity::Identity;
use crate::log::checkpoint::Checkpoint;
use crate::log::{Log, witness};
use crate::manifest::{Gate, MANIFEST_VERSION, Manifest, ProgramFacts, RowFacts, TwinListFacts};
use crate::roster::{Member, PassivePolicy, ROSTER_VERSION, RawRoster, Roster};
use crate::shard;
use crate::statement::{
    Batch, Body, GroupDigest, PieceCommitment, PieceValues, SignedStatement, StageName, TwinCheck,
    VerifiedStatement,
};
use crate::study::{self, Study};
use crate::transcript::{StudyStore, Transcript};
use crate::twin::{TwinEntry, TwinId, TwinList};
use crate::verify::{Recombine, Recombined};

pub(crate) const BLOCKS: u32 = 5;
pub(crate) const EXPIRES: u64 = 1_000_000;

pub(crate) fn party(number: u8) -> PartyId {
    PartyId::new(number).unwrap()
}

pub(crate) fn blob(text: &str) -> Digest {
    digest::of_blob(text.as_bytes())
}

pub(crate) fn identity(party: PartyId) -> Identity {
    Identity::from_seed([party.get(); 32])
}

pub(crate) fn raw_roster(n: u8, t: u8) -> RawRoster {
    let member = |number: u8| Member {
        party: party(number),
        name: format!("hospital {number}"),
        statement_key: identity(party(number)).public(),
        network_key: vec![number; 36].into(),
    };
    RawRoster {
        version: ROSTER_VERSION,
        name: "a consortium".into(),
        threshold: t,
        passive: if n > 3 * t {
            PassivePolicy::Refused
        } else {
            PassivePolicy::Allowed
        },
        parameters: "test".into(),
        instruction_class: "any".into(),
        members: (1..=n).map(member).collect(),
    }
}

#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) fold: Fold,
    /// Party 1's log.
    pub(crate) log: Log,
    pub(crate) said: BTreeMap<Digest, SignedStatement>,
    pub(crate) now: u64,
}

/// Recombination for made-up ciphertexts: the values are the squashed bytes themselves, as long as every
/// piece has the value that [`piece_values`] gives.
pub(crate) struct MadeUp;

impl Recombine for MadeUp {
    fn opening_limit(&self, _: &Fold) -> Result<u64, String> {
        Ok(1 << 15)
    }

    fn recombine(
        &self,
        _: &Roster,
        squashed: &[u8],
        values: &BTreeMap<PieceId, Vec<u128>>,
    ) -> Result<Recombined, String> {
        let count = u32::try_from(squashed.len()).unwrap();
        for (piece, values) in values {
            if *values != piece_values(*piece, 0, count) {
                return Err(format!("wrong values of the {piece}"));
            }
        }
        Ok(Recombined {
            squashed: digest::of_blob(squashed),
            values: squashed.to_vec(),
        })
    }
}

/// Made-up values of the groups of a check; they sum to 0.
pub(crate) fn check_value(roster: &Roster, group: usize) -> AdmissionValue {
    let last = admission::all_groups(roster) - 1;
    let word = |value: u128| {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&value.to_le_bytes());
        AdmissionValue::from_bytes(&bytes)
    };
    let value = |group: usize| 7 + group as u128;
    if group == last {
        word((0..last).map(value).sum::<u128>().wrapping_neg())
    } else {
        word(value(group))
    }
}

pub(crate) fn squashed_bytes() -> Vec<u8> {
    vec![3, 1, 4, 1, 5]
}

pub(crate) fn piece_values(piece: PieceId, first: u32, count: u32) -> Vec<u128> {
    (first..first + count)
        .map(|block| u128::from(piece.absent().bits()) << 64 | u128::from(block))
        .collect()
}

impl StudyStore for Scene {
    fn twin_list(&self, manifest: &Digest) -> Option<TwinList> {
        let study = Study::find(&self.fold, manifest)?;
        let mut lists = [self.list(), self.eligible_list()].into_iter();
        lists.find(|list| TwinListFacts::of(list).is_ok_and(|facts| facts == study.manifest.twins))
    }

    fn squashed(&self, _: &Digest) -> Option<Vec<u8>> {
        Some(squashed_bytes())
    }

    fn voided(&self, statement: &FeedHead) -> Option<SignedStatement> {
        self.said.get(&statement.hash).cloned()
    }
}

impl Scene {
    pub(crate) fn new(n: u8, t: u8) -> Self {
        Self {
            fold: Fold::new(Roster::try_from(raw_roster(n, t)).unwrap()),
            log: Log::default(),
            said: BTreeMap::new(),
            now: 1000,
        }
    }

    pub(crate) fn parties(&self) -> Vec<PartyId> {
        self.fold
            .roster()
            .members()
            .iter()
            .map(|m| m.party)
            .collect()
    }

    /// Composes, signs and admits, as a node does.
    pub(crate) fn say(&mut self, author: PartyId, body: Body) -> Result<Digest, Refusal> {
        self.now += 1;
        let epoch = self.fold.speaks_in(author).unwrap_or(0);
        let statement = self.fold.compose(author, epoch, self.now, body)?;
        let signed = SignedStatement::sign(&statement, &identity(author)).unwrap();
        let hash = signed.hash();
        self.said.insert(hash, signed.clone());
        assert_eq!(self.fold.admit(signed)?, Admitted::Extended(vec![hash]));
        self.log.follow(&self.fold);
        Ok(hash)
    }

    pub(crate) fn all_say(&mut self, body: impl Fn(PartyId) -> Body) {
        for party in self.parties() {
            self.say(party, body(party)).unwrap();
        }
    }

    pub(crate) fn statements(&self) -> Vec<SignedStatement> {
        self.fold
            .statements()
            .map(VerifiedStatement::signed)
            .cloned()
            .collect()
    }

    pub(crate) fn certificate(&self) -> Certificate {
        let roster = self.fold.roster();
        Certificate {
            session: SessionId::new([7; 32]),
            previous: digest::ZERO,
            roster: roster.digest(),
            parameters: roster.parameters().to_owned(),
            epoch: 0,
            parties: u8::try_from(roster.parties()).unwrap(),
            threshold: u8::try_from(roster.threshold()).unwrap(),
            security: roster.committee().security(),
            mask_seed: blob("mask seed"),
            key: blob("key"),
            bytes: 1,
        }
    }

    pub(crate) fn ceremony(&mut self) {
        let session = SessionId::new([7; 32]);
        let committee = self.fold.roster().committee().clone();
        self.all_say(|_| Body::RosterSigned {});
        self.all_say(|p| Body::CeremonyJoined {
            attempt: 1,
            nonce: blob(&p.to_string()),
        });
        self.all_say(|p| Body::SeedCommitted {
            session,
            commitments: committee
                .pieces_of(p)
                .map(|piece| PieceCommitment {
                    piece,
                    commitment: blob(&format!("{piece}{p}")),
                })
                .collect(),
            mask: blob("commitment"),
        });
        self.all_say(|p| Body::SeedsHeld {
            session,
            mask_reveal: blob(&p.to_string()),
            echo: blob("echo"),
        });
        for stage in [StageName::Bits, StageName::Products, StageName::Rows] {
            self.all_say(|_| Body::StageCommitted {
                session,
                stage,
                roots: vec![GroupDigest {
                    group: 0,
                    digest: blob("root"),
                }],
            });
            self.all_say(|_| Body::StageOpened {
                session,
                stage,
                digest: blob("opened"),
            });
        }
        self.all_say(|p| Body::SelfTest {
            session,
            squashed: blob("self-test"),
            pieces: committee
                .pieces_of(p)
                .map(|piece| PieceValues::pack(piece, &[1]))
                .collect(),
        });
        let certificate = self.certificate();
        self.all_say(|_| Body::KeyCertified {
            certificate: certificate.clone(),
        });
    }

    pub(crate) fn batch(&self, hospital: PartyId) -> Batch {
        Batch {
            epoch: 0,
            hospital,
            number: 0,
            polynomials: 1,
        }
    }

    pub(crate) fn request_batch(&mut self, hospital: PartyId) {
        self.prepare(self.batch(hospital));
    }

    fn prepare(&mut self, batch: Batch) {
        self.say(batch.hospital, Body::BatchRequested { batch })
            .unwrap();
        let roster = self.fold.roster().clone();
        self.all_say(|p| Body::BatchPrepared {
            batch,
            vectors: vectors(&roster, p),
        });
    }

    pub(crate) fn entry(&self, hospital: PartyId, number: u8) -> TwinEntry {
        TwinEntry {
            id: TwinId::from_bytes([hospital.get() * 16 + number; 16]),
            digest: blob(&format!("twin {hospital} {number}")),
            first_slot: u32::from(number) * 100,
            slots: 100,
        }
    }

    pub(crate) fn schema(&self) -> Digest {
        blob("schema")
    }

    /// Deposits twins, which everyone receives and checks.
    pub(crate) fn deposit(&mut self, hospital: PartyId, count: u8) {
        let (statement, ids) = self.deposit_unchecked(hospital, count);
        self.all_check(statement, &ids, hospital);
    }

    /// Everyone checks twins that are as they should be.
    pub(crate) fn all_check(&mut self, statement: Digest, ids: &[TwinId], depositor: PartyId) {
        for party in self.parties() {
            let body = self.check(party, statement, ids, depositor);
            self.say(party, body).unwrap();
        }
    }

    /// Deposits twins, which everyone receives.
    pub(crate) fn deposit_unchecked(
        &mut self,
        hospital: PartyId,
        count: u8,
    ) -> (Digest, Vec<TwinId>) {
        let batch = self.batch(hospital);
        let twins = (0..count)
            .map(|number| self.entry(hospital, number))
            .collect();
        self.deposit_in(batch, twins)
    }

    /// Asks for another batch, which is prepared.
    pub(crate) fn request_next_batch(&mut self, hospital: PartyId) {
        let batch = Batch {
            number: 1,
            ..self.batch(hospital)
        };
        self.prepare(batch);
    }

    /// Deposits one more twin in the second batch.
    pub(crate) fn deposit_unchecked_in_next(&mut self, hospital: PartyId) {
        let batch = Batch {
            number: 1,
            ..self.batch(hospital)
        };
        let twin = self.entry(hospital, 15);
        self.deposit_in(
            batch,
            vec![TwinEntry {
                first_slot: 0,
                ..twin
            }],
        );
    }

    fn deposit_in(&mut self, batch: Batch, mut twins: Vec<TwinEntry>) -> (Digest, Vec<TwinId>) {
        let (hospital, schema) = (batch.hospital, self.schema());
        twins.sort_by_key(|t| t.id);
        let mut digests: Vec<Digest> = twins.iter().map(|t| t.digest).collect();
        digests.sort();
        let ids: Vec<TwinId> = twins.iter().map(|twin| twin.id).collect();
        let statement = self
            .say(
                hospital,
                Body::TwinsDeposited {
                    schema,
                    organ: "kidney".into(),
                    batch,
                    twins,
                },
            )
            .unwrap();
        for party in self.parties().into_iter().filter(|p| *p != hospital) {
            self.say(
                party,
                Body::TwinsReceived {
                    twins: digests.clone(),
                },
            )
            .unwrap();
        }
        (statement, ids)
    }

    /// What an honest party states of twins that are as they should be: made-up values that sum to 0.
    pub(crate) fn check(
        &self,
        me: PartyId,
        statement: Digest,
        ids: &[TwinId],
        depositor: PartyId,
    ) -> Body {
        let roster = self.fold.roster();
        let groups: Vec<usize> = if me == depositor {
            (0..admission::all_groups(roster)).collect()
        } else {
            admission::own_groups(roster, me).collect()
        };
        let values: Vec<AdmissionValue> = groups
            .into_iter()
            .map(|group| check_value(roster, group))
            .collect();
        Body::TwinsChecked {
            deposit: statement,
            twins: ids
                .iter()
                .map(|id| TwinCheck {
                    id: *id,
                    values: admission::pack(&values).into(),
                })
                .collect(),
        }
    }

    /// A consortium with a key and `count` twins of each party.
    pub(crate) fn with_twins(n: u8, t: u8, count: u8) -> Self {
        let mut scene = Self::new(n, t);
        scene.ceremony();
        for hospital in scene.parties() {
            scene.request_batch(hospital);
            scene.deposit(hospital, count);
        }
        scene
    }

    /// The list of all deposited twins, withdrawn ones too.
    pub(crate) fn list(&self) -> TwinList {
        TwinList::sorted(
            self.fold
                .facts()
                .deposits
                .values()
                .map(|d| d.twin)
                .collect(),
        )
        .unwrap()
    }

    /// The list of the twins that a study proposed now may contain.
    pub(crate) fn eligible_list(&self) -> TwinList {
        let twins = study::eligible_twins(&self.fold, &self.fold.heads(), &self.schema());
        TwinList::sorted(twins).unwrap()
    }

    pub(crate) fn manifest(&self, quorum: u8) -> Manifest {
        Manifest {
            version: MANIFEST_VERSION,
            title: "A study".into(),
            question: "What is it?".into(),
            proposer: party(1),
            schema: self.schema(),
            program: blob("program"),
            facts: ProgramFacts {
                model: "model".into(),
                rows: vec![RowFacts {
                    label: "row".into(),
                    cells: 3,
                }],
                gate: Gate::RowWithoutAnyHospital,
                k: 10,
                blocks: BLOCKS,
            },
            scenario: vec![1, 2, 3].into(),
            twins: TwinListFacts::of(&self.list()).unwrap(),
            feeds: self.fold.heads(),
            certificate: self.certificate().digest().unwrap(),
            epsilon_micro: None,
            quorum,
            recipients: vec![],
            expires_ms: EXPIRES,
        }
    }

    pub(crate) fn propose(&mut self, quorum: u8) -> Digest {
        let manifest = self.manifest(quorum);
        let id = manifest.digest().unwrap();
        self.say(
            party(1),
            Body::StudyProposed {
                manifest: Box::new(manifest),
            },
        )
        .unwrap();
        id
    }

    pub(crate) fn approve(&mut self, id: Digest, number: u8) -> Digest {
        self.say(party(number), Body::StudyApproved { manifest: id })
            .unwrap()
    }

    pub(crate) fn reject(&mut self, id: Digest, number: u8) {
        self.say(
            party(number),
            Body::StudyRejected {
                manifest: id,
                reason: "no".into(),
            },
        )
        .unwrap();
    }

    pub(crate) fn evaluate(&mut self, id: Digest) {
        for shard in shard::shards(&id, &self.list()) {
            let ranking = shard::ranking(self.fold.roster(), &id, shard.index);
            for party in ranking.into_iter().take(self.fold.roster().equal_needed()) {
                let output = blob(&format!("output {}", shard.index));
                self.say(
                    party,
                    Body::ShardEvaluated {
                        manifest: id,
                        shard: shard.index,
                        inputs: shard.inputs,
                        output,
                    },
                )
                .unwrap();
            }
        }
    }

    pub(crate) fn derive(&mut self, id: Digest, numbers: &[u8]) {
        for number in numbers {
            let body = Body::AggregateDerived {
                manifest: id,
                aggregate: blob("aggregate"),
                squashed: digest::of_blob(&squashed_bytes()),
                blocks: BLOCKS,
            };
            self.say(party(*number), body).unwrap();
        }
    }

    /// The view of a party that holds everything.
    pub(crate) fn view(&self, id: Digest) -> LocalView {
        let facts = self.fold.facts();
        let mut view = LocalView {
            takeover_ms: 1000,
            opening_limit: 1 << 15,
            ..LocalView::default()
        };
        view.blobs
            .extend(facts.deposits.values().map(|d| d.twin.digest));
        view.blobs
            .extend((0..200).map(|index| blob(&format!("output {index}"))));
        view.blobs.extend((0..64).map(|group| vector(group).digest));
        view.batches.extend(facts.batches.keys());
        view.subseeds_sent.extend(facts.batches.keys());
        view.twin_lists
            .insert(digest::of_blob(&self.list().encode().unwrap()), self.list());
        view.squashed.insert(id, digest::of_blob(&squashed_bytes()));
        view.progress_ms.insert(id, self.now);
        view
    }

    pub(crate) fn duties(&self, id: Digest, number: u8) -> Vec<Duty> {
        duty::duties(&self.fold, party(number), self.now, &self.view(id))
    }

    /// Does a party's release duties, if it has any; `values` may lie.
    pub(crate) fn release(
        &mut self,
        id: Digest,
        number: u8,
        values: impl Fn(PieceId, u32, u32) -> Vec<u128>,
    ) -> usize {
        let (me, view) = (party(number), self.view(id));
        let duties: Vec<Duty> = self
            .duties(id, number)
            .into_iter()
            .filter(|d| matches!(d, Duty::Release { .. }))
            .collect();
        for duty in &duties {
            let Duty::Release {
                first_block,
                blocks,
                ..
            } = duty
            else {
                continue;
            };
            let pieces = self.fold.roster().committee().pieces_of(me);
            let values: Vec<_> = pieces
                .into_iter()
                .map(|p| (p, values(p, *first_block, *blocks)))
                .collect();
            let body = duty::release_body(&self.fold, me, self.now, &view, duty, &values).unwrap();
            self.say(me, body).unwrap();
        }
        duties.len()
    }

    pub(crate) fn publish(&mut self, id: Digest, number: u8) {
        let body = duty::result_body(
            &self.fold,
            id,
            digest::of_blob(&squashed_bytes()),
            squashed_bytes(),
        );
        self.say(party(number), body).unwrap();
    }

    /// A study from its proposal to its result, all four parties taking part.
    pub(crate) fn whole() -> (Self, Digest) {
        let mut scene = Self::with_twins(4, 1, 3);
        let id = scene.propose(3);
        for number in 1..=3 {
            scene.approve(id, number);
        }
        scene.evaluate(id);
        scene.derive(id, &[1, 2, 3, 4]);
        for number in 1..=4 {
            assert_eq!(scene.release(id, number, piece_values), 1);
        }
        for number in 1..=4 {
            scene.publish(id, number);
        }
        (scene, id)
    }

    pub(crate) fn transcript(&self, id: Digest) -> Transcript {
        self.exported(Some(id))
    }

    /// The transcript that party 1 exports after all others have cosigned its log.
    pub(crate) fn exported(&self, subject: Option<Digest>) -> Transcript {
        let mut log = self.log.clone();
        log.follow(&self.fold);
        let checkpoint = self.checkpoint_of(&log);
        Transcript::export(&self.fold, subject, self, &log, &checkpoint).unwrap()
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.checkpoint_of(&self.log)
    }

    /// A checkpoint that all members sign who still have the key that they began with.
    fn checkpoint_of(&self, log: &Log) -> Checkpoint {
        let roster = self.fold.roster();
        let consortium = self.fold.founding().digest();
        let members = roster.members().iter();
        let identities: Vec<_> = members
            .map(|member| (member, identity(member.party)))
            .filter(|(member, identity)| member.statement_key == identity.public())
            .map(|(member, identity)| (member.party, identity))
            .collect();
        let all: Vec<_> = identities
            .iter()
            .map(|(p, identity)| (*p, identity))
            .collect();
        let (me, others) = all.split_first().unwrap();
        witness::cosigned_at_once(log, roster, &consortium, *me, others, 1).unwrap()
    }

    pub(crate) fn eligible(&self) -> usize {
        study::eligible_twins(&self.fold, &self.fold.heads(), &self.schema()).len()
    }
}

pub(crate) fn vector(group: u16) -> GroupDigest {
    GroupDigest {
        group,
        digest: blob(&format!("vector {group}")),
    }
}

pub(crate) fn vectors(roster: &Roster, party: PartyId) -> Vec<GroupDigest> {
    crate::fold::own_groups(roster, party).map(vector).collect()
}
