//! The scenarios that every delivery guarantee rests on, on the cluster that `KURIER_TEST_CLUSTER`
//! names. Each fault stands beside a control, which does the same to a careless client and must lose.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stderr, reason = "the figures of a run are for the person who runs it")]

mod bad_records;
mod bounds;
mod careless;
mod closing;
mod commits;
mod coordinator;
mod corrupt;
mod dashboard;
mod dispatch;
mod doctor;
mod failures;
mod gaps;
mod group;
mod growth;
mod health;
mod keys;
mod late;
mod leader;
mod letters;
mod matrix;
mod network;
mod operators;
mod order;
mod outage;
mod outbox;
mod patience;
mod poison;
mod pressure;
mod rebalances;
mod redrive;
mod refused;
mod remade;
mod roles;
mod rolling;
mod round_trip;
mod secured;
mod shell;
mod signals;
mod turned_away;
mod waiting;
mod webhook;

use std::io::Write as _;
use std::sync::Arc;

use kurier::{
    Closed, ConsumeReport, Context, Failure, Message, MessageDecoder, Received,
    SingleMessageConsumer,
};
use kurier_tests::books::Books;
use kurier_tests::waits::{until, within};
use tokio_util::sync::CancellationToken;

/// Says that the scenario was not run here, and why. Past the test's own output, which is shown of
/// failures only.
fn not_run(why: &str) {
    let thread = std::thread::current();
    let line = format!("NOT RUN here: {}: {why}\n", thread.name().unwrap_or("scenario"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A single consumer that enters in the books what it is assigned, handles and commits, until the end
/// of the topic.
async fn handle_all(
    bootstrap: &str,
    topic: &str,
    group: &str,
    books: &Arc<Books>,
) -> ConsumeReport {
    let (entering, name) = (Arc::clone(books), group.to_owned());
    let handler = move |message: Arc<Received<Message>>, _: Context| {
        entering.received(&name, &message);
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(bootstrap, topic)
        .group(group)
        .decoder(MessageDecoder::default())
        .exit_at_end(true)
        .on_event(books.listener(group, "reader"))
        .run(handler, CancellationToken::new());
    let report = within("the consumer", run).await.unwrap();
    assert_eq!(report.closed, Closed::Clean);
    report
}
