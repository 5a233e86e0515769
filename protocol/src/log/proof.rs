//! Proofs as files: an inclusion proof (C2SP tlog-proof) and a request for a cosignature, which carries a consistency
//! proof (the body of C2SP tlog-witness add-checkpoint).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::Checkpoint;
use super::note::{MAX_NOTE_BYTES, NoteError};
use crate::digest::Digest;

/// The first line of an inclusion proof.
const INCLUSION: &str = "c2sp.org/tlog-proof@v1";
/// The most hashes of a proof.
const MAX_HASHES: usize = 63;
/// The longest proof file, in bytes.
pub const MAX_PROOF_BYTES: usize = MAX_NOTE_BYTES + 64 * 64;

/// That a leaf is in a log, as of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf's place, counted from 0.
    pub index: u64,
    /// The hashes beside its path, from the leaf up.
    pub hashes: Vec<Digest>,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

/// That a checkpoint extends the first `old` leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// The earlier size.
    pub old: u64,
    /// The hashes that connect both.
    pub hashes: Vec<Digest>,
    /// The later checkpoint.
    pub checkpoint: Checkpoint,
}

fn lines(hashes: &[Digest]) -> String {
    hashes
        .iter()
        .map(|hash| format!("{}\n", STANDARD.encode(hash.as_bytes())))
        .collect()
}

fn hash(line: &str) -> Option<Digest> {
    let bytes = STANDARD.decode(line).ok()?;
    Some(Digest::new(bytes.try_into().ok()?))
}

fn number(line: &str, prefix: &str) -> Option<u64> {
    let digits = line.strip_prefix(prefix)?;
    let number = digits.parse::<u64>().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// Splits a proof into its number, its hashes and its checkpoint.
fn parse(proof: &str, prefix: &str) -> Result<(u64, Vec<Digest>, Checkpoint), NoteError> {
    let wrong = NoteError::Malformed("something that is no proof");
    if proof.len() > MAX_PROOF_BYTES {
        return Err(NoteError::Malformed("more bytes than a proof has"));
    }
    let (head, checkpoint) = proof.split_once("\n\n").ok_or(wrong.clone())?;
    let mut lines = head.split('\n');
    let number = lines.next().and_then(|line| number(line, prefix));
    let hashes: Option<Vec<Digest>> = lines.map(hash).collect();
    let (number, hashes) = number.zip(hashes).ok_or(wrong.clone())?;
    if hashes.len() > MAX_HASHES {
        return Err(wrong);
    }
    Ok((number, hashes, Checkpoint::decode(checkpoint)?))
}

impl Inclusion {
    /// Writes the proof.
    pub fn encode(&self) -> String {
        format!(
            "{INCLUSION}\nindex {}\n{}\n{}",
            self.index,
            lines(&self.hashes),
            self.checkpoint.encode()
        )
    }

    /// Reads a proof. Nothing is verified but its form.
    ///
    /// # Errors
    /// [`NoteError`] for anything that [`Inclusion::encode`] would not write.
    pub fn decode(proof: &str) -> Result<Self, NoteError> {
        let rest = proof
            .strip_prefix(INCLUSION)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or(NoteError::Malformed("something that is no inclusion proof"))?;
        let (index, hashes, checkpoint) = parse(rest, "index ")?;
        Ok(Self {
            index,
            hashes,
            checkpoint,
        })
    }
}

impl Consistency {
    /// Writes the proof.
    pub fn encode(&self) -> String {
        format!(
            "old {}\n{}\n{}",
            self.old,
            lines(&self.hashes),
            self.checkpoint.encode()
        )
    }

    /// Reads a proof. Nothing is verified but its form.
    ///
    /// # Errors
    /// [`NoteError`] for anything that [`Consistency::encode`] would not write.
    pub fn decode(proof: &str) -> Result<Self, NoteError> {
        let (old, hashes, checkpoint) = parse(proof, "old ")?;
        Ok(Self {
            old,
            hashes,
            checkpoint,
        })
    }
}
