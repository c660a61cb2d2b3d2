//! What holds for every row of the table of options.

use std::time::Duration;

use super::{
    BatchRules, Concurrency, ConfigProblem, ConfigProblems, ConsumerConfig, OPTIONS, OptionSpec,
    ProducerConfig, Side,
};
use crate::OutboxConfig;

/// What is said of a configuration in which this option is set.
fn set(option: &OptionSpec, value: u64) -> Vec<ConfigProblem> {
    let (count, time) =
        (usize::try_from(value).unwrap_or(usize::MAX), Duration::from_millis(value));
    match option.side {
        Side::Producer => {
            let mut config = ProducerConfig::new("here:9092");
            match option.name {
                "memory_bytes" => config.memory_bytes = count,
                "memory_messages" => config.memory_messages = count,
                "message_bytes_max" => config.message_bytes_max = count,
                "linger" => config.linger = time,
                "delivery_deadline" => config.delivery_deadline = Some(time),
                "stall_after" => config.stall_after = time,
                "unknown_topic_grace" => config.unknown_topic_grace = time,
                "outbox.bytes_max" => {
                    config.outbox = Some(OutboxConfig::from("folder").bytes_max(value));
                }
                other => panic!("{other} is set nowhere"),
            }
            config.checked().err().map_or_else(Vec::new, ConfigProblems::into_problems)
        }
        Side::Consumer => {
            let mut config = ConsumerConfig::new("here:9092", "g");
            config.topics = vec!["orders".to_owned()];
            let mut batch = BatchRules::default();
            match option.name {
                "session_timeout" => config.session_timeout = time,
                "heartbeat_interval" => config.heartbeat_interval = time,
                "poll_interval_max" => config.poll_interval_max = time,
                "memory_bytes" => config.memory_bytes = count,
                "lane_messages_max" => config.lane_messages_max = count,
                "lane_bytes_max" => config.lane_bytes_max = count,
                "in_flight_messages_max" => config.in_flight_messages_max = count,
                "in_flight_bytes_max" => config.in_flight_bytes_max = count,
                "ahead_messages_max" => config.ahead_messages_max = count,
                "concurrency" => config.concurrency = Concurrency::PerKey(count),
                "stall_after" => config.stall_after = time,
                "commit_interval" => config.commit_interval = time,
                "commit_deadline" => config.commit_deadline = time,
                "drain_deadline" => config.drain_deadline = Some(time),
                "shutdown_deadline" => config.shutdown_deadline = time,
                "retry_attempts" => config.retry_attempts = count,
                "retry_backoff_min" => config.retry_backoff_min = time,
                "retry_backoff_max" => config.retry_backoff_max = time,
                "batch" => batch.count = count,
                "batch_wait" => batch.wait = time,
                "batch_bytes" => batch.bytes = count,
                other => panic!("{other} is set nowhere"),
            }
            let mut problems =
                config.checked().err().map_or_else(Vec::new, ConfigProblems::into_problems);
            batch.check(&mut problems);
            problems
        }
    }
}

#[test]
fn what_is_out_of_an_options_bounds_is_refused_and_what_is_within_is_not() {
    for option in OPTIONS {
        let (min, max) = (option.bounds.min, option.bounds.max);
        let unit = option.unit.name();
        let refused = format!("must be between {min} and {max} {unit}");
        let is_refused = |value: u64| {
            let problems = set(option, value);
            problems.iter().any(|one| one.name == option.name && one.reason == refused)
        };
        let name = (option.side, option.name);
        assert!(is_refused(max + 1), "{name:?}: above");
        assert!(!is_refused(max) && !is_refused(min), "{name:?}: at the bounds");
        assert!(min == 0 || is_refused(min - 1), "{name:?}: below");
        assert!(option.default.is_none_or(|default| set(option, default).is_empty()), "{name:?}");
    }
}

#[test]
fn the_classic_profile_is_the_default_one_but_for_how_messages_are_retried() {
    let of = |config: ProducerConfig| config.properties().expect("it is right");
    let (classic, usual) =
        (of(ProducerConfig::one_in_flight("here:9092")), of(ProducerConfig::new("here:9092")));
    let differ: Vec<(&str, &str)> = classic
        .iter()
        .filter(|&one| !usual.contains(one))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("enable.gapless.guarantee", "false"),
        ("enable.idempotence", "false"),
        ("max.in.flight.requests.per.connection", "1"),
        ("retries", "5"),
        ("retry.backoff.ms", "1000"),
    ];
    let mut differ = differ;
    differ.sort_unstable();
    assert_eq!(differ, expected);
    assert_eq!(classic.len(), usual.len());
}
