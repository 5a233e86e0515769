//! How much one author may say: a member that signs statement after statement fills no disk at once.
//!
//! Nothing is refused for ever, or folds would differ: what is too much now is fetched again later.

use std::collections::BTreeMap;

use organtwin_protocol::statement::SignedStatement;
use organtwin_threshold::PartyId;
use tokio::time::Instant;

use crate::net::Bucket;

/// Bytes of one author's statements: at once, and a second. A newcomer fetches a feed of a hundred thousand at once.
const BYTES: (f64, f64) = (256.0 * 1024.0 * 1024.0, 64.0 * 1024.0);

/// What was taken in of each author since the node started.
#[derive(Default)]
pub(super) struct Intake(BTreeMap<PartyId, Bucket>);

impl Intake {
    /// Notes what was taken in.
    pub(super) fn taken(&mut self, author: PartyId, bytes: usize) {
        let now = Instant::now();
        let bucket = self
            .0
            .entry(author)
            .or_insert_with(|| Bucket::new(BYTES, now));
        #[expect(clippy::cast_precision_loss, reason = "a statement is at most 33 KiB")]
        bucket.owe(bytes as f64, now);
    }

    /// The author of the statement, if it has said too much for now. Nobody checked its signature yet.
    pub(super) fn overdrawn(&mut self, signed: &SignedStatement) -> Option<PartyId> {
        let now = Instant::now();
        // Hardly ever is anyone, and then the author need not be read twice.
        if self.0.values_mut().all(|bucket| bucket.ready(now)) {
            return None;
        }
        let author = signed.claimed_author()?;
        let bucket = self.0.get_mut(&author)?;
        (!bucket.ready(now)).then_some(author)
    }
}

#[cfg(test)]
mod tests {
    use organtwin_protocol::digest::ZERO;
    use organtwin_protocol::identity::Identity;
    use organtwin_protocol::statement::{Body, STATEMENT_VERSION, Statement};

    use super::*;

    #[test]
    fn only_who_said_too_much_has_to_wait() {
        let [one, two] = [1, 2].map(|number| PartyId::new(number).unwrap());
        let said = |author| {
            let statement = Statement {
                version: STATEMENT_VERSION,
                roster: ZERO,
                author,
                seq: 0,
                prev: ZERO,
                epoch: 0,
                time_ms: 0,
                body: Body::RosterSigned {},
            };
            SignedStatement::sign(&statement, &Identity::from_seed([1; 32])).unwrap()
        };
        let mut intake = Intake::default();
        intake.taken(one, 1000);
        assert_eq!(intake.overdrawn(&said(one)), None);
        intake.taken(one, 300 * 1024 * 1024);
        assert_eq!(intake.overdrawn(&said(one)), Some(one));
        assert_eq!(intake.overdrawn(&said(two)), None);
    }
}
