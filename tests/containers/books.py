"""What was delivered, written and handled, each from its own source, and the judgement on it.

Delivered is what the producer's containers report, written is what a fresh reader without a group finds in the topic,
handled is what the consumers' containers print.
"""
import json
from collections import defaultdict, namedtuple
from datetime import datetime

from checks import Lost, holds

Delivered = namedtuple("Delivered", "id partition offset time")
# `made` is when the producer made the message, by its clock, which is also Docker's.
Written = namedtuple("Written", "id key partition offset made")
Handled = namedtuple("Handled", "id partition offset time")
GROUPS = {"consumer": "single_message_group_1", "batch-consumer": "batch_message_group_1"}


class Books:
    def __init__(self, record):
        self.record = record

    def delivered(self, since=0.0):
        return [Delivered(it["id"], it["partition"], it["offset"], time)
                for time, it in self._objects("producer", since) if it["event"] == "delivered"]

    def failed(self):
        return [it for _, it in self._objects("producer") if it["event"] != "delivered"]

    def handled(self, service, since=0.0):
        return [Handled(it["message"]["id"], it["partition"], it["offset"], time)
                for time, it in self._objects(service, since)]

    def _objects(self, service, since=0.0):
        lines = self.record.said(service, since)
        return [(line.time, json.loads(line.text)) for line in lines if line.text.startswith("{")]


def written(objects):
    """From the lines of `kurier topic tail`."""
    def made(message):
        return datetime.fromisoformat(message["timestamp"]).timestamp()
    return [Written(it["message"]["id"], it["key"], it["partition"], it["offset"], made(it["message"]))
            for it in sorted(objects, key=lambda it: (it["partition"], it["offset"]))]


def problems(delivered, written, handled):
    """Everything that was promised and is not so; `handled` is by service."""
    found = []
    places = {it.id: (it.partition, it.offset) for it in written}
    lost = [it for it in delivered if places.get(it.id) is None]
    astray = [it for it in delivered if places.get(it.id) not in (None, (it.partition, it.offset))]
    found += [f"delivered and not written: {it}" for it in lost]
    found += [f"delivered, and written elsewhere: {it}" for it in astray]
    found += [f"written before the one made earlier: {it}" for it in out_of_order(written, "key", "made")]
    for service, lines in handled.items():
        seen = {it.id for it in lines}
        found += [f"not handled by {service}: {it}" for it in written if it.id not in seen]
        first = list({it.id: it for it in reversed(lines)}.values())[::-1]
        found += [f"handled out of order by {service}: {it}" for it in out_of_order(first, "partition", "offset")]
    return found


def out_of_order(items, by, rising):
    last, late = defaultdict(lambda: -1), []
    for item in items:
        which, value = getattr(item, by), getattr(item, rising)
        if value < last[which]:
            late.append(item)
        last[which] = max(last[which], value)
    return late


def judge(delivered, written, handled):
    """Nothing is lost and everything in order, and were it not so, it would be seen: a control for each kind of
    damage. Returns how many were handled more than once."""
    found = problems(delivered, written, handled)
    if found:
        raise Lost(f"{len(found)} problems, the first: {found[:3]}")
    for damage, damaged in damages(delivered, written, handled).items():
        holds(f"control: {damage} was not seen", problems(*damaged))
    return sum(len(lines) - len({it.id for it in lines}) for lines in handled.values())


def damages(delivered, written, handled):
    one = written[0]
    after = next(it for it in written[1:] if it.key == one.key)
    swap = {one.id: after, after.id: one}
    unhandled = {service: [it for it in lines if it.id != one.id] for service, lines in handled.items()}
    reordered = {service: [it for it in lines if it.id != one.id] + [it for it in lines if it.id == one.id]
                 for service, lines in handled.items()}
    return {
        "a message that is not in the topic": (delivered, [it for it in written if it != one], handled),
        "a message that nobody handled": (delivered, written, unhandled),
        "a message that was handled last": (delivered, written, reordered),
        "two messages of a key that changed places": (delivered, [swap.get(it.id, it) for it in written], handled),
    }


def longest_wait(delivered, written, since, until):
    """The longest time from making a message to its acknowledgement, of those made in between."""
    acknowledged = {it.id: it.time for it in delivered}
    waits = [acknowledged[it.id] - it.made for it in written
             if since <= it.made < until and it.id in acknowledged]
    holds("no messages were made meanwhile", waits)
    return max(waits)
