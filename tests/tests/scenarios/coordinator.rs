//! The group's coordinator is gone for a while.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kurier::{Admin, Condition, ConsumerEvent, HealthHandle, NodeId};
use kurier_tests::cluster::{Kind, Role, admin, wait_until_in_sync};
use kurier_tests::scene::{Scene, TOPIC, take};
use kurier_tests::senders::Sending;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{until, within};

/// How long it is gone. The trial's `coordinator-gone` is the same for ten minutes.
const GONE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_coordinator_is_gone_goes_on_without_a_restart_and_its_health_says_so() {
    let scene = Scene::set("coordinator-gone", 6).await;
    let builders = ["1", "2"].map(|name| scene.member(name));
    let health = builders.each_ref().map(|builder| builder.health());
    let members = builders.map(|builder| scene.run(builder, take));
    until("ready", || all_ready(&health)).await;
    let sending = Sending { rate: 200, ..Sending::default() };
    let senders = sending.start(scene.bootstrap(), TOPIC, &scene.books).await.unwrap();
    goes_on(&scene).await;

    let role = Role::Coordinator(scene.group.clone());
    let gone = role.holder(&*scene.cluster).await.unwrap().unwrap();
    scene.cluster.kill(gone).await.unwrap();
    scene.books.note(&format!("node {gone} is killed"));
    let (killed, back) = (Instant::now(), CancellationToken::new());
    let sampling = tokio::spawn(unwell_for(health.clone(), back.clone()));
    let heir = within("an heir", role.passes_on(&*scene.cluster, gone)).await.unwrap();
    goes_on(&scene).await;
    let committed = || members.iter().map(|member| commits(&member.diary)).sum::<usize>();
    let before = committed();
    until("the heir stores commits", || before + 2 < committed()).await;
    let recovered = killed.elapsed();
    // One node of three is not there, and nothing that the members need is: they are ready.
    tokio::time::sleep(GONE.saturating_sub(killed.elapsed())).await;
    goes_on(&scene).await;
    until("ready without it", || all_ready(&health)).await;
    back.cancel();
    let said = within("the samples", sampling).await.unwrap();
    // The control of `health`'s partitions that nobody can lead: here others can.
    assert!(!said.contains("WithoutLeader"), "{said:?}");
    within("its start", scene.cluster.start(gone)).await.unwrap();
    goes_on(&scene).await;
    until("ready in the end", || all_ready(&health)).await;

    senders.finish().await.unwrap();
    until("all is handled", || scene.books.is_complete()).await;
    for member in members {
        let report = member.stop().await;
        assert_eq!(report.uncommitted.len(), 0, "{report:?}");
    }
    scene
        .judge(&format!(
            "node {gone} gone for {GONE:?}, node {heir} stored commits after {recovered:.1?}, unwell for: {said:?}"
        ))
        .await;
}

/// So many clients, for it depends on whom each of them is connected to whether librdkafka finds the next
/// coordinator.
const CLIENTS: usize = 8;

/// Clients that live as long as their application, and have asked the coordinator that dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_described_a_group_describes_it_again_after_its_coordinator_died() {
    let scene = Scene::set("described-again", 3).await;
    scene.fill(0..3, 10).await;
    let member = scene.run(scene.member("1"), take);
    scene.until_committed(&(0..3).map(|partition| (partition, 10)).collect()).await;
    let role = Role::Coordinator(scene.group.clone());
    let gone = role.holder(&*scene.cluster).await.unwrap().unwrap();
    let admins = [(); CLIENTS].map(|()| admin(scene.bootstrap()).unwrap());
    for admin in &admins {
        within("a coordinator", coordinator(admin, &scene.group, |node| node == gone)).await;
    }
    let offsets = within("offsets", admins[0].group_offsets(&scene.group)).await.unwrap();

    scene.cluster.kill(gone).await.unwrap();
    let killed = Instant::now();
    let mut heirs = BTreeSet::new();
    for admin in &admins {
        let heir = coordinator(admin, &scene.group, |node| node != gone);
        heirs.insert(within("an heir", heir).await);
    }
    let answered = killed.elapsed();
    assert_eq!(heirs.len(), 1, "{heirs:?}");
    until("the member is back", || member.diary.owned().is_some_and(|it| it.len() == 3)).await;
    let [admin, ..] = &admins;
    let lag = within("lag", admin.lag(&scene.group)).await.unwrap();
    assert!(lag.rows.len() == 3 && lag.rows.iter().all(|row| row.lag() == Some(0)), "{lag:?}");
    assert_eq!(within("offsets", admin.group_offsets(&scene.group)).await.unwrap(), offsets);

    scene.cluster.start(gone).await.unwrap();
    member.stop().await;
    scene
        .judge(&format!(
            "node {gone} killed, {CLIENTS} clients described {heirs:?} in {answered:.1?}"
        ))
        .await;
}

