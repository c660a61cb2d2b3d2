//! Acknowledgements that come after their partition has gone: they settle nothing, also when it is back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kurier::{ConsumerBuilder, Context, MessageDecoder, Single};
use kurier_tests::scene::{Given, Scene, place, take};
use tokio_util::sync::CancellationToken;

use crate::until;

/// A member that waits for its handlers only briefly when partitions are taken away.
fn impatient(scene: &Scene, name: &str) -> ConsumerBuilder<Single, MessageDecoder> {
    let mut builder = scene.member(name);
    builder.config_mut().drain_deadline = Some(Duration::from_millis(300));
    builder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_outlives_the_revoke_moves_no_offset() {
    let scene = Scene::set("outlived", 2).await;
    scene.fill(0..2, 3).await;
    let (first_may, second_may) = (CancellationToken::new(), CancellationToken::new());
    let waits = |gate: &CancellationToken| {
        let gate = gate.clone();
        move |_: Given, _: Context| {
            let gate = gate.clone();
            async move {
                gate.cancelled().await;
                Ok(())
            }
        }
    };
    let first = scene.run(impatient(&scene, "1"), waits(&first_may));
    until("both are begun", || (0..2).all(|at| !first.diary.begun(at).is_empty())).await;
    let second = scene.run(impatient(&scene, "2"), waits(&second_may));
    let moved = || (0..2).find(|at| !second.diary.begun(*at).is_empty());
    until("the second begins one of them", || moved().is_some()).await;
    let (moved, kept) = (moved().unwrap(), 1 - moved().unwrap());
    assert_eq!(second.diary.begun(moved), [(0, 1)], "exactly where the first had begun");

    first_may.cancel();
    scene.until_committed(&BTreeMap::from([(kept, 3)])).await;
    until("the first's comes late", || first.diary.too_late() == 1).await;
    // Another commit of the first's goes through, and does not carry the late one along.
    scene.fill([kept], 1).await;
    scene.until_committed(&BTreeMap::from([(kept, 4)])).await;
    assert_eq!(first.diary.committed(moved), [0; 0]);

    second_may.cancel();
    scene.until_committed(&BTreeMap::from([(kept, 4), (moved, 3)])).await;
    let (late, _) = (first.stop().await.handled_too_late, second.stop().await);
    assert_eq!(late, 1);
    scene.judge("1 acknowledgement too late, 0 offsets moved by it").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_acknowledgement_of_an_earlier_delivery_does_not_settle_the_later_one() {
    let scene = Scene::set("given-back", 2).await;
    scene.fill(0..2, 1).await;
    let (first_time, second_time) = (CancellationToken::new(), CancellationToken::new());
    let gates = [first_time.clone(), second_time.clone()];
    let calls: [Arc<AtomicU32>; 2] = Default::default();
    let counted = calls.clone();
    let first = scene.run(impatient(&scene, "1"), move |message: Given, _: Context| {
        let (partition, offset) = place(&message);
        let earlier = counted[usize::from(partition == 1)].fetch_add(1, Ordering::Relaxed);
        let gate = (offset == 0).then(|| gates[usize::from(0 < earlier)].clone());
        async move {
            if let Some(gate) = gate {
                gate.cancelled().await;
            }
            Ok(())
        }
    });
    until("both are begun", || (0..2).all(|at| !first.diary.begun(at).is_empty())).await;

    let brief = impatient(&scene, "2").shutdown_deadline(Duration::from_secs(2));
    let second = scene.run(brief, |_: Given, _: Context| std::future::pending());
    let moved = || (0..2).find(|at| !second.diary.begun(*at).is_empty());
    until("the second begins one of them", || moved().is_some()).await;
    let (moved, kept) = (moved().unwrap(), 1 - moved().unwrap());
    assert_eq!(second.stop().await.outstanding, 1);
    until("it is given back", || first.diary.begun(moved) == [(0, 1), (0, 1)]).await;

    first_time.cancel();
    until("the first delivery's comes late", || first.diary.too_late() == 1).await;
    scene.fill([kept], 1).await;
    scene.until_committed(&BTreeMap::from([(kept, 2)])).await;

    second_time.cancel();
    scene.until_committed(&BTreeMap::from([(kept, 2), (moved, 1)])).await;
    assert_eq!(first.diary.committed(moved), [1]);
    let report = first.stop().await;
    assert_eq!((report.handled, report.handled_too_late), (3, 1));
    let rest = scene.run(scene.member("3").exit_at_end(true), take);
    assert_eq!(rest.end().await.handled, 0);
    scene.judge("2 deliveries of one offset, the first's acknowledgement settled nothing").await;
}
