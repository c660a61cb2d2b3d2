//! What becomes of an accepted message: the [`Delivery`] to await, and what it resolves to.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode;
use uuid::Uuid;

use super::books::{Books, SlotId};
use super::error::SendError;
use super::keeper::{Keeper, Stored};
use crate::error::is_refusal;
use crate::{Offset, PartitionId};

/// Names one accepted message of a producer; they count up in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition that its key, or chance, chose.
    pub partition: PartitionId,
    /// Its offset. `None` when the broker had it already from an attempt whose answer was lost: such an
    /// answer carries none (`DUPLICATE_SEQUENCE_NUMBER`).
    pub offset: Option<Offset>,
    /// The record's timestamp, to the millisecond.
    pub timestamp: Option<Timestamp>,
}

/// An accepted message was not delivered, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not delivered to {topic}: {reason}{}", if *.may_have_been_written { "; it may have been written all the same" } else { "" })]
pub struct DeliveryError {
    /// The topic.
    pub topic: Arc<str>,
    /// What ended it.
    pub code: RDKafkaErrorCode,
    /// The same in words.
    pub reason: String,
    pub(super) may_have_been_written: bool,
    pub(super) whereabouts: Whereabouts,
}

/// Where a message is that was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Only with its sender; with an outbox, put aside with the reason.
    Nowhere,
    /// In the outbox.
    Kept,
}

impl DeliveryError {
    /// True when the message was sent and no answer came: it may stand in the log, and sending it again
    /// may write it twice. False when it is certainly not there.
    #[must_use]
    pub fn may_have_been_written(&self) -> bool {
        self.may_have_been_written
    }

    /// True when the message is safe in the outbox, and is sent once another producer opens it. False
    /// with an outbox: it is put aside there, with the reason.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.whereabouts == Whereabouts::Kept
    }

    /// True when the cluster does not let this client in, or not do that: user, password, certificates, or a
    /// right that is missing. What is sent meets the same until somebody mends it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        is_refusal(self.code)
    }

    /// True when sending the same message again may succeed; with an outbox that keeps it there is no
    /// need to.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        use RDKafkaErrorCode as C;
        let is_bad = matches!(
            self.code,
            C::MessageSizeTooLarge
                | C::InvalidMessage
                | C::InvalidMessageSize
                | C::InvalidTopic
                | C::InvalidRecord
        );
        !is_bad && !self.is_refused()
    }
}

#[cfg(test)]
impl DeliveryError {
    /// Of a message that is not in the log, for tests of what is made of it.
    pub(crate) fn with_code(topic: &str, code: RDKafkaErrorCode) -> Self {
        Self {
            topic: topic.into(),
            code,
            reason: code.to_string(),
            may_have_been_written: false,
            whereabouts: Whereabouts::Nowhere,
        }
    }
}

/// What a message's delivery comes to.
pub type Outcome = Result<Receipt, DeliveryError>;

/// One delivery, as the function set with `on_delivery` sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Which message, by its place in the order of acceptance.
    pub ticket: Ticket,
    /// The message's own id; `None` for bare records.
    pub id: Option<Uuid>,
    /// What came of it.
    pub outcome: Outcome,
}

/// A message that a closed producer could not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Which message, by its place in the order of acceptance.
    pub ticket: Ticket,
    /// The message's own id; `None` for bare records.
    pub id: Option<Uuid>,
    /// Where it was to go.
    pub topic: Arc<str>,
    /// As [`DeliveryError::may_have_been_written`].
    pub may_have_been_written: bool,
}

/// Resolves when an accepted message is delivered or has failed.
///
/// Dropping it cancels nothing: the message goes its way, only nobody is told. Awaiting it is cancel
/// safe.
#[derive(Debug)]
#[must_use = "the message is on its way, but whether it arrived is only said here"]
pub struct Delivery {
    known_to: KnownTo,
    ticket: Ticket,
    taken: bool,
}

/// Who knows what comes of a message.
#[derive(Debug)]
enum KnownTo {
    Books(Arc<Books>, SlotId),
    Keeper(Arc<Keeper>),
}

impl Delivery {
    pub(super) fn new(books: Arc<Books>, slot: SlotId, ticket: Ticket) -> Self {
        Self { known_to: KnownTo::Books(books, slot), ticket, taken: false }
    }

    /// Of a message in an outbox.
    pub(super) fn stored(keeper: Arc<Keeper>, ticket: Ticket) -> Self {
        Self { known_to: KnownTo::Keeper(keeper), ticket, taken: false }
    }

    /// The message's place in the order of acceptance.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Future for Delivery {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        assert!(!self.taken, "a Delivery was polled after it had resolved");
        let polled = match &self.known_to {
            KnownTo::Books(books, slot) => books.poll_slot(*slot, cx),
            KnownTo::Keeper(keeper) => keeper.poll(self.ticket, cx),
        };
        self.taken = polled.is_ready();
        polled
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.taken {
            match &self.known_to {
                KnownTo::Books(books, slot) => books.let_go(*slot),
                KnownTo::Keeper(keeper) => keeper.let_go(self.ticket),
            }
        }
    }
}

/// Resolves when a message is accepted, with its [`Delivery`]. Without an outbox it is already.
///
/// Dropped before, the message may be accepted all the same, and nobody hears of its delivery.
#[derive(Debug)]
#[must_use = "whether the message is accepted is only said here"]
pub struct Acceptance(Accepting);

#[derive(Debug)]
enum Accepting {
    Accepted(Delivery),
    Storing(Stored),
    Over,
}

impl Acceptance {
    pub(super) fn of(delivery: Delivery) -> Self {
        Self(Accepting::Accepted(delivery))
    }

    pub(super) fn stored(stored: Stored) -> Self {
        Self(Accepting::Storing(stored))
    }

    /// The place in the order of acceptance, should the message be accepted.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        match &self.0 {
            Accepting::Accepted(delivery) | Accepting::Storing(Stored { delivery, .. }) => {
                Some(delivery.ticket())
            }
            Accepting::Over => None,
        }
    }
}

impl Future for Acceptance {
    type Output = Result<Delivery, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stored = match &mut self.0 {
            Accepting::Storing(stored) => ready!(Pin::new(&mut stored.acceptance).poll(cx)),
            _ => Ok(()),
        };
        match std::mem::replace(&mut self.0, Accepting::Over) {
            Accepting::Accepted(delivery) => Poll::Ready(Ok(delivery)),
            Accepting::Storing(Stored { delivery, keeper, .. }) => {
                Poll::Ready(stored.map(|()| delivery).map_err(|error| keeper.refused(error)))
            }
            Accepting::Over => panic!("an Acceptance was polled after it had resolved"),
        }
    }
}
