//! The checks that liveness and readiness are told by: which ones there are, and what each came to. *Pure.*

use std::fmt::Write;

use crate::metrics::Figures;
use crate::{Condition, Health};

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Producer,
    Consumer,
}

impl Kind {
    /// By what it counts.
    pub(super) fn of(figures: &Figures) -> Self {
        match figures {
            Figures::Producer(_) => Self::Producer,
            Figures::Consumer(_) => Self::Consumer,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Live,
    Ready,
}

/// A client that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) health: Health,
}

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// The client can go on, and its thread comes round.
    Client,
    /// Reading gets on.
    Reading,
    /// Every partition goes on: it has a leader, and no message has stopped it.
    Partitions,
    /// A broker answers.
    Cluster,
    /// The outbox takes new messages and is whole, or there is none.
    Outbox,
    /// What is given up can be written to the dead-letter topic, or nothing waits for it.
    DeadLetters,
    /// The topics exist.
    Topics,
    /// The group has given a share.
    Assignment,
    /// The run has begun, and is not ending.
    Run,
}

/// The checks of each kind of client, by question.
const CHECKS: &[(Kind, Question, &[Check])] = &[
    (Kind::Producer, Question::Live, &[Check::Client]),
    (
        Kind::Producer,
        Question::Ready,
        &[Check::Client, Check::Partitions, Check::Cluster, Check::Outbox, Check::Run],
    ),
    (Kind::Consumer, Question::Live, &[Check::Client, Check::Reading]),
    (
        Kind::Consumer,
        Question::Ready,
        &[
            Check::Client,
            Check::Reading,
            Check::Partitions,
            Check::Cluster,
            Check::DeadLetters,
            Check::Topics,
            Check::Assignment,
            Check::Run,
        ],
    ),
];

/// Looks at every check of every client.
pub(super) fn answer(question: Question, clients: &[Client]) -> super::Answer {
    let mut lines = String::new();
    // A process whose clients are not made yet does nothing so far; a restart would not help.
    let mut good = !clients.is_empty() || question == Question::Live;
    if clients.is_empty() {
        lines.push_str("no client runs yet\n");
    }
    for client in clients {
        good &= look_at(client, question, &mut lines);
    }
    match (question, good) {
        (Question::Live, true) => super::Answer::Yes(format!("live\n{lines}")),
        (Question::Ready, true) => super::Answer::Yes(format!("ready\n{lines}")),
        (Question::Live, false) => super::Answer::No(format!("not live\n{lines}")),
        (Question::Ready, false) => super::Answer::No(format!("not ready\n{lines}")),
    }
}

/// Every check of readiness by its name, and whether it fails.
pub(super) fn each(kind: Kind, health: &Health) -> impl Iterator<Item = (&'static str, bool)> {
    checks(kind, Question::Ready).iter().map(|check| {
        (check.name(), health.conditions.iter().any(|condition| Check::of(condition) == *check))
    })
}

/// Writes a line for each check of `client`; true when all are well.
fn look_at(client: &Client, question: Question, lines: &mut String) -> bool {
    let Client { kind, name, health } = client;
    let weighs = |condition: &&Condition| question == Question::Ready || condition.costs_liveness();
    let found: Vec<&Condition> = health.conditions.iter().filter(weighs).collect();
    let of_kind = match kind {
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    };
    for check in checks(*kind, question) {
        let mut reasons = found.iter().filter(|one| Check::of(one) == *check).peekable();
        let state = if reasons.peek().is_none() { "ok" } else { "failing" };
        let _ = write!(lines, "{state} {of_kind} {name}: {}", check.name());
        for (number, reason) in reasons.enumerate() {
            lines.push_str(if number == 0 { ": " } else { "; " });
            one_line(lines, &reason.to_string());
        }
        lines.push('\n');
    }
    found.is_empty()
}

fn checks(kind: Kind, question: Question) -> &'static [Check] {
    let row = CHECKS.iter().find(|row| (row.0, row.1) == (kind, question));
    row.map_or(&[], |row| row.2)
}

/// Whatever brokers and handlers said stays within its line.
fn one_line(lines: &mut String, text: &str) {
    lines.extend(text.chars().map(|char| if char.is_control() { ' ' } else { char }));
}

