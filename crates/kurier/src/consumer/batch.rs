//! The batch consumer: what a lane's task does with messages it collects.
//!
//! A batch is full by count, by bytes, or when its first message has waited long enough, whichever is
//! first. Messages that failed are retried before anything later is collected.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::builder::BatchRules;
use super::held::Room;
use super::lanes::{Lane, More, Next, Order, received, size, spawn_on};
use super::{Batches, ConsumeError, ConsumeReport, ConsumerBuilder, StoppedPartition, run};
use crate::handler::{Attempted, attempt};
use crate::{
    Batch, BatchHandler, ConfigProblem, ConsumerConfig, Decoder, Failure, Received, Record,
};

impl<D: Decoder> ConsumerBuilder<Batches, D> {
    /// Consumes until `shutdown` is cancelled or an end rule applies: calls `handler` for each batch,
    /// in order within a partition, partitions at the same time.
    ///
    /// A batch is not held back for more messages when its partition was read to the end the run is to
    /// leave at, or when the run is asked to end: what was collected is handed over at once. When its
    /// partition is taken away, what was not handed over is delivered again. A lane holds at least two batches,
    /// whatever `lane_messages_max` and `lane_bytes_max` say.
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
        H: BatchHandler<D::Item>,
    {
        let Self { config, decoder, ends, batch: rules, listener, health, monitor, .. } = self;
        check(&rules, &config)?;
        let room = Room {
            messages: config.lane_messages_max.max(rules.count.saturating_mul(2)),
            bytes: config.lane_bytes_max.max(rules.bytes.saturating_mul(2)),
        };
        let (decoder, handler) = (Arc::new(decoder), Arc::new(handler));
        let runtime = tokio::runtime::Handle::current();
        let spawn = Box::new(move |lane| {
            let batches = Batcher { lane, decoder: Arc::clone(&decoder), rules, poison: None };
            spawn_on(&runtime, batch_by_batch(batches, Arc::clone(&handler)))
        });
        run::run(run::Setup { config, ends, listener, health, monitor, room, spawn, shutdown })
            .await
    }
}

fn check(rules: &BatchRules, config: &ConsumerConfig) -> Result<(), ConsumeError> {
    let refuse = |name: &str, value: String, reason: &str| {
        Err(ConsumeError::Config(ConfigProblem::new(name, &value, reason).into()))
    };
    // A configuration with problems of its own is reported whole by the run.
    if config.checked().is_err() {
        return Ok(());
    }
    if !(1..=COUNT_MAX).contains(&rules.count) {
        return refuse("batch", rules.count.to_string(), "must be from 1 to 1000000 messages");
    }
    if rules.bytes == 0 {
        return refuse("batch_bytes", "0".to_owned(), "must be at least 1");
    }
    Ok(())
}

/// A bound against slips of the keyboard.
const COUNT_MAX: usize = 1_000_000;

type Item<D> = Arc<Received<<D as Decoder>::Item>>;

/// Collects batches from a lane.
struct Batcher<D> {
    lane: Lane,
    decoder: Arc<D>,
    rules: BatchRules,
    /// The message the batch before it ends at, for it can't be read.
    poison: Option<StoppedPartition>,
}

/// A lane's task.
async fn batch_by_batch<D: Decoder, H: BatchHandler<D::Item>>(
    mut batches: Batcher<D>,
    handler: Arc<H>,
) {
    let mut rest = Vec::new().into_iter();
    while let Some(items) = batches.collect(&mut rest).await {
        tokio::task::coop::consume_budget().await;
        if !items.is_empty() {
            match whole(&mut batches.lane, &*handler, items).await {
                Next::GoOn => batches.lane.flush(true),
                Next::Stop(stopped) => return batches.lane.stop(stopped),
                Next::Halted => return,
            }
        }
        if let Some(stopped) = batches.poison.take() {
            return batches.lane.stop(stopped);
        }
        if batches.lane.ordered(Order::Finish) {
            return;
        }
    }
}

