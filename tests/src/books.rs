//! The books of a run: kurier's ledger, fed from many tasks, and its judgement.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use kurier::{
    ConsumerEvent, Content, FailedDelivery, Fingerprint, Instance, Judgement, Ledger, Message,
    OffenceKind, Offset, Outcome, PartitionId, Position, Received, Seen, TopicPartition,
};
use serde_json::Value;
use uuid::Uuid;

use crate::evidence;
use crate::samples::{Committed, Samples};

/// A ledger, its clock, and what outsiders' words have to wait for.
#[derive(Debug)]
pub struct Books {
    state: Mutex<State>,
    begun: Instant,
    scenario: String,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    /// Groups of which an instance tells its events.
    told: HashSet<String>,
    samples: Samples,
}

impl Books {
    /// Empty books for a run that these groups are to handle. Evidence is kept under the name of the
    /// test, where its thread has it, else of the caller's file.
    #[track_caller]
    pub fn new(groups: &[&str]) -> Self {
        Self::named(&evidence::scenario(std::panic::Location::caller()), groups)
    }

    /// The same, with a name for the evidence.
    pub fn named(scenario: &str, groups: &[&str]) -> Self {
        let ledger = Ledger::new(groups.iter().copied());
        let state = State { ledger, told: HashSet::new(), samples: Samples::default() };
        Self { state: Mutex::new(state), begun: Instant::now(), scenario: scenario.to_owned() }
    }

    /// The message is about to be sent. What is seen of it later is compared with it.
    ///
    /// # Errors
    /// When it has no JSON.
    pub fn intended<T: Content>(&self, message: &Message<T>) -> anyhow::Result<()> {
        let (key, json) = (message.key(), message.to_json()?);
        let content = Fingerprint::of(key.map(|key| &key[..]), Some(json.as_bytes()));
        let key = key.cloned().unwrap_or_default();
        self.with(|state, at| state.ledger.intended(message.id(), &key, Some(content), at));
        Ok(())
    }

    /// The producer has taken it.
    pub fn sent(&self, id: Uuid) {
        self.with(|state, at| state.ledger.accepted(id, at));
    }

    /// The producer has not taken it.
    pub fn refused(&self, id: Uuid) {
        self.with(|state, at| state.ledger.refused(id, at));
    }

    /// A message of which only id and key are known is sent: [`intended`](Self::intended) and
    /// [`sent`](Self::sent) in one. To be entered before it is sent.
    pub fn accepted(&self, id: Uuid, key: &Bytes) {
        self.with(|state, at| {
            state.ledger.intended(id, key, None, at);
            state.ledger.accepted(id, at);
        });
    }

    /// Its delivery ended.
    pub fn settled(&self, id: Uuid, outcome: &Outcome) {
        self.with(|state, at| match outcome {
            Ok(receipt) => {
                let partition =
                    || TopicPartition::new(Arc::clone(&receipt.topic), receipt.partition);
                let place = receipt.offset.map(|offset| Position::new(partition(), offset));
                state.ledger.delivered(id, place.as_ref(), at);
            }
            Err(error) => state.ledger.failed(id, FailedDelivery::from(error), at),
        });
    }

