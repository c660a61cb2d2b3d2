//! Groups that refuse: commits, joins, syncs and heartbeats are answered with errors, late, or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use kurier::ConsumerEvent;
use kurier_broker::{Api, Fault, FaultAction, Faults, ResponseError};
use kurier_tests::binary::Kurier;
use kurier_tests::cluster::Role;
use kurier_tests::proxy::{Direction, Flow, Proxy};
use kurier_tests::scene::{Diary, Scene, Watched, take};

use crate::{until, within};

/// The hooks of the cluster, or the words why there are none.
fn hooks(scene: &Scene) -> Option<Faults> {
    let hooks = scene.cluster.faults();
    if hooks.is_none() {
        crate::not_run("Apache Kafka answers so only when it means it, and can't be asked to");
    }
    hooks
}

/// Why commits were not stored, as the member said.
fn refusals(diary: &Diary) -> Vec<String> {
    diary.picked(|event| match event {
        ConsumerEvent::CommitFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_commit_is_told_stays_pending_and_is_stored_by_a_later_one() {
    let scene = Scene::set("refused-commits", 2).await;
    let Some(faults) = hooks(&scene) else { return };
    let member = scene.run(scene.member("1"), take);
    until("it begins", || member.diary.owned().is_some()).await;
    let mut told = Vec::new();
    let mut all = 0;
    // Where the coordinator is gone librdkafka looks for it by itself, and asks again.
    for (error, is_told) in [
        (ResponseError::RebalanceInProgress, true),
        (ResponseError::IllegalGeneration, true),
        (ResponseError::UnknownMemberId, true),
        (ResponseError::NotCoordinator, false),
        (ResponseError::CoordinatorNotAvailable, false),
        (ResponseError::CoordinatorLoadInProgress, true),
    ] {
        let before = refusals(&member.diary).len();
        let fault = Fault::on(Api::OffsetCommit).times(3);
        let fault = faults.add(fault, FaultAction::Error(error)).unwrap();
        scene.fill(0..2, 10).await;
        all += 10;
        scene.until_committed(&BTreeMap::from([(0, all), (1, all)])).await;
        assert_eq!(fault.fired(), 3, "{error:?}");
        let refused = refusals(&member.diary).len() - before;
        assert_eq!(0 < refused, is_told, "{error:?}: told {refused} times");
        told.push(format!("{error:?}: {refused}"));
    }
    let report = member.stop().await;
    assert!(report.uncommitted.is_empty(), "{report:?}");
    scene.judge(&format!("refused {}", told.join(", "))).await;
}

/// The commit's request is on its way for longer than kurier waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_given_up_and_arrives_all_the_same_moves_nothing_back() {
    const LATE: Duration = Duration::from_secs(3);
    let scene = Scene::set("late-commit", 2).await;
    let proxy = match scene.cluster.routes() {
        routes if routes.is_empty() => None,
        routes => Some(Proxy::start(routes).await.unwrap()),
    };
    let mut builder = scene.member("1");
    builder.config_mut().commit_deadline = Duration::from_millis(500);
    if let Some(proxy) = &proxy {
        builder.config_mut().client.bootstrap = proxy.bootstrap();
    }
    let member = scene.run(builder, take);
    scene.fill(0..2, 10).await;
    scene.until_committed(&BTreeMap::from([(0, 10), (1, 10)])).await;

    match (&proxy, scene.cluster.faults()) {
        (Some(proxy), _) => {
            let role = Role::Coordinator(scene.group.clone());
            let node = role.holder(&*scene.cluster).await.unwrap().unwrap();
            proxy.set(node, Direction::ToBroker, Flow::Delay(LATE)).unwrap();
        }
        (None, Some(faults)) => {
            let fault = Fault::on(Api::OffsetCommit).times(1);
            faults.add(fault, FaultAction::Delay(LATE)).unwrap();
        }
        (None, None) => panic!("neither a proxy nor hooks"),
    }
    scene.fill(0..2, 10).await;
    until("a commit is given up", || !refusals(&member.diary).is_empty()).await;
    if let Some(proxy) = &proxy {
        proxy.heal().await.unwrap();
    }
    scene.fill(0..2, 10).await;
    let mut stored = Vec::new();
    while stored.last() != Some(&BTreeMap::from([(0, 30), (1, 30)])) {
        stored.push(within("the commits", scene.committed()).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Whatever is still under way has LATE to come.
    tokio::time::sleep(LATE).await;
    stored.push(scene.committed().await);
    for number in 0..2 {
        let seen: Vec<i64> = stored.iter().map(|committed| committed[&number]).collect();
        assert!(seen.is_sorted(), "partition {number}: {seen:?}");
        assert_eq!(seen.last(), Some(&30));
    }
    let refused = refusals(&member.diary);
    let report = member.stop().await;
    assert!(report.uncommitted.is_empty(), "{report:?}");
    scene.judge(&format!("given up {}, late by {LATE:?}, 0 moved back", refused.len())).await;
}

/// Partitions that both members together own, each once.
fn shared(members: &[Watched], partitions: i32) -> bool {
    let owned = members.iter().filter_map(|member| member.diary.owned());
    let mut owned: Vec<i32> = owned.flatten().collect();
    owned.sort_unstable();
    owned == (0..partitions).collect::<Vec<_>>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_rebalance_goes_wrong_joins_again_and_goes_on() {
    const PARTITIONS: i32 = 4;
    let scene = Scene::set("refused-members", 4).await;
    let Some(faults) = hooks(&scene) else { return };
    let steady = scene.run(scene.member("steady"), take);
    let mut members = vec![steady];
    until("it begins", || shared(&members, PARTITIONS)).await;
    let mut sent = 0;
    let error = FaultAction::Error;
    let troubles = [
        (Api::JoinGroup, error(ResponseError::CoordinatorNotAvailable)),
        (Api::JoinGroup, error(ResponseError::NotCoordinator)),
        (Api::JoinGroup, error(ResponseError::UnknownMemberId)),
        (Api::JoinGroup, error(ResponseError::RebalanceInProgress)),
        (Api::JoinGroup, FaultAction::DropReply),
        (Api::SyncGroup, error(ResponseError::IllegalGeneration)),
        (Api::SyncGroup, error(ResponseError::NotCoordinator)),
        (Api::SyncGroup, FaultAction::DropReply),
        (Api::Heartbeat, error(ResponseError::IllegalGeneration)),
        (Api::Heartbeat, error(ResponseError::NotCoordinator)),
        (Api::OffsetFetch, error(ResponseError::NotCoordinator)),
        (Api::OffsetFetch, error(ResponseError::CoordinatorNotAvailable)),
        (Api::OffsetFetch, error(ResponseError::CoordinatorLoadInProgress)),
    ];
    for (number, (api, action)) in troubles.iter().enumerate() {
        let fault = faults.add(Fault::on(*api).times(2), action.clone()).unwrap();
        members.push(scene.run(scene.member(&format!("guest-{number}")), take));
        let what = format!("{api:?} {action:?}");
        until(&what, || fault.fired() == 2 && shared(&members, PARTITIONS)).await;
        scene.fill(0..PARTITIONS, 1).await;
        sent += 4;
        until(&what, || scene.books.handled_by(&scene.group) == sent).await;
        members.pop().unwrap().stop().await;
        until(&what, || shared(&members, PARTITIONS)).await;
    }
    for member in members {
        assert!(member.stop().await.stopped.is_empty());
    }
    scene.judge(&format!("{} troubles, twice each, all came back", troubles.len())).await;
}

/// librdkafka asks once, and would leave the partitions as they are: owned and never read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_the_group_did_not_give_are_asked_for_again() {
    let scene = Scene::set("no-positions", 4).await;
    let Some(faults) = hooks(&scene) else { return };
    let mut sent = 0;
    for strategy in ["cooperative-sticky", "range"] {
        for error in [ResponseError::NotCoordinator, ResponseError::CoordinatorNotAvailable] {
            let name = format!("{strategy}-{error:?}");
            let client = format!("{}-{name}", scene.group);
            // The first is kurier's own question whether there are positions.
            let fault = Fault::on(Api::OffsetFetch).client(client).times(3);
            let fault = faults.add(fault, FaultAction::Error(error)).unwrap();
            let builder = scene.member(&name).property("partition.assignment.strategy", strategy);
            let member = scene.run(builder, take);
            scene.fill(0..4, 5).await;
            sent += 20;
            let all = || scene.books.handled_by(&scene.group) == sent;
            until(&name, || all() && fault.fired() == 3).await;
            member.stop().await;
        }
    }
    scene.judge("2 errors, 2 assignors, thrice each").await;
}

/// librdkafka's admin request took the process with it when the coordinator had just moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_has_committed_is_told_while_its_coordinator_moves() {
    let scene = Scene::set("moved-coordinator", 2).await;
    let Some(faults) = hooks(&scene) else { return };
    scene.fill(0..2, 10).await;
    let all = scene.run(scene.member("1").exit_at_end(true), take);
    assert_eq!(all.end().await.handled, 20);
    for error in [ResponseError::NotCoordinator, ResponseError::CoordinatorNotAvailable] {
        let fault = Fault::on(Api::OffsetFetch).times(3);
        let fault = faults.add(fault, FaultAction::Error(error)).unwrap();
        let asking = Kurier::start(scene.bootstrap(), &["group", "lag", &scene.group]).unwrap();
        let told = within("the lag", asking.wait()).await.unwrap();
        assert_eq!(told.status.code(), Some(0), "{error:?}: {}, {}", told.status, told.talk);
        assert_eq!(fault.fired(), 3, "{error:?}");
        assert_eq!(told.lines[0]["partitions"][0]["committed"], 10, "{:?}", told.lines);
    }
}
