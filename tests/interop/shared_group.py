#!/usr/bin/env python3
"""A fleet moves from kafka-python to kurier and back, one instance at a time, under load, in one group with the range
assignor. Partitions are shared at every step, offsets are carried over both ways, and every message is handled.

In the control one of kafka-python's instances passes one message over, and its commit covers it.
"""
import threading
from collections import defaultdict

import confluent_kafka
import kafka
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import CommitFailedError, RebalanceInProgressError

import check
from cluster import PATIENCE_S, Running

PARTITIONS = 6
MESSAGES_A_SECOND = 200
# How many each instance handles before the next is replaced.
ENOUGH = 50
# Short, so that a member soon learns of a rebalance; the default is 3 s.
HEARTBEAT_MS = 500


def shared_group(cluster, checks):
    topic = cluster.topic("shared-group", PARTITIONS)
    group = Group(cluster, topic)
    load = Load(cluster, topic)
    try:
        move(group, load, checks)
    finally:
        load.stop()
        group.end()


def move(group, load, checks):
    group.start(Theirs, "theirs-1")
    group.start(Theirs, "theirs-2")
    check.wait_for("the group is there", group.is_there)
    group.wait_until_shared(checks)
    if checks.control:
        careless = group.members["theirs-1"]
        careless.passes_over_one = True
        check.wait_for("a message is passed over", lambda: not careless.passes_over_one)
    steps = [("theirs-1", Ours, "ours-1"), ("theirs-2", Ours, "ours-2"),
             ("ours-1", Theirs, "theirs-3"), ("ours-2", Theirs, "theirs-4")]
    for leaving, kind, coming in steps:
        group.stop(leaving)
        before = check.wait_for("a commit on every partition", group.committed)
        group.start(kind, coming)
        group.wait_until_shared(checks)
        starts = group.members[coming].starts()
        behind = {partition: (start, before[partition]) for partition, start in starts.items()
                  if start < before[partition]}
        checks.expect(f"{coming} goes on where the group was on {len(starts)} partitions", behind, {})

    sent = load.stop()
    check.wait_for("everything is committed", lambda: all(row["lag"] == 0 for row in group.rows()))
    handled = group.handled()
    checks.compare(f"each of {len(sent)} messages was handled", set(handled), sent)
    again = sum(handled.values()) - len(handled)
    print(f"    {again} came again; by instance: {group.shares()}")


class Load:
    """Numbered messages at a steady rate, until stopped."""

    def __init__(self, cluster, topic):
        self.topic = topic
        self.sent = set()
        self.stopped = threading.Event()
        self.producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5})
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self):
        number = 0
        while not self.stopped.wait(1 / MESSAGES_A_SECOND):
            self.producer.produce(self.topic, str(number), str(number % 50), on_delivery=self._delivered)
            self.producer.poll(0)
            number += 1

    def _delivered(self, error, record):
        if error is None:
            self.sent.add(record.value().decode())

    def stop(self):
        """The values that were acknowledged."""
        self.stopped.set()
        self.thread.join()
        if self.producer.flush(PATIENCE_S):
            raise RuntimeError("the load was not delivered")
        return self.sent


