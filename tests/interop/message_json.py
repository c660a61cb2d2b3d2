#!/usr/bin/env python3
"""The message's JSON, as Python's standard library (3.9 or newer) writes and reads it.

    message_json.py make [COUNT]   writes COUNT messages (default 60) of each of the classic
                                   application's three kinds, one JSON object a line, with what the
                                   message must read as beside it
    message_json.py check          reads messages written by us, one a line, and fails on the first
                                   that Python's uuid.UUID or datetime.fromisoformat does not read
"""
import json
import random
import re
import sys
import uuid
from datetime import datetime, timedelta, timezone

CONTENTS = [
    "hello",
    "Grüße, мир, 世界, 😀",
    'quotes " and \\ and / and \t and \u0001 and \u2028',
    {"network": "ci", "magnitude": 1.07, "place": None, "tags": ["a", 2, True]},
    [0.1, 1e-7, -0.0, 123456789012345678, []],
    17,
    False,
]
WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)


def moments(count):
    """Moments with and without a fraction, from year 1 on (isoformat leaves out a zero fraction)."""
    special = [
        datetime(1, 1, 1),
        datetime(1969, 12, 31, 23, 59, 59, 999999),
        datetime(1970, 1, 1),
        datetime(2024, 2, 29, 12, 0, 0, 1),
        datetime(2026, 11, 23, 21, 59, 58),
        datetime(9999, 12, 29, 23, 59, 59, 999999),
    ]
    seconds = int(timedelta(days=365 * 60).total_seconds())
    while len(special) < count:
        moment = datetime(1990, 1, 1) + timedelta(seconds=random.randrange(seconds))
        special.append(moment + timedelta(microseconds=random.choice([0, 1, 500000, 999999])))
    return special[:count]


def with_offset(moment):
    """The same moment somewhere else in the world, where that is still in the years 1 to 9999."""
    if moment.year in (1, 9999):
        return moment.replace(tzinfo=timezone.utc)
    offset = timezone(timedelta(minutes=random.randrange(-14 * 60, 14 * 60)))
    return moment.replace(tzinfo=timezone.utc).astimezone(offset)


KINDS = {
    "datetime.now().isoformat()": lambda moment: moment,
    "datetime.now(timezone.utc).isoformat()": lambda m: m.replace(tzinfo=timezone.utc),
    "datetime.now().astimezone().isoformat()": with_offset,
}


def goldens(count):
    """`count` messages of each of the classic application's kinds, and what they must read as; the same each time."""
    random.seed(20261123)
    for kind, form in KINDS.items():
        for number, moment in enumerate(moments(count)):
            message = {
                "id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
                "content": CONTENTS[number % len(CONTENTS)],
                "timestamp": form(moment).isoformat(),
            }
            utc = moment.replace(tzinfo=timezone.utc)
            yield {
                "made_by": kind,
                "line": json.dumps(message, ensure_ascii=number % 2 == 0),
                "id": message["id"],
                "content": message["content"],
                "microseconds": (utc - EPOCH) // MICROSECOND,
                "isoformat": utc.isoformat(timespec="microseconds"),
            }


def check():
    lines = 0
    for lines, line in enumerate(sys.stdin.buffer, 1):
        try:
            message = json.loads(line.decode("utf-8"))
            written = message["timestamp"]
            if list(message) != ["id", "content", "timestamp"]:
                raise ValueError(f"fields are {list(message)}")
            if str(uuid.UUID(message["id"])) != message["id"]:
                raise ValueError("id is not as Python writes it")
            if not WRITTEN.fullmatch(written):
                raise ValueError("timestamp has another form")
            moment = datetime.fromisoformat(written)
            if moment.isoformat(timespec="microseconds") != written:
                raise ValueError(f"timestamp reads as {moment!r}")
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"line {lines}: {error}: {line!r}")
    if lines == 0:
        sys.exit("no lines came")
    print(f"{lines} messages read", file=sys.stderr)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["make"]:
        for golden in goldens(int(arguments[1]) if arguments[1:] else 60):
            print(json.dumps(golden))
    elif arguments == ["check"]:
        check()
    else:
        sys.exit(__doc__)
