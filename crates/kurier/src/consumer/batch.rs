//! The batch consumer: what a lane's task does with messages it collects.
//!
//! A batch is full by count, by bytes, or when its first message has waited long enough, whichever is
//! first. Messages that failed are retried before anything later is collected.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::giving_up;
use super::held::{Room, Space};
use super::lanes::{After, Lane, More, Next, Order, Unreadable, received, spawn_on};
use super::{Batches, ConsumeError, ConsumeReport, ConsumerBuilder, run};
use crate::config::BatchRules;
use crate::dead_letter::GivenUp;
use crate::handler::{Attempted, attempt};
use crate::{
    Batch, BatchHandler, Concurrency, ConfigProblem, ConfigProblems, ConsumerConfig, Decoder,
    Failure, Offset, Received, Record,
};

impl<D: Decoder> ConsumerBuilder<Batches, D> {
    /// Consumes until `shutdown` is cancelled or an end rule applies: calls `handler` for each batch,
    /// in order within a partition, partitions at the same time.
    ///
    /// A batch is not held back for more messages when its partition was read to the end the run is to
    /// leave at, or when the run is asked to end: what was collected is handed over at once. When its
    /// partition is taken away, what was not handed over is delivered again. A lane holds at least two batches,
    /// whatever `lane_messages_max` and `lane_bytes_max` say, and one, whatever `in_flight_messages_max` and
    /// `in_flight_bytes_max` say.
    ///
    /// A cluster or a topic that does not exist yet is waited for. Handlers run on the tokio runtime
    /// this is called on; the client has a thread of its own.
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
        H: BatchHandler<D::Item>,
    {
        let Self {
            config, decoder, ends, batch: rules, decides, listener, health, monitor, ..
        } = self;
        check(&rules, &config)?;
        let (mut room, twice) = (Room::of(&config), |one: usize| one.saturating_mul(2));
        room.lane = Space {
            messages: room.lane.messages.max(twice(rules.count)),
            bytes: room.lane.bytes.max(twice(rules.bytes)),
        };
        room.least = Space { messages: rules.count, bytes: rules.bytes };
        room.ahead = room.ahead.max(twice(rules.count));
        let (decoder, handler) = (Arc::new(decoder), Arc::new(handler));
        let runtime = tokio::runtime::Handle::current();
        let spawn = Box::new(move |lane| {
            let batches = Batcher { lane, decoder: Arc::clone(&decoder), rules, poison: None };
            spawn_on(&runtime, batch_by_batch(batches, Arc::clone(&handler)))
        });
        run::run(run::Setup {
            config,
            ends,
            decides,
            listener,
            health,
            monitor,
            room,
            spawn,
            shutdown,
        })
        .await
    }
}

fn check(rules: &BatchRules, config: &ConsumerConfig) -> Result<(), ConfigProblems> {
    let mut problems = config.checked().err().map_or_else(Vec::new, ConfigProblems::into_problems);
    rules.check(&mut problems);
    if let Concurrency::PerKey(_) = config.concurrency {
        let reason = "per key is for the single consumer: batches of a partition come one by one";
        problems.push(ConfigProblem::new("concurrency", "PerKey", reason));
    }
    ConfigProblems::or((), problems)
}

type Item<D> = Arc<Received<<D as Decoder>::Item>>;

