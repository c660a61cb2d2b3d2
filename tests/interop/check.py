"""What every interop script prints and how it ends.

0: all is as it should be. 1: something differs, and the last line says what. 2: the script itself failed.
With `--control` what other people's clients are given is damaged by one byte, a field at a time: the comparisons
must see it, and the script ends with 1. It ends with 0 when one of them saw nothing.
"""
import argparse
import sys
import time
import traceback
from dataclasses import is_dataclass
from pathlib import Path

from cluster import PATIENCE_S, Cluster


class Checks:
    """One run's comparisons."""

    def __init__(self, control):
        self.control = control
        self.seen = 0

    def expect(self, what, found, wanted):
        """Ends the run unless both are equal."""
        if found != wanted:
            sys.exit(f"DIFFERS  {what}:{difference(found, wanted)}")
        print(f"ok  {what}", flush=True)

    def compare(self, what, found, wanted):
        """`expect` for what the control damages."""
        if not self.control:
            return self.expect(what, found, wanted)
        if found == wanted:
            print(f"CONTROL  {what}: the damage was not seen")
            sys.exit(0)
        self.seen += 1
        print(f"ok  the control is seen: {what}:{difference(found, wanted)}", flush=True)

    def end(self):
        if self.control:
            sys.exit(f"the control: {self.seen} damaged comparisons, and each was seen")


def difference(found, wanted):
    """The first place where they differ."""
    if is_dataclass(found) and is_dataclass(wanted):
        found, wanted = vars(found), vars(wanted)
    if isinstance(found, dict) and isinstance(wanted, dict):
        both = [(f"[{key!r}]", found.get(key), wanted.get(key)) for key in {**wanted, **found}]
    elif isinstance(found, (list, tuple)) and isinstance(wanted, (list, tuple)):
        both = [(f"[{index}]", left, right) for index, (left, right) in enumerate(zip(found, wanted))]
    elif isinstance(found, set) and isinstance(wanted, set):
        missing, foreign = sorted(wanted - found, key=repr), sorted(found - wanted, key=repr)
        return f" {len(missing)} missing {missing[:3]!r}, {len(foreign)} foreign {foreign[:3]!r}"
    else:
        return f" found {brief(found)}, expected {brief(wanted)}"
    for place, left, right in both:
        if left != right:
            return place + difference(left, right)
    return f" {len(found)} came, expected {len(wanted)}"


def brief(value):
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:400]} … {text[-100:]}"


def wait_for(what, ready):
    """What `ready` returns once it is true; a wait for a condition, and the end of the run if it never comes."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := ready()):
        if end < time.monotonic():
            sys.exit(f"DIFFERS  {what}: not within {PATIENCE_S} s")
        time.sleep(0.02)
    return answer


def run(scripts=(), without_control=()):
    """Calls each with the cluster and the checks, on one cluster: the one that KURIER_BOOTSTRAP names, else an
    embedded one of its own. The control leaves out those that compare nothing it could damage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kurier", type=Path, help="the binary; the tests' send-records lies beside it")
    parser.add_argument("jars", type=Path, help="the folder with Kafka's jars")
    parser.add_argument("--control", action="store_true", help="damage what is compared: must end with 1")
    args = parser.parse_args()
    if args.control and not scripts:
        parser.error("there is nothing here that a control could damage")
    checks = Checks(args.control)
    began = time.monotonic()
    try:
        with Cluster(args.kurier.resolve(), args.jars.resolve()) as cluster:
            for script in [*scripts, *(() if args.control else without_control)]:
                script(cluster, checks)
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    checks.end()
