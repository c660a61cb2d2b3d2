"""The cluster under test, and the programs that are run against it."""
import json
import os
import signal
import subprocess
import threading
import uuid

from kafka.admin import KafkaAdminClient, NewTopic

TOOLS = "org.apache.kafka.tools"
PATIENCE_S = 120


class Cluster:
    """The cluster that was named, or `kurier cluster run` on free ports, for the length of a `with`."""

    def __init__(self, kurier, jars):
        self.binary = kurier
        self.jars = jars
        self.process = None
        self.bootstrap = os.environ.get("KURIER_BOOTSTRAP")

    def __enter__(self):
        if self.bootstrap is None:
            command = [self.binary, "-o", "json", "cluster", "run", "--port", "0"]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self.bootstrap = json.loads(self.process.stdout.readline())["bootstrap"]
        self.admin = KafkaAdminClient(bootstrap_servers=self.servers)
        return self

    def __exit__(self, *_):
        self.admin.close()
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)

    @property
    def servers(self):
        """As the Python clients want them."""
        return self.bootstrap.split(",")

    def topic(self, name, partitions=1, **settings):
        """Makes a topic with this name and an ending of its own. Its records stay, however old they say they are:
        Kafka's usual retention looks at their times."""
        name = f"{name}-{uuid.uuid4().hex[:8]}"
        settings = {"retention.ms": "-1"} | {key.replace("_", "."): value for key, value in settings.items()}
        self.admin.create_topics([NewTopic(name, partitions, 3, topic_configs=settings)], wait_for_metadata=True)
        return name

    def command(self, *args):
        return [self.binary, "-b", self.bootstrap, "-o", "json", *args]

    def kurier(self, *args, stdin=b""):
        """The JSON lines that kurier prints; its failure is ours."""
        lines = finished(self.command(*args), stdin).splitlines()
        return [json.loads(line) for line in lines]

    def send_records(self, topic, records, **properties):
        """Sends records of any kind with kurier's library, in their order."""
        binary = self.binary.parent / "send-records"
        options = [f"{name.replace('_', '.')}={value}" for name, value in properties.items()]
        lines = "".join(json.dumps(record.as_numbers()) + "\n" for record in records)
        finished([binary, self.bootstrap, topic, *options], lines.encode())

    def tool(self, name, *args, stdin=b""):
        """The bytes that one of Kafka's own tools prints; its failure is ours."""
        name = name if name.startswith("kafka.") else f"{TOOLS}.{name}"
        return self.java(name, "--bootstrap-server", self.bootstrap, *args, stdin=stdin)

    def java(self, *args, stdin=b""):
        """The bytes that a class beside Kafka's jars prints."""
        options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*"]
        return finished(["java", *options, *args], stdin)


def finished(command, stdin):
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        said = (done.stdout[-2000:] + done.stderr[-4000:]).decode(errors="replace")
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{said}")
    return done.stdout


class Running:
    """A `kurier` that runs until it is stopped, and the lines it has printed so far."""

    def __init__(self, command, on_line):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.talk = b""
        self.readers = [threading.Thread(target=self._read, args=[on_line], daemon=True),
                        threading.Thread(target=self._listen, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read(self, on_line):
        for line in self.process.stdout:
            on_line(json.loads(line))

    def _listen(self):
        self.talk = self.process.stderr.read()

    def stop(self):
        """SIGTERM; it must end as one that has nothing left to do."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_S)
        for reader in self.readers:
            reader.join()
        if code != 128 + signal.SIGTERM:
            raise RuntimeError(f"kurier ended with {code}: {self.talk.decode(errors='replace')}")

    def kill(self):
        """For the end of a run, however it went."""
        self.process.kill()

    def wait(self):
        self.process.wait()
