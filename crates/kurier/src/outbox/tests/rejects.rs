//! Messages that no broker took: what is shown of them, and that bringing them back loses none, whenever
//! the process that does it dies.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::Timestamp;
use uuid::Uuid;

use super::crashes::{Left, Witness};
use super::faults::faulty;
use super::*;
use crate::outbox::frame;

/// Leaves messages with these values, of which those that `rejects` names are put aside.
async fn leave(dir: &Path, values: &[String], rejects: impl IntoIterator<Item = u64>) {
    let used = Used::open(dir);
    let before = used.outbox.next().0;
    for value in values {
        used.send(value).await.unwrap();
    }
    for number in rejects {
        used.outbox.reject(Sequence(before + number), format!("refused {number}"));
    }
    used.end();
}

fn listed(rejects: &OutboxRejects) -> Vec<RejectedMessage> {
    let mut found = Vec::new();
    let each = rejects.each(|message| {
        found.push(message);
        ControlFlow::Continue(())
    });
    each.unwrap();
    found
}

fn tickets(rejects: &OutboxRejects) -> Vec<u64> {
    listed(rejects).into_iter().map(|message| message.ticket).collect()
}

fn aside(dir: &Path) -> u64 {
    OutboxStatus::read(dir).unwrap().rejected
}

fn values(dir: &Path) -> Vec<String> {
    let used = Used::open(dir);
    let values = used.values();
    used.end();
    values
}

#[tokio::test]
async fn what_was_put_aside_is_shown_with_its_topic_its_key_the_reason_and_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let before = Timestamp::now();
    leave(dir.path(), &numbers(4), [2, 1]).await;
    let found = listed(&OutboxRejects::of(dir.path()));
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first.ticket, second.ticket), (1, 2), "in the order of acceptance");
    assert_eq!((&*first.topic, first.key.as_deref()), ("orders", Some(&b"key"[..])));
    assert_eq!((&*first.error, first.value_bytes), ("refused 1", Some(9)));
    let at = first.rejected_at.unwrap();
    let soon = Timestamp::now() + Duration::from_millis(1);
    assert!(before.as_millisecond() <= at.as_millisecond() && at <= soon, "{at}");
    assert_eq!(aside(dir.path()), 2);
    let status = OutboxStatus::read(dir.path()).unwrap();
    assert_eq!(
        (status.undelivered, values(dir.path())),
        (2, vec![numbers(4).remove(0), "message 3".to_owned()])
    );
}

#[tokio::test]
async fn what_is_brought_back_stands_behind_what_is_there_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &numbers(5), [3, 0, 2]).await;
    let retried = OutboxRejects::of(dir.path()).retry().unwrap();
    assert_eq!((retried.messages, retried.no_room, retried.unreadable), (3, 0, 0));
    let expected = [1, 4, 0, 2, 3].map(|number| format!("message {number}"));
    assert_eq!(values(dir.path()), expected);
    assert_eq!(aside(dir.path()), 0);
    assert_eq!(files(dir.path(), "rejected-"), Vec::<PathBuf>::new(), "nothing is left of them");
    assert_eq!(OutboxRejects::of(dir.path()).retry().unwrap(), OutboxRetried::default());
}

