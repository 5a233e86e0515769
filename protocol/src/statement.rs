//! Statements: what a party says, signed and chained (docs/spec/statements.md, S5).

use organtwin_threshold::{PartyId, PieceId, SessionId};
use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::codec::{self, ByteString, CodecError};
use crate::digest::{self, Digest, Domain};
use crate::epoch::{EpochChange, PieceDigest};
use crate::evidence::Evidence;
use crate::feed::FeedHead;
use crate::identity::{Identity, Signature, SigningTag};
use crate::manifest::Manifest;
use crate::roster::{Member, Roster};
use crate::twin::{TwinEntry, TwinId};

/// The version of the statements that this program writes and reads.
pub const STATEMENT_VERSION: u16 = 1;
/// The longest signed bytes of a statement.
pub const MAX_STATEMENT_BYTES: usize = 32 * 1024;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 512;

/// One statement of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT_VERSION`].
    pub version: u16,
    /// The founding roster, which names the consortium for ever.
    pub roster: Digest,
    /// Who says it.
    pub author: PartyId,
    /// Its number in the author's feed, counted from 0.
    pub seq: u64,
    /// The hash of the author's previous statement; zero for the first.
    pub prev: Digest,
    /// The epoch of the shares that it speaks about.
    pub epoch: u32,
    /// The author's clock, in milliseconds since 1970-01-01 UTC; never decreasing in a feed.
    pub time_ms: u64,
    /// What it says.
    pub body: Body,
}

/// A stage of the key ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// The random key bits.
    Bits,
    /// The products of key bits.
    Products,
    /// The rows of public material.
    Rows,
}

/// A joint input mask that a hospital asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The epoch in which it is prepared.
    pub epoch: u32,
    /// The hospital that will deposit with it.
    pub hospital: PartyId,
    /// The hospital's number for it, counted from 0.
    pub number: u32,
    /// How many mask polynomials it has, 2048 slots each.
    pub polynomials: u16,
}

/// A digest of one group's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupDigest {
    /// The group's position in its family.
    pub group: u16,
    /// The digest, or the Merkle root over its chunks.
    pub digest: Digest,
}

/// The commitment to one seed share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceCommitment {
    /// The piece.
    pub piece: PieceId,
    /// The commitment.
    pub commitment: Digest,
}

/// A published seed share of an aborted session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceShare {
    /// The piece.
    pub piece: PieceId,
    /// The author's contribution to the piece's seed, 32 bytes.
    pub share: Digest,
}

/// A party's partial decryption of consecutive blocks under one piece.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceValues {
    /// The piece.
    pub piece: PieceId,
    /// One value modulo 2^128 per block, 16 bytes each, little end first.
    pub values: ByteString,
}

impl PieceValues {
    /// Packs values.
    pub fn pack(piece: PieceId, values: &[u128]) -> Self {
        Self {
            piece,
            values: ByteString(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        }
    }

    /// Unpacks the values; `None` when the bytes are not whole values.
    pub fn unpack(&self) -> Option<Vec<u128>> {
        let (values, rest) = self.values.as_slice().as_chunks::<16>();
        rest.is_empty()
            .then(|| values.iter().map(|v| u128::from_le_bytes(*v)).collect())
    }
}

/// What a party computed of one deposited twin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinCheck {
    /// The twin.
    pub id: TwinId,
    /// The values of the author's groups in the family's order, 32 bytes each; the depositor may state all groups'.
    pub values: ByteString,
}

