//! Faults can be aimed: the harness knows who leads, controls and coordinates, also after that node died.

use std::sync::Arc;

use kurier::OffenceKind;
use kurier_tests::audit;
use kurier_tests::books::Books;
use kurier_tests::cluster::{
    Kind, NODES, Role, add_partitions, cluster, create_topic, wait_until_in_sync,
};
use kurier_tests::fleet::{Fleet, Home, MemberKind};
use kurier_tests::senders::Sending;

use crate::{until, within};

const TOPIC: &str = "orders";
const GROUP: &str = "workers";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_a_role_loses_it_by_dying() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::new(&[GROUP]));
    let mut fleet = Fleet::new(cluster.bootstrap(), TOPIC, GROUP, &books);
    fleet.start().unwrap();
    within("the group", fleet.wait_until_shared(3)).await.unwrap();

    let roles = [Role::Leader(TOPIC.into(), 1), Role::Controller, Role::Coordinator(GROUP.into())];
    for role in roles {
        let holder = within("a holder", role.holder(&*cluster)).await.unwrap();
        let Some(holder) = holder else {
            assert_eq!((cluster.kind(), role), (Kind::Embedded, Role::Controller));
            continue;
        };
        assert!(NODES.contains(&holder), "{role}: {holder}");
        cluster.kill(holder).await.unwrap();
        within("another holder", role.passes_on(&*cluster, holder)).await.unwrap();
        cluster.start(holder).await.unwrap();
        within("in sync", wait_until_in_sync(&*cluster)).await.unwrap();
    }
    fleet.close().await.unwrap();
}

/// Senders and members of every kind, and partitions that are added meanwhile.
async fn all_is_handled(kind: MemberKind, home: Home) {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::new(&[GROUP]));
    let refresh = ("topic.metadata.refresh.interval.ms", "1000");
    let fleet = Fleet::new(cluster.bootstrap(), TOPIC, GROUP, &books).kind(kind).home(home);
    let mut fleet = fleet.property(refresh.0, refresh.1);
    fleet.start_many(2).unwrap();
    within("the group", fleet.wait_until_shared(3)).await.unwrap();
    let sending = Sending { home, rate: 500, ..Sending::default() };
    let mut senders = sending.start(cluster.bootstrap(), TOPIC, &books).await.unwrap();
    until("the load", || 300 < books.counts().1).await;
    add_partitions(&*cluster, TOPIC, 4).await.unwrap();
    within("the wider topic", fleet.wait_until_shared(4)).await.unwrap();
    let first = fleet.members().remove(0);
    fleet.kill(&first).await.unwrap();
    fleet.start().unwrap();
    if home == Home::Process {
        senders.kill_and_restart(0).await.unwrap();
    }
    within("the group after a death", fleet.wait_until_shared(4)).await.unwrap();
    within("the senders", senders.finish()).await.unwrap();
    within("the rest", fleet.wait_until_handled(books.counts().1)).await.unwrap();
    fleet.close().await.unwrap();
    audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap();
    let verdict = books.judge();
    eprintln!("{:?}, {kind:?} in a {home:?}: {verdict}", cluster.kind());
    // Keys move when the number of partitions changes.
    let order = [OffenceKind::WrittenOutOfOrder, OffenceKind::HandledOutOfOrder];
    books.expect_holds_but_for(&verdict, &order);
    assert_eq!(verdict.failed, 0, "{verdict}");
    assert!(0 < verdict.groups[0].commits, "nobody looked at commits: {verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_send_and_handle_come_and_go() {
    all_is_handled(MemberKind::Single, Home::Task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_send_and_handle_come_and_go() {
    all_is_handled(MemberKind::Batch, Home::Process).await;
}
