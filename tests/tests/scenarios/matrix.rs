//! The part of the full trial that is short enough for every day; the rest is named as not run, and runs
//! by `cargo run -p kurier-tests --bin trial`.

use kurier_tests::cluster::cluster;
use kurier_tests::trial::{CASES, Verdict, case, run};

/// The cases that have a test here.
const DAILY: [&str; 6] = [
    "stop-leader",
    "kill-controller",
    "kill-coordinator",
    "kill-producers",
    "kill-consumers-batch",
    "add-partitions",
];

async fn holds(name: &str) {
    assert!(DAILY.contains(&name), "{name} is told to be too long for here");
    let cluster = cluster().await.unwrap();
    let row = run(case(name).unwrap(), &*cluster).await;
    eprintln!("{row:?}");
    match row.verdict {
        Verdict::Holds(_) => {}
        Verdict::NotHere(why) => crate::not_run(why),
        bad => panic!("{name}: {bad:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_stopped_costs_nothing() {
    holds("stop-leader").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_controller_costs_nothing() {
    holds("kill-controller").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_coordinator_costs_nothing() {
    holds("kill-coordinator").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_producers_cost_nothing_that_they_are_given_again() {
    holds("kill-producers").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_consumers_cost_nothing() {
    holds("kill-consumers-batch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_partitions_cost_nothing() {
    holds("add-partitions").await;
}

#[test]
fn what_is_too_long_for_every_day_is_named() {
    let unknown = DAILY.iter().filter(|name| case(name).is_err()).count();
    assert_eq!(unknown, 0);
    let long = CASES.iter().map(|case| case.name).filter(|name| !DAILY.contains(name));
    let long: Vec<_> = long.collect();
    assert_eq!(DAILY.len() + long.len(), CASES.len(), "a case is there twice");
    crate::not_run(&format!(
        "too long for every day: {}; cargo run -p kurier-tests --bin trial runs them",
        long.join(", ")
    ));
}
