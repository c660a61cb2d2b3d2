//! The single consumer: what a lane's task does with one message after another.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::held::Room;
use super::lanes::{Lane, Next, Order, received, size, spawn_on};
use super::{ConsumeError, ConsumeReport, ConsumerBuilder, Single, run};
use crate::handler::{Attempted, attempt};
use crate::{Decoder, Handler, Record, trace};

impl<D: Decoder> ConsumerBuilder<Single, D> {
    /// Consumes until `shutdown` is cancelled or an end rule applies: calls `handler` for each message,
    /// in order within a partition, partitions at the same time.
    ///
    /// A cluster or a topic that does not exist yet is waited for. Handlers run on the tokio runtime
    /// this is called on; the client has a thread of its own.
    ///
    /// The handler of a message that belongs to a trace ([`Received::trace_context`]) runs in a `tracing`
    /// span `handle` at level info, with `trace_id`, `parent_id`, `trace_flags`, and where the message is.
    ///
    /// [`Received::trace_context`]: crate::Received::trace_context
    ///
    /// # Errors
    /// A wrong configuration, with every problem at once; a cluster that refuses this consumer. A
    /// message that can't be handled is no error: the report lists its partition.
    ///
    /// # Cancel safety
    /// Dropping the future drops the handlers at work; their messages are delivered again. What was
    /// handled is committed and the group is left, by a thread that goes on for at most the shutdown
    /// deadline.
    pub async fn run<H>(
        self,
        handler: H,
        shutdown: CancellationToken,
    ) -> Result<ConsumeReport, ConsumeError>
    where
        H: Handler<D::Item>,
    {
        let (decoder, handler) = (Arc::new(self.decoder), Arc::new(handler));
        let room =
            Room { messages: self.config.lane_messages_max, bytes: self.config.lane_bytes_max };
        let runtime = tokio::runtime::Handle::current();
        let spawn = Box::new(move |lane| {
            spawn_on(&runtime, one_by_one(lane, Arc::clone(&decoder), Arc::clone(&handler)))
        });
        run::run(run::Setup {
            config: self.config,
            ends: self.ends,
            listener: self.listener,
            health: self.health,
            monitor: self.monitor,
            room,
            spawn,
            shutdown,
        })
        .await
    }
}

/// A lane's task.
async fn one_by_one<D: Decoder, H: Handler<D::Item>>(
    mut lane: Lane,
    decoder: Arc<D>,
    handler: Arc<H>,
) {
    while let Some(records) = lane.records().await {
        for record in records {
            // A handler that never waits must not keep a worker to itself.
            tokio::task::coop::consume_budget().await;
            match one(&mut lane, &*decoder, &*handler, record).await {
                Next::GoOn => {}
                Next::Stop(stopped) => return lane.stop(stopped),
                Next::Halted => return,
            }
        }
        lane.flush(true);
    }
}

async fn one<D: Decoder, H: Handler<D::Item>>(
    lane: &mut Lane,
    decoder: &D,
    handler: &H,
    record: Record,
) -> Next {
    let (offset, bytes) = (record.offset, size(&record));
    let message = match received(decoder, record) {
        Ok(message) => Arc::new(message),
        Err(stopped) => return Next::Stop(stopped),
    };
    let mut number = 0;
    loop {
        number += 1;
        if lane.ordered(Order::Finish) {
            return Next::Halted;
        }
        lane.tell_started(offset, number);
        let context = lane.common.context.at_attempt(number);
        let span = trace::handler_span(message.record(), number);
        let handled = || span.in_scope(|| handler.handle(Arc::clone(&message), context));
        let call = || handled().instrument(span.clone());
        // Before a wait whose length nobody knows, what is done is told, so that it can be committed.
        lane.at_work(1);
        let attempted = attempt(call, || lane.flush(false)).await;
        lane.at_work(0);
        match attempted {
            Attempted::Done(()) => {
                lane.tell_handled(offset, number);
                lane.settle(offset, bytes);
                return Next::GoOn;
            }
            Attempted::Failed(failure) => match lane.pause(offset, number, &failure).await {
                Next::GoOn => {}
                end => return end,
            },
        }
    }
}
