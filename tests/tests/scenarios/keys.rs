//! Many keys of a partition at once: each in its order, none held up by another, and nothing committed
//! past a message that is not handled.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kurier::{
    Concurrency, ConsumerBuilder, Context, Ended, Failure, MessageDecoder, OffenceKind, RawDecoder,
    Received, RetryPolicy, Single, SingleMessageConsumer,
};
use kurier_tests::cluster::{cluster, create_topic};
use kurier_tests::keyed::{Reader, Toll, readers_are_killed};
use kurier_tests::random::Random;
use kurier_tests::scene::{Answer, Given, Scene, place};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio_util::sync::CancellationToken;

use crate::{until, within};

/// A partition's messages are not in order here, those of a key are.
const OF_THE_PARTITION: [OffenceKind; 2] = [OffenceKind::Skipped, OffenceKind::WentBack];

fn keyed(scene: &Scene, name: &str, calls: usize) -> ConsumerBuilder<Single, MessageDecoder> {
    scene.member(name).concurrency(Concurrency::PerKey(calls))
}

/// Who is at work.
#[derive(Debug, Default)]
struct Floor {
    at_work: Mutex<BTreeSet<(i32, Option<Bytes>)>>,
    most: AtomicUsize,
}

impl Floor {
    /// Of one key one message at a time.
    fn enter(&self, message: &Given) {
        let key = (message.partition().0, message.key().cloned());
        let (alone, now) = {
            let mut at_work = self.at_work.lock().unwrap();
            (at_work.insert(key.clone()), at_work.len())
        };
        self.most.fetch_max(now, Ordering::Relaxed);
        assert!(alone, "two of {key:?} at once");
    }

    fn leave(&self, message: &Given) {
        self.at_work.lock().unwrap().remove(&(message.partition().0, message.key().cloned()));
    }
}

