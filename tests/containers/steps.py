"""What each command of a walk-through must bring about, where both files agree."""
import time
from collections import namedtuple

import dashboard
from books import GROUPS, judge, longest_wait, written
from checks import equal, holds, wait_for

# A command of the guide, what must be true after it, and for one that goes on until interrupted a line it must print.
# `again`: it only looks, and may be asked again until what it shows is right.
Step = namedtuple("Step", "command check until again", defaults=[None, None, False])

CLIENTS = ("consumer", "batch-consumer", "producer")
# Docker waits for 10 s before it kills.
STOP_MAX_S = 10


def run(stack, commands, steps):
    """Runs the guide's commands, which must be those of the steps, in their order."""
    equal("the guide's commands", commands, [step.command for step in steps])
    for step in steps:
        began = time.time()
        if step.until:
            stack.watch(step.command, step.until)
        elif step.again:
            wait_for(f"`{step.command}` shows it", lambda step=step: shows(stack, step))
        else:
            said = stack.shell(step.command)
            if step.check:
                step.check(stack, said, began)
        print(f"ok  {stack.flavour.NAME:7}  {time.time() - began:5.1f} s  $ {step.command}", flush=True)


def shows(stack, step):
    step.check(stack, stack.shell(step.command), 0)
    return True


def started_in_order(stack, said, began):
    """Each only after those it needs are healthy, and none of them more than once."""
    wait_for("every service has started", lambda: set(stack.flavour.NEEDS) <= set(stack.record.happened("start", began)))
    started = stack.record.happened("start", began)
    served = stack.record.happened("health_status: healthy", began)
    served |= {service: time for service, time in stack.record.happened("die", began).items() if service == "topic"}
    for service, needed in stack.flavour.NEEDS.items():
        for one in needed:
            holds(f"{service} started at {started[service]}, and {one} was ready only at {served.get(one)}",
                  one in served and served[one] <= started[service])
    running(stack)


def running(stack):
    for container in stack.inspect():
        state, service = container["State"], container["Config"]["Labels"]["com.docker.compose.service"]
        if service == "topic":
            equal("the topic service's exit code", (state["Status"], state["ExitCode"]), ("exited", 0))
            continue
        equal(f"{container['Name']}: its state and restarts", (state["Status"], container["RestartCount"]), ("running", 0))
        host = container["HostConfig"]
        holds(f"{service} has no limit of memory", 0 < host["Memory"])
        holds(f"{service} has no restart policy", host["RestartPolicy"]["Name"] == "unless-stopped")
        addresses = {bound["HostIp"] for bounds in host["PortBindings"].values() for bound in bounds}
        holds(f"{service} listens outside of loopback: {addresses}", addresses <= {"127.0.0.1"})
        if container["Config"]["Image"] == "kurier":
            holds(f"{service} can write to its root", host["ReadonlyRootfs"])


def shown_healthy(stack, said, _began):
    """A check of `docker compose ps`: every service that goes on is there, and healthy."""
    rows = said.splitlines()[1:]
    holds(f"not all are healthy:\n{said}", all("(healthy)" in row for row in rows))
    equal("containers that are shown", len(rows), len(set(stack.flavour.NEEDS) - {"topic"}))
    running(stack)


def ready(_stack, said, _began):
    equal("the answer's first line", said.splitlines()[0], "ready")


def flowing(stack, _said=None, _began=None):
    """Messages are delivered and handled after now, in every partition and by both groups."""
    since = time.time()

    def flows():
        partitions = {it.partition for it in stack.books.delivered(since)}
        return partitions == {0, 1, 2} and all(
            {it.partition for it in stack.books.handled(service, since)} == {0, 1, 2} for service in GROUPS)
    wait_for("messages are delivered to and handled from every partition", flows)


