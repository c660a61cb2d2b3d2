//! Nodes are gone or frozen for longer than any time that the client is told to wait.

use std::sync::Arc;
use std::time::Duration;

use kurier_tests::audit;
use kurier_tests::books::Books;
use kurier_tests::cluster::{NODES, TestCluster, leader, wait_until_in_sync};
use kurier_tests::load::Load;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::careless::{self, careless, number};
use crate::dispatch::{Dispatch, TOPIC, again_or_out_of_order, resume};
use crate::{until, within};

/// How long a request and a connection may be silent: less than every outage here.
const PATIENCE: [(&str, &str); 2] = [("request.timeout.ms", "1500"), ("socket.timeout.ms", "2000")];
const LOAD: Load = Load { keys: 10, each: 50, pause: Duration::from_millis(20) };

/// Sends under load while `fault` is done and undone, and reads all back. Beside it goes the control, a
/// client that gives up a message after two seconds: it must leave a gap where kurier leaves none.
async fn leaves_no_gap(figures: &str, fault: impl AsyncFnOnce(&dyn TestCluster, &Books)) {
    let dispatch = Dispatch::set(3, |builder| builder.properties(PATIENCE)).await;
    let control = Impatient::start(dispatch.cluster.bootstrap());
    let load = LOAD.start(&dispatch.producer, TOPIC, &dispatch.books);
    until("the load", || 200 < dispatch.books.counts().1).await;
    fault(&*dispatch.cluster, &dispatch.books).await;
    within("in sync", wait_until_in_sync(&*dispatch.cluster)).await.unwrap();
    let (delivered, of_control) = (dispatch.books.counts().1, control.books.counts().1);
    until("the way on", || delivered + 1_000 < dispatch.books.counts().1).await;
    // It reconnects later; a gap shows once something stands behind it.
    until("the control's way on", || of_control < control.books.counts().1).await;
    within("the load", load.finish()).await.unwrap();
    let gaps = within("the control", control.finish()).await;
    let (verdict, _) = dispatch.finish(&format!("{figures}; control: {gaps} gaps")).await;
    assert_eq!((verdict.failed, again_or_out_of_order(&verdict)), (0, 0), "{verdict}");
    assert!(
        DOWN - Duration::from_secs(1) < verdict.longest_stall,
        "nothing stood still: {verdict}"
    );
    assert!(0 < gaps, "the control left no gap, so this suite sees none");
}

/// How long nodes are gone.
const DOWN: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_all_nodes_longer_than_every_timeout_leaves_no_gap() {
    leaves_no_gap("all nodes killed for 6 s", async |cluster, books| {
        for node in NODES {
            cluster.kill(node).await.unwrap();
        }
        books.note("all nodes are killed");
        tokio::time::sleep(DOWN).await;
        cluster.start_all().await.unwrap();
        books.note("all nodes are there again");
    })
    .await;
}

/// The short form of the trial's `freeze-two`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_nodes_that_freeze_leave_no_gap() {
    leaves_no_gap("two nodes frozen for 15 s", async |cluster, books| {
        let leads = leader(cluster, TOPIC, 0).await.unwrap();
        let other = NODES.into_iter().find(|node| *node != leads).unwrap();
        for node in [leads, other] {
            cluster.pause(node).await.unwrap();
        }
        books.note("two nodes are frozen");
        tokio::time::sleep(Duration::from_secs(15)).await;
        resume(cluster, &[leads, other]).await;
        books.note("two nodes are thawed");
    })
    .await;
}

/// librdkafka alone, which fails what is not delivered in two seconds and goes on with the next.
struct Impatient {
    bootstrap: String,
    books: Arc<Books>,
    enough: CancellationToken,
    sending: JoinHandle<()>,
}

impl Impatient {
    fn start(bootstrap: &str) -> Self {
        let client = careless(bootstrap, &[("message.timeout.ms", "2000"), ("linger.ms", "1")]);
        let (books, enough) = (Arc::new(Books::new(&[])), CancellationToken::new());
        let (entering, until_enough) = (Arc::clone(&books), enough.clone());
        let sending = tokio::spawn(async move {
            let mut number = 0;
            let mut fates = tokio::task::JoinSet::new();
            while !until_enough.is_cancelled() {
                let mut fate = careless::send(&client, &entering, number..=number);
                fates.spawn(async move { fate.join_next().await });
                number += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            fates.join_all().await;
        });
        Self { bootstrap: bootstrap.to_owned(), books, enough, sending }
    }

    /// How many numbers are missing before one that is there.
    async fn finish(self) -> usize {
        self.enough.cancel();
        self.sending.await.unwrap();
        let found = audit::enter(&self.books, &self.bootstrap, TOPIC).await.unwrap();
        let mine = found.iter().filter(|record| record.key.as_deref() == Some(b"key"));
        let mut there: Vec<usize> = mine.map(number).collect();
        there.sort_unstable();
        there.dedup();
        there.last().map_or(0, |last| last + 1 - there.len())
    }
}
