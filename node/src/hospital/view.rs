//! What the node shows of itself: plain data, ready for JSON. Never a secret, never patient data
//! beyond the hospital's own local identifiers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A study's description in the language of the simulations crate.
pub use organtwin_simulations::StudySpec;
use organtwin_simulations::validation::Validation;

/// The node at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// This hospital's party number.
    pub party: u8,
    /// This hospital's name in the roster.
    pub name: String,
    /// The consortium's name.
    pub consortium: String,
    /// Number of parties and threshold.
    pub parties: u8,
    /// Most parties that may be corrupt.
    pub threshold: u8,
    /// "active" or "passive".
    pub security: String,
    /// Digest of the roster, hexadecimal.
    pub roster: String,
    /// Parties whose signature under the roster this node holds.
    pub roster_signed_by: Vec<u8>,
    /// Every other member of the roster.
    pub peers: Vec<PeerView>,
    /// Addresses the network listens on, ready for `roster locate` (with this node's peer id).
    pub listen: Vec<String>,
    /// The joint key, once certified.
    pub key: Option<KeyView>,
    /// The ceremony, running or last.
    pub ceremony: CeremonyStatus,
    /// Twins deposited by this hospital, not withdrawn.
    pub twins_own: u32,
    /// Twins in the fold from all hospitals that would be eligible for a study now.
    pub twins_eligible: u32,
    /// Twins whose admission was refused or is disputed, by depositor.
    #[serde(default)]
    pub twins_refused: BTreeMap<u8, u32>,
    /// Studies known.
    pub studies: u32,
    /// Opened blocks that the key has spent and may spend in all.
    pub openings_spent: u64,
    /// See `openings_spent`.
    pub openings_limit: u64,
    /// Peers and messages refused since start, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Peers caught deviating: "party 3: ...".
    pub faults: Vec<String>,
    /// What the node is working on now, in words.
    pub work: Vec<String>,
    /// Largest resident memory since start, MiB (VmHWM).
    pub peak_memory_mib: u64,
    /// Bytes sent to peers since start (payload of requests, responses and gossip).
    pub bytes_sent: u64,
}

/// One other member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Party number.
    pub party: u8,
    /// Name in the roster.
    pub name: String,
    /// libp2p peer id.
    pub peer_id: String,
    /// Known addresses.
    pub addresses: Vec<String>,
    /// Whether a connection stands now.
    pub connected: bool,
    /// Statements of the peer's feed held here.
    pub statements: u64,
}

/// The joint key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Digest of the certificate, hexadecimal.
    pub certificate: String,
    /// Digest of the public material, hexadecimal.
    pub key: String,
    /// Parameter set.
    pub parameters: String,
    /// Epoch.
    pub epoch: u32,
    /// "active" or "passive".
    pub security: String,
}

/// Where the key ceremony stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CeremonyStatus {
    /// "none", "joining", "seeds", "bits", "products", "rows", "self_test", "certifying", "done" or "aborted".
    pub phase: String,
    /// Session, hexadecimal, once all joined.
    pub session: Option<String>,
    /// Attempt number.
    pub attempt: u32,
    /// Chunks absorbed in the present stage.
    pub done: u64,
    /// Chunks in the present stage.
    pub total: u64,
    /// Seconds from joining to the certificate, or so far.
    pub seconds: f64,
    /// Bytes of the ceremony's vectors sent by this node.
    pub bytes_sent: u64,
    /// Forecast of the same.
    pub bytes_forecast: u64,
    /// Digest of the certificate, hexadecimal, when done.
    pub certificate: Option<String>,
    /// Why it was aborted, and by whose fault where that is known.
    pub fault: Option<String>,
    /// A replay of an aborted session that is under way.
    #[serde(default)]
    pub replay: Option<ReplayView>,
    /// What is concluded about aborted sessions: who deviated, which pair, who is missing.
    #[serde(default)]
    pub verdicts: Vec<String>,
}

/// How far the replay of an aborted session is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayView {
    /// Session, hexadecimal.
    pub session: String,
    /// Chunks computed.
    pub done: u64,
    /// Chunks in all.
    pub total: u64,
}

