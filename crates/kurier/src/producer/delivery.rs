//! What becomes of an accepted message: the [`Delivery`] to await, and what it resolves to.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode;
use uuid::Uuid;

use super::books::{Books, SlotId};
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
}

impl DeliveryError {
    /// True when the message was sent and no answer came: it may stand in the log, and sending it again
    /// may write it twice. False when it is certainly not there.
    #[must_use]
    pub fn may_have_been_written(&self) -> bool {
        self.may_have_been_written
    }

    /// True when sending the same message again may succeed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        use RDKafkaErrorCode as C;
        !matches!(
            self.code,
            C::MessageSizeTooLarge
                | C::InvalidMessage
                | C::InvalidMessageSize
                | C::InvalidTopic
                | C::TopicAuthorizationFailed
                | C::ClusterAuthorizationFailed
                | C::Authentication
                | C::SSL
                | C::InvalidRecord
        )
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
    books: Arc<Books>,
    slot: SlotId,
    ticket: Ticket,
    taken: bool,
}

impl Delivery {
    pub(super) fn new(books: Arc<Books>, slot: SlotId, ticket: Ticket) -> Self {
        Self { books, slot, ticket, taken: false }
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
        let polled = self.books.poll_slot(self.slot, cx);
        self.taken = polled.is_ready();
        polled
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.taken {
            self.books.let_go(self.slot);
        }
    }
}
