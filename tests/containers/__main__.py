"""Both compose files with real containers, as the READMEs walk through them: `python tests/containers KURIER`.

KURIER is the binary on this machine, which looks in through the published ports. It ends with 0 when everything is as
the guide says and nothing was lost, with 1 when something differs, which the last line names, and with 2 when the test
itself failed. What the containers said is kept in .cache/containers.
"""
import argparse
import sys
import time
import traceback
from pathlib import Path

import classic
import guide
import image
import kraft
from checks import Differs, Lost
from stack import Stack

ROOT = Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kurier", type=Path, help="the binary on this machine")
    parser.add_argument("--only", choices=["kraft", "classic"], help="one of the two files")
    args = parser.parse_args()
    flavours = [flavour for flavour in (kraft, classic) if args.only in (None, flavour.NAME)]
    try:
        guide.same_in_both_languages()
        image.build(ROOT)
        for flavour in flavours:
            print(walk(flavour, args.kurier.resolve()), flush=True)
    except Lost as loss:
        print(f"DIFFERS  {loss}", file=sys.stderr)
        sys.exit(3)
    except Differs as difference:
        sys.exit(f"DIFFERS  {difference}")
    except (Exception, KeyboardInterrupt):
        traceback.print_exc()
        sys.exit(2)


def walk(flavour, kurier):
    """One file from its first container to its last; what was measured, in a line."""
    began = time.monotonic()
    with Stack(ROOT, flavour, kurier) as stack:
        figures = flavour.walk(stack, guide.commands(flavour.NAME))
    return f"ok  {flavour.FILE}: {figures}; {time.monotonic() - began:.0f} s in all"


if __name__ == "__main__":
    main()
