//! The manifest: everything that fixes what a study computes and under which rules it is opened.

use std::collections::BTreeMap;

use organtwin_threshold::PartyId;
use serde::{Deserialize, Serialize};

use crate::codec::{ByteString, CodecError};
use crate::digest::{self, Digest, Domain};
use crate::feed::FeedHead;
use crate::twin::TwinList;

/// The version of the manifest that this program writes and reads.
pub const MANIFEST_VERSION: u16 = 1;
/// The longest text of a manifest, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// The longest scenario, in bytes.
pub const MAX_SCENARIO_BYTES: usize = 16 * 1024;
/// The most rows of a result.
pub const MAX_ROWS: usize = 64;
/// The most cells of a row.
pub const MAX_CELLS: u16 = 256;
/// The most blocks that one study opens.
pub const MAX_BLOCKS: u32 = 4096;

/// One row of a result: a partition of the cohort that opens whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowFacts {
    /// The row's label.
    pub label: String,
    /// How many cells it has.
    pub cells: u16,
}

/// How small cells are kept closed inside the ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// A row opens only if every cell holds at least k twins, without the twins of any one hospital.
    RowWithoutAnyHospital,
}

/// What the protocol needs to know of a program; an auditor proves that the program's digest yields it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramFacts {
    /// The model's name in the registry.
    pub model: String,
    /// The rows of the result, in order.
    pub rows: Vec<RowFacts>,
    /// The gate.
    pub gate: Gate,
    /// The smallest count that the gate lets through.
    pub k: u32,
    /// How many 4-bit blocks are opened.
    pub blocks: u32,
}

/// The twins that a study computes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinListFacts {
    /// The RFC 6962 root of the list.
    pub root: Digest,
    /// How many twins it has.
    pub count: u32,
    /// The address of the list's encoding.
    pub blob: Digest,
    /// How many twins each hospital deposited; hospitals without twins are absent.
    pub per_hospital: BTreeMap<PartyId, u32>,
}

impl TwinListFacts {
    /// The facts of a list.
    ///
    /// # Errors
    /// Never for a list made by this crate.
    pub fn of(list: &TwinList) -> Result<Self, CodecError> {
        let mut per_hospital = BTreeMap::new();
        for twin in list.twins() {
            *per_hospital.entry(twin.depositor).or_insert(0) += 1;
        }
        Ok(Self {
            root: list.root()?,
            count: u32::try_from(list.twins().len()).unwrap_or(u32::MAX),
            blob: digest::of_blob(&list.encode()?),
            per_hospital,
        })
    }
}

/// A study as it is proposed, approved and audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u16,
    /// The title, for people.
    pub title: String,
    /// The question, for people.
    pub question: String,
    /// Who proposes it; equals the author of the proposal.
    pub proposer: PartyId,
    /// The digest of the schema of all its twins.
    pub schema: Digest,
    /// The digest of the compiled program.
    pub program: Digest,
    /// What the program does, as far as the protocol must know.
    pub facts: ProgramFacts,
    /// The study specification that compiles to the program, in its own encoding.
    pub scenario: ByteString,
    /// The twins.
    pub twins: TwinListFacts,
    /// The feed heads as of which the twins are eligible, one per party at most.
    pub feeds: Vec<FeedHead>,
    /// The digest of the key certificate.
    pub certificate: Digest,
    /// The privacy budget to spend, in millionths; none is spent yet.
    pub epsilon_micro: Option<u64>,
    /// Q: how many approvals open the result.
    pub quorum: u8,
    /// Who may see the result; empty for all parties.
    pub recipients: Vec<PartyId>,
    /// When the study expires, in milliseconds since 1970-01-01 UTC.
    pub expires_ms: u64,
}

impl Manifest {
    /// What approvals sign and every later statement of the study names.
    ///
    /// # Errors
    /// [`CodecError`] when the manifest has no encoding.
    pub fn digest(&self) -> Result<Digest, CodecError> {
        digest::of_value(Domain::Manifest, self)
    }
}
