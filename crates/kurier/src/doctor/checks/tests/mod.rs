//! Each check against facts that are well but for one thing.

mod cases;
mod facts;

use std::collections::BTreeSet;

use self::facts::{healthy, put_topic, replicas, row};
use super::*;
use crate::Offset;
use crate::doctor::checks_as_markdown;
use crate::doctor::finding::Severity::{Danger, NotChecked, Warning};

#[test]
fn of_what_is_well_nothing_is_said() {
    assert_eq!(judge(&healthy()), []);
}

#[test]
fn each_check_says_what_is_wrong_and_nothing_else_does() {
    let mut tried = BTreeSet::new();
    for (hurt, check, severity, found, mend) in
        [cases::CLUSTER, cases::TOPICS, cases::GROUPS_AND_CLIENTS].concat()
    {
        let mut facts = healthy();
        hurt(&mut facts);
        let findings = judge(&facts);
        let [finding] = findings.as_slice() else { panic!("{check}, {found}: {findings:#?}") };
        assert_eq!((finding.check.id, finding.severity), (check, severity), "{finding:#?}");
        assert!(finding.found.contains(found), "{finding:#?}");
        let mends = finding.mends.iter();
        let mends = mends.map(|mend| mend.advice.clone() + mend.command.as_deref().unwrap_or(""));
        assert!(mends.clone().count() > 0 || severity == NotChecked, "{finding:#?}");
        assert!(mends.collect::<String>().contains(mend), "{mend}: {finding:#?}");
        tried.insert(check);
    }
    assert_eq!(tried, CHECKS.iter().map(|check| check.id).collect(), "a case for each check");
}

#[test]
fn with_two_replicas_a_third_is_advised_before_two_must_be_in_sync() {
    let mut facts = healthy();
    replicas(&mut facts.topics[0], &[1, 2]);
    put_topic(&mut facts, "min.insync.replicas", "1");
    let findings = judge(&facts);
    let said: Vec<_> = findings.iter().map(|it| (it.check.id, it.severity)).collect();
    assert_eq!(said, [("min-insync-replicas", Danger), ("replication-factor", Warning)]);
    let commands: Vec<_> =
        findings[0].mends.iter().map(|mend| mend.command.clone().unwrap_or_default()).collect();
    assert!(commands[0].contains("reassign") && commands[1].contains("=2"), "{commands:?}");
}

#[test]
fn what_could_not_be_read_is_said_by_every_check_that_needs_it() {
    let mut facts = healthy();
    facts.topics[0].settings = Err(Unread("not authorised".into()));
    facts.internal.clear();
    for broker in &mut facts.brokers {
        broker.settings = Err(Unread("too old".into()));
    }
    facts.groups[0].backlog = Err(Unread("no coordinator".into()));
    let findings = judge(&facts);
    let said: BTreeSet<_> =
        findings.iter().map(|it| (it.check.id, it.subject.kind(), it.found.as_str())).collect();
    let topic = [
        "min-insync-replicas",
        "unclean-leader-election",
        "message-size",
        "compaction",
        "retention",
        "timestamps",
    ];
    let broker = ["offsets-topic", "offsets-retention", "auto-create-topics", "session-timeout"];
    let expected = (topic.into_iter().map(|check| (check, "topic", "not authorised")))
        .chain(broker.into_iter().map(|check| (check, "broker", "too old")))
        .chain([("retention-against-lag", "group", "no coordinator")]);
    assert_eq!(said, expected.collect());
    assert!(findings.iter().all(|it| it.severity == NotChecked), "{findings:#?}");
}

#[test]
fn the_worst_comes_first_and_a_setting_that_is_not_shown_is_said() {
    let mut facts = healthy();
    facts.topics[0].settings = Ok([("cleanup.policy", "compact")].into_iter().collect());
    facts.controller = None;
    let findings = judge(&facts);
    assert_eq!(findings[0].check.id, "controller");
    assert!(findings.is_sorted_by_key(|it| it.severity));
    let unread = findings.iter().find(|it| it.check.id == "min-insync-replicas");
    assert_eq!(unread.map(|it| it.found.as_str()), Some("min.insync.replicas is not shown"));
}

#[test]
fn a_command_can_be_pasted_whatever_the_name_is() {
    let mut facts = healthy();
    facts.bootstrap = "a:1, b:2".to_owned();
    facts.groups[0].name = "it's $HOME".to_owned();
    row(&mut facts).half = Some(Ok(Offset(61)));
    let findings = judge(&facts);
    let command = findings[0].mends.last().and_then(|mend| mend.command.clone());
    let expected = r"kurier -b 'a:1, b:2' group describe 'it'\''s $HOME'";
    assert_eq!(command.as_deref(), Some(expected));
}

#[test]
fn the_document_is_the_table() {
    let document = include_str!("../../../../../../docs/doctor.md");
    let table = checks_as_markdown();
    assert!(document.ends_with(&table), "docs/doctor.md is to end with:\n{table}");
}