/// What a handler comes to.
type Handling = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Takes a random time, up to so long.
fn at_random(
    floor: &Arc<Floor>,
    longest: Duration,
) -> impl Fn(Given, Context) -> Handling + Send + Sync + 'static {
    let floor = Arc::clone(floor);
    move |message, _| {
        let floor = Arc::clone(&floor);
        Box::pin(async move {
            floor.enter(&message);
            let (partition, offset) = place(&message);
            let seed = u64::from(partition.unsigned_abs()) << 40 | offset.unsigned_abs();
            let longest = u64::try_from(longest.as_micros()).unwrap();
            tokio::time::sleep(Duration::from_micros(Random::new(seed).below(longest))).await;
            floor.leave(&message);
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_keys_are_handled_many_at_once_and_each_in_its_order() {
    const CALLS: usize = 64;
    let scene = Scene::set("thousand-keys", 4).await;
    scene.fill_keys(0..4, 2_000, 1_000).await;
    let floor = Arc::<Floor>::default();
    let builder = keyed(&scene, "1", CALLS).exit_at_end(true);
    let member = scene.run(builder, at_random(&floor, Duration::from_millis(10)));
    let diary = member.diary.clone();
    let report = member.end().await;
    assert_eq!((report.handled, report.retried, report.ended), (8_000, 0, Ended::AtEnd));
    let most = floor.most.load(Ordering::Relaxed);
    assert_eq!(most, CALLS, "so many at once");
    let overtaken = |number| !diary.handled(number).is_sorted();
    assert!((0..4).all(overtaken), "keys ran past each other");
    assert_eq!(scene.committed().await, (0..4).map(|number| (number, 2_000)).collect());
    let figures = format!("8000 messages of 1000 keys, {most} at once");
    scene.judge_but_for(&OF_THE_PARTITION, &figures).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_fails_holds_the_commit_and_nothing_else() {
    let scene = Scene::set("a-key-fails", 1).await;
    scene.fill_keys([0], 200, 20).await;
    // The third of key 3, again and again until all others are done.
    const FAILS: i64 = 43;
    let done = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&done);
    let behind = 7;
    let ever = RetryPolicy::exponential(100_000, Duration::ZERO..=Duration::ZERO);
    let builder = keyed(&scene, "1", 4).retry(&ever);
    let first = scene.run(builder, move |message: Given, _: Context| {
        let failed = message.offset().0 == FAILS;
        if !failed {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        async move {
            if failed {
                return Err(Failure::retry_after(Duration::from_millis(50), "not yet"));
            }
            Ok(())
        }
    });
    // All but this one, and those of its key behind it.
    until("all others", || done.load(Ordering::Relaxed) == 200 - 1 - behind).await;
    scene.until_committed(&BTreeMap::from([(0, FAILS)])).await;
    let diary = first.diary.clone();
    let report = first.stop().await;
    assert_eq!(report.stopped, []);
    assert!(diary.committed(0).iter().all(|position| *position <= FAILS), "at no moment beyond it");

    let floor = Arc::<Floor>::default();
    let again = at_random(&floor, Duration::from_millis(1));
    let second = scene.run(keyed(&scene, "2", 4).exit_at_end(true), again);
    let diary = second.diary.clone();
    second.end().await;
    assert_eq!(diary.handled(0).len(), usize::try_from(200 - FAILS).unwrap(), "from it on");
    scene.judge_but_for(&OF_THE_PARTITION, "one key failed, 192 others were handled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_can_not_be_handled_stops_its_partition_and_is_not_passed_by_a_commit() {
    let scene = Scene::set("a-key-is-poison", 2).await;
    scene.fill_keys(0..2, 300, 30).await;
    let builder = keyed(&scene, "1", 8).exit_at_end(true);
    let first = scene.run(builder, |message: Given, _: Context| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        match place(&message) {
            (0, 100) => Err(Failure::reject("not this one")),
            _ => Ok(()),
        }
    });
    let diary = first.diary.clone();
    let report = first.end().await;
    assert_eq!(report.stopped.iter().map(|it| it.offset.0).collect::<Vec<_>>(), [100]);
    assert_eq!((report.outstanding, diary.handled(1).len()), (0, 300));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 100), (1, 300)]));
    let past = diary.handled(0).iter().filter(|offset| 100 < **offset).count();
    let second = scene.run(keyed(&scene, "2", 8).exit_at_end(true), kurier_tests::scene::take);
    second.end().await;
    let figures = format!("stopped at 100, {past} handled behind it came again");
    scene.judge_but_for(&OF_THE_PARTITION, &figures).await;
}

