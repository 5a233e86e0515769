//! Log lines that a peer can cause: the first of a kind at once, then one in a while with the number left out.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(30);
/// Kinds that are told apart; all others share one.
const MOST: usize = 256;

/// What was said lately.
#[derive(Debug, Default)]
pub(crate) struct Quiet(BTreeMap<String, (Instant, u64)>);

impl Quiet {
    /// How many lines of this kind were left out since the last one, if this one is to be written.
    pub(crate) fn speak(&mut self, kind: &str, now: Instant) -> Option<u64> {
        let known = self.0.contains_key(kind);
        let kind = if known || self.0.len() < MOST {
            kind
        } else {
            ""
        };
        match self.0.get_mut(kind) {
            Some((said, left_out)) if now.saturating_duration_since(*said) < PAUSE => {
                *left_out += 1;
                None
            }
            Some((said, left_out)) => {
                *said = now;
                Some(std::mem::take(left_out))
            }
            None => {
                self.0.insert(kind.to_owned(), (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_written_and_the_rest_counted() {
        let mut quiet = Quiet::default();
        let now = Instant::now();
        assert_eq!(quiet.speak("a", now), Some(0));
        for _ in 0..1000 {
            assert_eq!(quiet.speak("a", now), None);
        }
        assert_eq!(quiet.speak("b", now), Some(0));
        assert_eq!(quiet.speak("a", now + PAUSE), Some(1000));
        assert_eq!(quiet.speak("a", now + PAUSE), None);
    }

    #[test]
    fn the_kinds_remembered_are_bounded() {
        let mut quiet = Quiet::default();
        let now = Instant::now();
        for n in 0..10_000 {
            quiet.speak(&format!("kind {n}"), now);
        }
        assert_eq!(quiet.0.len(), MOST + 1);
    }
}
