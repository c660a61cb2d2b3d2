//! A trace goes from whoever sends a message to the span in which it is handled.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::{
    Context, Failure, Headers, Message, MessageProducer, OutgoingRecord, Received,
    SingleMessageConsumer, TextDecoder, TraceContext,
};
use kurier_broker::EmbeddedCluster;
use tokio_util::sync::CancellationToken;

const OF_THE_SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const GIVEN: &str = "00-11111111111111111111111111111111-2222222222222222-00";

/// Keeps what is logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a message was handled with: its value, its context and its headers of that name.
type Seen = (String, Option<TraceContext>, Vec<String>);

fn record(value: &'static str, traceparent: Option<&'static str>) -> OutgoingRecord {
    let mut headers = Headers::new();
    if let Some(value) = traceparent {
        headers.push("traceparent", Some(value.into()));
        headers.push("tracestate", Some("vendor=1".into()));
    }
    OutgoingRecord { value: Some(value.into()), headers, ..OutgoingRecord::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_from_the_sender_to_the_span_of_the_handler() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    subscriber.init();
    let cluster = EmbeddedCluster::builder().nodes(1).topic("t", 1).start().await.unwrap();
    let context: TraceContext = OF_THE_SENDER.parse().unwrap();

    let plain = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    let traced = MessageProducer::builder(cluster.bootstrap());
    let traced = traced.trace_context(move || Some(context)).build().await.unwrap();
    let sent = [
        (&plain, record("without", None)),
        (&traced, record("traced", None)),
        (&traced, record("given", Some(GIVEN))),
        (&traced, record("malformed", Some("nonsense"))),
    ];
    for (producer, record) in &sent {
        producer.send_record("t", record).await.unwrap().await.unwrap();
    }
    let message = Message::new("a message").unwrap();
    traced.send("t", &message).await.unwrap().await.unwrap();

    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let handler = move |received: Arc<Received<String>>, _: Context| {
        let seen = Arc::clone(&noted);
        async move {
            let value = received.value().cloned().unwrap_or_default();
            tokio::task::yield_now().await;
            tracing::info!("handles {value}");
            let headers = received.headers().all("traceparent").map(|header| {
                String::from_utf8_lossy(header.value.as_deref().unwrap_or_default()).into_owned()
            });
            let headers = headers.collect();
            seen.lock().unwrap().push((value, received.trace_context(), headers));
            Ok::<_, Failure>(())
        }
    };
    let consumer = SingleMessageConsumer::builder(cluster.bootstrap(), "t").decoder(TextDecoder);
    let run = consumer.exit_at_end(true).run(handler, CancellationToken::new());
    let report = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    assert_eq!((report.handled, report.stopped.as_slice()), (5, &[][..]));

    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let headers: Vec<&[String]> = seen.iter().map(|(_, _, headers)| headers.as_slice()).collect();
    let none: &[String] = &[];
    let one = |value: &str| [value.to_owned()];
    let (sender, given, nonsense) = (one(OF_THE_SENDER), one(GIVEN), one("nonsense"));
    assert_eq!(headers, [none, &sender, &given, &nonsense, &sender]);
    let contexts: Vec<Option<TraceContext>> = seen.iter().map(|(_, context, _)| *context).collect();
    let given: TraceContext = GIVEN.parse().unwrap();
    assert_eq!(contexts, [None, Some(context), Some(given), None, Some(context)]);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let span_of = |value: &str| {
        let line = log.lines().find(|line| line.contains(&format!("handles {value}")));
        line.unwrap_or_else(|| panic!("{value}: {log}")).to_owned()
    };
    let of_sender =
        "trace_id=0af7651916cd43dd8448eb211c80319c parent_id=b7ad6b7169203331 trace_flags=1";
    let of_given =
        "trace_id=11111111111111111111111111111111 parent_id=2222222222222222 trace_flags=0";
    let span = |offset: u8, trace: &str| {
        format!("handle{{topic=\"t\" partition=0 offset={offset} attempt=1 {trace}}}")
    };
    assert!(span_of("traced").contains(&span(1, of_sender)), "{}", span_of("traced"));
    assert!(span_of("given").contains(&span(2, of_given)), "{}", span_of("given"));
    for value in ["without", "malformed"] {
        assert!(!span_of(value).contains("handle{"), "{}", span_of(value));
    }
    cluster.close().await;
}
