//! The thread that serves librdkafka: reports by the batch, errors, and the end.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{Producer, PurgeConfig};
use tokio::sync::oneshot;

use super::books::{Books, Entry, SlotId};
use super::client::{Line, Maker, Reaper};
use super::delivery::{DeliveryError, DeliveryReport, Outcome, Receipt, Unsent, Whereabouts};
use super::error::NotAccepting;
use super::event::ProducerEvent;
use super::keeper::Keeper;
use super::pauses::Progress;
use super::refusal::explained;
use super::remake::Again;
use super::replay::{Fate, fate, is_beyond_help};
use super::silence::Silence;
use super::topics::{KnownTopics, is_unknown};
use crate::access::Access;
use crate::error::needed;
use crate::listener::Listener;
use crate::metrics::ProducerFigures;
use crate::sys::{self, Persisted, Report, Reports};
use crate::{ClientError, PartitionId, TopicPartition};

/// Tells the thread to end: what is not sent by now is purged.
#[derive(Debug, Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    pub(super) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What happens when librdkafka says that its client can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFatal {
    /// Another client is made, and gets all that is undelivered.
    Remake,
    /// Everything fails, and nothing is accepted any more.
    GiveUp,
    /// That has happened.
    GaveUp,
}

/// What the thread owns.
pub(super) struct Worker {
    pub(super) line: Line,
    pub(super) maker: Maker,
    pub(super) on_fatal: OnFatal,
    pub(super) books: Arc<Books>,
    pub(super) figures: Arc<ProducerFigures>,
    pub(super) topics: Arc<KnownTopics>,
    pub(super) stop: Arc<Stop>,
    /// When an accepted message is given up.
    pub(super) deadline: Option<Duration>,
    pub(super) on_event: Listener<ProducerEvent>,
    pub(super) on_delivery: Listener<DeliveryReport>,
    pub(super) silence: Silence,
    /// Partitions without a leader, as they were told of last.
    pub(super) leaderless: BTreeSet<TopicPartition>,
    pub(super) again: Again,
    pub(super) reaper: Reaper,
    pub(super) access: Access,
    /// Why the cluster does not have this producer, if it does not.
    pub(super) refused: Option<ClientError>,
    /// With an outbox, that and the thread that reads it.
    pub(super) keeper: Option<(Arc<Keeper>, JoinHandle<()>)>,
    /// Failures, once the end has begun.
    pub(super) unsent: Option<Vec<Unsent>>,
}

/// Longest wait for one event; also how late a stop is noticed.
pub(super) const ROUND: Duration = Duration::from_millis(50);
/// Longest time for librdkafka to report what was purged.
pub(super) const PURGE_WAIT: Duration = Duration::from_secs(2);
/// Longest wait for an answer to the question whether the cluster is there.
pub(super) const PROBE: Duration = Duration::from_millis(500);

impl Worker {
    /// Serves until stopped, then sees that every accepted message has its outcome. `ended` gets what
    /// could not be sent, when all is over.
    pub(super) fn run(mut self, ended: oneshot::Sender<Vec<Unsent>>) {
        let mut reports = Reports::default();
        while !self.stopped() {
            self.serve(ROUND, &mut reports);
            self.look_for_missed_topics();
            if let Some(reason) = self.again.broken.take() {
                self.remake(reason);
            }
            self.watch();
        }
        let unsent = self.end();
        if let Some((keeper, feeder)) = self.keeper.take() {
            keeper.end(feeder);
        }
        self.books.give_up_client();
        self.reaper.take(self.line);
        self.reaper.finish();
        // The last who could tell of events is gone: health says that it has ended, before `close` does.
        drop((self.silence, self.on_event));
        // Nobody asks when the producer was dropped without being closed.
        let _ = ended.send(unsent);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.0.load(Ordering::Acquire)
    }

