#!/usr/bin/env python3
"""kafka-verifiable-producer and -consumer, which Kafka's own system tests are made of, with kurier on the other side:
every record they acknowledge or are given, by partition, offset and value."""
import json

import check

PARTITIONS = 3
COUNT = 2000


def verifiable(cluster, checks):
    producer(cluster, checks)
    consumer(cluster, checks)


def producer(cluster, checks):
    topic = cluster.topic("verifiable-producer", PARTITIONS)
    said = events(cluster.tool("VerifiableProducer", "--topic", topic, "--max-messages", str(COUNT),
                               "--acks", "-1", "--repeating-keys", "7"))
    sent = [place(event) for event in said["producer_send_success"]]
    checks.expect("kafka-verifiable-producer: all are acknowledged",
                  sorted(int(value) for *_, value in sent), list(range(COUNT)))
    lines = cluster.kurier("consume", "single", topic, "--group", topic, "--decode", "text", "--exit-at-end")
    found = sorted(place(line) for line in lines)
    checks.expect("and kurier handles each, where it was acknowledged", found, sorted(sent))


def consumer(cluster, checks):
    topic = cluster.topic("verifiable-consumer", PARTITIONS)
    lines = "".join(f"{number % 7}:value {number}\n" for number in range(COUNT))
    reports = cluster.kurier("produce", topic, "--input", "raw", "--key-delimiter", ":", "--report", "each",
                             stdin=lines.encode())
    sent = sorted((report["partition"], report["offset"]) for report in reports)
    said = events(cluster.tool("VerifiableConsumer", "--topic", topic, "--group-id", topic, "--verbose",
                               "--max-messages", str(COUNT)))
    found = [place(event) for event in said["record_data"]]
    checks.expect("kafka-verifiable-consumer: each record is where kurier's delivery said",
                  sorted((partition, offset) for partition, offset, _, _ in found), sent)
    checks.expect("and has its key and value", sorted((key, value) for *_, key, value in found),
                  sorted((str(number % 7), f"value {number}") for number in range(COUNT)))
    by_partition = [[int(value.split()[1]) for partition, _, _, value in found if partition == number]
                    for number in range(PARTITIONS)]
    checks.expect("in the order in which kurier sent them", by_partition, [sorted(one) for one in by_partition])
    lag = cluster.kurier("group", "lag", topic)[0]["lag"]
    checks.expect("and kurier sees its commits", lag, 0)


def events(printed):
    """What the tool said, by the name of the event."""
    by_name = {}
    for line in printed.splitlines():
        event = json.loads(line)
        by_name.setdefault(event["name"], []).append(event)
    return by_name


def place(record):
    return record["partition"], record["offset"], record["key"], record["value"]


if __name__ == "__main__":
    check.run(without_control=[verifiable])
