//! How members may behave: what one may use of this node, what counts against it, and for how long it is cut off.
//!
//! Pure: time is an argument. Everything is generous against an honest node under load and small against memory.

use std::time::Duration;

use tokio::time::Instant;

/// Streams that a peer may hold open on one connection at once.
pub(super) const MAX_PEER_STREAMS: usize = 80;
/// Streams of one connection, ours and the peer's together; yamux gives each 256 KiB before it is read.
pub(super) const MAX_STREAMS: usize = 160;
/// Requests under way, each way and per member: the honest need is a ceremony's chunks and a few blobs.
pub(super) const MAX_UNDER_WAY: usize = 32;
/// Own requests to one member that wait for their turn.
pub(super) const MAX_WAITING: usize = 4096;
/// Connections whose handshake is not over, all and from one address.
pub(super) const MAX_HANDSHAKES: usize = 64;
pub(super) const MAX_HANDSHAKES_PER_ADDRESS: usize = 16;

/// What one member may use of this node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Gossip frames: how many at once, and how many a second.
    pub(crate) gossip: (f64, f64),
    /// Requests answered.
    pub(crate) requests: (f64, f64),
    /// Bytes answered.
    pub(crate) bytes: (f64, f64),
    /// How long a member may keep asking for more than it may have.
    pub(crate) insistence: Duration,
    /// How long a handshake may take.
    pub(crate) handshake: Duration,
    /// How long a request may take to arrive.
    pub(crate) arrival: Duration,
    /// How long an answer may take to be computed and read.
    pub(crate) patience: Duration,
    /// The first ban; each further one is four times as long.
    pub(crate) ban: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            gossip: (1_500.0, 400.0),
            requests: (20_000.0, 2_000.0),
            // Beyond the largest ceremony's share of one peer; then half of a gigabit line.
            bytes: (8.0 * 1024.0 * 1024.0 * 1024.0, 64.0 * 1024.0 * 1024.0),
            insistence: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            arrival: Duration::from_secs(10),
            patience: super::PATIENCE,
            ban: Duration::from_secs(5),
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    most: f64,
    rate: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new((most, rate): (f64, f64), now: Instant) -> Self {
        Self {
            most,
            rate,
            left: most,
            at: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * self.rate).min(self.most);
        self.at = now;
    }

    /// Takes `amount` where anything is left; it may go into debt by one taking.
    pub(crate) fn take(&mut self, amount: f64, now: Instant) -> bool {
        self.fill(now);
        let allowed = self.left > 0.0;
        if allowed {
            self.left -= amount;
        }
        allowed
    }

    /// Whether anything is left.
    pub(crate) fn ready(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left > 0.0
    }

    /// Whether nothing was used for long enough that it is as new.
    pub(crate) fn full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left >= self.most
    }

    /// Notes what was used already, into debt if need be.
    pub(crate) fn owe(&mut self, amount: f64, now: Instant) {
        self.fill(now);
        self.left -= amount;
    }
}

/// What a member did that an honest one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Opened more streams than it may hold.
    Streams,
    /// Sent more requests at once than it may have under way.
    Requests,
    /// Sent gossip faster than any consortium speaks.
    Gossip,
    /// Kept asking for more than it may have.
    Insistence,
    /// A request that is malformed, too large or cut short.
    MalformedRequest,
    /// A request that did not arrive in time.
    SlowRequest,
    /// An answer that it asked for and did not read.
    UnreadAnswer,
    /// Bytes that are no statement.
    MalformedStatement,
    /// A statement whose signature is not its author's.
    BadSignature,
}

impl Fault {
    /// The fault in words, after "it".
    pub fn what(self) -> &'static str {
        match self {
            Self::Streams => "opened more streams than a member may",
            Self::Requests => "sent more requests at once than a member may",
            Self::Gossip => "sent gossip faster than a member may",
            Self::Insistence => "kept asking for more than a member may have",
            Self::MalformedRequest => "sent requests that are malformed, too large or cut short",
            Self::SlowRequest => "sent requests that do not arrive in time",
            Self::UnreadAnswer => "does not read the answers to its requests",
            Self::MalformedStatement => "sent bytes that are no statement",
            Self::BadSignature => "sent statements with wrong signatures",
        }
    }

    /// How much of [`TOLERANCE`] it uses up. What a slow or lagging honest node could do weighs little.
    fn weight(self) -> f64 {
        match self {
            Self::Streams | Self::Requests | Self::Gossip | Self::Insistence => TOLERANCE,
            Self::MalformedRequest | Self::MalformedStatement => TOLERANCE / 4.0,
            Self::SlowRequest | Self::UnreadAnswer | Self::BadSignature => TOLERANCE / 16.0,
        }
    }
}

const TOLERANCE: f64 = 16.0;
/// Faults forgotten a second.
const FORGETTING: f64 = 0.1;
/// A ban of an hour is the longest; an hour of good conduct makes the next one shorter again.
const LONGEST_BAN: Duration = Duration::from_secs(3600);
const REFORM: Duration = Duration::from_secs(3600);

/// One member's conduct.
#[derive(Debug)]
pub(crate) struct Conduct {
    limits: Limits,
    faults: Bucket,
    requests: Bucket,
    bytes: Bucket,
    over_since: Option<Instant>,
    bans: u32,
    banned_until: Option<Instant>,
}