/// Collects batches from a lane.
struct Batcher<D> {
    lane: Lane,
    decoder: Arc<D>,
    rules: BatchRules,
    /// The message the batch before it ends at, for it can't be read.
    poison: Option<Box<Unreadable>>,
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
        if batches.lane.ordered(Order::Stop) {
            return;
        }
        if let Some(unreadable) = batches.poison.take() {
            let said = giving_up::unread(unreadable.reason);
            match batches.lane.give_up(&unreadable.record, said, 0).await {
                Next::GoOn => {}
                Next::Stop(stopped) => return batches.lane.stop(stopped),
                Next::Halted => return,
            }
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
                let more = record.size();
                if !items.is_empty() && self.rules.bytes < bytes + more {
                    return Some(items);
                }
                match received(&*self.decoder, rest.next()?) {
                    Ok(item) => items.push(Arc::new(item)),
                    Err(unreadable) => {
                        self.poison = Some(unreadable);
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

/// One batch: its retries, and then what is given up, in the order of the messages.
async fn whole<M: Send + Sync + 'static, H: BatchHandler<M>>(
    lane: &mut Lane,
    handler: &H,
    items: Vec<Arc<Received<M>>>,
) -> Next {
    let mut given_up = Vec::new();
    match tried(lane, handler, items, &mut given_up).await {
        Next::GoOn => {}
        end => return end,
    }
    given_up.sort_by_key(|one: &GivenUpItem<M>| one.0.record.offset);
    let offsets: Vec<Offset> = given_up.iter().map(|(item, _)| item.record.offset).collect();
    // All of them wait for the first one's copy.
    lane.desk().note_given_up(&offsets);
    for (index, (item, said)) in given_up.into_iter().enumerate() {
        // What is on its way gets its time; the next owner begins the others.
        if lane.ordered(Order::Stop) {
            return Next::Halted;
        }
        let behind = &offsets[index + 1..];
        match lane.give_up(&item.record, said, behind.len()).await {
            Next::GoOn => {}
            Next::Stop(stopped) => {
                lane.desk().forget_given_up(behind);
                return Next::Stop(stopped);
            }
            Next::Halted => return Next::Halted,
        }
    }
    Next::GoOn
}

type GivenUpItem<M> = (Arc<Received<M>>, GivenUp);

/// Attempts at a batch until each of its messages is handled or among those to give up.
async fn tried<M: Send + Sync + 'static, H: BatchHandler<M>>(
    lane: &mut Lane,
    handler: &H,
    mut items: Vec<Arc<Received<M>>>,
    given_up: &mut Vec<GivenUpItem<M>>,
) -> Next {
    let mut first_failure = None;
    let mut number = 0;
    loop {
        number += 1;
        // The first attempt at what was collected is what a finishing lane still owes.
        if lane.ordered(if number == 1 { Order::Stop } else { Order::Finish }) {
            return Next::Halted;
        }
        let Some(left) = attempted(lane, handler, items, number).await else { return Next::GoOn };
        let first = *first_failure.get_or_insert_with(Timestamp::now);
        let said = |failure| giving_up::failed(failure, number, first);
        let rejected = left.rejected.iter().map(|(item, why)| (Arc::clone(item), said(why)));
        given_up.extend(rejected);
        items = left.items;
        let Some(worst) = left.blame.worst() else { return Next::GoOn };
        match lane.pause(items[0].record.offset, number, worst).await {
            After::Again => {}
            After::Halted => return Next::Halted,
            After::GiveUp if left.blame.is_undecided(items.len()) && lane.writes_letters() => {
                return each_alone(lane, handler, items, number + 1, first, given_up).await;
            }
            After::GiveUp => {
                let said = |(index, item)| (item, said(left.blame.of(index)));
                given_up.extend(items.into_iter().enumerate().map(said));
                return Next::GoOn;
            }
        }
    }
}

/// One last attempt at each message alone, where the last of all of them did not say which one it was: a
/// message that harms its batch does not take the others with it.
async fn each_alone<M: Send + Sync + 'static, H: BatchHandler<M>>(
    lane: &mut Lane,
    handler: &H,
    items: Vec<Arc<Received<M>>>,
    number: u32,
    first: Timestamp,
    given_up: &mut Vec<GivenUpItem<M>>,
) -> Next {
    for item in items {
        if lane.ordered(Order::Finish) {
            return Next::Halted;
        }
        if let Some(left) = attempted(lane, handler, vec![item], number).await {
            let failure = left.rejected.first().map(|(_, why)| why).or(left.blame.worst());
            let item = left.rejected.first().map(|(item, _)| item).or(left.items.first());
            if let Some((item, failure)) = item.zip(failure) {
                lane.desk().note_failure();
                given_up.push((Arc::clone(item), giving_up::failed(failure, number, first)));
            }
        }
    }
    Next::GoOn
}

/// What an attempt left.
struct Left<M> {
    /// What can be tried again, in order; empty when the blame is nobody's.
    items: Vec<Arc<Received<M>>>,
    blame: Blame,
    /// What trying again is of no use for.
    rejected: Vec<(Arc<Received<M>>, Failure)>,
}

/// What was said of the messages that can be tried again.
enum Blame {
    /// The same of all of them.
    All(Failure),
    /// Of each, in their order. The first has the longest pause that any of them asked for.
    Each(Vec<Failure>),
}

impl Blame {
    /// What the pause goes by, if there is anything to try again.
    fn worst(&self) -> Option<&Failure> {
        match self {
            Self::All(failure) => Some(failure),
            Self::Each(failures) => failures.first(),
        }
    }

