use super::*;
use crate::state::{ClusterSettings, State};
use crate::storage::NodeId;

fn cluster() -> ClusterSettings {
    ClusterSettings { partition_bytes_max: 7_000, ..ClusterSettings::default() }
}

fn shown(all: Vec<Setting>, name: &str) -> Setting {
    all.into_iter().find(|setting| setting.name == name).expect("listed")
}

#[test]
fn every_topic_setting_takes_the_value_that_it_shows_and_then_is_the_topics_own() {
    let listed = TopicSettings::default().list(&cluster());
    assert!(listed.is_sorted_by_key(|setting| setting.name));
    for before in listed {
        let mut settings = TopicSettings::default();
        settings.set(before.name, &before.value).expect("its own value");
        let after = shown(settings.list(&cluster()), before.name);
        assert_eq!((after.value, after.source), (before.value, Source::Topic), "{}", before.name);
        let [own, inherited] = after.synonyms.as_slice() else { panic!("{:?}", after.synonyms) };
        assert_eq!((own.name, own.source), (before.name, Source::Topic));
        assert_eq!(std::slice::from_ref(inherited), before.synonyms);
        assert_eq!(settings.without(before.name), TopicSettings::default(), "{}", before.name);
    }
}

#[test]
fn what_is_not_honoured_is_refused_with_the_reason() {
    let cases = [
        ("retention.ms", "1000", "only -1 is possible in an embedded cluster"),
        ("cleanup.policy", "compact", "only delete is possible in an embedded cluster"),
        ("segment.bytes", "1000", "not a topic setting of an embedded cluster"),
        ("min.insync.replicas", "two", "a whole number is expected"),
        ("message.timestamp.type", "AnyTime", "CreateTime or LogAppendTime is expected"),
        ("unclean.leader.election.enable", "yes", "true or false is expected"),
    ];
    for (name, value, reason) in cases {
        let error = TopicSettings::default().set(name, value).expect_err("refused");
        assert_eq!(error.to_string(), format!("{name}={value}: {reason}"));
    }
}

#[test]
fn a_bound_in_bytes_comes_from_the_cluster_unless_the_topic_has_its_own() {
    let mut settings = TopicSettings::default();
    let inherited = shown(settings.list(&cluster()), "retention.bytes");
    assert_eq!((inherited.value.as_str(), inherited.source), ("7000", Source::Broker));
    settings.set("retention.bytes", "500").expect("honoured");
    let own = shown(settings.list(&cluster()), "retention.bytes");
    assert_eq!((own.value.as_str(), own.source), ("500", Source::Topic));
}

#[test]
fn a_node_shows_what_its_topics_inherit_and_what_its_builder_chose() {
    let state = State::new(cluster(), [9092]);
    let all = broker_settings(&state, NodeId(1));
    assert!(all.is_sorted_by_key(|setting| setting.name));
    let chosen = shown(all.clone(), "num.partitions");
    assert_eq!((chosen.value.as_str(), chosen.source), ("3", Source::Broker));
    assert_eq!(chosen.synonyms.len(), 2, "its own and Kafka's");
    let kafkas = shown(all.clone(), "replica.lag.time.max.ms");
    assert_eq!((kafkas.value.as_str(), kafkas.source), ("30000", Source::Default));
    assert_eq!(shown(all, "log.retention.bytes").value, "7000");
}
