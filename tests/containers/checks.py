"""What is compared, and waiting for it."""
import time

# The machine may be busy with other things; this bounds a wait, and is no measure.
PATIENCE_S = 180


class Differs(Exception):
    """Something is not as it should be."""


class Lost(Differs):
    """What was promised is not so; another try would not undo it."""


def equal(what, found, wanted):
    if found != wanted:
        raise Differs(f"{what}: found {found!r}, expected {wanted!r}")


def holds(what, condition):
    """`what` says what is wrong when it does not hold."""
    if not condition:
        raise Differs(what)


def wait_for(what, ready, patience_s=PATIENCE_S):
    """What `ready` returns once it is true. A difference that it raises is one that may pass."""
    end = time.monotonic() + patience_s
    while True:
        last = None
        try:
            if answer := ready():
                return answer
        except Differs as difference:
            last = difference
        if end < time.monotonic():
            raise Differs(f"{what}: not within {patience_s} s" + (f"; {last}" if last else ""))
        time.sleep(0.2)