/// Describes the group until one that is `wanted` coordinates it.
async fn coordinator(admin: &Admin, group: &str, wanted: impl Fn(NodeId) -> bool) -> NodeId {
    loop {
        let described = admin.describe_group(group).await;
        let by = described.ok().and_then(|it| it.coordinator).map(|broker| broker.id);
        if let Some(node) = by.filter(|node| wanted(*node)) {
            return node;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The control: librdkafka's own clients. Some of them never hear of the next coordinator. What they ask is
/// to delete the group, which a coordinator refuses for its members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_of_librdkafkas_own_clients_some_ask_the_dead_coordinator_for_ever() {
    let scene = Scene::set("asked-again", 3).await;
    if scene.cluster.kind() == Kind::ApacheKafka {
        return crate::not_run("there it was not seen: 40 clients found the next coordinator");
    }
    let member = scene.run(scene.member("1"), take);
    let admin = admin(scene.bootstrap()).unwrap();
    let role = Role::Coordinator(scene.group.clone());
    let mut deaf = 0;
    for round in 1.. {
        until("a share", || member.diary.owned().is_some_and(|it| it.len() == 3)).await;
        let gone = role.holder(&*scene.cluster).await.unwrap().unwrap();
        let clients = [(); CLIENTS].map(|()| librdkafka_alone(scene.bootstrap()));
        for client in &clients {
            let refused = refusal(client, &scene.group).await;
            assert_eq!(refused, Some(RDKafkaErrorCode::NonEmptyGroup));
        }
        scene.cluster.kill(gone).await.unwrap();
        let heir = coordinator(&admin, &scene.group, |node| node != gone);
        let heir = within("an heir", heir).await;
        let mut again = JoinSet::new();
        for client in clients {
            let group = scene.group.clone();
            again.spawn(async move { refusal(&client, &group).await });
        }
        let again = again.join_all().await;
        let anew = refusal(&librdkafka_alone(scene.bootstrap()), &scene.group).await;
        assert!(anew.is_some(), "node {heir} answers nobody");
        deaf += again.iter().filter(|code| code.is_none()).count();
        scene.cluster.start(gone).await.unwrap();
        within("in sync", wait_until_in_sync(&*scene.cluster)).await.unwrap();
        if 0 < deaf {
            eprintln!("{:?}, control: {deaf} of {CLIENTS} in round {round}", scene.cluster.kind());
            break;
        }
        assert!(round < 5, "librdkafka finds the next coordinator by itself");
    }
    member.stop().await;
}

fn librdkafka_alone(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

/// Why the group is not deleted; `None`: no answer in 10 s. A limit of librdkafka's own would end this
/// process when a coordinator is found after it.
async fn refusal(
    client: &AdminClient<DefaultClientContext>,
    group: &str,
) -> Option<RDKafkaErrorCode> {
    let patient = AdminOptions::new().request_timeout(Some(Duration::from_secs(3_600)));
    let asked = client.delete_groups(&[group], &patient);
    let answer = tokio::time::timeout(Duration::from_secs(10), asked).await.ok()?;
    Some(answer.unwrap().remove(0).unwrap_err().1)
}

fn all_ready(health: &[HealthHandle]) -> bool {
    health.iter().all(|one| one.now().is_ready())
}

/// Everything that kept members from being ready, looked at again and again until `enough`. A coordinator
/// that is away is no reason to start a member anew.
async fn unwell_for(health: [HealthHandle; 2], enough: CancellationToken) -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    while !enough.is_cancelled() {
        for one in health.each_ref().map(HealthHandle::now) {
            assert!(one.is_live(), "{one}");
            said.extend(one.conditions.iter().map(name));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    said
}

fn name(condition: &Condition) -> String {
    let text = format!("{condition:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

fn commits(diary: &kurier_tests::scene::Diary) -> usize {
    let stored = |event: &ConsumerEvent| matches!(event, ConsumerEvent::Committed { .. });
    diary.picked(|event| stored(event).then_some(())).len()
}

/// Waits until more is handled.
async fn goes_on(scene: &Scene) {
    let enough = scene.books.handled_by(&scene.group) + 200;
    until("the load goes on", || enough <= scene.books.handled_by(&scene.group)).await;
}