    /// Waits at most `wait` for one event, and deals with it.
    pub(super) fn serve(&mut self, wait: Duration, reports: &mut Reports) {
        let (on_fatal, deadline) = (self.on_fatal, self.deadline);
        let keeps =
            |code, blame| on_fatal == OnFatal::Remake && fate(code, blame, deadline) != Fate::Final;
        let note = self.figures.latency().map(|latency| |took| latency.note(0, took));
        let note = note.as_ref().map(|note| note as &dyn Fn(Duration));
        self.line.queue.poll(&self.line.client, wait, keeps, note, reports);
        if reports.plain.iter().any(|report| report.error.is_none()) {
            self.silence.delivered();
        }
        let troubles = self.line.client.client().context().troubles();
        self.look_for_hints();
        // An event names the cause of a fatal error, not that it is one.
        let look = !troubles.is_empty() || !reports.kept.is_empty();
        let fatal = if look { self.line.client.client().fatal_error() } else { None };
        match fatal {
            Some((code, reason)) => self.client_broke(code, reason),
            None => troubles.into_iter().for_each(|(code, reason)| self.trouble(code, reason)),
        }
        let Reports { plain, kept } = reports;
        plain.extend(kept.drain(..).filter_map(|kept| self.hold(kept)));
        self.settle(plain);
    }

    /// Looks whether the cluster is silent, or leaders are missing.
    pub(super) fn watch(&mut self) {
        if self.refused.is_some() {
            return;
        }
        let idle = self.books.under_way() == 0;
        let client = &self.line.client;
        let reached = || sys::metadata(client.client(), &sys::Topics::None, PROBE).is_ok();
        self.silence.watch(idle, reached);
        self.watch_access();
        self.look_for_leaders(idle);
    }

    /// Gives up what is left, and says what it was.
    fn end(&mut self) -> Vec<Unsent> {
        self.on_fatal = OnFatal::GaveUp;
        self.unsent = Some(Vec::new());
        self.fail_held(RDKafkaErrorCode::PurgeQueue);
        self.line.client.purge(PurgeConfig::default().queue().inflight());
        let mut reports = Reports::default();
        let begun = Instant::now();
        while self.books.under_way() > 0 && begun.elapsed() < PURGE_WAIT {
            let (queue, client) = (&self.line.queue, &self.line.client);
            queue.poll(client, ROUND, |_, _| false, None, &mut reports);
            self.settle(&mut reports.plain);
        }
        self.fail_unreported();
        let mut unsent = self.unsent.take().unwrap_or_default();
        unsent.sort_by_key(|unsent: &Unsent| unsent.ticket);
        unsent
    }

    /// What is neither reported nor held, though librdkafka had its time: nobody knows.
    pub(super) fn fail_unreported(&mut self) {
        let unreported = self.books.unreported();
        let lost = unreported.iter().filter(|(_, one)| !self.again.holds(one.ticket));
        let mut reports: Vec<Report> = lost
            .map(|(slot, _)| failed(*slot, RDKafkaErrorCode::PurgeInflight, Persisted::Possibly))
            .collect();
        self.settle(&mut reports);
    }

    pub(super) fn fail_held(&mut self, code: RDKafkaErrorCode) {
        let held = self.again.let_go();
        let mut reports: Vec<Report> = held.map(|slot| failed(slot, code, Persisted::No)).collect();
        self.settle(&mut reports);
    }

    /// Gives reported messages their outcome.
    pub(super) fn settle(&mut self, reports: &mut Vec<Report>) {
        if reports.is_empty() {
            return;
        }
        self.again.progress = Progress::Some;
        let Self { again, topics, unsent, on_fatal, refused, keeper, .. } = self;
        // What is given up with this producer is not given up by its outbox.
        let kept = keeper.is_some() && (unsent.is_some() || *on_fatal == OnFatal::GaveUp);
        let outcome = |entry: Entry, report: &Report| {
            let (ticket, id) = (entry.ticket, entry.id);
            let absence = again.absence(&entry.topic, report);
            let mut outcome = outcome(entry, report, absence, refused.as_ref());
            if let Err(error) = &mut outcome {
                if kept {
                    error.whereabouts = Whereabouts::Kept;
                }
                if is_unknown(error.code) {
                    topics.forget(&error.topic);
                }
                // librdkafka refuses such a topic itself, as long as its client lasts.
                if *on_fatal == OnFatal::Remake
                    && error.code == RDKafkaErrorCode::TopicAuthorizationFailed
                {
                    topics.deny(&error.topic);
                }
                if let Some(unsent) = unsent {
                    let topic = Arc::clone(&error.topic);
                    let may_have_been_written = error.may_have_been_written;
                    unsent.push(Unsent { ticket, id, topic, may_have_been_written });
                }
            }
            outcome
        };
        match keeper {
            None => self.books.settle(reports, outcome, self.on_delivery.get()),
            Some((keeper, _)) => {
                let settled = RefCell::new(Vec::with_capacity(reports.len()));
                let note = |report: &DeliveryReport| settled.borrow_mut().push(report.clone());
                self.books.settle(reports, outcome, Some(&note));
                keeper.settle(&settled.into_inner(), &self.on_delivery);
            }
        }
        reports.clear();
    }

