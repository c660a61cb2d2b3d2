//! Scenarios that take many minutes: `cargo test` leaves them out, `cargo test -p kurier-tests --test long`
//! runs them, on the cluster that `KURIER_TEST_CLUSTER` names.

use kurier_tests::churn::members_come_and_go;
use kurier_tests::killed::producers_are_killed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_falls_silent_through_a_thousand_rebalances() {
    members_come_and_go("come-and-go", 400, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_hundred_killed_processes_had_accepted_is_in_the_log() {
    producers_are_killed("outbox-killed-often", 0..200).await;
}
