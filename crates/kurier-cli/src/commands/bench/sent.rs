//! When each message on its way was to be sent, until its acknowledgement asks. Pure but for its clock,
//! which is the caller's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A ring, indexed by the message's place in the order of acceptance: the sender writes, the producer's
/// thread reads, and neither waits for the other.
///
/// A slot is overwritten once as many messages are on their way as there are slots; whoever asks for the
/// earlier one then is told that it is not known. With a bound on messages in memory that never happens
/// below it; an outbox may hold more.
#[derive(Debug)]
pub struct Sent {
    /// Microseconds in the upper bits, and below them which round of the ring wrote it.
    slots: Box<[AtomicU64]>,
}

/// 2^20 rounds of the ring, and 2^44 µs: half a year.
const ROUND_BITS: u32 = 20;
const ROUNDS: u64 = 1 << ROUND_BITS;

impl Sent {
    /// Room for at least `on_their_way` messages.
    pub fn new(on_their_way: usize) -> Self {
        let slots = on_their_way.max(1).next_power_of_two();
        // Of no round: its time is not known.
        Self { slots: (0..slots).map(|_| AtomicU64::new(u64::MAX)).collect() }
    }

    /// Message `place` is to be sent at `due`, from the beginning of the run. To be said before it is sent.
    pub fn due(&self, place: u64, due: Duration) {
        let micros = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
        let (slot, round) = self.slot(place);
        slot.store(micros << ROUND_BITS | round, Ordering::Release);
    }

    /// When message `place` was to be sent; `None` when another one has its slot.
    pub fn when(&self, place: u64) -> Option<Duration> {
        let (slot, round) = self.slot(place);
        let found = slot.load(Ordering::Acquire);
        (found % ROUNDS == round && found != u64::MAX)
            .then(|| Duration::from_micros(found >> ROUND_BITS))
    }

    fn slot(&self, place: u64) -> (&AtomicU64, u64) {
        let count = self.slots.len() as u64;
        // Below the count, which is a usize.
        (&self.slots[(place % count) as usize], place / count % ROUNDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_on_its_way_is_known_and_an_overwritten_one_is_not() {
        let sent = Sent::new(3);
        assert_eq!(sent.when(0), None, "not sent yet");
        for place in 0..4 {
            sent.due(place, Duration::from_micros(100 + place));
        }
        assert_eq!(sent.when(0), Some(Duration::from_micros(100)));
        assert_eq!(sent.when(3), Some(Duration::from_micros(103)));
        sent.due(4, Duration::from_secs(86_400));
        assert_eq!(sent.when(0), None, "the fifth has its slot");
        assert_eq!(sent.when(4), Some(Duration::from_secs(86_400)));
        assert_eq!(sent.when(5), None, "not sent yet");
    }
}