def members(stack, count):
    """A check of Kafka's own tool: so many members, which have all partitions between them."""
    def check(_stack, said, _began):
        rows = [line.split() for line in said.splitlines() if line.startswith(GROUPS["consumer"])]
        equal("partitions that the tool shows", sorted(row[2] for row in rows), ["0", "1", "2"])
        equal("their members", len({row[6] for row in rows}), count)
        holds(f"a partition has no member:\n{said}", "-" not in {row[6] for row in rows})
    return check


def replicas(in_sync):
    """A check of Kafka's own tool: three partitions with so many replicas in sync."""
    def check(_stack, said, _began):
        rows = [line for line in said.splitlines() if "Leader:" in line]
        found = [len(row.split("Isr:")[1].split()[0].split(",")) for row in rows]
        equal("replicas in sync, by partition", found, [in_sync] * 3)
    return check


def shared_by(count):
    """A check of the consumers' logs: each of so many instances says that it owns a partition."""
    def check(stack, _said, _began):
        def shared():
            owned = {}
            for line in stack.record.said("consumer"):
                if " owned=" in line.text:
                    owned[line.container] = line.text.split(" owned=")[1]
            alive = {container["Id"][:12] for container in stack.inspect("consumer") if container["State"]["Running"]}
            now = sorted(owned.get(one, "nothing") for one in alive)
            return len(alive) == count and now == [f"python-topic[{n}]" for n in range(count)]
        wait_for(f"{count} consumers say that they share the partitions", shared)
        flowing(stack)
    return check


def scaled(count):
    """A check that so many consumers share the partitions, by what they say and by what the dashboard shows."""
    def check(stack, said, began):
        shared_by(count)(stack, said, began)
        dashboard.shows_instances(stack, "consumer", count)
    return check


def back_in_sync(stack, _said, _began):
    """As this machine sees it, through the published ports."""
    wait_for("every partition has all its replicas", lambda: stack.kurier("cluster", "health"))
    flowing(stack)


def ended(*services):
    """A check that these have ended, and the clients among them by themselves, in time, with nothing left."""
    def check(stack, _said, began):
        for container in stack.inspect(*services):
            equal(f"{container['Name']} runs", container["State"]["Running"], False)
            if container["Config"]["Image"] == "kurier":
                # 143: told to end, and nothing was left to do.
                equal(f"{container['Name']} ended with", container["State"]["ExitCode"], 143)
        for service, died in stack.record.happened("die", began).items():
            holds(f"{service} took {died - began:.1f} s to end", service not in CLIENTS or died - began < STOP_MAX_S)
    return check


def volumes(stack):
    listed = stack.shell(f"docker volume ls -q --filter label=com.docker.compose.project={stack.project}")
    return set(listed.split())


def settled(stack):
    """Stops the producer, waits until everything is handled and committed, and judges all there was. Returns what was
    written, and the figures."""
    stack.shell("docker compose stop producer")
    for group in GROUPS.values():
        wait_for(f"{group} has no lag", lambda group=group: stack.kurier("group", "lag", group)[0]["lag"] == 0)
    log = written(stack.kurier("topic", "tail", "python-topic", "--from", "earliest", "--exit-at-end"))
    delivered = stack.books.delivered()
    equal("messages that failed", stack.books.failed(), [])
    # A producer that is ended while its brokers are made anew may write what it no longer hears of.
    unreported = len({it.id for it in log} - {it.id for it in delivered})
    wait_for("what is committed has been printed", lambda: all(
        {it.id for it in log} <= {it.id for it in stack.books.handled(service)} for service in GROUPS), 20)
    again = judge(delivered, log, {service: stack.books.handled(service) for service in GROUPS})
    return log, f"{len(delivered)} messages delivered and handled by both groups, 0 lost, {again} handled again, {unreported} written unreported"


def stalls(stack, log, faults):
    """The longest wait for an acknowledgement around each fault, in seconds."""
    delivered = stack.books.delivered()
    return {what: longest_wait(delivered, log, begun - 1, begun + 30) for what, begun in faults.items()}


def in_words(stalls):
    told = ", ".join(f"{what} {wait:.1f} s" for what, wait in stalls.items())
    return f"longest wait for an acknowledgement: {told}"