impl<D: Decoder> Batcher<D> {
    /// The next batch; `rest` is what is left of the records that came last. `None` when the lane is to
    /// end. Empty only before a message that can't be read.
    async fn collect(&mut self, rest: &mut std::vec::IntoIter<Record>) -> Option<Vec<Item<D>>> {
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut full_at = None;
        loop {
            while let Some(record) = rest.as_slice().first() {
                let more = size(record);
                if !items.is_empty() && self.rules.bytes < bytes + more {
                    return Some(items);
                }
                match received(&*self.decoder, rest.next()?) {
                    Ok(item) => items.push(Arc::new(item)),
                    Err(stopped) => {
                        self.poison = Some(stopped);
                        return Some(items);
                    }
                }
                bytes += more;
                if items.len() == self.rules.count || self.rules.bytes <= bytes {
                    return Some(items);
                }
                full_at.get_or_insert_with(|| Instant::now() + self.rules.wait);
            }
            *rest = match full_at {
                None => self.lane.records().await?,
                Some(full_at) => match self.lane.more(full_at).await {
                    More::Records(records) => records,
                    More::Waited | More::Ending => return Some(items),
                },
            }
            .into_iter();
        }
    }
}

/// One batch and its retries.
async fn whole<M: Send + Sync + 'static, H: BatchHandler<M>>(
    lane: &mut Lane,
    handler: &H,
    mut items: Vec<Arc<Received<M>>>,
) -> Next {
    let mut rejected = None;
    let mut number = 0;
    loop {
        number += 1;
        // The first attempt at what was collected is what a finishing lane still owes.
        if lane.ordered(if number == 1 { Order::Stop } else { Order::Finish }) {
            return Next::Halted;
        }
        let first = items[0].record.offset;
        lane.tell_started(first, number);
        let batch = Arc::new(Batch::new(lane.partition.clone(), items));
        let context = lane.common.context.at_attempt(number);
        let call = || handler.handle(Arc::clone(&batch), context);
        lane.at_work(batch.len());
        let attempted = attempt(call, || lane.flush(false)).await;
        lane.at_work(0);
        let failure = match attempted {
            Attempted::Failed(failure) => {
                items = batch.items().to_vec();
                failure
            }
            Attempted::Done(outcomes) => match batch.answers(outcomes) {
                None => {
                    items = batch.items().to_vec();
                    Failure::retry("the answers are those of another batch")
                }
                Some(answers) => {
                    let failed = settle(lane, &batch, answers, number);
                    rejected = failed.rejected.or(rejected);
                    items = failed.retriable;
                    match (failed.failure, rejected.take()) {
                        (None, None) => return Next::GoOn,
                        (None, Some(stopped)) => return Next::Stop(stopped),
                        (Some(failure), later) => {
                            rejected = later;
                            failure
                        }
                    }
                }
            },
        };
        match lane.pause(items[0].record.offset, number, &failure).await {
            Next::GoOn => {}
            end => return end,
        }
    }
}

/// What of a batch was not handled.
struct Failed<M> {
    /// Those before the first rejected one, in order.
    retriable: Vec<Arc<Received<M>>>,
    /// What is said of the first of them, with the longest pause any of them asked for.
    failure: Option<Failure>,
    /// The first one that trying again is of no use for.
    rejected: Option<StoppedPartition>,
}

/// Settles what was handled, and sorts the rest.
fn settle<M>(
    lane: &mut Lane,
    batch: &Batch<M>,
    answers: Vec<Result<(), Failure>>,
    number: u32,
) -> Failed<M> {
    let mut failed = Failed { retriable: Vec::new(), failure: None, rejected: None };
    for (item, answer) in batch.items().iter().zip(answers) {
        let offset = item.record.offset;
        match answer {
            Ok(()) => {
                lane.tell_handled(offset, number);
                lane.settle(offset, size(&item.record));
                continue;
            }
            Err(Failure::Retry { after, source }) if failed.rejected.is_none() => {
                failed.retriable.push(Arc::clone(item));
                match &mut failed.failure {
                    Some(Failure::Retry { after: longest, .. }) => *longest = after.max(*longest),
                    _ => failed.failure = Some(Failure::Retry { after, source }),
                }
            }
            Err(failure @ Failure::Reject { .. }) if failed.rejected.is_none() => {
                let (partition, reason) = (lane.partition.clone(), failure.to_string());
                let stopped = StoppedPartition { partition, offset, attempts: number, reason };
                failed.rejected = Some(stopped);
            }
            // After a rejected one nothing is tried again: the partition ends there.
            Err(_) => {}
        }
        // A completion names a range: what failed must not lie within one.
        lane.flush(false);
    }
    failed
}