impl Check {
    /// The check that a condition belongs to.
    fn of(condition: &Condition) -> Self {
        match condition {
            Condition::Fenced { .. }
            | Condition::Failed { .. }
            | Condition::ThreadSilent { .. }
            | Condition::Remaking { .. } => Self::Client,
            Condition::ReadingStalled { .. } => Self::Reading,
            Condition::PartitionStopped(_) | Condition::WithoutLeader { .. } => Self::Partitions,
            Condition::WaitingForCluster { .. } => Self::Cluster,
            Condition::OutboxNotTaking { .. } | Condition::OutboxDamaged { .. } => Self::Outbox,
            Condition::DeadLetterWaiting { .. } => Self::DeadLetters,
            Condition::WaitingForTopics { .. } => Self::Topics,
            Condition::NotAssigned => Self::Assignment,
            Condition::Draining | Condition::Ended(_) | Condition::NotStarted => Self::Run,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Reading => "reading",
            Self::Partitions => "partitions",
            Self::Cluster => "cluster",
            Self::Outbox => "outbox",
            Self::DeadLetters => "dead-letters",
            Self::Topics => "topics",
            Self::Assignment => "assignment",
            Self::Run => "run",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::serve::Answer;
    use crate::{Ended, Offset, OutboxDamage, PartitionId, StoppedPartition, TopicPartition};

    fn client(kind: Kind, conditions: Vec<Condition>) -> Client {
        let health = Health { conditions, ..Health::default() };
        Client { kind, name: "orders-1".to_owned(), health }
    }

    /// Every condition there is, with the check that names it.
    fn conditions() -> Vec<(&'static str, Condition)> {
        let (reason, waited) = (|| "told\nso".to_owned(), Duration::from_secs(3));
        let partition = TopicPartition::new("orders", PartitionId(2));
        let stopped = StoppedPartition {
            partition: partition.clone(),
            offset: Offset(7),
            attempts: 5,
            reason: reason(),
        };
        let partitions = vec![partition.clone()];
        let leaderless = Condition::WithoutLeader { partitions, more: 0, waited };
        let stalled =
            Condition::ReadingStalled { partition, reached: None, end: Offset(9), silent: waited };
        let topic = "orders.dlq".to_owned();
        let waiting = Condition::DeadLetterWaiting { topic, letters: 2, reason: reason(), waited };
        vec![
            ("client", Condition::Fenced { reason: reason() }),
            ("client", Condition::Failed { reason: reason() }),
            ("client", Condition::ThreadSilent { silent: waited }),
            ("client", Condition::Remaking { reason: reason(), waited }),
            ("reading", stalled),
            ("partitions", Condition::PartitionStopped(stopped)),
            ("partitions", leaderless),
            ("cluster", Condition::WaitingForCluster { reason: reason(), waited }),
            ("dead-letters", waiting),
            ("topics", Condition::WaitingForTopics { topics: vec!["orders".to_owned()] }),
            ("assignment", Condition::NotAssigned),
            ("run", Condition::Draining),
            ("run", Condition::Ended(Ended::Shutdown)),
            ("run", Condition::NotStarted),
        ]
    }

    #[test]
    fn what_is_wrong_is_the_one_check_that_fails_and_says_why_in_its_line() {
        for (check, condition) in conditions() {
            let (live, words) = (!condition.costs_liveness(), condition.to_string());
            let clients = [client(Kind::Consumer, vec![condition])];
            let readiness = answer(Question::Ready, &clients);
            let Answer::No(body) = &readiness else { panic!("{words}: {readiness:?}") };
            let failing: Vec<&str> =
                body.lines().filter(|line| line.starts_with("failing ")).collect();
            let words = words.replace('\n', " ");
            assert_eq!(failing, [format!("failing consumer orders-1: {check}: {words}")]);
            assert_eq!(body.lines().filter(|line| line.starts_with("ok ")).count(), 7);
            assert_eq!(matches!(answer(Question::Live, &clients), Answer::Yes(_)), live, "{words}");
        }
    }

    /// A condition whose check is not asked of a kind would be an answer without a reason.
    #[test]
    fn every_condition_that_weighs_is_named() {
        let producers = ["client", "partitions", "cluster", "run"];
        for (check, condition) in conditions() {
            for (kind, question) in [
                (Kind::Producer, Question::Ready),
                (Kind::Producer, Question::Live),
                (Kind::Consumer, Question::Ready),
                (Kind::Consumer, Question::Live),
            ] {
                if kind == Kind::Producer && !producers.contains(&check) {
                    continue;
                }
                let clients = [client(kind, vec![condition.clone()])];
                let told = answer(question, &clients);
                let named = told.body().contains("failing ");
                assert_eq!(matches!(told, Answer::No(_)), named, "{told:?}");
            }
        }
    }

    #[test]
    fn an_outbox_that_takes_nothing_or_is_damaged_is_a_producers_check() {
        let (reason, waited) = ("no space left".to_owned(), Duration::from_secs(3));
        let file = || "outbox/segment".into();
        let first = OutboxDamage {
            file: file(),
            offset: 32,
            bytes: 7,
            ticket: None,
            kept_in: file(),
            is_kept: false,
        };
        for (condition, words) in [
            (Condition::OutboxNotTaking { reason, waited }, "the outbox takes no"),
            (
                Condition::OutboxDamaged { first, more: 2 },
                "the outbox is damaged: outbox/segment: 7",
            ),
        ] {
            let ill = vec![condition];
            let told = answer(Question::Ready, &[client(Kind::Producer, ill.clone())]);
            let Answer::No(body) = &told else { panic!("{told:?}") };
            assert!(
                body.contains(&format!("failing producer orders-1: outbox: {words}")),
                "{body}"
            );
            let live = answer(Question::Live, &[client(Kind::Producer, ill)]);
            assert!(matches!(live, Answer::Yes(_)));
        }
    }

    #[test]
    fn one_of_several_clients_is_enough_and_none_is_alive_but_not_ready() {
        let well = client(Kind::Producer, Vec::new());
        let ill = client(Kind::Consumer, vec![Condition::NotAssigned]);
        let both = answer(Question::Ready, &[well.clone(), ill]);
        assert!(
            matches!(&both, Answer::No(body) if body.contains("ok producer orders-1: cluster"))
        );
        let checks = ["client", "partitions", "cluster", "outbox", "run"];
        let lines = checks.map(|check| format!("ok producer orders-1: {check}\n"));
        let yes = format!("ready\n{}", lines.concat());
        assert_eq!(answer(Question::Ready, &[well]), Answer::Yes(yes));
        let none = |state| format!("{state}\nno client runs yet\n");
        assert_eq!(answer(Question::Ready, &[]), Answer::No(none("not ready")));
        assert_eq!(answer(Question::Live, &[]), Answer::Yes(none("live")));
    }
}