/// What a statement says. On the wire each kind is tagged by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// The author accepts the roster named in the statement.
    RosterSigned {},
    /// The author joins an attempt at the key ceremony.
    CeremonyJoined {
        /// The attempt, counted from 1.
        attempt: u32,
        /// The author's part of the session's name.
        nonce: Digest,
    },
    /// The author commits to its seed shares and to its part of the mask seed.
    SeedCommitted {
        /// The session.
        session: SessionId,
        /// One commitment per piece that the author holds, ascending.
        commitments: Vec<PieceCommitment>,
        /// The commitment to its part of the mask seed.
        mask: Digest,
    },
    /// The author holds all seeds of its pieces and reveals its part of the mask seed.
    SeedsHeld {
        /// The session.
        session: SessionId,
        /// Its part of the mask seed.
        mask_reveal: Digest,
        /// The digest of all statements of the previous step.
        echo: Digest,
    },
    /// The author commits to the vectors of its groups.
    StageCommitted {
        /// The session.
        session: SessionId,
        /// The stage.
        stage: StageName,
        /// One Merkle root per group of the author, ascending.
        roots: Vec<GroupDigest>,
    },
    /// The author opened the whole stage.
    StageOpened {
        /// The session.
        session: SessionId,
        /// The stage.
        stage: StageName,
        /// The digest of everything opened.
        digest: Digest,
    },
    /// The author's share of the decryption of the self-test.
    SelfTest {
        /// The session.
        session: SessionId,
        /// The digest of the squashed ciphertexts.
        squashed: Digest,
        /// The partial decryptions.
        pieces: Vec<PieceValues>,
    },
    /// The author certifies the joint key.
    KeyCertified {
        /// The certificate.
        certificate: Certificate,
    },
    /// The author gives up a session.
    CeremonyAborted {
        /// The session.
        session: SessionId,
        /// Why.
        reason: String,
        /// What proves whose fault it is, if anything does.
        evidence: Option<Evidence>,
    },
    /// The author publishes its seed shares of a session that it gave up, so that anyone can replay it.
    SeedsPublished {
        /// The session.
        session: SessionId,
        /// One share per piece that the author committed to, ascending.
        shares: Vec<PieceShare>,
        /// Its part of the mask seed.
        mask: Digest,
    },
    /// The author approves a change of the sharing; whoever does so first proposes it.
    EpochApproved {
        /// The change.
        change: Box<EpochChange>,
    },
    /// The author, who shares the key in the old epoch, computed what it gives to the new members.
    EpochOffered {
        /// The session of the change.
        session: SessionId,
        /// One digest per old piece that the author holds, ascending.
        pieces: Vec<PieceDigest>,
    },
    /// The author gives a change up.
    EpochAborted {
        /// The session of the change.
        session: SessionId,
        /// Why.
        reason: String,
        /// What proves whose fault it is, if anything does.
        evidence: Option<Evidence>,
    },
    /// The author asks for a joint input mask.
    BatchRequested {
        /// The batch.
        batch: Batch,
    },
    /// The author computed its groups' vectors of a batch.
    BatchPrepared {
        /// The batch.
        batch: Batch,
        /// One digest per group of the author, ascending.
        vectors: Vec<GroupDigest>,
    },
    /// The author deposits encrypted twins.
    TwinsDeposited {
        /// The digest of their schema.
        schema: Digest,
        /// Their organ.
        organ: String,
        /// The batch whose slots they use.
        batch: Batch,
        /// The twins.
        twins: Vec<TwinEntry>,
    },
    /// The author holds these encrypted twins.
    TwinsReceived {
        /// Their digests.
        twins: Vec<Digest>,
    },
    /// The author checked deposited twins on its shares.
    TwinsChecked {
        /// The hash of the statement that deposits them.
        deposit: Digest,
        /// What it computed of each, ascending by the twins' names.
        twins: Vec<TwinCheck>,
    },
    /// The author withdraws a twin that it deposited.
    TwinWithdrawn {
        /// The twin.
        id: TwinId,
    },
    /// The author proposes a study.
    StudyProposed {
        /// The study.
        manifest: Box<Manifest>,
    },
    /// The author approves a study.
    StudyApproved {
        /// The manifest's digest.
        manifest: Digest,
    },
    /// The author rejects a study, and takes back its approval if it gave one.
    StudyRejected {
        /// The manifest's digest.
        manifest: Digest,
        /// Why.
        reason: String,
    },
    /// The author evaluated a shard.
    ShardEvaluated {
        /// The manifest's digest.
        manifest: Digest,
        /// The shard's number.
        shard: u32,
        /// The digest of its inputs.
        inputs: Digest,
        /// The digest of its output.
        output: Digest,
    },
    /// The author combined the shards and squashed the aggregate itself.
    AggregateDerived {
        /// The manifest's digest.
        manifest: Digest,
        /// The digest of the aggregate.
        aggregate: Digest,
        /// The digest of all squashed bytes.
        squashed: Digest,
        /// How many blocks they are.
        blocks: u32,
    },
    /// The author's partial decryption of some blocks.
    PartialDecryption {
        /// The manifest's digest.
        manifest: Digest,
        /// The digest of all squashed bytes.
        squashed: Digest,
        /// The first block that `pieces` speak about.
        first_block: u32,
        /// The hashes of the approvals it relies on, ascending.
        approvals: Vec<Digest>,
        /// The feed heads that the author knew, ascending.
        feeds: Vec<FeedHead>,
        /// One entry per piece that the author holds, ascending.
        pieces: Vec<PieceValues>,
    },
    /// The author recombined the result.
    ResultReleased {
        /// The manifest's digest.
        manifest: Digest,
        /// The digest of all squashed bytes.
        squashed: Digest,
        /// The feed heads that the author knew, ascending.
        feeds: Vec<FeedHead>,
        /// One byte per opened 4-bit block.
        values: ByteString,
    },
    /// The proposer gives up its study.
    StudyClosed {
        /// The manifest's digest.
        manifest: Digest,
        /// Why.
        reason: String,
    },
    /// The author accuses a party.
    Accusation {
        /// What proves it.
        evidence: Evidence,
    },
}

/// A statement's bytes with their author's signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The canonical encoding of the [`Statement`].
    pub bytes: ByteString,
    /// The signature over the tagged bytes.
    pub signature: Signature,
}

