#!/usr/bin/env python3
"""kurier's commands for operators beside Kafka's own kafka-topics, kafka-configs, kafka-consumer-groups and
kafka-cluster: what one of them changes the other shows, and both show the same figures."""
import subprocess
import tempfile
from pathlib import Path

import check
from cluster import PATIENCE_S, TOOLS, Running
from kafka_tools import GROUPS, columns
from records import Record, now, rfc3339

PARTITIONS = 3
COUNT = 60
MINUTE = 60_000
DYNAMIC = "DYNAMIC_TOPIC_CONFIG:"


def operators(cluster, checks):
    said = cluster.java(f"{TOOLS}.ClusterTool", "cluster-id", "--bootstrap-server", cluster.bootstrap).decode()
    checks.expect("kafka-cluster cluster-id", said.strip(),
                  f"Cluster ID: {cluster.kurier('cluster', 'info')[0]['cluster']}")
    altered(cluster, checks)
    ill(cluster, checks)
    offsets(cluster, checks)


def altered(cluster, checks):
    topic = cluster.topic("operators-topic", PARTITIONS)
    cluster.kurier("topic", "alter", topic, "--set", "max.message.bytes=50000", "--set", "min.insync.replicas=2",
                   "--partitions", "5")
    described = cluster.tool("TopicCommand", "--describe", "--topic", topic).decode()
    checks.expect("kafka-topics sees the partitions that kurier adds", described.count("Partition: "), 5)
    own = {"retention.ms": "-1", "max.message.bytes": "50000", "min.insync.replicas": "2"}
    checks.expect("kafka-configs sees what kurier sets, and what it leaves", set_of(cluster, topic), own)
    configs(cluster, topic, "--add-config", "max.message.bytes=60000", "--delete-config", "min.insync.replicas")
    shown = cluster.kurier("topic", "describe", topic)[0]["configs"]
    checks.expect("kurier sees what kafka-configs sets and takes away, and all else as it does", shown,
                  settings(configs(cluster, topic, "--describe", "--all"), "sensitive="))
    checks.expect("which is so much", shown["max.message.bytes"], "60000")
    cluster.kurier("topic", "alter", topic, "--unset", "max.message.bytes", "--set", "retention.bytes=70000000")
    checks.expect("and changes no other", set_of(cluster, topic), {"retention.ms": "-1", "retention.bytes": "70000000"})


def set_of(cluster, topic):
    """What was set for the topic, as kafka-configs says it."""
    return settings(configs(cluster, topic, "--describe"), DYNAMIC)


def settings(described, mark):
    """Those whose line has the mark."""
    return dict(line.split()[0].split("=", 1) for line in described.splitlines() if mark in line)


def configs(cluster, topic, *args):
    alters = [] if args[0] == "--describe" else ["--alter"]
    return cluster.tool("kafka.admin.ConfigCommand", *alters, *args,
                        "--entity-type", "topics", "--entity-name", topic).decode()


def ill(cluster, checks):
    """What is wrong with a topic of which each partition has too few replicas in sync: on an embedded cluster, since a
    node is down; on another, since it was set to want more than there are."""
    topic = cluster.topic("operators-ill", PARTITIONS, min_insync_replicas="3")
    if cluster.process:
        cluster.kurier("cluster", "kill", "2")
    else:
        cluster.kurier("topic", "alter", topic, "--set", "min.insync.replicas=4")
    try:
        for theirs, ours in [("--under-replicated-partitions", "--under-replicated"),
                             ("--under-min-isr-partitions", "--under-min-isr"),
                             ("--unavailable-partitions", "--offline")]:
            said = cluster.tool("TopicCommand", "--describe", theirs).decode()
            wanted = {int(line.split("Partition:")[1].split()[0]) for line in said.splitlines()
                      if f"Topic: {topic}\t" in line}
            shown = [one for one in cluster.kurier("topic", "describe", ours) if one["topic"] == topic]
            found = {row["partition"] for one in shown for row in one["partitions"]}
            checks.expect(f"kafka-topics {theirs} and kurier {ours}: {len(wanted)}", found, wanted)
            if theirs.startswith("--under-min"):
                checks.expect("which are all of them", len(wanted), PARTITIONS)
    finally:
        if cluster.process:
            cluster.kurier("cluster", "start", "2")
            cluster.kurier("cluster", "health", "--exit-when-healthy")


