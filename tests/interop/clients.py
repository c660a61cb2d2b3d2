"""Other people's clients behind one form each: `produce(cluster, topic, records, codec)` waits for every
acknowledgement, `read(cluster, topic, count)` returns `count` records of a topic with one partition, in its order.
"""
import asyncio
import time
from unittest import mock

import aiokafka
import confluent_kafka
import kafka
from kafka.record import memory_records

from records import CODECS, Record

PATIENCE_S = 60
CREATE_TIME, LOG_APPEND_TIME = "CreateTime", "LogAppendTime"


class Read(list):
    """Records in their order. `timestamp_types` and `codecs` are by offset, where the client shows them."""

    def __init__(self):
        super().__init__()
        self.timestamp_types = []
        self.codecs = {}


class KafkaPython:
    name = "kafka-python"
    says_time = True

    @staticmethod
    def can_say(record):
        return not record.has_null_header()

    @staticmethod
    def produce(cluster, topic, records, codec):
        # As the classic application has it.
        producer = kafka.KafkaProducer(
            bootstrap_servers=cluster.servers, acks="all", retries=5, max_in_flight_requests_per_connection=1,
            compression_type=None if codec == "none" else codec)
        sent = [producer.send(topic, one.value, one.key, list(one.headers), timestamp_ms=one.timestamp)
                for one in records]
        producer.flush()
        for one in sent:
            one.get(timeout=PATIENCE_S)
        producer.close()

    @staticmethod
    def read(cluster, topic, count):
        found = Read()

        class Batch(memory_records.DefaultRecordBatch):
            """Notes how each record was compressed."""

            __slots__ = ()

            def __init__(self, buffer):
                super().__init__(buffer)
                for offset in range(self.base_offset, self.next_offset):
                    found.codecs[offset] = CODECS[self.compression_type]

        with mock.patch.object(memory_records, "DefaultRecordBatch", Batch):
            consumer = kafka.KafkaConsumer(bootstrap_servers=cluster.servers, auto_offset_reset="earliest",
                                           enable_auto_commit=False)
            consumer.assign([kafka.TopicPartition(topic, 0)])
            end = time.monotonic() + PATIENCE_S
            while len(found) < count and time.monotonic() < end:
                for one in [one for some in consumer.poll(timeout_ms=200).values() for one in some]:
                    found.append(Record(one.value, one.key, tuple(one.headers), one.timestamp))
                    found.timestamp_types.append([CREATE_TIME, LOG_APPEND_TIME][one.timestamp_type])
            consumer.close()
        return found


class Confluent:
    name = "confluent-kafka"
    says_time = True

    @staticmethod
    def can_say(_):
        return True

    @staticmethod
    def produce(cluster, topic, records, codec):
        failed = []
        producer = confluent_kafka.Producer({
            "bootstrap.servers": cluster.bootstrap, "compression.type": codec, "linger.ms": 50,
            "on_delivery": lambda error, _: error and failed.append(str(error))})
        for one in records:
            # 0 is its word for now.
            producer.produce(topic, one.value, one.key, timestamp=one.timestamp or 0, headers=list(one.headers))
        if producer.flush(PATIENCE_S) or failed:
            raise RuntimeError(f"confluent-kafka did not deliver: {failed}")

    @staticmethod
    def read(cluster, topic, count):
        """As a member of a group named like the topic, which commits at its end."""
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": cluster.bootstrap, "group.id": topic, "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky"})
        consumer.subscribe([topic])
        found = Read()
        types = {confluent_kafka.TIMESTAMP_CREATE_TIME: CREATE_TIME,
                 confluent_kafka.TIMESTAMP_LOG_APPEND_TIME: LOG_APPEND_TIME}
        end = time.monotonic() + PATIENCE_S
        while len(found) < count and time.monotonic() < end:
            one = consumer.poll(0.2)
            if one is None or one.error():
                continue
            kind, timestamp = one.timestamp()
            found.append(Record(one.value(), one.key(), tuple(one.headers() or ()), timestamp))
            found.timestamp_types.append(types[kind])
        consumer.close()
        return found