/// Why a signed statement is not a statement of this consortium.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The bytes are not one strictly encoded statement.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Another version of the format.
    #[error("expected statement version {STATEMENT_VERSION}, got {0}: use a matching program")]
    Version(u16),
    /// It belongs to another consortium.
    #[error("expected a statement under roster {expected}, got one under {got}")]
    WrongRoster {
        /// This consortium's roster.
        expected: Digest,
        /// The roster it names.
        got: Digest,
    },
    /// Its author is not on the roster of the epoch that it names.
    #[error("party {0} is not on the roster")]
    NotOnRoster(PartyId),
    /// Enough approvals of the change to its epoch have not arrived.
    #[error("party {author}: epoch {epoch} is not known here yet: fetch the other feeds first")]
    UnknownEpoch {
        /// The claimed author.
        author: PartyId,
        /// The epoch that it names.
        epoch: u32,
    },
    /// It is signed under a key that another one has replaced, or was not in use yet.
    #[error("party {author}: statement {seq} is not under the key that epoch {epoch} gives it")]
    ReplacedKey {
        /// The claimed author.
        author: PartyId,
        /// The claimed number.
        seq: u64,
        /// The epoch in which the author's key was replaced.
        epoch: u32,
    },
    /// The signature is not the author's.
    #[error("the signature under statement {seq} is not party {author}'s")]
    BadSignature {
        /// The claimed author.
        author: PartyId,
        /// The claimed number.
        seq: u64,
    },
}

impl SignedStatement {
    /// Signs a statement.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above [`MAX_STATEMENT_BYTES`].
    pub fn sign(statement: &Statement, identity: &Identity) -> Result<Self, CodecError> {
        let bytes = codec::encode(statement)?;
        if bytes.len() > MAX_STATEMENT_BYTES {
            return Err(CodecError::TooLarge {
                limit: MAX_STATEMENT_BYTES,
                got: bytes.len(),
            });
        }
        let signature = identity.sign(SigningTag::Statement, &bytes);
        Ok(Self {
            bytes: ByteString(bytes),
            signature,
        })
    }

    /// The statement's hash: what later statements name it by.
    pub fn hash(&self) -> Digest {
        digest::of_bytes(Domain::Statement, self.bytes.as_slice())
    }

    /// Who claims to have said it: nothing is checked but the form.
    pub fn claimed_author(&self) -> Option<PartyId> {
        let statement: Statement =
            codec::decode(self.bytes.as_slice(), MAX_STATEMENT_BYTES).ok()?;
        Some(statement.author)
    }

    /// Checks form, roster and signature, where nothing but one roster is known.
    ///
    /// # Errors
    /// [`StatementError`] names the first deviation.
    pub fn verify(self, roster: &Roster) -> Result<VerifiedStatement, StatementError> {
        self.verify_by(roster.digest(), |statement| {
            let author = statement.author;
            roster
                .member(author)
                .ok_or(StatementError::NotOnRoster(author))
        })
    }

    /// Checks form, consortium and signature; `member` looks the author up.
    pub(crate) fn verify_by<'a>(
        self,
        consortium: Digest,
        member: impl FnOnce(&Statement) -> Result<&'a Member, StatementError>,
    ) -> Result<VerifiedStatement, StatementError> {
        let statement: Statement = codec::decode(self.bytes.as_slice(), MAX_STATEMENT_BYTES)?;
        if statement.version != STATEMENT_VERSION {
            return Err(StatementError::Version(statement.version));
        }
        if statement.roster != consortium {
            return Err(StatementError::WrongRoster {
                expected: consortium,
                got: statement.roster,
            });
        }
        let author = statement.author;
        let member = member(&statement)?;
        if !member.statement_key.verifies(
            &SigningTag::Statement,
            self.bytes.as_slice(),
            &self.signature,
        ) {
            return Err(StatementError::BadSignature {
                author,
                seq: statement.seq,
            });
        }
        let hash = self.hash();
        Ok(VerifiedStatement {
            signed: self,
            statement,
            hash,
        })
    }
}

/// A statement whose form and signature were checked; only that check makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement {
    signed: SignedStatement,
    statement: Statement,
    hash: Digest,
}

impl VerifiedStatement {
    /// What it says.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Its body.
    pub fn body(&self) -> &Body {
        &self.statement.body
    }

    /// Its author.
    pub fn author(&self) -> PartyId {
        self.statement.author
    }

    /// Its number in the author's feed.
    pub fn seq(&self) -> u64 {
        self.statement.seq
    }

    /// Its hash.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// Its bytes and signature, as they go to others.
    pub fn signed(&self) -> &SignedStatement {
        &self.signed
    }

    /// It as a feed head.
    pub fn head(&self) -> FeedHead {
        FeedHead {
            party: self.author(),
            seq: self.seq(),
            hash: self.hash,
        }
    }
}
