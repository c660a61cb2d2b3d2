//! What a ledger is told, and what it notes of it. Nothing is judged here.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::entry::{Attempt, Entry, MemberNo, MessageNo, PartitionNo, Place, Seq, What};
use super::messages::{Fate, Standing};
use super::told::{FailedDelivery, Fingerprint, Instance, Seen};
use super::{Found, How, Ledger, Wrong};
use crate::{ConsumerEvent, Offset, Position, TopicPartition};

impl Ledger {
    /// Message `id` of `key` is about to be sent; to be told before it is, since its acknowledgement may
    /// come before `send` returns. The calls' order is the order that the key's messages must keep. With
    /// `content`, the [`Fingerprint`] of key and value, what is seen later is compared with it. A second
    /// call for the same id is ignored.
    pub fn intended(&mut self, id: Uuid, key: &Bytes, content: Option<Fingerprint>, at: Duration) {
        let turn = Seq::new(self.entries.len());
        if let Some(number) = self.messages.intend(id, key, content, turn) {
            self.enter(What::Intended(number), at);
        }
    }

    /// The producer accepted the message.
    pub fn accepted(&mut self, id: Uuid, at: Duration) {
        let Some(number) = self.messages.find(id) else { return };
        self.enter(What::Accepted(number), at);
        // Its acknowledgement may have been faster.
        if self.messages[number].fate == Fate::Intended {
            self.messages.set_fate(number, Fate::UnderWay);
            self.tally.accepted += 1;
            self.tally.under_way += 1;
            self.acknowledging.wait(at);
        }
    }

    /// The producer refused the message, so that it is certainly not written.
    pub fn refused(&mut self, id: Uuid, at: Duration) {
        if let Some(number) = self.open(id) {
            self.settle(number, Fate::Refused, at);
            self.enter(What::Refused(number), at);
        }
    }

    /// Kafka acknowledged the message at `place`, when it named one (a duplicate sequence answer names
    /// no offset). Of several outcomes only the first counts.
    pub fn delivered(&mut self, id: Uuid, place: Option<&Position>, at: Duration) {
        let Some(number) = self.open(id) else { return };
        let place = place.map(|position| self.names.place(position));
        if let Some(place) = place {
            self.messages.set_acknowledged(number, place);
            // Before it counts as delivered: a group may have handled what stands there.
            self.stands_at(number, place);
        }
        self.settle(number, Fate::Delivered, at);
        for group in &mut self.groups {
            group.delivered(number, &self.messages, at);
        }
        self.enter(What::Delivered(number, place), at);
    }

    /// The delivery of the message failed and its sender was told.
    pub fn failed(&mut self, id: Uuid, how: FailedDelivery, at: Duration) {
        if let Some(number) = self.open(id) {
            self.settle(number, Fate::Failed(how), at);
            self.enter(What::Failed(number, how), at);
        }
    }

    /// What a running consumer tells; those of its events that the ledger has no use for are ignored.
    pub fn saw(&mut self, by: Instance<'_>, event: &ConsumerEvent, at: Duration) {
        match event {
            ConsumerEvent::Assigned { partitions, .. } => self.assigned(by, partitions, at),
            ConsumerEvent::Revoked { partitions, .. } => self.revoked(by, partitions, at),
            ConsumerEvent::Lost { partitions, .. } => {
                self.turned(by, partitions, at, What::Lost);
            }
            ConsumerEvent::HandlingStarted { partition, offset, attempt } => {
                self.started(by, &Position::new(partition.clone(), *offset), *attempt, at);
            }
            ConsumerEvent::Handled { partition, offset, .. } => {
                self.handled(by, &Seen::at(Position::new(partition.clone(), *offset)), at);
            }
            // Whoever has its copy has it in hand: the group owes it no more.
            ConsumerEvent::DeadLettered { partition, offset, .. } => {
                self.note(format!("{} of {}: {event:?}", by.name, by.group), at);
                self.handled(by, &Seen::at(Position::new(partition.clone(), *offset)), at);
            }
            ConsumerEvent::Committed { partition, offset } => {
                self.committed(by, partition, *offset, at);
            }
            ConsumerEvent::Retrying { .. }
            | ConsumerEvent::CommitFailed { .. }
            | ConsumerEvent::TopicReplaced { .. }
            | ConsumerEvent::PartitionStopped(_)
            | ConsumerEvent::DeadLetterWaiting { .. }
            | ConsumerEvent::HandledTooLate { .. } => {
                self.note(format!("{} of {}: {event:?}", by.name, by.group), at);
            }
            _ => {}
        }
    }

    /// An instance was given these partitions.
    pub fn assigned(&mut self, by: Instance<'_>, partitions: &[TopicPartition], at: Duration) {
        self.turned(by, partitions, at, What::Assigned);
    }

    /// An instance no longer has these partitions.
    pub fn revoked(&mut self, by: Instance<'_>, partitions: &[TopicPartition], at: Duration) {
        self.turned(by, partitions, at, What::Revoked);
    }

    /// The handler is called with the record at `position`, for the `attempt`th time from 1.
    pub fn started(&mut self, by: Instance<'_>, position: &Position, attempt: u32, at: Duration) {
        let Some(by) = self.member(by, at) else { return };
        let place = self.names.place(position);
        let attempt = if attempt <= 1 { Attempt::First } else { Attempt::Again };
        self.enter(What::Started { by, place, attempt }, at);
    }

    /// A handler was given this record; it says what stands at a place that a consumer's events name,
    /// and whether it is what was sent. That it was handled has to be told apart.
    pub fn given(&mut self, seen: &Seen) {
        self.look_at(seen);
    }

