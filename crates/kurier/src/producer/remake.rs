//! Another client for one that can't go on: what is undelivered goes out again, in the order of
//! acceptance, and nothing overtakes it.
//!
//! The books are shut meanwhile, so nothing new is accepted. librdkafka owns the only copy of a message
//! until it reports the failure; from then until it goes out again the copy is here. Messages keep
//! their room in the budget throughout.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{Producer, PurgeConfig};

use super::books::{Entry, Route, SlotId};
use super::client::Line;
use super::delivery::Ticket;
use super::event::ProducerEvent;
use super::pauses::{Pauses, Progress};
use super::record::{NotTaken, Parts};
use super::replay::{Company, Fate, Held, fate, rerouted};
use super::worker::{Absence, OnFatal, PROBE, PURGE_WAIT, ROUND, Worker, failed};
use crate::sys::{self, Kept, Persisted, Report, Reports};

/// What is known of clients that broke.
#[derive(Debug)]
pub(super) struct Again {
    /// Why the client can't go on, until that is dealt with.
    pub(super) broken: Option<String>,
    /// Whether anything got its outcome since the client was made.
    pub(super) progress: Progress,
    held: BTreeMap<Ticket, Held>,
    /// Topics that were there and vanished, until something is delivered to them; with the client that
    /// saw it first. What fails again with a later client has waited long enough.
    vanished: HashMap<Arc<str>, usize>,
    /// How many clients there were before this one.
    client: usize,
    pauses: Pauses,
}

/// Longest wait for the answers to what the old client has sent: what is not answered by then is sent
/// again, and may be written twice.
const ANSWERS: Duration = Duration::from_secs(5);
/// Between two looks at what an old client has left.
const LOOK: Duration = Duration::from_millis(10);
/// After so many messages handed over, reports are looked at.
const STRIDE: usize = 1_000;

impl Again {
    pub(super) fn new() -> Self {
        Self {
            broken: None,
            progress: Progress::None,
            held: BTreeMap::new(),
            vanished: HashMap::new(),
            client: 0,
            pauses: Pauses::default(),
        }
    }

    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.held.contains_key(&ticket)
    }

    /// Forgets what is held; those who wait for it must hear of it.
    pub(super) fn let_go(&mut self) -> impl Iterator<Item = SlotId> + use<> {
        std::mem::take(&mut self.held).into_values().map(|held| held.slot)
    }

    /// Whether `topic` was there once. A delivery shows that it is there now.
    pub(super) fn absence(&mut self, topic: &Arc<str>, report: &Report) -> Absence {
        if self.vanished.is_empty() {
            return Absence::Unknown;
        }
        if report.error.is_none() {
            self.vanished.remove(topic);
        }
        if self.vanished.contains_key(topic) { Absence::Vanished } else { Absence::Unknown }
    }
}

impl Worker {
    /// Keeps a failed message for the next client; gives its report back if it has failed for good.
    pub(super) fn hold(&mut self, kept: Kept) -> Option<Report> {
        let Kept { report, blame, record, age } = kept;
        let slot = SlotId(report.opaque);
        let (Some(code), Some(entry)) = (report.error, self.books.entry(slot)) else {
            return Some(report);
        };
        if self.on_fatal != OnFatal::Remake {
            return Some(report);
        }
        let fate = fate(code, blame, self.deadline);
        if fate == Fate::Final || (fate == Fate::Away && !self.waits_for_topic(&entry, &report)) {
            return Some(report);
        }
        let topic = &entry.topic;
        self.again.broken.get_or_insert_with(|| match fate {
            Fate::Away => format!("{topic} vanished from the cluster ({code:?})"),
            _ => format!("a message for {topic} failed ({code:?})"),
        });
        self.books.attempted(slot, report.persisted);
        let held = Held {
            slot,
            topic: entry.topic,
            record: rerouted(record, entry.route, fate),
            since: Instant::now().checked_sub(age).unwrap_or_else(Instant::now),
            company: if fate == Fate::Alone { Company::None } else { Company::Any },
        };
        self.again.held.insert(entry.ticket, held);
        None
    }

    /// Whether the topic or partition that is not there was there, and has not been waited for yet.
    fn waits_for_topic(&mut self, entry: &Entry, report: &Report) -> bool {
        let Again { vanished, client, .. } = &mut self.again;
        if let Some(first) = vanished.get(&entry.topic) {
            return first == client;
        }
        let partition = Some(report.partition).filter(|partition| 0 <= partition.0);
        let had = match entry.route {
            // librdkafka can only have chosen from what was there.
            Route::Chosen => partition.is_some() || self.topics.had(&entry.topic, None),
            Route::Given => self.topics.had(&entry.topic, partition),
        };
        if had {
            vanished.insert(Arc::clone(&entry.topic), *client);
            self.topics.doubt(&entry.topic);
            if let Some((keeper, _)) = &self.keeper {
                keeper.vanished(&entry.topic);
            }
        }
        had
    }

    /// Looks whether a message on its way out of the outbox found its topic missing: it waits for another
    /// client, as do those of its topic that this one had taken.
    pub(super) fn look_for_missed_topics(&mut self) {
        let Some((keeper, _)) = &self.keeper else { return };
        if self.on_fatal != OnFatal::Remake {
            return;
        }
        for topic in keeper.missed() {
            let reason = || format!("{topic} vanished from the cluster");
            self.again.broken.get_or_insert_with(reason);
            self.topics.doubt(&topic);
            self.again.vanished.entry(topic).or_insert(self.again.client);
        }
    }

