//! Scenarios that take many minutes: `cargo test` leaves them out, `cargo test -p kurier-tests --test long`
//! runs them, on the cluster that `KURIER_TEST_CLUSTER` names.
#![allow(clippy::print_stderr, reason = "the figures of a run are for the person who runs it")]

use kurier_tests::churn::members_come_and_go;
use kurier_tests::keyed::{Reader, Toll, readers_are_killed};
use kurier_tests::killed::producers_are_killed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_falls_silent_through_a_thousand_rebalances() {
    members_come_and_go("come-and-go", 400, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_hundred_killed_processes_had_accepted_is_in_the_log() {
    producers_are_killed("outbox-killed-often", 0..200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_killed_readers_of_a_thousand_keys_lose_nothing_and_go_on_at_their_position() {
    let reader = std::path::Path::new(env!("CARGO_BIN_EXE_keyed-reader"));
    let toll = readers_are_killed(reader, "keys-killed-often", Reader::Kurier, 0..100).await;
    eprintln!("100 kills: {toll:?}");
    let Toll { lost, below_the_position, out_of_order, overtaken, .. } = toll;
    assert_eq!((lost, below_the_position, out_of_order), (0, 0, 0));
    assert!(0 < overtaken, "keys ran past each other, so this shows something");
}