/// Under load one member stays while others come and go.
async fn members_come_and_go(strategy: &str) {
    let group = format!("keys-move-{strategy}");
    let scene = Scene::set(&group, 6).await;
    let floors = [Arc::<Floor>::default(), Arc::<Floor>::default()];
    let member = |name: &str, floor: &Arc<Floor>| {
        let builder = keyed(&scene, name, 32).property("partition.assignment.strategy", strategy);
        scene.run(builder, at_random(floor, Duration::from_millis(20)))
    };
    let steady = member("steady", &floors[0]);
    let (mut sent, mut moved) = (0, 0);
    for turn in 0..3 {
        let has_all = || steady.diary.owned().is_some_and(|owned| owned.len() == 6);
        until("one has all", has_all).await;
        let guest = member(&format!("guest-{turn}"), &floors[1]);
        let works = || {
            let owned = guest.diary.owned().unwrap_or_default();
            owned.iter().any(|at| 20 < guest.diary.handled(*at).len())
        };
        within("the guest at work", async {
            while !works() {
                scene.fill_keys(0..6, 20, 7).await;
                sent += 6 * 20;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        moved += guest.diary.owned().unwrap().len();
        let report = guest.stop().await;
        assert_eq!((report.outstanding, report.uncommitted.len()), (0, 0));
    }
    until("everything is handled", || scene.books.handled_by(&scene.group) == sent).await;
    let taken = steady.diary.taken_away();
    let report = steady.stop().await;
    let left = (report.stopped.len(), report.outstanding, report.handled_too_late);
    assert_eq!((left, report.retried), ((0, 0, 0), 0));
    assert!(3 <= taken, "partitions moved while at work");
    let figures = format!("{strategy}: {moved} partitions moved while keys were at work");
    scene.judge_but_for(&OF_THE_PARTITION, &figures).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_while_keys_are_at_work_a_few_at_a_time() {
    members_come_and_go("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_while_keys_are_at_work_all_at_once() {
    members_come_and_go("range").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_in_two_topics_shares_nothing_and_messages_without_a_key_keep_their_order() {
    const EACH: usize = 60;
    let cluster = cluster().await.unwrap();
    let topics = ["left", "right"];
    for topic in topics {
        create_topic(&*cluster, topic, 1).await.unwrap();
    }
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for number in 0..EACH {
        for topic in topics {
            let value = number.to_string();
            let record = BaseRecord::to(topic).partition(0).payload(&value);
            // Half of them have one key, which is the same in both; the others have none.
            let record = if number.is_multiple_of(2) { record.key("a") } else { record };
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let done = Arc::<Mutex<HashMap<(String, bool), Vec<i64>>>>::default();
    let (noted, free) = (Arc::clone(&done), CancellationToken::new());
    let waits = free.clone();
    let handler = move |message: Arc<Received<Bytes>>, _: Context| {
        let (noted, waits) = (Arc::clone(&noted), waits.clone());
        async move {
            let (topic, has_key) = (message.topic().to_owned(), message.key().is_some());
            if topic == "left" && has_key {
                // The key hangs in one topic from its first message on.
                waits.cancelled().await;
            }
            tokio::time::sleep(Duration::from_millis(message.offset().0.unsigned_abs() % 4)).await;
            let offset = message.offset().0;
            noted.lock().unwrap().entry((topic, has_key)).or_default().push(offset);
            Ok::<(), Failure>(())
        }
    };
    let run = SingleMessageConsumer::builder(cluster.bootstrap(), topics)
        .group("two-topics")
        .decoder(RawDecoder)
        .concurrency(Concurrency::PerKey(16))
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let run = tokio::spawn(run);
    let count = |topic: &str, has_key| {
        done.lock().unwrap().get(&(topic.to_owned(), has_key)).map_or(0, Vec::len)
    };
    let others =
        || count("right", true) + count("right", false) + count("left", false) == EACH + EACH / 2;
    until("all but one key of one topic", others).await;
    assert_eq!(count("left", true), 0);
    free.cancel();
    let report = within("the end", run).await.unwrap().unwrap();
    assert_eq!(report.handled, 2 * EACH as u64);
    for (of, offsets) in done.lock().unwrap().iter() {
        assert!(offsets.is_sorted() && offsets.len() == EACH / 2, "{of:?}: {offsets:?}");
    }
}

fn reader() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_keyed-reader"))
}

/// Few of the hundred that `--test long` kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_not_handled_comes_again_though_keys_ran_past_it() {
    let toll = readers_are_killed(reader(), "keys-killed", Reader::Kurier, 0..6).await;
    eprintln!("6 kills: {toll:?}");
    let Toll { lost, below_the_position, out_of_order, overtaken, .. } = toll;
    assert_eq!((lost, below_the_position, out_of_order), (0, 0, 0));
    assert!(0 < overtaken, "keys ran past each other, so this shows something");
}

/// The control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_commit_past_the_highest_that_is_handled_loses_what_it_passed() {
    // Whether a kill meets a commit that is too far is chance.
    for seeds in [0..6, 6..12, 12..18] {
        let kills = format!("control, kills {seeds:?}");
        let toll =
            readers_are_killed(reader(), "highest-killed", Reader::CommitsTheHighest, seeds).await;
        eprintln!("{kills}: {toll:?}");
        if 0 < toll.lost {
            return;
        }
    }
    panic!("this suite sees no commit that is too far");
}
