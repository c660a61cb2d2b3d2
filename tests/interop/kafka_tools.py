#!/usr/bin/env python3
"""Kafka's own command line tools against a cluster of its own: what they say of topics, settings, groups and offsets
is what Apache Kafka says and what kurier says."""
import check

TOPIC = "orders"
COUNT = 500
GROUPS = "consumer.group.ConsumerGroupCommand"


def kafka_tools(cluster, checks):
    def tool(name, *args, stdin=""):
        return cluster.tool(name, *args, stdin=stdin.encode()).decode()

    topics(cluster, checks, tool)
    messages(cluster, checks, tool)
    groups(cluster, checks, tool)
    ends = tool("GetOffsetShell", "--topic", TOPIC).split()
    checks.expect("kafka-get-offsets", sum(int(line.rsplit(":", 1)[1]) for line in ends), COUNT)
    tool("TopicCommand", "--delete", "--topic", TOPIC)
    checks.expect("kafka-topics --delete", tool("TopicCommand", "--list").strip(), "")


def topics(cluster, checks, tool):
    created = tool("TopicCommand", "--create", "--topic", TOPIC, "--partitions", "2",
                   "--replication-factor", "3", "--config", "min.insync.replicas=2")
    checks.expect("kafka-topics --create", created.strip(), f"Created topic {TOPIC}.")
    described = tool("TopicCommand", "--describe", "--topic", TOPIC)
    checks.expect("kafka-topics --describe", described.count("Partition: "), 2)
    checks.expect("its settings", "min.insync.replicas=2" in described, True)
    settings = tool("kafka.admin.ConfigCommand", "--describe", "--all",
                    "--entity-type", "topics", "--entity-name", TOPIC)
    checks.expect("kafka-configs --describe tells what was set, and by whom",
                  "min.insync.replicas=2 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:min.insync.replicas=2, "
                  "DEFAULT_CONFIG:min.insync.replicas=1}" in settings, True)
    theirs = dict(line.split()[0].split("=", 1) for line in settings.splitlines() if "sensitive=" in line)
    checks.expect("kurier topic describe shows the same",
                  cluster.kurier("topic", "describe", TOPIC)[0]["configs"], theirs)
    tool("TopicCommand", "--alter", "--topic", TOPIC, "--partitions", "3")
    described = tool("TopicCommand", "--describe", "--topic", TOPIC)
    checks.expect("kafka-topics --alter --partitions", described.count("Partition: "), 3)


def messages(cluster, checks, tool):
    lines = "".join(f"key{number % 7}:value {number}\n" for number in range(COUNT))
    tool("ConsoleProducer", "--topic", TOPIC, "--reader-property", "parse.key=true",
         "--reader-property", "key.separator=:", stdin=lines)
    read = tool("consumer.ConsoleConsumer", "--topic", TOPIC, "--group", "java",
                "--from-beginning", "--max-messages", str(COUNT), "--timeout-ms", "60000")
    wanted = sorted(f"value {number}" for number in range(COUNT))
    checks.expect("kafka-console-producer and -consumer", sorted(read.split("\n")[:-1]), wanted)
    ours = cluster.kurier("consume", "single", TOPIC, "--decode", "text", "--exit-at-end")
    checks.expect("kurier reads them too", sorted(one["value"] for one in ours), wanted)


def groups(cluster, checks, tool):
    for group in ("java", "single_message_group_1"):
        theirs = {int(row["PARTITION"]): (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"])
                  for row in columns(tool(GROUPS, "--describe", "--group", group))}
        described = cluster.kurier("group", "describe", group)[0]
        ours = {row["partition"]: (str(row["committed"]), str(row["end"]), str(row["lag"]))
                for row in described["partitions"]}
        checks.expect(f"kafka-consumer-groups and kurier agree on {group}", theirs, ours)
    listed = tool(GROUPS, "--list").split()
    checks.expect("kafka-consumer-groups --list", sorted(listed), ["java", "single_message_group_1"])
    tool(GROUPS, "--group", "java", "--reset-offsets", "--to-earliest", "--all-topics", "--execute")
    lag = cluster.kurier("group", "lag", "java")[0]["lag"]
    checks.expect("kafka-consumer-groups --reset-offsets", lag, COUNT)
    tool(GROUPS, "--delete", "--group", "java")


def columns(table):
    """Rows of a table by its headings."""
    lines = [line.split() for line in table.splitlines() if line.strip()]
    start = next(index for index, words in enumerate(lines) if words[0] == "GROUP")
    return [dict(zip(lines[start], words)) for words in lines[start + 1:]]


if __name__ == "__main__":
    check.run(without_control=[kafka_tools])
