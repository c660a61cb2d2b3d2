//! A client over time: what its figures say now, how fast they grow, and what it has come to over its
//! restarts. *Pure.*

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::buckets::Minute;
use super::counter::{Rate, Total};
use super::figures::{ConsumerFigures, OTHER_REASONS, OutboxFigures, ProducerFigures};
use crate::view::{ConsumerPipeline, OutboxState, Percentiles, ProducerPipeline};

/// What happened to clients, in numbers of messages since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) delivered: f64,
    pub(super) failed: f64,
    pub(super) handled: f64,
    pub(super) retried: f64,
    pub(super) dead_lettered: f64,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, more: Self) {
        self.delivered += more.delivered;
        self.failed += more.failed;
        self.handled += more.handled;
        self.retried += more.retried;
        self.dead_lettered += more.dead_lettered;
    }
}

/// What of a look is worth an event: messages since the look before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Trouble {
    /// Given up by a producer.
    pub(super) failed: f64,
    /// Given up by a consumer.
    pub(super) dead_lettered: f64,
    /// At which a partition stopped.
    pub(super) stopped_at: f64,
}

/// A producer or a consumer.
pub(super) trait Track: Default {
    type Figures;
    type Pipeline;
    /// The client counts from 0 again.
    fn begin_anew(&mut self);
    /// Its figures as they are now.
    fn see(&mut self, now: Timestamp, figures: &Self::Figures) -> Trouble;
    fn sums(&self) -> Sums;
    /// As it is shown; what is of the moment only when it is there.
    fn show(&self, name: &str, there: bool) -> Self::Pipeline;
}

/// A producer.
#[derive(Debug, Default)]
pub(super) struct ProducerTrack {
    now: ProducerFigures,
    acked: Total,
    failed: BTreeMap<String, Total>,
    /// Of reasons that are not remembered.
    failed_otherwise: f64,
    retries: Total,
    remakes: Total,
    rate: Rate,
    ack_latency: Minute,
}

impl Track for ProducerTrack {
    type Figures = ProducerFigures;
    type Pipeline = ProducerPipeline;

    fn begin_anew(&mut self) {
        let counters = [&mut self.acked, &mut self.retries, &mut self.remakes];
        counters.into_iter().chain(self.failed.values_mut()).for_each(Total::begin_anew);
        self.ack_latency.begin_anew();
    }

    fn see(&mut self, now: Timestamp, figures: &ProducerFigures) -> Trouble {
        if self.is_another(figures) {
            self.begin_anew();
        }
        self.acked.see(figures.acked);
        self.retries.see(figures.request_retries);
        self.remakes.see(figures.remakes);
        self.rate.see(now, self.acked);
        self.ack_latency.see(now, figures.ack_latency.clone());
        let mut failed = 0.0;
        for (error, count) in &figures.failed {
            failed += self.failed.entry(error.clone()).or_default().see(*count);
        }
        self.forget_reasons(figures);
        self.now = figures.clone();
        Trouble { failed, ..Trouble::default() }
    }

    fn sums(&self) -> Sums {
        let failed: f64 = self.failed.values().map(|total| total.get()).sum();
        let failed = failed + self.failed_otherwise;
        Sums { delivered: self.acked.get(), failed, ..Sums::default() }
    }

    fn show(&self, name: &str, there: bool) -> ProducerPipeline {
        ProducerPipeline {
            client: name.to_owned(),
            ready: there && self.now.ready,
            in_flight: self.now.in_flight,
            acked_per_second: self.rate.per_second().filter(|_| there),
            acked: self.acked.get(),
            failed: self.reasons().collect(),
            ack_latency: of_the_moment(&self.ack_latency, there),
            retries: self.retries.get(),
            remakes: self.remakes.get(),
            outbox: self.now.outbox.as_ref().map(OutboxFigures::show),
            history: self.rate.history(),
        }
    }
}

/// Reasons of failures that are remembered beyond those on the page.
const REASONS_MAX: usize = 100;

impl ProducerTrack {
    /// Whether these are of a client that counts from 0 again: one of its counters is below what it was, and
    /// then all began anew. librdkafka's begin anew by themselves.
    fn is_another(&self, figures: &ProducerFigures) -> bool {
        let failed = |(error, total): (&String, &Total)| {
            figures.failed.get(error).is_some_and(|count| total.is_below(*count))
        };
        self.acked.is_below(figures.acked)
            || self.remakes.is_below(figures.remakes)
            || self.failed.iter().any(failed)
    }

    fn forget_reasons(&mut self, figures: &ProducerFigures) {
        if self.failed.len() <= REASONS_MAX {
            return;
        }
        let otherwise = &mut self.failed_otherwise;
        self.failed.retain(|error, total| {
            let stays = figures.failed.contains_key(error);
            *otherwise += if stays { 0.0 } else { total.get() };
            stays
        });
    }

    fn reasons(&self) -> impl Iterator<Item = (String, f64)> {
        let otherwise = (0.0 < self.failed_otherwise)
            .then(|| (OTHER_REASONS.to_owned(), self.failed_otherwise));
        let known = self.failed.iter().map(|(error, total)| (error.clone(), total.get()));
        known.chain(otherwise)
    }
}

impl OutboxFigures {
    fn show(&self) -> OutboxState {
        OutboxState {
            waiting: self.undelivered,
            bytes: self.bytes,
            limit_bytes: self.limit,
            oldest_seconds: (0.0 < self.undelivered).then_some(self.oldest_seconds),
            put_aside: self.put_aside,
        }
    }
}

