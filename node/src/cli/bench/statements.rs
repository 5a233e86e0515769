//! How many signed statements one node says durably in a second, as [`crate::hospital`] says them: composed against the
//! fold, signed, written, admitted; many of them with one flush.

use std::path::Path;
use std::time::Instant;

use organtwin_protocol::codec::{self, ByteString};
use organtwin_protocol::digest;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::identity::Identity;
use organtwin_protocol::roster::{Member, PassivePolicy, ROSTER_VERSION, RawRoster, Roster};
use organtwin_protocol::statement::{Body, SignedStatement};
use organtwin_threshold::PartyId;
use serde::Serialize;

use crate::store::Store;

/// Statements of one measurement.
const COUNT: u32 = 4096;

/// One measurement.
#[derive(Debug, Serialize)]
pub(super) struct Appended {
    /// Statements that share a flush.
    pub(super) at_a_flush: u32,
    /// Statements a second.
    pub(super) per_second: f64,
}

type Anything = Box<dyn std::error::Error>;

fn roster(identity: &Identity) -> Result<Roster, Anything> {
    let members = (1..=4u8).filter_map(|number| {
        let own = Identity::from_seed([number; 32]);
        Some(Member {
            party: PartyId::new(number)?,
            name: format!("hospital {number}"),
            statement_key: if number == 1 {
                identity.public()
            } else {
                own.public()
            },
            network_key: ByteString::from(vec![number; 36]),
        })
    });
    Ok(Roster::try_from(RawRoster {
        version: ROSTER_VERSION,
        name: "bench".into(),
        threshold: 1,
        passive: PassivePolicy::Refused,
        parameters: "none".into(),
        instruction_class: "any".into(),
        members: members.collect(),
    })?)
}

/// Says [`COUNT`] statements into a store below `place`, which is on the disk that is measured.
pub(super) fn measure(place: &Path, at_a_flush: u32) -> Result<Appended, Anything> {
    let mut seed = [0; 32];
    rand::fill(&mut seed);
    let identity = Identity::from_seed(seed);
    let mut fold = Fold::new(roster(&identity)?);
    let me = PartyId::new(1).ok_or("party 1")?;
    let store = Store::open(&place.join("db"), &place.join("blobs"))?;
    let start = Instant::now();
    for number in 0..COUNT {
        let twin = digest::of_blob(&number.to_le_bytes());
        let body = Body::TwinsReceived { twins: vec![twin] };
        let statement = fold.compose(me, 0, 1, body)?;
        let signed = SignedStatement::sign(&statement, &identity)?;
        store.append(me.get(), statement.seq, &codec::encode(&signed)?)?;
        fold.admit(signed)?;
        if (number + 1).is_multiple_of(at_a_flush) {
            store.flush()?;
        }
    }
    store.flush()?;
    let per_second = f64::from(COUNT) / start.elapsed().as_secs_f64();
    // What was flushed is there for whoever opens the store after a crash.
    drop(store);
    let held = Store::open(&place.join("db"), &place.join("blobs"))?.feed_len(me.get())?;
    if held != u64::from(COUNT) {
        return Err(format!("{held} of {COUNT} statements are on the disk").into());
    }
    Ok(Appended {
        at_a_flush,
        per_second,
    })
}

/// Measures with one statement a flush and with many, in a directory of its own that is removed again.
pub(super) fn run(below: &Path) -> Result<Vec<Appended>, Anything> {
    let mut rows = Vec::new();
    for at_a_flush in [1, 64, 256] {
        let mut tag = [0u8; 8];
        rand::fill(&mut tag);
        let place = below.join(format!(".organtwin-bench-{}", hex::encode(tag)));
        std::fs::create_dir_all(&place)?;
        let measured = measure(&place, at_a_flush);
        let _ = std::fs::remove_dir_all(&place);
        rows.push(measured?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    #[test]
    fn statements_appended_together_are_all_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let rows = super::run(dir.path()).unwrap();
        assert!(rows.iter().all(|row| row.per_second > 0.0));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
