#!/usr/bin/env python3
"""A thousand keys of any bytes: `kurier produce` puts each where kafka-python's producer and Kafka's own put it, so
that a key stays in one partition when a fleet changes its client."""
import base64
import random
from pathlib import Path

from kafka.partitioner.default import murmur2

import check

PARTITIONS = 13
DELIMITER = b"="


def keys(cluster, checks):
    sent = make()
    ours = put(cluster, sent)
    theirs = {key: (murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key in sent}
    checks.expect(f"{len(sent)} keys are where kafka-python's murmur2 puts them", ours, theirs)
    checks.expect("and where Kafka's own producer puts them", ours, where_java_puts(cluster, sent))


def make(count=1000):
    """Different keys of 0 to 40 bytes; all but the two that end a key or a line."""
    chance = random.Random(1)
    usual = bytes(byte for byte in range(256) if byte not in DELIMITER + b"\n")
    made = {b"", "Schlüssel".encode(), b"\xff" * 4, b"\x80"}
    while len(made) < count:
        made.add(bytes(chance.choices(usual, k=chance.randrange(1, 41))))
    return sorted(made)


def put(cluster, sent):
    """Sends a message with each key, and reads back which partition has it: {key: partition}."""
    topic = cluster.topic("keys", PARTITIONS)
    lines = b"".join(key + DELIMITER + b"x\n" for key in sent)
    cluster.kurier("produce", topic, "--input", "raw", "--key-delimiter", DELIMITER.decode(), "--report", "none",
                   stdin=lines)
    tail = cluster.kurier("topic", "tail", topic, "--from", "earliest", "--exit-at-end", "--decode", "raw")
    return {base64.b64decode(one["key_base64"]) if "key_base64" in one else one["key"].encode(): one["partition"]
            for one in tail}


def where_java_puts(cluster, sent):
    """{key: partition}, by the class that Kafka's own producer asks."""
    source = Path(__file__).with_name("Partitions.java")
    lines = "".join(f"{key.hex()}\n" for key in sent)
    printed = cluster.java(source, str(PARTITIONS), stdin=lines.encode())
    return dict(zip(sent, map(int, printed.split()), strict=True))


if __name__ == "__main__":
    check.run(without_control=[keys])