/// Numbers begin anew with an empty outbox, so the order of two processes is that of their times.
#[tokio::test]
async fn what_an_earlier_process_put_aside_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let value = |text: &str| vec![text.to_owned()];
    for text in ["first", "second", "third"] {
        leave(dir.path(), &value(text), [0]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    OutboxRejects::of(dir.path()).retry().unwrap();
    assert_eq!(values(dir.path()), ["first", "second", "third"]);
}

#[tokio::test]
async fn only_what_is_meant_is_brought_back_or_discarded_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let all = || OutboxRejects::of(dir.path());
    let id = Uuid::from_u128(7);
    let used = Used::open(dir.path());
    for number in 0..6 {
        let headers = Headers::new();
        let mut entry = entry("value", &headers);
        entry.topic = if number % 2 == 0 { "even" } else { "odd" };
        entry.id = (number == 5).then_some(id);
        used.outbox.take(&entry, |_| ()).await.unwrap().await.unwrap();
        used.outbox.reject(Sequence(number), format!("reason {number}"));
    }
    used.end();
    assert_eq!(tickets(&all().topic("odd")), [1, 3, 5]);
    assert_eq!(tickets(&all().id(id)), [5]);
    assert_eq!(tickets(&all().error("n 3")), [3]);
    assert_eq!(tickets(&all().topic("even").at_most(2)), [0, 2]);
    assert_eq!(tickets(&all().topic("even").id(id)), [0; 0]);
    assert_eq!(all().topic("odd").at_most(2).retry().unwrap().messages, 2);
    assert_eq!((tickets(&all()), aside(dir.path())), (vec![0, 2, 4, 5], 4));
    assert_eq!(all().error("n 2").discard().unwrap(), 1);
    assert_eq!(tickets(&all()), [0, 4, 5]);
    assert_eq!(all().retry().unwrap().messages, 3);
    assert_eq!((aside(dir.path()), values(dir.path()).len()), (0, 5));
    assert_eq!(files(dir.path(), "rejected-"), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn nothing_is_brought_back_or_discarded_while_a_producer_has_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &numbers(1), [0]).await;
    let used = Used::open(dir.path());
    let rejects = OutboxRejects::of(dir.path());
    let holder = Some(std::process::id());
    let is_in_use =
        |error: OutboxError| matches!(error, OutboxError::InUse { holder: it, .. } if it == holder);
    assert!(is_in_use(rejects.retry().unwrap_err()));
    assert!(is_in_use(rejects.discard().unwrap_err()));
    assert_eq!(tickets(&rejects), [0], "and it is shown all the same");
    used.end();
    assert_eq!(rejects.retry().unwrap().messages, 1);
    let nowhere = OutboxRejects::of(dir.path().join("nowhere"));
    assert!(matches!(nowhere.retry(), Err(OutboxError::NoOutbox { .. })));
    assert!(!dir.path().join("nowhere").exists());
}

#[tokio::test]
async fn what_has_no_room_in_the_outbox_stays_aside() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &numbers(6), 0..6).await;
    // Each is some 50 bytes.
    let small = OutboxConfig::from(dir.path()).bytes_max(32 + 3 * 70);
    let retried = OutboxRejects::of(small).retry().unwrap();
    assert!(0 < retried.messages && retried.messages < 6, "{retried:?}");
    assert_eq!(retried.messages + retried.no_room, 6);
    assert_eq!(aside(dir.path()), retried.no_room);
    let used = Used::open(dir.path());
    let (sequences, in_line): (Vec<u64>, Vec<String>) = used.undelivered().into_iter().unzip();
    assert_eq!(in_line, numbers(retried.messages));
    used.deliver(sequences);
    used.end();
    assert_eq!(OutboxRejects::of(dir.path()).retry().unwrap().messages, retried.no_room);
    assert_eq!(values(dir.path()), numbers(6).split_off(retried.messages as usize));
}

fn large(count: u64) -> Vec<String> {
    numbers(count).into_iter().map(|value| value + &" ".repeat(300_000)).collect()
}

/// Of several pieces, and beside messages that are to be sent first.
#[tokio::test]
async fn whoever_dies_while_bringing_back_loses_none_and_doubles_at_most_a_piece() {
    let dir = tempfile::tempdir().unwrap();
    let all = large(9);
    leave(dir.path(), &all, 1..9).await;
    let (witness, disk) = Witness::of(dir.path());
    let rejects = OutboxRejects::of(dir.path());
    assert_eq!(rejects.retry_on(&disk).unwrap().messages, 8);
    let left = std::mem::take(&mut *witness.left.lock().unwrap());
    assert!(20 < left.len(), "{}", left.len());
    let mut doubled = 0;
    for Left { after, dir, .. } in &left {
        OutboxRejects::of(dir.path()).retry().unwrap();
        let found = values(dir.path());
        let mut times = BTreeMap::new();
        let mut order: Vec<&String> = Vec::new();
        for value in &found {
            let seen = times.entry(value).or_insert(0);
            *seen += 1;
            if *seen == 1 {
                order.push(value);
            }
        }
        assert!(order.into_iter().eq(&all), "{after}");
        assert!(times.values().all(|times| *times <= 2), "{after}");
        doubled = doubled.max(times.values().filter(|times| **times == 2).count());
        assert_eq!(aside(dir.path()), 0, "{after}");
    }
    assert_eq!(doubled, 4, "a piece was in both places");
}