/// A consumer.
#[derive(Debug, Default)]
pub(super) struct ConsumerTrack {
    now: ConsumerFigures,
    handled: Total,
    retries: Total,
    failures: Total,
    redelivered: Total,
    dead_lettered: Total,
    stopped_at: Total,
    rate: Rate,
    handler_latency: Minute,
    end_to_end_latency: Minute,
}

impl Track for ConsumerTrack {
    type Figures = ConsumerFigures;
    type Pipeline = ConsumerPipeline;

    fn begin_anew(&mut self) {
        for counter in [
            &mut self.handled,
            &mut self.retries,
            &mut self.failures,
            &mut self.redelivered,
            &mut self.dead_lettered,
            &mut self.stopped_at,
        ] {
            counter.begin_anew();
        }
        self.handler_latency.begin_anew();
        self.end_to_end_latency.begin_anew();
    }

    fn see(&mut self, now: Timestamp, figures: &ConsumerFigures) -> Trouble {
        if self.is_another(figures) {
            self.begin_anew();
        }
        self.handled.see(figures.handled);
        self.retries.see(figures.retries);
        self.failures.see(figures.failures);
        self.redelivered.see(figures.redelivered);
        self.rate.see(now, self.handled);
        self.handler_latency.see(now, figures.handler_latency.clone());
        self.end_to_end_latency.see(now, figures.end_to_end_latency.clone());
        self.now = figures.clone();
        Trouble {
            failed: 0.0,
            dead_lettered: self.dead_lettered.see(figures.dead_lettered),
            stopped_at: self.stopped_at.see(figures.stopped_at),
        }
    }

    fn sums(&self) -> Sums {
        Sums {
            handled: self.handled.get(),
            retried: self.retries.get(),
            dead_lettered: self.dead_lettered.get(),
            ..Sums::default()
        }
    }

    fn show(&self, name: &str, there: bool) -> ConsumerPipeline {
        ConsumerPipeline {
            client: name.to_owned(),
            ready: there && self.now.ready,
            handled_per_second: self.rate.per_second().filter(|_| there),
            handled: self.handled.get(),
            in_flight: self.now.in_flight,
            retries: self.retries.get(),
            failures: self.failures.get(),
            redelivered: self.redelivered.get(),
            dead_lettered: self.dead_lettered.get(),
            partitions: self.now.partitions,
            stopped: self.now.stopped,
            lag: self.now.lag,
            handler_latency: of_the_moment(&self.handler_latency, there),
            end_to_end_latency: of_the_moment(&self.end_to_end_latency, there),
            history: self.rate.history(),
        }
    }
}

impl ConsumerTrack {
    /// As of a producer.
    fn is_another(&self, figures: &ConsumerFigures) -> bool {
        [
            (self.handled, figures.handled),
            (self.retries, figures.retries),
            (self.failures, figures.failures),
            (self.redelivered, figures.redelivered),
            (self.dead_lettered, figures.dead_lettered),
            (self.stopped_at, figures.stopped_at),
        ]
        .iter()
        .any(|(total, value)| total.is_below(*value))
    }

    /// The topic of its dead letters.
    pub(super) fn letters_in(&self) -> Option<&str> {
        self.now.letters_in.as_deref()
    }
}

fn of_the_moment(minute: &Minute, there: bool) -> Percentiles {
    if there { minute.percentiles() } else { Minute::default().percentiles() }
}

/// How many clients that their process has forgotten are remembered.
const ABSENT_MAX: usize = 100;

/// The clients of one kind in a process.
#[derive(Debug)]
pub(super) struct Tracks<T> {
    known: BTreeMap<String, Tracked<T>>,
    /// Of those that are not remembered any more.
    forgotten: Sums,
    /// Whether there was a page before.
    begun: bool,
}

#[derive(Debug, Default)]
struct Tracked<T> {
    track: T,
    /// Whether the last page had it.
    there: bool,
}

impl<T> Default for Tracks<T> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), forgotten: Sums::default(), begun: false }
    }
}

impl<T: Track> Tracks<T> {
    /// A page of the process. Returns what is worth telling, by client. The first page has nothing to tell:
    /// when that happened nobody knows.
    pub(super) fn see(
        &mut self,
        now: Timestamp,
        figures: &BTreeMap<String, T::Figures>,
    ) -> Vec<(String, Trouble)> {
        self.miss(figures);
        let mut troubles = Vec::new();
        for (name, figures) in figures {
            let known = self.known.entry(name.clone()).or_default();
            let trouble = known.track.see(now, figures);
            known.there = true;
            if self.begun && trouble != Trouble::default() {
                troubles.push((name.clone(), trouble));
            }
        }
        self.begun = true;
        troubles
    }

    /// Those that are not on the page: their process has forgotten them, and one of their names that comes
    /// is another one.
    fn miss(&mut self, figures: &BTreeMap<String, T::Figures>) {
        let mut absent = 0;
        let forgotten = &mut self.forgotten;
        self.known.retain(|name, known| {
            if figures.contains_key(name) {
                return true;
            }
            if known.there {
                known.track.begin_anew();
                known.there = false;
            }
            absent += 1;
            let kept = absent <= ABSENT_MAX;
            if !kept {
                *forgotten += known.track.sums();
            }
            kept
        });
    }

    /// Of all that were ever there.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = self.forgotten;
        self.known.values().for_each(|known| sums += known.track.sums());
        sums
    }

    /// All that are remembered.
    pub(super) fn tracks(&self) -> impl Iterator<Item = &T> {
        self.known.values().map(|known| &known.track)
    }

    /// Those of the last page.
    pub(super) fn show(&self, process_there: bool) -> Vec<T::Pipeline> {
        let shown = self.known.iter().filter(|(_, known)| known.there);
        shown.map(|(name, known)| known.track.show(name, process_there)).collect()
    }
}
