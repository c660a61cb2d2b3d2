"""produce|consume with confluent-kafka; the last line is what came of it."""
import json
import sys
import time

from confluent_kafka import Consumer, Producer

acknowledged = 0


def produce(bootstrap, topic, messages, linger, codec, batch, file):
    with open(file, "rb") as lines:
        payloads = lines.read().splitlines()
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True,
                         "linger.ms": int(linger), "compression.type": codec, "batch.size": int(batch)})

    def settled(error, _):
        global acknowledged
        acknowledged += error is None

    begun = time.monotonic()
    for number in range(int(messages)):
        while True:
            try:
                producer.produce(topic, payloads[number % len(payloads)], on_delivery=settled)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return acknowledged, time.monotonic() - begun


def consume(bootstrap, topic, messages, group, commit_ms):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": True, "auto.commit.interval.ms": int(commit_ms),
                         "check.crcs": True})
    consumer.subscribe([topic])
    count, begun, idle = 0, None, time.monotonic()
    # One by one, as its examples do. A minute without a message is the end.
    while count < int(messages) and time.monotonic() - idle < 60:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            raise SystemExit(str(message.error()))
        idle = time.monotonic()
        begun = begun or idle
        count += 1
    seconds = time.monotonic() - (begun or idle)
    consumer.close()
    return count, seconds


done, seconds = {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
print(json.dumps({"messages": done, "seconds": seconds}))
