//! How full it is, and how old what is in it, also after a restart.

use jiff::Timestamp;

use super::super::depth::Depth;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// What it says in an hour.
fn in_an_hour(used: &Used) -> Depth {
    used.outbox.shared.depth(Timestamp::now() + HOUR)
}

#[tokio::test]
async fn depth_and_age_are_those_of_what_is_undelivered_and_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    let empty = in_an_hour(&used);
    assert_eq!((empty.undelivered, empty.oldest, empty.put_aside), (0, None, 0));
    let before = Timestamp::now();
    for value in numbers(3) {
        used.send(&value).await.unwrap();
    }
    used.deliver([1]);
    let full = in_an_hour(&used);
    let on_disk = std::fs::metadata(&files(dir.path(), ".segment")[0]).unwrap().len();
    assert!(on_disk <= full.bytes && full.bytes < full.bytes_max);
    used.end();
    let again = Used::open(dir.path());
    for depth in [full, in_an_hour(&again)] {
        let since = Duration::try_from(Timestamp::now().duration_since(before)).unwrap();
        let age = depth.oldest.unwrap();
        // On disk it is in milliseconds.
        let most = HOUR + since + Duration::from_millis(1);
        assert!(HOUR <= age && age <= most, "{age:?}");
    }
    assert_eq!((full.undelivered, in_an_hour(&again).undelivered), (2, 2));
    again.deliver([0, 2]);
    let drained = in_an_hour(&again);
    assert_eq!((drained.undelivered, drained.oldest), (0, None));
}

#[tokio::test]
async fn what_is_put_aside_is_counted_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    let sequence = used.send("nobody takes it").await.unwrap();
    used.outbox.reject(sequence, "too large".to_owned());
    within("put aside", used.outbox.until(|outbox| outbox.undelivered_before(outbox.next()) == 0))
        .await;
    assert_eq!(in_an_hour(&used).put_aside, 1);
    used.end();
    assert_eq!(in_an_hour(&Used::open(dir.path())).put_aside, 1);
}
