#!/usr/bin/env python3
"""The classic application's JSON in both directions, with kafka-python and confluent-kafka.

    python_clients.py KURIER       KURIER is the binary

Runs on the cluster that KURIER_BOOTSTRAP names, else on an embedded one of its own.
Fails on the first message that is missing, changed or unreadable.
"""
import json
import os
import subprocess
import sys
import time
import uuid
from datetime import datetime, timezone

import confluent_kafka
import kafka
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.partitioner.default import murmur2

import keys

KURIER = sys.argv[1]
COUNT = 300


class Cluster:
    """The cluster that was named, or `kurier cluster run` on free ports for the length of a `with`."""

    def __enter__(self):
        self.process = None
        self.bootstrap = os.environ.get("KURIER_BOOTSTRAP")
        if self.bootstrap:
            return self
        command = [KURIER, "-o", "json", "cluster", "run", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.bootstrap = json.loads(self.process.stdout.readline())["bootstrap"]
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)

    def kurier(self, *args):
        command = [KURIER, "-b", self.bootstrap, "-o", "json", *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, expected {wanted!r}")
    print(f"ok  {what}")


def classic(number):
    """A message as the classic application makes it; half of them with a naive time."""
    moment = datetime.now() if number % 2 else datetime.now(timezone.utc)
    return {"id": str(uuid.uuid4()), "content": f"Test message {number}", "timestamp": moment.isoformat()}


def produce_with_kafka_python(bootstrap, messages):
    producer = kafka.KafkaProducer(
        bootstrap_servers=bootstrap.split(","), acks="all", retries=5,
        max_in_flight_requests_per_connection=1, compression_type="gzip",
        value_serializer=lambda value: json.dumps(value).encode())
    sent = [producer.send("python", message, key=str(number % 5).encode(), headers=[("n", b"1"), ("n", b"2")])
            for number, message in enumerate(messages)]
    producer.flush()
    for one in sent:
        one.get(timeout=30)
    producer.close()


def read_with_kafka_python(bootstrap, topic):
    consumer = kafka.KafkaConsumer(
        topic, bootstrap_servers=bootstrap.split(","), group_id="kafka-python",
        auto_offset_reset="earliest", enable_auto_commit=False)
    found = {}
    end = time.monotonic() + 60
    while len(found) < COUNT and time.monotonic() < end:
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                message = json.loads(record.value)
                uuid.UUID(message["id"])
                datetime.fromisoformat(message["timestamp"])
                found[message["id"]] = message["content"]
    consumer.commit()
    consumer.close()
    return found


def read_with_confluent(bootstrap, topic):
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap, "group.id": "confluent", "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky"})
    consumer.subscribe([topic])
    found = {}
    end = time.monotonic() + 60
    while len(found) < COUNT and time.monotonic() < end:
        record = consumer.poll(0.5)
        if record is not None and record.error() is None:
            message = json.loads(record.value())
            found[message["id"]] = message["content"]
    consumer.close()
    return found


def own(topics):
    """Without Kafka's internal ones."""
    return [topic for topic in topics if not topic.startswith("__")]


def main():
    with Cluster() as cluster:
        admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap.split(","))
        admin.create_topics([NewTopic("python", 3, 3), NewTopic("ours", 3, 3)])
        expect("kafka-python makes topics", sorted(own(admin.list_topics())), ["ours", "python"])

        messages = [classic(number) for number in range(COUNT)]
        produce_with_kafka_python(cluster.bootstrap, messages)
        lines = cluster.kurier("consume", "batch", "python", "--exit-at-end").splitlines()
        read = [json.loads(line) for line in lines]
        wanted = {message["id"]: message["content"] for message in messages}
        found = {one["message"]["id"]: one["message"]["content"] for one in read}
        expect("kurier reads what kafka-python wrote", found, wanted)
        headers = [{"key": "n", "value": "1"}, {"key": "n", "value": "2"}]
        expect("and its headers, both of one name", read[0]["headers"], headers)

        reports = cluster.kurier("produce", "ours", "--sample", str(COUNT), "--report", "each")
        ids = {json.loads(line)["id"] for line in reports.splitlines()}
        found = read_with_kafka_python(cluster.bootstrap, "ours")
        expect("kafka-python reads what kurier wrote", set(found), ids)
        expect("confluent-kafka too", set(read_with_confluent(cluster.bootstrap, "ours")), ids)
        lag = json.loads(cluster.kurier("group", "lag", "kafka-python"))["lag"]
        expect("kafka-python's commits are seen", lag, 0)

        admin.create_topics([NewTopic("keys", keys.PARTITIONS, 1)])
        sent = keys.make()
        wanted = {key: (murmur2(key) & 0x7fffffff) % keys.PARTITIONS for key in sent}
        same = keys.put(KURIER, cluster.bootstrap, "keys", sent) == wanted
        expect(f"{len(sent)} keys are where kafka-python's murmur2 puts them", same, True)
        admin.delete_topics(["python", "ours", "keys"])
        admin.close()


main()
