//! Statements whose signatures were checked already in this thread's schedule: all parties are in one process, and
//! checking each signature once instead of once per party is most of the speed.

use std::cell::RefCell;
use std::collections::HashMap;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::statement::{SignedStatement, VerifiedStatement};

thread_local! {
    static KNOWN: RefCell<HashMap<Digest, VerifiedStatement>> = RefCell::default();
}

/// Forgets everything: a new schedule begins.
pub(in crate::schedules) fn forget() {
    KNOWN.with_borrow_mut(HashMap::clear);
}

/// Keeps a checked statement.
pub(super) fn keep(verified: &VerifiedStatement) {
    KNOWN.with_borrow_mut(|known| {
        known.insert(verified.hash(), verified.clone());
    });
}

/// The checked form of exactly these bytes and this signature.
pub(in crate::schedules) fn statement(signed: &SignedStatement) -> Option<VerifiedStatement> {
    KNOWN.with_borrow(|known| {
        let verified = known.get(&signed.hash())?;
        (verified.signed() == signed).then(|| verified.clone())
    })
}