class Group:
    """The instances of both kinds, and what Kafka says of their group."""

    def __init__(self, cluster, topic):
        self.cluster = cluster
        self.topic = topic
        self.members = {}
        self.running = {}

    def start(self, kind, name):
        self.members[name] = self.running[name] = kind(self.cluster, self.topic, name)

    def stop(self, name):
        self.running.pop(name).stop()

    def end(self):
        """Stops everybody at once, however the run went."""
        for member in self.running.values():
            member.kill()
        for member in self.running.values():
            member.wait()

    def is_there(self):
        return any(one["group"] == self.topic for one in self.cluster.kurier("group", "list"))

    def describe(self):
        return self.cluster.kurier("group", "describe", self.topic)[0]

    def rows(self):
        return self.describe()["partitions"]

    def committed(self):
        """Positions by partition, once every partition has one."""
        positions = {row["partition"]: row["committed"] for row in self.rows()}
        return positions if all(positions.values()) and len(positions) == PARTITIONS else None

    def wait_until_shared(self, checks):
        """Until the partitions are shared out evenly, and each instance has handled enough of its own."""
        share = PARTITIONS // len(self.running)
        wanted = {f"{self.topic}-{name}": share for name in self.running}

        def shared():
            described = self.describe()
            found = defaultdict(int)
            for row in described["partitions"]:
                found[row["client"]] += 1
            return described["state"] == "Stable" and dict(found) == wanted and described["protocol"]

        protocol = check.wait_for(f"{list(self.running)} share {PARTITIONS} partitions", shared)
        names = " and ".join(self.running)
        checks.expect(f"{names} have {share} partitions each, by the assignor", protocol, "range")
        counts = {name: member.count() for name, member in self.running.items()}
        for name, member in self.running.items():
            check.wait_for(f"{name} handles messages", lambda: counts[name] + ENOUGH <= member.count())

    def handled(self):
        """How often each value was handled, by whomever."""
        times = defaultdict(int)
        for member in self.members.values():
            for _, _, value in member.records:
                times[value] += 1
        return times

    def shares(self):
        return {name: len(member.records) for name, member in self.members.items()}


class Member:
    """An instance, and what it handled: partition, offset, value."""

    def starts(self):
        """The first offset it handled of each partition."""
        starts = {}
        for partition, offset, _ in list(self.records):
            starts.setdefault(partition, offset)
        return starts


class Theirs(Member):
    """kafka-python, with commits by hand after each poll, as the classic application does."""

    def __init__(self, cluster, topic, name):
        self.records = []
        self.passes_over_one = False
        self.stopped = threading.Event()
        self.error = None
        self.consumer = kafka.KafkaConsumer(
            topic, bootstrap_servers=cluster.servers, group_id=topic, client_id=f"{topic}-{name}",
            partition_assignment_strategy=[RangePartitionAssignor], auto_offset_reset="earliest",
            enable_auto_commit=False, heartbeat_interval_ms=HEARTBEAT_MS)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopped.is_set():
                for record in [one for some in self._poll().values() for one in some]:
                    if self.passes_over_one:
                        self.passes_over_one = False
                        continue
                    self.records.append((record.partition, record.offset, record.value.decode()))
                self._commit()
            self.consumer.close()
        except Exception as error:
            self.error = error

    def _poll(self):
        # Long, for kafka-python 3.0 forgets its partitions when a poll ends while it joins. A record ends it at once.
        return self.consumer.poll(timeout_ms=5000)

    def _commit(self):
        try:
            self.consumer.commit()
        except (CommitFailedError, RebalanceInProgressError):
            # The next poll joins anew; what is not committed comes again, to whoever has the partition then.
            pass

    def count(self):
        if self.error:
            raise self.error
        return len(self.records)

    def stop(self):
        self.kill()
        self.wait()
        if self.error:
            raise self.error

    def kill(self):
        self.stopped.set()

    def wait(self):
        self.thread.join()


class Ours(Member):
    """`kurier consume` with the range assignor."""

    def __init__(self, cluster, topic, name):
        self.records = []
        command = cluster.command(
            "-X", "partition.assignment.strategy=range", "-X", f"heartbeat.interval.ms={HEARTBEAT_MS}",
            "consume", "single", topic, "--group", topic, "--instance", name, "--decode", "text")
        self.process = Running(command, self._note)

    def _note(self, line):
        self.records.append((line["partition"], line["offset"], line["value"]))

    def count(self):
        return len(self.records)

    def stop(self):
        self.process.stop()

    def kill(self):
        self.process.kill()

    def wait(self):
        self.process.wait()


if __name__ == "__main__":
    check.run([shared_group])
