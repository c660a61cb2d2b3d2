#!/usr/bin/env python3
"""kurier's commands in a shell, from a file and to standard output, beside librdkafka's rdkafka_performance.

    bench/run.py [--messages N] [--rounds N] [--codecs NAME…]

Runs on the cluster that KURIER_BOOTSTRAP names, else on an embedded one, whose start and memory it
measures too. Both binaries come from target/release (cargo build --release, bench/peer.sh). The library
alone, beside more of them, is what `kurier bench compare` measures. Every figure is of a whole process, from its start to its end, with all messages acknowledged or handled;
the two take turns, and the median of the rounds counts.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

RELEASE = Path(__file__).resolve().parent.parent / "target" / "release"
KURIER, PEER = str(RELEASE / "kurier"), str(RELEASE / "rdkafka_performance")
PATTERN = "librdkafka, Apache Kafka client library! "
BYTES = 200
# A message is its content and this much JSON around it.
WIRE = len('{"id":"","content":"","timestamp":""}') + 36 + 32
SETTINGS = {"acks": "all", "linger.ms": "5", "enable.idempotence": "true"}


def run(command, **more):
    """How long the command takes; its failure is ours."""
    begun = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return time.monotonic() - begun


class Cluster:
    """The named cluster, or an embedded one for the length of a `with`."""

    def __enter__(self):
        self.process = None
        self.bootstrap = os.environ.get("KURIER_BOOTSTRAP")
        if not self.bootstrap:
            command = [KURIER, "-o", "json", "cluster", "run", "--port", "0", "--memory", "2000"]
            self.process = subprocess.Popen(command + ["--topic", "first:3"], stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, text=True)
            self.bootstrap = json.loads(self.process.stdout.readline())["bootstrap"]
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)

    def kurier(self, *args, **more):
        return run([KURIER, "-b", self.bootstrap, "-q", *args], **more)

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def properties(settings):
    return [part for name, value in settings.items() for part in ("-X", f"{name}={value}")]


def cold_start(rounds):
    """Milliseconds from the start of `kurier cluster run` until `kurier produce`, started when it listens,
    says that its first message is acknowledged by all three replicas."""
    times = []
    for _ in range(rounds):
        begun = time.monotonic()
        with Cluster() as cluster:
            command = [KURIER, "-q", "-b", cluster.bootstrap, "produce", "first", "--sample", "1", "--report", "each"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
                assert json.loads(sender.stdout.readline())["event"] == "delivered"
                times.append((time.monotonic() - begun) * 1000)
    return times


def throughput(cluster, messages, rounds, codec):
    """Seconds of each contestant, by what it did."""
    settings = SETTINGS | {"compression.type": codec}
    peer_settings = SETTINGS | {"compression.codec": codec}
    seconds = {}

    def note(what, took):
        seconds.setdefault(what, []).append(took)
        print(f"  {what:36} {messages / took / 1000:8.0f} k/s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        payload = (PATTERN * (BYTES // len(PATTERN) + 1))[:BYTES]
        raw, typed = Path(folder, "raw"), Path(folder, "typed")
        raw.write_text((payload + "\n") * messages)
        typed.write_text((payload[:BYTES - WIRE] + "\n") * messages)
        for turn in range(rounds):
            topics = {name: f"bench-{codec}-{turn}-{name}" for name in ("peer", "raw", "typed")}
            for topic in topics.values():
                cluster.kurier("topic", "create", topic, "--partitions", "3")
            note("produce rdkafka_performance", run(
                [PEER, "-P", "-t", topics["peer"], "-b", cluster.bootstrap, "-s", str(BYTES), "-m", PATTERN,
                 "-c", str(messages), "-a", "-1", "-q", *properties(peer_settings)]))
            for name, form, file in (("raw", "raw", raw), ("typed", "lines", typed)):
                note(f"produce kurier {name}", cluster.kurier(
                    "produce", topics[name], str(file), "--input", form, *properties(settings)))
            # -G never ends by itself at the end of a topic; -c counts.
            note("consume rdkafka_performance", run(
                [PEER, "-G", f"peer-{codec}-{turn}", "-t", topics["peer"], "-b", cluster.bootstrap, "-c",
                 str(messages), "-q", "-X", "auto.offset.reset=earliest", "-X", "enable.auto.commit=true"]))
            for name, decode in (("raw", "raw"), ("typed", "message")):
                for kind in ("single", "batch"):
                    note(f"consume kurier {kind} {name}", cluster.kurier(
                        "consume", kind, topics[name], "--group", f"{kind}-{name}-{codec}-{turn}",
                        "--decode", decode, "--exit-at-end",
                        # The last batch of a partition is not full; by default it waits a second.
                        *(["--batch-wait", "50ms"] if kind == "batch" else [])))
            for topic in topics.values():
                cluster.kurier("topic", "delete", topic)
    return seconds


def table(seconds, messages):
    print(f"{'':36} {'median':>10} {'ratio':>7}")
    for what, times in seconds.items():
        median = statistics.median(times)
        peer = statistics.median(seconds[f"{what.split()[0]} rdkafka_performance"])
        print(f"{what:36} {messages / median / 1000:6.0f} k/s {peer / median:7.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--codecs", nargs="+", default=["none", "lz4"])
    args = parser.parse_args()
    version = subprocess.run([KURIER, "version"], capture_output=True, text=True, check=True).stdout.strip()
    kind = "the cluster named" if os.environ.get("KURIER_BOOTSTRAP") else "the embedded cluster"
    print(f"{version}; {platform.machine()}, {os.cpu_count()} cores; {kind}; {args.messages} messages of "
          f"{BYTES} bytes, 3 partitions, {args.rounds} rounds; {SETTINGS}")
    if not os.environ.get("KURIER_BOOTSTRAP"):
        times = cold_start(2 * args.rounds)
        print(f"\ncold start to the first acknowledged message: median {statistics.median(times):.0f} ms, "
              f"worst {max(times):.0f} ms, of {len(times)}")
    with Cluster() as cluster:
        if cluster.process:
            time.sleep(2)
            print(f"memory of an idle embedded cluster: {cluster.memory():.1f} MiB")
        for codec in args.codecs:
            print(f"\n{codec}", flush=True)
            table(throughput(cluster, args.messages, args.rounds, codec), args.messages)


main()
