"""The commands of the walk-through, read from the README: what it says is what is run."""
import re
from pathlib import Path

from checks import equal

ROOT = Path(__file__).resolve().parents[2]
# A walk-through is the console blocks between its own comment and the end comment.
BLOCK = re.compile(r"<!-- walk-through: {name} -->(.*?)<!-- end of walk-through -->", re.S)


def commands(name, readme="README.md"):
    """The walk-through's commands in their order, without what stands in comments beside them."""
    text = (ROOT / readme).read_text()
    found = re.search(BLOCK.pattern.format(name=name), text, BLOCK.flags)
    equal(f"{readme} has the walk-through {name!r}", bool(found), True)
    blocks = re.findall(r"```console\n(.*?)```", found[1], re.S)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+#.*", "", line[2:]) for line in lines]


def same_in_both_languages():
    for name in ("kraft", "classic"):
        ours, theirs = commands(name), commands(name, "README.ru.md")
        equal(f"README.ru.md has the commands of the walk-through {name!r}", theirs, ours)
