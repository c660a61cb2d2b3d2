"""A thousand keys of any bytes, and where `kurier produce` puts them."""
import base64
import json
import random
import subprocess

PARTITIONS = 13
DELIMITER = b"="


def make(count=1000):
    """Different keys of 0 to 40 bytes; all but the two that end a key or a line."""
    chance = random.Random(1)
    usual = bytes(byte for byte in range(256) if byte not in DELIMITER + b"\n")
    keys = {b"", "Schlüssel".encode(), b"\xff" * 4, b"\x80"}
    while len(keys) < count:
        keys.add(bytes(chance.choices(usual, k=chance.randrange(1, 41))))
    return sorted(keys)


def put(kurier, bootstrap, topic, keys):
    """Sends a message with each key, and reads back which partition has it: {key: partition}."""
    def run(*args, stdin=b""):
        command = [kurier, "-b", bootstrap, *args]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=True).stdout

    lines = b"".join(key + DELIMITER + b"x\n" for key in keys)
    run("produce", topic, "--input", "raw", "--key-delimiter", DELIMITER.decode(), stdin=lines)
    tail = run("topic", "tail", topic, "--from", "earliest", "--exit-at-end", "--decode", "raw")
    found = {}
    for one in map(json.loads, tail.splitlines()):
        key = base64.b64decode(one["key_base64"]) if "key_base64" in one else one["key"].encode()
        found[key] = one["partition"]
    return found
