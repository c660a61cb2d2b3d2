"""compose.yaml: three nodes with KRaft. A broker is killed and stopped under load, consumers are recreated."""
import dashboard
from checks import equal, holds
from steps import (CLIENTS, Step, back_in_sync, flowing, in_words, members, ready, replicas, run, scaled, settled,
                   shown_healthy, stalls, started_in_order, volumes)

NAME = "kraft"
FILE = "compose.yaml"
RATE = 100
BROKERS = {"kafka1", "kafka2", "kafka3"}
NAMED = BROKERS
NEEDS = ({"topic": BROKERS} | {client: BROKERS | {"topic"} for client in CLIENTS}
         | {alone: set() for alone in BROKERS | {"dashboard"}})
TOOLS = "docker exec kafka1 /opt/kafka/bin"
DESCRIBE = f"{TOOLS}/kafka-topics.sh --bootstrap-server kafka1:9092 --describe --topic python-topic"
MEMBERS = f"{TOOLS}/kafka-consumer-groups.sh --bootstrap-server kafka1:9092 --describe --group single_message_group_1"
# A killed broker costs 8.8 s with Kafka's own settings; with this file's 3.3 s, or 4.6 s when it was the active controller.
# The bound leaves room for a busy machine.
STALL_MAX_S = 8


def walk(stack, commands):
    """Returns what was measured, in words."""
    faults, starts, kept, shown = {}, [], [], []

    def up(stack, said, began):
        started_in_order(stack, said, began)
        flowing(stack)
        first = min(it.time for it in stack.books.handled("consumer", began))
        starts.append(f"{stack.start_times(began)}; first message handled after {first - began:.0f} s")
        dashboard.answers(stack)

    def fault(what):
        def check(stack, said, began):
            faults[what] = began
            flowing(stack)
        return check

    def killed(stack, said, began):
        shown.append(dashboard.shows_dead(stack, "kafka2"))
        fault("kill")(stack, said, began)

    def down(stack, _said, _began):
        equal("volumes that are kept", len(volumes(stack)), 3)
        equal("containers that are left", stack.shell("docker compose ps -aq"), "")

    def nothing_is_left(stack, _said, _began):
        equal("volumes that are left", volumes(stack), set())

    def up_again(stack, said, began):
        up(stack, said, began)
        kept.extend(settled(stack))

    run(stack, commands, [
        Step("docker compose up -d", up),
        Step("docker compose ps", shown_healthy, again=True),
        Step("docker compose logs -f consumer", until=lambda line: '"message":{"id"' in line),
        Step("docker compose exec consumer kurier probe ready 127.0.0.1:9464", ready, again=True),
        Step(DESCRIBE, replicas(3), again=True),
        Step("docker compose up -d --scale consumer=3", scaled(3)),
        Step(MEMBERS, members(stack, 3), again=True),
        Step("docker kill -s KILL kafka2", killed),
        Step("docker start kafka2", back_in_sync),
        Step("docker stop kafka2", fault("stop")),
        Step("docker start kafka2", back_in_sync),
        Step("docker compose up -d --force-recreate --no-deps consumer batch-consumer", fault("recreation")),
        Step("docker compose down", down),
        Step("docker compose up -d", up_again),
        Step("docker compose down -v", nothing_is_left),
    ])
    log, figures = kept
    waits = stalls(stack, log, faults)
    holds(f"{in_words(waits)}: more than {STALL_MAX_S} s", max(waits.values()) < STALL_MAX_S)
    return f"{starts[0]}; {figures}; {in_words(waits)}; the dead node on the dashboard after {shown[0]:.1f} s"
