"""What the dashboard shows, asked through its published port as a browser on this machine asks."""
import json
import time
import urllib.request
from urllib.error import URLError

from checks import Differs, equal, holds, wait_for

# A broker that is killed must be shown within this time, whatever else the machine does.
SHOWN_MAX_S = 15
# It answers from what it saw last, and waits for no broker.
ANSWER_MAX_S = 1


def get(stack, path):
    """The text of an answer, which comes at once."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.port('dashboard')}{path}", timeout=5) as answer:
            text = answer.read().decode()
    except (URLError, OSError) as error:
        raise Differs(f"the dashboard does not answer {path}: {error}") from error
    took = time.monotonic() - began
    holds(f"the dashboard answered {path} after {took:.1f} s", took < ANSWER_MAX_S)
    return text


def data(stack, path):
    """What a panel shows; a difference when nothing was seen yet."""
    panel = json.loads(get(stack, f"/api/v1/{path}"))
    holds(f"the dashboard shows nothing at {path}: {panel['error']}", panel["data"] is not None)
    return panel["data"]


def answers(stack):
    """The page is there, and the API shows the cluster and clients that work."""
    holds("the dashboard's page is no HTML", "<html" in get(stack, "/"))
    wait_for("the dashboard shows every broker", lambda: brokers(stack) == {name: True for name in stack.flavour.BROKERS})
    for service in ("producer", "consumer", "batch-consumer"):
        wait_for(f"the dashboard shows that {service} works", lambda service=service: works(stack, service))


def works(stack, service):
    """One instance of a service is there, and its messages flow."""
    found = [pipeline for one in there(stack, service) for pipeline in one["producers"] + one["consumers"]]
    equal(f"clients of {service} that the dashboard shows", len(found), 1)
    pipeline = found[0]
    return 0 < (pipeline.get("acked_per_second") or pipeline.get("handled_per_second") or 0)


def there(stack, service):
    """The instances of a service that answer the dashboard."""
    found = [it for it in data(stack, "clients") if it["address"].startswith(f"{service}:") and it["there"]]
    holds(f"the dashboard shows no {service}", found)
    return found


def shows_instances(stack, service, count):
    """Each instance of a scaled service is shown, with its own share of the partitions."""
    def shown():
        found = there(stack, service)
        equal(f"instances of {service} that the dashboard shows", len(found), count)
        shares = [pipeline["partitions"] for one in found for pipeline in one["consumers"]]
        equal("partitions of each", shares, [1] * count)
        return True
    wait_for(f"the dashboard shows {count} of {service}", shown)


def brokers(stack):
    """Whether each broker is up, by its host."""
    return {it["address"].split(":")[0]: it["up"] for it in data(stack, "brokers")}


def shows_dead(stack, host):
    """It shows a broker as dead, in time. Returns how long that took, once it was."""
    began = time.time()
    wait_for(f"the dashboard shows that {host} is dead", lambda: not brokers(stack)[host], SHOWN_MAX_S)
    state = json.loads(get(stack, "/api/v1/overview"))["status"]
    equal("the dashboard's word for it", state["state"], "degraded")
    return time.time() - began
