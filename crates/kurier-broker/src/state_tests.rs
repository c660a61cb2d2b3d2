use proptest::prelude::*;

use super::*;
use crate::storage::Acks;
use crate::storage::testing::BatchSpec;

const TOPICS: usize = 4;
const NODES: i32 = 3;

#[derive(Debug, Clone, Copy)]
enum Event {
    Write(usize),
    Freeze(i32, bool),
    Node(i32, bool),
    Move(usize, i32),
    Delete(usize),
    Pass(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (topic, node) = (0..TOPICS, 1..=NODES);
    let event = prop_oneof![
        8 => topic.clone().prop_map(Event::Write),
        3 => (node.clone(), any::<bool>()).prop_map(|(node, frozen)| Event::Freeze(node, frozen)),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, up)| Event::Node(node, up)),
        1 => (topic.clone(), node).prop_map(|(topic, node)| Event::Move(topic, node)),
        1 => topic.prop_map(Event::Delete),
        4 => (1..20_000_u64).prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 0..80)
}

fn happen(state: &mut State, now: &mut Instant, event: Event) {
    let name = |topic: usize| format!("topic-{topic}");
    match event {
        Event::Write(topic) => {
            let Some(topic) = state.topics.get_mut(&name(topic)) else { return };
            let partition = &mut topic.partitions[0];
            if partition.leader().is_none() {
                return;
            }
            let batch = BatchSpec::of(1).build();
            partition.append(*now, Duration::ZERO, Acks::Leader, batch).expect("appended");
            let deadline = partition.next_deadline();
            state.laggard_due(deadline);
        }
        Event::Freeze(node, frozen) => state.set_frozen(*now, NodeId(node), frozen),
        Event::Node(node, true) => state.node_up(*now, NodeId(node)),
        Event::Node(node, false) => state.node_down(*now, NodeId(node)),
        // Not every replica may lead.
        Event::Move(topic, node) => {
            let _ = state.move_leader(*now, &name(topic), 0, NodeId(node));
        }
        Event::Delete(topic) => {
            state.delete_topic(&name(topic));
        }
        Event::Pass(millis) => {
            let end = *now + Duration::from_millis(millis);
            while let Some(due) = state.next_deadline().filter(|due| *due <= end) {
                *now = due.max(*now);
                state.tick(*now);
                assert!(state.next_deadline().is_none_or(|next| next > *now), "no progress");
            }
            *now = end;
        }
    }
}

proptest! {
    #[test]
    fn the_clock_wakes_no_later_than_the_first_replica_is_late(events in events()) {
        let mut now = Instant::now();
        let settings =
            ClusterSettings { replica_lag_max: Duration::from_secs(10), ..Default::default() };
        let mut state = State::new(settings, [1, 2, 3]);
        for topic in 0..TOPICS {
            let settings = TopicSettings::default();
            state.create_topic(now, &format!("topic-{topic}"), 1, 3, settings).expect("made");
        }
        for event in events {
            happen(&mut state, &mut now, event);
            let exact = state.partitions_due();
            let woken = |exact| state.next_deadline().is_some_and(|next| next <= exact);
            prop_assert!(exact.is_none_or(woken));
        }
    }
}
