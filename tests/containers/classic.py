"""compose.zookeeper.yaml: ZooKeeper and two brokers; no service makes the topic."""
import dashboard
from checks import equal, wait_for
from steps import (CLIENTS, Step, back_in_sync, ended, flowing, in_words, members, replicas, run, scaled, settled,
                   shown_healthy, stalls, started_in_order, volumes)

NAME = "classic"
FILE = "compose.zookeeper.yaml"
RATE = 50
BROKERS = {"kafka1", "kafka2"}
NAMED = BROKERS | {"zookeeper"}
NEEDS = ({alone: set() for alone in ("zookeeper", "dashboard")} | {one: {"zookeeper"} for one in BROKERS}
         | {client: BROKERS for client in CLIENTS})
CREATE = ("docker exec kafka1 kafka-topics --create --topic python-topic --bootstrap-server kafka1:9092"
          " --partitions 3 --replication-factor 2")
DESCRIBE = "docker exec kafka1 kafka-topics --describe --topic python-topic --bootstrap-server kafka1:9092"
MEMBERS = ("docker exec kafka1 kafka-consumer-groups --bootstrap-server kafka1:9092 --describe"
           " --group single_message_group_1")


def walk(stack, commands):
    """Returns what was measured, in words."""
    faults, starts, kept, shown = {}, [], [], []

    def up(stack, said, began):
        started_in_order(stack, said, began)
        starts.append(stack.start_times(began))
        for service in CLIENTS:
            wait_for(f"{service} says that it waits for the topic", lambda service=service: any(
                "waiting for" in line.text for line in stack.record.said(service)))


    def created(stack, said, began):
        equal("the tool's answer", said.strip(), "Created topic python-topic.")
        flowing(stack)
        dashboard.answers(stack)

    def every_service(stack, said, _began):
        named = {line.split("|")[0].strip().removesuffix("-1") for line in said.splitlines() if "|" in line}
        equal("services whose logs are shown", named, set(NEEDS))

    def fault(what):
        def check(stack, said, began):
            faults[what] = began
            flowing(stack)
        return check

    def stopped(stack, said, began):
        shown.append(dashboard.shows_dead(stack, "kafka2"))
        fault("stop of kafka2")(stack, said, began)

    def recreated(stack, said, began):
        started_in_order(stack, said, began)
        flowing(stack)

    def only_zookeeper(stack, _said, _began):
        equal("what runs", stack.shell("docker compose ps --services").split(), ["zookeeper"])

    def down(stack, _said, _began):
        equal("volumes that are kept", len(volumes(stack)), 4)

    def up_again(stack, said, began):
        recreated(stack, said, began)
        kept.extend(settled(stack))

    def nothing_is_left(stack, _said, _began):
        equal("volumes that are left", volumes(stack), set())

    run(stack, commands, [
        Step(f"export COMPOSE_FILE={FILE}"),
        Step("docker compose up -d", up),
        Step("docker compose ps", shown_healthy, again=True),
        Step(CREATE, created),
        Step(DESCRIBE, replicas(2), again=True),
        Step("docker compose logs", every_service),
        Step("docker compose logs -f", until=lambda line: '"event":"delivered"' in line),
        Step("docker compose logs -f kafka1", until=lambda line: "kafka1" in line),
        Step("docker compose logs -f consumer", until=lambda line: '"message":{"id"' in line),
        Step(MEMBERS, members(stack, 1), again=True),
        Step("docker compose up -d --scale consumer=3", scaled(3)),
        Step(MEMBERS, members(stack, 3), again=True),
        Step("docker stats", until=lambda line: "kafka1" in line),
        Step("docker stop kafka2", stopped),
        Step(DESCRIBE, replicas(1), again=True),
        Step("docker start kafka2", back_in_sync),
        Step("docker compose stop kafka1", fault("stop of kafka1")),
        Step("docker compose up -d kafka1", back_in_sync),
        Step("docker compose stop consumer", ended("consumer")),
        Step("docker compose up -d --force-recreate", recreated),
        Step("docker compose stop", ended()),
        Step("docker compose up -d zookeeper", only_zookeeper),
        Step("docker compose down", down),
        Step("docker compose up -d", up_again),
        Step("docker compose down -v", nothing_is_left),
    ])
    log, figures = kept
    return (f"{starts[0]}; {figures}; {in_words(stalls(stack, log, faults))};"
            f" the stopped broker on the dashboard after {shown[0]:.1f} s")
