//! Checks of deposited twins: computed on this party's shares, stated, and shown.

use std::collections::BTreeMap;

use organtwin_protocol::admission::{self, Admission};
use organtwin_protocol::digest::Digest;
use organtwin_protocol::duty::Duty;
use organtwin_protocol::fold::Deposit;
use organtwin_protocol::statement::{Batch, Body};
use organtwin_protocol::twin::TwinId;

use super::error::NodeError;
use super::node::Node;
use crate::jobs;
use crate::jobs::admission::Unchecked;

impl Node {
    /// Computes and states this party's values for twins that one statement deposits.
    pub(super) fn check_twins(
        &mut self,
        batch: Batch,
        deposit: Digest,
        twins: &[TwinId],
    ) -> Result<(), NodeError> {
        let Some(key) = self.key.clone() else {
            return Ok(());
        };
        let facts = self.fold.facts();
        let known = twins
            .iter()
            .filter_map(|id| facts.deposits.get(&(batch.hospital, *id)))
            .filter(|known| known.statement == deposit);
        let known: Vec<Deposit> = known.cloned().collect();
        let Some(first) = known.first() else {
            return Ok(());
        };
        let schemas = crate::twins::schemas();
        let Some((_, schema)) = schemas
            .into_iter()
            .find(|(known, _)| *known == first.schema)
        else {
            self.unfit(batch, known.iter().map(|twin| twin.twin.digest));
            return Ok(());
        };
        let (sized, others): (Vec<&Deposit>, Vec<&Deposit>) = known
            .iter()
            .partition(|twin| twin.slots as usize == schema.slots());
        self.unfit(batch, others.iter().map(|twin| twin.twin.digest));
        if sized.is_empty() {
            return Ok(());
        }
        let unchecked: Vec<Unchecked> = sized
            .iter()
            .map(|twin| Unchecked {
                id: twin.twin.id,
                twin: twin.twin.digest,
                first_slot: twin.first_slot,
            })
            .collect();
        let foreign = (batch.hospital == self.me)
            .then(|| self.deposits.known_subseeds(&batch))
            .flatten();
        let duty = Duty::CheckTwins {
            batch,
            deposit,
            twins: twins.to_vec(),
        };
        self.local.running.insert(duty.clone());
        let store = self.store.clone();
        self.compute(
            move || {
                jobs::admission::check(&store, &key, &batch, deposit, foreign, &schema, &unchecked)
            },
            move |node, checks| {
                // A failure leaves the duty where it is, so that it is not repeated.
                let checks = checks?;
                node.local.running.remove(&duty);
                node.unfit(batch, checks.unfit.into_iter());
                if !checks.checked.is_empty() {
                    let twins = checks.checked;
                    node.state(Body::TwinsChecked { deposit, twins })?;
                }
                node.forget_subseeds(&batch);
                Ok(())
            },
        );
        Ok(())
    }

    /// Remembers that nobody can check these twins: what was published is not a twin of the stated schema.
    fn unfit(&mut self, batch: Batch, twins: impl Iterator<Item = Digest>) {
        for twin in twins {
            if self.local.unfit.insert(twin) {
                self.note_fault(format!(
                    "party {}: twin {twin} does not have the slots of its schema; it is never admitted",
                    batch.hospital
                ));
            }
        }
        self.touch();
    }

    /// Wipes the pads' subseeds of a batch of this hospital once all its twins were checked.
    fn forget_subseeds(&mut self, batch: &Batch) {
        let facts = self.fold.facts();
        let mut own = facts
            .deposits
            .values()
            .filter(|deposit| deposit.batch == *batch);
        let all = own.all(|deposit| {
            let checks = facts.checks.get(&(deposit.statement, deposit.twin.id));
            checks.is_some_and(|known| known.contains_key(&self.me))
        });
        if batch.hospital == self.me && all {
            self.deposits.forget_subseeds(batch);
            self.local.own_subseeds.remove(batch);
        }
    }

    /// Where a twin stands, as a word and a reason.
    pub(super) fn admission(&self, deposit: &Deposit) -> (&'static str, Option<String>) {
        if self.local.unfit.contains(&deposit.twin.digest) {
            let why = "it does not have the slots of its schema";
            return ("refused", Some(why.to_owned()));
        }
        match admission::tally(&self.fold, deposit).verdict {
            Admission::Admitted => ("admitted", None),
            Admission::Waiting(parties) => {
                let parties: Vec<String> = parties.iter().map(ToString::to_string).collect();
                let why = format!("the checks of parties {} are missing", parties.join(", "));
                ("waiting", Some(why))
            }
            Admission::Refused => {
                let why = "its weights are not those of any patient: deposit the patient anew";
                ("refused", Some(why.to_owned()))
            }
            Admission::Disputed([a, b]) => {
                let why =
                    format!("parties {a} and {b} state different values: deposit the patient anew");
                ("disputed", Some(why))
            }
        }
    }

    /// How many deposited twins are refused or disputed, per depositor.
    pub(super) fn refused_per_hospital(&self) -> BTreeMap<u8, u32> {
        let mut refused = BTreeMap::new();
        for deposit in self.fold.facts().deposits.values() {
            if matches!(self.admission(deposit).0, "refused" | "disputed") {
                *refused.entry(deposit.twin.depositor.get()).or_insert(0) += 1;
            }
        }
        refused
    }
}