/// What an operator wants to change in the consortium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRequest {
    /// "refresh", "add", "remove" or "recover".
    pub kind: String,
    /// Who leaves or comes back with new keys; for "add" the number to take, the next free one if not given.
    #[serde(default)]
    pub party: Option<u8>,
    /// Who joins, or the new keys of who comes back.
    #[serde(default)]
    pub invitation: Option<crate::identity::Invitation>,
    /// The new t; as before if not given.
    #[serde(default)]
    pub threshold: Option<u8>,
    /// Whether n <= 3t is accepted; as before if not given.
    #[serde(default)]
    pub allow_passive: Option<bool>,
}

/// Where the last change of the consortium stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochStatus {
    /// The newest certified epoch.
    pub epoch: u32,
    /// Digest of its certificate, hexadecimal.
    pub certificate: Option<String>,
    /// Its members.
    pub members: Vec<u8>,
    /// Its t.
    pub threshold: u8,
    /// "none", "agreeing", "seeds", "offers", "collecting", "combining", "self_test", "certifying", "done" or "aborted".
    pub phase: String,
    /// The changes that are neither certified nor given up.
    pub open: Vec<ChangeView>,
    /// Who is waited for.
    pub waiting_for: Vec<u8>,
    /// Seconds from the agreement to the certificate, or so far.
    pub seconds: f64,
    /// Why it was given up, and by whose fault where that is known.
    pub fault: Option<String>,
}

/// A change of the consortium that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// The epoch that it leads to.
    pub epoch: u32,
    /// "refresh", "add", "remove" or "recover".
    pub kind: String,
    /// Whom it concerns.
    pub party: Option<u8>,
    /// The new members.
    pub members: Vec<u8>,
    /// The new t.
    pub threshold: u8,
    /// Who approved it.
    pub approved_by: Vec<u8>,
}

/// One patient's encoded twin, in the clear, on its way into a deposit. Never leaves the node.
#[derive(Clone)]
pub struct PreparedTwin {
    /// The hospital's own name for the patient; stays in the local store.
    pub local_id: String,
    /// "kidney", "liver" or "heart".
    pub organ: String,
    /// Weights of every slot, as the schema orders them.
    pub weights: Vec<u32>,
}

/// What a deposit did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositReport {
    /// One entry per twin in the order given.
    pub twins: Vec<DepositedTwin>,
    /// Bytes of one encrypted twin.
    pub bytes_per_twin: u64,
}

/// One deposited twin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositedTwin {
    /// The hospital's own name for the patient.
    pub local_id: String,
    /// The twin's public identifier, hexadecimal.
    pub id: String,
}

/// The twins this node knows of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinsView {
    /// This hospital's own.
    pub own: Vec<OwnTwin>,
    /// Number per hospital, all statements seen.
    pub deposited: BTreeMap<u8, u32>,
    /// Number per hospital that a study proposed now would contain.
    pub eligible: BTreeMap<u8, u32>,
    /// Number per hospital whose admission was refused or is disputed.
    #[serde(default)]
    pub refused: BTreeMap<u8, u32>,
}

/// What a withdrawal did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalReport {
    /// The twins that are withdrawn now.
    pub twins: Vec<WithdrawnTwin>,
    /// The studies that listed one of them and were not opened yet: they are void.
    pub voided: Vec<String>,
}

/// A withdrawn twin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawnTwin {
    /// Public identifier.
    pub id: String,
    /// The hospital's pseudonym for the patient.
    pub local_id: String,
    /// The organ.
    pub organ: String,
}

/// One of the hospital's own twins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnTwin {
    /// The hospital's own name for the patient.
    pub local_id: String,
    /// Public identifier, hexadecimal.
    pub id: String,
    /// Organ.
    pub organ: String,
    /// Peers that stated that they hold it.
    pub received_by: Vec<u8>,
    /// Whether consent was withdrawn.
    pub withdrawn: bool,
    /// "waiting", "admitted", "refused" or "disputed".
    #[serde(default)]
    pub admission: String,
    /// What the admission waits for, or why it is refused.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A proposal to the consortium.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyRequest {
    /// Short title.
    pub title: String,
    /// The question in a sentence.
    pub question: String,
    /// Model, arms, cuts, histogram, k.
    pub study: StudySpec,
    /// Approvals needed; absent means 2t+1, at most n.
    pub quorum: Option<u8>,
    /// Milliseconds since 1970 when the study expires; absent means in seven days.
    pub expires_ms: Option<u64>,
}

