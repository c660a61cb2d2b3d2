#!/usr/bin/env python3
"""A topic whose records get the broker's time: `message.timestamp.type=LogAppendTime`.

The control makes a topic that keeps the producers' time.
"""
import check
import clients
from records import Record, milliseconds, now

SENT = 1_000_000_000_000


def log_append_time(cluster, checks):
    kind = clients.CREATE_TIME if checks.control else clients.LOG_APPEND_TIME
    topic = cluster.topic("log-append-time", message_timestamp_type=kind)
    began = now()
    records = [Record(b"%d" % number, timestamp=SENT) for number in range(3)]
    cluster.send_records(topic, records)
    for client in clients.PYTHON:
        client.produce(cluster, topic, records, "gzip")
    ended = now()

    count = len(records) * (1 + len(clients.PYTHON))
    lines = cluster.kurier("consume", "single", topic, "--group", f"{topic}-ours", "--decode", "raw", "--exit-at-end")
    times = [milliseconds(line["timestamp"]) for line in lines]
    checks.expect("kurier reads them", [line["value"] for line in lines], ["0", "1", "2"] * (count // 3))
    checks.compare("and their times are those of the broker", [began <= one <= ended for one in times],
                   [True] * count)
    for client in clients.ALL:
        found = client.read(cluster, topic, count)
        checks.expect(f"{client.name} reads the same times", [one.timestamp for one in found], times)
        checks.compare("and calls them", set(found.timestamp_types), {clients.LOG_APPEND_TIME})


if __name__ == "__main__":
    check.run([log_append_time])
