//! The single consumer: what a lane's task does with one message after another.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::held::Room;
use super::keyed::{Crew, key_by_key};
use super::lanes::{Lane, Order, Spawn, spawn_on};
use super::message::{End, Seat, one};
use super::{ConsumeError, ConsumeReport, ConsumerBuilder, Single, run};
use crate::{Concurrency, Decoder, Handler, Offset};

impl<D: Decoder> ConsumerBuilder<Single, D> {
    /// How many messages of one partition are handled at once. Default: one, partitions at the same time.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.config.concurrency = concurrency;
        self
    }

    /// Consumes until `shutdown` is cancelled or an end rule applies: calls `handler` for each message,
    /// in order within a partition, or within a key ([`concurrency`](Self::concurrency)), partitions at the
    /// same time.
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
    /// A wrong configuration, with every problem at once; a dead-letter topic that is missing or not fit for
    /// it; its producer, or the consumer's thread, that can't be made; a cluster that refuses this consumer. A
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
        let (room, decoder) = (Room::of(&self.config), self.decoder);
        let runtime = tokio::runtime::Handle::current();
        let spawn: Spawn = match self.config.concurrency {
            Concurrency::PerPartition => {
                let (decoder, handler) = (Arc::new(decoder), Arc::new(handler));
                Box::new(move |lane| {
                    spawn_on(&runtime, one_by_one(lane, Arc::clone(&decoder), Arc::clone(&handler)))
                })
            }
            Concurrency::PerKey(calls) => {
                // What is out of bounds is refused by the run.
                let turns = Arc::new(Semaphore::new(calls.min(Semaphore::MAX_PERMITS)));
                let crew = Arc::new(Crew { decoder, handler, turns });
                Box::new(move |lane| spawn_on(&runtime, key_by_key(lane, Arc::clone(&crew))))
            }
        };
        run::run(run::Setup {
            config: self.config,
            ends: self.ends,
            decides: self.decides,
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
            let (offset, bytes) = (record.offset, record.size());
            match one(&mut lane, &*decoder, &*handler, record).await {
                End::Handled => lane.settle(offset, bytes),
                End::DeadLettered => lane.settle_letter(offset, bytes),
                End::Stop(stopped) => return lane.stop(stopped),
                End::Halted => return,
            }
        }
        lane.flush(true);
    }
}

/// A lane that handles its messages one by one.
impl Seat for Lane {
    fn desk(&self) -> &Desk {
        Self::desk(self)
    }

    async fn turn(&mut self) {}

    fn may_begin(&self, _: u32) -> bool {
        !self.ordered(Order::Finish)
    }

    fn called(&mut self, offset: Offset, attempt: u32) {
        self.begin(offset, attempt, 1);
    }

    fn waits(&mut self) {
        self.flush(false);
    }

    fn rests(&mut self) {
        self.flush(false);
    }

    fn returned(&mut self, _: bool) {
        self.at_work(0);
    }
}
