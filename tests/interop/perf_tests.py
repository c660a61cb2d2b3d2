#!/usr/bin/env python3
"""kafka-producer-perf-test and kafka-consumer-perf-test: their counts and bytes are those that kurier sees."""
import re

import check

PARTITIONS = 3
COUNT = 20_000
BYTES = 100


def perf_tests(cluster, checks):
    producer(cluster, checks)
    consumer(cluster, checks)


def producer(cluster, checks):
    topic = cluster.topic("producer-perf-test", PARTITIONS)
    said = cluster.tool("ProducerPerformance", "--topic", topic, "--num-records", str(COUNT),
                        "--record-size", str(BYTES), "--throughput", "-1").decode()
    last = said.splitlines()[-1]
    checks.expect(f"kafka-producer-perf-test: {last.split(',')[1].strip()}", last.split(",")[0],
                  f"{COUNT} records sent")
    lines = cluster.kurier("consume", "batch", topic, "--group", topic, "--decode", "text", "--exit-at-end")
    checks.expect("kurier handles as many, of that size", [len(line["value"]) for line in lines], [BYTES] * COUNT)
    places = {(line["partition"], line["offset"]) for line in lines}
    ends = cluster.tool("GetOffsetShell", "--topic", topic).decode().split()
    offsets = {(int(partition), offset) for _, partition, end in (line.split(":") for line in ends)
               for offset in range(int(end))}
    checks.expect("each offset once", places, offsets)


def consumer(cluster, checks):
    topic = cluster.topic("consumer-perf-test", PARTITIONS)
    lines = b"".join(b"%0*d\n" % (BYTES, number) for number in range(COUNT))
    cluster.kurier("produce", topic, "--input", "raw", "--report", "none", stdin=lines)
    said = cluster.tool("ConsumerPerformance", "--topic", topic, "--num-records", str(COUNT), "--group", topic)
    headings, figures = [re.split(r", *", line) for line in said.decode().splitlines()[-2:]]
    shown = dict(zip(headings, figures))
    checks.expect(f"kafka-consumer-perf-test: {float(shown['nMsg.sec']):.0f} records/sec",
                  int(shown["data.consumed.in.nMsg"]), COUNT)
    checks.expect("and their bytes", shown["data.consumed.in.MB"], f"{COUNT * BYTES / 2**20:.4f}")


if __name__ == "__main__":
    check.run(without_control=[perf_tests])