    /// Makes another client, gives it everything undelivered, and only then accepts again. Begins anew
    /// when that one breaks too; returns when stopped, and what is held is left to the end.
    pub(super) fn remake(&mut self, reason: String) {
        self.books.shut();
        let mut broken = Some(reason);
        while let Some(reason) = broken {
            tracing::warn!(reason, "the client can't go on; another is made");
            self.on_event.tell(|| ProducerEvent::Remaking { reason });
            self.drain();
            self.pause();
            if self.over() {
                return;
            }
            broken = self.change().err();
            if broken.is_none() {
                let replayed = self.replay();
                if self.over() {
                    return;
                }
                broken = self.again.broken.take();
                if broken.is_none() {
                    self.books.open();
                    tracing::info!(replayed, "everything undelivered is sent again");
                    self.on_event.tell(|| ProducerEvent::Remade { replayed });
                    self.hurry();
                }
            }
        }
    }

    fn over(&self) -> bool {
        self.stopped() || self.on_fatal != OnFatal::Remake
    }

    /// Waits until the client has reported everything. What it has not sent is purged; what it has gets
    /// some time to be answered.
    fn drain(&mut self) {
        let mut reports = Reports::default();
        let begun = Instant::now();
        let mut purge = PurgeConfig::default().queue().non_blocking();
        let mut purged = None::<Instant>;
        while self.again.held.len() < self.books.under_way() && !self.over() {
            let waited = begun.elapsed();
            // An outbox gives nothing up: it waits on, for a thread of librdkafka's that looks up a name, say.
            if ANSWERS + PURGE_WAIT <= waited && self.keeper.is_none() {
                return self.fail_unreported();
            }
            if ANSWERS <= waited {
                purge = purge.inflight();
            }
            // Again and again: requests that are not answered well come back to the queue.
            if purged.is_none_or(|purged| LOOK <= purged.elapsed()) {
                self.line.client.purge(purge);
                purged = Some(Instant::now());
            }
            self.serve(LOOK, &mut reports);
        }
    }

    fn pause(&mut self) {
        let progress = std::mem::replace(&mut self.again.progress, Progress::None);
        let now = Instant::now();
        let until = now + self.again.pauses.before_next(now, progress);
        let mut reports = Reports::default();
        while !self.over()
            && let Some(left) = until.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            self.serve(left.min(ROUND), &mut reports);
        }
    }

    /// Puts a new client in the place of the old one.
    fn change(&mut self) -> Result<(), String> {
        let client = Arc::new(self.maker.make().map_err(|error| error.to_string())?);
        // The next client begins without knowing it, and a denial of one never let in is final.
        if sys::was_reached(self.line.client.client()) {
            self.access.let_in();
        }
        self.look_for_missed_topics();
        self.again.client += 1;
        // What the old one said does not matter any more.
        self.again.broken = None;
        self.books.exchange(&client);
        let old = std::mem::replace(&mut self.line, Line::new(client));
        self.reaper.take(old);
        Ok(())
    }

    /// Spares a new client the wait for a timer of 500 ms, as the first question for a topic does.
    fn hurry(&self) {
        let ask = || sys::metadata(self.line.client.client(), &sys::Topics::None, PROBE);
        // Only the asking counts; a cluster that is away shows itself by what is sent.
        let _ = ask().and_then(|_| ask());
    }

    /// Hands over everything that is held, in order, until the client breaks. How many it was.
    fn replay(&mut self) -> usize {
        let mut reports = Reports::default();
        let mut replayed = 0;
        while self.again.broken.is_none()
            && !self.over()
            && let Some(next) = self.again.held.first_entry()
        {
            // One that is to be alone waits for those before it, and those behind it for it.
            let alone = next.get().company == Company::None;
            if alone && !self.all_reported() {
                break;
            }
            let Some((ticket, held)) = self.again.held.pop_first() else { break };
            match self.send_again(&held) {
                Ok(()) => replayed += 1,
                Err(NotTaken::Fatal(reason)) => {
                    self.again.held.insert(ticket, held);
                    self.again.broken = Some(reason);
                }
                // The budget is smaller than the queue: only reports that are not read yet fill it.
                Err(NotTaken::Code(RDKafkaErrorCode::QueueFull)) => {
                    self.again.held.insert(ticket, held);
                    self.serve(ROUND, &mut reports);
                }
                Err(NotTaken::Code(code)) => {
                    self.settle(&mut vec![failed(held.slot, code, Persisted::No)]);
                }
            }
            if alone {
                self.all_reported();
            } else if replayed % STRIDE == 0 {
                self.serve(Duration::ZERO, &mut reports);
            }
        }
        replayed
    }

    fn send_again(&self, held: &Held) -> Result<(), NotTaken> {
        if self.deadline.is_some_and(|deadline| deadline <= held.since.elapsed()) {
            return Err(NotTaken::Code(RDKafkaErrorCode::MessageTimedOut));
        }
        Parts::of_record(&held.topic, &held.record).hand_over(&self.line.client, held.slot)
    }

    /// Waits until what was handed over has its outcome: what comes next shares no batch with it. False
    /// when the client breaks first.
    fn all_reported(&mut self) -> bool {
        let mut reports = Reports::default();
        while self.again.broken.is_none() && !self.over() {
            if self.books.under_way() <= self.again.held.len() {
                return true;
            }
            self.serve(ROUND, &mut reports);
            self.watch();
        }
        false
    }
}