/// What a study would cost and how exact it would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Twins in all, and per hospital.
    pub twins: u32,
    /// See `twins`.
    pub twins_per_hospital: BTreeMap<u8, u32>,
    /// Shards.
    pub shards: u32,
    /// Bootstraps for one patient.
    pub bootstraps_per_patient: u64,
    /// Bootstraps for the study, one evaluation.
    pub bootstraps_once: u64,
    /// Bootstraps of all nodes, repeats included.
    pub bootstraps_all_nodes: u64,
    /// log2 of the failure probability of the whole study.
    pub log2_failure: f64,
    /// Seconds on this machine, were it to share the work with its peers evenly.
    pub seconds: f64,
    /// Seconds of one bootstrap on one idle core of this machine under the joint key.
    pub seconds_per_bootstrap: f64,
    /// Bytes sent to each peer.
    pub bytes_per_peer: u64,
    /// Bytes of memory that a node needs for it, the evaluation key included.
    pub memory_bytes: u64,
    /// Largest error of the integers against the textbook formula on random patients, in `error_unit`.
    pub error: f64,
    /// Error that 95 % of random patients keep, in `error_unit`.
    pub error_p95: f64,
    /// Clinical unit of the errors.
    pub error_unit: String,
    /// Blocks to open.
    pub blocks: u32,
    /// Further lines for people: schedule, warnings.
    pub notes: Vec<String>,
}

/// One study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyView {
    /// Digest of the manifest, hexadecimal.
    pub id: String,
    /// Title.
    pub title: String,
    /// Question.
    pub question: String,
    /// Proposer's party number.
    pub proposer: u8,
    /// "proposed", "evaluating", "combining", "squashing", "waiting_for_quorum", "opening", "released", "rejected", "expired" or "void".
    pub phase: String,
    /// Why, for a phase that ends without a result.
    pub reason: Option<String>,
    /// Approvals needed.
    pub quorum: u8,
    /// Who approved.
    pub approvals: Vec<u8>,
    /// Who rejected and why.
    pub rejections: BTreeMap<u8, String>,
    /// k of the gate.
    pub k: u32,
    /// Twins, and per hospital.
    pub twins: u32,
    /// See `twins`.
    pub twins_per_hospital: BTreeMap<u8, u32>,
    /// Shards with t+1 equal digests.
    pub shards_done: u32,
    /// Shards.
    pub shards_total: u32,
    /// Bootstraps executed by this node for the study.
    pub bootstraps: u64,
    /// Seconds that this node expects its own evaluation to take still.
    pub eta_seconds: Option<f64>,
    /// This node's clock (ms since 1970) when its first shard began and its last one ended.
    pub evaluation_started_ms: Option<u64>,
    /// See `evaluation_started_ms`.
    pub evaluation_ended_ms: Option<u64>,
    /// Seconds of processor time per bootstrap as measured during evaluation.
    pub seconds_per_bootstrap: Option<f64>,
    /// When this node had derived and squashed the aggregate.
    pub squashed_ms: Option<u64>,
    /// When this node's partial decryption was on disk, just before sending.
    pub released_ms: Option<u64>,
    /// When this node had recombined the result.
    pub recombined_ms: Option<u64>,
    /// Milliseconds from this node's release to its recombination.
    pub opening_ms: Option<f64>,
    /// Of these, milliseconds in fsync.
    pub fsync_ms: Option<f64>,
    /// Blocks opened.
    pub blocks: u32,
    /// Whether a result is there.
    pub has_result: bool,
}

/// A released result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultView {
    /// The study.
    pub study: StudyView,
    /// The decoded result as the simulations crate gives it.
    pub result: serde_json::Value,
    /// What the result says of a risk model that was crossed with an outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The same as a table and a bar chart for the terminal.
    pub text: String,
    /// The opened 4-bit values.
    pub opened: Vec<u8>,
}
