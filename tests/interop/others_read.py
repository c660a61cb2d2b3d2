#!/usr/bin/env python3
"""Other people's clients read what kurier produces: records of every kind through every codec, and messages from
the command line in the form that the classic application reads."""
import json
import uuid
from datetime import datetime

import check
import clients
from message_json import goldens
from records import CODECS, FIELDS, damaged, kinds, now


def others_read(cluster, checks):
    every_kind(cluster, checks)
    if not checks.control:
        messages(cluster, checks)


def every_kind(cluster, checks):
    """The library sends, and each client gets all of it, byte for byte."""
    topic = cluster.topic("ours-kinds")
    wanted = kinds()
    for codec, field in zip(CODECS, FIELDS):
        cluster.send_records(topic, damaged(wanted, field) if checks.control else wanted, compression_type=codec)
    for client in clients.ALL:
        found = client.read(cluster, topic, len(CODECS) * len(wanted))
        for number, codec in enumerate(CODECS):
            offsets = range(number * len(wanted), (number + 1) * len(wanted))
            checks.compare(f"kurier writes, {client.name} reads: every kind, {codec}",
                           list(found[offsets.start:offsets.stop]), wanted)
            if client is clients.KafkaPython:
                used = {found.codecs[offset] for offset in offsets} | {"none"}
                checks.expect(f"in the log they are {codec}", used, {codec, "none"})
        checks.expect(f"{client.name} calls their times", set(found.timestamp_types), {clients.CREATE_TIME})


def messages(cluster, checks):
    """`kurier produce`: whole messages of the classic application's forms go out in the one form."""
    topic = cluster.topic("ours-messages")
    # A message's time is its record's, and Kafka takes none before 1970 or an hour from now
    # (message.timestamp.after.max.ms).
    wanted = [golden for golden in goldens(60) if 0 <= golden["microseconds"] < now() * 1000]
    lines = "".join(golden["line"] + "\n" for golden in wanted)
    cluster.kurier("produce", topic, "--input", "ndjson", "--report", "none", stdin=lines.encode())
    for client in clients.ALL:
        found = [message(record) for record in client.read(cluster, topic, len(wanted))]
        checks.expect(f"kurier produce writes, {client.name} reads: the classic JSON", found,
                      [(uuid.UUID(golden["id"]), golden["content"], datetime.fromisoformat(golden["isoformat"]))
                       for golden in wanted])
    lag = cluster.kurier("group", "lag", topic)[0]["lag"]
    checks.expect("kurier sees confluent-kafka's commits", lag, 0)


def message(record):
    """As the classic application reads it."""
    fields = json.loads(record.value)
    if list(fields) != ["id", "content", "timestamp"]:
        return fields
    return uuid.UUID(fields["id"]), fields["content"], datetime.fromisoformat(fields["timestamp"])


if __name__ == "__main__":
    check.run([others_read])
