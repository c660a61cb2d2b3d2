//! Processes with an outbox that die: what was accepted is in Kafka after the next start.

use kurier_tests::killed::{kill, producers_are_killed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_accepted_is_in_the_log_after_the_next_start() {
    producers_are_killed("outbox-killed", 0..20).await;
}

/// The same with the disk forgotten between two processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_what_is_on_disk_the_same_kills_lose() {
    let toll = kill("outbox-forgotten", 0..20, |dir| {
        for file in std::fs::read_dir(dir).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    })
    .await;
    eprintln!("{} lost", toll.lost());
    assert!(0 < toll.lost());
}
