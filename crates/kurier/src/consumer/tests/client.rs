//! What librdkafka could do wrong, done to a poll thread whose rounds the test makes itself.

use super::*;
use crate::HealthHandle;
use crate::access::Access;
use crate::consumer::builder::EndRules;
use crate::consumer::close::Progress;
use crate::consumer::context::Turn;
use crate::consumer::end::Ends;
use crate::consumer::event::Listener;
use crate::consumer::held::Room;
use crate::consumer::lanes::{Lane, spawn_on};
use crate::consumer::mailbox::Mailbox;
use crate::consumer::poll::{Keeper, Parts};
use crate::consumer::{Ended, run};

/// A keeper that has both partitions, and lanes that take everything and handle nothing.
fn keeper(bootstrap: &str) -> Keeper {
    let config = single(bootstrap).config().checked().unwrap();
    let properties = config.properties(2).unwrap();
    let mailbox = Arc::new(Mailbox::default());
    let common =
        Arc::new(run::common(&config, None, &mailbox, Listener::default(), Arc::default()));
    let runtime = tokio::runtime::Handle::current();
    let lane = |mut lane: Lane| async move { while lane.records().await.is_some() {} };
    let mut keeper = Keeper::new(Parts {
        access: Access::of(&properties),
        settings: properties.iter().cloned().collect(),
        client: Arc::new(run::client(&properties, Arc::default()).unwrap()),
        room: Room::of(&config),
        config,
        common,
        spawn: Box::new(move |held| spawn_on(&runtime, lane(held))),
        ends: Ends::new(EndRules::default(), Instant::now()),
        progress: Progress::new().0,
        health: HealthHandle::default(),
    });
    keeper.client.subscribe(&[TOPIC]).unwrap();
    go_round(&mut keeper, "an assignment", |keeper| keeper.held.len() == 2);
    keeper
}

fn go_round(keeper: &mut Keeper, what: &str, mut done: impl FnMut(&mut Keeper) -> bool) {
    let begun = Instant::now();
    while !done(keeper) {
        assert!(begun.elapsed() < Duration::from_secs(40), "{what}");
        keeper.attend(Duration::from_millis(10));
    }
}

/// librdkafka's properties, read back from a client that is made as every consumer is.
#[test]
fn nothing_is_committed_or_stored_but_by_kurier() {
    let cluster = mock(1);
    let config = single(&cluster.bootstrap_servers()).config().checked().unwrap();
    let client = run::client(&config.properties(1).unwrap(), Arc::default()).unwrap();
    let effective = crate::sys::effective_properties(client.client());
    for never in ["enable.auto.commit", "enable.auto.offset.store"] {
        assert_eq!(effective.get(never).map(String::as_str), Some("false"), "{never}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assignment_that_the_client_refuses_ends_the_run_and_says_so() {
    let cluster = mock(2);
    let mut keeper = keeper(&cluster.bootstrap_servers());
    // It has this one already: librdkafka answers with a conflict.
    keeper.turns.push_back(Turn::Assign(vec![at(0)]));
    keeper.attend(Duration::ZERO);
    assert_eq!(keeper.ended(), Some(Ended::Failed));
    let (report, failed) = tokio::task::block_in_place(|| keeper.close(Ended::Failed));
    assert_eq!((report.closed, report.ended), (Closed::Clean, Ended::Failed));
    let failed = failed.unwrap().to_string();
    assert!(failed.contains("take in orders[0]"), "{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_outside_its_partitions_queue_ends_the_run_before_anything_is_passed_over() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    let mut keeper = keeper(&bootstrap);
    keeper.held[&at(0)].unsplit();
    produce(&bootstrap, numbered(2, 10));
    go_round(&mut keeper, "a message astray", |keeper| keeper.failed.is_some());
    let (_, failed) = tokio::task::block_in_place(|| keeper.close(Ended::Failed));
    let failed = failed.unwrap().to_string();
    assert!(failed.contains("came outside its partition's queue"), "{failed}");
    assert_eq!(committed(&bootstrap, "g", 2).get(&0).copied().unwrap_or(0), 0);
}
