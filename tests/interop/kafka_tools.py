#!/usr/bin/env python3
"""Kafka's own command line tools against the embedded cluster.

    kafka_tools.py KURIER JARS     KURIER is the binary, JARS the folder with Kafka's jars

Runs the tools by their main classes, and fails on the first answer that is not what Apache Kafka gives.
"""
import json
import pathlib
import subprocess
import sys

import keys

KURIER, JARS = sys.argv[1:3]
TOOLS = "org.apache.kafka.tools"


class Cluster:
    """`kurier cluster run` on free ports, for the length of a `with`."""

    def __enter__(self):
        command = [KURIER, "-o", "json", "cluster", "run", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.bootstrap = json.loads(self.process.stdout.readline())["bootstrap"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def tool(self, name, *args, stdin=""):
        """What the tool prints; its failure is ours."""
        name = name if name.startswith("kafka.") else f"{TOOLS}.{name}"
        command = ["java", "-Xmx256m", "-cp", f"{JARS}/*", name]
        command += ["--bootstrap-server", self.bootstrap, *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            sys.exit(f"{name} {args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def kurier(self, *args):
        command = [KURIER, "-b", self.bootstrap, "-o", "json", *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


def where_java_puts(keys_sent):
    """{key: partition}, by the class that Kafka's own producer asks."""
    source = pathlib.Path(__file__).with_name("Partitions.java")
    command = ["java", "-Xmx256m", "-cp", f"{JARS}/*", str(source), str(keys.PARTITIONS)]
    lines = "".join(f"{key.hex()}\n" for key in keys_sent)
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return dict(zip(keys_sent, map(int, done.stdout.split()), strict=True))


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, expected {wanted!r}")
    print(f"ok  {what}")


def columns(table):
    """Rows of a table by its headings."""
    lines = [line.split() for line in table.splitlines() if line.strip()]
    start = next(index for index, words in enumerate(lines) if words[0] == "GROUP")
    return [dict(zip(lines[start], words)) for words in lines[start + 1:]]


def main():
    with Cluster() as cluster:
        created = cluster.tool("TopicCommand", "--create", "--topic", "orders", "--partitions", "2",
                               "--replication-factor", "3", "--config", "min.insync.replicas=2")
        expect("kafka-topics --create", created.strip(), "Created topic orders.")
        described = cluster.tool("TopicCommand", "--describe", "--topic", "orders")
        expect("kafka-topics --describe", described.count("Partition: "), 2)
        expect("its settings", "min.insync.replicas=2" in described, True)
        settings = cluster.tool("kafka.admin.ConfigCommand", "--describe", "--all",
                                "--entity-type", "topics", "--entity-name", "orders")
        expect("kafka-configs --describe tells what was set, and by whom",
               "min.insync.replicas=2 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:min.insync.replicas=2, "
               "DEFAULT_CONFIG:min.insync.replicas=1}" in settings, True)
        theirs = dict(line.split()[0].split("=", 1) for line in settings.splitlines() if "sensitive=" in line)
        expect("kurier topic describe shows the same", cluster.kurier("topic", "describe", "orders")[0]["configs"],
               theirs)
        cluster.tool("TopicCommand", "--alter", "--topic", "orders", "--partitions", "3")
        described = cluster.tool("TopicCommand", "--describe", "--topic", "orders")
        expect("kafka-topics --alter --partitions", described.count("Partition: "), 3)

        lines = "".join(f"key{number % 7}:value {number}\n" for number in range(500))
        cluster.tool("ConsoleProducer", "--topic", "orders", "--reader-property", "parse.key=true",
                     "--reader-property", "key.separator=:", stdin=lines)
        read = cluster.tool("consumer.ConsoleConsumer", "--topic", "orders", "--group", "java",
                            "--from-beginning", "--max-messages", "500", "--timeout-ms", "60000")
        wanted = sorted(f"value {number}" for number in range(500))
        expect("kafka-console-producer and -consumer", sorted(read.split("\n")[:-1]), wanted)
        ours = cluster.kurier("consume", "single", "orders", "--decode", "text", "--exit-at-end")
        expect("kurier reads them too", sorted(one["value"] for one in ours), wanted)

        for group in ("java", "single_message_group_1"):
            theirs = columns(cluster.tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", group))
            shown = {int(row["PARTITION"]): (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"])
                     for row in theirs}
            described = cluster.kurier("group", "describe", group)[0]
            ours = {row["partition"]: (str(row["committed"]), str(row["end"]), str(row["lag"]))
                    for row in described["partitions"]}
            expect(f"kafka-consumer-groups and kurier agree on {group}", shown, ours)
        listed = cluster.tool("consumer.group.ConsumerGroupCommand", "--list").split()
        expect("kafka-consumer-groups --list", sorted(listed), ["java", "single_message_group_1"])
        cluster.tool("consumer.group.ConsumerGroupCommand", "--group", "java", "--reset-offsets",
                     "--to-earliest", "--all-topics", "--execute")
        lag = cluster.kurier("group", "lag", "java")[0]["lag"]
        expect("kafka-consumer-groups --reset-offsets", lag, 500)
        cluster.tool("consumer.group.ConsumerGroupCommand", "--delete", "--group", "java")

        cluster.kurier("topic", "create", "keys", "--partitions", str(keys.PARTITIONS))
        sent = keys.make()
        found = keys.put(KURIER, cluster.bootstrap, "keys", sent)
        same = found == where_java_puts(sent)
        expect(f"{len(sent)} keys are where Kafka's own producer puts them", same, True)
        cluster.tool("TopicCommand", "--delete", "--topic", "keys")

        performed = cluster.tool("ProducerPerformance", "--topic", "orders", "--num-records", "20000",
                                 "--record-size", "100", "--throughput", "-1")
        expect("kafka-producer-perf-test", "20000 records sent" in performed, True)
        ends = cluster.tool("GetOffsetShell", "--topic", "orders").split()
        expect("kafka-get-offsets", sum(int(line.rsplit(":", 1)[1]) for line in ends), 20500)
        cluster.tool("TopicCommand", "--delete", "--topic", "orders")
        expect("kafka-topics --delete", cluster.tool("TopicCommand", "--list").strip(), "")


main()
