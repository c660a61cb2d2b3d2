//! One message, from its bytes to its end: read, handed to the handler, retried after pauses.
//!
//! It is the same whether a partition's messages go one by one or many keys at once; where that differs
//! is said by a [`Seat`]. What a handled message settles is its caller's affair.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::Instrument;

use super::StoppedPartition;
use super::desk::Desk;
use super::giving_up::{self, Fate};
use super::lanes::{After, Unreadable, received};
use crate::handler::{Attempted, attempt};
use crate::{Decoder, Handler, Offset, Record, trace};

/// Whoever handles one message at a time.
pub(super) trait Seat: Send {
    /// What the message's partition has in common.
    fn desk(&self) -> &Desk;

    /// Waits until the handler may be called. Not at all, or for long; what is ordered meanwhile ends it.
    fn turn(&mut self) -> impl Future<Output = ()> + Send;

    /// False when what is ordered keeps it from this attempt.
    fn may_begin(&self, attempt: u32) -> bool;

    /// The handler is called.
    fn called(&mut self, offset: Offset, attempt: u32);

    /// The handler waits for something, nobody knows for how long.
    fn waits(&mut self);

    /// No handler is called for a while, nobody knows how long.
    fn rests(&mut self);

    /// The call is over; `handled`: with success.
    fn returned(&mut self, handled: bool);
}

/// How a message ended.
#[derive(Debug)]
pub(super) enum End {
    /// It is handled, and is to be settled.
    Handled,
    /// It can't be handled. Its copy is in the dead-letter topic, and it is to be settled.
    DeadLettered,
    /// It can't be handled, and its partition stops.
    Stop(StoppedPartition),
    /// The lane was told to end before the message was handled.
    Halted,
}

impl From<Fate> for End {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Written => Self::DeadLettered,
            Fate::Stop(stopped) => Self::Stop(stopped),
            Fate::Halted => Self::Halted,
        }
    }
}

/// Handles `record`: attempts it as often as it takes, until it is handled or given up.
pub(super) async fn one<S: Seat, D: Decoder, H: Handler<D::Item>>(
    seat: &mut S,
    decoder: &D,
    handler: &H,
    record: Record,
) -> End {
    let offset = record.offset;
    if !seat.may_begin(1) {
        return End::Halted;
    }
    let message = match received(decoder, record) {
        Ok(message) => Arc::new(message),
        Err(unreadable) => {
            let Unreadable { record, reason } = *unreadable;
            seat.rests();
            return seat.desk().give_up(&record, giving_up::unread(reason), 0).await.into();
        }
    };
    let mut first_failure = None;
    let mut number = 0;
    loop {
        number += 1;
        seat.turn().await;
        if !seat.may_begin(number) {
            return End::Halted;
        }
        seat.called(offset, number);
        seat.desk().tell_started(offset, number);
        let context = seat.desk().common.context.at_attempt(number);
        let span = trace::handler_span(message.record(), number);
        let handled = || span.in_scope(|| handler.handle(Arc::clone(&message), context));
        let call = || handled().instrument(span.clone());
        // Before a wait whose length nobody knows, what is done is told, so that it can be committed.
        let attempted = attempt(call, || seat.waits()).await;
        seat.returned(matches!(attempted, Attempted::Done(())));
        let failure = match attempted {
            Attempted::Done(()) => {
                seat.desk().tell_handled(offset, number);
                seat.desk().note_age(message.record());
                return End::Handled;
            }
            Attempted::Failed(failure) => seat.desk().common.retry.decided(failure),
        };
        seat.rests();
        let first = *first_failure.get_or_insert_with(Timestamp::now);
        match seat.desk().pause(offset, number, &failure).await {
            After::Again => {}
            After::GiveUp => {
                let said = giving_up::failed(&failure, number, first);
                return seat.desk().give_up(message.record(), said, 0).await.into();
            }
            After::Halted => return End::Halted,
        }
    }
}