/// Whether a request is answered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Now.
    Now,
    /// When its share has grown again.
    Later,
}

impl Conduct {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            faults: Bucket::new((TOLERANCE, FORGETTING), now),
            requests: Bucket::new(limits.requests, now),
            bytes: Bucket::new(limits.bytes, now),
            over_since: None,
            bans: 0,
            banned_until: None,
        }
    }

    /// Whether a request may be answered now.
    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        if self.bytes.ready(now) && self.requests.take(1.0, now) {
            return Turn::Now;
        }
        self.over_since.get_or_insert(now);
        Turn::Later
    }

    /// Nothing of this member waits: it asks for no more than it may have.
    pub(crate) fn content(&mut self) {
        self.over_since = None;
    }

    /// Whether it has been asking for too much for too long.
    pub(crate) fn insists(&self, now: Instant) -> bool {
        self.over_since
            .is_some_and(|since| now.saturating_duration_since(since) > self.limits.insistence)
    }

    /// Notes the bytes of an answer.
    pub(crate) fn answered(&mut self, bytes: usize, now: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "an answer is at most 1.25 MiB")]
        self.bytes.owe(bytes as f64, now);
    }

    /// Notes a fault. Where it was one too many: for how long the member is cut off from now on.
    pub(crate) fn fault(&mut self, fault: Fault, now: Instant) -> Option<Duration> {
        if self.banned(now).is_some() {
            return None;
        }
        self.faults.owe(fault.weight(), now);
        if self.faults.ready(now) {
            return None;
        }
        let quiet = self
            .banned_until
            .map(|until| now.saturating_duration_since(until).as_secs() / REFORM.as_secs());
        let reformed = u32::try_from(quiet.unwrap_or(0)).unwrap_or(u32::MAX);
        self.bans = self.bans.saturating_sub(reformed);
        let ban = self
            .limits
            .ban
            .saturating_mul(4u32.saturating_pow(self.bans))
            .min(LONGEST_BAN);
        self.bans = self.bans.saturating_add(1);
        self.banned_until = Some(now + ban);
        self.over_since = None;
        // It begins anew after the ban, with its record.
        self.faults = Bucket::new((TOLERANCE, FORGETTING), now);
        Some(ban)
    }

    /// How long it stays cut off.
    pub(crate) fn banned(&self, now: Instant) -> Option<Duration> {
        let left = self.banned_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new((3.0, 2.0), start);
        let taken = (0..10).filter(|_| bucket.take(1.0, start)).count();
        assert_eq!(taken, 3);
        let taken = (0..10).filter(|_| bucket.take(1.0, start + SECOND)).count();
        assert_eq!(taken, 2);
        bucket.owe(10.0, start + SECOND);
        assert!(!bucket.ready(start + 5 * SECOND));
        assert!(bucket.ready(start + 7 * SECOND));
    }

    #[test]
    fn bans_grow_up_to_an_hour_and_shrink_with_good_conduct() {
        let mut now = Instant::now();
        let mut conduct = Conduct::new(Limits::default(), now);
        let mut bans = Vec::new();
        for _ in 0..7 {
            let ban = conduct.fault(Fault::Streams, now).unwrap();
            assert_eq!(conduct.banned(now), Some(ban));
            bans.push(ban.as_secs());
            now += ban;
            assert_eq!(conduct.banned(now), None);
        }
        assert_eq!(bans, [5, 20, 80, 320, 1280, 3600, 3600]);
        now += 6 * REFORM;
        assert_eq!(conduct.fault(Fault::Streams, now), Some(20 * SECOND));
    }

    #[test]
    fn what_an_honest_node_may_do_once_does_not_cut_it_off() {
        let mut now = Instant::now();
        let mut conduct = Conduct::new(Limits::default(), now);
        for _ in 0..100 {
            assert_eq!(conduct.fault(Fault::SlowRequest, now), None);
            now += 10 * SECOND;
        }
        for _ in 0..15 {
            assert_eq!(conduct.fault(Fault::UnreadAnswer, now), None);
        }
        assert!(conduct.fault(Fault::UnreadAnswer, now).is_some());
    }

    #[test]
    fn while_it_is_cut_off_nothing_adds_to_its_ban() {
        let now = Instant::now();
        let mut conduct = Conduct::new(Limits::default(), now);
        assert!(conduct.fault(Fault::Gossip, now).is_some());
        assert_eq!(conduct.fault(Fault::Gossip, now), None);
    }

    #[test]
    fn who_asks_for_too_much_waits_and_who_insists_is_known() {
        let start = Instant::now();
        let limits = Limits {
            requests: (2.0, 1.0),
            ..Limits::default()
        };
        let mut conduct = Conduct::new(limits, start);
        assert_eq!(conduct.turn(start), Turn::Now);
        assert_eq!(conduct.turn(start), Turn::Now);
        assert_eq!(conduct.turn(start), Turn::Later);
        assert!(!conduct.insists(start + 60 * SECOND));
        assert!(conduct.insists(start + 61 * SECOND));
        conduct.content();
        assert!(!conduct.insists(start + 61 * SECOND));
        conduct.answered(usize::MAX, start + 61 * SECOND);
        assert_eq!(conduct.turn(start + 70 * SECOND), Turn::Later);
    }
}