/// What the order of the two is for.
#[tokio::test]
async fn control_settled_before_it_is_in_line_it_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &numbers(3), [1]).await;
    let rejected = files(dir.path(), "rejected-").remove(0);
    let salt = rejected.file_name().unwrap().to_str().unwrap().strip_prefix("rejected-").unwrap();
    let salt = frame::Salt(u64::from_str_radix(salt, 16).unwrap());
    let settled = marks::written(&[Sequence(1)..Sequence(2)], salt);
    std::fs::write(rejected.with_extension("settled"), settled).unwrap();
    // Here it dies.
    assert_eq!(OutboxRejects::of(dir.path()).retry().unwrap().messages, 0);
    assert!(!values(dir.path()).contains(&numbers(2)[1]));
}

/// A write that failed half-way, and was made again, hides nothing and leaves nothing.
#[tokio::test]
async fn what_is_put_aside_while_the_disk_is_full_is_there_once_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, disk) = faulty();
    let used = Used::on(disk, &OutboxConfig::from(dir.path()));
    for value in numbers(3) {
        used.send(&value).await.unwrap();
    }
    *faults.room.lock().unwrap() = Some(100);
    (0..3).for_each(|number| used.outbox.reject(Sequence(number), "refused".to_owned()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(OutboxStatus::read(dir.path()).unwrap().undelivered, 3);
    *faults.room.lock().unwrap() = None;
    within("room", used.outbox.until(|outbox| outbox.undelivered_before(Sequence(3)) == 0)).await;
    used.end();
    assert_eq!(tickets(&OutboxRejects::of(dir.path())), [0, 1, 2]);
}

#[tokio::test]
async fn a_half_written_frame_between_two_hides_neither() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &numbers(3), 0..3).await;
    let rejected = files(dir.path(), "rejected-").remove(0);
    let whole = std::fs::read(&rejected).unwrap();
    let frame = whole.len() / 3;
    for half in 1..frame {
        let bytes = [&whole[..frame + half], &whole[frame..], &whole[..half]].concat();
        std::fs::write(&rejected, bytes).unwrap();
        assert_eq!(tickets(&OutboxRejects::of(dir.path())), [0, 1, 2], "{half}");
        assert_eq!(aside(dir.path()), 3, "{half}");
    }
}

/// The process that wrote the marks died, and the next one went on behind them.
#[tokio::test]
async fn a_half_written_mark_hides_none_behind_it() {
    for half in 1..28 {
        let dir = tempfile::tempdir().unwrap();
        leave(dir.path(), &numbers(3), 0..3).await;
        let first = || OutboxRejects::of(dir.path()).at_most(1).retry().unwrap().messages;
        assert_eq!(first(), 1);
        let settled = files(dir.path(), ".settled").remove(0);
        let marks = std::fs::read(&settled).unwrap();
        std::fs::write(&settled, [&marks[..], &marks[..half]].concat()).unwrap();
        assert_eq!(first(), 1);
        assert_eq!(tickets(&OutboxRejects::of(dir.path())), [2], "{half}");
    }
}

/// Bytes that can't be read may be looked into by somebody.
#[tokio::test]
async fn a_file_with_damage_stays_when_all_that_can_be_read_in_it_is_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &numbers(3), 0..3).await;
    let rejected = files(dir.path(), "rejected-").remove(0);
    let mut bytes = std::fs::read(&rejected).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&rejected, bytes).unwrap();
    assert_eq!(OutboxRejects::of(dir.path()).retry().unwrap().messages, 2);
    assert_eq!(values(dir.path()), ["message 0", "message 2"]);
    assert!(rejected.exists());
    assert_eq!(OutboxRejects::of(dir.path()).retry().unwrap().messages, 0);
}

/// The first versions did not write down the time.
#[tokio::test]
async fn files_without_times_are_read() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &[], []).await;
    let headers = Headers::new();
    let salt = frame::Salt(9);
    let mut frames = Vec::new();
    for (number, value) in (0..).zip(&numbers(2)) {
        frame::push(&mut frames, salt, Sequence(number), |out| {
            out.extend_from_slice(&7_u32.to_le_bytes());
            out.extend_from_slice(b"refused");
            entry(value, &headers).write(None, out);
        });
    }
    std::fs::write(dir.path().join("rejected-0000000000000009"), frames).unwrap();
    let found = listed(&OutboxRejects::of(dir.path()));
    assert!(
        found.iter().all(|one| one.rejected_at.is_none() && one.error == "refused"),
        "{found:?}"
    );
    OutboxRejects::of(dir.path()).retry().unwrap();
    assert_eq!(values(dir.path()), numbers(2));
}
