use std::time::Duration;

use kafka_protocol::error::ResponseError;

use super::*;

fn facts(topics: &[&str]) -> Facts<'static> {
    let topics = Some(topics.iter().map(|topic| (*topic).to_owned()).collect());
    Facts { api: ApiKey::Produce, node: NodeId(1), client: "shop", topics }
}

fn error() -> FaultAction {
    FaultAction::Error(ResponseError::NotEnoughReplicas)
}

fn produce() -> Fault {
    Fault::on(ApiKey::Produce)
}

fn refused(plan: &Plan) -> Vec<Option<&str>> {
    plan.refusals.iter().map(|refusal| refusal.topic.as_deref()).collect()
}

#[test]
fn a_rule_is_for_what_it_names_and_nothing_else() {
    let cases = [
        (produce(), true),
        (Fault::on(ApiKey::Fetch), false),
        (produce().client("shop"), true),
        (produce().client("bank"), false),
        (produce().node(1), true),
        (produce().node(2), false),
        (produce().topic("a"), true),
        (produce().topic("b"), false),
        (produce().client("shop").node(1).topic("a").times(1), true),
        (produce().client("shop").node(2).topic("a"), false),
        (produce().times(0), false),
    ];
    for (fault, meets) in cases {
        let said = format!("{fault:?}");
        let mut rules = Rules::default();
        let (_, fired) = rules.add(fault, FaultAction::Drop);
        let plan = rules.judge(&facts(&["a"]));
        assert_eq!(plan.ending == Ending::Drop, meets, "{said}");
        assert_eq!(*fired.borrow(), u64::from(meets), "{said}");
    }
}

#[test]
fn a_rule_fires_as_often_as_it_may_and_then_is_gone() {
    let mut rules = Rules::default();
    let (_, fired) = rules.add(produce().times(2), FaultAction::DropReply);
    let endings: Vec<Ending> = (0..4).map(|_| rules.judge(&facts(&["a"])).ending).collect();
    let expected = [Ending::DropReply, Ending::DropReply, Ending::Answer, Ending::Answer];
    assert_eq!(endings, expected);
    assert_eq!(*fired.borrow(), 2);
    assert!(!rules.concern(ApiKey::Produce));
}

#[test]
fn a_cleared_rule_fires_no_more_and_the_others_stay() {
    let mut rules = Rules::default();
    let (first, fired) = rules.add(produce(), FaultAction::Delay(Duration::from_secs(1)));
    rules.add(produce(), FaultAction::Delay(Duration::from_secs(2)));
    assert_eq!(rules.judge(&facts(&["a"])).delay, Duration::from_secs(3), "delays add up");
    rules.clear(first);
    assert_eq!(rules.judge(&facts(&["a"])).delay, Duration::from_secs(2));
    assert_eq!(*fired.borrow(), 1);
    rules.clear_all();
    assert_eq!(rules.judge(&facts(&["a"])), Plan::default());
}

#[test]
fn each_topic_is_refused_by_the_first_rule_for_it() {
    let mut rules = Rules::default();
    let (_, first) = rules.add(produce().topic("a"), error());
    let (_, again) = rules.add(produce().topic("a"), error());
    let (_, other) = rules.add(produce().topic("b"), error());
    let (_, rest) = rules.add(produce(), error());
    assert_eq!(refused(&rules.judge(&facts(&["a", "b", "c"]))), [Some("a"), Some("b"), None]);
    assert_eq!(refused(&rules.judge(&facts(&["a"]))), [Some("a")]);
    let counts = [&first, &again, &other, &rest].map(|count| *count.borrow());
    assert_eq!(counts, [2, 0, 1, 1]);
}

#[test]
fn what_ends_a_request_leaves_nothing_to_later_rules() {
    let mut rules = Rules::default();
    rules.add(produce().topic("a"), error());
    rules.add(produce(), FaultAction::Drop);
    let (_, later) = rules.add(produce(), FaultAction::DropReply);
    assert_eq!(rules.judge(&facts(&["a"])).ending, Ending::Answer, "the error was for all of it");
    assert_eq!(rules.judge(&facts(&["a", "b"])).ending, Ending::Drop);
    assert_eq!(*later.borrow(), 0);
}

#[test]
fn an_error_needs_a_topic_to_stand_on_where_errors_stand_on_topics() {
    let mut rules = Rules::default();
    rules.add(produce(), error());
    assert_eq!(rules.judge(&facts(&[])), Plan::default());
    rules.add(Fault::on(ApiKey::Heartbeat), error());
    let heartbeat = Facts { api: ApiKey::Heartbeat, topics: None, ..facts(&[]) };
    assert_eq!(refused(&rules.judge(&heartbeat)), [None]);
}
