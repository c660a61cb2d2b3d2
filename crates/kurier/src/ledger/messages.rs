//! The messages of a run: what each is, what its sender was told, and where it stands.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use bytes::Bytes;
use uuid::Uuid;

use super::entry::{MessageNo, Place, Seq};
use super::told::{FailedDelivery, Fingerprint};

#[derive(Debug, Default)]
pub(super) struct Messages {
    all: Vec<Message>,
    by_id: HashMap<Uuid, MessageNo>,
    keys: Vec<Bytes>,
    by_key: HashMap<Bytes, usize>,
    places: HashMap<Place, MessageNo>,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: Uuid,
    pub(super) fate: Fate,
    /// Its key and its turn among all messages; None for one that was never intended.
    pub(super) sent: Option<Sent>,
    /// Where Kafka said that it stands.
    pub(super) acknowledged: Option<Place>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Its key, by number.
    pub(super) key: usize,
    /// The entry of its intent: the order of these is the order that a key's messages must keep.
    pub(super) turn: Seq,
    pub(super) content: Option<Fingerprint>,
}

/// What became of a message, as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody of this run sent it.
    Foreign,
    /// It is about to be sent.
    Intended,
    /// The producer has it.
    UnderWay,
    Delivered,
    Failed(FailedDelivery),
    /// The producer did not take it.
    Refused,
}

/// Whether a message may stand where it is said to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing {
    New,
    Known,
    /// Another message is said to stand there.
    TakenBy(MessageNo),
}

impl Messages {
    /// Notes the intent to send a message; None when it was noted before.
    pub(super) fn intend(
        &mut self,
        id: Uuid,
        key: &Bytes,
        content: Option<Fingerprint>,
        turn: Seq,
    ) -> Option<MessageNo> {
        let number = self.number(id);
        if self[number].sent.is_some() {
            return None;
        }
        let key = self.key(key);
        let message = &mut self.all[number.index()];
        message.sent = Some(Sent { key, turn, content });
        message.fate = Fate::Intended;
        Some(number)
    }

    /// The number of a message of any origin; it is foreign until somebody intends it.
    pub(super) fn number(&mut self, id: Uuid) -> MessageNo {
        let next = MessageNo::new(self.all.len());
        let number = *self.by_id.entry(id).or_insert(next);
        if number == next {
            self.all.push(Message { id, fate: Fate::Foreign, sent: None, acknowledged: None });
        }
        number
    }

    pub(super) fn find(&self, id: Uuid) -> Option<MessageNo> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn set_fate(&mut self, number: MessageNo, fate: Fate) {
        self.all[number.index()].fate = fate;
    }

    pub(super) fn set_acknowledged(&mut self, number: MessageNo, place: Place) {
        self.all[number.index()].acknowledged = Some(place);
    }

    /// Notes that the message stands at `place`; whoever came first stays there.
    pub(super) fn stands_at(&mut self, number: MessageNo, place: Place) -> Standing {
        match self.places.entry(place) {
            Slot::Vacant(free) => {
                free.insert(number);
                Standing::New
            }
            Slot::Occupied(taken) if *taken.get() == number => Standing::Known,
            Slot::Occupied(taken) => Standing::TakenBy(*taken.get()),
        }
    }

    /// The message that the acknowledgement or whoever came first saw there.
    pub(super) fn at(&self, place: Place) -> Option<MessageNo> {
        self.places.get(&place).copied()
    }

    /// Every place that is known, in no order.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, MessageNo)> {
        self.places.iter().map(|(place, number)| (*place, *number))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (MessageNo, &Message)> {
        self.all.iter().enumerate().map(|(index, message)| (MessageNo::new(index), message))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn of_key(&self, key: usize) -> &Bytes {
        &self.keys[key]
    }

    fn key(&mut self, key: &Bytes) -> usize {
        if let Some(known) = self.by_key.get(key) {
            return *known;
        }
        self.keys.push(key.clone());
        self.by_key.insert(key.clone(), self.keys.len() - 1);
        self.keys.len() - 1
    }
}

impl std::ops::Index<MessageNo> for Messages {
    type Output = Message;

    fn index(&self, number: MessageNo) -> &Message {
        &self.all[number.index()]
    }
}
