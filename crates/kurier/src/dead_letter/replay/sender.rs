//! The handler of a replay: sends what is meant, in the order of the log, and says of each message what came
//! of it. Only what is acknowledged counts as handled, and so the group never passes anything else.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::report::{ReplayProgress, Tally};
use super::verdict::{Planned, Rules, Verdict, WhyLeft};
use crate::{
    Batch, Delivery, DeliveryError, Failure, MessageProducer, Outcomes, Position, Record, SendError,
};

pub(super) struct Sender {
    producer: MessageProducer,
    rules: Rules,
    progress: ReplayProgress,
    pace: Pace,
    max: Option<u64>,
    /// Messages that are sent or were.
    taken: AtomicU64,
    /// Topics that are not there: each is waited for once.
    missing: Mutex<HashSet<String>>,
    stop: CancellationToken,
    /// Why nothing can be sent any more.
    broken: Mutex<Option<SendError>>,
}

/// What has become of a record so far.
enum Step {
    PassedOver,
    Left(WhyLeft),
    Sent(Box<Planned>, Delivery),
    /// It could not be sent now. Nothing after it is sent before it.
    Again(SendError),
}

impl Sender {
    pub(super) fn new(
        producer: MessageProducer,
        rules: Rules,
        progress: ReplayProgress,
        (rate, max): (Option<NonZeroU64>, Option<u64>),
        stop: CancellationToken,
    ) -> Self {
        Self {
            producer,
            rules,
            progress,
            pace: Pace::new(rate),
            max,
            taken: AtomicU64::new(0),
            missing: Mutex::default(),
            stop,
            broken: Mutex::default(),
        }
    }

    pub(super) fn producer(&self) -> &MessageProducer {
        &self.producer
    }

    /// Why nothing could be sent any more.
    pub(super) fn broken(&self) -> Option<SendError> {
        lock(&self.broken).take()
    }

    /// Sends a batch: all of it is on its way before the first acknowledgement is waited for.
    pub(super) async fn handle(&self, batch: &Batch<Bytes>) -> Outcomes {
        let mut steps = Vec::with_capacity(batch.len());
        for item in batch.items() {
            let Some(step) = self.begin(item.record()).await else { break };
            let is_last = matches!(step, Step::Again(_));
            steps.push(step);
            if is_last {
                break;
            }
        }
        let mut answers = Vec::with_capacity(steps.len());
        for (item, step) in batch.items().iter().zip(steps) {
            answers.push(self.finish(item.position(), step).await);
        }
        let mut answers = answers.into_iter();
        batch.outcomes(|_| answers.next().unwrap_or_else(|| Err(Failure::retry(NOT_BEGUN))))
    }

    /// `None` when nothing more is to be begun.
    async fn begin(&self, record: &Record) -> Option<Step> {
        if self.stop.is_cancelled() {
            return None;
        }
        let planned = match self.rules.judge(record) {
            Verdict::NotSelected => return Some(Step::PassedOver),
            Verdict::Left(why) => return Some(Step::Left(why)),
            Verdict::Send(planned) => planned,
        };
        if lock(&self.missing).contains(&planned.target) {
            return Some(Step::Left(WhyLeft::NoTopic { topic: planned.target }));
        }
        if !self.take() {
            // As many are on their way as were asked for. Should one of them come to nothing, this one has
            // its turn.
            return None;
        }
        let send = async {
            self.pace.next().await;
            self.producer.send_record(&planned.target, &planned.outgoing()).await
        };
        let sent = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            sent = send => Some(sent),
        };
        if !matches!(sent, Some(Ok(_))) {
            self.give_back();
        }
        Some(match sent? {
            Ok(delivery) => Step::Sent(planned, delivery),
            Err(SendError::UnknownTopic { topic }) => {
                lock(&self.missing).insert(topic.clone());
                Step::Left(WhyLeft::NoTopic { topic })
            }
            Err(error @ SendError::TopicName { .. }) => {
                Step::Left(WhyLeft::Refused { reason: error.to_string() })
            }
            Err(error) => Step::Again(error),
        })
    }

    async fn finish(&self, position: Position, step: Step) -> Result<(), Failure> {
        let tally: &Tally = &self.progress.0;
        match step {
            Step::PassedOver => tally.passed_over(),
            Step::Left(why) => tally.leave(position, why),
            Step::Again(error) => {
                let reason = error.to_string();
                if is_final(&error) {
                    self.give_up(error);
                }
                return Err(Failure::retry(reason));
            }
            Step::Sent(planned, delivery) => match delivery.await {
                Ok(_) => {
                    tally.replayed();
                    if self.max.is_some_and(|max| max <= self.progress.replayed()) {
                        self.stop.cancel();
                    }
                }
                Err(error) => {
                    self.give_back();
                    tally.leave(position, self.undelivered(*planned, error).await?);
                }
            },
        }
        Ok(())
    }

    /// Why a message that no broker takes stays where it is; or it is tried again.
    pub(super) async fn undelivered(
        &self,
        planned: Planned,
        error: DeliveryError,
    ) -> Result<WhyLeft, Failure> {
        match error.code {
            Code::UnknownTopic | Code::UnknownTopicOrPartition => {
                Ok(WhyLeft::NoTopic { topic: planned.target })
            }
            code if error.is_refused() => {
                // A producer that has ended says more than the code.
                let why = tokio::select! {
                    biased;
                    why = self.producer.gives_up() => SendError::NotAccepting(why),
                    () = std::future::ready(()) => {
                        SendError::Client { topic: planned.target, code }
                    }
                };
                self.give_up(why);
                Err(Failure::retry(error))
            }
            _ if error.is_retriable() => Err(Failure::retry(error)),
            _ => Ok(WhyLeft::Refused { reason: error.to_string() }),
        }
    }

    /// Ends the run: what is not sent stays uncommitted.
    fn give_up(&self, error: SendError) {
        lock(&self.broken).get_or_insert(error);
        self.stop.cancel();
    }

    /// Takes one of the messages that may be sent.
    fn take(&self) -> bool {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let granted = self.max.is_none_or(|max| before < max);
        if !granted {
            self.give_back();
        }
        granted
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is said of a message that is not begun now.
const NOT_BEGUN: &str = "the replay is ending, or has as many under way as were asked for";

/// True for what another attempt would meet again, and an operator can change: the same replay goes on then.
pub(super) fn is_final(error: &SendError) -> bool {
    // A limit that was set for this client is no broker's verdict.
    let is_own = matches!(error, SendError::NotAccepting(_) | SendError::TooLarge { .. });
    is_own || error.is_refused()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
