"""produce|consume with kafka-python; the last line is what came of it."""
import json
import sys
import time

from kafka import KafkaConsumer, KafkaProducer

acknowledged = 0


def produce(bootstrap, topic, messages, linger, codec, batch, file):
    with open(file, "rb") as lines:
        payloads = lines.read().splitlines()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True,
                             linger_ms=int(linger), batch_size=int(batch),
                             compression_type=None if codec == "none" else codec)

    def settled(_):
        global acknowledged
        acknowledged += 1

    begun = time.monotonic()
    for number in range(int(messages)):
        producer.send(topic, payloads[number % len(payloads)]).add_callback(settled)
    producer.flush()
    seconds = time.monotonic() - begun
    # The last callbacks may come after flush returns.
    producer.close()
    return acknowledged, seconds


def consume(bootstrap, topic, messages, group, commit_ms):
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
                             enable_auto_commit=True, auto_commit_interval_ms=int(commit_ms),
                             check_crcs=True, consumer_timeout_ms=60000)
    count, begun = 0, None
    for _ in consumer:
        begun = begun or time.monotonic()
        count += 1
        if count == int(messages):
            break
    seconds = time.monotonic() - (begun or time.monotonic())
    consumer.close()
    return count, seconds


done, seconds = {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
print(json.dumps({"messages": done, "seconds": seconds}))