    /// The listener of one in-process instance, for
    /// [`ConsumerBuilder::on_event`](kurier::ConsumerBuilder::on_event): enters what it is assigned,
    /// begins, handles and commits. The handler should call [`received`](Self::received) too, which then
    /// compares what it was given with what was sent.
    pub fn listener(
        self: &Arc<Self>,
        group: &str,
        instance: &str,
    ) -> impl Fn(&ConsumerEvent) + Send + Sync + 'static {
        let (books, group, instance) = (Arc::clone(self), group.to_owned(), instance.to_owned());
        books.with(|state, _| state.told.insert(group.clone()));
        move |event| {
            let by = Instance::inside(&group, &instance);
            books.with(|state, at| state.ledger.saw(by, event, at));
        }
    }

    /// A group's handler was given it. In a group of which an instance has a
    /// [`listener`](Self::listener), that says what was handled; in another it counts as handled.
    pub fn received<T>(&self, group: &str, received: &Received<Message<T>>) {
        let id = received.value().map(Message::id);
        let seen = Seen::record(received.record(), id);
        self.with(|state, at| {
            if state.told.contains(group) {
                state.ledger.given(&seen);
            } else {
                state.ledger.handled(Instance::inside(group, ""), &seen, at);
            }
        });
    }

    /// A group handled it.
    pub fn handled(&self, group: &str, id: Uuid) {
        self.with(|state, at| state.ledger.handled(Instance::inside(group, ""), &id.into(), at));
    }

    /// An instance that is not kurier's has committed; `next` is the next offset to read.
    pub fn committed(&self, group: &str, instance: &str, partition: &TopicPartition, next: Offset) {
        self.with(|state, at| {
            let by = Instance::inside(group, instance);
            state.ledger.committed(by, partition, next, at);
        });
    }

    /// A `kurier consume -o json` of this group begins. Samples of the group's commits wait for it from
    /// now on, see [`sampled`](Self::sampled).
    pub fn prints(&self, group: &str, instance: &str) {
        self.with(|state, _| state.samples.begins(group, instance));
    }

    /// It printed this line, so it handled that message. Each process's lines in their order.
    ///
    /// # Errors
    /// When the line is none of `kurier consume`'s.
    pub fn printed(&self, group: &str, instance: &str, line: &Value) -> anyhow::Result<()> {
        let seen = seen(line)?;
        self.with(|state, at| {
            state.ledger.handled(Instance::outside(group, instance), &seen, at);
            let sent = seen.id.and_then(|id| state.ledger.intent(id));
            let ready = state.samples.printed(group, instance, sent);
            state.enter_samples(group, ready, at);
        });
        Ok(())
    }

    /// It has ended, and all its lines are entered.
    pub fn ended(&self, group: &str, instance: &str) {
        self.with(|state, at| {
            let ready = state.samples.ended(group, instance);
            state.enter_samples(group, ready, at);
        });
    }

    /// These offsets of a group of processes were just read from Kafka. What a process printed before it
    /// committed may still lie in its pipe, so they are entered when every process has printed a message
    /// that was sent after this call, or has ended: its lines come in order, so all it had printed is
    /// entered by then.
    pub fn sampled(&self, group: &str, committed: Committed) {
        self.with(|state, at| {
            let ready = state.samples.sampled(group, state.ledger.events(), committed);
            state.enter_samples(group, ready, at);
        });
    }

    /// The group begins there and owes nothing before it, as one that reads from the latest.
    pub fn begins_at(&self, group: &str, topic: &str, partition: PartitionId, offset: Offset) {
        let position = Position::new(TopicPartition::new(topic, partition), offset);
        self.with(|state, _| state.ledger.begins_at(group, &position));
    }

    /// Something that explains what is near it in the evidence: "node 2 is killed".
    pub fn note(&self, text: &str) {
        self.with(|state, at| state.ledger.note(text, at));
    }

    /// Everything that the topic holds; [`audit::enter`](crate::audit::enter) reads it.
    pub fn audited(&self, topic: &str, records: impl IntoIterator<Item = Seen>) {
        self.with(|state, at| state.ledger.audited(topic, records, at));
    }

    /// Accepted, delivered, under way.
    pub fn counts(&self) -> (u64, u64, u64) {
        self.with(|state, _| state.ledger.counts())
    }

    /// How many different messages the group handled.
    pub fn handled_by(&self, group: &str) -> u64 {
        self.with(|state, _| state.ledger.handled_by(group))
    }

    /// True when every acknowledged message was handled by every group and none is under way.
    pub fn is_complete(&self) -> bool {
        self.with(|state, _| state.ledger.is_complete())
    }

    /// The judgement.
    pub fn judge(&self) -> Judgement {
        self.with(|state, at| state.ledger.judge(at))
    }

    /// Keeps the evidence and tells the offenders, unless the judgement holds.
    ///
    /// # Panics
    /// When it does not hold.
    #[track_caller]
    pub fn expect_holds(&self, judgement: &Judgement) {
        self.expect_holds_but_for(judgement, &[]);
    }

    /// The same, where some kinds are allowed.
    ///
    /// # Panics
    /// When it does not hold.
    #[track_caller]
    pub fn expect_holds_but_for(&self, judgement: &Judgement, allowed: &[OffenceKind]) {
        if judgement.holds_but_for(allowed) {
            return;
        }
        let account = self.with(|state, _| state.ledger.account(judgement));
        let kept = self.keep_evidence(judgement);
        eprintln!("{account}\nevidence: {kept:?}");
        let broken: Vec<OffenceKind> = judgement.broken().collect();
        panic!("{} does not hold: {broken:?}", self.scenario);
    }

    /// Writes all events, the judgement and its account into a folder of the scenario's and the
    /// cluster's name under `target/evidence`, which it returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_evidence(&self, judgement: &Judgement) -> anyhow::Result<PathBuf> {
        self.with(|state, _| evidence::keep(&self.scenario, &state.ledger, judgement))
    }

    fn with<T>(&self, write: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that times go the way events go.
        write(&mut state, self.begun.elapsed())
    }
}

impl State {
    fn enter_samples(&mut self, group: &str, ready: Vec<Committed>, at: Duration) {
        let by = Instance::outside(group, "as sampled");
        for (partition, next) in ready.into_iter().flatten() {
            self.ledger.committed(by, &partition, next, at);
        }
    }
}

