//! A consumer that is measured: each kind with each form of messages, one counting handler for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kurier::{
    Batch, BatchMessageConsumer, Batches, ClientConfig, Concurrency, ConsumeError, ConsumeReport,
    ConsumerBuilder, ConsumerEvent, Context, Decoder, Failure, MessageDecoder, RawDecoder,
    Received, Single, SingleMessageConsumer,
};
use tokio_util::sync::CancellationToken;

/// What is told of each message that is handled.
pub(super) trait Tell: Send + Sync + 'static {
    /// One is handled: its value as it stands in the record, and as text where it is a message.
    fn handled(&self, value: &[u8], content: Option<&str>);
}

/// A consumer in the making.
#[derive(Debug, Clone)]
pub(super) struct Handling {
    pub(super) topic: String,
    pub(super) group: String,
    /// Whether values are kurier's messages.
    pub(super) typed: bool,
    /// So many in a batch, and how long one waits to be full; none for one by one.
    pub(super) batch: Option<(usize, Duration)>,
    /// What is handled at the same time, one by one.
    pub(super) concurrency: Concurrency,
    /// How long a handler's call takes.
    pub(super) work: Duration,
    /// Whether it ends with what is there.
    pub(super) to_the_end: bool,
}

/// A value that is handled.
trait Text: Send + Sync + 'static {
    fn text(&self) -> Option<&str>;
}

impl Text for bytes::Bytes {
    fn text(&self) -> Option<&str> {
        None
    }
}

impl Text for kurier::Message<String> {
    fn text(&self) -> Option<&str> {
        Some(self.content())
    }
}

impl Handling {
    /// Consumes until its end, or `stop`.
    ///
    /// # Errors
    /// The library's.
    pub(super) async fn run(
        self,
        client: &ClientConfig,
        tell: Arc<impl Tell>,
        on_event: impl Fn(&ConsumerEvent) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Result<ConsumeReport, ConsumeError> {
        if self.typed {
            self.with(MessageDecoder::<String>::default(), client, tell, on_event, stop).await
        } else {
            self.with(RawDecoder, client, tell, on_event, stop).await
        }
    }

    async fn with<D: Decoder<Item: Text>>(
        self,
        decoder: D,
        client: &ClientConfig,
        tell: Arc<impl Tell>,
        on_event: impl Fn(&ConsumerEvent) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Result<ConsumeReport, ConsumeError> {
        let Self { topic, group, batch, concurrency, work, to_the_end, .. } = self;
        if let Some((count, wait)) = batch {
            let builder = BatchMessageConsumer::builder(client.bootstrap.as_str(), topic);
            let mut builder: ConsumerBuilder<Batches, D> = builder.decoder(decoder);
            builder.config_mut().client = client.clone();
            let builder = builder.group(group).exit_at_end(to_the_end).on_event(on_event);
            let handler = move |batch: Arc<Batch<D::Item>>, _: Context| {
                let tell = Arc::clone(&tell);
                async move {
                    rest(work).await;
                    batch.items().iter().for_each(|received| told(&*tell, received));
                    Ok::<_, Failure>(batch.all_done())
                }
            };
            return builder.batch(count, wait).run(handler, stop).await;
        }
        let builder = SingleMessageConsumer::builder(client.bootstrap.as_str(), topic);
        let mut builder: ConsumerBuilder<Single, D> = builder.decoder(decoder);
        builder.config_mut().client = client.clone();
        let builder = builder.group(group).exit_at_end(to_the_end).on_event(on_event);
        let handler = move |received: Arc<Received<D::Item>>, _: Context| {
            let tell = Arc::clone(&tell);
            async move {
                rest(work).await;
                told(&*tell, &received);
                Ok::<(), Failure>(())
            }
        };
        builder.concurrency(concurrency).run(handler, stop).await
    }
}

async fn rest(work: Duration) {
    if !work.is_zero() {
        tokio::time::sleep(work).await;
    }
}

fn told<M: Text>(tell: &impl Tell, received: &Received<M>) {
    let value = received.record().value().map_or(&b""[..], |value| value);
    tell.handled(value, received.value().and_then(Text::text));
}

/// Counts what is handled. Partitions are handled at the same time, so there is no lock.
#[derive(Debug)]
pub(super) struct Count {
    begun: Instant,
    messages: AtomicU64,
    bytes: AtomicU64,
    /// Messages there are to be handled, as far as offsets tell.
    expected: u64,
    /// Nanoseconds from the beginning to the first one, and to the last; 0 before.
    first: AtomicU64,
    last: AtomicU64,
}

/// Messages between two looks at the clock, but for the first and the last one.
const LOOK_EVERY: u64 = 64;

impl Count {
    /// Begins now.
    pub(super) fn new(expected: u64) -> Self {
        let [messages, bytes, first, last] = [const { AtomicU64::new(0) }; 4];
        Self { begun: Instant::now(), messages, bytes, expected, first, last }
    }

    /// Messages and bytes until now.
    pub(super) fn counted(&self) -> (u64, u64) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// How long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When the first and the last message were handled; both zero when there was none.
    pub(super) fn ends(&self) -> (Duration, Duration) {
        let at = |moment: &AtomicU64| Duration::from_nanos(moment.load(Ordering::Relaxed));
        (at(&self.first), at(&self.last))
    }
}

impl Tell for Count {
    fn handled(&self, value: &[u8], _: Option<&str>) {
        let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        self.bytes.fetch_add(value.len() as u64, Ordering::Relaxed);
        if number == 1 || self.expected <= number || number.is_multiple_of(LOOK_EVERY) {
            let now = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if number == 1 {
                self.first.store(now, Ordering::Relaxed);
            }
            self.last.fetch_max(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_of_those_expected_are_timed() {
        let count = Count::new(3);
        assert_eq!(count.ends(), (Duration::ZERO, Duration::ZERO));
        count.handled(b"ab", None);
        let (first, last) = count.ends();
        assert!(Duration::ZERO < first && first == last);
        count.handled(b"c", None);
        assert_eq!(count.ends(), (first, last), "not looked at");
        count.handled(b"", None);
        assert!(last < count.ends().1);
        assert_eq!(count.counted(), (3, 3));
    }
}
