//! What this node says: signed, on the disk, then published; many statements with one write of the disk.

use organtwin_protocol::codec;
use organtwin_protocol::digest::Digest;
use organtwin_protocol::feed::FeedHead;
use organtwin_protocol::statement::{Body, SignedStatement};

use super::error::NodeError;
use super::node::{Node, now_ms};

impl Node {
    /// Signs a statement, makes it durable, then publishes it.
    pub(super) fn state(&mut self, body: Body) -> Result<Digest, NodeError> {
        let hashes = self.state_all(vec![body])?;
        hashes
            .first()
            .copied()
            .ok_or_else(|| NodeError::Bug("a statement has no hash".into()))
    }

    /// Signs statements in order, makes all of them durable at once, then publishes them.
    ///
    /// Durable before visible: nothing is published, and nothing that relies on a statement happens, before the flush
    /// that covers it has returned. Where one may not be said, those before it are said all the same.
    pub(super) fn state_all(&mut self, bodies: Vec<Body>) -> Result<Vec<Digest>, NodeError> {
        self.may_speak()?;
        let mut hashes = Vec::with_capacity(bodies.len());
        let mut written = Vec::with_capacity(bodies.len());
        let mut outcome = Ok(());
        for body in bodies {
            match self.write_statement(body) {
                Ok((hash, bytes)) => {
                    hashes.push(hash);
                    written.push(bytes);
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if !written.is_empty() {
            self.store.flush()?;
            for bytes in written {
                self.net.publish(bytes);
            }
            self.note_progress();
            self.touch();
        }
        outcome.map(|()| hashes)
    }

    /// Signs a statement and writes it, not durably. If the flush fails the node stops, and nobody has seen it.
    fn write_statement(&mut self, body: Body) -> Result<(Digest, Vec<u8>), NodeError> {
        let Some(epoch) = self.fold.speaks_in(self.me) else {
            return Err(NodeError::Refused(
                "this hospital is not a member of the consortium, or not yet".into(),
            ));
        };
        let statement = self
            .fold
            .compose(self.me, epoch, now_ms(), body)
            .map_err(|refusal| NodeError::Refused(refusal.to_string()))?;
        let signed = SignedStatement::sign(&statement, &self.identity)
            .map_err(|error| NodeError::Bug(format!("signing a statement: {error}")))?;
        let bytes = codec::encode(&signed).map_err(|error| NodeError::Bug(error.to_string()))?;
        let hash = signed.hash();
        self.drop_cut_statements(self.me)?;
        self.store.append(self.me.get(), statement.seq, &bytes)?;
        self.log_own(FeedHead {
            party: self.me,
            seq: statement.seq,
            hash,
        })?;
        self.fold
            .admit(signed)
            .map_err(|refusal| NodeError::Bug(format!("own statement refused: {refusal}")))?;
        Ok((hash, bytes))
    }
}
