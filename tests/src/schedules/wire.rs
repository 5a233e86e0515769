//! The network of a schedule: every message has a delay that follows from the seed, and the faults apply.

use std::collections::BTreeMap;

use crate::network::Dice;

use super::schedule::{Fault, HEALED_MS, Schedule};

/// What becomes of one message: the times at which it arrives, none if it is lost.
pub struct Wire {
    seed: u64,
    sent: BTreeMap<(u8, u8), u64>,
    faults: Vec<Fault>,
    /// Whether what is lost or cut off is sent again after the network has healed, as a connection does.
    pub resends: bool,
}

/// The longest delay without faults, in milliseconds.
const LONGEST_MS: u64 = 60;

impl Wire {
    /// The wires of a schedule.
    #[must_use]
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            seed: schedule.seed,
            sent: BTreeMap::new(),
            faults: schedule.faults.clone(),
            resends: false,
        }
    }

    /// Sends a message. Its fate depends on the seed, its line and its number on it, and on the faults, so that leaving
    /// out one fault changes little else.
    pub fn send(&mut self, now_ms: u64, from: u8, to: u8) -> Vec<u64> {
        let count = self.sent.entry((from, to)).or_default();
        *count += 1;
        let place = (u64::from(from) << 56) ^ (u64::from(to) << 48) ^ *count;
        let mut dice = Dice::new(self.seed.rotate_left(17) ^ place);
        let mut arrival = now_ms + 1 + dice.roll() % LONGEST_MS;
        let mut twice = None;
        let mut lost = false;
        for fault in &self.faults {
            let chance = dice.roll();
            match fault {
                Fault::Delay { line, by_ms } if line.touches(from, to, now_ms) => arrival += by_ms,
                Fault::Loss { line, percent } if line.touches(from, to, now_ms) => {
                    lost |= chance % 100 < u64::from(*percent);
                }
                Fault::Duplication { line, percent }
                    if line.touches(from, to, now_ms) && chance % 100 < u64::from(*percent) =>
                {
                    twice = Some(dice.roll() % 2000);
                }
                Fault::Reordering { line, spread_ms } if line.touches(from, to, now_ms) => {
                    arrival += chance % spread_ms;
                }
                Fault::Partition {
                    side,
                    begin_ms,
                    end_ms,
                } if (*begin_ms..*end_ms).contains(&now_ms) => {
                    lost |= side.contains(&from) != side.contains(&to);
                }
                _ => {}
            }
        }
        match (lost, self.resends) {
            (true, false) => Vec::new(),
            (true, true) => vec![HEALED_MS + arrival % 1000],
            (false, _) => std::iter::once(arrival)
                .chain(twice.map(|later| arrival + later))
                .collect(),
        }
    }
}