/// What a line of `kurier consume -o json` says: topic, partition, offset, and the message's id unless
/// it was read as something else.
fn seen(line: &Value) -> anyhow::Result<Seen> {
    let what = || format!("not a line of kurier consume: {line}");
    let topic = line["topic"].as_str().with_context(what)?;
    let partition = PartitionId(i32::try_from(line["partition"].as_i64().with_context(what)?)?);
    let offset = Offset(line["offset"].as_i64().with_context(what)?);
    let id = line["message"]["id"].as_str().map(str::parse).transpose()?;
    let position = Position::new(TopicPartition::new(topic, partition), offset);
    Ok(Seen { id, position: Some(position), content: None })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use kurier::{Receipt, Record};
    use serde_json::json;

    use super::*;

    /// Sends a message and has it acknowledged at `offset`; returns what `kurier consume` prints of it.
    fn send(books: &Books, offset: i64) -> Value {
        let message = Message::new("content").unwrap().with_key(format!("{offset}"));
        books.intended(&message).unwrap();
        books.sent(message.id());
        let (topic, partition) = ("t".into(), PartitionId(0));
        let offset = Offset(offset);
        let receipt = Receipt { topic, partition, offset: Some(offset), timestamp: None };
        books.settled(message.id(), &Ok(receipt));
        json!({"topic": "t", "partition": 0, "offset": offset.0, "message": {"id": message.id()}})
    }

    fn committed(next: i64) -> Committed {
        [(TopicPartition::new("t", PartitionId(0)), Offset(next))].into()
    }

    #[test]
    fn a_commit_sampled_before_the_line_came_through_the_pipe_is_not_ahead() {
        let books = Books::named("late line", &["g"]);
        books.prints("g", "1");
        let first = send(&books, 0);
        books.sampled("g", committed(1));
        let second = send(&books, 1);
        assert_eq!(books.judge().groups[0].commits, 0, "it waits");
        books.printed("g", "1", &first).unwrap();
        books.printed("g", "1", &second).unwrap();
        let judgement = books.judge();
        assert_eq!(judgement.groups[0].commits, 1);
        assert!(judgement.holds(), "{judgement}");
    }

    #[test]
    fn a_commit_of_what_a_process_prints_later_is_ahead() {
        let books = Books::named("early commit", &["g"]);
        books.prints("g", "1");
        let first = send(&books, 0);
        books.sampled("g", committed(1));
        let second = send(&books, 1);
        books.printed("g", "1", &second).unwrap();
        books.printed("g", "1", &first).unwrap();
        let broken: Vec<OffenceKind> = books.judge().broken().collect();
        assert_eq!(broken, [OffenceKind::CommitAhead]);
    }

    #[test]
    fn a_judgement_that_does_not_hold_panics_and_leaves_its_evidence() {
        let books = Books::named("evidence of a test", &["g"]);
        send(&books, 0);
        let judgement = books.judge();
        let expecting = || books.expect_holds(&judgement);
        let panicked = catch_unwind(AssertUnwindSafe(expecting)).unwrap_err();
        let said = panicked.downcast_ref::<String>().unwrap();
        assert!(said.contains("evidence of a test does not hold: [Lost]"), "{said}");
        books.expect_holds_but_for(&judgement, &[OffenceKind::Lost]);

        let folder = books.keep_evidence(&judgement).unwrap();
        let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("events.ndjson").lines().count(), 3);
        assert!(read("account.txt").contains("acknowledged, and never handled"));
        let kept: Value = serde_json::from_str(&read("judgement.json")).unwrap();
        assert_eq!(kept["groups"][0]["lost"], 1);
    }

    #[test]
    fn what_is_received_beside_a_listener_is_not_handled_twice() {
        let books = Arc::new(Books::named("listener", &["g"]));
        let line = send(&books, 0);
        let partition = TopicPartition::new("t", PartitionId(0));
        let id: Uuid = serde_json::from_value(line["message"]["id"].clone()).unwrap();
        let message = Message::new("content").unwrap().with_id(id);
        let listener = books.listener("g", "1");
        let record = Record::new("t", PartitionId(0), Offset(0)).with_value(vec![1]);
        books.received("g", &Received::new(record, Some(message)));
        assert_eq!(books.handled_by("g"), 0);
        listener(&ConsumerEvent::Handled { partition, offset: Offset(0), attempt: 1 });
        let judgement = books.judge();
        assert_eq!((books.handled_by("g"), judgement.groups[0].duplicates), (1, 0));
        assert_eq!(judgement.corrupt, 1, "it was given something else");
    }
}
