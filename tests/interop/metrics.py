#!/usr/bin/env python3
"""Prometheus' own parser reads the page of metrics, and finds in it what was handled."""
import socket
import urllib.error
import urllib.request

import check
from cluster import Running
from prometheus_client.parser import text_string_to_metric_families

MESSAGES = 500


def metrics(cluster, checks):
    topic = cluster.topic("metrics", 3)
    cluster.kurier("produce", topic, "--sample", str(MESSAGES), "--report", "none")
    address, group = free_address(), f"{topic}-ours"
    command = cluster.command("consume", "single", topic, "--group", group, "--instance", "1", "--metrics", address)
    running = Running(command, lambda _: None)
    try:
        families = check.wait_for("all is handled and committed", lambda: all_handled(address))
        untyped = [name for name, family in families.items() if family.type not in ("counter", "gauge", "histogram")]
        checks.expect("Prometheus' parser knows every metric's kind", untyped, [])
        clients = {sample.labels["client"] for family in families.values() for sample in family.samples}
        checks.expect("and one client", clients, {f"{group}-1"})
        checks.expect("each message is read once", total(families, "kurier_consumer_records_received"), MESSAGES)
        partitions = {sample.labels["partition"] for sample in families["kurier_consumer_lag_records"].samples}
        checks.expect("each partition has a lag", partitions, {"0", "1", "2"})
        buckets = [sample.value for sample in families["kurier_consumer_handler_seconds"].samples
                   if sample.name.endswith("_bucket")]
        checks.expect("and each handler call is in a bucket", (buckets[-1], buckets), (MESSAGES, sorted(buckets)))
        running.stop()
    finally:
        running.kill()
        running.wait()


def all_handled(address):
    """The metrics by name, once everything is handled and nothing is left to do."""
    try:
        page = urllib.request.urlopen(f"http://{address}/metrics", timeout=30).read().decode()
    except urllib.error.URLError:
        # It is not there yet.
        return None
    families = {family.name: family for family in text_string_to_metric_families(page)}
    lag = families.get("kurier_consumer_lag_records")
    handled = lag and total(families, "kurier_consumer_records_processed") == MESSAGES
    return families if handled and len(lag.samples) == 3 and all(sample.value == 0 for sample in lag.samples) else None


def total(families, name):
    return sum(sample.value for sample in families[name].samples)


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return "%s:%d" % listener.getsockname()


if __name__ == "__main__":
    check.run(without_control=[metrics])
