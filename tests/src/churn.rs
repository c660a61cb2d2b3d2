//! Members that come and go, again and again; no partition may fall silent.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a scenario stops at the first surprise"
)]

use std::ops::Range;

use kurier::ConsumerEvent;

use crate::scene::{Scene, Watched, take};
use crate::waits::until;

/// One member stays while guests come and go, until it was in `turns` rebalances. After each coming and
/// going a message in every partition must be handled.
pub async fn members_come_and_go(group: &str, partitions: u32, turns: usize) {
    let scene = Scene::set(group, partitions).await;
    let numbers = || 0..i32::try_from(partitions).unwrap();
    let steady = scene.run(scene.member("steady"), take);
    let owns = |member: &Watched, count: usize| {
        member.diary.owned().is_some_and(|owned| owned.len() == count)
    };
    until("the first has all", || owns(&steady, numbers().len())).await;
    let (mut sent, mut guests) = (0, 0);
    while turns_of(&steady) < turns {
        guests += 1;
        let guest = scene.run(scene.member(&format!("guest-{guests}")), take);
        until("the guest has its half", || owns(&guest, numbers().len() / 2)).await;
        flows(&scene, numbers(), &mut sent).await;
        guest.stop().await;
        until("all come back", || owns(&steady, numbers().len())).await;
        flows(&scene, numbers(), &mut sent).await;
    }
    let figures = format!("{} rebalances of {partitions} partitions", turns_of(&steady));
    let report = steady.stop().await;
    assert!(report.stopped.is_empty(), "{report:?}");
    scene.judge(&format!("{figures}, {guests} guests, {sent} messages in each, none silent")).await;
}

/// One more message in each partition comes through.
async fn flows(scene: &Scene, partitions: Range<i32>, sent: &mut u64) {
    *sent += 1;
    let all = *sent * partitions.len() as u64;
    scene.fill(partitions, 1).await;
    until("every partition flows", || scene.books.handled_by(&scene.group) == all).await;
}

fn turns_of(member: &Watched) -> usize {
    let turn = |event: &ConsumerEvent| match event {
        ConsumerEvent::Assigned { .. }
        | ConsumerEvent::Revoked { .. }
        | ConsumerEvent::Lost { .. } => Some(()),
        _ => None,
    };
    member.diary.picked(turn).len()
}
