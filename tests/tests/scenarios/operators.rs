//! What an operator sets of a group, and what the group's coordinator says to it.

use std::collections::BTreeMap;

use kurier::{Admin, ClientError, Offset, PartitionId, TopicPartition};
use kurier_tests::cluster::{Role, admin};
use kurier_tests::scene::{Scene, TOPIC, take};
use rdkafka::error::RDKafkaErrorCode;

use crate::{until, within};

const PARTITIONS: i32 = 3;
const EACH: usize = 20;

/// Every partition at this offset.
fn all_at(offset: i64) -> BTreeMap<TopicPartition, Offset> {
    let partition = |number| TopicPartition::new(TOPIC, PartitionId(number));
    (0..PARTITIONS).map(|number| (partition(number), Offset(offset))).collect()
}

/// A group that has handled and committed everything and has no members any more.
async fn handled(group: &str) -> Scene {
    let scene = Scene::set(group, PARTITIONS.unsigned_abs()).await;
    scene.fill(0..PARTITIONS, EACH).await;
    let member = scene.run(scene.member("one"), take);
    until("all is handled", || scene.books.is_complete()).await;
    assert_eq!(member.stop().await.uncommitted.len(), 0);
    scene
}

async fn set(admin: &Admin, group: &str, to: &BTreeMap<TopicPartition, Offset>) {
    let set = within("setting", admin.set_group_offsets(group, to)).await.unwrap();
    let partitions: Vec<_> = set.keys().collect();
    assert_eq!(partitions, to.keys().collect::<Vec<_>>());
    assert!(set.values().all(Result::is_ok), "{set:?}");
    assert_eq!(within("offsets", admin.group_offsets(group)).await.unwrap(), *to);
}

/// Without a look at its members first: one that joins just now is in nobody's list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinator_itself_refuses_to_set_or_delete_a_group_with_members() {
    let scene = handled("operators-members").await;
    let admin = admin(scene.bootstrap()).unwrap();
    let group = scene.group.as_str();
    let before = within("offsets", admin.group_offsets(group)).await.unwrap();
    assert_eq!(before, all_at(EACH as i64));

    let member = scene.run(scene.member("two"), take);
    until("it has its partitions", || member.diary.owned().is_some_and(|own| own.len() == 3)).await;
    let refused = within("setting", admin.set_group_offsets(group, &all_at(0))).await.unwrap_err();
    assert_eq!(code(&refused), RDKafkaErrorCode::UnknownMemberId);
    assert!(refused.to_string().contains("the group has members"), "{refused}");
    let kept = within("deleting", admin.delete_group(group)).await.unwrap_err();
    assert_eq!(code(&kept), RDKafkaErrorCode::NonEmptyGroup);
    member.stop().await;
    assert_eq!(within("offsets", admin.group_offsets(group)).await.unwrap(), before);

    set(&admin, group, &all_at(7)).await;
    within("deleting", admin.delete_group(group)).await.unwrap();
    let gone = within("deleting", admin.delete_group(group)).await.unwrap_err();
    assert_eq!(code(&gone), RDKafkaErrorCode::GroupIdNotFound);
    assert_eq!(within("offsets", admin.group_offsets(group)).await.unwrap(), BTreeMap::new());
    admin.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_set_and_a_group_is_deleted_though_its_coordinator_has_just_died() {
    let scene = handled("operators-coordinator").await;
    let admin = admin(scene.bootstrap()).unwrap().with_timeout(kurier_tests::cluster::PATIENCE);
    let group = scene.group.as_str();
    for deletes in [false, true] {
        let role = Role::Coordinator(scene.group.clone());
        let node = role.holder(&*scene.cluster).await.unwrap().unwrap();
        within("killing", scene.cluster.kill(node)).await.unwrap();
        if deletes {
            within("deleting", admin.delete_group(group)).await.unwrap();
        } else {
            set(&admin, group, &all_at(5)).await;
        }
        within("starting", scene.cluster.start(node)).await.unwrap();
    }
    assert_eq!(within("offsets", admin.group_offsets(group)).await.unwrap(), BTreeMap::new());
    admin.close().await;
}

fn code(error: &ClientError) -> RDKafkaErrorCode {
    match error {
        ClientError::Kafka { code, .. } => *code,
        other => panic!("{other:?}"),
    }
}