    fn client_broke(&mut self, code: RDKafkaErrorCode, reason: String) {
        match self.on_fatal {
            OnFatal::Remake if !is_beyond_help(code) => self.again.broken = Some(reason),
            OnFatal::Remake | OnFatal::GiveUp
                if code == RDKafkaErrorCode::ClusterAuthorizationFailed =>
            {
                let doing = format!("send{}", self.access.as_user());
                self.refuse(ClientError::from_code(doing, code, reason));
            }
            OnFatal::Remake | OnFatal::GiveUp => {
                tracing::error!(reason, "the producer can't go on");
                self.on_fatal = OnFatal::GaveUp;
                self.give_up(NotAccepting::Fatal(reason.clone()));
                self.on_event.tell(|| ProducerEvent::Fatal { reason });
            }
            OnFatal::GaveUp => {}
        }
    }

    /// Accepts nothing any more. What is held fails, or stays in the outbox.
    pub(super) fn give_up(&mut self, refusal: NotAccepting) {
        if let Some((keeper, _)) = &self.keeper {
            keeper.refuse(refusal.clone());
        }
        self.books.refuse(refusal);
        self.fail_held(RDKafkaErrorCode::Fatal);
        if let Some((keeper, _)) = &self.keeper {
            keeper.keep_the_rest();
        }
    }

    fn trouble(&mut self, code: RDKafkaErrorCode, reason: String) {
        if let Some(denial) = self.access.hear(code, &reason, Instant::now()) {
            tracing::warn!(%denial, "not let in; trying again");
            self.silence.suspect(denial.to_string());
        } else if code == RDKafkaErrorCode::AllBrokersDown {
            self.silence.suspect(reason);
        } else {
            tracing::warn!(?code, reason, "librdkafka reports a problem and goes on");
        }
    }
}

/// A report of our own making.
pub(super) fn failed(slot: SlotId, code: RDKafkaErrorCode, persisted: Persisted) -> Report {
    Report {
        opaque: slot.0,
        partition: PartitionId(-1),
        offset: None,
        timestamp_ms: None,
        error: Some(code),
        persisted,
    }
}

/// Whether a topic that is not there was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    Vanished,
    Unknown,
}

fn outcome(
    entry: Entry,
    report: &Report,
    absence: Absence,
    refused: Option<&ClientError>,
) -> Outcome {
    let topic = entry.topic;
    match report.error {
        None => Ok(Receipt {
            topic,
            partition: report.partition,
            offset: report.offset,
            timestamp: report.timestamp_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        }),
        Some(code) => {
            let (code, reason) =
                explained(refused, code).unwrap_or_else(|| (code, reason(code, absence)));
            let may_have_been_written = report.persisted.max(entry.before) != Persisted::No;
            let whereabouts = Whereabouts::Nowhere;
            Err(DeliveryError { topic, code, reason, may_have_been_written, whereabouts })
        }
    }
}

fn reason(code: RDKafkaErrorCode, absence: Absence) -> String {
    match code {
        RDKafkaErrorCode::PurgeQueue => "the producer closed before it was sent".to_owned(),
        RDKafkaErrorCode::PurgeInflight => "the producer closed before an answer came".to_owned(),
        RDKafkaErrorCode::MessageTimedOut => "its delivery deadline passed".to_owned(),
        code if is_unknown(code) && absence == Absence::Vanished => {
            format!("the topic vanished from the cluster and did not come back in time ({code:?})")
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            format!("not authorised ({code:?}); {}", needed(code))
        }
        _ => format!("{code} ({code:?})"),
    }
}
