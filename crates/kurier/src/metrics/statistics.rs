//! What librdkafka says of itself now and then, and what of it is shown.
//!
//! Its meaning is told by librdkafka's STATISTICS.md. Figures of brokers that librdkafka knows by their
//! addresses only, and its own connection to the group's coordinator, are left out: they have no number,
//! and their work is in the figures of the brokers behind them. So the labels are bounded by the
//! cluster's brokers and the instance's partitions.
//!
//! `int_latency`, the time of messages in a producer's queues, is left out: librdkafka counts it back from
//! the end of the message's time (2.12.1, `rd_kafka_msgset_writer_write_msgset`), and messages without a
//! deadline have none, so it says hours (tried).

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::statistics::{Broker, Statistics as Told, Window};

use super::Page;
use super::table::{self, MetricSpec};
use crate::{Offset, TopicPartition};

/// The last statistics of one client.
#[derive(Default)]
pub(crate) struct Statistics {
    last: Mutex<Option<(Instant, Told)>>,
    unreadable: OnceLock<()>,
}

impl std::fmt::Debug for Statistics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Statistics")
    }
}

impl Statistics {
    /// Reads what librdkafka said. When that can't be read, it is logged once, and the last that could
    /// stays: librdkafka does not escape names, so a client with a quote in its name writes no JSON (tried).
    pub(crate) fn read(&self, json: &[u8]) {
        match serde_json::from_slice(json) {
            Ok(told) => {
                let new = Some((Instant::now(), told));
                // The last one is dropped outside of the lock.
                let last = std::mem::replace(&mut *self.lock(), new);
                drop(last);
            }
            Err(error) => *self.unreadable.get_or_init(|| {
                tracing::warn!(%error, "librdkafka's statistics can't be read");
            }),
        }
    }

    /// From `position`, or else from what the group has committed, to the partition's end; for readers of
    /// committed transactions only, that is its last stable offset.
    pub(super) fn lag(&self, partition: &TopicPartition, position: Option<Offset>) -> Option<i64> {
        let told = self.lock();
        let (_, told) = told.as_ref()?;
        let known = told.topics.get(&*partition.topic)?.partitions.get(&partition.partition.0)?;
        let end = if 0 <= known.ls_offset { known.ls_offset } else { known.hi_offset };
        let committed = (0 <= known.committed_offset).then_some(known.committed_offset);
        let from = position.map(|position| position.0).or(committed)?;
        (0 <= end).then(|| (end - from).max(0))
    }

    pub(super) fn write(&self, client: &str, role: &str, page: &mut Page) {
        let told = self.lock();
        let Some((when, told)) = &*told else { return };
        page.put_seconds(&table::STATISTICS_AGE, [client, role], when.elapsed());
        if role == "producer" {
            page.put(&table::QUEUE_RECORDS, [client, role], told.msg_cnt);
            page.put(&table::QUEUE_BYTES, [client, role], told.msg_size);
        }
        let mut brokers: Vec<&Broker> =
            told.brokers.values().filter(|broker| 0 <= broker.nodeid).collect();
        brokers.sort_by_key(|broker| broker.nodeid);
        for broker in brokers {
            write_broker(broker, client, role, page);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Told)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_broker(broker: &Broker, client: &str, role: &str, page: &mut Page) {
    let node = broker.nodeid.to_string();
    let labels = [client, role, &node];
    page.put(&table::BROKER_UP, labels, u8::from(broker.state == "UP"));
    page.put(&table::BROKER_QUEUED, labels, broker.outbuf_cnt);
    page.put(&table::BROKER_WAITING, labels, broker.waitresp_cnt);
    page.put(&table::BROKER_REQUESTS, labels, broker.tx);
    page.put(&table::BROKER_RETRIES, labels, broker.txretries);
    page.put(&table::BROKER_TIMEOUTS, labels, broker.req_timeouts);
    page.put(&table::BROKER_ERRORS, labels, broker.txerrs + broker.rxerrs);
    page.put(&table::BROKER_SENT, labels, broker.txbytes);
    page.put(&table::BROKER_RECEIVED, labels, broker.rxbytes);
    page.put(&table::BROKER_CONNECTS, labels, broker.connects.unwrap_or(0));
    page.put(&table::BROKER_DISCONNECTS, labels, broker.disconnects.unwrap_or(0));
    let micros: fn(i64) -> Duration = |value| Duration::from_micros(value.max(0).unsigned_abs());
    let millis: fn(i64) -> Duration = |value| Duration::from_millis(value.max(0).unsigned_abs());
    let mut window = |metric: &MetricSpec, window: Option<&Window>, unit: fn(i64) -> Duration| {
        let Some(window) = window else { return };
        let stats =
            [("avg", window.avg), ("p50", window.p50), ("p99", window.p99), ("max", window.max)];
        for (stat, value) in stats {
            page.put_seconds(metric, [client, role, &node, stat], unit(value));
        }
    };
    // Without a request in the interval there is nothing to say; 0 would be a lie.
    let some = |window: &&Window| 0 < window.cnt;
    window(&table::BROKER_RTT, broker.rtt.as_ref().filter(some), micros);
    window(&table::BROKER_REQUEST_LATENCY, broker.outbuf_latency.as_ref().filter(some), micros);
    window(&table::BROKER_THROTTLE, broker.throttle.as_ref(), millis);
}