class AioKafka:
    name = "aiokafka"
    says_time = True

    @staticmethod
    def can_say(_):
        return True

    @staticmethod
    def produce(cluster, topic, records, codec):
        async def produce():
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=cluster.servers, acks="all", linger_ms=50,
                compression_type=None if codec == "none" else codec)
            await producer.start()
            sent = [await producer.send(topic, one.value, one.key, timestamp_ms=one.timestamp,
                                        headers=list(one.headers)) for one in records]
            await asyncio.wait_for(asyncio.gather(*sent), PATIENCE_S)
            await producer.stop()

        asyncio.run(produce())

    @staticmethod
    def read(cluster, topic, count):
        async def read():
            found = Read()
            consumer = aiokafka.AIOKafkaConsumer(
                topic, bootstrap_servers=cluster.servers, group_id=f"{topic}-aiokafka", auto_offset_reset="earliest")
            await consumer.start()
            end = time.monotonic() + PATIENCE_S
            while len(found) < count and time.monotonic() < end:
                for one in [one for some in (await consumer.getmany(timeout_ms=200)).values() for one in some]:
                    found.append(Record(one.value, one.key, tuple(one.headers), one.timestamp))
                    found.timestamp_types.append([CREATE_TIME, LOG_APPEND_TIME][one.timestamp_type])
            await consumer.stop()
            return found

        return asyncio.run(read())


class JavaConsole:
    """kafka-console-producer and -consumer. They write lines of text and the time of writing; they read
    everything."""

    name = "Java's console"
    says_time = False
    # Between fields and records: control characters, which no record here has.
    BETWEEN, END, NULL = b"\x1f", b"\x1e\n", b"\x15"

    @staticmethod
    def can_say(record):
        return record.is_text()

    @classmethod
    def produce(cls, cluster, topic, records, codec):
        text = lambda data: cls.NULL if data is None else data
        lines = []
        for one in records:
            headers = b",".join(name.encode() + b":" + text(value) for name, value in one.headers) or cls.NULL
            lines.append(cls.BETWEEN.join([headers, text(one.key), text(one.value)]) + b"\n")
        properties = [f"--reader-property={name}={value}" for name, value in {
            "parse.key": "true", "parse.headers": "true", "key.separator": cls.BETWEEN.decode(),
            "headers.delimiter": cls.BETWEEN.decode(), "null.marker": cls.NULL.decode()}.items()]
        cluster.tool("ConsoleProducer", "--topic", topic, "--compression-codec", codec,
                     "--command-property=acks=all", *properties, stdin=b"".join(lines))

    @classmethod
    def read(cls, cluster, topic, count):
        properties = [f"--formatter-property={name}={value}" for name, value in {
            "print.timestamp": "true", "print.headers": "true", "print.key": "true",
            "key.separator": cls.BETWEEN.decode(), "line.separator": cls.END.decode(),
            "null.literal": cls.NULL.decode(), "headers.separator": cls.BETWEEN.decode()}.items()]
        printed = cluster.tool(
            "consumer.ConsoleConsumer", "--topic", topic, "--partition", "0", "--offset", "earliest",
            "--max-messages", str(count), "--timeout-ms", str(PATIENCE_S * 1000), *properties)
        found = Read()
        for line in printed.split(cls.END)[:-1]:
            kind_and_time, *headers, key, value = line.split(cls.BETWEEN)
            kind, timestamp = kind_and_time.decode().split(":")
            pairs = [] if headers == [b"NO_HEADERS"] else [header.split(b":", 1) for header in headers]
            headers = tuple((name.decode(), cls.data(data)) for name, data in pairs)
            found.append(Record(cls.data(value), cls.data(key), headers, int(timestamp)))
            found.timestamp_types.append(kind)
        return found

    @classmethod
    def data(cls, text):
        return None if text == cls.NULL else text


PYTHON = [KafkaPython, Confluent, AioKafka]
ALL = [*PYTHON, JavaConsole]
