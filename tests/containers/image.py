"""The image: that it builds, how large it is, and whom it runs as."""
import json
import subprocess

from checks import equal, holds

SIZE_MAX_MB = 100


def build(root):
    """Builds it as the compose files say. BUILD_NETWORK and DOCKER_BUILDKIT are the caller's."""
    subprocess.run(["docker", "compose", "build", "--quiet", "consumer"], cwd=root, check=True)
    built, base = inspect("kurier"), inspect("debian:bookworm-slim")
    added = (built["Size"] - base["Size"]) / 1e6
    print(f"ok  the image adds {added:.0f} MB to its base of {base['Size'] / 1e6:.0f} MB", flush=True)
    holds(f"the image adds {added:.0f} MB, more than {SIZE_MAX_MB}", added < SIZE_MAX_MB)
    config = built["Config"]
    equal("the image's user", config["User"], "65532:65532")
    equal("the image's entry point", config["Entrypoint"], ["kurier"])


def inspect(name):
    found = subprocess.run(["docker", "image", "inspect", name], check=True, capture_output=True)
    return json.loads(found.stdout)[0]
