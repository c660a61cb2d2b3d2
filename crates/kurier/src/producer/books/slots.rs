//! What becomes of the messages in the slots: reports settle them, deliveries and flushes ask for them.

use std::task::{Context, Poll, Waker};

use super::{Books, Entry, Listener, Slot, SlotId};
use crate::producer::delivery::{DeliveryReport, Outcome, Ticket, Unsent};
use crate::sys::{Persisted, Report};

impl Books {
    /// What is known of the message in a slot, if it is under way.
    pub(in crate::producer) fn entry(&self, slot: SlotId) -> Option<Entry> {
        match self.lock().slots.get(slot.0)? {
            Slot::UnderWay { entry, .. } => Some(entry.clone()),
            Slot::Free | Slot::Done(_) => None,
        }
    }

    /// Remembers what one attempt came to, of a message that goes out again.
    pub(in crate::producer) fn attempted(&self, slot: SlotId, persisted: Persisted) {
        if let Some(Slot::UnderWay { entry, .. }) = self.lock().slots.get_mut(slot.0) {
            entry.before = entry.before.max(persisted);
        }
    }

    /// Settles reported messages. `tell` hears of each after the lock is released.
    pub(in crate::producer) fn settle(
        &self,
        reports: &[Report],
        mut outcome: impl FnMut(Entry, &Report) -> Outcome,
        tell: Option<&dyn Fn(&DeliveryReport)>,
    ) {
        let mut wakers = Vec::new();
        let mut told = Vec::new();
        let mut acked = 0;
        let mut state = self.lock();
        for report in reports {
            let slot = report.opaque;
            // librdkafka reports each message once; a client that is given up may still report one whose outcome is known.
            let Some(found @ Slot::UnderWay { .. }) = state.slots.get_mut(slot) else { continue };
            let Slot::UnderWay { entry, listener } = std::mem::replace(found, Slot::Free) else {
                continue;
            };
            state.under_way -= 1;
            state.release(entry.cost);
            let Entry { ticket, id, .. } = entry;
            let outcome = outcome(entry, report);
            match &outcome {
                Ok(_) => acked += 1,
                Err(error) => self.figures.failed(error.code),
            }
            if tell.is_some() {
                told.push(DeliveryReport { ticket, id, outcome: outcome.clone() });
            }
            match listener {
                Listener::Gone => state.free.push(slot),
                Listener::Held => state.slots[slot] = Slot::Done(outcome),
                Listener::Waits(waker) => {
                    state.slots[slot] = Slot::Done(outcome);
                    wakers.push(waker);
                }
            }
        }
        self.figures.acked.add(acked);
        state.count(&self.figures);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if let Some(tell) = tell {
            told.iter().for_each(tell);
        }
        self.settled.notify_waiters();
    }

    /// How many accepted messages are not reported yet.
    pub(in crate::producer) fn under_way(&self) -> usize {
        self.lock().under_way
    }

    /// The ticket that the next message gets.
    pub(in crate::producer) fn next_ticket(&self) -> Ticket {
        Ticket(self.lock().next_ticket)
    }

    /// A slot, from `from` on, whose message has a ticket before `ticket` and is not reported yet. Slots
    /// that were passed over stay passed over: what they take later has later tickets.
    pub(in crate::producer) fn open_before(&self, ticket: Ticket, from: SlotId) -> Option<SlotId> {
        let state = self.lock();
        let open =
            |slot: &Slot| matches!(slot, Slot::UnderWay { entry, .. } if entry.ticket < ticket);
        let found = state.slots.iter().skip(from.0).position(open)?;
        Some(SlotId(from.0 + found))
    }

    /// Every message that is not reported, in order of acceptance: nobody knows whether it was written.
    pub(in crate::producer) fn unreported(&self) -> Vec<(SlotId, Unsent)> {
        let state = self.lock();
        let slots = state.slots.iter().enumerate();
        let mut open: Vec<_> = slots
            .filter_map(|(index, slot)| match slot {
                Slot::UnderWay { entry, .. } => {
                    let Entry { ticket, id, topic, .. } = entry.clone();
                    let unsent = Unsent { ticket, id, topic, may_have_been_written: true };
                    Some((SlotId(index), unsent))
                }
                _ => None,
            })
            .collect();
        open.sort_by_key(|(_, unsent)| unsent.ticket);
        open
    }

    /// The outcome of a slot whose delivery is awaited.
    pub(in crate::producer) fn poll_slot(
        &self,
        slot: SlotId,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome> {
        let mut state = self.lock();
        if let Slot::UnderWay { listener, .. } = &mut state.slots[slot.0] {
            *listener = Listener::Waits(cx.waker().clone());
            return Poll::Pending;
        }
        match std::mem::replace(&mut state.slots[slot.0], Slot::Free) {
            Slot::Done(outcome) => {
                state.free.push(slot.0);
                Poll::Ready(outcome)
            }
            Slot::Free | Slot::UnderWay { .. } => {
                unreachable!("a held slot is kept for its holder")
            }
        }
    }

    /// The delivery of this slot was dropped.
    pub(in crate::producer) fn let_go(&self, slot: SlotId) {
        let mut state = self.lock();
        match &mut state.slots[slot.0] {
            Slot::UnderWay { listener, .. } => *listener = Listener::Gone,
            done => {
                *done = Slot::Free;
                state.free.push(slot.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use rdkafka::error::RDKafkaErrorCode;
    use tokio::sync::Notify;

    use super::super::{Admission, Door, Route, State};
    use super::*;
    use crate::PartitionId;
    use crate::producer::delivery::DeliveryError;

    /// The books of one message that is under way.
    fn books() -> Books {
        let mut admission = Admission::new(1_000, 10);
        assert!(admission.admit(1));
        let (topic, before) = ("orders".into(), Persisted::No);
        let entry =
            Entry { ticket: Ticket(0), id: None, topic, cost: 1, route: Route::Chosen, before };
        let state = State {
            door: Door::Gone,
            admission,
            slots: vec![Slot::UnderWay { entry, listener: Listener::Held }],
            free: Vec::new(),
            under_way: 1,
            next_ticket: 1,
            turns: HashMap::new(),
            refusal: None,
        };
        let (settled, refused) = (Notify::new(), Notify::new());
        Books { state: Mutex::new(state), settled, refused, figures: Arc::default() }
    }

    #[test]
    fn a_second_report_takes_no_outcome_from_whoever_holds_the_delivery() {
        let books = books();
        for code in [RDKafkaErrorCode::MessageTimedOut, RDKafkaErrorCode::PurgeInflight] {
            let report = Report {
                opaque: 0,
                partition: PartitionId(0),
                offset: None,
                timestamp_ms: None,
                error: Some(code),
                persisted: Persisted::Possibly,
            };
            books.settle(&[report], |_, _| Err(DeliveryError::with_code("orders", code)), None);
        }
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = books.poll_slot(SlotId(0), &mut cx) else {
            panic!("the first report is the outcome");
        };
        assert_eq!(error.code, RDKafkaErrorCode::MessageTimedOut);
    }
}