def offsets(cluster, checks):
    # Ten minutes between two records: two clocks that are read one after the other see the same.
    first = now() // MINUTE * MINUTE - (COUNT * 10 + 1) * MINUTE
    # So long a name is quoted in what kafka-consumer-groups exports.
    topic = cluster.topic("operators-offsets", PARTITIONS)
    records = [Record(b"%d" % number, b"key %d" % (number % 7), timestamp=first + number * 10 * MINUTE)
               for number in range(COUNT)]
    # An embedded cluster finds records by their time as Kafka does where batches are not compressed.
    cluster.send_records(topic, records, compression_type="none")
    group = topic
    cluster.kurier("consume", "single", topic, "--group", group, "--decode", "text", "--exit-at-end")
    middle = rfc3339(first + 305 * MINUTE)
    for theirs, ours in [(["--to-earliest"], ["--to", "earliest"]), (["--to-latest"], ["--to", "latest"]),
                         (["--to-current"], ["--to", "current"]), (["--to-offset", "7"], ["--to", "7"]),
                         (["--to-offset", "999"], ["--to", "999"]), (["--shift-by", "-5"], ["--shift", "-5"]),
                         (["--shift-by", "-999"], ["--shift", "-999"]),
                         (["--to-datetime", middle.replace("Z", ".000Z")], ["--to", middle]),
                         (["--by-duration", "PT2H"], ["--to", "2h"])]:
        said = cluster.tool(GROUPS, "--reset-offsets", "--group", group, "--topic", topic, "--dry-run", *theirs)
        wanted = {int(row["PARTITION"]): int(row["NEW-OFFSET"]) for row in columns(said.decode())}
        plan = cluster.kurier("group", "reset", group, *ours)[0]
        found = {row["partition"]: row["new"] for row in plan["partitions"]}
        checks.expect(f"a dry run of both {' '.join(theirs)}: {sorted(wanted.values())}", found, wanted)
    ends = lag_of(cluster, group)
    checks.expect("and nothing was changed", ends[1], 0)

    cluster.kurier("group", "reset", group, "--shift", "-5", "--execute")
    checks.expect("kafka-consumer-groups sees what kurier sets", rows_of(cluster, group), lag_of(cluster, group)[0])
    checks.expect("and the lag of all", lag_of(cluster, group)[1], 5 * PARTITIONS)
    exported(cluster, checks, topic, group)
    uncommitted(cluster, checks, topic)
    refused(cluster, checks, topic, group)
    cluster.kurier("group", "delete", group)
    listed = cluster.tool(GROUPS, "--list").decode().split()
    checks.expect("a group that kurier deletes is gone", group in listed, False)


def exported(cluster, checks, topic, group):
    said = cluster.tool(GROUPS, "--reset-offsets", "--group", group, "--all-topics", "--to-current", "--dry-run",
                        "--export").decode()
    theirs = sorted(line.replace('"', "") for line in said.splitlines() if line)
    table = [argument for argument in cluster.command("group", "reset", group, "--to", "current", "--export")
             if argument not in ("-o", "json")]
    ours = subprocess.run(table, capture_output=True, timeout=PATIENCE_S, check=True).stdout.decode()
    checks.expect("both export the same", sorted(ours.splitlines()), theirs)
    before = lag_of(cluster, group)
    with tempfile.TemporaryDirectory() as folder:
        for name, text, read in [("theirs", said, kurier_reads), ("ours", ours, kafka_reads)]:
            file = Path(folder) / f"{name}.csv"
            file.write_text(text)
            cluster.kurier("group", "reset", group, "--to", "earliest", "--execute")
            checks.expect("the group is elsewhere", lag_of(cluster, group)[1], COUNT)
            read(cluster, group, file)
            checks.expect(f"and back by what {name} exported and the other read", lag_of(cluster, group), before)


def kurier_reads(cluster, group, file):
    cluster.kurier("group", "reset", group, "--from-file", file, "--execute")


def kafka_reads(cluster, group, file):
    cluster.tool(GROUPS, "--reset-offsets", "--group", group, "--from-file", str(file), "--execute")


def uncommitted(cluster, checks, topic):
    """A group that has committed in one partition of three."""
    group = f"{topic}-one"
    cluster.kurier("group", "reset", group, "--topic", f"{topic}:1", "--to", "earliest", "--execute")
    rows, total = lag_of(cluster, group)
    checks.expect("a group with one commit: the same rows", rows, rows_of(cluster, group))
    checks.expect("whose lag is the whole", total, sum(int(row[2]) for row in rows.values()))
    uncounted = cluster.kurier("group", "lag", group)[0]["uncounted"]
    checks.expect("and what is left out is named", [row["partition"] for row in uncounted], [0, 2])


def refused(cluster, checks, topic, group):
    """While it has a member."""
    seen = []
    cluster.kurier("group", "reset", group, "--to", "earliest", "--execute")
    member = Running(cluster.command("consume", "single", topic, "--group", group, "--instance", "one",
                                     "--decode", "text"), seen.append)
    try:
        check.wait_for("the member handles all", lambda: len(seen) == COUNT)
        for change in (["reset", group, "--to", "earliest", "--execute"], ["delete", group]):
            done = subprocess.run(cluster.command("group", *change), capture_output=True, timeout=PATIENCE_S)
            text = done.stderr.decode()
            checks.expect(f"group {change[0]} is refused, and the member named",
                          (done.returncode, done.stdout, f"{group}-one on " in text), (1, b"", True))
        member.stop()
    finally:
        member.kill()
    checks.expect("and nothing was changed", lag_of(cluster, group)[1], 0)


def lag_of(cluster, group):
    """What kurier says: by partition commit, end and lag; and in all."""
    lag = cluster.kurier("group", "lag", group)[0]
    rows = {row["partition"]: (str(row["committed"]), str(row["end"]), str(row["lag"])) for row in lag["partitions"]}
    return rows, lag["lag"]


def rows_of(cluster, group):
    """The same of kafka-consumer-groups."""
    return {int(row["PARTITION"]): (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"])
            for row in columns(cluster.tool(GROUPS, "--describe", "--group", group).decode())}


if __name__ == "__main__":
    check.run(without_control=[operators])
