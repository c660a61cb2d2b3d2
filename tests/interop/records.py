"""Records of every kind that has ever surprised a consumer, and how kurier prints them."""
import base64
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Its own field is damaged in the batch of each codec, so that a control shows that each field is compared.
FIELDS = ["value", "key", "header's name", "header's value", "timestamp"]


@dataclass(frozen=True)
class Record:
    """One record; `timestamp` in milliseconds since 1970, None where a client can't say it."""

    value: bytes | None = None
    key: bytes | None = None
    headers: tuple = ()
    timestamp: int | None = 1_700_000_000_000

    def is_text(self):
        """Whether a client of lines and UTF-8 can say it."""
        strings = [self.value, self.key, *(value for _, value in self.headers)]
        return all(is_utf8(one) and b"\n" not in one for one in strings if one is not None)

    def has_null_header(self):
        return any(value is None for _, value in self.headers)

    def as_numbers(self):
        """For send-records: bytes as numbers."""
        numbers = lambda one: None if one is None else list(one)
        headers = [[name, numbers(value)] for name, value in self.headers]
        return {"key": numbers(self.key), "value": numbers(self.value), "headers": headers,
                "timestamp": rfc3339(self.timestamp)}

    def line(self, topic, offset):
        """What `kurier consume --decode raw` prints for it on a topic with one partition."""
        headers = [{"key": name, **shown("value", value)} for name, value in self.headers]
        body = {"message": None} if self.value is None else shown("value", self.value)
        return {"topic": topic, "partition": 0, "offset": offset, **shown("key", self.key),
                "timestamp": rfc3339(self.timestamp), "headers": headers, **body}


def kinds():
    """One of each; the first has every field, for the control."""
    long = b"the same again and again, so that it is worth compressing; " * 300
    return [
        Record(b'{"any": "JSON"}', b"order-17", (("n", b"1"), ("n", b"2")), 1_700_000_000_001),
        Record("Grüße, мир, 世界, 😀".encode(), "ключ".encode(), timestamp=1_700_000_000_250),
        Record(b"no key", None, timestamp=1),
        Record(b"empty key", b""),
        Record(b"", b"empty value"),
        Record(None, b"a tombstone"),
        Record(None, b"a tombstone with headers", (("why", b"gone"),)),
        Record(bytes([0, 255, 254, 10, 13]), bytes([0, 159, 146, 150])),
        Record(b"headers", b"k", (("n", b"1"), ("m", b"x"), ("n", b"2"), ("n", b"1"), ("empty", b""),
                                  ("имя", "значение".encode()))),
        Record(b"bytes in headers", None, (("b", bytes([255, 0, 254])), ("b", b"\xc3\x28"))),
        Record(b"a header without a value", None, (("n", None), ("n", b"1"))),
        Record(long, b"long"),
    ]


def damaged(records, field):
    """The records with one byte, or one millisecond, of the first changed."""
    first = records[0]
    (name, value), *more = first.headers
    flipped = lambda text: bytes([text[0] ^ 1]) + text[1:]
    changed = {
        "value": replace(first, value=flipped(first.value)),
        "key": replace(first, key=flipped(first.key)),
        "header's name": replace(first, headers=((flipped(name.encode()).decode(), value), *more)),
        "header's value": replace(first, headers=((name, flipped(value)), *more)),
        "timestamp": replace(first, timestamp=first.timestamp + 1),
    }
    return [changed[field], *records[1:]]


def is_utf8(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def shown(name, data):
    if data is None:
        return {name: None}
    if is_utf8(data):
        return {name: data.decode()}
    return {f"{name}_base64": base64.b64encode(data).decode()}


def rfc3339(milliseconds):
    seconds, rest = divmod(milliseconds, 1000)
    fraction = f".{rest:03}".rstrip("0") if rest else ""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def milliseconds(text):
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def now():
    return int(time.time() * 1000)