    /// An instance handled this record with success.
    pub fn handled(&mut self, by: Instance<'_>, seen: &Seen, at: Duration) {
        let Some(by) = self.member(by, at) else { return };
        let (message, place) = self.look_at(seen);
        let group = &mut self.groups[self.names.of_member(by).group];
        match (message.or_else(|| self.messages.at(place?)), place) {
            (Some(message), _) => group.handled(message, &self.messages, at),
            (None, Some(place)) => group.handled_unknown(place, at),
            (None, None) => return,
        }
        self.enter(What::Handled { by, message, place }, at);
    }

    /// The group has stored `next`, the next offset to read of a partition.
    pub fn committed(
        &mut self,
        by: Instance<'_>,
        partition: &TopicPartition,
        next: Offset,
        at: Duration,
    ) {
        let Some(by) = self.member(by, at) else { return };
        let next = Place { partition: self.names.partition(partition), offset: next };
        self.enter(What::Committed { by, next }, at);
    }

    /// The group begins at `position` and owes nothing that lies before it, as one that reads from the
    /// latest. Where nothing is said it owes everything: a first commit is no proof of where it began,
    /// for a careless consumer's looks the same.
    pub fn begins_at(&mut self, group: &str, position: &Position) {
        let place = self.names.place(position);
        if let Some(group) = self.groups.iter_mut().find(|known| known.name == group) {
            group.begin(place, &self.messages);
        }
    }

    /// Something that may explain what is near it, such as "node 2 is killed".
    pub fn note(&mut self, text: impl Into<String>, at: Duration) {
        let note = self.names.note(text.into());
        self.enter(What::Note(note), at);
    }

    /// Everything that `topic` holds, read when nothing is sent any more. A later audit of the same
    /// topic takes the earlier one's place. Records without a position are ignored.
    pub fn audited(&mut self, topic: &str, records: impl IntoIterator<Item = Seen>, at: Duration) {
        let mut found = Vec::new();
        let mut by_partition: BTreeMap<TopicPartition, u64> = BTreeMap::new();
        for Seen { id, position, content } in records {
            let Some(position) = position else { continue };
            *by_partition.entry(position.topic_partition.clone()).or_default() += 1;
            let place = self.names.place(&position);
            let message = id.map(|id| self.messages.number(id));
            if let Some(message) = message {
                self.learn(message, place);
            }
            found.push(Found { place, message, content });
        }
        let mut note = vec![format!("audit: topic {topic} holds {} records", found.len())];
        note.extend(by_partition.iter().map(|(one, count)| format!("{count} in {one}")));
        self.note(note.join(", "), at);
        self.audits.insert(topic.to_owned(), found);
    }

    fn turned(
        &mut self,
        by: Instance<'_>,
        partitions: &[TopicPartition],
        at: Duration,
        what: fn(MemberNo, PartitionNo) -> What,
    ) {
        let Some(by) = self.member(by, at) else { return };
        for partition in partitions {
            let partition = self.names.partition(partition);
            self.enter(what(by, partition), at);
        }
    }

    /// The number of a message that waits for its outcome.
    fn open(&self, id: Uuid) -> Option<MessageNo> {
        let number = self.messages.find(id)?;
        matches!(self.messages[number].fate, Fate::Intended | Fate::UnderWay).then_some(number)
    }

    /// An open message has its outcome.
    fn settle(&mut self, number: MessageNo, fate: Fate, at: Duration) {
        if self.messages[number].fate == Fate::UnderWay {
            self.tally.under_way -= 1;
            self.acknowledging.step(at, self.tally.under_way);
        } else {
            // The outcome was faster than `send`.
            self.tally.accepted += u64::from(fate != Fate::Refused);
        }
        self.tally.delivered += u64::from(fate == Fate::Delivered);
        self.tally.failed += u64::from(matches!(fate, Fate::Failed(_)));
        self.messages.set_fate(number, fate);
    }

    /// Notes what a record that was seen says; its message and its place, where it named them.
    fn look_at(&mut self, seen: &Seen) -> (Option<MessageNo>, Option<Place>) {
        let place = seen.position.as_ref().map(|position| self.names.place(position));
        let message = seen.id.map(|id| self.messages.number(id));
        if let Some(message) = message {
            if self.differs(message, seen.content) {
                self.wrong(message, place, How::Content);
            }
            if let Some(place) = place {
                self.stands_at(message, place);
            }
        }
        (message, place)
    }

    /// True when what was seen is not what was sent.
    pub(super) fn differs(&self, message: MessageNo, content: Option<Fingerprint>) -> bool {
        let sent = self.messages[message].sent.and_then(|sent| sent.content);
        sent.zip(content).is_some_and(|(sent, seen)| sent != seen)
    }

    fn stands_at(&mut self, message: MessageNo, place: Place) {
        if let Standing::TakenBy(other) = self.learn(message, place) {
            self.wrong(message, Some(place), How::TakenBy(other));
        }
    }

    fn learn(&mut self, message: MessageNo, place: Place) -> Standing {
        let standing = self.messages.stands_at(message, place);
        if let Standing::New = standing {
            for group in &mut self.groups {
                group.learn(place, message, &self.messages);
            }
        }
        standing
    }

    fn wrong(&mut self, message: MessageNo, place: Option<Place>, how: How) {
        self.wrong.push(Wrong { after: self.entries.len(), message, place, how });
    }

    fn member(&mut self, by: Instance<'_>, at: Duration) -> Option<MemberNo> {
        let group = self.groups.iter().position(|known| known.name == by.group)?;
        self.groups[group].lives(at);
        Some(self.names.member(group, by))
    }

    fn enter(&mut self, what: What, at: Duration) {
        self.entries.push(Entry { at, what });
    }
}
