use super::*;
use crate::watch::looks::{PartitionLook, TopicLook};

/// Topics with partitions: their leader, 0 for none, and how many of three replicas are in sync.
fn cluster(topics: &[(&str, &[(i32, usize)])]) -> ClusterLook {
    let topic = |partitions: &[(i32, usize)]| {
        let partition = |(number, (leader, in_sync)): (usize, &(i32, usize))| PartitionLook {
            number: i32::try_from(number).expect("few"),
            leader: (*leader != 0).then_some(*leader),
            replicas: [1, 2, 3].into(),
            in_sync: [1, 2, 3][..*in_sync].into(),
        };
        let partitions = partitions.iter().enumerate().map(partition).collect();
        TopicLook { partitions, ..Default::default() }
    };
    let topics = topics.iter().map(|(name, partitions)| ((*name).into(), topic(partitions)));
    ClusterLook { topics: topics.collect(), ..Default::default() }
}

fn told(notes: &[Note]) -> Vec<String> {
    notes
        .iter()
        .map(|note| format!("{:?} {}: {}", note.severity, note.subject, note.text))
        .collect()
}

#[test]
fn what_a_cluster_went_through() {
    type Case<'a> = (&'a str, &'a [(i32, usize)], &'a [(i32, usize)], &'a [&'a str]);
    let table: &[Case<'_>] = &[
        ("nothing", &[(1, 3), (2, 3)], &[(1, 3), (2, 3)], &[]),
        (
            "another leader",
            &[(1, 3), (2, 3)],
            &[(1, 3), (3, 3)],
            &["Info a-1: has leader 3 now; broker 2 led before"],
        ),
        (
            "a leader lost and a replica with it",
            &[(1, 3), (2, 3)],
            &[(1, 2), (0, 2)],
            &[
                "Error a-1: has no leader; broker 2 led before",
                "Warning topic a: 2 of 2 partitions lack replicas in sync; 0 did before",
            ],
        ),
        (
            "a leader found, one partition in sync again",
            &[(1, 2), (0, 2)],
            &[(1, 3), (1, 2)],
            &[
                "Info a-1: has leader 1 now; nobody led before",
                "Info topic a: 1 of 2 partitions lack replicas in sync; 2 did before",
            ],
        ),
        ("all in sync", &[(1, 2)], &[(1, 3)], &["Info topic a: all replicas are in sync again"]),
        ("more partitions", &[(1, 3)], &[(1, 3), (2, 3)], &[]),
    ];
    for (what, before, after, expected) in table {
        let notes = of_cluster(&cluster(&[("a", before)]), &cluster(&[("a", after)]));
        assert_eq!(told(&notes), *expected, "{what}");
    }
}

#[test]
fn topics_that_come_and_go() {
    let (a, b) = (cluster(&[("a", &[(1, 3)])]), cluster(&[("b", &[(1, 3)])]));
    assert_eq!(told(&of_cluster(&a, &b)), ["Info topic b: is new", "Info topic a: is gone"]);
}

#[test]
fn thousands_of_changes_are_a_few_events() {
    let names: Vec<String> = (0..2_000).map(|number| format!("topic-{number}")).collect();
    let of = |partition: &'static [(i32, usize)]| {
        cluster(&names.iter().map(|name| (name.as_str(), partition)).collect::<Vec<_>>())
    };
    let (before, after) = (of(&[(2, 3), (1, 3)]), of(&[(3, 2), (1, 2)]));
    assert_eq!(
        told(&of_cluster(&before, &after)),
        [
            "Info 2000 partitions: have leader 3 now; broker 2 led before",
            "Warning 2000 topics: 4000 of 4000 partitions lack replicas in sync; 0 did before",
        ]
    );
    assert_eq!(told(&of_cluster(&cluster(&[]), &before)), ["Info topics: 2000 topics are new"]);
}

/// Members by id, each with the partitions of topic `t` it owns.
fn group(members: &[(&str, &[i32])]) -> GroupLook {
    let member = |(id, owns): &(&str, &[i32])| Member {
        id: (*id).to_owned(),
        client_id: (*id).into(),
        instance_id: None,
        host: String::new(),
        owns: owns.iter().map(|number| ("t".into(), *number)).collect(),
    };
    GroupLook { members: Some(members.iter().map(member).collect()), ..Default::default() }
}

#[test]
fn what_a_group_went_through() {
    type Members<'a> = &'a [(&'a str, &'a [i32])];
    let table: &[(Members<'_>, Members<'_>, Option<&str>)] = &[
        (&[("a", &[0, 1])], &[("a", &[1, 0])], None),
        (
            &[("a", &[0, 1])],
            &[("a", &[0]), ("b", &[1])],
            Some("goes on with b: 2 members, 1 before"),
        ),
        (
            &[("a", &[0]), ("b", &[1])],
            &[("b", &[0, 1])],
            Some("goes on without a: 1 member, 2 before"),
        ),
        (&[("a", &[0])], &[("b", &[0])], Some("goes on without a, with b: 1 member, 1 before")),
        (&[("a", &[0])], &[], Some("goes on without a: 0 members, 1 before")),
        (
            &[("a", &[0]), ("b", &[1])],
            &[("a", &[1]), ("b", &[0])],
            Some("handed partitions out anew to the same members"),
        ),
        (
            &[],
            &[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[]), ("e", &[])],
            Some("goes on with a, b, c and 2 more: 5 members, 0 before"),
        ),
    ];
    for (before, after, expected) in table {
        let note = of_group("g", &group(before), &group(after));
        assert_eq!(note.as_ref().map(|note| &*note.text), *expected, "{before:?} {after:?}");
        assert!(note.is_none_or(|note| note.subject == "group g"));
    }
    let never = GroupLook::default();
    assert_eq!(of_group("g", &never, &group(&[("a", &[])])), None, "the first look tells nothing");
}
