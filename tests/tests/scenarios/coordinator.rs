//! The group's coordinator is gone for a while.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kurier::{Condition, ConsumerEvent, HealthHandle};
use kurier_tests::cluster::Role;
use kurier_tests::scene::{Scene, TOPIC, take};
use kurier_tests::senders::Sending;

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
    let (killed, mut said) = (Instant::now(), BTreeSet::new());
    let heir = within("an heir", role.passes_on(&*scene.cluster, gone)).await.unwrap();
    goes_on(&scene).await;
    let committed = || members.iter().map(|member| commits(&member.diary)).sum::<usize>();
    let before = committed();
    until("the heir stores commits", || before + 2 < committed()).await;
    let recovered = killed.elapsed();
    // One node of three is not there, and nothing that the members need is: they are ready.
    while killed.elapsed() < GONE {
        said.extend(health.iter().flat_map(|one| one.now().conditions).map(|one| name(&one)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    goes_on(&scene).await;
    until("ready without it", || all_ready(&health)).await;
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

fn all_ready(health: &[HealthHandle]) -> bool {
    health.iter().all(|one| one.now().is_ready())
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
