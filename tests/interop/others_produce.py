#!/usr/bin/env python3
"""Other people's clients produce for kurier: records of every kind through every codec, and the classic
application's JSON. `kurier consume` shows all of it as it was written."""
from dataclasses import replace

import check
import clients
from message_json import goldens
from records import CODECS, FIELDS, Record, damaged, kinds, milliseconds, now


def others_produce(cluster, checks):
    every_kind(cluster, checks)
    if not checks.control:
        classic_json(cluster, checks)


def every_kind(cluster, checks):
    """Each client writes what it can say with each codec, to a topic of its own."""
    others = clients.PYTHON if checks.control else clients.ALL
    topics = {client: cluster.topic("others-kinds") for client in others}
    began = now()
    for client, topic in topics.items():
        for codec, field in zip(CODECS, FIELDS):
            records = says(client)
            client.produce(cluster, topic, damaged(records, field) if checks.control else records, codec)
    written = began, now()

    names = list(topics.values())
    lines = cluster.kurier("consume", "single", *names, "--group", names[0], "--decode", "raw", "--exit-at-end")
    for client, topic in topics.items():
        compare(client, topic, [line for line in lines if line["topic"] == topic], written, cluster, checks)


def compare(client, topic, lines, written, cluster, checks):
    """One client's records, codec by codec."""
    wanted = says(client)
    checks.expect(f"every record of {client.name} came", len(lines), len(CODECS) * len(wanted))
    codecs = clients.KafkaPython.read(cluster, topic, len(lines)).codecs
    for number, codec in enumerate(CODECS):
        offsets = range(number * len(wanted), (number + 1) * len(wanted))
        found = lines[offsets.start:offsets.stop]
        records = wanted if client.says_time else written_between(written, wanted, found)
        checks.compare(f"{client.name} writes, kurier reads: every kind, {codec}", found,
                       [record.line(topic, offset) for record, offset in zip(records, offsets)])
        # Some clients leave a batch as it is when compression would not make it smaller.
        checks.expect(f"in the log they are {codec}", {codecs[offset] for offset in offsets} | {"none"},
                      {codec, "none"})


def says(client):
    return [record for record in kinds() if client.can_say(record)]


def written_between(written, records, lines):
    """The records with the times that were found, where these lie between the two of `written`."""
    began, ended = written
    found = [milliseconds(line["timestamp"]) for line in lines]
    return [replace(record, timestamp=time if began <= time <= ended else began)
            for record, time in zip(records, found)]


def classic_json(cluster, checks):
    """Each client writes the three forms of the classic application, and the messages read the same."""
    wanted = list(goldens(20))
    records = [Record(golden["line"].encode(), b"%d" % (number % 5), timestamp=now())
               for number, golden in enumerate(wanted)]
    topics = {client: cluster.topic("others-classic") for client in clients.ALL}
    for client, topic in topics.items():
        client.produce(cluster, topic, records, "gzip")
    names = list(topics.values())
    lines = cluster.kurier("consume", "batch", *names, "--group", names[0], "--exit-at-end")
    for client, topic in topics.items():
        found = [line["message"] for line in lines if line["topic"] == topic]
        checks.expect(f"{client.name} writes, kurier reads: the classic JSON", found,
                      [{"id": golden["id"], "content": golden["content"], "timestamp": golden["isoformat"]}
                       for golden in wanted])


if __name__ == "__main__":
    check.run([others_produce])
