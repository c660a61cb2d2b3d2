"""The containers of one compose file, for the length of a `with`, with everything they say and do on record."""
import json
import os
import shlex
import signal
import subprocess
import threading
from functools import cache

from books import Books
from checks import PATIENCE_S, Differs, holds
from record import Record


class Stack:
    """Runs commands as a person in the project's folder does. Its compose project has a name of its own, so that it
    never touches the volumes of a person's; the containers' fixed names it has to share, and refuses to take."""

    def __init__(self, root, flavour, kurier):
        self.root, self.flavour = root, flavour
        self.binary = kurier
        self.project = f"kurier-test-{flavour.NAME}"
        self.environment = os.environ | {
            "COMPOSE_FILE": flavour.FILE, "COMPOSE_PROJECT_NAME": self.project, "PRODUCER_RATE": str(flavour.RATE),
        }
        self.record = Record(self.project, root / ".cache/containers" / flavour.NAME)
        self.books = Books(self.record)

    def __enter__(self):
        self._refuse_to_take_names()
        self.shell("docker compose down -v --remove-orphans")
        self.record.begin()
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            print(f"\n{error}\n\nthe containers, and the end of what each said:")
            print(self.shell("docker compose ps -a"))
            print(self.record.tails(10), flush=True)
        self.shell("docker compose down -v --remove-orphans")
        self.record.end()

    def _refuse_to_take_names(self):
        listed = self.shell('docker ps -a --format "{{.Names}} {{.Label \\"com.docker.compose.project\\"}}"')
        taken = [line for line in listed.splitlines()
                 if line.split()[0] in self.flavour.NAMED and not line.endswith(self.project)]
        holds(f"containers of these names are there already, with their project: {taken}; stop them first", not taken)

    def shell(self, command):
        """What a command prints; its failure is a difference."""
        done = subprocess.run(command, shell=True, cwd=self.root, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=2 * PATIENCE_S)
        if done.returncode != 0:
            raise Differs(f"`{command}` ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def watch(self, command, until):
        """Runs one that goes on until it is interrupted: as soon as it has printed such a line, as Ctrl-C does."""
        process = subprocess.Popen(shlex.split(command), cwd=self.root, env=self.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        late = threading.Timer(PATIENCE_S, process.kill)
        late.start()
        found = next((line for line in process.stdout if until(line)), None)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait()
        late.cancel()
        holds(f"`{command}` never printed what it should", found)

    def kurier(self, *args):
        """The JSON lines that this machine's kurier prints, through the published ports."""
        bootstrap = ",".join(f"localhost:{self.port(broker)}" for broker in sorted(self.flavour.BROKERS))
        command = [self.binary, "-b", bootstrap, "-o", "json", "--timeout", "60s", *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode != 0:
            raise Differs(f"kurier {' '.join(args)} ended with {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    @cache
    def port(self, service):
        """The one that a service is published at, on this machine."""
        services = json.loads(self.shell("docker compose config --format json"))["services"]
        return services[service]["ports"][0]["published"]

    def start_times(self, began):
        """How long after that each service was ready, or for a client, had started; in words."""
        ready = self.record.happened("start", began) | self.record.happened("health_status: healthy", began)
        by_time = sorted(ready.items(), key=lambda item: item[1])
        return "ready after " + ", ".join(f"{service} {at - began:.0f} s" for service, at in by_time)

    def inspect(self, *services):
        """What Docker knows of the containers of these services, or of all."""
        ids = self.shell(f"docker compose ps -aq {' '.join(services)}").split()
        found = json.loads(self.shell(f"docker inspect {' '.join(ids)}"))
        return sorted(found, key=lambda container: container["Name"])
