//! Messages in, out, and over into the next process.

use super::*;

#[tokio::test]
async fn what_is_stored_is_read_in_order_by_this_process_and_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    for value in numbers(5) {
        used.send(&value).await.unwrap();
    }
    assert_eq!(used.values(), numbers(5));
    used.end();
    let next = Used::open(dir.path());
    assert_eq!(next.outbox.next(), Sequence(5), "numbers go on");
    next.send("message 5").await.unwrap();
    assert_eq!(next.values(), numbers(6));
    next.deliver([0, 1, 3]);
    next.end();
    let last = Used::open(dir.path());
    assert_eq!(last.values(), ["message 2", "message 4", "message 5"]);
    assert_eq!(last.outbox.next(), Sequence(6));
    assert_eq!(*last.news.lock().unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_follows_those_who_write() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig::from(dir.path()).bytes_max(4000);
    let used = Arc::new(Used::on(Arc::new(RealDisk), &config));
    let mut reader = Reader::new(&used.outbox);
    let delivers = Arc::clone(&used);
    let reads = tokio::task::spawn_blocking(move || {
        let read = (0..500).map(|_| {
            let (number, value) = read(&mut reader);
            delivers.deliver([number]);
            value
        });
        read.collect::<Vec<_>>()
    });
    for value in numbers(500) {
        within("room", used.send(&value)).await.unwrap();
    }
    assert_eq!(within("the reader", reads).await.unwrap(), numbers(500));
    used.end();
    assert!(files(dir.path(), ".segment").len() <= 1, "what is delivered is deleted");
}

#[tokio::test]
async fn a_segment_is_deleted_once_all_in_it_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig::from(dir.path()).bytes_max(8000);
    let used = Used::on(Arc::new(RealDisk), &config);
    for value in numbers(60) {
        used.send(&value).await.unwrap();
    }
    let segments = files(dir.path(), ".segment").len();
    assert!(3 < segments, "{segments}");
    used.deliver(1..59);
    used.end();
    assert_eq!(files(dir.path(), ".segment").len(), 2, "the first and the last hold something");
    let next = Used::on(Arc::new(RealDisk), &config);
    assert_eq!(next.values(), ["message 0", "message 59"]);
    next.deliver([0, 59]);
    next.end();
    Used::open(dir.path()).end();
    assert_eq!(files(dir.path(), ".segment").len(), 0);
}

/// What was delivered a moment before the process died may not be written down.
#[tokio::test]
async fn a_process_that_dies_leaves_all_that_is_undelivered_and_at_most_repeats() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    for value in numbers(5) {
        used.send(&value).await.unwrap();
    }
    let early = after_death(dir.path());
    used.deliver([0, 1, 2]);
    within("the marks", async {
        while OutboxStatus::read(dir.path()).unwrap().undelivered != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let late = after_death(dir.path());
    assert_eq!(Used::open(early.path()).values(), numbers(5));
    assert_eq!(Used::open(late.path()).values(), ["message 3", "message 4"]);
}

#[tokio::test]
async fn a_second_producer_is_refused_and_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    let second = open(&OutboxConfig::from(dir.path()), Teller::new(|_| {})).unwrap_err();
    let expected = format!("in use by process {}", std::process::id());
    assert!(second.to_string().ends_with(&expected), "{second}");
    assert_eq!(OutboxStatus::read(dir.path()).unwrap().used_by, Some(std::process::id()));
    used.end();
    assert_eq!(OutboxStatus::read(dir.path()).unwrap().used_by, None);
    Used::open(dir.path());
}

#[tokio::test]
async fn at_the_limit_senders_wait_in_order_until_something_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig::from(dir.path()).bytes_max(1000);
    let used = Used::on(Arc::new(RealDisk), &config);
    let mut sent = 0;
    let limit = Duration::from_millis(300);
    while tokio::time::timeout(limit, used.send("0123456789")).await.is_ok() {
        sent += 1;
    }
    assert!((10..20).contains(&sent), "{sent}");
    assert_eq!(used.said("NotTaking"), 1);
    assert_eq!(used.outbox.next(), Sequence(sent), "who gave up waiting has stored nothing");
    let (first, second) = (used.send("first"), used.send("second"));
    let delivers = async {
        used.deliver(0..sent);
        used.until_said("Taking").await;
    };
    let (first, second, ()) = within("room", async { tokio::join!(first, second, delivers) }).await;
    assert_eq!((first.unwrap(), second.unwrap()), (Sequence(sent), Sequence(sent + 1)));
    assert_eq!(used.values(), ["first", "second"]);
}

#[tokio::test]
async fn at_the_limit_senders_are_refused_if_that_was_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig::from(dir.path()).bytes_max(1000).when_full(WhenFull::Refuse);
    let used = Used::on(Arc::new(RealDisk), &config);
    let mut sent = 0;
    let refused = loop {
        match within("an answer", used.send("0123456789")).await {
            Ok(_) => sent += 1,
            Err(refused) => break refused,
        }
    };
    assert!(refused.to_string().contains("limit is 1000 bytes"), "{refused}");
    assert_eq!(used.outbox.undelivered_before(used.outbox.next()), sent);
    used.deliver(0..sent);
    within("room", async {
        while used.send("again").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!((used.said("NotTaking"), used.values()), (1, vec!["again".to_owned()]));
}

#[tokio::test]
async fn what_no_broker_takes_is_kept_aside_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    for value in numbers(3) {
        used.send(&value).await.unwrap();
    }
    used.outbox.reject(Sequence(1), "too large".to_owned());
    within("it", used.outbox.until(|outbox| outbox.undelivered_before(Sequence(3)) == 2)).await;
    let kept = std::fs::read(&files(dir.path(), "rejected")[0]).unwrap();
    for part in ["too large", "message 1"] {
        assert!(kept.windows(part.len()).any(|window| window == part.as_bytes()), "{part}");
    }
    used.end();
    let status = OutboxStatus::read(dir.path()).unwrap();
    assert_eq!((status.undelivered, status.rejected), (2, 1));
    assert_eq!(Used::open(dir.path()).values(), ["message 0", "message 2"]);
}

#[tokio::test]
async fn nothing_is_stored_once_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    used.send("before").await.unwrap();
    used.outbox.close();
    assert_eq!(used.send("after").await, Err(NotStored::Closed));
    used.end();
    assert_eq!(Used::open(dir.path()).values(), ["before"]);
}

/// The folder as it is, elsewhere: all that a process which dies leaves.
pub(super) fn after_death(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}