    fn of(&self, index: usize) -> &Failure {
        match self {
            Self::All(failure) => failure,
            Self::Each(failures) => &failures[index],
        }
    }

    /// True when it may be one message's alone, and nobody said which.
    fn is_undecided(&self, messages: usize) -> bool {
        1 < messages && matches!(self, Self::All(Failure::Retry { .. }))
    }
}

/// One attempt. `None`: everything is handled.
async fn attempted<M: Send + Sync + 'static, H: BatchHandler<M>>(
    lane: &mut Lane,
    handler: &H,
    items: Vec<Arc<Received<M>>>,
    number: u32,
) -> Option<Left<M>> {
    let first = items[0].record.offset;
    lane.begin(first, number, items.len());
    lane.desk().tell_started(first, number);
    let batch = Arc::new(Batch::new(lane.desk().partition.clone(), items));
    let context = lane.desk().common.context.at_attempt(number);
    let call = || handler.handle(Arc::clone(&batch), context);
    let attempted = attempt(call, || lane.flush(false)).await;
    lane.at_work(0);
    let failure = match attempted {
        Attempted::Failed(failure) => lane.desk().common.retry.decided(failure),
        Attempted::Done(outcomes) => match batch.answers(outcomes) {
            Some(answers) => return settle(lane, &batch, answers, number),
            None => Failure::retry("the answers are those of another batch"),
        },
    };
    let (items, blame) = (batch.items().to_vec(), Blame::All(failure));
    Some(Left { items, blame, rejected: Vec::new() })
}

/// Settles what was handled, and sorts the rest. `None`: there is none.
fn settle<M>(
    lane: &mut Lane,
    batch: &Batch<M>,
    answers: Vec<Result<(), Failure>>,
    number: u32,
) -> Option<Left<M>> {
    let (mut items, mut failures, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    let mut longest = None;
    for (item, answer) in batch.items().iter().zip(answers) {
        match answer.map_err(|failure| lane.desk().common.retry.decided(failure)) {
            Ok(()) => {
                lane.desk().tell_handled(item.record.offset, number);
                lane.desk().note_age(&item.record);
                // A completion names a range: between two that are handled there may be one that failed now,
                // or one that was given up before and has no copy yet.
                lane.settle_alone(item.record.offset, item.record.size());
            }
            // Without a place for dead letters the partition ends there: nothing behind is tried again.
            Err(_) if !rejected.is_empty() && !lane.writes_letters() => {}
            Err(failure @ Failure::Reject { .. }) => rejected.push((Arc::clone(item), failure)),
            Err(failure) => {
                if let Failure::Retry { after, .. } = &failure {
                    longest = longest.max(*after);
                }
                items.push(Arc::clone(item));
                failures.push(failure);
            }
        }
    }
    if let Some(Failure::Retry { after, .. }) = failures.first_mut() {
        *after = longest;
    }
    let none = items.is_empty() && rejected.is_empty();
    (!none).then(|| Left { items, blame: Blame::Each(failures), rejected })
}
