"""Everything the containers of a project say, with the time they said it, and when they start, are healthy and end.

Each start of a container is followed by a `docker logs` of its own, so that nothing is missing of one that is recreated.
It begins with the container's first line, for the event of a start may be younger than the first lines after it.
"""
import calendar
import json
import shutil
import subprocess
import threading
import time
from collections import namedtuple

Line = namedtuple("Line", "time service container text")
Event = namedtuple("Event", "time service container what")
LABEL = "com.docker.compose"


class Record:
    def __init__(self, project, folder):
        self.project, self.folder = project, folder
        self.lines, self.events = [], []
        self.lock = threading.Lock()
        self._watch = None
        self._followers = []
        self._by_container = {}
        self._last_ns = {}

    def begin(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        command = ["docker", "events", "--since", str(int(time.time())), "--filter", "type=container",
                   "--filter", f"label={LABEL}.project={self.project}", "--format", "{{json .}}"]
        self._watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._follow_with(self._read_events)

    def end(self):
        """To be called when the containers are gone."""
        self._watch.terminate()
        for follower in self._followers:
            follower.join()

    def _follow_with(self, read, *args):
        follower = threading.Thread(target=read, args=args, daemon=True)
        self._followers.append(follower)
        follower.start()
        return follower

    def _read_events(self):
        for text in self._watch.stdout:
            event = json.loads(text)
            about = event["Actor"]["Attributes"]
            service, container = about.get(f"{LABEL}.service"), event["Actor"]["ID"][:12]
            if about.get(f"{LABEL}.oneoff") == "True":
                continue
            if event["Action"] == "start":
                earlier = self._by_container.get(container)
                self._by_container[container] = self._follow_with(self._read_lines, service, container, earlier)
            if event["Action"] in ("start", "die", "health_status: healthy"):
                with self.lock:
                    self.events.append(Event(event["timeNano"] / 1e9, service, container, event["Action"]))

    def _read_lines(self, service, container, earlier):
        if earlier:
            earlier.join()
        known_ns = self._last_ns.get(container, 0)
        command = ["docker", "logs", "--follow", "--timestamps", container]
        logs = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        with (self.folder / f"{service}-{container}.log").open("a") as kept:
            for line in logs.stdout:
                said, _, text = line.rstrip("\n").partition(" ")
                at_ns = nanoseconds(said)
                if at_ns <= known_ns:
                    continue
                kept.write(line)
                with self.lock:
                    self.lines.append(Line(at_ns / 1e9, service, container, text))
                    self._last_ns[container] = max(at_ns, self._last_ns.get(container, 0))

    def said(self, service, since=0.0):
        """What a service's containers have said since then, in the order of its times."""
        with self.lock:
            found = [line for line in self.lines if line.service == service and since <= line.time]
        return sorted(found, key=lambda line: line.time)

    def happened(self, what, since=0.0):
        """When it happened to containers since then: the first time, by service."""
        with self.lock:
            found = [event for event in self.events if event.what == what and since <= event.time]
        return {event.service: event.time for event in sorted(found, reverse=True)}

    def tails(self, count, width=200):
        """The end of what each container said, for people."""
        def tail(file):
            return [line[:width] for line in file.read_text().splitlines()[-count:]]
        files = sorted(self.folder.glob("*.log"))
        return "\n".join("\n".join([f"--- {file.name}", *tail(file)]) for file in files)


def nanoseconds(text):
    """Of Docker's RFC 3339 with as many digits as it takes, in UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    parsed = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(parsed) * 10**9 + int(fraction.ljust(9, "0"))
